//! Merging an earlier record of a device: `GET /devices/{id}/merge`.

use askama::Template;
use bartizan_model::{DeviceId, RiskLevel, UnixMillis, UnresolvedAlerts};
use bartizan_store::{DeviceMerge, DeviceRow, Likeness};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Section, Shell, filters};

/// Says what a merge will do, and asks for it.
#[derive(Template)]
#[template(path = "console/device_merge.html")]
pub(crate) struct DeviceMergePage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Both records, and what moves.
    pub(crate) merge: DeviceMerge,
    /// How the earlier one is, for the form to say.
    pub(crate) seen: String,
    /// Why nothing was merged.
    pub(crate) problem: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl DeviceMergePage {
    fn section(&self) -> Section {
        Section::Devices
    }

    fn sides(&self) -> [(&'static str, &DeviceRow); 2] {
        [("Earlier record", &self.merge.earlier), ("Kept record", &self.merge.kept)]
    }

    fn alerts_text(&self) -> String {
        match (self.merge.alerts, self.merge.earlier.unresolved.total()) {
            (0, _) => "It has raised no alert that could move.".into(),
            (alerts, 0) => format!("{} move, all resolved.", format::count(alerts, "alert")),
            (alerts, open) => format!(
                "{} move, {} of them unresolved.",
                format::count(alerts, "alert"),
                format::grouped(open)
            ),
        }
    }

    /// Of the kept record, with the unresolved alerts of both.
    fn risk_after(&self) -> RiskLevel {
        let (a, b) = (self.merge.earlier.unresolved, self.merge.kept.unresolved);
        RiskLevel::of(UnresolvedAlerts {
            high: a.high.saturating_add(b.high),
            medium: a.medium.saturating_add(b.medium),
            low: a.low.saturating_add(b.low),
            informational: a.informational.saturating_add(b.informational),
        })
    }
}

/// Asks which record is kept.
#[derive(Template)]
#[template(path = "console/device_merge_find.html")]
pub(crate) struct DeviceMergeFindPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The earlier record.
    pub(crate) id: DeviceId,
    /// What people call it.
    pub(crate) name: String,
    /// What was searched for; empty where what is alike is shown.
    pub(crate) text: String,
    /// What may be kept.
    pub(crate) found: Vec<DeviceRow>,
    /// Why nothing was merged.
    pub(crate) problem: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl DeviceMergeFindPage {
    fn section(&self) -> Section {
        Section::Devices
    }
}

/// A record that may be of the device whose page it stands on.
#[derive(Clone, Debug)]
pub(crate) struct Duplicate {
    /// Its page.
    pub(crate) id: DeviceId,
    /// What people call it.
    pub(crate) name: String,
    /// Why it may be.
    pub(crate) likeness: Likeness,
    /// When it was enrolled.
    pub(crate) enrolled_at: UnixMillis,
    /// Where the two are merged, the one that enrolled first into the other; absent where the member may not.
    pub(crate) href: Option<String>,
}

impl Duplicate {
    /// Of a device that enrolled at a time, a record like it.
    pub(crate) fn of(
        (id, enrolled_at): (DeviceId, UnixMillis),
        (other, likeness): (DeviceRow, Likeness),
        may_merge: bool,
    ) -> Self {
        let (earlier, kept) =
            if other.enrolled_at < enrolled_at { (other.id, id) } else { (id, other.id) };
        Self {
            href: may_merge.then(|| format!("/devices/{earlier}/merge?into={kept}")),
            id: other.id,
            name: other.device_name,
            likeness,
            enrolled_at: other.enrolled_at,
        }
    }

    pub(super) fn why(&self) -> &'static str {
        match self.likeness {
            Likeness::Hardware => "the same hardware",
            Likeness::Person => "the same person’s, of the same model or name",
        }
    }
}

/// What a record is told apart by, in a line.
pub(super) fn facts(row: &DeviceRow) -> String {
    let owner = if row.owner.is_empty() { "nobody known" } else { &row.owner };
    let parts = [row.os.as_str(), row.os_version.as_str()];
    let os = parts.join(" ");
    let of = [os.trim(), &row.model, owner];
    of.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
