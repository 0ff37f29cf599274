//! The messages under `tests/regress/cve/dhcp`; the README there has their format. Knows nothing of the
//! crate, so that others can include it.

use std::fs;
use std::path::Path;

/// One line of one file.
pub struct Exhibit {
    pub place: String,
    pub outcome: String,
    pub message: Vec<u8>,
}

/// All of them; an illegible line panics with its place.
pub fn read() -> Vec<Exhibit> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regress/cve/dhcp");
    let files = fs::read_dir(folder).expect("the corpus is there");
    let mut paths: Vec<_> = files
        .map(|file| file.expect("a folder that can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut exhibits = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a file that can be read");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        exhibits.extend(read_text(&name, &text));
    }
    exhibits
}

/// Those in the text of a file, for whoever cannot read the folder where it runs.
pub fn read_text(name: &str, text: &str) -> Vec<Exhibit> {
    let mut exhibits = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let place = format!("{name}:{number}");
        let (outcome, hex) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("{place}: no outcome"));
        exhibits.push(Exhibit {
            outcome: outcome.trim().to_owned(),
            message: bytes(hex).unwrap_or_else(|| panic!("{place}: not hexadecimal")),
            place,
        });
    }
    exhibits
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in hex.split_whitespace() {
        let (digits, times) = match word.split_once('*') {
            Some((digits, times)) => (digits, times.parse().ok()?),
            None => (word, 1),
        };
        let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let pairs: Vec<u8> = pairs
            .iter()
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<_>>()?;
        bytes.extend(pairs.repeat(times));
    }
    Some(bytes)
}
