//! Holds docs/asvs.json to what it says: every requirement is there, every test that it names exists, and docs/security.md
//! has its figures.
//!
//! Only numbers and levels of the standard stand here and there (OWASP ASVS 5.0.0); its words are its authors'.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What is said of one requirement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    level: u8,
    applies: bool,
    /// Of what applies.
    met: Option<Met>,
    /// What we do, what lacks, or why it does not apply.
    how: String,
    tests: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Met {
    Yes,
    Partly,
    No,
}

#[test]
fn every_requirement_of_levels_1_and_2_is_there_once_and_in_order() {
    let facts: Vec<(String, u8)> = LEVELS
        .iter()
        .flat_map(|(section, levels)| {
            let numbered = levels.bytes().zip(1..);
            numbered.map(move |(level, number)| (format!("V{section}.{number}"), level - b'0'))
        })
        .collect();
    let of_level = |wanted: u8| facts.iter().filter(|(_, level)| *level == wanted).count();
    assert_eq!((facts.len(), of_level(1), of_level(2)), (345, 70, 183));

    let entries = entries();
    let known: Vec<_> = entries.iter().map(|entry| (entry.id.clone(), entry.level)).collect();
    let here = |fact: &&(String, u8)| fact.1 < 3 || known.contains(fact);
    let expected: Vec<_> = facts.iter().filter(here).cloned().collect();
    assert_eq!(known, expected);
}

#[test]
fn whatever_is_met_is_shown_by_tests_that_exist() {
    for entry in entries() {
        let Entry { id, applies, met, how, tests, .. } = &entry;
        assert!(how.ends_with('.') && 10 < how.len(), "{id}: say it in a sentence");
        assert_eq!(*applies, met.is_some(), "{id}: what applies is met, partly met or not");
        assert!(*met != Some(Met::Yes) || !tests.is_empty(), "{id}: a test has to show it");
        assert!(*applies || tests.is_empty(), "{id}: what does not apply is not tested");
        for test in tests {
            assert!(is_a_test(test), "{id}: there is no test {test}");
        }
    }
}

/// The failure says what to put there.
#[test]
fn the_page_on_security_has_the_figures() {
    let entries = entries();
    let mut text = String::from(
        "| Level | Requirements | Do not apply | Met | Partly | Not |\n|---|---|---|---|---|---|\n",
    );
    for level in 1..=3 {
        let count = |wanted: Option<Option<Met>>| {
            let of_level = entries.iter().filter(|entry| entry.level == level);
            of_level.filter(|entry| wanted.is_none_or(|met| entry.met == met)).count()
        };
        let name = if level == 3 { "3 (some)".to_owned() } else { level.to_string() };
        let figures = [None, Some(None), Some(Some(Met::Yes)), Some(Some(Met::Partly))];
        let [all, not_ours, yes, partly] = figures.map(count);
        let no = count(Some(Some(Met::No)));
        writeln!(text, "| {name} | {all} | {not_ours} | {yes} | {partly} | {no} |").unwrap();
    }
    text.push_str("\nOpen, from that file:\n\n| | Level | | |\n|---|---|---|---|\n");
    for entry in &entries {
        let met = match entry.met {
            Some(Met::Partly) => "partly",
            Some(Met::No) => "not",
            Some(Met::Yes) | None => continue,
        };
        writeln!(text, "| {} | {} | {met} | {} |", entry.id, entry.level, entry.how).unwrap();
    }
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    assert!(page.contains(&text), "docs/security.md lacks:\n{text}");
}

/// Whether `crate::path::name` is a test: a function with the attribute of one, in the file that the path leads to.
fn is_a_test(test: &str) -> bool {
    let Some((path, name)) = test.rsplit_once("::") else { return false };
    let Some((package, path)) = path.split_once("::") else { return false };
    let path = path.replace("::", "/");
    let folder = root().join("crates").join(package);
    let places = ["src", "tests"]
        .into_iter()
        .flat_map(|place| [format!("{place}/{path}.rs"), format!("{place}/{path}/mod.rs")]);
    let texts = places.filter_map(|file| fs::read_to_string(folder.join(file)).ok());
    let mut found = texts.flat_map(|text| {
        let function = format!("fn {name}(");
        let at = text.find(&function)?;
        let before = text.get(..at)?.lines().rev().take(4);
        Some(before.collect::<Vec<_>>().join("\n").contains("test]"))
    });
    found.any(|is_test| is_test)
}

fn entries() -> Vec<Entry> {
    let text = fs::read_to_string(root().join("docs/asvs.json")).unwrap();
    let entries: Vec<Entry> = serde_json::from_str(&text).unwrap();
    let mut by_id = BTreeMap::new();
    for entry in &entries {
        assert!(by_id.insert(&entry.id, entry.level).is_none(), "{} is there twice", entry.id);
    }
    entries
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// By section the level of each of its requirements, in their order.
const LEVELS: [(&str, &str); 80] = [
    ("1.1", "22"),
    ("1.2", "1111122223"),
    ("1.3", "112222222223"),
    ("1.4", "222"),
    ("1.5", "123"),
    ("2.1", "122"),
    ("2.2", "112"),
    ("2.3", "12223"),
    ("2.4", "23"),
    ("3.1", "3"),
    ("3.2", "113"),
    ("3.3", "12223"),
    ("3.4", "11222233"),
    ("3.5", "11122333"),
    ("3.6", "3"),
    ("3.7", "22333"),
    ("4.1", "12233"),
    ("4.2", "23333"),
    ("4.3", "22"),
    ("4.4", "1222"),
    ("5.1", "2"),
    ("5.2", "112333"),
    ("5.3", "113"),
    ("5.4", "222"),
    ("6.1", "122"),
    ("6.2", "111111112222"),
    ("6.3", "11223333"),
    ("6.4", "112233"),
    ("6.5", "22222333"),
    ("6.6", "2223"),
    ("6.7", "33"),
    ("6.8", "2222"),
    ("7.1", "222"),
    ("7.2", "1111"),
    ("7.3", "22"),
    ("7.4", "11222"),
    ("7.5", "223"),
    ("7.6", "22"),
    ("8.1", "1233"),
    ("8.2", "1123"),
    ("8.3", "133"),
    ("8.4", "23"),
    ("9.1", "111"),
    ("9.2", "1222"),
    ("10.1", "22"),
    ("10.2", "223"),
    ("10.3", "22223"),
    ("10.4", "1111122222233333"),
    ("10.5", "22222"),
    ("10.6", "22"),
    ("10.7", "222"),
    ("11.1", "2233"),
    ("11.2", "22233"),
    ("11.3", "11233"),
    ("11.4", "1222"),
    ("11.5", "23"),
    ("11.6", "23"),
    ("11.7", "33"),
    ("12.1", "12233"),
    ("12.2", "11"),
    ("12.3", "22223"),
    ("13.1", "2333"),
    ("13.2", "222223"),
    ("13.3", "2233"),
    ("13.4", "1222233"),
    ("14.1", "22"),
    ("14.2", "12223333"),
    ("14.3", "122"),
    ("15.1", "12233"),
    ("15.2", "12233"),
    ("15.3", "1222222"),
    ("15.4", "3333"),
    ("16.1", "2"),
    ("16.2", "22222"),
    ("16.3", "2222"),
    ("16.4", "222"),
    ("16.5", "2223"),
    ("17.1", "23"),
    ("17.2", "22223333"),
    ("17.3", "22"),
];
