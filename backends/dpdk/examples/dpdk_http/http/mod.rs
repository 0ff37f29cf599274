//! HTTP/1.1 over any socket of embedded-io-async: the protocol, and nothing of what is served.
//!
//! Keep-alive, pipelining, HEAD, HTTP/1.0; bodies of requests are read and thrown away. Not in here:
//! TLS, chunked bodies (411), bodies above [`MAX_BODY`] (413), heads above [`MAX_HEAD`] (431), dates,
//! caching, ranges.
//!
//! Answers are gathered and leave in as few writes as there can be: all that one read has asked for, as
//! far as [`GATHERED`] bytes. Nothing is ever flushed: the stack's `flush` waits until the peer has
//! acknowledged, which would cost each answer a round trip. So sockets that keep written bytes back are
//! not for it.
//!
//! An existing crate was tried first. picoserve 0.20 does run on these sockets and any timer, but it
//! writes the status line, each header and the body on their own, flushes between head and body, and
//! takes the bytes of a chunked body for the next request.

pub(crate) mod patience;
mod request;
mod response;

use std::future::Future;

use embedded_io_async::{Read, Write};

pub(crate) use patience::serve_patiently;
use request::{Head, Method};
pub(crate) use response::Status;

/// The longest head of a request, which is also what is read at once.
pub(crate) const MAX_HEAD: usize = 8 * 1024;
/// The longest body of a request.
pub(crate) const MAX_BODY: u64 = 1024 * 1024;
/// Answers are written when this much has gathered, or when there is no further request to answer.
const GATHERED: usize = 16 * 1024;
/// How much is still read from a peer that was told that nothing is.
const LINGERING: u64 = MAX_BODY;

/// What is served.
pub(crate) trait Site {
    /// What is at a path; `None` if nothing is.
    fn answer(&self, path: &str) -> Option<Answer>;

    /// A request was answered, with this status.
    fn answered(&self, status: Status) {
        let _ = status;
    }
}

/// The content of an answer.
pub(crate) struct Answer {
    /// Its `Content-Type`.
    pub(crate) kind: &'static str,
    pub(crate) body: Body,
}

/// The bytes of an answer.
pub(crate) enum Body {
    Fixed(&'static [u8]),
    Text(String),
    /// So many bytes of [`PATTERN`], over and over.
    Pattern(u64),
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Self::Fixed(bytes) => bytes.len() as u64,
            Self::Text(text) => text.len() as u64,
            Self::Pattern(len) => *len,
        }
    }
}

/// Bytes that show, wherever one looks, whether one is missing.
pub(crate) const PATTERN: [u8; 251 * 32] = {
    let mut bytes = [0; 251 * 32];
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = (index % 251) as u8;
        index += 1;
    }
    bytes
};

/// A connection.
pub(crate) trait Stream: Read + Write {
    /// Says the end of what we send. Reading goes on.
    fn finish(&mut self) -> impl Future<Output = Result<(), Self::Error>>;
}

impl<S: Stream> Stream for &mut S {
    async fn finish(&mut self) -> Result<(), Self::Error> {
        S::finish(self).await
    }
}

/// Answers the requests of one connection, until either side has had enough.
///
/// It waits for ever for a peer that is silent: see [`serve_patiently`].
pub(crate) async fn serve<S: Stream>(stream: &mut S, site: &impl Site) -> Result<(), S::Error> {
    let mut exchange = Exchange {
        stream,
        input: Input::new(),
        output: Vec::new(),
    };
    let then = loop {
        match exchange.next(site).await? {
            Then::Next => {}
            then => break then,
        }
    };
    exchange.write().await?;
    exchange.stream.finish().await?;
    match then {
        Then::Next | Then::Ended => Ok(()),
        Then::Close => exchange.linger().await,
    }
}

/// What follows a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Next,
    /// We end.
    Close,
    /// The peer has ended.
    Ended,
}

/// One connection: what was read and not yet understood, and what is to be written.
struct Exchange<'s, S> {
    stream: &'s mut S,
    input: Input,
    output: Vec<u8>,
}

