//! The contract, spoken from the device's side: keys, proofs, messages. One blocking call at a time.
//!
//! # Invariants
//! - What the portal sends is verified before it is kept, and kept before it is used.
//! - A reply is read up to a bound; a portal that says too much is taken for unreachable.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use bartizan_contract::alerts::{AlertAck, AlertBatch, AlertReport};
use bartizan_contract::checkin::{CheckinReply, CheckinRequest, SystemNotice};
use bartizan_contract::dpop::{self, Request};
use bartizan_contract::enroll::{
    EnrollReply, EnrollRequest, EnrollmentToken, Installation, Platform,
};
use bartizan_contract::keys::Jwk;
use bartizan_contract::path;
use bartizan_contract::policy::PolicyReply;
use bartizan_contract::problem::{Problem, code};
use bartizan_contract::token::{self, TokenReply, TokenRequest};
use bartizan_engine::sync::{Done, Failure};
use bartizan_indicators::{IndicatorFile, TenantFile};
use bartizan_model::{Alert, AlertId, Policy, Private, UnixMillis};
use p256::ecdsa::SigningKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attest::Attest;
use crate::clock::Clock;
use crate::indicators::HeldFiles;
use crate::random;
use crate::state::{Identity, StateDir, verify_policy};

/// Speaks HTTP; what a system has for it differs.
pub trait Http: Send {
    /// Sends a request and waits for the answer, at most half a minute.
    ///
    /// # Errors
    /// No answer, for people to read.
    fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String>;

    /// Sends a request for a file and writes it to `to` as it comes, for as long as that takes within reason. An
    /// answer that is no success comes back with its body.
    ///
    /// # Errors
    /// No answer, or not the whole of it, for people to read. Part of it may have been written.
    fn download(
        &mut self,
        request: HttpRequest,
        to: &mut dyn Write,
    ) -> Result<HttpResponse, String>;
}

/// A request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Whole.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for `GET`.
    pub body: Vec<u8>,
    /// The most octets of a body to accept.
    pub max_reply: u64,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Three digits.
    pub status: u16,
    /// From `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// Whole.
    pub body: Vec<u8>,
}

impl HttpResponse {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A conversation to have, with all it needs.
#[derive(Debug)]
pub(crate) enum Job {
    Enroll,
    Token,
    Alerts(Vec<Alert>),
    Checkin(CheckinRequest),
    Policy,
    Indicators(HeldFiles),
}

/// How it went.
pub(crate) struct Outcome {
    pub(crate) result: Result<Done, Failure>,
    /// To be used from now on; on disk already.
    pub(crate) news: Option<News>,
    /// For people: what is wrong, if anything.
    pub(crate) problem: Option<String>,
}

pub(crate) enum News {
    Identity(Box<Identity>),
    Policy(Policy),
    /// What the organization says of the system, if anything.
    System(Option<SystemNotice>),
    /// What is newer; either may have stayed.
    Indicators {
        base: Option<Box<IndicatorFile>>,
        tenant: Option<Box<TenantFile>>,
    },
}

/// The device's side of the contract.
pub(crate) struct PortalClient {
    pub(crate) http: Box<dyn Http>,
    pub(crate) clock: Clock,
    pub(crate) state: StateDir,
    pub(crate) url: String,
    pub(crate) enrollment: Option<Enrollment>,
    /// Has Apple vouch for the device's key, where there is who can.
    pub(crate) attest: Option<Box<dyn Attest>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) access_token: Option<String>,
    pub(crate) policy_version: u64,
    /// Of the newest indicator file ever used: an older one is refused.
    pub(crate) indicator_epoch: u64,
    /// Of the newest tenant file, likewise.
    pub(crate) tenant_epoch: u64,
}

/// What a device shows to be let in.
#[derive(Clone)]
pub(crate) struct Enrollment {
    pub(crate) token: EnrollmentToken,
    pub(crate) platform: Platform,
    pub(crate) hardware: Hardware,
}

/// What a device knows of the hardware that it is.
#[derive(Clone, Debug, Default)]
pub struct Hardware {
    /// What the system calls it, the same for as long as it is installed; it never leaves the device. Absent where that
    /// is not known.
    pub system_id: Option<Private<String>>,
    /// Whether several people use it.
    pub shared: bool,
}

impl Hardware {
    /// Of what the system calls it, and whether several people use it.
    #[must_use]
    pub fn new(system_id: Option<String>, shared: bool) -> Self {
        Self { system_id: system_id.map(Private), shared }
    }
}

/// A failure, and what to tell people about it.
pub(crate) struct Trouble {
    pub(crate) failure: Failure,
    pub(crate) detail: String,
}

pub(crate) type Called<T> = Result<T, Trouble>;

