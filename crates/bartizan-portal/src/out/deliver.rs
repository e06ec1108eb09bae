//! One sink's turn: what waits is read, formed and sent, and the cursor follows.
//!
//! # Invariants
//! - The cursor moves after the receiver has taken what it passes. Whoever dies in between sends again what it sent
//!   already, under the same ids; nothing is lost.

use std::time::Duration;

use axum::http::HeaderName;
use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{SinkId, SinkRow, StoreError, TenantScope};

use super::exchange::Exchange;
use super::http::{Headers, Http};
use super::net::{Trouble, Trust};
use super::plan::{Hours, Message, plan};
use super::seal;
use super::settings::{Channel, Secrets, Settings, Way};
use super::told::Told;
use super::{chat, json, line, mail, signature, smtp, stream};
use crate::reach::Reach;
use crate::seal::Sealer;
use crate::state::AppState;
use crate::{later, random};

/// A sink that can send.
pub(crate) struct Sink {
    pub(crate) channel: Channel,
    pub(crate) settings: Settings,
    pub(crate) secrets: Secrets,
}

impl Sink {
    /// Reads how a sink is set.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub(crate) fn open(sealer: &Sealer, tenant: TenantId, row: &SinkRow) -> Result<Self, String> {
        Ok(Self {
            channel: Channel::from_word(&row.kind)
                .ok_or_else(|| format!("this version knows no sink of the kind {}", row.kind))?,
            settings: serde_json::from_str(&row.settings)
                .map_err(|error| format!("the settings cannot be read: {error}"))?,
            secrets: seal::open(sealer, tenant, &row.secrets).map_err(|error| error.to_string())?,
        })
    }
}

impl Sink {
    /// Goes where the portal may go, whatever the sink's settings say.
    pub(crate) fn within(mut self, reach: &Reach) -> Self {
        self.settings.allow_private &= reach.private_addresses;
        self
    }
}

/// Sends by a sink, over one connection where the way allows it.
pub(crate) struct Sender<'a> {
    sink: &'a Sink,
    trust: &'a Trust,
    http: Http<'a>,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(sink: &'a Sink, trust: &'a Trust) -> Self {
        let Sink { channel, settings, secrets } = sink;
        let http = Http::new(
            &secrets.url,
            &secrets.authorization,
            channel.is_for_people(),
            trust,
            (settings.allow_private, settings.allow_plain),
        );
        Self { sink, trust, http }
    }

    /// Sends one message about some events.
    pub(crate) async fn send(
        &mut self,
        events: &[Told],
        now: UnixMillis,
        exchange: &mut Exchange,
    ) -> Result<(), Trouble> {
        let Sink { channel, settings, secrets } = self.sink;
        match channel.way() {
            Way::Mail => {
                let message = mail::message(events, &settings.from, &settings.to, now);
                smtp::send(settings, secrets, self.trust, &message, exchange).await
            }
            Way::Syslog => {
                let messages: Vec<_> = events.iter().map(|told| self.line(told)).collect();
                stream::send(settings, self.trust, &messages, exchange).await
            }
            Way::Http => {
                let (headers, body) = self.request(events, now);
                self.http.post(&headers, &body, exchange).await
            }
        }
    }

    fn line(&self, told: &Told) -> String {
        let message = match self.sink.channel {
            Channel::SyslogOcsf => json::ocsf(told).to_string(),
            Channel::SyslogCef
            | Channel::Webhook
            | Channel::WebhookOcsf
            | Channel::Slack
            | Channel::Teams
            | Channel::Email => line::cef(told),
        };
        line::syslog(told, &message)
    }

    fn request(&self, events: &[Told], now: UnixMillis) -> (Headers, Vec<u8>) {
        let Sink { channel, secrets, .. } = self.sink;
        let body = match (channel, events.first()) {
            (Channel::Slack, _) => chat::slack(events),
            (Channel::Teams, _) => chat::teams(events),
            (Channel::WebhookOcsf, Some(told)) => json::ocsf(told),
            (_, Some(told)) => json::bartizan(told),
            (_, None) => serde_json::Value::Null,
        };
        let body = body.to_string().into_bytes();
        let mut headers = Vec::new();
        if let Some(told) = events.first().filter(|_| channel.is_signed()) {
            let (id, timestamp_s) = (told.id(), now.0 / 1_000);
            let signed = signature::signatures(secrets.live(now), &id, timestamp_s, &body);
            headers.push((HeaderName::from_static("webhook-id"), id));
            headers.push((HeaderName::from_static("webhook-timestamp"), timestamp_s.to_string()));
            headers.push((HeaderName::from_static("webhook-signature"), signed));
        }
        (headers, body)
    }
}

