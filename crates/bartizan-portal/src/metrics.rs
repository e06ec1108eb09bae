//! What the portal counts, for Prometheus: text format 0.0.4, on a listener of its own.
//!
//! Labels are patterns of routes, methods and status codes: a bounded set, in which nobody is named.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{Method, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bartizan_contract::path;
use bartizan_model::UnixMillis;
use bartizan_store::{FeedHealth, GROUP_SIZES, SinkHealth, StoreLoad};

use crate::state::AppState;

/// Counters of this process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<Requests>,
    started_at: AtomicU64,
    alerts_stored: AtomicU64,
    alerts_joined: AtomicU64,
    messages_sent: AtomicU64,
    messages_failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Requests {
    /// By route, method and status.
    counts: BTreeMap<(String, &'static str, u16), u64>,
    /// By route.
    durations: BTreeMap<String, Durations>,
}

/// How long requests took.
#[derive(Clone, Copy, Debug, Default)]
struct Durations {
    /// Of those that took at most as long as [`BOUNDS_MS`] says, and longer than the bound before.
    within: [u64; BOUNDS_MS.len()],
    all: u64,
    sum_ms: u64,
}

impl Metrics {
    pub(crate) fn started_at(now: UnixMillis) -> Self {
        Self { started_at: AtomicU64::new(now.0), ..Self::default() }
    }

    /// Counts a request that was answered.
    pub(crate) fn request(&self, route: &str, method: &Method, status: u16, duration_ms: u64) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.counts.entry((route.to_owned(), word(method), status)).or_default() += 1;
        let durations = requests.durations.entry(route.to_owned()).or_default();
        durations.all += 1;
        durations.sum_ms = durations.sum_ms.saturating_add(duration_ms);
        let bound =
            BOUNDS_MS.iter().zip(&mut durations.within).find(|(most, _)| duration_ms <= **most);
        if let Some((_, count)) = bound {
            *count += 1;
        }
    }

    /// Counts alerts that are on disk: those that are rows of their own, and those that joined one.
    pub(crate) fn alerts(&self, stored: usize, joined: usize) {
        let add = |count: &AtomicU64, more| {
            count.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
        };
        add(&self.alerts_stored, stored);
        add(&self.alerts_joined, joined);
    }

    /// Counts a message to a sink.
    pub(crate) fn sent(&self, is_taken: bool) {
        let count = if is_taken { &self.messages_sent } else { &self.messages_failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes everything down.
    fn text(
        &self,
        load: StoreLoad,
        devices: (usize, usize),
        feeds: Option<FeedHealth>,
        now: UnixMillis,
    ) -> String {
        let mut out = Text::default();
        out.family("bartizan_build_info", "gauge", "The program that runs.");
        out.sample("bartizan_build_info", &[("version", env!("CARGO_PKG_VERSION"))], "1");
        let started_at = seconds(self.started_at.load(Ordering::Relaxed));
        out.single("process_start_time_seconds", "gauge", "When it started.", &started_at);
        self.write_requests(&mut out);
        for (name, about, count) in [
            (
                "bartizan_alerts_stored_total",
                "Alerts of devices that became rows.",
                &self.alerts_stored,
            ),
            (
                "bartizan_alerts_joined_total",
                "Alerts that joined one of the same threat.",
                &self.alerts_joined,
            ),
            ("bartizan_sink_messages_total", "Messages that sinks took.", &self.messages_sent),
            (
                "bartizan_sink_failures_total",
                "Messages that sinks did not take.",
                &self.messages_failed,
            ),
        ] {
            out.single(name, "counter", about, &count.load(Ordering::Relaxed).to_string());
        }
        out.single(
            "bartizan_device_requests_under_way",
            "gauge",
            "Requests of devices that are being worked on.",
            &devices.0.to_string(),
        );
        out.single(
            "bartizan_device_requests_refused_total",
            "counter",
            "Requests of devices that were told to come back later.",
            &devices.1.to_string(),
        );
        write_store(&mut out, load);
        out.single(
            "bartizan_database_up",
            "gauge",
            "Whether the database could be read.",
            if feeds.is_some() { "1" } else { "0" },
        );
        if let Some(feeds) = feeds {
            write_feeds(&mut out, feeds, now);
        }
        out.0
    }

    fn write_requests(&self, out: &mut Text) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        out.family("bartizan_requests_total", "counter", "Requests that were answered.");
        let mut checkins = 0;
        for ((route, method, status), count) in &requests.counts {
            let status = status.to_string();
            let labels = [("route", route.as_str()), ("method", method), ("status", &status)];
            out.sample("bartizan_requests_total", &labels, &count.to_string());
            if route == path::CHECKIN && status == "200" {
                checkins += count;
            }
        }
        out.single(
            "bartizan_checkins_total",
            "counter",
            "Check-ins of devices.",
            &checkins.to_string(),
        );
        let name = "bartizan_request_duration_seconds";
        out.family(name, "histogram", "How long requests took.");
        for (route, durations) in &requests.durations {
            let mut below = 0;
            for (bound, count) in BOUNDS_MS.iter().zip(durations.within) {
                below += count;
                let labels = [("route", route.as_str()), ("le", &seconds(*bound))];
                out.sample(&format!("{name}_bucket"), &labels, &below.to_string());
            }
            let labels = [("route", route.as_str()), ("le", "+Inf")];
            out.sample(&format!("{name}_bucket"), &labels, &durations.all.to_string());
            let labels = [("route", route.as_str())];
            out.sample(&format!("{name}_sum"), &labels, &seconds(durations.sum_ms));
            out.sample(&format!("{name}_count"), &labels, &durations.all.to_string());
        }
    }
}

fn write_store(out: &mut Text, load: StoreLoad) {
    for (name, kind, about, value) in [
        ("bartizan_store_waiting", "gauge", "Changes that wait for a writer.", load.waiting),
        ("bartizan_store_waiting_limit", "gauge", "How many may wait.", load.room),
        ("bartizan_store_commits_total", "counter", "Transactions that are on disk.", load.commits),
        (
            "bartizan_store_failed_commits_total",
            "counter",
            "Transactions that failed.",
            load.failed_commits,
        ),
        (
            "bartizan_store_busy_total",
            "counter",
            "What was refused because too much was waiting.",
            load.refused,
        ),
    ] {
        out.single(name, kind, about, &value.to_string());
    }
    let name = "bartizan_store_group_size";
    out.family(name, "histogram", "Changes in one transaction.");
    let mut below = 0;
    for (bound, count) in GROUP_SIZES.iter().zip(load.groups) {
        below += count;
        out.sample(&format!("{name}_bucket"), &[("le", &bound.to_string())], &below.to_string());
    }
    out.sample(&format!("{name}_bucket"), &[("le", "+Inf")], &load.commits.to_string());
    out.sample(&format!("{name}_sum"), &[], &load.changes.to_string());
    out.sample(&format!("{name}_count"), &[], &load.commits.to_string());
}

fn write_feeds(out: &mut Text, feeds: FeedHealth, now: UnixMillis) {
    let age_ms = feeds.oldest_check.map_or(0, |at| now.0.saturating_sub(at.0));
    for (name, about, value) in [
        ("bartizan_feeds", "Feeds that are looked at by a schedule.", feeds.scheduled.to_string()),
        ("bartizan_feeds_failing", "Feeds that failed the last time.", feeds.failing.to_string()),
        (
            "bartizan_feed_oldest_check_seconds",
            "How long ago the feed was looked at that waits longest.",
            seconds(age_ms),
        ),
    ] {
        out.single(name, "gauge", about, &value);
    }
}

/// Writes how many spans were dropped.
fn spans_text(dropped: u64) -> String {
    let mut out = Text::default();
    out.single(
        "bartizan_spans_dropped_total",
        "counter",
        "Spans of requests that no collector of traces took.",
        &dropped.to_string(),
    );
    out.0
}

fn sinks_text(sinks: SinkHealth) -> String {
    let mut out = Text::default();
    for (name, about, value) in [
        ("bartizan_sinks", "Sinks of all organizations.", sinks.sinks),
        ("bartizan_sinks_paused", "Sinks that wait for a person.", sinks.paused),
        ("bartizan_sinks_failing", "Sinks that failed the last time.", sinks.failing),
        ("bartizan_sink_lag_events", "Events that wait for the sink furthest behind.", sinks.lag),
        ("bartizan_sink_dead_letters", "Events that were given up.", sinks.dead),
    ] {
        out.single(name, "gauge", about, &value.to_string());
    }
    out.0
}

/// The service that answers `GET /metrics`, and nothing else.
pub(crate) fn router(state: AppState) -> Router {
    Router::new().route("/metrics", get(show)).with_state(state)
}

async fn show(State(state): State<AppState>) -> impl IntoResponse {
    let feeds = match state.store.feed_health().await {
        Ok(feeds) => Some(feeds),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "feeds were not counted");
            None
        }
    };
    let mut text =
        state.metrics.text(state.store.load(), state.admission.load(), feeds, state.clock.now());
    text.push_str(&spans_text(state.telemetry.dropped()));
    match state.store.sink_health().await {
        Ok(sinks) => text.push_str(&sinks_text(sinks)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "sinks were not counted");
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// The text, family by family.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, about: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {about}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to a string does not fail.
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        // Writing to a string does not fail.
        let _ = writeln!(self.0, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, about: &str, value: &str) {
        self.family(name, kind, about);
        self.sample(name, &[], value);
    }
}

