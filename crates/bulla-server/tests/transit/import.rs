//! Material that clients bring.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::transit::world::{World, base64};

/// What a client does: it wraps material with a key of its own, and that with the wrapping key.
fn wrapped(public_key: &str, padding: &'static OaepAlgorithm, material: &[u8]) -> Vec<u8> {
    let encoded: String = public_key.lines().filter(|line| !line.starts_with('-')).collect();
    let key = PublicEncryptingKey::from_der(&BASE64.decode(encoded.as_bytes()).unwrap()).unwrap();
    assert_eq!(key.key_size_bits(), 4_096);
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let (ephemeral, mut first, mut second) = ([7; 32], vec![0; key.ciphertext_size()], vec![0; material.len() + 16]);
    key.encrypt(padding, &ephemeral, &mut first, None).unwrap();
    let second = AesKek::new(&AES_256, &ephemeral).unwrap().wrap_with_padding(material, &mut second).unwrap().to_vec();
    [first, second].concat()
}

#[test]
fn keys_come_in_wrapped_and_work() {
    let world = World::new();
    let public_key = world.get("wrapping_key").text("public_key");
    assert_eq!(world.get("wrapping_key").text("public_key"), public_key, "it is kept");
    let wrap = |material: &[u8]| wrapped(&public_key, &OAEP_SHA256_MGF1SHA256, material);
    let import = |name: &str, body: Value| world.post(&format!("keys/{name}/import"), body);

    // Sealing, with the next version.
    let first = base64(wrap(&[1; 32]));
    assert_eq!(import("orders", json!({"ciphertext": first, "exportable": true})).status, 204);
    assert_eq!(world.get("keys/orders").data["imported_key"], true);
    assert_eq!(world.get("export/encryption-key/orders").data["keys"]["1"], base64([1; 32]));
    let sealed = world.encrypt("orders", "x");
    let next =
        json!({"ciphertext": base64(wrapped(&public_key, &OAEP_SHA1_MGF1SHA1, &[2; 32])), "hash_function": "sha1"});
    assert_eq!(world.post("keys/orders/import_version", next).status, 204);
    assert!(world.encrypt("orders", "x").starts_with("vault:v2:"));
    assert_eq!(world.decrypt("orders", &sealed).text("plaintext"), base64("x"));
    world.post("keys/orders/rotate", json!({})).refused("from outside");
    import("orders", json!({"ciphertext": first})).refused("there already");
    import("other", json!({"ciphertext": first})).refused("no new one");
    world.post("keys/none/import_version", json!({"ciphertext": first})).refused("no such key");
    world.key("drawn", "aes256-gcm96");
    world.post("keys/drawn/import_version", json!({"ciphertext": base64(wrap(&[3; 32]))})).refused("drawn here");

    // Signing: as PKCS #8.
    let pair = Ed25519KeyPair::generate().unwrap();
    let pkcs8 = pair.to_pkcs8v1().unwrap();
    assert_eq!(import("ed", json!({"type": "ed25519", "ciphertext": base64(wrap(pkcs8.as_ref()))})).status, 204);
    assert_eq!(world.get("keys/ed").data["keys"]["1"]["public_key"], base64(pair.public_key()));
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let pkcs8 = pair.to_pkcs8v1().unwrap();
    assert_eq!(import("ec", json!({"type": "ecdsa-p256", "ciphertext": base64(wrap(pkcs8.as_ref()))})).status, 204);
    let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let shown = world.get("keys/ec").data["keys"]["1"]["public_key"].as_str().unwrap().to_owned();
    assert_eq!(shown.lines().filter(|line| !line.starts_with('-')).collect::<String>(), base64(der.as_ref()));
    assert_eq!(import("tags", json!({"type": "hmac", "ciphertext": base64(wrap(&[4; 64]))})).status, 204);
    assert_eq!(world.post("hmac/tags", json!({"input": ""})).status, 200);
    let derived = json!({"derived": true, "ciphertext": base64(wrap(&[5; 32]))});
    assert_eq!(import("tenants", derived).status, 204);
    assert_eq!(world.get("keys/tenants").data["derived"], true);

    // What is none.
    let good = wrap(&[6; 32]);
    let refused = |bytes: &[u8], r#type: &str, words: &str| {
        import("bad", json!({"type": r#type, "ciphertext": base64(bytes)})).refused(words);
    };
    for at in [0, 300, 511, 512, good.len() - 1] {
        let mut altered = good.clone();
        altered[at] ^= 1;
        refused(&altered, "aes256-gcm96", "no key that was wrapped");
    }
    for len in [0, 1, 511, 512] {
        refused(&good[..len], "aes256-gcm96", if len == 0 { "missing" } else { "length" });
    }
    refused(&[&good[..], &[0; 8]].concat(), "aes256-gcm96", "no key that was wrapped");
    refused(&vec![0; 40_000], "aes256-gcm96", "length");
    refused(&wrap(&[6; 31]), "aes256-gcm96", "no key of this type");
    refused(&wrap(&[6; 31]), "hmac", "no key of this type");
    refused(&good, "ed25519", "no key of this type");
    refused(&good, "ecdsa-p256", "no key of this type");
    refused(&good, "ml-dsa-65", "no key of this type");
    refused(&good, "rsa-2048", "not supported");
    let good = base64(good);
    for (body, words) in [
        (json!({"ciphertext": "!!"}), "base64"),
        (json!({"ciphertext": good, "hash_function": "MD5"}), "hash_function"),
        (json!({"ciphertext": good, "hash_function": "SHA512"}), "no key that was wrapped"),
        (json!({"ciphertext": good, "allow_rotation": true}), "allow_rotation"),
        (json!({"ciphertext": good, "auto_rotate_period": "24h"}), "auto_rotate_period"),
        (json!({"ciphertext": good, "public_key": "x"}), "public_key"),
        (json!({"ciphertext": good, "type": "hmac", "derived": true}), "derived"),
    ] {
        import("bad", body).refused(words);
    }
    let version = json!({"ciphertext": good, "version": 1});
    world.post("keys/orders/import_version", version).refused("version");
    assert_eq!(world.get("keys/bad").status, 404);
}
