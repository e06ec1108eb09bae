//! A policy document as a form: which keys stand together, under which label, and what of it becomes of what was sent.
//!
//! Everything else about a key (kind, bounds, default, meaning) is in [`schema`](super::schema). A control that is
//! empty leaves its key to others.
//!
//! # Invariants
//! - Every key that a document can hold has a control, and only one (tested).
//! - What a form shows, sent unchanged, is the same document, with what this portal does not understand in it (property).

use std::collections::BTreeMap;

use super::schema::Key;
use super::settings::{BadSetting, Settings};
use super::value::{BadValue, Raw};

/// Keys that stand together.
#[derive(Debug)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The keys, each with its label.
    pub keys: Vec<(Key, &'static str)>,
}

/// Returns the groups in their order. A key that has no place of its own stands in the last one, under its name.
#[must_use]
pub fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> =
        GROUPS.iter().map(|(title, keys)| Group { title, keys: keys.to_vec() }).collect();
    let placed = |key: &Key| GROUPS.iter().any(|(_, keys)| keys.iter().any(|(it, _)| it == key));
    let rest: Vec<_> = decided().filter(|key| !placed(key)).collect();
    if !rest.is_empty() {
        let keys = rest.into_iter().map(|key| (key, key.setting().name)).collect();
        groups.push(Group { title: "More", keys });
    }
    groups
}

/// Returns what a key's control holds: nothing where the document does not decide.
#[must_use]
pub fn text(settings: &Settings, key: Key) -> String {
    settings.get(key).map(ToString::to_string).unwrap_or_default()
}

/// Returns the name of a key's control.
#[must_use]
pub fn control(key: Key) -> String {
    format!("{CONTROL}{}", key.setting().name)
}

