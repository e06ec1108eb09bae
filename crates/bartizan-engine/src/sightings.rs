//! Many blocks of one host make few alerts.
//!
//! The first block of a host by a detector is reported at once. Further ones within
//! [`limits::SIGHTING_WINDOW`] are counted, and reported together when the window ends, if there were
//! any: a browser asks for A, AAAA and HTTPS, and a page asks again and again.
//!
//! # Invariants
//! - Every block is in exactly one report: counts add up.
//! - At most [`limits::SIGHTINGS`] windows; for one more the oldest ends early.

use std::collections::VecDeque;
use std::time::Instant;

use bartizan_model::{Detector, DomainName, IndicatorAction, MatchedIndicator, UnixMillis};

use crate::limits;
use crate::verdict::Glance;

/// Blocks of one host by one detector, to be reported as one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) detector: Detector,
    /// What was asked for.
    pub(crate) host: DomainName,
    /// The indicator that decided.
    pub(crate) matched: MatchedIndicator,
    /// What was done.
    pub(crate) action: IndicatorAction,
    pub(crate) first_seen: UnixMillis,
    pub(crate) last_seen: UnixMillis,
    pub(crate) count: u32,
    pub(crate) indicator_epoch: u64,
}

/// The windows that are open, in the order in which they end.
#[derive(Default)]
pub(crate) struct Sightings {
    windows: VecDeque<Window>,
}

impl Sightings {
    /// Takes in one block; returns what is to be reported: an older window that had to end, and this
    /// block itself if it is a first one.
    pub(crate) fn record(&mut self, seen: Sighting, now: Instant) -> [Option<Sighting>; 2] {
        let same = |window: &Window| window.host == seen.host && window.detector == seen.detector;
        let place = self.windows.iter().position(same);
        let ended = match place {
            Some(place) => match self.windows.get_mut(place) {
                Some(window) if now < window.ends_at => {
                    window.count(seen);
                    return [None, None];
                }
                Some(_) | None => self.windows.remove(place),
            },
            None if limits::SIGHTINGS <= self.windows.len() => self.windows.pop_front(),
            None => None,
        };
        self.windows.push_back(Window {
            detector: seen.detector,
            host: seen.host.clone(),
            ends_at: now + limits::SIGHTING_WINDOW,
            further: None,
        });
        [ended.and_then(|window| window.further), Some(seen)]
    }

    /// Counts one more block into a window that counts already, which takes nothing of the heap; says whether
    /// there is one. Else it is for [`Sightings::record`].
    pub(crate) fn count(
        &mut self,
        glance: Glance,
        host: &DomainName,
        indicator_epoch: u64,
        wall: UnixMillis,
        now: Instant,
    ) -> bool {
        let same =
            |window: &&mut Window| Some(window.detector) == glance.detector && window.host == *host;
        let window = self.windows.iter_mut().find(same).filter(|window| now < window.ends_at);
        let Some(further) = window.and_then(|window| window.further.as_mut()) else { return false };
        if (further.action, further.indicator_epoch) != (glance.action, indicator_epoch) {
            return false;
        }
        further.last_seen = wall;
        further.count = further.count.saturating_add(1);
        true
    }

    /// Returns what a window counted that ended by `now`, one at a time.
    pub(crate) fn take_ended(&mut self, now: Instant) -> Option<Sighting> {
        while let Some(window) = self.windows.pop_front_if(|window| window.ends_at <= now) {
            if window.further.is_some() {
                return window.further;
            }
        }
        None
    }

    /// Returns when there is something to report. A window that counted nothing wakes nobody.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let counted = self.windows.iter().find(|window| window.further.is_some());
        counted.map(|window| window.ends_at)
    }
}

/// What follows a first block.
struct Window {
    detector: Detector,
    host: DomainName,
    ends_at: Instant,
    further: Option<Sighting>,
}

