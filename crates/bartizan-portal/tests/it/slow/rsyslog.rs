//! Debian's rsyslog, by TLS with certificates on both sides and by TCP: it reads what was meant, and misses nothing
//! while it is away.

use std::path::Path;
use std::process::{Command, Stdio};

use bartizan_contract::path;
use bartizan_model::UnixMillis;

use super::{Authority, Program, add_sink, wait_for, write};
use crate::world::{HOUR, NOW, OWN_PASSWORD, World, batch};

#[tokio::test]
async fn it_reads_cef_over_tls_and_gets_what_happened_while_it_was_away() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.signed();
    let port = {
        // Known, so that it can come back at the same place.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let config = config(folder.path(), port, Some((&authority.pem, &certificate, &key)));
    let rsyslog = start(folder.path(), &config, port).await;

    let mut browser = world.member(world.acme, "a@acme.test").await;
    let (own, own_key) = authority.signed();
    let port_text = port.to_string();
    let form = [
        ("channel", "syslog-cef"),
        ("name", "rsyslog"),
        ("host", "127.0.0.1"),
        ("port", &port_text),
        ("protection", "tls"),
        ("authorities", &authority.pem),
        ("certificate", &own),
        ("key", &own_key),
        ("kind", "alert.raised"),
        ("severity", "Informational"),
        ("allow_private", "on"),
        ("console_url", "https://portal.test"),
    ];
    let sink = add_sink(&browser, &form).await;
    let tested = browser.submit(&format!("{sink}/test"), &[]).await.text();
    for expected in ["The test was taken.", "TLSv1_", "Certificate with the SHA-256"] {
        assert!(tested.contains(expected), "{expected}: {tested}");
    }
    assert!(!tested.contains("PRIVATE KEY"), "{tested}");
    let device = world.device(world.acme, 1).await;
    device.post(path::ALERTS, &batch(0..3)).await;
    world.portal.tell_sinks().await.unwrap();
    let log = lines(folder.path(), 4).await;
    assert!(log[0].contains("|Test: Somebody tries this connection"), "{log:?}");
    let first = &log[1];
    let head = "portal.test~bartizan~alert.raised~[origin software=\"Bartizan\" swVersion=\"0.1.0\"][meta sequenceId=\"";
    assert!(first.starts_with(head), "{first}");
    assert!(
        first.contains("CEF:0|Bartizan|Bartizan|0.1.0|web.phishing.blocked|")
            && first.contains(" dhost=h0.test "),
        "{first}"
    );

    drop(rsyslog);
    device.post(path::ALERTS, &batch(3..6)).await;
    world.portal.tell_sinks().await.unwrap();
    let page = browser.get(&sink).await.text();
    assert!(page.contains("does not accept connections"), "{page}");
    let _rsyslog = start(folder.path(), &config, port).await;
    world.clock.set(UnixMillis(NOW.0 + HOUR / 4));
    world.portal.tell_sinks().await.unwrap();
    let log = lines(folder.path(), 7).await;
    let hosts: Vec<_> =
        log.iter().filter_map(|line| line.split(" dhost=").nth(1)?.split(' ').next()).collect();
    assert_eq!(hosts, ["h0.test", "h1.test", "h2.test", "h3.test", "h4.test", "h5.test"]);
    browser.sign_in("a@acme.test", OWN_PASSWORD).await;
    assert!(browser.get(&sink).await.text().contains("Delivers"));
}

#[tokio::test]
async fn an_unknown_authority_is_refused_and_its_certificate_shown() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.signed();
    let config = config(folder.path(), 0, Some((&authority.pem, &certificate, &key)));
    let _rsyslog = start(folder.path(), &config, 0).await;
    let port = std::fs::read_to_string(folder.path().join("port")).unwrap();
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let form = [
        ("channel", "syslog-ocsf"),
        ("name", "rsyslog"),
        ("host", "127.0.0.1"),
        ("port", port.trim()),
        ("protection", "tls"),
        ("authorities", &Authority::new().pem),
        ("kind", "alert.raised"),
        ("severity", "Informational"),
        ("allow_private", "on"),
    ];
    let sink = add_sink(&browser, &form).await;
    let tested = browser.submit(&format!("{sink}/test"), &[]).await.text();
    assert!(tested.contains("The test was not taken: TLS with 127.0.0.1 failed"), "{tested}");
    assert!(tested.contains("BEGIN CERTIFICATE"), "{tested}");
}

