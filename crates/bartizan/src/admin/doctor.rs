//! `bartizan admin doctor`: looks at what a portal stands on, and says what to do about what is wrong.
//!
//! It changes nothing but a file of its own that it writes to measure the disk.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use bartizan_model::UnixMillis;
use bartizan_portal::{Clock, DatabaseUrl};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate;
use crate::config::Config;
use crate::stopwatch::Stopwatch;

/// What was looked at, and how it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) subject: &'static str,
    pub(super) state: State,
    /// How it is, in figures where there are any.
    pub(super) found: String,
    /// What to do; empty if nothing.
    pub(super) advice: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Finding {
    fn ok(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, state: State::Ok, found: found.into(), advice: String::new() }
    }

    fn warn(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, state: State::Warn, found: found.into(), advice: advice.into() }
    }

    fn fail(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, state: State::Fail, found: found.into(), advice: advice.into() }
    }
}

/// Looks at everything.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let now = Clock::system().now();
    let database = config.portal().database();
    let mut findings = vec![
        permissions(&config.data, &database),
        space("space for the data folder", &config.data),
        flush(&config.data),
    ];
    findings.extend(of_database(&database, now));
    if let DatabaseUrl::File(file) = &database
        && let Some(folder) = file.parent()
        && *folder != *config.data
        && !folder.as_os_str().is_empty()
    {
        findings.push(space("space for the database", folder));
    }
    if let Some(path) = &config.tls_cert {
        findings.push(chain("certificate", path, now));
    }
    if let Some(path) = &config.profile_cert {
        findings.push(chain("certificate that signs profiles", path, now));
    }
    findings
}

/// Writes findings as lines.
pub(super) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        text += &format!("{:<4}  {}: {}\n", finding.state.word(), finding.subject, finding.found);
        if !finding.advice.is_empty() {
            text += &format!("      {}\n", finding.advice);
        }
    }
    text
}

fn permissions(data: &Path, database: &DatabaseUrl) -> Finding {
    const SUBJECT: &str = "who can read the data folder";
    let mode = |path: &Path| fs::metadata(path).map(|data| data.permissions().mode() & 0o777);
    let Ok(folder) = mode(data) else {
        return Finding::fail(
            SUBJECT,
            "there is no such folder",
            "name the portal's folder with --data",
        );
    };
    let file = match database {
        DatabaseUrl::File(file) => mode(file).unwrap_or(0),
        DatabaseUrl::Server(_) => 0,
    };
    // A folder that nobody else may enter hides what is in it.
    if folder & 0o077 != 0 && (file & 0o077 != 0 || folder & 0o022 != 0) {
        let advice = format!("chmod 700 {}: it holds keys", data.display());
        return Finding::fail(
            SUBJECT,
            format!("mode {folder:o}, others can read or change it"),
            advice,
        );
    }
    if folder & 0o077 != 0 {
        let advice = format!("chmod 700 {}", data.display());
        return Finding::warn(SUBJECT, format!("mode {folder:o}"), advice);
    }
    Finding::ok(SUBJECT, "its owner alone")
}