impl<S: Stream> Exchange<'_, S> {
    /// Reads one request and answers it.
    async fn next(&mut self, site: &impl Site) -> Result<Then, S::Error> {
        let (order, len) = loop {
            match request::parse(self.input.bytes()) {
                Ok(Some(head)) => break (Order::take(&head, site), head.len),
                Ok(None) if self.input.is_full() => {
                    return Ok(self.refuse(Status::HeadTooLarge, site));
                }
                Ok(None) => {
                    if !self.read().await? {
                        return Ok(Then::Ended);
                    }
                }
                Err(status) => return Ok(self.refuse(status, site)),
            }
        };
        self.input.consume(len);
        // Whoever wants to be told before he sends a body is told not to: nobody here reads it.
        let waits = order.waits && order.body > 0;
        if !waits && !self.skip(order.body).await? {
            return Ok(Then::Ended);
        }
        self.answer(order, waits, site).await
    }

    async fn answer(
        &mut self,
        order: Order,
        is_last: bool,
        site: &impl Site,
    ) -> Result<Then, S::Error> {
        let Order {
            answer,
            headless,
            connection,
            body: _,
            waits: _,
        } = order;
        let connection = match is_last {
            true => Connection::Close,
            false => connection,
        };
        let (status, answer) = match answer {
            Ok(answer) => (Status::Ok, answer),
            Err(status) => (status, status.explanation()),
        };
        let Answer { kind, body } = answer;
        response::head(&mut self.output, status, kind, body.len(), connection);
        match body {
            _ if headless => {}
            Body::Fixed(bytes) => self.output.extend_from_slice(bytes),
            Body::Text(text) => self.output.extend_from_slice(text.as_bytes()),
            Body::Pattern(len) => self.stream_pattern(len).await?,
        }
        site.answered(status);
        if self.output.len() >= GATHERED {
            self.write().await?;
        }
        Ok(match connection {
            Connection::Close => Then::Close,
            Connection::Stays | Connection::StaysIfSaid => Then::Next,
        })
    }

    /// Answers what cannot be understood, or not be read to its end.
    fn refuse(&mut self, status: Status, site: &impl Site) -> Then {
        let Answer { kind, body } = status.explanation();
        response::head(
            &mut self.output,
            status,
            kind,
            body.len(),
            Connection::Close,
        );
        if let Body::Fixed(text) = body {
            self.output.extend_from_slice(text);
        }
        site.answered(status);
        Then::Close
    }

    async fn stream_pattern(&mut self, mut len: u64) -> Result<(), S::Error> {
        while len > 0 {
            let part = PATTERN
                .len()
                .min(usize::try_from(len).unwrap_or(usize::MAX));
            self.output.extend_from_slice(&PATTERN[..part]);
            len -= part as u64;
            if self.output.len() >= GATHERED {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Throws away a body; false if the peer ended before it did.
    async fn skip(&mut self, mut len: u64) -> Result<bool, S::Error> {
        loop {
            let here = self.input.bytes().len();
            let part = here.min(usize::try_from(len).unwrap_or(usize::MAX));
            self.input.consume(part);
            len -= part as u64;
            if len == 0 {
                return Ok(true);
            }
            if !self.read().await? {
                return Ok(false);
            }
        }
    }

    /// Reads to the peer's end: whoever closes while there is something to read resets the connection,
    /// and the peer may never see the answer.
    async fn linger(&mut self) -> Result<(), S::Error> {
        let mut left = LINGERING;
        while left > 0 {
            left = left.saturating_sub(self.input.bytes().len() as u64);
            self.input.clear();
            if !self.read().await? {
                break;
            }
        }
        Ok(())
    }

    /// Waits for more to read, and leaves nothing unsaid before; false at the peer's end.
    async fn read(&mut self) -> Result<bool, S::Error> {
        self.write().await?;
        let len = self.stream.read(self.input.room()).await?;
        self.input.filled(len);
        Ok(len > 0)
    }

    async fn write(&mut self) -> Result<(), S::Error> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }
}

/// What a request has asked for, apart from its bytes.
struct Order {
    answer: Result<Answer, Status>,
    headless: bool,
    connection: Connection,
    /// The length of the body.
    body: u64,
    /// Whether the peer waits for a word before it sends the body.
    waits: bool,
}

impl Order {
    fn take(head: &Head<'_>, site: &impl Site) -> Self {
        let Head {
            method,
            path,
            connection,
            body,
            waits,
            len: _,
        } = *head;
        let answer = match method {
            Method::Get | Method::Head => site.answer(path).ok_or(Status::NotFound),
            Method::Other => Err(Status::MethodNotAllowed),
        };
        Self {
            answer,
            headless: method == Method::Head,
            connection,
            body,
            waits,
        }
    }
}

/// What becomes of a connection when a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    /// It stays, as it does in HTTP/1.1.
    Stays,
    /// It stays, which is news to whoever speaks HTTP/1.0.
    StaysIfSaid,
    Close,
}

/// Bytes that were read, and room for more.
struct Input {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Input {
    fn new() -> Self {
        Self {
            bytes: vec![0; MAX_HEAD].into(),
            start: 0,
            end: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn is_full(&self) -> bool {
        self.bytes().len() == self.bytes.len()
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Where to read to, behind what is there.
    fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.bytes[self.end..]
    }

    fn filled(&mut self, len: usize) {
        self.end += len;
    }
}
