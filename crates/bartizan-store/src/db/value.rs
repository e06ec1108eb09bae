//! Values on their way into a statement and out of a row, alike for both databases.
//!
//! There are five kinds: nothing, 64-bit integer, text, octets, and truth, which is kept as the integer 0 or 1.
//! A column of another type is an error.

use std::error::Error as StdError;

use rusqlite::types::{ToSqlOutput, ValueRef as SqliteRef};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::Error;

/// A value that is bound to a placeholder or read from a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ref<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Octets(&'a [u8]),
}

/// A value that is kept: of a statement whose shape varies, or of a row that is read later.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Octets(Vec<u8>),
}

impl Value {
    pub(super) fn of(value: Ref<'_>) -> Self {
        match value {
            Ref::Null => Self::Null,
            Ref::Int(value) => Self::Int(value),
            Ref::Text(value) => Self::Text(value.to_owned()),
            Ref::Octets(value) => Self::Octets(value.to_vec()),
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Octets(value)
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(value: [u8; N]) -> Self {
        Self::Octets(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// What can be bound to a placeholder.
pub(crate) trait Bind {
    fn bind(&self) -> Ref<'_>;
}

/// What can be read from a column.
pub(crate) trait Read: Sized {
    /// Returns nothing if the column holds another kind.
    fn read(value: Ref<'_>) -> Option<Self>;
}

impl Bind for Value {
    fn bind(&self) -> Ref<'_> {
        match self {
            Self::Null => Ref::Null,
            Self::Int(value) => Ref::Int(*value),
            Self::Text(value) => Ref::Text(value),
            Self::Octets(value) => Ref::Octets(value),
        }
    }
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl Bind for $kind {
            fn bind(&self) -> Ref<'_> {
                Ref::Int(i64::from(*self))
            }
        }

        impl Read for $kind {
            fn read(value: Ref<'_>) -> Option<Self> {
                match value {
                    Ref::Int(value) => Self::try_from(value).ok(),
                    Ref::Null | Ref::Text(_) | Ref::Octets(_) => None,
                }
            }
        }
    )*};
}
integers!(i64, u32, u16, u8);

impl Bind for bool {
    fn bind(&self) -> Ref<'_> {
        Ref::Int(i64::from(*self))
    }
}

impl Read for bool {
    fn read(value: Ref<'_>) -> Option<Self> {
        i64::read(value).map(|value| value != 0)
    }
}

impl Bind for str {
    fn bind(&self) -> Ref<'_> {
        Ref::Text(self)
    }
}

impl Bind for String {
    fn bind(&self) -> Ref<'_> {
        Ref::Text(self)
    }
}

impl Read for String {
    fn read(value: Ref<'_>) -> Option<Self> {
        match value {
            Ref::Text(value) => Some(value.to_owned()),
            Ref::Null | Ref::Int(_) | Ref::Octets(_) => None,
        }
    }
}

impl Bind for [u8] {
    fn bind(&self) -> Ref<'_> {
        Ref::Octets(self)
    }
}

impl Bind for Vec<u8> {
    fn bind(&self) -> Ref<'_> {
        Ref::Octets(self)
    }
}

impl Read for Vec<u8> {
    fn read(value: Ref<'_>) -> Option<Self> {
        match value {
            Ref::Octets(value) => Some(value.to_vec()),
            Ref::Null | Ref::Int(_) | Ref::Text(_) => None,
        }
    }
}

impl<const N: usize> Bind for [u8; N] {
    fn bind(&self) -> Ref<'_> {
        Ref::Octets(self)
    }
}

impl<const N: usize> Read for [u8; N] {
    fn read(value: Ref<'_>) -> Option<Self> {
        match value {
            Ref::Octets(value) => value.try_into().ok(),
            Ref::Null | Ref::Int(_) | Ref::Text(_) => None,
        }
    }
}

