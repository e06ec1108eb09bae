//! Alerts: list, get, history, triage.

use axum::http::StatusCode;
use bartizan_model::{AlertStatus, Severity};
use bartizan_store::{
    AlertChange, AlertFilter, AlertKey, AlertOrder, AlertRow, AlertUpdate, IncidentId, Permission,
    StatusFilter, StoreError, Verdict,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{AFTER, LIMIT, LINE, SEVERITIES, STATUSES, page_of};
use crate::error::ApiError;
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb, tag};
use crate::v1::schema::{COUNT, Object, Schema, always, maybe};
use crate::v1::serve::unfit;

static DEVICE: Object = Object {
    name: "AlertDevice",
    about: "The device that an alert is of.",
    fields: &[
        always("id", Schema::Id, "Its id."),
        always("name", LINE, "The name its person gave it."),
    ],
};

static ALERT: Object = Object {
    name: "Alert",
    about: "Something that a device or another product found.",
    fields: &[
        always("id", Schema::Id, "Its id."),
        always("device", Schema::Object(&DEVICE), "The device."),
        always("detector", LINE, "What found it: an id of docs/alerts.md."),
        always("severity", SEVERITIES, "How bad it is."),
        always("category", LINE, "What the attacker was after."),
        always("title", LINE, "One line for people."),
        always(
            "host",
            Schema::Nullable(&LINE),
            "The host it is about; null where policy keeps it on the device.",
        ),
        always("matched", Schema::Nullable(&LINE), "The indicator that decided."),
        always("source", Schema::Nullable(&LINE), "The feed that lists it, or the other product."),
        always(
            "indicator",
            Schema::Nullable(&COUNT),
            "The organization's own indicator that decided.",
        ),
        always("action", LINE, "What was done."),
        always("first_seen_at_ms", Schema::Time, "When it happened first, by the device's clock."),
        always("last_seen_at_ms", Schema::Time, "When it happened last, by the device's clock."),
        always("received_at_ms", Schema::Time, "When the portal first heard of it."),
        always("updated_at_ms", Schema::Time, "When something about it last changed."),
        always("count", COUNT, "How often it happened."),
        always("status", STATUSES, "How far it has been dealt with."),
        always("status_at_ms", Schema::Nullable(&Schema::Time), "When the status last changed."),
        always("status_by", Schema::Nullable(&LINE), "The person who changed it."),
        always("classification", LINE, "Whether it was real."),
        always("determination", LINE, "What it was."),
        always("assigned_to", Schema::Nullable(&LINE), "Who takes care."),
        always("incident", Schema::Nullable(&Schema::Id), "What it belongs to."),
    ],
};
page_of!(ALERTS, "AlertPage", ALERT);

static CHANGE: Object = Object {
    name: "AlertChange",
    about: "Something that was changed or said about an alert.",
    fields: &[
        always("at_ms", Schema::Time, "When."),
        always("by", Schema::Nullable(&LINE), "By whom; null for the portal itself."),
        always("kind", LINE, "status, classification, assigned, comment or another word."),
        always("before", Schema::Lines { most: 65_536 }, "What it was."),
        always("after", Schema::Lines { most: 65_536 }, "What it became, or what was said."),
    ],
};
page_of!(CHANGES, "AlertHistory", CHANGE);

static EVIDENCE: Object = Object {
    name: "AlertEvidence",
    about: "What another product said of an alert.",
    fields: &[
        always("product", LINE, "Which product."),
        always("external_id", LINE, "What it calls the alert."),
        always("link", Schema::Nullable(&LINE), "The alert's page over there."),
        always("original", LINE, "JSON as it came last, cut after 64 KiB."),
        always("updated_at_ms", Schema::Time, "When it came last."),
    ],
};

