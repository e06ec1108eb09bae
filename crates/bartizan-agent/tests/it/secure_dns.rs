//! Questions over TLS, answered by `unbound`; where that is not installed, the tests say so and pass.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bartizan_agent::SecureDns;
use bartizan_host::secure::{
    Answers, SecureUpstream, StartSecureUpstream, UpstreamFailed, UpstreamId,
};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

#[test]
fn questions_are_answered_over_tls() {
    check_answers("tls://dns.test:PORT?ip=127.0.0.1");
}

#[test]
fn questions_are_answered_over_https() {
    check_answers("https://dns.test:PORT/dns-query?ip=127.0.0.1");
}

#[test]
fn the_next_address_is_tried_and_a_server_that_comes_back_is_found() {
    let Some(server) = Server::start() else { return };
    // Nobody listens at the first address.
    let (mut upstream, answers) = server.ask_it("tls://dns.test:PORT?ip=127.0.0.2&ip=127.0.0.1");
    upstream.ask(UpstreamId(1), query(1)).unwrap();
    assert_answered(&answers, 1);
    let folder = server.stop();
    upstream.ask(UpstreamId(2), query(2)).unwrap();
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (UpstreamId(2), Err(UpstreamFailed)));
    let server = Server::start_in(folder);
    upstream.ask(UpstreamId(3), query(3)).unwrap();
    assert_answered(&answers, 3);
    server.stop();
}

#[test]
fn who_does_not_prove_to_be_it_is_not_asked() {
    let Some(server) = Server::start() else { return };
    for upstream in [
        "tls://other.test:PORT?ip=127.0.0.1",
        "https://other.test:PORT/dns-query?ip=127.0.0.1",
        "https://dns.test:PORT/other-path?ip=127.0.0.1",
    ] {
        let (mut asker, answers) = server.ask_it(upstream);
        asker.ask(UpstreamId(1), query(1)).unwrap();
        let answer = answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(answer, (UpstreamId(1), Err(UpstreamFailed)), "{upstream}");
    }
    server.stop();
}

#[test]
fn without_a_resolver_of_the_policy_there_is_no_answer() {
    let folder = TempDir::new().unwrap();
    certificate(folder.path());
    let (sender, answers) = channel();
    let mut asker = start(folder.path(), sender);
    asker.turn_to(&"system".parse().unwrap());
    asker.ask(UpstreamId(1), query(1)).unwrap();
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (UpstreamId(1), Err(UpstreamFailed)));
}

