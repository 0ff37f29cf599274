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
