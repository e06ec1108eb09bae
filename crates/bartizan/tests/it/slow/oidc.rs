//! Signing in by a real OpenID provider: npm's `oidc-provider`, over HTTP, with a browser of our own that has cookies and
//! follows redirects one at a time, so that each step can be tampered with.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::slow::browser::screenshot;
use crate::slow::webdriver::Browser;
use crate::support::PortalProcess;

#[test]
fn people_sign_in_by_the_provider_with_the_roles_of_their_groups() {
    let mut world = World::new();
    world.provider.tell(&json!({ "groups": { "alice": ["soc", "staff"], "bob": ["staff"] } }));
    let portal = world.portal.url.clone();

    let mut alice = Web::default();
    let page = alice.get(&format!("{portal}/sign-in/at/acme"));
    assert!(page.body.contains("ACME ID"), "{}", page.body);
    let back = alice.there_and_back(&portal, "alice");
    let page = alice.get(&back);
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("url=/devices"), "{}", page.body);
    assert_eq!(alice.get(&format!("{portal}/devices")).status, 200);
    // An analyst may not see people, until her groups say so.
    assert_eq!(alice.get(&format!("{portal}/people")).status, 403);
    world.provider.tell(&json!({ "groups": { "alice": ["admins"] } }));
    alice.sign_in(&portal, "alice");
    let people = alice.get(&format!("{portal}/people"));
    assert!(people.body.contains("alice@acme.test"), "{}", people.body);
    let sessions = alice.get(&format!("{portal}/sessions"));
    assert!(sessions.body.contains("by the organization"), "{}", sessions.body);
    for (action, name) in [
        ("member.provision", "Person added by the provider"),
        ("member.roles", "Roles of a person changed"),
        ("identity-provider.change", "Provider for signing in changed"),
    ] {
        let audit = alice.get(&format!("{portal}/audit?action={action}"));
        assert!(audit.body.contains(name), "{action}: {}", audit.body);
        assert!(!audit.body.contains(SECRET), "{action}");
    }

    // None of his groups gives a role.
    let mut bob = Web::default();
    let back = bob.there_and_back(&portal, "bob");
    assert_refused(&bob.get(&back));
    // The ordinary page leads here by the domain of an address, whoever it is.
    let found = bob.post(
        &format!("{portal}/sign-in/find"),
        &[("email", "nobody@acme.test"), ("next", "/devices")],
    );
    assert_eq!(found.location.as_deref(), Some("/sign-in/at/acme?next=/devices"));
    let found = bob.post(&format!("{portal}/sign-in/find"), &[("email", "x@other.test")]);
    assert_eq!(found.status, 404);
}

