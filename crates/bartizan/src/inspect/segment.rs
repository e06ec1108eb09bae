//! One TCP segment of a capture (RFC 9293 §3.1), whose checksum may not be filled in yet.

/// What of a segment matters to put a stream together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    number: u32,
    /// The octet that its sender expects next, if it says.
    pub(super) acknowledged: Option<u32>,
    pub(super) is_syn: bool,
    pub(super) payload: &'a [u8],
}

impl<'a> Segment<'a> {
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let [s1, s0, d1, d0, n3, n2, n1, n0, a3, a2, a1, a0, offset, flags, ..] = *octets else {
            return None;
        };
        let payload = octets.get(usize::from(offset >> 4).max(5) * 4..)?;
        Some(Self {
            src_port: u16::from_be_bytes([s1, s0]),
            dst_port: u16::from_be_bytes([d1, d0]),
            number: u32::from_be_bytes([n3, n2, n1, n0]),
            acknowledged: (flags & ACK != 0).then(|| u32::from_be_bytes([a3, a2, a1, a0])),
            is_syn: flags & SYN != 0,
            // What comes with a reset is a reason for people (RFC 9293 §3.5.2).
            payload: if flags & RST == 0 { payload } else { &[] },
        })
    }

    /// Returns the number of the first octet of the payload: SYN takes one.
    pub(super) fn first_octet(&self) -> u32 {
        self.number.wrapping_add(u32::from(self.is_syn))
    }
}

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
