//! Names that do not exist where policy says so: those by which lookups would leave the device unjudged.
//!
//! The lists are short and public. They cannot be complete, and need not be: what they are for is that browsers and
//! systems, which ask these names before they turn to a resolver of their own, do not.

use bartizan_model::{DnsPolicy, DomainName};
use bartizan_wire::dns::Refusal;

/// Returns how a name is refused, if policy has it refused.
pub(crate) fn refusal(policy: &DnsPolicy, name: &DomainName) -> Option<Refusal> {
    let is_listed = |list: &[&str]| name.suffixes().any(|suffix| list.contains(&suffix));
    if policy.block_private_relay && is_listed(PRIVATE_RELAY) {
        return Some(Refusal::NoSuchName);
    }
    if policy.block_encrypted_dns {
        // RFC 9462 §6.4: that there is no such designation is said by no data.
        if name.as_str() == DESIGNATED_RESOLVERS {
            return Some(Refusal::NoData);
        }
        if is_listed(ENCRYPTED_DNS) {
            return Some(Refusal::NoSuchName);
        }
    }
    None
}

/// By these Apple's devices ask whether a network permits iCloud Private Relay.
const PRIVATE_RELAY: &[&str] = &["mask.icloud.com", "mask-h2.icloud.com"];

/// Where a resolver says how else it can be asked (RFC 9462).
const DESIGNATED_RESOLVERS: &str = "_dns.resolver.arpa";

/// By the first of these Firefox asks whether a network permits DNS over HTTPS. The others are the public
/// resolvers that browsers and systems offer in their settings, and those that are known best beside them.
const ENCRYPTED_DNS: &[&str] = &[
    "use-application-dns.net",
    // Google
    "dns.google",
    "dns.google.com",
    "8888.google",
    // Cloudflare
    "cloudflare-dns.com",
    "one.one.one.one",
    "cloudflare-gateway.com",
    // Quad9
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns12.quad9.net",
    // Cisco
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "doh.sandbox.opendns.com",
    "dns.opendns.com",
    "dns.umbrella.com",
    "doh.umbrella.com",
    // AdGuard
    "adguard-dns.com",
    "dns.adguard.com",
    "dns-family.adguard.com",
    "dns-unfiltered.adguard.com",
    // Others that browsers name
    "dns.nextdns.io",
    "doh.cleanbrowsing.org",
    "doh.xfinity.com",
    "dns.comss.one",
    "dns.shaw.ca",
    "private.canadianshield.cira.ca",
    "protected.canadianshield.cira.ca",
    "family.canadianshield.cira.ca",
    "freedns.controld.com",
    "dns.controld.com",
    "doh.mullvad.net",
    "dns.mullvad.net",
    "dns0.eu",
    "dns.sb",
    "doh.dns.sb",
    "doh.libredns.gr",
    "dns.digitale-gesellschaft.ch",
    "odvr.nic.cz",
    "dns.switch.ch",
    "doh.applied-privacy.net",
    "dns.njal.la",
    "ordns.he.net",
    // East Asia
    "dns.alidns.com",
    "doh.pub",
    "dot.pub",
    "doh.360.cn",
    "dns.twnic.tw",
    "public.dns.iij.jp",
];

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: (bool, bool) = (true, true);

    #[test]
    fn names_do_not_exist_where_policy_says_so() {
        let gone = Some(Refusal::NoSuchName);
        check("use-application-dns.net", BOTH, gone);
        check("dns.google", BOTH, gone);
        check("mozilla.cloudflare-dns.com", BOTH, gone);
        check("abc123.dns.nextdns.io", BOTH, gone);
        check("_dns.resolver.arpa", BOTH, Some(Refusal::NoData));
        check("mask.icloud.com", BOTH, gone);
        check("mask-h2.icloud.com", BOTH, gone);

        check("dns.google", (false, true), None);
        check("_dns.resolver.arpa", (false, true), None);
        check("mask.icloud.com", (false, true), gone);
        check("mask.icloud.com", (true, false), None);
    }

    #[test]
    fn their_neighbors_exist() {
        for name in [
            "google",
            "google.com",
            "www.cloudflare.com",
            "quad9.net",
            "icloud.com",
            "www.icloud.com",
            "notdns.google",
            "resolver.arpa",
            "adguard.com",
            "nextdns.io",
        ] {
            check(name, BOTH, None);
        }
    }

    #[track_caller]
    fn check(
        name: &str,
        (block_encrypted_dns, block_private_relay): (bool, bool),
        expected: Option<Refusal>,
    ) {
        let policy = DnsPolicy { block_encrypted_dns, block_private_relay, ..DnsPolicy::default() };
        let name = DomainName::parse(name.as_bytes()).unwrap();
        assert_eq!(refusal(&policy, &name), expected, "{name}");
    }
}
