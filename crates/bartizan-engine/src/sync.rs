//! When to talk to the portal, and about what.
//!
//! [`Sync`] decides; the host does: it knows HTTP, keys and the contract's messages, none of which
//! appear here. Feed it with `handle_*`, then ask [`Sync::poll_output`] until it says
//! [`Output::Wait`]. It never reads a clock: `now` must not run backwards.
//!
//! # Invariants
//! - At most one [`Task`] is under way; what the portal holds against us is tried again with growing,
//!   jittered pauses (full jitter, so that a million devices do not come back at once).
//! - Alerts go before check-ins, check-ins before policy and files.
//! - What is in use stays in use until something newer has been verified.

use std::time::{Duration, Instant};

use bartizan_model::{Alert, AlertId};

use crate::alert_queue::AlertQueue;
use crate::prf::Prf;

/// What the device already has when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Whether it has enrolled.
    pub enrolled: bool,
    /// Version of the policy in use; 0 is the built-in one.
    pub policy_version: u64,
    /// Seconds between check-ins, by that policy.
    pub checkin_interval_s: u32,
    /// Epoch of the indicator file in use.
    pub indicator_epoch: Option<u64>,
    /// Epoch of the tenant file in use.
    pub tenant_epoch: Option<u64>,
}

/// One conversation with the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Become known.
    Enroll,
    /// Get an access token.
    Token,
    /// Upload these; they stay queued until settled.
    Alerts(Vec<Alert>),
    /// Say how the device is.
    Checkin,
    /// Fetch, verify and use the policy.
    Policy,
    /// Fetch, verify and use the indicator file.
    Indicators,
}

/// What the portal answered to the task under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Known from now on.
    Enrolled,
    /// A token that is good for so long.
    Token(Duration),
    /// Stored, or refused for good.
    Alerts(Vec<AlertId>),
    /// What the portal has for this device.
    CheckedIn {
        /// Version of its policy.
        policy_version: u64,
        /// Epoch of its indicator file, once there is one.
        indicator_epoch: Option<u64>,
        /// Epoch of its tenant file, once there is one.
        tenant_epoch: Option<u64>,
    },
    /// In use.
    Policy {
        /// Its version.
        version: u64,
        /// Seconds between check-ins.
        checkin_interval_s: u32,
    },
    /// In use.
    Indicators {
        /// Epoch of the indicator file that is in use now.
        epoch: Option<u64>,
        /// Epoch of the tenant file that is in use now.
        tenant_epoch: Option<u64>,
    },
}

/// Why the task under way did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer, or one that makes no sense: try again with growing pauses.
    Unreachable,
    /// The portal asks for patience.
    Busy(Duration),
    /// The access token is no longer good.
    TokenExpired,
    /// What came could not be verified or used; what is in use stays. Ask again after the next check-in.
    Unusable,
    /// The portal does not let this device in. Only a person can help: a fresh enrollment token.
    Refused,
}

/// What the host is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Do this, then call [`Sync::handle_done`] or [`Sync::handle_failure`].
    Start(Task),
    /// Nothing before this time, or before the next input; the word says what for.
    Wait(Option<Instant>, &'static str),
}

#[derive(Debug)]
enum State {
    /// Nothing under way; the next task may start at `not_before`.
    Idle { not_before: Instant },
    /// Waiting for the host to say how it went.
    Busy { task: Kind },
    /// The portal does not let us in.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Enroll,
    Token,
    Alerts,
    Checkin,
    Policy,
    Indicators,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Sync {
    state: State,
    held: Held,
    /// What the portal has for us, as of the last check-in.
    offered: Held,
    alerts: AlertQueue,
    token_until: Option<Instant>,
    /// Something changed that the last check-in did not say.
    checkin_wanted: bool,
    next_checkin: Instant,
    failures: u32,
    prf: Prf,
}

impl Sync {
    /// Starts; the first check-in is due at once.
    #[must_use]
    pub fn new(held: Held, seed: [u8; 16], now: Instant) -> Self {
        Self {
            state: State::Idle { not_before: now },
            held,
            offered: held,
            alerts: AlertQueue::default(),
            token_until: None,
            checkin_wanted: true,
            next_checkin: now,
            failures: 0,
            prf: Prf::new(seed),
        }
    }

    /// Takes an alert that is on the host's disk. Returns one to forget there, if too many wait.
    pub fn handle_alert(&mut self, alert: Alert) -> Option<AlertId> {
        self.alerts.push(alert)
    }

