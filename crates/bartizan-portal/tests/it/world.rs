//! A portal with two tenants, a device that speaks the contract, and a browser.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use bartizan_contract::alerts::{AlertBatch, AlertReport};
use bartizan_contract::dpop;
use bartizan_contract::enroll::{
    EnrollReply, EnrollRequest, EnrollmentToken, Installation, Platform,
};
use bartizan_contract::keys::Jwk;
use bartizan_contract::path;
use bartizan_contract::problem::Problem;
use bartizan_contract::report::{SiteReport, kind};
use bartizan_contract::token::{TokenReply, TokenRequest, assertion};
use bartizan_indicators::compile::Compiled;
use bartizan_model::{
    Alert, AlertId, Detector, DeviceId, DomainName, IndicatorCategory, TenantId, UnixMillis,
};
use bartizan_portal::{Clock, Portal, PortalConfig, Published, Reach};
use p256::ecdsa::SigningKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const HOUR: u64 = 3_600_000;
pub(crate) const OWN_PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) portal: Portal,
    pub(crate) clock: Clock,
    pub(crate) acme: TenantId,
    pub(crate) globex: TenantId,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::chosen(|_| {}).await
    }

    pub(crate) async fn within(reach: Reach) -> Self {
        Self::chosen(|config| config.reach = reach).await
    }

    /// A portal that is set up in another way than the usual one.
    pub(crate) async fn chosen(choose: impl FnOnce(&mut PortalConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(NOW);
        let mut config = PortalConfig::new(dir.path().join("data"));
        // Servers of tests are on this machine.
        config.reach.private_addresses = true;
        choose(&mut config);
        let portal = Portal::open_at(config, clock.clone()).await.unwrap();
        let acme = portal.create_tenant("ACME").await.unwrap();
        let globex = portal.create_tenant("GLOBEX").await.unwrap();
        Self { dir, portal, clock, acme, globex }
    }

    /// The portal of a data folder that another one has closed.
    pub(crate) async fn reopen(dir: &std::path::Path) -> Portal {
        let reach = Reach { private_addresses: true, ..Reach::default() };
        let config = PortalConfig { reach, ..PortalConfig::new(dir.join("data")) };
        Portal::open_at(config, Clock::fixed(NOW)).await.unwrap()
    }

    pub(crate) fn advance(&self, by_ms: u64) {
        self.clock.set(UnixMillis(self.clock.now().0 + by_ms));
    }

    pub(crate) async fn token(&self, tenant: TenantId) -> EnrollmentToken {
        let hour = Duration::from_secs(3_600);
        self.portal.create_enrollment_token(tenant, hour).await.unwrap()
    }

    /// A device that has enrolled and holds an access token.
    pub(crate) async fn device(&self, tenant: TenantId, number: u8) -> Device {
        let mut device = self.stranger(number);
        let token = self.token(tenant).await;
        let reply: EnrollReply = device.enroll(&token.to_string()).await.json();
        device.id = reply.device_id.parse().unwrap();
        device.signing_key = Some(reply.signing_key);
        device.sign_in().await;
        device
    }

    /// A device that has not enrolled.
    pub(crate) fn stranger(&self, number: u8) -> Device {
        Device {
            router: self.portal.router(),
            clock: self.clock.clone(),
            key: SigningKey::from_slice(&[number; 32]).unwrap(),
            id: DeviceId(0),
            signing_key: None,
            access_token: String::new(),
        }
    }

    pub(crate) async fn publish(&self, tenant: TenantId, name: &str) -> Published {
        let listed = [(name.parse().unwrap(), IndicatorCategory::Phishing)];
        self.portal.publish_indicators(tenant, Compiled::of(&listed), "{}".into()).await.unwrap()
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { router: self.portal.router(), cookie: String::new() }
    }

    /// A browser of a member who has chosen their own password.
    pub(crate) async fn member(&self, tenant: TenantId, email: &str) -> Browser {
        let password = self.portal.create_administrator(tenant, email).await.unwrap();
        let mut browser = self.browser();
        assert_eq!(browser.sign_in(email, &password.to_string()).await.status, 303);
        assert_eq!(browser.choose("", OWN_PASSWORD).await.status, 303);
        browser
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{:?}", self.body);
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert_ne!(problem.server_time_ms, 0);
        (problem.status, problem.code)
    }
}

pub(crate) async fn call(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    assert!(parts.headers.contains_key("content-security-policy"), "headers are on everything");
    Answer { status: parts.status, headers: parts.headers, body }
}

#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) key: SigningKey,
    pub(crate) id: DeviceId,
    pub(crate) signing_key: Option<Jwk>,
    pub(crate) access_token: String,
}

impl Device {
    pub(crate) async fn enroll(&self, token: &str) -> Answer {
        self.enroll_as(token, "18.1", None).await
    }

