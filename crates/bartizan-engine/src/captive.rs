//! Whether the network wants a person to sign in before it lets anything through: a captive portal (RFC 8952).
//!
//! The host asks a web server in plain whether it is there (a probe), after each change of the network and when the resolver
//! of the policy cannot be reached. An answer of somebody else is the network's. While it holds traffic back, lookups may
//! go to the network's own resolver where the policy's cannot be reached, so that the page to sign in on opens; nothing that
//! is listed is let through for it.
//!
//! # What it does not do
//! - Take silence for captivity: a network that only drops packets is no reason to look names up in plain.
//! - Trust the network for long: the leave ends with the probe that comes through, when probes are not answered any
//!   more, and after [`limits::CAPTIVE_LASTS`] in any case.

use std::time::{Duration, Instant};

use crate::limits;
use crate::prf::Prf;

/// What a probe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The server that was asked answered: the way is free.
    Open,
    /// Somebody else answered in its place.
    Captive,
    /// Nobody answered, or in a way that says nothing.
    Unanswered,
}

/// What is known of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkState {
    /// Nothing.
    #[default]
    Unknown,
    /// It lets traffic through.
    Open,
    /// It holds traffic back until a person signs in.
    Captive,
}

impl NetworkState {
    /// Returns how people call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Captive => "captive portal",
        }
    }
}

/// What is known of the network, and when it is probed next.
#[derive(Default)]
pub(crate) struct Captivity {
    found: Found,
    probe: Probe,
    /// Probes since the network changed or was found as it is.
    tries: u32,
    /// Of these, the last ones in a row that nobody answered.
    unanswered: u32,
    probed_at: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
enum Found {
    #[default]
    Unknown,
    Open,
    Captive {
        since: Instant,
    },
}

#[derive(Clone, Copy, Default)]
enum Probe {
    /// The host cannot probe.
    #[default]
    Never,
    /// Nothing is wanted.
    Idle,
    Due(Instant),
    UnderWay {
        until: Instant,
    },
}

/// What a probe has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// The network holds traffic back.
    Began,
    /// It does not, any more; or nobody knows.
    Ended,
}

impl Captivity {
    /// Takes note that the host can probe.
    pub(crate) fn allow(&mut self, now: Instant) {
        self.probe = Probe::Due(now);
    }

    /// Takes note that the device is on another network.
    pub(crate) fn handle_network_change(&mut self, now: Instant) {
        let Self { probe, .. } = *self;
        *self = Self { probe, ..Self::default() };
        self.want(now);
    }

    /// Takes note that the resolver of the policy cannot be reached, or can again while the network is captive.
    pub(crate) fn suspect(&mut self, now: Instant) {
        let lately = self.probed_at.is_some_and(|at| now < at + limits::PROBE_PAUSE);
        if !lately {
            self.want(now);
        }
    }

    /// Returns whether the host is to probe now.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        match self.probe {
            Probe::Due(at) if at <= now => {
                self.probe = Probe::UnderWay { until: now + limits::PROBE_PATIENCE };
                self.probed_at = Some(now);
                true
            }
            Probe::Never | Probe::Idle | Probe::Due(_) | Probe::UnderWay { .. } => false,
        }
    }

    /// Tells whether the probe under way takes too long.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.probe, Probe::UnderWay { until } if until <= now)
    }

    /// Takes in what a probe came to.
    pub(crate) fn handle(&mut self, outcome: Probed, prf: &mut Prf, now: Instant) -> Change {
        if !matches!(self.probe, Probe::UnderWay { .. }) {
            return Change::Nothing;
        }
        let was_captive = matches!(self.found, Found::Captive { .. });
        self.tries = self.tries.saturating_add(1);
        self.unanswered = match outcome {
            Probed::Unanswered => self.unanswered.saturating_add(1),
            Probed::Open | Probed::Captive => 0,
        };
        self.probe = Probe::Due(now + pause(self.tries, prf));
        match outcome {
            Probed::Open => {
                (self.found, self.probe, self.tries) = (Found::Open, Probe::Idle, 0);
                if was_captive { Change::Ended } else { Change::Nothing }
            }
            Probed::Captive if was_captive => Change::Nothing,
            Probed::Captive => {
                self.found = Found::Captive { since: now };
                Change::Began
            }
            Probed::Unanswered if self.unanswered < limits::PROBES_UNANSWERED => Change::Nothing,
            Probed::Unanswered => {
                (self.found, self.probe) = (Found::Unknown, Probe::Idle);
                if was_captive { Change::Ended } else { Change::Nothing }
            }
        }
    }

    /// Tells whether lookups may go out in plain although policy names somebody to ask, who cannot be reached.
    pub(crate) fn lets_plain(&self, now: Instant) -> bool {
        matches!(self.found, Found::Captive { since } if now < since + limits::CAPTIVE_LASTS)
    }

    /// Tells whether an answer may be the network's own invention.
    pub(crate) fn is_doubtful(&self) -> bool {
        match (self.found, self.probe) {
            (Found::Captive { .. }, _) => true,
            (Found::Unknown, Probe::Due(_) | Probe::UnderWay { .. }) => true,
            (Found::Unknown, Probe::Never | Probe::Idle) | (Found::Open, _) => false,
        }
    }

    pub(crate) fn state(&self) -> NetworkState {
        match self.found {
            Found::Unknown => NetworkState::Unknown,
            Found::Open => NetworkState::Open,
            Found::Captive { .. } => NetworkState::Captive,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.probe {
            Probe::Never | Probe::Idle => None,
            Probe::Due(at) => Some(at),
            Probe::UnderWay { until } => Some(until),
        }
    }

    fn want(&mut self, now: Instant) {
        match self.probe {
            Probe::Idle | Probe::Due(_) => self.probe = Probe::Due(now),
            // One that went to the network before says nothing: it runs out, and the next goes to this one.
            Probe::Never | Probe::UnderWay { .. } => {}
        }
    }
}

