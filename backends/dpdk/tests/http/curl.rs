//! curl, over a Unix socket: the same bytes, and no network.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::time::Duration;
use std::{env, fs, process};

use embedded_io_adapters::tokio_1::FromTokio;
use tokio::net::UnixListener;
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

use crate::Pages;
use crate::http::{PATTERN, serve_patiently};
use crate::kernel::TokioClock;

const URL: &str = "http://10.0.0.1";

/// A place for a socket, gone with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("whohas-http-{}-{name}", process::id());
        Self(env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What one curl says to these words; `None` where there is no curl.
fn curl(name: &str, words: &[&str]) -> Option<Output> {
    let place = Place::new(name);
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--unix-socket",
    ]);
    command.arg(&place.0).args(words);
    command.stdin(Stdio::null());
    if Command::new("curl").arg("--version").output().is_err() {
        // Where it was promised that everything is tested, nothing may be left out in silence.
        assert!(
            env::var("CI").as_deref() != Ok("true"),
            "there is no curl here"
        );
        eprintln!("skipped {name}: there is no curl here");
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime of one thread");
    let output = LocalSet::new().block_on(&runtime, async {
        let listener = UnixListener::bind(&place.0).expect("a place for a socket");
        let server = spawn_local(async move {
            let (clock, pages) = (TokioClock::new(), Rc::new(Pages::default()));
            while let Ok((stream, _from)) = listener.accept().await {
                let (stream, pages) = (FromTokio::new(stream), pages.clone());
                spawn_local(async move {
                    serve_patiently(stream, &*pages, &clock, Duration::from_secs(30)).await
                });
            }
        });
        let output = spawn_blocking(move || command.output()).await;
        server.abort();
        output.expect("curl does not panic").expect("curl starts")
    });
    Some(output)
}

/// What curl wrote, which had nothing to complain of.
#[track_caller]
fn fetched(output: &Output) -> &[u8] {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    &output.stdout
}

#[test]
fn curl_gets_pages_over_one_connection() {
    let urls = ["/hello", "/status", "/nothing", "/hello"].map(|path| format!("{URL}{path}"));
    let mut words: Vec<&str> = vec!["--write-out", "[%{http_code} %{num_connects}]"];
    words.extend(urls.iter().map(String::as_str));
    let Some(output) = curl("pages", &words) else {
        return;
    };
    let expected = "Hello from a queue.\n[200 1]{\"queues\":[]}[200 0]404 Not Found\n[404 0]\
        Hello from a queue.\n[200 0]";
    assert_eq!(String::from_utf8_lossy(fetched(&output)), expected);
}

#[test]
fn curl_gets_a_long_answer_whole() {
    let len = 10_000_000;
    let Some(output) = curl("long", &[&format!("{URL}/bytes/{len}")]) else {
        return;
    };
    assert!(fetched(&output).iter().eq(PATTERN.iter().cycle().take(len)));
}

#[test]
fn curl_gets_a_head_and_http_1_0() {
    let words = ["--head", "--http1.0", &format!("{URL}/bytes/1000000000")];
    let Some(output) = curl("head", &words) else {
        return;
    };
    let expected = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
        Content-Length: 1000000000\r\nConnection: close\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(fetched(&output)), expected);
}

#[test]
fn curl_is_told_why_its_body_is_not_taken() {
    let head = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let place = Place::new("body");
    fs::write(&place.0, vec![b'x'; 3_000_000]).expect("room for a file");
    let file = format!("@{}", place.0.display());
    let hello = format!("{URL}/hello");
    for (name, words, code) in [
        ("post", vec!["--data", "a=b"], "405"),
        ("large", vec!["--data-binary", &file], "413"),
        // Without waiting for a word.
        (
            "hasty",
            vec!["--header", "Expect:", "--data-binary", &file],
            "413",
        ),
        (
            "chunked",
            vec!["--header", "Transfer-Encoding: chunked", "--data", "a=b"],
            "411",
        ),
    ] {
        let words: Vec<_> = head
            .into_iter()
            .chain(words)
            .chain([hello.as_str()])
            .collect();
        let Some(output) = curl(name, &words) else {
            return;
        };
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            code,
            "{name}: {output:?}"
        );
    }
}
