//! The one place where a device reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bartizan_model::UnixMillis;
use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that counts the time a device sleeps, and a wall clock that can be corrected.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
    boot_origin: Duration,
    /// What the portal's clock is ahead of the device's, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Starts a clock; clones share their correction.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the device's one clock")]
    pub fn new() -> Self {
        Self { origin: Instant::now(), boot_origin: since_boot(), ahead_ms: Arc::default() }
    }

    /// Returns the monotonic time, asleep or not.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.origin + since_boot().saturating_sub(self.boot_origin)
    }

    /// Returns the wall time, as the portal would have it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the device's one clock")]
    pub fn wall(&self) -> UnixMillis {
        let local =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let local = u64::try_from(local.as_millis()).unwrap_or(u64::MAX);
        UnixMillis(local.saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed)))
    }

    /// Takes the portal's time for right. A few seconds are the network's, and left alone.
    pub fn correct(&self, portal: UnixMillis) {
        let behind = portal.0.cast_signed().saturating_sub(self.wall().0.cast_signed());
        if TOLERATED_MS < behind.unsigned_abs() {
            self.ahead_ms.fetch_add(behind, Ordering::Relaxed);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

fn since_boot() -> Duration {
    clock_gettime(SINCE_BOOT).try_into().unwrap_or_default()
}

/// The clock that goes on while the device sleeps.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// Darwin's `CLOCK_MONOTONIC` goes on while the device sleeps, unlike Linux's; `CLOCK_UPTIME_RAW`, which `Instant` reads
/// there, does not.
#[cfg(target_vendor = "apple")]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

const TOLERATED_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_wall_clock_is_corrected_and_a_little_delay_is_not() {
        let clock = Clock::new();
        let local = clock.wall();
        clock.correct(UnixMillis(local.0 + 2_000));
        assert!(clock.wall().0 < local.0 + 1_500);
        clock.correct(UnixMillis(local.0 + 3_600_000));
        assert!(local.0 + 3_590_000 < clock.wall().0);
    }
}
