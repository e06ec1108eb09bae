//! Debian packages that a task needs.
//!
//! As root, or with a sudo that asks nothing, they are installed and that is said; otherwise the task
//! stops with one sentence that names the package and the command.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Done, run, say};

/// Makes sure that programs are there: each with the package that brings it.
pub(crate) fn need(programs: &[(&str, &str)]) -> Done {
    let mut missing: Vec<&str> = Vec::new();
    for (program, package) in programs {
        if find(program).is_none() && !missing.contains(package) {
            missing.push(package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let sudo = privilege().ok_or_else(|| {
        format!("{0} is missing; install it with `sudo apt-get install -y {0}`", missing.join(" "))
    })?;
    say(&format!("installing the Debian packages {}", missing.join(", ")));
    apt(sudo, &["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    apt(sudo, &arguments)
}

/// Fetches the lists of packages anew.
pub(crate) fn refresh() -> Done {
    let sudo =
        privilege().ok_or("apt's lists are too old; update them with `sudo apt-get update`")?;
    say("updating the lists of Debian packages");
    apt(sudo, &["update", "-qq"])
}

/// Returns where a program is, if it is there; or a module of one, which is named with the folder that it lies in.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    if program.contains('/') {
        let folders = std::fs::read_dir("/usr/lib").ok()?;
        let files = folders.filter_map(|folder| Some(folder.ok()?.path().join(program)));
        return files.into_iter().find(|file| file.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let fixed = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path)
        .chain(fixed)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Tells whether this is root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Tells whether network namespaces with a TUN can be made here; else why not.
pub(crate) fn namespaces() -> Done {
    if !is_root() {
        return Err("network namespaces need root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err("there is no /dev/net/tun".to_owned());
    }
    let name = format!("bartizan-{}-probe", std::process::id());
    let made = quiet(Command::new("ip").args(["netns", "add", &name]));
    if made {
        quiet(Command::new("ip").args(["netns", "del", &name]));
        Ok(())
    } else {
        Err("network namespaces cannot be made here".to_owned())
    }
}

/// What goes before a command that changes the system; nothing if this user may not.
fn privilege() -> Option<&'static [&'static str]> {
    if is_root() { Some(&[]) } else { sudo_asks_nothing().then_some(&["sudo", "-n"]) }
}

fn sudo_asks_nothing() -> bool {
    find("sudo").is_some() && quiet(Command::new("sudo").args(["-n", "true"]))
}

fn apt(sudo: &[&str], arguments: &[&str]) -> Done {
    let mut words = sudo.to_vec();
    words.extend([
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "sh",
        "-c",
        WITHOUT_SERVICES,
        "apt-get",
    ]);
    words.extend(arguments);
    let Some((program, rest)) = words.split_first() else { return Ok(()) };
    run(Command::new(program).args(rest).stdin(Stdio::null()).stdout(Stdio::null()))
}

fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs apt-get while no package may start its service: what is wanted here are programs.
const WITHOUT_SERVICES: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get "$@"
"#;
