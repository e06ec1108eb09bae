//! An indicator as people write it, in a form or in a file, and as it is kept.
//!
//! The fields and their words are those of Defender's CSV import, so that one reader and one writer serve
//! both. What Defender lacks stands beside: networks, host names without what is under them, names without
//! the domain itself.
//!
//! # Invariants
//! - What [`cell`] writes, [`read_rule`] and [`read_pattern`] read as the same.
//! - `Audit` always raises an alert, `Allow` never does; our category follows from Defender's.

use std::borrow::Cow;

use bartizan_indicators::pattern::{Pattern, PatternKind};
use bartizan_model::{IndicatorAction, IndicatorCategory, Severity, UnixMillis};
use bartizan_store::{IndicatorRule, NewIndicator};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// What is said of an indicator: a column of the file, an input of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Type,
    Value,
    Action,
    Title,
    Description,
    ExpirationTime,
    Severity,
    RecommendedActions,
    RbacGroups,
    Category,
    MitreTechniques,
    GenerateAlert,
}

impl Field {
    /// Every field, in the order of the file's columns.
    pub(crate) const ALL: [Self; 12] = [
        Self::Type,
        Self::Value,
        Self::Action,
        Self::Title,
        Self::Description,
        Self::ExpirationTime,
        Self::Severity,
        Self::RecommendedActions,
        Self::RbacGroups,
        Self::Category,
        Self::MitreTechniques,
        Self::GenerateAlert,
    ];

    /// Those that a rule is made of: all but type and value.
    pub(crate) const OF_RULE: [Self; 10] = [
        Self::Action,
        Self::Title,
        Self::Description,
        Self::ExpirationTime,
        Self::Severity,
        Self::RecommendedActions,
        Self::RbacGroups,
        Self::Category,
        Self::MitreTechniques,
        Self::GenerateAlert,
    ];

    /// Those without which a file is none of indicators.
    pub(crate) const REQUIRED: [Self; 4] = [Self::Type, Self::Value, Self::Action, Self::Title];

