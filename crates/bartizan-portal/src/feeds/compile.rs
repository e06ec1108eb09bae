//! Compiling a tenant's feeds into its indicator file, and publishing it.
//!
//! Names that no feed may block come first: popular feeds, the organization's own domains, and what was
//! released from the guard. Then the threat feeds, by trust. A version that cannot be read ends the
//! compile: what is published stays, and a notice says why.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use anyhow::Context as _;
use bartizan_indicators::compile::{Added, Compiled, Compiler, FeedTerms, UrlListing};
use bartizan_indicators::guard::{Guard, HeldBack};
use bartizan_indicators::pattern::Pattern;
use bartizan_indicators::{feed, unpack};
use bartizan_model::{DomainName, TenantId, UnixMillis};
use bartizan_store::{FeedRole, FeedSettings, FeedUrls, HeldBackRow, NoticeKind, TenantScope};
use serde_json::json;

use super::{CompileOutcome, CompileStatus, settings};
use crate::files::Files;
use crate::state::AppState;
use crate::{Portal, Published};

/// Compiles and publishes.
pub(crate) async fn compile(state: &AppState, scope: TenantScope) -> anyhow::Result<Published> {
    let _one_at_a_time = state.feeds.compiling.lock().await;
    let (tenant, since) = (scope.tenant_id(), state.clock.now());
    let wanted = state.store.wanted_compiles().await?;
    let wanted = wanted.into_iter().find(|wanted| wanted.scope == scope);
    let latest = state.feeds.status(tenant).latest;
    state.feeds.set_status(tenant, CompileStatus { since: Some(since), latest });
    let result = publish(state, scope).await;
    let now = state.clock.now();
    let problem = result.as_ref().err().map(|error| format!("{error:#}"));
    let latest =
        CompileOutcome { took_ms: now.0.saturating_sub(since.0), problem: problem.clone() };
    state.feeds.set_status(tenant, CompileStatus { since: None, latest: Some(latest) });
    if let Some(wanted) = wanted {
        // After a failure too: a notice says so, and the next change tries again.
        state.store.note_compiled(wanted).await?;
    }
    match problem {
        None => state.store.settle_notices(scope, None, None, now).await?,
        Some(problem) => {
            let text =
                format!("The indicator file was not compiled: {problem}. The published one stays.");
            state.store.raise_notice(scope, NoticeKind::NotPublished, None, text, now).await?;
        }
    }
    result
}

async fn publish(state: &AppState, scope: TenantScope) -> anyhow::Result<Published> {
    let store = &state.store;
    let portal = Portal { state: state.clone(), demo: None };
    let mut inputs = Inputs {
        files: state.files.clone(),
        tenant: scope.tenant_id(),
        feeds: Vec::new(),
        own: store.own_domains(scope).await?,
        released: Vec::new(),
        hash_key: portal.hash_key(scope.tenant_id()).await?,
        now: state.clock.now(),
    };
    for row in store.feeds(scope).await? {
        let Some(version) = row.version.filter(|_| row.settings.enabled) else { continue };
        let versions = store.feed_versions(scope, row.id).await?;
        let current = versions.into_iter().find(|known| known.version == version);
        let sha256 = current.context("a feed has no version in use")?.sha256;
        inputs.feeds.push(Input { settings: row.settings, version, sha256 });
    }
    let released = store.released_entries(scope).await?;
    inputs.released.extend(released.into_iter().map(|row| row.pattern));
    let listed = tokio::task::spawn_blocking(move || inputs.compile()).await??;
    let published =
        portal.publish_indicators(scope.tenant_id(), listed.compiled, listed.report).await?;
    store.set_held_back(scope, listed.held_back).await?;
    Ok(published)
}

/// All that a compile reads.
struct Inputs {
    files: Files,
    tenant: TenantId,
    feeds: Vec<Input>,
    own: Vec<String>,
    released: Vec<String>,
    hash_key: [u8; 16],
    now: UnixMillis,
}

/// A version in use.
struct Input {
    settings: FeedSettings,
    version: u64,
    sha256: String,
}