/// Gives a sink its turn. What does not go out is noted in its row.
pub(super) async fn turn(
    state: &AppState,
    scope: TenantScope,
    id: SinkId,
) -> Result<(), StoreError> {
    let began = state.clock.now();
    let row = state.store.sink(scope, id).await?;
    if row.paused || state.clock.now() < row.due_at {
        return Ok(());
    }
    let tenant = scope.tenant_id();
    let tenant_name = state.store.tenant_row(scope).await?.name;
    let opened = Sink::open(&state.sealer, tenant, &row).map(|sink| sink.within(&state.reach));
    let ready = opened.and_then(|sink| Ok((Trust::of(&sink.settings, &sink.secrets)?, sink)));
    let (trust, sink) = match ready {
        Ok(ready) => ready,
        Err(why) => return fail(state, scope, &row, (false, &[]), &Trouble::down(why)).await,
    };
    let tell = |event| Told::of(event, tenant, &tenant_name, &sink.settings.console_url);
    let mut sender = Sender::new(&sink, &trust);
    let mut turn = Turn { state, scope, row: &row, reached: None, took: 0 };

    for letter in state.store.replays(scope, id, REPLAYS).await? {
        let told = [tell(letter.event)];
        let outcome = sender.send(&told, state.clock.now(), &mut Exchange::default()).await;
        let failed = outcome.as_ref().err().map(ToString::to_string);
        state.metrics.sent(outcome.is_ok());
        let [told] = told;
        state.store.replayed(scope, id, told.seq, failed, state.clock.now()).await?;
        if let Err(trouble @ Trouble::Down { .. }) = outcome {
            return fail(state, scope, &row, (false, &[]), &trouble).await;
        }
    }

    let quiet = sink.settings.quiet.as_ref().filter(|_| sink.channel.is_for_people());
    let is_quiet = quiet.is_some_and(|quiet| quiet.is_at(state.clock.now()));
    let hours = if is_quiet { Hours::Quiet } else { Hours::Open { urgent: row.urgent } };
    let after = if is_quiet { row.urgent } else { row.cursor };
    let page = state.store.events_after(scope, after, PAGE).await?;
    let messages = plan(sink.channel, &sink.settings, hours, page.into_iter().map(tell).collect());
    if messages.is_empty() {
        // In quiet hours something waits, but nothing is to be done.
        turn.reached = Some((is_quiet, after, later(state.clock.now(), QUIET_LOOK)));
        return turn.note().await;
    }
    let count = messages.len();
    for (number, message) in (1..).zip(messages) {
        if !message.events.is_empty() {
            let outcome =
                sender.send(&message.events, state.clock.now(), &mut Exchange::default()).await;
            state.metrics.sent(outcome.is_ok());
            if let Err(trouble) = outcome {
                turn.note().await?;
                let Message { events, upto } = message;
                let seqs: Vec<_> = events.iter().map(|told| told.seq).chain([upto]).collect();
                return fail(state, scope, &row, (is_quiet, &seqs), &trouble).await;
            }
        }
        turn.pass(&sink, is_quiet, &message);
        let is_over = *state.closing.borrow() || later(began, LONGEST_TURN) < state.clock.now();
        if number == count || number % NOTED_AFTER == 0 || is_over {
            turn.note().await?;
        }
        if is_over {
            break;
        }
    }
    Ok(())
}

/// How far a turn has come and what of it is on the disk.
struct Turn<'a> {
    state: &'a AppState,
    scope: TenantScope,
    row: &'a SinkRow,
    reached: Option<(bool, u64, UnixMillis)>,
    took: u64,
}

