//! `cargo xtask bench`: figures and look-ups, side by side with what others have. No part of `cargo xtask test`.

use std::process::Command;

use crate::{Done, bench_forward, packages, root, test};

pub(crate) fn run(arguments: &[String]) -> Done {
    if let Some((FORWARD, options)) =
        arguments.split_first().map(|(one, more)| (one.as_str(), more))
    {
        return bench_forward::run(options);
    }
    let wanted = match arguments {
        [] => None,
        [one] if BENCHES.contains(&one.as_str()) => Some(one.as_str()),
        _ => return Err(format!("benches are: {}, {FORWARD}", BENCHES.join(", "))),
    };
    packages::need(&[("cc", "build-essential")])?;
    for bench in BENCHES {
        if wanted.is_none_or(|wanted| wanted == bench) {
            let how: &[&str] = if bench == FIGURES {
                &["run", "--release", "--bin"]
            } else {
                &["bench", "--bench"]
            };
            let mut command = Command::new("cargo");
            command.args(how).args([bench, "--locked"]);
            command.arg("--manifest-path").arg(root().join("benches/Cargo.toml"));
            test::data(&mut command);
            crate::run(&mut command)?;
        }
    }
    Ok(())
}

/// A program; the others are benches.
const FIGURES: &str = "figures";
/// Needs root, and minutes: only when it is named.
const FORWARD: &str = "forward";
const BENCHES: [&str; 2] = [FIGURES, "indicators"];
