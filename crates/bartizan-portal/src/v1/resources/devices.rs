//! Devices: list, get, describe, take out, forget; what happened to them, and how their risk changed.

use axum::http::StatusCode;
use bartizan_model::{DeviceId, ProtectionState, RiskLevel, UnixMillis};
use bartizan_store::{
    DeviceCursor, DeviceEventRow, DeviceFilter, DeviceRevision, DeviceRow, DeviceState,
    DeviceValue, GroupChoice, MergeError, Permission, RiskChange,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AFTER, LIMIT, LINE, page_of};
use crate::console::{INACTIVE_AFTER_MS, visible};
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb, tag};
use crate::v1::schema::{COUNT, Object, Schema, always, maybe};
use crate::v1::serve::{conflict, unfit};

static GROUP: Object = Object {
    name: "DeviceGroupName",
    about: "The group of a device.",
    fields: &[always("id", Schema::Id, "Its id."), always("name", LINE, "Its name.")],
};

static UNRESOLVED: Object = Object {
    name: "UnresolvedAlerts",
    about: "How many unresolved alerts of each severity there are.",
    fields: &[
        always("high", COUNT, "High."),
        always("medium", COUNT, "Medium."),
        always("low", COUNT, "Low."),
        always("informational", COUNT, "Informational."),
    ],
};

static DEVICE: Object = Object {
    name: "Device",
    about: "A device, as it said last, and what people say of it.",
    fields: &[
        always("id", Schema::Id, "Its id."),
        always("name", LINE, "The name its person gave it."),
        always("os", LINE, "iOS, Linux."),
        always("os_version", LINE, "Such as 18.1."),
        always("model", LINE, "Such as iPhone17,3."),
        always("app_version", LINE, "Version of the program."),
        always("enrolled_at_ms", Schema::Time, "When it was let in."),
        always("last_seen_at_ms", Schema::Time, "When it was last heard of."),
        always(
            "mode",
            Schema::Nullable(&LINE),
            "How much it sees; null before the first check-in.",
        ),
        always(
            "protection",
            Schema::Nullable(&PROTECTIONS),
            "Whether it is protected, as it says; null before the first check-in.",
        ),
        always("policy_version", COUNT, "Of the policy in use."),
        always("newest_policy_version", COUNT, "Of the policy it should have."),
        always("indicator_epoch", Schema::Nullable(&COUNT), "Of the indicator file in use."),
        always("tenant_epoch", Schema::Nullable(&COUNT), "Of the file of own indicators in use."),
        always("risk", RISKS, "What follows from its unresolved alerts (docs/alerts.md)."),
        always("unresolved", Schema::Object(&UNRESOLVED), "Its unresolved alerts."),
        always("owner", Schema::Nullable(&LINE), "Its person's e-mail address."),
        always("value", VALUES, "What it is worth."),
        always("group", Schema::Nullable(&Schema::Object(&GROUP)), "Its group."),
        always(
            "attestation",
            ATTESTATIONS,
            "What vouches for its key: App Attest for a genuine app and hardware, for a build that is under development, \
             or nothing.",
        ),
        always("attested_at_ms", Schema::Nullable(&Schema::Time), "When that was verified."),
        always("offboarded_at_ms", Schema::Nullable(&Schema::Time), "When it was taken out."),
        maybe(
            "tags",
            Schema::List { of: &LINE, most: 1_000 },
            "Tags that people gave it; not in lists.",
        ),
        maybe(
            "policy_tags",
            Schema::List { of: &LINE, most: 1_000 },
            "Tags that policy gave it; not in lists.",
        ),
    ],
};
page_of!(DEVICES, "DevicePage", DEVICE);

static DESCRIPTION: Object = Object {
    name: "DeviceDescription",
    about: "What is to change about a device; what is absent stays.",
    fields: &[
        maybe(
            "owner",
            Schema::Nullable(&Schema::Text { least: 3, most: 200 }),
            "Its person's e-mail address; null for nobody.",
        ),
        maybe("value", VALUES, "What it is worth."),
        maybe(
            "tags",
            Schema::List { of: &Schema::Text { least: 1, most: 200 }, most: 50 },
            "All tags that people give it.",
        ),
    ],
};

static MERGE: Object = Object {
    name: "DeviceMerge",
    about: "Which record an earlier one of the same device is merged into.",
    fields: &[always("into", Schema::Id, "The record that is kept; it has to be in service.")],
};

static EVENT: Object = Object {
    name: "DeviceEvent",
    about: "Something that happened to a device.",
    fields: &[
        always("at_ms", Schema::Time, "When it happened, or happened last."),
        always("kind", LINE, "In a word."),
        always("actor", Schema::Nullable(&LINE), "Who did it."),
        always("detail", LINE, "What the kind says; may be empty."),
        always("count", COUNT, "How often."),
    ],
};
page_of!(EVENTS, "DeviceTimeline", EVENT);

