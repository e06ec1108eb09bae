//! What one side of a TCP connection says: hellos, requests and DNS messages in the order of its octets.
//!
//! It may start anywhere, lose octets, and change from one protocol to another (STARTTLS, CONNECT), so a
//! message may begin wherever a segment begins, and behind a message that ended.

use bartizan_wire::http::{self, HttpRequest};
use bartizan_wire::{MAX_HELLO_LEN, Reading, tls};

use crate::inspect::dns;
use crate::inspect::message::{Kind, Said, host};

/// The reader of one direction.
#[derive(Debug)]
pub(super) struct Talk {
    state: State,
    /// What has come and is not read yet.
    buffer: Vec<u8>,
    is_dns_port: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Anything may begin here.
    Open,
    /// TLS records follow.
    Tls,
    /// DNS messages behind their lengths follow.
    Dns,
    /// So many octets of a request's body are left.
    Body(u64),
    /// The size of a chunk follows (RFC 9112 §7.1).
    ChunkSize,
    /// So many octets of a chunk and its line end are left.
    Chunk(u64),
    /// The lines behind the last chunk follow.
    Trailer,
    /// Where the body ends cannot be told, so the rest of the segment is passed over.
    Broken,
}

impl Talk {
    pub(super) fn new(is_dns_port: bool) -> Self {
        Self { state: State::Open, buffer: Vec::new(), is_dns_port }
    }

