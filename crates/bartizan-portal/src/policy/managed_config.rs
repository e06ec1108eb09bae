//! A policy as managed app configuration: what an MDM gives to the app before it has ever seen the portal.
//!
//! Three forms of one dictionary: a bare `<dict>` for consoles with a box for XML, a whole property list for
//! those that take a file, and rows of key, type and value for those with a table.
//!
//! # What it does not do
//! - Replace the portal's own policy: that is signed, and wins once the device has it.
//! - Carry what belongs into a profile, or what the portal keeps to itself.
//!
//! # Invariants
//! - The three forms say the same, keys in the order of their octets.

use std::collections::BTreeMap;
use std::fmt;

use bartizan_model::Private;

use super::schema::{Key, Place};
use super::settings::Settings;
use super::value::Spelling;

/// What is filled in as the file is made.
#[derive(Clone, Debug)]
pub struct Onboarding {
    /// Where the portal is.
    pub portal: String,
    /// Lets devices in without a sign-in.
    pub token: Option<Private<String>>,
    /// What the MDM replaces by whether the device is supervised.
    pub supervised: Option<String>,
    /// Whether the devices are under User Enrollment.
    pub is_user_enrollment: bool,
}

/// Intune's placeholder for [`Onboarding::supervised`].
pub const INTUNE_SUPERVISED: &str = "{{issupervised}}";

/// A managed app configuration.
#[derive(Clone, PartialEq)]
pub struct ManagedConfig(BTreeMap<&'static str, plist::Value>);

/// A row of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: &'static str,
    /// `String`, `Integer` or `Boolean`.
    pub value_type: &'static str,
    /// As one types it in.
    pub value: String,
}

impl ManagedConfig {
    /// Takes what a document decides and what is filled in.
    #[must_use]
    pub fn new(settings: &Settings, onboarding: &Onboarding) -> Self {
        let mut values = BTreeMap::new();
        for (key, value) in settings.in_place(Place::Policy) {
            let setting = key.setting();
            values.insert(setting.name, value.to_plist(setting.spelling));
        }
        let mut fill = |key: Key, text: &str| values.insert(key.setting().name, text.into());
        fill(Key::Portal, &onboarding.portal);
        if let Some(Private(token)) = &onboarding.token {
            fill(Key::EnrollmentToken, token);
        }
        if let Some(supervised) = &onboarding.supervised {
            fill(Key::IsSupervised, supervised);
        }
        if onboarding.is_user_enrollment {
            fill(Key::UserEnrollment, "True");
        }
        Self(values)
    }

    /// Returns it as a dictionary.
    #[must_use]
    pub fn to_dictionary(&self) -> plist::Dictionary {
        self.0.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    /// Returns it as a whole property list.
    ///
    /// # Errors
    /// A text holds what XML cannot.
    pub fn to_plist(&self) -> Result<String, NotXml> {
        to_xml(&plist::Value::Dictionary(self.to_dictionary()))
    }

    /// Returns the dictionary alone, as consoles with a box for XML want it.
    ///
    /// # Errors
    /// A text holds what XML cannot.
    pub fn to_dict(&self) -> Result<String, NotXml> {
        let whole = self.to_plist()?;
        let inside = whole.split_once("<plist version=\"1.0\">").and_then(|(_, rest)| {
            rest.rsplit_once("</plist>").map(|(inside, _)| format!("{}\n", inside.trim()))
        });
        inside.ok_or(NotXml)
    }

    /// Returns it as rows.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |(key, value): (&&'static str, &plist::Value)| {
            let (value_type, value) = match (value.as_boolean(), value.as_unsigned_integer()) {
                (Some(flag), _) => ("Boolean", flag.to_string()),
                (None, Some(number)) => ("Integer", number.to_string()),
                (None, None) => ("String", value.as_string().unwrap_or_default().to_owned()),
            };
            Row { key, value_type, value }
        };
        self.0.iter().map(row).collect()
    }
}

