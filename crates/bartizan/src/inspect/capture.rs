//! The frames of a capture: pcap (any byte order, microseconds or nanoseconds) and pcapng.
//!
//! Reads a stream, one frame at a time, so that the size of a file does not matter. A frame's number counts
//! from 1 as Wireshark's do.
//!
//! # What it does not do
//! - Verify: options, comments, statistics and decryption secrets of pcapng are passed over.

use std::io::{self, Read};
use std::time::Duration;

/// Reads the frames of one capture.
pub(super) struct Capture<R> {
    source: R,
    format: Format,
    frames: u64,
}

/// One frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) number: u64,
    /// When it was seen, since 1970.
    pub(super) at: Duration,
    /// The number of the link type (<https://www.tcpdump.org/linktypes.html>).
    pub(super) link: u32,
    pub(super) octets: Vec<u8>,
}

/// Why a capture was not read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureError {
    #[error("is neither a pcap nor a pcapng file")]
    NotACapture,
    #[error("ends within a frame: {frames} frames were read")]
    Truncated { frames: u64 },
    #[error("is damaged behind frame {frames}")]
    Damaged { frames: u64 },
    #[error("cannot be read")]
    Io(#[from] io::Error),
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, octets: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(octets),
            Self::Big => u16::from_be_bytes(octets),
        }
    }

    fn u32(self, octets: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        }
    }
}

enum Format {
    Pcap { order: Order, link: u32, ticks_per_second: u64, has_long_records: bool },
    PcapNg { order: Order, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    snap_len: u32,
    ticks_per_second: u64,
}

impl<R: Read> Capture<R> {
    /// Reads the header of a file.
    pub(super) fn open(mut source: R) -> Result<Self, CaptureError> {
        let magic: [u8; 4] = read(&mut source)?.ok_or(CaptureError::NotACapture)?;
        let format = if magic == SECTION_HEADER.to_be_bytes() {
            Format::PcapNg { order: read_section(&mut source)?, interfaces: Vec::new() }
        } else {
            let (order, ticks_per_second, has_long_records) = match magic {
                [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, 1_000_000, false),
                [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, 1_000_000, false),
                [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, 1_000_000_000, false),
                [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, 1_000_000_000, false),
                // Kuznetzov's variant has eight octets more in front of each frame.
                [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, 1_000_000, true),
                [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, 1_000_000, true),
                _ => return Err(CaptureError::NotACapture),
            };
            let rest: [u8; 20] = read(&mut source)?.ok_or(CaptureError::NotACapture)?;
            let [.., l0, l1, l2, l3] = rest;
            // The upper bits say how long a frame check sequence is.
            let link = order.u32([l0, l1, l2, l3]) & 0xffff;
            Format::Pcap { order, link, ticks_per_second, has_long_records }
        };
        Ok(Self { source, format, frames: 0 })
    }

    /// Returns the next frame; `None` at the end.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, CaptureError> {
        match &mut self.format {
            Format::Pcap { order, link, ticks_per_second, has_long_records } => {
                let (order, link, ticks) = (*order, *link, *ticks_per_second);
                let truncated = CaptureError::Truncated { frames: self.frames };
                let Some([s0, s1, s2, s3]) = read(&mut self.source).map_err(|_| truncated)? else {
                    return Ok(None);
                };
                let truncated = || CaptureError::Truncated { frames: self.frames };
                let [f0, f1, f2, f3, l0, l1, l2, l3, _, _, _, _]: [u8; 12] =
                    read(&mut self.source).ok().flatten().ok_or_else(truncated)?;
                if *has_long_records {
                    read::<8>(&mut self.source).ok().flatten().ok_or_else(truncated)?;
                }
                let len = order.u32([l0, l1, l2, l3]);
                let octets = read_vec(&mut self.source, len, self.frames)?;
                self.frames += 1;
                let seconds = Duration::from_secs(order.u32([s0, s1, s2, s3]).into());
                let at = seconds + since(order.u32([f0, f1, f2, f3]).into(), ticks);
                Ok(Some(Frame { number: self.frames, at, link, octets }))
            }
            Format::PcapNg { .. } => loop {
                match self.next_block()? {
                    None => return Ok(None),
                    Some(Some(frame)) => return Ok(Some(frame)),
                    Some(None) => {}
                }
            },
        }
    }

