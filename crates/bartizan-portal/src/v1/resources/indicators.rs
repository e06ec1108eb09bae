//! Indicators of the organization's own: list, get, add, change, remove, import.

use axum::http::StatusCode;
use bartizan_indicators::pattern::{Pattern, PatternKind};
use bartizan_model::{IndicatorAction, UnixMillis};
use bartizan_store::{
    IndicatorCursor, IndicatorFilter, IndicatorId, IndicatorRow, IndicatorRule, IndicatorState,
    NewIndicator, Permission, StoreError,
};
use serde_json::{Value, json};

use super::{AFTER, LIMIT, LINE, SEVERITIES, page_of};
use crate::error::ApiError;
use crate::indicator_rule::{
    Field, FieldError, category_word, indicator, read_rule, read_spelling, time_text, type_word,
};
use crate::publish;
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb, tag};
use crate::v1::schema::{COUNT, Field as Member, Object, Schema, always, maybe};
use crate::v1::serve::{conflict, unfit};

static INDICATOR: Object = Object {
    name: "Indicator",
    about: "What devices allow, warn of, block or watch, by the organization's own word (docs/indicators.md).",
    fields: &[
        always("id", COUNT, "Its number."),
        always("type", LINE, "DomainName, HostName, Url, IpAddress or CidrRange."),
        always("value", LINE, "What it names, in one spelling."),
        always("action", ACTIONS, "What is to be done."),
        always("title", LINE, "One line for people."),
        always("description", LONG, "More for people."),
        always("severity", SEVERITIES, "Of the alerts it raises."),
        always("category", LINE, "As Defender spells it."),
        always("expires_at_ms", Schema::Nullable(&Schema::Time), "From then on it does nothing."),
        always("generate_alert", Schema::Flag, "Whether a hit raises an alert."),
        always("recommended_actions", LONG, "What whoever sees the alert is to do."),
        always("mitre_techniques", LINE, "As they were given."),
        always("created_by", LINE, "Who created it, or answers for what did."),
        always("created_at_ms", Schema::Time, "When it was created."),
        always("updated_at_ms", Schema::Time, "When it was last changed."),
        always("hits", COUNT, "How often it stopped, warned of or watched something."),
    ],
};
page_of!(INDICATORS, "IndicatorPage", INDICATOR);

const VALUE: Member = always(
    "value",
    Schema::Text { least: 1, most: 2_048 },
    "A domain, `=host`, `*.domain`, URL, address or network.",
);
const ACTION: Member = always("action", ACTIONS, "What is to be done.");
const TITLE: Member = always("title", Schema::Text { least: 1, most: 200 }, "One line for people.");
const DESCRIPTION: Member = maybe("description", Schema::Lines { most: 4_000 }, "More for people.");
const SEVERITY: Member =
    maybe("severity", SEVERITIES, "Of the alerts it raises; Informational if it is not said.");
const CATEGORY: Member = maybe(
    "category",
    Schema::Text { least: 0, most: 100 },
    "As Defender spells it, such as Phishing or Malware.",
);
const EXPIRES: Member =
    maybe("expires_at_ms", Schema::Nullable(&Schema::Time), "From then on it does nothing.");
const ALERTING: Member = maybe(
    "generate_alert",
    Schema::Flag,
    "Whether a hit raises an alert; Audit always does, Allowed never.",
);
const RECOMMENDED: Member = maybe(
    "recommended_actions",
    Schema::Lines { most: 4_000 },
    "What whoever sees the alert is to do.",
);
const TECHNIQUES: Member =
    maybe("mitre_techniques", Schema::Text { least: 0, most: 500 }, "Such as T1660.");

static NEW: Object = Object {
    name: "NewIndicator",
    about: "An indicator to be.",
    fields: &[
        VALUE,
        ACTION,
        TITLE,
        DESCRIPTION,
        SEVERITY,
        CATEGORY,
        EXPIRES,
        ALERTING,
        RECOMMENDED,
        TECHNIQUES,
    ],
};

static RULE: Object = Object {
    name: "IndicatorRule",
    about: "All that is said of an indicator's value; what is absent is as in a new one.",
    fields: &[
        ACTION,
        TITLE,
        DESCRIPTION,
        SEVERITY,
        CATEGORY,
        EXPIRES,
        ALERTING,
        RECOMMENDED,
        TECHNIQUES,
    ],
};

static IMPORT: Object = Object {
    name: "IndicatorImport",
    about: "Indicators to be; those whose value is there already say from now on what is said here.",
    fields: &[always(
        "items",
        Schema::List { of: &Schema::Object(&NEW), most: MOST_IMPORTED },
        "All of them, or none where one is unfit.",
    )],
};

