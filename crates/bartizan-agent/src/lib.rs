//! The Linux device program: what differs by system, around [`bartizan_host`].
//!
//! For all traffic ([`tun::route_all`]) rules send everything into the TUN but what carries our mark.
//!
//! DNS mode on Linux takes over the *questions* to the system's resolvers, not the resolvers: a policy
//! route sends packets to their port 53 into a TUN ([`tun`]), everything else keeps its way. When the
//! program ends, however it ends, the kernel removes the TUN with the only route into it, and questions
//! go their old way: protection never takes the network down.

mod enroll;
mod forward;
mod http;
mod iproute;
mod resolvers;
mod secure_dns;
mod tun;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bartizan_contract::enroll::{EnrollmentToken, Platform};
use bartizan_contract::feedback::{FeedbackList, mood};
use bartizan_contract::report::kind;
use bartizan_host::portal::portal_url;
use bartizan_host::tunnel::{Network, Route};
use bartizan_host::{Device, Hardware, Passed, Probe, Sent, Setup, Status};
pub use enroll::{EnrollArgs, enroll};
pub use forward::{ForwardArgs, forward};
pub use http::UreqHttp;
pub use iproute::ip;
pub use secure_dns::SecureDns;

/// How to run a device.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The portal's address, such as <https://portal.example>
    #[arg(long, value_name = "URL")]
    pub portal: String,
    /// File with the enrollment token; needed for the first start only
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Folder for the device's key, policy, indicators and waiting alerts
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan")]
    pub state: PathBuf,
    /// Certificates to trust for the portal, and for a resolver that policy names, as PEM
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub ca: PathBuf,
    /// Name of the tunnel's interface
    #[arg(long, value_name = "NAME", default_value = "bartizan0")]
    pub tun: String,
    /// A resolver to protect (repeatable); the system's own where none is given
    #[arg(long, value_name = "IP")]
    pub resolver: Vec<IpAddr>,
    /// Interface by which resolvers are reached; that of the route to them where none is given
    #[arg(long, value_name = "NAME")]
    pub uplink: Option<String>,
    /// Tell by this URL whether the network wants one to sign in first: it starts with http://, and answers 204. Without,
    /// the portal's host is asked; `none` asks nobody
    #[arg(long, value_name = "URL")]
    pub captive_probe: Option<String>,
    /// Say that several people use this machine, when it enrolls
    #[arg(long)]
    pub shared: bool,
    /// Stop when the standard input ends: for a parent that must not leave the agent behind
    #[arg(long, hide = true)]
    pub stop_at_end_of_input: bool,
}

/// What to say about a site, and as which device.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// The site: a name or an address; of a URL only the host is sent
    #[arg(value_name = "NAME_OR_URL")]
    pub site: String,
    /// Say that it is let through and unsafe, instead of stopped and harmless
    #[arg(long = "unsafe")]
    pub is_unsafe: bool,
    /// What else whoever decides should know
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub comment: String,
    /// Folder of the device's files
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan")]
    pub state: PathBuf,
    /// Certificates to trust for the portal, as PEM
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub ca: PathBuf,
}

/// What to say to the organization.
#[derive(Clone, Debug, clap::Args)]
pub struct FeedbackArgs {
    /// What to say; without it, what became of what was said is shown
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// How you feel about it: good, neutral or bad
    #[arg(long, value_name = "MOOD", value_parser = mood::ALL)]
    pub mood: Option<String>,
    /// Send these logs along, of which at most the last 256 KiB go; - for standard input
    #[arg(long, value_name = "FILE", requires = "text")]
    pub logs: Option<PathBuf>,
    /// Folder of the device's files
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan")]
    pub state: PathBuf,
    /// Certificates to trust for the portal, as PEM
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub ca: PathBuf,
}

/// Which warning to pass, and on which device.
#[derive(Clone, Debug, clap::Args)]
pub struct PassArgs {
    /// The site to go on to: a name; of a URL only the host counts
    #[arg(value_name = "NAME_OR_URL")]
    pub site: String,
    /// Folder of the device's files
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan")]
    pub state: PathBuf,
}

/// Runs a device until SIGINT or SIGTERM, or until its tunnel is gone.
///
/// # Errors
/// What keeps it from running, for people to read.
pub fn run(args: RunArgs) -> anyhow::Result<()> {
    let portal_url = portal_url(&args.portal)?;
    let enrollment_token = args.token_file.as_deref().map(read_token).transpose()?;
    let http = Box::new(UreqHttp::new(&args.ca)?);
    let probe = match args.captive_probe.as_deref() {
        None => Probe::of_portal(&portal_url),
        Some("none") => None,
        Some(url) => Some(Probe::at(url)?),
    };
    let given = Given { resolvers: args.resolver, uplink: args.uplink };
    let Network { resolvers, uplink } = given.look()?;
    let secure_dns = Box::new(SecureDns::new(&args.ca, uplink.clone())?);
    let signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ]);
    let mut signals = signals.context("cannot listen for signals")?;

    forward::raise_limits();
    forward::allow_echoes();
    let (packets, _routes) = tun::open(&args.tun, &resolvers)?;
    let mut routed = resolvers.clone();
    let look = move || {
        let looked = given.look().and_then(|network| {
            tun::follow(&mut routed, &network.resolvers)?;
            Ok(network)
        });
        looked
            .inspect_err(|error| {
                tracing::warn!(error = %format_args!("{error:#}"), "cannot tell how this machine is connected");
            })
            .ok()
    };
    let device = Device::start(Setup {
        state_dir: args.state,
        portal_url,
        enrollment_token,
        platform: platform(),
        hardware: Hardware::new(machine_id(), args.shared),
        attest: None,
        packets,
        resolvers,
        route: Route { resolvers: BTreeMap::new(), uplink, mark: Some(tun::MARK) },
        look: Box::new(look),
        probe,
        route_all: Box::new(|all| {
            if let Err(error) = tun::route_all(all) {
                tracing::error!(error = %format_args!("{error:#}"), "cannot change what comes into the tunnel");
            }
        }),
        http,
        secure_dns: Some(secure_dns),
    })?;
    let stop = device.stopper();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            stop();
        }
    })?;
    if args.stop_at_end_of_input {
        let stop = device.stopper();
        std::thread::Builder::new().name("input".into()).spawn(move || {
            // Whatever ends it, whoever held the other end is gone.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            stop();
        })?;
    }
    device.wait()
}

