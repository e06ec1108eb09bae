//! Ids of rows that the portal names by a `UUIDv7`, each a type of its own.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Not the id of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct RowIdError;

macro_rules! row_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u128);

        impl $name {
            pub(crate) fn octets(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            pub(crate) fn of(octets: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(octets))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_u128(self.0).hyphenated().fmt(out)
            }
        }

        impl FromStr for $name {
            type Err = RowIdError;

            fn from_str(text: &str) -> Result<Self, RowIdError> {
                let id = Uuid::try_parse(text).map(|id| Self(id.as_u128())).map_err(|_| RowIdError)?;
                // Accept only the one spelling we write.
                if id.to_string() == text { Ok(id) } else { Err(RowIdError) }
            }
        }
    };
}

row_id! {
    /// A feed.
    FeedId
}
row_id! {
    /// A notice.
    NoticeId
}
row_id! {
    /// A device group.
    GroupId
}
row_id! {
    /// A change of many alerts.
    AlertJobId
}
row_id! {
    /// A rule that hides alerts.
    SuppressionId
}
row_id! {
    /// A passkey of a member.
    PasskeyId
}
row_id! {
    /// Somebody whom the product protects.
    PersonId
}
row_id! {
    /// A group of people whom the product protects.
    PersonGroupId
}
row_id! {
    /// A token that a directory speaks with.
    ScimTokenId
}
row_id! {
    /// A program that calls the API.
    ApplicationId
}
row_id! {
    /// A secret or a key of an application.
    CredentialId
}
row_id! {
    /// What somebody said.
    FeedbackId
}
row_id! {
    /// Where events go.
    SinkId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = FeedId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5566);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "0192F3A4-B5C6-7D8E-9F00-112233445566", "0192f3a4b5c67d8e9f00112233445566"]
        {
            assert_eq!(text.parse::<FeedId>(), Err(RowIdError), "{text}");
        }
    }
}
