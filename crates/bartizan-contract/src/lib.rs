//! What a device and the portal say to each other, version 1: JSON over HTTPS under [`BASE_PATH`].
//!
//! Every message is a type here with a file in `golden/`; a change that alters a golden file is a new
//! version of the contract, unless it only adds an optional field. Unknown fields are ignored, so that
//! either side may be newer.
//!
//! Identity: a device makes a P-256 key and registers it once ([`enroll`]). It signs an assertion with
//! the key (RFC 7523) to get a short-lived access token ([`token`]), and a proof for each request
//! ([`dpop`], RFC 9449), so that a stolen token is useless without the key. What the portal tells a
//! device to do is signed with the tenant's Ed25519 key ([`signed`]).
//!
//! # What it does not do
//! - Speak HTTP, read clocks or draw random numbers: these are arguments.
//! - Judge replays: [`dpop::verify`] returns the proof's id, and the portal remembers it.

pub mod alerts;
pub mod attestation;
pub mod checkin;
pub mod dpop;
pub mod enroll;
pub mod feedback;
pub mod indicators;
pub mod jws;
pub mod keys;
pub mod policy;
pub mod problem;
pub mod report;
pub mod signed;
pub mod token;

/// Where the calls live.
pub const BASE_PATH: &str = "/device/v1";

/// Paths of the calls, in the order a device makes them.
pub mod path {
    /// `POST` nothing, for a [`crate::attestation::ChallengeReply`].
    pub const ATTESTATION_CHALLENGE: &str = "/device/v1/attestation/challenge";
    /// `POST` [`crate::enroll::EnrollRequest`].
    pub const ENROLL: &str = "/device/v1/enroll";
    /// `POST` [`crate::enroll::CodeRequest`], by whoever was given a code instead of a token.
    pub const ENROLLMENT_CODE: &str = "/device/v1/enrollment-code";
    /// `POST` [`crate::token::TokenRequest`].
    pub const TOKEN: &str = "/device/v1/token";
    /// `POST` [`crate::checkin::CheckinRequest`].
    pub const CHECKIN: &str = "/device/v1/checkin";
    /// `GET` [`crate::policy::PolicyReply`].
    pub const POLICY: &str = "/device/v1/policy";
    /// `GET` [`crate::indicators::ManifestReply`].
    pub const MANIFEST: &str = "/device/v1/indicators/manifest";
    /// `GET` an indicator file by its SHA-256 in lower-case hexadecimal.
    pub const INDICATOR_FILE: &str = "/device/v1/indicators/files/";
    /// `POST` [`crate::alerts::AlertBatch`].
    pub const ALERTS: &str = "/device/v1/alerts";
    /// `POST` [`crate::report::SiteReport`].
    pub const REPORT: &str = "/device/v1/report";
    /// `POST` [`crate::feedback::Feedback`]; `GET` [`crate::feedback::FeedbackList`].
    pub const FEEDBACK: &str = "/device/v1/feedback";
}

/// Reads octets as everything that a stranger can send before anything is verified, for the fuzzer and
/// its replay.
#[doc(hidden)]
pub fn fuzz_strangers(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(token) = text.parse::<enroll::EnrollmentToken>() {
        assert_eq!(token.to_string().parse(), Ok(token), "a token survives its text");
    }
    let request =
        dpop::Request { method: "POST", url: "https://portal.example/", access_token: None };
    let _ = dpop::verify(&text, request, bartizan_model::UnixMillis(1_800_000_000_000));
    let _ = serde_json::from_slice::<enroll::EnrollRequest>(octets);
    let _ = serde_json::from_slice::<token::TokenRequest>(octets);
    let _ = serde_json::from_slice::<checkin::CheckinRequest>(octets);
    if let Ok(report) = serde_json::from_slice::<report::SiteReport>(octets) {
        let _ = report.check();
    }
    if let Ok(feedback) = serde_json::from_slice::<feedback::Feedback>(octets) {
        let _ = feedback.check();
    }
    if let Ok(batch) = serde_json::from_slice::<alerts::AlertBatch>(octets) {
        for report in &batch.alerts {
            if let Ok(alert) = bartizan_model::Alert::try_from(report) {
                let again = alerts::AlertReport::from(&alert);
                assert_eq!(
                    bartizan_model::Alert::try_from(&again),
                    Ok(alert),
                    "an alert survives the wire"
                );
            }
        }
    }
}
