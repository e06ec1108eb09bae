//! The load: workers with a connection each, which play their devices in turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bartizan_contract::alerts::AlertAck;
use bartizan_contract::enroll::EnrollReply;
use bartizan_contract::token::{TokenReply, TokenRequest};
use bartizan_contract::{dpop, path};
use bartizan_model::{AlertId, DeviceId, UnixMillis};
use bartizan_portal::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Answer, Client, Target};
use super::device::{self, Device};
use super::figures::Figures;
use super::ledger::Ledger;
use crate::stopwatch::Stopwatch;

/// What the workers share; they run on one thread.
pub(crate) struct Load {
    pub(crate) target: Rc<Target>,
    pub(crate) clock: Clock,
    pub(crate) figures: RefCell<Figures>,
    pub(crate) acknowledged: RefCell<Vec<(DeviceId, AlertId)>>,
    pub(crate) ledger: Option<Ledger>,
    /// Whether to end.
    pub(crate) stop: Cell<bool>,
    pub(crate) alerts_per_second: u64,
    pub(crate) alert_batch: u64,
    /// Alerts that were taken on, acknowledged or not.
    pub(crate) alerts_begun: Cell<u64>,
    pub(crate) running: Stopwatch,
}

impl Load {
    /// Whether a batch is due, which is then the caller's to send.
    fn take_batch(&self) -> bool {
        let ms = u64::try_from(self.running.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.alerts_per_second.saturating_mul(ms) / 1_000;
        let begun = self.alerts_begun.get() + self.alert_batch;
        let is_due = self.alerts_per_second != 0 && begun <= due;
        if is_due {
            self.alerts_begun.set(begun);
        }
        is_due
    }
}

/// A connection and the devices that use it.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) devices: Vec<Device>,
}

impl Worker {
    /// Makes the devices known, and gets each an access token.
    pub(crate) async fn enroll(&mut self, load: &Load, tokens: Vec<String>) -> anyhow::Result<()> {
        let Self { client, devices } = self;
        for (device, token) in devices.iter_mut().zip(tokens) {
            let request = device.enrollment(token);
            let answer = call(load, client, device, path::ENROLL, &request).await;
            let reply: EnrollReply = expect(answer, "a device was not let in")?;
            device.id = reply.device_id.parse()?;
            renew(load, client, device).await;
            if load.stop.get() {
                break;
            }
        }
        Ok(())
    }

    /// Plays the devices in turn until the load ends.
    pub(crate) async fn run(&mut self, load: &Load) {
        let Self { client, devices } = self;
        let mut round = 0;
        while !load.stop.get() && !devices.is_empty() {
            round += 1;
            for device in devices.iter_mut() {
                if load.stop.get() {
                    return;
                }
                if device.renew_at <= load.clock.now() {
                    renew(load, client, device).await;
                }
                if load.take_batch() {
                    send_alerts(load, client, device).await;
                } else {
                    check_in(load, client, device, round).await;
                }
            }
        }
    }
}

async fn renew(load: &Load, client: &mut Client, device: &mut Device) {
    let now = load.clock.now();
    let request = TokenRequest::new(device.assertion(now));
    let Some(answer) = call(load, client, device, path::TOKEN, &request).await else { return };
    match serde_json::from_slice::<TokenReply>(&answer.body) {
        Ok(reply) if answer.status == 200 => {
            device.access_token = reply.access_token;
            device.renew_at = UnixMillis(now.0 + reply.expires_in.saturating_sub(60) * 1_000);
        }
        _ => count_failure(load, &answer),
    }
}

async fn check_in(load: &Load, client: &mut Client, device: &Device, round: u64) {
    let request = device::checkin(load.clock.now(), round);
    let took = Stopwatch::start();
    let Some(answer) = call(load, client, device, path::CHECKIN, &request).await else { return };
    if answer.status == 200 {
        let mut figures = load.figures.borrow_mut();
        figures.checkins.add(took.elapsed());
        figures.checked_in += 1;
    } else {
        count_failure(load, &answer);
    }
}