#[test]
fn an_answer_that_was_tampered_with_is_refused() {
    let mut world = World::new();
    world.provider.tell(&json!({ "groups": { "alice": ["soc"] } }));
    let portal = world.portal.url.clone();

    // Another nonce: the ID token is not for this sign-in.
    let mut web = Web::default();
    let back = web.tampered(&portal, "alice", |url| replaced(url, "nonce", "another"));
    assert_refused(&web.get(&back));
    // Another state: the answer is to another question.
    let mut web = Web::default();
    let back = web.there_and_back(&portal, "alice");
    assert_refused(&web.get(&replaced(&back, "state", "another")));
    // The question is over with its first answer.
    assert_refused(&web.get(&back));
    // Another issuer, or none.
    for issuer in ["https://evil.test", ""] {
        let mut web = Web::default();
        let back = web.there_and_back(&portal, "alice");
        let other = replaced(&back, "iss", issuer).replace("&iss=&", "&");
        assert_refused(&web.get(other.trim_end_matches("&iss=")));
    }
    // Another browser than the one that asked.
    let mut web = Web::default();
    let back = web.there_and_back(&portal, "alice");
    assert_refused(&Web::default().get(&back));
    // A code is good once, also for who kept the cookie.
    let kept = web.clone();
    assert_eq!(web.get(&back).status, 200);
    let mut again = kept;
    assert_refused(&again.get(&back));
    // Another verifier than the challenge was made of.
    let mut web = Web::default();
    let back = web.tampered(&portal, "alice", |url| {
        replaced(url, "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    });
    assert_refused(&web.get(&back));
    // The person changed their mind at the provider.
    let mut web = Web::default();
    let back = web.tampered(&portal, "", str::to_owned);
    assert!(back.contains("error=access_denied"), "{back}");
    assert_refused(&web.get(&back));
    // Nobody was let in by any of these.
    assert_eq!(web.get(&format!("{portal}/devices")).status, 303);
}

#[test]
fn the_provider_takes_another_key_and_ends_sessions() {
    let mut world = World::new();
    world.provider.tell(&json!({ "groups": { "alice": ["soc"], "carol": ["soc"] } }));
    let portal = world.portal.url.clone();
    let devices = format!("{portal}/devices");
    let mut alice = Web::default();
    alice.sign_in(&portal, "alice");

    world.provider.tell(&json!({ "rotate": true }));
    let mut carol = Web::default();
    carol.sign_in(&portal, "carol");
    assert_eq!((alice.get(&devices).status, carol.get(&devices).status), (200, 200));

    // Carol signs out at the provider, which tells the portal before it answers her.
    let issuer = world.provider.issuer.clone();
    let page = carol.get(&format!("{issuer}/session/end"));
    let xsrf = between(&page.body, "name=\"xsrf\" value=\"", "\"").to_owned();
    let done =
        carol.post(&format!("{issuer}/session/end/confirm"), &[("xsrf", &xsrf), ("logout", "yes")]);
    assert!(done.status < 400, "{}", done.body);
    assert_eq!((alice.get(&devices).status, carol.get(&devices).status), (200, 303));

    // What is no logout token ends nothing.
    let channel = format!("{portal}/sign-in/back-channel/acme");
    for token in ["", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."] {
        assert_eq!(alice.post(&channel, &[("logout_token", token)]).status, 400, "{token}");
    }
    assert_eq!(alice.get(&devices).status, 200);
}

/// As an administrator sees it in Chromium, with an authenticator that is not ours: `oathtool`.
#[test]
fn a_second_factor_is_set_up_and_asked_for_in_the_browser() {
    let world = World::new();
    let portal = world.portal.url.clone();
    let browser = Browser::start(1_280, 900, false);
    let show = |browser: &Browser, path: &str, text: &str, name: &str| {
        browser.go(&format!("{portal}{path}"));
        browser.wait_for_text(text);
        browser.screenshot(&screenshot(name));
        let fits = browser.run("return document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(fits, true, "{name}: {}", browser.text());
    };
    show(&browser, "/sign-in", "Sign in with your organization", "sign-in");
    show(&browser, "/sign-in/at/acme", "Sign in with", "sign-in-organization");
    show(&browser, "/sign-in/callback", "You were not signed in", "sign-in-refused");
    let password = || {
        browser.go(&format!("{portal}/sign-in"));
        browser.type_into("input[name='email']", "admin@example.test");
        browser.type_into("input[name='password']", world.portal.password());
        browser.click("button[type='submit']");
    };
    password();
    browser.wait_for_text("Alerts");
    show(&browser, "/sign-in-settings", "Roles by group", "sign-in-settings");
    show(&browser, "/second-factor", "Scan this", "second-factor");
    let key = browser.run("return document.querySelector('main code').innerText");
    let key = key.as_str().unwrap().to_owned();
    browser.type_into("input[name='code']", &oathtool(&key, "now"));
    browser.click("main form button[type='submit']");
    browser.wait_for_text("recovery codes let you in");
    browser.screenshot(&screenshot("second-factor-codes"));
    show(&browser, "/second-factor", "10 recovery codes left", "second-factor-set-up");
    browser.go(&format!("{portal}/people"));
    let person =
        browser.run("return document.querySelector(\"main a[href^='/people/']\").pathname");
    let theirs = format!("{}/sign-in", person.as_str().unwrap());
    show(&browser, &theirs, "Break-glass account", "person-sign-in");

    browser.click("button[title='Sign out']");
    browser.wait_for_text("Sign in to the console");
    password();
    browser.wait_for_text("Enter your code");
    browser.screenshot(&screenshot("sign-in-code"));
    // A step ahead, which is still taken: the present one was used.
    browser.type_into("input[name='code']", &oathtool(&key, "now + 30 seconds"));
    browser.click("button[type='submit']");
    browser.wait_for_text("Alerts");

    let phone = Browser::start(390, 844, true);
    show(&phone, "/sign-in/at/acme", "Sign in with", "phone-sign-in-organization");
    phone.go(&format!("{portal}/sign-in/at/acme/go?next=/sessions"));
    phone.type_into("input[name='login']", "admin-of-acme");
    phone.type_into("input[name='password']", "any");
    phone.click("button[type='submit']");
    phone.wait_for_text("Continue");
    phone.click("button[type='submit']");
    // None of their groups gives a role.
    phone.wait_for_text("You were not signed in");
}

/// The present code of a key, by a program that is not ours.
fn oathtool(key: &str, when: &str) -> String {
    let key = key.replace(' ', "");
    let output =
        Command::new("oathtool").args(["--totp", "--base32", "--now", when, &key]).output();
    let output = output.expect("oathtool is installed by `cargo xtask test`");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Everything that fails looks alike.
#[track_caller]
fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, 401, "{}", reply.body);
    assert!(reply.body.contains("You were not signed in."), "{}", reply.body);
}

/// A portal whose organization signs in by a provider.
struct World {
    portal: PortalProcess,
    provider: Provider,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let portal = PortalProcess::start(
            &folder.path().join("portal"),
            &["--private-addresses", "allowed"],
        );
        let provider = Provider::start(&portal.url);
        let mut admin = Web::default();
        let form = [("email", "admin@example.test"), ("password", portal.password())];
        let done = admin.post(&format!("{}/sign-in", portal.url), &form);
        assert_eq!(done.status, 303, "{}", done.body);
        let form = [
            ("name", "ACME ID"),
            ("address", "acme"),
            ("issuer", &provider.issuer),
            ("client_id", "bartizan"),
            ("client_secret", SECRET),
            ("scopes", "openid email profile"),
            ("group_claim", "groups"),
            ("domains", "acme.test"),
            ("admits_unknown", "on"),
            ("allow_private", "on"),
            ("enabled", "on"),
            ("group", "soc"),
            ("role", "analyst"),
            ("group", "admins"),
            ("role", "administrator"),
        ];
        let settings = format!("{}/sign-in-settings", portal.url);
        let refused: Vec<_> =
            form.into_iter().filter(|(name, _)| *name != "allow_private").collect();
        let told = admin.post(&settings, &refused);
        assert!(told.status == 422 && told.body.contains("begins with https://"), "{}", told.body);
        let saved = admin.post(&settings, &form);
        assert_eq!(saved.location.as_deref(), Some("/sign-in-settings?done=saved"));
        let page = admin.get(&settings);
        assert!(page.body.contains("One is kept.") && !page.body.contains(SECRET));
        Self { portal, provider, _folder: folder }
    }
}

/// The provider, a process of node.
struct Provider {
    issuer: String,
    child: Child,
    stdin: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Provider {
    fn start(portal: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc-provider");
        let mut child = Command::new("node")
            .args(["provider.mjs", portal, "bartizan", SECRET, "acme"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is installed by `cargo xtask test`");
        let stdin = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut provider = Self { issuer: String::new(), child, stdin, answers };
        let told = provider.answer();
        provider.issuer = told["issuer"].as_str().unwrap().to_owned();
        provider
    }

    fn tell(&mut self, message: &Value) {
        writeln!(self.stdin, "{message}").unwrap();
        self.answer();
    }

    /// The provider's own words on the same output are left out.
    fn answer(&mut self) -> Value {
        let mut line = String::new();
        while !line.starts_with('{') {
            line.clear();
            let length = self.answers.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "the provider starts once `cargo xtask test` has installed it");
        }
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser without scripts.
#[derive(Clone, Default)]
struct Web {
    /// By the part of the address before the path.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

struct Reply {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Web {
    fn sign_in(&mut self, portal: &str, who: &str) {
        let back = self.there_and_back(portal, who);
        let page = self.get(&back);
        assert_eq!(page.status, 200, "{}", page.body);
    }

    /// Returns where the provider leads back to.
    fn there_and_back(&mut self, portal: &str, who: &str) -> String {
        self.tampered(portal, who, str::to_owned)
    }

    /// The same, with something done to the way there. Without a name the person cancels.
    fn tampered(&mut self, portal: &str, who: &str, tamper: impl Fn(&str) -> String) -> String {
        let away = self.get(&format!("{portal}/sign-in/at/acme/go?next=/devices"));
        let mut url = tamper(&away.location.expect("the provider's address"));
        for _ in 0..20 {
            if url.starts_with(&format!("{portal}/sign-in/callback")) {
                return url;
            }
            let reply = self.get(&url);
            let reply = match &reply.location {
                Some(_) => reply,
                None if who.is_empty() => {
                    let abort = format!("{}/abort", url.split('?').next().unwrap());
                    self.get(&abort)
                }
                None => {
                    let prompt = between(&reply.body, "name=\"prompt\" value=\"", "\"");
                    let form = [("prompt", prompt), ("login", who), ("password", "any")];
                    self.post(&url, &form)
                }
            };
            let next = reply.location.unwrap_or_else(|| panic!("{url}: {}", reply.body));
            url = if next.starts_with('/') { origin(&url) + &next } else { next };
        }
        panic!("the provider leads on and on");
    }

    fn get(&mut self, url: &str) -> Reply {
        let request = agent().get(url).header("accept", "text/html");
        let request = request.header("cookie", self.cookies(url));
        self.keep(url, request.call().unwrap())
    }

    fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Reply {
        let request = agent()
            .post(url)
            .header("accept", "text/html")
            .header("sec-fetch-site", "same-origin")
            .header("cookie", self.cookies(url));
        self.keep(url, request.send_form(form.iter().copied()).unwrap())
    }

    fn cookies(&self, url: &str) -> String {
        let cookies = self.cookies.get(&origin(url)).into_iter().flatten();
        cookies.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, url: &str, mut reply: ureq::http::Response<ureq::Body>) -> Reply {
        let cookies = self.cookies.entry(origin(url)).or_default();
        for cookie in reply.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = reply.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let body = reply.body_mut().read_to_string().unwrap();
        Reply { status: reply.status().as_u16(), location, body }
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

fn origin(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/")
}

/// The address with another value of one of its parameters.
fn replaced(url: &str, name: &str, value: &str) -> String {
    let (path, query) = url.split_once('?').unwrap();
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((found, _)) if found == name => format!("{name}={value}"),
        Some(_) | None => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} not in {text}"));
    rest.split_once(after).unwrap().0
}

const SECRET: &str = "secret-of-the-client";
