//! An authenticator of our own, right and wrong in each respect; keys of each kind; and the fuzzer's corpus.

use std::path::Path;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use proptest::prelude::*;

use super::*;

const CHALLENGE: [u8; 32] = [7; 32];
const USUAL: u8 = PRESENT | VERIFIED;

#[test]
fn a_key_is_made_and_answers() {
    for key in [es256(), ed25519()] {
        let made = Spoken { flags: USUAL | MADE | MAY_BE_BACKED_UP | BACKED_UP, ..Spoken::usual() };
        let told = created_by(&made, &key.cose).unwrap();
        let expected = Told { sign_count: 3, may_be_backed_up: true, is_backed_up: true };
        assert_eq!(
            (&told.credential[..], &told.public_key, told.told),
            (&b"id"[..], &key.cose, expected)
        );
        let answered = Spoken { flags: USUAL | MAY_BE_BACKED_UP, ..Spoken::usual() };
        let told = asserted_by(&answered, &key, true).unwrap();
        assert!(!told.is_backed_up && told.may_be_backed_up);
    }
}

#[test]
fn an_answer_is_to_this_question_of_this_site() {
    let key = es256();
    check(&key, |_| {}, Ok(()));
    check(&key, |said| said.kind = "webauthn.create", Err(AnswerError::OtherKind));
    check(&key, |said| said.kind = "payment.get", Err(AnswerError::OtherKind));
    check(&key, |said| said.challenge = [8; 32], Err(AnswerError::Challenge));
    for origin in [
        "https://evil.test",
        "https://portal.test",
        "http://portal.test:8443",
        "https://portal.test:8443/",
        "https://PORTAL.test:8443",
        "https://a.portal.test:8443",
    ] {
        check(&key, |said| said.origin = origin, Err(AnswerError::Origin));
    }
    check(&key, |said| said.cross_origin = true, Err(AnswerError::Origin));
    check(&key, |said| said.top = r#","topOrigin":"https://evil.test""#, Err(AnswerError::Origin));
    check(&key, |said| said.top = r#","more":{"a":1}"#, Ok(()));
    // The browser tells of the page, the authenticator of the site: both have to be ours.
    for host in ["evil.test", "test", "a.portal.test", ""] {
        check(&key, |said| said.host = host, Err(AnswerError::Site));
    }
}

#[test]
fn what_the_authenticator_says_of_its_owner_counts() {
    let key = es256();
    check(&key, |said| said.flags = VERIFIED, Err(AnswerError::Absent));
    check(&key, |said| said.flags = 0, Err(AnswerError::Absent));
    check(&key, |said| said.flags = PRESENT, Err(AnswerError::Unverified));
    check(&key, |said| said.flags = USUAL | BACKED_UP, Err(AnswerError::Backup));
    check(&key, |said| said.flags = USUAL | MAY_BE_BACKED_UP, Err(AnswerError::Backup));
    // Where the password was shown before, presence is enough.
    let site = site();
    let question = Question { challenge: &CHALLENGE, site: &site, must_verify: false };
    let said = Spoken { flags: PRESENT, ..Spoken::usual() };
    let (client, data) = (said.client("webauthn.get"), said.data(&[]));
    let signature = (key.sign)(&[&data[..], &Sha256::digest(&client)].concat());
    let answer =
        Assertion { client_data: &client, authenticator_data: &data, signature: &signature };
    assert!(asserted(question, answer, &key.cose, false).is_ok());
}

#[test]
fn every_octet_is_signed() {
    for key in [es256(), ed25519()] {
        let site = site();
        let said = Spoken::usual();
        let (client, data) = (said.client("webauthn.get"), said.data(&[]));
        let signature = (key.sign)(&[&data[..], &Sha256::digest(&client)].concat());
        let told = |client: &[u8], data: &[u8], signature: &[u8], key: &[u8]| {
            let question = Question { challenge: &CHALLENGE, site: &site, must_verify: true };
            let answer = Assertion { client_data: client, authenticator_data: data, signature };
            asserted(question, answer, key, false)
        };
        assert!(told(&client, &data, &signature, &key.cose).is_ok());
        // The count is what an attacker would change.
        for at in 0..data.len() {
            let mut other = data.clone();
            other[at] ^= 1;
            assert!(told(&client, &other, &signature, &key.cose).is_err(), "octet {at}");
        }
        for at in 0..client.len() {
            let mut other = client.clone();
            other[at] ^= 1;
            assert!(told(&other, &data, &signature, &key.cose).is_err(), "octet {at}");
        }
        for other in [&[][..], &signature[1..], &[0; 64]] {
            let refused = told(&client, &data, other, &key.cose);
            assert_eq!(refused, Err(AnswerError::Signature));
        }
        // Another's key, also of another kind.
        for other in [another_es256(), ed25519(), es256()] {
            if other.cose != key.cose {
                let refused = told(&client, &data, &signature, &other.cose);
                assert_eq!(refused, Err(AnswerError::Signature));
            }
        }
        assert_eq!(told(&client, &data, &signature, b"\xa0"), Err(KeyError.into()));
    }
}

#[test]
fn what_is_not_whole_or_of_another_kind_is_refused() {
    let (key, made) = (es256(), Spoken { flags: USUAL | MADE, ..Spoken::usual() });
    let site = site();
    let question = Question { challenge: &CHALLENGE, site: &site, must_verify: true };
    let client = made.client("webauthn.create");
    let told = |object: &[u8]| created(question, &client, object).map(drop);
    let good = attestation(&made.data(&key.cose));
    assert_eq!(told(&good), Ok(()));
    for end in 0..good.len() {
        assert!(told(&good[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(told(&[&good[..], &[0]].concat()), Err(AnswerError::Malformed));
    let keyless = Spoken::usual().data(&[]);
    assert_eq!(told(&attestation(&keyless)), Err(AnswerError::Malformed));
    let more = [&made.data(&key.cose)[..], &[0]].concat();
    assert_eq!(told(&attestation(&more)), Err(AnswerError::Malformed));
    assert_eq!(told(&attestation(&vec![0; MAX_DATA + 1])), Err(AnswerError::Malformed));
    // A statement that is there is passed over; extensions are.
    let full =
        [&b"\xa3\x63fmt\x66packed\x67attStmt\xa2\x63alg\x26\x63sig\x42\x01\x02"[..], &good[19..]];
    assert_eq!(told(&full.concat()), Ok(()));
    let said = Spoken { flags: USUAL | MADE | EXTENDED, ..Spoken::usual() };
    for (extensions, expected) in [
        (&b"\xa1\x61x\xf5"[..], Ok(())),
        (b"\xa1\x61x\xa1\x61y\x83\x01\x02\x03", Ok(())),
        (b"\x01", Err(AnswerError::Malformed)),
        (b"", Err(AnswerError::Malformed)),
        (b"\xbf\x61x\xf5", Err(AnswerError::Malformed)),
    ] {
        let data = [&said.data(&key.cose)[..], extensions].concat();
        assert_eq!(told(&attestation(&data)), expected, "{extensions:02x?}");
    }
    // Neither a map nor the map that is expected.
    for object in
        [&b""[..], b"\x01", b"\x80", b"\xa0", b"\xbf\xff", b"\xa3\x61x\x01\x61y\x02\x61z\x03"]
    {
        assert!(told(object).is_err(), "{object:02x?}");
    }
}

#[test]
fn a_key_is_of_one_kind_and_whole() {
    let (ec, okp, rsa) = (es256().cose, ed25519().cose, rsa());
    for good in [&ec, &okp, &rsa] {
        assert!(PublicKey::of_octets(good).is_ok(), "{good:02x?}");
        assert_eq!(PublicKey::of_octets(&[&good[..], &[0]].concat()), Err(KeyError));
    }
    // Another kind, algorithm or curve: the second octet of each pair.
    for (key, at, value) in
        [(&ec, 2, 1), (&ec, 2, 3), (&ec, 4, 0x27), (&ec, 6, 2), (&okp, 2, 2), (&okp, 6, 4)]
    {
        let mut other = key.clone();
        other[at] = value;
        assert_eq!(PublicKey::of_octets(&other), Err(KeyError), "{at} {value}");
    }
    // A point that is not on the curve, and one of few octets.
    let mut off = ec.clone();
    *off.last_mut().unwrap() ^= 1;
    assert_eq!(PublicKey::of_octets(&off), Err(KeyError));
    assert_eq!(
        PublicKey::of_octets(b"\xa5\x01\x02\x03\x26\x20\x01\x21\x41\x01\x22\x41\x01"),
        Err(KeyError)
    );
    // A label that comes twice, one that is not known, and too many.
    let twice = [&b"\xa6\x01\x02"[..], &ec[1..]].concat();
    assert_eq!(PublicKey::of_octets(&twice), Err(KeyError));
    let unknown = [&b"\xa6\x02\x81\x01"[..], &ec[1..]].concat();
    assert!(PublicKey::of_octets(&unknown).is_ok());
    let many = [&b"\xb8\x20"[..], &b"\x18\x64\x00".repeat(32)].concat();
    assert_eq!(PublicKey::of_octets(&many), Err(KeyError));
    // RSA with too few bits.
    let weak =
        [&b"\xa4\x01\x03\x03\x39\x01\x00\x20\x58\x80"[..], &[0xff; 128], b"\x21\x43\x01\x00\x01"];
    assert_eq!(PublicKey::of_octets(&weak.concat()), Err(KeyError));
}

/// RFC 7515 appendix A.2: its key as COSE, its text and its signature.
#[test]
fn rsa_signatures_hold() {
    let key = PublicKey::of_octets(&rsa()).unwrap();
    let (text, signature) = RFC7515_A2.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.holds(text.as_bytes(), &signature));
    assert!(!key.holds(&text.as_bytes()[1..], &signature));
}

proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>, flags: u8) {
        fuzz(&octets);
        let said = Spoken { flags, ..Spoken::usual() };
        fuzz(&[&said.data(&[])[..], &octets].concat());
        fuzz(&attestation(&octets));
    }
}

#[test]
fn the_committed_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/passkey");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(5 < replayed);
}

/// What browser and authenticator say.
#[derive(Clone, Copy)]
struct Spoken {
    kind: &'static str,
    challenge: [u8; 32],
    origin: &'static str,
    cross_origin: bool,
    top: &'static str,
    host: &'static str,
    flags: u8,
}

impl Spoken {
    fn usual() -> Self {
        Self {
            kind: "",
            challenge: CHALLENGE,
            origin: "https://portal.test:8443",
            cross_origin: false,
            top: "",
            host: "portal.test",
            flags: USUAL,
        }
    }

    fn client(&self, kind: &str) -> Vec<u8> {
        let kind = if self.kind.is_empty() { kind } else { self.kind };
        let challenge = URL_SAFE_NO_PAD.encode(self.challenge);
        let (origin, cross, top) = (self.origin, self.cross_origin, self.top);
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":{cross}{top}}}"#)
            .into_bytes()
    }

    fn data(&self, cose: &[u8]) -> Vec<u8> {
        let mut octets = Sha256::digest(self.host).to_vec();
        octets.push(self.flags);
        octets.extend([0, 0, 0, 3]);
        if !cose.is_empty() {
            octets.extend([0; 16]);
            octets.extend([0, 2, b'i', b'd']);
            octets.extend(cose);
        }
        octets
    }
}

#[track_caller]
fn check(key: &Key, spoil: impl FnOnce(&mut Spoken), expected: Result<(), AnswerError>) {
    let mut said = Spoken::usual();
    spoil(&mut said);
    assert_eq!(asserted_by(&said, key, false).map(drop), expected);
}

fn asserted_by(said: &Spoken, key: &Key, may_be_backed_up: bool) -> Result<Told, AnswerError> {
    let site = site();
    let question = Question { challenge: &CHALLENGE, site: &site, must_verify: true };
    let (client, data) = (said.client("webauthn.get"), said.data(&[]));
    let signature = (key.sign)(&[&data[..], &Sha256::digest(&client)].concat());
    let answer =
        Assertion { client_data: &client, authenticator_data: &data, signature: &signature };
    asserted(question, answer, &key.cose, may_be_backed_up)
}

fn created_by(said: &Spoken, cose: &[u8]) -> Result<Created, AnswerError> {
    let site = site();
    let question = Question { challenge: &CHALLENGE, site: &site, must_verify: true };
    created(question, &said.client("webauthn.create"), &attestation(&said.data(cose)))
}

fn site() -> Site {
    Site { host: "portal.test".into(), origin: "https://portal.test:8443".into() }
}

fn attestation(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"[..], &length, data].concat()
}

struct Key {
    cose: Vec<u8>,
    sign: Sign,
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn es256() -> Key {
    es256_of(7)
}

fn another_es256() -> Key {
    es256_of(8)
}

fn es256_of(seed: u8) -> Key {
    let key = SigningKey::from_slice(&[seed; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    let cose = [&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat();
    let sign = move |signed: &[u8]| {
        let signature: DerSignature = key.sign(signed);
        signature.as_bytes().to_vec()
    };
    Key { cose, sign: Box::new(sign) }
}

fn ed25519() -> Key {
    use ed25519_dalek::Signer as _;
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key();
    let cose = [&b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"[..], public.as_bytes()].concat();
    let sign = move |signed: &[u8]| key.sign(signed).to_bytes().to_vec();
    Key { cose, sign: Box::new(sign) }
}

fn rsa() -> Vec<u8> {
    let modulus = URL_SAFE_NO_PAD.decode(RFC7515_N).unwrap();
    [&b"\xa4\x01\x03\x03\x39\x01\x00\x20\x59\x01\x00"[..], &modulus, b"\x21\x43\x01\x00\x01"]
        .concat()
}

const RFC7515_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RFC7515_A2: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
