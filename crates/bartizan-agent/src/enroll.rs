//! `agent enroll`: a code or a link becomes an enrollment token in a file, which `agent run` takes.
//!
//! A link names the tenant's key: a token for another one is refused, whoever answers for the portal. A code alone trusts
//! the portal's certificate.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use bartizan_contract::enroll::{CodeReply, CodeRequest, EnrollmentLink, EnrollmentToken};
use bartizan_contract::path;
use bartizan_contract::problem::Problem;
use bartizan_host::portal::{Http as _, HttpRequest, portal_url};

use crate::UreqHttp;

/// What somebody was given, and where the token goes.
#[derive(Clone, Debug, clap::Args)]
pub struct EnrollArgs {
    /// The link that was given, or that the QR picture says
    #[arg(long, value_name = "LINK", conflicts_with_all = ["portal", "code"], required_unless_present = "code")]
    pub link: Option<String>,
    /// The portal's address, such as <https://portal.example>
    #[arg(long, value_name = "URL", requires = "code")]
    pub portal: Option<String>,
    /// The code that was given
    #[arg(long, value_name = "CODE", requires = "portal")]
    pub code: Option<String>,
    /// File to write the enrollment token to; for `agent run`, within 15 minutes
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Certificates to trust for the portal, as PEM
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub ca: PathBuf,
}

/// Takes the code to the portal and writes the token; returns the portal's address.
///
/// # Errors
/// There is no such code, or the portal cannot be reached; for people to read.
pub fn enroll(args: &EnrollArgs) -> anyhow::Result<String> {
    let (portal, code, key) = match (&args.link, &args.portal, &args.code) {
        (Some(link), _, _) => {
            let link: EnrollmentLink = link.parse()?;
            (link.portal, link.code, Some(link.portal_key))
        }
        (None, Some(portal), Some(code)) => (portal.clone(), code.clone(), None),
        (None, _, _) => bail!("give a link, or a portal and a code"),
    };
    let portal = portal_url(&portal)?;
    // Before the code is used up: whether the token can be kept.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&args.token_file)
        .with_context(|| format!("cannot write {}", args.token_file.display()))?;
    let request = HttpRequest {
        method: "POST",
        url: format!("{}{}", portal.trim_end_matches('/'), path::ENROLLMENT_CODE),
        headers: vec![("content-type", "application/json".into())],
        body: serde_json::to_vec(&CodeRequest { code })?,
        max_reply: MAX_REPLY,
    };
    let answer = UreqHttp::new(&args.ca)?.send(request).map_err(anyhow::Error::msg)?;
    if answer.status != 200 {
        match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) => bail!("{}", problem.detail),
            Err(_) => bail!("the portal answered with status {}", answer.status),
        }
    }
    let reply: CodeReply =
        serde_json::from_slice(&answer.body).context("the portal's answer cannot be read")?;
    let token: EnrollmentToken = reply.enrollment_token.parse()?;
    if key.is_some_and(|key| key != token.portal_key) {
        bail!("this portal's key is not the one that the link names");
    }
    writeln!(file, "{token}")
        .with_context(|| format!("cannot write {}", args.token_file.display()))?;
    file.sync_all()?;
    Ok(portal)
}

const MAX_REPLY: u64 = 64 * 1024;
