//! Feeds of real size: the folder is in `BARTIZAN_TEST_DATA`, and `cargo xtask test` leaves this out where
//! there is none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use bartizan_indicators::feed;
use bartizan_indicators::guard::Guard;
use bartizan_indicators::normal::CanonicalUrl;
use bartizan_indicators::pattern::Pattern;
use bartizan_indicators::unpack;
use bartizan_model::DomainName;

/// The embedded lists alone; what is left is counted and must not become more.
#[test]
fn few_popular_names_that_feeds_list_pass_the_embedded_lists() {
    let guard = Guard::new();
    let left = passed(&guard);
    report(&format!("{} of {} pass the embedded lists: {left:?}", left.len(), traps().len()));
    assert!(left.len() <= MOST_PASSED, "{}", left.len());
}

#[test]
fn popular_names_that_feeds_list_do_not_pass_an_allow_feed() {
    for only_tiers in [true, false] {
        let mut guard = Guard::new();
        for (name, row) in column("benign-domains.tsv.zst", "host") {
            let has_tier = !row[1].is_empty() || !row[2].is_empty();
            if has_tier || !only_tiers {
                guard.allow(&DomainName::parse(name.as_bytes()).unwrap());
            }
        }
        let left = passed(&guard);
        report(&format!("{} pass, only tiers: {only_tiers}: {left:?}", left.len()));
        // Two are publishers on a shared platform, as they should; three have no tier.
        assert!(left.len() <= if only_tiers { 5 } else { 2 }, "{left:?}");
    }
}

#[test]
fn nothing_harmless_is_blocked_but_what_a_feed_lists_by_name() {
    let mut guard = Guard::new();
    for (name, row) in column("benign-domains.tsv.zst", "host") {
        if !row[1].is_empty() || !row[2].is_empty() {
            guard.allow(&DomainName::parse(name.as_bytes()).unwrap());
        }
    }
    for (guard, allowed) in [(guard, true), (Guard::new(), false)] {
        let mut listed = BTreeSet::new();
        let mut counts = Vec::new();
        for feed in FEEDS {
            let (mut read, mut held) = (0_u64, 0_u64);
            let outcome = feed::read(open(feed), |entry| {
                read += 1;
                let mut pattern = entry.pattern;
                if let Pattern::Url(url) = &pattern {
                    let host = Pattern::of_host(url.host().clone());
                    if guard.holds_back(&host).is_none() {
                        pattern = host;
                    }
                }
                if guard.holds_back(&pattern).is_none() {
                    listed.insert(pattern.to_string());
                } else {
                    held += 1;
                }
            });
            let outcome = outcome.unwrap();
            assert_eq!(outcome.bad_lines, 0, "{feed}: {:?}", outcome.first_bad);
            counts.push(format!("{feed}: {held} of {read}"));
        }
        let is_listed = |name: &DomainName| name.suffixes().any(|name| listed.contains(name));
        let names: Vec<_> = column("benign-domains.tsv.zst", "host")
            .into_iter()
            .filter(|(_, row)| row[4].is_empty())
            .map(|(name, _)| name)
            .filter(|name| is_listed(&DomainName::parse(name.as_bytes()).unwrap()))
            .collect();
        let urls: Vec<_> = column("benign-urls.tsv.zst", "url")
            .into_iter()
            .filter(|(_, row)| row[2].is_empty())
            .map(|(url, _)| CanonicalUrl::parse(&url).unwrap())
            .filter(|url| {
                let host = Pattern::of_host(url.host().clone());
                host.name().map_or_else(|| listed.contains(&host.to_string()), is_listed)
                    || url
                        .path_prefixes(4)
                        .any(|path| listed.contains(&format!("{}{path}", url.host())))
            })
            .collect();
        report(&format!(
            "held back: {}; {} listed; with allow feed: {allowed}; blocked harmless: {} names {names:?}, {} URLs {urls:?}",
            counts.join(", "),
            listed.len(),
            names.len(),
            urls.len()
        ));
        if allowed {
            // Each of their hosts is a line of its own in a feed of malware, and on no list of popular names.
            assert!(names.len() <= 7 && urls.len() <= 6, "{} and {}", names.len(), urls.len());
        }
    }
}

