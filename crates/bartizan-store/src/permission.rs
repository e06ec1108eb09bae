//! What one may do, in words named after Defender's (`Enrollment` is ours), and the roles that every organization has.

use std::fmt;

/// Something that one may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// See devices, alerts, feeds, indicators and policy.
    ViewData,
    /// Decide about alerts and reports.
    AlertsInvestigation,
    /// Act on devices.
    ActiveRemediation,
    /// Change policy, feeds and indicators.
    ManageSecuritySettings,
    /// Change people and roles, and see the audit log.
    ManagePortalSettings,
    /// Let devices in.
    Enrollment,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ViewData,
        Self::AlertsInvestigation,
        Self::ActiveRemediation,
        Self::ManageSecuritySettings,
        Self::ManagePortalSettings,
        Self::Enrollment,
    ];

    /// Its name, as people see it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ViewData => "View data - security operations",
            Self::AlertsInvestigation => "Alerts investigation",
            Self::ActiveRemediation => "Active remediation actions",
            Self::ManageSecuritySettings => "Manage security settings",
            Self::ManagePortalSettings => "Manage portal system settings",
            Self::Enrollment => "Enrollment",
        }
    }

    /// What it lets one do, in a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ViewData => "See devices, alerts, feeds, indicators and policy.",
            Self::AlertsInvestigation => "Change the status of alerts and decide about reports.",
            Self::ActiveRemediation => "Act on devices.",
            Self::ManageSecuritySettings => "Change policy, feeds and indicators.",
            Self::ManagePortalSettings => "Change people and roles, and read the audit log.",
            Self::Enrollment => "Let devices in.",
        }
    }

    /// Its word, as it is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ViewData => "view-data",
            Self::AlertsInvestigation => "alerts-investigation",
            Self::ActiveRemediation => "active-remediation",
            Self::ManageSecuritySettings => "manage-security-settings",
            Self::ManagePortalSettings => "manage-portal-settings",
            Self::Enrollment => "enrollment",
        }
    }

    /// Reads a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.word() == word)
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// Collects some.
    #[must_use]
    pub fn of(permissions: &[Permission]) -> Self {
        permissions.iter().fold(Self::default(), |all, one| all.union(Self(1 << (*one as u8))))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, permission: Permission) -> bool {
        self.0 & (1 << (permission as u8)) != 0
    }

    /// Whether one of them is to manage settings.
    #[must_use]
    pub fn manage_settings(self) -> bool {
        self.has(Permission::ManageSecuritySettings) || self.has(Permission::ManagePortalSettings)
    }

    /// Returns what is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns them without one.
    #[must_use]
    pub fn without(self, permission: Permission) -> Self {
        Self(self.0 & !(1 << (permission as u8)))
    }

    /// Yields them in their order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |one| self.has(*one))
    }

    pub(crate) fn words(self) -> String {
        self.iter().map(Permission::word).collect::<Vec<_>>().join(" ")
    }

    /// A word that a later version wrote gives nothing.
    pub(crate) fn of_words(words: &str) -> Self {
        let known = words.split(' ').filter_map(Permission::from_word);
        Self::of(&known.collect::<Vec<_>>())
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

/// A role that every organization has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// Everything.
    Administrator,
    /// Everything but people, roles and the audit log.
    SecurityAdministrator,
    /// Sees, decides about alerts, acts on devices.
    Analyst,
    /// Sees.
    ReadOnly,
    /// Lets devices in.
    EnrollmentOnly,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Administrator,
        Self::SecurityAdministrator,
        Self::Analyst,
        Self::ReadOnly,
        Self::EnrollmentOnly,
    ];

    /// Its id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::SecurityAdministrator => "security-administrator",
            Self::Analyst => "analyst",
            Self::ReadOnly => "read-only",
            Self::EnrollmentOnly => "enrollment-only",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "Administrator",
            Self::SecurityAdministrator => "Security administrator",
            Self::Analyst => "Analyst",
            Self::ReadOnly => "Read only",
            Self::EnrollmentOnly => "Enrollment only",
        }
    }

    /// What it is for.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Administrator => "May do everything.",
            Self::SecurityAdministrator => "Everything but people, roles and the audit log.",
            Self::Analyst => "Sees everything, decides about alerts and acts on devices.",
            Self::ReadOnly => "Sees everything and changes nothing.",
            Self::EnrollmentOnly => "Lets devices in and sees nothing else.",
        }
    }

    /// What it lets one do.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        use Permission as P;
        match self {
            Self::Administrator => Permissions::of(&P::ALL),
            Self::SecurityAdministrator => Permissions::of(&[
                P::ViewData,
                P::AlertsInvestigation,
                P::ActiveRemediation,
                P::ManageSecuritySettings,
                P::Enrollment,
            ]),
            Self::Analyst => {
                Permissions::of(&[P::ViewData, P::AlertsInvestigation, P::ActiveRemediation])
            }
            Self::ReadOnly => Permissions::of(&[P::ViewData]),
            Self::EnrollmentOnly => Permissions::of(&[P::Enrollment]),
        }
    }

    pub(crate) fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }
}
