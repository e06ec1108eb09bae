//! Heads whole, cut and odd.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[test]
fn the_host_is_read_without_port_and_brackets() {
    check("GET / HTTP/1.1\r\nHost: Example.test\r\n\r\n", Some("Example.test"), Some("/"));
    check(
        "GET /a?b HTTP/1.1\r\nhost:example.test:8080 \r\n\r\n",
        Some("example.test"),
        Some("/a?b"),
    );
    check("GET / HTTP/1.1\nHOST: a.test\nHost: b.test\n\n", Some("a.test"), Some("/"));
    check("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", Some("2001:db8::1"), Some("/"));
    check("GET / HTTP/1.1\r\nHost : a.test\r\n\r\n", Some("a.test"), Some("/"));
    check("\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", Some("a.test"), Some("/"));
    check("GET / HTTP/1.0\r\n\r\n", None, Some("/"));
    check("GET / HTTP/1.1\r\nHost:\r\n\r\n", None, Some("/"));
}

#[test]
fn an_absolute_target_wins_over_the_field() {
    let fields = "HTTP/1.1\r\nHost: b.test\r\n\r\n";
    check(&format!("GET http://u:p@a.test:80/x {fields}"), Some("a.test"), Some("/x"));
    check(&format!("GET http://a.test {fields}"), Some("a.test"), Some("/"));
    check(
        &format!("GET /go?to=http://a.test/ {fields}"),
        Some("b.test"),
        Some("/go?to=http://a.test/"),
    );
    check(&format!("CONNECT a.test:443 {fields}"), Some("a.test"), None);
    check(&format!("OPTIONS * {fields}"), Some("b.test"), None);
}

#[test]
fn a_target_may_hold_any_octets_but_no_part_of_a_name() {
    for (target, host, path) in [
        (&b"/a\xff/b"[..], Some("b.test"), Some("/a")),
        (b"http://a.test/\xff", Some("a.test"), Some("/")),
        (b"http://a.test\xff.c.test/", None, Some("/")),
        (b"/a b  c", Some("b.test"), Some("/a b  c")),
    ] {
        let octets = [b"GET ", target, b" HTTP/1.1\r\nHost: b.test\r\n\r\n"].concat();
        let Reading::Done(request) = read_request(&octets) else { panic!("it is a request") };
        assert_eq!((request.host(), request.path()), (host, path));
    }
}

#[test]
fn addresses_are_no_names() {
    let Reading::Done(request) = read_request(b"GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n")
    else {
        panic!("it is a request")
    };
    assert_eq!(request.host_name(), None);
    assert_eq!(request.host_address(), Some("192.0.2.1".parse().unwrap()));
}

#[test]
fn reading_takes_nothing_of_the_heap() {
    let taken = allocation_counter::measure(|| {
        let octets = b"GET /a HTTP/1.1\r\nAccept: */*\r\nHost: example.test:80\r\n\r\n";
        let Reading::Done(request) = read_request(octets) else { panic!("it is a request") };
        assert!(request.host_name().is_some() && request.path() == Some("/a"));
    });
    assert_eq!(taken.count_total, 0, "{taken:?}");
}

#[test]
fn what_is_no_request_is_known_early() {
    for octets in [
        &b"\x16\x03\x01"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"EHLO client.test\r\n",
        b"GET /\r\n",
        b"OPTIONS * RTSP/1.0\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\r\n\r\n\r\n",
    ] {
        assert_eq!(read_request(octets), Reading::Not, "{}", octets.escape_ascii());
    }
    let mut endless = b"GET / HTTP/1.1\r\n".to_vec();
    endless.resize(MAX_HELLO_LEN, b'a');
    assert_eq!(read_request(&endless), Reading::Not);
}

#[test]
fn http2_is_recognized_and_has_no_host() {
    let Reading::Done(request) = read_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") else {
        panic!("it is a preface")
    };
    assert!(request.is_http2());
    assert_eq!((request.host(), request.head_len()), (None, 18));
}

proptest! {
    #[test]
    fn every_cut_of_a_head_asks_for_more(
        host in "[a-z]{1,20}\\.test", path in "/[a-z/]{0,20}", field in "[A-Z][a-z-]{0,9}: [ -~]{0,30}",
        cut in any::<Index>(),
    ) {
        let whole = format!("GET {path} HTTP/1.1\r\nX-{field}\r\nHost: {host}\r\n\r\n");
        let cut = &whole.as_bytes()[..cut.index(whole.len())];
        prop_assert_eq!(read_request(cut), Reading::More);
        let with_body = format!("{whole}\r\nHost: body.test\r\n\r\n");
        let Reading::Done(request) = read_request(with_body.as_bytes()) else { panic!("{whole}") };
        prop_assert_eq!((request.host(), request.path()), (Some(&*host), Some(&*path)));
        prop_assert_eq!(request.head_len(), whole.len());
    }
}

#[track_caller]
fn check(stream: &str, host: Option<&str>, path: Option<&str>) {
    let Reading::Done(request) = read_request(stream.as_bytes()) else { panic!("it is a request") };
    assert_eq!((request.host(), request.path()), (host, path));
}
