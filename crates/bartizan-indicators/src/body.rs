//! Writing the body of an indicator file: by the builder, and by a device that applies a delta.
//!
//! Both give the same octets for the same rows, which is how a device knows that it applied a delta right. Rows are
//! taken one by one and written shard by shard: what is held at a time is one shard and its map, about 6 MiB.

use crate::container::Damaged;
use crate::file::Parameters;
use crate::networks::{Networks, Place};
use crate::shard::{Row, Shard, Widths};

/// What stands before the shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sections {
    pub(crate) palette: Vec<u8>,
    pub(crate) sources: Vec<u8>,
    pub(crate) v4: Vec<u8>,
    pub(crate) v6: Vec<u8>,
}

/// Takes rows and writes a body.
pub(crate) struct BodyWriter<W> {
    write: W,
    parameters: Parameters,
    at: usize,
    shard: u64,
    rows: Vec<Row>,
    directory: Vec<u8>,
}

/// Why a body could not be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError<E> {
    /// What it goes to does not take it.
    Sink(E),
    /// What it is made from is damaged.
    Damaged,
    /// No map can be built for a shard, or the whole is too large for its numbers.
    Unlucky,
}

impl<E> From<Damaged> for BodyError<E> {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

impl<E, W: FnMut(&[u8]) -> Result<(), E>> BodyWriter<W> {
    /// Writes the sections. `rows` is how many will follow.
    pub(crate) fn start(
        write: W,
        hash_key: [u8; 16],
        kinds: u16,
        sections: &Sections,
        rows: u64,
    ) -> Result<Self, BodyError<E>> {
        let colors = sections.palette.len() / crate::file::PALETTE_RECORD;
        let attribute_bits =
            colors.checked_next_power_of_two().and_then(usize::checked_ilog2).unwrap_or(0);
        let shard_bits = rows.div_ceil(SHARD_ROWS).max(1).next_power_of_two().ilog2();
        let mut writer = Self {
            write,
            parameters: Parameters {
                hash_key,
                rows,
                widths: Widths { shard_bits, attribute_bits },
                kinds,
                directory: 0,
                palette: Place::default(),
                sources: Place::default(),
                networks: Networks::default(),
            },
            at: 0,
            shard: 0,
            rows: Vec::with_capacity(
                usize::try_from(rows.min(SHARD_ROWS + SHARD_ROWS / 64)).unwrap_or(0),
            ),
            directory: Vec::new(),
        };
        writer.parameters.palette = writer.section(&sections.palette)?;
        writer.parameters.sources = writer.section(&sections.sources)?;
        writer.parameters.networks.v4 = writer.section(&sections.v4)?;
        writer.parameters.networks.v6 = writer.section(&sections.v6)?;
        Ok(writer)
    }

    /// Takes the next row. They come ascending by hash, each hash once.
    pub(crate) fn row(&mut self, row: Row) -> Result<(), BodyError<E>> {
        let bits = self.parameters.widths.shard_bits;
        let shard = row.hash.checked_shr(u64::BITS - bits).unwrap_or(0);
        while self.shard < shard {
            self.end_shard()?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Writes what is left, and returns the parameters that the header needs.
    pub(crate) fn finish(mut self) -> Result<Parameters, BodyError<E>> {
        while self.shard < 1 << self.parameters.widths.shard_bits {
            self.end_shard()?;
        }
        self.parameters.directory = self.at;
        let directory = std::mem::take(&mut self.directory);
        (self.write)(&directory).map_err(BodyError::Sink)?;
        Ok(self.parameters)
    }

    fn end_shard(&mut self) -> Result<(), BodyError<E>> {
        let (shard, octets) = Shard::encode(&self.rows, self.parameters.widths, self.at)
            .filter(|_| self.at < MAX_BODY)
            .ok_or(BodyError::Unlucky)?;
        self.directory.extend_from_slice(&shard.record());
        self.put(&octets)?;
        self.rows.clear();
        self.shard += 1;
        Ok(())
    }

    /// Writes octets and pads them to a multiple of eight.
    fn section(&mut self, octets: &[u8]) -> Result<Place, BodyError<E>> {
        let place = Place { at: self.at, len: octets.len() };
        self.put(octets)?;
        let padding = [0; 8];
        let missing = self.at.next_multiple_of(8) - self.at;
        self.put(padding.get(..missing).unwrap_or_default())?;
        Ok(place)
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), BodyError<E>> {
        self.at += octets.len();
        (self.write)(octets).map_err(BodyError::Sink)
    }
}

/// Rows of a shard on average, at the most: its map and what it takes to build it fit into 6 MiB.
const SHARD_ROWS: u64 = 130_000;
/// 256 MiB, what a container holds at the most.
const MAX_BODY: usize = 256 << 20;
