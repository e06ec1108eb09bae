//! A web site on loopback that gives feeds, well or badly.
//!
//! It answers once on each connection and says so: a client that kept one would race its end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The site; it ends with the process.
#[derive(Clone)]
pub(crate) struct Site {
    address: SocketAddr,
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What is at a path.
#[derive(Clone)]
pub(crate) enum Page {
    /// A body with an entity tag.
    Tagged(&'static str, Vec<u8>),
    /// These octets and nothing else.
    Raw(Vec<u8>),
    /// Nothing, ever.
    Silent,
}

impl Site {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let site = Self { address, pages: Arc::default(), asked: Arc::default() };
        let server = site.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        site
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.into(), page);
    }

    /// Puts a list of names there.
    pub(crate) fn list(&self, path: &str, tag: &'static str, names: std::ops::Range<u32>) {
        let body: String = names.map(|number| format!("h{number}.test\n")).collect();
        self.put(path, Page::Tagged(tag, body.into_bytes()));
    }

    pub(crate) fn redirect(&self, path: &str, to: &str) {
        let head = format!(
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        self.put(path, Page::Raw(head.into_bytes()));
    }

    /// The request lines and headers that came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut head = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        self.asked.lock().unwrap().push(head.clone());
        // What came and was not read would make the answer's end a reset.
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split('\r').next()?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let page = self.pages.lock().unwrap().get(path).cloned();
        let answer = match page {
            None => {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
            }
            Some(Page::Raw(octets)) => octets,
            Some(Page::Silent) => {
                // Until the client goes.
                let _ = reader.read_line(&mut head);
                return;
            }
            Some(Page::Tagged(tag, body)) => {
                if head.to_ascii_lowercase().contains(&format!("if-none-match: {tag}")) {
                    format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\nConnection: close\r\n\r\n")
                        .into_bytes()
                } else {
                    let length = body.len();
                    let mut answer = format!(
                        "HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                    )
                    .into_bytes();
                    answer.extend(body);
                    answer
                }
            }
        };
        let _ = stream.write_all(&answer);
    }
}
