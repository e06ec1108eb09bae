//! QUIC with a client and a server that know nothing of the tunnel: aioquic, in a virtual environment that
//! `cargo xtask test` makes, and Chromium.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde_json::Value;

use crate::slow::forward::stage::{Place, SERVERS, Stage};
use crate::slow::forward::stream::Octets;
use crate::support::wait_for;

#[test]
fn files_come_and_go_by_http_3_over_both_families() {
    let site = Site::open();
    let file = site.path("root/file");
    let sent = fs::read(&file).unwrap();
    let got = site.path("got");
    for server in SERVERS {
        for more in [&["--send", file.as_str()][..], &[], &["--protocols", MANY]] {
            let said = site.ask(server, UNLISTED, &[&["--out", got.as_str()], more].concat());
            assert_eq!((&said["status"], &said["closed"]), (&200.into(), &Value::Null), "{said}");
            assert!(fs::read(&got).unwrap() == sent, "{server} {more:?}: {said}");
        }
    }
    let status = site.stage.status();
    assert_eq!(status["stopped"], serde_json::json!({}), "{status}");
}

#[test]
fn the_connection_to_a_listed_host_is_given_up_at_once() {
    let site = Site::open();
    let mut stopped = 0;
    for server in SERVERS {
        for (what, datagrams, more) in [
            ("a hello in one datagram", 1, &[][..]),
            ("one in two", 2, &["--protocols", MANY]),
            // The server has answered the first by then, and the client writes to the id that it chose.
            ("one whose end comes later", 3, &["--protocols", MANY, "--lose", "2"]),
        ] {
            let said = site.ask(server, LISTED, more);
            assert_eq!(said["closed"], CONNECTION_REFUSED, "{server}, {what}: {said}");
            assert!(said["seconds"].as_f64().unwrap() < 1.0, "{server}, {what}: {said}");
            assert!(said["sent"].as_u64().unwrap() >= datagrams, "{server}, {what}: {said}");
            stopped += 1;
            let status = site.stage.status();
            assert!(status["stopped"]["datagrams"].as_u64() >= Some(stopped), "{status}");
        }
    }
}

#[test]
fn a_browser_loads_a_page_by_http_3() {
    let site = Site::open();
    for server in SERVERS {
        let profile = tempfile::tempdir().unwrap();
        let address = match server {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let said = site.stage.says(
            Place::App,
            &[
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--no-proxy-server",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--virtual-time-budget=10000",
                &format!("--origin-to-force-quic-on={UNLISTED}:443"),
                &format!("--ignore-certificate-errors-spki-list={}", site.key_hash),
                &format!("--user-data-dir={}", profile.path().display()),
                &format!("--host-resolver-rules=MAP {UNLISTED} {address}"),
                "--dump-dom",
                &format!("https://{UNLISTED}/"),
            ],
        );
        assert!(said.contains("loaded by h3 with 4000000 octets"), "{server}: {said}");
    }
}

/// A stage with a site on it, whose forwarder holds one name.
struct Site {
    stage: Stage,
    /// What a browser is told to trust.
    key_hash: String,
}

impl Site {
    fn open() -> Self {
        let stage = Stage::with_listed(LISTED);
        let key = KeyPair::generate().unwrap();
        let names = [LISTED, UNLISTED].map(str::to_owned);
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let hash = <sha2::Sha256 as sha2::Digest>::digest(key.subject_public_key_info());
        let site = Self { stage, key_hash: BASE64.encode(hash) };
        fs::create_dir(site.path("root")).unwrap();
        let mut file = Vec::new();
        Octets::new().write(&mut file, 4_000_000).unwrap();
        fs::write(site.path("certificate.pem"), certificate.pem()).unwrap();
        fs::write(site.path("key.pem"), key.serialize_pem()).unwrap();
        fs::write(site.path("root/file"), file).unwrap();
        fs::write(site.path("root/index.html"), super::programs::PAGE).unwrap();
        let files = ["certificate.pem", "key.pem", "root"].map(|name| site.path(name));
        let [certificate, key, root] = &files;
        let (python, server) = (PYTHON, script("server.py"));
        site.stage.start(Place::Server, &[python, &server, certificate, key, root]);
        wait_for("the server listens", || {
            site.stage.says(Place::Server, &["ss", "-ulnH"]).contains(":443").then_some(())
        });
        site
    }

    /// Has the client make a request; returns how it went.
    #[track_caller]
    fn ask(&self, server: IpAddr, host: &str, more: &[&str]) -> Value {
        let (client, server) = (script("client.py"), server.to_string());
        let authority = self.path("certificate.pem");
        let words = [PYTHON, &client, &server, host, "/file", "--authority", &authority];
        serde_json::from_str(&self.stage.says(Place::App, &[&words[..], more].concat())).unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.stage.folder().join(name).display().to_string()
    }
}

fn script(name: &str) -> String {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/quic"))
        .join(name)
        .display()
        .to_string()
}

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/quic/bin/python");
const LISTED: &str = "listed.example";
const UNLISTED: &str = "site.example";
/// So many protocols do not fit one datagram.
const MANY: &str = "80";
/// RFC 9000 §20.1.
const CONNECTION_REFUSED: u64 = 2;
