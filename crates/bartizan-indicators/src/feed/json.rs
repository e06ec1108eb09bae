//! Feeds in JSON, read as they come: nothing of the document is kept but the entry at hand.
//!
//! What stands in it, the keys tell: lists of names (`deny`, `blocklist`, ...), objects with an entry each, events
//! of MISP ([`super::misp`]), objects of STIX ([`super::stix`]). Several documents may follow each other.
//!
//! Strings are read as octets, so that one that is no Unicode (a surrogate alone) is a bad entry and not the end.

use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::misp::Attribute;
use super::report::{Reading, Unread};
use super::stix::Indicator;
use super::{FeedError, FeedFormat, entry};

/// What the top of a document looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// A list of strings.
    Strings,
    /// An object, or a list of them.
    #[default]
    Objects,
}

/// Reads documents to their end.
pub(super) fn read(
    input: impl BufRead,
    shape: Shape,
    reading: &mut Reading<'_>,
) -> Result<FeedFormat, FeedError> {
    let mut capped = input.take(MOST_OCTETS);
    let mut document = Document { reading, number: 0, format: None };
    let mut json = serde_json::Deserializer::from_reader(&mut capped);
    let outcome = loop {
        let read = match shape {
            Shape::Strings => document.strings(&mut json),
            Shape::Objects => document.objects(Place::Top, &mut json),
        };
        match read {
            Ok(()) if json.end().is_ok() => break Ok(()),
            Ok(()) => {}
            Err(error) => break Err(error),
        }
    };
    let format = document.format.unwrap_or(FeedFormat::Json);
    match outcome {
        Ok(()) => Ok(format),
        Err(_) if capped.limit() == 0 => Err(FeedError::LongJson { most_octets: MOST_OCTETS }),
        Err(error) if error.is_io() || error.is_eof() => Err(FeedError::Unreadable(error.into())),
        Err(error) => Err(FeedError::OtherJson { line: error.line() }),
    }
}

struct Document<'a, 'each> {
    reading: &'a mut Reading<'each>,
    /// Entries so far.
    number: u64,
    format: Option<FeedFormat>,
}

impl Document<'_, '_> {
    fn objects<'de, D: Deserializer<'de>>(
        &mut self,
        place: Place,
        json: D,
    ) -> Result<(), D::Error> {
        Objects { document: self, place }.deserialize(json)
    }

    fn strings<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        List { document: self, take: |document, Text(text)| document.plain(&text) }
            .deserialize(json)
    }

    /// Takes an entry of a list of names.
    fn plain(&mut self, text: &str) {
        let outcome = entry::pattern(text).map(|pattern| self.reading.found(pattern));
        self.count(outcome);
    }

    fn attribute(&mut self, attribute: &Attribute) {
        let category = attribute.category();
        let outcome =
            attribute.pattern().map(|pattern| self.reading.found_with(pattern, category, None));
        self.count(outcome);
    }

    fn indicator(&mut self, indicator: &Indicator) {
        let category = indicator.category();
        let outcome = indicator.patterns().map(|(patterns, expires_at)| {
            for pattern in patterns {
                self.reading.found_with(pattern, category, expires_at);
            }
        });
        self.count(outcome);
    }

    fn count(&mut self, outcome: Result<(), Unread>) {
        self.number += 1;
        self.reading.line(self.number, outcome);
    }
}

/// Whose objects are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The document is one, or a list of them.
    Top,
    /// In a list at the top.
    Listed,
    /// In a bundle.
    Stix,
    /// In an event.
    Misp,
}