#[tokio::test]
async fn it_reads_ocsf_over_tcp() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let _rsyslog = start(folder.path(), &config(folder.path(), 0, None), 0).await;
    let port = std::fs::read_to_string(folder.path().join("port")).unwrap();
    let browser = world.member(world.acme, "a@acme.test").await;
    let form = [
        ("channel", "syslog-ocsf"),
        ("name", "rsyslog"),
        ("host", "127.0.0.1"),
        ("port", port.trim()),
        ("protection", "plain"),
        ("kind", "alert.raised"),
        ("severity", "Informational"),
        ("allow_private", "on"),
        ("allow_plain", "on"),
    ];
    add_sink(&browser, &form).await;
    let device = world.device(world.acme, 1).await;
    for start in [0, 50] {
        assert_eq!(device.post(path::ALERTS, &batch(start..start + 50)).await.status, 200);
    }
    world.portal.tell_sinks().await.unwrap();
    world.portal.tell_sinks().await.unwrap();
    for line in lines(folder.path(), 100).await {
        let (_, json) = line.split_once('{').unwrap();
        let event: serde_json::Value = serde_json::from_str(&format!("{{{json}")).unwrap();
        assert_eq!(event["class_uid"], 2004);
    }
}

/// Writes a configuration that logs the parts of each message.
fn config(folder: &Path, port: u16, tls: Option<(&str, &str, &str)>) -> String {
    let at = folder.to_str().unwrap();
    let (global, module) = match tls {
        None => (String::new(), String::new()),
        Some((authority, certificate, key)) => {
            let ca = write(folder, "ca.pem", authority);
            let certificate = write(folder, "cert.pem", certificate);
            let key = write(folder, "key.pem", key);
            (
                format!(
                    "defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{ca}\" \
                     defaultNetstreamDriverCertFile=\"{certificate}\" defaultNetstreamDriverKeyFile=\"{key}\""
                ),
                "streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\""
                    .to_owned(),
            )
        }
    };
    format!(
        "global(workDirectory=\"{at}\" maxMessageSize=\"64k\" {global})\n\
         module(load=\"imtcp\" {module})\n\
         input(type=\"imtcp\" port=\"{port}\" listenPortFileName=\"{at}/port\")\n\
         template(name=\"parts\" type=\"string\" string=\"%hostname%~%app-name%~%msgid%~%structured-data%~%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{at}/log\" template=\"parts\")\n"
    )
}

async fn start(folder: &Path, config: &str, port: u16) -> Program {
    let config = write(folder, "rsyslog.conf", config);
    let _ = std::fs::remove_file(folder.join("port"));
    let child = Command::new("/usr/sbin/rsyslogd")
        .args(["-n", "-f", &config, "-i"])
        .arg(folder.join("pid"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let program = Program(child);
    let port = match port {
        // It writes down what it was given by chance alone.
        0 => {
            let port = wait_for("rsyslog listens", || {
                let port = std::fs::read_to_string(folder.join("port")).ok()?;
                port.trim().parse::<u16>().ok()
            });
            port.await
        }
        known => known,
    };
    wait_for("rsyslog answers", || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
    program
}

async fn lines(folder: &Path, count: usize) -> Vec<String> {
    wait_for("the log", || {
        let log = std::fs::read_to_string(folder.join("log")).ok()?;
        let lines: Vec<_> = log.lines().map(str::to_owned).collect();
        (count <= lines.len()).then_some(lines)
    })
    .await
}