/// What a person has said of how the machine is connected; the rest is looked up.
struct Given {
    resolvers: Vec<IpAddr>,
    uplink: Option<String>,
}

impl Given {
    fn look(&self) -> anyhow::Result<Network> {
        let resolvers = if self.resolvers.is_empty() {
            resolvers::of_the_system()?
        } else {
            self.resolvers.clone()
        };
        let uplink = match (&self.uplink, resolvers.first()) {
            (Some(uplink), _) => Some(uplink.clone()),
            (None, Some(resolver)) => Some(resolvers::uplink(*resolver)?),
            (None, None) => None,
        };
        Ok(Network { resolvers, uplink })
    }
}

/// Reads how a device is, from its folder.
///
/// # Errors
/// No device has run there.
pub fn status(state: &Path) -> anyhow::Result<Status> {
    let path = state.join("status.json");
    let json =
        fs::read(&path).with_context(|| format!("no device has run with {}", state.display()))?;
    serde_json::from_slice(&json).with_context(|| format!("{} is damaged", path.display()))
}

/// Tells the portal what a person says about a site. The agent may be running.
///
/// # Errors
/// What keeps it from being sent, for people to read.
pub fn report(args: &ReportArgs) -> anyhow::Result<Sent> {
    let http = Box::new(UreqHttp::new(&args.ca)?);
    let kind = if args.is_unsafe { kind::UNSAFE } else { kind::FALSE_POSITIVE };
    bartizan_host::report(&args.state, http, &args.site, kind, &args.comment)
}

/// Tells the organization what a person says; returns its name. The agent may be running.
///
/// # Errors
/// What keeps it from being sent, for people to read.
pub fn feedback(args: &FeedbackArgs, text: &str) -> anyhow::Result<String> {
    let logs = match &args.logs {
        None => None,
        Some(path) if path == Path::new("-") => {
            let mut logs = Vec::new();
            std::io::stdin()
                .take(MOST_LOGS)
                .read_to_end(&mut logs)
                .context("cannot read the logs")?;
            Some(logs)
        }
        Some(path) => {
            let mut logs = Vec::new();
            let read =
                fs::File::open(path).and_then(|file| file.take(MOST_LOGS).read_to_end(&mut logs));
            read.with_context(|| format!("cannot read {}", path.display()))?;
            Some(logs)
        }
    };
    let http = Box::new(UreqHttp::new(&args.ca)?);
    bartizan_host::feedback(&args.state, http, text, args.mood.as_deref(), logs.as_deref())
}

/// Asks what became of what this device said.
///
/// # Errors
/// What keeps it from being asked, for people to read.
pub fn feedback_list(args: &FeedbackArgs) -> anyhow::Result<FeedbackList> {
    bartizan_host::feedback_list(&args.state, Box::new(UreqHttp::new(&args.ca)?))
}

/// Asks the running agent to let a person go on to a site that it warns of.
///
/// # Errors
/// No agent runs there, or it does not let them; for people to read.
pub fn pass(args: &PassArgs) -> anyhow::Result<Passed> {
    bartizan_host::pass(&args.state, &args.site)
}

/// What this machine is.
#[must_use]
pub fn platform() -> Platform {
    let uname = rustix::system::uname();
    let short = |text: &str| text.chars().take(100).collect::<String>();
    Platform {
        os: "Linux".into(),
        os_version: short(&uname.release().to_string_lossy()),
        model: short(&uname.machine().to_string_lossy()),
        device_name: short(&uname.nodename().to_string_lossy()),
        app_version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// What the system calls this machine (machine-id(5)), which is not to be shown to others as it is.
fn machine_id() -> Option<String> {
    let text = fs::read_to_string("/etc/machine-id").ok()?;
    read_machine_id(&text).map(str::to_owned)
}

/// 32 digits; while a system is installed there may be nothing or a word.
fn read_machine_id(text: &str) -> Option<&str> {
    let id = text.trim();
    let is_one = id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit());
    // Zeros stand for none.
    (is_one && id.bytes().any(|c| c != b'0')).then_some(id)
}

fn read_token(path: &Path) -> anyhow::Result<EnrollmentToken> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} holds no enrollment token", path.display()))
}

/// Of logs that are read; more is not what a person means.
const MOST_LOGS: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_s_id_is_32_digits_or_none() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(read_machine_id(&format!("{id}\n")), Some(id));
        for text in ["", "uninitialized\n", "0123", &"0".repeat(32), &"g".repeat(32)] {
            assert_eq!(read_machine_id(text), None, "{text}");
        }
    }
}
