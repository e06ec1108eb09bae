//! What a person at the device says about a site, sent at once.
//!
//! A conversation of its own, beside that of the device: the agent may be running, and need not be.
//!
//! # What it does not do
//! - Keep a report that could not be sent: the person is there, and is told.
//!
//! # Invariants
//! - Of a URL nothing but the host leaves the device, not even as an entry that matched.
//! - Nothing in the state folder is written.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use bartizan_contract::path;
use bartizan_contract::report::{MAX_COMMENT, SiteReport, SiteReportReply, kind};
use bartizan_engine::sync::Failure;
use bartizan_indicators::found::{Found, Source};
use bartizan_indicators::normal::{CanonicalUrl, Host};
use bartizan_indicators::{IndicatorFile, Indicators};
use bartizan_model::{AlertId, DomainName, UnixMillis};

use crate::clock::Clock;
use crate::portal::{Called, Http, PortalClient};
use crate::random;
use crate::state::StateDir;

/// A report that is on the portal's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// To whom.
    pub tenant_name: String,
    /// What was sent.
    pub report: SiteReport,
}

/// Sends what a person says about a site, a name or a URL, as the device whose state folder it is. `kind` is a word
/// of [`bartizan_contract::report::kind`].
///
/// # Errors
/// There is nothing that could be sent, the device is not enrolled, or the portal did not take it; for people to
/// read.
pub fn report(
    state: &Path,
    http: Box<dyn Http>,
    site: &str,
    kind: &str,
    comment: &str,
) -> anyhow::Result<Sent> {
    let (mut client, tenant_name) = client_of(state, http)?;
    let identity = client.identity.as_ref().context("this device is not enrolled")?;
    let indicators = Indicators {
        base: client.state.indicators(identity),
        tenant: client.state.tenant(identity),
    };
    let now = client.clock.wall();
    let id = AlertId::new(now, u128::from_be_bytes(random::octets()));
    let mut report = about(site, &indicators, now)?;
    ensure!(
        comment.chars().count() <= MAX_COMMENT,
        "the comment is longer than {MAX_COMMENT} characters"
    );
    (report.id, report.kind, report.comment) = (id.to_string(), kind.into(), comment.into());
    report.check()?;

    let sent = match send(&mut client, &report) {
        // The first answer may have put the clock right, or got lost; the id counts once.
        Err(trouble) if trouble.failure == Failure::Unreachable => send(&mut client, &report),
        sent => sent,
    };
    match sent {
        Ok(SiteReportReply { .. }) => Ok(Sent { tenant_name, report }),
        Err(trouble) if trouble.failure == Failure::Unreachable => {
            bail!("the report was not sent to {}: {}", client.url, trouble.detail)
        }
        Err(trouble) => bail!("{} does not take the report: {}", client.url, trouble.detail),
    }
}

/// Returns a client of the device whose state folder it is, and the organization's name.
pub(crate) fn client_of(
    state: &Path,
    http: Box<dyn Http>,
) -> anyhow::Result<(PortalClient, String)> {
    let state_dir = StateDir::at(state);
    let Some(identity) = state_dir.identity()? else {
        bail!("this device is not enrolled: {} holds no identity", state.display());
    };
    let (url, tenant_name) = (identity.portal_url.clone(), identity.tenant_name.clone());
    let client = PortalClient {
        http,
        clock: Clock::new(),
        state: state_dir,
        url,
        enrollment: None,
        attest: None,
        identity: Some(identity),
        access_token: None,
        policy_version: 0,
        indicator_epoch: 0,
        tenant_epoch: 0,
    };
    Ok((client, tenant_name))
}

/// Sends what a person said on a page that stands in for a site. What cannot be sent now is not kept.
pub(crate) fn report_mistake(client: &mut PortalClient, host: &DomainName) {
    let told = (|| -> anyhow::Result<()> {
        let identity = client.identity.as_ref().context("this device is not enrolled")?;
        let indicators = Indicators {
            base: client.state.indicators(identity),
            tenant: client.state.tenant(identity),
        };
        let now = client.clock.wall();
        let mut report = about(host.as_str(), &indicators, now)?;
        report.id = AlertId::new(now, u128::from_be_bytes(random::octets())).to_string();
        report.kind = kind::FALSE_POSITIVE.into();
        report.check()?;
        send(client, &report).map_err(|trouble| anyhow::anyhow!(trouble.detail))?;
        Ok(())
    })();
    if let Err(error) = told {
        tracing::warn!(error = %format_args!("{error:#}"), "cannot report a mistake");
    }
}