/// Milliseconds as seconds, exactly.
fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A method of which there are not many: a client may invent one.
fn word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

const BOUNDS_MS: [u64; 11] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_written_in_families() {
        let metrics = Metrics::started_at(UnixMillis(1_800_000_000_500));
        metrics.request(path::CHECKIN, &Method::POST, 200, 3);
        metrics.request(path::CHECKIN, &Method::POST, 503, 7_000);
        metrics.request("-", &Method::from_bytes(b"BREW").unwrap(), 405, 0);
        metrics.alerts(2, 1);
        let feeds = FeedHealth { scheduled: 3, failing: 1, oldest_check: Some(UnixMillis(1_000)) };
        let load =
            StoreLoad { commits: 5, groups: [3, 1, 1, 0, 0], changes: 20, ..StoreLoad::default() };
        let text = metrics.text(load, (7, 8), Some(feeds), UnixMillis(61_000));
        for line in [
            "process_start_time_seconds 1800000000.5",
            "bartizan_requests_total{route=\"/device/v1/checkin\",method=\"POST\",status=\"200\"} 1",
            "bartizan_requests_total{route=\"-\",method=\"other\",status=\"405\"} 1",
            "bartizan_checkins_total 1",
            "bartizan_request_duration_seconds_bucket{route=\"/device/v1/checkin\",le=\"0.005\"} 1",
            "bartizan_request_duration_seconds_bucket{route=\"/device/v1/checkin\",le=\"5\"} 1",
            "bartizan_request_duration_seconds_bucket{route=\"/device/v1/checkin\",le=\"+Inf\"} 2",
            "bartizan_request_duration_seconds_sum{route=\"/device/v1/checkin\"} 7.003",
            "bartizan_alerts_stored_total 2",
            "bartizan_alerts_joined_total 1",
            "bartizan_store_group_size_bucket{le=\"16\"} 5",
            "bartizan_store_group_size_sum 20",
            "bartizan_feed_oldest_check_seconds 60",
            "bartizan_database_up 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
        let mut families: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = families.len();
        families.dedup();
        assert_eq!(families.len(), all, "each family stands once");
    }

    #[test]
    fn seconds_are_exact() {
        for (ms, text) in [(0, "0"), (1, "0.001"), (250, "0.25"), (1_000, "1"), (10_000, "10")] {
            assert_eq!(seconds(ms), text);
        }
    }
}
