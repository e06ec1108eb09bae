//! Which rule hides an alert: the oldest that matches. A rule is found by the host's name and its ends, so that
//! hundreds of them cost no more than a few.

use std::collections::BTreeMap;

use bartizan_model::{DeviceId, UnixMillis};

use crate::column::ms;
use crate::db::{Connection, params};
use crate::suppression::{self, SuppressionRow, SuppressionScope};
use crate::{GroupId, StoreError, SuppressionId, TenantScope};

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) device: DeviceId,
    pub(crate) group: Option<GroupId>,
    /// In lower case.
    pub(crate) owner: &'a str,
    pub(crate) detector: &'a str,
    pub(crate) host: Option<&'a str>,
}

/// Rules that hold at a time.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: BTreeMap<SuppressionId, SuppressionRow>,
    /// By `host` as it is written; empty for those about any.
    by_host: BTreeMap<String, Vec<SuppressionId>>,
}

impl Rules {
    /// Reads those that hold now.
    pub(crate) fn load(
        db: &Connection,
        scope: TenantScope,
        now: UnixMillis,
    ) -> Result<Self, StoreError> {
        let mut rows = db
            .prepare_cached(concat!(
                suppression_columns!(),
                "AND s.ended_at_ms IS NULL AND (s.expires_at_ms IS NULL OR ?2 < s.expires_at_ms)"
            ))?
            .query(params![scope.id(), ms(now)])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(suppression::read(&row)?);
        }
        Ok(Self::of(all))
    }

    pub(crate) fn of(all: Vec<SuppressionRow>) -> Self {
        let mut rules = Self::default();
        for rule in all {
            rules.by_host.entry(rule.terms.host.clone()).or_default().push(rule.id);
            rules.rules.insert(rule.id, rule);
        }
        rules
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns the oldest rule that matches.
    pub(crate) fn matching(&self, facts: &Facts<'_>) -> Option<SuppressionId> {
        let mut names = vec![String::new()];
        if let Some(host) = facts.host {
            names.push(host.to_owned());
            let mut end = Some(host);
            while let Some(name) = end {
                names.push(format!("*.{name}"));
                end = name.split_once('.').map(|(_, rest)| rest);
            }
        }
        let found = names.iter().filter_map(|name| self.by_host.get(name)).flatten();
        found.filter(|id| self.rules.get(id).is_some_and(|rule| takes(rule, facts))).min().copied()
    }

    pub(crate) fn reason(&self, id: SuppressionId) -> &str {
        self.rules.get(&id).map_or("", |rule| &rule.terms.reason)
    }
}

/// Whether a rule of a fitting host takes the rest.
fn takes(rule: &SuppressionRow, facts: &Facts<'_>) -> bool {
    let of_scope = match &rule.terms.scope {
        SuppressionScope::All => true,
        SuppressionScope::Group(group) => facts.group == Some(*group),
        SuppressionScope::Device(device) => facts.device == *device,
        SuppressionScope::Person(person) => !person.is_empty() && person == facts.owner,
    };
    let of_detector = rule.terms.detector.is_none_or(|detector| detector.id() == facts.detector);
    of_scope && of_detector
}

use suppression::suppression_columns;

#[cfg(test)]
mod tests {
    use bartizan_model::Detector;

    use super::*;
    use crate::{MemberId, SuppressionTerms};

    #[test]
    fn the_oldest_rule_that_matches_hides() {
        use SuppressionScope::{All, Device, Group, Person};
        check(All, None, "", true);
        check(All, None, "www.a.test", true);
        check(All, None, "*.a.test", true);
        check(All, None, "*.www.a.test", true);
        check(All, None, "*.test", true);
        check(All, None, "a.test", false);
        check(All, None, "*.w.a.test", false);
        check(All, None, "*.st", false);
        check(All, Some(Detector::WebPhishingBlocked), "", true);
        check(All, Some(Detector::WebMalwareBlocked), "", false);
        check(Group(GroupId(3)), None, "", true);
        check(Group(GroupId(4)), None, "", false);
        check(Device(DeviceId(5)), None, "*.a.test", true);
        check(Device(DeviceId(6)), None, "*.a.test", false);
        check(Person("p@a.test".into()), None, "", true);
        check(Person("q@a.test".into()), None, "", false);
        check(Person(String::new()), None, "", false);
        let both = Rules::of(vec![rule(9, All, None, "www.a.test"), rule(8, All, None, "")]);
        assert_eq!(both.matching(&FACTS), Some(SuppressionId(8)));
        let nameless = Facts { host: None, ..FACTS };
        assert_eq!(both.matching(&nameless), Some(SuppressionId(8)));
        let named = Rules::of(vec![rule(9, All, None, "*.test")]);
        assert_eq!(named.matching(&nameless), None);
    }

    #[track_caller]
    fn check(scope: SuppressionScope, detector: Option<Detector>, host: &str, hides: bool) {
        let rules = Rules::of(vec![rule(1, scope, detector, host)]);
        assert_eq!(rules.matching(&FACTS).is_some(), hides, "{host}");
    }

    const FACTS: Facts<'_> = Facts {
        device: DeviceId(5),
        group: Some(GroupId(3)),
        owner: "p@a.test",
        detector: "web.phishing.blocked",
        host: Some("www.a.test"),
    };

    fn rule(
        id: u128,
        scope: SuppressionScope,
        detector: Option<Detector>,
        host: &str,
    ) -> SuppressionRow {
        SuppressionRow {
            id: SuppressionId(id),
            terms: SuppressionTerms {
                scope,
                detector,
                host: host.into(),
                reason: "Known.".into(),
                expires_at: None,
            },
            created_by: MemberId(1),
            creator: "admin".into(),
            created_at: UnixMillis(0),
            changed_at: UnixMillis(0),
            ended_at: None,
            hits: 0,
            last_hit_at: None,
        }
    }
}