fn send(client: &mut PortalClient, report: &SiteReport) -> Called<SiteReportReply> {
    client.token()?;
    client.call_as_device("POST", path::REPORT, Some(report))
}

/// Returns a report with all that the device knows about a site, and nothing that the person says.
fn about(site: &str, indicators: &Indicators, now: UnixMillis) -> anyhow::Result<SiteReport> {
    let url = CanonicalUrl::parse(site)
        .with_context(|| format!("{site} is neither a name nor an address"))?;
    let (host, found) = match url.host() {
        Host::Name(name) => (name.to_string(), indicators.lookup(name, now)?),
        Host::Address(address) => (address.to_string(), indicators.lookup_ip(*address, now)?),
    };
    let winner = found.as_ref().map(Found::winner);
    Ok(SiteReport {
        id: String::new(),
        kind: String::new(),
        host,
        matched: winner.map(|winner| winner.entry.to_string()),
        source: winner.map(|winner| match winner.source {
            Source::Feed(name) => name.to_owned(),
            Source::Tenant(_) => String::new(),
        }),
        comment: String::new(),
        indicator_epoch: indicators.base.as_ref().map(IndicatorFile::epoch),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use bartizan_contract::problem::{Problem, code};
    use bartizan_contract::report::kind;
    use bartizan_contract::token::TokenReply;
    use bartizan_indicators::TenantFile;
    use bartizan_indicators::build::{Stamp, build};
    use bartizan_indicators::compile::Compiled;
    use bartizan_indicators::tenant::{TenantIndicator, build_tenant};
    use bartizan_model::{DeviceId, IndicatorAction, IndicatorCategory, Severity};
    use serde::Serialize;

    use super::*;
    use crate::portal::{HttpRequest, HttpResponse};
    use crate::state::Identity;

    #[test]
    fn a_report_names_the_host_and_the_entry_that_decides_about_it() {
        check("https://user@WWW.evil.test/a?b#c", "www.evil.test", Some(("evil.test", "list")));
        check("fine.evil.test", "fine.evil.test", Some(("fine.evil.test", "")));
        check("http://[2001:db8::1]:8080/", "2001:db8::1", Some(("2001:db8::1", "")));
        check("harmless.test", "harmless.test", None);
    }

    #[test]
    fn no_path_leaves_the_device_even_where_one_is_listed() {
        check("https://shop.test/fake/login", "shop.test", None);
    }

    #[track_caller]
    fn check(site: &str, host: &str, listed: Option<(&str, &str)>) {
        let report = about(site, &indicators(), UnixMillis(0)).unwrap();
        assert_eq!(report.host, host);
        assert_eq!((report.matched.as_deref(), report.source.as_deref()), listed.unzip());
        assert_eq!(report.indicator_epoch, Some(3));
    }

    #[test]
    fn what_is_no_site_or_too_long_a_comment_is_not_sent() {
        let world = World::enrolled();
        for (site, comment, expected) in [
            ("no site", "", "no site is neither a name nor an address"),
            ("evil.test", &*"x".repeat(1_001), "the comment is longer than 1000 characters"),
            ("evil.test", "a\0b", "comment is not valid"),
        ] {
            let error = world.report(site, comment).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        assert!(world.asked().is_empty());
    }

    #[test]
    fn a_wrong_clock_and_a_lost_answer_cost_one_more_try_with_the_same_id() {
        let world = World::enrolled();
        world.answers([
            problem(400, code::CLOCK_SKEW, "the clock is wrong"),
            token(),
            success(&SiteReportReply { fresh: true }),
        ]);
        world.report("evil.test", "Our supplier.").unwrap();
        assert_eq!(world.asked(), [path::TOKEN, path::TOKEN, path::REPORT]);

        world.answers([
            token(),
            Err("connection reset".into()),
            token(),
            success(&SiteReportReply::default()),
        ]);
        let sent = world.report("evil.test", "").unwrap();
        assert_eq!(sent.tenant_name, "Example");
        let bodies = world.bodies();
        assert_eq!(bodies[1], bodies[3]);
        assert_eq!(serde_json::from_slice::<SiteReport>(&bodies[3]).unwrap(), sent.report);
    }

    #[test]
    fn a_person_is_told_why_a_report_was_not_sent() {
        let world = World::enrolled();
        world.answers([Err("connection refused".into()), Err("connection refused".into())]);
        let error = world.report("evil.test", "").unwrap_err().to_string();
        assert_eq!(error, "the report was not sent to https://portal.example: connection refused");

        world.answers([problem(401, code::DEVICE_UNKNOWN, "this device was removed")]);
        let error = world.report("evil.test", "").unwrap_err().to_string();
        assert_eq!(
            error,
            "https://portal.example does not take the report: this device was removed"
        );
    }

    #[test]
    fn a_folder_without_a_device_is_left_as_it_is() {
        let world = World::new();
        let error = world.report("evil.test", "").unwrap_err().to_string();
        assert!(error.starts_with("this device is not enrolled: "), "{error}");
        assert!(!world.state().exists());
    }

    fn indicators() -> Indicators {
        let key = portal_key();
        let listed = ["evil.test", "shop.test/fake"]
            .map(|pattern| (pattern.parse().unwrap(), IndicatorCategory::Phishing));
        let stamp = Stamp { epoch: 3, built_at: UnixMillis(0) };
        let base = build(&Compiled::of(&listed), stamp, &key).unwrap();
        let own = [
            (1, "fine.evil.test", IndicatorAction::Allow),
            (2, "2001:db8::1", IndicatorAction::Block),
        ];
        let own = own.map(|(id, pattern, action)| TenantIndicator {
            id,
            pattern: pattern.parse().unwrap(),
            action,
            category: IndicatorCategory::Custom,
            severity: Severity::High,
            title: String::new(),
            expires_at: None,
            generate_alert: false,
        });
        let tenant = build_tenant(&own, 1, UnixMillis(0), &key);
        let key = key.verifying_key();
        Indicators {
            base: Some(IndicatorFile::open(Box::new(base), &key, 0).unwrap()),
            tenant: Some(TenantFile::open(Box::new(tenant), &key, 0).unwrap()),
        }
    }

    fn portal_key() -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[2; 32])
    }

    /// A state folder, and a portal that says what it is told to.
    struct World {
        folder: tempfile::TempDir,
        portal: Arc<Mutex<Script>>,
    }

    #[derive(Default)]
    struct Script {
        answers: Vec<Result<HttpResponse, String>>,
        asked: Vec<HttpRequest>,
    }

    impl World {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), portal: Arc::default() }
        }

        fn enrolled() -> Self {
            let world = Self::new();
            let identity = Identity {
                device: DeviceId(1),
                key: p256::ecdsa::SigningKey::from_slice(&[1; 32]).unwrap(),
                portal_key: portal_key().verifying_key(),
                portal_url: "https://portal.example".into(),
                tenant_name: "Example".into(),
            };
            StateDir::open(&world.state()).unwrap().keep_identity(&identity).unwrap();
            world
        }

        fn state(&self) -> std::path::PathBuf {
            self.folder.path().join("device")
        }

        fn answers<const N: usize>(&self, answers: [Result<HttpResponse, String>; N]) {
            *self.portal.lock().unwrap() = Script { answers: answers.into(), asked: Vec::new() };
        }

        fn report(&self, site: &str, comment: &str) -> anyhow::Result<Sent> {
            let http = Box::new(Scripted(Arc::clone(&self.portal)));
            report(&self.state(), http, site, kind::FALSE_POSITIVE, comment)
        }

        fn asked(&self) -> Vec<String> {
            let script = self.portal.lock().unwrap();
            let path = |asked: &HttpRequest| asked.url.replace("https://portal.example", "");
            script.asked.iter().map(path).collect()
        }

        fn bodies(&self) -> Vec<Vec<u8>> {
            self.portal.lock().unwrap().asked.iter().map(|asked| asked.body.clone()).collect()
        }
    }

    struct Scripted(Arc<Mutex<Script>>);

    impl Http for Scripted {
        fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
            let mut script = self.0.lock().unwrap();
            script.asked.push(request);
            script.answers.remove(0)
        }

        fn download(&mut self, _: HttpRequest, _: &mut dyn Write) -> Result<HttpResponse, String> {
            Err("a report needs no file".into())
        }
    }

    fn token() -> Result<HttpResponse, String> {
        success(&TokenReply {
            access_token: "token".into(),
            token_type: "DPoP".into(),
            expires_in: 600,
            server_time_ms: 1_800_000_000_000,
        })
    }

    fn success(message: &impl Serialize) -> Result<HttpResponse, String> {
        Ok(HttpResponse {
            status: 200,
            retry_after: None,
            body: serde_json::to_vec(message).unwrap(),
        })
    }

    fn problem(status: u16, code: &str, detail: &str) -> Result<HttpResponse, String> {
        let problem = Problem {
            status,
            code: code.into(),
            detail: detail.into(),
            server_time_ms: 1_800_000_000_000,
        };
        Ok(HttpResponse { status, retry_after: None, body: serde_json::to_vec(&problem).unwrap() })
    }
}
