//! Policy, indicators and a name in; what decides about it out. A pure function.

use std::net::IpAddr;

use bartizan_indicators::found::{Match, Source};
use bartizan_indicators::normal::CanonicalUrl;
use bartizan_indicators::{Damaged, Indicators};
use bartizan_model::{
    Detector, DomainName, IndicatorAction, IndicatorCategory, IndicatorSource, MatchedIndicator,
    Mode, Policy, UnixMillis, WebProtection,
};

/// The indicator that decides about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) action: IndicatorAction,
    /// Under which an alert is raised; `None` where none is to be.
    pub(crate) detector: Option<Detector>,
    /// Why it is listed.
    pub(crate) category: IndicatorCategory,
    pub(crate) matched: MatchedIndicator,
}

impl Judgement {
    /// Tells whether the name is stopped. Where only names are seen there is no page that could warn, so what is
    /// to be warned of is stopped too.
    pub(crate) fn stops(&self) -> bool {
        stops(self.action)
    }
}

fn stops(action: IndicatorAction) -> bool {
    match action {
        IndicatorAction::Block | IndicatorAction::Warn => true,
        IndicatorAction::Allow | IndicatorAction::Audit => false,
    }
}

/// What is done about what is listed, without the words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    pub(crate) action: IndicatorAction,
    /// As in [`Judgement`].
    pub(crate) detector: Option<Detector>,
}

/// Looks what is done about a name, which takes nothing of the heap; [`judge`] says what decided it.
///
/// # Errors
/// As [`judge`].
pub(crate) fn glance(
    policy: &Policy,
    indicators: &Indicators,
    name: &DomainName,
    wall: UnixMillis,
) -> Result<Option<Glance>, Damaged> {
    if !is_blocking(policy) {
        return Ok(None);
    }
    let found = indicators.lookup(name, wall)?;
    Ok(found.map(|found| glance_of(found.winner())))
}

/// Judges a name. Without a file, and where policy has protection off, nothing is listed.
///
/// # Errors
/// A file turned out to be damaged: until it is replaced, the name passes.
pub(crate) fn judge(
    policy: &Policy,
    indicators: &Indicators,
    name: &DomainName,
    wall: UnixMillis,
) -> Result<Option<Judgement>, Damaged> {
    if !is_blocking(policy) {
        return Ok(None);
    }
    let found = indicators.lookup(name, wall)?;
    Ok(found.map(|found| judgement_of(found.winner())))
}

/// Judges an address, as [`judge`] does a name.
///
/// # Errors
/// As [`judge`].
pub(crate) fn judge_address(
    policy: &Policy,
    indicators: &Indicators,
    address: IpAddr,
    wall: UnixMillis,
) -> Result<Option<Judgement>, Damaged> {
    if !is_blocking(policy) {
        return Ok(None);
    }
    let found = indicators.lookup_ip(address, wall)?;
    Ok(found.map(|found| judgement_of(found.winner())))
}

/// Judges a URL, as [`judge`] does a name: its paths, its host, or the address it names.
///
/// # Errors
/// As [`judge`].
pub(crate) fn judge_url(
    policy: &Policy,
    indicators: &Indicators,
    url: &CanonicalUrl,
    wall: UnixMillis,
) -> Result<Option<Judgement>, Damaged> {
    if !is_blocking(policy) {
        return Ok(None);
    }
    let found = indicators.lookup_url(url, wall)?;
    Ok(found.map(|found| judgement_of(found.winner())))
}

fn judgement_of(winner: &Match<'_>) -> Judgement {
    let Glance { action, detector } = glance_of(winner);
    let source = match winner.source {
        Source::Tenant(own) => IndicatorSource::Tenant(own.id),
        Source::Feed(name) => IndicatorSource::Feed(name.into()),
    };
    let matched = MatchedIndicator { entry: winner.entry.to_string().into(), source };
    Judgement { action, detector, category: winner.category, matched }
}

fn glance_of(winner: &Match<'_>) -> Glance {
    let detector = match winner.source {
        Source::Tenant(own) => own.generate_alert.then_some(Detector::IndicatorMatched),
        // What a feed only watches was not blocked, so the alert must not say so.
        Source::Feed(_) => Some(match winner.action {
            IndicatorAction::Audit => Detector::IndicatorMatched,
            IndicatorAction::Allow | IndicatorAction::Block | IndicatorAction::Warn => {
                Detector::of_block(winner.category)
            }
        }),
    };
    let detector = detector.filter(|_| winner.action != IndicatorAction::Allow);
    Glance { action: winner.action, detector }
}

