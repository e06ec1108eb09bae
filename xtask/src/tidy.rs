//! The rules that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Done, root};

pub(crate) fn run() -> Done {
    let mut faults = Vec::new();
    let mut code = String::new();
    for file in rust_files(&root()) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        code.push_str(&text);
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        check_file(&shown, &text, &mut faults);
    }
    check_map(&code, &mut faults);
    check_locks(&mut faults);
    if faults.is_empty() { Ok(()) } else { Err(format!("not tidy:\n  {}", faults.join("\n  "))) }
}

/// One idea a file: a header that says which, and not too long.
fn check_file(shown: &str, text: &str, faults: &mut Vec<String>) {
    if !text.starts_with("//!") {
        faults.push(format!("{shown}: does not start with a header that says what it is"));
    }
    let shipped = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    if MOST_LINES < shipped {
        faults.push(format!(
            "{shown}: has {shipped} lines without its tests, more than {MOST_LINES}"
        ));
    }
    // The words are put together so that this file does not find itself.
    for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore")] {
        if text.contains(word) {
            faults.push(format!("{shown}: holds {word}"));
        }
    }
}

/// ARCHITECTURE.md names every crate and none that is gone, and only tests that there are.
fn check_map(code: &str, faults: &mut Vec<String>) {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    let mut crates: Vec<String> = folders(&root().join("crates"))
        .iter()
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect();
    crates.sort();
    for name in &crates {
        if !map.contains(&format!("| `{name}` |")) {
            faults.push(format!("ARCHITECTURE.md: the table of crates lacks {name}"));
        }
    }
    for row in map.lines().filter_map(|line| line.strip_prefix("| `bartizan")?.split('`').next()) {
        let name = format!("bartizan{row}");
        if !crates.contains(&name) {
            faults.push(format!("ARCHITECTURE.md: names {name}, which is gone"));
        }
    }
    // What has two underscores or more between backticks is the name of a test.
    for name in map.split('`').skip(1).step_by(2).filter(|name| 2 < name.split('_').count()) {
        if !code.contains(&format!("fn {name}(")) {
            faults.push(format!("ARCHITECTURE.md: names the test {name}, which is gone"));
        }
    }
}

/// Lock files say what, not whence.
fn check_locks(faults: &mut Vec<String>) {
    let lock = "crates/bartizan-portal/assets/package-lock.json";
    if fs::read_to_string(root().join(lock)).is_ok_and(|text| text.contains("\"resolved\"")) {
        faults.push(format!("{lock}: records download addresses"));
    }
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting =
        ["crates", "xtask", "fuzz", "benches"].map(|folder| root.join(folder)).to_vec();
    while let Some(folder) = waiting.pop() {
        for path in entries(&folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !["target", "node_modules", "corpus", "artifacts"].contains(&name.as_ref()) {
                    waiting.push(path);
                }
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// What still fits into a head.
const MOST_LINES: usize = 1_000;
