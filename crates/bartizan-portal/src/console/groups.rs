//! Device groups: `GET /groups`, one of them, and the question before one is deleted.

use askama::Template;
use bartizan_store::{Combine, GroupRow, GroupRules, RuleField, RuleOperator};

use super::{Icon, Section, Shell, filters, format};

/// The groups by their rank.
#[derive(Template)]
#[template(path = "console/groups.html")]
pub(crate) struct GroupsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// By their rank.
    pub(crate) groups: Vec<GroupRow>,
    /// How many devices there are.
    pub(crate) total: u64,
    /// Whether devices are still being put into groups anew.
    pub(crate) is_working: bool,
}

/// A group, to be written or changed.
#[derive(Template)]
#[template(path = "console/group.html")]
pub(crate) struct GroupPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Its id; `None` before it is created.
    pub(crate) id: Option<String>,
    /// What stands in the form.
    pub(crate) form: GroupForm,
    /// What is wrong with the name.
    pub(crate) name_problem: Option<&'static str>,
    /// What is wrong with the rules.
    pub(crate) rules_problem: Option<String>,
    /// How many devices the rules match.
    pub(crate) matching: Option<u64>,
}

/// Asks before a group is deleted.
#[derive(Template)]
#[template(path = "console/group_delete.html")]
pub(crate) struct GroupDeletePage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The group.
    pub(crate) group: GroupRow,
}

/// The form's fields as text, so that it can come back as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupForm {
    /// For people.
    pub(crate) name: String,
    /// A word.
    pub(crate) combine: String,
    /// Field, operator and value of each rule.
    pub(crate) rules: Vec<[String; 3]>,
}

impl GroupForm {
    /// Shows what is stored.
    pub(crate) fn of(name: String, rules: &GroupRules) -> Self {
        let rule = |rule: &bartizan_store::Rule| {
            [rule.field.word().into(), rule.operator.word().into(), rule.value.clone()]
        };
        let combine = rules.combine.word().into();
        Self { name, combine, rules: rules.rules.iter().map(rule).collect() }
    }

    /// The rules, and blank lines to write more; each with its number.
    fn lines(&self) -> Vec<(usize, [String; 3])> {
        let blank = || [String::new(), String::new(), String::new()];
        let blanks = std::iter::repeat_with(blank).take(BLANK_LINES);
        (1..).zip(self.rules.iter().cloned().chain(blanks)).collect()
    }
}

impl GroupsPage {
    fn section(&self) -> Section {
        Section::Groups
    }

    fn ungrouped(&self) -> u64 {
        self.total.saturating_sub(self.groups.iter().map(|group| group.devices).sum())
    }

    fn last_rank(&self) -> u32 {
        self.groups.last().map_or(0, |group| group.rank)
    }
}

impl GroupPage {
    fn section(&self) -> Section {
        Section::Groups
    }

    fn matching_text(&self) -> Option<String> {
        self.matching.map(|matching| format::count(matching, "device"))
    }

    fn action(&self) -> String {
        self.id.as_ref().map_or_else(|| "/groups".into(), |id| format!("/groups/{id}"))
    }
}

impl GroupDeletePage {
    fn section(&self) -> Section {
        Section::Groups
    }

    fn devices_text(&self) -> String {
        format::count(self.group.devices, "device")
    }
}

fn explained(rules: &GroupRules) -> String {
    if rules.rules.is_empty() {
        return "No rule, so no device".into();
    }
    let between = match rules.combine {
        Combine::All => " and ",
        Combine::Any => " or ",
    };
    let told = rules.rules.iter().map(|rule| {
        format!("{} {} “{}”", field(&rule.field), operator(&rule.operator), rule.value)
    });
    told.collect::<Vec<_>>().join(between)
}

fn field(field: &RuleField) -> &'static str {
    match field {
        RuleField::Name => "Name",
        RuleField::Os => "System",
        RuleField::OsVersion => "System version",
        RuleField::Tag => "Tag",
        RuleField::Owner => "Person",
        RuleField::Domain => "Person’s domain",
    }
}

fn operator(operator: &RuleOperator) -> &'static str {
    match operator {
        RuleOperator::Equals => "is",
        RuleOperator::StartsWith => "starts with",
        RuleOperator::EndsWith => "ends with",
        RuleOperator::Contains => "contains",
    }
}

const BLANK_LINES: usize = 3;
