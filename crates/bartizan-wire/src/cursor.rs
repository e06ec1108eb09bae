//! Reads integers and length-prefixed vectors from the front of a slice (RFC 9846 §3, RFC 9000 §16).

/// What is left to read. Every method takes from the front, or takes nothing and answers `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a vector behind a length of one octet.
    pub(crate) fn vector8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = ahead.u8()?;
        let taken = ahead.take(usize::from(len))?;
        *self = ahead;
        Some(taken)
    }

    /// Takes a vector behind a length of two octets.
    pub(crate) fn vector16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = ahead.u16()?;
        let taken = ahead.take(usize::from(len))?;
        *self = ahead;
        Some(taken)
    }

    /// Takes a variable-length integer of QUIC.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let first = *self.0.first()?;
        let octets = self.take(1 << (first >> 6))?;
        let whole = octets.iter().fold(0, |value, octet| (value << 8) | u64::from(*octet));
        // The two highest bits of the first octet are the length.
        Some(whole & (u64::MAX >> (64 - 8 * octets.len() + 2)))
    }

    /// Takes a vector behind a variable-length integer.
    pub(crate) fn vector(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = usize::try_from(ahead.varint()?).ok()?;
        let taken = ahead.take(len)?;
        *self = ahead;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_are_read() {
        // Appendix A.1.
        check(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], Some(151_288_809_941_952_652));
        check(&[0x9d, 0x7f, 0x3e, 0x7d], Some(494_878_333));
        check(&[0x7b, 0xbd], Some(15_293));
        check(&[0x25], Some(37));
        check(&[0x40, 0x25], Some(37));
        check(&[0x40], None);
        check(&[], None);
    }

    #[test]
    fn a_vector_that_is_cut_off_takes_nothing() {
        let mut cursor = Cursor(b"\x00\x03ab");
        assert_eq!((cursor.vector16(), cursor.0.len()), (None, 4));
        let mut cursor = Cursor(b"\x02abc");
        assert_eq!((cursor.vector8(), cursor.0), (Some(&b"ab"[..]), &b"c"[..]));
    }

    #[track_caller]
    fn check(octets: &[u8], expected: Option<u64>) {
        assert_eq!(Cursor(octets).varint(), expected);
    }
}
