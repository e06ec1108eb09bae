//! Rules of ad blockers: `||host^` and what surrounds it.
//!
//! Only a rule that is meant for the whole host, always, says something about the name. Exceptions, cosmetic
//! rules, paths, patterns and conditions are somebody else's matter and are passed over.

use super::report::Unread;

/// Returns the host a rule blocks.
pub(super) fn host(rule: &str) -> Result<&str, Unread> {
    let is_other = rule.starts_with("@@")
        || rule.starts_with('[')
        || ["##", "#@#", "#?#", "#$#", "#%#"].iter().any(|mark| rule.contains(mark));
    if is_other {
        return Err(Unread::SaysNothing);
    }
    let Some(pattern) = rule.strip_prefix("||") else {
        // Lists for resolvers mix in plain names; anything else is a pattern for addresses.
        let is_name =
            rule.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet));
        return if is_name { Ok(rule) } else { Err(Unread::SaysNothing) };
    };
    let (pattern, options) = pattern.split_once('$').unwrap_or((pattern, ""));
    let host = pattern.trim_end_matches('|').strip_suffix('^').unwrap_or(pattern);
    let is_conditional = CONDITIONS.iter().any(|condition| options.contains(condition));
    let is_pattern = host.strip_prefix("*.").unwrap_or(host).contains(['*', '/', '^', '|', '?']);
    if is_conditional || is_pattern { Err(Unread::SaysNothing) } else { Ok(host) }
}

/// Options that make a rule one for some pages, clients or questions only.
const CONDITIONS: [&str; 8] =
    ["domain=", "denyallow=", "badfilter", "client=", "ctag=", "dnstype=", "dnsrewrite=", "app="];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rule_for_the_whole_host_names_one() {
        check("||evil.test^", Some("evil.test"));
        check("||evil.test^$third-party,important", Some("evil.test"));
        check("||evil.test^|", Some("evil.test"));
        check("||*.evil.test^", Some("*.evil.test"));
        check("||evil.test", Some("evil.test"));
        check("evil.test", Some("evil.test"));
        for other in [
            "[Adblock Plus 2.0]",
            "@@||good.test^",
            "evil.test##.banner",
            "||evil.test/path^",
            "||evil.*^",
            "||evil.test^$domain=good.test",
            "||evil.test^$dnstype=AAAA",
            "/banner/*/img^",
        ] {
            check(other, None);
        }
    }

    #[track_caller]
    fn check(rule: &str, expected: Option<&str>) {
        assert_eq!(host(rule).ok(), expected, "{rule}");
    }
}
