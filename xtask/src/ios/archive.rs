//! What is in a static library for iPhones: an `ar` archive in BSD's manner, of Mach-O objects.
//!
//! Reads headers only: of the archive (`ar.h`), of each object (`mach-o/loader.h`) and of its load commands.
//!
//! # Invariants
//! - Anything unexpected is an error; nothing in the archive is passed over but its table of symbols.

/// Counts the objects of an archive if each is Mach-O for arm64 and iOS and was compiled by rustc.
pub(super) fn objects(archive: &[u8]) -> Result<usize, String> {
    let mut rest = archive.strip_prefix(b"!<arch>\n").ok_or("it is no archive")?;
    let mut count = 0;
    while !rest.is_empty() {
        let (header, content) = rest.split_at_checked(HEADER_LEN).ok_or("it is cut")?;
        let size = decimal(header.get(48..58)).ok_or("a member has no size")?;
        let content_len = content.len();
        let (member, after) = content.split_at_checked(size).ok_or_else(|| {
            format!("a member has {size} octets, and only {content_len} are left")
        })?;
        // A member starts at an even offset.
        rest = after.get(size % 2..).unwrap_or_default();
        let (name, object) = named(header, member)?;
        if name.starts_with("__.SYMDEF") {
            continue;
        }
        // rustc names the objects of its codegen units so; those that build scripts compile keep names of their own.
        if !name.ends_with(".rcgu.o") {
            return Err(format!("{name} was not compiled by rustc"));
        }
        check_object(object).map_err(|error| format!("{name} {error}"))?;
        count += 1;
    }
    if count == 0 { Err("it holds no object".to_owned()) } else { Ok(count) }
}

/// A name longer than the header's field stands before the content, filled up with zeros: `#1/LENGTH`.
fn named<'a>(header: &[u8], member: &'a [u8]) -> Result<(String, &'a [u8]), String> {
    let field = header.get(..16).unwrap_or_default();
    let (name, object) = match field.strip_prefix(b"#1/") {
        None => (field, member),
        Some(length) => decimal(Some(length))
            .and_then(|length| member.split_at_checked(length))
            .ok_or("a member's name is longer than the member")?,
    };
    let name = String::from_utf8_lossy(name);
    Ok((name.trim_end_matches(['\0', ' ']).to_owned(), object))
}

fn check_object(object: &[u8]) -> Result<(), String> {
    let word = |offset: usize| {
        let octets = object.get(offset..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*octets))
    };
    if word(0) != Some(MH_MAGIC_64) {
        return Err("is not Mach-O of 64 bits".to_owned());
    }
    if word(4) != Some(CPU_TYPE_ARM64) {
        return Err("is not for arm64".to_owned());
    }
    if word(12) != Some(MH_OBJECT) {
        return Err("is no object file".to_owned());
    }
    let commands = word(16).ok_or("is cut")?;
    let mut offset = MACH_HEADER_LEN;
    for _ in 0..commands {
        let (command, size) = word(offset).zip(word(offset + 4)).ok_or("is cut")?;
        if command == LC_BUILD_VERSION {
            return match word(offset + 8) {
                Some(PLATFORM_IOS) => Ok(()),
                _ => Err("is not for iOS".to_owned()),
            };
        }
        // A command has at least its own head, so that each step is one.
        offset += usize::try_from(size).ok().filter(|size| 8 <= *size).ok_or("is cut")?;
    }
    Err("does not say which system it is for".to_owned())
}

fn decimal(field: Option<&[u8]>) -> Option<usize> {
    std::str::from_utf8(field?).ok()?.trim_end().parse().ok()
}

/// `struct ar_hdr`: name 16, date 12, owner 6, group 6, mode 8, size 10, end 2.
const HEADER_LEN: usize = 60;
/// `struct mach_header_64`: magic, processor, its kind, file type, count and size of commands, flags, reserved.
const MACH_HEADER_LEN: usize = 32;
const MH_MAGIC_64: u32 = 0xfeed_facf;
const CPU_TYPE_ARM64: u32 = 0x0100_000c;
const MH_OBJECT: u32 = 1;
const LC_BUILD_VERSION: u32 = 0x32;
/// The simulator's is 7, macOS's 1.
const PLATFORM_IOS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// An object of header words and one load command that names its platform, behind one that does not.
    fn object(magic: u32, processor: u32, kind: u32, platform: u32) -> Vec<u8> {
        let symbols = [0x2, 24, 0, 0, 0, 0];
        let version = [LC_BUILD_VERSION, 24, platform, 0, 0, 0];
        let header = [magic, processor, 0, kind, 2, 48, 0, 0];
        [&header[..], &symbols, &version]
            .concat()
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }

    fn good() -> Vec<u8> {
        object(MH_MAGIC_64, CPU_TYPE_ARM64, MH_OBJECT, PLATFORM_IOS)
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = b"!<arch>\n".to_vec();
        for (name, object) in members {
            let size = name.len() + object.len();
            let name_field = format!("#1/{}", name.len());
            let header =
                format!("{name_field:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
            archive.extend(header.bytes().chain(name.bytes()).chain(object.iter().copied()));
            archive.resize(archive.len().next_multiple_of(2), b'\n');
        }
        archive
    }

    #[track_caller]
    fn check(archive: &[u8], found: Result<usize, &str>) {
        assert_eq!(objects(archive), found.map_err(str::to_owned));
    }

    #[track_caller]
    fn check_one(object: &[u8], said: &str) {
        check(&archive(&[("a.rcgu.o", object)]), Err(said));
    }

    #[test]
    fn objects_are_counted_and_the_table_of_symbols_is_none() {
        let table = ("__.SYMDEF\0\0\0", &[1, 2, 3][..]);
        check(&archive(&[table, ("a.rcgu.o", &good()), ("bc.rcgu.o\0\0", &good())]), Ok(2));
        check(&archive(&[table]), Err("it holds no object"));
    }

    #[test]
    fn an_object_from_c_is_refused() {
        let archive = archive(&[("a.rcgu.o", &good()), ("25ac62e5-curve25519.o", &good())]);
        check(&archive, Err("25ac62e5-curve25519.o was not compiled by rustc"));
    }

    #[test]
    fn an_object_for_something_else_is_refused() {
        check_one(b"\x7fELF....", "a.rcgu.o is not Mach-O of 64 bits");
        check_one(b"BC\xc0\xde....", "a.rcgu.o is not Mach-O of 64 bits");
        check_one(
            &object(MH_MAGIC_64, 0x0100_0007, MH_OBJECT, PLATFORM_IOS),
            "a.rcgu.o is not for arm64",
        );
        check_one(
            &object(MH_MAGIC_64, CPU_TYPE_ARM64, 6, PLATFORM_IOS),
            "a.rcgu.o is no object file",
        );
        check_one(&object(MH_MAGIC_64, CPU_TYPE_ARM64, MH_OBJECT, 7), "a.rcgu.o is not for iOS");
    }

    #[test]
    fn what_is_cut_or_lies_about_lengths_is_refused() {
        let whole = archive(&[("a.rcgu.o", &good())]);
        for length in 0..whole.len() {
            assert!(objects(&whole[..length]).is_err(), "{length}");
        }
        let mut endless = good();
        endless[36] = 0;
        check_one(&endless, "a.rcgu.o is cut");
        let mut silent = good();
        silent[16] = 1;
        check_one(&silent, "a.rcgu.o does not say which system it is for");
    }
}
