//! The menu: one table of groups and entries, of which each person sees what they may open.
//!
//! # What it does not do
//! - Decide who may open a page: the router does. An entry says under which permission it is of use.
//!
//! # Invariants
//! - No entry stands twice, and every entry leads to a page that the router has (tested).

use bartizan_store::Permission;

use super::{Section, Shell};

/// Entries under one heading.
#[derive(Debug)]
pub(crate) struct Group {
    /// The heading; empty where the entries need none.
    pub(crate) title: &'static str,
    /// In the order in which they stand.
    pub(crate) entries: &'static [Entry],
}

/// One way into the console.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The pages for which it is marked as current.
    pub(crate) section: Section,
    /// Where it leads.
    pub(crate) href: &'static str,
    /// Its name, as the page's heading has it.
    pub(crate) label: &'static str,
    /// Of the sprite.
    pub(crate) icon: &'static str,
    /// Who sees it; `None` for everybody who is signed in.
    needs: Option<Permission>,
}

/// The whole menu. A page that is new gets a line here, and a [`Section`] to be marked by.
const GROUPS: &[Group] = &[
    Group {
        title: "",
        entries: &[
            entry(SEE, Section::Overview, "/overview", "Overview", "layout-dashboard"),
            entry(SEE, Section::Alerts, "/alerts", "Alerts", "bell"),
            entry(SEE, Section::Incidents, "/incidents", "Incidents", "stack"),
            entry(SEE, Section::Devices, "/devices", "Devices", "devices"),
        ],
    },
    Group {
        title: "Protection",
        entries: &[
            entry(SEE, Section::Policy, "/policy", "Policy", "shield"),
            entry(SEE, Section::Groups, "/groups", "Device groups", "category"),
            entry(SEE, Section::Indicators, "/indicators", "Indicators", "target"),
            entry(SEE, Section::Feeds, "/feeds", "Feeds", "rss"),
            entry(SEE, Section::Detectors, "/detectors", "Detectors", "radar"),
            entry(SEE, Section::Suppressions, "/suppressions", "Suppression rules", "bell-off"),
        ],
    },
    Group {
        title: "People",
        entries: &[
            entry(SEE, Section::Users, "/users", "Users", "user"),
            entry(SEE, Section::UserGroups, "/user-groups", "User groups", "users-group"),
            entry(SEE, Section::Licenses, "/licenses", "Licenses", "license"),
            entry(ENROLL, Section::Enrollment, "/enrollment", "Enrollment", "device-mobile-plus"),
            entry(SET, Section::Directory, "/directory", "Directory", "address-book"),
        ],
    },
    Group {
        title: "Settings",
        entries: &[
            entry(SET, Section::People, "/people", "Members", "users"),
            entry(SET, Section::Roles, "/roles", "Roles", "id-badge-2"),
            entry(SET, Section::SignIn, "/sign-in-settings", "Signing in", "lock"),
            entry(SET, Section::Applications, "/applications", "Applications", "key"),
            entry(SET, Section::Sinks, "/sinks", "Sinks", "send"),
            entry(SET, Section::Audit, "/audit", "Audit log", "history"),
            entry(SET, Section::Retention, "/retention", "Retention", "clock"),
            entry(SET, Section::Feedback, "/feedback", "Feedback", "message"),
        ],
    },
    Group {
        title: "",
        entries: &[entry(None, Section::Say, "/feedback/new", "Give feedback", "message-plus")],
    },
];

/// What an operator of the installation has instead, outside of any organization.
const OF_OPERATORS: &[Group] = &[Group {
    title: "",
    entries: &[
        entry(None, Section::Tenants, "/operator/tenants", "Organizations", "stack"),
        entry(SET, Section::Operators, "/operator/operators", "Operators", "user"),
        entry(SET, Section::Audit, "/operator/audit", "Audit log", "history"),
    ],
}];

impl Shell {
    /// The groups of which this person sees something, each with what they see.
    pub(crate) fn menu(&self) -> impl Iterator<Item = (&'static str, Vec<&'static Entry>)> {
        self.groups()
            .iter()
            .map(|group| (group.title, self.seen(group)))
            .filter(|(_, it)| !it.is_empty())
    }

    fn groups(&self) -> &'static [Group] {
        if self.is_operator { OF_OPERATORS } else { GROUPS }
    }

    fn seen(&self, group: &'static Group) -> Vec<&'static Entry> {
        let may = |entry: &&Entry| entry.needs.is_none_or(|needs| self.permissions.has(needs));
        group.entries.iter().filter(may).collect()
    }

    /// The entry that is marked on pages of a section.
    pub(crate) fn here(&self, section: Section) -> &'static str {
        let entries = self.groups().iter().flat_map(|group| group.entries);
        entries.into_iter().find(|entry| entry.section == section).map_or("", |entry| entry.label)
    }
}

const fn entry(
    needs: Option<Permission>,
    section: Section,
    href: &'static str,
    label: &'static str,
    icon: &'static str,
) -> Entry {
    Entry { section, href, label, icon, needs }
}

const SEE: Option<Permission> = Some(Permission::ViewData);
const ENROLL: Option<Permission> = Some(Permission::Enrollment);
const SET: Option<Permission> = Some(Permission::ManagePortalSettings);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bartizan_store::Permissions;

    use super::*;

    #[test]
    fn every_entry_leads_to_a_page_of_its_own() {
        let pages: BTreeSet<&str> = crate::router::routes()
            .filter(|(method, ..)| **method == axum::http::Method::GET)
            .map(|(_, path, _)| path)
            .collect();
        for menu in [GROUPS, OF_OPERATORS] {
            let mut seen = BTreeSet::new();
            for entry in menu.iter().flat_map(|group| group.entries) {
                assert!(pages.contains(entry.href), "{}", entry.href);
                assert!(seen.insert(entry.href) && seen.insert(entry.label), "{}", entry.href);
            }
        }
    }

    #[test]
    fn everybody_sees_what_they_may_open_and_no_empty_heading() {
        check(&[], &["Give feedback"], &[""]);
        check(&[Permission::Enrollment], &["Enrollment", "Give feedback"], &["People", ""]);
        let all = GROUPS.iter().flat_map(|group| group.entries).map(|entry| entry.label);
        let titles: Vec<_> = GROUPS.iter().map(|group| group.title).collect();
        check(&Permission::ALL, &all.collect::<Vec<_>>(), &titles);
    }

    #[track_caller]
    fn check(permissions: &[Permission], labels: &[&str], titles: &[&str]) {
        let shell = Shell {
            email: String::new(),
            tenant: String::new(),
            one_time_password: false,
            is_operator: false,
            visit: None,
            permissions: Permissions::of(permissions),
            here: Permissions::of(permissions),
            notice: None,
        };
        let found: Vec<_> =
            shell.menu().flat_map(|(_, entries)| entries).map(|entry| entry.label).collect();
        assert_eq!(found, labels);
        assert_eq!(shell.menu().map(|(title, _)| title).collect::<Vec<_>>(), titles);
    }
}
