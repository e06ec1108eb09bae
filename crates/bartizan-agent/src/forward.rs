//! `agent forward`: the tunnel alone, on an interface that somebody else routes into.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::Context;
use bartizan_host::tunnel::{MTU, Route};
use bartizan_host::{Forward, Forwarder, Packets, TunnelStatus};
use bartizan_indicators::IndicatorFile;

use crate::iproute::ip;
use crate::tun::TX_QUEUE;

/// How to forward.
#[derive(Clone, Debug, clap::Args)]
pub struct ForwardArgs {
    /// The interface to read from; it is made if it is not there
    #[arg(long, value_name = "NAME")]
    pub tun: String,
    /// Address of the interface, such as 198.18.0.1/30; as it is where none is given
    #[arg(long, value_name = "IP/LENGTH")]
    pub address: Option<String>,
    /// Indicator file, as `feed compile` makes it; whoever signed it
    #[arg(long, value_name = "FILE")]
    pub indicators: Option<PathBuf>,
    /// Leave by this interface, so that nothing comes back into the tunnel
    #[arg(long, value_name = "NAME")]
    pub uplink: Option<String>,
    /// Mark what leaves, for a routing rule that keeps it out of the tunnel
    #[arg(long, value_name = "NUMBER")]
    pub mark: Option<u32>,
    /// Go without segmentation offload
    #[arg(long)]
    pub no_offload: bool,
}

/// Forwards until SIGINT or SIGTERM, or until the interface is gone. On SIGUSR1, and at the end, `show` gets the status.
///
/// # Errors
/// What keeps it from running, for people to read.
pub fn forward(
    args: ForwardArgs,
    indicators: Option<IndicatorFile>,
    show: impl Fn(&TunnelStatus) + Send + Clone + 'static,
) -> anyhow::Result<()> {
    let signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGUSR1,
    ]);
    let mut signals = signals.context("cannot listen for signals")?;
    raise_limits();
    allow_echoes();
    let packets = open(&args)?;
    let route = Route { uplink: args.uplink, mark: args.mark, ..Route::default() };
    let forwarder = Forwarder::start(Forward { packets, route, indicators })
        .context("cannot start the tunnel")?;

    let (stop, status) = (forwarder.stopper(), forwarder.status());
    let show_now = show.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if signal == signal_hook::consts::SIGUSR1 {
                show_now(&status());
            } else {
                stop();
            }
        }
    })?;
    let status = forwarder.status();
    let ended = forwarder.wait();
    show(&status());
    ended.with_context(|| format!("the tunnel over {} has ended", args.tun))
}

fn open(args: &ForwardArgs) -> anyhow::Result<Packets> {
    let name = &args.tun;
    let device = tun_rs::DeviceBuilder::new()
        .name(name)
        .offload(!args.no_offload)
        .build_sync()
        .with_context(|| {
            format!("cannot open the tunnel interface {name}: this needs root or CAP_NET_ADMIN, and /dev/net/tun")
        })?;
    let fd = device.as_fd().try_clone_to_owned()?;
    let cuts_datagrams = device.udp_gso();
    // The kernel keeps the interface for as long as any copy of the descriptor is open.
    drop(device);
    if let Some(address) = &args.address {
        let family = match address.split('/').next().map(str::parse::<IpAddr>) {
            Some(Ok(IpAddr::V4(_))) => "-4",
            Some(Ok(IpAddr::V6(_))) => "-6",
            _ => anyhow::bail!("{address} is no address with a length, such as 198.18.0.1/30"),
        };
        ip(&[family, "address", "replace", address, "dev", name])?;
    }
    ip(&["link", "set", name, "mtu", &MTU.to_string(), "txqueuelen", TX_QUEUE, "up"])?;
    Ok(if args.no_offload { Packets::Plain(fd) } else { Packets::Vnet { fd, cuts_datagrams } })
}

/// A connection takes a descriptor.
pub(crate) fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(error = %error, "cannot raise the number of open files");
    }
}

/// Echoes go by sockets that the kernel gives to no group unless it is told to (icmp(7), `ping_group_range`); most
/// distributions tell it. What somebody has allowed already stays.
pub(crate) fn allow_echoes() {
    let allowed = std::fs::read_to_string(PING_GROUPS);
    let nobody = allowed.is_ok_and(|groups| groups.split_whitespace().eq(["1", "0"]));
    if nobody && let Err(error) = std::fs::write(PING_GROUPS, "0 0") {
        tracing::warn!(error = %error, "cannot send echoes: set net.ipv4.ping_group_range");
    }
}

const PING_GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";
