//! The console as a program uses it: signs in, and sends the forms of its pages.

use std::time::Duration;

use crate::support::PortalProcess;

/// A signed-in administrator.
pub(crate) struct Console {
    agent: ureq::Agent,
    url: String,
    cookie: String,
}

impl Console {
    /// Signs in with the one-time password of a new portal.
    pub(crate) fn sign_in(portal: &PortalProcess) -> Self {
        let agent = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let mut console = Self { agent, url: portal.url.clone(), cookie: String::new() };
        let form = [("email", "admin@example.test"), ("password", portal.password())];
        let answer = console.send("/sign-in", &form);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        console.cookie = cookie.split_once(';').unwrap().0.to_owned();
        console
    }

    /// The same session at another portal on the same database.
    pub(crate) fn at(&self, portal: &PortalProcess) -> Self {
        let (agent, cookie) = (self.agent.clone(), self.cookie.clone());
        Self { agent, url: portal.url.clone(), cookie }
    }

    /// What the console is told live, as it comes.
    pub(crate) fn events(&self) -> impl std::io::BufRead {
        let request = self.agent.get(format!("{}/events", self.url)).header("cookie", &self.cookie);
        let answer = request.call().unwrap();
        assert_eq!(answer.status(), 200);
        std::io::BufReader::new(answer.into_body().into_reader())
    }

    /// Sends a form, and returns where the console leads to.
    #[track_caller]
    pub(crate) fn submit(&self, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.send(path, form);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    /// Reads a page.
    #[track_caller]
    pub(crate) fn page(&self, path: &str) -> String {
        let request = self.agent.get(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let mut answer = request.header("accept", "text/html").call().unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.body_mut().read_to_string().unwrap()
    }

    /// Sends a form, and returns the page that answers.
    #[track_caller]
    pub(crate) fn shown(&self, path: &str, form: &[(&str, &str)]) -> String {
        let request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("sec-fetch-site", "same-origin")
            .header("cookie", &self.cookie);
        let mut answer = request.send_form(form.iter().copied()).unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.body_mut().read_to_string().unwrap()
    }

    /// Buys an access token for an application.
    #[track_caller]
    pub(crate) fn token(&self, client: &str, secret: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", secret),
        ];
        let mut answer =
            self.agent.post(format!("{}/oauth2/token", self.url)).send_form(form).unwrap();
        let answer = answer.body_mut().read_to_string().unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn send(&self, path: &str, form: &[(&str, &str)]) -> ureq::http::Response<ureq::Body> {
        let request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("sec-fetch-site", "same-origin")
            .header("cookie", &self.cookie);
        let answer = request.send_form(form.iter().copied()).unwrap();
        assert_eq!(answer.status(), 303, "{path}");
        answer
    }
}
