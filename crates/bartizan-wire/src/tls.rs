//! The ClientHello that opens a TLS connection: whom the client wants to talk to.
//!
//! Reads RFC 9846 §4.2.2 (once RFC 8446 §4.1.2), which TLS 1.0 to 1.3 share: the `server_name` of RFC 6066
//! §3, the protocols of RFC 7301, and whether there is an `encrypted_client_hello` (RFC 9849). The message
//! may lie in several records (RFC 9846 §5.1). QUIC carries it in CRYPTO frames, and `quic` comes here.
//!
//! # What it does not do
//! - Decrypt: with Encrypted Client Hello the name is the *outer* one, and [`ClientHello::has_ech`] says
//!   so. Browsers send that extension with random content too ("GREASE"), where the name is the real one.
//! - Insist: what is broken behind the part that was read leaves that part readable. A server refuses
//!   such a hello, or it does not and the name counts.
//!
//! # Invariants
//! - Nothing is allocated. A message in several records is put together on the stack.
//! - Work is linear in the input, at most [`MAX_HELLO_LEN`] octets.

use bartizan_model::DomainName;

use crate::cursor::Cursor;
use crate::reading::{MAX_HELLO_LEN, Reading};

/// What a ClientHello says of the connection it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    name: Inline<255>,
    protocols: Inline<ALPN_LEN>,
    has_ech: bool,
}

impl ClientHello {
    /// Returns the name of the server; with ECH the outer one. `None` if there is none, or none that is a
    /// host name.
    #[must_use]
    pub fn server_name(&self) -> Option<DomainName> {
        DomainName::parse(self.name.get()).ok()
    }

    /// Returns the octets that stand where the name belongs, at most 255; empty if there are none.
    #[must_use]
    pub fn server_name_octets(&self) -> &[u8] {
        self.name.get()
    }

    /// Tells whether there is an `encrypted_client_hello` extension.
    #[must_use]
    pub fn has_ech(&self) -> bool {
        self.has_ech
    }

    /// Yields the protocols that the client offers, most wanted first, as far as they fit into 192 octets.
    pub fn protocols(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Cursor(self.protocols.get());
        std::iter::from_fn(move || rest.vector8())
    }
}

/// Reads the ClientHello at the beginning of what a client sends over TCP.
#[must_use]
pub fn read_client_hello(stream: &[u8]) -> Reading<ClientHello> {
    let stream = stream.get(..MAX_HELLO_LEN).unwrap_or(stream);
    // The handshake begins right behind the header of the first record: what is not a hello need not be
    // waited for.
    if stream.get(RECORD_HEADER_LEN).is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Reading::Not;
    }
    // As a rule the message is whole within its first record, and is read in place.
    let reading = match next_record(&mut Cursor(stream)) {
        Reading::Done(fragment) => match read_handshake(fragment) {
            Reading::More => read_over_records(stream),
            read @ (Reading::Done(_) | Reading::Not) => read,
        },
        Reading::More => Reading::More,
        Reading::Not => Reading::Not,
    };
    match reading {
        Reading::More if MAX_HELLO_LEN <= stream.len() => Reading::Not,
        reading @ (Reading::More | Reading::Done(_) | Reading::Not) => reading,
    }
}

/// Reads a ClientHello from its handshake header on.
#[must_use]
pub fn read_handshake(message: &[u8]) -> Reading<ClientHello> {
    let [CLIENT_HELLO, ..] = *message else {
        return if message.is_empty() { Reading::More } else { Reading::Not };
    };
    let Some((&[_, l2, l1, l0], body)) = message.split_first_chunk() else {
        return Reading::More;
    };
    let len = usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0);
    if MAX_HELLO_LEN < len {
        return Reading::Not;
    }
    let Some(body) = body.get(..len) else { return Reading::More };
    let mut hello = ClientHello { name: Inline::EMPTY, protocols: Inline::EMPTY, has_ech: false };
    // None: it ended early, and what was read before stands.
    let _ = read_body(Cursor(body), &mut hello);
    Reading::Done(hello)
}

fn read_over_records(stream: &[u8]) -> Reading<ClientHello> {
    let mut message = [0; MAX_HELLO_LEN];
    let mut len = 0;
    let mut records = Cursor(stream);
    loop {
        match next_record(&mut records) {
            Reading::Done(part) => {
                let Some(place) = message.get_mut(len..len + part.len()) else {
                    return Reading::Not;
                };
                place.copy_from_slice(part);
                len += part.len();
            }
            Reading::More => return Reading::More,
            Reading::Not => return Reading::Not,
        }
        if let read @ (Reading::Done(_) | Reading::Not) =
            read_handshake(message.get(..len).unwrap_or_default())
        {
            return read;
        }
    }
}

