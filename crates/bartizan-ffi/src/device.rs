//! A running device and what it is started with.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::Context;
use bartizan_contract::enroll::Platform;
use bartizan_host::portal::{Http, portal_url};
use bartizan_host::tunnel::Route;
use bartizan_host::utun::Utun;
use bartizan_host::{Attest, Device, Hardware, Packets, Setup};
use serde::Deserialize;

/// What a device is started with, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Folder that the extension may write to, and that stays.
    pub state_dir: PathBuf,
    /// The portal's address.
    pub portal_url: String,
    /// Needed once.
    pub enrollment_token: Option<String>,
    /// What to tell the portal about the device.
    pub platform: Platform,
    /// The addresses that the tunnel's settings name as DNS servers.
    pub resolvers: Vec<IpAddr>,
}

/// A running device.
pub struct Running {
    device: Device,
    status: PathBuf,
}

impl Running {
    /// Starts a device.
    ///
    /// # Errors
    /// What keeps it from running, for people to read.
    pub fn start(
        start: &[u8],
        utun: OwnedFd,
        http: Box<dyn Http>,
        attest: Option<Box<dyn Attest>>,
    ) -> anyhow::Result<Self> {
        let start: Start = serde_json::from_slice(start).context("this starts no device")?;
        let enrollment_token = start.enrollment_token.map(|token| token.parse()).transpose()?;
        let status = start.state_dir.join("status.json");
        let device = Device::start(Setup {
            portal_url: portal_url(&start.portal_url)?,
            state_dir: start.state_dir,
            enrollment_token,
            platform: start.platform,
            hardware: Hardware::default(),
            attest,
            packets: Packets::Utun(Utun::new(utun).context("cannot use the utun")?),
            resolvers: start.resolvers,
            // The system keeps this process's own sockets out of its tunnel.
            route: Route::default(),
            secure_dns: None,
            // Its tunnel gets what it is given.
            look: Box::new(|| None),
            probe: bartizan_host::Probe::of_portal(&start.portal_url),
            route_all: Box::new(|_| {}),
            http,
        })?;
        Ok(Self { device, status })
    }

    /// Returns how the device is, as JSON of [`bartizan_host::Status`]; nothing before it first said so.
    #[must_use]
    pub fn status(&self) -> Vec<u8> {
        std::fs::read(&self.status).unwrap_or_default()
    }

    /// Stops the device and waits until it has.
    ///
    /// # Errors
    /// Its tunnel had failed.
    pub fn stop(self) -> anyhow::Result<()> {
        self.device.stop();
        self.device.wait()
    }
}
