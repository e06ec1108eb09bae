//! One line for each request, and nothing private in it.

use std::io;
use std::sync::{Arc, Mutex};

use bartizan_contract::path;
use bartizan_portal::BuiltIn;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{World, batch};

#[tokio::test]
async fn a_request_leaves_one_line_without_values() {
    let world = World::new().await;
    let published = world.publish(world.acme, "evil.test").await;
    let device = world.device(world.acme, 1).await;
    let mut reader = world.browser();
    let password = world.portal.create_member(world.acme, "r@acme.test", BuiltIn::ReadOnly).await;
    assert_eq!(reader.sign_in("r@acme.test", &password.unwrap().to_string()).await.status, 303);
    // Threads share what tracing remembers of a log line, so the log is everybody's; ids tell them apart.
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::callsite::rebuild_interest_cache();
    let file = format!("{}{}", path::INDICATOR_FILE, published.sha256);
    let answers = [
        (device.post(path::ALERTS, &batch(0..1)).await, 200),
        (device.get(&file).await, 200),
        (device.get("/some/secret?x=1").await, 404),
        (world.browser().sign_in("a@acme.test", "hunter2hunter2").await, 401),
        (world.browser().sign_in("a%0A%22{}secret", "hunter2%0Ahunter2").await, 401),
        (reader.get("/people").await, 403),
    ];

    let log = String::from_utf8(log.octets.lock().unwrap().clone()).unwrap();
    let mut text = String::new();
    for (answer, status) in &answers {
        assert_eq!(answer.status, *status);
        let id = answer.header("x-request-id");
        assert_eq!(id.len(), 16);
        for line in log.lines().filter(|line| line.contains(id)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 9, "{text}");
    let tenant = format!(r#""tenant.id":{}"#, world.acme.0);
    for part in [r#""http.route":"/device/v1/alerts""#, r#""http.status":200"#, &tenant] {
        assert!(lines[0].contains(part), "{}", lines[0]);
    }
    assert!(lines[1].contains(r#""http.route":"/device/v1/indicators/files/{sha256}""#), "{text}");
    for part in ["sign-in refused", "unknown address", r#""client.address":""#, r#""timestamp":"2"#]
    {
        assert!(lines[3].contains(part), "{}", lines[3]);
    }
    for part in ["permission refused", "manage-portal-settings", r#""member.id":""#, &tenant] {
        assert!(lines[7].contains(part), "{}", lines[7]);
    }
    // What somebody types breaks out of no line.
    for line in log.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object.is_object(), "{line}");
    }
    let id = device.id.to_string();
    for private in [&id, &published.sha256, "secret", "hunter2", "acme.test", "h0.test", "evil"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
}

#[derive(Clone, Default)]
struct Log {
    octets: Arc<Mutex<Vec<u8>>>,
}

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.octets.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
