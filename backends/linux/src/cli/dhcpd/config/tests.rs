//! Whole files: what they come to, and what is said of those that are wrong.

use std::env;

use super::*;

/// Reads a file of `tests/config`, which others of the same folder may be imported into.
fn read(folder: &Path, name: &str) -> Result<(Config, Problems), Problems> {
    let text = fs::read(folder.join(name)).unwrap();
    let files = |path: &Path| {
        let found = dnsmasq::read_files(&folder.join(path))?;
        let relative = |path: PathBuf| path.strip_prefix(folder).unwrap().to_owned();
        Ok(found
            .into_iter()
            .map(|(path, text)| (relative(path), text))
            .collect())
    };
    Config::parse(&text, Path::new(name), &files)
}

/// Compares what is said of each file of a folder with the file of the same name that ends in
/// `.txt`; there is none where nothing is said. With `WHOHAS_BLESS` set, these are written anew.
#[track_caller]
fn check_folder(name: &str, expected_errors: bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(name);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        files += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let (fine, problems) = match read(&folder, name) {
            Ok((_, warnings)) => (true, warnings),
            Err(problems) => (false, problems),
        };
        let said = problems.to_string();
        assert_eq!(fine, !expected_errors, "{name}:\n{said}");
        let expected = path.with_extension("txt");
        if env::var_os("WHOHAS_BLESS").is_some() {
            let _ = fs::remove_file(&expected);
            if !said.is_empty() {
                fs::write(&expected, &said).unwrap();
            }
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert!(
            said == expected,
            "{name}: expected\n{expected}\nbut said was\n{said}"
        );
    }
    assert!(files > 0);
}

#[test]
fn good_files_are_taken_and_what_is_odd_about_them_is_said() {
    check_folder("good", false);
}

#[test]
fn what_is_wrong_with_bad_files_is_said_with_its_place() {
    check_folder("bad", true);
}

#[test]
fn the_template_is_valid_as_it_is() {
    let (_, problems) = parse_text(TEMPLATE).unwrap();
    assert!(problems.is_empty(), "{problems}");
}

fn parse_text(text: &str) -> Result<(Config, Problems), Problems> {
    Config::parse(text.as_bytes(), Path::new("test.toml"), &|_| Ok(Vec::new()))
}

/// The template with all that stands in it for examples.
fn whole_template() -> String {
    let example = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = TEMPLATE.lines().map(example).collect();
    lines.join("\n")
}

#[test]
fn the_examples_of_the_template_are_valid_together() {
    let (_, problems) =
        parse_text(&whole_template()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn the_template_names_all_options_and_all_keys() {
    for OptionName { name, .. } in OPTION_NAMES {
        let is_named = TEMPLATE.split([' ', '\n', '#']).any(|word| word == *name);
        assert!(is_named, "{name} is not in the template");
    }
}

#[test]
fn what_the_template_gives_as_defaults_is_what_holds_without() {
    let (plain, _) = parse_text(TEMPLATE).unwrap();
    let defaults = whole_template();
    let until_options = defaults.split("[options]").next().unwrap();
    let subnet = "[[subnet]]\nprefix = \"192.168.1.0/24\"\npools = \"192.168.1.100-192.168.1.199\"";
    for section in ["[conflicts]", "[store]", "[log]"] {
        let start = defaults.find(section).unwrap();
        let body = &defaults[start..];
        let end = body[1..].find("\n[").unwrap() + 2;
        let text = format!("{until_options}\n{}\n{subnet}", &body[..end]);
        let (written, _) = parse_text(&text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(written, plain, "{section}");
    }
}
