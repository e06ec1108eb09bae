//! Policy, indicators and a name in; what to do with it out. A pure function.

use bartizan_indicators::IndicatorFile;
use bartizan_model::{DomainName, Mode, Policy, Verdict, WebProtection};

/// What to do with a name, and the entry that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judgement<'name> {
    pub(crate) verdict: Verdict,
    /// The name or the parent of it that is listed; `None` if nothing is.
    pub(crate) matched: Option<&'name str>,
}

/// Judges a name. Without a file, and where policy has protection off, everything is allowed.
pub(crate) fn judge<'name>(
    policy: &Policy,
    indicators: Option<&IndicatorFile>,
    name: &'name DomainName,
) -> Judgement<'name> {
    let found = indicators.filter(|_| is_blocking(policy)).and_then(|file| file.lookup(name));
    match found {
        Some(found) => {
            Judgement { verdict: Verdict::Block(found.class), matched: Some(found.matched) }
        }
        None => Judgement { verdict: Verdict::Allow, matched: None },
    }
}

/// Tells whether policy lets anything be blocked.
pub(crate) fn is_blocking(policy: &Policy) -> bool {
    match (policy.mode, policy.web_protection) {
        (Mode::Dns, WebProtection::Block) => true,
        (Mode::Dns | Mode::Off, WebProtection::Off) | (Mode::Off, WebProtection::Block) => false,
    }
}

#[cfg(test)]
mod tests {
    use bartizan_indicators::build::{Stamp, build};
    use bartizan_indicators::compile::Compiled;
    use bartizan_model::{IndicatorCategory, UnixMillis};
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn a_listed_name_is_blocked_where_policy_blocks() {
        check("evil.test", Mode::Dns, WebProtection::Block, Some("evil.test"));
        check("login.evil.test", Mode::Dns, WebProtection::Block, Some("evil.test"));
        check("good.test", Mode::Dns, WebProtection::Block, None);
        check("evil.test", Mode::Dns, WebProtection::Off, None);
        check("evil.test", Mode::Off, WebProtection::Block, None);
        check("evil.test", Mode::Off, WebProtection::Off, None);
    }

    #[test]
    fn without_a_file_everything_is_allowed() {
        let name = DomainName::parse(b"evil.test").unwrap();
        let judgement = judge(&Policy::default(), None, &name);
        assert_eq!(judgement, Judgement { verdict: Verdict::Allow, matched: None });
    }

    #[track_caller]
    fn check(name: &str, mode: Mode, web_protection: WebProtection, matched: Option<&str>) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let listed = Compiled::of(&[("evil.test".parse().unwrap(), IndicatorCategory::Malware)]);
        let stamp = Stamp { epoch: 1, built_at: UnixMillis(0), hash_key: [1; 16] };
        let octets = build(&listed, stamp, &key).unwrap().into_boxed_slice();
        let file = IndicatorFile::open(octets, &key.verifying_key(), 0).unwrap();
        let policy = Policy { mode, web_protection, ..Policy::default() };
        let name = DomainName::parse(name.as_bytes()).unwrap();
        let verdict =
            matched.map_or(Verdict::Allow, |_| Verdict::Block(IndicatorCategory::Malware));
        assert_eq!(judge(&policy, Some(&file), &name), Judgement { verdict, matched });
    }
}
