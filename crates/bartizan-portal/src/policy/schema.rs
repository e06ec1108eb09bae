//! Every key of a policy, in one table: name, kind, default, place, devices, meaning.
//!
//! Keys that Microsoft Defender for Endpoint on iOS has keep its spelling and its meaning, so that a managed app
//! configuration that exists can be taken over as it is. Ours begin with `Bartizan`. Where the published
//! documents contradict each other, `decided` says what holds here and why.
//!
//! # Invariants
//! - The table is complete: a key is a variant, and its row is written beside it.
//! - A default is of the key's own kind (tested).

use std::borrow::Cow;

use bartizan_model::{CHECKIN_INTERVAL_S, DnsUpstream, MAX_WARN_PASS_HOURS, Mode};

use super::value::{Kind, Spelling, Value};

/// What there is to know about a key.
#[derive(Debug)]
pub struct Setting {
    /// As documents and managed app configuration spell it.
    pub name: &'static str,
    /// What it can be set to.
    pub kind: Kind,
    /// How managed app configuration spells its values.
    pub spelling: Spelling,
    /// What holds where nobody set it; `None` where being absent means something of its own.
    pub default: Option<Value>,
    /// Where devices find it.
    pub place: Place,
    /// On which kinds of enrollment it does something.
    pub works_on: &'static [Enrollment],
    /// What it does, for people.
    pub meaning: &'static str,
    /// What holds where published documents contradict each other, and why.
    pub decided: Option<&'static str>,
}

/// Where devices find a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the policy that the portal signs, and in managed app configuration for the time before the first one.
    Policy,
    /// In nothing that reaches a device: the portal itself goes by it.
    Portal,
    /// In managed app configuration, where it is filled in as the file is made; no document holds it.
    AppConfig,
    /// In the vendor's part of the VPN profile.
    VpnProfile,
    /// In the single sign-on profile, where it is filled in as the file is made; no document holds it.
    SsoProfile,
}

/// How a device came under an organization's care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enrollment {
    /// Owned by the organization, in supervised mode.
    Supervised,
    /// Enrolled as a whole, not supervised.
    Device,
    /// Apple's User Enrollment: a work account on a person's own device.
    User,
    /// In no MDM; the app alone.
    Unenrolled,
}

impl Enrollment {
    /// Every kind, the most managed first.
    pub const ALL: [Self; 4] = [Self::Supervised, Self::Device, Self::User, Self::Unenrolled];

    /// Returns its name for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Supervised => "supervised",
            Self::Device => "device enrollment",
            Self::User => "user enrollment",
            Self::Unenrolled => "no MDM",
        }
    }
}

impl Place {
    /// Returns its name for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy, app configuration",
            Self::Portal => "portal",
            Self::AppConfig => "app configuration",
            Self::VpnProfile => "VPN profile",
            Self::SsoProfile => "single sign-on profile",
        }
    }

    /// Whether a document can hold keys of this place.
    #[must_use]
    pub fn is_decided(self) -> bool {
        match self {
            Self::Policy | Self::Portal | Self::VpnProfile => true,
            Self::AppConfig | Self::SsoProfile => false,
        }
    }
}

impl Key {
    /// Returns the key of that very name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.setting().name == name)
    }

    /// Returns the name that somebody may have meant, if one is near.
    #[must_use]
    pub fn nearest(name: &str) -> Option<&'static str> {
        let wanted: String = name.chars().take(LONGEST_COMPARED).collect::<String>().to_lowercase();
        let distance = |known: &str| strsim::damerau_levenshtein(&wanted, &known.to_lowercase());
        let near = Self::ALL.iter().map(|key| key.setting().name);
        let near = near.map(|known| (distance(known), known)).min_by_key(|(far, _)| *far);
        near.filter(|(far, known)| *far <= known.len() / 3).map(|(_, known)| known)
    }
}

macro_rules! keys {
    ($($key:ident = $name:literal {
        $kind:expr, $spelling:ident, $default:expr, $place:ident, $works_on:expr, $meaning:expr, $decided:expr
    })*) => {
        /// A key; sorts as the table does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $(#[doc = concat!("`", $name, "`")] $key,)*
        }

        impl Key {
            /// Every key, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$key,)*];

            /// Returns what there is to know about it.
            #[must_use]
            pub fn setting(self) -> &'static Setting {
                match self {
                    $(Self::$key => {
                        static SETTING: Setting = Setting {
                            name: $name,
                            kind: $kind,
                            spelling: Spelling::$spelling,
                            default: $default,
                            place: Place::$place,
                            works_on: $works_on,
                            meaning: $meaning,
                            decided: $decided,
                        };
                        &SETTING
                    })*
                }
            }
        }
    };
}

