//! The page that stands in for a site that was stopped, and what a person answers on it.
//!
//! Pure: facts in, a whole HTTP/1.1 response out. It says which host was stopped and why, and what to do; never the path.
//! A page that warns lets the person go on; one with a token lets them report a mistake. Both are requests to paths of
//! ours under the very host that was stopped ([`Choice`]); they are answered on the device and never leave it.
//!
//! Every text stands in `texts.rs`, a table a language.
//!
//! # Invariants
//! - One document without a script and without anything from elsewhere, of at most [`MAX_RESPONSE`] octets.
//! - What is not ours is escaped, and what would not be seen in it is made visible.
//! - A choice is a form: whoever fetches links ahead of the person makes none.

mod texts;

use bartizan_model::IndicatorCategory;

use crate::passes::Token;
pub use texts::Language;

/// What the page says.
#[derive(Clone, Copy, Debug)]
pub struct BlockPage<'a> {
    /// The host that was asked for, as it is written.
    pub host: &'a str,
    /// Why it is listed.
    pub category: IndicatorCategory,
    /// The feed that lists it; `None` where the organization does so itself.
    pub feed: Option<&'a str>,
    /// For how many hours the person may go on; `None` where they may not.
    pub pass_hours: Option<u16>,
    /// Comes back with a choice; without one there is none to make.
    pub token: Option<Token>,
    /// Of the texts.
    pub language: Language,
}

/// Writes the page, for a request that is not let through.
pub fn write_block_page(page: &BlockPage<'_>, out: &mut Vec<u8>) {
    let texts = page.language.texts();
    let is_warning = page.pass_hours.is_some() && page.token.is_some();
    let heading = if is_warning { texts.warned } else { texts.blocked };
    let mut body = Html::begin(page.language, heading);
    body.ours("<p class=host>").foreign(page.host, MAX_HOST).ours("</p><h2>");
    body.ours(texts.why).ours("</h2><p>").ours(texts.reason(page.category)).ours(" ");
    match page.feed {
        None => body.ours(texts.by_organization),
        Some(feed) => body.around(texts.by_feed, |body| {
            body.foreign(feed, MAX_FEED);
        }),
    };
    body.ours("</p><h2>").ours(texts.what_now).ours("</h2><p>").ours(texts.advice).ours("</p>");
    if let Some(token) = page.token {
        let token = token.to_string();
        if let Some(hours) = page.pass_hours {
            let hours = hours.to_string();
            body.ours("<p>").ours(texts.risk).ours("</p>");
            body.form(CONTINUE, &token, |body| match hours.as_str() {
                "1" => {
                    body.ours(texts.go_on_for_an_hour);
                }
                _ => {
                    body.around(texts.go_on, |body| {
                        body.ours(&hours);
                    });
                }
            });
        }
        body.ours("<p>").ours(texts.mistake).ours("</p>");
        body.form(REPORT, &token, |body| {
            body.ours(texts.report);
        });
    }
    respond("403 Forbidden", page.language, &body.end(), out);
}

/// Writes the page that thanks for a report.
pub fn write_thanks(language: Language, out: &mut Vec<u8>) {
    let texts = language.texts();
    let mut body = Html::begin(language, texts.thanks);
    body.ours("<p>").ours(texts.thanks_more).ours("</p>");
    respond("200 OK", language, &body.end(), out);
}

/// Writes a response that leads on to a path of the same host; to its start, if the path is none to be trusted.
/// To be used with `/` for a token that is good no more: the page is then shown anew.
pub fn write_redirect(to: &str, out: &mut Vec<u8>) {
    let to = if is_local(to) { to } else { "/" };
    let head = format!(
        "HTTP/1.1 303 See Other\r\nLocation: {to}\r\nContent-Length: 0\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

/// What a person answered on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To go on in spite of the warning.
    Continue(Token),
    /// To say that it is a mistake.
    Report(Token),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Something of the site.
    Site,
    /// A path of ours, and an answer on a page.
    Choice(Choice),
    /// A path of ours that means nothing. It does not leave the device either.
    Nothing,
}

/// Reads a request's target: a path with its query, or a whole URL as proxies are sent it.
#[must_use]
pub fn read_target(target: &str) -> Asked {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
        }
        Some(_) | None => target,
    };
    let Some(ours) = path.strip_prefix(OURS) else { return Asked::Site };
    let (what, query) = ours.split_once('?').unwrap_or((ours, ""));
    let token = query.strip_prefix("token=").and_then(Token::parse);
    match (what, token) {
        (CONTINUE, Some(token)) => Asked::Choice(Choice::Continue(token)),
        (REPORT, Some(token)) => Asked::Choice(Choice::Report(token)),
        (_, _) => Asked::Nothing,
    }
}