    /// Takes note that something changed that the portal should know now.
    pub fn handle_status_change(&mut self) {
        self.checkin_wanted = true;
    }

    /// Takes note that an indicator file in use turned out to be damaged: it is fetched again.
    pub fn handle_indicators_lost(&mut self) {
        (self.held.indicator_epoch, self.held.tenant_epoch) = (None, None);
        self.checkin_wanted = true;
    }

    /// Takes the outcome of the task under way.
    pub fn handle_done(&mut self, done: &Done, now: Instant) {
        self.failures = 0;
        self.state = State::Idle { not_before: now };
        match done {
            Done::Enrolled => self.held.enrolled = true,
            Done::Token(lifetime) => {
                self.token_until = Some(now + lifetime.saturating_sub(TOKEN_MARGIN))
            }
            Done::Alerts(settled) => {
                // Nothing settled is no progress: do not ask again at once for ever.
                if settled.is_empty() {
                    self.back_off(now);
                }
                self.alerts.remove(settled);
            }
            Done::CheckedIn { policy_version, indicator_epoch, tenant_epoch } => {
                self.offered.policy_version = *policy_version;
                self.offered.indicator_epoch = *indicator_epoch;
                self.offered.tenant_epoch = *tenant_epoch;
                self.schedule_checkin(now);
            }
            Done::Policy { version, checkin_interval_s } => {
                self.held.policy_version = *version;
                self.held.checkin_interval_s = *checkin_interval_s;
                self.offered.policy_version = *version;
                self.schedule_checkin(now);
            }
            Done::Indicators { epoch, tenant_epoch } => {
                (self.held.indicator_epoch, self.offered.indicator_epoch) = (*epoch, *epoch);
                (self.held.tenant_epoch, self.offered.tenant_epoch) =
                    (*tenant_epoch, *tenant_epoch);
                // Say so: the console shows what a device holds.
                self.checkin_wanted = true;
            }
        }
    }

    /// Takes the outcome of the task under way.
    pub fn handle_failure(&mut self, failure: Failure, now: Instant) {
        let State::Busy { task } = self.state else { return };
        self.checkin_wanted |= task == Kind::Checkin;
        match failure {
            Failure::Unreachable => self.back_off(now),
            Failure::Busy(pause) => {
                self.state = State::Idle { not_before: now + pause.min(MAX_PAUSE) }
            }
            Failure::TokenExpired => {
                self.token_until = None;
                // A portal that never likes its own tokens must not be asked in a tight loop.
                self.back_off(now);
            }
            Failure::Unusable => {
                match task {
                    Kind::Policy => self.offered.policy_version = self.held.policy_version,
                    Kind::Indicators => {
                        self.offered.indicator_epoch = self.held.indicator_epoch;
                        self.offered.tenant_epoch = self.held.tenant_epoch;
                    }
                    Kind::Enroll | Kind::Token | Kind::Alerts | Kind::Checkin => {}
                }
                self.back_off(now);
            }
            Failure::Refused => self.state = State::Refused,
        }
    }

    /// Returns the next thing to do at `now`.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        match self.state {
            State::Refused => Output::Wait(None, "refused"),
            State::Busy { .. } => Output::Wait(None, "portal"),
            State::Idle { not_before } if now < not_before => {
                Output::Wait(Some(not_before), "pause")
            }
            State::Idle { .. } => match self.next_task(now) {
                Some(task) => {
                    // What changes from here on is not in this one.
                    self.checkin_wanted &= task != Task::Checkin;
                    self.state = State::Busy { task: kind(&task) };
                    Output::Start(task)
                }
                None => Output::Wait(Some(self.next_checkin), "check-in"),
            },
        }
    }

    /// Returns how many alerts the portal has not settled.
    #[must_use]
    pub fn alerts_waiting(&self) -> usize {
        self.alerts.len()
    }

    /// Returns how many alerts had to be given up.
    #[must_use]
    pub fn alerts_lost(&self) -> u64 {
        self.alerts.dropped()
    }

    fn next_task(&self, now: Instant) -> Option<Task> {
        if !self.held.enrolled {
            return Some(Task::Enroll);
        }
        let work = if !self.alerts.is_empty() {
            Task::Alerts(self.alerts.batch())
        } else if self.checkin_wanted || self.next_checkin <= now {
            Task::Checkin
        } else if self.held.policy_version < self.offered.policy_version {
            Task::Policy
        } else if self.held.indicator_epoch < self.offered.indicator_epoch
            || self.held.tenant_epoch < self.offered.tenant_epoch
        {
            Task::Indicators
        } else {
            return None;
        };
        if self.token_until.is_none_or(|until| until <= now) {
            Some(Task::Token)
        } else {
            Some(work)
        }
    }

    fn schedule_checkin(&mut self, now: Instant) {
        let interval =
            Duration::from_secs(u64::from(self.held.checkin_interval_s.max(MIN_INTERVAL_S)));
        // 80 % to 120 %.
        self.next_checkin = now + interval.mul_f64(0.8 + 0.4 * self.prf.draw_unit());
    }

    fn back_off(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)) / 2;
        let pause = doubled.min(MAX_PAUSE).mul_f64(self.prf.draw_unit());
        self.state = State::Idle { not_before: now + pause.max(MIN_PAUSE) };
    }
}

