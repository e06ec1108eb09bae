//! The control thread: what the device is, has, and does next.
//!
//! Every cause of work is an [`Event`]; after each one the plan ([`Sync`]) says what to do. Alerts go
//! to disk here before anything else knows of them, and this thread never waits for the network.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use bartizan_contract::checkin::{CheckinRequest, Counters, SystemNotice};
use bartizan_contract::enroll::{EnrollmentToken, Platform};
use bartizan_engine::NetworkState;
use bartizan_engine::sync::{Done, Failure, Held, Output, Sync, Task};
use bartizan_indicators::{IndicatorFile, TenantFile};
use bartizan_model::{Alert, Mode, Policy, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::ask::{AskSocket, PassAsk};
use crate::attest::Attest;
use crate::clock::Clock;
use crate::courier::Courier;
use crate::indicators::HeldFiles;
use crate::packets::Packets;
use crate::portal::{Enrollment, Hardware, Http, Job, News, Outcome, PortalClient};
use crate::probe::Probe;
use crate::random;
use crate::secure::StartSecureUpstream;
use crate::spool::Spool;
use crate::state::{Identity, StateDir};
use crate::tunnel::{self, Command, Network, Route, Tunnel};
use crate::tunnel_status::TunnelStatus;

/// What a device is started with.
pub struct Setup {
    /// Where it keeps its files.
    pub state_dir: PathBuf,
    /// As [`crate::portal::portal_url`] returns it.
    pub portal_url: String,
    /// Needed once.
    pub enrollment_token: Option<EnrollmentToken>,
    /// What to tell the portal about the device.
    pub platform: Platform,
    /// What it knows of the hardware that it is.
    pub hardware: Hardware,
    /// Has Apple vouch for its key when it enrolls, where there is who can.
    pub attest: Option<Box<dyn Attest>>,
    /// Where packets come from and go to.
    pub packets: Packets,
    /// The addresses, as applications know them, whose questions come through `packets`.
    pub resolvers: Vec<IpAddr>,
    /// Where the resolvers really are.
    pub route: Route,
    /// Looks how the device is connected, after that may have changed; `None` where there is nothing to look at.
    pub look: Box<dyn FnMut() -> Option<Network> + Send>,
    /// What tells whether the network wants a person to sign in.
    pub probe: Option<Probe>,
    /// Lets all traffic come into the tunnel, or lookups only.
    pub route_all: Box<dyn FnMut(bool) + Send>,
    /// Speaks HTTP.
    pub http: Box<dyn Http>,
    /// Asks resolvers over TLS; without it such a policy has nobody to ask.
    pub secure_dns: Option<Box<dyn StartSecureUpstream>>,
}

/// How the device is; what `status.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `on`, `degraded` or `off`.
    pub protection: String,
    /// Absent until enrolled.
    pub device_id: Option<String>,
    /// The organization; absent until enrolled.
    pub tenant: Option<String>,
    /// Version of the policy in use.
    pub policy_version: u64,
    /// Epoch of the indicator file in use.
    pub indicator_epoch: Option<u64>,
    /// How many entries it holds.
    pub indicator_entries: u64,
    /// Epoch of the file of the organization's own indicators in use.
    pub tenant_epoch: Option<u64>,
    /// How many it holds.
    pub tenant_entries: u64,
    /// Alerts that the portal has not confirmed.
    pub alerts_waiting: usize,
    /// When the portal last answered; Unix milliseconds, 0 for never.
    pub last_contact_ms: u64,
    /// What is wrong, if anything.
    pub problem: Option<String>,
    /// What the organization says of the system, if anything; protection goes on.
    #[serde(default)]
    pub system: Option<String>,
    /// What policy has the tunnel do, as a word.
    #[serde(default)]
    pub mode: String,
    /// What happens in the tunnel.
    #[serde(default)]
    pub tunnel: TunnelStatus,
    /// Since the program started.
    pub counters: Counters,
}

/// A running device.
pub struct Device {
    events: Sender<Event>,
    control: JoinHandle<anyhow::Result<()>>,
}

