//! The head of a request, as far as we care for it: RFC 9112.

use httparse::{EMPTY_HEADER, Error, Header};

use super::{Connection, MAX_BODY, Status};

/// As many headers as a request may have.
const MAX_HEADERS: usize = 64;

/// A request without its body.
#[derive(Debug)]
pub(super) struct Head<'b> {
    pub(super) method: Method,
    /// Without what follows a question mark.
    pub(super) path: &'b str,
    pub(super) connection: Connection,
    /// The length of the body.
    pub(super) body: u64,
    /// Whether the peer waits for a word before it sends the body.
    pub(super) waits: bool,
    /// How many bytes it took.
    pub(super) len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Other,
}

/// The head at the beginning of `bytes`; `None` if it has no end yet. What it is refused with, if nothing
/// can be understood that follows it.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head<'_>>, Status> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        Err(Error::Version) => return Err(Status::VersionNotSupported),
        Err(_) => return Err(Status::BadRequest),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Status::BadRequest);
    };
    let headers = Headers(request.headers);
    // Section 3.2.
    let hosts = headers.named("Host").count();
    if hosts > 1 || (hosts == 0 && minor > 0) {
        return Err(Status::BadRequest);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    Ok(Some(Head {
        method,
        path: path(target),
        connection: headers.connection(minor),
        body: headers.body()?,
        waits: headers.has("Expect", "100-continue"),
        len,
    }))
}

/// The path of a target, which is whole or without its scheme and host (sections 3.2.1 and 3.2.2).
fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    };
    path.split_once('?').map_or(path, |(path, _query)| path)
}

struct Headers<'h, 'b>(&'h [Header<'b>]);

impl<'b> Headers<'_, 'b> {
    fn named(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let named = move |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|header| header.value)
    }

    /// Whether a header that is a list has this word in it.
    fn has(&self, name: &str, word: &str) -> bool {
        self.named(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Section 9.3.
    fn connection(&self, minor: u8) -> Connection {
        if self.has("Connection", "close") {
            Connection::Close
        } else if minor > 0 {
            Connection::Stays
        } else if self.has("Connection", "keep-alive") {
            Connection::StaysIfSaid
        } else {
            Connection::Close
        }
    }

    /// The length of the body, section 6.3. What could be taken for one length or for another is
    /// refused, or somebody between the peer and us may see other requests than we do.
    fn body(&self) -> Result<u64, Status> {
        let mut lengths = self.named("Content-Length");
        let length = lengths.next().map(length).transpose()?;
        if lengths.next().is_some() {
            return Err(Status::BadRequest);
        }
        if self.named("Transfer-Encoding").next().is_some() {
            let chunked = self.has("Transfer-Encoding", "chunked");
            return Err(match (length, chunked) {
                (Some(_), _) => Status::BadRequest,
                (None, true) => Status::LengthRequired,
                (None, false) => Status::NotImplemented,
            });
        }
        match length {
            Some(length) if length > MAX_BODY => Err(Status::ContentTooLarge),
            Some(length) => Ok(length),
            None => Ok(0),
        }
    }
}

/// Digits and nothing else.
fn length(value: &[u8]) -> Result<u64, Status> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Status::BadRequest);
    }
    // Longer than 64 bits can say is longer than we read.
    let digit = |sum: u64, byte: &u8| sum.saturating_mul(10).saturating_add((byte - b'0').into());
    Ok(value.iter().fold(0, digit))
}
