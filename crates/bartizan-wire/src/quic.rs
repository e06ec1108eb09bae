//! The Initial packets of QUIC: the ClientHello in them, and the close that answers it.
//!
//! Versions 1 (RFC 9000, RFC 9001) and 2 (RFC 9369). Initials are encrypted, but with keys that follow from
//! what is in the clear, so whoever sees the first packet can read it and answer it.
//!
//! - [`QuicInitial`] is the part in the clear, [`HelloReader`] gathers the hello over datagrams, and
//!   [`QuicClose`] makes the client give up.
//! - `keys` derives, opens and seals; `crypto_stream` puts the octets in order.
//!
//! # What it does not do
//! - Read drafts and Google's own versions, or anything but Initials of the client.
//! - Follow a connection: whose datagrams belong together is for the caller to know.
//!
//! # Invariants
//! - Nothing is allocated but the answer of [`QuicClose::write`].

mod close;
mod crypto_stream;
mod keys;

use crate::cursor::Cursor;
use crate::quic::crypto_stream::CryptoStream;
use crate::quic::keys::{Keys, Side};
use crate::reading::Reading;
use crate::tls::{self, ClientHello};

pub use close::CloseReason;

/// A version of QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuicVersion {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

impl QuicVersion {
    fn from_number(number: u32) -> Option<Self> {
        match number {
            0x0000_0001 => Some(Self::V1),
            0x6b33_43cf => Some(Self::V2),
            _ => None,
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::V1 => 0x0000_0001,
            Self::V2 => 0x6b33_43cf,
        }
    }

    /// Returns the two bits that say "Initial" (RFC 9000 §17.2, RFC 9369 §3.2).
    fn initial_bits(self) -> u8 {
        match self {
            Self::V1 => 0b00 << 4,
            Self::V2 => 0b01 << 4,
        }
    }
}

/// What is in the clear of an Initial packet (RFC 9000 §17.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicInitial<'a> {
    version: QuicVersion,
    dcid: &'a [u8],
    scid: &'a [u8],
    token: &'a [u8],
    /// From the first octet to the end of what the length covers.
    packet: &'a [u8],
    /// Where the protected packet number begins.
    number_at: usize,
}

impl<'a> QuicInitial<'a> {
    /// Reads the first Initial packet in a datagram.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        initials(datagram).next()
    }

    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> QuicVersion {
        self.version
    }

    /// Returns the connection id of the receiver, at most 20 octets.
    #[must_use]
    pub fn dcid(&self) -> &'a [u8] {
        self.dcid
    }

    /// Returns the connection id of the sender, at most 20 octets.
    #[must_use]
    pub fn scid(&self) -> &'a [u8] {
        self.scid
    }

    /// Returns the token of a Retry or of an earlier connection.
    #[must_use]
    pub fn token(&self) -> &'a [u8] {
        self.token
    }
}

/// Gathers the ClientHello of one connection from the datagrams of its client.
///
/// It takes 19 KB wherever it lies and nothing of the heap.
#[derive(Debug)]
pub struct HelloReader {
    keys: Option<Keys>,
    /// To which the client wrote first, or first after a Retry: what the keys of both sides follow from.
    original: ConnectionId,
    stream: CryptoStream,
}

impl HelloReader {
    /// Begins with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { keys: None, original: ConnectionId::default(), stream: CryptoStream::new() }
    }

    /// Begins anew, for another connection.
    pub fn restart(&mut self) {
        self.keys = None;
        self.stream.restart();
    }

    /// Takes the next datagram of the client.
    ///
    /// `Not` if the datagrams so far have no Initial that can be read, or their hello is none.
    pub fn push(&mut self, datagram: &[u8]) -> Reading<ClientHello> {
        let mut scratch = [0; MAX_DATAGRAM_LEN];
        for initial in initials(datagram) {
            let Some(frames) = self.open(&initial, &mut scratch) else { continue };
            if self.stream.take_frames(Cursor(frames)).is_none() {
                return Reading::Not;
            }
        }
        match (&self.keys, tls::read_handshake(self.stream.ordered())) {
            (None, _) => Reading::Not,
            (Some(_), Reading::More) if self.stream.is_full() => Reading::Not,
            (Some(_), reading) => reading,
        }
    }

    /// Opens a packet with the keys in use, or with those that follow from itself. The keys are those of
    /// the client's first Initial even after the server gave it another id to write to, but a Retry changes
    /// them (RFC 9001 §5.2).
    fn open<'s>(&mut self, initial: &QuicInitial<'_>, scratch: &'s mut [u8]) -> Option<&'s [u8]> {
        if let Some(keys) = &self.keys
            && keys.version() == initial.version
            && let Some(frames) = keys.open(initial, scratch)
        {
            return scratch.get(frames);
        }
        let keys = Keys::derive(initial.version, initial.dcid, Side::Client)?;
        let frames = keys.open(initial, scratch)?;
        self.keys = Some(keys);
        self.original = ConnectionId::new(initial.dcid)?;
        scratch.get(frames)
    }

    /// Returns what closes the connection, if an Initial packet of it was read.
    #[must_use]
    pub fn close(&self) -> Option<QuicClose> {
        Some(QuicClose { version: self.keys.as_ref()?.version(), original: self.original })
    }
}

