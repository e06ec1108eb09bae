//! Memory for octets in flight: chunks that all connections share, and queues made of them.
//!
//! A connection without octets in flight holds no chunk. Chunks are allocated as they are first needed and
//! then kept; their number is bounded.
//!
//! # Invariants
//! - In a [`Queue`] every chunk but the last is full to its end, and the first begins at `start`.
//! - Each chunk is free or in exactly one queue.

use crate::limits::{CHUNK_OCTETS, CHUNKS};

/// All chunks.
#[derive(Default)]
pub(crate) struct Pool {
    /// Each is away while it is being filled.
    chunks: Vec<Option<Box<[u8]>>>,
    /// The chunk that follows in the same queue.
    next: Vec<u16>,
    free: Vec<u16>,
}

impl Pool {
    /// Returns how many chunks may still be taken.
    pub(crate) fn available(&self) -> usize {
        CHUNKS - self.chunks.len() + self.free.len()
    }

    fn take(&mut self) -> Option<u16> {
        if let Some(chunk) = self.free.pop() {
            return Some(chunk);
        }
        if CHUNKS <= self.chunks.len() {
            return None;
        }
        let chunk = u16::try_from(self.chunks.len()).ok()?;
        // Zeroed by the system: it costs no memory before it is written to.
        self.chunks.push(Some(vec![0; CHUNK_OCTETS].into_boxed_slice()));
        self.next.push(NONE);
        Some(chunk)
    }

    fn give(&mut self, chunk: u16) {
        self.free.push(chunk);
    }

    fn after(&self, chunk: u16) -> u16 {
        self.next.get(usize::from(chunk)).copied().unwrap_or(NONE)
    }

    fn link(&mut self, chunk: u16, next: u16) {
        if let Some(place) = self.next.get_mut(usize::from(chunk)) {
            *place = next;
        }
    }

    /// Hands out several chunks at once.
    fn with<T>(
        &mut self,
        line: &[u16; FILL_CHUNKS],
        then: impl FnOnce(&mut [&mut [u8]; FILL_CHUNKS]) -> T,
    ) -> T {
        let mut away: [Option<Box<[u8]>>; FILL_CHUNKS] = Default::default();
        for (away, chunk) in away.iter_mut().zip(line) {
            *away = self.chunks.get_mut(usize::from(*chunk)).and_then(Option::take);
        }
        let mut places = away.each_mut().map(|chunk| chunk.as_deref_mut().unwrap_or_default());
        let said = then(&mut places);
        for (away, chunk) in away.into_iter().zip(line) {
            if let Some(place) = self.chunks.get_mut(usize::from(*chunk)) {
                *place = away;
            }
        }
        said
    }

    fn octets(&self, chunk: u16) -> &[u8] {
        self.chunks.get(usize::from(chunk)).and_then(|octets| octets.as_deref()).unwrap_or_default()
    }

    fn octets_mut(&mut self, chunk: u16) -> &mut [u8] {
        let octets = self.chunks.get_mut(usize::from(chunk));
        octets.and_then(|octets| octets.as_deref_mut()).unwrap_or_default()
    }
}

/// Octets in order, first in, first out.
#[derive(Debug)]
pub(crate) struct Queue {
    first: u16,
    last: u16,
    /// Where the octets begin in the first chunk.
    start: u16,
    /// Where they end in the last chunk.
    end: u16,
    len: u32,
    chunks: u16,
}

impl Default for Queue {
    fn default() -> Self {
        Self { first: NONE, last: NONE, start: 0, end: 0, len: 0, chunks: 0 }
    }
}

impl Queue {
    /// Returns how many octets are in it.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many octets it may take in: what is left of its last chunk, and a fair part of the free
    /// ones. Nobody gets more chunks than stay free, so a busy connection leaves room for others.
    pub(crate) fn room(&self, pool: &Pool) -> usize {
        let rest = if self.chunks == 0 { 0 } else { CHUNK_OCTETS - usize::from(self.end) };
        let (held, free) = (usize::from(self.chunks), pool.available());
        let share = if held == 0 { free.div_ceil(2) } else { free.saturating_sub(held) / 2 };
        rest + share * CHUNK_OCTETS
    }