impl PortalClient {
    pub(crate) fn perform(&mut self, job: Job) -> Outcome {
        let outcome = match job {
            Job::Enroll => self.enroll(),
            Job::Token => self.token().map(|done| (done, None)),
            Job::Alerts(alerts) => self.alerts(&alerts).map(|done| (done, None)),
            Job::Checkin(request) => self.checkin(&request),
            Job::Policy => self.policy(),
            Job::Indicators(held) => self.indicators(held),
        };
        match outcome {
            Ok((done, news)) => Outcome { result: Ok(done), news, problem: None },
            Err(Trouble { failure, detail }) => {
                Outcome { result: Err(failure), news: None, problem: Some(detail) }
            }
        }
    }

    fn enroll(&mut self) -> Called<(Done, Option<News>)> {
        let Some(Enrollment { token, platform, hardware }) = self.enrollment.clone() else {
            return Err(refused("not enrolled, and there is no enrollment token"));
        };
        let key = self.state.enrolling_key().map_err(|error| refused(&format!("{error:#}")))?;
        let hardware_id = hardware.system_id.map_or_else(String::new, |Private(id)| {
            Installation::hardware_id(&id, &token.portal_key)
        });
        let attestation = self.attestation(&key, &token.portal_key)?;
        let request = EnrollRequest {
            enrollment_token: token.to_string(),
            device_key: Jwk::from_device_key(key.verifying_key()),
            platform,
            installation: Some(Installation { hardware_id, shared: hardware.shared }),
            attestation,
        };
        let reply: EnrollReply = self.call("POST", path::ENROLL, Some(&request), &key, None)?;
        self.clock.correct(UnixMillis(reply.server_time_ms));
        if !token.names(&reply.signing_key) {
            return Err(refused(
                "this portal's key is not the one that the enrollment token names",
            ));
        }
        let read = || -> anyhow::Result<Identity> {
            Ok(Identity {
                device: reply.device_id.parse()?,
                key,
                portal_key: reply.signing_key.portal_key()?,
                portal_url: self.url.clone(),
                tenant_name: reply.tenant_name.clone(),
            })
        };
        let identity = read().map_err(|error| unusable(&error))?;
        self.state.keep_identity(&identity).map_err(|error| refused(&format!("{error:#}")))?;
        self.identity = Some(identity.clone());
        Ok((Done::Enrolled, Some(News::Identity(Box::new(identity)))))
    }

    pub(crate) fn token(&mut self) -> Called<Done> {
        let identity = self.identity()?;
        let request =
            TokenRequest::new(token::assertion(identity.device, &identity.key, self.clock.wall()));
        let reply: TokenReply =
            self.call("POST", path::TOKEN, Some(&request), &identity.key, None)?;
        self.clock.correct(UnixMillis(reply.server_time_ms));
        self.access_token = Some(reply.access_token);
        Ok(Done::Token(Duration::from_secs(reply.expires_in)))
    }

    fn alerts(&mut self, alerts: &[Alert]) -> Called<Done> {
        let batch = AlertBatch { alerts: alerts.iter().map(AlertReport::from).collect() };
        let ack: AlertAck = self.call_as_device("POST", path::ALERTS, Some(&batch))?;
        for refusal in &ack.refused {
            tracing::error!(
                alert.id = refusal.id,
                detail = refusal.detail,
                "the portal will never take this alert"
            );
        }
        let settled = ack.durable.iter().chain(ack.refused.iter().map(|refusal| &refusal.id));
        let settled: Vec<AlertId> = settled.filter_map(|id| id.parse().ok()).collect();
        Ok(Done::Alerts(settled))
    }

    fn checkin(&mut self, request: &CheckinRequest) -> Called<(Done, Option<News>)> {
        let reply: CheckinReply = self.call_as_device("POST", path::CHECKIN, Some(request))?;
        self.clock.correct(UnixMillis(reply.server_time_ms));
        let done = Done::CheckedIn {
            policy_version: reply.policy_version,
            indicator_epoch: reply.indicator_epoch,
            tenant_epoch: reply.tenant_epoch,
        };
        Ok((done, Some(News::System(reply.system))))
    }

    fn policy(&mut self) -> Called<(Done, Option<News>)> {
        let reply: PolicyReply = self.call_as_device("GET", path::POLICY, None::<&()>)?;
        let identity = self.identity()?;
        let policy = verify_policy(&reply.policy, &identity).map_err(|error| unusable(&error))?;
        if policy.version < self.policy_version {
            return Err(unusable(&anyhow::anyhow!("policy is older than the one in use")));
        }
        self.state.keep_policy(&reply.policy).map_err(|error| unusable(&error))?;
        self.policy_version = policy.version;
        let done =
            Done::Policy { version: policy.version, checkin_interval_s: policy.checkin_interval_s };
        Ok((done, Some(News::Policy(policy))))
    }