impl Turn<'_> {
    /// A message is with the receiver, or left out.
    fn pass(&mut self, sink: &Sink, is_quiet: bool, message: &Message) {
        let told = u64::try_from(message.events.len()).unwrap_or(u64::MAX);
        self.took = self.took.saturating_add(told);
        let minutes = u64::from(sink.settings.digest_minutes);
        let is_digest = sink.channel.is_for_people() && 0 < minutes && 0 < told && !is_quiet;
        let now = self.state.clock.now();
        let due = if is_digest { later(now, Duration::from_secs(60 * minutes)) } else { now };
        self.reached = Some((is_quiet, message.upto, due));
    }

    /// Moves the cursor.
    async fn note(&mut self) -> Result<(), StoreError> {
        let Some((is_quiet, upto, due)) = self.reached.take() else { return Ok(()) };
        let (store, id, now) = (&self.state.store, self.row.id, self.state.clock.now());
        let took = std::mem::take(&mut self.took);
        if is_quiet {
            store.advance_urgent(self.scope, id, (upto, took), due, now).await
        } else {
            store.advance_sink(self.scope, id, (upto, took), due, now).await
        }
    }
}

/// Notes that a message did not go out: when it is tried again, or that it is given up.
async fn fail(
    state: &AppState,
    scope: TenantScope,
    row: &SinkRow,
    (is_quiet, seqs): (bool, &[u64]),
    trouble: &Trouble,
) -> Result<(), StoreError> {
    let now = state.clock.now();
    // Read again: what went out in this turn has begun the count anew.
    let row = state.store.sink(scope, row.id).await?;
    let (most, after) = match trouble {
        Trouble::Down { after, .. } => (TRIES_DOWN, *after),
        Trouble::Refused(_) => (TRIES_REFUSED, None),
    };
    let pause = pause(row.failures, after, random::<1>().map_or(0, |[octet]| octet));
    let tries = row.tries.saturating_add(1);
    tracing::warn!(
        tenant.id = scope.tenant_id().0,
        sink.id = %row.id,
        tries,
        pause.s = pause.as_secs(),
        "a sink did not take what it was sent"
    );
    let error: String = trouble.to_string().chars().take(LONGEST_ERROR).collect();
    state.store.fail_sink(scope, row.id, error.clone(), later(now, pause), now).await?;
    if let Some((cursor, seqs)) = seqs.split_last().filter(|_| most <= tries) {
        // In quiet hours what is not urgent still waits behind the cursor.
        let dead = (if is_quiet { row.cursor } else { *cursor }, tries, error);
        state.store.bury(scope, row.id, seqs.to_vec(), dead, now).await?;
        if is_quiet {
            let due = later(now, pause);
            state.store.advance_urgent(scope, row.id, (*cursor, 0), due, now).await?;
        }
    }
    Ok(())
}

/// How long to wait after so many failures: twice as long each time, up to a quarter of an hour, and up to a quarter
/// more by chance, so that many do not come back at once.
fn pause(failures: u32, after: Option<Duration>, chance: u8) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
    let asked = after.unwrap_or_default().min(LONGEST_PAUSE);
    let pause = doubled.max(asked);
    pause + pause.mul_f64(f64::from(chance) / 1_024.0)
}

/// Of dead letters that are sent again in one turn.
const REPLAYS: u32 = 20;
/// Of events that are read at once; what a digest or a syslog connection holds at most.
const PAGE: u32 = 200;
/// Messages after which the cursor is written: so many come twice if the portal is killed.
const NOTED_AFTER: usize = 20;
/// Well within the lease.
const LONGEST_TURN: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Of a message that is refused.
const TRIES_REFUSED: u32 = 3;
/// Of one that finds nobody: some three hours.
const TRIES_DOWN: u32 = 20;
/// How often quiet hours are looked at.
const QUIET_LOOK: Duration = Duration::from_secs(5);
const LONGEST_ERROR: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_quarter_of_an_hour_and_heed_what_is_asked() {
        check(0, None, 0, 2_000);
        check(1, None, 0, 4_000);
        check(5, None, 0, 64_000);
        check(9, None, 0, 900_000);
        check(u32::MAX, None, 0, 900_000);
        check(0, Some(60), 0, 60_000);
        check(0, Some(86_400), 0, 900_000);
        check(0, None, 255, 2_498);
    }

    #[track_caller]
    fn check(failures: u32, after_s: Option<u64>, chance: u8, expected_ms: u128) {
        let pause = pause(failures, after_s.map(Duration::from_secs), chance);
        assert_eq!(pause.as_millis(), expected_ms, "{failures}");
    }
}
