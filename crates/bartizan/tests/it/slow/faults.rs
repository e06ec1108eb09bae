//! What a portal stands on gives way, and clients that wear it down: nothing acknowledged is lost, the others are served,
//! and once the fault is gone the portal goes on by itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_host::portal::{Http, HttpRequest, HttpResponse};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use crate::console::Console;
use crate::support::{BARTIZAN, PortalProcess, TestDevice, World, bartizan, http, wait_for};

#[test]
fn a_full_disk_loses_nothing_and_the_portal_goes_on_once_there_is_room() {
    let world = World::new();
    let feed = world.file("feed.txt", "evil.test\n");
    let start = ["--demo-admin", "--feed", feed.as_str()];
    let portal = PortalProcess::start_on_small_disk(&world.data(), SMALL_MIB, &start);
    let impatient = Impatient::default();
    let refusals = Arc::clone(&impatient.refusals);
    let token = portal.enrollment_token_inside(&world.data());
    let device =
        TestDevice::start_with(&world.state(), &portal.url, Some(&token), Box::new(impatient));
    device.wait_until("protected", |status| status.protection == "on");
    let console = Console::sign_in(&portal);
    let ledger = world.path("ledger");
    let mut fleet = fleet(&world, &portal, ledger.to_str().unwrap());
    wait_for("acknowledged alerts", || {
        std::fs::metadata(&ledger).is_ok_and(|file| 10_000 < file.len()).then_some(())
    });

    let ballast = portal.data.join("ballast");
    fill(&ballast);
    wait_for("the portal says that its disk is full", || {
        // What is given back while the log is folded in is taken as well.
        fill(&ballast);
        let (status, said) = ask(&portal, "/readyz");
        (status == 503 && said.contains("the disk under the database is full")).then_some(())
    });
    assert_eq!(ask(&portal, "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(device.resolve("login.evil.test"), std::net::Ipv4Addr::UNSPECIFIED);
    let refusal = wait_for("the device is told why", || {
        let refusals = refusals.lock().unwrap();
        refusals.iter().find(|refusal| refusal.1.contains("the portal's disk is full")).cloned()
    });
    assert!((30..=300).contains(&refusal.0.as_secs()), "{refusal:?}");
    assert!(console.page("/alerts").contains("Alerts"));
    assert!(console.page("/devices").contains("/devices/"));

    std::fs::remove_file(&ballast).unwrap();
    wait_for("the portal is ready again", || (ask(&portal, "/readyz").0 == 200).then_some(()));
    device.wait_until("the alert is acknowledged", |status| status.alerts_waiting == 0);
    assert!(fleet.wait().unwrap().success());
    let checked = ["fleet", "--portal", &portal.url, "--check", ledger.to_str().unwrap(), "--json"];
    let checked = bartizan(&checked);
    let figures: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(figures["lost"], 0, "{figures}");
    assert!(0 < figures["acknowledged"].as_u64().unwrap(), "{figures}");
}

#[test]
fn thousands_of_clients_that_send_nothing_hold_up_nobody() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    let world = World::new();
    let portal = world.portal();
    let address: SocketAddr = portal.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut early = connected(address);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut slow = Vec::new();
    while slow.len() < SLOW {
        // From another address than the honest ones.
        let batch = (0..500).map(|number| {
            runtime.spawn(async move {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
                let mut stream = socket.connect(address).await.unwrap();
                let sent = STARTS[number % STARTS.len()];
                // It may have been told to go already.
                let _ = stream.write_all(sent).await;
                stream
            })
        });
        let batch: Vec<_> = batch.collect();
        slow.extend(batch.into_iter().map(|one| runtime.block_on(one).unwrap()));
        // A newcomer among them is served at once, within the time limit of its socket.
        asks_again(&mut connected(address));
        // One that is idle keeps its place.
        asks_again(&mut early);
    }
    let memory_kib = portal.memory_kib();
    assert!(memory_kib < 300 * 1_024, "{memory_kib} KiB");
}

/// What clients send that never come to an end: nothing, half a line, headers without their end, no body.
const STARTS: [&[u8]; 4] = [
    b"",
    b"G",
    b"GET /livez HTTP/1.1\r\nhost: portal.test\r\nx-more: ",
    b"POST /sign-in HTTP/1.1\r\nhost: portal.test\r\ncontent-length: 1000\r\n\r\nemail=",
];
/// More than there are places.
const SLOW: usize = 9_000;
/// Room for the files of a portal, and for little more.
const SMALL_MIB: u32 = 96;

fn connected(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    asks_again(&mut stream);
    stream
}

#[track_caller]
fn asks_again(stream: &mut TcpStream) {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: portal.test\r\n\r\n").unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"alive\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        said.extend(octet);
    }
}

/// Takes what room there is.
pub(super) fn fill(ballast: &std::path::Path) {
    let mut file = std::fs::File::options().create(true).append(true).open(ballast).unwrap();
    while file.write_all(&[0; 4_096]).is_ok() {}
}

pub(super) fn ask(portal: &PortalProcess, path: &str) -> (u16, String) {
    let request = HttpRequest {
        method: "GET",
        url: format!("{}{path}", portal.url),
        headers: Vec::new(),
        body: Vec::new(),
        max_reply: 10_000,
    };
    let answer = http().send(request).unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

pub(super) fn fleet(world: &World, portal: &PortalProcess, ledger: &str) -> Child {
    Command::new(BARTIZAN)
        .args(["fleet", "--portal", &portal.url, "--devices", "50", "--seconds", "8"])
        .args(["--connections", "16", "--alerts-per-second", "2000", "--alert-batch", "3"])
        .args(["--ledger", ledger, "--data"])
        .arg(world.path(""))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Notes when it is to come back and why, and comes back at once.
#[derive(Default)]
pub(super) struct Impatient {
    pub(super) refusals: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl Http for Impatient {
    fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
        let mut answer = http().send(request)?;
        if answer.status == 503
            && let Some(pause) = answer.retry_after.replace(Duration::from_millis(200))
        {
            let said = String::from_utf8(answer.body.clone()).unwrap();
            self.refusals.lock().unwrap().push((pause, said));
        }
        Ok(answer)
    }

    fn download(
        &mut self,
        request: HttpRequest,
        to: &mut dyn std::io::Write,
    ) -> Result<HttpResponse, String> {
        http().download(request, to)
    }
}
