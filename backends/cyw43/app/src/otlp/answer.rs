//! An answer of HTTP/1.1 (RFC 9112), byte by byte: what an exporter wants to know of it, and where it
//! ends.

use core::str;
use core::time::Duration;

use heapless::Vec;

use super::date;

/// The longest line that is looked at; the rest of a longer one is skipped.
const LINE: usize = 96;
/// How much of a body is looked at.
const EXCERPT: usize = 160;
/// The longest head, and the longest body, that are read at all.
const HEAD_LIMIT: u32 = 8 << 10;
const BODY_LIMIT: u32 = 64 << 10;

/// It is no HTTP, or too much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What was heard so far.
pub(super) struct Answer {
    stage: Stage,
    line: Vec<u8, LINE>,
    head: Head,
    excerpt: Vec<u8, EXCERPT>,
    head_len: u32,
    body_len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Status,
    Fields,
    /// So many bytes of the body are left.
    Body(u64),
    UntilClose,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Done,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    keeps_alive: bool,
    length: Option<u64>,
    is_chunked: bool,
    date: Option<Duration>,
    retry: Option<Retry>,
}

#[derive(Clone, Copy, Debug)]
enum Retry {
    After(Duration),
    /// Since 1970, by the server's clock.
    At(Duration),
}

impl Head {
    const UNKNOWN: Self = Self {
        status: 0,
        keeps_alive: true,
        length: None,
        is_chunked: false,
        date: None,
        retry: None,
    };
}