/// Tells whether policy lets anything be blocked.
pub(crate) fn is_blocking(policy: &Policy) -> bool {
    match (policy.mode, policy.web_protection) {
        (Mode::Tunnel | Mode::Dns | Mode::Filter, WebProtection::Block) => true,
        (_, WebProtection::Off) | (Mode::Off, WebProtection::Block) => false,
    }
}

#[cfg(test)]
mod tests {
    use bartizan_indicators::IndicatorFile;
    use bartizan_indicators::TenantFile;
    use bartizan_indicators::build::{Stamp, build};
    use bartizan_indicators::compile::Compiled;
    use bartizan_indicators::tenant::{TenantIndicator, build_tenant};
    use bartizan_model::{IndicatorCategory, Severity};
    use ed25519_dalek::SigningKey;

    use super::*;

    const ON: (Mode, WebProtection) = (Mode::Dns, WebProtection::Block);

    #[test]
    fn a_listed_name_is_blocked_where_policy_blocks() {
        let malware =
            Some((IndicatorAction::Block, Some(Detector::WebMalwareBlocked), "evil.test"));
        check("evil.test", ON, malware);
        check("login.evil.test", ON, malware);
        check("good.test", ON, None);
        check("evil.test", (Mode::Dns, WebProtection::Off), None);
        check("evil.test", (Mode::Off, WebProtection::Block), None);
        check("evil.test", (Mode::Off, WebProtection::Off), None);
    }

    #[test]
    fn an_own_indicator_says_what_is_done_and_whether_it_is_told() {
        let told = Some(Detector::IndicatorMatched);
        check("fine.evil.test", ON, Some((IndicatorAction::Allow, None, "fine.evil.test")));
        check("watched.test", ON, Some((IndicatorAction::Audit, told, "watched.test")));
        check("warned.test", ON, Some((IndicatorAction::Warn, told, "warned.test")));
        check("quiet.test", ON, Some((IndicatorAction::Block, None, "quiet.test")));
    }

    #[test]
    fn what_is_blocked_or_warned_of_is_stopped() {
        for (name, stops) in [
            ("evil.test", true),
            ("fine.evil.test", false),
            ("watched.test", false),
            ("warned.test", true),
        ] {
            assert_eq!(judged(name, ON).unwrap().stops(), stops, "{name}");
        }
    }

    #[test]
    fn without_a_file_everything_is_allowed() {
        let name = DomainName::parse(b"evil.test").unwrap();
        let judgement = judge(&Policy::default(), &Indicators::default(), &name, UnixMillis(0));
        assert_eq!(judgement, Ok(None));
    }

    #[track_caller]
    fn check(
        name: &str,
        policy: (Mode, WebProtection),
        expected: Option<(IndicatorAction, Option<Detector>, &str)>,
    ) {
        let judgement = judged(name, policy);
        let seen =
            judgement.as_ref().map(|seen| (seen.action, seen.detector, &*seen.matched.entry));
        assert_eq!(seen, expected, "{name}");
    }

    fn judged(name: &str, (mode, web_protection): (Mode, WebProtection)) -> Option<Judgement> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let listed = Compiled::of(&[("evil.test".parse().unwrap(), IndicatorCategory::Malware)]);
        let stamp = Stamp { epoch: 1, built_at: UnixMillis(0) };
        let base = build(&listed, stamp, &key).unwrap();
        let own = [
            ("fine.evil.test", IndicatorAction::Allow, true),
            ("watched.test", IndicatorAction::Audit, true),
            ("warned.test", IndicatorAction::Warn, true),
            ("quiet.test", IndicatorAction::Block, false),
        ];
        let own: Vec<_> = (1..)
            .zip(own)
            .map(|(id, (pattern, action, generate_alert))| TenantIndicator {
                id,
                pattern: pattern.parse().unwrap(),
                action,
                category: IndicatorCategory::Custom,
                severity: Severity::High,
                title: String::new(),
                expires_at: None,
                generate_alert,
            })
            .collect();
        let tenant = build_tenant(&own, 1, UnixMillis(0), &key);
        let key = key.verifying_key();
        let indicators = Indicators {
            base: Some(IndicatorFile::open(Box::new(base), &key, 0).unwrap()),
            tenant: Some(TenantFile::open(Box::new(tenant), &key, 0).unwrap()),
        };
        let policy = Policy { mode, web_protection, ..Policy::default() };
        let name = DomainName::parse(name.as_bytes()).unwrap();
        judge(&policy, &indicators, &name, UnixMillis(0)).unwrap()
    }
}