/// What a compile comes to.
struct Listed {
    compiled: Compiled,
    report: String,
    held_back: Vec<HeldBackRow>,
}

impl Inputs {
    fn compile(mut self) -> anyhow::Result<Listed> {
        let mut compiler = Compiler::new(self.guard()?, self.hash_key, self.now);
        self.feeds.sort_by_key(|input| std::cmp::Reverse(input.settings.trust));
        let mut reports = Vec::new();
        let mut sources = BTreeMap::new();
        for input in self.feeds.iter().filter(|input| input.settings.role == FeedRole::Threat) {
            let name = &input.settings.name;
            let octets = self.open(input)?;
            let added = compiler
                .add(octets, &terms(&input.settings))
                .with_context(|| format!("version {} of {name} cannot be read", input.version))?;
            // The first feed that lists an entry is named; a later one changes nothing about it.
            for pattern in compiler.held_back().keys() {
                if !sources.contains_key(pattern) {
                    sources.insert(pattern.clone(), name.clone());
                }
            }
            reports.push(report_of(input, &added));
        }
        let held_back: Vec<_> = compiler
            .held_back()
            .iter()
            .map(|(pattern, reason)| HeldBackRow {
                pattern: pattern.clone(),
                reason: reason.to_string(),
                source: sources.get(pattern).cloned().unwrap_or_default(),
            })
            .collect();
        let count = |reason: &HeldBack| {
            compiler.held_back().values().filter(|held| *held == reason).count()
        };
        let reasons: serde_json::Map<_, _> =
            HeldBack::ALL.iter().map(|reason| (reason.to_string(), count(reason).into())).collect();
        let compiled = compiler.finish();
        let report =
            json!({ "feeds": reports, "listed": compiled.len(), "held_back": reasons }).to_string();
        Ok(Listed { compiled, report, held_back })
    }

    fn guard(&self) -> anyhow::Result<Guard> {
        let mut guard = Guard::new();
        for input in self.feeds.iter().filter(|input| input.settings.role == FeedRole::Popular) {
            let allow = |entry: feed::FeedEntry| {
                if let Some(name) = entry.pattern.name() {
                    guard.allow(name);
                }
            };
            let name = &input.settings.name;
            feed::read_as(self.open(input)?, &settings::read(&input.settings), allow)
                .with_context(|| format!("version {} of {name} cannot be read", input.version))?;
        }
        for name in &self.own {
            let name = DomainName::parse(name.as_bytes());
            guard.protect(&name.context("an own domain is not a host name")?);
        }
        for pattern in &self.released {
            let pattern: Pattern = pattern.parse().context("a released entry cannot be read")?;
            guard.release(&pattern);
        }
        Ok(guard)
    }

    fn open(&self, input: &Input) -> anyhow::Result<Box<dyn BufRead>> {
        let name = &input.settings.name;
        self.files
            .read_feed(self.tenant, &input.sha256)
            .and_then(|octets| unpack::open(BufReader::with_capacity(BUFFER, octets)))
            .with_context(|| format!("version {} of {name} cannot be opened", input.version))
    }
}

fn terms(feed: &FeedSettings) -> FeedTerms {
    FeedTerms {
        source: feed.name.clone(),
        category: feed.category,
        action: feed.action,
        trust: feed.trust,
        urls: match feed.urls {
            FeedUrls::Host => UrlListing::Host,
            FeedUrls::Url => UrlListing::Url,
        },
        read: settings::read(feed),
    }
}

fn report_of(input: &Input, added: &Added) -> serde_json::Value {
    let report = &added.report;
    json!({
        "source": input.settings.name, "version": input.version,
        "format": report.format.to_string(), "lines": report.lines, "names": report.names,
        "urls": report.urls, "addresses": report.addresses, "networks": report.networks, "passed_over": report.passed_over,
        "bad_lines": report.bad_lines, "kept": added.kept, "expired": added.expired,
        "held_back": added.held_back.iter().sum::<u64>(),
    })
}

const BUFFER: usize = 1 << 16;