fn kind(task: &Task) -> Kind {
    match task {
        Task::Enroll => Kind::Enroll,
        Task::Token => Kind::Token,
        Task::Alerts(_) => Kind::Alerts,
        Task::Checkin => Kind::Checkin,
        Task::Policy => Kind::Policy,
        Task::Indicators => Kind::Indicators,
    }
}

/// Pauses grow from up to 1 s to up to 5 min: an outage of seconds costs seconds, and after one of
/// hours a million devices come back spread over five minutes.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(300);
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// A token is renewed this long before its end, so that it does not end on its way.
const TOKEN_MARGIN: Duration = Duration::from_secs(30);
const MIN_INTERVAL_S: u32 = 1;

#[cfg(test)]
mod tests {
    use bartizan_model::{Detector, UnixMillis};

    use super::*;

    const TOKEN: Done = Done::Token(Duration::from_secs(600));

    #[test]
    fn a_fresh_device_enrolls_checks_in_and_fetches_what_is_new() {
        let now = t0();
        let mut sync = Sync::new(Held::default(), [0; 16], now);
        step(&mut sync, now, Task::Enroll, Done::Enrolled);
        step(&mut sync, now, Task::Token, TOKEN);
        step(
            &mut sync,
            now,
            Task::Checkin,
            Done::CheckedIn { policy_version: 1, indicator_epoch: Some(3), tenant_epoch: None },
        );
        step(&mut sync, now, Task::Policy, Done::Policy { version: 1, checkin_interval_s: 900 });
        step(
            &mut sync,
            now,
            Task::Indicators,
            Done::Indicators { epoch: Some(3), tenant_epoch: None },
        );
        step(
            &mut sync,
            now,
            Task::Checkin,
            Done::CheckedIn { policy_version: 1, indicator_epoch: Some(3), tenant_epoch: None },
        );
        let Output::Wait(Some(next), "check-in") = sync.poll_output(now) else {
            panic!("not at rest")
        };
        let pause = next - now;
        assert!(
            Duration::from_secs(720) <= pause && pause <= Duration::from_secs(1_080),
            "{pause:?}"
        );
    }

    #[test]
    fn an_outage_backs_off_and_loses_nothing() {
        let mut now = t0();
        let mut sync = enrolled(now);
        sync.handle_alert(alert(7));
        let mut pauses = Vec::new();
        for _ in 0..20 {
            assert_eq!(sync.poll_output(now), Output::Start(Task::Alerts(vec![alert(7)])));
            sync.handle_failure(Failure::Unreachable, now);
            let Output::Wait(Some(next), "pause") = sync.poll_output(now) else {
                panic!("no pause")
            };
            pauses.push(next - now);
            // The token must not run out on the way: that is another test.
            sync.token_until = Some(next + Duration::from_secs(600));
            now = next;
        }
        assert!(pauses.iter().all(|pause| (MIN_PAUSE..=MAX_PAUSE).contains(pause)), "{pauses:?}");
        assert!(pauses[..4].iter().all(|pause| *pause <= Duration::from_secs(8)), "{pauses:?}");
        assert!(pauses[9..].iter().any(|pause| Duration::from_secs(60) < *pause), "{pauses:?}");
        step(&mut sync, now, Task::Alerts(vec![alert(7)]), Done::Alerts(vec![AlertId(7)]));
        assert_ne!(sync.poll_output(now), Output::Start(Task::Alerts(vec![])));
    }

