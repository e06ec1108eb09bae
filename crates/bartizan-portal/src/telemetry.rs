//! Traces for a collector of OpenTelemetry: a span for each request, as OTLP in JSON over HTTP. Off unless a collector is
//! named.
//!
//! Written by hand: the messages are a page of JSON, and what else the usual library brings would be never used.
//!
//! # What it does not do
//! - Carry anything of a person or of an organization: a span has method, route as a pattern, status, and the id that the
//!   log has too.
//!
//! # Invariants
//! - No request waits for it: what does not fit into the queue is dropped and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use bartizan_model::UnixMillis;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::feeds::{Access, agent};
use crate::files::hexadecimal;
use crate::random;
use crate::serve::closed;
use crate::state::AppState;

/// Where spans go; nowhere unless a collector is named.
pub(crate) struct Telemetry {
    queue: Option<Queue>,
    dropped: AtomicU64,
}

struct Queue {
    url: String,
    sender: mpsc::Sender<Span>,
    /// Until somebody sends them on.
    receiver: Mutex<Option<mpsc::Receiver<Span>>>,
}

/// What a request belongs to, by `traceparent` (W3C Trace Context), or a trace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    trace: [u8; 16],
    parent: Option<[u8; 8]>,
}

/// A request that was answered.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) trace: Trace,
    pub(crate) method: Method,
    pub(crate) route: String,
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) started_at: UnixMillis,
    pub(crate) ended_at: UnixMillis,
}

impl Telemetry {
    /// Sends to the collector at this address, whose path for traces is added.
    pub(crate) fn new(endpoint: Option<&str>) -> Self {
        let queue = endpoint.map(|endpoint| {
            let (sender, receiver) = mpsc::channel(ROOM);
            let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
            Queue { url, sender, receiver: Mutex::new(Some(receiver)) }
        });
        Self { queue, dropped: AtomicU64::new(0) }
    }

    /// Says what a request belongs to; `None` if nobody wants to know.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Option<Trace> {
        self.queue.as_ref()?;
        let said = headers.get("traceparent").and_then(|value| value.to_str().ok());
        match said.map(parent) {
            Some(Parent::Sampled(trace)) => Some(trace),
            Some(Parent::NotSampled) => None,
            // What cannot be read is as if it was not there.
            Some(Parent::Unreadable) | None => Some(Trace { trace: random().ok()?, parent: None }),
        }
    }

    /// Takes a span, if there is room.
    pub(crate) fn end(&self, span: Span) {
        if let Some(queue) = &self.queue
            && queue.sender.try_send(span).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many spans were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Sends spans to the collector until the portal closes, and then what is left.
pub(crate) async fn run(state: AppState) {
    let Some(queue) = &state.telemetry.queue else { return };
    let receiver = queue.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut receiver) = receiver else { return };
    let mut closing = state.closing.subscribe();
    let mut is_closing = false;
    while !is_closing {
        let pause = tokio::time::sleep(PAUSE);
        tokio::select! {
            () = closed(&mut closing) => is_closing = true,
            () = pause => {}
        }
        let mut spans = Vec::new();
        while let Ok(span) = receiver.try_recv() {
            spans.push(span);
        }
        for batch in spans.chunks(BATCH) {
            send(&state, queue.url.clone(), batch).await;
        }
    }
}

async fn send(state: &AppState, url: String, batch: &[Span]) {
    let body = message(batch).to_string();
    // The collector is the operator's own, and mostly near.
    let access = Access { allow_http: true, allow_private: true, ..Access::default() };
    let sent = tokio::task::spawn_blocking(move || {
        let request = agent(&url, &access, 0).post(&url).header("content-type", "application/json");
        request.config().timeout_global(Some(LIMIT)).build().send(body)
    });
    let failed = match sent.await {
        Ok(Ok(answer)) if answer.status().is_success() => return,
        Ok(Ok(answer)) => answer.status().to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let lost = u64::try_from(batch.len()).unwrap_or(u64::MAX);
    state.telemetry.dropped.fetch_add(lost, Ordering::Relaxed);
    tracing::debug!(error = failed, "spans were not taken");
}

/// Writes an `ExportTraceServiceRequest`.
fn message(spans: &[Span]) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", "bartizan-portal"),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ] },
        "scopeSpans": [{
            "scope": { "name": "bartizan", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(Span::to_json).collect::<Vec<_>>(),
        }],
    }] })
}