/// Tells whether a redirect to this stays at the host, and in its line.
fn is_local(to: &str) -> bool {
    let is_plain = to.bytes().all(|octet| octet.is_ascii_graphic());
    let mut octets = to.bytes();
    let starts = octets.next() == Some(b'/') && !matches!(octets.next(), Some(b'/' | b'\\'));
    is_plain && starts && to.len() <= crate::limits::OFFER_PATH_OCTETS
}

fn respond(status: &str, language: Language, body: &str, out: &mut Vec<u8>) {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Language: {}\r\nCache-Control: no-store\r\nContent-Security-Policy: {POLICY}\r\n\
         X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
        body.len(),
        language.tag(),
    );
    out.reserve(head.len() + body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// A document in the making.
struct Html {
    text: String,
}

impl Html {
    fn begin(language: Language, heading: &str) -> Self {
        let mut html = Self { text: String::with_capacity(4_096) };
        html.ours("<!doctype html><html lang=").ours(language.tag());
        html.ours("><meta charset=utf-8><meta name=viewport content=\"width=device-width\">");
        html.ours(
            "<meta name=robots content=noindex><meta name=color-scheme content=\"light dark\">",
        );
        html.ours("<title>").ours(heading).ours(" · Bartizan</title><style>").ours(STYLE);
        html.ours("</style><main><h1>").ours(heading).ours("</h1>");
        html
    }

    fn end(mut self) -> String {
        self.ours("<footer>Bartizan</footer></main></html>\n");
        self.text
    }

    /// Adds markup or a text of ours.
    fn ours(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds what is not ours: at most so many characters, escaped, with a mark for what would not be seen.
    fn foreign(&mut self, text: &str, characters: usize) -> &mut Self {
        for character in text.chars().take(characters) {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&#34;"),
                '\'' => self.text.push_str("&#39;"),
                unseen if is_unseen(unseen) => self.text.push(char::REPLACEMENT_CHARACTER),
                seen => self.text.push(seen),
            }
        }
        if text.chars().nth(characters).is_some() {
            self.text.push('…');
        }
        self
    }

    /// Adds a text of ours with something in the place of its `{}`.
    fn around(&mut self, text: &str, middle: impl FnOnce(&mut Self)) -> &mut Self {
        let (before, after) = text.split_once("{}").unwrap_or((text, ""));
        self.ours(before);
        middle(self);
        self.ours(after)
    }

    /// Adds a button that sends the token to a path of ours.
    fn form(&mut self, what: &str, token: &str, label: impl FnOnce(&mut Self)) {
        self.ours("<form action=\"").ours(OURS).ours(what);
        self.ours("\"><input type=hidden name=token value=").ours(token);
        self.ours("><button class=").ours(what).ours(">");
        label(self);
        self.ours("</button></form>");
    }
}

/// Controls, and marks that turn the direction of a text or take no room.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The most that a response has, head and all: it fits the first window of any connection.
pub const MAX_RESPONSE: usize = 8_192;
/// Where our own paths begin (RFC 8615).
const OURS: &str = "/.well-known/bartizan/";
const CONTINUE: &str = "continue";
const REPORT: &str = "report";
/// As many as a name has; longer is no name.
const MAX_HOST: usize = bartizan_model::MAX_NAME_LEN;
/// As many as the portal lets a feed's name have.
const MAX_FEED: usize = 64;
/// Nothing but the style in the page and its own forms.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2536;--soft:#56617a;--page:#f4f6fa;--card:#fff;--line:#d4dae6;--bad:#b3261e;--act:#1f5fbf}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf4;--soft:#a5b0c5;--page:#10151f;--card:#1a2130;--line:#37425a;--bad:#ff8a80;--act:#8ab4ff}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--page);color:var(--ink);font:1.0625rem/1.5 system-ui,sans-serif}\
main{max-width:36rem;margin:6vh auto;padding:1.5rem;background:var(--card);border:1px solid var(--line);border-top:.375rem solid var(--bad);border-radius:.5rem}\
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25;color:var(--bad)}\
h2{margin:1.25rem 0 .25rem;font-size:1.0625rem}\
p{margin:0 0 .75rem}\
.host{font-weight:700;overflow-wrap:anywhere}\
button{min-height:2.75rem;margin-bottom:1rem;padding:.5rem 1rem;border:1px solid var(--act);border-radius:.375rem;background:none;color:var(--act);font:inherit;cursor:pointer}\
.continue{border-color:var(--bad);color:var(--bad)}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}\
footer{margin-top:1rem;color:var(--soft);font-size:.875rem}\
@media(max-width:40rem){main{margin:0;min-height:100vh;border-width:.375rem 0 0;border-radius:0}}";

#[cfg(test)]
mod tests;
