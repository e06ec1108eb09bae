//! Who is calling.

use axum::http::StatusCode;
use bartizan_store::Permission;
use serde_json::json;

use crate::v1::access::ClientId;
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb};
use crate::v1::schema::{Object, Schema, always};

static APPLICATION: Object = Object {
    name: "Application",
    about: "The application that calls.",
    fields: &[
        always("client_id", Schema::Text { least: 1, most: 100 }, "As it names itself."),
        always("name", super::LINE, "As people know it."),
        always(
            "scopes",
            Schema::List { of: &Schema::Text { least: 1, most: 40 }, most: 20 },
            "What its token lets it do.",
        ),
    ],
};

pub(crate) const OPERATIONS: &[Operation] = &[Operation {
    verb: Verb::Get,
    path: "/api/v1/me",
    id: "getMe",
    summary: "Say who is calling, and what the token lets it do",
    permission: Permission::ViewData,
    query: &[],
    body: None,
    answer: (StatusCode::OK, Some(&APPLICATION)),
    tagged: Tagged::No,
    handler: |call| Box::pin(me(call)),
}];

#[expect(clippy::unused_async, reason = "as every handler")]
async fn me(call: Call) -> Answer {
    let application = &call.application;
    let client = ClientId { tenant: application.scope.tenant_id(), application: application.id };
    let scopes: Vec<_> = application.permissions.iter().map(Permission::word).collect();
    Ok(Reply::of(json!({
        "client_id": client.to_string(), "name": application.name, "scopes": scopes,
    })))
}
