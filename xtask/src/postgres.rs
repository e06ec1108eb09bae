//! A PostgreSQL server for the tests: made in a folder of its own, reached by a socket in it alone, gone when dropped.
//!
//! Its cluster keeps its promises (`fsync` is on): what the tests measure and kill is the real thing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::packages;

/// Runs while it lives.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// Makes a cluster and starts it; the tests' role `bartizan` may make databases and is no superuser.
    pub(crate) fn start() -> Result<Self, String> {
        let bin = binaries().ok_or("the programs of PostgreSQL are missing")?;
        // Short, as the name of a socket must be.
        let folder = std::env::temp_dir().join(format!("bartizan-postgres-{}", std::process::id()));
        let owner = owner()?;
        fs::create_dir(&folder).map_err(|error| format!("no temporary folder: {error}"))?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&folder, Some(user), Some(group))
                .map_err(|error| format!("cannot give the folder away: {error}"))?;
        }
        let data = folder.join("data");
        let as_owner = |program: &str| {
            let mut command = Command::new(bin.join(program));
            command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
            if let Some((user, group)) = owner {
                // The server refuses to run as root.
                command.uid(user).gid(group);
            }
            command
        };
        let made = as_owner("initdb")
            .args(["--auth", "trust", "--username", "postgres", "--encoding", "UTF8"])
            .args(["--locale", "C.UTF-8", "--pgdata"])
            .arg(&data)
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            let _ = fs::remove_dir_all(&folder);
            return Err("initdb failed".to_owned());
        }
        let child = as_owner("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-c", "listen_addresses=", "-c", "max_connections=400"])
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start postgres: {error}"))?;
        let server = Self { child, folder };
        server.make_role()?;
        Ok(server)
    }

    /// Returns the address that tests are told.
    pub(crate) fn address(&self) -> String {
        format!("postgres://bartizan@/postgres?host={}", self.folder.display())
    }

    fn make_role(&self) -> Result<(), String> {
        let address = format!("postgres://postgres@/postgres?host={}", self.folder.display());
        let mut last = String::new();
        for _ in 0..STARTS {
            let made = Command::new("psql")
                .args(["-X", "-q", "-d", &address, "-c", "CREATE ROLE bartizan LOGIN CREATEDB"])
                .output()
                .map_err(|error| format!("cannot run psql: {error}"))?;
            if made.status.success() {
                return Ok(());
            }
            last = String::from_utf8_lossy(&made.stderr).into_owned();
            std::thread::park_timeout(START);
        }
        Err(format!("postgres does not answer: {last}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast shutdown; what is left of it lies in the folder, which goes as well.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Debian keeps them apart from other programs, by version.
fn binaries() -> Option<PathBuf> {
    if let Some(program) = packages::find("initdb") {
        return program.parent().map(Path::to_owned);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.flatten().map(|version| version.path().join("bin"));
    found.filter(|bin| bin.join("initdb").is_file()).max()
}

/// Who the server runs as: this user, or, for root, the user that the package made.
fn owner() -> Result<Option<(u32, u32)>, String> {
    if !packages::is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.ok_or("there is no user postgres")?.split(':').skip(2);
    let mut next = || fields.next().and_then(|id| id.parse().ok());
    Ok(next().zip(next()))
}

/// How often, and how long each time, the start is waited for.
const STARTS: u32 = 300;
const START: Duration = Duration::from_millis(100);
