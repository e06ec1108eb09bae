//! Feeds of every form, good and bad, through the two public functions.

use std::io::{self, BufReader, Read};

use proptest::prelude::*;

use super::*;

#[test]
fn every_form_of_feed_is_recognized() {
    let names = ["evil.test", "bad.test"];
    check("evil.test\nBAD.test.\n", FeedFormat::Plain, &names);
    check(
        "\u{feff}# list\n\nhttps://u:p@evil.test:8443/a?b\n*.bad.test # note\n192.0.2.0/24\n",
        FeedFormat::Plain,
        &["evil.test/a?b", "bad.test", "192.0.2.0/24"],
    );
    check("hxxp://evil[.]test/a,b\n", FeedFormat::Plain, &["evil.test/a,b"]);
    check("b\u{fc}cher.test\r", FeedFormat::Plain, &["xn--bcher-kva.test"]);
    check("[2001:db8::1]:80\n192.0.2.1:80", FeedFormat::Plain, &["2001:db8::1", "192.0.2.1"]);
    check("127.0.0.1 localhost\n0.0.0.0\tevil.test bad.test # note\r\n", FeedFormat::Hosts, &names);
    check("0.0.0.0\tevil.test\n0.0.0.0\tbad.test\n", FeedFormat::Hosts, &names);
}

#[test]
fn tables_are_recognized() {
    let names = ["evil.test", "bad.test"];
    check("host\tgrade\nevil.test\tA\nbad.test\tB\n", FeedFormat::Tsv, &names);
    check(
        "id,URL\n1,\"http://evil.test/a,b\"\n2,http://bad.test\n",
        FeedFormat::Csv,
        &["evil.test/a,b", "bad.test"],
    );
    check("1,evil.test\n2,bad.test\n", FeedFormat::Csv, &names);
    check("192.0.2.1\t7\n192.0.2.2\t3\n", FeedFormat::Tsv, &["192.0.2.1", "192.0.2.2"]);
    check(
        "# A list. Terms, if any, are elsewhere\n# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\"\n#\n\
         \"2026-01-01\", \"1\", \"192.0.2.1:80\", \"ip:port\"\n\"2026-01-02\", \"2\", \"ab\", \"md5_hash\"\n\
         # Number of entries: 2\n",
        FeedFormat::Csv,
        &["192.0.2.1"],
    );
    check("domain\nevil.test\nbad.test\n", FeedFormat::Tsv, &names);
}

#[test]
fn lists_of_other_programs_are_recognized() {
    let names = ["evil.test", "bad.test"];
    check(
        "[Adblock Plus 2.0]\n! x\n||evil.test^\n@@||good.test^\n||bad.test^$important\n",
        FeedFormat::Adblock,
        &names,
    );
    check("||evil.test^\nbad.test\n", FeedFormat::Adblock, &names);
    check(
        "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n NS c.\nevil.test CNAME .\n; x\n24.0.2.0.192.rpz-ip CNAME .\n",
        FeedFormat::Rpz,
        &["evil.test", "192.0.2.0/24"],
    );
    check(
        "address=/evil.test/bad.test/0.0.0.0\nserver=/corp.test/192.0.2.1\nserver=/#/192.0.2.1\ncache-size=1\n",
        FeedFormat::Dnsmasq,
        &names,
    );
}

