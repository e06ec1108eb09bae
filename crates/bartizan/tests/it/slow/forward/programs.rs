//! Programs that people use: a web server with curl and a browser, dig, ping, traceroute, iperf3.

use std::fs;
use std::net::IpAddr;

use rcgen::{CertificateParams, KeyPair};

use crate::slow::forward::stage::{Place, SERVERS, Stage};
use crate::support::wait_for;

#[test]
fn pages_and_files_come_by_every_version_of_http_and_both_families() {
    let stage = Stage::build();
    let file = site(&stage);
    let authority = stage.folder().join("certificate.pem").display().to_string();
    for server in SERVERS {
        let at = match server {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let (plain, tls) = (format!("site.example:80:{at}"), format!("site.example:443:{at}"));
        let got = stage.folder().join("got").display().to_string();
        for (version, url, came) in [
            ("--http1.1", "http://site.example/file", "1.1 200"),
            ("--http1.1", "https://site.example/file", "1.1 200"),
            ("--http2", "https://site.example/file", "2 200"),
        ] {
            let curl =
                ["curl", "-sS", "--max-time", "20", "--noproxy", "*", "--cacert", &authority];
            let how = ["--resolve", &plain, "--resolve", &tls, "-o", &got, version, url];
            let said = stage.says(
                Place::App,
                &[&curl[..], &how, &["-w", "%{http_version} %{http_code}"]].concat(),
            );
            assert_eq!(said, came, "{server} {version} {url}");
            assert!(fs::read(&got).unwrap() == file, "{server} {version} {url}");
        }
    }
}

#[test]
fn a_browser_loads_a_page_by_http_2() {
    let stage = Stage::build();
    site(&stage);
    for server in SERVERS {
        let profile = tempfile::tempdir().unwrap();
        let rules = match server {
            IpAddr::V4(address) => format!("--host-resolver-rules=MAP site.example {address}"),
            IpAddr::V6(address) => format!("--host-resolver-rules=MAP site.example [{address}]"),
        };
        let folder = format!("--user-data-dir={}", profile.path().display());
        let said = stage.says(
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
                "--ignore-certificate-errors",
                "--virtual-time-budget=10000",
                &folder,
                &rules,
                "--dump-dom",
                "https://site.example/",
            ],
        );
        assert!(said.contains("loaded by h2 with 1000000 octets"), "{server}: {said}");
    }
}

#[test]
fn questions_over_udp_and_tcp_are_answered() {
    let stage = Stage::build();
    stage.start(
        Place::Server,
        &[
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--pid-file",
            "--user=root",
            "--bind-interfaces",
            "--listen-address=192.0.2.80,2001:db8:2::80",
            "--address=/site.example/192.0.2.80",
            "--address=/site.example/2001:db8:2::80",
        ],
    );
    for server in SERVERS {
        let server = format!("@{server}");
        for transport in ["+notcp", "+tcp"] {
            for (kind, answer) in [("A", "192.0.2.80"), ("AAAA", "2001:db8:2::80")] {
                let dig = [
                    "dig",
                    "+short",
                    "+tries=1",
                    "+time=2",
                    transport,
                    &server,
                    "site.example",
                    kind,
                ];
                wait_for(&format!("{server} {transport} {kind}"), || {
                    let output = stage.run(Place::App, &dig);
                    (String::from_utf8_lossy(&output.stdout).trim() == answer).then_some(())
                });
            }
        }
    }
}

#[test]
fn echoes_come_back_small_and_large() {
    let stage = Stage::build();
    for server in SERVERS {
        for size in ["16", "56", "1400", "4000"] {
            let ping = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-s", size];
            let said = stage.says(Place::App, &[&ping[..], &[&server.to_string()]].concat());
            assert!(said.contains(" 0% packet loss"), "{server}, {size} octets: {said}");
        }
    }
}