    pub(crate) fn call_as_device<R: DeserializeOwned>(
        &mut self,
        method: &'static str,
        path: &str,
        message: Option<&impl Serialize>,
    ) -> Called<R> {
        let identity = self.identity()?;
        let token = self.access_token.clone();
        self.call(method, path, message, &identity.key, token.as_deref())
    }

    pub(crate) fn call<R: DeserializeOwned>(
        &mut self,
        method: &'static str,
        path: &str,
        message: Option<&impl Serialize>,
        key: &SigningKey,
        token: Option<&str>,
    ) -> Called<R> {
        let body =
            message.map(serde_json::to_vec).transpose().map_err(|error| unreachable(&error))?;
        let reply = self.send(method, path, body.unwrap_or_default(), key, token, MAX_REPLY)?;
        serde_json::from_slice(&reply)
            .map_err(|error| unreachable(&format!("the portal's answer makes no sense: {error}")))
    }

    fn send(
        &mut self,
        method: &'static str,
        path: &str,
        body: Vec<u8>,
        key: &SigningKey,
        token: Option<&str>,
        max_reply: u64,
    ) -> Called<Vec<u8>> {
        let request = self.request(method, path, body, key, token, max_reply);
        let response = self.http.send(request).map_err(|error| unreachable(&error))?;
        if response.is_success() { Ok(response.body) } else { Err(self.trouble(&response)) }
    }

    /// Gets what lies at a path, as a device, and writes it to `to`.
    pub(crate) fn fetch(&mut self, path: &str, size: u64, to: &mut dyn Write) -> Called<()> {
        let (key, token) = (self.identity()?.key, self.access_token.clone());
        let request = self.request("GET", path, Vec::new(), &key, token.as_deref(), size);
        let response = self.http.download(request, to).map_err(|error| unreachable(&error))?;
        if response.is_success() { Ok(()) } else { Err(self.trouble(&response)) }
    }

    fn request(
        &self,
        method: &'static str,
        path: &str,
        body: Vec<u8>,
        key: &SigningKey,
        token: Option<&str>,
        max_reply: u64,
    ) -> HttpRequest {
        let url = format!("{}{path}", self.url);
        let request = Request { method, url: &url, access_token: token };
        let proof = dpop::prove(request, key, self.clock.wall(), random::octets());
        let mut headers = vec![("dpop", proof)];
        if let Some(token) = token {
            headers.push(("authorization", format!("DPoP {token}")));
        }
        if !body.is_empty() {
            headers.push(("content-type", "application/json".into()));
        }
        HttpRequest { method, url, headers, body, max_reply }
    }

    /// Reads an answer that is not a success.
    fn trouble(&self, response: &HttpResponse) -> Trouble {
        let problem = serde_json::from_slice::<Problem>(&response.body).ok();
        let detail = problem.as_ref().map_or_else(
            || format!("the portal answered with status {}", response.status),
            |problem| problem.detail.clone(),
        );
        let detail = match problem.as_ref().map(|problem| problem.code.as_str()) {
            Some(code::ATTESTATION_REQUIRED) => {
                let why = if self.attest.is_none() { CANNOT_ATTEST } else { NOT_ATTESTED };
                format!("{detail} ({why})")
            }
            _ => detail,
        };
        let failure = match (problem.as_ref().map(|problem| problem.code.as_str()), response.status)
        {
            (Some(code::TOKEN_EXPIRED | code::TOKEN_INVALID), _) => Failure::TokenExpired,
            (
                Some(
                    code::DEVICE_UNKNOWN
                    | code::DEVICE_OFFBOARDED
                    | code::ENROLLMENT_TOKEN_UNKNOWN
                    | code::ENROLLMENT_TOKEN_USED
                    | code::ENROLLMENT_TOKEN_EXPIRED,
                ),
                _,
            ) => Failure::Refused,
            (Some(code::NOT_FOUND), _) => Failure::Unusable,
            (_, 429 | 503) => response.retry_after.map_or(Failure::Unreachable, Failure::Busy),
            _ => Failure::Unreachable,
        };
        if let Some(problem) = problem
            && problem.code == code::CLOCK_SKEW
        {
            self.clock.correct(UnixMillis(problem.server_time_ms));
        }
        Trouble { failure, detail }
    }

    pub(crate) fn identity(&self) -> Called<Identity> {
        self.identity.clone().ok_or_else(|| refused("not enrolled"))
    }
}

