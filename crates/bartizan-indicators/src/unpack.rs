//! Looking through compression: a feed is read however it is packed, and whatever it is called.
//!
//! gzip (of several members too), zstd, xz and zip are told by their first octets. Of a zip the files inside
//! come one after the other, each ended by a line feed. What comes out has a bound, so that a bomb ends in an
//! error; so has the memory that unpacking takes.
//!
//! # What it does not do
//! - Look through twice, or into tar.
//! - Read encrypted archives.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use flate2::CrcReader;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

/// Returns what is inside, at most [`MOST_OCTETS`] of it.
///
/// # Errors
/// The input cannot be read, or its packing is damaged where it begins.
pub fn open(input: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
    open_at_most(input, MOST_OCTETS)
}

/// Returns what is inside; more than `most` octets of it are an error.
///
/// # Errors
/// The input cannot be read, or its packing is damaged where it begins.
pub fn open_at_most(mut input: impl BufRead + 'static, most: u64) -> io::Result<Box<dyn BufRead>> {
    let mut head = Vec::new();
    input.by_ref().take(MAGIC).read_to_end(&mut head)?;
    let packing = Packing::of(&head);
    let input: Chain<_, _> = Cursor::new(head).chain(input);
    let unpacked: Box<dyn Read> = match packing {
        Packing::None => Box::new(input),
        Packing::Gzip => Box::new(MultiGzDecoder::new(input)),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Packing::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY,
                liblzma::stream::CONCATENATED,
            )?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Packing::Zip => Box::new(Zip::open(input)?),
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, Capped { inner: unpacked, left: most })))
}

/// Tells how something is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
    Xz,
    Zip,
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        let known = [
            (&[0x1f, 0x8b][..], Self::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Xz),
            (b"PK\x03\x04", Self::Zip),
            (b"PK\x05\x06", Self::Zip),
        ];
        let found = known.iter().find(|(magic, _)| head.starts_with(magic));
        found.map_or(Self::None, |(_, packing)| *packing)
    }
}

/// Gives an error where more comes than may.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let octets = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(octets).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "unpacks to more than a feed has")
        })?;
        Ok(read)
    }
}

/// The files of an archive, one after the other. Its directory is at its end, so it is held whole.
struct Zip {
    archive: Arc<Vec<u8>>,
    /// What is still to come, the last first.
    files: Vec<Packed>,
    current: Option<(CrcReader<Box<dyn Read>>, u32)>,
}

/// One file, as it stands in the archive.
struct Packed {
    at: Range<usize>,
    is_deflated: bool,
    crc: u32,
}

/// The octets of one file.
struct Slice {
    archive: Arc<Vec<u8>>,
    at: Range<usize>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self.archive.get(self.at.clone()).unwrap_or_default()
    }
}

impl Zip {
    fn open(input: impl Read) -> io::Result<Self> {
        let mut archive = Vec::new();
        input.take(MOST_ARCHIVE + 1).read_to_end(&mut archive)?;
        if MOST_ARCHIVE < u64::try_from(archive.len()).unwrap_or(u64::MAX) {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is too large a zip archive"));
        }
        let mut directory = zip::ZipArchive::new(Cursor::new(archive.as_slice()))?;
        let mut files = Vec::new();
        for index in (0..directory.len()).rev() {
            let file = directory.by_index_raw(index)?;
            if file.is_dir() {
                continue;
            }
            let method = file.compression();
            let is_deflated = method == zip::CompressionMethod::DEFLATE;
            if file.encrypted() || !(is_deflated || method == zip::CompressionMethod::Stored) {
                return Err(damaged("is a zip archive with a password or of an unusual kind"));
            }
            let range = || {
                let start = usize::try_from(file.data_start()?).ok()?;
                let end = start.checked_add(usize::try_from(file.compressed_size()).ok()?)?;
                (end <= archive.len()).then_some(start..end)
            };
            let at = range().ok_or_else(|| damaged("is a zip archive that was cut"))?;
            files.push(Packed { at, is_deflated, crc: file.crc32() });
        }
        Ok(Self { archive: Arc::new(archive), files, current: None })
    }
}

