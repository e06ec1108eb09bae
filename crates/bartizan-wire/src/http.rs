//! The head of an HTTP/1 request: which host and which path a client wants; `response.rs` reads that of a response.
//!
//! Reads RFC 9112 §3: the request line, and of the header fields the first `Host` only. An absolute target
//! wins over the field (§3.2.2). Lines may end without CR (§2.2), and a blank line or two may come first.
//!
//! # What it does not do
//! - Insist: header fields that are not well-formed are passed over, because servers do that too, and the
//!   name counts all the same.
//! - Read HTTP/2 over plain TCP: its preface (RFC 9113 §3.4) is recognized, but the host lies compressed
//!   behind it, and no browser speaks it. [`HttpRequest::is_http2`] says so, and there is no host.
//! - Skip the body: [`HttpRequest::head_len`] says where it begins.
//!
//! # Invariants
//! - Nothing is allocated; what is returned borrows. Work is linear in the input.

mod response;

use std::net::IpAddr;

use bartizan_model::DomainName;

use crate::reading::{MAX_HELLO_LEN, Reading};

pub use response::{ResponseHead, read_response};

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    method: &'a str,
    target: &'a str,
    authority: Option<&'a str>,
    head: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    /// Returns the method as it is spelled; `PRI` for HTTP/2.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// Returns the target as it is spelled: a path with its query, a whole URL, `host:port` of a CONNECT,
    /// or `*` (RFC 9112 §3.2). It ends before the first octet that is not UTF-8: servers take such targets.
    #[must_use]
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// Returns path and query of the target; `/` where a whole URL has none, and `None` for CONNECT and `*`.
    #[must_use]
    pub fn path(&self) -> Option<&'a str> {
        match absolute(self.target) {
            Some((_, "")) => Some("/"),
            Some((_, path)) => Some(path),
            None => Some(self.target).filter(|target| target.starts_with('/')),
        }
    }

    /// Returns the host with the port as it is spelled, without user information.
    #[must_use]
    pub fn authority(&self) -> Option<&'a str> {
        self.authority
    }

    /// Returns the host as it is spelled, without the port and without the brackets of IPv6; `None` if the
    /// request names none.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.authority.map(without_port).filter(|host| !host.is_empty())
    }

    /// Returns the host if it is a name and not an address.
    #[must_use]
    pub fn host_name(&self) -> Option<DomainName> {
        self.host()
            .filter(|host| host.parse::<IpAddr>().is_err())
            .and_then(|host| DomainName::parse(host.as_bytes()).ok())
    }

    /// Returns the host if it is an address.
    #[must_use]
    pub fn host_address(&self) -> Option<IpAddr> {
        self.host()?.parse().ok()
    }

    /// Tells whether it is the preface of HTTP/2, which has no host that could be read.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.method == "PRI"
    }

    /// Tells whether it asks a proxy for a tunnel, in which another protocol follows.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.method == "CONNECT"
    }

    /// Yields the values of the header fields of this name, which is compared without case.
    pub fn fields(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        fields(self.head).filter_map(move |(field, value)| {
            field.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    }

    /// Returns how many octets the head takes, with the blank lines before and behind it.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.head.len()
    }
}

/// Reads the head of the request at the beginning of what a client sends.
#[must_use]
pub fn read_request(stream: &[u8]) -> Reading<HttpRequest<'_>> {
    let stream = stream.get(..MAX_HELLO_LEN).unwrap_or(stream);
    let blank = stream.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
    let (Some(rest), true) = (stream.get(blank..), blank <= MAX_BLANK) else { return Reading::Not };
    let line = match rest.split(|octet| *octet == b'\n').next() {
        Some(line) if line.len() < rest.len() => line,
        // A line that is not ended: what is no method, or too long for a request, need not be waited for.
        Some(_) if may_be_request_line(rest) && stream.len() < MAX_HELLO_LEN => {
            return Reading::More;
        }
        Some(_) | None => return Reading::Not,
    };
    let Some((method, octets)) = request_line(line) else { return Reading::Not };
    let target = utf8_prefix(octets);
    let Some(head) = head(stream, blank + line.len()) else {
        return if stream.len() < MAX_HELLO_LEN { Reading::More } else { Reading::Not };
    };
    let mut request = HttpRequest { method, target, authority: None, head };
    let is_cut = target.len() < octets.len();
    let authority = match absolute(target) {
        // A part of a name is another name.
        Some((_, "")) if is_cut => None,
        Some((authority, _)) => Some(authority),
        None if request.is_connect() => Some(target).filter(|_| !is_cut),
        None => request.fields("Host").next().and_then(|value| std::str::from_utf8(value).ok()),
    };
    request.authority = authority.map(without_user).filter(|authority| !authority.is_empty());
    Reading::Done(request)
}

/// Returns the octets up to the blank line that ends a head, whose request line ends at `line_end`.
fn head(stream: &[u8], line_end: usize) -> Option<&[u8]> {
    let mut end = line_end + 1;
    loop {
        let rest = stream.get(end..)?;
        let len = rest.iter().position(|octet| *octet == b'\n')?;
        end += len + 1;
        if matches!(rest.get(..len), Some([] | [b'\r'])) {
            return stream.get(..end);
        }
    }
}

/// Yields names and values of the header fields of a head.
fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|octet| *octet == b'\n')
        .skip_while(|line| line.trim_ascii().is_empty())
        .skip(1)
        .filter_map(|line| {
            let colon = line.iter().position(|octet| *octet == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((name.trim_ascii_end(), value.strip_prefix(b":")?.trim_ascii()))
        })
}

/// Reads method and target of a whole line.
fn request_line(line: &[u8]) -> Option<(&str, &[u8])> {
    let line = line.trim_ascii_end();
    let (method, rest) = line.split_at_checked(line.iter().position(|octet| *octet == b' ')?)?;
    let (target, version) =
        rest.split_at_checked(rest.iter().rposition(|octet| *octet == b' ')?)?;
    let is_method = may_be_request_line(line) && !method.is_empty();
    let is_version = matches!(version, [b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..]);
    let method = std::str::from_utf8(method).ok()?;
    (is_method && is_version).then_some((method, target.trim_ascii()))
}

fn utf8_prefix(octets: &[u8]) -> &str {
    octets.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// Tells whether a line may begin so.
fn may_be_request_line(line: &[u8]) -> bool {
    let method = line.split(|octet| *octet == b' ').next().unwrap_or_default();
    method.len() <= MAX_METHOD_LEN && method.iter().all(|octet| is_token_octet(*octet))
}

/// Splits a whole URL into authority and the rest (RFC 9110 §4.2).
fn absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'))
    {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.split_at_checked(end)
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

/// RFC 9110 §5.6.2.
fn is_token_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// RFC 9112 §2.2 has servers pass over at least one blank line.
const MAX_BLANK: usize = 4;
/// IANA's longest, `UPDATEREDIRECTREF`, has 17.
const MAX_METHOD_LEN: usize = 24;

#[cfg(test)]
mod tests;
