//! A collector that takes every chunk and every byte seriously, and fails as it is told.

use core::cell::RefCell;
use core::num::NonZeroU16;
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use serde_json::Value;
use whohas::Instant;
use whohas::link::IpLink;
use whohas::net::{Connection, Net, TcpError};
use whohas::time::Timer;

use crate::KEEP_ALIVE;
use crate::news::News;

/// How long it takes to close a connection whose request it has not read.
const UNREAD: Duration = Duration::from_secs(15);

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Manner {
    /// This, at once.
    Answer(String),
    /// This, a byte at a time with so much between them.
    Slowly(String, u64),
    /// This, and the connection is closed.
    AndClose(String),
    /// This, when the head is there; the body is not read.
    Unread(String),
    /// The connection is reset before the end of the request.
    Reset,
    /// Nothing, for ever.
    Silence,
}

impl Manner {
    /// It is taken.
    pub fn ok() -> Self {
        Self::status("200 OK")
    }

    /// This status.
    pub fn status(status: &str) -> Self {
        Self::with(status, "", r#"{"partialSuccess":null}"#)
    }

    /// This status, with these fields of the head and this body.
    pub fn with(status: &str, fields: &str, body: &str) -> Self {
        Self::Answer(answer(status, fields, body))
    }
}

/// A whole answer.
pub fn answer(status: &str, fields: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n{fields}\r\n{body}")
}

/// A request that came as a whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its end was there.
    pub at: Instant,
    /// The how many-th connection it came on.
    pub connection: usize,
    /// Which signal.
    pub path: String,
    /// What is in it.
    pub body: Value,
    /// The same as it came.
    pub text: String,
    /// How its body came.
    pub chunks: usize,
    /// It is told that this was taken.
    pub is_taken: bool,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    connections: usize,
    next: VecDeque<Manner>,
    usual: Option<Manner>,
    is_down: bool,
    chokes_on: Option<&'static str>,
}

/// A collector for one exporter. Clones are the same.
#[derive(Clone, Default)]
pub struct Collector(Rc<Shared>);

#[derive(Default)]
struct Shared {
    state: RefCell<State>,
    news: News,
}

impl Collector {
    /// Listens here for ever: for a task of its own.
    ///
    /// # Panics
    ///
    /// If somebody listens there, or a request is not one of ours.
    pub async fn run<L: IpLink>(self, net: &Net<'static, L>, port: NonZeroU16, timer: impl Timer) {
        loop {
            self.until_down(false).await;
            let mut listener = net.listen(port, 2).expect("nobody else listens there");
            while let Either::First((mut connection, _)) =
                select(listener.accept(), self.until_down(true)).await
            {
                connection.set_keep_alive(Some(KEEP_ALIVE));
                self.0.state.borrow_mut().connections += 1;
                let served = self.serve(&mut connection, &timer).await;
                if served == Err(TcpError::Reset) {
                    connection.abort();
                }
            }
        }
    }

    /// What becomes of the requests that come next; all others are taken.
    pub fn next(&self, manners: impl IntoIterator<Item = Manner>) {
        self.0.state.borrow_mut().next.extend(manners);
    }

    /// What becomes of all others, if not that.
    pub fn usually(&self, manner: Option<Manner>) {
        self.0.state.borrow_mut().usual = manner;
    }

    /// It has an error of its own on every request to this path.
    pub fn choke_on(&self, path: &'static str) {
        self.0.state.borrow_mut().chokes_on = Some(path);
    }

    /// It does not listen, and closes what it has; or it listens again.
    pub fn set_down(&self, is_down: bool) {
        self.0.state.borrow_mut().is_down = is_down;
        self.0.news.tell();
    }

    /// What was heard so far.
    pub fn requests(&self) -> Vec<Request> {
        self.0.state.borrow().requests.clone()
    }

    /// What was heard since it was last asked so.
    pub fn take_requests(&self) -> Vec<Request> {
        core::mem::take(&mut self.0.state.borrow_mut().requests)
    }

    /// The numbers that the logs say which it has taken.
    pub fn taken(&self) -> Vec<u32> {
        let mut requests = self.requests();
        requests.retain(|request| request.is_taken);
        let numbers = texts(&requests).into_iter();
        numbers
            .map(|text| text.parse().expect("a number"))
            .collect()
    }

    /// How often somebody has come.
    pub fn connections(&self) -> usize {
        self.0.state.borrow().connections
    }

    async fn until_down(&self, is_down: bool) {
        let look = || (self.0.state.borrow().is_down == is_down).then_some(());
        self.0.news.until(look).await;
    }

