//! The tenant's own indicators at the console: written, listed, ended, and as a CSV file in and out.

use axum::body::Body;
use axum::http::Request;
use bartizan_contract::indicators::{Manifest, ManifestReply};
use bartizan_contract::{path, signed};
use bartizan_indicators::TenantFile;

use crate::world::{Answer, Browser, HOUR, World, call};

#[tokio::test]
async fn an_indicator_is_written_found_changed_and_deleted() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    assert!(browser.get("/indicators").await.text().contains("No indicators of your own yet"));
    let made = create(&mut browser, "Evil.Test", "Block").await;
    assert_eq!((made.status.as_u16(), location(&made)), (303, "/indicators/1?done=created"));
    let page = browser.get(location(&made)).await.text();
    assert!(page.contains("Matches evil.test and every name under it."), "{page}");
    assert!(page.contains("<code>Evil.Test</code>"), "it is kept as it was entered: {page}");

    let listed =
        browser.get("/indicators?q=evil&action=block&kind=domain&state=active").await.text();
    assert!(listed.contains("href=\"/indicators/1\""), "{listed}");
    let other = browser.get("/indicators?action=allow").await.text();
    assert!(other.contains("No indicator matches this filter"), "{other}");

    let form = [("action", "Allowed"), ("title", "Ours"), ("severity", "High"), ("category", "")];
    let saved = browser.submit("/indicators/1", &form).await;
    assert_eq!(location(&saved), "/indicators/1?done=saved");
    let page = browser.get(location(&saved)).await.text();
    assert!(page.contains("Saved.") && page.contains("Let through without an alert"), "{page}");

    let asked = browser.submit("/indicators/bulk", &[("id", "1"), ("do", "delete")]).await;
    assert_eq!(asked.status, 200);
    assert!(asked.text().contains("Delete 1 indicator?"), "{}", asked.text());
    assert_eq!(browser.get("/indicators/1").await.status, 200, "it asks before it deletes");
    let sure = [("id", "1"), ("do", "delete"), ("sure", "yes")];
    let gone = browser.submit("/indicators/bulk", &sure).await;
    assert_eq!(location(&gone), "/indicators?done=deleted&n=1");
    assert!(browser.get(location(&gone)).await.text().contains("1 indicator deleted."));
    assert_eq!(browser.get("/indicators/1").await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_is_told_beside_its_field() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    for (form, expected) in [
        (
            [("indicatorValue", "no good"), ("action", "Block"), ("title", "A")],
            "The value is not a host name.",
        ),
        ([("indicatorValue", ""), ("action", "Block"), ("title", "A")], "The value is missing."),
        (
            [("indicatorValue", "a.test"), ("action", "Block"), ("title", "")],
            "The title is missing.",
        ),
        ([("indicatorValue", "a.test"), ("action", "Audit"), ("title", "A")], "This must be True"),
    ] {
        let refused = browser.submit("/indicators", &form).await;
        assert_eq!(refused.status, 422);
        let page = refused.text();
        assert!(page.contains(expected) && page.contains("Nothing was saved."), "{page}");
        assert_eq!(browser.post("/indicators", &form).await.problem().1, "indicator_unfit");
    }
    let long = "x".repeat(501);
    let form = [
        ("indicatorValue", "a.test"),
        ("action", "Block"),
        ("title", "A"),
        ("mitretechniques", long.as_str()),
    ];
    let page = browser.submit("/indicators", &form).await.text();
    assert!(page.contains("<code>mitretechniques</code> has more than 500 characters."), "{page}");
    assert!(browser.get("/indicators").await.text().contains("No indicators of your own yet"));
}

#[tokio::test]
async fn a_value_that_is_there_leads_to_its_indicator() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    create(&mut browser, "evil.test", "Block").await;
    let again = create(&mut browser, "https://EVIL.test/", "Allowed").await;
    assert_eq!(location(&again), "/indicators/1?done=exists");
    let page = browser.get(location(&again)).await.text();
    assert!(page.contains("This value has an indicator already"), "{page}");
}

#[tokio::test]
async fn a_tenant_is_told_what_no_feed_could_do() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    for (value, action, expected) in [
        ("co.uk", "Block", Some("This is a public suffix")),
        ("google.com", "Warn", Some("This is a popular or shared site")),
        ("evil.test", "Block", None),
        ("github.io", "Allowed", None),
    ] {
        let made = create(&mut browser, value, action).await;
        let page = browser.get(location(&made)).await.text();
        assert_eq!(expected.is_some_and(|text| page.contains(text)), expected.is_some(), "{value}");
        assert_eq!(page.contains("your own indicator does."), expected.is_some(), "{value}");
    }
}

