//! `cargo xtask ios`: the device as a static library for iPhones, built and looked at on Linux.
//!
//! # What it shows
//! - The device crates compile for `aarch64-apple-ios`, with the standard library, into one archive.
//! - Every object in it is Mach-O for arm64 and iOS, and none was compiled from C ([`archive`]).
//! - It stays within [`MAX_SIZE`], and links.
//!
//! # What it does not show
//! That the symbols it leaves to the system are there, or that it runs: that takes an Apple system.

mod archive;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Done, packages, run, say, target};
use toolchain::Toolchain;

/// Builds the library, looks at it and says how large it is.
pub(crate) fn build() -> Done {
    possible()?;
    packages::need(&[("cc", "build-essential")])?;
    let folder = target().join("ios");
    fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let toolchain = Toolchain::fetch(&folder)?;
    no_c()?;
    let library = compile(&toolchain, &folder.join("build"))?;
    let octets = fs::read(&library)
        .map_err(|error| format!("cannot read {}: {error}", library.display()))?;
    let objects = archive::objects(&octets)
        .map_err(|error| format!("{} is not as it should be: {error}", library.display()))?;
    let image = link(&toolchain, &library, &folder.join("libbartizan.dylib"))?;
    say(&format!(
        "{}: {:.2} MB, {objects} Mach-O objects for arm64, none from C; linked and stripped of what nobody calls \
         {:.2} MB",
        library.display(),
        megabytes(size(&library)?),
        megabytes(image),
    ));
    within_bound(size(&library)?)
}

/// Tells whether the library can be built here; else why not.
pub(crate) fn possible() -> Done {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let has = |line: &str| release.lines().any(|other| other == line);
    if has("ID=debian") && has("VERSION_ID=\"12\"") {
        Ok(())
    } else {
        Err("a compiler for it is unpacked from packages of Debian 12, which this system is not"
            .to_owned())
    }
}

fn compile(toolchain: &Toolchain, to: &Path) -> Result<PathBuf, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["rustc", "--package", LIBRARY, "--lib", "--crate-type", "staticlib"]);
    cargo.args(["--target", TARGET, "--profile", "ios", "--locked", "--quiet"]);
    // The standard library is compiled along, since nobody offers it for this compiler.
    cargo.arg("-Zbuild-std=std,panic_unwind");
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", toolchain.rustc());
    cargo.env("IPHONEOS_DEPLOYMENT_TARGET", MIN_IOS);
    cargo.env("CARGO_TARGET_DIR", to);
    run(toolchain.with_libraries(&mut cargo))?;
    Ok(to.join(TARGET).join("ios").join("libbartizan_ffi.a"))
}

/// Checks that nothing in the library's tree compiles C; for iPhones there is no C compiler here.
fn no_c() -> Done {
    let mut tree = Command::new("cargo");
    tree.args(["tree", "--package", LIBRARY, "--target", TARGET, "--edges", "normal,build"]);
    tree.args(["--prefix", "none", "--format", "{p}", "--locked"]);
    let text = output(&mut tree)?;
    let compiles_c =
        |line: &&str| COMPILES_C.contains(&line.split_whitespace().next().unwrap_or_default());
    match text.lines().find(compiles_c) {
        None => Ok(()),
        Some(package) => Err(format!(
            "a dependency of {LIBRARY} compiles C, since {package} is in its tree; `cargo tree --invert` tells which"
        )),
    }
}

/// Links the library as an app would load it and returns the size of the image.
fn link(toolchain: &Toolchain, library: &Path, image: &Path) -> Result<u64, String> {
    let mut linker = Command::new(toolchain.linker());
    linker.args(["-arch", "arm64", "-platform_version", "ios", MIN_IOS, MIN_IOS]);
    // What the system has is bound when the app starts: its list comes with Apple's SDK alone.
    linker.args(["-dylib", "-dead_strip", "-undefined", "dynamic_lookup"]);
    for function in FUNCTIONS {
        linker.args(["-exported_symbol", function, "-u", function]);
    }
    linker.arg(library).arg("-o").arg(image);
    run(toolchain.with_libraries(&mut linker))?;
    size(image)
}

fn within_bound(size: u64) -> Done {
    if size <= MAX_SIZE {
        return Ok(());
    }
    Err(format!(
        "the library has {:.2} MB, and {:.2} MB is the most (docs/budgets.md)",
        megabytes(size),
        megabytes(MAX_SIZE)
    ))
}

fn output(command: &mut Command) -> Result<String, String> {
    let shown = crate::shown(command);
    let output = command.current_dir(crate::root()).output();
    let output = output.map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{shown}` failed: {}", said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn size(path: &Path) -> Result<u64, String> {
    let data = fs::metadata(path);
    Ok(data.map_err(|error| format!("there is no {}: {error}", path.display()))?.len())
}

fn megabytes(octets: u64) -> f64 {
    let tens_of_kilobytes = u32::try_from(octets.div_ceil(10_000)).unwrap_or(u32::MAX);
    f64::from(tens_of_kilobytes) / 100.0
}

const LIBRARY: &str = "bartizan-ffi";
const TARGET: &str = "aarch64-apple-ios";
/// The oldest system that gives a packet tunnel 50 MiB.
const MIN_IOS: &str = "15.0";
/// Code takes of the 50 MiB that iOS grants a packet tunnel only as it runs; of a download, all.
const MAX_SIZE: u64 = 3_000_000;
/// What build scripts compile C with.
const COMPILES_C: [&str; 4] = ["bindgen", "cc", "cmake", "nasm-rs"];
const FUNCTIONS: [&str; 5] = [
    "_bartizan_attested",
    "_bartizan_reply",
    "_bartizan_start",
    "_bartizan_status",
    "_bartizan_stop",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_last_size_that_passes() {
        assert_eq!(within_bound(3_000_000), Ok(()));
        assert_eq!(
            within_bound(3_000_001),
            Err("the library has 3.01 MB, and 3.00 MB is the most (docs/budgets.md)".to_owned())
        );
    }
}