/// Takes what a record of the handshake carries. A record that is cut off is `More`, but one whose
/// beginning is wrong is `Not` from its first octet on.
fn next_record<'a>(records: &mut Cursor<'a>) -> Reading<&'a [u8]> {
    match *records.0 {
        [] | [HANDSHAKE] => return Reading::More,
        // RFC 9846 §5.1: the minor version is to be ignored; all since SSL 3.0 have major version 3.
        [HANDSHAKE, 3, ..] => {}
        [_, ..] => return Reading::Not,
    }
    let mut ahead = *records;
    let (Some(_), Some(len)) = (ahead.array::<3>(), ahead.u16()) else { return Reading::More };
    if len == 0 || MAX_RECORD_LEN < len {
        return Reading::Not;
    }
    let Some(fragment) = ahead.take(usize::from(len)) else { return Reading::More };
    *records = ahead;
    Reading::Done(fragment)
}

fn read_body(mut body: Cursor<'_>, hello: &mut ClientHello) -> Option<()> {
    let _version_and_random = body.array::<34>()?;
    let _session_id = body.vector8()?;
    let _cipher_suites = body.vector16()?;
    let _compression_methods = body.vector8()?;
    // RFC 5246 §7.4.1.2: up to TLS 1.2 a hello may end before the extensions.
    let len = body.u16().map_or(0, usize::from);
    let mut extensions = Cursor(body.0.get(..len).unwrap_or(body.0));
    let mut has_name = false;
    while let (Some(kind), Some(data)) = (extensions.u16(), extensions.vector16()) {
        match kind {
            // RFC 9846 §4.3 forbids a second one; the first is what lenient servers take.
            SERVER_NAME if !has_name => {
                has_name = true;
                if let Some(name) = host_name(Cursor(data)) {
                    hello.name.set(name);
                }
            }
            ALPN => {
                let mut list = Cursor(Cursor(data).vector16().unwrap_or_default());
                hello.protocols = Inline::EMPTY;
                while let Some(protocol) = list.vector8() {
                    hello.protocols.push_vector8(protocol);
                }
            }
            ENCRYPTED_CLIENT_HELLO => hello.has_ech = true,
            _ => {}
        }
    }
    Some(())
}

/// Returns the first entry of a `server_name_list` that is a `host_name`.
fn host_name(mut data: Cursor<'_>) -> Option<&[u8]> {
    let mut list = Cursor(data.vector16()?);
    loop {
        let kind = list.u8()?;
        let name = list.vector16()?;
        if kind == HOST_NAME {
            return Some(name);
        }
    }
}

/// A few octets that lie where their owner lies.
#[derive(Clone, PartialEq, Eq)]
struct Inline<const N: usize> {
    octets: [u8; N],
    len: usize,
}

impl<const N: usize> Inline<N> {
    const EMPTY: Self = Self { octets: [0; N], len: 0 };

    fn get(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    /// Takes the octets over, unless there are too many.
    fn set(&mut self, octets: &[u8]) {
        if let Some(place) = self.octets.get_mut(..octets.len()) {
            place.copy_from_slice(octets);
            self.len = octets.len();
        }
    }

    /// Appends a vector behind its length, unless there is no room.
    fn push_vector8(&mut self, octets: &[u8]) {
        let end = self.len + 1 + octets.len();
        if let Some([len, place @ ..]) = self.octets.get_mut(self.len..end)
            && let Ok(octets_len) = u8::try_from(octets.len())
        {
            *len = octets_len;
            place.copy_from_slice(octets);
            self.len = end;
        }
    }
}

impl<const N: usize> std::fmt::Debug for Inline<N> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}", self.get().escape_ascii().to_string())
    }
}

const HANDSHAKE: u8 = 22;
const RECORD_HEADER_LEN: usize = 5;
const CLIENT_HELLO: u8 = 1;
/// RFC 9846 §5.1.
const MAX_RECORD_LEN: u16 = 1 << 14;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
const ALPN: u16 = 16;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
/// Test clients offer twenty protocols; browsers take 12 octets.
const ALPN_LEN: usize = 192;

#[cfg(test)]
pub(crate) mod tests;
