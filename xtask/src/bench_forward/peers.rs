//! What is measured side by side: plain forwarding, ours, and programs that do the same job.

use std::process::{Child, Command, Stdio};

use super::measure::load;
use super::stage::{Place, Stage, Way};
use crate::{Done, packages, root, target};

/// One way to bring an application's traffic to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// The kernel forwards; what the machine can do.
    Kernel,
    Bartizan,
    /// A TUN reader like ours, from crates.io.
    Tun2proxy,
    /// From Debian; brings a namespace its network by a tap interface.
    Pasta,
    /// From Debian; the same, on libslirp.
    Slirp4netns,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] =
        [Self::Kernel, Self::Bartizan, Self::Tun2proxy, Self::Pasta, Self::Slirp4netns];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Bartizan => "bartizan",
            Self::Tun2proxy => "tun2proxy",
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
        }
    }

    pub(crate) const fn way(self) -> Way {
        match self {
            Self::Kernel => Way::Kernel,
            Self::Bartizan | Self::Tun2proxy => Way::Tun,
            Self::Pasta | Self::Slirp4netns => Way::None,
        }
    }

    /// Builds or installs it; an error says why it cannot be measured.
    pub(crate) fn prepare(self) -> Done {
        match self {
            Self::Kernel => Ok(()),
            Self::Bartizan => ours(),
            Self::Tun2proxy => tun2proxy(),
            Self::Pasta => packages::need(&[("pasta", "passt")]),
            Self::Slirp4netns => packages::need(&[("slirp4netns", "slirp4netns")]),
        }
    }

    /// Starts it and returns once the application's traffic passes.
    pub(crate) fn start(self, stage: &Stage, indicators: &str) -> Result<Option<Child>, String> {
        let mut child = match self.command(stage, indicators) {
            None => None,
            Some(mut command) => {
                let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                Some(started.map_err(|error| format!("cannot start {}: {error}", self.name()))?)
            }
        };
        let reached = load(stage, Place::App, &["reach", SERVER]).status();
        if reached.is_ok_and(|status| status.success()) {
            return Ok(child);
        }
        if let Some(child) = &mut child {
            let _ = child.kill();
            let _ = child.wait();
        }
        Err("nothing passes".to_owned())
    }

    /// Everyone gets an MTU of 1500, room for all flows of the measurement, and quiet.
    fn command(self, stage: &Stage, indicators: &str) -> Option<Command> {
        let in_engine = |program: &str, arguments: &[&str]| {
            let mut command = stage.roomy(Place::Engine, program);
            command.args(arguments);
            command
        };
        let app = stage.path(Place::App);
        match self {
            Self::Kernel => None,
            Self::Bartizan => {
                let program = program().display().to_string();
                let arguments = ["agent", "forward", "--tun", "tun0", "--address", "198.18.0.1/30"];
                let mut command = in_engine(&program, &arguments);
                if !indicators.is_empty() {
                    command.args(["--indicators", indicators]);
                }
                Some(command)
            }
            Self::Tun2proxy => {
                let program = tools().join("bin/tun2proxy-bin").display().to_string();
                let named = ["--proxy", "none", "--tun", "tun0", "--dns", "direct"];
                let mut command = in_engine(&program, &named);
                command.args(["--ipv6-enabled", "--max-sessions", "20000", "--verbosity", "off"]);
                Some(command)
            }
            Self::Pasta => Some(in_engine(
                "pasta",
                &[
                    "--foreground",
                    "--quiet",
                    "--config-net",
                    "--no-map-gw",
                    "--mtu",
                    "1500",
                    "--runas",
                    "0",
                    "--netns-only",
                    "--netns",
                    &app,
                ],
            )),
            Self::Slirp4netns => Some(in_engine(
                "slirp4netns",
                &["--configure", "--mtu=1500", "--netns-type=path", &app, "tap0"],
            )),
        }
    }
}

/// The program, as it is released.
pub(super) fn program() -> std::path::PathBuf {
    target().join("release/bartizan")
}

fn ours() -> Done {
    crate::assets::build()?;
    crate::cargo(&["build", "--release", "--locked", "--package", "bartizan"])?;
    let known = Command::new(program())
        .args(["agent", "forward", "--help"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if known.is_ok_and(|status| status.success()) {
        Ok(())
    } else {
        Err("this version has no `bartizan agent forward`".to_owned())
    }
}

fn tun2proxy() -> Done {
    if tools().join("bin/tun2proxy-bin").is_file() {
        return Ok(());
    }
    let folder = tools().display().to_string();
    // Its own folder for building keeps the workspace's clean and outlives no clean-up.
    let mut install = Command::new("cargo");
    install.args(["install", "tun2proxy", "--version", TUN2PROXY, "--locked", "--root", &folder]);
    crate::run(install.arg("--target-dir").arg(tools().join("build")).current_dir(root()))
}

fn tools() -> std::path::PathBuf {
    target().join("bench-tools")
}

/// Where the server is, for every peer.
pub(super) const SERVER: &str = "192.0.2.80";
const TUN2PROXY: &str = "0.8.7";
