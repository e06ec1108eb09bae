//! What a form says about a feed, as text, so that it can come back as it was with what is wrong.

use bartizan_indicators::feed::FeedFormat;
use bartizan_model::{IndicatorAction, IndicatorCategory};
use bartizan_store::{FeedOrigin, FeedRole, FeedSettings, FeedUrls};
use serde::Deserialize;

/// The fields of the form, by their names there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FeedForm {
    /// See [`FeedSettings::name`].
    pub(crate) name: String,
    /// A word.
    pub(crate) role: String,
    /// A word.
    pub(crate) origin: String,
    /// Empty where people upload.
    pub(crate) url: String,
    /// A word; empty where the contents tell.
    pub(crate) format: String,
    /// A number from 1; empty where the contents tell.
    pub(crate) column: String,
    /// A word.
    pub(crate) category: String,
    /// A word.
    pub(crate) action: String,
    /// A word.
    pub(crate) urls: String,
    /// A number.
    pub(crate) trust: String,
    /// For people.
    pub(crate) license: String,
    /// Seconds.
    pub(crate) interval: String,
    /// Percent.
    pub(crate) change_limit: String,
    /// Present if checked, as are those that follow.
    pub(crate) allow_http: Option<String>,
    /// See [`FeedSettings::allow_private`].
    pub(crate) allow_private: Option<String>,
    /// Empty to keep what is there; never shown.
    pub(crate) credentials: String,
    /// Forget what is there.
    pub(crate) no_credentials: Option<String>,
}

/// One of what a field can be.
pub(crate) struct Choice {
    pub(super) word: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

impl FeedForm {
    /// Shows what is set.
    pub(crate) fn of(settings: &FeedSettings) -> Self {
        let checked = |flag: bool| flag.then(|| "on".to_owned());
        Self {
            name: settings.name.clone(),
            role: settings.role.word().into(),
            origin: settings.origin.word().into(),
            url: settings.url.clone().unwrap_or_default(),
            format: settings.format.clone().unwrap_or_default(),
            column: settings.column.clone().unwrap_or_default(),
            category: settings.category.word().into(),
            action: settings.action.word().into(),
            urls: settings.urls.word().into(),
            trust: settings.trust.to_string(),
            license: settings.license.clone(),
            interval: settings.interval_s.to_string(),
            change_limit: settings.change_limit.to_string(),
            allow_http: checked(settings.allow_http),
            allow_private: checked(settings.allow_private),
            credentials: String::new(),
            no_credentials: None,
        }
    }

    pub(super) fn roles(&self) -> Vec<Choice> {
        let label = |role| match role {
            FeedRole::Threat => "Threats",
            FeedRole::Popular => "Popular names, never blocked",
        };
        choices(&self.role, FeedRole::ALL.map(|role| (role.word(), label(role))))
    }

    pub(super) fn origins(&self) -> Vec<Choice> {
        let label = |origin| match origin {
            FeedOrigin::Url => "Address of one document",
            FeedOrigin::Upload => "Upload by hand",
            FeedOrigin::Taxii => "TAXII 2.1 collection",
            FeedOrigin::Misp => "MISP feed",
        };
        choices(&self.origin, FeedOrigin::ALL.map(|origin| (origin.word(), label(origin))))
    }

    pub(super) fn formats(&self) -> Vec<Choice> {
        let mut all = choices(&self.format, [("", "Told by its contents")]);
        let named = |format: FeedFormat| Choice {
            word: format.word().into(),
            label: format.to_string(),
            is_chosen: format.word() == self.format,
        };
        all.extend(FeedFormat::ALL.map(named));
        all
    }

    pub(super) fn categories(&self) -> Vec<Choice> {
        let all = IndicatorCategory::ALL.map(|category| (category.word(), category.label()));
        choices(&self.category, all)
    }

    pub(super) fn actions(&self) -> Vec<Choice> {
        choices(&self.action, IndicatorAction::ALL.map(|action| (action.word(), action.label())))
    }

    pub(super) fn url_listings(&self) -> Vec<Choice> {
        let label = |urls| match urls {
            FeedUrls::Host => "Its whole host",
            FeedUrls::Url => "The URL alone",
        };
        choices(&self.urls, FeedUrls::ALL.map(|urls| (urls.word(), label(urls))))
    }

    pub(super) fn intervals(&self) -> Vec<Choice> {
        let mut all = choices(
            &self.interval,
            [
                ("0", "By hand"),
                ("900", "Every 15 minutes"),
                ("3600", "Every hour"),
                ("21600", "Every 6 hours"),
                ("43200", "Every 12 hours"),
                ("86400", "Every day"),
                ("604800", "Every week"),
            ],
        );
        let other = self.interval.parse::<u64>().ok();
        if let Some(seconds) = other.filter(|_| !all.iter().any(|choice| choice.is_chosen)) {
            let label = format!("Every {seconds} seconds");
            all.push(Choice { word: self.interval.clone(), label, is_chosen: true });
        }
        all
    }
}

pub(super) fn choices<const N: usize>(chosen: &str, all: [(&str, &str); N]) -> Vec<Choice> {
    all.into_iter()
        .map(|(word, label)| Choice {
            word: word.into(),
            label: label.into(),
            is_chosen: word == chosen,
        })
        .collect()
}
