//! HTTP by a function that the app brings: the system's own knows proxies, certificates and cellular data.

use std::io::Write;
use std::time::Duration;

use bartizan_host::portal::{Http, HttpRequest, HttpResponse};
use serde::Serialize;

/// A request without its body, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Head<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Whole.
    pub url: &'a str,
    /// Names in lower case.
    pub headers: &'a [(&'static str, String)],
    /// The most octets of a body to give.
    pub max_reply: u64,
    /// Seconds after which to give up.
    pub timeout_s: u64,
}

/// What the portal answered, as it comes.
pub struct Reply<'a> {
    status: u16,
    retry_after: Option<Duration>,
    room: u64,
    /// Where the body of a success goes; other bodies are kept.
    download: Option<&'a mut dyn Write>,
    body: Vec<u8>,
    broken: Option<String>,
}

impl<'a> Reply<'a> {
    fn new(room: u64, download: Option<&'a mut dyn Write>) -> Self {
        Self { status: 0, retry_after: None, room, download, body: Vec::new(), broken: None }
    }

    /// Takes the status and a further piece of the body; returns whether to go on.
    pub fn take(&mut self, status: u16, retry_after: Option<Duration>, piece: &[u8]) -> bool {
        (self.status, self.retry_after) = (status, retry_after);
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let Some(room) = self.room.checked_sub(length) else {
            self.broken = Some("the portal says too much".to_owned());
            return false;
        };
        self.room = room;
        match &mut self.download {
            Some(to) if (200..300).contains(&status) => {
                if let Err(error) = to.write_all(piece) {
                    self.broken = Some(error.to_string());
                }
            }
            Some(_) | None => self.body.extend_from_slice(piece),
        }
        self.broken.is_none()
    }

    fn end(self, whole: bool) -> Result<HttpResponse, String> {
        match self.broken {
            Some(broken) => Err(broken),
            None if !whole || self.status == 0 => Err("the portal does not answer".to_owned()),
            None => Ok(HttpResponse {
                status: self.status,
                retry_after: self.retry_after,
                body: self.body,
            }),
        }
    }
}

/// Speaks HTTP by the app's function, which gets a request's head and body and returns whether the whole answer came.
pub struct AppHttp<F>(pub F);

impl<F: FnMut(&[u8], &[u8], &mut Reply<'_>) -> bool + Send> AppHttp<F> {
    fn run(
        &mut self,
        request: &HttpRequest,
        timeout_s: u64,
        download: Option<&mut dyn Write>,
    ) -> Result<HttpResponse, String> {
        let head = Head {
            method: request.method,
            url: &request.url,
            headers: &request.headers,
            max_reply: request.max_reply,
            timeout_s,
        };
        let head = serde_json::to_vec(&head).map_err(|error| error.to_string())?;
        let mut reply = Reply::new(request.max_reply, download);
        let whole = (self.0)(&head, &request.body, &mut reply);
        reply.end(whole)
    }
}

impl<F: FnMut(&[u8], &[u8], &mut Reply<'_>) -> bool + Send> Http for AppHttp<F> {
    fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
        self.run(&request, TIMEOUT_S, None)
    }

    fn download(
        &mut self,
        request: HttpRequest,
        to: &mut dyn Write,
    ) -> Result<HttpResponse, String> {
        self.run(&request, DOWNLOAD_TIMEOUT_S, Some(to))
    }
}

const TIMEOUT_S: u64 = 30;
/// A few megabytes over the slowest link that is still one.
const DOWNLOAD_TIMEOUT_S: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> HttpRequest {
        HttpRequest {
            method: "POST",
            url: "https://portal.test/a".to_owned(),
            headers: vec![("accept", "application/json".to_owned())],
            body: b"asked".to_vec(),
            max_reply: 8,
        }
    }

    #[test]
    fn a_request_reaches_the_app_whole() {
        let mut http = AppHttp(|head: &[u8], body: &[u8], reply: &mut Reply<'_>| {
            let expected = r#"{"method":"POST","url":"https://portal.test/a","headers":[["accept","application/json"]],"max_reply":8,"timeout_s":30}"#;
            assert_eq!((std::str::from_utf8(head), body), (Ok(expected), &b"asked"[..]));
            reply.take(429, Some(Duration::from_secs(7)), b"lat") && reply.take(429, None, b"er")
        });
        let response = http.send(request()).unwrap();
        assert_eq!((response.status, response.body), (429, b"later".to_vec()));
    }

    #[test]
    fn a_file_is_written_as_it_comes_and_a_refusal_is_kept() {
        let mut status = 200;
        let mut http = AppHttp(|_: &[u8], _: &[u8], reply: &mut Reply<'_>| {
            let done = reply.take(status, None, b"fi") && reply.take(status, None, b"le");
            status = 404;
            done
        });
        let mut file = Vec::new();
        let taken = http.download(request(), &mut file).unwrap();
        assert_eq!((taken.status, taken.body, &*file), (200, vec![], &b"file"[..]));
        let refused = http.download(request(), &mut file).unwrap();
        assert_eq!((refused.status, refused.body, &*file), (404, b"file".to_vec(), &b"file"[..]));
    }

    #[track_caller]
    fn check_no_answer(app: impl FnMut(&[u8], &[u8], &mut Reply<'_>) -> bool + Send, said: &str) {
        assert_eq!(AppHttp(app).send(request()).unwrap_err(), said);
    }

    #[test]
    fn what_is_not_the_whole_answer_is_none() {
        check_no_answer(|_, _, _| false, "the portal does not answer");
        check_no_answer(|_, _, _| true, "the portal does not answer");
        check_no_answer(
            |_, _, reply| {
                reply.take(200, None, b"half");
                false
            },
            "the portal does not answer",
        );
        check_no_answer(
            |_, _, reply| {
                let more = reply.take(200, None, b"12345678") && reply.take(200, None, b"9");
                assert!(!more);
                true
            },
            "the portal says too much",
        );
    }
}
