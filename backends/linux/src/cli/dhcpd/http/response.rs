//! Answers as bytes.

use std::fmt::Write;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    Misdirected,
    HeadTooLarge,
    Unavailable,
    VersionNotSupported,
}

impl Code {
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Misdirected => 421,
            Self::HeadTooLarge => 431,
            Self::Unavailable => 503,
            Self::VersionNotSupported => 505,
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::Misdirected => "Misdirected Request",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::Unavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// What somebody reads who did not expect it.
    const fn explanation(self) -> &'static str {
        match self {
            Self::Ok | Self::Unavailable => "",
            Self::BadRequest => "This is not a request that is understood here.\n",
            Self::NotFound => "There are /, /metrics and /healthz.\n",
            Self::MethodNotAllowed => "Only GET and HEAD: nothing can be changed from here.\n",
            Self::Misdirected => {
                "Use the address, such as 127.0.0.1, or localhost, or one of `names` in [http]: others may be \
                 anybody's.\n"
            }
            Self::HeadTooLarge => "A request has at most 8 KiB and 64 header fields.\n",
            Self::VersionNotSupported => "HTTP/1.0 and HTTP/1.1 are spoken here.\n",
        }
    }
}

/// An answer.
pub(super) struct Response {
    pub(super) code: Code,
    pub(super) kind: &'static str,
    /// What a browser may do with it; without one, nothing.
    pub(super) policy: Option<String>,
    pub(super) body: String,
}

impl Response {
    pub(super) fn text(code: Code, body: impl Into<String>) -> Self {
        Self {
            code,
            kind: "text/plain; charset=utf-8",
            policy: None,
            body: body.into(),
        }
    }

    pub(super) fn error(code: Code) -> Self {
        Self::text(code, code.explanation())
    }

    /// As it goes over the wire.
    pub(super) fn write(&self, output: &mut Vec<u8>, head_only: bool, keep_alive: bool) {
        let Self {
            code,
            kind,
            policy,
            body,
        } = self;
        let mut head = String::new();
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\n\
             Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\
             Cache-Control: no-store\r\n\
             Content-Security-Policy: {}\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n\
             Referrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\n",
            code.number(),
            code.phrase(),
            body.len(),
            policy.as_deref().unwrap_or("default-src 'none'"),
        );
        if *code == Code::MethodNotAllowed {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        output.extend_from_slice(head.as_bytes());
        if !head_only {
            output.extend_from_slice(body.as_bytes());
        }
    }
}
