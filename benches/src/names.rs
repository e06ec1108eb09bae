//! A million names that are listed, and a million that are not.
//!
//! Listed are those of real feeds, if `BARTIZAN_TEST_DATA` names the folder; made up otherwise. Absent ones are
//! names that many visit, where the folder is there, and then listed ones taken apart and put together anew: they look the same, and
//! neither they nor their parents are listed. The same names come out at each run.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use bartizan_indicators::guard::Guard;
use bartizan_indicators::pattern::Pattern;
use bartizan_indicators::unpack;
use bartizan_model::DomainName;

/// What is asked, each in no order.
#[derive(Debug)]
pub struct Names {
    /// Where they are from.
    pub origin: &'static str,
    /// Each once, at most [`MOST`]; none that the guard holds back.
    pub listed: Vec<DomainName>,
    /// [`MOST`] that are not listed.
    pub absent: Vec<DomainName>,
}

impl Names {
    /// Reads or makes them.
    #[must_use]
    pub fn load() -> Self {
        let folder = std::env::var_os("BARTIZAN_TEST_DATA").map(PathBuf::from);
        let mut chance = Chance(1);
        let (origin, listed, visited) = match folder.map(|folder| folder.join("dev")) {
            Some(folder) => (
                "feeds in BARTIZAN_TEST_DATA",
                FEEDS.iter().flat_map(|feed| column(&folder.join(feed))).collect(),
                column(&folder.join("benign-domains.tsv.zst")),
            ),
            None => ("made up, as BARTIZAN_TEST_DATA is not set", made_up(&mut chance), vec![]),
        };
        let guard = Guard::new();
        let mut seen = HashSet::new();
        let mut listed: Vec<DomainName> = listed
            .into_iter()
            .filter(|name| seen.insert(name.clone()))
            .filter(|name| guard.holds_back(&Pattern::Domain(name.clone())).is_none())
            .collect();
        chance.shuffle(&mut listed);
        listed.truncate(MOST);
        let absent = absent(&listed, visited, &mut chance);
        Self { origin, listed, absent }
    }
}

/// Returns the first column of a table, but for its head.
fn column(path: &Path) -> Vec<DomainName> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table = unpack::open(BufReader::new(file)).expect("it is packed as its name says");
    let lines = table.lines().skip(1).map(|line| line.expect("a table is text"));
    lines.filter_map(|line| DomainName::parse(line.split('\t').next()?.as_bytes()).ok()).collect()
}

fn made_up(chance: &mut Chance) -> Vec<DomainName> {
    let mut names = Vec::new();
    // Some come out twice.
    while names.len() < 2 * MOST {
        let mut name = String::new();
        for label in 0..1 + chance.below(2) {
            if label != 0 {
                name.push('.');
            }
            for _ in 0..2 + chance.below(3) {
                name.push_str(SYLLABLES[chance.below(SYLLABLES.len())]);
            }
            if chance.below(3) == 0 {
                name.push_str(&format!("-{}", chance.below(1_000)));
            }
        }
        name.push('.');
        name.push_str(ENDS[chance.below(ENDS.len())]);
        names.extend(DomainName::parse(name.as_bytes()));
    }
    names
}

fn absent(listed: &[DomainName], visited: Vec<DomainName>, chance: &mut Chance) -> Vec<DomainName> {
    let set: HashSet<&str> = listed.iter().map(DomainName::as_str).collect();
    let is_absent = |name: &DomainName| !name.suffixes().any(|name| set.contains(name));
    let mut seen = HashSet::new();
    let mut absent: Vec<DomainName> = visited
        .into_iter()
        .filter(|name| is_absent(name) && seen.insert(name.clone()))
        .take(MOST)
        .collect();
    while absent.len() < MOST {
        let mut pick = || listed[chance.below(listed.len())].as_str().split_once('.');
        let (Some((label, _)), Some((_, rest))) = (pick(), pick()) else { continue };
        let prefix = PREFIXES[chance.below(PREFIXES.len())];
        let changed = chance.below(label.len());
        let letter = char::from(b'a' + chance.below(26) as u8);
        let (before, after) = label.split_at(changed);
        let text = format!("{prefix}{before}{letter}{}.{rest}", &after[1..]);
        if let Ok(name) = DomainName::parse(text.as_bytes())
            && is_absent(&name)
            && seen.insert(name.clone())
        {
            absent.push(name);
        }
    }
    chance.shuffle(&mut absent);
    absent
}

/// Numbers that look random and are the same each time (`SplitMix64`, which is public domain).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

/// How many names there are of each kind.
pub const MOST: usize = 1_000_000;
const FEEDS: [&str; 3] =
    ["phishing-domains.tsv.zst", "malware-domains-mobile.tsv.zst", "malware-domains-other.tsv.zst"];
/// As often as they are met: most names that are asked for have none.
const PREFIXES: [&str; 8] = ["", "", "", "", "www.", "m.", "cdn.", "api.eu."];
const SYLLABLES: [&str; 24] = [
    "ba", "co", "de", "fi", "go", "hu", "ja", "ke", "li", "mo", "nu", "pa", "qui", "re", "so",
    "ta", "ver", "web", "pay", "log", "in", "shop", "mail", "bank",
];
const ENDS: [&str; 8] = ["com", "net", "org", "top", "xyz", "info", "de", "com.br"];
