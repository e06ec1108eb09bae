//! A mail server, aiosmtpd: STARTTLS and TLS, signing in, digests, and that Python's own parser reads what was meant.
//!
//! `BARTIZAN_TEST_PYTHON` names a Python that has it (`cargo xtask test` makes one).

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Command, Stdio};

use bartizan_contract::path;
use bartizan_model::UnixMillis;
use serde_json::Value;

use super::{Authority, Program, add_sink, write};
use crate::world::{HOUR, NOW, World, batch};

#[tokio::test]
async fn a_mail_server_takes_single_events_and_digests() {
    let world = World::new().await;
    let mut server = Server::start("starttls");
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let port = server.port.clone();
    let form = form("starttls", &port, &server.authority.pem, "5");
    let sink = add_sink(&browser, &form).await;
    let tested = browser.submit(&format!("{sink}/test"), &[]).await.text();
    for expected in ["The test was taken.", "STARTTLS", "AUTH PLAIN •••", "250 kept"] {
        assert!(tested.contains(expected), "{expected}: {tested}");
    }
    assert!(!tested.contains("secret word"), "{tested}");
    let mail = server.next();
    assert_eq!(mail["from"], "bartizan@example.test");
    assert_eq!(mail["to"], serde_json::json!(["soc@example.test", "lead@example.test"]));
    assert_eq!(
        mail["subject"],
        "[Informational] Test: Somebody tries this connection. Nothing happened."
    );

    let device = world.device(world.acme, 1).await;
    device.post(path::ALERTS, &batch(0..1)).await;
    world.portal.tell_sinks().await.unwrap();
    let mail = server.next();
    assert!(mail["subject"].as_str().unwrap().contains("h0.test"), "{mail}");
    assert!(mail["text"].as_str().unwrap().contains("Device: Phone"), "{mail}");
    assert!(mail["html"].as_str().unwrap().contains("<td>Phone</td>"), "{mail}");

    device.post(path::ALERTS, &batch(1..30)).await;
    world.portal.tell_sinks().await.unwrap();
    world.clock.set(UnixMillis(NOW.0 + HOUR / 6));
    world.portal.tell_sinks().await.unwrap();
    let mail = server.next();
    assert_eq!(mail["subject"], "29 events at ACME");
    assert!(mail["text"].as_str().unwrap().contains("and 9 more"), "{mail}");
}

#[tokio::test]
async fn who_may_not_sign_in_is_told_so_and_tls_from_the_start_works() {
    let world = World::new().await;
    let mut server = Server::start("tls");
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let port = server.port.clone();
    let form = form("tls", &port, &server.authority.pem, "0");
    let wrong: Vec<_> = form
        .iter()
        .map(|(name, value)| match *name {
            "password" => (*name, "another"),
            "name" => (*name, "wrong"),
            _ => (*name, *value),
        })
        .collect();
    let sink = add_sink(&browser, &wrong).await;
    let tested = browser.submit(&format!("{sink}/test"), &[]).await.text();
    assert!(tested.contains("The test was not taken: 127.0.0.1 says 535"), "{tested}");
    let sink = add_sink(&browser, &form).await;
    let tested = browser.submit(&format!("{sink}/test"), &[]).await.text();
    assert!(tested.contains("The test was taken."), "{tested}");
    server.next();
}

fn form<'a>(
    protection: &'a str,
    port: &'a str,
    authority: &'a str,
    digest: &'a str,
) -> [(&'a str, &'a str); 14] {
    [
        ("channel", "email"),
        ("name", "mail"),
        ("host", "127.0.0.1"),
        ("port", port),
        ("protection", protection),
        ("authorities", authority),
        ("user", "kim"),
        ("password", "secret word"),
        ("from", "bartizan@example.test"),
        ("to", "soc@example.test\nlead@example.test"),
        ("kind", "alert.raised"),
        ("severity", "Informational"),
        ("digest", digest),
        ("allow_private", "on"),
    ]
}

struct Server {
    port: String,
    authority: Authority,
    said: BufReader<ChildStdout>,
    _program: Program,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let (certificate, key) = authority.signed();
        let python = std::env::var_os("BARTIZAN_TEST_PYTHON").expect("a Python that has aiosmtpd");
        let mut child = Command::new(python)
            .args(["-c", SERVER, mode])
            .arg(write(folder.path(), "cert.pem", &certificate))
            .arg(write(folder.path(), "key.pem", &key))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self {
            port: String::new(),
            authority,
            said,
            _program: Program(child),
            _folder: folder,
        };
        server.port = server.next().to_string();
        server
    }

    /// Returns what it says next: its port first, then what it has got.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }
}

const SERVER: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

mode, cert, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)

class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
        }), flush=True)
        return "250 kept"

def authenticator(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"kim", b"secret word"), handled=False)

def server():
    starttls = mode == "starttls"
    return SMTP(Handler(), hostname="mail.test", tls_context=context if starttls else None,
                require_starttls=starttls, authenticator=authenticator, auth_required=True,
                auth_require_tls=starttls)

async def main():
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, "127.0.0.1", 0, ssl=None if mode == "starttls" else context)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()

asyncio.run(main())
"#;