static TRIAGE: Object = Object {
    name: "AlertTriage",
    about: "What is to change about an alert; what is absent stays.",
    fields: &[
        maybe("status", STATUSES, "How far it has been dealt with."),
        maybe(
            "classification",
            Schema::Word(&[
                "Unknown",
                "TruePositive",
                "InformationalExpectedActivity",
                "FalsePositive",
            ]),
            "Whether it was real; together with determination.",
        ),
        maybe(
            "determination",
            Schema::Text { least: 1, most: 40 },
            "What it was: a word of Defender's that goes with the classification.",
        ),
        maybe(
            "assigned_to",
            Schema::Nullable(&Schema::Text { least: 1, most: 254 }),
            "E-mail address of the member who takes care; null for nobody.",
        ),
        maybe("comment", Schema::Lines { most: 2_000 }, "To be said about it."),
    ],
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/alerts",
        id: "listAlerts",
        summary: "List alerts",
        permission: Permission::ViewData,
        query: &[
            maybe("severity", SEVERITIES, "Only those of this severity."),
            maybe(
                "status",
                Schema::Word(&["Unresolved", "New", "InProgress", "Resolved"]),
                "Only those of this status; Unresolved is all but Resolved.",
            ),
            maybe("device", Schema::Id, "Only those of this device."),
            maybe("incident", Schema::Id, "Only those of this incident."),
            maybe(
                "sort",
                Schema::Word(&["-last_seen_at", "last_seen_at", "-updated_at", "updated_at"]),
                "In which order, `-` for the latest first; -last_seen_at if it is not said. \
                 By updated_at, one page after the other gives every change.",
            ),
            LIMIT,
            AFTER,
        ],
        body: None,
        answer: (StatusCode::OK, Some(&ALERTS)),
        tagged: Tagged::No,
        handler: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/alerts/{alert}",
        id: "getAlert",
        summary: "Get an alert",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&ALERT)),
        tagged: Tagged::Answer,
        handler: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/api/v1/alerts/{alert}",
        id: "triageAlert",
        summary: "Change an alert's status, verdict or assignee, or comment on it",
        permission: Permission::AlertsInvestigation,
        query: &[],
        body: Some(Schema::Object(&TRIAGE)),
        answer: (StatusCode::OK, Some(&ALERT)),
        tagged: Tagged::Must,
        handler: |call| Box::pin(triage(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/alerts/{alert}/history",
        id: "getAlertHistory",
        summary: "List what was changed or said about an alert, the first first",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&CHANGES)),
        tagged: Tagged::No,
        handler: |call| Box::pin(history(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/alerts/{alert}/evidence",
        id: "getAlertEvidence",
        summary: "Get what another product said of an alert",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&EVIDENCE)),
        tagged: Tagged::No,
        handler: |call| Box::pin(evidence(call)),
    },
];

async fn evidence(call: Call) -> Answer {
    let key = call.id::<AlertKey>("alert")?;
    let found = call.state.store.external_alert(call.application.sight, key).await?;
    let found = found.ok_or_else(|| ApiError::not_found("evidence"))?;
    // What JSON leaves as it is and one does not want to see.
    let original = found.original.replace(char::is_control, " ");
    Ok(Reply::of(json!({
        "product": found.product,
        "external_id": found.external_id,
        "link": Some(found.link).filter(|link| !link.is_empty()),
        "original": original,
        "updated_at_ms": found.updated_at.0,
    })))
}

async fn list(call: Call) -> Answer {
    let status = match call.text("status") {
        None => StatusFilter::Any,
        Some(word) => {
            AlertStatus::from_word(word).map_or(StatusFilter::Unresolved, StatusFilter::Only)
        }
    };
    let filter = AlertFilter {
        severity: call.read("severity", Severity::from_word),
        status,
        device: call.read("device", |text| text.parse().ok()),
        incident: call.read("incident", |text| text.parse::<IncidentId>().ok()),
    };
    let sort = call.text("sort").unwrap_or("-last_seen_at");
    let order =
        AlertOrder { by_update: sort.ends_with("updated_at"), ascending: !sort.starts_with('-') };
    let after = call.after::<AlertKey>()?;
    let store = &call.state.store;
    let rows = store
        .alerts_in_order(call.application.sight, filter, order, after, call.one_more())
        .await?;
    let place = |row: &AlertRow| {
        let at = if order.by_update { row.updated_at } else { row.last_seen_at };
        (at, row.key.to_string())
    };
    Ok(call.page(rows, place, |row| shown(&row)))
}

async fn get(call: Call) -> Answer {
    let key = call.id("alert")?;
    let row = call.state.store.alert(call.application.sight, key).await?.alert;
    Ok(Reply::tagged(shown(&row), version(&row)))
}