impl<T: Bind> Bind for Option<T> {
    fn bind(&self) -> Ref<'_> {
        self.as_ref().map_or(Ref::Null, Bind::bind)
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: Ref<'_>) -> Option<Self> {
        if value == Ref::Null { Some(None) } else { T::read(value).map(Some) }
    }
}

impl<T: Bind + ?Sized> Bind for &T {
    fn bind(&self) -> Ref<'_> {
        (**self).bind()
    }
}

/// The values of a statement's placeholders, in their order.
pub(crate) trait Params {
    fn with<T>(&self, bound: impl FnOnce(&[Ref<'_>]) -> T) -> T;
}

impl Params for &[&dyn Bind] {
    fn with<T>(&self, bound: impl FnOnce(&[Ref<'_>]) -> T) -> T {
        let values: Vec<Ref<'_>> = self.iter().map(|value| value.bind()).collect();
        bound(&values)
    }
}

impl<const N: usize> Params for &[&dyn Bind; N] {
    fn with<T>(&self, bound: impl FnOnce(&[Ref<'_>]) -> T) -> T {
        bound(&self.map(|value| value.bind()))
    }
}

impl<B: Bind, const N: usize> Params for [B; N] {
    fn with<T>(&self, bound: impl FnOnce(&[Ref<'_>]) -> T) -> T {
        bound(&self.each_ref().map(Bind::bind))
    }
}

impl Params for Vec<Value> {
    fn with<T>(&self, bound: impl FnOnce(&[Ref<'_>]) -> T) -> T {
        self.as_slice().with(bound)
    }
}

impl Params for &[Value] {
    fn with<T>(&self, bound: impl FnOnce(&[Ref<'_>]) -> T) -> T {
        let values: Vec<Ref<'_>> = self.iter().map(Bind::bind).collect();
        bound(&values)
    }
}

impl rusqlite::ToSql for Ref<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => SqliteRef::Null,
            Self::Int(value) => SqliteRef::Integer(*value),
            Self::Text(value) => SqliteRef::Text(value.as_bytes()),
            Self::Octets(value) => SqliteRef::Blob(value),
        }))
    }
}

/// Reads a value of SQLite.
pub(super) fn of_sqlite(value: SqliteRef<'_>) -> Option<Ref<'_>> {
    match value {
        SqliteRef::Null => Some(Ref::Null),
        SqliteRef::Integer(value) => Some(Ref::Int(value)),
        SqliteRef::Text(value) => std::str::from_utf8(value).ok().map(Ref::Text),
        SqliteRef::Blob(value) => Some(Ref::Octets(value)),
        SqliteRef::Real(_) => None,
    }
}

type Failure = Box<dyn StdError + Sync + Send>;

impl ToSql for Ref<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            // What PostgreSQL makes of a literal or of a condition around the placeholder decides the width.
            Self::Int(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Self::Int(value) if *kind == Type::BOOL => (*value != 0).to_sql(kind, out),
            Self::Int(value) if *kind == Type::INT8 => value.to_sql(kind, out),
            Self::Text(value) if *kind == Type::TEXT => value.to_sql(kind, out),
            Self::Octets(value) if *kind == Type::BYTEA => value.to_sql(kind, out),
            Self::Int(_) | Self::Text(_) | Self::Octets(_) => {
                // Not the value: it may be secret, and errors are logged.
                Err(format!("a value of another kind is bound to a placeholder of type {kind}")
                    .into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Ref<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(match *kind {
            Type::INT8 => Self::Int(i64::from_sql(kind, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(kind, raw)?.into()),
            Type::BOOL => Self::Int(bool::from_sql(kind, raw)?.into()),
            Type::BYTEA => Self::Octets(raw),
            Type::TEXT | Type::VARCHAR | Type::NAME => Self::Text(<&str>::from_sql(kind, raw)?),
            _ => return Err(format!("column of type {kind}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Reads a column, or says which one holds something else.
pub(super) fn read<T: Read>(value: Option<Ref<'_>>, column: usize) -> Result<T, Error> {
    value.and_then(T::read).ok_or(Error::Column { column })
}
