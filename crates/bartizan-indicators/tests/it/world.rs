//! Files and questions in a line each.

use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::Compiled;
use bartizan_indicators::found::Found;
use bartizan_indicators::normal::{CanonicalUrl, Host};
use bartizan_indicators::pattern::Pattern;
use bartizan_indicators::tenant::{TenantIndicator, build_tenant};
use bartizan_indicators::{Damaged, IndicatorFile, Indicators, OpenError, TenantFile};
use bartizan_model::{IndicatorAction, IndicatorCategory, Severity, UnixMillis};
use ed25519_dalek::SigningKey;

pub(crate) const EPOCH: u64 = 7;

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn listed(entries: &[&str]) -> Compiled {
    let entries: Vec<_> =
        entries.iter().map(|entry| (entry.parse().unwrap(), IndicatorCategory::Phishing)).collect();
    Compiled::of(&entries)
}

pub(crate) fn octets_of(compiled: &Compiled) -> Vec<u8> {
    build(compiled, Stamp { epoch: EPOCH, built_at: UnixMillis(1_000) }, &key()).unwrap()
}

pub(crate) fn open(octets: &[u8]) -> Result<IndicatorFile, OpenError> {
    IndicatorFile::open(Box::new(octets.to_vec()), &key().verifying_key(), 0)
}

pub(crate) fn base(entries: &[&str]) -> Indicators {
    let base = open(&octets_of(&listed(entries))).unwrap();
    base.verify().unwrap();
    Indicators { base: Some(base), tenant: None }
}

pub(crate) fn tenant_octets(entries: &[(&str, IndicatorAction)]) -> Vec<u8> {
    let indicators: Vec<_> = (1..)
        .zip(entries)
        .map(|(id, (entry, action))| TenantIndicator {
            id,
            pattern: entry.parse().unwrap(),
            action: *action,
            category: IndicatorCategory::Custom,
            severity: Severity::Medium,
            title: format!("Title of {entry}"),
            expires_at: entry.contains("brief").then_some(UnixMillis(500)),
            generate_alert: true,
        })
        .collect();
    build_tenant(&indicators, EPOCH, UnixMillis(1_000), &key())
}

pub(crate) fn tenant(entries: &[(&str, IndicatorAction)]) -> TenantFile {
    let octets = tenant_octets(entries);
    let file = TenantFile::open(Box::new(octets), &key().verifying_key(), 0).unwrap();
    file.verify().unwrap();
    file
}

/// Asks for a name, a URL or an address, as the text has it; hands the matches to `read`.
pub(crate) fn ask<T>(
    indicators: &Indicators,
    question: &str,
    read: impl FnOnce(Option<Found<'_>>) -> T,
) -> Result<T, Damaged> {
    let now = UnixMillis(1_000);
    if question.contains('/') {
        let url = CanonicalUrl::parse(question).unwrap();
        return indicators.lookup_url(&url, now).map(read);
    }
    match Host::parse(question).unwrap() {
        Host::Name(name) => indicators.lookup(&name, now).map(read),
        Host::Address(address) => indicators.lookup_ip(address, now).map(read),
    }
}

/// The entries that match, the winning one first.
pub(crate) fn matches(indicators: &Indicators, question: &str) -> Vec<String> {
    let all = |found: Option<Found<'_>>| {
        let matches: Vec<_> =
            found.iter().flat_map(Found::iter).map(|found| found.entry.to_string()).collect();
        matches
    };
    ask(indicators, question, all).unwrap()
}

/// Whether an entry matches a question, by the plainest reading of what entries mean.
pub(crate) fn by_hand(entry: &Pattern, question: &str) -> bool {
    let is_under = |name: &str, of: &str| name.ends_with(&format!(".{of}"));
    let url = CanonicalUrl::parse(question).unwrap();
    let host = url.host().to_string();
    match entry {
        Pattern::Domain(name) => host == name.as_str() || is_under(&host, name.as_str()),
        Pattern::Host(name) => host == name.as_str(),
        Pattern::Subdomains(name) => is_under(&host, name.as_str()),
        Pattern::Address(address) => *url.host() == Host::Address(*address),
        Pattern::Network(network) => match url.host() {
            Host::Address(address) => network.contains(address),
            Host::Name(_) => false,
        },
        Pattern::Url(listed) => {
            let named = listed.host().to_string();
            let path_fits = match listed.query() {
                Some(_) => listed.path_and_query() == url.path_and_query(),
                None => {
                    url.path() == listed.path()
                        || url.path().starts_with(&format!("{}/", listed.path()))
                }
            };
            (host == named || is_under(&host, &named)) && path_fits
        }
    }
}