    /// Returns the name of the column, as Defender spells it.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Type => "indicatorType",
            Self::Value => "indicatorValue",
            Self::Action => "action",
            Self::Title => "title",
            Self::Description => "description",
            Self::ExpirationTime => "expirationTime",
            Self::Severity => "severity",
            Self::RecommendedActions => "recommendedActions",
            Self::RbacGroups => "rbacGroups",
            Self::Category => "category",
            Self::MitreTechniques => "mitretechniques",
            Self::GenerateAlert => "GenerateAlert",
        }
    }

    /// The most characters it may have.
    pub(crate) fn limit(self) -> usize {
        match self {
            Self::Type
            | Self::Action
            | Self::ExpirationTime
            | Self::Severity
            | Self::GenerateAlert => 64,
            Self::Category => 100,
            Self::Title => 200,
            Self::MitreTechniques => 500,
            Self::Value | Self::Description | Self::RecommendedActions | Self::RbacGroups => 4_000,
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// Which one.
    pub(crate) field: Field,
    /// What is wrong, to be read after the field's name.
    pub(crate) reason: String,
}

impl FieldError {
    pub(crate) fn new(field: Field, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

/// Reads what an indicator says; `text` gives what stands in a field, empty where nothing does.
///
/// # Errors
/// All that is wrong.
pub(crate) fn read_rule<'a>(
    text: impl Fn(Field) -> &'a str,
) -> Result<IndicatorRule, Vec<FieldError>> {
    let text = |field| text(field).trim();
    let mut errors = Vec::new();
    for field in Field::OF_RULE {
        if field.limit() < text(field).chars().count() {
            let reason = format!("has more than {} characters", field.limit());
            errors.push(FieldError::new(field, reason));
        }
    }
    let action = kept(read_action(text(Field::Action)), &mut errors);
    let severity = kept(read_severity(text(Field::Severity)), &mut errors);
    let expires_at = kept(read_time(text(Field::ExpirationTime)), &mut errors);
    let alert = kept(read_alert(text(Field::GenerateAlert)), &mut errors);
    let title = text(Field::Title);
    if title.is_empty() {
        errors.push(FieldError::new(Field::Title, "is missing"));
    } else if title.contains(char::is_control) {
        errors.push(FieldError::new(Field::Title, "has a line break or another control character"));
    }
    let (Some((action, alert_is_meant)), Some(severity), Some(expires_at), Some(alert)) =
        (action, severity, expires_at, alert)
    else {
        return Err(errors);
    };
    let generate_alert = match action {
        IndicatorAction::Allow => false,
        IndicatorAction::Audit if !alert.unwrap_or(alert_is_meant) => {
            errors.push(FieldError::new(
                Field::GenerateAlert,
                "must be True, since Audit does nothing else",
            ));
            false
        }
        IndicatorAction::Warn | IndicatorAction::Block | IndicatorAction::Audit => {
            alert.unwrap_or(alert_is_meant)
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let defender_category = text(Field::Category);
    Ok(IndicatorRule {
        action,
        category: category_of(defender_category),
        title: title.into(),
        description: text(Field::Description).into(),
        severity,
        expires_at,
        generate_alert,
        recommended_actions: text(Field::RecommendedActions).into(),
        rbac_groups: groups_json(text(Field::RbacGroups)),
        mitre_techniques: text(Field::MitreTechniques).into(),
        defender_category: defender_category.into(),
    })
}

/// Reads what an indicator names, by the type that stands beside it.
///
/// # Errors
/// The type is none of a network indicator, or the value is not of that type.
pub(crate) fn read_pattern(kind: &str, value: &str) -> Result<Pattern, FieldError> {
    let (kind, value) = (kind.trim(), value.trim());
    let wrong = |reason: String| FieldError::new(Field::Value, reason);
    let is = |words: &[&str]| words.iter().any(|word| kind.eq_ignore_ascii_case(word));
    if is(&["FileSha1", "FileSha256", "FileMd5", "CertificateThumbprint"]) {
        return Err(FieldError::new(Field::Type, "is not a network indicator"));
    }
    if kind.is_empty() {
        return Err(FieldError::new(Field::Type, "is missing"));
    }
    let (known, read): (&[PatternKind], _) = if is(&["IpAddress", "CidrRange", "IpNetwork"]) {
        (&[PatternKind::Address, PatternKind::Network], pattern(value))
    } else if is(&["DomainName"]) {
        (&[PatternKind::Domain, PatternKind::Subdomains, PatternKind::Host], pattern(value))
    } else if is(&["HostName"]) {
        (&[PatternKind::Host], pattern(&format!("={}", value.trim_start_matches('='))))
    } else if is(&["Url"]) {
        let url = Pattern::of_url(value).map_err(|error| error.to_string());
        (&[PatternKind::Url, PatternKind::Domain, PatternKind::Address], url)
    } else {
        return Err(FieldError::new(Field::Type, "is not a type of indicator known here"));
    };
    let pattern = if value.is_empty() {
        return Err(wrong("is missing".into()));
    } else {
        read.map_err(wrong)?
    };
    if !known.contains(&pattern.kind()) {
        let kind = pattern.kind();
        return Err(wrong(format!("is of the type {}", type_word(kind))));
    }
    unambiguous(pattern).map_err(wrong)
}

/// Reads what an indicator names by its spelling alone, as in the form.
///
/// # Errors
/// It names nothing that an indicator can be about.
pub(crate) fn read_spelling(value: &str) -> Result<Pattern, FieldError> {
    let wrong = |reason: String| FieldError::new(Field::Value, reason);
    if value.trim().is_empty() {
        return Err(wrong("is missing".into()));
    }
    pattern(value).and_then(unambiguous).map_err(wrong)
}

/// Puts pattern and rule together.
pub(crate) fn indicator(pattern: &Pattern, source: &str, rule: IndicatorRule) -> NewIndicator {
    NewIndicator {
        pattern: pattern.to_string(),
        kind: pattern.kind().word(),
        source_text: source.trim().into(),
        rule,
    }
}

/// Returns the type of a kind, as the file spells it.
pub(crate) fn type_word(kind: PatternKind) -> &'static str {
    match kind {
        PatternKind::Domain | PatternKind::Subdomains => "DomainName",
        PatternKind::Host => "HostName",
        PatternKind::Url => "Url",
        PatternKind::Address => "IpAddress",
        PatternKind::Network => "CidrRange",
    }
}

/// Writes what a rule says in a field.
pub(crate) fn cell(rule: &IndicatorRule, field: Field) -> Cow<'_, str> {
    match field {
        Field::Type | Field::Value => "".into(),
        Field::Action => action_word(rule.action).into(),
        Field::Title => (&rule.title).into(),
        Field::Description => (&rule.description).into(),
        Field::ExpirationTime => rule.expires_at.map(time_text).unwrap_or_default().into(),
        Field::Severity => rule.severity.word().into(),
        Field::RecommendedActions => (&rule.recommended_actions).into(),
        Field::RbacGroups => groups_text(&rule.rbac_groups).into(),
        Field::Category => (&rule.defender_category).into(),
        Field::MitreTechniques => (&rule.mitre_techniques).into(),
        Field::GenerateAlert => if rule.generate_alert { "True" } else { "False" }.into(),
    }
}

/// Returns Defender's word for an action.
pub(crate) fn action_word(action: IndicatorAction) -> &'static str {
    match action {
        IndicatorAction::Allow => "Allowed",
        IndicatorAction::Warn => "Warn",
        IndicatorAction::Block => "Block",
        IndicatorAction::Audit => "Audit",
    }
}

/// Returns the word that the file has for a category of ours; none for what is only listed.
pub(crate) fn category_word(category: IndicatorCategory) -> &'static str {
    match category {
        IndicatorCategory::Phishing => "Phishing",
        IndicatorCategory::Malware => "Malware",
        IndicatorCategory::Spyware => "Spyware",
        IndicatorCategory::CommandAndControl => "CommandAndControl",
        IndicatorCategory::Scam => "Scam",
        IndicatorCategory::Tracker => "Tracker",
        IndicatorCategory::Custom => "",
    }
}

