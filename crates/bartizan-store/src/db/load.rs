//! What the writers have done, in numbers that only grow, and what waits for them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bartizan_model::UnixMillis;

/// How much the store has to do. Counts are of this process, since it opened the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLoad {
    /// Changes that wait for a writer.
    pub waiting: u64,
    /// How many may wait.
    pub room: u64,
    /// Transactions that are on disk.
    pub commits: u64,
    /// Transactions that failed.
    pub failed_commits: u64,
    /// Changes in those that are on disk.
    pub changes: u64,
    /// Transactions by how many changes they held: at most as many as [`GROUP_SIZES`] says.
    pub groups: [u64; GROUP_SIZES.len()],
    /// What was refused because too much was waiting.
    pub refused: u64,
}

/// The bounds by which groups are counted; no group is larger than the last.
pub const GROUP_SIZES: [u64; 5] = [1, 4, 16, 64, 256];

/// The counters behind it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    failed_commits: AtomicU64,
    changes: AtomicU64,
    groups: [AtomicU64; GROUP_SIZES.len()],
    refused: AtomicU64,
    /// Whether something did not fit on the disk since this was asked last.
    met_full_disk: AtomicBool,
    /// When it was asked and had; Unix milliseconds, 0 for never.
    full_disk_at: AtomicU64,
}

impl Tally {
    pub(super) fn committed(&self, jobs: usize) {
        let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
        self.changes.fetch_add(jobs, Ordering::Relaxed);
        let group = GROUP_SIZES.iter().zip(&self.groups).find(|(most, _)| jobs <= **most);
        if let Some((_, count)) = group {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self) {
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn met_full_disk(&self) {
        self.met_full_disk.store(true, Ordering::Relaxed);
    }

    /// Whether something did not fit on the disk a short while ago.
    ///
    /// On a full disk much of what is written finds room in PostgreSQL's pages, and on a disk that has its log a check does.
    pub(super) fn is_disk_full(&self, now: UnixMillis) -> bool {
        if self.met_full_disk.swap(false, Ordering::Relaxed) {
            self.full_disk_at.store(now.0, Ordering::Relaxed);
        }
        let at = self.full_disk_at.load(Ordering::Relaxed);
        at != 0 && now.0.saturating_sub(at) < FULL_FOR_MS
    }

    pub(super) fn load(&self, waiting: usize, room: usize) -> StoreLoad {
        let groups = self.groups.each_ref().map(|count| count.load(Ordering::Relaxed));
        StoreLoad {
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            room: u64::try_from(room).unwrap_or(u64::MAX),
            commits: groups.iter().sum(),
            failed_commits: self.failed_commits.load(Ordering::Relaxed),
            changes: self.changes.load(Ordering::Relaxed),
            groups,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// Longer than devices wait before they send again what did not fit.
const FULL_FOR_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::{Tally, UnixMillis};

    #[test]
    fn a_disk_is_full_for_a_while_after_something_did_not_fit() {
        let tally = Tally::default();
        let is_full = |now| tally.is_disk_full(UnixMillis(now));
        assert!(!is_full(1_000_000));
        tally.met_full_disk();
        assert!(is_full(1_000_000) && is_full(1_009_999));
        tally.met_full_disk();
        assert!(is_full(1_009_999) && is_full(1_019_998));
        assert!(!is_full(1_019_999));
    }
}