/// Checks a portal's address as a person writes it, and brings it to the form used here.
///
/// # Errors
/// Not an address, or one that would send proofs and alerts in clear text over a network.
pub fn portal_url(text: &str) -> anyhow::Result<String> {
    let url = text.trim().trim_end_matches('/');
    let (scheme, rest) =
        url.split_once("://").context("the portal's address starts with https://")?;
    anyhow::ensure!(!rest.is_empty() && !rest.contains('/'), "the portal's address has no path");
    let host = rest
        .rsplit_once(':')
        .map_or(rest, |(host, port)| if port.ends_with(']') { rest } else { host });
    match scheme {
        "https" => Ok(url.to_owned()),
        "http" if ["localhost", "127.0.0.1", "[::1]"].contains(&host) => Ok(url.to_owned()),
        _ => anyhow::bail!(
            "the portal's address starts with https:// (http:// only on this machine)"
        ),
    }
}

fn unreachable(detail: &impl ToString) -> Trouble {
    Trouble { failure: Failure::Unreachable, detail: detail.to_string() }
}

pub(crate) fn unusable(error: &anyhow::Error) -> Trouble {
    Trouble { failure: Failure::Unusable, detail: format!("{error:#}") }
}

fn refused(detail: &str) -> Trouble {
    Trouble { failure: Failure::Refused, detail: detail.to_owned() }
}

/// Shown to a person.
const CANNOT_ATTEST: &str =
    "this device has no App Attest: it gets in only once the rule does not require it";
/// Likewise.
const NOT_ATTESTED: &str = "this device got no attestation from Apple; it tries again";
/// Replies are small but for files.
const MAX_REPLY: u64 = 256 * 1024;
const _: () = assert!(
    bartizan_engine::limits::ALERT_BATCH <= bartizan_contract::alerts::MAX_BATCH,
    "the portal must take what the device sends at once"
);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// A portal that lets nobody in, for this reason, and shows what was sent.
    struct Refusing {
        code: &'static str,
        sent: Sender<EnrollRequest>,
    }

    impl Http for Refusing {
        fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
            self.sent.send(serde_json::from_slice(&request.body).unwrap()).unwrap();
            let problem = Problem {
                status: 403,
                code: self.code.into(),
                detail: "not let in".into(),
                server_time_ms: 1,
            };
            let body = serde_json::to_vec(&problem).unwrap();
            Ok(HttpResponse { status: 403, retry_after: None, body })
        }

        fn download(&mut self, _: HttpRequest, _: &mut dyn Write) -> Result<HttpResponse, String> {
            Err("nothing to download".into())
        }
    }

    #[test]
    fn who_enrolls_says_what_hardware_it_is_and_what_a_refusal_means() {
        let enroll = |code, hardware: Hardware, portal_key| {
            let folder = tempfile::tempdir().unwrap();
            let (sent, requests) = channel();
            let platform = Platform {
                os: "Linux".into(),
                os_version: "6.1".into(),
                model: "x86_64".into(),
                device_name: "host".into(),
                app_version: "0.1.0".into(),
            };
            let token = EnrollmentToken { secret: [1; 32], portal_key: [portal_key; 16] };
            let mut client = PortalClient {
                http: Box::new(Refusing { code, sent }),
                clock: Clock::new(),
                state: StateDir::open(folder.path()).unwrap(),
                url: "https://portal.test".into(),
                enrollment: Some(Enrollment { token, platform, hardware }),
                attest: None,
                identity: None,
                access_token: None,
                policy_version: 0,
                indicator_epoch: 0,
                tenant_epoch: 0,
            };
            let outcome = client.perform(Job::Enroll);
            // It is asked again: the organization may change its mind.
            assert!(matches!(outcome.result, Err(Failure::Unreachable)));
            let request: EnrollRequest = requests.recv().unwrap();
            (request.installation.unwrap(), outcome.problem.unwrap())
        };
        let machine = || Hardware::new(Some("0123456789abcdef0123456789abcdef".into()), true);
        let (one, told) = enroll(code::ATTESTATION_REQUIRED, machine(), 1);
        assert!(told.starts_with("not let in (this device has no App Attest"), "{told}");
        assert!(one.shared && one.hardware_id.len() == 43, "{one:?}");
        let (again, told) = enroll(code::USER_REQUIRED, machine(), 1);
        assert_eq!((again, told.as_str()), (one.clone(), "not let in"));
        let (elsewhere, _) = enroll(code::USER_REQUIRED, machine(), 2);
        assert_ne!(elsewhere.hardware_id, one.hardware_id);
        let (unknown, _) = enroll(code::USER_REQUIRED, Hardware::default(), 1);
        assert_eq!(unknown, Installation::default());
    }

    #[test]
    fn a_portal_is_spoken_to_over_tls_but_on_this_machine() {
        for good in [
            "https://portal.example",
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:80",
        ] {
            assert_eq!(portal_url(&format!(" {good}/ ")).unwrap(), good);
        }
        for bad in [
            "portal.example",
            "http://portal.example",
            "http://192.0.2.1:80",
            "https://",
            "https://a/b",
            "ftp://a",
        ] {
            assert!(portal_url(bad).is_err(), "{bad}");
        }
    }
}
