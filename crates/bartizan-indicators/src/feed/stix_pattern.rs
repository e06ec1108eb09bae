//! Patterns of STIX 2.1 (OASIS STIX 2.1 §9): which names, URLs and addresses suffice each alone.
//!
//! `[domain-name:value = 'a.test' OR url:value IN ('http://b.test/x')]` names two. What needs a second thing to be
//! there as well (`AND`, `FOLLOWEDBY`), several sightings (`REPEATS`) or a time of its own (`START`) names none: a
//! block needs an exact hit, and the first half of a pattern is not one. One `AND` is an exception: with
//! `domain-name:resolves_to_refs` beside `domain-name:value`, or `network-traffic:dst_ref.type` beside
//! `dst_ref.value`. There the second half only describes the thing that the first names.
//!
//! # What it does not do
//! - Match: `LIKE`, `MATCHES`, inequalities and negations are read and name nothing. `ISSUBSET` names a network.
//!
//! # Invariants
//! - Time is linear in the length; nesting and length have a bound.

/// A thing that a pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which property has the value, as in `domain-name:value`.
    pub path: String,
    /// Its value, unescaped.
    pub value: String,
}

/// Returns what suffices alone for a pattern to match; what no connection shows is left out.
///
/// # Errors
/// It is not a pattern, or longer or deeper than any that is in use.
pub fn alternatives(pattern: &str) -> Result<Vec<Named>, NotAPattern> {
    if MAX_PATTERN < pattern.len() {
        return Err(NotAPattern);
    }
    let mut parser = Parser { rest: pattern, token: None, depth: 0 };
    parser.advance()?;
    let meaning = parser.observations()?;
    match parser.token {
        None => Ok(meaning.named),
        Some(_) => Err(NotAPattern),
    }
}

/// Text is not a pattern of STIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a pattern of STIX")]
pub struct NotAPattern;

/// What a part of a pattern comes to.
#[derive(Default)]
struct Meaning {
    /// Each suffices alone.
    named: Vec<Named>,
    /// Only describes what is named beside it.
    only_describes: bool,
}

impl Meaning {
    fn or(mut self, other: Self) -> Self {
        self.named.extend(other.named);
        Self { named: self.named, only_describes: self.only_describes && other.only_describes }
    }