static IMPORTED: Object = Object {
    name: "IndicatorsImported",
    about: "What became of an import.",
    fields: &[
        always("created", COUNT, "Were not there before."),
        always("changed", COUNT, "Were there already."),
    ],
};

const ACTIONS: Schema = Schema::Word(&["Allowed", "Audit", "Warn", "Block"]);
const LONG: Schema = Schema::Lines { most: 65_536 };
const MOST_IMPORTED: usize = 1_000;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/indicators",
        id: "listIndicators",
        summary: "List the organization's own indicators, the last changed first",
        permission: Permission::ViewData,
        query: &[
            maybe(
                "text",
                Schema::Text { least: 1, most: 200 },
                "Only those with this in value or title.",
            ),
            maybe("action", ACTIONS, "Only those with this action."),
            maybe("state", Schema::Word(&["active", "expired"]), "Only those in this state."),
            LIMIT,
            AFTER,
        ],
        body: None,
        answer: (StatusCode::OK, Some(&INDICATORS)),
        tagged: Tagged::No,
        handler: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/indicators",
        id: "createIndicator",
        summary: "Add an indicator",
        permission: Permission::ManageSecuritySettings,
        query: &[],
        body: Some(Schema::Object(&NEW)),
        answer: (StatusCode::CREATED, Some(&INDICATOR)),
        tagged: Tagged::Answer,
        handler: |call| Box::pin(create(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/indicators/import",
        id: "importIndicators",
        summary: "Add or change up to 1,000 indicators at once",
        permission: Permission::ManageSecuritySettings,
        query: &[],
        body: Some(Schema::Object(&IMPORT)),
        answer: (StatusCode::OK, Some(&IMPORTED)),
        tagged: Tagged::No,
        handler: |call| Box::pin(import(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/indicators/{indicator}",
        id: "getIndicator",
        summary: "Get an indicator",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&INDICATOR)),
        tagged: Tagged::Answer,
        handler: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/api/v1/indicators/{indicator}",
        id: "changeIndicator",
        summary: "Change what an indicator says; its value stays",
        permission: Permission::ManageSecuritySettings,
        query: &[],
        body: Some(Schema::Object(&RULE)),
        answer: (StatusCode::OK, Some(&INDICATOR)),
        tagged: Tagged::Must,
        handler: |call| Box::pin(change(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/api/v1/indicators/{indicator}",
        id: "deleteIndicator",
        summary: "Remove an indicator",
        permission: Permission::ManageSecuritySettings,
        query: &[],
        body: None,
        answer: (StatusCode::NO_CONTENT, None),
        tagged: Tagged::No,
        handler: |call| Box::pin(delete(call)),
    },
];

async fn list(call: Call) -> Answer {
    let state = match call.text("state") {
        Some("active") => Some(IndicatorState::Active(call.now)),
        Some(_) => Some(IndicatorState::Expired(call.now)),
        None => None,
    };
    let filter = IndicatorFilter {
        text: call.text("text").unwrap_or_default().to_owned(),
        action: call.read("action", action),
        kind: None,
        state,
    };
    let after = call.after::<IndicatorId>()?;
    let after = after.map(|(updated_at, id)| IndicatorCursor { updated_at, id });
    let store = &call.state.store;
    let rows = store.indicators(call.application.scope, filter, after, call.one_more()).await?;
    let place = |row: &IndicatorRow| (row.updated_at, row.id.to_string());
    Ok(call.page(rows, place, |row| shown(&row)))
}

async fn get(call: Call) -> Answer {
    one(&call, call.id("indicator")?).await
}

async fn create(call: Call) -> Answer {
    let new = read(&call.body)?;
    let (store, scope) = (&call.state.store, call.application.scope);
    let made = store.create_indicator(scope, new, call.application.member, call.now).await;
    let id = made.map_err(|error| match error {
        StoreError::Conflict { .. } => conflict("there is an indicator of this value"),
        StoreError::NotFound { .. }
        | StoreError::Full { .. }
        | StoreError::LastAdministrator
        | StoreError::Busy
        | StoreError::Closed
        | StoreError::Damaged { .. }
        | StoreError::Unavailable(_) => error.into(),
    })?;
    publish::indicators_changed(&call.state, scope);
    let reply = one(&call, id).await?;
    Ok(Reply { location: Some(format!("/api/v1/indicators/{id}")), ..reply })
}

async fn change(call: Call) -> Answer {
    let id = call.id::<IndicatorId>("indicator")?;
    let (store, scope) = (&call.state.store, call.application.scope);
    let row = store.indicator(scope, id).await?;
    let rule = rule(&call.body)?;
    let rule = IndicatorRule { rbac_groups: row.rule.rbac_groups, ..rule };
    store.update_indicator_if(scope, id, call.guard(version), rule, call.now).await?;
    publish::indicators_changed(&call.state, scope);
    one(&call, id).await
}

async fn delete(call: Call) -> Answer {
    let id = call.id("indicator")?;
    let (store, scope) = (&call.state.store, call.application.scope);
    if store.delete_indicators(scope, vec![id], call.now).await? == 0 {
        return Err(ApiError::not_found("indicator"));
    }
    publish::indicators_changed(&call.state, scope);
    Ok(Reply::nothing())
}

async fn import(call: Call) -> Answer {
    let items = call.body.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut all: Vec<NewIndicator> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let new = read(item).map_err(|error| ApiError {
            detail: format!("/items/{number}: {}", error.detail),
            ..error
        })?;
        // Of one value, the last word counts.
        all.retain(|other| other.pattern != new.pattern);
        all.push(new);
    }
    let (store, scope) = (&call.state.store, call.application.scope);
    let done = store.import_indicators(scope, all, call.application.member, call.now).await?;
    publish::indicators_changed(&call.state, scope);
    Ok(Reply::of(json!({ "created": done.created, "changed": done.changed })))
}

async fn one(call: &Call, id: IndicatorId) -> Answer {
    let row = call.state.store.indicator(call.application.scope, id).await?;
    Ok(Reply::tagged(shown(&row), version(&row)))
}

fn read(body: &Value) -> Result<NewIndicator, ApiError> {
    let value = body.get("value").and_then(Value::as_str).unwrap_or_default();
    let pattern = read_spelling(value).map_err(|error| told(&[error]))?;
    Ok(indicator(&pattern, value, rule(body)?))
}

/// Reads what is said as a form or a file would say it.
fn rule(body: &Value) -> Result<IndicatorRule, ApiError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let expires = body.get("expires_at_ms").and_then(Value::as_u64);
    let expires = expires.map(|at| time_text(UnixMillis(at))).unwrap_or_default();
    let alerting = match body.get("generate_alert").and_then(Value::as_bool) {
        Some(true) => "true",
        Some(false) => "false",
        None => "",
    };
    read_rule(|field| match field {
        Field::Type | Field::Value | Field::RbacGroups => "",
        Field::Action => text("action"),
        Field::Title => text("title"),
        Field::Description => text("description"),
        Field::ExpirationTime => &expires,
        Field::Severity => text("severity"),
        Field::RecommendedActions => text("recommended_actions"),
        Field::Category => text("category"),
        Field::MitreTechniques => text("mitre_techniques"),
        Field::GenerateAlert => alerting,
    })
    .map_err(|errors| told(&errors))
}

