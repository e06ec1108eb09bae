//! The octets of CRYPTO frames, put in order (RFC 9000 §19.6).
//!
//! # Invariants
//! - At most [`MAX_HELLO_LEN`] octets; what lies beyond is not kept.
//! - The first octet at an offset counts, as RFC 9000 §2.2 has it: later ones have to be the same.

use crate::cursor::Cursor;
use crate::reading::MAX_HELLO_LEN;

/// A stream that is put together from pieces in any order.
pub(super) struct CryptoStream {
    octets: [u8; MAX_HELLO_LEN],
    /// One bit for each octet that is there.
    present: [u64; MAX_HELLO_LEN / 64],
    /// How many octets are there from the beginning without a gap.
    ordered: usize,
}

impl CryptoStream {
    pub(super) fn new() -> Self {
        Self { octets: [0; MAX_HELLO_LEN], present: [0; MAX_HELLO_LEN / 64], ordered: 0 }
    }

    pub(super) fn restart(&mut self) {
        self.present.fill(0);
        self.ordered = 0;
    }

    /// Returns the beginning of the stream, as far as it is there without a gap.
    pub(super) fn ordered(&self) -> &[u8] {
        self.octets.get(..self.ordered).unwrap_or_default()
    }

    pub(super) fn is_full(&self) -> bool {
        self.ordered == MAX_HELLO_LEN
    }

    /// Takes the CRYPTO frames of an Initial packet; `None` if one of the frames cannot be read.
    pub(super) fn take_frames(&mut self, mut frames: Cursor<'_>) -> Option<()> {
        while !frames.is_empty() {
            match frames.varint()? {
                PADDING | PING => {}
                kind @ (ACK | ACK_ECN) => skip_ack(&mut frames, kind == ACK_ECN)?,
                CRYPTO => {
                    let offset = frames.varint()?;
                    self.insert(offset, frames.vector()?);
                }
                // RFC 9000 §12.4: nothing but a close is left that an Initial may carry.
                _ => return None,
            }
        }
        Some(())
    }

    fn insert(&mut self, offset: u64, octets: &[u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(places) = self.octets.get_mut(offset..) else { return };
        for (index, (place, octet)) in (offset..).zip(places.iter_mut().zip(octets)) {
            if let Some(word) = self.present.get_mut(index / 64)
                && *word & (1 << (index % 64)) == 0
            {
                *word |= 1 << (index % 64);
                *place = *octet;
            }
        }
        while self.is_present(self.ordered) {
            self.ordered += 1;
        }
    }

    fn is_present(&self, index: usize) -> bool {
        self.present.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

impl std::fmt::Debug for CryptoStream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("CryptoStream").field("ordered", &self.ordered).finish_non_exhaustive()
    }
}

/// RFC 9000 §19.3.
fn skip_ack(frames: &mut Cursor<'_>, has_ecn: bool) -> Option<()> {
    let _largest = frames.varint()?;
    let _delay = frames.varint()?;
    let ranges = frames.varint()?;
    let _first = frames.varint()?;
    for _ in 0..ranges {
        let _gap = frames.varint()?;
        let _len = frames.varint()?;
    }
    if has_ecn {
        for _ in 0..3 {
            let _count = frames.varint()?;
        }
    }
    Some(())
}

const PADDING: u64 = 0x00;
const PING: u64 = 0x01;
const ACK: u64 = 0x02;
const ACK_ECN: u64 = 0x03;
const CRYPTO: u64 = 0x06;