/// Doubles with every six probes: people sign in within the first minute or much later. As much again is left to
/// chance, so that the devices of a hall do not ask at once.
fn pause(tries: u32, prf: &mut Prf) -> Duration {
    let doubled = (tries / 6).min(limits::PROBE_DOUBLINGS);
    (limits::PROBE_PAUSE * (1 << doubled)).mul_f64(1.0 + prf.draw_unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_probed_when_it_changes_and_left_alone_once_it_is_open() {
        let mut it = Probing::new();
        assert!(it.is_probed_now());
        assert_eq!(it.handle(Probed::Open), Change::Nothing);
        assert_eq!((it.captivity.state(), it.captivity.deadline()), (NetworkState::Open, None));
        it.captivity.handle_network_change(it.now);
        assert_eq!(it.captivity.state(), NetworkState::Unknown);
        assert!(it.is_probed_now());
    }

    #[test]
    fn while_it_is_captive_it_is_probed_again_until_it_is_not() {
        let mut it = Probing::new();
        it.wait();
        assert_eq!(it.handle(Probed::Captive), Change::Began);
        let mut pauses = Vec::new();
        for _ in 0..30 {
            assert!(it.captivity.lets_plain(it.now));
            let before = it.now;
            it.wait();
            pauses.push(it.now - before);
            assert_eq!(it.handle(Probed::Captive), Change::Nothing);
        }
        let (shortest, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(limits::PROBE_PAUSE <= *shortest && *shortest < limits::PROBE_PAUSE * 2);
        assert!(*longest < limits::PROBE_PAUSE * (2 << limits::PROBE_DOUBLINGS));
        it.wait();
        assert_eq!(it.handle(Probed::Open), Change::Ended);
        assert!(!it.captivity.lets_plain(it.now));
        assert_eq!(it.captivity.deadline(), None);
    }

    #[test]
    fn the_leave_ends_without_evidence_and_after_its_time() {
        let mut it = Probing::new();
        it.wait();
        it.handle(Probed::Captive);
        let last = limits::PROBES_UNANSWERED - 1;
        for _ in 0..last {
            it.wait();
            assert_eq!(it.handle(Probed::Unanswered), Change::Nothing);
        }
        it.wait();
        // One that never ends counts as one that nobody answered.
        it.now += limits::PROBE_PATIENCE;
        assert!(it.captivity.is_overdue(it.now));
        assert_eq!(it.handle(Probed::Unanswered), Change::Ended);

        let mut it = Probing::new();
        it.wait();
        it.handle(Probed::Captive);
        let began = it.now;
        while it.now < began + limits::CAPTIVE_LASTS {
            assert!(it.captivity.lets_plain(it.now));
            it.wait();
            it.handle(Probed::Captive);
        }
        assert!(!it.captivity.lets_plain(it.now));
        assert_eq!(it.captivity.state(), NetworkState::Captive, "as it still is");
    }

    #[test]
    fn a_network_that_answers_nothing_is_not_taken_for_captive() {
        let mut it = Probing::new();
        for _ in 0..limits::PROBES_UNANSWERED {
            it.wait();
            assert_eq!(it.handle(Probed::Unanswered), Change::Nothing);
            assert!(!it.captivity.lets_plain(it.now));
        }
        assert_eq!(it.captivity.deadline(), None);
        it.now += limits::PROBE_PAUSE;
        it.captivity.suspect(it.now);
        assert!(it.is_probed_now());
    }

    #[test]
    fn what_was_not_asked_for_or_cannot_be_asked_changes_nothing() {
        let mut it = Probing::new();
        assert_eq!(it.handle(Probed::Captive), Change::Nothing);
        it.captivity = Captivity::default();
        it.captivity.handle_network_change(it.now);
        it.captivity.suspect(it.now);
        assert!(!it.is_probed_now());
        assert!(!it.captivity.is_doubtful());
    }

    struct Probing {
        captivity: Captivity,
        prf: Prf,
        now: Instant,
    }

    impl Probing {
        #[expect(clippy::disallowed_methods, reason = "only differences to it matter")]
        fn new() -> Self {
            let now = Instant::now();
            let mut captivity = Captivity::default();
            captivity.allow(now);
            Self { captivity, prf: Prf::new([1; 16]), now }
        }

        fn handle(&mut self, outcome: Probed) -> Change {
            self.captivity.handle(outcome, &mut self.prf, self.now)
        }

        fn is_probed_now(&mut self) -> bool {
            self.captivity.take_due(self.now)
        }

        /// Lets time pass until the network is probed.
        #[track_caller]
        fn wait(&mut self) {
            self.now = self.captivity.deadline().unwrap();
            assert!(self.is_probed_now());
        }
    }
}
