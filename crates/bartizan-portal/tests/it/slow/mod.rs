//! What drives the real thing: rsyslog and a mail server.

#[cfg(test)]
mod mail;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod rsyslog;

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

use crate::world::Browser;

/// An authority and what it has signed, as files of PEM in a folder.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns certificate and key, for this machine.
    fn signed(&self) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A program that is ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition, not for a time; fails after a bound that no healthy run reaches.
async fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = ready() {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited for 30 s: {what}");
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Adds a sink by the console's form; returns its address there.
async fn add_sink(browser: &Browser, form: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let form = pairs.join("&").into_bytes();
    let answer = browser.bring("/sinks", "application/x-www-form-urlencoded", form).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location").split('?').next().unwrap().to_owned()
}

fn encoded(text: &str) -> String {
    let encode = |octet: u8| {
        if octet.is_ascii_alphanumeric() {
            char::from(octet).to_string()
        } else {
            format!("%{octet:02X}")
        }
    };
    text.bytes().map(encode).collect()
}
