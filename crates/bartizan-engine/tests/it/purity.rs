//! The core does no I/O: what it is built from is known, and this is all of it.

use std::collections::BTreeSet;
use std::process::Command;

/// Everything that the engine, `wire`, `indicators` (without `build`) and `model` may be built from. An
/// entry that reads a clock, opens a socket or draws randomness does not belong here; adding one is a
/// design decision.
const ALLOWED: &[&str] = &[
    // Ours.
    "bartizan-engine",
    "bartizan-indicators",
    "bartizan-model",
    "bartizan-wire",
    // Signatures and digests.
    "block-buffer",
    "cfg-if",
    "const-oid",
    "cpufeatures",
    "crypto-common",
    "curve25519-dalek",
    "curve25519-dalek-derive",
    "digest",
    "ed25519",
    "ed25519-dalek",
    "hybrid-array",
    "sha2",
    "signature",
    "siphasher",
    "subtle",
    "typenum",
    "zeroize",
    // The keys of QUIC's first packets.
    "aead",
    "aes",
    "aes-gcm",
    "cipher",
    "cmov",
    "cpubits",
    "ctr",
    "ctutils",
    "ghash",
    "hkdf",
    "hmac",
    "inout",
    "polyval",
    "universal-hash",
    // DNS. Its time stamps are jiff's; the engine calls none of it.
    "domain",
    "domain-macros",
    "foldhash",
    "hashbrown",
    "jiff",
    "jiff-core",
    "octseq",
    // Names and networks: UTS 46 and its tables.
    "displaydoc",
    "icu_collections",
    "icu_locale_core",
    "icu_normalizer",
    "icu_normalizer_data",
    "icu_properties",
    "icu_properties_data",
    "icu_provider",
    "idna",
    "idna_adapter",
    "ipnet",
    "litemap",
    "potential_utf",
    "smallvec",
    "synstructure",
    "tinystr",
    "utf8_iter",
    "utf_types",
    "writeable",
    "yoke",
    "yoke-derive",
    "zerofrom",
    "zerofrom-derive",
    "zerotrie",
    "zerovec",
    "zerovec-derive",
    // TCP on port 53.
    "bitflags",
    "byteorder",
    "hash32",
    "heapless",
    "managed",
    "smoltcp",
    "stable_deref_trait",
    // Errors, and what macros need at compile time.
    "proc-macro2",
    "quote",
    "syn",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
];

#[test]
fn the_core_is_built_from_known_parts_only() {
    let allowed: BTreeSet<&str> = ALLOWED.iter().copied().collect();
    for package in ["bartizan-model", "bartizan-wire", "bartizan-indicators", "bartizan-engine"] {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "-e",
                "normal",
                "--prefix",
                "none",
                "-p",
                package,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).unwrap();
        let built_from: BTreeSet<&str> =
            tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(built_from.contains(package), "{tree}");
        let unknown: Vec<_> = built_from.difference(&allowed).collect();
        assert!(unknown.is_empty(), "{package} is built from {unknown:?}");
    }
}
