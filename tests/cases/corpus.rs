//! The hostile frames under `tests/regress/cve`; its README has their format. Knows nothing of the
//! crate, so that fuzzers and wire runners can include it.

use std::fs;
use std::path::Path;

/// One line of one file.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// The file's name and the number of the line, for people.
    pub place: String,
    pub outcome: String,
    pub frame: Vec<u8>,
}

/// All frames of all files, in the order of their names. An illegible line panics with its place.
pub fn read() -> Vec<Exhibit> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regress/cve");
    let files = fs::read_dir(directory).expect("the corpus is there");
    let mut paths: Vec<_> = files
        .map(|file| file.expect("a directory that can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Vec<Exhibit> {
    let text = fs::read_to_string(path).expect("a file that can be read");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    read_text(&name, &text)
}

/// All frames of the text of a file, for whoever cannot read the folder where it runs.
pub fn read_text(name: &str, text: &str) -> Vec<Exhibit> {
    let lines = text.lines().zip(1..).map(|(line, number)| {
        let place = format!("{name}:{number}");
        exhibit(line, &place)
    });
    lines.flatten().collect()
}

/// The frame in a line; `None` if there is only a comment, or nothing.
fn exhibit(line: &str, place: &str) -> Option<Exhibit> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() {
        return None;
    }
    let (outcome, hex) = line
        .split_once(':')
        .unwrap_or_else(|| panic!("{place}: no outcome"));
    Some(Exhibit {
        place: place.to_owned(),
        outcome: outcome.trim().to_owned(),
        frame: bytes(hex).unwrap_or_else(|| panic!("{place}: not hexadecimal")),
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = hex
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    Some(pairs.iter().map(|[a, b]| (a << 4 | b) as u8).collect())
}
