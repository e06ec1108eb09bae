//! How the risk of a device changed: `GET /devices/{id}/risk`.

use askama::Template;
use bartizan_model::{DeviceId, RiskLevel, UnixMillis};
use bartizan_store::RiskChange;

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// The changes, the latest first.
#[derive(Template)]
#[template(path = "console/device_risk.html")]
pub(crate) struct RiskHistoryPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Names the device.
    pub(crate) id: DeviceId,
    /// What people call it.
    pub(crate) name: String,
    /// A line for each change.
    pub(crate) lines: Vec<RiskLine>,
    /// Whether the latest are shown.
    pub(crate) is_first_page: bool,
    /// Where the pages before and after are.
    pub(crate) pager: Pager,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl RiskHistoryPage {
    fn section(&self) -> Section {
        Section::Devices
    }

    fn pager(&self) -> &Pager {
        &self.pager
    }
}

/// A change of risk.
#[derive(Clone, Debug)]
pub(crate) struct RiskLine {
    /// When.
    pub(crate) at: UnixMillis,
    /// What it was, where that is still known.
    pub(crate) before: Option<RiskLevel>,
    /// What it became.
    pub(crate) after: RiskLevel,
    /// The alerts that it follows from.
    pub(crate) reason: String,
}

/// Says of each of the latest changes what it was before: what the one before made of it.
pub(crate) fn risk_lines(changes: &[RiskChange], shown: usize) -> Vec<RiskLine> {
    let earlier = changes.iter().skip(1).map(|change| Some(change.risk)).chain([None]);
    let line = |(change, before): (&RiskChange, Option<RiskLevel>)| RiskLine {
        at: change.at,
        before,
        after: change.risk,
        reason: change.reason.clone(),
    };
    changes.iter().zip(earlier).take(shown).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_the_risk_was_before() {
        let change =
            |id: u128, risk| RiskChange { id, at: UnixMillis(1), risk, reason: String::new() };
        let changes =
            [change(3, RiskLevel::None), change(2, RiskLevel::High), change(1, RiskLevel::Low)];
        let told = |shown| -> Vec<_> {
            let lines = risk_lines(&changes, shown).into_iter();
            lines.map(|line| (line.before, line.after)).collect()
        };
        let all = [
            (Some(RiskLevel::High), RiskLevel::None),
            (Some(RiskLevel::Low), RiskLevel::High),
            (None, RiskLevel::Low),
        ];
        assert_eq!(told(9), all);
        assert_eq!(told(2), all[..2]);
        assert!(risk_lines(&[], 9).is_empty());
    }
}