impl Span {
    fn to_json(&self) -> Value {
        let id = random::<8>().unwrap_or([1; 8]);
        let mut span = json!({
            "traceId": hexadecimal(&self.trace.trace),
            "spanId": hexadecimal(&id),
            "name": format!("{} {}", self.method, self.route),
            "kind": SERVER,
            "startTimeUnixNano": nanoseconds(self.started_at),
            "endTimeUnixNano": nanoseconds(self.ended_at),
            "attributes": [
                text("http.request.method", self.method.as_str()),
                text("http.route", &self.route),
                json!({ "key": "http.response.status_code", "value": { "intValue": self.status.to_string() } }),
                text("bartizan.request.id", &self.request_id),
            ],
            "status": if 500 <= self.status { json!({ "code": ERROR }) } else { json!({}) },
        });
        if let (Some(parent), Some(members)) = (self.trace.parent, span.as_object_mut()) {
            members.insert("parentSpanId".to_owned(), hexadecimal(&parent).into());
        }
        span
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// As text: JSON's numbers are too small.
fn nanoseconds(time: UnixMillis) -> String {
    format!("{}000000", time.0)
}

#[derive(Debug, PartialEq, Eq)]
enum Parent {
    Sampled(Trace),
    NotSampled,
    Unreadable,
}

/// Reads `version-trace-parent-flags`, of any version that has these four (W3C Trace Context §3.2).
fn parent(said: &str) -> Parent {
    let mut parts = said.split('-');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Parent::Unreadable;
    };
    let (version_octet, trace, parent, flags) =
        (octets::<1>(version), octets::<16>(trace), octets::<8>(parent), octets::<1>(flags));
    let (Some([version]), Some(trace), Some(parent), Some([flags])) =
        (version_octet, trace, parent, flags)
    else {
        return Parent::Unreadable;
    };
    let is_whole = version != 0 || parts.next().is_none();
    if version == 0xff || !is_whole || trace == [0; 16] || parent == [0; 8] {
        return Parent::Unreadable;
    }
    if flags & 1 == 0 {
        return Parent::NotSampled;
    }
    Parent::Sampled(Trace { trace, parent: Some(parent) })
}

/// Reads so many octets in lower-case hexadecimal.
fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if text.len() != 2 * N || !text.bytes().all(is_hexadecimal) {
        return None;
    }
    let mut octets = [0; N];
    for (octet, at) in octets.iter_mut().zip((0..).step_by(2)) {
        *octet = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(octets)
}

/// Two seconds of the most that a portal answers; some 5 MiB.
const ROOM: usize = 16_384;
const BATCH: usize = 1_024;
const PAUSE: Duration = Duration::from_secs(2);
/// For a batch, the collector's answer included.
const LIMIT: Duration = Duration::from_secs(5);
/// `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parent_is_read_as_the_standard_says() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let sampled = |said: &str| matches!(parent(said), Parent::Sampled(_));
        assert!(sampled(&format!("00-{trace}-b7ad6b7169203331-01")));
        assert!(sampled(&format!("cc-{trace}-b7ad6b7169203331-01-what-else")));
        let not = parent(&format!("00-{trace}-b7ad6b7169203331-00"));
        assert_eq!(not, Parent::NotSampled);
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-{trace}-b7ad6b716920333-01"),
        ] {
            assert_eq!(parent(&bad), Parent::Unreadable, "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let telemetry = Telemetry::new(Some("http://127.0.0.1:4318/"));
        let trace = telemetry.begin(&HeaderMap::new()).unwrap();
        for _ in 0..ROOM + 3 {
            telemetry.end(Span {
                trace,
                method: Method::GET,
                route: "/livez".to_owned(),
                status: 200,
                request_id: String::new(),
                started_at: UnixMillis(0),
                ended_at: UnixMillis(0),
            });
        }
        assert_eq!(telemetry.dropped(), 3);
        assert_eq!(Telemetry::new(None).begin(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fail_loudly(said in "[0-9a-f\\-]{0,70}") {
            let _ = parent(&said);
        }
    }
}