    #[test]
    fn an_alert_that_is_not_settled_is_sent_again_but_not_in_a_tight_loop() {
        let now = t0();
        let mut sync = enrolled(now);
        sync.handle_alert(alert(7));
        step(&mut sync, now, Task::Alerts(vec![alert(7)]), Done::Alerts(vec![]));
        assert!(matches!(sync.poll_output(now), Output::Wait(Some(_), "pause")));
        let later = now + MAX_PAUSE;
        assert_eq!(sync.poll_output(later), Output::Start(Task::Alerts(vec![alert(7)])));
    }

    #[test]
    fn an_expired_token_is_renewed_and_the_work_goes_on() {
        let now = t0();
        let mut sync = enrolled(now);
        sync.handle_alert(alert(7));
        assert!(matches!(sync.poll_output(now), Output::Start(Task::Alerts(_))));
        sync.handle_failure(Failure::TokenExpired, now);
        let later = now + MAX_PAUSE;
        step(&mut sync, later, Task::Token, TOKEN);
        step(&mut sync, later, Task::Alerts(vec![alert(7)]), Done::Alerts(vec![AlertId(7)]));
    }

    #[test]
    fn an_unusable_file_is_left_alone_until_the_next_check_in() {
        let now = t0();
        let mut sync = enrolled(now);
        sync.handle_status_change();
        step(
            &mut sync,
            now,
            Task::Checkin,
            Done::CheckedIn { policy_version: 1, indicator_epoch: Some(9), tenant_epoch: None },
        );
        assert_eq!(sync.poll_output(now), Output::Start(Task::Indicators));
        sync.handle_failure(Failure::Unusable, now);
        let later = now + MAX_PAUSE;
        assert!(matches!(sync.poll_output(later), Output::Wait(Some(_), "check-in")));
    }

    #[test]
    fn what_changes_during_a_check_in_is_said_in_the_next() {
        let now = t0();
        let mut sync = enrolled(now);
        let current =
            Done::CheckedIn { policy_version: 1, indicator_epoch: Some(3), tenant_epoch: None };
        sync.handle_status_change();
        assert_eq!(sync.poll_output(now), Output::Start(Task::Checkin));
        sync.handle_status_change();
        sync.handle_done(&current, now);
        step(&mut sync, now, Task::Checkin, current);
        assert!(matches!(sync.poll_output(now), Output::Wait(Some(_), "check-in")));

        sync.handle_status_change();
        assert_eq!(sync.poll_output(now), Output::Start(Task::Checkin));
        sync.handle_failure(Failure::Unreachable, now);
        assert_eq!(sync.poll_output(now + MAX_PAUSE), Output::Start(Task::Checkin));
    }

    #[test]
    fn a_device_that_is_refused_stops_asking() {
        let now = t0();
        let mut sync = Sync::new(Held::default(), [0; 16], now);
        assert_eq!(sync.poll_output(now), Output::Start(Task::Enroll));
        sync.handle_failure(Failure::Refused, now);
        assert_eq!(sync.poll_output(now + MAX_PAUSE), Output::Wait(None, "refused"));
    }

    #[track_caller]
    fn step(sync: &mut Sync, now: Instant, expected: Task, done: Done) {
        assert_eq!(sync.poll_output(now), Output::Start(expected));
        sync.handle_done(&done, now);
    }

    fn enrolled(now: Instant) -> Sync {
        let held = Held {
            enrolled: true,
            policy_version: 1,
            checkin_interval_s: 900,
            indicator_epoch: Some(3),
            tenant_epoch: None,
        };
        let mut sync = Sync::new(held, [0; 16], now);
        sync.token_until = Some(now + Duration::from_secs(600));
        sync.checkin_wanted = false;
        sync.next_checkin = now + Duration::from_secs(900);
        sync
    }

    fn alert(id: u128) -> Alert {
        Alert {
            id: AlertId(id),
            detector: Detector::WebPhishingBlocked,
            host: None,
            matched: None,
            action: bartizan_model::IndicatorAction::Block,
            first_seen: UnixMillis(0),
            last_seen: UnixMillis(0),
            count: 1,
            indicator_epoch: 0,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one reading of a clock in these tests: a place to start from"
    )]
    fn t0() -> Instant {
        Instant::now()
    }
}
