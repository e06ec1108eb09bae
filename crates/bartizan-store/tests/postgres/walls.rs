//! Row-level security: the wall that stands when a statement forgets the tenant.

use crate::server::in_database;
use crate::world::{World, alert};

#[tokio::test]
async fn a_transaction_sees_only_the_tenant_it_named() {
    let world = World::new().await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    let (acme, globex) = (world.acme.tenant.0, world.globex.tenant.0);
    for (named, seen) in [
        (format!("SET app.tenant = '{acme}';"), 1),
        (format!("SET app.tenant = '{globex}';"), 0),
        ("SET app.tenant = '*';".to_owned(), 1),
        ("SET app.tenant = '';".to_owned(), 0),
        (String::new(), 0),
    ] {
        let rows = in_database(&world.place, &format!("{named} SELECT tenant_id FROM alert"));
        assert_eq!(rows.unwrap().len(), seen, "{named}");
    }
    let stolen = format!("SET app.tenant = '{globex}'; UPDATE alert SET tenant_id = {globex}");
    assert_eq!(in_database(&world.place, &stolen).unwrap(), [""; 0]);
    let planted = format!(
        "SET app.tenant = '{globex}';
         INSERT INTO own_domain (tenant_id, name, added_at_ms) VALUES ({acme}, 'a.test', 1)"
    );
    let refused = in_database(&world.place, &planted).unwrap_err();
    assert!(refused.contains("row-level security"), "{refused}");
}

#[tokio::test]
async fn every_table_of_tenants_has_the_wall() {
    let world = World::new().await;
    let open = in_database(
        &world.place,
        "SELECT c.relname FROM pg_class AS c
         JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relkind = 'r' AND c.relname <> 'locator'
             AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    );
    assert_eq!(open.unwrap(), [""; 0]);
}
