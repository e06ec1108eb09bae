//! Tokens of the RFCs and of keys of our own; keys that do not fit; and the fuzzer's corpus.

use std::path::Path;

use ed25519_dalek::Signer as _;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::*;

/// RFC 7515 appendix A.3.
const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const BY_P256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515 appendix A.2.
const RSA: &str = r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
const BY_RSA: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const CLAIMS: &str = r#"{"sub":"s"}"#;

#[test]
fn the_tokens_of_the_rfcs_are_accepted() {
    for (key, token) in [(P256, BY_P256), (RSA, BY_RSA)] {
        let claims = verify(&[key], token).unwrap();
        assert_eq!(claims["iss"], "joe");
        check(&[P256, RSA], token, Ok(()));
        check(&[], token, Err(JoseError::UnknownKey));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = signature.replacen(['c', 'D'], "A", 1);
        check(&[key], &format!("{signed}.{other}"), Err(JoseError::BadSignature));
        check(&[key], &format!("{signed}."), Err(JoseError::BadSignature));
    }
}

#[test]
fn keys_of_other_kinds_and_purposes_do_not_fit() {
    check(&[RSA], BY_P256, Err(JoseError::UnknownKey));
    let with = |more: &str| P256.replacen('{', &format!("{{{more},"), 1);
    check(&[&with(r#""use":"enc""#)], BY_P256, Err(JoseError::UnknownKey));
    check(&[&with(r#""use":"sig""#)], BY_P256, Ok(()));
    check(&[&with(r#""alg":"ES384""#)], BY_P256, Err(JoseError::UnknownKey));
    check(&[&with(r#""alg":"ES256","kid":"k""#)], BY_P256, Ok(()));
    check(&[&P256.replace("P-256", "P-521")], BY_P256, Err(JoseError::UnknownKey));
    check(&[&P256.replace("x_FE", "x_FF")], BY_P256, Err(JoseError::BadSignature));
}

#[test]
fn the_keys_id_decides() {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let jwk = |id: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{public}","kid":"{id}"}}"#);
    let token = |header: &str| sign(header, |signed| key.sign(signed).to_bytes().to_vec());
    check(&[&jwk("a")], &token(r#"{"alg":"EdDSA","kid":"a"}"#), Ok(()));
    check(&[&jwk("a")], &token(r#"{"alg":"EdDSA"}"#), Ok(()));
    check(&[&jwk("a")], &token(r#"{"alg":"EdDSA","kid":"b"}"#), Err(JoseError::UnknownKey));
    check(&[&jwk("a"), &jwk("b")], &token(r#"{"alg":"EdDSA","kid":"b"}"#), Ok(()));
    let kind = |header: &str| Token::parse(&token(header)).unwrap().kind();
    assert_eq!(kind(r#"{"alg":"EdDSA","typ":"JWT"}"#).as_deref(), Some("jwt"));
    let logout = r#"{"alg":"EdDSA","typ":"application/Logout+JWT"}"#;
    assert_eq!(kind(logout).as_deref(), Some("logout+jwt"));
}

#[test]
fn es384_is_known() {
    let random = SystemRandom::new();
    let rule = &ECDSA_P384_SHA384_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(rule, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(rule, document.as_ref(), &random).unwrap();
    let (x, y) = key.public_key().as_ref()[1..].split_at(48);
    let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
    let jwk = format!(r#"{{"kty":"EC","crv":"P-384","x":"{x}","y":"{y}"}}"#);
    let token =
        sign(r#"{"alg":"ES384"}"#, |signed| key.sign(&random, signed).unwrap().as_ref().to_vec());
    check(&[&jwk], &token, Ok(()));
}

#[test]
fn what_must_not_be_accepted_is_refused() {
    let unsigned = |header: &str| sign(header, |_| Vec::new());
    check(&[P256], &unsigned(r#"{"alg":"none"}"#), Err(JoseError::Algorithm));
    check(&[P256], &unsigned(r#"{"alg":"HS256"}"#), Err(JoseError::Algorithm));
    check(&[P256], &unsigned(r#"{"alg":"ES256","crit":["b64"]}"#), Err(JoseError::Critical));
    for text in ["", "a", "a.b", "a.b.c", "..", "e30.e30.", "W10.e30.", &"a".repeat(MAX_TOKEN + 1)]
    {
        check(&[P256], text, Err(JoseError::Malformed));
    }
    for text in ["", "[]", "{}", r#"{"keys":1}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), JoseError::BadKeys);
    }
    let odd = r#"{"keys":[1,{},{"kty":"RSA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#;
    assert!(KeySet::parse(odd.as_bytes()).unwrap().is_empty());
}

proptest! {
    #[test]
    fn no_text_panics(octets: Vec<u8>) {
        fuzz(&octets);
        fuzz(&[format!("{{\"keys\":[{P256}]}}\n").as_bytes(), &octets].concat());
    }
}

#[test]
fn the_committed_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/provider_token");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(2 < replayed);
}

fn sign(header: &str, by: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let [header, claims] = [header, CLAIMS].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(by(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn verify(keys: &[&str], token: &str) -> Result<Claims, JoseError> {
    let keys = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    Token::parse(token)?.verify(&KeySet::parse(keys.as_bytes())?).cloned()
}

#[track_caller]
fn check(keys: &[&str], token: &str, expected: Result<(), JoseError>) {
    assert_eq!(verify(keys, token).map(drop), expected, "{token}");
}