#[tokio::test]
async fn several_expire_at_once() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    for value in ["a.test", "b.test", "c.test"] {
        create(&mut browser, value, "Block").await;
    }
    let form = [("id", "1"), ("id", "3"), ("do", "expire")];
    let ended = browser.submit("/indicators/bulk", &form).await;
    assert_eq!(location(&ended), "/indicators?done=expired&n=2");
    let active = browser.get("/indicators?state=active").await.text();
    assert!(active.contains("/indicators/2\"") && !active.contains("/indicators/1\""), "{active}");
    assert!(browser.get("/indicators/1").await.text().contains("It has expired and does nothing."));
    let nothing = browser.submit("/indicators/bulk", &[("do", "delete")]).await;
    assert!(browser.get(location(&nothing)).await.text().contains("Nothing was selected."));
    assert_eq!(
        browser.submit("/indicators/bulk", &[("id", "x"), ("do", "expire")]).await.status,
        404
    );
}

#[tokio::test]
async fn a_file_is_looked_at_then_imported_and_comes_out_unchanged() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    create(&mut browser, "a.test", "Block").await;
    let sent = upload(&browser, FILE).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let address = location(&sent).to_owned();
    let page = browser.get(&address).await.text();
    tally(&page, [7, 1, 0, 2]);
    for expected in [
        "is not a network indicator",
        "is in line 2 already",
        "<del><bdi>Block</bdi></del> → <ins><bdi>Warn</bdi></ins>",
        "<bdi>scopeTags</bdi>",
        "Import 8 indicators, leave out what is wrong",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let done = browser.submit(&address, &[]).await;
    assert_eq!(location(&done), "/indicators?done=imported&n=8");
    assert_eq!(browser.get(&address).await.status, 404, "applied once");

    let export = browser.get("/indicators/export.csv").await;
    assert_eq!(export.header("content-type"), "text/csv; charset=utf-8");
    let file = export.text();
    assert!(file.contains("HostName,www.evil.test,Block"), "{file}");
    assert!(!file.contains("\r\n=") && !file.contains(",=") && !file.contains(",+"), "{file}");
    let again = upload(&browser, &file).await;
    let page = browser.get(location(&again)).await.text();
    tally(&page, [0, 0, 8, 0]);
    assert!(page.contains("There is nothing to import."), "{page}");
}

#[tokio::test]
async fn an_upload_is_for_who_sent_it_and_for_a_quarter_of_an_hour() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let mut colleague = world.member(world.acme, "b@acme.test").await;
    let mut stranger = world.member(world.globex, "g@globex.test").await;
    let address = location(&upload(&browser, FILE).await).to_owned();
    for other in [&mut colleague, &mut stranger] {
        assert_eq!(other.get(&address).await.status, 404);
        assert_eq!(other.submit(&address, &[]).await.status, 404);
    }
    world.advance(HOUR / 4 - 1);
    assert_eq!(browser.get(&address).await.status, 200);
    world.advance(1);
    assert_eq!(browser.submit(&address, &[]).await.status, 404);
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_with_the_reason() {
    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    for (text, expected) in [
        ("", "The file is empty."),
        ("evil.test\n", "The first line has no column “indicatorType”."),
    ] {
        let sent = upload(&browser, text).await;
        let page = browser.get(location(&sent)).await;
        assert_eq!(page.status, 422);
        assert!(page.text().contains(expected), "{}", page.text());
    }
    let large = upload(&browser, &"x".repeat(33 * 1024 * 1024)).await;
    assert_eq!(large.status, 413);
    assert!(large.text().contains("The file is too large."), "{}", large.text());
}

