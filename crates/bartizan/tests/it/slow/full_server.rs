//! PostgreSQL has no room left, for its tables or for its log: the portal says so, nothing acknowledged is lost, and it goes
//! on by itself once there is room.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::slow::cluster::Cluster;
use crate::slow::faults::{Impatient, ask, fill, fleet};
use crate::support::{PortalProcess, TestDevice, World, bartizan, wait_for};

#[test]
fn tables_without_room_lose_nothing_and_the_portal_goes_on_once_there_is_some() {
    let cluster = Cluster::make("-tables").unwrap();
    let disk = SmallDisk::mount(&cluster, "");
    let mut server = Server::new(&cluster, &disk);
    server.start();
    server.run(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.place.display()));
    server.run("CREATE DATABASE room OWNER bartizan TABLESPACE small");
    // The log is elsewhere: the server lives on, and tells what does not fit.
    run_full(&disk, &mut server, true);
}

#[test]
fn a_log_without_room_loses_nothing_and_the_portal_goes_on_once_there_is_some() {
    let cluster = Cluster::make("-log").unwrap();
    let disk = SmallDisk::mount(
        &cluster,
        "cp -a data/pg_wal/. small && mount --bind small data/pg_wal &&",
    );
    let mut server = Server::new(&cluster, &disk);
    server.start();
    server.run("CREATE DATABASE room OWNER bartizan");
    // The server cannot live without its log, nor begin anew.
    run_full(&disk, &mut server, false);
}

/// Fills the disk under a portal with load, and makes room again.
fn run_full(disk: &SmallDisk, server: &mut Server<'_>, lives: bool) {
    let world = World::new();
    let feed = world.file("feed.txt", "evil.test\n");
    let database = server.address("bartizan", "room");
    let start = ["--demo-admin", "--feed", &feed, "--database", &database];
    let portal = PortalProcess::start(&world.data(), &start);
    let impatient = Impatient::default();
    let refusals = Arc::clone(&impatient.refusals);
    let data = world.data();
    let token = ["admin", "enrollment-token", "--data", data.to_str().unwrap()];
    let token = bartizan(&[&token[..], &["--database", &database]].concat());
    let token = String::from_utf8(token.stdout).unwrap();
    let impatient = Box::new(impatient);
    let device = TestDevice::start_with(&world.state(), &portal.url, Some(token.trim()), impatient);
    device.wait_until("protected", |status| status.protection == "on");
    let ledger = world.path("ledger");
    let mut fleet = fleet(&world, &portal, ledger.to_str().unwrap());
    wait_for("acknowledged alerts", || {
        std::fs::metadata(&ledger).is_ok_and(|file| 10_000 < file.len()).then_some(())
    });

    let ballast = disk.path.join("ballast");
    wait_for("the portal says that it is not ready", || {
        // What is given back meanwhile is taken as well.
        fill(&ballast);
        if !lives {
            // Wants the next file of the log, of which a server has one or two in store.
            server.try_run("SELECT pg_switch_wal()");
        }
        let (status, said) = ask(&portal, "/readyz");
        let words =
            if lives { "the disk under the database is full" } else { "database cannot be" };
        (status == 503 && said.contains(words)).then_some(())
    });
    assert_eq!(ask(&portal, "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(device.resolve("login.evil.test"), std::net::Ipv4Addr::UNSPECIFIED);
    if lives {
        let refusal = wait_for("the device is told why", || {
            fill(&ballast);
            let refusals = refusals.lock().unwrap();
            refusals.iter().find(|refusal| refusal.1.contains("the portal's disk is full")).cloned()
        });
        assert!((30..=300).contains(&refusal.0.as_secs()), "{refusal:?}");
    }

    std::fs::remove_file(&ballast).unwrap();
    wait_for("the portal is ready again", || {
        // Where it could not even begin anew, somebody has to start the server.
        server.start_if_ended();
        (ask(&portal, "/readyz").0 == 200).then_some(())
    });
    device.wait_until("the alert is acknowledged", |status| status.alerts_waiting == 0);
    assert!(fleet.wait().unwrap().success());
    let checked = ["fleet", "--portal", &portal.url, "--check", ledger.to_str().unwrap(), "--json"];
    let checked = bartizan(&checked);
    let figures: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(figures["lost"], 0, "{figures}");
    assert!(0 < figures["acknowledged"].as_u64().unwrap(), "{figures}");
}

/// A disk of its own for a cluster, at `small` in its folder, in a namespace that ends with the test, however it ends.
struct SmallDisk {
    /// Where the server finds it.
    place: PathBuf,
    /// The way to it from outside.
    path: PathBuf,
    holder: Child,
    owner: (u32, u32),
}

impl SmallDisk {
    /// Mounts it, and does what else is to be done before a server starts.
    fn mount(cluster: &Cluster, more: &str) -> Self {
        let folder = folder(cluster);
        let owner = std::fs::metadata(&folder).unwrap();
        let (user, group) = (owner.uid(), owner.gid());
        let place = folder.join("small");
        std::fs::create_dir(&place).unwrap();
        // It waits for the end of its input, which comes with the end of this process.
        let script = format!(
            "mount -t tmpfs -o size={SMALL_MIB}m,mode=700,uid={user},gid={group} tmpfs small &&
             {more} echo mounted && exec cat"
        );
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n");
        let root = PathBuf::from(format!("/proc/{}/root", holder.id()));
        let path = root.join(place.strip_prefix("/").unwrap());
        Self { place, path, holder, owner: (user, group) }
    }

    /// Runs a program where the disk is, as the owner of the cluster.
    fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string(), "setpriv"]);
        let (user, group) = self.owner;
        command.args([format!("--reuid={user}"), format!("--regid={group}")]);
        command.arg("--clear-groups").arg(program);
        command
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// A server of the cluster that sees the disk.
struct Server<'a> {
    disk: &'a SmallDisk,
    program: PathBuf,
    folder: PathBuf,
    child: Option<Child>,
}

impl<'a> Server<'a> {
    fn new(cluster: &Cluster, disk: &'a SmallDisk) -> Self {
        let program = PathBuf::from(cluster.program("postgres").get_program());
        Self { disk, program, folder: folder(cluster), child: None }
    }

    fn start(&mut self) {
        let mut command = self.disk.inside(&self.program);
        command.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
        let settings =
            ["listen_addresses=", "max_connections=100", "max_wal_size=32MB", "min_wal_size=32MB"];
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.current_dir(&self.folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(child.spawn().unwrap());
        let role = "DO $$ BEGIN CREATE ROLE bartizan LOGIN;
            EXCEPTION WHEN duplicate_object THEN NULL; END $$";
        wait_for("the server", || self.try_run(role).then_some(()));
    }

    fn start_if_ended(&mut self) {
        let ended = self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
        if ended {
            self.start();
        }
    }

    fn address(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@/{database}?host={}", self.folder.display())
    }

    fn run(&self, sql: &str) {
        assert!(self.try_run(sql), "{sql}");
    }

    fn try_run(&self, sql: &str) -> bool {
        let address = self.address("postgres", "postgres");
        let psql = Command::new("psql").args(["-X", "-q", "-d", &address, "-c", sql]).output();
        psql.unwrap().status.success()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // At once, as a fast shutdown writes a checkpoint, for which there may be no room; all its processes end with it.
        let pid = child.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).stderr(Stdio::null()).status();
        let _ = child.wait();
    }
}

fn folder(cluster: &Cluster) -> PathBuf {
    cluster.program("postgres").get_current_dir().unwrap().to_owned()
}

/// Room for a database and for little more.
const SMALL_MIB: u32 = 128;
