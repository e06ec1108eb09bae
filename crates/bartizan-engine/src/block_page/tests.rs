//! The pages as browsers get them.

use proptest::prelude::*;

use super::*;

#[test]
fn a_page_is_a_whole_response_that_says_what_why_and_what_now() {
    let html = body_of(&page("login.evil.test"), 403);
    for expected in [
        "<!doctype html><html lang=en>",
        "<title>This site was stopped · Bartizan</title>",
        "<h1>This site was stopped</h1>",
        "<p class=host>login.evil.test</p>",
        "to get at passwords or money. It is on the list “a feed” that your organization uses.",
        "Close this page.",
    ] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    assert!(!html.contains("<form") && !html.contains("Continue"), "there is no choice: {html}");

    let own = BlockPage { feed: None, category: IndicatorCategory::Custom, ..page("a.test") };
    assert!(body_of(&own, 403).contains("It was listed by your organization."));
}

#[test]
fn a_page_offers_what_policy_allows() {
    let token = Some(Token::new(0xab));
    let warned = BlockPage { token, pass_hours: Some(24), ..page("evil.test") };
    let html = body_of(&warned, 403);
    assert!(html.contains("<h1>This site is not safe</h1>"), "{html}");
    assert!(html.contains("Continue anyway (for 24 hours)"), "{html}");
    let form = "<form action=\"/.well-known/bartizan/continue\"><input type=hidden name=token \
                value=000000000000000000000000000000ab>";
    assert!(html.contains(form), "{html}");
    let hour = BlockPage { pass_hours: Some(1), ..warned };
    assert!(body_of(&hour, 403).contains("Continue anyway (for 1 hour)"));

    let blocked = body_of(&BlockPage { pass_hours: None, ..warned }, 403);
    assert!(blocked.contains("/.well-known/bartizan/report\""), "{blocked}");
    assert!(!blocked.contains("/.well-known/bartizan/continue\""), "{blocked}");
    let no_token = body_of(&BlockPage { token: None, ..warned }, 403);
    assert!(!no_token.contains("<form"), "{no_token}");
    assert!(no_token.contains("This site was stopped"), "it cannot be passed: {no_token}");
}

#[test]
fn every_language_says_everything() {
    for language in Language::ALL {
        for (text, has_place) in language.texts().all() {
            assert!(!text.is_empty(), "{language:?}");
            assert_eq!(text.matches("{}").count(), usize::from(has_place), "{text}");
            assert!(!text.contains(['<', '>', '&']), "a text holds no markup: {text}");
            assert!(!text.contains("  "), "{text}");
        }
        let host = "x".repeat(300);
        for category in IndicatorCategory::ALL {
            let page = BlockPage { language, category, ..fullest(&host, "\"") };
            let html = body_of(&page, 403);
            assert!(html.contains(&format!("<html lang={}>", language.tag())), "{html}");
            assert!(html.contains(language.texts().reason(category)), "{html}");
        }
    }
}

#[test]
fn the_longest_page_keeps_within_its_bound() {
    let mut longest = 0;
    for language in Language::ALL {
        for category in IndicatorCategory::ALL {
            let (host, feed) = ("\"".repeat(1_000), "\"".repeat(1_000));
            let page = BlockPage { language, category, ..fullest(&host, &feed) };
            longest = longest.max(written(|out| write_block_page(&page, out)).len());
        }
    }
    assert!(longest <= MAX_RESPONSE, "{longest}");
}

#[test]
fn what_would_not_be_seen_is_made_visible() {
    let feed = "\u{202e}tsil\0 <script>alert(1)</script>";
    let html = body_of(&BlockPage { feed: Some(feed), ..page("a.test") }, 403);
    assert!(html.contains("“\u{fffd}tsil\u{fffd} &lt;script&gt;"), "{html}");
}

#[test]
fn thanks_and_redirects_are_whole_responses() {
    let thanks = response(written(|out| write_thanks(Language::German, out)), 200);
    assert!(thanks.contains("<h1>Vielen Dank</h1>"), "{thanks}");
    let check = |to: &str, expected: &str| {
        let text = String::from_utf8(written(|out| write_redirect(to, out))).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 303 See Other\r\nLocation: {expected}\r\n")));
        assert!(text.ends_with("Connection: close\r\n\r\n"), "{text}");
        assert_eq!(text.matches("\r\n").count(), 7, "{text}");
    };
    check("/", "/");
    check("/a/b?c=%20&d", "/a/b?c=%20&d");
    for bad in ["", "a", "//other.test/", "/\\other.test", "/a\r\nSet-Cookie: x", "/a b", "/ä"] {
        check(bad, "/");
    }
    check(&format!("/{}", "x".repeat(crate::limits::OFFER_PATH_OCTETS)), "/");
}