async fn history(call: Call) -> Answer {
    let key = call.id::<AlertKey>("alert")?;
    let (store, sight) = (&call.state.store, call.application.sight);
    store.alert(sight, key).await?;
    let changes = store.alert_changes(sight, key, MOST_CHANGES).await?;
    let item = |change: AlertChange| {
        json!({
            "at_ms": change.at.0, "by": change.by, "kind": change.kind,
            "before": change.before, "after": change.after,
        })
    };
    let items: Vec<_> = changes.into_iter().map(item).collect();
    Ok(Reply::of(json!({ "items": items, "next": null })))
}

#[derive(Deserialize)]
struct Triage {
    status: Option<String>,
    classification: Option<String>,
    determination: Option<String>,
    /// Absent, nobody, or somebody.
    #[serde(default, deserialize_with = "present")]
    assigned_to: Option<Option<String>>,
    comment: Option<String>,
}

/// Tells null from absence.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

async fn triage(mut call: Call) -> Answer {
    let key = call.id::<AlertKey>("alert")?;
    let wanted: Triage = call.message()?;
    let (store, scope, sight) = (&call.state.store, call.application.scope, call.application.sight);
    let verdict = match (wanted.classification, wanted.determination) {
        (None, None) => None,
        (Some(classification), Some(determination)) => {
            Some(Verdict { classification, determination })
        }
        (_, _) => return Err(unfit("classification and determination come together")),
    };
    let assigned_to = match wanted.assigned_to {
        None => None,
        Some(None) => Some(None),
        Some(Some(email)) => {
            let email = email.to_lowercase();
            let members = store.members(scope).await?;
            let member = members.into_iter().find(|member| member.email == email);
            Some(Some(member.ok_or_else(|| unfit("assigned_to is no member's address"))?.id))
        }
    };
    let update = AlertUpdate {
        status: wanted.status.as_deref().and_then(AlertStatus::from_word),
        verdict,
        assigned_to,
        comment: wanted.comment.filter(|comment| !comment.is_empty()),
        ..AlertUpdate::default()
    };
    let member = call.application.member;
    let guard = call.guard(version);
    let changed = store.update_alert_if(sight, key, guard, update, member, call.now).await;
    changed.map_err(|error| match error {
        StoreError::NotFound { what: "verdict" } => {
            unfit("the determination does not go with the classification")
        }
        StoreError::NotFound { .. }
        | StoreError::Conflict { .. }
        | StoreError::Full { .. }
        | StoreError::LastAdministrator
        | StoreError::Busy
        | StoreError::Closed
        | StoreError::Damaged { .. }
        | StoreError::Unavailable(_) => ApiError::from(error),
    })?;
    call.state.news.publish(scope.tenant_id());
    let row = store.alert(sight, key).await?.alert;
    Ok(Reply::tagged(shown(&row), version(&row)))
}

fn shown(row: &AlertRow) -> Value {
    json!({
        "id": row.key.to_string(),
        "device": { "id": row.device.to_string(), "name": row.device_name },
        "detector": row.detector.id(),
        "severity": row.severity.word(),
        "category": row.category,
        "title": row.title,
        "host": row.host.as_ref().map(ToString::to_string),
        "matched": row.matched,
        "source": row.source,
        "indicator": row.indicator,
        "action": row.action.word(),
        "first_seen_at_ms": row.first_seen_at.0,
        "last_seen_at_ms": row.last_seen_at.0,
        "received_at_ms": row.received_at.0,
        "updated_at_ms": row.updated_at.0,
        "count": row.count,
        "status": row.status.word(),
        "status_at_ms": row.status_at.map(|at| at.0),
        "status_by": row.status_by,
        "classification": row.verdict.classification,
        "determination": row.verdict.determination,
        "assigned_to": row.assigned_to,
        "incident": row.incident.map(|id| id.to_string()),
    })
}

/// Of what people decide; that it happened once more changes nothing of it.
fn version(row: &AlertRow) -> String {
    tag(&json!([
        row.key.to_string(),
        row.status.word(),
        row.status_at.map(|at| at.0),
        row.verdict.classification,
        row.verdict.determination,
        row.assigned_to,
    ]))
}

/// More than anybody writes about one alert.
const MOST_CHANGES: u32 = 1_000;
