//! A device in this process: the same host and engine, over one end of a socket pair instead of a TUN.
//! At the other end a user-space TCP/IP stack is the application that resolves names.
//!
//! In DNS mode only questions pass through the tunnel, so the page itself is fetched with `curl` from
//! where the internet of the demo listens on loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail};
use bartizan_agent::UreqHttp;
use bartizan_contract::enroll::EnrollmentToken;
use bartizan_host::clock::Clock;
use bartizan_host::portal::portal_url;
use bartizan_host::tunnel::Route;
use bartizan_host::{Device, Hardware, Packets, Setup};
use domain::base::iana::Rtype;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::A;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{DeviceCapabilities, Medium};
use smoltcp::socket::udp;
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint};

use crate::demo::stage::{Fetched, curl};

/// The device, and where its internet is.
pub(crate) struct Simulated {
    state: PathBuf,
    internet: Option<(SocketAddr, SocketAddr, SocketAddr)>,
    device: Option<Device>,
    /// The application's end of the tunnel, once there is one.
    client: Mutex<Option<Client>>,
}

impl Simulated {
    pub(crate) fn build(state: PathBuf) -> Self {
        Self { state, internet: None, device: None, client: Mutex::new(None) }
    }

    pub(crate) fn connect(&mut self, dns: SocketAddr, http: SocketAddr, https: SocketAddr) {
        self.internet = Some((dns, http, https));
    }

    pub(crate) fn protect(
        &mut self,
        portal: &str,
        token: EnrollmentToken,
        ca: &Path,
    ) -> anyhow::Result<()> {
        let (dns, ..) = self.internet.context("there is no internet yet")?;
        let (tunnel, application) = UnixDatagram::pair()?;
        let device = Device::start(Setup {
            state_dir: self.state.clone(),
            portal_url: portal_url(portal)?,
            enrollment_token: Some(token),
            platform: bartizan_agent::platform(),
            hardware: Hardware::default(),
            attest: None,
            packets: Packets::Plain(tunnel.into()),
            resolvers: vec![IpAddr::V4(RESOLVER)],
            route: Route {
                resolvers: BTreeMap::from([(IpAddr::V4(RESOLVER), dns)]),
                uplink: None,
                mark: None,
            },
            http: Box::new(UreqHttp::new(ca)?),
            secure_dns: None,
            // Its tunnel gets what it is given.
            look: Box::new(|| None),
            probe: None,
            route_all: Box::new(|_| {}),
        })?;
        self.device = Some(device);
        *self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(Client::new(application)?);
        Ok(())
    }

    pub(crate) async fn fetch(
        &self,
        url: &str,
        ca: &Path,
        folder: &Path,
    ) -> anyhow::Result<Fetched> {
        let (dns, http, https) = self.internet.context("there is no internet yet")?;
        let (scheme, rest) = url.split_once("://").context("not an address")?;
        let host = rest.split('/').next().unwrap_or(rest);
        let mut client =
            self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (resolved, client) = {
            let host = host.to_owned();
            tokio::task::spawn_blocking(move || {
                let resolved = match &mut client {
                    Some(client) => client.resolve(&host),
                    None => resolve_directly(&host, dns),
                };
                (resolved, client)
            })
            .await?
        };
        *self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = client;
        match resolved? {
            None => return Ok(Fetched::Failed(format!("{host} is not known"))),
            Some(address) if address.is_unspecified() => return Ok(Fetched::Blocked),
            Some(_) => {}
        }
        let (port, at) = if scheme == "https" { (443, https) } else { (80, http) };
        let mut command = tokio::process::Command::new("curl");
        command.args(["--connect-to", &format!("{host}:{port}:{at}")]);
        curl(command, url, ca, folder).await
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if let Some(device) = self.device.take() {
            device.stop();
            let _ = device.wait();
        }
    }
}

fn resolve_directly(host: &str, dns: SocketAddr) -> anyhow::Result<Option<Ipv4Addr>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(&question(host)?, dns)?;
    let mut buffer = [0; 4_096];
    let length = socket.recv(&mut buffer).context("the DNS server does not answer")?;
    Ok(first_address(buffer.get(..length).unwrap_or_default()))
}

/// An application's resolver on a TCP/IP stack of its own.
struct Client {
    link: Link,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: smoltcp::iface::SocketHandle,
    clock: Clock,
    started: std::time::Instant,
}

impl Client {
    fn new(application: UnixDatagram) -> anyhow::Result<Self> {
        application.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut link = Link { application };
        let clock = Clock::new();
        let mut interface = Interface::new(
            Config::new(HardwareAddress::Ip),
            &mut link,
            smoltcp::time::Instant::ZERO,
        );
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(CLIENT.into(), 24));
        });
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 8_192]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(40_053).map_err(|error| anyhow::anyhow!("cannot bind: {error}"))?;
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        let started = clock.now();
        Ok(Self { link, interface, sockets, socket, clock, started })
    }

    /// Asks through the tunnel, again each second, for five seconds.
    fn resolve(&mut self, host: &str) -> anyhow::Result<Option<Ipv4Addr>> {
        let question = question(host)?;
        let resolver = IpEndpoint::new(RESOLVER.into(), 53);
        for _ in 0..5 {
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
            socket
                .send_slice(&question, resolver)
                .map_err(|error| anyhow::anyhow!("cannot ask: {error}"))?;
            let until = self.clock.now() + Duration::from_secs(1);
            while self.clock.now() < until {
                let elapsed = i64::try_from((self.clock.now() - self.started).as_micros())
                    .unwrap_or(i64::MAX);
                let now = smoltcp::time::Instant::from_micros(elapsed);
                self.interface.poll(now, &mut self.link, &mut self.sockets);
                let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
                if let Ok((reply, _)) = socket.recv() {
                    return Ok(first_address(reply));
                }
            }
        }
        bail!("the tunnel does not answer")
    }
}

/// The socket pair as a network interface.
struct Link {
    application: UnixDatagram,
}

impl smoltcp::phy::Device for Link {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        let mut packet = vec![0; 65_535];
        let length = self.application.recv(&mut packet).ok()?;
        packet.truncate(length);
        Some((Received(packet), Sending(&self.application)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        Some(Sending(&self.application))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities
    }
}

struct Received(Vec<u8>);

impl smoltcp::phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

struct Sending<'a>(&'a UnixDatagram);

impl smoltcp::phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut packet = vec![0; length];
        let result = fill(&mut packet);
        // A full queue drops, as a network does.
        let _ = self.0.send(&packet);
        result
    }
}

fn question(host: &str) -> anyhow::Result<Vec<u8>> {
    let name: Name<Vec<u8>> =
        host.parse().map_err(|_| anyhow::anyhow!("{host} is not a host name"))?;
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0x4254);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((&name, Rtype::A)).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(builder.finish())
}

fn first_address(reply: &[u8]) -> Option<Ipv4Addr> {
    let message = Message::from_octets(reply).ok()?;
    let records = message.answer().ok()?;
    records.limit_to::<A>().flatten().next().map(|record| record.data().addr())
}

const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 53);
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