/// Everything that can happen.
enum Event {
    Tunnel(tunnel::Event),
    Courier(Outcome),
    Asked(PassAsk),
    NetworkChanged,
    Stop,
}

impl Device {
    /// Starts the device's threads.
    ///
    /// # Errors
    /// Its files cannot be used, or a thread cannot be started.
    pub fn start(setup: Setup) -> anyhow::Result<Self> {
        let clock = Clock::new();
        let state = StateDir::open(&setup.state_dir)?;
        let (sender, events) = channel();

        let to_control = sender.clone();
        let tunnel = Tunnel::start(
            setup.packets,
            setup.resolvers,
            setup.route,
            setup.secure_dns,
            setup.probe,
            clock.clone(),
            move |event| {
                // Nobody listens any more only while everything ends.
                let _ = to_control.send(Event::Tunnel(event));
            },
        )
        .context("cannot start the tunnel")?;

        let identity = state.identity()?;
        if let Some(identity) = &identity
            && identity.portal_url != setup.portal_url
        {
            anyhow::bail!(
                "this device is enrolled with {}; to move it, remove {} and enroll again",
                identity.portal_url,
                setup.state_dir.display()
            );
        }
        let policy =
            identity.as_ref().and_then(|identity| state.policy(identity)).unwrap_or_default();
        let indicators = identity.as_ref().and_then(|identity| state.indicators(identity));
        let tenant = identity.as_ref().and_then(|identity| state.tenant(identity));
        let spool = Spool::new(state.alerts());
        let held = Held {
            enrolled: identity.is_some(),
            policy_version: policy.version,
            checkin_interval_s: policy.checkin_interval_s,
            indicator_epoch: indicators.as_ref().map(IndicatorFile::epoch),
            tenant_epoch: tenant.as_ref().map(TenantFile::epoch),
        };

        let client = PortalClient {
            http: setup.http,
            clock: clock.clone(),
            state: state.clone(),
            url: setup.portal_url,
            enrollment: setup.enrollment_token.map(|token| Enrollment {
                token,
                platform: setup.platform.clone(),
                hardware: setup.hardware,
            }),
            attest: setup.attest,
            identity: identity.clone(),
            access_token: None,
            policy_version: held.policy_version,
            indicator_epoch: held.indicator_epoch.unwrap_or(0),
            tenant_epoch: held.tenant_epoch.unwrap_or(0),
        };
        let to_control = sender.clone();
        let courier = Courier::start(client, move |outcome| {
            let _ = to_control.send(Event::Courier(outcome));
        })
        .context("cannot start the courier")?;

        let to_control = sender.clone();
        let asks = AskSocket::open(&setup.state_dir, move |ask| {
            let _ = to_control.send(Event::Asked(ask));
        })
        .inspect_err(|error| tracing::warn!(error = %error, "nobody can ask this device"));

        let mut control = Control {
            sync: Sync::new(held, random::octets(), clock.now()),
            clock,
            state,
            spool,
            tunnel,
            courier,
            platform: setup.platform,
            identity,
            policy: policy.clone(),
            route_all: setup.route_all,
            look: setup.look,
            network: None,
            looks: 0,
            all: false,
            left_at: None,
            held: HeldFiles::default(),
            indicator_entries: 0,
            tenant_entries: 0,
            damaged: 0,
            last_contact_ms: 0,
            problem: None,
            system: None,
            shown: None,
            _asks: asks.ok(),
        };
        control.tunnel.tell(Command::Policy(policy));
        control.tunnel.tell(Command::Passes(control.state.passes()));
        control.take(indicators.map(Box::new), tenant.map(Box::new));
        for alert in control.spool.waiting().context("cannot read the waiting alerts")? {
            control.queue(alert);
        }
        let control = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || control.run(&events))?;
        Ok(Self { events: sender, control })
    }

    /// Tells the device that it is on another network, where the system does not tell it.
    pub fn handle_network_change(&self) {
        let _ = self.events.send(Event::NetworkChanged);
    }

    /// Asks the device to stop; [`Device::wait`] returns once it has.
    pub fn stop(&self) {
        // A device that has ended needs no asking.
        let _ = self.events.send(Event::Stop);
    }

    /// Waits until the device has stopped.
    ///
    /// # Errors
    /// The tunnel failed: its interface is gone.
    pub fn wait(self) -> anyhow::Result<()> {
        self.control
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the control thread failed; see the log")))
    }

    /// Returns something that asks the device to stop, for a signal handler.
    pub fn stopper(&self) -> impl Fn() + Send + use<> {
        let events = self.events.clone();
        move || drop(events.send(Event::Stop))
    }
}

