//! The demo as root: a real TUN, real `curl` and `dig`, and nothing left behind.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{BARTIZAN, bartizan, wait_for};

#[test]
fn the_demo_protects_a_real_device_and_leaves_nothing_behind() {
    check_demo(&["demo", "--once", "--json"]);
}

#[test]
fn the_demo_protects_all_traffic_of_a_real_device() {
    check_demo(&["demo", "--once", "--json", "--mode", "tunnel"]);
}

#[track_caller]
fn check_demo(arguments: &[&str]) {
    let output = bartizan(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["device"], "netns");
    assert_eq!(report["unprotected"], serde_json::json!({ "harmless": 200, "phishing": 200 }));
    assert_eq!(report["protected"], serde_json::json!({ "harmless": 200, "phishing": "blocked" }));
    assert_eq!(report["alerts"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["alerts"][0]["detector"], "web.phishing.blocked");
    assert_eq!(report["alerts"][0]["severity"], "Informational");
    assert!(leftovers(None).is_empty(), "{:?}", leftovers(None));
}

#[test]
fn questions_over_udp_and_tcp_and_both_families_are_judged() {
    let demo = RunningDemo::start();
    for transport in ["+notcp", "+tcp"] {
        for server in ["@192.0.2.53", "@2001:db8::53"] {
            let blocked = demo.dig(&[transport, server, "login.phishing.test.blocked.test", "A"]);
            assert!(
                blocked.contains("NXDOMAIN"),
                "a name that nobody lists goes to the resolver: {blocked}"
            );
            let blocked = demo.dig(&[transport, server, "verify.wallet.example", "A"]);
            assert!(blocked.contains(" 10 IN A 0.0.0.0"), "{blocked}");
            assert!(blocked.contains("EDE: 15 (Blocked)"), "{blocked}");
            let blocked =
                demo.dig(&[transport, server, "deep.below.verify.wallet.example", "AAAA"]);
            assert!(blocked.contains(" 10 IN AAAA ::"), "{blocked}");
            let blocked = demo.dig(&[transport, server, "verify.wallet.example", "HTTPS"]);
            assert!(blocked.contains("NOERROR") && blocked.contains("ANSWER: 0"), "{blocked}");
            let harmless = demo.dig(&[transport, server, "harmless.example", "AAAA"]);
            assert!(harmless.contains("2001:db8::80"), "{harmless}");
        }
    }
}

#[test]
fn a_killed_agent_leaves_names_resolving() {
    let demo = RunningDemo::start();
    let fetch = || {
        demo.in_device(&[
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "--max-time",
            "5",
            "-w",
            "%{http_code}",
            "http://harmless.example/",
        ])
    };
    assert_eq!(fetch(), "200");
    let agents = pids_of("agent run", demo.child.id());
    assert!(!agents.is_empty());
    for agent in agents {
        assert!(Command::new("kill").args(["-9", &agent.to_string()]).status().unwrap().success());
    }
    wait_for("the tunnel is gone", || {
        (!demo.in_device(&["ip", "link"]).contains("bartizan0")).then_some(())
    });
    assert_eq!(fetch(), "200");
}

#[test]
fn ctrl_c_and_a_kill_leave_nothing_behind() {
    let mut demo = RunningDemo::start();
    let pid = demo.child.id();
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
    wait_for("the demo stops", || demo.child.try_wait().unwrap());
    assert!(leftovers(Some(pid)).is_empty(), "{:?}", leftovers(Some(pid)));

    // Nothing can clean up after itself when it is killed: the next demo does.
    let mut demo = RunningDemo::start();
    let pid = demo.child.id();
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    wait_for("the agent follows", || pids_of("agent run", pid).is_empty().then_some(()));
    drop(demo);
    assert!(bartizan(&["demo", "--once", "--json"]).status.success());
    assert!(leftovers(Some(pid)).is_empty(), "{:?}", leftovers(Some(pid)));
}

/// A demo that plays on until it is dropped.
struct RunningDemo {
    child: Child,
    _folder: tempfile::TempDir,
}

impl RunningDemo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let child = Command::new(BARTIZAN)
            .args(["demo", "--device", "netns"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let mut demo = Self { child, _folder: folder };
        wait_for("the demo has played", || {
            let text = std::fs::read_to_string(&said).unwrap();
            assert!(demo.child.try_wait().unwrap().is_none(), "{text}");
            text.contains("Running until Ctrl-C").then_some(())
        });
        demo
    }

    fn dig(&self, arguments: &[&str]) -> String {
        let mut all = vec!["dig", "+tries=1", "+time=3"];
        all.extend(arguments);
        // dig pads its columns with tabs or spaces, as it fits.
        self.in_device(&all).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn in_device(&self, command: &[&str]) -> String {
        let namespace = format!("bartizan-{}-device", self.child.id());
        let output =
            Command::new("ip").args(["netns", "exec", &namespace]).args(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for RunningDemo {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        for _ in 0..100 {
            if self.child.try_wait().ok().flatten().is_some() {
                return;
            }
            let _ = Command::new("sleep").arg("0.1").status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Namespaces, interfaces, rules and folders that a demo made.
fn leftovers(pid: Option<u32>) -> Vec<String> {
    let prefix = pid.map_or_else(|| "bartizan-".to_owned(), |pid| format!("bartizan-{pid}-"));
    let mut found = Vec::new();
    for folder in ["/run/netns", "/etc/netns"] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    let output = |arguments: &[&str]| {
        String::from_utf8(Command::new("ip").args(arguments).output().unwrap().stdout).unwrap()
    };
    for (what, text) in [
        ("link", output(&["link"])),
        ("rule", output(&["rule"])),
        ("rule6", output(&["-6", "rule"])),
    ] {
        let ours =
            text.lines().filter(|line| line.contains("bartizan") || line.contains("lookup 5353"));
        found.extend(ours.map(|line| format!("{what}: {line}")));
    }
    found
}

/// Processes with these words on their command line that came from this one.
fn pids_of(words: &str, ancestor: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let line = std::fs::read_to_string(entry.path().join("cmdline"))
            .unwrap_or_default()
            .replace('\0', " ");
        // The agent's folder is named after nothing of the demo's, but it lives in its namespace.
        if line.contains(words) && line.contains("bartizan") && is_in_namespace_of(pid, ancestor) {
            found.push(pid);
        }
    }
    found
}

fn is_in_namespace_of(pid: u32, demo: u32) -> bool {
    let name = format!("bartizan-{demo}-device");
    let output = Command::new("ip").args(["netns", "identify", &pid.to_string()]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim() == name
}
