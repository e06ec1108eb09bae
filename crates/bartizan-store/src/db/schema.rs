//! What the schema says of its tables, asked of the database itself.

use std::collections::{BTreeMap, BTreeSet};

use super::connection::Connection;
use super::{Result, params};

/// A table with a column `tenant_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The columns of its primary key.
    pub(crate) key: Vec<String>,
}

/// Returns all of them, each before those that it refers to.
pub(crate) fn tables(db: &Connection) -> Result<Vec<Table>> {
    let (keys, parents) = if db.is_postgres() {
        (POSTGRES_KEYS, POSTGRES_PARENTS)
    } else {
        (SQLITE_KEYS, SQLITE_PARENTS)
    };
    let pairs = |sql| -> Result<Vec<(String, String)>> {
        db.prepare_cached(sql)?
            .query_map(params![], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let mut left = BTreeMap::<String, Vec<String>>::new();
    for (table, column) in pairs(keys)? {
        left.entry(table).or_default().push(column);
    }
    let mut parents = pairs(parents)?;
    parents.retain(|(child, parent)| child != parent);
    let mut ordered = Vec::new();
    while !left.is_empty() {
        // Nothing that is left refers to these.
        let referred: BTreeSet<&String> = parents
            .iter()
            .filter(|(child, _)| left.contains_key(child))
            .map(|(_, to)| to)
            .collect();
        let free: Vec<String> =
            left.keys().filter(|table| !referred.contains(table)).cloned().collect();
        // A ring leaves none free; the database then says which row stands in the way.
        let next = if free.is_empty() { left.keys().cloned().collect() } else { free };
        for name in next {
            let key = left.remove(&name).unwrap_or_default();
            ordered.push(Table { name, key });
        }
    }
    Ok(ordered)
}

const SQLITE_KEYS: &str = "SELECT m.name, c.name
    FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
    WHERE m.type = 'table' AND 0 < c.pk
        AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) AS t WHERE t.name = 'tenant_id')
    ORDER BY m.name, c.pk";
const SQLITE_PARENTS: &str = "SELECT m.name, f.\"table\"
    FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table'";
const POSTGRES_KEYS: &str = "SELECT c.relname::text, a.attname::text
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE i.indisprimary AND c.relnamespace = current_schema()::regnamespace
        AND EXISTS (SELECT 1 FROM pg_attribute AS t
                    WHERE t.attrelid = c.oid AND t.attname = 'tenant_id' AND NOT t.attisdropped)
    ORDER BY 1, array_position(i.indkey::int2[], a.attnum)";
const POSTGRES_PARENTS: &str = "SELECT c.relname::text, p.relname::text
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid
    JOIN pg_class AS p ON p.oid = k.confrelid
    WHERE k.contype = 'f' AND c.relnamespace = current_schema()::regnamespace";
