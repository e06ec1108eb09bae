//! What the fuzzer calls: each reader of what strangers send, by a function that is given octets.
//!
//! What it does not do: anything in a running portal.

/// Reads a CSV file of indicators.
pub fn csv(octets: &[u8]) {
    crate::indicator_csv::fuzz(octets);
}

/// Reads a SCIM filter, path or body.
pub fn scim(octets: &[u8]) {
    crate::scim::fuzz(octets);
}

/// Reads alerts of other products.
pub fn intake(octets: &[u8]) {
    crate::v1::intake::fuzz(octets);
}

/// Reads keys and a token of a provider.
pub fn provider_token(octets: &[u8]) {
    crate::oidc::jose::fuzz(octets);
}

/// Reads what an authenticator answers.
pub fn passkey(octets: &[u8]) {
    crate::passkey::fuzz(octets);
}

/// Reads a policy document.
pub fn policy(octets: &[u8]) {
    crate::policy::settings::fuzz(octets);
}

/// Reads a signed head of an audit log.
pub fn audit_head(octets: &[u8]) {
    crate::audit::fuzz::head(octets);
}

/// Reads an exported audit log.
pub fn audit_log(octets: &[u8]) {
    crate::audit::fuzz::log(octets);
}

/// Reads an attestation of a device's key.
pub fn attestation(octets: &[u8]) {
    crate::attestation::fuzz(octets);
}

/// Reads replies of a mail server.
pub fn smtp(octets: &[u8]) {
    crate::out::smtp::fuzz(octets);
}
