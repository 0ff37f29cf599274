//! One connection of HTTP, bytes in and bytes out.

use std::time::Duration;

use whohas::Instant;

use super::request::{self, LARGEST, Request};
use super::response::{Code, Response};
use super::{metrics, page};
use crate::cli::dhcpd::desk::Desk;
use crate::cli::dhcpd::listener::Dialogue;

/// How long a visitor may take for a request, or for reading what it was sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one may stay: there is not room for many.
const STAY: Duration = Duration::from_secs(120);

/// A visitor, what it has asked, and what it is answered.
#[derive(Debug)]
pub(in crate::cli::dhcpd) struct Exchange {
    guarded: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output was sent.
    sent: usize,
    ended: bool,
    over: bool,
    deadline: Instant,
    leaves: Instant,
}

impl Exchange {
    /// Takes the next request, if it is whole; whatever comes before one may be an empty line
    /// (RFC 9112 section 2.2).
    fn next_request(&mut self, names: &[Box<str>]) -> Option<Result<Request, Code>> {
        if self.input.is_empty() {
            return None;
        }
        let request = request::parse(&self.input, self.guarded, names).transpose()?;
        match &request {
            Ok(request) => drop(self.input.drain(..request.len)),
            // Where the next one begins is anybody's guess.
            Err(_) => self.input.clear(),
        }
        Some(request)
    }
}

impl Dialogue for Exchange {
    const MOST: usize = 16;

    fn new(now: Instant, guarded: bool) -> Self {
        Self {
            guarded,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            ended: false,
            over: false,
            deadline: now + PATIENCE,
            leaves: now + STAY,
        }
    }

    fn refusal() -> &'static [u8] {
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    }

    fn room(&self) -> usize {
        LARGEST.saturating_sub(self.input.len())
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    fn receive_end(&mut self) {
        self.ended = true;
    }

    fn advance(&mut self, now: Instant, desk: &mut impl Desk) {
        if !self.output().is_empty() || self.over {
            return;
        }
        let Some(request) = self.next_request(desk.names()) else {
            self.over = self.ended;
            return;
        };
        self.deadline = now + PATIENCE;
        let (response, head_only, keep_alive) = match request {
            Ok(request) => (
                answer(&request, desk),
                request.head_only,
                request.keep_alive,
            ),
            Err(code) => (Response::error(code), false, false),
        };
        response.write(&mut self.output, head_only, keep_alive);
        self.over = !keep_alive;
    }

    fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    fn sent(&mut self, now: Instant, len: usize) {
        self.deadline = now + PATIENCE;
        self.sent += len;
        if self.sent >= self.output.len() {
            self.output = Vec::new();
            self.sent = 0;
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn deadline(&self) -> Instant {
        self.deadline.min(self.leaves)
    }
}

fn answer(request: &Request, desk: &impl Desk) -> Response {
    match request.path.as_str() {
        "/" => page::response(desk, &request.query),
        "/healthz" => health(desk),
        "/metrics" => Response {
            kind: "text/plain; version=0.0.4; charset=utf-8",
            ..Response::text(Code::Ok, metrics::text(desk))
        },
        _ => Response::error(Code::NotFound),
    }
}

fn health(desk: &impl Desk) -> Response {
    match desk.status().store.fault {
        None => Response::text(Code::Ok, "ok\n"),
        Some(fault) => Response::text(Code::Unavailable, format!("store: {fault}\n")),
    }
}
