//! A connection in memory, and what came out of it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;

use embedded_io_async::{ErrorType, Read, Write};

use crate::http::{self, Stream};
use crate::{Pages, http::Status};

/// Gives and takes a few bytes at a time, and lets others run in between.
struct Pipe<'p> {
    input: &'p [u8],
    piece: usize,
    output: Vec<u8>,
    writes: usize,
    finished: bool,
}

impl Pipe<'_> {
    /// As a socket that is not ready at first.
    async fn wait(&self) {
        let mut asked = false;
        poll_fn(|context| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl ErrorType for Pipe<'_> {
    type Error = Infallible;
}

impl Read for Pipe<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        assert!(!buffer.is_empty(), "nothing can be read into no room");
        self.wait().await;
        let len = self.piece.min(buffer.len()).min(self.input.len());
        let (here, rest) = self.input.split_at(len);
        buffer[..len].copy_from_slice(here);
        self.input = rest;
        Ok(len)
    }
}

impl Write for Pipe<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        assert!(!self.finished, "written behind the end");
        self.wait().await;
        self.writes += 1;
        let len = self.piece.min(bytes.len());
        self.output.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        panic!("flushing costs a round trip");
    }
}

impl Stream for Pipe<'_> {
    async fn finish(&mut self) -> Result<(), Infallible> {
        self.finished = true;
        Ok(())
    }
}

/// What a peer has seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) output: Vec<u8>,
    /// In how many writes.
    pub(crate) writes: usize,
    /// What of its own was never read.
    pub(crate) unread: usize,
    pub(crate) answered: Vec<Status>,
}

/// Says `input` and then its end, in pieces of this many bytes.
pub(crate) fn say(input: &[u8], piece: usize) -> Seen {
    let mut pipe = Pipe {
        input,
        piece,
        output: Vec::new(),
        writes: 0,
        finished: false,
    };
    let pages = Pages::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime of one thread");
    let Ok(()) = runtime.block_on(http::serve(&mut pipe, &pages));
    assert!(pipe.finished, "the end was not said");
    Seen {
        output: pipe.output,
        writes: pipe.writes,
        unread: pipe.input.len(),
        answered: pages.answered.into_inner(),
    }
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) code: u16,
    /// Name and value of each header but the content's type.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Takes an output apart; the answers to these requests (counted from 0) have no body.
#[track_caller]
pub(crate) fn answers(mut output: &[u8], headless: &[usize]) -> Vec<Answered> {
    let mut all = Vec::new();
    while !output.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut headers);
        let head = response.parse(output).expect("well-formed");
        let httparse::Status::Complete(head) = head else {
            panic!("cut off: {:?}", String::from_utf8_lossy(output));
        };
        let code = response.code.expect("parsed");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let headers = response.headers.iter();
        let headers = headers.map(|header| (header.name.to_owned(), text(header.value)));
        let mut headers: Vec<_> = headers.collect();
        headers.retain(|(name, _)| name != "Content-Type");
        let len = headers.iter().find(|(name, _)| name == "Content-Length");
        let len = len.expect("a length").1.parse().expect("a number");
        let len = if headless.contains(&all.len()) {
            0
        } else {
            len
        };
        let (body, rest) = output[head..].split_at_checked(len).expect("a whole body");
        output = rest;
        all.push(Answered {
            code,
            headers,
            body: body.to_vec(),
        });
    }
    all
}

/// The codes of an output without answers to HEAD.
#[track_caller]
pub(crate) fn codes(seen: &Seen) -> Vec<u16> {
    let answers = answers(&seen.output, &[]);
    answers.iter().map(|one| one.code).collect()
}
