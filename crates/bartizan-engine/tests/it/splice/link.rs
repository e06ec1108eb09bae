//! One direction of the way between the application and the engine, as bad as wanted.

use std::collections::BTreeMap;

use super::Micros;
use super::random::Random;

/// How bad it is. Shares are of a thousand packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    pub(crate) delay: Micros,
    pub(crate) jitter: Micros,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) late: u64,
}

impl Quality {
    /// Each packet arrives once, and in order.
    pub(crate) fn is_faithful(&self) -> bool {
        self.lost + self.twice + self.late == 0
    }
}

pub(crate) struct Link {
    quality: Quality,
    random: Random,
    queue: BTreeMap<(Micros, u64), Vec<u8>>,
    /// When the last packet arrives that was not late.
    last: Micros,
    pub(crate) sent: u64,
}

impl Link {
    pub(crate) fn new(quality: Quality, seed: u64) -> Self {
        Self { quality, random: Random::new(seed), queue: BTreeMap::new(), last: 0, sent: 0 }
    }

    pub(crate) fn send(&mut self, packet: Vec<u8>, now: Micros) {
        self.sent += 1;
        let Quality { delay, jitter, lost, twice, late } = self.quality;
        if self.random.per_mille(lost) {
            return;
        }
        let mut at = now + delay + self.random.between(0, jitter);
        if self.random.per_mille(late) {
            at += self.random.between(1, delay / 2 + 20_000);
        } else {
            at = at.max(self.last);
            self.last = at;
        }
        if self.random.per_mille(twice) {
            let again = at + self.random.between(0, 10_000);
            self.queue.insert((again, self.sent << 1 | 1), packet.clone());
        }
        self.queue.insert((at, self.sent << 1), packet);
    }

    pub(crate) fn next(&self) -> Option<Micros> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Takes a packet that has arrived.
    pub(crate) fn take(&mut self, now: Micros) -> Option<Vec<u8>> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