static RISK: Object = Object {
    name: "RiskChange",
    about: "When the risk of a device became what, and why.",
    fields: &[
        always("at_ms", Schema::Time, "When."),
        always("risk", RISKS, "What it became."),
        always("reason", LINE, "The alerts it follows from."),
    ],
};
page_of!(RISK_HISTORY, "RiskHistory", RISK);

const PROTECTIONS: Schema = Schema::Word(&["on", "degraded", "off"]);
const HEALTH: Schema = Schema::Word(&["inactive", "never"]);
const RISKS: Schema = Schema::Word(&["None", "Informational", "Low", "Medium", "High"]);
const ATTESTATIONS: Schema = Schema::Word(&["none", "genuine", "development"]);
const VALUES: Schema = Schema::Word(&["Low", "Normal", "High"]);

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/devices",
        id: "listDevices",
        summary: "List devices, the last heard of first",
        permission: Permission::ViewData,
        query: &[
            maybe(
                "name",
                Schema::Text { least: 1, most: 200 },
                "Only those with this in the name.",
            ),
            maybe("protection", PROTECTIONS, "Only those that said this last."),
            maybe("health", HEALTH, "Only those that said nothing for a week, or never."),
            maybe("risk", RISKS, "Only those with this risk."),
            maybe("os", Schema::Text { least: 1, most: 100 }, "Only those of this system."),
            maybe(
                "os_version",
                Schema::Text { least: 1, most: 100 },
                "Only those with this version of it.",
            ),
            maybe(
                "app_version",
                Schema::Text { least: 1, most: 100 },
                "Only those with this version of the program.",
            ),
            maybe("tag", Schema::Text { least: 1, most: 200 }, "Only those with this tag."),
            maybe("group", Schema::Id, "Only those of this group."),
            maybe(
                "policy_version",
                COUNT,
                "Only those in service that run this version of their policy; 0 for none yet.",
            ),
            maybe(
                "likely_duplicate",
                Schema::Flag,
                "Only those of which there may be another record.",
            ),
            LIMIT,
            AFTER,
        ],
        body: None,
        answer: (StatusCode::OK, Some(&DEVICES)),
        tagged: Tagged::No,
        handler: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/devices/{device}",
        id: "getDevice",
        summary: "Get a device",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&DEVICE)),
        tagged: Tagged::Answer,
        handler: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/api/v1/devices/{device}",
        id: "describeDevice",
        summary: "Change a device's person, value or tags",
        permission: Permission::AlertsInvestigation,
        query: &[],
        body: Some(Schema::Object(&DESCRIPTION)),
        answer: (StatusCode::OK, Some(&DEVICE)),
        tagged: Tagged::Must,
        handler: |call| Box::pin(describe(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/api/v1/devices/{device}",
        id: "forgetDevice",
        summary: "Forget a device: all that is known of it and its person is erased; its alerts stay",
        permission: Permission::ActiveRemediation,
        query: &[],
        body: None,
        answer: (StatusCode::NO_CONTENT, None),
        tagged: Tagged::No,
        handler: |call| Box::pin(forget(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/devices/{device}/offboard",
        id: "offboardDevice",
        summary: "Take a device out: it is refused from now on and stays listed",
        permission: Permission::ActiveRemediation,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&DEVICE)),
        tagged: Tagged::Answer,
        handler: |call| Box::pin(offboard(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/devices/{device}/merge",
        id: "mergeDevice",
        summary: "Merge an earlier record of a device into the one that is kept: its alerts, timeline and tags move, \
                  and it is refused from now on; answers with the kept one",
        permission: Permission::ActiveRemediation,
        query: &[],
        body: Some(Schema::Object(&MERGE)),
        answer: (StatusCode::OK, Some(&DEVICE)),
        tagged: Tagged::Must,
        handler: |call| Box::pin(merge(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/devices/{device}/timeline",
        id: "getDeviceTimeline",
        summary: "List what happened to a device, the latest first",
        permission: Permission::ViewData,
        query: &[LIMIT, AFTER],
        body: None,
        answer: (StatusCode::OK, Some(&EVENTS)),
        tagged: Tagged::No,
        handler: |call| Box::pin(timeline(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/devices/{device}/risk",
        id: "getDeviceRisk",
        summary: "List how the risk of a device changed, the latest first",
        permission: Permission::ViewData,
        query: &[LIMIT, AFTER],
        body: None,
        answer: (StatusCode::OK, Some(&RISK_HISTORY)),
        tagged: Tagged::No,
        handler: |call| Box::pin(risk(call)),
    },
];

async fn list(call: Call) -> Answer {
    let text = |name: &str| call.text(name).unwrap_or_default().to_owned();
    let said = call.read("protection", ProtectionState::from_word).map(DeviceState::Said);
    let health = call.text("health").and_then(|word| health(word, call.now));
    if said.is_some() && health.is_some() {
        return Err(unfit("ask for protection or for health: inactive is who said nothing lately"));
    }
    let filter = DeviceFilter {
        name_contains: text("name"),
        state: said.or(health),
        os: text("os"),
        os_version: text("os_version"),
        app_version: text("app_version"),
        tag: text("tag"),
        group: call.read("group", |id| id.parse().ok()).map(GroupChoice::In),
        risk: call.read("risk", RiskLevel::from_word),
        attestation: None,
        policy_version: call.number("policy_version"),
        is_likely_twice: call.flag("likely_duplicate"),
    };
    let after = call.after::<DeviceId>()?;
    let after = after.map(|(last_seen_at, id)| DeviceCursor { last_seen_at, id });
    let store = &call.state.store;
    let rows = store.devices(call.application.sight, filter, after, call.one_more()).await?;
    let place = |row: &DeviceRow| (row.last_seen_at, row.id.to_string());
    Ok(call.page(rows, place, |row| shown(&row)))
}

/// Devices by whether they are heard of, as the console has it.
fn health(word: &str, now: UnixMillis) -> Option<DeviceState> {
    match word {
        "inactive" => {
            Some(DeviceState::SilentSince(UnixMillis(now.0.saturating_sub(INACTIVE_AFTER_MS))))
        }
        "never" => Some(DeviceState::NeverCheckedIn),
        _ => None,
    }
}

async fn get(call: Call) -> Answer {
    one(&call, call.id("device")?).await
}

#[derive(Deserialize)]
struct Description {
    /// Absent, nobody, or somebody.
    #[serde(default)]
    owner: Value,
    value: Option<String>,
    tags: Option<Vec<String>>,
}

async fn describe(mut call: Call) -> Answer {
    let id = call.id::<DeviceId>("device")?;
    let is_owner_said = call.body.get("owner").is_some();
    let wanted: Description = call.message()?;
    let (store, sight, now) = (&call.state.store, call.application.sight, call.now);
    let owner = match wanted.owner.as_str() {
        Some(text) => Some(text.trim().to_lowercase()),
        None => is_owner_said.then(String::new),
    };
    let is_odd =
        |owner: &String| !(owner.is_empty() || owner.contains('@')) || visible(owner) != *owner;
    if owner.as_ref().is_some_and(is_odd) {
        return Err(unfit("owner is no e-mail address"));
    }
    let odd = |tag: &String| tag.trim() != tag || tag.is_empty() || visible(tag) != *tag;
    if wanted.tags.iter().flatten().any(odd) {
        return Err(unfit(
            "a tag begins or ends with a space, or has characters that cannot be seen",
        ));
    }
    let revision = DeviceRevision {
        owner,
        value: wanted.value.as_deref().and_then(DeviceValue::from_word),
        tags: wanted.tags.map(|tags| tags.into_iter().collect()),
    };
    let actor = format!("application {}", call.application.name);
    let guard = call.guard(|(row, tags): &(DeviceRow, Vec<_>)| version(row, tags));
    store.revise_device(sight, id, guard, revision, actor, now).await?;
    one(&call, id).await
}

async fn offboard(call: Call) -> Answer {
    let id = call.id("device")?;
    let actor = format!("application {}", call.application.name);
    call.state.store.offboard_device(call.application.sight, id, actor, call.now).await?;
    one(&call, id).await
}

#[derive(Deserialize)]
struct Merge {
    into: String,
}

async fn merge(mut call: Call) -> Answer {
    let earlier = call.id("device")?;
    let wanted: Merge = call.message()?;
    let kept = wanted.into.parse().map_err(|_| unfit("into is not the id of a device"))?;
    let actor = format!("application {}", call.application.name);
    let guard = call.guard(|(row, tags): &(DeviceRow, Vec<_>)| version(row, tags));
    let (store, sight) = (&call.state.store, call.application.sight);
    match store.merge_device(sight, (earlier, kept), guard, actor, call.now).await {
        Ok(()) => one(&call, kept).await,
        Err(MergeError::Store(error)) => Err(error.into()),
        Err(refusal @ (MergeError::Same | MergeError::KeptIsOut | MergeError::Replaced)) => {
            Err(conflict(refusal.to_string()))
        }
    }
}

async fn forget(call: Call) -> Answer {
    let id = call.id("device")?;
    call.state.store.forget_device(call.application.sight, id, call.now).await?;
    Ok(Reply::nothing())
}

async fn timeline(call: Call) -> Answer {
    let id = call.id("device")?;
    let (store, sight) = (&call.state.store, call.application.sight);
    store.device(sight, id).await?;
    let before = call.after::<u128>()?;
    let rows = store.device_events(sight, id, before, call.one_more()).await?;
    let place = |row: &DeviceEventRow| (row.at, row.id.to_string());
    Ok(call.page(rows, place, |row| {
        json!({
            "at_ms": row.at.0,
            "kind": row.kind.word(),
            "actor": Some(row.actor).filter(|actor| !actor.is_empty()),
            "detail": row.detail,
            "count": row.count,
        })
    }))
}

async fn risk(call: Call) -> Answer {
    let id = call.id("device")?;
    let (store, sight) = (&call.state.store, call.application.sight);
    store.device(sight, id).await?;
    let before = call.after::<u128>()?.map(|(_, id)| id);
    let changes = store.risk_changes(sight, id, before, call.one_more()).await?;
    let place = |change: &RiskChange| (change.at, change.id.to_string());
    let item = |change: RiskChange| json!({ "at_ms": change.at.0, "risk": change.risk.word(), "reason": change.reason });
    Ok(call.page(changes, place, item))
}

async fn one(call: &Call, id: DeviceId) -> Answer {
    let (store, sight) = (&call.state.store, call.application.sight);
    let row = store.device(sight, id).await?;
    let tags = store.device_tags(sight, id).await?;
    let mut body = shown(&row);
    let of = |policy: bool| -> Vec<&str> {
        let some = tags.iter().filter(|(_, by_policy)| *by_policy == policy);
        some.map(|(tag, _)| tag.as_str()).collect()
    };
    if let Some(members) = body.as_object_mut() {
        members.insert("tags".into(), json!(of(false)));
        members.insert("policy_tags".into(), json!(of(true)));
    }
    Ok(Reply::tagged(body, version(&row, &tags)))
}

fn shown(row: &DeviceRow) -> Value {
    json!({
        "id": row.id.to_string(),
        "name": row.device_name,
        "os": row.os,
        "os_version": row.os_version,
        "model": row.model,
        "app_version": row.app_version,
        "enrolled_at_ms": row.enrolled_at.0,
        "last_seen_at_ms": row.last_seen_at.0,
        "mode": row.mode.map(bartizan_model::Mode::word),
        "protection": row.protection.map(ProtectionState::word),
        "policy_version": row.policy_version,
        "newest_policy_version": row.newest_policy_version,
        "indicator_epoch": row.indicator_epoch,
        "tenant_epoch": row.tenant_epoch,
        "risk": RiskLevel::of(row.unresolved).word(),
        "unresolved": {
            "high": row.unresolved.high,
            "medium": row.unresolved.medium,
            "low": row.unresolved.low,
            "informational": row.unresolved.informational,
        },
        "owner": Some(&row.owner).filter(|owner| !owner.is_empty()),
        "value": row.value.word(),
        "group": row.group.as_ref().map(|(id, name)| json!({ "id": id.to_string(), "name": name })),
        "attestation": row.attestation.word(),
        "attested_at_ms": row.attested_at.map(|at| at.0),
        "offboarded_at_ms": row.offboarded_at.map(|at| at.0),
    })
}

/// Of what people decide; that it checked in changes nothing of it.
pub(crate) fn version(row: &DeviceRow, tags: &[(String, bool)]) -> String {
    let tags: Vec<_> =
        tags.iter().filter(|(_, by_policy)| !by_policy).map(|(tag, _)| tag).collect();
    let offboarded = row.offboarded_at.map(|at| at.0);
    tag(&json!([row.id.to_string(), row.owner, row.value.word(), offboarded, tags]))
}

#[cfg(test)]
mod tests {
    use bartizan_store::Attestation;

    use super::*;

    #[test]
    fn words_are_those_of_the_store() {
        let values = DeviceValue::ALL.map(DeviceValue::word);
        assert!(matches!(VALUES, Schema::Word(words) if words == values));
        let attestations = Attestation::ALL.map(Attestation::word);
        assert!(matches!(ATTESTATIONS, Schema::Word(words) if words == attestations));
        for word in ["on", "degraded", "off"] {
            assert!(ProtectionState::from_word(word).is_some(), "{word}");
        }
        let Schema::Word(risks) = RISKS else { panic!("not words") };
        assert!(risks.iter().all(|word| RiskLevel::from_word(word).is_some()));
    }
}
