//! Automation, without dependencies: what a person and CI both run.
//!
//! `cargo xtask demo` and `cargo xtask test` are the two commands of the README; each installs what it
//! needs, and says so ([`packages`]).

mod assets;
mod bench;
mod bench_forward;
mod ios;
mod npm;
mod packages;
mod postgres;
mod python;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What ends a task: one sentence for people.
type Done = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match command {
        "demo" => demo(rest),
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "ios" => ios::build(),
        "tidy" => tidy::run(),
        "load" => bench_forward::load::run(rest),
        "assets" => assets::build(),
        _ => {
            say(HELP);
            return if command == "help" { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(&format!("xtask: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Builds the program in release mode and runs its demo, in its stead.
fn demo(rest: &[String]) -> Done {
    packages::need(&[("cc", "build-essential"), ("curl", "curl"), ("ip", "iproute2")])?;
    assets::build()?;
    cargo(&["build", "--release", "--locked", "--package", "bartizan"])?;
    let program = target().join("release/bartizan");
    let error =
        std::os::unix::process::CommandExt::exec(Command::new(&program).arg("demo").args(rest));
    Err(format!("cannot start {}: {error}", program.display()))
}

/// Runs cargo in the workspace.
fn cargo(arguments: &[&str]) -> Done {
    run(Command::new("cargo").args(arguments))
}

/// Runs a command in the workspace; its output is the person's to read.
fn run(command: &mut Command) -> Done {
    let shown = shown(command);
    let status = command
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed with {status}")) }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Where cargo builds, which a person may have moved.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

#[expect(clippy::print_stderr, reason = "the one place where this program speaks")]
fn say(text: &str) {
    eprintln!("{text}");
}

const HELP: &str = "\
cargo xtask demo [OPTIONS]      build in release mode and run `bartizan demo`
cargo xtask test [--fast|--all] run every check and test; --fast leaves out namespaces and browsers,
                                --all moves a gigabyte where otherwise some megabytes do
cargo xtask bench [BENCH]       measure: figures, indicators; without a name, both
cargo xtask bench forward       measure the tunnel beside other programs, as root
cargo xtask ios                 build the device as a static library for iPhones, on Debian 12
cargo xtask tidy                check the rules that no compiler checks
cargo xtask assets              build the console's assets from npm";
