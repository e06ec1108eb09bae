//! Taking a version of a feed: fetch or receive it, judge it against the one in use, store what was decided.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use anyhow::Context as _;
use bartizan_indicators::{feed, unpack};
use bartizan_model::UnixMillis;
use bartizan_store::{
    FeedCheck, FeedId, FeedOrigin, FeedOutcome, FeedRow, FeedSettings, FeedVersionRow,
    FeedVersionState, NewFeedVersion, NoticeKind, TenantScope, Validators,
};

use super::fetch::{Access, FetchError, Fetched, Fetcher, Limits};
use super::{settings, want_compile};
use crate::files::Incoming;
use crate::serve::closed;
use crate::state::AppState;

/// What a look at a feed came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedUpdate {
    /// In a word.
    pub outcome: FeedOutcome,
    /// In a sentence.
    pub detail: String,
}

/// What came, and what was found about it.
enum Arrived {
    /// The server has nothing newer.
    NotModified,
    /// Octets that are known.
    Known { state: FeedVersionState, reason: String, validators: Validators },
    /// Octets that are not.
    Fresh(Box<Fresh>),
    /// Nothing.
    Failed(FetchError),
}

struct Fresh {
    incoming: Incoming,
    judged: Judged,
    validators: Validators,
}

/// What is to be done with octets.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    entries: u64,
    lines: u64,
    bad_lines: u64,
    format: String,
    refused: Option<(NoticeKind, String)>,
}

/// Fetches a feed and takes what comes, if it is fit.
pub(crate) async fn look(
    state: &AppState,
    scope: TenantScope,
    feed: FeedId,
) -> anyhow::Result<FeedUpdate> {
    let row = state.store.feed(scope, feed).await?;
    let url = row.settings.url.clone().context("nobody fetches this feed: upload a version")?;
    let access = Access {
        allow_http: row.settings.allow_http,
        allow_private: row.settings.allow_private && state.reach.private_addresses,
        authorization: row.settings.credentials.clone(),
    };
    let fetcher = Fetcher::new(&url, access, Limits::default(), &state.clock);
    let worker = fetcher.clone();
    let (origin, known) = (row.settings.origin, row.validators.clone());
    let bring = move |into: &mut Incoming| match origin {
        FeedOrigin::Url | FeedOrigin::Upload => worker.document(&url, &known, into),
        FeedOrigin::Misp => worker.misp(&url, &known, into),
        FeedOrigin::Taxii => worker.taxii(&url, into),
    };
    let taking = take(state, scope, row, false, bring);
    let mut closing = state.closing.subscribe();
    let mut taking = std::pin::pin!(taking);
    tokio::select! {
        update = taking.as_mut() => update,
        () = closed(&mut closing) => {
            // The thread ends at once instead of holding up the end of the process.
            fetcher.stop();
            taking.await
        }
    }
}

/// Takes a version that somebody brings, if it is fit.
pub(crate) async fn upload(
    state: &AppState,
    scope: TenantScope,
    feed: FeedId,
    octets: impl Read + Send + 'static,
) -> anyhow::Result<FeedUpdate> {
    let row = state.store.feed(scope, feed).await?;
    let bring = move |into: &mut Incoming| {
        let mut octets = octets;
        io::copy(&mut octets, into).map_err(FetchError::Sink)?;
        Ok(Fetched::New(Validators::default()))
    };
    take(state, scope, row, true, bring).await
}

async fn take(
    state: &AppState,
    scope: TenantScope,
    row: FeedRow,
    by_person: bool,
    bring: impl FnOnce(&mut Incoming) -> Result<Fetched, FetchError> + Send + 'static,
) -> anyhow::Result<FeedUpdate> {
    let versions = state.store.feed_versions(scope, row.id).await?;
    let known = known(&versions, by_person);
    let in_use = row.version.map(|_| row.entries);
    let files = state.files.clone();
    let (tenant, settings) = (scope.tenant_id(), row.settings.clone());
    let arrived = tokio::task::spawn_blocking(move || -> anyhow::Result<Arrived> {
        let mut incoming = files.receive_feed(tenant).context("cannot write to the data folder")?;
        let validators = match bring(&mut incoming) {
            Ok(Fetched::New(validators)) => validators,
            Ok(Fetched::Unchanged) => return Ok(Arrived::NotModified),
            Err(error) => return Ok(Arrived::Failed(error)),
        };
        if let Some((state, reason)) = known.get(&incoming.sha256()).cloned() {
            return Ok(Arrived::Known { state, reason, validators });
        }
        let judged = judge(incoming.read_back()?, &settings, in_use);
        Ok(Arrived::Fresh(Box::new(Fresh { incoming, judged, validators })))
    });
    let arrived = arrived.await??;
    let _storing = state.feeds.storing.lock().await;
    settle(state, scope, &row, &versions, arrived).await
}