    /// Adds octets as far as there is room; returns how many.
    pub(crate) fn push(&mut self, pool: &mut Pool, mut octets: &[u8]) -> usize {
        let mut room = self.room(pool);
        let before = octets.len();
        while !octets.is_empty() && 0 < room {
            if (self.chunks == 0 || usize::from(self.end) == CHUNK_OCTETS) && !self.grow(pool) {
                break;
            }
            let place = pool.octets_mut(self.last).get_mut(usize::from(self.end)..);
            let place = place.unwrap_or_default();
            let count = place.len().min(octets.len()).min(room);
            let (now, later) = octets.split_at(count);
            if let Some(place) = place.get_mut(..count) {
                place.copy_from_slice(now);
            }
            octets = later;
            room -= count;
            self.add(count);
        }
        before - octets.len()
    }

    /// Lets `fill` put octets into up to `max` octets of room, in several places; it returns how many it put there,
    /// from the first on, beside whatever else it has to say.
    pub(crate) fn fill<T>(
        &mut self,
        pool: &mut Pool,
        max: usize,
        fill: impl FnOnce(&mut [&mut [u8]]) -> (usize, T),
    ) -> T {
        // New chunks are lined up behind the last one, and join the queue as far as they were filled.
        let mut line = [NONE; FILL_CHUNKS];
        let (kept, fresh) = line.split_at_mut(1);
        let rest = if self.chunks == 0 { 0 } else { CHUNK_OCTETS - usize::from(self.end) }.min(max);
        if 0 < rest {
            kept.fill(self.last);
        }
        let wanted = (max - rest).div_ceil(CHUNK_OCTETS);
        for place in fresh.iter_mut().take(wanted) {
            *place = pool.take().unwrap_or(NONE);
        }
        let start = usize::from(self.end);
        let (count, said) = pool.with(&line, |places| {
            let (kept, fresh) = places.split_at_mut(1);
            if let Some(place) = kept.first_mut() {
                *place = std::mem::take(place).get_mut(start..).unwrap_or_default();
            }
            let mut left = max;
            for place in kept.iter_mut().chain(fresh) {
                let whole = std::mem::take(place);
                let count = whole.len().min(left);
                *place = whole.get_mut(..count).unwrap_or_default();
                left -= count;
            }
            fill(places)
        });
        self.add(count.min(rest));
        let mut left = count - count.min(rest);
        let fresh = line.get(1..).unwrap_or_default();
        let joined = fresh.iter().filter(|chunk| **chunk != NONE).take(left.div_ceil(CHUNK_OCTETS));
        let joined = joined.count();
        for chunk in fresh.iter().take(joined) {
            self.append(pool, *chunk);
            self.add(left.min(CHUNK_OCTETS));
            left -= left.min(CHUNK_OCTETS);
        }
        // The first of the rest is to be the next one that is taken, while it is warm.
        for chunk in fresh.iter().skip(joined).rev().filter(|chunk| **chunk != NONE) {
            pool.give(*chunk);
        }
        said
    }

    /// Drops octets from its beginning.
    pub(crate) fn consume(&mut self, pool: &mut Pool, count: u32) {
        let count = count.min(self.len);
        self.len -= count;
        let mut start = usize::from(self.start) + count as usize;
        while CHUNK_OCTETS <= start || (self.len == 0 && 0 < self.chunks) {
            let emptied = self.first;
            self.first = pool.after(emptied);
            pool.give(emptied);
            self.chunks -= 1;
            start = start.saturating_sub(CHUNK_OCTETS);
            if self.chunks == 0 {
                *self = Self::default();
                return;
            }
        }
        self.start = u16::try_from(start).unwrap_or(0);
    }

