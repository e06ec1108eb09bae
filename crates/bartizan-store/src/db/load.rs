//! What the writers have done, in numbers that only grow, and what waits for them.

use std::sync::atomic::{AtomicU64, Ordering};

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
