//! What the API is about: a file for each kind of thing, with its objects, handlers and rows.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod devices;
pub(crate) mod feeds;
pub(crate) mod groups;
pub(crate) mod incidents;
pub(crate) mod indicators;
pub(crate) mod me;
pub(crate) mod policies;
pub(crate) mod policy_files;

use super::schema::{Field, Schema, maybe};

/// A page of a list: what an object of its kind is made by.
macro_rules! page_of {
    ($name:ident, $word:literal, $of:expr) => {
        pub(crate) static $name: $crate::v1::schema::Object = $crate::v1::schema::Object {
            name: $word,
            about: "A page of a list.",
            fields: &[
                $crate::v1::schema::always(
                    "items",
                    $crate::v1::schema::Schema::List {
                        of: &$crate::v1::schema::Schema::Object(&$of),
                        most: 1_000,
                    },
                    "What is on this page.",
                ),
                $crate::v1::schema::always(
                    "next",
                    $crate::v1::schema::Schema::Nullable(&$crate::v1::schema::Schema::Text {
                        least: 1,
                        most: 1_000,
                    }),
                    "Give it as `after` to get the next page; null on the last.",
                ),
            ],
        };
    };
}
pub(crate) use page_of;

/// How many items of a list to give.
pub(crate) const LIMIT: Field = maybe(
    "limit",
    Schema::Number { least: 1, most: 1_000 },
    "How many items to give; 100 if it is not said.",
);
/// Where to go on in a list.
pub(crate) const AFTER: Field = maybe(
    "after",
    Schema::Text { least: 1, most: 1_000 },
    "`next` of the page before, with everything else the same.",
);
const SEVERITIES: Schema = Schema::Word(&["Informational", "Low", "Medium", "High"]);
const STATUSES: Schema = Schema::Word(&["New", "InProgress", "Resolved"]);
/// A name, a title.
pub(crate) const LINE: Schema = Schema::Text { least: 0, most: MOST_TEXT };
/// No text of ours is longer.
const MOST_TEXT: usize = 65_536;

#[cfg(test)]
mod tests {
    use bartizan_model::{AlertStatus, Severity};

    use super::*;

    #[test]
    fn words_are_those_of_the_model() {
        let severities = Severity::ALL.map(Severity::word);
        assert!(matches!(SEVERITIES, Schema::Word(words) if words == severities));
        let statuses = AlertStatus::ALL.map(AlertStatus::word);
        assert!(matches!(STATUSES, Schema::Word(words) if words == statuses));
    }
}
