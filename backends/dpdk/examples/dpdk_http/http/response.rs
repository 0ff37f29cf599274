//! The head of an answer, and what is said where there is nothing to answer with.

use std::io::Write;

use super::{Answer, Body, Connection};

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    LengthRequired,
    ContentTooLarge,
    HeadTooLarge,
    NotImplemented,
    VersionNotSupported,
}

impl Status {
    /// The code and its name, as a line of text.
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK\n",
            Self::BadRequest => "400 Bad Request\n",
            Self::NotFound => "404 Not Found\n",
            Self::MethodNotAllowed => "405 Method Not Allowed\n",
            Self::LengthRequired => "411 Length Required\n",
            Self::ContentTooLarge => "413 Content Too Large\n",
            Self::HeadTooLarge => "431 Request Header Fields Too Large\n",
            Self::NotImplemented => "501 Not Implemented\n",
            Self::VersionNotSupported => "505 HTTP Version Not Supported\n",
        }
    }

    /// For people.
    pub(super) const fn explanation(self) -> Answer {
        Answer {
            kind: "text/plain",
            body: Body::Fixed(self.line().as_bytes()),
        }
    }
}

/// Appends the head of an answer.
pub(super) fn head(
    output: &mut Vec<u8>,
    status: Status,
    kind: &str,
    len: u64,
    connection: Connection,
) {
    let line = status.line().trim_ascii_end();
    let allowed = match status {
        Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let connection = match connection {
        Connection::Stays => "",
        Connection::StaysIfSaid => "Connection: keep-alive\r\n",
        Connection::Close => "Connection: close\r\n",
    };
    // Cannot fail: a vector has room.
    let _ = write!(
        output,
        "HTTP/1.1 {line}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n{allowed}{connection}\r\n"
    );
}
