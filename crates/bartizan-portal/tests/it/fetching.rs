//! Fetching a feed from a server that is slow, broken, elsewhere, or means ill.

use std::time::Duration;

use bartizan_model::Private;
use bartizan_portal::Clock;
use bartizan_portal::feeds::{Access, FetchError, Fetched, Fetcher, Limits, Validators};

use crate::site::{Page, Site};
use crate::world::NOW;

#[test]
fn a_document_comes_once_and_then_only_when_it_has_changed() {
    let site = Site::new();
    site.list("/list", "\"1\"", 0..3);
    let (fetched, octets) = fetch(&site.url("/list"), open(), &Validators::default()).unwrap();
    assert_eq!(octets, b"h0.test\nh1.test\nh2.test\n");
    let Fetched::New(known) = fetched else { panic!("it is new") };
    assert_eq!(known.etag.as_deref(), Some("\"1\""));
    let (fetched, octets) = fetch(&site.url("/list"), open(), &known).unwrap();
    assert_eq!((fetched, octets.len()), (Fetched::Unchanged, 0));
    site.list("/list", "\"2\"", 0..1);
    let (fetched, octets) = fetch(&site.url("/list"), open(), &known).unwrap();
    assert!(matches!(fetched, Fetched::New(_)) && octets == b"h0.test\n");
}

#[test]
fn a_redirect_is_followed_and_takes_no_credentials_along() {
    let (site, other) = (Site::new(), Site::new());
    other.list("/list", "\"1\"", 0..1);
    site.redirect("/moved", &other.url("/list"));
    let access = Access { authorization: Some(Private("Basic c2VjcmV0".into())), ..open() };
    fetch(&site.url("/moved"), access, &Validators::default()).unwrap();
    assert!(site.asked()[0].contains("Basic c2VjcmV0"));
    assert!(!other.asked()[0].contains("c2VjcmV0"));
    site.redirect("/round", &site.url("/round"));
    refused(&site.url("/round"), open(), "redirects more than 5 times");
}

#[test]
fn a_private_address_is_refused_however_it_is_reached() {
    let site = Site::new();
    site.list("/list", "\"1\"", 0..1);
    let public = Access { allow_private: false, ..open() };
    let port = site.url("").rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"] {
        let url = format!("http://{host}:{port}/list");
        refused(&url, public.clone(), "allow private addresses for this feed");
    }
    assert_eq!(site.asked().len(), 0, "nothing was asked");
}

#[test]
fn plain_http_is_refused_unless_it_is_allowed() {
    let site = Site::new();
    let strict = Access { allow_http: false, ..open() };
    refused(&site.url("/list"), strict, "is not reached by https://");
    refused("ftp://127.0.0.1/list", open(), "is not an http:// or https:// address");
    refused("nonsense", open(), "is not an http:// or https:// address");
}

#[test]
fn what_does_not_come_whole_is_no_version() {
    let site = Site::new();
    refused(&site.url("/absent"), open(), "127.0.0.1 answers with status 404");
    let broken = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec();
    site.put("/broken", Page::Raw(broken));
    refused(&site.url("/broken"), open(), "answers with status 500");
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nevil.test\n".to_vec();
    site.put("/cut", Page::Raw(cut));
    refused(&site.url("/cut"), open(), "cannot be reached, or broke off");
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nevil.test\n\r\n".to_vec();
    site.put("/chunks", Page::Raw(chunked));
    refused(&site.url("/chunks"), open(), "cannot be reached, or broke off");
    let garbage = b"SSH-2.0-OpenSSH\r\n\r\n".to_vec();
    site.put("/garbage", Page::Raw(garbage));
    refused(&site.url("/garbage"), open(), "cannot be reached, or broke off");
}

#[test]
fn what_is_too_large_is_not_read_on() {
    let site = Site::new();
    let small = Limits { octets: 1_000, ..Limits::default() };
    site.put("/said", Page::Tagged("\"1\"", vec![b'a'; 1_001]));
    let mut unsaid = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    unsaid.extend([b'a'; 5_000]);
    site.put("/unsaid", Page::Raw(unsaid));
    for path in ["/said", "/unsaid"] {
        let mut octets = Vec::new();
        let fetcher = Fetcher::new(&site.url(path), open(), small, &clock());
        let error =
            fetcher.document(&site.url(path), &Validators::default(), &mut octets).unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { limit: 1_000 }), "{path}: {error}");
        assert!(octets.len() <= 1_000);
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let site = Site::new();
    site.put("/silent", Page::Silent);
    let limits = Limits { time: Duration::from_millis(100), ..Limits::default() };
    let fetcher = Fetcher::new(&site.url("/silent"), open(), limits, &clock());
    let url = site.url("/silent");
    let error = fetcher.document(&url, &Validators::default(), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, FetchError::TooSlow { .. }), "{error}");
}

