//! The API held to its own description by Schemathesis: good and bad requests for every operation, alone and one after the
//! other, none of which may fail the portal or be answered otherwise than described.
//!
//! Schemathesis comes from `PyPI` into an environment of its own under the target folder (`cargo xtask test` makes it).

use std::path::PathBuf;
use std::process::Command;

use crate::console::Console;
use crate::support::World;

#[test]
fn no_request_is_answered_otherwise_than_described() {
    let world = World::new();
    let portal = world.portal();
    let device = world.device(&portal);
    device.resolve("login.evil.test");
    device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    let console = Console::sign_in(&portal);
    let mut form = vec![("name", "Schemathesis"), ("expires", "2099-01-01")];
    form.extend(
        bartizan_portal::Permission::ALL.map(|permission| ("permission", permission.word())),
    );
    let page = console.submit("/applications", &form);
    let page = page.split('?').next().unwrap();
    let secret = console.shown(&format!("{page}/secrets"), &[("days", "90")]);
    let between = |text: &str, before: &str| {
        text.split(before).nth(1).unwrap().split('<').next().unwrap().to_owned()
    };
    let id = between(&secret, "Client id <code class=\"long\">");
    let secret = between(&secret, "The secret is <code class=\"long\">");
    let token = console.token(&id, &secret);

    let config = world.file("schemathesis.toml", CONFIG);
    let tested = Command::new(program())
        .args(["--config-file", &config, "run", "--seed", "1", "--no-color"])
        .args(["--max-examples", "25", "--request-timeout", "20", "--output-truncate", "false"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg(format!("{}/api/v1/openapi.json", portal.url))
        .current_dir(world.path(""))
        .env("NO_PROXY", "127.0.0.1")
        .env("SCHEMATHESIS_HOOKS", "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tested.stdout);
    assert!(tested.status.success(), "{said}\n{}", String::from_utf8_lossy(&tested.stderr));
    assert!(said.contains("passed"), "{said}");
}

fn program() -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target"));
    folder.join("schemathesis/bin/schemathesis")
}

/// What a request that is as described may still be answered: what it names need not be there, and words that each are
/// fine need not go together.
const CONFIG: &str = r#"
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "412", "422", "429"]
missing_required_header.expected-statuses = ["400", "401", "404", "412", "428"]

[generation]
allow-x00 = false
codec = "utf-8"
"#;
