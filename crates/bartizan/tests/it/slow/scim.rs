//! The SCIM service as a directory's own test suite sees it: scim2-tester, in a virtual environment that
//! `cargo xtask test` makes.

use std::process::Command;

use bartizan_portal::{Portal, PortalConfig};

use crate::support::World;

#[test]
fn a_directory_s_own_test_suite_is_content() {
    let world = World::new();
    let portal = world.portal();
    let config = PortalConfig::new(portal.data.clone());
    let token = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let portal = Portal::open(config).await.unwrap();
        let (tenant, _) = portal.tenants().await.unwrap().remove(0);
        let hour = std::time::Duration::from_secs(3_600);
        portal.create_directory_token(tenant, "scim2-tester", hour).await.unwrap().0
    });
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/scim/bin/python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scim/check.py"))
        .args([format!("{}/scim/v2", portal.url), token])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}