#[test]
fn a_fetch_is_broken_off_from_outside() {
    let site = Site::new();
    site.put("/silent", Page::Silent);
    let url = site.url("/silent");
    let fetcher = Fetcher::new(&url, open(), Limits::default(), &clock());
    let other = fetcher.clone();
    let watch = site;
    let stopper = std::thread::spawn(move || {
        while watch.asked().is_empty() {
            std::thread::yield_now();
        }
        other.stop();
    });
    assert!(fetcher.document(&url, &Validators::default(), &mut Vec::new()).is_err());
    stopper.join().unwrap();
}

#[test]
fn a_misp_folder_becomes_an_array_of_its_events() {
    let site = Site::new();
    let id = |last: u8| format!("5d1a0b1c-0000-4000-8000-00000000000{last}");
    let manifest =
        format!(r#"{{"{}": {{"timestamp": "1"}}, "{}": {{"timestamp": "2"}}}}"#, id(1), id(2));
    site.put("/misp/manifest.json", Page::Tagged("\"m\"", manifest.into_bytes()));
    for last in [1, 2] {
        let event = format!(r#"{{"Event": {last}}}"#).into_bytes();
        site.put(&format!("/misp/{}.json", id(last)), Page::Tagged("\"e\"", event));
    }
    let url = site.url("/misp/");
    let fetcher = Fetcher::new(&url, open(), Limits::default(), &clock());
    let mut octets = Vec::new();
    let Fetched::New(known) = fetcher.misp(&url, &Validators::default(), &mut octets).unwrap()
    else {
        panic!("it is new")
    };
    let events: serde_json::Value = serde_json::from_slice(&octets).unwrap();
    assert_eq!(events, serde_json::json!([{ "Event": 2 }, { "Event": 1 }]));
    let again = fetcher.misp(&url, &known, &mut octets).unwrap();
    assert_eq!(again, Fetched::Unchanged);

    site.put("/none/manifest.json", Page::Tagged("\"n\"", b"{\"../x\": {}}".to_vec()));
    let error = fetcher.misp(&site.url("/none"), &known, &mut octets).unwrap_err();
    assert_eq!(error.to_string(), "has a manifest.json that names no events");
}

#[test]
fn a_taxii_collection_is_read_page_by_page() {
    let site = Site::new();
    let first = br#"{"more": true, "next": "a b", "objects": [1]}"#.to_vec();
    site.put("/c/1/objects/?limit=1000", Page::Tagged("\"1\"", first));
    let second = br#"{"objects": [2]}"#.to_vec();
    site.put("/c/1/objects/?limit=1000&next=a%20b", Page::Tagged("\"2\"", second));
    let url = site.url("/c/1/");
    let fetcher = Fetcher::new(&url, open(), Limits::default(), &clock());
    let mut octets = Vec::new();
    fetcher.taxii(&url, &mut octets).unwrap();
    let envelopes: serde_json::Value = serde_json::from_slice(&octets).unwrap();
    assert_eq!(envelopes[1]["objects"], serde_json::json!([2]));
    assert!(site.asked()[0].contains("application/taxii+json;version=2.1"));
    site.put("/c/2/objects/?limit=1000", Page::Tagged("\"1\"", b"<html>".to_vec()));
    let error = fetcher.taxii(&site.url("/c/2"), &mut octets).unwrap_err();
    assert_eq!(error.to_string(), "does not answer as a TAXII 2.1 collection does");
}

/// What lets a test fetch from loopback.
fn open() -> Access {
    Access { allow_http: true, allow_private: true, authorization: None }
}

fn clock() -> Clock {
    Clock::fixed(NOW)
}

fn fetch(url: &str, access: Access, known: &Validators) -> Result<(Fetched, Vec<u8>), FetchError> {
    let mut octets = Vec::new();
    let fetcher = Fetcher::new(url, access, Limits::default(), &clock());
    fetcher.document(url, known, &mut octets).map(|fetched| (fetched, octets))
}

#[track_caller]
fn refused(url: &str, access: Access, reason: &str) {
    let error = fetch(url, access, &Validators::default()).unwrap_err().to_string();
    assert!(error.contains(reason), "{url}: {error}");
}
