//! Response policy zones: the zone file of a resolver's block list.
//!
//! The owner of a record, without the zone's own name, is the name that the policy is about. Owners that speak
//! of addresses are counted as such; `rpz-passthru.` and policies about name servers are passed over.

use super::BadEntry;

/// What has to be remembered from line to line.
#[derive(Default)]
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
        line.starts_with("$TTL") || line.starts_with("$ORIGIN") || words.any(|word| word == "SOA")
    }

    /// Returns the name a line's policy is about. White space before the line counts: it stands for an owner.
    pub(super) fn owner(&mut self, line: &str) -> Result<String, BadEntry> {
        let line = line.split(';').next().unwrap_or(line);
        let was_open = self.is_open;
        self.is_open = (was_open || line.contains('(')) && !line.contains(')');
        if was_open || line.starts_with([' ', '\t']) || line.trim().is_empty() {
            return Err(BadEntry::SaysNothing);
        }
        let mut words = line.split_ascii_whitespace();
        let owner = words.next().unwrap_or_default();
        if let Some(directive) = owner.strip_prefix('$') {
            if directive == "ORIGIN" {
                self.origin = words.next().map(|name| format!(".{}", name.trim_start_matches('.')));
            }
            return Err(BadEntry::SaysNothing);
        }
        let is_type = |word: &&str| {
            !(word.eq_ignore_ascii_case("IN") || word.bytes().all(|octet| octet.is_ascii_digit()))
        };
        let kind = words.find(is_type).ok_or(BadEntry::Because("is not a record of a zone"))?;
        match (kind.to_ascii_uppercase().as_str(), words.next()) {
            ("SOA", _) => {
                if owner.ends_with('.') && owner != "." {
                    self.origin = Some(format!(".{owner}"));
                }
                Err(BadEntry::SaysNothing)
            }
            ("NS", _) | ("CNAME", Some("rpz-passthru." | "rpz-tcp-only.")) => {
                Err(BadEntry::SaysNothing)
            }
            ("CNAME" | "A" | "AAAA" | "TXT" | "MX", Some(_)) => self.name(owner),
            _ => Err(BadEntry::Because("is not a record of a policy zone")),
        }
    }

    fn name(&self, owner: &str) -> Result<String, BadEntry> {
        let relative = match (owner.strip_suffix('.'), &self.origin) {
            (Some(_), Some(origin)) => owner.strip_suffix(origin.as_str()).unwrap_or(owner),
            (Some(absolute), None) => absolute,
            (None, _) => owner,
        };
        match relative.rsplit('.').next() {
            Some("rpz-ip" | "rpz-nsip" | "rpz-client-ip") => Err(BadEntry::Address),
            Some("rpz-nsdname") | None => Err(BadEntry::SaysNothing),
            Some(_) if relative == "@" => Err(BadEntry::SaysNothing),
            Some(_) => Ok(relative.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_relative_to_the_zone() {
        let mut zone = Zone::default();
        let mut owner = |line| zone.owner(line).ok();
        assert_eq!(owner("$TTL 300"), None);
        assert_eq!(owner("rpz.example. IN SOA ns.rpz.example. admin.rpz.example. ("), None);
        assert_eq!(owner("  1 3600"), None);
        assert_eq!(owner("  600 86400 60 )"), None);
        assert_eq!(owner("  NS localhost."), None);
        assert_eq!(owner("evil.test CNAME . ; a note").as_deref(), Some("evil.test"));
        assert_eq!(
            owner("*.evil.test.rpz.example. 60 IN CNAME *.").as_deref(),
            Some("*.evil.test")
        );
        assert_eq!(owner("walled.test IN A 192.0.2.1").as_deref(), Some("walled.test"));
        assert_eq!(owner("good.test CNAME rpz-passthru."), None);
        assert_eq!(owner("ns.evil.test.rpz-nsdname CNAME ."), None);
    }

    #[test]
    fn addresses_and_what_is_no_record_are_told_apart() {
        let mut zone = Zone::default();
        assert!(matches!(zone.owner("32.1.2.0.192.rpz-ip CNAME ."), Err(BadEntry::Address)));
        assert!(matches!(zone.owner("evil.test"), Err(BadEntry::Because(_))));
        assert!(matches!(zone.owner("evil.test FROB x"), Err(BadEntry::Because(_))));
    }
}
