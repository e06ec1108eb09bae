//! The table of keys, written down for people: `docs/policy-keys.md`.
//!
//! # Invariants
//! - The file is what [`write()`] returns; a test fails where it is not, and leaves it mended.

use std::fmt::Write as _;

use super::schema::{Enrollment, Key, Setting};
use super::value::{Kind, Spelling};

/// Returns the whole page.
#[must_use]
pub fn write() -> String {
    let mut page = String::from(HEAD);
    for key in Key::ALL {
        section(&mut page, key.setting());
    }
    page
}

fn section(page: &mut String, setting: &Setting) {
    let spelling = match setting.spelling {
        Spelling::Text => "String",
        Spelling::Integer => "Integer",
        Spelling::Boolean => "Boolean",
    };
    let default = setting
        .default
        .as_ref()
        .map_or_else(|| "not set".to_owned(), |default| format!("`{default}`"));
    let devices: Vec<&str> = setting.works_on.iter().map(|kind| kind.word()).collect();
    let all = setting.works_on.len() == Enrollment::ALL.len();
    let devices = if all { "every device".to_owned() } else { devices.join(", ") };
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "\n## {}\n\n{}\n\n| Values | Default | Type in app configuration | Where | Works on |\n|---|---|---|---|---|\n| {} | {default} | {spelling} | {} | {devices} |\n",
        setting.name,
        setting.meaning,
        setting.kind,
        setting.place.word(),
    );
    if let Kind::Level(levels) = setting.kind {
        page.push('\n');
        for (number, (word, meaning)) in levels.iter().enumerate() {
            let _ = writeln!(page, "- {number} (`{word}`): {meaning}");
        }
    }
    if let Some(decided) = setting.decided {
        let _ = writeln!(page, "\n{decided}");
    }
}

const HEAD: &str = "# Policy keys

Every key that a policy can set. This page is written from the table in the code, and a test keeps it so.

A key that nobody set has its default. Keys whose names do not begin with `Bartizan` are those of Microsoft Defender for
Endpoint on iOS and mean the same, so that a configuration that exists can be taken over as it is. Flags are read in every
spelling: `true` and `false`, `1` and `0`, native or as text. Names are case-sensitive.

Where a key is found: *policy* is what the portal signs for each device; *app configuration* is what an MDM gives to the
app, see [mdm](mdm/README.md); *portal* means that no device is told.
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_page_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy-keys.md");
        let page = super::write();
        if std::fs::read_to_string(&path).unwrap_or_default() != page {
            std::fs::write(&path, page).unwrap();
            panic!("docs/policy-keys.md was stale and is written anew: look at it and commit it");
        }
    }
}