impl Read for Zip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some((file, crc)) = &mut self.current else {
                let Some(Packed { at, is_deflated, crc }) = self.files.pop() else { return Ok(0) };
                let slice = Cursor::new(Slice { archive: Arc::clone(&self.archive), at });
                let file: Box<dyn Read> = if is_deflated {
                    Box::new(DeflateDecoder::new(slice))
                } else {
                    Box::new(slice)
                };
                self.current = Some((CrcReader::new(file), crc));
                continue;
            };
            let read = file.read(buffer)?;
            if read != 0 {
                return Ok(read);
            }
            if file.crc().sum() != *crc {
                return Err(damaged("is a damaged zip archive"));
            }
            self.current = None;
            // Its last line may be without an end, and the next file begins a new one.
            if let Some(first) = buffer.first_mut() {
                *first = b'\n';
            }
            return Ok(1);
        }
    }
}

fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Reads any octets, for the fuzzer and its replay.
#[doc(hidden)]
pub fn fuzz_unpack(octets: &[u8]) {
    const MOST: u64 = 1 << 20;
    if let Ok(unpacked) = open_at_most(Cursor::new(octets.to_vec()), MOST) {
        let read = io::copy(&mut { unpacked }, &mut io::sink());
        assert!(read.is_err() || read.is_ok_and(|read| read <= MOST), "more than may be");
    }
}

/// The largest public lists have a few hundred megabytes; a bomb has more.
pub const MOST_OCTETS: u64 = 2 << 30;
/// What the longest magic number takes.
const MAGIC: u64 = 6;
const BUFFER: usize = 1 << 16;
/// A zip archive is held in memory.
const MOST_ARCHIVE: u64 = 256 << 20;
/// 128 MiB, as `zstd --long` makes; nothing for a feed is made with more.
const ZSTD_WINDOW_LOG: u32 = 27;
/// What `xz -9` needs for reading is 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const PLAIN: &[u8] = b"evil.test\nbad.test\n";

    #[test]
    fn a_feed_is_read_however_it_is_packed() {
        for packed in [PLAIN.to_vec(), gzip(PLAIN), zstd(PLAIN), xz(PLAIN)] {
            assert_eq!(unpacked(&packed, 1 << 20).unwrap(), PLAIN);
        }
        assert_eq!(unpacked(b"", 1).unwrap(), b"");
        assert_eq!(unpacked(b"P", 1).unwrap(), b"P");
    }

    #[test]
    fn members_follow_each_other() {
        for packed in [gzip(PLAIN), zstd(PLAIN), xz(PLAIN)] {
            let twice = [packed.as_slice(), packed.as_slice()].concat();
            assert_eq!(unpacked(&twice, 1 << 20).unwrap(), [PLAIN, PLAIN].concat());
        }
    }

    #[test]
    fn the_files_of_a_zip_come_in_their_order_without_folders() {
        let packed = zip(&[("a.txt", b"evil.test"), ("b/", b""), ("b/c.txt", b"bad.test\n")]);
        assert_eq!(unpacked(&packed, 1 << 20).unwrap(), b"evil.test\nbad.test\n\n");
        assert_eq!(unpacked(&zip(&[]), 1 << 20).unwrap(), b"");
    }

    #[test]
    fn a_bomb_ends_in_an_error() {
        let zeros = vec![0; 1 << 20];
        for packed in [zeros.clone(), gzip(&zeros), zstd(&zeros), xz(&zeros), zip(&[("a", &zeros)])]
        {
            let error = unpacked(&packed, (1 << 20) - 1).unwrap_err();
            assert_eq!(error.to_string(), "unpacks to more than a feed has");
        }
    }

    #[test]
    fn what_is_damaged_says_so() {
        for packed in [gzip(PLAIN), zstd(PLAIN), xz(PLAIN), zip(&[("a", PLAIN)])] {
            assert!(unpacked(&packed[..packed.len() / 2], 1 << 20).is_err());
            let mut damaged = packed.clone();
            let middle = packed.len() / 3;
            damaged[middle] ^= 0x55;
            damaged[middle + 1] ^= 0x55;
            if let Ok(read) = unpacked(&damaged, 1 << 20) {
                assert_eq!(read, unpacked(&packed, 1 << 20).unwrap(), "changed unnoticed");
            }
        }
    }

    fn unpacked(packed: &[u8], most: u64) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        open_at_most(Cursor::new(packed.to_vec()), most)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        let mut packer = zstd::Encoder::new(Vec::new(), 3).unwrap();
        packer.include_checksum(true).unwrap();
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    fn xz(plain: &[u8]) -> Vec<u8> {
        let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 1);
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut packer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, octets) in files {
            if name.ends_with('/') {
                packer.add_directory(*name, options).unwrap();
            } else {
                packer.start_file(*name, options).unwrap();
                packer.write_all(octets).unwrap();
            }
        }
        packer.finish().unwrap().into_inner()
    }
}
