//! Many rows in one statement: what makes a batch cost little more than one row.
//!
//! In a join with what is stored, the rows carry the tenant's id as another column: that leaves both databases no way to
//! carry it out but from the rows to the index, row by row. With the id as a constant they may walk the tenant instead.
//!
//! Rows go in pieces of 1, 2, 4, ... [`MOST`], so that few statements exist and each is prepared once.

use super::connection::{Connection, Rows};
use super::{Result, Value};

/// Runs `before VALUES (?, …), … after` until all rows have been in one; `extra` are the values of what comes after.
pub(crate) fn execute_many(
    db: &Connection,
    before: &str,
    rows: &[Vec<Value>],
    after: &str,
    extra: &[Value],
) -> Result<()> {
    for piece in pieces(rows) {
        let (sql, values) = statement(before, piece, after, extra);
        db.prepare_cached(&sql)?.execute(values)?;
    }
    Ok(())
}

/// Does the same with a query; gives each piece's rows to `read`.
pub(crate) fn query_many(
    db: &Connection,
    before: &str,
    rows: &[Vec<Value>],
    after: &str,
    extra: &[Value],
    mut read: impl FnMut(&mut Rows) -> Result<()>,
) -> Result<()> {
    for piece in pieces(rows) {
        let (sql, values) = statement(before, piece, after, extra);
        read(&mut db.prepare_cached(&sql)?.query(values)?)?;
    }
    Ok(())
}

fn statement(
    before: &str,
    piece: &[Vec<Value>],
    after: &str,
    extra: &[Value],
) -> (String, Vec<Value>) {
    let mut sql = before.to_owned();
    sql.push_str(" VALUES ");
    for (number, row) in piece.iter().enumerate() {
        sql.push_str(if number == 0 { "(" } else { ", (" });
        for column in 0..row.len() {
            sql.push_str(if column == 0 { "?" } else { ", ?" });
        }
        sql.push(')');
    }
    sql.push_str(after);
    let values = piece.iter().flatten().chain(extra).cloned().collect();
    (sql, values)
}

fn pieces(mut rows: &[Vec<Value>]) -> impl Iterator<Item = &[Vec<Value>]> {
    std::iter::from_fn(move || {
        let length = rows.len().checked_ilog2().map(|power| (1_usize << power).min(MOST))?;
        let (piece, rest) = rows.split_at_checked(length)?;
        rows = rest;
        Some(piece)
    })
}

/// With 20 columns, well below what either database binds.
const MOST: usize = 128;

#[cfg(test)]
mod tests {
    use super::{Value, pieces};

    #[test]
    fn pieces_are_powers_of_two_and_hold_every_row_once() {
        for count in 0..600_u32 {
            let rows: Vec<_> = (0..count).map(|row| vec![Value::Int(row.into())]).collect();
            let all: Vec<_> = pieces(&rows).collect();
            assert!(all.iter().all(|piece| piece.len().is_power_of_two()), "{count}");
            assert_eq!(all.concat(), rows);
        }
    }
}
