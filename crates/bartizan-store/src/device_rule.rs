//! Rules that tell which devices belong to a group. Pure: facts in, yes or no out.
//!
//! # Invariants
//! - A group without a rule matches nothing, so that one that is being written takes no device.
//! - Upper and lower case are one.

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleField {
    /// The device's name.
    Name,
    /// `iOS`, `Linux`.
    Os,
    /// Such as `18.1`.
    OsVersion,
    /// Any of the tags that people gave it. Those that a policy gives do not count: the policy may be the group's.
    Tag,
    /// Its person's address.
    Owner,
    /// What follows the `@` there.
    Domain,
}

/// How it compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleOperator {
    /// All of it.
    Equals,
    /// Its beginning.
    StartsWith,
    /// Its end.
    EndsWith,
    /// Any part.
    Contains,
}

/// How several rules of a group go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combine {
    /// A device has to match each.
    #[default]
    All,
    /// One is enough.
    Any,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it looks at.
    pub field: RuleField,
    /// How.
    pub operator: RuleOperator,
    /// What it compares with; not empty.
    pub value: String,
}

/// The rules of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRules {
    /// How they go together.
    pub combine: Combine,
    /// In the order in which people wrote them.
    pub rules: Vec<Rule>,
}

/// What rules look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) os: String,
    pub(crate) os_version: String,
    pub(crate) owner: String,
    pub(crate) tags: Vec<String>,
}

macro_rules! words {
    ($kind:ident: $($variant:ident = $word:literal),*) => {
        impl $kind {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns its word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Reads the word back.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.word() == word)
            }
        }
    };
}
words! { RuleField: Name = "name", Os = "os", OsVersion = "os-version", Tag = "tag", Owner = "owner", Domain = "domain" }
words! { RuleOperator: Equals = "equals", StartsWith = "starts", EndsWith = "ends", Contains = "contains" }
words! { Combine: All = "all", Any = "any" }

impl GroupRules {
    pub(crate) fn matches(&self, facts: &Facts) -> bool {
        match self.combine {
            Combine::All => {
                !self.rules.is_empty() && self.rules.iter().all(|rule| rule.matches(facts))
            }
            Combine::Any => self.rules.iter().any(|rule| rule.matches(facts)),
        }
    }
}

impl Rule {
    fn matches(&self, facts: &Facts) -> bool {
        let fits = |text: &str| {
            let (text, value) = (text.to_lowercase(), self.value.to_lowercase());
            match self.operator {
                RuleOperator::Equals => text == value,
                RuleOperator::StartsWith => text.starts_with(&value),
                RuleOperator::EndsWith => text.ends_with(&value),
                RuleOperator::Contains => text.contains(&value),
            }
        };
        match self.field {
            RuleField::Name => fits(&facts.name),
            RuleField::Os => fits(&facts.os),
            RuleField::OsVersion => fits(&facts.os_version),
            RuleField::Tag => facts.tags.iter().any(|tag| fits(tag)),
            RuleField::Owner => fits(&facts.owner),
            RuleField::Domain => {
                facts.owner.rsplit_once('@').is_some_and(|(_, domain)| fits(domain))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_looks_at_one_field_in_one_way() {
        use RuleField::{Domain, Name, Os, OsVersion, Owner, Tag};
        use RuleOperator::{Contains, EndsWith, Equals, StartsWith};
        for (field, operator, value, expected) in [
            (Name, Equals, "sales iphone 4", true),
            (Name, Equals, "sales iphone", false),
            (Name, StartsWith, "SALES", true),
            (Name, StartsWith, "iphone", false),
            (Name, EndsWith, " 4", true),
            (Name, Contains, "iph", true),
            (Os, Equals, "ios", true),
            (OsVersion, StartsWith, "18.", true),
            (OsVersion, StartsWith, "17.", false),
            (Tag, Equals, "field", true),
            (Tag, Contains, "x", false),
            (Owner, StartsWith, "kim@", true),
            (Domain, Equals, "example.test", true),
            (Domain, EndsWith, "kim@example.test", false),
        ] {
            let rule = Rule { field, operator, value: value.into() };
            assert_eq!(rule.matches(&facts()), expected, "{rule:?}");
        }
        let unknown = Facts::default();
        let rule = Rule { field: Domain, operator: Contains, value: "e".into() };
        assert!(!rule.matches(&unknown));
    }

    #[test]
    fn rules_go_together_as_the_group_says() {
        let rule = |value: &str| Rule {
            field: RuleField::Tag,
            operator: RuleOperator::Equals,
            value: value.into(),
        };
        let check = |combine, values: &[&str], expected| {
            let rules = values.iter().map(|value| rule(value)).collect();
            assert_eq!(GroupRules { combine, rules }.matches(&facts()), expected, "{values:?}");
        };
        check(Combine::All, &["field", "north"], true);
        check(Combine::All, &["field", "south"], false);
        check(Combine::Any, &["field", "south"], true);
        check(Combine::Any, &["south"], false);
        check(Combine::All, &[], false);
        check(Combine::Any, &[], false);
    }

    fn facts() -> Facts {
        Facts {
            name: "Sales iPhone 4".into(),
            os: "iOS".into(),
            os_version: "18.1".into(),
            owner: "kim@example.test".into(),
            tags: vec!["Field".into(), "North".into()],
        }
    }
}
