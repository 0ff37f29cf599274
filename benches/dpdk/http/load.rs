//! The clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::contender::{NEAR_IP, PORT};

/// At the same time.
pub(crate) const CONNECTIONS: usize = 64;
/// Whoever has not answered by then does not.
const PATIENCE: Duration = Duration::from_secs(3);

/// So often is wrk started: it begins with one connection alone, which may be one of those that are never
/// answered.
const TRIES: usize = 5;

/// How many of so many connections are answered, each from a thread of its own.
pub(crate) fn connections() -> usize {
    let tries: Vec<_> = (0..CONNECTIONS)
        .map(|_| thread::spawn(|| is_answered().unwrap_or(false)))
        .collect();
    let answered = tries.into_iter().map(|it| it.join().unwrap_or(false));
    answered.filter(|answered| *answered).count()
}

fn is_answered() -> std::io::Result<bool> {
    let server = SocketAddr::from((NEAR_IP, PORT));
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"Hello from a queue.\n") {
        let mut bytes = [0; 512];
        match stream.read(&mut bytes)? {
            0 => return Ok(false),
            len => answer.extend_from_slice(&bytes[..len]),
        }
    }
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

/// What wrk says.
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) rate: f64,
    pub(crate) is_faultless: bool,
}

/// Puts the server under load, if it answers at all.
pub(crate) fn requests(slice: Duration, mut before_try: impl FnMut()) -> Option<Load> {
    (0..TRIES).find_map(|_| {
        before_try();
        one_try(slice)
    })
}

/// `None` if the connection with which wrk begins is not answered.
fn one_try(slice: Duration) -> Option<Load> {
    let output = Command::new("timeout")
        .arg(format!("{}s", (slice + PATIENCE).as_secs()))
        .args(["wrk", "-t1"])
        .arg(format!("-c{CONNECTIONS}"))
        .arg(format!("-d{}s", slice.as_secs()))
        .arg(format!("http://{NEAR_IP}/hello"))
        .output()
        .expect("wrk is installed");
    if !output.status.success() {
        return None;
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
    let mut lines = told.lines();
    let requests = lines
        .clone()
        .find_map(|line| line.split_once(" requests in "));
    let rate = lines.find_map(|line| line.strip_prefix("Requests/sec:"));
    Some(Load {
        requests: number(requests.map(|(count, _)| count)).expect("a number of requests"),
        rate: number(rate).expect("a number of requests per second"),
        is_faultless: !told.contains("Socket errors") && !told.contains("Non-2xx"),
    })
}