/// Returns our category for one of Defender's; those that we lack are [`IndicatorCategory::Custom`].
pub(crate) fn category_of(defender: &str) -> IndicatorCategory {
    if defender.eq_ignore_ascii_case("Ransomware") {
        return IndicatorCategory::Malware;
    }
    IndicatorCategory::ALL
        .into_iter()
        .find(|category| category_word(*category).eq_ignore_ascii_case(defender))
        .unwrap_or(IndicatorCategory::Custom)
}

/// Writes a time as Defender does.
pub(crate) fn time_text(at: UnixMillis) -> String {
    let pattern =
        if at.0.is_multiple_of(1_000) { "%Y-%m-%dT%H:%M:%S.0Z" } else { "%Y-%m-%dT%H:%M:%S.%3fZ" };
    let stamp = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map(|stamp| stamp.strftime(pattern).to_string()).unwrap_or_default()
}

fn kept<T>(read: Result<T, FieldError>, errors: &mut Vec<FieldError>) -> Option<T> {
    read.map_err(|error| errors.push(error)).ok()
}

/// The action, and whether an alert is meant where nothing is said about it.
fn read_action(text: &str) -> Result<(IndicatorAction, bool), FieldError> {
    let wrong = |reason: &str| Err(FieldError::new(Field::Action, reason));
    match text.to_ascii_lowercase().as_str() {
        "" => wrong("is missing"),
        "allowed" | "allow" => Ok((IndicatorAction::Allow, false)),
        "audit" => Ok((IndicatorAction::Audit, false)),
        // Names of before 2022, which Defender still knows.
        "alert" => Ok((IndicatorAction::Audit, true)),
        "alertandblock" => Ok((IndicatorAction::Block, true)),
        "warn" => Ok((IndicatorAction::Warn, false)),
        "block" | "blockexecution" => Ok((IndicatorAction::Block, false)),
        "blockandremediate" => wrong("is for files and certificates, not for a network indicator"),
        _ => wrong("is not Allowed, Audit, Warn or Block"),
    }
}

fn read_severity(text: &str) -> Result<Severity, FieldError> {
    if text.is_empty() {
        return Ok(Severity::Informational);
    }
    Severity::ALL
        .into_iter()
        .find(|severity| severity.word().eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            FieldError::new(Field::Severity, "is not Informational, Low, Medium or High")
        })
}