keys! {
    WebProtection = "WebProtection" {
        Kind::Flag, Text, Some(YES), Policy, EVERY,
        "Whether sites are judged at all. With false the device asks for no VPN, stops nothing, and reports its status only when the app is opened.",
        Some("It counts in filter mode too, so that one key turns protection off everywhere; the content filter's profile may stay installed.")
    }
    NetworkProtection = "DefenderNetworkProtectionEnable" {
        Kind::Flag, Text, Some(YES), Policy, EVERY,
        "Whether networks are judged: rogue Wi-Fi, intercepted TLS, changed DNS answers.",
        Some("On by default: the newer pages agree on it, only older prose says off.")
    }
    OpenNetworks = "DefenderOpenNetworkDetection" {
        Kind::Level(&[
            ("off", "nothing"),
            ("audit", "an event in the portal, nothing on the device"),
            ("on", "an event, and the person is told"),
        ]),
        Integer, Some(Value::Number(2)), Policy, EVERY,
        "What happens when a device joins a Wi-Fi network without a password.",
        None
    }
    TrustNetworks = "DefenderEndUserTrustFlowEnable" {
        Kind::Flag, Text, Some(NO), Policy, EVERY,
        "Whether people may mark an insecure network as one that they trust.",
        Some("Only networks without a password: a network that looks like an attack cannot be trusted away.")
    }
    NetworkRemediation = "DefenderNetworkProtectionAutoRemediation" {
        Kind::Flag, Text, Some(YES), Policy, EVERY,
        "Whether alerts about a network are resolved once the device has left it for a safe one.",
        None
    }
    NetworkPrivacy = "DefenderNetworkProtectionPrivacy" {
        Kind::Flag, Text, Some(YES), Policy, EVERY,
        "With true nothing about harmful Wi-Fi networks but that there was one leaves the device, and nobody is asked. With false the person is asked whether its name may be told.",
        None
    }
    ExcludeHost = "DefenderExcludeURLInReport" {
        Kind::Flag, Boolean, Some(NO), Policy, EVERY,
        "Whether alerts leave out the name of the site that was stopped. They then say only what kind of site it was.",
        None
    }
    OptionalVpn = "DefenderOptionalVPN" {
        Kind::Flag, Boolean, Some(NO), Policy, MANAGED,
        "Whether people may skip the step that sets the VPN up, and finish onboarding without it.",
        None
    }
    AppInventoryPrivacy = "DefenderTVMPrivacyMode" {
        Kind::Flag, Text, Some(YES), Policy, MANAGED,
        "With true the list of installed apps stays on the device. With false the person is asked, and the list is sent.",
        Some("Private by default: two pages disagree, and what was not asked for is not collected.")
    }
    DisableSignOut = "DisableSignOut" {
        Kind::Flag, Text, Some(NO), Policy, EVERY,
        "Whether the button that signs the device out is hidden.",
        None
    }
    DeviceTag = "DefenderDeviceTag" {
        Kind::Text { most: MAX_TAG }, Text, None, Policy, EVERY,
        "A tag that the device has in the portal for as long as the key is set.",
        None
    }
    MuteOsUpdates = "SuppressOSUpdateNotification" {
        Kind::Flag, Text, Some(NO), Policy, EVERY,
        "Whether the notification about an update of the operating system is left out. The app still shows it.",
        None
    }
    Feedback = "DefenderFeedbackData" {
        Kind::Flag, Boolean, Some(YES), Policy, EVERY,
        "Whether the app offers to send feedback and logs, to this portal and nobody else.",
        Some("On everywhere: feedback stays with the organization, so there is no exception by cloud.")
    }
    Preview = "DefenderPreview" {
        Kind::Flag, Integer, Some(NO), Policy, EVERY,
        "Whether the device gets features that are still being tried.",
        None
    }
    IsSupervised = "issupervised" {
        Kind::Flag, Text, None, AppConfig, MANAGED,
        "Tells the app whether the device is supervised. The MDM fills it in, in Intune as {{issupervised}}.",
        None
    }
    UserEnrollment = "UserEnrolmentEnabled" {
        Kind::Flag, Text, None, AppConfig, USER,
        "Tells the app that the device is under User Enrollment, where no VPN profile comes from the MDM.",
        None
    }
    SilentOnboard = "SilentOnboard" {
        Kind::Flag, Text, Some(NO), VpnProfile, DEVICE_WIDE,
        "Whether the device onboards by itself as the VPN profile arrives, before anybody opens the app.",
        Some("For supervised devices and others alike: the profile is the same, and one table of the documents says so too.")
    }
    AutoOnboard = "AutoOnboard" {
        Kind::Flag, Text, Some(NO), VpnProfile, DEVICE_WIDE,
        "Whether the VPN is set up by the profile, so that people skip that step; they still open the app once. SilentOnboard does this and more.",
        None
    }
    VpnToggle = "EnableVPNToggleInApp" {
        Kind::Flag, Text, Some(NO), VpnProfile, DEVICE_WIDE,
        "Whether people may turn the VPN of a profile off and on in the app.",
        None
    }
    TunnelOnly = "TunnelOnly" {
        Kind::Flag, Text, Some(NO), VpnProfile, DEVICE_WIDE,
        "Turns protection off where the app is to carry another VPN only. There is none here, so with true nothing is judged.",
        None
    }
    DeviceRegistration = "device_registration" {
        Kind::Text { most: MAX_TAG }, Text, None, SsoProfile, USER,
        "Tells a single sign-on extension which device this is. The MDM fills it in, in Intune as {{DEVICEREGISTRATION}}.",
        None
    }
    Portal = "BartizanPortal" {
        Kind::Text { most: MAX_ADDRESS }, Text, None, AppConfig, MANAGED,
        "Where the portal is: an https:// address.",
        None
    }
    EnrollmentToken = "BartizanEnrollmentToken" {
        Kind::Text { most: MAX_ADDRESS }, Text, None, AppConfig, MANAGED,
        "Lets the device in without a sign-in. Whoever has it can enroll, so it goes to the MDM alone.",
        None
    }
    Mode = "BartizanMode" {
        Kind::Mode, Text, Some(Value::Mode(Mode::Dns)), Policy, EVERY,
        "How much of the traffic is judged: all of it (tunnel), name lookups (dns), what the system hands over to a content filter (filter), or nothing (off).",
        None
    }
    WarnPassHours = "BartizanWarnPassHours" {
        Kind::Number { least: 0, most: MAX_WARN_PASS_HOURS as u32, unit: "hours" },
        Integer, Some(Value::Number(24)), Policy, EVERY,
        "For how many hours a person may go on to a site that an indicator warns of. With 0 warnings stop like blocks.",
        None
    }
    CheckinInterval = "BartizanCheckinSeconds" {
        Kind::Number { least: *CHECKIN_INTERVAL_S.start(), most: *CHECKIN_INTERVAL_S.end(), unit: "seconds" },
        Integer, Some(Value::Number(900)), Policy, EVERY,
        "Seconds between check-ins, at which devices learn of new indicators and policies. Each takes 80 to 120 % of it. Alerts do not wait.",
        None
    }
    DnsUpstream = "BartizanDnsUpstream" {
        Kind::Resolver, Text, Some(Value::Resolver(DnsUpstream::System)), Policy, EVERY,
        "Whom lookups go to: system for the network's resolver, or one that proves who it is, as tls://NAME?ip=ADDRESS or https://NAME/PATH?ip=ADDRESS.",
        None
    }
    DnsFallback = "BartizanDnsFallback" {
        Kind::Flag, Boolean, Some(YES), Policy, EVERY,
        "Whether the network's resolver answers while the other one cannot be reached.",
        None
    }
    StripEch = "BartizanStripEch" {
        Kind::Flag, Boolean, Some(NO), Policy, EVERY,
        "Whether the keys of Encrypted Client Hello are taken out of answers, so that server names stay readable where they are judged. Networks on the way can read them then too.",
        None
    }
    BlockEncryptedDns = "BartizanBlockEncryptedDns" {
        Kind::Flag, Boolean, Some(NO), Policy, EVERY,
        "Whether known public resolvers over HTTPS are made unknown, so that lookups stay where they are judged.",
        None
    }
    BlockPrivateRelay = "BartizanBlockPrivateRelay" {
        Kind::Flag, Boolean, Some(NO), Policy, EVERY,
        "Whether iCloud Private Relay is turned off in the way that Apple has for networks. Safari tells the person.",
        None
    }
    InactiveAfter = "BartizanInactiveAfterDays" {
        Kind::Number { least: 1, most: 90, unit: "days" },
        Integer, Some(Value::Number(7)), Portal, EVERY,
        "After how many days without a sign of life a device counts as inactive.",
        None
    }
    MinimumOs = "BartizanMinimumOS" {
        Kind::Version, Text, Some(Value::Text(Cow::Borrowed("16"))), Portal, EVERY,
        "The oldest version of iOS and iPadOS that may enroll. Older devices that are enrolled already are told.",
        Some("16: the page that is to be matched says 16.0, and a tenant that wants 17 sets it.")
    }
    SharedDevices = "BartizanSharedDevices" {
        Kind::Flag, Boolean, Some(NO), Portal, MANAGED,
        "Whether devices that nobody owns, or that several people share, may enroll.",
        None
    }
}