    async fn serve<L: IpLink>(
        &self,
        connection: &mut Connection<'_, 'static, L>,
        timer: &impl Timer,
    ) -> Result<(), TcpError> {
        let mut input = Input::default();
        loop {
            let head = input.line_until(connection, b"\r\n\r\n");
            let Either::First(head) = select(head, self.until_down(true)).await else {
                return Ok(());
            };
            let Some(head) = head? else {
                return Ok(());
            };
            let manner = {
                let mut state = self.0.state.borrow_mut();
                let path = head.split(' ').nth(1);
                if state.chokes_on.is_some() && path == state.chokes_on {
                    state.next.push_front(Manner::status("500 Oops"));
                }
                let next = state.next.pop_front();
                next.or_else(|| state.usual.clone())
                    .unwrap_or_else(Manner::ok)
            };
            if let Manner::Reset = manner {
                return Err(TcpError::Reset);
            }
            if let Manner::Unread(answer) = manner {
                connection.write_all(answer.as_bytes()).await?;
                timer.wait_until(timer.now() + UNREAD).await;
                return Ok(());
            }
            let (path, chunks, text) = input.request(connection, &head).await?;
            let body = serde_json::from_str(&text).unwrap_or_else(|error| {
                panic!("the body is no JSON: {error}: {text}");
            });
            {
                let mut state = self.0.state.borrow_mut();
                let request = Request {
                    at: timer.now(),
                    connection: state.connections,
                    path,
                    body,
                    text,
                    chunks,
                    is_taken: match &manner {
                        Manner::Answer(answer)
                        | Manner::Slowly(answer, _)
                        | Manner::AndClose(answer) => answer.starts_with("HTTP/1.1 2"),
                        Manner::Reset | Manner::Silence | Manner::Unread(_) => false,
                    },
                };
                state.requests.push(request);
            }
            match manner {
                Manner::Answer(answer) => connection.write_all(answer.as_bytes()).await?,
                Manner::Slowly(answer, pause) => {
                    for byte in answer.bytes() {
                        timer
                            .wait_until(timer.now() + Duration::from_micros(pause))
                            .await;
                        connection.write_all(&[byte]).await?;
                        connection.flush().await?;
                    }
                }
                Manner::AndClose(answer) => {
                    connection.write_all(answer.as_bytes()).await?;
                    return Ok(());
                }
                Manner::Silence => {
                    // Until the exporter has enough of it.
                    input.line_until(connection, b"never").await?;
                    return Ok(());
                }
                Manner::Reset | Manner::Unread(_) => {}
            }
        }
    }
}

/// What was read and not looked at.
#[derive(Default)]
struct Input(Vec<u8>);

impl Input {
    /// Up to and including this; `None` if the peer has closed before.
    async fn line_until(
        &mut self,
        connection: &mut impl Read<Error = TcpError>,
        end: &[u8],
    ) -> Result<Option<String>, TcpError> {
        loop {
            if let Some(at) = self.0.windows(end.len()).position(|bytes| bytes == end) {
                let line = self.0.drain(..at + end.len()).collect::<Vec<_>>();
                return Ok(Some(String::from_utf8(line).expect("a head is text")));
            }
            if !self.more(connection).await? {
                return Ok(None);
            }
        }
    }

    async fn more(
        &mut self,
        connection: &mut impl Read<Error = TcpError>,
    ) -> Result<bool, TcpError> {
        let mut buffer = [0; 100];
        let len = connection.read(&mut buffer).await?;
        self.0.extend_from_slice(&buffer[..len]);
        Ok(len > 0)
    }

    /// The path, how many chunks the body had, and the body.
    async fn request(
        &mut self,
        connection: &mut impl Read<Error = TcpError>,
        head: &str,
    ) -> Result<(String, usize, String), TcpError> {
        let path = head.strip_prefix("POST ").expect("a post");
        let (path, rest) = path.split_once(' ').expect("a version");
        assert!(
            rest.starts_with("HTTP/1.1\r\nHost: 10.0.0.2:4318\r\n"),
            "{head}"
        );
        assert!(rest.contains("Content-Type: application/json\r\n"));
        assert!(rest.contains("Transfer-Encoding: chunked\r\n"));
        let (mut chunks, mut body) = (0, Vec::new());
        loop {
            let line = self.line_until(connection, b"\r\n").await?;
            let Some(line) = line else {
                return Err(TcpError::Closed);
            };
            let len = usize::from_str_radix(line.trim_end(), 16).expect("a length");
            while self.0.len() < len + 2 {
                if !self.more(connection).await? {
                    return Err(TcpError::Closed);
                }
            }
            body.extend(self.0.drain(..len));
            assert!(self.0.drain(..2).eq(*b"\r\n"));
            if len == 0 {
                let body = String::from_utf8(body).expect("JSON is text");
                return Ok((path.to_owned(), chunks, body));
            }
            chunks += 1;
        }
    }
}

/// The records in a body, whatever they are.
pub fn records(body: &Value) -> Vec<Value> {
    const NAMES: [[&str; 3]; 3] = [
        ["resourceLogs", "scopeLogs", "logRecords"],
        ["resourceMetrics", "scopeMetrics", "metrics"],
        ["resourceSpans", "scopeSpans", "spans"],
    ];
    let [resources, scopes, records] = NAMES
        .into_iter()
        .find(|[resources, ..]| body.get(resources).is_some())
        .expect("a signal");
    let only = |value: &Value, name: &str| {
        let array = value[name].as_array().expect("an array").clone();
        assert_eq!(array.len(), 1);
        array[0].clone()
    };
    let scope = only(&only(body, resources), scopes);
    scope[records].as_array().expect("an array").clone()
}

/// What the logs of these requests say.
pub fn texts(requests: &[Request]) -> Vec<String> {
    let logs = requests.iter().filter(|request| request.path == "/v1/logs");
    let records = logs.flat_map(|request| records(&request.body));
    let text = |record: Value| record["body"]["stringValue"].as_str().map(str::to_owned);
    records
        .map(|record| text(record).expect("a text"))
        .collect()
}
