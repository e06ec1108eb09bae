//! How often an application may call: [`RATE`] times a second, and [`BURST`] times at once.
//!
//! # Invariants
//! - At most [`CAPACITY`] applications are remembered; who is forgotten begins anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::ApplicationId;

/// What each application has left.
#[derive(Default)]
pub(crate) struct Rates {
    buckets: Mutex<BTreeMap<(TenantId, ApplicationId), Bucket>>,
}

struct Bucket {
    /// Calls times a thousand.
    left: u64,
    at: UnixMillis,
}

impl Rates {
    /// Takes one call; or tells after how many seconds there is one.
    pub(crate) fn take(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        now: UnixMillis,
    ) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant, application);
        if CAPACITY <= buckets.len() && !buckets.contains_key(&key) {
            buckets.pop_first();
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: BURST * A_CALL, at: now });
        let passed = now.0.saturating_sub(bucket.at.0);
        bucket.left = bucket.left.saturating_add(passed.saturating_mul(RATE)).min(BURST * A_CALL);
        bucket.at = now;
        match bucket.left.checked_sub(A_CALL) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(1),
        }
    }
}

/// A second.
pub(crate) const RATE: u64 = 100;
/// At once.
pub(crate) const BURST: u64 = 1_000;
const A_CALL: u64 = 1_000;
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let rates = Rates::default();
        let take = |application: u128, ms: u64| {
            rates.take(TenantId(1), ApplicationId(application), UnixMillis(1_000_000 + ms))
        };
        for _ in 0..BURST {
            assert_eq!(take(1, 0), Ok(()));
        }
        assert_eq!(take(1, 0), Err(1));
        assert_eq!(take(2, 0), Ok(()));
        for _ in 0..RATE {
            assert_eq!(take(1, 1_000), Ok(()));
        }
        assert_eq!(take(1, 1_000), Err(1));
    }

    #[test]
    fn no_number_of_applications_takes_more_memory() {
        let rates = Rates::default();
        for application in 0..2 * u128::try_from(CAPACITY).unwrap() {
            assert_eq!(rates.take(TenantId(1), ApplicationId(application), UnixMillis(1)), Ok(()));
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), CAPACITY);
    }
}