const YES: Value = Value::Flag(true);
const NO: Value = Value::Flag(false);
const EVERY: &[Enrollment] = &Enrollment::ALL;
const MANAGED: &[Enrollment] = &[Enrollment::Supervised, Enrollment::Device, Enrollment::User];
const DEVICE_WIDE: &[Enrollment] = &[Enrollment::Supervised, Enrollment::Device];
const USER: &[Enrollment] = &[Enrollment::User];
/// In characters; what a list can still show.
const MAX_TAG: usize = 200;
/// In characters; more than addresses and tokens have.
const MAX_ADDRESS: usize = 2_000;
/// Characters of an unknown key that are compared; more than any key has.
const LONGEST_COMPARED: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bartizan_model::Policy;

    use super::*;
    use crate::policy::value::{Raw, read};

    #[test]
    fn every_key_has_its_own_name_and_is_found_by_it() {
        let names: BTreeSet<&str> = Key::ALL.iter().map(|key| key.setting().name).collect();
        assert_eq!(names.len(), Key::ALL.len());
        for key in Key::ALL {
            assert_eq!(Key::from_name(key.setting().name), Some(*key));
        }
        assert_eq!(Key::from_name("webprotection"), None);
    }

    #[test]
    fn every_default_is_of_the_keys_own_kind() {
        for key in Key::ALL {
            let setting = key.setting();
            let Some(default) = &setting.default else { continue };
            let json = default.to_json();
            assert_eq!(read(setting.kind, &Raw::from(&json)).as_ref(), Ok(default), "{key:?}");
        }
    }

    #[test]
    fn defaults_are_those_of_a_device_without_a_policy() {
        let default = |key: Key| key.setting().default.clone();
        let policy = Policy::default();
        assert_eq!(default(Key::Mode), Some(Value::Mode(policy.mode)));
        assert_eq!(default(Key::ExcludeHost), Some(Value::Flag(!policy.report_blocked_host)));
        let seconds = Value::Number(policy.checkin_interval_s);
        assert_eq!(default(Key::CheckinInterval), Some(seconds));
        let hours = Value::Number(policy.warn_pass_hours.into());
        assert_eq!(default(Key::WarnPassHours), Some(hours));
        let upstream = Value::Resolver(policy.dns.upstream);
        assert_eq!(default(Key::DnsUpstream), Some(upstream));
        assert_eq!(default(Key::DnsFallback), Some(Value::Flag(policy.dns.upstream_fallback)));
    }

    #[test]
    fn a_misspelled_key_finds_its_nearest() {
        let check = |name, expected| assert_eq!(Key::nearest(name), expected, "{name}");
        check("webprotection", Some("WebProtection"));
        check("DefenderOptionalVpn", Some("DefenderOptionalVPN"));
        check("DefenderNetworkProtectionEnabled", Some("DefenderNetworkProtectionEnable"));
        check("BartizanMod", Some("BartizanMode"));
        check("UserEnrollmentEnabled", Some("UserEnrolmentEnabled"));
        check("", None);
        check("Wallpaper", None);
    }
}