/// Octets that are not taken when they come again. A person who brings what was refused before means it to
/// be looked at again.
fn known(
    versions: &[FeedVersionRow],
    by_person: bool,
) -> BTreeMap<String, (FeedVersionState, String)> {
    let is_meant = |version: &&FeedVersionRow| match version.state {
        FeedVersionState::Current => true,
        FeedVersionState::Refused | FeedVersionState::RolledBack => !by_person,
        FeedVersionState::Kept => false,
    };
    let known = versions.iter().rev().filter(is_meant);
    known.map(|version| (version.sha256.clone(), (version.state, version.reason.clone()))).collect()
}

/// Stores what was decided, and tells whom it concerns.
async fn settle(
    state: &AppState,
    scope: TenantScope,
    row: &FeedRow,
    versions: &[FeedVersionRow],
    arrived: Arrived,
) -> anyhow::Result<FeedUpdate> {
    let (store, now) = (&state.store, state.clock.now());
    let name = &row.settings.name;
    let mut failures = 0;
    let (outcome, detail, validators) = match arrived {
        Arrived::NotModified => {
            let (outcome, detail) = match versions.first() {
                Some(newest) if newest.state == FeedVersionState::Refused => {
                    (FeedOutcome::Refused, still_refused(&newest.reason))
                }
                Some(newest) if newest.state == FeedVersionState::RolledBack => {
                    (FeedOutcome::Unchanged, STILL_ROLLED_BACK.to_owned())
                }
                Some(_) | None => (FeedOutcome::Unchanged, UNCHANGED.to_owned()),
            };
            (outcome, detail, None)
        }
        Arrived::Known { state, reason, validators } => {
            let (outcome, detail) = match state {
                FeedVersionState::Refused => (FeedOutcome::Refused, still_refused(&reason)),
                FeedVersionState::RolledBack => {
                    (FeedOutcome::Unchanged, STILL_ROLLED_BACK.to_owned())
                }
                FeedVersionState::Current | FeedVersionState::Kept => {
                    (FeedOutcome::Unchanged, UNCHANGED.to_owned())
                }
            };
            (outcome, detail, Some(validators))
        }
        Arrived::Fresh(fresh) => {
            let Fresh { incoming, judged, validators } = *fresh;
            let version = NewFeedVersion {
                sha256: incoming.sha256(),
                size_bytes: incoming.size_bytes(),
                fetched_at: now,
                entries: judged.entries,
                lines: judged.lines,
                bad_lines: judged.bad_lines,
                format: judged.format,
                refused: judged.refused.as_ref().map(|(_, reason)| reason.clone()),
            };
            tokio::task::spawn_blocking(|| incoming.finish())
                .await?
                .context("cannot write to the data folder")?;
            let added = store.add_feed_version(scope, row.id, version).await?;
            state.files.remove_feeds(scope.tenant_id(), &added.orphans);
            if let Some((kind, reason)) = judged.refused {
                let text = format!("What {name} gives now is not used: {reason}");
                store.raise_notice(scope, kind, Some(row.id), text, now).await?;
                (FeedOutcome::Refused, reason, Some(validators))
            } else {
                store.settle_notices(scope, Some(row.id), None, now).await?;
                want_compile(state, scope).await?;
                let detail = format!(
                    "{} entries as version {}; {} of {} lines could not be read.",
                    judged.entries, added.version, judged.bad_lines, judged.lines
                );
                (FeedOutcome::Taken, detail, Some(validators))
            }
        }
        Arrived::Failed(error) => {
            failures = row.failures + 1;
            let detail = format!("{error}.");
            if failures == NOTICED_FAILURES || failures.is_multiple_of(AGAIN_NOTICED_FAILURES) {
                let text = format!(
                    "{name} could not be fetched {failures} times in a row: {detail} The version in use stays."
                );
                store.raise_notice(scope, NoticeKind::Unreachable, Some(row.id), text, now).await?;
            }
            (FeedOutcome::Failed, detail, None)
        }
    };
    if failures == 0 && row.failures != 0 {
        // It is reached again, whatever it gives.
        let kind = Some(NoticeKind::Unreachable);
        store.settle_notices(scope, Some(row.id), kind, now).await?;
    }
    let due_at = next_due(&row.settings, failures, now, crate::random()?);
    let check = FeedCheck { at: now, outcome, detail: detail.clone(), due_at, validators };
    store.note_feed_check(scope, row.id, check).await?;
    tracing::info!(
        tenant.id = scope.tenant_id().0,
        feed.id = %row.id,
        feed.outcome = outcome.word(),
        "feed looked at"
    );
    Ok(FeedUpdate { outcome, detail })
}