/// ISO 8601; without an offset it is UTC, without a time the day's beginning.
fn read_time(text: &str) -> Result<Option<UnixMillis>, FieldError> {
    if text.is_empty() {
        return Ok(None);
    }
    let stamp = text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    stamp
        .and_then(|stamp| u64::try_from(stamp.as_millisecond()).ok())
        .map(|ms| Some(UnixMillis(ms)))
        .ok_or_else(|| {
            FieldError::new(Field::ExpirationTime, "is not a time such as 2027-01-31T00:00:00.0Z")
        })
}

fn read_alert(text: &str) -> Result<Option<bool>, FieldError> {
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "1" | "yes" => Ok(Some(true)),
        "false" | "0" | "no" => Ok(Some(false)),
        _ => Err(FieldError::new(Field::GenerateAlert, "is not True or False")),
    }
}

fn pattern(value: &str) -> Result<Pattern, String> {
    value.parse().map_err(|error: bartizan_indicators::pattern::PatternError| error.to_string())
}

/// A URL of an address whose path is a number is written as a network is; such a one is not taken.
fn unambiguous(pattern: Pattern) -> Result<Pattern, String> {
    let is_told = match &pattern {
        Pattern::Url(_) => pattern.to_string().parse().as_ref() == Ok(&pattern),
        Pattern::Domain(_)
        | Pattern::Host(_)
        | Pattern::Subdomains(_)
        | Pattern::Address(_)
        | Pattern::Network(_) => true,
    };
    if is_told { Ok(pattern) } else { Err("cannot be told from a network".into()) }
}

fn groups_json(text: &str) -> String {
    let groups: Vec<&str> =
        text.split(',').map(str::trim).filter(|group| !group.is_empty()).collect();
    serde_json::to_string(&groups).unwrap_or_else(|_| "[]".into())
}

fn groups_text(json: &str) -> String {
    serde_json::from_str::<Vec<String>>(json).unwrap_or_default().join(", ")
}