    /// Takes the octets of a segment; yields what is whole with it.
    pub(super) fn hear(&mut self, segment: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        if self.state == State::Open && !self.buffer.is_empty() && begins_message(segment) {
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(segment);
        while !self.buffer.is_empty() && self.step(&mut said) {}
        said
    }

    /// So many octets are missing.
    pub(super) fn miss(&mut self, octets: u64) {
        self.buffer.clear();
        self.state = match self.state {
            State::Body(left) if octets <= left => State::Body(left - octets),
            State::Chunk(left) if octets <= left => State::Chunk(left - octets),
            State::Open
            | State::Tls
            | State::Dns
            | State::Body(_)
            | State::ChunkSize
            | State::Chunk(_)
            | State::Trailer
            | State::Broken => State::Open,
        };
    }

    /// Reads on; tells whether anything changed.
    fn step(&mut self, said: &mut Vec<Said>) -> bool {
        match self.state {
            State::Open => self.begin(said),
            State::Tls => self.record(said),
            State::Dns => self.dns_message(said),
            State::Body(left) => self.skip(left, State::Body, State::Open),
            State::Chunk(left) => self.skip(left, State::Chunk, State::ChunkSize),
            State::ChunkSize => self.line(|line| {
                let size = line.split(|octet| *octet == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(size.trim_ascii()).ok();
                match size.and_then(|size| u64::from_str_radix(size, 16).ok()) {
                    Some(0) => State::Trailer,
                    Some(size) => State::Chunk(size.saturating_add(2)),
                    None => State::Broken,
                }
            }),
            State::Broken => {
                self.state = State::Open;
                self.buffer.clear();
                false
            }
            State::Trailer => self.line(|line| match line.trim_ascii() {
                [] => State::Open,
                [_, ..] => State::Trailer,
            }),
        }
    }

    fn begin(&mut self, said: &mut Vec<Said>) -> bool {
        if let Some(len) = ssl2_hello_len(&self.buffer) {
            said.push(Said::nothing(Kind::Tls));
            self.state = State::Tls;
            self.buffer.drain(..len);
            return true;
        }
        match tls::read_client_hello(&self.buffer) {
            Reading::Done(_) => {
                self.state = State::Tls;
                return true;
            }
            Reading::More if MIN_TLS_LEN <= self.buffer.len() => return false,
            Reading::More | Reading::Not => {}
        }
        if self.is_dns_port {
            self.state = State::Dns;
            return true;
        }
        match http::read_request(&self.buffer) {
            Reading::Done(request) if !request.is_http2() => {
                said.push(said_by_request(&request));
                self.state = behind(&request);
                self.buffer.drain(..request.head_len());
                true
            }
            Reading::More => false,
            Reading::Done(_) | Reading::Not => {
                self.buffer.clear();
                false
            }
        }
    }

    fn record(&mut self, said: &mut Vec<Said>) -> bool {
        let [kind @ 20..=24, 3, _, l1, l0, fragment @ ..] = &*self.buffer else {
            if 5 <= self.buffer.len() || !matches!(*self.buffer, [20..=24] | [20..=24, 3, ..]) {
                self.state = State::Open;
                // What is no record may be something else, if it begins where a segment does.
                self.buffer.clear();
            }
            return false;
        };
        let len = usize::from(u16::from_be_bytes([*l1, *l0]));
        let Some(fragment) = fragment.get(..len) else { return false };
        // A second hello answers a HelloRetryRequest (RFC 9846 §4.2.2). What is encrypted may look like one
        // by chance, but not in its length too.
        if *kind == 22 && fragment.first() == Some(&1) {
            match tls::read_client_hello(&self.buffer) {
                Reading::Done(hello) => said.push(said_by_hello(Kind::Tls, &hello)),
                Reading::More => return false,
                Reading::Not => {}
            }
        }
        self.buffer.drain(..5 + len);
        true
    }

    fn dns_message(&mut self, said: &mut Vec<Said>) -> bool {
        let [l1, l0, rest @ ..] = &*self.buffer else { return false };
        let len = usize::from(u16::from_be_bytes([*l1, *l0]));
        let Some(message) = rest.get(..len) else { return false };
        said.extend(dns::read(message));
        self.buffer.drain(..2 + len);
        true
    }

    fn skip(&mut self, left: u64, more: fn(u64) -> State, then: State) -> bool {
        let there = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
        self.buffer.drain(..there);
        let left = left - there as u64;
        self.state = if left == 0 { then } else { more(left) };
        true
    }

    fn line(&mut self, next: impl FnOnce(&[u8]) -> State) -> bool {
        let Some(end) = self.buffer.iter().position(|octet| *octet == b'\n') else {
            if MAX_HELLO_LEN < self.buffer.len() {
                self.state = State::Open;
                self.buffer.clear();
            }
            return false;
        };
        self.state = next(self.buffer.get(..end).unwrap_or_default());
        self.buffer.drain(..=end);
        true
    }
}

/// Returns what a ClientHello says.
pub(super) fn said_by_hello(kind: Kind, hello: &tls::ClientHello) -> Said {
    Said {
        kind,
        host: host(hello.server_name_octets()),
        alpn: hello.protocols().map(|name| name.escape_ascii().to_string()).collect(),
        has_ech: hello.has_ech(),
        path: None,
    }
}

fn said_by_request(request: &HttpRequest<'_>) -> Said {
    Said {
        host: request.host().and_then(|name| host(name.as_bytes())),
        path: request.path().map(str::to_owned),
        ..Said::nothing(Kind::Http)
    }
}

/// Returns what follows the head of a request (RFC 9112 §6.3).
fn behind(request: &HttpRequest<'_>) -> State {
    // That it has to be the last coding is a rule which those who smuggle requests break.
    let is_chunked = request.fields("Transfer-Encoding").any(|value| {
        value
            .split(|octet| *octet == b',')
            .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    });
    if is_chunked {
        return State::ChunkSize;
    }
    // No body is as long as a signed length cannot say.
    let len = request.fields("Content-Length").next();
    let len = len.and_then(|value| std::str::from_utf8(value).ok()?.parse::<i64>().ok());
    match len.and_then(|len| u64::try_from(len).ok()) {
        None | Some(0) => State::Open,
        Some(len) => State::Body(len),
    }
}

/// Returns how long the hello of SSL 2.0 is that begins here, in which clients up to 2010 offered TLS too
/// (RFC 5246 §E.2). It has no place for a name.
fn ssl2_hello_len(octets: &[u8]) -> Option<usize> {
    let [l1 @ 0x80..=0xff, l0, 1, major @ (0 | 3), minor, c1, c0, s1, s0, h1, h0, ..] = *octets
    else {
        return None;
    };
    let len = usize::from(u16::from_be_bytes([l1 & 0x7f, l0]));
    let [ciphers, session, challenge] =
        [[c1, c0], [s1, s0], [h1, h0]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    let is_version = major == 3 || minor == 2;
    let fits = len == 9 + ciphers + session + challenge && len + 2 <= octets.len();
    let is_hello =
        is_version && ciphers % 3 == 0 && matches!(session, 0 | 16) && matches!(challenge, 16..=32);
    (is_hello && fits).then_some(len + 2)
}

/// Tells whether a segment begins with a hello, or with the whole line of a request.
fn begins_message(segment: &[u8]) -> bool {
    let is_hello = matches!(*segment, [22, 3, _, _, _, 1, ..]);
    let line = segment.split_inclusive(|octet| *octet == b'\n').next().unwrap_or_default();
    let is_request = line.ends_with(b"\n") && {
        let mut whole = line.to_vec();
        whole.extend_from_slice(b"\r\n");
        matches!(http::read_request(&whole), Reading::Done(_))
    };
    is_hello || is_request
}

/// The octets that tell the beginning of a hello from anything else.
const MIN_TLS_LEN: usize = 6;
