//! What can be called: rows from which routes, checks, the document and the explorer are made.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use axum::http::StatusCode;
use bartizan_model::UnixMillis;
use bartizan_store::{Guard, Permission};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::access::Application;
use super::schema::{Field, Object, Schema};
use super::serve::unfit;
use crate::error::ApiError;
use crate::files::hexadecimal;
use crate::policy_files::File;
use crate::state::AppState;

/// Something that an application may call.
pub(crate) struct Operation {
    pub(crate) verb: Verb,
    /// From the root; in braces what [`path_schema`] knows.
    pub(crate) path: &'static str,
    /// Its name for programs.
    pub(crate) id: &'static str,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    pub(crate) permission: Permission,
    /// What may stand in the query.
    pub(crate) query: &'static [Field],
    /// What the body is, where there is one.
    pub(crate) body: Option<Schema>,
    /// The status of success, and what comes with it.
    pub(crate) answer: (StatusCode, Option<&'static Object>),
    pub(crate) tagged: Tagged,
    pub(crate) handler: Handler,
}

impl Operation {
    /// Gathers the objects of its body and its answer.
    pub(crate) fn objects(&self, found: &mut Vec<&'static Object>) {
        if let Some(body) = &self.body {
            body.objects(found);
        }
        if let Some(answer) = self.answer.1 {
            answer.objects(found);
        }
    }
}

/// Carries a call out.
pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
pub(crate) type Answer = Result<Reply, ApiError>;

/// A method of HTTP, as far as it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What an entity tag has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tagged {
    /// Nothing.
    No,
    /// The answer has one.
    Answer,
    /// The request has to name the one it was made by, and the answer has the next.
    Must,
}

/// A call that was checked against its row.
pub(crate) struct Call {
    pub(crate) state: AppState,
    pub(crate) operation: &'static Operation,
    pub(crate) application: Application,
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) query: BTreeMap<&'static str, Value>,
    /// Null where there is none.
    pub(crate) body: Value,
    /// Entity tags of `If-Match`, or `*`.
    pub(crate) if_match: Option<String>,
    pub(crate) now: UnixMillis,
    /// Where the portal was reached: scheme and host.
    pub(crate) address: String,
}

/// An answer that is a success.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) body: Option<Value>,
    /// Instead of a body.
    pub(crate) file: Option<File>,
    pub(crate) tag: Option<String>,
    /// Where what was made is, from the root.
    pub(crate) location: Option<String>,
}

impl Reply {
    pub(crate) fn of(body: Value) -> Self {
        Self { body: Some(body), file: None, tag: None, location: None }
    }

    /// With the tag of what can be changed about it.
    pub(crate) fn tagged(body: Value, tag: String) -> Self {
        Self { body: Some(body), file: None, tag: Some(tag), location: None }
    }

    pub(crate) fn nothing() -> Self {
        Self { body: None, file: None, tag: None, location: None }
    }

    pub(crate) fn file(file: File) -> Self {
        Self { body: None, file: Some(file), tag: None, location: None }
    }
}

impl Call {
    /// Reads an id of the path. What is no id names nothing.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        let text = self.path.get(name).and_then(|text| text.parse().ok());
        text.ok_or_else(|| ApiError::not_found(name))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.as_str()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.query.get(name)?.as_u64()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Reads a parameter by a type's own function. What was checked is always read.
    pub(crate) fn read<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.text(name).and_then(read)
    }

    /// How many items are wanted.
    pub(crate) fn limit(&self) -> u32 {
        self.number("limit").and_then(|limit| u32::try_from(limit).ok()).unwrap_or(USUAL_LIMIT)
    }

    /// How many to ask the store for: one more, to know whether there is a next page.
    pub(crate) fn one_more(&self) -> u32 {
        self.limit().saturating_add(1)
    }

    /// Reads the body, which was checked.
    pub(crate) fn message<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        serde_json::from_value(self.body.take())
            .map_err(|error| ApiError::malformed(format!("the body cannot be read: {error}")))
    }

    /// Reads where the last page ended.
    ///
    /// # Errors
    /// This was not given out for this list.
    pub(crate) fn after<T: FromStr>(&self) -> Result<Option<(UnixMillis, T)>, ApiError> {
        let Some(text) = self.text("after") else { return Ok(None) };
        let bad = || unfit("after is not where a page of this list ended");
        let octets = self.state.stamper.open(&self.list(), text).ok_or_else(bad)?;
        let text = String::from_utf8(octets).map_err(|_| bad())?;
        let (time, id) = text.split_once(' ').ok_or_else(bad)?;
        let time = time.parse().map_err(|_| bad())?;
        Ok(Some((UnixMillis(time), id.parse().map_err(|_| bad())?)))
    }

    /// Writes a page of what the store gave for [`Call::one_more`].
    pub(crate) fn page<T>(
        &self,
        mut rows: Vec<T>,
        place: impl Fn(&T) -> (UnixMillis, String),
        item: impl Fn(T) -> Value,
    ) -> Reply {
        let limit = usize::try_from(self.limit()).unwrap_or(usize::MAX);
        let is_more = limit < rows.len();
        rows.truncate(limit);
        let next = rows.last().filter(|_| is_more).map(|last| {
            let (time, id) = place(last);
            self.state.stamper.stamp(&self.list(), format!("{} {id}", time.0).as_bytes())
        });
        let items: Vec<_> = rows.into_iter().map(item).collect();
        Reply::of(json!({ "items": items, "next": next }))
    }

    /// Which list of whose, in which order: what a place in it is good for.
    fn list(&self) -> String {
        let path: Vec<_> = self.path.values().map(String::as_str).collect();
        let tenant = self.application.scope.tenant_id().0;
        let sort = self.text("sort").unwrap_or_default();
        format!("list {} {tenant} {} {sort}", self.operation.id, path.join("/"))
    }

    /// Lets a change through if what is there has a tag that the caller named; looked at with the change.
    pub(crate) fn guard<T>(&self, version: impl FnOnce(&T) -> String + Send + 'static) -> Guard<T> {
        match self.if_match.clone() {
            None => Guard::open(),
            // RFC 9110 §13.1.1: compared strongly.
            Some(known) => Guard::new(move |it| {
                let own = version(it);
                known.split(',').map(str::trim).any(|known| known == "*" || known == own)
            }),
        }
    }
}

/// Makes the entity tag of what can be changed about something.
pub(crate) fn tag(what: &Value) -> String {
    let digest = Sha256::digest(what.to_string());
    format!("\"{}\"", hexadecimal(digest.get(..12).unwrap_or_default()))
}

/// What stands in braces in a path.
pub(crate) fn path_schema(name: &str) -> (Schema, &'static str) {
    match name {
        "indicator" => (Schema::Number { least: 1, most: super::schema::MOST }, "Its number."),
        "policy" => (
            Schema::Text { least: 1, most: 36 },
            "`all` for the policy of all devices, or the id of a device group.",
        ),
        "profile" => (Schema::Word(&["vpn", "filter", "dns"]), "Which profile."),
        _ => (Schema::Id, "Its id."),
    }
}

/// Yields the names in braces.
pub(crate) fn path_names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

pub(crate) const USUAL_LIMIT: u32 = 100;
