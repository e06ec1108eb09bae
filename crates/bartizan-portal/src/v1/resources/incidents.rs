//! Incidents: list and get.

use axum::http::StatusCode;
use bartizan_store::{IncidentCursor, IncidentId, IncidentRow, Permission};
use serde_json::{Value, json};

use super::{AFTER, LIMIT, LINE, SEVERITIES, page_of};
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb};
use crate::v1::schema::{COUNT, Object, Schema, always, maybe};

static INCIDENT: Object = Object {
    name: "Incident",
    about: "Alerts that belong together; list them by the parameter `incident` of the alerts.",
    fields: &[
        always("id", Schema::Id, "Its id."),
        always("title", LINE, "What happened first in it."),
        always("severity", SEVERITIES, "The worst of its alerts."),
        always("created_at_ms", Schema::Time, "When its first alert was received."),
        always("last_seen_at_ms", Schema::Time, "When something of it happened last."),
        always("alerts", COUNT, "How many alerts it has."),
        always("unresolved", COUNT, "Of these, unresolved."),
    ],
};
page_of!(INCIDENTS, "IncidentPage", INCIDENT);

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/incidents",
        id: "listIncidents",
        summary: "List incidents, the last seen first",
        permission: Permission::ViewData,
        query: &[
            maybe("unresolved", Schema::Flag, "Only those with unresolved alerts."),
            LIMIT,
            AFTER,
        ],
        body: None,
        answer: (StatusCode::OK, Some(&INCIDENTS)),
        tagged: Tagged::No,
        handler: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/incidents/{incident}",
        id: "getIncident",
        summary: "Get an incident",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&INCIDENT)),
        tagged: Tagged::No,
        handler: |call| Box::pin(get(call)),
    },
];

async fn list(call: Call) -> Answer {
    let after = call.after::<IncidentId>()?;
    let after = after.map(|(last_seen_at, id)| IncidentCursor { last_seen_at, id });
    let sight = call.application.sight;
    let store = &call.state.store;
    let rows = store.incidents(sight, call.flag("unresolved"), after, call.one_more()).await?;
    let place = |row: &IncidentRow| (row.last_seen_at, row.id.to_string());
    Ok(call.page(rows, place, |row| shown(&row)))
}

async fn get(call: Call) -> Answer {
    let id = call.id("incident")?;
    Ok(Reply::of(shown(&call.state.store.incident(call.application.sight, id).await?)))
}

fn shown(row: &IncidentRow) -> Value {
    json!({
        "id": row.id.to_string(),
        "title": row.title,
        "severity": row.severity.word(),
        "created_at_ms": row.created_at.0,
        "last_seen_at_ms": row.last_seen_at.0,
        "alerts": row.alerts,
        "unresolved": row.unresolved,
    })
}