/// One object, or a list of them.
struct Objects<'a, 'b, 'each> {
    document: &'a mut Document<'b, 'each>,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Objects<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object or a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let place = if self.place == Place::Top { Place::Listed } else { self.place };
        while list.next_element_seed(Objects { document: &mut *self.document, place })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.place != Place::Listed {
            return Err(E::custom("a string where an object belongs"));
        }
        self.document.plain(text);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { document, place } = self;
        let mut indicator = Indicator::default();
        let (mut value, mut is_indicator, mut is_of_stix) = (None, false, false);
        let (mut has_objects, mut is_bundle) = (false, false);
        while let Some(Text(key)) = object.next_key()? {
            match (key.as_str(), place) {
                ("response", Place::Top | Place::Listed)
                | ("Event" | "Object", Place::Top | Place::Listed | Place::Misp) => {
                    object.next_value_seed(Objects {
                        document: &mut *document,
                        place: Place::Misp,
                    })?;
                }
                ("Attribute", Place::Top | Place::Listed | Place::Misp) => {
                    document.format = Some(FeedFormat::Misp);
                    object.next_value_seed(List {
                        document: &mut *document,
                        take: |document, attribute: Attribute| document.attribute(&attribute),
                    })?;
                }
                ("objects", Place::Top | Place::Listed) => {
                    has_objects = true;
                    object.next_value_seed(Objects {
                        document: &mut *document,
                        place: Place::Stix,
                    })?;
                }
                (key, Place::Top) if LISTS.contains(&key) => {
                    object.next_value_seed(List {
                        document: &mut *document,
                        take: |document, Text(text)| document.plain(&text),
                    })?;
                }
                ("type", Place::Top | Place::Listed | Place::Stix) => {
                    let kind = object.next_value::<Loose>()?.0;
                    is_bundle = kind.as_deref() == Some("bundle");
                    is_indicator = kind.as_deref() == Some("indicator");
                }
                ("id", Place::Listed) => {
                    // `domain-name--` and a UUID: an object that was seen, which is no indicator.
                    is_of_stix =
                        object.next_value::<Loose>()?.0.is_some_and(|id| id.contains("--"));
                }
                ("pattern", Place::Stix | Place::Listed) => {
                    indicator.pattern = object.next_value::<Option<Text>>()?.map(|Text(text)| text);
                }
                ("pattern_type", Place::Stix | Place::Listed) => {
                    indicator.pattern_type = object.next_value::<Loose>()?.0;
                }
                ("valid_until", Place::Stix | Place::Listed) => {
                    indicator.valid_until = object.next_value::<Loose>()?.0;
                }
                ("revoked", Place::Stix | Place::Listed) => {
                    indicator.is_revoked = object.next_value::<Loose>()?.is_true();
                }
                ("labels" | "indicator_types", Place::Stix) => {
                    let labels: Option<Vec<Text>> = object.next_value()?;
                    indicator.labels.extend(labels.into_iter().flatten().map(|Text(label)| label));
                }
                (key, Place::Listed) if VALUES.contains(&key) && value.is_none() => {
                    value = object.next_value::<Loose>()?.0;
                }
                (_, Place::Top | Place::Listed | Place::Stix | Place::Misp) => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        if has_objects {
            document.format = Some(if is_bundle { FeedFormat::Stix } else { FeedFormat::Taxii });
        }
        if is_indicator && place != Place::Top {
            document.format.get_or_insert(FeedFormat::Stix);
            document.indicator(&indicator);
        } else if !is_of_stix && let Some(value) = value {
            document.plain(&value);
        }
        Ok(())
    }
}

/// A list of things that are read whole, one after the other.
struct List<'a, 'b, 'each, T> {
    document: &'a mut Document<'b, 'each>,
    take: fn(&mut Document<'b, 'each>, T),
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for List<'_, '_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<'_, '_, '_, T> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element()? {
            (self.take)(&mut *self.document, item);
        }
        Ok(())
    }
}

/// A string, whatever octets are in it.
#[derive(Debug)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Octets;

        impl Visitor<'_> for Octets {
            type Value = Text;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bytes<E>(self, octets: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(octets).into_owned()))
            }
        }

        json.deserialize_bytes(Octets)
    }
}

/// A value that some write as a string, others as a number or a truth value. What has parts is nothing.
#[derive(Debug, Default)]
pub(super) struct Loose(pub(super) Option<String>);

impl Loose {
    /// Tells whether it says yes.
    pub(super) fn is_true(&self) -> bool {
        self.0.as_deref().is_some_and(|text| matches!(text, "true" | "1"))
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Loose;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
                Ok(Loose(Some(text.to_owned())))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
                Ok(Loose(Some(value.to_string())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
                Ok(Loose(Some(value.to_string())))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
                Ok(Loose(Some(value.to_string())))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
                Ok(Loose(Some(value.to_string())))
            }

            fn visit_unit<E>(self) -> Result<Loose, E> {
                Ok(Loose(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Loose, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
        }

        json.deserialize_any(Anything)
    }
}

/// Keys of what a document lists: MetaMask's, once and now, polkadot's, and plain words.
const LISTS: [&str; 7] = ["blacklist", "blocklist", "deny", "domains", "hosts", "ips", "urls"];
/// Keys of the entry in an object that is one of a list.
const VALUES: [&str; 10] = [
    "indicator",
    "ioc",
    "ioc_value",
    "value",
    "url",
    "domain",
    "host",
    "hostname",
    "ip",
    "ip_address",
];
/// The largest lists have a few dozen megabytes.
const MOST_OCTETS: u64 = 256 << 20;
