//! The three namespaces of a measurement, which go away whatever happens.
//!
//! They are made by `topology.sh`, which shows them. A guardian, a shell apart from this process and its terminal, waits
//! for the end of its input and then ends what runs in the namespaces and removes them: when a [`Stage`] is dropped,
//! and likewise when this process is interrupted or killed. Nothing in the machine's own network is touched.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Done;

/// How packets of the application get to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The kernel forwards them.
    Kernel,
    /// They go to `tun0`.
    Tun,
    /// There is no cable: what is measured brings one.
    None,
}

/// One of the three namespaces.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    App,
    Engine,
    Server,
}

/// The namespaces, until it is dropped.
pub(crate) struct Stage {
    prefix: String,
    guardian: Child,
}

impl Stage {
    pub(crate) fn build(way: Way) -> Result<Self, String> {
        remove_stale();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let guardian = Command::new("setsid")
            .args(["sh", "-c", GUARDIAN])
            .env("prefix", &prefix)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start setsid: {error}"))?;
        // From here on dropping it cleans up, however far it came.
        let stage = Self { prefix, guardian };
        let mut shell = Command::new("sh")
            .args(["-e", "-s"])
            .env("app", stage.name(Place::App))
            .env("eng", stage.name(Place::Engine))
            .env("srv", stage.name(Place::Server))
            .env("way", way.word())
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        let written = match shell.stdin.take() {
            Some(mut input) => input.write_all(TOPOLOGY.as_bytes()),
            None => Ok(()),
        };
        let status = shell.wait().map_err(|error| format!("cannot wait for sh: {error}"))?;
        if written.is_ok() && status.success() {
            Ok(stage)
        } else {
            Err("the namespaces cannot be made".to_owned())
        }
    }

    /// Returns a command that will run in one of the namespaces.
    pub(crate) fn command(&self, place: Place, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place)]).arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Returns the same, with as many open files as this process may have.
    pub(crate) fn roomy(&self, place: Place, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(place, "sh");
        command.args(["-c", ROOMY, "sh"]).arg(program);
        command
    }

    /// Returns the path by which a namespace is opened.
    pub(crate) fn path(&self, place: Place) -> String {
        format!("{NAMESPACES}/{}", self.name(place))
    }

    fn name(&self, place: Place) -> String {
        let place = match place {
            Place::App => "app",
            Place::Engine => "eng",
            Place::Server => "srv",
        };
        format!("{}{place}", self.prefix)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Waiting closes its input first.
        let _ = self.guardian.wait();
    }
}

impl Way {
    const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Tun => "tun",
            Self::None => "none",
        }
    }
}

/// Removes what a run left behind whose guardian was killed too.
fn remove_stale() {
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _: Done = crate::run(Command::new("ip").args(["netns", "del", &name]));
        }
    }
}

const PREFIX: &str = "bartizan-bench-";
const NAMESPACES: &str = "/run/netns";
const TOPOLOGY: &str = include_str!("topology.sh");
const ROOMY: &str = r#"ulimit -Sn "$(ulimit -Hn)" && exec "$@""#;
const GUARDIAN: &str = r#"
trap '' INT TERM HUP
cat > /dev/null
for place in app eng srv; do
    ip netns pids "$prefix$place" | xargs -r kill -9
    ip netns del "$prefix$place"
done
"#;
