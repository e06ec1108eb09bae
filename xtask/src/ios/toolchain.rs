//! A compiler that knows Apple's targets, with the sources of its standard library, from Debian's packages.
//!
//! Debian 12 carries a current `rustc` for building browsers. Its packages conflict with what rustup installs in no
//! place but `/usr`, so they are unpacked into a folder and installed nowhere.
//!
//! # Invariants
//! - The folder has its name only once it is whole: it is filled beside, tried, and renamed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::output;
use crate::{Done, packages, run, say};

/// An unpacked compiler and linker.
pub(super) struct Toolchain {
    root: PathBuf,
    /// Where the shared libraries of both are.
    libraries: PathBuf,
}

impl Toolchain {
    /// Returns the toolchain in a folder, fetched if it is not there.
    pub(super) fn fetch(folder: &Path) -> Result<Self, String> {
        let whole = folder.join("toolchain");
        if let Ok(toolchain) = Self::open(&whole) {
            return Ok(toolchain);
        }
        let packages = folder.join("packages");
        let beside = folder.join("toolchain.partial");
        for old in [&whole, &beside] {
            remove(old)?;
        }
        fs::create_dir_all(&packages).map_err(|error| cannot("make", &packages, &error))?;
        download(&packages)?;
        unpack(&packages, &beside)?;
        Self::open(&beside).map_err(|error| format!("Debian's compiler does not run: {error}"))?;
        fs::rename(&beside, &whole).map_err(|error| cannot("rename", &beside, &error))?;
        remove(&packages)?;
        Self::open(&whole)
    }

    pub(super) fn rustc(&self) -> PathBuf {
        self.root.join("usr/bin/rustc")
    }

    pub(super) fn linker(&self) -> PathBuf {
        self.root.join("usr/bin/ld64.lld")
    }

    /// Lets a command find the libraries of this toolchain.
    pub(super) fn with_libraries<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_LIBRARY_PATH", &self.libraries)
    }

    /// Takes what is in a folder for a toolchain if it runs and has the sources.
    fn open(root: &Path) -> Result<Self, String> {
        let mut folders = entries(&root.join("usr/lib"))?.into_iter();
        let of_the_driver = |folder: &PathBuf| {
            entries(folder).is_ok_and(|files| {
                files.iter().any(|file| name(file).starts_with("librustc_driver-"))
            })
        };
        let libraries =
            folders.find(of_the_driver).ok_or("it has no library with the compiler's driver")?;
        let toolchain = Self { root: root.to_owned(), libraries };
        for program in [toolchain.rustc(), toolchain.linker()] {
            output(toolchain.with_libraries(Command::new(program).arg("--version")))?;
        }
        let sources = root.join("usr/lib/rustlib/src/rust/library/Cargo.lock");
        if sources.is_file() {
            Ok(toolchain)
        } else {
            Err(format!("there is no {}", sources.display()))
        }
    }
}

/// Downloads the packages; asks for fresh lists only where the present ones do not do.
fn download(to: &Path) -> Done {
    if names().and_then(|names| get(&names, to)).is_ok() {
        return Ok(());
    }
    packages::refresh()?;
    get(&names()?, to)
}

fn get(names: &[String], to: &Path) -> Done {
    say(&format!("downloading the Debian packages {}", names.join(", ")));
    let mut apt = Command::new("apt-get");
    // The folder may be closed to the user that apt downloads as.
    apt.args(["download", "-qq", "-o", "APT::Sandbox::User=root"]).args(names).current_dir(to);
    let status = apt.status().map_err(|error| format!("cannot run apt-get: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("apt-get does not reach the packages of Debian 12 and its security suite".to_owned())
    }
}

/// Names the packages: the compiler's, its sources', the linker's, and the libraries that they need beyond those that
/// every Debian has. Versions stand in their names and change with security updates, so that apt is asked.
fn names() -> Result<Vec<String>, String> {
    let mut apt = Command::new("apt-cache");
    apt.args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts"]);
    apt.args(["--no-breaks", "--no-replaces", "--no-enhances", "libstd-rust-web-dev"]);
    let depends = output(&mut apt).map_err(|error| {
        format!("apt does not know the compiler in Debian 12's security suite: {error}")
    })?;
    choose(&depends)
}

/// Chooses from what apt says of dependencies, whose first column holds the names of packages.
fn choose(depends: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = depends
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()))
        .filter(|name| !ON_EVERY_DEBIAN.contains(name))
        .map(str::to_owned)
        .collect();
    let llvm = names.iter().find_map(|name| name.strip_prefix("libllvm"));
    let linker = llvm.map(|version| format!("lld-{version}"));
    let linker = linker.ok_or("apt knows no libstd-rust-web-dev that needs an LLVM")?;
    names.extend(["rustc-web".to_owned(), "rust-web-src".to_owned(), linker]);
    Ok(names)
}

fn unpack(packages: &Path, to: &Path) -> Done {
    for package in entries(packages)? {
        if package.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&package).arg(to))?;
        }
    }
    // The name without a version, which is another package's.
    let linker = to.join("usr/bin/ld64.lld");
    let versioned = entries(&to.join("usr/bin"))?
        .into_iter()
        .find(|file| name(file).starts_with("ld64.lld-"))
        .ok_or("the package of the linker holds no ld64.lld")?;
    std::os::unix::fs::symlink(name(&versioned), &linker)
        .map_err(|error| cannot("make", &linker, &error))
}

/// Lists a folder in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
    });
    let mut listed = listed.map_err(|error| cannot("read", folder, &error))?;
    listed.sort();
    Ok(listed)
}

fn remove(folder: &Path) -> Done {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove", folder, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

/// They must be those of the running system, not copies of another version beside it.
const ON_EVERY_DEBIAN: [&str; 4] = ["gcc-12-base", "libc6", "libgcc-s1", "libstdc++6"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_chosen_by_what_apt_says() {
        let depends = "\
libstd-rust-web-dev
  Depends: libstd-rust-web-1.96
libstd-rust-web-1.96
  Depends: libc6
  Depends: libllvm22
 |Depends: <debconf-2.0>
libc6
libllvm22
  Depends: libz3-4
libz3-4
<debconf-2.0>
";
        let chosen = [
            "libstd-rust-web-dev",
            "libstd-rust-web-1.96",
            "libllvm22",
            "libz3-4",
            "rustc-web",
            "rust-web-src",
            "lld-22",
        ];
        assert_eq!(choose(depends), Ok(chosen.map(str::to_owned).to_vec()));
        assert!(choose("N: Unable to locate package libstd-rust-web-dev\n").is_err());
    }
}
