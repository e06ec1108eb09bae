//! How many alerts a device may raise: plenty for people, bounded for what is not people.
//!
//! A program that walks through listed names would raise an alert for each, and bury both the device's
//! disk and whoever reads the queue. A token bucket lets [`limits::ALERT_BURST`] through at once and one
//! more every [`limits::ALERT_EVERY`]. Beyond, names are blocked all the same, and counted.

use std::time::Instant;

use crate::limits;

/// The bucket.
pub(crate) struct AlertBudget {
    left: usize,
    refilled_at: Instant,
}

impl AlertBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: limits::ALERT_BURST, refilled_at: now }
    }

    /// Spends on one alert, if there is something left.
    pub(crate) fn spend(&mut self, now: Instant) -> bool {
        while self.left < limits::ALERT_BURST && self.refilled_at + limits::ALERT_EVERY <= now {
            self.left += 1;
            self.refilled_at += limits::ALERT_EVERY;
        }
        if self.left == limits::ALERT_BURST {
            // A full bucket gathers nothing for later.
            self.refilled_at = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_at_a_time_and_rest_fills_it_again() {
        let start = t0();
        let mut budget = AlertBudget::new(start);
        assert_eq!(granted(&mut budget, start), limits::ALERT_BURST);
        let next = start + limits::ALERT_EVERY;
        assert_eq!(granted(&mut budget, next - limits::ALERT_EVERY / 2), 0);
        assert_eq!(granted(&mut budget, next), 1);
        assert_eq!(granted(&mut budget, next + 3 * limits::ALERT_EVERY), 3);
        let rested = start + 10_000 * limits::ALERT_EVERY;
        assert_eq!(granted(&mut budget, rested), limits::ALERT_BURST);
    }

    fn granted(budget: &mut AlertBudget, now: Instant) -> usize {
        (0..2 * limits::ALERT_BURST).filter(|_| budget.spend(now)).count()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one reading of a clock in these tests: a place to start from"
    )]
    fn t0() -> Instant {
        Instant::now()
    }
}
