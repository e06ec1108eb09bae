//! The forms a feed may have, and the words for them.

use std::fmt;
use std::str::FromStr;

/// How the entries stand in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFormat {
    /// One name, URL, address or network a line.
    Plain,
    /// An address, then names, as in `/etc/hosts`.
    Hosts,
    /// Fields between commas, semicolons or bars.
    Csv,
    /// Fields between tabs.
    Tsv,
    /// Rules such as `||host^`.
    Adblock,
    /// A zone file of response policies.
    Rpz,
    /// Lines such as `address=/host/0.0.0.0`.
    Dnsmasq,
    /// Lists of names, or objects with one each, in JSON.
    Json,
    /// Events of MISP.
    Misp,
    /// A STIX bundle, or its objects.
    Stix,
    /// What a TAXII collection answers.
    Taxii,
}

impl FeedFormat {
    /// Every form.
    pub const ALL: [Self; 11] = [
        Self::Plain,
        Self::Hosts,
        Self::Csv,
        Self::Tsv,
        Self::Adblock,
        Self::Rpz,
        Self::Dnsmasq,
        Self::Json,
        Self::Misp,
        Self::Stix,
        Self::Taxii,
    ];

    /// Returns the word for it on the command line and in the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Hosts => "hosts",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Adblock => "adblock",
            Self::Rpz => "rpz",
            Self::Dnsmasq => "dnsmasq",
            Self::Json => "json",
            Self::Misp => "misp",
            Self::Stix => "stix",
            Self::Taxii => "taxii",
        }
    }

    pub(super) fn is_json(self) -> bool {
        match self {
            Self::Json | Self::Misp | Self::Stix | Self::Taxii => true,
            Self::Plain
            | Self::Hosts
            | Self::Csv
            | Self::Tsv
            | Self::Adblock
            | Self::Rpz
            | Self::Dnsmasq => false,
        }
    }
}

impl fmt::Display for FeedFormat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Plain => "plain list",
            Self::Hosts => "hosts file",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Adblock => "ad-blocker rules",
            Self::Rpz => "response policy zone",
            Self::Dnsmasq => "dnsmasq configuration",
            Self::Json => "JSON",
            Self::Misp => "MISP events",
            Self::Stix => "STIX bundle",
            Self::Taxii => "TAXII envelope",
        })
    }
}

impl FromStr for FeedFormat {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.word() == word).ok_or(UnknownFormat)
    }
}

/// No form of a feed has this word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a form of feed: plain, hosts, csv, tsv, adblock, rpz, dnsmasq, json, misp, stix, taxii"
)]
pub struct UnknownFormat;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_word_that_is_read_again() {
        for format in FeedFormat::ALL {
            assert_eq!(format.word().parse(), Ok(format));
            assert!(UnknownFormat.to_string().contains(format.word()));
        }
        assert_eq!("CSV".parse::<FeedFormat>(), Err(UnknownFormat));
    }
}