#[test]
fn a_choice_is_read_and_nothing_of_ours_goes_on_to_the_site() {
    let token = Token::new(0xab);
    let text = token.to_string();
    let check = |target: &str, expected| assert_eq!(read_target(target), expected, "{target}");
    check(
        &format!("/.well-known/bartizan/continue?token={text}"),
        Asked::Choice(Choice::Continue(token)),
    );
    check(
        &format!("/.well-known/bartizan/report?token={text}"),
        Asked::Choice(Choice::Report(token)),
    );
    check(
        &format!("http://evil.test/.well-known/bartizan/report?token={text}"),
        Asked::Choice(Choice::Report(token)),
    );
    for ours in [
        "/.well-known/bartizan/",
        "/.well-known/bartizan/continue",
        "/.well-known/bartizan/continue?token=",
        "/.well-known/bartizan/other?token=000000000000000000000000000000ab",
        "/.well-known/bartizan/report?token=000000000000000000000000000000ab&x",
        "/.well-known/bartizan/report?x&token=000000000000000000000000000000ab",
    ] {
        check(ours, Asked::Nothing);
    }
    for site in [
        "/",
        "",
        "*",
        "/.well-known/bartizan",
        "/a/.well-known/bartizan/report",
        "http://evil.test",
        "http://evil.test/?/.well-known/bartizan/",
        "/go?to=http://evil.test/.well-known/bartizan/report",
        "evil.test:443",
    ] {
        check(site, Asked::Site);
    }
}

#[test]
fn the_language_is_the_one_that_a_person_wants_most() {
    let check = |header: &str, expected| assert_eq!(Language::of(header), expected, "{header}");
    for english in ["", "en", "fr", "*", "de;q=0", "en,de", "de;q=0.5,en;q=0.51", "de;q=2", "de;q="]
    {
        check(english, Language::English);
    }
    for german in [
        "de",
        "DE-at",
        "de-DE,de;q=0.9,en;q=0.8",
        "fr, de;q=0.1",
        "en;q=0.5, de ; q=1.000",
        "en;q=0.999,de",
    ] {
        check(german, Language::German);
    }
    check("deutsch", Language::English);
    check(&format!("{}de", "fr,".repeat(16)), Language::English);
}

proptest! {
    /// What is ours is the same whatever the host and the feed are called.
    #[test]
    fn no_name_breaks_out_of_its_place(host in any::<String>(), feed in any::<String>()) {
        let html = body_of(&fullest(&host, &feed), 403);
        let plain = body_of(&fullest("h", "f"), 403);
        prop_assert_eq!(tags(&html), tags(&plain));
        prop_assert!(html.chars().all(|character| character == '\n' || !is_unseen(character)));
        prop_assert!(html.len() <= MAX_RESPONSE);
    }

    #[test]
    fn no_target_leads_elsewhere(to in "[/\\\\a-z\r\n :?]{0,12}") {
        let text = String::from_utf8(written(|out| write_redirect(&to, out))).unwrap();
        prop_assert_eq!(text.matches("\r\n").count(), 7);
        let location = text.lines().nth(1).unwrap();
        prop_assert!(location.starts_with("Location: /"));
        prop_assert!(!location.starts_with("Location: //"));
        prop_assert!(!location.contains('\\') || location.find('\\') > location.find("/a"));
    }
}

fn page(host: &str) -> BlockPage<'_> {
    BlockPage {
        host,
        category: IndicatorCategory::Phishing,
        feed: Some("a feed"),
        pass_hours: None,
        token: None,
        language: Language::English,
    }
}

fn fullest<'a>(host: &'a str, feed: &'a str) -> BlockPage<'a> {
    let token = Some(Token::new(u128::MAX));
    BlockPage { feed: Some(feed), pass_hours: Some(168), token, ..page(host) }
}

fn body_of(page: &BlockPage<'_>, status: u16) -> String {
    response(written(|out| write_block_page(page, out)), status)
}

/// Checks a response's head and returns its body.
fn response(octets: Vec<u8>, status: u16) -> String {
    let text = String::from_utf8(octets).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    assert!(lines.next().unwrap().starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    let headers: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    for expected in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", &body.len().to_string()),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Connection", "close"),
    ] {
        assert!(headers.contains(&expected), "{expected:?}: {head}");
    }
    assert!(head.contains("Content-Security-Policy: default-src 'none'; "), "{head}");
    // Nothing is fetched from anywhere. Text may say what it likes: a feed may be called `://`.
    assert!(!body.contains("<script"), "{body}");
    assert!(tags(body).iter().all(|tag| !tag.contains("://")), "{body}");
    body.to_owned()
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// Everything between angle brackets.
fn tags(html: &str) -> Vec<String> {
    html.split('<').skip(1).map(|tag| tag.split('>').next().unwrap().to_owned()).collect()
}

/// Writes pages where `BARTIZAN_PAGES` points to, for looking at them in a browser; does nothing without it.
#[test]
fn pages_can_be_looked_at() {
    let Some(folder) = std::env::var_os("BARTIZAN_PAGES") else { return };
    for language in Language::ALL {
        let warned = BlockPage { language, ..fullest("login.evil.test", "a phishing feed") };
        let blocked = BlockPage { pass_hours: None, ..warned };
        for (name, page) in [("warned", warned), ("blocked", blocked)] {
            let file = format!("block-{name}-{}.html", language.tag());
            std::fs::write(std::path::Path::new(&folder).join(file), body_of(&page, 403)).unwrap();
        }
    }
}
