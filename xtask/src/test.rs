//! `cargo xtask test`: every check, timed; the tests last, so that their summary closes the output.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::postgres::Cluster;
use crate::{Done, cargo, ios, npm, packages, python, root, say, shown, target, tidy};

pub(crate) fn run(arguments: &[String]) -> Done {
    let (fast, full) = match arguments {
        [] => (false, false),
        [one] if one == "--fast" => (true, false),
        [one] if one == "--all" => (false, true),
        _ => return Err("options of test are: --fast, --all".to_owned()),
    };
    packages::need(&[("cc", "build-essential")])?;
    step("tidy", tidy::run)?;
    step("assets", crate::assets::build)?;
    step("format", || cargo(&["fmt", "--all", "--", "--check"]))?;
    step("lint", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])
    })?;
    step("docs", docs)?;
    step("deny", deny)?;
    if !fast {
        match ios::possible() {
            Ok(()) => step("ios", ios::build)?,
            Err(reason) => say(&format!("skipped: the library for iPhones, because {reason}")),
        }
    }
    if fast {
        let skipped = [("slow", "--fast leaves them out".to_owned())];
        return step("test", || tests(&skipped, full, None));
    }
    let skipped = real_things()?;
    let postgres = Cluster::make("")?;
    let _server = postgres.start()?;
    step("test", || tests(&skipped, full, Some(&postgres)))
}

/// Installs what the slow tests drive, and names those that cannot run here.
fn real_things() -> Result<Vec<(&'static str, String)>, String> {
    packages::need(&[
        ("curl", "curl"),
        ("ip", "iproute2"),
        ("dig", "bind9-dnsutils"),
        ("chromium", "chromium"),
        ("chromedriver", "chromium-driver"),
        ("nginx", "nginx-light"),
        ("dnsmasq", "dnsmasq-base"),
        ("iperf3", "iperf3"),
        ("ping", "iputils-ping"),
        ("sysctl", "procps"),
        ("traceroute", "traceroute"),
        ("psql", "postgresql"),
        ("rsyslogd", "rsyslog"),
        ("rsyslog/lmnsd_gtls.so", "rsyslog-gnutls"),
        ("oathtool", "oathtool"),
    ])?;
    npm::install("crates/bartizan/tests/oidc-provider")?;
    npm::install("crates/bartizan/tests/axe")?;
    let mut skipped = Vec::new();
    if let Err(reason) = packages::namespaces() {
        skipped.push(("slow::netns", reason.clone()));
        skipped.push(("slow::forward", reason));
    }
    for (name, group, package) in [
        ("scim", "slow::scim", "bartizan"),
        ("schemathesis", "slow::schemathesis", "bartizan"),
        ("quic", "slow::forward::quic", "bartizan"),
        ("mail", "slow::mail", "bartizan-portal"),
    ] {
        let requirements = format!("crates/{package}/tests/{name}/requirements.txt");
        if let Err(reason) = python::environment(name, &requirements) {
            skipped.push((group, reason));
        }
    }
    if feeds().is_none() {
        for group in ["slow::captures", "slow::feeds"] {
            let reason = "BARTIZAN_TEST_DATA names no folder with feeds and captures of real size";
            skipped.push((group, reason.to_owned()));
        }
    }
    Ok(skipped)
}

fn tests(skipped: &[(&str, String)], full: bool, postgres: Option<&Cluster>) -> Done {
    for (group, reason) in skipped {
        say(&format!("skipped: tests in `{group}`, because {reason}"));
    }
    let mut nextest = Command::new("cargo");
    nextest.args(["nextest", "run", "--workspace", "--all-features", "--locked"]);
    if !skipped.is_empty() {
        let groups: Vec<_> =
            skipped.iter().map(|(group, _)| format!("not test(/^{group}::/)")).collect();
        nextest.args(["--filterset", &groups.join(" and ")]);
    }
    data(&mut nextest);
    size(&mut nextest, full);
    server(&mut nextest, postgres);
    nextest.env("BARTIZAN_TEST_PYTHON", target().join("mail/bin/python"));
    if installed("nextest") {
        return crate::run(&mut nextest);
    }
    let mut plain = Command::new("cargo");
    plain.args([
        "test",
        "--workspace",
        "--all-features",
        "--locked",
        "--no-fail-fast",
        "--",
        "--test-threads",
        "1",
    ]);
    for (group, _) in skipped {
        plain.args(["--skip", &format!("{group}::")]);
    }
    data(&mut plain);
    size(&mut plain, full);
    server(&mut plain, postgres);
    plain.env("BARTIZAN_TEST_PYTHON", target().join("mail/bin/python"));
    summed(&mut plain)
}

/// Where feeds of real size are, which are not ours to bring along.
pub(crate) fn feeds() -> Option<PathBuf> {
    let named = std::env::var_os("BARTIZAN_TEST_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("../shared/data"));
    folder.join("dev/phishing-domains.tsv.zst").is_file().then_some(folder)
}

/// Tells a command where feeds are, and where screenshots go.
pub(crate) fn data(command: &mut Command) {
    if let Some(folder) = feeds() {
        command.env("BARTIZAN_TEST_DATA", folder);
    }
    command.env("BARTIZAN_SCREENSHOTS", target().join("screenshots"));
}

/// Tells tests that come in two sizes which is wanted; the full one takes minutes more.
fn size(command: &mut Command, full: bool) {
    if full {
        command.env("BARTIZAN_TEST_FULL", "1");
    }
}

/// Tells tests where PostgreSQL is.
fn server(command: &mut Command, postgres: Option<&Cluster>) {
    if let Some(postgres) = postgres {
        command.env("BARTIZAN_TEST_POSTGRES", postgres.address());
    }
}

/// Runs `cargo test`, which has a summary for each program, and adds them up.
fn summed(command: &mut Command) -> Done {
    let shown = shown(command);
    let output = command
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut passed, mut failed, mut left_out) = (0_u64, 0_u64, 0_u64);
    for line in text.lines() {
        if let Some(result) = line.strip_prefix("test result:") {
            let count = |word: &str| {
                result
                    .split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
                    .unwrap_or(0)
            };
            passed += count("passed");
            failed += count("failed");
            left_out += count("ignored") + count("filtered out");
        } else {
            say(line);
        }
    }
    say(&format!("{passed} passed, {failed} failed, {left_out} skipped"));
    if output.status.success() { Ok(()) } else { Err(format!("`{shown}` failed")) }
}

fn docs() -> Done {
    let mut command = Command::new("cargo");
    command.args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--all-features",
        "--locked",
        "--quiet",
    ]);
    crate::run(command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

fn deny() -> Done {
    if !installed("deny") {
        say("cargo-deny is not installed: licenses and advisories are not checked");
        return Ok(());
    }
    cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"])
}

fn installed(subcommand: &str) -> bool {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo_home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let name = format!("cargo-{subcommand}");
    packages::find(&name).is_some()
        || home.is_some_and(|home| home.join("bin").join(name).is_file())
}

#[expect(clippy::disallowed_methods, reason = "a build tool says how long its steps take")]
fn step(name: &str, work: impl FnOnce() -> Done) -> Done {
    say(&format!("==> {name}"));
    let start = Instant::now();
    let done = work();
    say(&format!("<== {name}: {:.1} s", start.elapsed().as_secs_f64()));
    done
}
