//! What the server has to say: a page for people, and something to load it with.

use super::http::{Answer, Body};

/// The longest answer of `/bytes/N`.
const MAX_BYTES: u64 = 1 << 40;

const INDEX: &[u8] = b"whohas on DPDK

/hello     the same few bytes for everybody
/bytes/N   N bytes
/status    queues, neighbours and counters, as JSON
";

/// What is at a path; `status` writes the JSON.
pub(crate) fn answer(path: &str, status: impl FnOnce() -> String) -> Option<Answer> {
    let (kind, body) = match path {
        "/" => ("text/plain", Body::Fixed(INDEX)),
        "/hello" => ("text/plain", Body::Fixed(b"Hello from a queue.\n")),
        "/status" => ("application/json", Body::Text(status())),
        _ => {
            let len = path.strip_prefix("/bytes/")?.parse().ok()?;
            if len > MAX_BYTES {
                return None;
            }
            ("application/octet-stream", Body::Pattern(len))
        }
    };
    Some(Answer { kind, body })
}
