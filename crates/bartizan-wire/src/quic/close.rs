//! The packet that makes a client give up: `CONNECTION_CLOSE` in an Initial of the server.
//!
//! RFC 9000 §10.2.3 lets a server close while a handshake is under way in a packet that the client can open
//! for sure, and every client acts on it at once: it falls back to TCP or says that there is no connection.

use crate::quic::QuicInitial;
use crate::quic::keys::{Keys, NUMBER_LEN, TAG_LEN};

/// Why a connection is closed (RFC 9000 §20.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// `CONNECTION_REFUSED`: the server does not want it.
    ConnectionRefused,
    /// `CRYPTO_ERROR` with the alert `access_denied` of TLS (RFC 9846 §6.2).
    AccessDenied,
}

impl CloseReason {
    /// Returns the code as a variable-length integer of two octets.
    fn varint(self) -> [u8; 2] {
        match self {
            Self::ConnectionRefused => [0x40, 0x02],
            Self::AccessDenied => [0x41, 49],
        }
    }
}

/// Writes the datagram that closes the connection of which a client sent this packet, with the keys of its server.
pub(super) fn write_close(
    keys: &Keys,
    initial: &QuicInitial<'_>,
    reason: CloseReason,
) -> Option<Vec<u8>> {
    let [reason1, reason0] = reason.varint();
    // RFC 9000 §19.19: it is about no frame in particular, and there is no phrase.
    let frames = [CONNECTION_CLOSE, reason1, reason0, 0, 0];
    // Once a server has answered, its client takes nothing but what comes from the id that it chose (RFC 9000 §7.2), and
    // writes to that. Before, any id will do, such as the one that the client made up.
    write_initial(keys, initial.scid(), initial.dcid(), CLOSE_NUMBER, &frames)
}

/// Writes a packet without a token.
///
/// RFC 9000 §14.1 has packets filled up to 1,200 octets only if they are to be acknowledged, and a close is not.
pub(super) fn write_initial(
    keys: &Keys,
    dcid: &[u8],
    scid: &[u8],
    number: u32,
    frames: &[u8],
) -> Option<Vec<u8>> {
    let len = NUMBER_LEN + frames.len() + TAG_LEN;
    let mut packet = Vec::with_capacity(MAX_HEADER_LEN + len);
    let number_len_bits = u8::try_from(NUMBER_LEN - 1).ok()?;
    packet.push(LONG_HEADER_AND_FIXED_BIT | keys.version().initial_bits() | number_len_bits);
    packet.extend_from_slice(&keys.version().number().to_be_bytes());
    for id in [dcid, scid] {
        packet.push(u8::try_from(id.len()).ok()?);
        packet.extend_from_slice(id);
    }
    packet.push(0);
    packet.extend_from_slice(&(0x4000 | u16::try_from(len).ok()?).to_be_bytes());
    let number_at = packet.len();
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(frames);
    packet.extend_from_slice(&[0; TAG_LEN]);
    keys.seal(&mut packet, number_at, number)?;
    Some(packet)
}

/// Far beyond what a server has sent by then, whose numbers the client takes once; and near enough to be read as it is
/// meant (RFC 9000 §A.3).
pub(super) const CLOSE_NUMBER: u32 = 1 << 30;
const CONNECTION_CLOSE: u8 = 0x1c;
const LONG_HEADER_AND_FIXED_BIT: u8 = 0xc0;
/// First octet and version, two ids of 20 octets with their lengths, token length, length.
const MAX_HEADER_LEN: usize = 5 + 42 + 1 + 2;
