//! Numbers that nobody outside can foresee, from a seed: the engine has no other randomness.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// `SipHash` of a counter under the seed. Unforeseeable as long as the seed is secret.
pub(crate) struct Prf {
    seed: [u8; 16],
    drawn: u64,
}

impl Prf {
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        Self { seed, drawn: 0 }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = SipHasher24::new_with_key(&self.seed);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }

    pub(crate) fn draw_wide(&mut self) -> u128 {
        u128::from(self.draw()) << 64 | u128::from(self.draw())
    }

    /// Draws a number from 0 up to but not including 1.
    pub(crate) fn draw_unit(&mut self) -> f64 {
        // 53 bits: as many as a double holds exactly.
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws an initial sequence number (RFC 9293 §3.4.1).
    #[expect(clippy::cast_possible_truncation, reason = "any 32 of the bits will do")]
    pub(crate) fn draw_sequence(&mut self) -> u32 {
        self.draw() as u32
    }

    /// Draws a DNS transaction id.
    #[expect(clippy::cast_possible_truncation, reason = "any 16 of the bits will do")]
    pub(crate) fn draw_id(&mut self) -> u16 {
        self.draw() as u16
    }
}

impl std::fmt::Debug for Prf {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Prf(<private>)")
    }
}
