//! Signatures and HMACs.

use bulla_seal::{EcdsaPublicKey, MlDsaPublicKey, Signature, VerifyingKey, sha256};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::transit::world::{World, base64};

const SIGNING: [&str; 3] = ["ed25519", "ecdsa-p256", "ml-dsa-65"];

fn bytes(wrapped: &str) -> Vec<u8> {
    BASE64.decode(wrapped.rsplit(':').next().unwrap().as_bytes()).unwrap()
}

#[test]
fn a_signature_verifies_here_and_with_any_program() {
    let world = World::new();
    for r#type in SIGNING {
        world.key(r#type, r#type);
        let signed = world.post(&format!("sign/{}", r#type), json!({"input": base64("a message")}));
        let signature = signed.text("signature");
        assert!(signature.starts_with("vault:v1:") && signed.data["key_version"] == 1);
        world.post(&format!("keys/{}/rotate", r#type), json!({}));
        let verify = |input: &str, signature: &str| {
            world.post(&format!("verify/{}", r#type), json!({"input": base64(input), "signature": signature}))
        };
        assert_eq!(verify("a message", &signature).data, json!({"valid": true}));
        assert_eq!(verify("another", &signature).data, json!({"valid": false}));
        // Of another version.
        assert_eq!(verify("a message", &signature.replacen("v1", "v2", 1)).data, json!({"valid": false}));
        verify("a message", &signature.replacen("v1", "v3", 1)).refused("too new");
        verify("a message", "x").refused("invalid signature: no prefix");
        verify("a message", "vault:v1:!!").refused("base64");
        world.post(&format!("keys/{}/config", r#type), json!({"min_decryption_version": 2}));
        verify("a message", &signature).refused("too old");
    }
    let public =
        |name: &str| world.get(&format!("export/public-key/{name}")).data["keys"]["2"].as_str().unwrap().to_owned();
    let sign =
        |name: &str| bytes(&world.post(&format!("sign/{name}"), json!({"input": base64("m")})).text("signature"));
    let key = VerifyingKey(BASE64.decode(public("ed25519").as_bytes()).unwrap().try_into().unwrap());
    assert!(key.verifies(b"m", &Signature(sign("ed25519").try_into().unwrap())));
    let key = MlDsaPublicKey::from_bytes(&BASE64.decode(public("ml-dsa-65").as_bytes()).unwrap()).unwrap();
    assert!(key.verifies(b"m", &sign("ml-dsa-65")));
    let pem = public("ecdsa-p256");
    let der = BASE64.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>().as_bytes()).unwrap();
    let key = EcdsaPublicKey::from_bytes(der.last_chunk::<65>().unwrap()).unwrap();
    let jws =
        world.post("sign/ecdsa-p256", json!({"input": base64("m"), "marshaling_algorithm": "jws"})).text("signature");
    assert!(key.verifies(b"m", &BASE64URL_NOPAD.decode(jws.rsplit(':').next().unwrap().as_bytes()).unwrap()));
    let verified =
        world.post("verify/ecdsa-p256", json!({"input": base64("m"), "signature": jws, "marshaling_algorithm": "jws"}));
    assert_eq!(verified.data, json!({"valid": true}));
    world.post("verify/ecdsa-p256", json!({"input": base64("m"), "signature": jws})).refused("base64");
}

#[test]
fn a_digest_is_signed_as_its_message_where_the_type_signs_digests() {
    let world = World::new();
    for r#type in SIGNING {
        world.key(r#type, r#type);
    }
    let digest = base64(sha256(b"a message"));
    let signed = world.post(
        "sign/ecdsa-p256/sha2-256",
        json!({"input": digest, "prehashed": "true", "signature_algorithm": "pkcs1v15"}),
    );
    let signature = signed.text("signature");
    let verify = |body: Value| world.post("verify/ecdsa-p256", body).data;
    assert_eq!(verify(json!({"input": base64("a message"), "signature": signature})), json!({"valid": true}));
    assert_eq!(verify(json!({"input": digest, "signature": signature, "prehashed": true})), json!({"valid": true}));
    assert_eq!(verify(json!({"input": digest, "signature": signature})), json!({"valid": false}));
    world.post("sign/ecdsa-p256", json!({"input": base64("short"), "prehashed": true})).refused("32 bytes");
    for r#type in ["ed25519", "ml-dsa-65"] {
        world.post(&format!("sign/{}", r#type), json!({"input": digest, "prehashed": true})).refused("prehashed");
    }
}

#[test]
fn what_a_key_cannot_do_is_refused() {
    let world = World::new();
    for r#type in ["ed25519", "ecdsa-p256", "hmac", "aes256-gcm96"] {
        world.key(r#type, r#type);
    }
    let input = base64("m");
    for (path, body, words) in [
        ("sign/ed25519", json!({}), "missing input"),
        ("sign/ed25519", json!({"input": "!!"}), "base64"),
        ("sign/ed25519", json!({"input": input, "context": "YQ=="}), "context"),
        ("sign/ed25519", json!({"input": input, "key_version": 2}), "no such version"),
        ("sign/ed25519", json!({"input": input, "key_version": -2}), "negative"),
        ("sign/ed25519", json!({"input": input, "hash_algorithm": "x"}), "hash_algorithm"),
        ("sign/ed25519/x", json!({"input": input}), "hash_algorithm"),
        ("sign/ed25519", json!({"input": input, "marshaling_algorithm": "x"}), "marshaling_algorithm"),
        ("sign/ed25519", json!({"input": input, "signature_algorithm": "x"}), "signature_algorithm"),
        ("sign/ecdsa-p256", json!({"input": input, "hash_algorithm": "sha2-512"}), "sha2-256"),
        ("sign/ecdsa-p256", json!({"input": input, "algorithm": "none"}), "sha2-256"),
        ("sign/hmac", json!({"input": input}), "another use"),
        ("sign/aes256-gcm96", json!({"input": input}), "another use"),
        ("sign/none", json!({"input": input}), "signing key not found"),
        ("verify/none", json!({"input": input, "signature": "x"}), "verification key not found"),
        ("verify/ed25519", json!({"input": input}), "neither"),
        ("verify/ed25519", json!({"input": input, "signature": "x", "hmac": "x"}), "or all of it"),
        ("verify/ed25519", json!({"input": input, "hmac": "vault:v1:AAAA"}), "another use"),
        ("hmac/ed25519", json!({"input": input}), "another use"),
        ("hmac/aes256-gcm96", json!({"input": input}), "another use"),
        ("hmac/hmac/sha2-512", json!({"input": input}), "sha2-256"),
        ("hmac/hmac", json!({"input": input, "algorithm": "md5"}), "sha2-256"),
        ("hmac/hmac", json!({}), "missing input"),
        ("hmac/hmac", json!({"input": input, "key_version": 5}), "no such version"),
        ("hmac/none", json!({"input": input}), "encryption key not found"),
        ("sign/ed25519", json!({"batch_input": []}), "missing batch input"),
        ("hmac/hmac", json!({"batch_input": []}), "missing batch input"),
        ("verify/hmac", json!({"batch_input": []}), "missing batch input"),
        ("verify/hmac", json!({"batch_input": [{"input": input}]}), "neither"),
        ("verify/hmac", json!({"batch_input": [{"input": input, "hmac": "x"}, {"input": input}]}), "or all of it"),
    ] {
        world.post(path, body).refused(words);
    }
}

#[test]
fn an_hmac_verifies_under_the_version_that_made_it() {
    let world = World::new();
    world.key("tags", "hmac");
    let hmac = world.post("hmac/tags", json!({"input": base64("m")})).text("hmac");
    assert_eq!(bytes(&hmac).len(), 32);
    assert_eq!(world.post("hmac/tags/sha2-256", json!({"input": base64("m")})).text("hmac"), hmac);
    world.post("keys/tags/rotate", json!({}));
    let chosen = json!({"input": base64("m"), "key_version": 1});
    assert_eq!(world.post("hmac/tags", chosen).text("hmac"), hmac);
    let verify = |body: Value| world.post("verify/tags", body);
    assert_eq!(verify(json!({"input": base64("m"), "hmac": hmac})).data, json!({"valid": true}));
    assert_eq!(verify(json!({"input": base64("n"), "hmac": hmac})).data, json!({"valid": false}));
    assert_eq!(verify(json!({"input": base64("m"), "hmac": "vault:v1:"})).data, json!({"valid": false}));
    assert_eq!(
        verify(json!({"input": base64("m"), "hmac": hmac.replacen("v1", "v2", 1)})).data,
        json!({"valid": false})
    );
    verify(json!({"input": base64("m"), "hmac": hmac.replacen("v1", "v9", 1)}))
        .refused("invalid HMAC: version is too new");
    verify(json!({"input": base64("m"), "hmac": "x"})).refused("invalid HMAC: no prefix");
    world.post("keys/tags/config", json!({"min_encryption_version": 2}));
    world.post("hmac/tags", json!({"input": base64("m"), "key_version": 1})).refused("minimum encryption");
}

#[test]
fn batches_answer_each_item() {
    let world = World::new();
    world.key("tags", "hmac");
    world.key("signer", "ed25519");
    let items = json!([{"input": base64("a"), "reference": "r"}, {}, {"input": "!!"}]);
    let hmacs = world.post("hmac/tags", json!({"batch_input": items}));
    let signed = world.post("sign/signer", json!({"batch_input": items}));
    for reply in [&hmacs, &signed] {
        assert_eq!((reply.status, reply.item(0, "reference")), (200, &json!("r")));
        assert!(reply.item(1, "error").as_str().unwrap().contains("missing input"));
        assert!(reply.item(2, "error").as_str().unwrap().contains("base64"));
    }
    let hmac = hmacs.item(0, "hmac");
    let items = json!([{"input": base64("a"), "hmac": hmac, "reference": "r"}, {"input": base64("b"), "hmac": hmac}, {"input": "", "hmac": "x"}]);
    let verified = world.post("verify/tags", json!({"batch_input": items}));
    assert_eq!(
        (verified.status, verified.item(0, "valid"), verified.item(1, "valid")),
        (200, &json!(true), &json!(false))
    );
    assert_eq!(verified.item(2, "error"), "invalid HMAC: no prefix");
    let signature = signed.item(0, "signature");
    let items = json!([{"input": base64("a"), "signature": signature}, {"input": base64("b"), "signature": signature}]);
    let verified = world.post("verify/signer", json!({"batch_input": items}));
    assert_eq!((verified.item(0, "valid"), verified.item(1, "valid")), (&json!(true), &json!(false)));
}
