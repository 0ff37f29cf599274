//! The head of a request, as far as it matters here.

use std::net::IpAddr;

use httparse::{EMPTY_HEADER, Error, Status};

use super::response::Code;

/// The largest head.
pub(super) const LARGEST: usize = 8 * 1024;
/// How many header fields there can be.
const FIELDS: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Without what is behind the question mark.
    pub(super) path: String,
    /// What is behind it.
    pub(super) query: String,
    /// Whether only the head of the answer is wanted.
    pub(super) head_only: bool,
    /// Whether another request may follow.
    pub(super) keep_alive: bool,
    /// How long the head was.
    pub(super) len: usize,
}

/// Reads a head; `None` if more of it is to come.
///
/// `guarded` says that the system vouches for the visitor. If not, it is asked which host it thinks it
/// talks to, which may have these `names`: a page from elsewhere whose name was made to lead here must not
/// read along.
pub(super) fn parse(
    bytes: &[u8],
    guarded: bool,
    names: &[Box<str>],
) -> Result<Option<Request>, Code> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let len = match request.parse(bytes) {
        Ok(Status::Complete(len)) if len <= LARGEST => len,
        Ok(Status::Partial) if bytes.len() < LARGEST => return Ok(None),
        Ok(_) | Err(Error::TooManyHeaders) => return Err(Code::HeadTooLarge),
        Err(Error::Version) => return Err(Code::VersionNotSupported),
        Err(_) => return Err(Code::BadRequest),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Code::BadRequest);
    };
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Code::MethodNotAllowed),
    };
    let mut keep_alive = version == 1;
    let mut host = None;
    for field in request.headers.iter() {
        let value = str::from_utf8(field.value).map_err(|_| Code::BadRequest)?;
        let is = |name| field.name.eq_ignore_ascii_case(name);
        if is("host") {
            if host.replace(value).is_some() {
                return Err(Code::BadRequest);
            }
        } else if is("connection") {
            let mut tokens = value.split(',').map(str::trim);
            keep_alive &= !tokens.any(|token| token.eq_ignore_ascii_case("close"));
        } else if is("transfer-encoding") || (is("content-length") && value.trim() != "0") {
            // Neither method has a body.
            return Err(Code::BadRequest);
        }
    }
    match host {
        // RFC 9112 section 3.2.
        None if version == 1 => return Err(Code::BadRequest),
        Some(host) if !guarded && !is_here(host, names) => return Err(Code::Misdirected),
        _ => {}
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Request {
        path: path.to_owned(),
        query: query.to_owned(),
        head_only,
        keep_alive,
        len,
    }))
}

/// Whether this is a way to name this host: one that nobody else's name server has a say in, or one of
/// its names.
fn is_here(host: &str, names: &[Box<str>]) -> bool {
    let host = host.trim();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    let mut names = names.iter().map(Box::as_ref).chain(["localhost"]);
    names.any(|known| name.eq_ignore_ascii_case(known)) || literal.parse::<IpAddr>().is_ok()
}

/// The value of a field of a query, `%` and `+` undone; cut off where it is longer than any that
/// makes sense.
pub(super) fn field(query: &str, name: &str) -> Option<String> {
    const LONGEST: usize = 64;
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    let (_, value) = fields.find(|(key, _)| *key == name)?;
    let mut bytes = value.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8
            }
            byte => byte,
        });
    }
    let decoded = String::from_utf8(decoded).ok()?;
    Some(decoded.trim().chars().take(LONGEST).collect())
}
