//! Proofs that were seen, so that none is taken twice.
//!
//! Of an id, which is a hash, the first 64 bits are kept: that two of them meet by chance within the minutes that matter is
//! less likely than that the machine fails, and costs one request that is sent again.
//!
//! Two generations of ids: when the younger is as old as a proof can be, or full, it becomes the elder
//! and the elder is forgotten. A proof is accepted within [`MAX_AGE_MS`] either side of its time, so an
//! id matters for twice as long.
//!
//! # Invariants
//! - At most `2 * GENERATION` ids.
//! - Ids enter only after the caller's other credential was verified, so a stranger cannot fill it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bartizan_contract::dpop::MAX_AGE_MS;
use bartizan_model::UnixMillis;

/// The ids.
#[derive(Default)]
pub(crate) struct Replays {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    began_at: UnixMillis,
    younger: HashSet<u64>,
    elder: HashSet<u64>,
}

impl Replays {
    /// Remembers a proof's id; `false` if it was seen before.
    pub(crate) fn accept(&self, id: [u8; 32], now: UnixMillis) -> bool {
        let [a, b, c, d, e, f, g, h, ..] = id;
        let id = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let mut guard = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let generations = &mut *guard;
        let age_ms = now.0.abs_diff(generations.began_at.0);
        if 2 * MAX_AGE_MS < age_ms || GENERATION <= generations.younger.len() {
            generations.elder = std::mem::take(&mut generations.younger);
            generations.began_at = now;
        }
        !generations.elder.contains(&id) && generations.younger.insert(id)
    }
}

/// Four minutes at 17,000 requests a second, more than a portal carries; full, about 75 MB each. A set is as large as what is in it.
const GENERATION: usize = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_remembered_as_long_as_it_matters() {
        let replays = Replays::default();
        let at = |ms| UnixMillis(1_800_000_000_000 + ms);
        assert!(replays.accept([1; 32], at(0)));
        assert!(!replays.accept([1; 32], at(0)));
        assert!(!replays.accept([1; 32], at(2 * MAX_AGE_MS)));
        assert!(replays.accept([2; 32], at(2 * MAX_AGE_MS)));
        assert!(replays.accept([3; 32], at(2 * MAX_AGE_MS + 1)));
        assert!(!replays.accept([2; 32], at(4 * MAX_AGE_MS)));
        assert!(replays.accept([4; 32], at(5 * MAX_AGE_MS)));
        assert!(replays.accept([1; 32], at(5 * MAX_AGE_MS)));
    }
}