/// What stands in each field: the first that is given for it.
#[cfg(test)]
pub(crate) fn texts<'a>(given: &'a [(Field, &'a str)]) -> impl Fn(Field) -> &'a str {
    |asked| given.iter().find(|(field, _)| *field == asked).map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_by_its_type() {
        for (kind, value, expected) in [
            ("IpAddress", "192.0.2.1", Ok("192.0.2.1")),
            ("ipaddress", "2001:DB8:0:0:0:0:0:1", Ok("2001:db8::1")),
            ("CidrRange", "192.0.2.77/24", Ok("192.0.2.0/24")),
            ("IpNetwork", "192.0.2.7/32", Ok("192.0.2.7")),
            ("DomainName", "Evil.Test", Ok("evil.test")),
            ("DomainName", "*.evil.test", Ok("*.evil.test")),
            ("DomainName", "=evil.test", Ok("=evil.test")),
            ("HostName", "evil.test", Ok("=evil.test")),
            ("HostName", "=evil.test", Ok("=evil.test")),
            ("Url", "https://evil.test/a?b=c", Ok("evil.test/a?b=c")),
            ("Url", "http://evil.test", Ok("evil.test")),
            ("Url", "http://192.0.2.0/24", Err("cannot be told from a network")),
            ("DomainName", "evil.test/a", Err("is of the type Url")),
            ("DomainName", "192.0.2.1", Err("is of the type IpAddress")),
            ("IpAddress", "evil.test", Err("is of the type DomainName")),
            ("HostName", "192.0.2.1", Err("is an address where a name is asked for")),
            ("DomainName", "no good", Err("is not a host name")),
            ("DomainName", "", Err("is missing")),
            ("FileSha256", "00", Err("is not a network indicator")),
            ("CertificateThumbprint", "00", Err("is not a network indicator")),
            ("Hash", "00", Err("is not a type of indicator known here")),
            ("", "evil.test", Err("is missing")),
        ] {
            let read = read_pattern(kind, value).map(|pattern| pattern.to_string());
            let read = read.map_err(|error| error.reason);
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{kind} {value}");
        }
    }

    #[test]
    fn actions_of_every_age_are_read() {
        use IndicatorAction::{Allow, Audit, Block, Warn};
        for (action, alert, expected) in [
            ("Allowed", "", Ok((Allow, false))),
            ("allow", "True", Ok((Allow, false))),
            ("Audit", "True", Ok((Audit, true))),
            ("Alert", "", Ok((Audit, true))),
            ("AlertAndBlock", "", Ok((Block, true))),
            ("AlertAndBlock", "False", Ok((Block, false))),
            ("Warn", "true", Ok((Warn, true))),
            ("BlockExecution", "", Ok((Block, false))),
            ("Audit", "", Err("must be True, since Audit does nothing else")),
            ("Alert", "False", Err("must be True, since Audit does nothing else")),
            ("Block", "maybe", Err("is not True or False")),
            (
                "BlockAndRemediate",
                "",
                Err("is for files and certificates, not for a network indicator"),
            ),
            ("Deny", "", Err("is not Allowed, Audit, Warn or Block")),
            ("", "", Err("is missing")),
        ] {
            let read = rule(&[(Field::Action, action), (Field::GenerateAlert, alert)]);
            let read = read.map(|rule| (rule.action, rule.generate_alert));
            let read = read.as_ref().map_err(|errors| errors[0].reason.as_str());
            assert_eq!(read.copied(), expected, "{action} {alert}");
        }
    }

    #[test]
    fn times_are_read_with_and_without_fraction_and_offset() {
        for (text, expected) in [
            ("", Some("")),
            ("2027-01-31T10:20:30.0Z", Some("2027-01-31T10:20:30.0Z")),
            ("2027-01-31T10:20:30Z", Some("2027-01-31T10:20:30.0Z")),
            ("2027-01-31T10:20:30.1234567Z", Some("2027-01-31T10:20:30.123Z")),
            ("2027-01-31T10:20:30+02:00", Some("2027-01-31T08:20:30.0Z")),
            ("2027-01-31T10:20", Some("2027-01-31T10:20:00.0Z")),
            ("2027-01-31", Some("2027-01-31T00:00:00.0Z")),
            ("31.01.2027", None),
            ("1960-01-01", None),
            ("2027-02-30", None),
        ] {
            let read = rule(&[(Field::ExpirationTime, text)]).ok();
            let written = read.map(|rule| cell(&rule, Field::ExpirationTime).into_owned());
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let long = "x".repeat(201);
        let errors = rule(&[
            (Field::Title, long.as_str()),
            (Field::Severity, "Huge"),
            (Field::ExpirationTime, "soon"),
        ])
        .unwrap_err();
        let fields: Vec<_> = errors.iter().map(|error| error.field).collect();
        assert_eq!(fields, [Field::Title, Field::Severity, Field::ExpirationTime]);
        let broken = rule(&[(Field::Title, "a\nb")]).unwrap_err();
        assert_eq!(broken[0].reason, "has a line break or another control character");
        assert_eq!(rule(&[(Field::Title, " ")]).unwrap_err()[0].reason, "is missing");
    }

    #[test]
    fn our_category_follows_from_defenders() {
        for category in IndicatorCategory::ALL {
            assert_eq!(category_of(category_word(category)), category);
        }
        assert_eq!(category_of("commandAndControl"), IndicatorCategory::CommandAndControl);
        assert_eq!(category_of("InitialAccess"), IndicatorCategory::Custom);
        assert_eq!(category_of("ransomware"), IndicatorCategory::Malware);
    }

    #[test]
    fn groups_are_a_list() {
        let read = rule(&[(Field::RbacGroups, "Field, Board,,")]).unwrap();
        assert_eq!(read.rbac_groups, r#"["Field","Board"]"#);
        assert_eq!(cell(&read, Field::RbacGroups), "Field, Board");
    }

    fn rule(fields: &[(Field, &str)]) -> Result<IndicatorRule, Vec<FieldError>> {
        let usual = [(Field::Action, "Block"), (Field::Title, "Title")];
        let all: Vec<_> = fields.iter().chain(&usual).copied().collect();
        read_rule(texts(&all))
    }
}