#[test]
fn a_route_can_be_traced() {
    let stage = Stage::build();
    for (server, first) in SERVERS.into_iter().zip(["198.51.100.1", "2001:db8:1::1"]) {
        let server = server.to_string();
        let ping = stage.run(Place::App, &["ping", "-n", "-c", "1", "-t", "1", "-W", "2", &server]);
        let said = String::from_utf8_lossy(&ping.stdout).into_owned();
        assert!(said.contains(first) && said.contains("exceeded"), "{said}");
        let trace =
            stage.says(Place::App, &["traceroute", "-n", "-q", "1", "-w", "2", "-m", "5", &server]);
        let last = trace.lines().last().unwrap_or_default();
        assert!(last.contains(&server), "{trace}");
    }
}

#[test]
fn bulk_flows_up_and_down_run_to_their_end() {
    let stage = Stage::build();
    stage.start(Place::Server, &["iperf3", "-s"]);
    for server in SERVERS {
        let server = server.to_string();
        for more in [&[][..], &["-R"], &["-P", "8"], &["-P", "8", "-R"]] {
            let iperf = ["iperf3", "-J", "-t", "1", "-c", &server];
            let words = [&iperf[..], more].concat();
            // Its server cannot say when it listens, nor when it is done with the one before.
            let said = wait_for(&format!("{words:?}"), || {
                let output = stage.run(Place::App, &words);
                let said = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok()?;
                // With -J it ends well even where nobody listens yet.
                let connected =
                    said["start"]["connected"].as_array().is_some_and(|all| !all.is_empty());
                (output.status.success() && connected).then_some(said)
            });
            let octets = said["end"]["sum_received"]["bytes"].as_f64();
            let octets = octets.unwrap_or_else(|| panic!("{words:?} said {said}"));
            assert!(1e6 < octets, "{words:?}: {octets} octets");
        }
    }
}

/// Starts nginx with a page and a file over HTTP/1.1, and over TLS with HTTP/2 too; returns the file.
fn site(stage: &Stage) -> Vec<u8> {
    let folder = stage.folder();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["site.example".to_owned()]).unwrap();
    fs::write(folder.join("certificate.pem"), certificate.self_signed(&key).unwrap().pem())
        .unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let root = folder.join("root");
    fs::create_dir(&root).unwrap();
    let mut file = Vec::new();
    crate::slow::forward::stream::Octets::new().write(&mut file, 1_000_000).unwrap();
    fs::write(root.join("file"), &file).unwrap();
    fs::write(root.join("index.html"), PAGE).unwrap();
    let at = folder.display().to_string();
    fs::write(folder.join("nginx.conf"), NGINX.replace("FOLDER", &at)).unwrap();
    let configuration = format!("{at}/nginx.conf");
    stage.start(
        Place::Server,
        &["nginx", "-p", &at, "-c", &configuration, "-e", "stderr", "-g", "daemon off;"],
    );
    wait_for("nginx listens", || {
        let listening = stage.says(Place::Server, &["ss", "-tlnH"]);
        (listening.contains(":443") && listening.contains(":80")).then_some(())
    });
    file
}

/// Loads a file by script, and says how it came.
pub(crate) const PAGE: &str = "<!doctype html><title>site</title><p>waiting</p><script>
fetch('/file').then(answer => answer.arrayBuffer()).then(octets => {
  const how = performance.getEntriesByType('navigation')[0].nextHopProtocol;
  document.body.textContent = `loaded by ${how} with ${octets.byteLength} octets`;
});
</script>
";
const NGINX: &str = "\
user root;
worker_processes 1;
pid FOLDER/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path FOLDER;
  proxy_temp_path FOLDER;
  fastcgi_temp_path FOLDER;
  uwsgi_temp_path FOLDER;
  scgi_temp_path FOLDER;
  default_type application/octet-stream;
  types { text/html html; }
  server {
    listen 0.0.0.0:80;
    listen [::]:80 ipv6only=on;
    listen 0.0.0.0:443 ssl http2;
    listen [::]:443 ssl http2 ipv6only=on;
    ssl_certificate FOLDER/certificate.pem;
    ssl_certificate_key FOLDER/key.pem;
    root FOLDER/root;
  }
}
";
