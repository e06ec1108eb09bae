//! What an administrator may set of a feed, whether by page or by command.

use std::fmt;

use bartizan_indicators::feed;
use bartizan_model::{IndicatorAction, IndicatorCategory, Private};
use bartizan_store::{FeedOrigin, FeedRole, FeedSettings, FeedUrls, MAX_FEED_NAME};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::http::{HeaderValue, Uri};

/// Returns what holds unless somebody says otherwise: a phishing feed that is looked at every six hours.
#[must_use]
pub fn usual(name: &str, origin: FeedOrigin) -> FeedSettings {
    FeedSettings {
        name: name.to_owned(),
        role: FeedRole::Threat,
        origin,
        url: None,
        format: None,
        column: None,
        category: IndicatorCategory::Phishing,
        action: IndicatorAction::Block,
        urls: FeedUrls::Host,
        trust: 50,
        license: String::new(),
        interval_s: if origin == FeedOrigin::Upload { 0 } else { 6 * 3_600 },
        enabled: true,
        allow_http: false,
        allow_private: false,
        change_limit: 50,
        credentials: None,
    }
}

/// Returns how a feed is read.
pub(crate) fn read(settings: &FeedSettings) -> feed::Options {
    feed::Options {
        format: settings.format.as_deref().and_then(|word| word.parse().ok()),
        column: settings.column.as_deref().and_then(column),
        ..feed::Options::default()
    }
}

/// Reads a column as people count them, from 1.
fn column(text: &str) -> Option<usize> {
    text.parse::<usize>()
        .ok()
        .filter(|column| (1..=MOST_COLUMNS).contains(column))
        .map(|column| column - 1)
}

/// Tells what of the settings does not fit.
///
/// # Errors
/// The first that does not.
pub fn check(settings: &FeedSettings) -> Result<(), BadSetting> {
    let name = &settings.name;
    if name.trim() != name || name.is_empty() || MAX_FEED_NAME < name.len() || !is_plain(name) {
        return Err(BadSetting::Name);
    }
    match (settings.origin, &settings.url) {
        (FeedOrigin::Upload, None) => {}
        (FeedOrigin::Upload, Some(_)) => return Err(BadSetting::Url),
        (FeedOrigin::Url | FeedOrigin::Taxii | FeedOrigin::Misp, url) => {
            let url = url.as_deref().filter(|url| url.len() <= LONGEST_URL);
            let uri: Uri = url.and_then(|url| url.parse().ok()).ok_or(BadSetting::Url)?;
            if uri.host().is_none_or(str::is_empty) {
                return Err(BadSetting::Url);
            }
            if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
                return Err(BadSetting::UserInfo);
            }
            match uri.scheme_str() {
                Some("https") => {}
                Some("http") if settings.allow_http => {}
                Some("http") => return Err(BadSetting::PlainHttp),
                Some(_) | None => return Err(BadSetting::Url),
            }
        }
    }
    if settings.format.as_deref().is_some_and(|word| word.parse::<feed::FeedFormat>().is_err()) {
        return Err(BadSetting::Format);
    }
    if settings.column.as_deref().is_some_and(|text| column(text).is_none()) {
        return Err(BadSetting::Column);
    }
    if 100 < settings.trust {
        return Err(BadSetting::Trust);
    }
    if !(1..=1_000).contains(&settings.change_limit) {
        return Err(BadSetting::ChangeLimit);
    }
    if settings.interval_s != 0 && !(SHORTEST_S..=LONGEST_S).contains(&settings.interval_s) {
        return Err(BadSetting::Interval);
    }
    if LONGEST_LICENSE < settings.license.len() || !is_plain(&settings.license) {
        return Err(BadSetting::License);
    }
    let is_header = |secret: &Private<String>| HeaderValue::from_str(&secret.0).is_ok();
    if !settings.credentials.as_ref().is_none_or(is_header) {
        return Err(BadSetting::Credentials);
    }
    Ok(())
}

/// Reads credentials as people have them: `USER:PASSWORD`, or the value of the header `Authorization`.
#[must_use]
pub fn authorization(text: &str) -> Option<Private<String>> {
    let text = text.trim();
    if text.is_empty() {
        None
    } else if text.contains(' ') || !text.contains(':') {
        let is_header = text.contains(' ');
        Some(Private(if is_header { text.to_owned() } else { format!("Bearer {text}") }))
    } else {
        Some(Private(format!("Basic {}", BASE64_STANDARD.encode(text))))
    }
}

