//! The daemon's side of the control socket, bytes in and bytes out.

use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::Instant;

use super::protocol::{LONGEST, Reply, Request};
use crate::cli::dhcpd::desk::{Desk, Selection, page};
use crate::cli::dhcpd::listener::Dialogue;

/// How long a visitor may take for a request, or for reading a piece of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much is written at once; one line may stick out.
const PIECE: usize = 64 * 1024;
/// How many addresses are looked up in one pass over the table.
const PAGE: usize = 4_096;

/// A visitor, what it has asked so far, and what it is being answered.
#[derive(Debug)]
pub(in crate::cli::dhcpd) struct Conversation {
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output was sent.
    sent: usize,
    answering: Option<Answer>,
    ended: bool,
    over: bool,
    deadline: Instant,
}

/// An answer that is longer than a piece.
#[derive(Debug)]
enum Answer {
    List {
        selection: Selection,
        /// The next addresses, the lowest last.
        next: Vec<Ipv4Addr>,
        after: Option<Ipv4Addr>,
        count: u64,
    },
    Clear {
        count: u64,
    },
}

impl Conversation {
    /// Takes the next request, if it is whole.
    fn next_request(&mut self) -> Option<Result<Request, Reply<'static>>> {
        let end = match self.input.iter().position(|&byte| byte == b'\n') {
            Some(end) if end <= LONGEST => end,
            None if self.input.len() <= LONGEST => return None,
            _ => {
                // Where the next one begins is anybody's guess.
                self.over = true;
                self.input.clear();
                let message = format!("a request has at most {LONGEST} bytes");
                return Some(Err(Reply::error("too_long", message)));
            }
        };
        let line: Vec<u8> = self.input.drain(..=end).collect();
        let request = Request::parse(&line[..end]);
        Some(request.map_err(|error| Reply::error("bad_request", error.to_string())))
    }

    fn answer(&mut self, request: Request, desk: &mut impl Desk) {
        let reply = match request {
            Request::Leases => return self.list(Selection::Leases),
            Request::Declined => return self.list(Selection::Declined),
            Request::ClearAll => {
                self.answering = Some(Answer::Clear { count: 0 });
                return;
            }
            Request::Release(ip) => Reply::Released {
                ip,
                done: desk.release(ip),
            },
            Request::Clear(ip) => Reply::Cleared {
                ip: Some(ip),
                count: desk.clear(ip).into(),
            },
            Request::Status => Reply::status(desk.status(), &desk.counters(), desk.meters()),
        };
        reply.write(&mut self.output);
    }

    fn list(&mut self, selection: Selection) {
        self.answering = Some(Answer::List {
            selection,
            next: Vec::new(),
            after: None,
            count: 0,
        });
    }

    /// Goes on with the answer until it is a piece longer, or complete.
    fn go_on(&mut self, answer: Answer, desk: &mut impl Desk) {
        match answer {
            Answer::Clear { mut count } => {
                // Looked for from the beginning each time: what was cleared is not found again.
                let found = page(desk, None, PAGE, |binding| Selection::Declined.has(binding));
                let more = found.len() == PAGE;
                let cleared = found.into_iter().filter(|&ip| desk.clear(ip)).count();
                count += cleared as u64;
                if more && cleared > 0 {
                    self.answering = Some(Answer::Clear { count });
                } else {
                    Reply::Cleared { ip: None, count }.write(&mut self.output);
                }
            }
            Answer::List {
                selection,
                mut next,
                mut after,
                mut count,
            } => {
                if next.is_empty() {
                    next = page(desk, after, PAGE, |binding| selection.has(binding));
                    next.reverse();
                    if next.is_empty() {
                        Reply::End { count }.write(&mut self.output);
                        return;
                    }
                }
                let now = desk.now();
                while self.output.len() < PIECE
                    && let Some(ip) = next.pop()
                {
                    after = Some(ip);
                    // It may have changed since it was found.
                    let binding = desk.binding(ip).filter(|binding| selection.has(binding));
                    if let Some(reply) = binding.and_then(|binding| Reply::of(&binding, now)) {
                        reply.write(&mut self.output);
                        count += 1;
                    }
                }
                self.answering = Some(Answer::List {
                    selection,
                    next,
                    after,
                    count,
                });
            }
        }
    }
}

impl Dialogue for Conversation {
    const MOST: usize = 8;

    fn new(now: Instant, _guarded: bool) -> Self {
        Self {
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            answering: None,
            ended: false,
            over: false,
            deadline: now + PATIENCE,
        }
    }

    fn refusal() -> &'static [u8] {
        b"{\"v\":1,\"type\":\"error\",\"error\":\"denied\",\"message\":\"only root and the user that the daemon runs as may ask\"}\n"
    }

    fn room(&self) -> usize {
        // One more than a request and its end, to see that it is too long.
        (LONGEST + 2).saturating_sub(self.input.len())
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    fn receive_end(&mut self) {
        self.ended = true;
    }

    fn advance(&mut self, now: Instant, desk: &mut impl Desk) {
        while self.output().is_empty() && !self.over {
            if let Some(answer) = self.answering.take() {
                self.go_on(answer, desk);
                continue;
            }
            match self.next_request() {
                Some(Ok(request)) => {
                    self.deadline = now + PATIENCE;
                    self.answer(request, desk);
                }
                Some(Err(reply)) => reply.write(&mut self.output),
                None => {
                    self.over = self.ended;
                    return;
                }
            }
        }
    }

    fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    fn sent(&mut self, now: Instant, len: usize) {
        self.deadline = now + PATIENCE;
        self.sent += len;
        if self.sent >= self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }
}
