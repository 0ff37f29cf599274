//! A collector that takes every chunk and every byte seriously, and fails as it is told.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use embedded_io_async::{Read, Write};
use serde_json::Value;
use whohas::Instant;
use whohas::net::{Connection, TcpError};
use whohas::sim::LanClock;
use whohas::time::{Clock, Timer};

use crate::lab::{Lab, OTLP, Wire, micros, port, secs};

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
    pub fn ok() -> Self {
        Self::status("200 OK")
    }

    pub fn status(status: &str) -> Self {
        Self::with(status, "", r#"{"partialSuccess":null}"#)
    }

    pub fn with(status: &str, fields: &str, body: &str) -> Self {
        Self::Answer(answer(status, fields, body))
    }
}

pub fn answer(status: &str, fields: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n{fields}\r\n{body}")
}

#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub connection: usize,
    pub path: String,
    pub body: Value,
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

/// Clones are the same.
#[derive(Clone, Default)]
pub struct Collector(Rc<RefCell<State>>);

impl Collector {
    pub fn start(lab: &Lab) -> Self {
        let this = Self::default();
        let (served, net, clock) = (this.clone(), lab.server, lab.clock());
        lab.spawn(async move {
            loop {
                while served.0.borrow().is_down {
                    clock.wait_until(clock.now() + secs(1)).await;
                }
                let mut listener = net.listen(port(OTLP), 2).unwrap();
                while !served.0.borrow().is_down {
                    let accepted = listener.accept();
                    let later = clock.wait_until(clock.now() + secs(1));
                    let either = embassy_futures::select::select(accepted, later).await;
                    let embassy_futures::select::Either::First((mut connection, _)) = either else {
                        continue;
                    };
                    served.0.borrow_mut().connections += 1;
                    let served = served.serve(&mut connection, &clock).await;
                    if served == Err(TcpError::Reset) {
                        connection.abort();
                    }
                }
            }
        });
        this
    }

    /// What becomes of the requests that come next; all others are taken.
    pub fn next(&self, manners: impl IntoIterator<Item = Manner>) {
        self.0.borrow_mut().next.extend(manners);
    }

    /// What becomes of all others, if not that.
    pub fn usually(&self, manner: Option<Manner>) {
        self.0.borrow_mut().usual = manner;
    }

    /// It has an error of its own on every request to this path.
    pub fn choke_on(&self, path: &'static str) {
        self.0.borrow_mut().chokes_on = Some(path);
    }

    /// It does not listen, and closes what it has; or it listens again.
    pub fn set_down(&self, is_down: bool) {
        self.0.borrow_mut().is_down = is_down;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// The numbers that the logs say which it has taken.
    pub fn taken(&self) -> Vec<u32> {
        let mut requests = self.requests();
        requests.retain(|request| request.is_taken);
        let numbers = texts(&requests).into_iter();
        numbers.map(|text| text.parse().unwrap()).collect()
    }

    pub fn connections(&self) -> usize {
        self.0.borrow().connections
    }

    async fn serve(
        &self,
        connection: &mut Connection<'static, 'static, Wire>,
        clock: &LanClock,
    ) -> Result<(), TcpError> {
        let mut input = Input::default();
        loop {
            let head = {
                let head = input.line_until(connection, b"\r\n\r\n");
                let is_down = async {
                    while !self.0.borrow().is_down {
                        clock.wait_until(clock.now() + secs(1)).await;
                    }
                };
                match embassy_futures::select::select(head, is_down).await {
                    embassy_futures::select::Either::First(head) => head?,
                    embassy_futures::select::Either::Second(()) => return Ok(()),
                }
            };
            let Some(head) = head else {
                return Ok(());
            };
            let manner = {
                let mut state = self.0.borrow_mut();
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
                clock.wait_until(clock.now() + secs(15)).await;
                return Ok(());
            }
            let (path, chunks, text) = input.request(connection, &head).await?;
            let body = serde_json::from_str(&text).unwrap_or_else(|error| {
                panic!("the body is no JSON: {error}: {text}");
            });
            {
                let mut state = self.0.borrow_mut();
                let request = Request {
                    at: clock.now(),
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
                        clock.wait_until(clock.now() + micros(pause)).await;
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
