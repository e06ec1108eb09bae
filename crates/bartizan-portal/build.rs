//! Writes the table of the console's assets, which `src/console/assets.rs` includes.
//!
//! `assets/build.mjs` made the files; this program needs no node. It relies on the names it finds:
//! `<name>.<hash>.<extension>`, each beside its `.gz` and `.br`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=assets/dist");
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/dist");
    if !dist.join("manifest.json").is_file() {
        println!(
            "cargo::error=The console's assets are not built: run `cargo xtask assets` (needs node and npm)."
        );
        return Ok(());
    }

    let mut files = Vec::new();
    for entry in fs::read_dir(&dist)? {
        files.push(entry?.file_name().to_string_lossy().into_owned());
    }
    files.sort();

    let mut table = String::from("static ASSETS: &[Asset] = &[\n");
    for file in &files {
        let parts: Vec<&str> = file.split('.').collect();
        let [stem, _hash, extension @ ("css" | "js" | "svg")] = parts.as_slice() else {
            continue;
        };
        let octets = |suffix: &str| {
            format!(
                "include_bytes!({:?})",
                dist.join(format!("{file}{suffix}")).display().to_string()
            )
        };
        let _ = writeln!(
            table,
            "Asset {{ name: \"{stem}.{extension}\", url: \"/assets/{file}\", content_type: {:?}, \
             plain: {}, gzip: {}, brotli: {} }},",
            match *extension {
                "css" => "text/css; charset=utf-8",
                "js" => "text/javascript; charset=utf-8",
                _ => "image/svg+xml",
            },
            octets(""),
            octets(".gz"),
            octets(".br"),
        );
    }
    table.push_str("];\n");

    let Some(out) = env::var_os("OUT_DIR") else {
        println!("cargo::error=OUT_DIR is not set: cargo runs this program, nobody else.");
        return Ok(());
    };
    fs::write(Path::new(&out).join("assets.rs"), table)
}
