//! What is counted and measured, in memory that does not grow with the load.

use std::time::Duration;

/// How long things took: counts in buckets that are 1/128 of their time wide, so a quantile is right to 1 %.
#[derive(Clone)]
pub(crate) struct Durations {
    buckets: Vec<u64>,
    total: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], total: 0 }
    }
}

impl Durations {
    pub(crate) fn add(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(us)) {
            *bucket += 1;
        }
        self.total += 1;
    }

    /// In milliseconds; none if nothing was measured.
    pub(crate) fn quantile(&self, per_cent: u64) -> Option<f64> {
        let rank = (self.total * per_cent).div_ceil(100);
        let mut seen = 0;
        let at = self.buckets.iter().position(|count| {
            seen += count;
            0 < self.total && rank <= seen
        })?;
        Some(f64::from(u32::try_from(least_of(at)).unwrap_or(u32::MAX)) / 1_000.0)
    }
}

/// The first 128 microseconds have a bucket each; above, each doubling has 128.
fn bucket_of(us: u64) -> usize {
    let shift = (64 - us.leading_zeros()).saturating_sub(8);
    let at = u64::from(shift) * 128 + (us >> shift);
    usize::try_from(at).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

fn least_of(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    match bucket {
        0..256 => bucket,
        _ => (bucket % 128 + 128) << (bucket / 128 - 1),
    }
}

/// Up to an hour.
const BUCKETS: usize = 27 * 128;

/// What came of a load.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) checkins: Durations,
    pub(crate) alert_requests: Durations,
    pub(crate) checked_in: u64,
    pub(crate) alerts: u64,
    /// Answers that should not have come, and connections that broke.
    pub(crate) errors: u64,
    /// Of these, connections that broke.
    pub(crate) broken: u64,
    /// Asked to come back later.
    pub(crate) refused: u64,
    /// Least and most seconds that were asked.
    pub(crate) retry_after_s: Option<(u64, u64)>,
}

impl Figures {
    pub(crate) fn refuse(&mut self, retry_after_s: Option<u64>) {
        self.refused += 1;
        if let Some(s) = retry_after_s {
            let (least, most) = self.retry_after_s.unwrap_or((s, s));
            self.retry_after_s = Some((least.min(s), most.max(s)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_within_one_percent_below_what_fell_into_it() {
        for us in (0..3_000).chain([65_535, 65_536, 1_000_000, 3_599_000_000]) {
            let least = least_of(bucket_of(us));
            assert!(least <= us && us - least <= us / 100, "{us} us fell to {least} us");
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut durations = Durations::default();
        assert_eq!(durations.quantile(50), None);
        for us in 1..=100 {
            durations.add(Duration::from_micros(us));
        }
        assert_eq!(durations.quantile(50), Some(0.05));
        assert_eq!(durations.quantile(99), Some(0.099));
    }
}