/// What does not fit, with what would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSetting {
    /// Of the feed.
    Name,
    /// Of the feed.
    Url,
    /// A user or a password in the address.
    UserInfo,
    /// Without TLS, and not allowed.
    PlainHttp,
    /// No form of feeds.
    Format,
    /// Not from 1 to 1,000.
    Column,
    /// Not from 0 to 100.
    Trust,
    /// Not from 1 to 1,000 percent.
    ChangeLimit,
    /// Too often or too seldom.
    Interval,
    /// Too long.
    License,
    /// No header's value.
    Credentials,
}

impl fmt::Display for BadSetting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Name => "The name has 1 to 64 octets, and no space at its ends.",
            Self::Url => "The address begins with https:// and names a host.",
            Self::UserInfo => {
                "The address holds a user name or a password: give them as credentials, so that no log shows them."
            }
            Self::PlainHttp => {
                "The address begins with http://: whoever changes a feed on the way decides what is blocked. Use https://, or allow plain HTTP for this feed."
            }
            Self::Format => {
                "The format is plain, hosts, csv, tsv, adblock, rpz, dnsmasq, json, misp, stix or taxii."
            }
            Self::Column => "The column is a number from 1 to 1,000.",
            Self::Trust => "Trust is a number from 0 to 100.",
            Self::ChangeLimit => "The limit of change is a number from 1 to 1,000 percent.",
            Self::Interval => {
                "A feed is looked at every 5 minutes to every 30 days, or by hand with 0."
            }
            Self::License => "The license note has at most 500 octets, in one line.",
            Self::Credentials => "Credentials are USER:PASSWORD, a token, or a header's value.",
        })
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(char::is_control)
}

const MOST_COLUMNS: usize = 1_000;
const SHORTEST_S: u64 = 300;
const LONGEST_S: u64 = 30 * 86_400;
const LONGEST_URL: usize = 2_000;
const LONGEST_LICENSE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_said() {
        check_one(|_| {}, None);
        check_one(|feed| feed.name = " x".into(), Some(BadSetting::Name));
        check_one(|feed| feed.name = "x".repeat(65), Some(BadSetting::Name));
        check_one(|feed| feed.name = "a\nb".into(), Some(BadSetting::Name));
        check_one(|feed| feed.url = None, Some(BadSetting::Url));
        check_one(|feed| feed.url = Some("ftp://feeds.example/".into()), Some(BadSetting::Url));
        check_one(|feed| feed.url = Some("/list".into()), Some(BadSetting::Url));
        let secret = "https://user:secret@feeds.example/";
        check_one(|feed| feed.url = Some(secret.into()), Some(BadSetting::UserInfo));
        let plain = "http://feeds.example/";
        check_one(|feed| feed.url = Some(plain.into()), Some(BadSetting::PlainHttp));
        check_one(
            |feed| {
                feed.url = Some(plain.into());
                feed.allow_http = true;
            },
            None,
        );
        check_one(|feed| feed.origin = FeedOrigin::Upload, Some(BadSetting::Url));
        check_one(|feed| feed.trust = 101, Some(BadSetting::Trust));
        check_one(|feed| feed.change_limit = 0, Some(BadSetting::ChangeLimit));
        check_one(|feed| feed.interval_s = 60, Some(BadSetting::Interval));
        check_one(|feed| feed.interval_s = 0, None);
        check_one(|feed| feed.license = "x".repeat(501), Some(BadSetting::License));
        let broken = Private("a\r\nb".to_owned());
        check_one(|feed| feed.credentials = Some(broken), Some(BadSetting::Credentials));
    }

    #[test]
    fn credentials_are_taken_as_people_have_them() {
        for (text, expected) in [
            (" ", None),
            ("user:pass word", Some("user:pass word")),
            ("user:password", Some("Basic dXNlcjpwYXNzd29yZA==")),
            ("t0ken", Some("Bearer t0ken")),
            ("Token x:y", Some("Token x:y")),
        ] {
            assert_eq!(authorization(text).map(|secret| secret.0).as_deref(), expected, "{text}");
        }
    }

    #[track_caller]
    fn check_one(spoil: impl FnOnce(&mut FeedSettings), expected: Option<BadSetting>) {
        let mut feed = usual("evil", FeedOrigin::Url);
        feed.url = Some("https://feeds.example/list".into());
        spoil(&mut feed);
        assert_eq!(check(&feed).err(), expected);
    }
}