impl Window {
    fn count(&mut self, seen: Sighting) {
        self.further = Some(match self.further.take() {
            Some(so_far) => Sighting {
                first_seen: so_far.first_seen,
                count: so_far.count.saturating_add(seen.count),
                ..seen
            },
            None => seen,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_first_block_is_reported_and_further_ones_are_counted() {
        let mut sightings = Sightings::default();
        let start = t0();
        assert_eq!(sightings.record(seen(1, 100), start), [None, Some(seen(1, 100))]);
        assert_eq!(sightings.deadline(), None);
        for (seconds, stamp) in [(1, 101), (59, 159)] {
            assert_eq!(sightings.record(seen(1, stamp), start + s(seconds)), [None, None]);
        }
        assert_eq!(sightings.deadline(), Some(start + s(60)));
        assert_eq!(sightings.take_ended(start + s(59)), None);
        let counted = Sighting { first_seen: UnixMillis(101), count: 2, ..seen(1, 159) };
        assert_eq!(sightings.take_ended(start + s(60)), Some(counted));
        assert_eq!(sightings.take_ended(start + s(60)), None);
        assert_eq!(sightings.record(seen(1, 161), start + s(61))[1], Some(seen(1, 161)));
    }

    #[test]
    fn another_detector_is_another_threat() {
        let mut sightings = Sightings::default();
        assert!(sightings.record(seen(1, 1), t0())[1].is_some());
        let other = Sighting { detector: Detector::WebMalwareBlocked, ..seen(1, 2) };
        assert!(sightings.record(other, t0())[1].is_some());
    }

    #[test]
    fn a_block_right_after_the_window_reports_the_window_too() {
        let mut sightings = Sightings::default();
        let start = t0();
        sightings.record(seen(1, 1), start);
        sightings.record(seen(1, 2), start);
        assert_eq!(
            sightings.record(seen(1, 3), start + s(60)),
            [Some(seen(1, 2)), Some(seen(1, 3))]
        );
    }

    #[test]
    fn a_full_table_ends_its_oldest_window_early() {
        let mut sightings = Sightings::default();
        let start = t0();
        for host in 0..limits::SIGHTINGS {
            sightings.record(seen(host, 1), start);
        }
        sightings.record(seen(0, 2), start);
        let one_more = seen(limits::SIGHTINGS, 3);
        assert_eq!(sightings.record(one_more.clone(), start), [Some(seen(0, 2)), Some(one_more)]);
        assert_eq!(sightings.windows.len(), limits::SIGHTINGS);
    }

    proptest! {
        #[test]
        fn every_block_is_reported_exactly_once(
            hits in vec((0_usize..300, 0_u64..40), 0..600),
        ) {
            let mut sightings = Sightings::default();
            let (mut now, mut reported) = (t0(), 0);
            for (host, pause) in &hits {
                now += s(*pause);
                while let Some(ended) = sightings.take_ended(now) {
                    reported += ended.count;
                }
                let raised = sightings.record(seen(*host, 1), now);
                reported += raised.into_iter().flatten().map(|seen| seen.count).sum::<u32>();
                prop_assert!(sightings.windows.len() <= limits::SIGHTINGS);
            }
            while let Some(ended) = sightings.take_ended(now + limits::SIGHTING_WINDOW) {
                reported += ended.count;
            }
            prop_assert_eq!(usize::try_from(reported).unwrap(), hits.len());
            prop_assert_eq!(sightings.deadline(), None);
        }
    }

    fn seen(host: usize, stamp: u64) -> Sighting {
        let host = DomainName::parse(format!("h{host}.test").as_bytes()).unwrap();
        Sighting {
            detector: Detector::WebPhishingBlocked,
            matched: MatchedIndicator {
                entry: host.as_str().into(),
                source: bartizan_model::IndicatorSource::Tenant(1),
            },
            action: IndicatorAction::Block,
            host,
            first_seen: UnixMillis(stamp),
            last_seen: UnixMillis(stamp),
            count: 1,
            indicator_epoch: 1,
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[expect(clippy::disallowed_methods, reason = "only differences to it matter")]
    fn t0() -> Instant {
        Instant::now()
    }
}
