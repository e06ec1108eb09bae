//! An application, what forwards its traffic, and a server, each in a network namespace of its own.
//!
//! `topology.sh`, which the bench has too, makes and shows them. What forwards is our program; with
//! `BARTIZAN_FORWARDER=kernel` plain forwarding takes its place, which shows what is due to the tests themselves.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::slow::forward::cable::{self, Badness};
use crate::support::{BARTIZAN, bartizan, wait_for};

/// The server's addresses.
pub(crate) const SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x80)),
];

/// Where something runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    App,
    Engine,
    Server,
}

pub(crate) struct Stage {
    prefix: String,
    forwarder: Option<Child>,
    started: Mutex<Vec<Child>>,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Returns once the application reaches the server.
    pub(crate) fn build() -> Self {
        Self::with(None, None)
    }

    /// The same, over a bad cable to the server.
    pub(crate) fn over(badness: Badness) -> Self {
        Self::with(Some(badness), None)
    }

    /// The same, where the forwarder stops this name.
    pub(crate) fn with_listed(name: &str) -> Self {
        Self::with(None, Some(name))
    }

    fn with(badness: Option<Badness>, listed: Option<&str>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        remove_stale();
        let files = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }).unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{number}-", std::process::id());
        let mut stage = Self {
            prefix,
            forwarder: None,
            started: Mutex::default(),
            folder: tempfile::tempdir().unwrap(),
        };
        let kernel = std::env::var_os("BARTIZAN_FORWARDER").is_some_and(|name| name == "kernel");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(TOPOLOGY);
        let made = Command::new("sh")
            .arg("-e")
            .arg(script)
            .env("app", stage.name(Place::App))
            .env("eng", stage.name(Place::Engine))
            .env("srv", stage.name(Place::Server))
            .env("way", if kernel { "kernel" } else { "tun" })
            .status();
        assert!(made.unwrap().success());
        if let Some(badness) = badness {
            stage.replace_the_cable(badness);
        }
        // What asks a resolver by the system's configuration asks the one of the stage.
        for place in [Place::App, Place::Engine] {
            let etc = stage.etc(place);
            fs::create_dir_all(&etc).unwrap();
            fs::write(format!("{etc}/resolv.conf"), "nameserver 192.0.2.80\n").unwrap();
        }
        if !kernel {
            let mut words = vec![BARTIZAN, "agent", "forward", "--tun", "tun0"];
            words.extend(["--address", "198.18.0.1/30"]);
            let indicators = listed.map(|name| stage.compile(name));
            if let Some(indicators) = &indicators {
                words.extend(["--indicators", indicators]);
            }
            stage.forwarder = Some(stage.spawn(Place::Engine, &words));
        }
        let door = stage.listen(0);
        let port = door.local_addr().unwrap().port();
        wait_for("the forwarder forwards", || {
            let forwarder = stage.forwarder.as_mut().map(|child| child.try_wait().unwrap());
            assert_eq!(forwarder.flatten(), None, "{}", stage.said());
            let reached = stage.within(Place::App, || connect(SERVERS[0], port));
            reached.is_ok().then_some(())
        });
        stage
    }

    /// Makes an indicator file with one name.
    fn compile(&self, name: &str) -> String {
        let [list, file] = ["listed.txt", "indicators"]
            .map(|name| self.folder.path().join(name).display().to_string());
        fs::write(&list, name).unwrap();
        let output = bartizan(&["feed", "compile", "--out", &file, "--input", &list]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    }

    /// Returns what the forwarder counts.
    pub(crate) fn status(&self) -> serde_json::Value {
        let forwarder = self.forwarder.as_ref().unwrap().id().to_string();
        let path = self.folder.path().join("printed");
        let before = fs::read_to_string(&path).unwrap().len();
        assert!(Command::new("kill").args(["-USR1", &forwarder]).status().unwrap().success());
        wait_for("the forwarder tells", || {
            serde_json::from_str(fs::read_to_string(&path).unwrap().get(before..)?).ok()
        })
    }

    /// Runs a program to its end, bounded in time.
    pub(crate) fn run(&self, place: Place, words: &[&str]) -> Output {
        let mut all = vec!["timeout", "-k", "1", "100"];
        all.extend(words);
        self.command(place, &all).output().unwrap()
    }

    /// Runs a program that has to succeed, and returns what it prints.
    #[track_caller]
    pub(crate) fn says(&self, place: Place, words: &[&str]) -> String {
        let output = self.run(place, words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {}\n{said}{complained}", output.status);
        said
    }

    /// Starts a program that runs until the stage is dropped.
    pub(crate) fn start(&self, place: Place, words: &[&str]) {
        self.started.lock().unwrap().push(self.spawn(place, words));
    }

    fn spawn(&self, place: Place, words: &[&str]) -> Child {
        let [printed, said] = ["printed", "said"].map(|name| {
            let path = self.folder.path().join(name);
            File::options().create(true).append(true).open(path).unwrap()
        });
        self.command(place, words).stdout(printed).stderr(said).spawn().unwrap()
    }

    /// What programs that were started have complained about.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }

    /// Does something on a thread that lives in a namespace; sockets that it opens stay there.
    pub(crate) fn within<T: Send>(&self, place: Place, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new(NAMESPACES).join(self.name(place))).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(namespace.as_fd(), kind).unwrap();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Listens at the server, at both families.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        self.within(Place::Server, || TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap())
    }

    /// Opens a connection of the application to the server.
    #[track_caller]
    pub(crate) fn open(&self, server: IpAddr, port: u16) -> TcpStream {
        self.within(Place::App, || connect(server, port)).unwrap()
    }

    /// Returns what the forwarder has in memory that is its own, in octets; nothing where the kernel forwards.
    pub(crate) fn dirty(&self) -> Option<u64> {
        let pid = self.forwarder.as_ref()?.id();
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
    }

    /// A folder that goes with the stage.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What `ip` knows a namespace by.
    pub(crate) fn name(&self, place: Place) -> String {
        let place = match place {
            Place::App => "app",
            Place::Engine => "eng",
            Place::Server => "srv",
        };
        format!("{}{place}", self.prefix)
    }

    /// Puts two TUN interfaces in the place of the veth pair, with its addresses and routes.
    fn replace_the_cable(&self, badness: Badness) {
        self.says(Place::Engine, &["ip", "link", "del", "outer"]);
        let lay = |place, name: &'static str, addresses: [&str; 2], gateways: [&str; 2]| {
            let device = self.within(place, || {
                tun_rs::DeviceBuilder::new().name(name).mtu(1_500).build_sync().unwrap()
            });
            self.says(place, &["ip", "link", "set", name, "up"]);
            for (address, gateway) in addresses.into_iter().zip(gateways) {
                self.says(place, &["ip", "address", "add", address, "dev", name]);
                self.says(place, &["ip", "route", "replace", "default", "via", gateway]);
            }
            device
        };
        let near = lay(
            Place::Engine,
            BAD,
            ["192.0.2.2/24", "2001:db8:2::2/64"],
            ["192.0.2.80", "2001:db8:2::80"],
        );
        let far = lay(
            Place::Server,
            "srv0",
            ["192.0.2.80/24", "2001:db8:2::80/64"],
            ["192.0.2.2", "2001:db8:2::2"],
        );
        // Where the kernel has it: what takes loss for a full line moves some Mbit/s here.
        let bbr = ["sysctl", "-qw", "net.ipv4.tcp_congestion_control=bbr"];
        for place in [Place::App, Place::Engine, Place::Server] {
            self.run(place, &bbr);
        }
        cable::carry(near, far, badness);
    }

    fn command(&self, place: Place, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place)]).args(words).stdin(Stdio::null());
        command
    }

    /// What `ip netns exec` puts over `/etc`.
    fn etc(&self, place: Place) -> String {
        format!("/etc/netns/{}", self.name(place))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A bad cable holds its namespaces until its ends are gone.
        for (place, link) in [(Place::Engine, BAD), (Place::Server, "srv0")] {
            let mut ip = Command::new("ip");
            ip.args(["-n", &self.name(place), "link", "del", link]).stderr(Stdio::null());
            let _ = ip.status();
        }
        for place in [Place::App, Place::Engine, Place::Server] {
            remove(&self.name(place));
        }
        let started = self.started.get_mut().unwrap_or_else(PoisonError::into_inner);
        for child in started.iter_mut().chain(&mut self.forwarder) {
            let _ = child.wait();
        }
    }
}

fn connect(server: IpAddr, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(server, port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Removes what a killed test left behind.
fn remove_stale() {
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let pid = pid.and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&name);
        }
    }
}

/// Ends what runs in a namespace and removes it.
fn remove(namespace: &str) {
    if let Ok(inside) = Command::new("ip").args(["netns", "pids", namespace]).output() {
        for pid in String::from_utf8_lossy(&inside.stdout).split_whitespace() {
            let _ = Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status();
        }
    }
    let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
    let _ = fs::remove_dir_all(format!("/etc/netns/{namespace}"));
}

/// How long a read or a connection may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(10);
const BAD: &str = "outer";
const PREFIX: &str = "bartizan-";
const NAMESPACES: &str = "/run/netns";
const TOPOLOGY: &str = "../../xtask/src/bench_forward/topology.sh";
