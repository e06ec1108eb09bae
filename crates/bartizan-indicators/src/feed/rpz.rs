//! Response policy zones: the zone file of a resolver's block list.
//!
//! The owner of a record, without the zone's own name, is the name that the policy is about; under `rpz-ip` it
//! spells a network. `rpz-passthru.` and policies about name servers and clients are passed over.

use std::net::IpAddr;

use ipnet::IpNet;

use super::entry;
use super::report::Unread;
use crate::pattern::Pattern;

/// What has to be remembered from line to line.
#[derive(Debug, Default)]
pub(super) struct Zone {
    /// With the dots around it, so that it is a suffix of absolute owners: `.rpz.example.`
    origin: Option<String>,
    /// A record goes on until its parenthesis closes (RFC 1035 §5.1).
    is_open: bool,
}

impl Zone {
    /// Tells whether a line is one that only zone files have.
    pub(super) fn begins(line: &str) -> bool {
        let mut words = line.split_ascii_whitespace();
        line.starts_with("$TTL")
            || line.starts_with("$ORIGIN")
            || words.any(|word| word == "SOA" || word == "CNAME")
    }

    /// Returns what a line's policy is about. White space before the line counts: it stands for an owner.
    pub(super) fn policy(&mut self, line: &str) -> Result<Pattern, Unread> {
        let line = line.split(';').next().unwrap_or(line);
        let was_open = self.is_open;
        self.is_open = (was_open || line.contains('(')) && !line.contains(')');
        if was_open || line.starts_with([' ', '\t']) || line.trim().is_empty() {
            return Err(Unread::SaysNothing);
        }
        let mut words = line.split_ascii_whitespace();
        let owner = words.next().unwrap_or_default();
        if let Some(directive) = owner.strip_prefix('$') {
            if directive == "ORIGIN" {
                self.origin = words.next().map(|name| format!(".{}", name.trim_start_matches('.')));
            }
            return Err(Unread::SaysNothing);
        }
        let is_type = |word: &&str| {
            !(word.eq_ignore_ascii_case("IN") || word.bytes().all(|octet| octet.is_ascii_digit()))
        };
        let kind = words.find(is_type).ok_or(Unread::Because("is not a record of a zone"))?;
        match (kind.to_ascii_uppercase().as_str(), words.next()) {
            ("SOA", _) => {
                if owner.ends_with('.') && owner != "." {
                    self.origin = Some(format!(".{owner}"));
                }
                Err(Unread::SaysNothing)
            }
            ("NS", _) | ("CNAME", Some("rpz-passthru." | "rpz-tcp-only.")) => {
                Err(Unread::SaysNothing)
            }
            ("CNAME" | "A" | "AAAA" | "TXT" | "MX", Some(_)) => self.trigger(owner),
            _ => Err(Unread::Because("is not a record of a policy zone")),
        }
    }

    fn trigger(&self, owner: &str) -> Result<Pattern, Unread> {
        let relative = match (owner.strip_suffix('.'), &self.origin) {
            (Some(_), Some(origin)) => owner.strip_suffix(origin.as_str()).unwrap_or(owner),
            (Some(absolute), None) => absolute,
            (None, _) => owner,
        };
        let (trigger, kind) = relative.rsplit_once('.').unwrap_or(("", relative));
        match kind.to_ascii_lowercase().as_str() {
            "rpz-ip" => network(trigger)
                .map(Pattern::of_network)
                .ok_or(Unread::Because("is not a network as rpz-ip spells it")),
            "rpz-nsip" | "rpz-client-ip" | "rpz-nsdname" | "@" | "" => Err(Unread::SaysNothing),
            _ => entry::pattern(relative),
        }
    }
}

/// Reads a network as policy zones spell it: the length of the prefix, then the parts of the address from the
/// last to the first; `zz` stands for the `::` of IPv6.
fn network(trigger: &str) -> Option<IpNet> {
    let (length, address) = trigger.split_once('.')?;
    let parts: Vec<&str> = address.split('.').rev().collect();
    let is_ipv4 = parts.len() == 4 && !parts.iter().any(|part| part.eq_ignore_ascii_case("zz"));
    let address = if is_ipv4 {
        parts.join(".")
    } else {
        // At either end `::` needs a colon more than joining gives it.
        let colons: Vec<_> = parts
            .iter()
            .map(|part| if part.eq_ignore_ascii_case("zz") { "" } else { part })
            .collect();
        let joined = colons.join(":");
        match (colons.first(), colons.last()) {
            (Some(&""), Some(&"")) => "::".to_owned(),
            (Some(&""), _) => format!(":{joined}"),
            (_, Some(&"")) => format!("{joined}:"),
            (_, _) => joined,
        }
    };
    let address: IpAddr = address.parse().ok()?;
    IpNet::new(address, length.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_relative_to_the_zone() {
        let mut zone = Zone::default();
        let mut policy = |line| zone.policy(line).ok().map(|pattern| pattern.to_string());
        assert_eq!(policy("$TTL 300"), None);
        assert_eq!(policy("rpz.example. IN SOA ns.rpz.example. admin.rpz.example. ("), None);
        assert_eq!(policy("  1 3600"), None);
        assert_eq!(policy("  600 86400 60 )"), None);
        assert_eq!(policy("  NS localhost."), None);
        assert_eq!(policy("evil.test CNAME . ; a note").as_deref(), Some("evil.test"));
        assert_eq!(policy("*.evil.test.rpz.example. 60 IN CNAME *.").as_deref(), Some("evil.test"));
        assert_eq!(policy("walled.test IN A 192.0.2.1").as_deref(), Some("walled.test"));
        assert_eq!(policy("good.test CNAME rpz-passthru."), None);
        assert_eq!(policy("ns.evil.test.rpz-nsdname CNAME ."), None);
    }

    #[test]
    fn addresses_are_spelled_backwards() {
        for (trigger, expected) in [
            ("32.1.2.0.192.rpz-ip", Ok("192.0.2.1")),
            ("24.0.2.0.192.rpz-ip", Ok("192.0.2.0/24")),
            ("128.57.zz.db8.2001.rpz-ip", Ok("2001:db8::57")),
            ("48.zz.3.db8.2001.RPZ-IP", Ok("2001:db8:3::/48")),
            ("128.1.zz.rpz-ip", Ok("::1")),
            ("128.8.7.6.5.4.3.db8.2001.rpz-ip", Ok("2001:db8:3:4:5:6:7:8")),
            ("0.zz.rpz-ip", Ok("::/0")),
            ("33.1.2.0.192.rpz-ip", Err(Unread::Because("is not a network as rpz-ip spells it"))),
            ("rpz-ip", Err(Unread::Because("is not a network as rpz-ip spells it"))),
            ("32.1.2.0.192.rpz-client-ip", Err(Unread::SaysNothing)),
        ] {
            let policy = Zone::default().policy(&format!("{trigger} CNAME ."));
            let policy = policy.map(|pattern| pattern.to_string());
            assert_eq!(policy.as_deref().map_err(|unread| *unread), expected, "{trigger}");
        }
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        let mut zone = Zone::default();
        assert!(matches!(zone.policy("evil.test"), Err(Unread::Because(_))));
        assert!(matches!(zone.policy("evil.test FROB x"), Err(Unread::Because(_))));
    }
}
