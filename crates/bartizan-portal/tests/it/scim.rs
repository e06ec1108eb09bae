//! SCIM as a directory speaks it: users, groups, errors, and what happens to members.

use axum::body::Body;
use axum::http::Request;
use bartizan_model::TenantId;
use serde_json::{Value, json};

use crate::world::{Answer, OWN_PASSWORD, World, call};

/// A directory that holds a token.
pub(crate) struct Directory<'a> {
    world: &'a World,
    token: String,
}

impl<'a> Directory<'a> {
    pub(crate) async fn new(world: &'a World, tenant: TenantId) -> Self {
        Self { world, token: token(world, tenant).await }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, &[]).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/scim/v2{path}"))
            .header("host", "portal.test")
            .header("content-type", "application/scim+json")
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        call(&self.world.portal.router(), request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn add_user(&self, user_name: &str) -> String {
        let body = json!({ "userName": user_name, "externalId": format!("x-{user_name}"),
            "emails": [{ "value": user_name, "type": "work", "primary": true }] });
        let answer = self.send("POST", "/Users", Some(body), &[]).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        id(&answer)
    }

    async fn patch(&self, path: &str, operation: Value) -> Answer {
        self.send("PATCH", path, Some(json!({ "Operations": [operation] })), &[]).await
    }

    async fn found(&self, path: &str) -> Vec<String> {
        let list = value(&self.get(path).await);
        let all = list["Resources"].as_array().unwrap();
        let name = |one: &Value| {
            one["userName"]
                .as_str()
                .or_else(|| one["displayName"].as_str())
                .unwrap_or("")
                .to_owned()
        };
        all.iter().map(name).collect()
    }
}

pub(crate) async fn token(world: &World, tenant: TenantId) -> String {
    let hour = std::time::Duration::from_secs(3_600);
    world.portal.create_directory_token(tenant, "Test", hour).await.unwrap().0
}

/// The ids of a user and of a group with them.
pub(crate) async fn resources(world: &World, tenant: TenantId) -> (String, String) {
    let directory = Directory::new(world, tenant).await;
    let user = directory.add_user("somebody@example.test").await;
    let body = json!({ "displayName": "Group", "members": [{ "value": user }] });
    let group = directory.send("POST", "/Groups", Some(body), &[]).await;
    (user, id(&group))
}

fn id(answer: &Answer) -> String {
    value(answer)["id"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

fn value(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), "application/scim+json");
    serde_json::from_slice(&answer.body).unwrap()
}

#[track_caller]
fn check_error(answer: &Answer, status: u16, kind: Option<&str>) {
    let body = value(answer);
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    assert_eq!(
        (body["status"].as_str(), body["scimType"].as_str()),
        (Some(&*status.to_string()), kind)
    );
}

#[tokio::test]
async fn a_directory_adds_changes_and_removes_users() {
    let world = World::new().await;
    let directory = Directory::new(&world, world.acme).await;
    let id = directory.add_user("ada@example.test").await;
    let path = format!("/Users/{id}");
    let user = directory.get(&path).await;
    assert_eq!(user.header("etag"), "W/\"1\"");
    let body = value(&user);
    assert_eq!(body["meta"]["location"], format!("http://portal.test/scim/v2{path}"));
    assert_eq!(body["emails"][0]["value"], "ada@example.test");
    assert!(body.get("active").is_none(), "{body}");

    let again = json!({ "userName": "ADA@example.test" });
    check_error(&directory.send("POST", "/Users", Some(again), &[]).await, 409, Some("uniqueness"));

    let operation = json!({ "op": "Replace", "path": "displayName", "value": "Ada" });
    let changed = directory.patch(&path, operation.clone()).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "W/\"2\""));
    let unchanged = directory.patch(&path, operation.clone()).await;
    assert_eq!(unchanged.header("etag"), "W/\"2\"");
    let body = Some(json!({ "Operations": [operation] }));
    let stale = directory.send("PATCH", &path, body, &[("if-match", "W/\"1\"")]).await;
    check_error(&stale, 412, None);
    let known = directory.send("GET", &path, None, &[("if-none-match", "W/\"2\"")]).await;
    assert_eq!(known.status, 304);

    let put = json!({ "userName": "ada@example.test", "active": true });
    let replaced = directory.send("PUT", &path, Some(put), &[("if-match", "W/\"2\"")]).await;
    let body = value(&replaced);
    assert!(body.get("displayName").is_none() && body["active"] == true, "{body}");

    assert_eq!(directory.send("DELETE", &path, None, &[]).await.status, 204);
    check_error(&directory.get(&path).await, 404, None);
}