fn told(errors: &[FieldError]) -> ApiError {
    let name = |field: Field| match field {
        Field::Type | Field::Value | Field::RbacGroups => "value",
        Field::Action => "action",
        Field::Title => "title",
        Field::Description => "description",
        Field::ExpirationTime => "expires_at_ms",
        Field::Severity => "severity",
        Field::RecommendedActions => "recommended_actions",
        Field::Category => "category",
        Field::MitreTechniques => "mitre_techniques",
        Field::GenerateAlert => "generate_alert",
    };
    let told: Vec<_> =
        errors.iter().map(|error| format!("{} {}", name(error.field), error.reason)).collect();
    unfit(told.join("; "))
}

fn action(word: &str) -> Option<IndicatorAction> {
    match word {
        "Allowed" => Some(IndicatorAction::Allow),
        other => IndicatorAction::ALL
            .into_iter()
            .find(|action| crate::indicator_rule::action_word(*action) == other),
    }
}

fn shown(row: &IndicatorRow) -> Value {
    let rule = &row.rule;
    let kind = row.pattern.parse::<Pattern>().map_or(PatternKind::Domain, |it| it.kind());
    let category = if rule.defender_category.is_empty() {
        category_word(rule.category)
    } else {
        &rule.defender_category
    };
    json!({
        "id": row.id.0,
        "type": type_word(kind),
        "value": row.pattern,
        "action": crate::indicator_rule::action_word(rule.action),
        "title": rule.title,
        "description": rule.description,
        "severity": rule.severity.word(),
        "category": category,
        "expires_at_ms": rule.expires_at.map(|at| at.0),
        "generate_alert": rule.generate_alert,
        "recommended_actions": rule.recommended_actions,
        "mitre_techniques": rule.mitre_techniques,
        "created_by": row.created_by,
        "created_at_ms": row.created_at.0,
        "updated_at_ms": row.updated_at.0,
        "hits": row.hits,
    })
}

/// Of what people say of it; that it was hit changes nothing of it.
fn version(row: &IndicatorRow) -> String {
    tag(&json!([row.id.0, row.updated_at.0, format!("{:?}", row.rule)]))
}
