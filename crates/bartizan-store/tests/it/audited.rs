//! Whatever changes something leaves an entry in the audit log, or says here why it does not.
//!
//! All changes go through the store, so its functions stand for every route of the console and of the API. What is looked
//! at is the text: a function that writes, or one that it calls by its module and name, has to append an entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Functions that write and leave no entry.
const WITHOUT: &[(&str, &str)] = &[
    ("application::touch_application", "when it last called"),
    ("arrival::log_out_by_provider", "`session` notes each session that ends"),
    ("audit_log::keep_audit_head", "signs the log itself"),
    ("auto_resolve::auto_resolve", "each alert's history says so"),
    ("checkin::check_in", "a device says how it is"),
    ("delta::add_indicator_deltas", "made of two files that are there"),
    ("device_change::set_policy_tag", "follows from a policy, whose change has an entry"),
    ("device_member::regroup_some", "follows from groups, whose change has an entry"),
    ("enrollment_code::redeem_enrollment_code", "the enrollment that follows has an entry"),
    ("exception::set_held_back", "a finding of the compile"),
    ("feed::note_feed_check", "how a fetch went"),
    ("feed::set_feed_due", "asks for a fetch, which decides nothing"),
    ("feedback::add_feedback", "what somebody says stands in the inbox"),
    ("idempotency::begin_idempotent", "a request that is under way"),
    ("idempotency::end_idempotent", "a request that was answered"),
    ("indicator::add_indicator_file", "follows from feeds, whose change has an entry"),
    ("indicator::note_compiled", "work of the portal"),
    ("indicator::want_compile", "asks for a compile, which decides nothing"),
    ("ingest::ingest_alerts", "a device raises alerts"),
    ("job_lease::lease", "work of the portal"),
    ("job_lease::release", "work of the portal"),
    ("lib::check", "a check of the disk"),
    ("notice::raise_notice", "what the portal says"),
    ("notice::settle_notices", "what the portal takes back"),
    ("operator_visit::touch_visit", "when it was last used"),
    ("retention::remove_old", "follows from the retention that is configured"),
    ("scim_token::scope_of_scim_token", "when it last called"),
    ("second_factor::try_second_factor", "counts attempts"),
    ("second_factor::use_step", "a code is good once; the session that begins has an entry"),
    ("session::touch_session", "when it was last used"),
    ("sink_work::advance_sink", "work of the portal"),
    ("sink_work::advance_urgent", "work of the portal"),
    ("sink_work::bury", "work of the portal"),
    ("sink_work::fail_sink", "work of the portal"),
    ("sink_work::prune_events", "work of the portal"),
    ("sink_work::replayed", "work of the portal"),
    ("site_report::add_site_report", "what somebody says stands on the feed's page"),
    ("tenant_file::add_tenant_file", "follows from indicators, whose change has an entry"),
    ("tenant_file::forget_tenant_files", "work of the portal"),
    ("triage::update_alert_if", "as of many"),
    ("triage::update_alerts", "`alert_apply` notes each new status, and each alert has a history"),
];

#[test]
fn whatever_changes_something_leaves_an_entry_or_says_why_not() {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(source) = fs::read_to_string(&path) else { continue };
        let module = path.file_stem().unwrap().to_str().unwrap();
        for (name, text) in functions(&source) {
            all.entry(format!("{module}::{name}")).or_insert_with(String::new).push_str(&text);
        }
    }
    let writers: Vec<&String> = all
        .iter()
        .filter(|(_, text)| text.trim_start().starts_with("pub async fn"))
        .filter(|(_, text)| text.contains(".write("))
        .map(|(name, _)| name)
        .collect();
    assert!(90 < writers.len(), "{} functions that write", writers.len());
    let silent: BTreeSet<&str> =
        writers.into_iter().filter(|name| !appends(&all, name)).map(String::as_str).collect();
    for name in &silent {
        assert!(WITHOUT.iter().any(|(known, _)| known == name), "{name} leaves no entry");
    }
    for (known, _) in WITHOUT {
        let is_gathered = !all.get(*known).is_none_or(|text| text.contains(".write("));
        assert!(silent.contains(known) || is_gathered, "{known} leaves an entry, or is gone");
    }
}

/// Whether a function appends an entry, or one that it calls.
fn appends(all: &BTreeMap<String, String>, name: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![name.to_owned()]);
    while let Some(name) = next.pop() {
        let Some(text) = all.get(&name) else { continue };
        if text.contains("audit::append(") || text.contains("audit::append_many(") {
            return true;
        }
        if !seen.insert(name.clone()) {
            continue;
        }
        let module = name.split("::").next().unwrap();
        for called in text.split('(') {
            let start = called
                .rfind(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':')
                .map_or(0, |at| at + 1);
            let called = called.get(start..).unwrap().trim_matches(':');
            match called.rsplit("::").collect::<Vec<_>>().as_slice() {
                [] | [""] => {}
                [name] => next.push(format!("{module}::{name}")),
                [name, of, ..] => next.push(format!("{of}::{name}")),
            }
        }
    }
    false
}

/// The functions of a file, each with its text.
fn functions(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let lines: Vec<&str> = source.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let words = line.trim_start();
        let indent = line.get(..line.len() - words.len()).unwrap();
        let Some((before, after)) = words.split_once("fn ") else { continue };
        if !["", "pub ", "pub async ", "async ", "pub(crate) ", "pub(crate) async "]
            .contains(&before)
        {
            continue;
        }
        let name = after.split(['(', '<']).next().unwrap().to_owned();
        let end = format!("{indent}}}");
        let body = lines[at..].iter().take_while(|line| **line != end);
        found.push((name, body.copied().collect::<Vec<_>>().join("\n")));
    }
    found
}
