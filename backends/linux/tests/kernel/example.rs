//! `examples/dial.rs`, as README shows it, against a server of the kernel's.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::support::cable::{THEIR_IP, US, lay};
use crate::wire_test;

const EXAMPLE: &str = include_str!("../../examples/dial.rs");
const README: &str = include_str!("../../../../README.md");

#[test]
fn what_readme_shows_is_the_example() {
    let (_before, shown) = README
        .split_once("```rust,ignore\n")
        .expect("README shows it");
    let (shown, _after) = shown.split_once("```").expect("to its end");
    let mut shown = shown.lines().map(str::trim).filter(|line| !line.is_empty());
    let missing = shown.find(|line| !EXAMPLE.lines().any(|own| own.trim() == *line));
    assert_eq!(missing, None, "a line that is not in examples/dial.rs");
}

wire_test! {
    fn the_example_gets_what_the_server_says() {
        // Cargo builds examples beside the tests; a copy of this test for others has none.
        let tests = env::current_exe().expect("a test knows its own binary");
        let build = tests.parent().and_then(Path::parent).expect("in target/PROFILE/deps");
        let example = build.join("examples/dial");
        if !fs::exists(&example).unwrap_or(false) {
            eprintln!("skipped: the example is not beside this copy of its test");
            return;
        }
        lay();
        let listener = TcpListener::bind((THEIR_IP, 0)).expect("the kernel has this address");
        let server = listener.local_addr().expect("bound").to_string();
        let served = thread::spawn(move || {
            let (mut stream, from) = listener.accept().expect("somebody dials");
            let mut request = [0; 18];
            stream.read_exact(&mut request).expect("a request");
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").expect("an answer");
            (request, from.ip().to_string())
        });
        let output = Command::new(example).args([US, "10.0.0.1/24", &server]).output();
        let output = output.expect("the example starts");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"HTTP/1.0 200 OK\r\n\r\nhello");
        let (request, from) = served.join().expect("the server saw nothing wrong");
        assert_eq!((&request, from.as_str()), (b"GET / HTTP/1.0\r\n\r\n", "10.0.0.1"));
    }
}
