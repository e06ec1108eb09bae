//! The audit log: entries.

use axum::http::StatusCode;
use bartizan_model::UnixMillis;
use bartizan_store::{ACTIONS, AuditFilter, AuditPlace, AuditRow, Named, Permission};
use serde_json::{Value, json};

use super::{AFTER, LIMIT, LINE, page_of};
use crate::v1::operation::{Answer, Call, Operation, Tagged, Verb};
use crate::v1::schema::{COUNT, Object, Schema, always, maybe};
use crate::v1::serve::unfit;

static NAMED: Object = Object {
    name: "AuditParty",
    about: "Somebody or something, by kind and id.",
    fields: &[
        always("kind", LINE, "In a word."),
        always("id", LINE, "Empty where there is only one of the kind."),
    ],
};

static ENTRY: Object = Object {
    name: "AuditEntry",
    about: "Something that was done. Proof is in the export of the console.",
    fields: &[
        always("seq", COUNT, "Counts from 0, without gaps."),
        always("at_ms", Schema::Time, "When."),
        always("actor", Schema::Object(&NAMED), "Who did it."),
        always("action", LINE, "What was done."),
        always("object", Schema::Object(&NAMED), "What it was done to."),
        always("detail", Schema::Any, "What else is to be known."),
        always("request", LINE, "The request's id, as in the log; may be empty."),
    ],
};
page_of!(ENTRIES, "AuditPage", ENTRY);

pub(crate) const OPERATIONS: &[Operation] = &[Operation {
    verb: Verb::Get,
    path: "/api/v1/audit",
    id: "listAuditEntries",
    summary: "List entries of the audit log, the latest first",
    permission: Permission::ManagePortalSettings,
    query: &[
        maybe("from_ms", Schema::Time, "Only those from then on."),
        maybe("until_ms", Schema::Time, "Only those before then."),
        maybe(
            "action",
            Schema::Text { least: 1, most: 100 },
            "Only this action, such as policy.change.",
        ),
        maybe(
            "actor",
            Schema::Text { least: 1, most: 200 },
            "Only by this kind of actor, such as `member`, or by one, `member:ID`.",
        ),
        maybe(
            "object",
            Schema::Text { least: 1, most: 200 },
            "Only done to this kind of object, or to one, `device:ID`.",
        ),
        LIMIT,
        AFTER,
    ],
    body: None,
    answer: (StatusCode::OK, Some(&ENTRIES)),
    tagged: Tagged::No,
    handler: |call| Box::pin(list(call)),
}];

async fn list(call: Call) -> Answer {
    let named = |name: &str| {
        let (kind, id) = call.text(name).map(|text| text.split_once(':').unwrap_or((text, "")))?;
        Some(Named { kind: kind.to_owned(), id: id.to_owned() })
    };
    let action = call.text("action").map(str::to_owned);
    if action.as_ref().is_some_and(|word| !ACTIONS.iter().any(|(known, _)| known == word)) {
        return Err(unfit("there is no such action"));
    }
    let filter = AuditFilter {
        from: call.number("from_ms").map(UnixMillis),
        until: call.number("until_ms").map(UnixMillis),
        actor: named("actor"),
        action,
        object: named("object"),
    };
    let place = match call.after::<u64>()? {
        None => AuditPlace::Newest,
        Some((_, seq)) => AuditPlace::Before(seq),
    };
    let store = &call.state.store;
    let rows = store.audit(call.application.scope, filter, place, call.one_more()).await?;
    let end = |row: &AuditRow| (UnixMillis(row.entry.at_ms), row.entry.seq.to_string());
    Ok(call.page(rows, end, |row| shown(&row)))
}

fn shown(row: &AuditRow) -> Value {
    let entry = &row.entry;
    json!({
        "seq": entry.seq,
        "at_ms": entry.at_ms,
        "actor": { "kind": entry.actor.kind, "id": entry.actor.id },
        "action": entry.action,
        "object": { "kind": entry.object.kind, "id": entry.object.id },
        "detail": entry.detail,
        "request": entry.request,
    })
}