impl Answer {
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Status,
            line: Vec::new(),
            head: Head::UNKNOWN,
            excerpt: Vec::new(),
            head_len: 0,
            body_len: 0,
        }
    }

    /// Nothing was heard at all.
    pub(super) const fn is_unheard(&self) -> bool {
        self.head_len == 0
    }

    /// The head is there: whatever comes of the rest, the server has decided.
    pub(super) const fn is_decided(&self) -> bool {
        !matches!(self.stage, Stage::Status | Stage::Fields)
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The status, once it is decided.
    pub(super) const fn status(&self) -> u16 {
        self.head.status
    }

    /// Another request may follow on the connection.
    pub(super) fn keeps_alive(&self) -> bool {
        self.head.keeps_alive && self.is_done()
    }

    /// The server's time, since 1970.
    pub(super) const fn date(&self) -> Option<Duration> {
        self.head.date
    }

    /// How long the server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self.head.retry? {
            Retry::After(wait) => Some(wait),
            Retry::At(time) => Some(time.saturating_sub(self.head.date?)),
        }
    }

    /// The beginning of the body, as far as it is text.
    pub(super) fn excerpt(&self) -> &str {
        let text = str::from_utf8(&self.excerpt);
        text.unwrap_or_else(|error| {
            str::from_utf8(&self.excerpt[..error.valid_up_to()]).unwrap_or("")
        })
    }

    /// How many records the server did not want of those it took: `rejectedLogRecords`,
    /// `rejectedDataPoints` or `rejectedSpans` of a partial success.
    pub(super) fn rejected(&self) -> u64 {
        let find = || {
            let (_, rest) = self.excerpt().split_once("\"rejected")?;
            let (_, value) = rest.split_once("\":")?;
            let value = value.trim_start().trim_start_matches('"');
            let end = value.find(|c: char| !c.is_ascii_digit());
            value[..end.unwrap_or(value.len())].parse().ok()
        };
        find().unwrap_or(0)
    }

    /// Hears these bytes, and no more than belong to the answer. How many that were.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.is_done() {
                return Ok(index);
            }
            self.byte(byte)?;
        }
        Ok(bytes.len())
    }

    /// The server has closed the connection, which may be how it says that the answer is over.
    pub(super) fn hear_end(&mut self) {
        self.head.keeps_alive = false;
        if self.stage == Stage::UntilClose {
            self.stage = Stage::Done;
        }
    }

    fn byte(&mut self, byte: u8) -> Result<(), Malformed> {
        match self.stage {
            Stage::Status | Stage::Fields | Stage::Trailers => {
                self.head_len = bounded(self.head_len, HEAD_LIMIT)?;
                self.line_byte(byte)
            }
            Stage::ChunkSize | Stage::ChunkEnd => {
                self.body_len = bounded(self.body_len, BODY_LIMIT)?;
                self.line_byte(byte)
            }
            Stage::Body(left) => {
                self.body_byte(byte)?;
                self.stage = match left {
                    0 | 1 => Stage::Done,
                    _ => Stage::Body(left - 1),
                };
                Ok(())
            }
            Stage::Chunk(left) => {
                self.body_byte(byte)?;
                self.stage = match left {
                    0 | 1 => Stage::ChunkEnd,
                    _ => Stage::Chunk(left - 1),
                };
                Ok(())
            }
            Stage::UntilClose => self.body_byte(byte),
            Stage::Done => Ok(()),
        }
    }

    fn body_byte(&mut self, byte: u8) -> Result<(), Malformed> {
        self.body_len = bounded(self.body_len, BODY_LIMIT)?;
        // What does not fit is not looked at.
        let _ = self.excerpt.push(byte);
        Ok(())
    }

    fn line_byte(&mut self, byte: u8) -> Result<(), Malformed> {
        if byte != b'\n' {
            // What does not fit is not looked at.
            let _ = self.line.push(byte);
            return Ok(());
        }
        let line = core::mem::take(&mut self.line);
        let line = str::from_utf8(&line).unwrap_or("?").trim_end();
        self.stage = match self.stage {
            Stage::Status => self.status_line(line)?,
            Stage::Fields if line.is_empty() => self.body()?,
            Stage::Fields => {
                self.field(line)?;
                Stage::Fields
            }
            Stage::ChunkSize => chunk_size(line)?,
            Stage::ChunkEnd if line.is_empty() => Stage::ChunkSize,
            Stage::ChunkEnd => return Err(Malformed),
            Stage::Trailers if line.is_empty() => Stage::Done,
            Stage::Trailers => Stage::Trailers,
            stage @ (Stage::Body(_) | Stage::Chunk(_) | Stage::Done | Stage::UntilClose) => stage,
        };
        Ok(())
    }

    fn status_line(&mut self, line: &str) -> Result<Stage, Malformed> {
        let rest = line.strip_prefix("HTTP/1.").ok_or(Malformed)?;
        let (minor, rest) = rest.split_once(' ').ok_or(Malformed)?;
        let code = rest.get(..3).ok_or(Malformed)?;
        if !code.bytes().all(|byte| byte.is_ascii_digit()) || rest.as_bytes().get(3) > Some(&b' ') {
            return Err(Malformed);
        }
        self.head = Head {
            status: code.parse().map_err(|_| Malformed)?,
            keeps_alive: minor != "0",
            ..Head::UNKNOWN
        };
        match self.head.status {
            100..=599 => Ok(Stage::Fields),
            _ => Err(Malformed),
        }
    }

    fn field(&mut self, line: &str) -> Result<(), Malformed> {
        let (name, value) = line.split_once(':').ok_or(Malformed)?;
        let (value, head) = (value.trim(), &mut self.head);
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().map_err(|_| Malformed)?;
            if head.length.is_some_and(|before| before != length) {
                return Err(Malformed);
            }
            head.length = Some(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(Malformed);
            }
            head.is_chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            if value.eq_ignore_ascii_case("close") {
                head.keeps_alive = false;
            }
        } else if name.eq_ignore_ascii_case("date") {
            head.date = date::parse(value);
        } else if name.eq_ignore_ascii_case("retry-after") {
            head.retry = match value.parse() {
                Ok(secs) => Some(Retry::After(Duration::from_secs(secs))),
                Err(_) => date::parse(value).map(Retry::At),
            };
        }
        Ok(())
    }

    /// RFC 9112, section 6.3: which body follows this head.
    fn body(&mut self) -> Result<Stage, Malformed> {
        let Head {
            status,
            length,
            is_chunked,
            ..
        } = self.head;
        Ok(match (status, length) {
            // Nobody has asked for another protocol.
            (101, _) => return Err(Malformed),
            (100..=199, _) => Stage::Status,
            (204 | 304, _) => Stage::Done,
            (_, Some(_)) if is_chunked => return Err(Malformed),
            (_, None) if is_chunked => Stage::ChunkSize,
            (_, Some(0)) => Stage::Done,
            (_, Some(length)) => Stage::Body(length),
            (_, None) => Stage::UntilClose,
        })
    }
}