/// Fifty at once on one connection, each with its own id back, then one more after those.
#[track_caller]
fn check_answers(upstream: &str) {
    let Some(server) = Server::start() else { return };
    let (mut upstream, answers) = server.ask_it(upstream);
    for id in 0..50 {
        // Ids that repeat must not mix answers up.
        upstream.ask(UpstreamId(id), query(7)).unwrap();
    }
    let mut ids: Vec<_> = (0..50)
        .map(|_| {
            let (id, answer) = answers.recv_timeout(PATIENCE).unwrap();
            check_answer(&answer.unwrap(), 7);
            id.0
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, Vec::from_iter(0..50));
    upstream.ask(UpstreamId(50), query(8)).unwrap();
    assert_answered(&answers, 50);
    server.stop();
}

#[track_caller]
fn assert_answered(answers: &Receiver<Answered>, id: u64) {
    let (answered, answer) = answers.recv_timeout(PATIENCE).unwrap();
    assert_eq!(answered, UpstreamId(id));
    let answer = answer.unwrap();
    check_answer(&answer, u16::from_be_bytes([answer[0], answer[1]]));
}

#[track_caller]
fn check_answer(answer: &[u8], id: u16) {
    assert_eq!(answer[..2], id.to_be_bytes());
    assert_eq!((answer[2] & 0x80, answer[3] & 0xf), (0x80, 0));
    assert!(answer.windows(4).any(|octets| octets == [192, 0, 2, 7]), "{answer:02x?}");
}

/// A query for the address of good.test.
fn query(id: u16) -> Vec<u8> {
    let [h, l] = id.to_be_bytes();
    [&[h, l, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], b"\x04good\x04test\0".as_slice(), &[0, 1, 0, 1]]
        .concat()
}

type Answered = (UpstreamId, Result<Vec<u8>, UpstreamFailed>);

struct Server {
    unbound: Child,
    folder: TempDir,
    tls_port: u16,
    https_port: u16,
}

impl Server {
    fn start() -> Option<Self> {
        if Command::new("unbound").arg("-V").output().is_err() {
            skip("unbound is not installed");
            return None;
        }
        let folder = TempDir::new().unwrap();
        certificate(folder.path());
        let [tls, https] = free_ports();
        let path = folder.path().display();
        let conf = format!(
            "server:\n directory: \"{path}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n\
             \x20use-syslog: no\n logfile: \"\"\n do-daemonize: no\n verbosity: 1\n num-threads: 1\n\
             \x20interface: 127.0.0.1@{tls}\n interface: 127.0.0.1@{https}\n\
             \x20tls-port: {tls}\n https-port: {https}\n\
             \x20tls-service-key: \"{path}/key.pem\"\n tls-service-pem: \"{path}/ca.pem\"\n\
             \x20local-zone: \"test.\" static\n local-data: \"good.test. 60 IN A 192.0.2.7\"\n\
             remote-control:\n control-enable: no\n"
        );
        std::fs::write(folder.path().join("unbound.conf"), conf).unwrap();
        std::fs::write(folder.path().join("ports"), format!("{tls} {https}")).unwrap();
        Some(Self::start_in(folder))
    }

    /// Starts it as it was configured in a folder, and waits until it serves.
    fn start_in(folder: TempDir) -> Self {
        let ports = std::fs::read_to_string(folder.path().join("ports")).unwrap();
        let mut ports = ports.split(' ').map(|port| port.parse().unwrap());
        let mut unbound = Command::new("unbound")
            .args(["-d", "-c"])
            .arg(folder.path().join("unbound.conf"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(unbound.stderr.take().unwrap());
        let (mut line, mut said) = (String::new(), String::new());
        while !line.contains("start of service") {
            line.clear();
            assert!(0 < log.read_line(&mut line).unwrap(), "unbound did not start:\n{said}");
            said += &line;
        }
        // Who does not read what it says makes it wait.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let (tls_port, https_port) = (ports.next().unwrap(), ports.next().unwrap());
        Self { unbound, folder, tls_port, https_port }
    }

    /// Starts asking it, as a policy might say it.
    fn ask_it(&self, upstream: &str) -> (Box<dyn SecureUpstream>, Receiver<Answered>) {
        let port = if upstream.starts_with("tls") { self.tls_port } else { self.https_port };
        let (sender, answers) = channel();
        let mut asker = start(self.folder.path(), sender);
        asker.turn_to(&upstream.replace("PORT", &port.to_string()).parse().unwrap());
        (asker, answers)
    }

    fn stop(mut self) -> TempDir {
        self.unbound.kill().unwrap();
        self.unbound.wait().unwrap();
        std::mem::replace(&mut self.folder, TempDir::new().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.unbound.kill();
        let _ = self.unbound.wait();
    }
}

fn start(folder: &Path, sender: std::sync::mpsc::Sender<Answered>) -> Box<dyn SecureUpstream> {
    let secure = SecureDns::new(&folder.join("ca.pem"), None).unwrap();
    let answers = Answers::new(move |id, answer| drop(sender.send((id, answer))));
    Box::new(secure).start(answers).unwrap()
}

/// A certificate for dns.test that is its own authority.
fn certificate(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["dns.test".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

/// Two that nobody listens at; both are held until both are known.
fn free_ports() -> [u16; 2] {
    let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[expect(clippy::print_stderr, reason = "a test that does not run says why")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

const PATIENCE: Duration = Duration::from_secs(10);