    fn and(self, other: Self) -> Self {
        match (self.only_describes, other.only_describes) {
            (false, true) => self,
            (true, _) => other,
            (false, false) => Self::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// `[ ] ( ) ,`
    Mark(char),
    /// `= != <> < > <= >=`
    Compares(&'a str),
    /// A keyword, a path, a number; `t'...'` and the like.
    Word(&'a str),
    /// Unescaped.
    Text(String),
}

struct Parser<'a> {
    rest: &'a str,
    token: Option<Token<'a>>,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// `observation ((AND | OR | FOLLOWEDBY) observation)*`, with AND before OR before FOLLOWEDBY.
    fn observations(&mut self) -> Result<Meaning, NotAPattern> {
        let mut meaning = self.either_observation()?;
        while self.takes_word("FOLLOWEDBY")? {
            self.either_observation()?;
            meaning = Meaning::default();
        }
        Ok(meaning)
    }

    fn either_observation(&mut self) -> Result<Meaning, NotAPattern> {
        let mut meaning = self.all_observations()?;
        while self.takes_word("OR")? {
            meaning = meaning.or(self.all_observations()?);
        }
        Ok(meaning)
    }

    fn all_observations(&mut self) -> Result<Meaning, NotAPattern> {
        let mut meaning = self.observation()?;
        while self.takes_word("AND")? {
            self.observation()?;
            meaning = Meaning::default();
        }
        Ok(meaning)
    }

    fn observation(&mut self) -> Result<Meaning, NotAPattern> {
        let mut meaning = if self.takes_mark('[')? {
            let meaning = self.either()?;
            self.expects_mark(']')?;
            meaning
        } else {
            self.expects_mark('(')?;
            self.deeper()?;
            let meaning = self.observations()?;
            self.depth -= 1;
            self.expects_mark(')')?;
            meaning
        };
        loop {
            if self.takes_word("WITHIN")? {
                self.word()?;
                self.expects_word("SECONDS")?;
            } else if self.takes_word("REPEATS")? {
                self.word()?;
                self.expects_word("TIMES")?;
                meaning = Meaning::default();
            } else if self.takes_word("START")? {
                self.constant()?;
                self.expects_word("STOP")?;
                self.constant()?;
                meaning = Meaning::default();
            } else {
                return Ok(meaning);
            }
        }
    }

    /// `comparison ((AND | OR) comparison)*`, with AND before OR.
    fn either(&mut self) -> Result<Meaning, NotAPattern> {
        let mut meaning = self.all()?;
        while self.takes_word("OR")? {
            meaning = meaning.or(self.all()?);
        }
        Ok(meaning)
    }

    fn all(&mut self) -> Result<Meaning, NotAPattern> {
        let mut meaning = self.comparison()?;
        while self.takes_word("AND")? {
            meaning = meaning.and(self.comparison()?);
        }
        Ok(meaning)
    }

    fn comparison(&mut self) -> Result<Meaning, NotAPattern> {
        let mut is_negated = self.takes_word("NOT")?;
        if self.takes_mark('(')? {
            self.deeper()?;
            let meaning = self.either()?;
            self.depth -= 1;
            self.expects_mark(')')?;
            return Ok(if is_negated { Meaning::default() } else { meaning });
        }
        if self.takes_word("EXISTS")? {
            self.path()?;
            return Ok(Meaning::default());
        }
        let path = self.path()?;
        is_negated |= self.takes_word("NOT")?;
        let (operator, values) = match self.take()? {
            Token::Compares(operator) => (operator, vec![self.constant()?]),
            Token::Word("IN") => {
                self.expects_mark('(')?;
                let mut values = vec![self.constant()?];
                while self.takes_mark(',')? {
                    values.push(self.constant()?);
                }
                self.expects_mark(')')?;
                ("=", values)
            }
            Token::Word("ISSUBSET") => ("=", vec![self.constant()?]),
            Token::Word(operator @ ("LIKE" | "MATCHES" | "ISSUPERSET")) => {
                (operator, vec![self.constant()?])
            }
            Token::Word(_) | Token::Mark(_) | Token::Text(_) => return Err(NotAPattern),
        };
        let only_describes = DESCRIPTIONS.iter().any(|known| path.starts_with(known));
        let mut meaning =
            Meaning { named: Vec::new(), only_describes: only_describes && !is_negated };
        if operator == "=" && !is_negated && is_of_a_connection(path) {
            let values = values.into_iter().flatten();
            meaning.named = values.map(|value| Named { path: path.to_owned(), value }).collect();
        }
        Ok(meaning)
    }

    fn path(&mut self) -> Result<&'a str, NotAPattern> {
        self.word().and_then(|word| if word.contains(':') { Ok(word) } else { Err(NotAPattern) })
    }

    /// Returns the value of a string; `None` for any other constant.
    fn constant(&mut self) -> Result<Option<String>, NotAPattern> {
        match self.take()? {
            Token::Text(text) => Ok(Some(text)),
            Token::Word(_) => Ok(None),
            Token::Mark(_) | Token::Compares(_) => Err(NotAPattern),
        }
    }

    fn word(&mut self) -> Result<&'a str, NotAPattern> {
        match self.take()? {
            Token::Word(word) => Ok(word),
            Token::Mark(_) | Token::Compares(_) | Token::Text(_) => Err(NotAPattern),
        }
    }

    fn deeper(&mut self) -> Result<(), NotAPattern> {
        self.depth += 1;
        if MAX_DEPTH < self.depth { Err(NotAPattern) } else { Ok(()) }
    }

    fn takes_word(&mut self, word: &str) -> Result<bool, NotAPattern> {
        let is_next = matches!(&self.token, Some(Token::Word(next)) if *next == word);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn takes_mark(&mut self, mark: char) -> Result<bool, NotAPattern> {
        let is_next = self.token == Some(Token::Mark(mark));
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expects_word(&mut self, word: &str) -> Result<(), NotAPattern> {
        if self.takes_word(word)? { Ok(()) } else { Err(NotAPattern) }
    }

    fn expects_mark(&mut self, mark: char) -> Result<(), NotAPattern> {
        if self.takes_mark(mark)? { Ok(()) } else { Err(NotAPattern) }
    }

    fn take(&mut self) -> Result<Token<'a>, NotAPattern> {
        let token = self.token.take().ok_or(NotAPattern)?;
        self.advance()?;
        Ok(token)
    }

    /// Reads the next token, if there is one.
    fn advance(&mut self) -> Result<(), NotAPattern> {
        self.rest = self.rest.trim_ascii_start();
        let Some(first) = self.rest.chars().next() else {
            self.token = None;
            return Ok(());
        };
        self.token = Some(match first {
            '[' | ']' | '(' | ')' | ',' => {
                self.consume(1);
                Token::Mark(first)
            }
            '=' | '<' | '>' | '!' => {
                let end = self.rest.find(|next| !"=<>!".contains(next));
                let operator = self.consume(end.unwrap_or(self.rest.len()));
                if !["=", "==", "!=", "<>", "<", ">", "<=", ">="].contains(&operator) {
                    return Err(NotAPattern);
                }
                Token::Compares(if operator == "==" { "=" } else { operator })
            }
            '\'' => Token::Text(self.quoted()?),
            _ => Token::Word(self.bare()?),
        });
        Ok(())
    }

    fn consume(&mut self, octets: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(octets).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Reads to the closing quote. A backslash takes the next character as it is.
    fn quoted(&mut self) -> Result<String, NotAPattern> {
        self.consume(1);
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\'' => {
                    self.consume(at + 1);
                    return Ok(text);
                }
                '\\' => text.push(characters.next().ok_or(NotAPattern)?.1),
                other => text.push(other),
            }
        }
        Err(NotAPattern)
    }

    /// Reads a word. A path may have quoted parts and indices: `file:hashes.'SHA-256'`, `a:b[*].c`.
    fn bare(&mut self) -> Result<&'a str, NotAPattern> {
        let mut is_quoted = false;
        let mut is_index = false;
        let mut end = self.rest.len();
        for (at, character) in self.rest.char_indices() {
            match character {
                '\'' => is_quoted = !is_quoted,
                _ if is_quoted => {}
                '[' if 0 < at => is_index = true,
                ']' if is_index => is_index = false,
                '(' | ')' | '[' | ']' | ',' | '=' | '<' | '>' | '!' => {
                    end = at;
                    break;
                }
                other if other.is_ascii_whitespace() => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        if is_quoted || is_index { Err(NotAPattern) } else { Ok(self.consume(end)) }
    }
}

/// Tells whether a property is one that a connection shows.
fn is_of_a_connection(path: &str) -> bool {
    let Some((object, property)) = path.split_once(':') else { return false };
    match property {
        "value" => {
            matches!(object, "domain-name" | "url" | "ipv4-addr" | "ipv6-addr")
                || object.ends_with("hostname")
        }
        "dst_ref.value" => object == "network-traffic",
        _ => false,
    }
}

/// Beginnings of paths that describe what is named beside them.
const DESCRIPTIONS: [&str; 2] = ["domain-name:resolves_to_refs", "network-traffic:dst_ref.type"];
/// Patterns in use have a few hundred octets; generated ones list some thousand values.
const MAX_PATTERN: usize = 1 << 20;
const MAX_DEPTH: usize = 32;

/// Reads any octets, for the fuzzer and its replay: what is named stands in the pattern.
#[doc(hidden)]
pub fn fuzz_stix_pattern(octets: &[u8]) {
    let pattern = String::from_utf8_lossy(octets);
    for named in alternatives(&pattern).unwrap_or_default() {
        assert!(pattern.contains(&named.path), "invented {named:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_suffices_alone_is_named() {
        check("[domain-name:value='evil.test']", &["evil.test"]);
        check(
            "[ domain-name:value = 'a.test' OR url:value IN ('b.test/x', 'c.test') ]",
            &["a.test", "b.test/x", "c.test"],
        );
        check("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", &["192.0.2.0/24"]);
        check("[ipv6-addr:value = '2001:db8::1']", &["2001:db8::1"]);
        check("[x-misp-hostname:value = 'a.test']", &["a.test"]);
        check(
            "[domain-name:value = 'a.test'] OR ([url:value = 'b.test/'])",
            &["a.test", "b.test/"],
        );
        check("[domain-name:value = 'a.test'] WITHIN 300 SECONDS", &["a.test"]);
        check(r"[url:value = 'a.test/it\'s\\']", &[r"a.test/it's\"]);
        check("[(domain-name:value == 'a.test' OR file:name = 'x')]", &["a.test"]);
        check(
            "[domain-name:value = 'a.test' AND domain-name:resolves_to_refs[*].value = '192.0.2.1']",
            &["a.test"],
        );
        check(
            "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.1']",
            &["192.0.2.1"],
        );
    }

    #[test]
    fn what_needs_more_names_nothing() {
        for pattern in [
            "[file:hashes.'SHA-256' = 'ab']",
            "[domain-name:value = 'a.test' AND url:value = 'b.test/']",
            "[domain-name:value = 'a.test' AND file:name = 'x']",
            "[domain-name:value = 'a.test'] AND [url:value = 'b.test/']",
            "[domain-name:value = 'a.test'] FOLLOWEDBY [url:value = 'b.test/']",
            "[domain-name:value = 'a.test'] REPEATS 5 TIMES",
            "[domain-name:value = 'a.test'] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'",
            "[domain-name:value != 'a.test']",
            "[NOT domain-name:value = 'a.test']",
            "[domain-name:value NOT IN ('a.test')]",
            "[domain-name:value LIKE 'a%']",
            "[url:value MATCHES '^a']",
            "[EXISTS domain-name:value]",
            "[domain-name:value = 7]",
            "[domain-name:resolves_to_refs[*].value = '192.0.2.1']",
            "[NOT (domain-name:value = 'a.test')]",
        ] {
            check(pattern, &[]);
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "[]",
            "[domain-name:value]",
            "[domain-name:value = ]",
            "[domain-name:value = 'a.test'",
            "[domain-name:value = 'a.test]",
            "[value = 'a.test']",
            "[domain-name:value = 'a.test'] [",
            "[domain-name:value =! 'a.test']",
            "[domain-name:value IN ()]",
            &"(".repeat(100_000),
            &format!("[{}", "(".repeat(100_000)),
            &" ".repeat(MAX_PATTERN + 1),
        ] {
            assert_eq!(alternatives(text), Err(NotAPattern), "{text:.80}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]() a-d:.,='\\\\<>!ANDORIT]{0,60}") {
            fuzz_stix_pattern(text.as_bytes());
        }
    }

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let named = alternatives(pattern).unwrap();
        let values: Vec<_> = named.iter().map(|named| named.value.as_str()).collect();
        assert_eq!(values, expected, "{pattern}");
    }
}