fn space(subject: &'static str, folder: &Path) -> Finding {
    let Ok(stat) = rustix::fs::statvfs(folder) else {
        return Finding::fail(subject, "cannot be told", "see that the folder exists");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    let found = format!("{free} MiB free");
    let advice = "make room: without it nothing is stored, and /readyz says so";
    match free {
        0..256 => Finding::fail(subject, found, advice),
        256..2_048 => Finding::warn(subject, found, advice),
        _ => Finding::ok(subject, found),
    }
}

/// Every change waits for this, so it decides how many there can be.
fn flush(data: &Path) -> Finding {
    const SUBJECT: &str = "how long the disk takes to keep something (fdatasync)";
    let measured = tempfile::tempfile_in(data).and_then(|mut file| {
        file.write_all(&[0; 4_096])?;
        let mut times = Vec::with_capacity(FLUSHES);
        for number in 0..FLUSHES {
            let started = Stopwatch::start();
            file.write_all_at(&[1; 4_096], u64::try_from(number).unwrap_or(0) * 4_096)?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        times.sort();
        Ok(times)
    });
    let times = match measured {
        Ok(times) => times,
        Err(error) => {
            return Finding::fail(SUBJECT, error.to_string(), "see that the folder can be written");
        }
    };
    let at = |percent: usize| times.get(FLUSHES * percent / 100).copied().unwrap_or_default();
    let (p50, p99) = (at(50), at(99));
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1_000.0);
    let found = format!("p50 {}, p99 {}", ms(p50), ms(p99));
    if SLOW <= p99 {
        Finding::warn(
            SUBJECT,
            found,
            "a slow or busy disk: check-ins and alerts will wait; use a local SSD",
        )
    } else {
        Finding::ok(SUBJECT, found)
    }
}

fn of_database(database: &DatabaseUrl, now: UnixMillis) -> Vec<Finding> {
    const SCHEMA: &str = "schema";
    if let Err(error) = database.check_place() {
        return vec![Finding::fail(
            "where the database is",
            error.to_string(),
            "move it to a local disk",
        )];
    }
    let facts = match database.facts() {
        Ok(facts) => facts,
        Err(error) => {
            let found = format!("{:#}", anyhow::Error::new(error));
            return vec![Finding::fail(
                "database",
                found,
                "start `bartizan portal` once, or see that --database is right",
            )];
        }
    };
    let mut findings = vec![match &facts.damage {
        None => Finding::ok("database", facts.version.clone()),
        Some(damage) => Finding::fail("database", damage, "stop the portal and restore a backup"),
    }];
    findings.push(match database.pending_steps() {
        Ok(steps) if steps.is_empty() => Finding::ok(SCHEMA, "up to date"),
        Ok(steps) => {
            Finding::warn(SCHEMA, format!("lacks {}", steps.join(", ")), "bartizan admin migrate")
        }
        Err(error) => Finding::fail(SCHEMA, format!("{:#}", anyhow::Error::new(error)), ""),
    });
    for setting in &facts.settings {
        let found = format!("{} is {}", setting.name, setting.value);
        findings.push(match setting.wanted {
            None => Finding::ok("database setting", found),
            Some(wanted) => {
                Finding::fail("database setting", found, format!("it has to be {wanted}"))
            }
        });
    }
    findings.push(clock(facts.checked_at, now));
    findings.extend(facts.server_time.map(|server| apart(server, Clock::system().now())));
    findings
}

/// Whether the clock went back: tokens and proofs are judged by it.
fn clock(stored_at: UnixMillis, now: UnixMillis) -> Finding {
    const SUBJECT: &str = "clock";
    let behind_s = stored_at.0.saturating_sub(now.0) / 1_000;
    if 60 <= behind_s {
        let found = format!("{behind_s} s behind what the database was last written at");
        return Finding::fail(
            SUBJECT,
            found,
            "set the clock, and keep it by NTP: devices are judged by it",
        );
    }
    Finding::ok(SUBJECT, "not behind what was stored")
}

/// Whether the database's server has the same time: what it stamps is compared with what the portal stamps.
fn apart(server: UnixMillis, now: UnixMillis) -> Finding {
    const SUBJECT: &str = "clock of the database's server";
    let apart_s = server.0.abs_diff(now.0) / 1_000;
    if 30 <= apart_s {
        let found = format!("{apart_s} s apart from the portal's");
        return Finding::warn(SUBJECT, found, "keep both clocks by NTP");
    }
    Finding::ok(SUBJECT, "as the portal's")
}

fn chain(subject: &'static str, path: &Path, now: UnixMillis) -> Finding {
    let end = CertificateDer::pem_file_iter(path)
        .ok()
        .map(|chain| chain.filter_map(Result::ok))
        .and_then(|chain| chain.filter_map(|one| certificate::not_after(&one)).min());
    let Some(end) = end else {
        let found = format!("{} cannot be read", path.display());
        return Finding::fail(
            subject,
            found,
            "see that it is a chain in PEM and that the portal may read it",
        );
    };
    let advice = "renew it, put it in its place and start the portal anew";
    match end.0.saturating_sub(now.0) / DAY_MS {
        0 if end < now => Finding::fail(subject, "it has expired", advice),
        days @ 0..21 => Finding::warn(subject, format!("it expires in {days} days"), advice),
        days => Finding::ok(subject, format!("good for {days} days")),
    }
}

const FLUSHES: usize = 200;
/// Of one flush in a hundred: more, and a check-in takes longer than people wait.
const SLOW: Duration = Duration::from_millis(50);
const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_is_found() {
        let clock = |stored, now| clock(UnixMillis(stored), UnixMillis(now)).state;
        assert_eq!(clock(1_000_000, 1_030_000), State::Ok);
        assert_eq!(clock(1_000_000, 990_000), State::Ok);
        assert_eq!(clock(1_000_000, 900_000), State::Fail);
    }

    #[test]
    fn a_certificate_is_warned_of_before_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        let mut params = rcgen::CertificateParams::new(vec!["portal.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 5, 17);
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        let end = 1_936_742_400_000;
        for (now, state) in [
            (end - 30 * DAY_MS, State::Ok),
            (end - 3 * DAY_MS, State::Warn),
            (end + 1, State::Fail),
        ] {
            assert_eq!(chain("certificate", &path, UnixMillis(now)).state, state);
        }
        fs::write(&path, "none").unwrap();
        assert_eq!(chain("certificate", &path, UnixMillis(0)).state, State::Fail);
    }

    #[test]
    fn a_folder_that_others_can_read_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portal.db");
        fs::write(&file, "").unwrap();
        let database = DatabaseUrl::File(file.clone());
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
        };
        for (of_folder, of_file, state) in
            [(0o700, 0o644, State::Ok), (0o755, 0o644, State::Fail), (0o750, 0o600, State::Warn)]
        {
            set(folder.path(), of_folder);
            set(&file, of_file);
            assert_eq!(permissions(folder.path(), &database).state, state, "{of_folder:o}");
        }
    }
}