#[test]
fn json_is_told_by_its_keys() {
    let names = ["evil.test", "bad.test"];
    check(
        "{\"version\": 2,\n\"blacklist\": [\"evil.test\"], \"deny\": [\"bad.test\"], \"allow\": [\"good.test\"]}",
        FeedFormat::Json,
        &names,
    );
    let long = " ".repeat(100_000);
    check(&format!("[\"evil.test\",{long}\"bad.test\"]"), FeedFormat::Json, &names);
    check(
        r#"[{"phish_id":1,"url":"http://evil.test/a"},{"url":null},{"domain":"bad.test"}]"#,
        FeedFormat::Json,
        &["evil.test/a", "bad.test"],
    );
    let attribute = |value| format!(r#"{{"type":"domain","value":"{value}","to_ids":true}}"#);
    let event = format!(
        r#"{{"Event":{{"info":"x","Attribute":[{}],"Object":[{{"name":"y","Attribute":[{}]}}]}}}}"#,
        attribute("evil.test"),
        attribute("bad.test")
    );
    check(&event, FeedFormat::Misp, &names);
    check(&format!("{{\"response\":[{event}]}}"), FeedFormat::Misp, &names);
    check(&format!("[{event}]"), FeedFormat::Misp, &names);
    let twice = ["evil.test", "bad.test", "evil.test", "bad.test"];
    check(&format!("{event}\n{event}\n"), FeedFormat::Misp, &twice);
    check(
        &format!("{{\"uuid\":\"1\",\"Attribute\":[{}]}}", attribute("evil.test")),
        FeedFormat::Misp,
        &["evil.test"],
    );
    let objects = r#"[{"type":"indicator","pattern":"[domain-name:value='evil.test']","pattern_type":"stix"},
        {"type":"domain-name","id":"domain-name--1","value":"good.test"},
        {"type":"indicator","pattern":"[ipv4-addr:value='192.0.2.1' OR file:name='x']","labels":["phishing"]}]"#;
    let named = ["evil.test", "192.0.2.1"];
    check(&format!(r#"{{"type":"bundle","objects":{objects}}}"#), FeedFormat::Stix, &named);
    check(&format!(r#"{{"objects":{objects},"more":false}}"#), FeedFormat::Taxii, &named);
    check(objects, FeedFormat::Stix, &named);
}

#[test]
fn what_an_indicator_says_of_itself_comes_along() {
    let bundle = r#"{"type":"bundle","objects":[{"type":"indicator","pattern":"[domain-name:value='evil.test']",
        "indicator_types":["malicious-activity"],"labels":["phishing"],"valid_until":"1970-01-01T00:00:02Z"}]}"#;
    let mut entries = Vec::new();
    read(bundle.as_bytes(), |entry| entries.push(entry)).unwrap();
    assert_eq!(
        entries,
        [FeedEntry {
            pattern: "evil.test".parse().unwrap(),
            category: Some(IndicatorCategory::Phishing),
            expires_at: Some(UnixMillis(2_000)),
        }]
    );
}

#[test]
fn a_form_that_was_named_is_not_guessed() {
    let as_told = |feed: &str, format, column| {
        let options = Options { format, column, ..Options::default() };
        let mut entries = Vec::new();
        let report =
            read_as(feed.as_bytes(), &options, |entry| entries.push(entry.pattern.to_string()));
        report.map(|report| (report.format, report.bad_lines, entries.join(" "))).unwrap()
    };
    let told = |format, text: &str| (format, 0, text.to_owned());
    let two = "good.test,evil.test\ngood.test,bad.test\n";
    assert_eq!(as_told(two, None, Some(1)), told(FeedFormat::Csv, "evil.test bad.test"));
    assert_eq!(
        as_told("was;now\ngood.test;evil.test\n", Some(FeedFormat::Csv), Some(1)),
        told(FeedFormat::Csv, "evil.test")
    );
    assert_eq!(
        as_told("http://evil.test/a,b\n", Some(FeedFormat::Csv), None),
        told(FeedFormat::Csv, "evil.test/a")
    );
    assert_eq!(
        as_told("evil.test\tgood.test\n", Some(FeedFormat::Tsv), None),
        told(FeedFormat::Tsv, "evil.test")
    );
    assert_eq!(
        as_told("{\"deny\":[\"evil.test\"]}", Some(FeedFormat::Json), None),
        told(FeedFormat::Json, "evil.test")
    );
}

#[test]
fn what_says_nothing_is_passed_over_and_not_bad() {
    let rules = "||evil.test^\n".to_owned() + &"@@||good.test^\ngood.test##.ad\n".repeat(20);
    let report = read(rules.as_bytes(), |_| {}).unwrap();
    assert_eq!((report.names, report.passed_over, report.bad_lines), (1, 40, 0));
}

#[test]
fn what_is_not_a_feed_says_why() {
    refused(b"<!DOCTYPE html>\n<p>Sign in</p>", "is a web page, not a feed");
    refused(b"\n  <html>", "is a web page, not a feed");
    refused(b"", "holds no entries");
    refused(b"# nothing yet\n", "holds no entries");
    refused(b"{\"a\": 1}", "holds no entries");
    refused(b"{\"type\":\"bundle\",\"objects\":[]}", "holds no entries");
    refused(b"{\"deny\": 7}", "is JSON of a form that is not known here, as of line 1");
    refused(
        b"{\"deny\":\n[\"a\" \"b\"]}",
        "is JSON of a form that is not known here, as of line 2",
    );
    refused(&[b'['; 100_000], "is JSON of a form that is not known here, as of line 1");
    refused(
        &b"{\"a\":".repeat(100_000),
        "cannot be read to its end: EOF while parsing a value at line 1 column 500000",
    );
    refused(
        &b"{\"Event\":".repeat(100_000),
        "is JSON of a form that is not known here, as of line 1",
    );
    refused(b"host\tgrade\n", "holds no entries");
    refused(b"\xff\xfee\0v\0i\0l\0", "is in UTF-16, not in UTF-8");
    refused(
        b"one fine day\nevil.test\n",
        "is not a feed: 1 of 2 lines are not host names, URLs or addresses, the first on line 1: is not one host name",
    );
    refused(
        b"\0\x01\x02\n",
        "is not a feed: 1 of 1 lines are not host names, URLs or addresses, the first on line 1: is not a host name",
    );
}

#[test]
fn few_bad_lines_are_counted_and_named() {
    let mut feed: String = (0..30).map(|n| format!("evil{n}.test\n")).collect();
    feed.push_str("no good\n192.0.2.1\n[2001:db8::1]\nevil.test/a\n192.0.2.0/24\n");
    let report = read(feed.as_bytes(), |_| {}).unwrap();
    assert_eq!((report.lines, report.names, report.addresses, report.bad_lines), (35, 30, 2, 1));
    assert_eq!((report.urls, report.networks, report.entries()), (1, 1, 34));
    assert_eq!(report.first_bad, [BadLine { number: 31, reason: "is not one host name" }]);
}

#[test]
fn how_many_lines_must_be_readable_can_be_told() {
    let feed = b"evil.test\nno good\n";
    let least = |least_readable| Options { least_readable, ..Options::default() };
    assert!(read_as(feed.as_slice(), &least(51), |_| {}).is_err());
    assert!(read_as(feed.as_slice(), &least(50), |_| {}).is_ok());
}

#[test]
fn broken_characters_are_bad_lines() {
    let good = "evil.test\n".repeat(40);
    for bad in [
        &b"ev\0il.test"[..],
        b"\xff\xfe\xfd.test",
        b"\xed\xa0\x80.test",
        b"xn--\xc3\xbc.test",
        "\u{202e}evil\u{200b}.\u{2024}test".as_bytes(),
        b"xn--zzzz\x7f.test",
    ] {
        let feed = [good.as_bytes(), bad, b"\n"].concat();
        let report = read(feed.as_slice(), |_| {}).unwrap();
        assert_eq!((report.names, report.bad_lines), (40, 1), "{bad:?}");
        assert_eq!(report.first_bad.first().unwrap().number, 41);
    }
    let names: String = (0..40).map(|n| format!("\"evil{n}.test\",")).collect();
    for bad in ["\\ud800.test", "\\u0000.test"] {
        for feed in [format!("[{names}\"{bad}\"]"), format!("{{\"deny\":[{names}\"{bad}\"]}}")] {
            let report = read(feed.as_bytes(), |_| {}).unwrap();
            assert_eq!((report.names, report.bad_lines), (40, 1), "{bad}");
        }
    }
    // A homograph is another name, and is listed as such.
    check("\u{435}vil.test\n", FeedFormat::Plain, &["xn--vil-qdd.test"]);
}

#[test]
fn a_line_without_end_is_one_bad_line() {
    let good = "evil.test\n".repeat(20);
    let feed = BufReader::new(good.as_bytes().chain(io::repeat(b'x').take(256 << 20)));
    let report = read(feed, |_| {}).unwrap();
    assert_eq!((report.lines, report.bad_lines), (21, 1));
}

proptest! {
    #[test]
    fn no_input_panics(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_read(&octets);
    }

    #[test]
    fn no_text_panics(text in "[a-c0-9.,;\t\"{}\\[\\]:/|# \r\n$=@!^*-]{0,200}") {
        fuzz_read(text.as_bytes());
    }

    #[test]
    fn what_is_listed_plainly_comes_out(names in prop::collection::vec("[a-z]{1,9}\\.test(/[a-z]{1,5})?", 1..40)) {
        let mut entries = Vec::new();
        read(names.join("\n").as_bytes(), |entry| entries.push(entry.pattern.to_string())).unwrap();
        prop_assert_eq!(entries, names);
    }
}

#[track_caller]
fn check(feed: &str, format: FeedFormat, expected: &[&str]) {
    let mut entries = Vec::new();
    let report = read(feed.as_bytes(), |entry| entries.push(entry.pattern.to_string())).unwrap();
    assert_eq!(
        (report.format, entries.as_slice()),
        (format, expected.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice())
    );
}

#[track_caller]
fn refused(feed: &[u8], expected: &str) {
    let error = read(feed, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), expected);
}