    /// Drops all.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.consume(pool, self.len);
    }

    /// Yields `count` octets from this place on, in pieces.
    pub(crate) fn pieces<'a>(&self, pool: &'a Pool, at: u32, count: usize) -> Pieces<'a> {
        let mut skip = usize::from(self.start) + at as usize;
        let mut chunk = self.first;
        while CHUNK_OCTETS <= skip {
            chunk = pool.after(chunk);
            skip -= CHUNK_OCTETS;
        }
        Pieces { pool, chunk, skip, left: count.min((self.len.saturating_sub(at)) as usize) }
    }

    fn grow(&mut self, pool: &mut Pool) -> bool {
        let Some(chunk) = pool.take() else { return false };
        self.append(pool, chunk);
        true
    }

    fn append(&mut self, pool: &mut Pool, chunk: u16) {
        pool.link(chunk, NONE);
        if self.chunks == 0 {
            (self.first, self.start) = (chunk, 0);
        } else {
            pool.link(self.last, chunk);
        }
        (self.last, self.end) = (chunk, 0);
        self.chunks += 1;
    }

    /// Counts octets that were put behind the last.
    fn add(&mut self, count: usize) {
        self.end += u16::try_from(count).unwrap_or(0);
        self.len += u32::try_from(count).unwrap_or(0);
    }
}

/// See [`Queue::pieces`].
pub(crate) struct Pieces<'a> {
    pool: &'a Pool,
    chunk: u16,
    skip: usize,
    left: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let octets = self.pool.octets(self.chunk).get(self.skip..).unwrap_or_default();
        let octets = octets.get(..self.left).unwrap_or(octets);
        if octets.is_empty() {
            return None;
        }
        self.left -= octets.len();
        self.skip = 0;
        self.chunk = self.pool.after(self.chunk);
        Some(octets)
    }
}

/// No chunk.
const NONE: u16 = u16::MAX;
/// Chunks that [`Queue::fill`] fills at once.
const FILL_CHUNKS: usize = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_goes_in_comes_out_in_order(steps in proptest::collection::vec((0..4u8, 0..40_000usize), 1..24)) {
            let mut pool = Pool::default();
            let mut queue = Queue::default();
            let mut model = std::collections::VecDeque::new();
            let mut counter = 0u8;
            let mut fresh = move |len: usize| -> Vec<u8> {
                (0..len).map(|_| { counter = counter.wrapping_mul(5).wrapping_add(1); counter }).collect()
            };
            for (kind, count) in steps {
                match kind {
                    0 => {
                        let octets = fresh(count);
                        let taken = queue.push(&mut pool, &octets);
                        model.extend(&octets[..taken]);
                    }
                    1 => {
                        let max = queue.room(&pool).min(count);
                        let octets = fresh(max);
                        let taken = queue.fill(&mut pool, max, |places| {
                            let mut at = 0;
                            for place in places {
                                let count = place.len().min(octets.len() - at);
                                place[..count].copy_from_slice(&octets[at..at + count]);
                                at += count;
                            }
                            (at, at)
                        });
                        model.extend(&octets[..taken]);
                    }
                    2 => {
                        let count = count.min(model.len());
                        queue.consume(&mut pool, u32::try_from(count).unwrap());
                        model.drain(..count);
                    }
                    _ => {
                        let at = count.min(model.len());
                        let pieces: Vec<u8> = queue
                            .pieces(&pool, u32::try_from(at).unwrap(), count)
                            .flatten()
                            .copied()
                            .collect();
                        let expected: Vec<u8> = model.iter().skip(at).take(count).copied().collect();
                        prop_assert_eq!(pieces, expected);
                    }
                }
                prop_assert_eq!(queue.len() as usize, model.len());
                let all: Vec<u8> = queue.pieces(&pool, 0, usize::MAX).flatten().copied().collect();
                prop_assert!(all.iter().eq(model.iter()));
            }
            queue.clear(&mut pool);
            prop_assert_eq!(pool.available(), CHUNKS);
        }
    }

    #[test]
    fn nobody_takes_all_and_somebody_always_gets_some() {
        let mut pool = Pool::default();
        let mut greedy = Queue::default();
        while 0 < greedy.push(&mut pool, &[7; CHUNK_OCTETS]) {}
        let mut modest = Queue::default();
        assert!(CHUNK_OCTETS <= modest.push(&mut pool, &[7; CHUNK_OCTETS]));
        assert!(CHUNKS / 3 <= pool.available());
    }
}
