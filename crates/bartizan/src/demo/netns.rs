//! Network namespaces: the device and the internet, joined by a cable, apart from this machine.
//!
//! ```text
//! this machine            <pid>-device                       <pid>-internet
//!   portal (loopback)       curl, agent, bartizan0  --cable--  192.0.2.53 DNS   192.0.2.80 sites
//!   browser                 192.0.2.2, 2001:db8::2             192.0.2.10 portal over TLS
//! ```
//!
//! # Invariants
//! - Nothing in the machine's own network is touched: no interface, address, route or rule.
//! - Dropping [`Namespaces`] ends the agent and removes both namespaces, and with them everything in
//!   them. What a killed demo left behind, the next one removes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use bartizan_agent::ip;
use bartizan_contract::enroll::EnrollmentToken;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::demo::stage::{Fetched, curl, state_dir};

/// Both namespaces.
pub(crate) struct Namespaces {
    device: String,
    internet: String,
    agent: Option<Child>,
}

impl Namespaces {
    /// Tries whether namespaces can be made here.
    pub(crate) fn can_be_made() -> bool {
        let name = format!("{PREFIX}{}-try", std::process::id());
        let made = ip(&["netns", "add", &name]).is_ok();
        if made {
            let _ = ip(&["netns", "del", &name]);
        }
        made
    }

    pub(crate) fn build() -> anyhow::Result<Self> {
        remove_stale();
        let pid = std::process::id();
        let (device, internet) =
            (format!("{PREFIX}{pid}-device"), format!("{PREFIX}{pid}-internet"));
        // From here on dropping it cleans up, however far it came.
        let namespaces = Self { device, internet, agent: None };
        let (device, internet) = (namespaces.device.as_str(), namespaces.internet.as_str());
        ip(&["netns", "add", device])?;
        ip(&["netns", "add", internet])?;
        ip(&[
            "-n", device, "link", "add", "uplink", "type", "veth", "peer", "name", "cable",
            "netns", internet,
        ])?;
        for (namespace, link, addresses) in [
            (device, "uplink", &["192.0.2.2/26", "2001:db8::2/121"][..]),
            (
                internet,
                "cable",
                &[
                    "192.0.2.1/24",
                    "192.0.2.10/24",
                    "192.0.2.53/24",
                    "192.0.2.80/24",
                    "2001:db8::1/64",
                    "2001:db8::53/64",
                    "2001:db8::80/64",
                ],
            ),
        ] {
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
            for address in addresses {
                let mut arguments = vec!["-n", namespace, "address", "add", address, "dev", link];
                if address.contains(':') {
                    arguments.push("nodad");
                }
                ip(&arguments)?;
            }
            ip(&["-n", namespace, "link", "set", link, "up"])?;
        }
        ip(&["-n", device, "route", "add", "default", "via", "192.0.2.1"])?;
        ip(&["-n", device, "-6", "route", "add", "default", "via", "2001:db8::1"])?;
        fs::create_dir_all(namespaces.etc())?;
        fs::write(
            namespaces.etc().join("resolv.conf"),
            "nameserver 192.0.2.53\nnameserver 2001:db8::53\n",
        )?;
        Ok(namespaces)
    }

    /// Runs something on a thread that lives in the internet's namespace; sockets it opens stay there.
    pub(crate) fn in_the_internet<T: Send>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let namespace = File::open(Path::new("/run/netns").join(&self.internet))
            .context("the namespace is gone")?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&namespace),
                    Some(LinkNameSpaceType::Network),
                )?;
                work()
            });
            thread.join().unwrap_or_else(|_| bail!("opening the internet's sockets failed"))
        })
    }

    pub(crate) async fn fetch(
        &self,
        url: &str,
        ca: &Path,
        folder: &Path,
    ) -> anyhow::Result<Fetched> {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.device, "curl"]);
        curl(command, url, ca, folder).await
    }

    pub(crate) fn protect(
        &mut self,
        portal: &str,
        token: EnrollmentToken,
        ca: &Path,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let token_file = folder.join("enrollment-token");
        fs::write(&token_file, token.to_string())?;
        let log = File::create(folder.join("agent.log"))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let agent = Command::new("ip")
            .args(["netns", "exec", &self.device])
            .arg(program)
            .args(["agent", "run", "--stop-at-end-of-input", "--portal", portal])
            .arg("--token-file")
            .arg(&token_file)
            .arg("--state")
            .arg(state_dir(folder))
            .arg("--ca")
            .arg(ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start the agent")?;
        self.agent = Some(agent);
        Ok(())
    }

    /// Fails with the agent's last words if it has ended.
    pub(crate) fn check_agent(&mut self, folder: &Path) -> anyhow::Result<()> {
        if let Some(agent) = &mut self.agent
            && let Some(status) = agent.try_wait()?
        {
            let log = fs::read_to_string(folder.join("agent.log")).unwrap_or_default();
            bail!("the agent has ended with {status}: {}", log.lines().last().unwrap_or_default());
        }
        Ok(())
    }

    /// What `ip netns exec` puts over `/etc` for the device.
    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.device)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            // The end of its input asks it to stop; it gets a moment to take its rules back.
            drop(agent.stdin.take());
            if !ends_soon(agent) {
                let _ = agent.kill();
                let _ = agent.wait();
            }
        }
        for namespace in [&self.device, &self.internet] {
            let _ = ip(&["netns", "del", namespace]);
        }
        let _ = fs::remove_dir_all(self.etc());
        // Only if nobody else has anything there.
        let _ = fs::remove_dir("/etc/netns");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a child gives no event to wait for with a limit, and this is the end"
)]
fn ends_soon(child: &mut Child) -> bool {
    for _ in 0..40 {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(std::time::Duration::from_millis(50)),
            Ok(Some(_)) | Err(_) => return true,
        }
    }
    false
}

/// Removes what demos that were killed have left: namespaces named after a process that is no more.
fn remove_stale() {
    for folder in ["/run/netns", "/etc/netns"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            let Some(owner) = owner else { continue };
            if owner.bytes().all(|octet| octet.is_ascii_digit())
                && !Path::new("/proc").join(owner).exists()
            {
                if folder == "/run/netns" {
                    let _ = ip(&["netns", "del", &name]);
                } else {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
    }
}

const PREFIX: &str = "bartizan-";