    /// Asks to be let in with a version of iOS, and what it says of its installation.
    pub(crate) async fn enroll_as(
        &self,
        token: &str,
        os_version: &str,
        installation: Option<Installation>,
    ) -> Answer {
        let request = self.enrollment(token, os_version, installation);
        self.send("POST", path::ENROLL, None, json(&request)).await
    }

    /// What it says to be let in.
    pub(crate) fn enrollment(
        &self,
        token: &str,
        os_version: &str,
        installation: Option<Installation>,
    ) -> EnrollRequest {
        EnrollRequest {
            enrollment_token: token.into(),
            device_key: Jwk::from_device_key(self.key.verifying_key()),
            platform: Platform {
                os: "iOS".into(),
                os_version: os_version.into(),
                model: "iPhone17,3".into(),
                device_name: "Phone".into(),
                app_version: "0.1.0".into(),
            },
            installation,
            attestation: None,
        }
    }

    pub(crate) async fn ask_for_token(&self) -> Answer {
        let request = TokenRequest::new(assertion(self.id, &self.key, self.clock.now()));
        self.send("POST", path::TOKEN, None, json(&request)).await
    }

    pub(crate) async fn sign_in(&mut self) {
        let reply: TokenReply = self.ask_for_token().await.json();
        assert_eq!((reply.token_type.as_str(), reply.expires_in), ("DPoP", 600));
        self.access_token = reply.access_token;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(&self.access_token), Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, message: &impl Serialize) -> Answer {
        self.send("POST", path, Some(&self.access_token), json(message)).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> Answer {
        call(&self.router, self.request(method, path, token, body)).await
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> Request<Body> {
        let url = format!("https://portal.test{path}");
        let request = dpop::Request { method, url: &url, access_token: token };
        let proof = dpop::prove(request, &self.key, self.clock.now(), nonce());
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "portal.test")
            .header("dpop", proof);
        if let Some(token) = token {
            builder = builder.header("authorization", format!("DPoP {token}"));
        }
        builder.body(Body::from(body)).unwrap()
    }
}

pub(crate) struct Browser {
    pub(crate) router: Router,
    pub(crate) cookie: String,
}

impl Browser {
    pub(crate) async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }

    pub(crate) async fn choose(&mut self, current: &str, new: &str) -> Answer {
        let form = [("current", current), ("new", new), ("repeat", new), ("next", "/alerts")];
        self.post("/password", &form).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", "portal.test");
        let request = request.header("cookie", &self.cookie).header("accept", "text/html");
        call(&self.router, request.body(Body::empty()).unwrap()).await
    }

    /// Sends a form as a program would, and keeps the cookie.
    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(path, form, "application/json").await
    }

    /// Sends a form as the portal's own page does, and keeps the cookie.
    pub(crate) async fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(path, form, "text/html").await
    }

    /// Sends a body that is no simple form.
    pub(crate) async fn bring(&self, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        let request = Request::post(path)
            .header("host", "portal.test")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", content_type)
            .header("accept", "text/html")
            .header("cookie", &self.cookie)
            .body(Body::from(body))
            .unwrap();
        call(&self.router, request).await
    }

    async fn send(&mut self, path: &str, form: &[(&str, &str)], accept: &str) -> Answer {
        let body: Vec<String> =
            form.iter().map(|(key, value)| format!("{key}={}", value.replace(' ', "+"))).collect();
        let request = Request::post(path)
            .header("host", "portal.test")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", accept)
            .header("cookie", &self.cookie)
            .body(Body::from(body.join("&")))
            .unwrap();
        let answer = call(&self.router, request).await;
        if let Some((cookie, _)) = answer.header("set-cookie").split_once(';') {
            self.cookie = cookie.into();
        }
        answer
    }
}

pub(crate) fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap()
}

pub(crate) fn batch(numbers: impl Iterator<Item = u32>) -> AlertBatch {
    let report = |number: u32| {
        AlertReport::from(&Alert {
            id: AlertId::new(NOW, u128::from(number)),
            detector: Detector::WebPhishingBlocked,
            host: DomainName::parse(format!("h{number}.test").as_bytes()).ok(),
            matched: None,
            action: bartizan_model::IndicatorAction::Block,
            first_seen: NOW,
            last_seen: NOW,
            count: 1,
            indicator_epoch: 1,
        })
    };
    AlertBatch { alerts: numbers.map(report).collect() }
}

/// Somebody says that a site a feed lists is harmless.
pub(crate) fn report(number: u128, source: &str) -> SiteReport {
    SiteReport {
        id: AlertId::new(NOW, number).to_string(),
        kind: kind::FALSE_POSITIVE.into(),
        host: "www.harmless.test".into(),
        matched: Some("harmless.test".into()),
        source: Some(source.into()),
        comment: "Our <b>supplier</b>.".into(),
        indicator_epoch: Some(1),
    }
}

fn nonce() -> [u8; 16] {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).unwrap();
    nonce[0] = NEXT.fetch_add(1, Ordering::Relaxed);
    nonce
}
