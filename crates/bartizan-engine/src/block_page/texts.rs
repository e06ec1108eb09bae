//! Every text of the pages, a table a language, and which language a person reads.
//!
//! A text holds no markup; `{}` stands for what the page puts there. Another language is another table.

use bartizan_model::IndicatorCategory;

/// A language that there is a table for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Whoever asks for none that there is reads this.
    #[default]
    English,
    /// In the formal address.
    German,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Picks by a request's `Accept-Language` (RFC 9110 §12.5.4): of those that there are the one with the greatest weight,
    /// at equal weight the first. What cannot be read is left out.
    #[must_use]
    pub fn of(accept_language: &str) -> Self {
        let mut best = (0, Self::default());
        for range in accept_language.split(',').take(MAX_RANGES) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = match parts.find_map(|part| part.strip_prefix("q=")) {
                Some(weight) => thousandths(weight),
                None => Some(1_000),
            };
            let primary = tag.split('-').next().unwrap_or_default();
            let known =
                Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()));
            if let (Some(language), Some(weight)) = (known, weight)
                && best.0 < weight
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// Returns its tag (RFC 5646).
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }
}

/// Reads a weight from 0 to 1 with up to three digits after the point (RFC 9110 §12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    if 3 < rest.len() || !rest.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" => format!("{rest:0<3}").parse().ok(),
        "1" => rest.bytes().all(|octet| octet == b'0').then_some(1_000),
        _ => None,
    }
}

/// What the pages say.
pub(super) struct Texts {
    /// Heading of a page that cannot be passed.
    pub(super) blocked: &'static str,
    /// Heading of one that can.
    pub(super) warned: &'static str,
    pub(super) why: &'static str,
    phishing: &'static str,
    malware: &'static str,
    spyware: &'static str,
    command_and_control: &'static str,
    scam: &'static str,
    tracker: &'static str,
    custom: &'static str,
    pub(super) by_organization: &'static str,
    /// `{}` is the feed's name.
    pub(super) by_feed: &'static str,
    pub(super) what_now: &'static str,
    pub(super) advice: &'static str,
    /// Before the button that goes on.
    pub(super) risk: &'static str,
    /// `{}` is a number of hours that is not 1.
    pub(super) go_on: &'static str,
    pub(super) go_on_for_an_hour: &'static str,
    /// Before the button that reports.
    pub(super) mistake: &'static str,
    pub(super) report: &'static str,
    pub(super) thanks: &'static str,
    pub(super) thanks_more: &'static str,
}

impl Texts {
    pub(super) fn reason(&self, category: IndicatorCategory) -> &'static str {
        match category {
            IndicatorCategory::Phishing => self.phishing,
            IndicatorCategory::Malware => self.malware,
            IndicatorCategory::Spyware => self.spyware,
            IndicatorCategory::CommandAndControl => self.command_and_control,
            IndicatorCategory::Scam => self.scam,
            IndicatorCategory::Tracker => self.tracker,
            IndicatorCategory::Custom => self.custom,
        }
    }

    /// Every text, with what it may have in its place.
    #[cfg(test)]
    pub(super) fn all(&self) -> [(&'static str, bool); 21] {
        let plain = [
            self.blocked,
            self.warned,
            self.why,
            self.phishing,
            self.malware,
            self.spyware,
            self.command_and_control,
            self.scam,
            self.tracker,
            self.custom,
            self.by_organization,
            self.what_now,
            self.advice,
            self.risk,
            self.go_on_for_an_hour,
            self.mistake,
            self.report,
            self.thanks,
            self.thanks_more,
        ];
        let mut all = [("", true); 21];
        for (place, text) in all.iter_mut().zip(plain) {
            *place = (text, false);
        }
        all[19].0 = self.by_feed;
        all[20].0 = self.go_on;
        all
    }
}

const ENGLISH: Texts = Texts {
    blocked: "This site was stopped",
    warned: "This site is not safe",
    why: "Why",
    phishing: "It is known to pretend to be another site, to get at passwords or money.",
    malware: "It is known to spread harmful programs.",
    spyware: "It belongs to spyware that listens in on people.",
    command_and_control: "Harmful programs on a device take their orders from it.",
    scam: "It is known to take money for what does not exist.",
    tracker: "It follows people from site to site.",
    custom: "It is one of the sites to stay away from.",
    by_organization: "It was listed by your organization.",
    by_feed: "It is on the list “{}” that your organization uses.",
    what_now: "What you can do",
    advice: "Close this page. Nothing is wrong with your device, and nothing was sent to the site. If you came here by a \
             link in a message, do not trust the message, and go to the real site by its own address.",
    risk: "If you are sure that the site is what it says, you can go on. Your organization is told that you did.",
    go_on: "Continue anyway (for {} hours)",
    go_on_for_an_hour: "Continue anyway (for 1 hour)",
    mistake: "If this is a mistake, tell your organization. Only the name of the site and the entry that lists it are sent.",
    report: "Report a mistake",
    thanks: "Thank you",
    thanks_more: "Your organization is told that this site may be listed by mistake. Until somebody has looked at it, it stays \
                  as it is. You can close this page.",
};

const GERMAN: Texts = Texts {
    blocked: "Diese Seite wurde gestoppt",
    warned: "Diese Seite ist nicht sicher",
    why: "Warum",
    phishing: "Sie gibt sich bekanntermaßen als eine andere Seite aus, um an Passwörter oder Geld zu kommen.",
    malware: "Sie verbreitet bekanntermaßen schädliche Programme.",
    spyware: "Sie gehört zu einer Spähsoftware, die Menschen überwacht.",
    command_and_control: "Schädliche Programme auf Geräten erhalten von ihr Befehle.",
    scam: "Sie nimmt bekanntermaßen Geld für etwas, das es nicht gibt.",
    tracker: "Sie verfolgt Menschen von Seite zu Seite.",
    custom: "Sie ist eine der Seiten, die zu meiden sind.",
    by_organization: "Ihre Organisation hat sie eingetragen.",
    by_feed: "Sie steht auf der Liste „{}“, die Ihre Organisation verwendet.",
    what_now: "Was Sie tun können",
    advice: "Schließen Sie diese Seite. Mit Ihrem Gerät ist alles in Ordnung, und an die Seite wurde nichts gesendet. Wenn Sie über einen Link in einer Nachricht hierher kamen, trauen Sie der Nachricht nicht und rufen \
             Sie die echte Seite über deren eigene Adresse auf.",
    risk: "Wenn Sie sicher sind, dass die Seite ist, was sie vorgibt, können Sie fortfahren. Ihre Organisation erfährt davon.",
    go_on: "Trotzdem fortfahren (für {} Stunden)",
    go_on_for_an_hour: "Trotzdem fortfahren (für 1 Stunde)",
    mistake: "Wenn das ein Irrtum ist, sagen Sie es Ihrer Organisation. Nur der Name der Seite und der Eintrag, der sie nennt, werden gesendet.",
    report: "Irrtum melden",
    thanks: "Vielen Dank",
    thanks_more: "Ihre Organisation erfährt, dass diese Seite vielleicht irrtümlich eingetragen ist. Bis jemand nachgesehen hat, \
                  bleibt es, wie es ist. Sie können diese Seite schließen.",
};

/// Browsers send a handful.
const MAX_RANGES: usize = 16;