/// What closes a connection.
#[derive(Clone, Copy, Debug)]
pub struct QuicClose {
    version: QuicVersion,
    original: ConnectionId,
}

impl QuicClose {
    /// Writes the datagram that closes the connection, as an answer to one of its client.
    ///
    /// `None` if that has no Initial packet.
    #[must_use]
    pub fn write(&self, datagram: &[u8], reason: CloseReason) -> Option<Vec<u8>> {
        let keys = Keys::derive(self.version, self.original.octets(), Side::Server)?;
        close::write_close(&keys, &QuicInitial::parse(datagram)?, reason)
    }
}

/// An id of a connection, kept.
#[derive(Clone, Copy, Debug, Default)]
struct ConnectionId {
    octets: [u8; MAX_ID_LEN],
    len: usize,
}

impl ConnectionId {
    fn new(id: &[u8]) -> Option<Self> {
        let mut kept = Self { octets: [0; MAX_ID_LEN], len: id.len() };
        kept.octets.get_mut(..id.len())?.copy_from_slice(id);
        Some(kept)
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl Default for HelloReader {
    fn default() -> Self {
        Self::new()
    }
}

/// Seals frames as a client does in its first packet: what a fuzzer cannot do by chance.
pub(crate) fn seal_client_initial(frames: &[u8]) -> Option<Vec<u8>> {
    let keys = Keys::derive(QuicVersion::V1, b"original", Side::Client)?;
    close::write_initial(&keys, b"original", b"client", 0, frames)
}

/// Yields the Initial packets that are coalesced into a datagram (RFC 9000 §12.2).
fn initials(datagram: &[u8]) -> impl Iterator<Item = QuicInitial<'_>> {
    let mut rest = Cursor(datagram);
    std::iter::from_fn(move || {
        loop {
            match next_packet(&mut rest)? {
                LongPacket::Initial(initial) => return Some(initial),
                LongPacket::Other => {}
            }
        }
    })
}

/// One packet with a long header and a length.
enum LongPacket<'a> {
    Initial(QuicInitial<'a>),
    Other,
}

fn next_packet<'a>(datagram: &mut Cursor<'a>) -> Option<LongPacket<'a>> {
    let whole = datagram.0;
    let mut rest = *datagram;
    let first = rest.u8()?;
    // The "fixed bit" may be greased (RFC 9287), so only the form of the header counts.
    if first & LONG_HEADER == 0 {
        return None;
    }
    let version = QuicVersion::from_number(u32::from_be_bytes(rest.array()?))?;
    let dcid = rest.vector8().filter(|id| id.len() <= MAX_ID_LEN)?;
    let scid = rest.vector8().filter(|id| id.len() <= MAX_ID_LEN)?;
    let kind = first & TYPE_BITS;
    if kind == retry_bits(version) {
        return None;
    }
    let is_initial = kind == version.initial_bits();
    let token = if is_initial { rest.vector()? } else { &[] };
    let len = usize::try_from(rest.varint()?).ok()?;
    let number_at = whole.len() - rest.0.len();
    rest.take(len)?;
    *datagram = rest;
    let packet = whole.get(..number_at + len)?;
    Some(if is_initial {
        LongPacket::Initial(QuicInitial { version, dcid, scid, token, packet, number_at })
    } else {
        LongPacket::Other
    })
}

/// Returns the two bits that say "Retry", which has no length (RFC 9000 §17.2.5, RFC 9369 §3.2).
fn retry_bits(version: QuicVersion) -> u8 {
    match version {
        QuicVersion::V1 => 0b11 << 4,
        QuicVersion::V2 => 0b00 << 4,
    }
}

const LONG_HEADER: u8 = 0x80;
const TYPE_BITS: u8 = 0x30;
/// RFC 9000 §17.2.
const MAX_ID_LEN: usize = 20;
/// The largest packet that is opened: a jumbo frame. Clients send 1,200 to 1,452 octets.
const MAX_DATAGRAM_LEN: usize = 9 * 1024;

#[cfg(test)]
mod tests;