#[tokio::test]
async fn nothing_of_another_tenant_is_seen_changed_or_exported() {
    let world = World::new().await;
    let mut acme = world.member(world.acme, "a@acme.test").await;
    let mut globex = world.member(world.globex, "g@globex.test").await;
    create(&mut acme, "secret.test", "Block").await;
    assert_eq!(globex.get("/indicators/1").await.status, 404);
    let form = [("action", "Allowed"), ("title", "Theirs")];
    assert_eq!(globex.submit("/indicators/1", &form).await.status, 404);
    let delete = [("id", "1"), ("do", "delete")];
    assert_eq!(globex.submit("/indicators/bulk", &delete).await.status, 404);
    let sure = [("id", "1"), ("do", "delete"), ("sure", "yes")];
    let none = globex.submit("/indicators/bulk", &sure).await;
    assert_eq!(location(&none), "/indicators?done=deleted&n=0");
    let expire = [("id", "1"), ("do", "expire")];
    let none = globex.submit("/indicators/bulk", &expire).await;
    assert_eq!(location(&none), "/indicators?done=expired&n=0");
    assert!(!globex.get("/indicators/export.csv").await.text().contains("secret"));
    assert!(!globex.get("/indicators?q=secret").await.text().contains("/indicators/1"));
    let sent =
        upload(&globex, "indicatorType,indicatorValue,action,title\nUrl,secret.test,Block,A\n");
    let page = globex.get(location(&sent.await)).await.text();
    tally(&page, [1, 0, 0, 0]);
    let page = acme.get("/indicators/1").await.text();
    assert!(page.contains("Stopped.") && !page.contains("expired"), "{page}");
}

#[tokio::test]
async fn a_device_is_told_of_its_own_tenants_indicators_and_fetches_them() {
    let world = World::new().await;
    let (device, other) = (world.device(world.acme, 1).await, world.device(world.globex, 2).await);
    assert_eq!(device.get(path::MANIFEST).await.status, 404);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    create(&mut browser, "evil.test", "Block").await;
    // The file is built in the background.
    let reply: ManifestReply = loop {
        let answer = device.get(path::MANIFEST).await;
        if answer.status == 200 {
            assert_eq!(answer.header("etag"), "\"0.1\"");
            break answer.json();
        }
        tokio::task::yield_now().await;
    };
    let key = device.signing_key.as_ref().unwrap().portal_key().unwrap();
    let manifest: Manifest = signed::open(&reply.manifest, &key).unwrap();
    assert_eq!((manifest.epoch, manifest.base), (0, None));
    let own = manifest.tenant.unwrap();
    let address = format!("{}{}", path::INDICATOR_FILE, own.file.sha256);
    let octets = device.get(&address).await.body;
    let file = TenantFile::open(Box::new(octets.to_vec()), &key, 0).unwrap();
    assert_eq!((file.epoch(), file.entries()), (1, 1));
    assert_eq!(other.get(path::MANIFEST).await.status, 404);
    assert_eq!(other.get(&address).await.status, 404);
}

const FILE: &str = "indicatorType,indicatorValue,action,title,description,expirationTime,severity,category,GenerateAlert,scopeTags\n\
    DomainName,a.test,Warn,A title,,,,,,\n\
    DomainName,*.evil.test,Block,Wild,\"Two\nlines\",2027-01-31T10:00:00.5Z,High,Phishing,True,x\n\
    DomainName,=www.evil.test,Block,=1+1,+49,,Low,InitialAccess,,\n\
    HostName,A.TEST,Allowed,Exact,,,,,,\n\
    Url,https://evil.test/path?q=1,Audit,Path,,,,,True,\n\
    IpAddress,2001:db8:0:0:0:0:0:1,AlertAndBlock,Six,,,,,,\n\
    CidrRange,192.0.2.0/24,Block,Net,,2020-01-01T00:00:00Z,,,,\n\
    DomainName,bücher.test,Block,Ü,,,,,,\n\
    FileSha256,00,Block,File,,,,,,\n\
    Url,http://a.test,Block,Twice,,,,,,\n";

pub(crate) async fn create(browser: &mut Browser, value: &str, action: &str) -> Answer {
    let form = [("indicatorValue", value), ("action", action), ("title", "A title")];
    browser.submit("/indicators", &form).await
}

pub(crate) async fn upload(browser: &Browser, text: &str) -> Answer {
    let body = format!(
        "--sep\r\ncontent-disposition: form-data; name=\"file\"; filename=\"i.csv\"\r\n\
         content-type: text/csv\r\n\r\n{text}\r\n--sep--\r\n"
    );
    let request = Request::post("/indicators/import")
        .header("host", "portal.test")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "multipart/form-data; boundary=sep")
        .header("accept", "text/html")
        .header("cookie", &browser.cookie)
        .body(Body::from(body))
        .unwrap();
    call(&browser.router, request).await
}

fn location(answer: &Answer) -> &str {
    answer.header("location")
}

/// New, changed, unchanged, errors.
#[track_caller]
fn tally(page: &str, expected: [u32; 4]) {
    for (name, number) in ["New", "Changed", "Unchanged", "Errors"].iter().zip(expected) {
        let text = format!("<div><dt>{name}</dt><dd>{number}</dd></div>");
        assert!(page.contains(&text), "{text}: {page}");
    }
}
