//! A portal process, a device in this process, a folder for both, and waiting for conditions.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bartizan_agent::UreqHttp;
use bartizan_host::portal::Http;
use bartizan_host::tunnel::Route;
use bartizan_host::{Device, Hardware, Packets, Setup, Status};
use bartizan_model::UnixMillis;
use bartizan_portal::{AlertSummary, Portal, PortalConfig};
use bartizan_store::{Store, TenantScope};
use bartizan_wire::udp::encode_udp;

/// The built program.
pub(crate) const BARTIZAN: &str = env!("CARGO_BIN_EXE_bartizan");

/// Runs the program to its end.
pub(crate) fn bartizan(arguments: &[&str]) -> Output {
    Command::new(BARTIZAN).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Waits for a condition, not for a time; fails after a bound that no healthy run reaches.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "another process gives no event to wait for")]
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = ready() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited for 30 s: {what}");
}

/// A folder with a portal that publishes a feed which lists `evil.test`, and a device.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn portal(&self) -> PortalProcess {
        let feed = self.file("feed.txt", "evil.test\n");
        PortalProcess::start(&self.data(), &["--feed", &feed])
    }

    pub(crate) fn device(&self, portal: &PortalProcess) -> TestDevice {
        let device =
            TestDevice::start(&self.state(), &portal.url, Some(&portal.enrollment_token()));
        device.wait_until("protected", |status| {
            status.protection == "on" && status.policy_version != 0
        });
        device
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("portal")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("device")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A portal as a process of its own, so that it can be killed.
pub(crate) struct PortalProcess {
    pub(crate) url: String,
    pub(crate) data: PathBuf,
    pub(crate) said: Vec<String>,
    address: SocketAddr,
    child: Child,
    _more: Receiver<String>,
}

impl PortalProcess {
    /// Starts a portal on a free port.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::start_at(free, data, more)
    }

    /// Kills it as a power cut would, and starts it again at the same place.
    pub(crate) fn start_again(self) -> Self {
        self.start_again_with(&[])
    }

    pub(crate) fn start_again_with(mut self, more: &[&str]) -> Self {
        self.kill();
        let (address, data) = (self.address, self.data.clone());
        Self::start_at(address, &data, more)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts a portal whose data folder is a disk of its own of so many MiB, which nobody else sees and which is gone
    /// with it. [`Self::data`] is the way to it through the process.
    pub(crate) fn start_on_small_disk(data: &Path, size_mib: u32, more: &[&str]) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let mut command = Command::new("unshare");
        let mount =
            format!("mount -t tmpfs -o size={size_mib}m,mode=700 tmpfs \"$0\" && exec \"$@\"");
        command.args(["--mount", "sh", "-c", &mount]).arg(data).arg(BARTIZAN);
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut portal = Self::start_by(command, free, data, more);
        let root = PathBuf::from(format!("/proc/{}/root", portal.child.id()));
        portal.data = root.join(data.strip_prefix("/").unwrap());
        portal
    }

    /// The memory that the process has in use.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn start_at(address: SocketAddr, data: &Path, more: &[&str]) -> Self {
        Self::start_by(Command::new(BARTIZAN), address, data, more)
    }

    fn start_by(mut command: Command, address: SocketAddr, data: &Path, more: &[&str]) -> Self {
        let mut child = command
            .args([
                "portal",
                "--listen",
                &address.to_string(),
                "--admin",
                "admin@example.test",
                "--data",
            ])
            .arg(data)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Read on for ever, so that the portal never waits for us.
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)))
        });
        let mut said = Vec::new();
        let mut url = None;
        while url.is_none() {
            let line = lines
                .recv_timeout(Duration::from_secs(30))
                .unwrap_or_else(|_| panic!("portal: {said:#?}"));
            url = line.strip_prefix("The portal is at ").map(str::to_owned);
            said.push(line);
        }
        Self { url: url.unwrap(), data: data.to_owned(), said, address, child, _more: lines }
    }

    /// The one-time password that a new portal prints.
    pub(crate) fn password(&self) -> &str {
        let line = self.said.iter().find(|line| line.starts_with("Sign in as")).unwrap();
        line.rsplit(' ').next().unwrap()
    }

    pub(crate) fn enrollment_token(&self) -> String {
        let data = self.data.to_str().unwrap();
        let output = bartizan(&["admin", "enrollment-token", "--data", data]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The same for a portal on a disk of its own: a database does not let itself be opened by the way through a process.
    pub(crate) fn enrollment_token_inside(&self, data: &Path) -> String {
        let output = Command::new("nsenter")
            .args(["--mount", "--target", &self.child.id().to_string()])
            .args([BARTIZAN, "admin", "enrollment-token", "--data"])
            .arg(data)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Asks the portal's database, which the portal goes on using.
    pub(crate) fn ask<T>(&self, question: impl AsyncFnOnce(&Store, TenantScope) -> T) -> T {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let store = Store::open(self.data.join("portal.db").as_path(), UnixMillis(0)).unwrap();
            let (tenant, _) = store.tenants().await.unwrap().remove(0);
            let scope = store.tenant(tenant).await.unwrap();
            let answer = question(&store, scope).await;
            store.close().await;
            answer
        })
    }

    /// What the portal holds, read from its data folder.
    pub(crate) fn alerts(&self) -> Vec<AlertSummary> {
        let config = PortalConfig::new(self.data.clone());
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let portal = Portal::open(config).await.unwrap();
            let (tenant, _) = portal.tenants().await.unwrap().remove(0);
            portal.newest_alerts(tenant).await.unwrap()
        })
    }
}

