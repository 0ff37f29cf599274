//! What the fuzz targets of visitors' bytes do, as functions, so that their corpus can be replayed
//! without a fuzzer.

use whohas::Instant;

use super::control::Conversation;
use super::desk::fixture::Fixture;
use super::http::Exchange;
use super::listener::Dialogue;

#[cfg(fuzzing)]
pub(in crate::cli) use super::config::fuzz::dhcp_config;

/// The longest output there can be at a time: a piece and a line, or a page.
const MOST: usize = 256 * 1024;

/// Bytes of nobody knows whom come over the control socket, in pieces as they say themselves.
pub(in crate::cli) fn dhcp_control(bytes: &[u8]) {
    let heard = play::<Conversation>(bytes);
    for line in heard.split_inclusive(|&byte| byte == b'\n') {
        let line: serde_json::Value = serde_json::from_slice(line).expect("a line of JSON");
        assert_eq!(line["v"], 1);
        assert!(line["type"].is_string());
    }
}

/// The same over HTTP.
pub(in crate::cli) fn dhcp_http(bytes: &[u8]) {
    let heard = play::<Exchange>(bytes);
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 "));
}

/// The first byte says how many bytes come at a time, the second how many are read.
fn play<D: Dialogue>(bytes: &[u8]) -> Vec<u8> {
    let [piece, read, rest @ ..] = bytes else {
        return Vec::new();
    };
    let (piece, read) = (usize::from(*piece) + 1, usize::from(*read) * 64 + 1);
    let mut desk = Fixture::with_leases(9);
    let now = Instant::from_secs(7);
    let mut dialogue = D::new(now, false);
    let (mut rest, mut heard) = (rest, Vec::new());
    // Each turn takes a byte or sends one, or it is the last.
    for _ in 0..=bytes.len() + MOST * (bytes.len() + 1) {
        let room = dialogue.room();
        let (next, later) = rest.split_at(rest.len().min(piece).min(room));
        dialogue.receive(next);
        rest = later;
        if rest.is_empty() {
            dialogue.receive_end();
        }
        dialogue.advance(now, &mut desk);
        let output = dialogue.output();
        assert!(output.len() <= MOST && dialogue.room() <= MOST);
        let len = output.len().min(read);
        heard.extend_from_slice(&output[..len]);
        dialogue.sent(now, len);
        if dialogue.is_over() && dialogue.output().is_empty() {
            return heard;
        }
    }
    panic!("it never ends");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_file_of_the_corpus_passes_its_target() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let run = |name: &str, target: fn(&[u8])| {
            let folder = fs::read_dir(corpus.join(name)).expect("every target has a corpus");
            for file in folder {
                let path = file.expect("a folder can be read").path();
                println!("{}", path.display());
                target(&fs::read(&path).expect("a file can be read"));
            }
        };
        run("dhcp_control", super::dhcp_control);
        run("dhcp_http", super::dhcp_http);
    }
}