/// Makes a document of what was sent and the one before. A key without a control among it stays as it was.
///
/// # Errors
/// Every key whose text does not fit, with what is wrong.
pub fn apply(
    sent: &[(String, String)],
    before: &Settings,
) -> Result<Settings, BTreeMap<Key, BadValue>> {
    let (mut settings, mut faults) = (before.clone(), BTreeMap::new());
    let sent = sent.iter().filter_map(|(name, text)| Some((name.strip_prefix(CONTROL)?, text)));
    for (name, text) in sent {
        let Some(key) = Key::from_name(name).filter(|key| key.setting().place.is_decided()) else {
            continue;
        };
        if text.trim().is_empty() {
            settings.clear(key);
        } else if let Err(BadSetting::Value { bad, .. }) = settings.set(key, &Raw::Text(text)) {
            faults.insert(key, bad);
        }
    }
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

fn decided() -> impl Iterator<Item = Key> {
    Key::ALL.iter().copied().filter(|key| key.setting().place.is_decided())
}

/// What the name of a control begins with; a key's name follows.
const CONTROL: &str = "key.";

const GROUPS: &[(&str, &[(Key, &str)])] = &[
    (
        "Protection",
        &[
            (Key::WebProtection, "Web protection"),
            (Key::Mode, "How much traffic is judged"),
            (Key::WarnPassHours, "How long a warning can be passed"),
            (Key::TunnelOnly, "Carry another VPN only"),
        ],
    ),
    (
        "Networks",
        &[
            (Key::NetworkProtection, "Network protection"),
            (Key::OpenNetworks, "Open Wi-Fi"),
            (Key::TrustNetworks, "People may trust open networks"),
            (Key::NetworkRemediation, "Resolve network alerts by themselves"),
        ],
    ),
    (
        "Name lookups",
        &[
            (Key::DnsUpstream, "Resolver"),
            (Key::DnsFallback, "Fall back on the network’s resolver"),
            (Key::StripEch, "Keep server names readable"),
            (Key::BlockEncryptedDns, "Stop public encrypted resolvers"),
            (Key::BlockPrivateRelay, "Turn iCloud Private Relay off"),
        ],
    ),
    (
        "Privacy",
        &[
            (Key::ExcludeHost, "Leave site names out of alerts"),
            (Key::NetworkPrivacy, "Keep network names on the device"),
            (Key::AppInventoryPrivacy, "Keep the list of apps on the device"),
            (Key::Feedback, "Offer to send feedback"),
        ],
    ),
    (
        "Setting up",
        &[
            (Key::SilentOnboard, "Onboard without anybody’s help"),
            (Key::AutoOnboard, "Set the VPN up by profile"),
            (Key::OptionalVpn, "People may skip the VPN"),
            (Key::MinimumOs, "Oldest system that may enroll"),
            (Key::SharedDevices, "Shared devices may enroll"),
        ],
    ),
    (
        "The app",
        &[
            (Key::VpnToggle, "People may turn the VPN off"),
            (Key::DisableSignOut, "Hide the sign-out button"),
            (Key::MuteOsUpdates, "Do not notify of system updates"),
            (Key::Preview, "Features that are being tried"),
        ],
    ),
    (
        "Check-ins and inventory",
        &[
            (Key::CheckinInterval, "Time between check-ins"),
            (Key::InactiveAfter, "Inactive after"),
            (Key::DeviceTag, "Tag"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::settings::tests::{any_settings, settings};

    #[test]
    fn every_key_that_a_document_can_hold_has_one_control() {
        let shown: Vec<Key> =
            groups().iter().flat_map(|group| &group.keys).map(|(key, _)| *key).collect();
        let once: BTreeSet<Key> = shown.iter().copied().collect();
        assert_eq!(shown.len(), once.len(), "a key stands twice");
        assert_eq!(once, decided().collect());
    }

    #[test]
    fn an_empty_control_leaves_its_key_to_others_and_an_absent_one_leaves_it_alone() {
        let before = settings(r#"{"WebProtection": true, "BartizanWarnPassHours": 2}"#);
        check(&before, &[("key.WebProtection", " ")], r#"{"BartizanWarnPassHours":2}"#);
        check(
            &before,
            &[("note", "x"), ("key.Nothing", "1"), ("key.BartizanPortal", "x")],
            &before.to_json(),
        );
        let both = [("key.WebProtection", "false"), ("key.BartizanWarnPassHours", " 24 ")];
        check(&before, &both, r#"{"BartizanWarnPassHours":24,"WebProtection":false}"#);
    }

    #[test]
    fn everything_that_does_not_fit_is_told_beside_its_key() {
        let sent = owned(&[
            ("key.BartizanWarnPassHours", "200"),
            ("key.BartizanMode", "tunnel"),
            ("key.BartizanDnsUpstream", "doh"),
        ]);
        let faults = apply(&sent, &Settings::default()).unwrap_err();
        let keys: Vec<Key> = faults.keys().copied().collect();
        assert_eq!(keys, [Key::WarnPassHours, Key::DnsUpstream]);
        assert_eq!(faults[&Key::WarnPassHours].to_string(), "has to be 0 to 168 hours, and is 200");
    }

    proptest! {
        #[test]
        fn what_is_shown_and_sent_unchanged_is_the_same_document(known in any_settings(), word in "[A-Z][a-z]{3,9}") {
            // A newer portal's key, and a newer value of a key that is known and not set.
            let mut members: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&known.to_json()).unwrap();
            members.insert(format!("Bartizan{word}Later"), serde_json::json!({ "of": [word] }));
            if known.get(Key::Mode).is_none() {
                members.insert("BartizanMode".into(), "later".into());
            }
            let before = Settings::from_stored(&serde_json::Value::from(members).to_string()).unwrap();
            let shown: Vec<_> = decided().map(|key| (control(key), text(&before, key))).collect();
            // Onto an empty document the form brings all that it shows.
            prop_assert_eq!(apply(&shown, &Settings::default()), Ok(known));
            prop_assert_eq!(apply(&shown, &before), Ok(before));
        }

        #[test]
        fn no_text_in_a_control_is_too_strange(text in ".{0,60}") {
            for key in decided() {
                let sent = [(control(key), text.clone())];
                if let Ok(settings) = apply(&sent, &Settings::default()) {
                    prop_assert_eq!(Settings::from_json(&settings.to_json()), Ok(settings));
                }
            }
        }
    }

    #[track_caller]
    fn check(before: &Settings, sent: &[(&str, &str)], expected: &str) {
        assert_eq!(apply(&owned(sent), before).unwrap().to_json(), expected);
    }

    fn owned(sent: &[(&str, &str)]) -> Vec<(String, String)> {
        sent.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }
}