impl fmt::Debug for ManagedConfig {
    /// Shows keys only: a value may be an enrollment token.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

/// A text holds a character that XML has no way to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text holds a character that XML cannot")]
pub struct NotXml;

/// Writes a property list.
pub(super) fn to_xml(value: &plist::Value) -> Result<String, NotXml> {
    let mut octets = Vec::new();
    value.to_writer_xml(&mut octets).map_err(|_| NotXml)?;
    octets.push(b'\n');
    let text = String::from_utf8(octets).map_err(|_| NotXml)?;
    // What XML 1.0 §2.2 calls a character; the writer does not look.
    let is_xml =
        |c: char| matches!(c, '\t' | '\n' | '\r') || (' ' <= c && !"\u{fffe}\u{ffff}".contains(c));
    if text.chars().all(is_xml) { Ok(text) } else { Err(NotXml) }
}

/// Returns what belongs into the vendor's part of a profile.
pub(super) fn vendor_values(settings: &Settings) -> plist::Dictionary {
    let decided = settings.in_place(Place::VpnProfile);
    decided
        .map(|(key, value)| (key.setting().name.to_owned(), value.to_plist(Spelling::Text)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::settings::tests::settings;

    const DOCUMENT: &str = r#"{"WebProtection": 1, "DefenderOptionalVPN": "true", "DefenderOpenNetworkDetection": 1,
        "DefenderPreview": true, "DefenderDeviceTag": "A & B", "SilentOnboard": 1, "BartizanInactiveAfterDays": 3}"#;

    #[test]
    fn each_value_has_the_type_that_its_key_is_known_by() {
        let row = |key, value_type, value: &str| Row { key, value_type, value: value.into() };
        assert_eq!(
            config().rows(),
            [
                row("BartizanEnrollmentToken", "String", "a-token"),
                row("BartizanPortal", "String", "https://portal.example"),
                row("DefenderDeviceTag", "String", "A & B"),
                row("DefenderOpenNetworkDetection", "Integer", "1"),
                row("DefenderOptionalVPN", "Boolean", "true"),
                row("DefenderPreview", "Integer", "1"),
                row("WebProtection", "String", "true"),
                row("issupervised", "String", "{{issupervised}}"),
            ]
        );
    }

    #[test]
    fn the_property_list_reads_back_and_the_dictionary_is_a_part_of_it() {
        let whole = config().to_plist().unwrap();
        let read = plist::Value::from_reader_xml(whole.as_bytes()).unwrap();
        assert_eq!(read.as_dictionary(), Some(&config().to_dictionary()));
        let dict = config().to_dict().unwrap();
        assert!(dict.starts_with("<dict>") && dict.ends_with("</dict>\n"), "{dict}");
        assert!(
            whole.contains(dict.trim()) && dict.contains("<string>A &amp; B</string>"),
            "{dict}"
        );
    }

    #[test]
    fn user_enrollment_is_told_and_what_is_unknown_is_left_out() {
        let onboarding = Onboarding {
            portal: "https://portal.example".into(),
            token: None,
            supervised: None,
            is_user_enrollment: true,
        };
        let config = ManagedConfig::new(&Settings::default(), &onboarding);
        let keys: Vec<&str> = config.rows().iter().map(|row| row.key).collect();
        assert_eq!(keys, ["BartizanPortal", "UserEnrolmentEnabled"]);
    }

    #[test]
    fn what_xml_cannot_write_is_refused_and_a_token_stays_out_of_logs() {
        let onboarding = Onboarding { portal: "a\u{1}b".into(), ..onboarding() };
        assert_eq!(ManagedConfig::new(&Settings::default(), &onboarding).to_plist(), Err(NotXml));
        assert!(!format!("{:?}", config()).contains("a-token"));
    }

    fn config() -> ManagedConfig {
        ManagedConfig::new(&settings(DOCUMENT), &onboarding())
    }

    fn onboarding() -> Onboarding {
        Onboarding {
            portal: "https://portal.example".into(),
            token: Some(Private("a-token".into())),
            supervised: Some(INTUNE_SUPERVISED.into()),
            is_user_enrollment: false,
        }
    }
}