async fn send_alerts(load: &Load, client: &mut Client, device: &Device) {
    let now = load.clock.now();
    let ids: Vec<_> = (0..load.alert_batch).map(|_| AlertId::new(now, random())).collect();
    let batch = device::alerts(&ids, now);
    let took = Stopwatch::start();
    let Some(answer) = call(load, client, device, path::ALERTS, &batch).await else { return };
    match serde_json::from_slice::<AlertAck>(&answer.body) {
        Ok(ack) if answer.status == 200 => {
            let durable: Vec<AlertId> =
                ack.durable.iter().filter_map(|id| id.parse().ok()).collect();
            let mut figures = load.figures.borrow_mut();
            figures.alert_requests.add(took.elapsed());
            figures.alerts += u64::try_from(durable.len()).unwrap_or(0);
            figures.errors += u64::try_from(ack.refused.len()).unwrap_or(0);
            if let Some(ledger) = &load.ledger {
                ledger.note(device.id, &durable);
            }
            load.acknowledged.borrow_mut().extend(durable.iter().map(|id| (device.id, *id)));
        }
        _ => count_failure(load, &answer),
    }
}

fn count_failure(load: &Load, answer: &Answer) {
    let mut figures = load.figures.borrow_mut();
    match answer.status {
        503 => figures.refuse(answer.retry_after_s),
        _ => figures.errors += 1,
    }
}

/// Sends a request until it is answered or the load ends, each time with a new proof.
async fn call(
    load: &Load,
    client: &mut Client,
    device: &Device,
    path: &str,
    body: &impl Serialize,
) -> Option<Answer> {
    let body = serde_json::to_vec(body).ok()?;
    let url = format!("{}://{}{path}", load.target.scheme, load.target.host);
    let with_token = path != path::ENROLL && path != path::TOKEN;
    let access_token = with_token.then_some(device.access_token.as_str());
    loop {
        let request = dpop::Request { method: "POST", url: &url, access_token };
        let proof = device.proof(request, load.clock.now(), random());
        let headers = match access_token {
            Some(token) => format!("authorization: DPoP {token}\r\ndpop: {proof}\r\n"),
            None => format!("dpop: {proof}\r\n"),
        };
        match client.post(path, &headers, &body).await {
            Ok(answer) => return Some(answer),
            Err(_) if load.stop.get() => return None,
            Err(_) => {
                let mut figures = load.figures.borrow_mut();
                figures.errors += 1;
                figures.broken += 1;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks one of the portal's routes for load tests, again and again where the portal cannot answer.
pub(crate) async fn ask<T: DeserializeOwned>(
    target: &Rc<Target>,
    path: &str,
    body: &impl Serialize,
    tries: u32,
) -> anyhow::Result<T> {
    let body = serde_json::to_vec(body)?;
    let mut client = Client::new(Rc::clone(target), true);
    let mut answer = client.post(path, "", &body).await;
    for _ in 1..tries {
        if matches!(&answer, Ok(answer) if answer.status != 503) {
            break;
        }
        tokio::time::sleep(ASK_PAUSE).await;
        answer = client.post(path, "", &body).await;
    }
    let answer = answer.with_context(|| format!("cannot reach the portal at {}", target.host))?;
    expect(Some(answer), "the portal does not help; was it started with --demo-admin?")
}

fn expect<T: DeserializeOwned>(answer: Option<Answer>, otherwise: &str) -> anyhow::Result<T> {
    let answer = answer.context("the load was stopped")?;
    let body = String::from_utf8_lossy(&answer.body);
    anyhow::ensure!(answer.status == 200, "{otherwise} ({}: {body})", answer.status);
    Ok(serde_json::from_slice(&answer.body)?)
}

fn random() -> u128 {
    let mut octets = [0; 16];
    // Without randomness ids repeat and the portal refuses them, which is counted.
    let _ = getrandom::fill(&mut octets);
    u128::from_be_bytes(octets)
}

const ASK_PAUSE: Duration = Duration::from_millis(500);
/// Between tries where the portal is away.
const PAUSE: Duration = Duration::from_millis(20);