#[tokio::test]
async fn users_and_groups_are_found_and_paged() {
    let world = World::new().await;
    let directory = Directory::new(&world, world.acme).await;
    let mut ids = Vec::new();
    for name in ["ada@example.test", "bob@example.test", "eve@other.test"] {
        ids.push(directory.add_user(name).await);
    }
    let stranger = Directory::new(&world, world.globex).await;
    stranger.add_user("ada@example.test").await;
    let operation = json!({ "op": "replace", "path": "active", "value": false });
    directory.patch(&format!("/Users/{}", ids[1]), operation).await;
    let check = async |filter: &str, expected: &[&str]| {
        let query = filter.replace(' ', "%20").replace('"', "%22");
        assert_eq!(directory.found(&format!("/Users?filter={query}")).await, expected, "{filter}");
    };
    check(r#"userName eq "ADA@example.test""#, &["ada@example.test"]).await;
    check(
        r#"emails[type eq "work" and value co "@EXAMPLE"]"#,
        &["ada@example.test", "bob@example.test"],
    )
    .await;
    check(
        r#"userName sw "eve" or externalId eq "x-bob@example.test""#,
        &["bob@example.test", "eve@other.test"],
    )
    .await;
    check(r#"not (emails.value co "example")"#, &["eve@other.test"]).await;
    check("active eq false", &["bob@example.test"]).await;
    check(r#"active eq true and userName ne "eve@other.test""#, &["ada@example.test"]).await;
    check(&format!(r#"id eq "{}""#, ids[2]), &["eve@other.test"]).await;
    check(r#"id eq "nobody""#, &[]).await;
    check("displayName pr", &[]).await;
    for filter in
        ["userName%20gt%20%22a%22", "userName%20eq", "shoeSize%20eq%201", "members%20eq%20%22a%22"]
    {
        let refused = directory.get(&format!("/Users?filter={filter}")).await;
        check_error(&refused, 400, Some("invalidFilter"));
    }

    let page = value(&directory.get("/Users?startIndex=2&count=1").await);
    assert_eq!((page["totalResults"].as_u64(), page["itemsPerPage"].as_u64()), (Some(3), Some(1)));
    assert_eq!(page["Resources"][0]["userName"], "bob@example.test");
    let none = value(&directory.get("/Users?startIndex=-5&count=0").await);
    assert_eq!(
        (none["startIndex"].as_u64(), none["Resources"].as_array().map(Vec::len)),
        (Some(1), Some(0))
    );
    check_error(&directory.get("/Users?count=many").await, 400, Some("invalidValue"));

    let members: Vec<_> = ids.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({ "displayName": "Everybody", "members": members });
    let group = directory.send("POST", "/Groups", Some(body), &[]).await;
    let path = format!("/Groups/{}", id(&group));
    assert_eq!(value(&group)["members"].as_array().unwrap().len(), 3);
    let short = value(&directory.get(&format!("{path}?excludedAttributes=members")).await);
    assert!(short.get("members").is_none() && short["displayName"] == "Everybody", "{short}");
    let narrow = value(&directory.get(&format!("{path}?attributes=displayName")).await);
    assert!(narrow.get("meta").is_none() && narrow["id"].is_string(), "{narrow}");
    let of = format!("/Groups?filter=members.value%20eq%20%22{}%22", ids[0]);
    assert_eq!(directory.found(&of).await, ["Everybody"]);
    let user = value(&directory.get(&format!("/Users/{}", ids[0])).await);
    assert_eq!(user["groups"][0]["display"], "Everybody");
    let removal = json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) });
    let fewer = value(&directory.patch(&path, removal).await);
    assert_eq!(fewer["members"].as_array().unwrap().len(), 2);
    assert!(directory.found(&of).await.is_empty());
    let nobody = json!({ "op": "add", "path": "members", "value": [{ "value": id(&group) }] });
    check_error(&directory.patch(&path, nobody).await, 400, Some("invalidValue"));
}

#[tokio::test]
async fn whoever_is_deactivated_loses_the_console_at_once() {
    let world = World::new().await;
    let first = world.member(world.acme, "first@example.test").await;
    let mut second = world.member(world.acme, "second@example.test").await;
    let directory = Directory::new(&world, world.acme).await;
    let ids = [
        directory.add_user("first@example.test").await,
        directory.add_user("SECOND@example.test").await,
    ];
    assert_eq!(second.get("/alerts").await.status, 200);
    // As Entra ID says it.
    let off = json!({ "op": "Replace", "value": { "active": "False" } });
    let answer = directory.patch(&format!("/Users/{}", ids[1]), off.clone()).await;
    assert_eq!(value(&answer)["active"], false);
    assert_eq!(second.get("/alerts").await.status, 303);
    let refused = second.sign_in("second@example.test", OWN_PASSWORD).await;
    assert_ne!(refused.status, 303);

    // The last administrator stays, or nobody could mend it.
    let answer = directory.patch(&format!("/Users/{}", ids[0]), off).await;
    assert_eq!(value(&answer)["active"], false);
    assert_eq!(first.get("/alerts").await.status, 200);
    let log = first.get("/audit").await.text();
    assert!(log.contains("User deactivated") && log.contains("last_administrator_stays"), "{log}");

    // Becoming active again is no way back to the console.
    let on = json!({ "op": "replace", "path": "active", "value": true });
    directory.patch(&format!("/Users/{}", ids[1]), on).await;
    assert_ne!(second.sign_in("second@example.test", OWN_PASSWORD).await.status, 303);
}

#[tokio::test]
async fn errors_have_the_shape_of_scim() {
    let world = World::new().await;
    let directory = Directory::new(&world, world.acme).await;
    check_error(&directory.get("/Nothing").await, 404, None);
    check_error(&directory.get("/Users/nobody").await, 404, None);
    check_error(&directory.send("DELETE", "/Schemas", None, &[]).await, 405, None);
    let bad = directory.send("POST", "/Users", Some(json!([])), &[]).await;
    check_error(&bad, 400, Some("invalidSyntax"));
    let bad = directory.send("POST", "/Users", Some(json!({ "userName": "" })), &[]).await;
    check_error(&bad, 400, Some("invalidValue"));

    let mut nobody = Directory { world: &world, token: "bzs1.1.AAAA".into() };
    let refused = nobody.get("/Users").await;
    check_error(&refused, 401, None);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    // The other tenant's number does not make it the other tenant's token.
    let parts: Vec<_> = directory.token.split('.').collect();
    let other = format!("{}.{}.{}", parts[0], world.globex.0, parts[2]);
    nobody.token = other;
    check_error(&nobody.get("/Users").await, 401, None);
    world.advance(3_600_000);
    check_error(&directory.get("/Users").await, 401, None);
}
