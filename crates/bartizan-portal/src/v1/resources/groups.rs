//! Device groups: list and get.

use axum::http::StatusCode;
use bartizan_store::{GroupRow, Permission};
use serde_json::{Value, json};

use super::{LINE, page_of};
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb};
use crate::v1::schema::{COUNT, Object, Schema, always};

static RULE: Object = Object {
    name: "DeviceGroupRule",
    about: "One rule of a device group.",
    fields: &[
        always("field", LINE, "What it looks at."),
        always("operator", LINE, "How it compares."),
        always("value", LINE, "What it compares with."),
    ],
};

static GROUP: Object = Object {
    name: "DeviceGroup",
    about: "Devices by rules: each belongs to the first group, by rank, that takes it.",
    fields: &[
        always("id", Schema::Id, "Its id."),
        always("name", LINE, "Its name."),
        always("rank", COUNT, "1 is asked first."),
        always("combine", Schema::Word(&["all", "any"]), "How its rules go together."),
        always("rules", Schema::List { of: &Schema::Object(&RULE), most: 1_000 }, "Its rules."),
        always("devices", COUNT, "How many devices are in it."),
        always("created_at_ms", Schema::Time, "When it was made."),
    ],
};
page_of!(GROUPS, "DeviceGroupPage", GROUP);

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/device-groups",
        id: "listDeviceGroups",
        summary: "List all device groups by rank",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&GROUPS)),
        tagged: Tagged::No,
        handler: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/device-groups/{group}",
        id: "getDeviceGroup",
        summary: "Get a device group",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&GROUP)),
        tagged: Tagged::No,
        handler: |call| Box::pin(get(call)),
    },
];

async fn list(call: Call) -> Answer {
    let groups = call.state.store.device_groups(call.application.sight).await?;
    let items: Vec<_> = groups.iter().map(shown).collect();
    Ok(Reply::of(json!({ "items": items, "next": null })))
}

async fn get(call: Call) -> Answer {
    let id = call.id("group")?;
    Ok(Reply::of(shown(&call.state.store.device_group(call.application.sight, id).await?)))
}

fn shown(row: &GroupRow) -> Value {
    let rule = |rule: &bartizan_store::Rule| {
        json!({
            "field": rule.field.word(), "operator": rule.operator.word(), "value": rule.value,
        })
    };
    json!({
        "id": row.id.to_string(),
        "name": row.name,
        "rank": row.rank,
        "combine": row.rules.combine.word(),
        "rules": row.rules.rules.iter().map(rule).collect::<Vec<_>>(),
        "devices": row.devices,
        "created_at_ms": row.created_at.0,
    })
}
