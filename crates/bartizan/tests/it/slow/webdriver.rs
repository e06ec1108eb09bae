//! As much of WebDriver (W3C) as the tests need: a headless Chromium, driven over HTTP.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::wait_for;

/// A browser with an empty profile.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn start(width: u32, height: u32, dark: bool) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed by `cargo xtask test`");
        let profile = tempfile::tempdir().unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, session: base.clone(), agent, _profile: profile };
        wait_for("chromedriver answers", || {
            browser.agent.get(format!("{base}/status")).call().ok().map(drop)
        });
        let mut arguments = vec![
            json!("--headless"),
            json!("--no-sandbox"),
            json!("--disable-gpu"),
            json!("--disable-quic"),
            json!("--disable-dev-shm-usage"),
            json!("--no-first-run"),
            json!("--no-proxy-server"),
            json!("--disable-background-networking"),
            json!("--disable-component-update"),
            json!("--disable-sync"),
            json!(format!("--user-data-dir={}", browser._profile.path().display())),
        ];
        if dark {
            arguments.push(json!("--blink-settings=preferredColorScheme=0"));
        }
        // A phone's width is below what a window may have: it takes device emulation.
        let options = json!({
            "args": arguments,
            "mobileEmulation": { "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0, "touch": false, "mobile": width < 500 } },
        });
        let session = browser.call(
            "POST",
            "/session",
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } }),
        );
        browser.session = format!("{base}/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    pub(crate) fn go(&self, url: &str) {
        self.call("POST", "/url", json!({ "url": url }));
    }

    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.call("POST", &format!("/element/{element}/value"), json!({ "text": text }));
    }

    pub(crate) fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.call("POST", &format!("/element/{element}/click"), json!({}));
    }

    /// Presses keys on whatever has the focus.
    pub(crate) fn press(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| {
                [
                    json!({ "type": "keyDown", "value": key }),
                    json!({ "type": "keyUp", "value": key }),
                ]
            })
            .collect();
        self.call(
            "POST",
            "/actions",
            json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        );
    }

    /// Runs a script's body and returns what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Gives the browser an authenticator that its owner has just unlocked (WebAuthn §11); returns its path.
    pub(crate) fn add_authenticator(&self) -> String {
        let id = self.call(
            "POST",
            "/webauthn/authenticator",
            json!({
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": true,
                "hasUserVerification": true,
                "isUserVerified": true,
                "isUserConsenting": true,
            }),
        );
        format!("/webauthn/authenticator/{}", id.as_str().unwrap())
    }

    /// Gives all passkeys of one browser's authenticator to another's, as makers do by an account.
    pub(crate) fn copy_passkeys(&self, from: &str, other: &Self, to: &str) {
        let there = self.call("GET", &format!("{from}/credentials"), Value::Null);
        for passkey in there.as_array().unwrap() {
            other.call("POST", &format!("{to}/credential"), passkey.clone());
        }
    }

    /// The text of the page as a person sees it.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) {
        wait_for(text, || self.text().contains(text).then_some(()));
    }

    pub(crate) fn screenshot(&self, file: &Path) {
        let picture = self.call("GET", "/screenshot", Value::Null);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, base64(picture.as_str().unwrap())).unwrap();
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let found = wait_for(selector, || {
            let reply = self.send(
                "POST",
                "/element",
                json!({ "using": "css selector", "value": selector }),
            );
            reply["value"].as_object().filter(|value| !value.contains_key("error")).cloned()
        });
        found.values().next().unwrap().as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let mut reply = self.send(method, path, body);
        assert!(reply["value"].get("error").is_none(), "{method} {path}: {reply}");
        reply["value"].take()
    }

    fn send(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let reply = match method {
            "GET" => self.agent.get(url).call(),
            "DELETE" => self.agent.delete(url).call(),
            _ => self.agent.post(url).content_type("application/json").send(body.to_string()),
        };
        serde_json::from_slice(
            &reply.unwrap().body_mut().with_config().limit(64 << 20).read_to_vec().unwrap(),
        )
        .unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if self.session.contains("/session/") {
            self.send("DELETE", "", Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn base64(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for character in text.bytes() {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(digit);
        held += 6;
        if 8 <= held {
            held -= 8;
            octets.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    octets
}
