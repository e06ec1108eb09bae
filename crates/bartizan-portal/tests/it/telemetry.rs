//! Traces: what a collector gets of requests, and what it never gets.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use bartizan_portal::Listener;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::World;

#[tokio::test]
async fn a_request_becomes_a_span_of_the_callers_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let collected = std::thread::spawn(move || collect(&collector));
    let world = World::chosen(|config| config.otlp_endpoint = Some(endpoint)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let portal = world.portal.clone();
    let served = tokio::spawn(async move {
        portal.serve(vec![Listener::Plain(listener)], async { drop(stopped.await) }).await
    });
    let ask = async |headers: &str| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /devices/of-a-person HTTP/1.1\r\nhost: portal.test\r\nconnection: close\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    };
    ask(&format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n")).await;
    ask(&format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n")).await;
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();

    let (head, body) = collected.join().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(!body.contains("of-a-person") && !body.contains("ACME"), "{body}");
    let message: Value = serde_json::from_str(&body).unwrap();
    let spans = message["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 1, "who is not sampled is left out: {body}");
    let span = &spans[0];
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&TRACE.into(), &PARENT.into()));
    assert_eq!(span["name"], "GET /devices/{id}");
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    let keys: Vec<&str> = span["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attribute| attribute["key"].as_str().unwrap())
        .collect();
    let expected =
        ["http.request.method", "http.route", "http.response.status_code", "bartizan.request.id"];
    assert_eq!(keys, expected);
}

/// Takes one request: its head and its body.
fn collect(collector: &TcpListener) -> (String, String) {
    let (mut stream, _) = collector.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        head.extend(octet);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    (head, String::from_utf8(body).unwrap())
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