impl Drop for PortalProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A device in this process, its application's end of the tunnel, and a resolver that knows everything.
pub(crate) struct TestDevice {
    pub(crate) state: PathBuf,
    application: UnixDatagram,
    device: Option<Device>,
}

impl TestDevice {
    pub(crate) fn start(state: &Path, portal: &str, token: Option<&str>) -> Self {
        Self::start_with(state, portal, token, Box::new(http()))
    }

    pub(crate) fn start_with(
        state: &Path,
        portal: &str,
        token: Option<&str>,
        http: Box<dyn Http>,
    ) -> Self {
        Self::start_changed(state, portal, token, |setup| setup.http = http)
    }

    /// Starts a device that differs from the usual one.
    pub(crate) fn start_changed(
        state: &Path,
        portal: &str,
        token: Option<&str>,
        change: impl FnOnce(&mut Setup),
    ) -> Self {
        let (tunnel, application) = UnixDatagram::pair().unwrap();
        application.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut setup = Setup {
            state_dir: state.to_owned(),
            portal_url: portal.to_owned(),
            enrollment_token: token.map(|token| token.parse().unwrap()),
            platform: bartizan_agent::platform(),
            hardware: Hardware::default(),
            attest: None,
            packets: Packets::Plain(tunnel.into()),
            resolvers: vec![RESOLVER.ip()],
            route: Route {
                resolvers: [(RESOLVER.ip(), resolver())].into(),
                uplink: None,
                mark: None,
            },
            http: Box::new(http()),
            secure_dns: None,
            // Its tunnel gets what it is given.
            look: Box::new(|| None),
            probe: None,
            route_all: Box::new(|_| {}),
        };
        change(&mut setup);
        let device = Device::start(setup).unwrap();
        Self { state: state.to_owned(), application, device: Some(device) }
    }

    pub(crate) fn status(&self) -> Option<Status> {
        bartizan_agent::status(&self.state).ok()
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        wait_for(what, || self.status().filter(&holds))
    }

    /// The device itself.
    pub(crate) fn device(&self) -> &Device {
        self.device.as_ref().unwrap()
    }

    /// Asks for a name's address through the tunnel.
    pub(crate) fn resolve(&self, name: &str) -> Ipv4Addr {
        let packet = encode_udp(CLIENT, RESOLVER, &question(name)).unwrap();
        self.application.send(&packet).unwrap();
        let mut buffer = [0; 2_048];
        let length = self.application.recv(&mut buffer).unwrap();
        // The address stands at the end of our answers; an OPT record was not asked for.
        let octets: [u8; 4] = buffer[length - 4..length].try_into().unwrap();
        octets.into()
    }
}

impl Drop for TestDevice {
    fn drop(&mut self) {
        if let Some(device) = self.device.take() {
            device.stop();
            let _ = device.wait();
        }
    }
}

pub(crate) fn http() -> UreqHttp {
    UreqHttp::new(Path::new("/etc/ssl/certs/ca-certificates.crt")).unwrap()
}

/// A resolver on loopback that answers every question with [`SITE`].
fn resolver() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1_024];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            let mut reply = query[..length].to_vec();
            reply[2] |= 0x80; // a response
            reply[7] = 1; // with one answer
            reply.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            reply.extend(SITE.octets());
            let _ = socket.send_to(&reply, client);
        }
    });
    address
}

fn question(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// Where every name is that is not blocked.
pub(crate) const SITE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
pub(crate) const RESOLVER: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 53)), 53);
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2)), 40_000);
