//! Whether to look a few times before sleeping.
//!
//! Waking a thread takes longer than what it then does with a small packet, and a conversation of small packets wakes it
//! twice a round trip. While the last waits of such a conversation were short, looking for as long as one of them
//! spares that. Of what moves in bulk, or comes seldom, nothing is gained: there it costs power only.
//!
//! # Invariants
//! - After a wait that was looked through in vain, several short ones have to come before the next is.

use std::time::{Duration, Instant};

/// How the last waits were.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// Short ones in a row.
    short: u8,
}

impl Spin {
    /// Returns for how long to look, after a turn that moved so many octets.
    pub(crate) fn look_for(&self, moved: usize) -> Duration {
        let is_talk = 0 < moved && moved <= SMALL;
        if is_talk && ENOUGH <= self.short { LOOK } else { Duration::ZERO }
    }

    /// Takes note of a wait.
    pub(crate) fn waited(&mut self, began: Instant, ended: Instant) {
        let is_short = ended.saturating_duration_since(began) <= LOOK;
        self.short = if is_short { self.short.saturating_add(1) } else { 0 };
    }
}

/// Octets of a turn up to which it is talk: a few packets.
const SMALL: usize = 4_096;
/// Longer than a round trip on the same machine, shorter than any that a person could notice.
const LOOK: Duration = Duration::from_micros(50);
const ENOUGH: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_talk_is_looked_for_and_one_long_wait_ends_it() {
        let clock = crate::clock::Clock::new();
        let (mut spin, start) = (Spin::default(), clock.now());
        for _ in 0..ENOUGH {
            assert_eq!(spin.look_for(64), Duration::ZERO);
            spin.waited(start, start + LOOK);
        }
        for (moved, expected) in [(64, LOOK), (0, Duration::ZERO), (SMALL + 1, Duration::ZERO)] {
            assert_eq!(spin.look_for(moved), expected);
        }
        spin.waited(start, start + LOOK * 2);
        assert_eq!(spin.look_for(64), Duration::ZERO);
    }
}
