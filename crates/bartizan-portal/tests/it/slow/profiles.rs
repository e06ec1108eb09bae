//! Signed profiles, as OpenSSL reads them.

use std::path::{Path, PathBuf};
use std::process::Command;

use bartizan_model::UnixMillis;
use bartizan_portal::ProfileSigner;

use crate::world::{NOW, World};

#[test]
fn openssl_finds_the_profile_signed_by_each_kind_of_key() {
    let folder = tempfile::tempdir().unwrap();
    for key in ["rsa:2048", "ec:prime256v1", "ec:secp384r1"] {
        let pair = Pair::make(folder.path(), key);
        let signer = ProfileSigner::open(&pair.certificate, &pair.key).unwrap();
        let signed = signer.sign(PROFILE, NOW).unwrap();
        for tool in ["cms", "smime"] {
            assert_eq!(pair.verified(tool, &signed), Ok(PROFILE.to_owned()), "{key} {tool}");
        }
        // Another time is another signature, of the same profile.
        let later = signer.sign(PROFILE, UnixMillis(NOW.0 + 1_000)).unwrap();
        assert_ne!(signed, later);
        let at = signed.windows(PROFILE.len()).position(|part| part == PROFILE.as_bytes()).unwrap();
        let mut changed = signed;
        changed[at + 1] ^= 1;
        assert!(pair.verified("cms", &changed).is_err(), "{key}");
    }
}

#[tokio::test]
async fn the_console_signs_profiles_if_it_is_set_up_to_and_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::make(folder.path(), "rsa:2048");
    let signer = ProfileSigner::open(&pair.certificate, &pair.key).unwrap();
    let world = World::chosen(|config| config.profile_signer = Some(signer)).await;
    let browser = world.member(world.acme, "a@acme.test").await;
    let page = browser.get("/policy/all").await.text();
    assert!(page.contains("name=\"signed\" value=\"yes\" checked"), "{page}");
    let file = async |query: &str| {
        let answer = browser.get(&format!("/policy/all/file?app=com.example.app&{query}")).await;
        assert_eq!(answer.status, 200);
        answer
    };
    let plain = file("file=vpn").await;
    let signed = file("file=vpn&signed=yes").await;
    assert_eq!(signed.header("content-type"), "application/x-apple-aspen-config");
    assert_eq!(pair.verified("cms", &signed.body), Ok(plain.text()));
    assert_eq!(file("file=plist&signed=yes").await.body, file("file=plist").await.body);

    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    assert!(!browser.get("/policy/all").await.text().contains("Sign profiles"));
    let unsigned = browser.get("/policy/all/file?app=com.example.app&file=vpn&signed=yes").await;
    assert!(unsigned.text().starts_with("<?xml"));
}

/// A certificate that vouches for itself, and its key.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    folder: PathBuf,
}

impl Pair {
    fn make(folder: &Path, kind: &str) -> Self {
        let file = |name: &str| folder.join(format!("{}-{name}.pem", kind.replace(':', "-")));
        let pair = Self { certificate: file("cert"), key: file("key"), folder: folder.to_owned() };
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-subj", "/O=Example/CN=profiles.test"]);
        command
            .args(["-days", "3650", "-keyout"])
            .arg(&pair.key)
            .arg("-out")
            .arg(&pair.certificate);
        match kind.strip_prefix("ec:") {
            Some(curve) => command
                .args(["-newkey", "ec", "-pkeyopt"])
                .arg(format!("ec_paramgen_curve:{curve}")),
            None => command.args(["-newkey", kind]),
        };
        assert!(command.output().unwrap().status.success());
        pair
    }

    /// What is signed, if OpenSSL believes it.
    fn verified(&self, tool: &str, signed: &[u8]) -> Result<String, String> {
        let file = self.folder.join("signed.mobileconfig");
        std::fs::write(&file, signed).unwrap();
        let output = Command::new("openssl")
            .args([tool, "-verify", "-binary", "-purpose", "any", "-inform", "DER", "-in"])
            .arg(&file)
            .arg("-CAfile")
            .arg(&self.certificate)
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8(output.stdout).unwrap())
    }
}

const PROFILE: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict/></plist>\n";
