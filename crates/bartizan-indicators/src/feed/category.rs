//! What the words that others sort threats by mean here, where that is plain.

use bartizan_model::IndicatorCategory;

/// Returns the gravest category that one of the words names.
pub(super) fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Option<IndicatorCategory> {
    words.filter_map(of_word).max()
}

fn of_word(word: &str) -> Option<IndicatorCategory> {
    let word = word.to_ascii_lowercase();
    let known = MEANINGS.iter().find(|(part, _)| word.contains(part));
    known.map(|(_, category)| *category)
}

/// Parts of words, the more certain before what may be part of them.
const MEANINGS: [(&str, IndicatorCategory); 11] = [
    ("phish", IndicatorCategory::Phishing),
    ("credential-harvest", IndicatorCategory::Phishing),
    ("spyware", IndicatorCategory::Spyware),
    ("stalkerware", IndicatorCategory::Spyware),
    ("command-and-control", IndicatorCategory::CommandAndControl),
    ("command and control", IndicatorCategory::CommandAndControl),
    ("command-control", IndicatorCategory::CommandAndControl),
    ("botnet-cc", IndicatorCategory::CommandAndControl),
    ("scam", IndicatorCategory::Scam),
    ("ransomware", IndicatorCategory::Malware),
    ("malware", IndicatorCategory::Malware),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_mean_something() {
        for (words, expected) in [
            (&["malicious-activity"][..], None),
            (&["rsit:fraud=\"phishing\""], Some(IndicatorCategory::Phishing)),
            (&["tlp:clear", "Stalkerware"], Some(IndicatorCategory::Spyware)),
            (
                &["phishing", "kill-chain:Command and Control"],
                Some(IndicatorCategory::CommandAndControl),
            ),
            (&[], None),
        ] {
            assert_eq!(of_words(words.iter().copied()), expected, "{words:?}");
        }
    }
}