    /// Reads a block of pcapng: `Some(None)` is one without a frame.
    fn next_block(&mut self) -> Result<Option<Option<Frame>>, CaptureError> {
        let frames = self.frames;
        let truncated = || CaptureError::Truncated { frames };
        let damaged = || CaptureError::Damaged { frames };
        let Format::PcapNg { order, interfaces } = &mut self.format else { return Ok(None) };
        let Some(kind) = read(&mut self.source).map_err(|_| truncated())? else { return Ok(None) };
        if kind == SECTION_HEADER.to_be_bytes() {
            *order = read_section(&mut self.source).map_err(|_| damaged())?;
            interfaces.clear();
            return Ok(Some(None));
        }
        let order = *order;
        let len = read(&mut self.source).ok().flatten().ok_or_else(truncated)?;
        let len = order.u32(len).checked_sub(12).ok_or_else(damaged)?;
        let body = read_vec(&mut self.source, len.next_multiple_of(4), frames)?;
        read::<4>(&mut self.source).ok().flatten().ok_or_else(truncated)?;

        let mut block = Fields { order, rest: &body };
        let frame = match order.u32(kind) {
            INTERFACE => {
                interfaces.push(interface(&mut block).ok_or_else(damaged)?);
                return Ok(Some(None));
            }
            ENHANCED_PACKET => enhanced_packet(&mut block, interfaces, true),
            // Its successor differs in that the interface takes 32 bits and drops are not counted.
            OBSOLETE_PACKET => enhanced_packet(&mut block, interfaces, false),
            SIMPLE_PACKET => simple_packet(&mut block, interfaces),
            // Wireshark numbers these as it does frames.
            JOURNAL => Some((Duration::ZERO, NO_LINK, Vec::new())),
            _ => return Ok(Some(None)),
        };
        let (at, link, octets) = frame.ok_or_else(damaged)?;
        self.frames += 1;
        Ok(Some(Some(Frame { number: self.frames, at, link, octets })))
    }
}

/// Reads the section header behind its type.
fn read_section(source: &mut impl Read) -> Result<Order, CaptureError> {
    let [l0, l1, l2, l3, magic @ ..]: [u8; 8] = read(source)?.ok_or(CaptureError::NotACapture)?;
    let order = match magic {
        [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
        [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
        _ => return Err(CaptureError::NotACapture),
    };
    let rest = order.u32([l0, l1, l2, l3]).checked_sub(12).ok_or(CaptureError::NotACapture)?;
    read_vec(source, rest, 0)?;
    Ok(order)
}

fn interface(block: &mut Fields<'_>) -> Option<Interface> {
    let link = block.u16()?.into();
    block.u16()?;
    let snap_len = block.u32()?;
    let mut ticks_per_second = 1_000_000;
    while let (Some(option), Some(len)) = (block.u16(), block.u16()) {
        let value = block.take(usize::from(len).next_multiple_of(4))?;
        if option == IF_TSRESOL
            && let [resolution, ..] = *value
        {
            let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
            ticks_per_second = base.checked_pow(u32::from(resolution & 0x7f)).unwrap_or(u64::MAX);
        }
    }
    Some(Interface { link, snap_len, ticks_per_second })
}

fn enhanced_packet(
    block: &mut Fields<'_>,
    interfaces: &[Interface],
    has_long_interface: bool,
) -> Option<(Duration, u32, Vec<u8>)> {
    let index = if has_long_interface {
        block.u32()?
    } else {
        let index = block.u16()?;
        block.u16()?;
        index.into()
    };
    let interface = interfaces.get(usize::try_from(index).ok()?)?;
    let ticks = u64::from(block.u32()?) << 32 | u64::from(block.u32()?);
    let len = usize::try_from(block.u32()?).ok()?;
    block.u32()?;
    let octets = block.take(len)?.to_vec();
    Some((since(ticks, interface.ticks_per_second), interface.link, octets))
}

fn simple_packet(
    block: &mut Fields<'_>,
    interfaces: &[Interface],
) -> Option<(Duration, u32, Vec<u8>)> {
    let interface = interfaces.first()?;
    let len = block.u32()?;
    let len = if interface.snap_len == 0 { len } else { len.min(interface.snap_len) };
    let octets = block.take(usize::try_from(len).ok()?)?.to_vec();
    Some((Duration::ZERO, interface.link, octets))
}

fn since(ticks: u64, per_second: u64) -> Duration {
    let rest = u128::from(ticks % per_second) * 1_000_000_000 / u128::from(per_second);
    Duration::from_secs(ticks / per_second)
        + Duration::from_nanos(u64::try_from(rest).unwrap_or_default())
}

/// What is left of a block.
struct Fields<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|octets| self.order.u16(*octets))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|octets| self.order.u32(*octets))
    }
}

/// Reads so many octets; `None` if there is none, and an error if there are fewer.
fn read<const N: usize>(source: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut octets = [0; N];
    let mut len = 0;
    while let Some(rest) = octets.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) if len == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(octets))
}

fn read_vec(source: &mut impl Read, len: u32, frames: u64) -> Result<Vec<u8>, CaptureError> {
    if MAX_FRAME_LEN < len {
        return Err(CaptureError::Damaged { frames });
    }
    let mut octets = Vec::new();
    source.take(len.into()).read_to_end(&mut octets)?;
    if octets.len() < usize::try_from(len).unwrap_or(usize::MAX) {
        return Err(CaptureError::Truncated { frames });
    }
    Ok(octets)
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const JOURNAL: u32 = 9;
const IF_TSRESOL: u16 = 9;
/// No link type has this number.
const NO_LINK: u32 = u32::MAX;
/// Wireshark takes 256 KiB for the longest frame of ordinary links.
const MAX_FRAME_LEN: u32 = 16 * 1024 * 1024;