struct Control {
    sync: Sync,
    clock: Clock,
    state: StateDir,
    spool: Spool,
    tunnel: Tunnel,
    courier: Courier,
    platform: Platform,
    identity: Option<Identity>,
    policy: Policy,
    route_all: Box<dyn FnMut(bool) + Send>,
    look: Box<dyn FnMut() -> Option<Network> + Send>,
    /// As it was when last looked, and how often it is looked again.
    network: Option<Network>,
    looks: u8,
    /// Whether all traffic comes in, and since when policy does not want that any more.
    all: bool,
    left_at: Option<Instant>,
    held: HeldFiles,
    indicator_entries: u64,
    tenant_entries: u64,
    /// How often a file turned out to be damaged, as far as something was done about it.
    damaged: u64,
    last_contact_ms: u64,
    problem: Option<String>,
    /// What the organization says of the system.
    system: Option<SystemNotice>,
    shown: Option<Status>,
    /// Taken down with the rest.
    _asks: Option<AskSocket>,
}

impl Control {
    fn run(mut self, events: &Receiver<Event>) -> anyhow::Result<()> {
        loop {
            let now = self.clock.now();
            let deadline = match self.sync.poll_output(now) {
                Output::Start(task) => {
                    let job = self.job(task);
                    self.courier.send(job);
                    continue;
                }
                Output::Wait(deadline, _) => deadline,
            };
            self.settle_routes();
            self.show();
            // Counters move without events; people look at them.
            let pause = deadline.map_or(SHOW_EVERY, |deadline| {
                deadline.saturating_duration_since(now).min(SHOW_EVERY)
            });
            match events.recv_timeout(pause) {
                Ok(Event::Tunnel(tunnel::Event::Alert(alert))) => self.alert(alert),
                Ok(Event::Tunnel(tunnel::Event::Mistake(host))) => self.courier.send_mistake(host),
                Ok(Event::Tunnel(tunnel::Event::Protection)) => self.look(),
                Ok(Event::Tunnel(tunnel::Event::NetworkChanged) | Event::NetworkChanged) => {
                    tracing::info!("the network is another");
                    self.network = (self.look)();
                    self.tunnel.tell(Command::Network(self.network.clone()));
                    self.looks = LOOKS;
                }
                Ok(Event::Tunnel(tunnel::Event::Ended(ended))) => {
                    self.show();
                    return ended.context("the tunnel has ended");
                }
                Ok(Event::Tunnel(tunnel::Event::Passes(passes))) => {
                    if let Err(error) = self.state.keep_passes(&passes) {
                        tracing::warn!(error = %error, "passed warnings end with this program");
                    }
                }
                Ok(Event::Courier(outcome)) => self.told(outcome),
                Ok(Event::Asked(ask)) => self.tunnel.tell(Command::Pass(ask)),
                Ok(Event::Stop) => self.tunnel.tell(Command::Stop),
                Err(RecvTimeoutError::Timeout) => self.look_again(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Looks whether a resolver came late: what sets it may take a while after the network is there.
    fn look_again(&mut self) {
        if self.looks == 0 {
            return;
        }
        self.looks -= 1;
        let network = (self.look)();
        if network != self.network {
            self.network = network;
            self.tunnel.tell(Command::Network(self.network.clone()));
        }
    }

    /// Has all traffic come in where policy wants it. It goes on to come, unjudged, while connections last that would break
    /// without, up to a bound.
    fn settle_routes(&mut self) {
        let wanted = self.policy.mode == Mode::Tunnel;
        if wanted {
            self.left_at = None;
        }
        if wanted == self.all {
            return;
        }
        let now = self.clock.now();
        let left_at = *self.left_at.get_or_insert(now);
        let lasts = 0 < self.tunnel.snapshot().tcp_flows();
        if wanted || !lasts || left_at + LINGER <= now {
            self.all = wanted;
            (self.route_all)(wanted);
        }
    }

    /// On disk first, then queued: from here on it is not lost.
    fn alert(&mut self, alert: Alert) {
        tracing::info!(alert.id = %alert.id, detector = alert.detector.id(), "alert raised");
        if let Err(error) = self.spool.put(&alert) {
            // It is still queued in memory: better sent than dropped.
            tracing::error!(error = %error, "cannot put an alert on disk");
            self.problem = Some(format!("alerts cannot be kept on disk: {error}"));
        }
        self.queue(alert);
    }

    fn queue(&mut self, alert: Alert) {
        if let Some(victim) = self.sync.handle_alert(alert) {
            self.spool.remove(victim);
        }
    }

    fn job(&self, task: Task) -> Job {
        match task {
            Task::Enroll => Job::Enroll,
            Task::Token => Job::Token,
            Task::Alerts(alerts) => Job::Alerts(alerts),
            Task::Policy => Job::Policy,
            Task::Indicators => Job::Indicators(self.held),
            Task::Checkin => {
                let status = self.status();
                Job::Checkin(CheckinRequest {
                    sent_at_ms: self.clock.wall().0,
                    mode: self.policy.mode.word().into(),
                    protection: status.protection,
                    os_version: self.platform.os_version.clone(),
                    app_version: self.platform.app_version.clone(),
                    policy_version: status.policy_version,
                    indicator_epoch: status.indicator_epoch,
                    tenant_epoch: status.tenant_epoch,
                    counters: status.counters,
                })
            }
        }
    }

    fn told(&mut self, outcome: Outcome) {
        let now = self.clock.now();
        self.problem = outcome.problem;
        match outcome.news {
            Some(News::Identity(identity)) => {
                tracing::info!(device.id = %identity.device, "enrolled");
                self.identity = Some(*identity);
            }
            Some(News::Policy(policy)) => {
                tracing::info!(policy.version = policy.version, "policy in use");
                self.policy = policy.clone();
                self.tunnel.tell(Command::Policy(policy));
            }
            Some(News::Indicators { base, tenant }) => self.take(base, tenant),
            Some(News::System(notice)) => self.system = notice,
            None => {}
        }
        match outcome.result {
            Ok(done) => {
                self.last_contact_ms = self.clock.wall().0;
                if let Done::Alerts(settled) = &done {
                    for id in settled {
                        self.spool.remove(*id);
                    }
                }
                self.sync.handle_done(&done, now);
            }
            Err(failure) => {
                let problem = self.problem.as_deref().unwrap_or_default();
                match failure {
                    Failure::Refused => {
                        tracing::error!(problem, "the portal does not let this device in")
                    }
                    Failure::Unusable => tracing::warn!(problem, "cannot use what the portal sent"),
                    Failure::Unreachable | Failure::Busy(_) => {
                        tracing::warn!(problem, "portal not reached")
                    }
                    Failure::TokenExpired => tracing::debug!(problem, "access token not accepted"),
                }
                self.sync.handle_failure(failure, now);
            }
        }
    }

    /// Takes indicator files into use.
    fn take(&mut self, base: Option<Box<IndicatorFile>>, tenant: Option<Box<TenantFile>>) {
        if let Some(file) = base {
            tracing::info!(
                indicators.epoch = file.epoch(),
                indicators.entries = file.entries(),
                "indicators in use"
            );
            self.held.base = Some(file.epoch());
            self.indicator_entries = file.entries();
            self.tunnel.tell(Command::Indicators(file));
        }
        if let Some(file) = tenant {
            tracing::info!(
                tenant_file.epoch = file.epoch(),
                tenant_file.entries = file.entries(),
                "own indicators in use"
            );
            self.held.tenant = Some(file.epoch());
            self.tenant_entries = file.entries();
            self.tunnel.tell(Command::Tenant(file));
        }
    }

    /// Looks at what the tunnel says of itself.
    fn look(&mut self) {
        let damaged = self.tunnel.snapshot().stats.indicators_damaged;
        if self.damaged < damaged {
            tracing::error!("an indicator file on disk is damaged and is fetched again");
            self.damaged = damaged;
            self.held = HeldFiles::default();
            self.sync.handle_indicators_lost();
        }
        self.sync.handle_status_change();
    }

    fn status(&self) -> Status {
        let engine = self.tunnel.snapshot();
        Status {
            protection: engine.protection.word().into(),
            device_id: self.identity.as_ref().map(|identity| identity.device.to_string()),
            tenant: self.identity.as_ref().map(|identity| identity.tenant_name.clone()),
            policy_version: self.policy.version,
            mode: self.policy.mode.word().into(),
            tunnel: engine.tunnel(),
            indicator_epoch: self.held.base,
            indicator_entries: self.indicator_entries,
            tenant_epoch: self.held.tenant,
            tenant_entries: self.tenant_entries,
            alerts_waiting: self.sync.alerts_waiting(),
            last_contact_ms: self.last_contact_ms,
            problem: match engine.network() {
                // Whatever else fails fails for this.
                NetworkState::Captive => Some(SIGN_IN.to_owned()),
                NetworkState::Unknown | NetworkState::Open => self.problem.clone(),
            },
            system: self.system.as_ref().map(|notice| said(notice, self.clock.wall())),
            counters: Counters {
                queries: engine.stats.queries(),
                blocked: engine.stats.blocked,
                dropped: engine.stats.dropped(),
                alerts_lost: self.sync.alerts_lost() + engine.stats.alerts_suppressed,
            },
        }
    }

    fn show(&mut self) {
        let status = self.status();
        if self.shown.as_ref() == Some(&status) {
            return;
        }
        match self.state.show_status(&status) {
            Ok(()) => self.shown = Some(status),
            Err(error) => tracing::warn!(error = %error, "cannot show the status"),
        }
    }
}

/// What a system that is too old means to a person.
fn said(notice: &SystemNotice, now: UnixMillis) -> String {
    let minimum = &notice.minimum_version;
    if now.0 < notice.unsupported_from_ms {
        let days = (notice.unsupported_from_ms - now.0).div_ceil(86_400_000);
        let days = if days == 1 { "1 more day".to_owned() } else { format!("{days} more days") };
        format!("supported for {days}: update to {minimum} or later")
    } else {
        format!(
            "no longer supported: update to {minimum} or later; this device could not enroll again"
        )
    }
}

/// How long connections may keep all traffic in the tunnel once policy does not want it there.
const LINGER: Duration = Duration::from_secs(900);
/// Shown to a person.
const SIGN_IN: &str = "captive portal: this network wants you to sign in, in a browser";
/// How often it is looked again after the network has changed.
const LOOKS: u8 = 2;
/// Long enough to cost nothing, short enough for a person who looks.
const SHOW_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_system_is_told_before_its_day_and_after() {
        let day = 86_400_000;
        let notice = SystemNotice { minimum_version: "16.0".into(), unsupported_from_ms: 40 * day };
        for (now, told) in [
            (10 * day, "supported for 30 more days: update to 16.0 or later"),
            (40 * day - 1, "supported for 1 more day: update to 16.0 or later"),
            (
                40 * day,
                "no longer supported: update to 16.0 or later; this device could not enroll again",
            ),
        ] {
            assert_eq!(said(&notice, UnixMillis(now)), told);
        }
    }
}
