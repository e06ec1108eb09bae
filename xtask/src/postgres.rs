//! A PostgreSQL cluster for tests: made in a folder of its own, reached by a socket in it alone, gone when dropped.
//!
//! It keeps its promises (`fsync` is on): what the tests measure and kill is the real thing. Tests that kill a server
//! include this file, for a cluster that no other test uses.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a server runs on; outlives it.
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    /// Who a server runs as, if not as this user.
    owner: Option<(u32, u32)>,
}

/// Runs while it lives.
pub(crate) struct Server {
    child: Child,
}

impl Cluster {
    /// Makes one; the name tells it from others of this process.
    pub(crate) fn make(name: &str) -> Result<Self, String> {
        let programs = programs().ok_or("the programs of PostgreSQL are missing")?;
        let owner = owner()?;
        // Short, as the name of a socket must be.
        let folder = format!("bartizan-postgres-{}{name}", std::process::id());
        let cluster = Self { programs, folder: std::env::temp_dir().join(folder), owner };
        fs::create_dir(&cluster.folder).map_err(|error| format!("no temporary folder: {error}"))?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&cluster.folder, Some(user), Some(group))
                .map_err(|error| format!("cannot give the folder away: {error}"))?;
        }
        let made = cluster
            .program("initdb")
            .args(["--auth", "trust", "--username", "postgres", "--encoding", "UTF8"])
            .args(["--locale", "C.UTF-8", "--pgdata"])
            .arg(cluster.folder.join("data"))
            .status();
        let is_made = made.is_ok_and(|status| status.success());
        if is_made { Ok(cluster) } else { Err("initdb failed".to_owned()) }
    }

    /// Starts a server, again where one was killed; returns when it answers.
    pub(crate) fn start(&self) -> Result<Server, String> {
        self.start_with(&[])
    }

    /// The same, with more settings, as `name=value`.
    pub(crate) fn start_with(&self, settings: &[String]) -> Result<Server, String> {
        let mut server = Server { child: self.spawn(settings)? };
        let mut last = String::new();
        for _ in 0..STARTS {
            match self.make_role() {
                Ok(()) => return Ok(server),
                Err(reason) => last = reason,
            }
            std::thread::park_timeout(START);
            // It refuses while processes of one that was killed still end.
            if server.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                server.child = self.spawn(settings)?;
            }
        }
        Err(format!("postgres does not answer: {last}"))
    }

    fn spawn(&self, settings: &[String]) -> Result<Child, String> {
        self.program("postgres")
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-k")
            .arg(&self.folder)
            .args(["-c", "listen_addresses=", "-c", "max_connections=400"])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .spawn()
            .map_err(|error| format!("cannot start postgres: {error}"))
    }

    /// Returns the address that tests are told.
    pub(crate) fn address(&self) -> String {
        format!("postgres://bartizan@/postgres?host={}", self.folder.display())
    }

    /// Returns one of the programs, to be run in the folder and as whom the server is.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = self.owner {
            // The server refuses to run as root.
            command.uid(user).gid(group);
        }
        command
    }

    /// The tests' role `bartizan` may make databases and is no superuser.
    fn make_role(&self) -> Result<(), String> {
        let address = format!("postgres://postgres@/postgres?host={}", self.folder.display());
        let made = Command::new("psql")
            .args(["-X", "-q", "-d", &address, "-c", ROLE])
            .output()
            .map_err(|error| format!("cannot run psql: {error}"))?;
        if made.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&made.stderr).into_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast shutdown, which leaves no shared memory behind.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// Debian keeps them apart from other programs, by version.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_it = |folder: &Path| folder.join("initdb").is_file();
    if let Some(folder) = std::env::split_paths(&path).find(|folder| has_it(folder)) {
        return Some(folder);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.flatten().map(|version| version.path().join("bin"));
    found.filter(|folder| has_it(folder)).max()
}

/// Who the server runs as: this user, or, for root, the user that the package made.
fn owner() -> Result<Option<(u32, u32)>, String> {
    if !fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.ok_or("there is no user postgres")?.split(':').skip(2);
    let mut next = || fields.next().and_then(|id| id.parse().ok());
    Ok(next().zip(next()))
}

/// The role may be there from before the server was killed.
const ROLE: &str = "DO $$ BEGIN CREATE ROLE bartizan LOGIN CREATEDB;
    EXCEPTION WHEN duplicate_object THEN NULL; END $$";
/// How often, and how long each time, the start is waited for.
const STARTS: u32 = 300;
const START: Duration = Duration::from_millis(100);