/// Reads octets to their end, and compares with the version in use.
fn judge(octets: impl Read + Send + 'static, feed: &FeedSettings, in_use: Option<u64>) -> Judged {
    let read =
        unpack::open(BufReader::with_capacity(BUFFER, octets)).map_err(feed::FeedError::from);
    let read = read.and_then(|input| feed::read_as(input, &settings::read(feed), |_| {}));
    let report = match read {
        Ok(report) => report,
        Err(error) => {
            return Judged {
                entries: 0,
                lines: 0,
                bad_lines: 0,
                format: String::new(),
                refused: Some((NoticeKind::Refused, format!("It {error}."))),
            };
        }
    };
    let entries = report.entries();
    Judged {
        entries,
        lines: report.lines,
        bad_lines: report.bad_lines,
        format: report.format.to_string(),
        refused: in_use.and_then(|before| changed_too_much(before, entries, feed.change_limit)),
    }
}

/// Tells by how much a feed shrank or grew, if by more than it may.
fn changed_too_much(before: u64, after: u64, limit: u16) -> Option<(NoticeKind, String)> {
    let (kind, verb) =
        if after < before { (NoticeKind::Shrank, "shrank") } else { (NoticeKind::Grew, "grew") };
    let change = u128::from(before.abs_diff(after)) * 100;
    if before == 0 || change <= u128::from(before) * u128::from(limit) {
        return None;
    }
    let percent = change / u128::from(before);
    let reason = format!(
        "It {verb} by {percent} %, from {before} to {after} entries; up to {limit} % is taken without a person."
    );
    Some((kind, reason))
}

/// When to look again: as scheduled, and after failures sooner at first; never all feeds in one moment.
fn next_due(
    settings: &FeedSettings,
    failures: u64,
    now: UnixMillis,
    [random]: [u8; 1],
) -> Option<UnixMillis> {
    if settings.interval_s == 0 {
        return None;
    }
    let mut pause_ms = settings.interval_s * 1_000;
    if failures != 0 {
        let doubled = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(20);
        pause_ms = pause_ms.min(FIRST_RETRY_MS << doubled);
    }
    // From 95 % to 105 %.
    let jitter = pause_ms / 10 * u64::from(random) / 255;
    Some(UnixMillis(now.0 + pause_ms - pause_ms / 20 + jitter))
}

fn still_refused(reason: &str) -> String {
    format!("The server still gives what was refused. {reason}")
}

const BUFFER: usize = 1 << 16;
const UNCHANGED: &str = "Nothing new.";
const STILL_ROLLED_BACK: &str =
    "The server still gives a version that was rolled back; it is not taken again.";
const FIRST_RETRY_MS: u64 = 5 * 60 * 1_000;
const NOTICED_FAILURES: u64 = 3;
const AGAIN_NOTICED_FAILURES: u64 = 24;

#[cfg(test)]
mod tests {
    use super::super::settings::usual;
    use super::*;

    #[test]
    fn a_sudden_change_is_not_taken() {
        check(100, 50, None);
        check(100, 150, None);
        check(0, 9, None);
        check(
            100,
            49,
            Some(
                "It shrank by 51 %, from 100 to 49 entries; up to 50 % is taken without a person.",
            ),
        );
        check(
            100,
            151,
            Some("It grew by 51 %, from 100 to 151 entries; up to 50 % is taken without a person."),
        );
        check(
            1,
            u64::MAX,
            Some(
                "It grew by 1844674407370955161400 %, from 1 to 18446744073709551615 entries; up to 50 % is taken without a person.",
            ),
        );

        #[track_caller]
        fn check(before: u64, after: u64, expected: Option<&str>) {
            let refused = changed_too_much(before, after, 50).map(|(_, reason)| reason);
            assert_eq!(refused.as_deref(), expected);
        }
    }

    #[test]
    fn what_is_no_feed_is_refused_with_the_reason() {
        for (octets, reason) in [
            ("<html>", "It is a web page, not a feed."),
            ("", "It holds no entries."),
            (
                "one fine day\n",
                "It is not a feed: 1 of 1 lines are not host names, URLs or addresses, the first on line 1: is not one host name.",
            ),
        ] {
            let judged = judge(octets.as_bytes(), &usual("evil", FeedOrigin::Url), None);
            assert_eq!(judged.refused, Some((NoticeKind::Refused, reason.to_owned())));
        }
    }

    #[test]
    fn a_failing_feed_is_looked_at_again_soon_and_then_as_scheduled() {
        let minutes = |failures, random| {
            let now = UnixMillis(1_000_000);
            let due = next_due(&usual("evil", FeedOrigin::Url), failures, now, [random]).unwrap();
            (due.0 - now.0) as f64 / 60_000.0
        };
        assert!((minutes(0, 0) - 342.0).abs() < 0.1);
        assert!((minutes(0, 255) - 378.0).abs() < 0.1);
        assert!((minutes(1, 127) - 5.0).abs() < 0.1);
        assert!((minutes(3, 127) - 20.0).abs() < 0.1);
        assert!((minutes(u64::MAX, 127) - 360.0).abs() < 0.1);
        let by_hand = usual("evil", FeedOrigin::Upload);
        assert_eq!(next_due(&by_hand, 9, UnixMillis(0), [0]), None);
    }
}