fn chunk_size(line: &str) -> Result<Stage, Malformed> {
    let digits = line.split(';').next().unwrap_or("").trim();
    if digits.starts_with('+') {
        return Err(Malformed);
    }
    match u64::from_str_radix(digits, 16) {
        Ok(0) => Ok(Stage::Trailers),
        Ok(size) => Ok(Stage::Chunk(size)),
        Err(_) => Err(Malformed),
    }
}

fn bounded(len: u32, limit: u32) -> Result<u32, Malformed> {
    if len == limit {
        return Err(Malformed);
    }
    Ok(len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn heard(bytes: &[u8]) -> Answer {
        let mut answer = Answer::new();
        for (index, byte) in bytes.iter().enumerate() {
            assert!(!answer.is_done(), "over before byte {index}");
            assert_eq!(answer.hear(&[*byte]), Ok(1));
        }
        answer
    }

    fn is_malformed(bytes: &[u8]) -> bool {
        Answer::new().hear(bytes).is_err()
    }

    #[test]
    fn an_answer_ends_where_its_length_says_whatever_comes_behind() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 500 No\r\n\r\n";
        let mut answer = Answer::new();
        assert_eq!(answer.hear(text), Ok(40));
        assert!(answer.is_done() && answer.keeps_alive());
        assert_eq!((answer.status(), answer.excerpt()), (200, "{}"));
    }

    #[test]
    fn a_chunked_answer_ends_with_its_trailers() {
        let answer = heard(
            b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nbad\r\n0A\r\n 0123456 !\r\n0\r\nx: y\r\n\r\n",
        );
        assert!(answer.is_done() && answer.keeps_alive());
        assert_eq!(answer.excerpt(), "bad 0123456 !");
    }

    #[test]
    fn without_a_length_it_ends_with_the_connection() {
        let mut answer = heard(b"HTTP/1.0 200 OK\r\n\r\nhello");
        assert!(answer.is_decided() && !answer.is_done());
        answer.hear_end();
        assert!(answer.is_done() && !answer.keeps_alive());
    }

    #[test]
    fn interim_answers_decide_nothing() {
        let answer = heard(b"HTTP/1.1 100 Continue\r\n\r\n");
        assert!(!answer.is_decided());
        let answer = heard(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n");
        assert!(answer.is_done() && answer.status() == 204);
    }

    #[test]
    fn when_to_come_again_is_told_in_seconds_or_as_a_time() {
        let answer = heard(b"HTTP/1.1 429 Slow\r\nRetry-After: 120\r\n\r\n");
        assert_eq!(answer.retry_after(), Some(Duration::from_secs(120)));
        let answer = heard(
            b"HTTP/1.1 503 No\r\nRetry-After: Sun, 06 Nov 1994 08:50:00 GMT\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        );
        assert_eq!(answer.retry_after(), Some(Duration::from_secs(23)));
    }

    #[test]
    fn what_was_rejected_is_found_as_a_number_and_as_a_text() {
        for (body, rejected) in [
            (r#"{"partialSuccess":null}"#, 0),
            (r#"{"partialSuccess":{"rejectedLogRecords":"3"}}"#, 3),
            (r#"{"partialSuccess": {"rejectedSpans": 12}}"#, 12),
            (r#"{"partialSuccess":{"rejectedDataPoints":""}}"#, 0),
            (r#"{"partialSuccess":{"rejected"#, 0),
        ] {
            let head = "HTTP/1.1 200 OK\r\n\r\n";
            let answer = heard(std::format!("{head}{body}").as_bytes());
            assert_eq!(answer.rejected(), rejected, "{body}");
        }
    }

    #[test]
    fn what_is_no_http_is_told_at_once() {
        for text in [
            "220 mail.example ESMTP\r\n",
            "HTTP/2 200 OK\r\n",
            "HTTP/1.1 2000 OK\r\n",
            "HTTP/1.1 999 OK\r\n",
            "HTTP/1.1 200\r\nnothing\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
        ] {
            assert!(is_malformed(text.as_bytes()), "{text:?}");
        }
        assert!(!is_malformed(b"HTTP/1.1 200\r\n"));
    }

    #[test]
    fn heads_and_bodies_without_end_are_no_answers() {
        let endless = [b'x'; 1 << 17];
        assert!(is_malformed(&endless));
        let mut answer = heard(b"HTTP/1.1 200 OK\r\n\r\n");
        assert!(answer.hear(&endless).is_err());
        assert!(answer.is_decided());
    }
}
