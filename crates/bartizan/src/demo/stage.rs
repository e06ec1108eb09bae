//! Where the scenario is played: the same few things to do, on namespaces or in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bartizan_contract::enroll::EnrollmentToken;
use bartizan_host::Status;
use serde::Serialize;

use crate::demo::internet::{Addresses, Sockets};
use crate::demo::netns::Namespaces;
use crate::demo::simulated::Simulated;

/// What the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Network namespaces with a real TUN; needs root.
    Netns,
    /// This process, with a user-space TCP/IP stack as the client.
    Simulated,
}

impl Kind {
    /// Returns the best there is the right for.
    pub(crate) fn best() -> Self {
        let may = rustix::process::geteuid().is_root()
            && Path::new("/dev/net/tun").exists()
            && Namespaces::can_be_made();
        if may { Self::Netns } else { Self::Simulated }
    }
}

/// The place.
pub(crate) enum Stage {
    /// See [`Kind::Netns`].
    Netns(Namespaces),
    /// See [`Kind::Simulated`].
    Simulated(Box<Simulated>),
}

/// What came of fetching an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// A status and a body.
    Loaded { status: u16, body: Vec<u8> },
    /// The name leads nowhere.
    Blocked,
    /// Something else.
    Failed(String),
}

impl Stage {
    /// Builds the place; dropping it takes everything down again.
    pub(crate) fn build(kind: Kind, folder: &Path) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Netns => Self::Netns(Namespaces::build()?),
            Kind::Simulated => Self::Simulated(Box::new(Simulated::build(state_dir(folder)))),
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Netns(_) => Kind::Netns,
            Self::Simulated(_) => Kind::Simulated,
        }
    }

    /// Opens the sockets on which the internet is served.
    pub(crate) fn sockets(&self) -> anyhow::Result<Sockets> {
        match self {
            Self::Netns(namespaces) => {
                namespaces.in_the_internet(|| Sockets::bind(&Addresses::IN_NAMESPACE))
            }
            Self::Simulated(_) => Sockets::bind(&Addresses::LOOPBACK),
        }
    }

    /// Tells the stage where the internet came to be.
    pub(crate) fn connect(&mut self, dns: SocketAddr, http: SocketAddr, https: SocketAddr) {
        if let Self::Simulated(simulated) = self {
            simulated.connect(dns, http, https);
        }
    }

    /// Fetches an address as an application on the device would, with `curl`.
    pub(crate) async fn fetch(
        &self,
        url: &str,
        ca: &Path,
        folder: &Path,
    ) -> anyhow::Result<Fetched> {
        match self {
            Self::Netns(namespaces) => namespaces.fetch(url, ca, folder).await,
            Self::Simulated(simulated) => simulated.fetch(url, ca, folder).await,
        }
    }

    /// Starts protection on the device.
    pub(crate) fn protect(
        &mut self,
        portal: &str,
        token: EnrollmentToken,
        ca: &Path,
        folder: &Path,
    ) -> anyhow::Result<()> {
        match self {
            Self::Netns(namespaces) => namespaces.protect(portal, token, ca, folder),
            Self::Simulated(simulated) => simulated.protect(portal, token, ca),
        }
    }

    /// Returns how the device says it is; `None` before it has said anything.
    pub(crate) fn status(&mut self, folder: &Path) -> anyhow::Result<Option<Status>> {
        if let Self::Netns(namespaces) = self {
            namespaces.check_agent(folder)?;
        }
        Ok(bartizan_agent::status(&state_dir(folder)).ok())
    }
}

/// Where the device keeps its files.
pub(crate) fn state_dir(folder: &Path) -> PathBuf {
    folder.join("device")
}

/// Runs `curl` and tells what came of it.
pub(crate) async fn curl(
    mut command: tokio::process::Command,
    url: &str,
    ca: &Path,
    folder: &Path,
) -> anyhow::Result<Fetched> {
    let body = folder.join("body");
    let _ = std::fs::remove_file(&body);
    let output = command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "15",
            "--noproxy",
            "*",
            "--write-out",
            "%{http_code}",
        ])
        .arg("--cacert")
        .arg(ca)
        .arg("--output")
        .arg(&body)
        .arg(url)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run curl: install the package curl")?;
    let status = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
    Ok(match (output.status.code(), status) {
        (Some(0), status) if status != 0 => {
            Fetched::Loaded { status, body: std::fs::read(&body).unwrap_or_default() }
        }
        // The name leads to 0.0.0.0, where nobody listens.
        (Some(CURL_COULDNT_CONNECT), _) => Fetched::Blocked,
        _ => Fetched::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    })
}

const CURL_COULDNT_CONNECT: i32 = 7;
