//! Policies: the document for all devices, and those of device groups.

use axum::http::StatusCode;
use bartizan_store::{GroupId, NewPolicyVersion, Permission, PolicyVersionRow};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AFTER, LIMIT, LINE, page_of};
use crate::error::ApiError;
use crate::policies;
use crate::policy::settings::Settings;
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb, tag};
use crate::v1::schema::{COUNT, Object, Schema, always, maybe};
use crate::v1::serve::unfit;

static POLICY: Object = Object {
    name: "Policy",
    about: "A policy document, as its latest version says.",
    fields: &[
        always("policy", LINE, "`all`, or the id of the device group that it is for."),
        always("name", LINE, "For whom it is, in words."),
        always("number", COUNT, "Of the latest version; 0 if there is none."),
        always(
            "percent",
            COUNT,
            "Of the devices that it is for, how many have the latest version.",
        ),
        always(
            "settings",
            Schema::Any,
            "The keys that it decides (docs/policy.md); devices have the defaults of others.",
        ),
    ],
};
page_of!(POLICIES, "PolicyPage", POLICY);

static NEW: Object = Object {
    name: "NewPolicyVersion",
    about: "A version to be added.",
    fields: &[
        always("settings", Schema::Any, "All keys that it decides (docs/policy.md)."),
        maybe("note", Schema::Text { least: 0, most: 200 }, "Why, for people."),
        maybe(
            "percent",
            Schema::Number { least: 0, most: 100 },
            "How many of the devices have it; 100 if it is not said.",
        ),
    ],
};

static VERSION: Object = Object {
    name: "PolicyVersion",
    about: "A version of a policy document.",
    fields: &[
        always("number", COUNT, "Counts up from 1."),
        always("created_at_ms", Schema::Time, "When it was made."),
        always("changed_by", LINE, "Who made it; empty for the command line."),
        always("note", Schema::Lines { most: 65_536 }, "Why."),
        always("percent", COUNT, "How many of the devices have it."),
        always("settings", Schema::Any, "The keys that it decides."),
    ],
};
page_of!(VERSIONS, "PolicyVersionPage", VERSION);

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/policies",
        id: "listPolicies",
        summary: "List the policy of all devices and those of all groups, by rank",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&POLICIES)),
        tagged: Tagged::No,
        handler: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/policies/{policy}",
        id: "getPolicy",
        summary: "Get a policy",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&POLICY)),
        tagged: Tagged::Answer,
        handler: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/api/v1/policies/{policy}",
        id: "putPolicy",
        summary: "Add a version to a policy",
        permission: Permission::ManageSecuritySettings,
        query: &[],
        body: Some(Schema::Object(&NEW)),
        answer: (StatusCode::OK, Some(&POLICY)),
        tagged: Tagged::Must,
        handler: |call| Box::pin(put(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/policies/{policy}/versions",
        id: "listPolicyVersions",
        summary: "List the versions of a policy, the latest first",
        permission: Permission::ViewData,
        query: &[LIMIT, AFTER],
        body: None,
        answer: (StatusCode::OK, Some(&VERSIONS)),
        tagged: Tagged::No,
        handler: |call| Box::pin(versions(call)),
    },
];

async fn list(call: Call) -> Answer {
    let groups = call.state.store.device_groups(call.application.sight).await?;
    let mut items = vec![one(&call, None, "All devices").await?.0];
    for group in groups {
        items.push(one(&call, Some(group.id), &group.name).await?.0);
    }
    Ok(Reply::of(json!({ "items": items, "next": null })))
}

async fn get(call: Call) -> Answer {
    let (group, name) = find(&call).await?;
    let (body, number) = one(&call, group, &name).await?;
    Ok(Reply::tagged(body, version(group, number)))
}

#[derive(Deserialize)]
struct New {
    settings: Value,
    #[serde(default)]
    note: String,
    percent: Option<u8>,
}

async fn put(mut call: Call) -> Answer {
    let new: New = call.message()?;
    let (group, name) = find(&call).await?;
    let (_, before) = policies::latest(&call.state, call.application.scope, group).await?;
    let text = new.settings.to_string();
    let settings = Settings::from_json_over(&text, &before).map_err(|problems| {
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        unfit(told.join("; "))
    })?;
    let added = NewPolicyVersion {
        settings: settings.to_json(),
        note: new.note,
        changed_by: format!("application {}", call.application.name),
        percent: new.percent.unwrap_or(100),
    };
    let store = &call.state.store;
    let guard = call.guard(move |number: &u64| version(group, *number));
    let scope = call.application.scope;
    store.add_policy_version_if(scope, group, guard, added, call.now).await?;
    let (body, number) = one(&call, group, &name).await?;
    Ok(Reply::tagged(body, version(group, number)))
}

async fn versions(call: Call) -> Answer {
    let (group, _) = find(&call).await?;
    let before = call.after::<u64>()?.map(|(_, number)| number);
    let store = &call.state.store;
    let rows =
        store.policy_versions(call.application.scope, group, before, call.one_more()).await?;
    let place = |row: &PolicyVersionRow| (row.created_at, row.number.to_string());
    Ok(call.page(rows, place, |row| {
        let settings = serde_json::from_str(&row.settings).unwrap_or_else(|_| json!({}));
        json!({
            "number": row.number,
            "created_at_ms": row.created_at.0,
            "changed_by": row.changed_by,
            "note": row.note,
            "percent": row.percent,
            "settings": settings as Value,
        })
    }))
}

/// For whom the policy in the path is.
pub(super) async fn find(call: &Call) -> Result<(Option<GroupId>, String), ApiError> {
    let who = call.path.get("policy").map_or("", String::as_str);
    if who == "all" {
        return Ok((None, "All devices".to_owned()));
    }
    let group = call.id("policy")?;
    let row = call.state.store.device_group(call.application.sight, group).await?;
    Ok((Some(group), row.name))
}

async fn one(call: &Call, group: Option<GroupId>, name: &str) -> Result<(Value, u64), ApiError> {
    let layer = call.state.store.policy_layer(call.application.scope, group).await?;
    let latest = layer.rolling_out.or(layer.in_force);
    let settings = match &latest {
        Some(row) => policies::read(row)?,
        None => Settings::default(),
    };
    let settings: Value =
        serde_json::from_str(&settings.to_json()).map_err(|error| ApiError::internal(&error))?;
    let number = latest.as_ref().map_or(0, |row| row.number);
    let body = json!({
        "policy": group.map_or_else(|| "all".to_owned(), |group| group.to_string()),
        "name": name,
        "number": number,
        "percent": latest.map_or(100, |row| row.percent),
        "settings": settings,
    });
    Ok((body, number))
}

fn version(group: Option<GroupId>, number: u64) -> String {
    tag(&json!([group.map(|group| group.to_string()), number]))
}
