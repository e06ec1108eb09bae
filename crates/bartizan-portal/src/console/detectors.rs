//! Detectors and device groups: `GET /detectors`.

use askama::Template;
use bartizan_model::Detector;
use bartizan_store::DetectorMode;

use super::{Icon, Section, Shell, filters};

/// What becomes of what detectors find.
#[derive(Template)]
#[template(path = "console/detectors.html")]
pub(crate) struct DetectorsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Every device, then the groups by their rank.
    pub(crate) rows: Vec<DetectorRow>,
    /// Days without a repeat after which alerts resolve themselves, as text.
    pub(crate) days: Vec<(Detector, String)>,
    /// What is wrong with one of them.
    pub(crate) days_problem: Option<&'static str>,
    /// How often something was logged, and dropped.
    pub(crate) counts: Vec<(Detector, (u64, u64))>,
}

/// A group, or every device.
#[derive(Clone, Debug)]
pub(crate) struct DetectorRow {
    /// Names it in the form.
    pub(crate) key: String,
    /// For people.
    pub(crate) name: String,
    /// Whether it can leave the decision to the first row.
    pub(crate) is_group: bool,
    /// What was decided, if anything.
    pub(crate) modes: [(Detector, Option<DetectorMode>); 5],
}

impl DetectorsPage {
    fn section(&self) -> Section {
        Section::Detectors
    }

    /// Fits above a column.
    fn short(detector: &Detector) -> &'static str {
        match detector {
            Detector::WebPhishingBlocked => "Phishing blocked",
            Detector::WebPhishingOverridden => "Warning passed",
            Detector::WebMalwareBlocked => "Malware blocked",
            Detector::WebSpywareBlocked => "Spyware blocked",
            Detector::IndicatorMatched => "Own indicator",
            Detector::External => "Other product",
        }
    }
}

impl DetectorRow {
    fn is(chosen: &Option<DetectorMode>, mode: &DetectorMode) -> bool {
        *chosen == Some(*mode)
    }
}