#[test]
fn every_indicator_of_the_bundles_comes_out_and_nothing_else() {
    let mut expected = BTreeSet::new();
    for (value, row) in column("stix-expected-indicators.tsv.zst", "value") {
        if ["domain-name:value", "url:value", "ipv4-addr:value", "ipv6-addr:value"]
            .contains(&&*row[0])
        {
            expected.insert(value.parse::<Pattern>().unwrap());
        }
    }
    let mut tar = Vec::new();
    open("stix-bundles.tar.zst").read_to_end(&mut tar).unwrap();
    let mut listed = BTreeSet::new();
    let mut rest = tar.as_slice();
    while let Some((header, after)) =
        rest.split_at_checked(512).filter(|(header, _)| header[0] != 0)
    {
        let size = std::str::from_utf8(&header[124..135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        let outcome = feed::read(&after[..size], |entry| {
            listed.insert(entry.pattern);
        });
        let outcome = outcome.unwrap();
        assert_eq!((outcome.format, outcome.bad_lines), (feed::FeedFormat::Stix, 0));
        rest = &after[size.next_multiple_of(512)..];
    }
    report(&format!("{} of {} indicators", listed.len(), expected.len()));
    let missing: Vec<_> = expected.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&expected).collect();
    assert!(missing.is_empty() && invented.is_empty(), "{missing:?} {invented:?}");
}

#[test]
fn what_others_publish_is_read() {
    for (file, format, least) in [
        ("misp-event-stalkerware.json.zst", feed::FeedFormat::Misp, 1_000),
        ("misp-event-eset-lazarus3cx.json.zst", feed::FeedFormat::Misp, 1),
        ("stalkerware-iocs.tsv.zst", feed::FeedFormat::Tsv, 1_000),
        ("ip/ipsum-3plus.tsv.zst", feed::FeedFormat::Tsv, 10_000),
        ("ip/threatfox-ips.txt.zst", feed::FeedFormat::Plain, 10_000),
    ] {
        let outcome = feed::read(open_in("common", file), |_| {}).unwrap();
        report(&format!("{file}: {outcome:?}"));
        assert_eq!((outcome.format, outcome.bad_lines), (format, 0), "{file}");
        assert!(least <= outcome.entries(), "{file}: {}", outcome.entries());
    }
}

/// Names that feeds list and must not block.
fn traps() -> Vec<Pattern> {
    let rows = column("feed-listed-popular.tsv.zst", "host");
    rows.iter().map(|(name, _)| name.parse().unwrap()).collect()
}

fn passed(guard: &Guard) -> Vec<String> {
    let left = traps().into_iter().filter(|name| guard.holds_back(name).is_none());
    left.map(|name| name.to_string()).collect()
}

/// Returns a column of a table, each with its whole row.
fn column(file: &str, wanted: &str) -> Vec<(String, Vec<String>)> {
    let mut rows = open(file)
        .lines()
        .map(|line| line.unwrap().split('\t').map(str::to_owned).collect::<Vec<_>>());
    let column = rows.next().unwrap().iter().position(|name| name == wanted).unwrap();
    rows.map(|row| (row[column].clone(), row)).collect()
}

fn open(file: &str) -> Box<dyn BufRead> {
    open_in("dev", file)
}

fn open_in(part: &str, file: &str) -> Box<dyn BufRead> {
    let folder = std::env::var_os("BARTIZAN_TEST_DATA")
        .expect("BARTIZAN_TEST_DATA names a folder with feeds");
    let path = PathBuf::from(folder).join(part).join(file);
    unpack::open(BufReader::new(File::open(&path).expect("the feed is there"))).unwrap()
}

#[expect(clippy::print_stdout, reason = "a figure, for whoever asks for it")]
fn report(line: &str) {
    println!("{line}");
}

const FEEDS: [&str; 8] = [
    "phishing-domains.tsv.zst",
    "phishing-urls.tsv.zst",
    "malware-domains-mobile.tsv.zst",
    "malware-domains-other.tsv.zst",
    "phishing-subdomains-on-popular-sites.tsv.zst",
    "metamask-config.json.zst",
    "polkadot-all.json.zst",
    "phishing-ips.txt.zst",
];
/// Names that only popularity figures can know.
const MOST_PASSED: usize = 75;
