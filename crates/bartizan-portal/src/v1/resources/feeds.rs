//! Feeds: list, get, fetch at once.

use axum::http::StatusCode;
use bartizan_store::{FeedOutcome, FeedRow, Permission};
use serde_json::{Value, json};

use super::{LINE, page_of};
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb};
use crate::v1::schema::{COUNT, Object, Schema, always};
use crate::v1::serve::unfit;

static FEED: Object = Object {
    name: "Feed",
    about: "A list of threats or of popular names, and how it stands.",
    fields: &[
        always("id", Schema::Id, "Its id."),
        always("name", LINE, "Its name."),
        always("role", Schema::Word(&["threat", "popular"]), "What it is for."),
        always("origin", Schema::Word(&["url", "upload", "taxii", "misp"]), "Where it comes from."),
        always("url", Schema::Nullable(&LINE), "Its address."),
        always("category", LINE, "Why it lists what it lists."),
        always("action", LINE, "What is done about its entries."),
        always("trust", COUNT, "0 to 100."),
        always("enabled", Schema::Flag, "Whether it is fetched and used."),
        always("interval_s", COUNT, "Seconds between two looks; 0 for by hand."),
        always("entries", COUNT, "Entries of the version in use."),
        always("version", Schema::Nullable(&COUNT), "The version in use."),
        always("changed_at_ms", Schema::Nullable(&Schema::Time), "When that version came."),
        always("checked_at_ms", Schema::Nullable(&Schema::Time), "When it was looked at last."),
        always("due_at_ms", Schema::Nullable(&Schema::Time), "When it is looked at next."),
        always(
            "outcome",
            Schema::Nullable(&Schema::Word(&["taken", "unchanged", "refused", "failed"])),
            "How the last look went.",
        ),
        always("outcome_detail", Schema::Lines { most: 65_536 }, "The same in a sentence."),
        always("failures", COUNT, "How many looks in a row have failed."),
        always("hits", COUNT, "How often its entries stopped something."),
    ],
};
page_of!(FEEDS, "FeedPage", FEED);

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/feeds",
        id: "listFeeds",
        summary: "List all feeds",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&FEEDS)),
        tagged: Tagged::No,
        handler: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/feeds/{feed}",
        id: "getFeed",
        summary: "Get a feed",
        permission: Permission::ViewData,
        query: &[],
        body: None,
        answer: (StatusCode::OK, Some(&FEED)),
        tagged: Tagged::No,
        handler: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/feeds/{feed}/update",
        id: "updateFeed",
        summary: "Fetch a feed now; get it to see when it was done",
        permission: Permission::ManageSecuritySettings,
        query: &[],
        body: None,
        answer: (StatusCode::ACCEPTED, Some(&FEED)),
        tagged: Tagged::No,
        handler: |call| Box::pin(update(call)),
    },
];

async fn list(call: Call) -> Answer {
    let feeds = call.state.store.feeds(call.application.scope).await?;
    let items: Vec<_> = feeds.iter().map(shown).collect();
    Ok(Reply::of(json!({ "items": items, "next": null })))
}

async fn get(call: Call) -> Answer {
    let id = call.id("feed")?;
    Ok(Reply::of(shown(&call.state.store.feed(call.application.scope, id).await?)))
}

async fn update(call: Call) -> Answer {
    let id = call.id("feed")?;
    let (store, scope) = (&call.state.store, call.application.scope);
    let feed = store.feed(scope, id).await?;
    if feed.settings.url.is_none() {
        return Err(unfit("this feed is uploaded by people and has no address"));
    }
    store.set_feed_due(scope, id, call.now).await?;
    call.state.feeds.wake_fetch.notify_one();
    Ok(Reply::of(shown(&store.feed(scope, id).await?)))
}

fn shown(row: &FeedRow) -> Value {
    let settings = &row.settings;
    json!({
        "id": row.id.to_string(),
        "name": settings.name,
        "role": settings.role.word(),
        "origin": settings.origin.word(),
        "url": settings.url,
        "category": settings.category.word(),
        "action": settings.action.word(),
        "trust": settings.trust,
        "enabled": settings.enabled,
        "interval_s": settings.interval_s,
        "entries": row.entries,
        "version": row.version,
        "changed_at_ms": row.changed_at.map(|at| at.0),
        "checked_at_ms": row.checked_at.map(|at| at.0),
        "due_at_ms": row.due_at.map(|at| at.0),
        "outcome": row.outcome.map(FeedOutcome::word),
        "outcome_detail": row.outcome_detail,
        "failures": row.failures,
        "hits": row.hits,
    })
}

#[cfg(test)]
mod tests {
    use bartizan_store::{FeedOrigin, FeedRole};

    use super::*;

    #[test]
    fn words_are_those_of_the_store() {
        let said = FEED.describe();
        let words = |field: &str| said["properties"][field]["enum"].clone();
        assert_eq!(words("role"), json!(FeedRole::ALL.map(FeedRole::word)));
        assert_eq!(words("origin"), json!(FeedOrigin::ALL.map(FeedOrigin::word)));
        let outcomes = json!(FeedOutcome::ALL.map(FeedOutcome::word));
        assert_eq!(said["properties"]["outcome"]["anyOf"][0]["enum"], outcomes);
    }
}
