//! What no client should send.

use data_encoding::BASE64;
use proptest::prop_assert;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::transit::world::{World, base64};

/// A request of every operation that takes a body, as it should be.
fn requests(sealed: &str, signature: &str) -> Vec<(&'static str, Value)> {
    let text = base64("x");
    vec![
        (
            "keys/orders",
            json!({"type": "aes256-gcm96", "derived": false, "convergent_encryption": false, "exportable": false, "allow_plaintext_backup": false, "auto_rotate_period": 0, "key_size": 0, "parameter_set": ""}),
        ),
        (
            "keys/orders/config",
            json!({"min_decryption_version": 1, "min_encryption_version": 0, "deletion_allowed": false, "exportable": false, "allow_plaintext_backup": false, "auto_rotate_period": 0}),
        ),
        ("keys/orders/trim", json!({"min_available_version": 1})),
        (
            "encrypt/orders",
            json!({"plaintext": text, "context": "", "associated_data": "", "key_version": 1, "nonce": "", "type": "", "convergent_encryption": false, "partial_failure_response_code": 400, "batch_input": null}),
        ),
        (
            "encrypt/orders",
            json!({"batch_input": [{"plaintext": text, "context": "", "associated_data": "", "key_version": 1, "nonce": "", "reference": ""}]}),
        ),
        (
            "decrypt/orders",
            json!({"ciphertext": sealed, "context": "", "associated_data": "", "nonce": "", "partial_failure_response_code": 400}),
        ),
        (
            "decrypt/orders",
            json!({"batch_input": [{"ciphertext": sealed, "context": "", "associated_data": "", "nonce": "", "reference": ""}]}),
        ),
        (
            "rewrap/orders",
            json!({"ciphertext": sealed, "context": "", "associated_data": "", "key_version": 0, "nonce": "", "partial_failure_response_code": 400}),
        ),
        (
            "rewrap/orders",
            json!({"batch_input": [{"ciphertext": sealed, "context": "", "associated_data": "", "key_version": 0, "nonce": "", "reference": ""}]}),
        ),
        (
            "datakey/wrapped/orders",
            json!({"bits": 256, "context": "", "associated_data": "", "key_version": 0, "nonce": ""}),
        ),
        (
            "sign/signer",
            json!({"input": text, "context": "", "key_version": 0, "hash_algorithm": "", "algorithm": "", "prehashed": false, "signature_algorithm": "", "marshaling_algorithm": "", "salt_length": ""}),
        ),
        ("sign/signer", json!({"batch_input": [{"input": text, "context": "", "reference": ""}]})),
        (
            "verify/signer",
            json!({"input": text, "signature": signature, "hmac": "", "context": "", "hash_algorithm": "", "algorithm": "", "prehashed": false, "signature_algorithm": "", "marshaling_algorithm": "", "salt_length": ""}),
        ),
        (
            "verify/signer",
            json!({"batch_input": [{"input": text, "signature": signature, "hmac": "", "context": "", "reference": ""}]}),
        ),
        ("hmac/tags", json!({"input": text, "key_version": 0, "algorithm": ""})),
        ("hmac/tags", json!({"batch_input": [{"input": text, "context": "", "reference": ""}]})),
        ("hash", json!({"input": text, "algorithm": "", "format": ""})),
        ("random", json!({"bytes": 8, "format": "", "source": ""})),
        ("restore", json!({"backup": "", "force": false, "name": ""})),
        (
            "keys/new/import",
            json!({"ciphertext": "", "hash_function": "", "type": "", "public_key": "", "allow_rotation": false, "derived": false, "exportable": false, "allow_plaintext_backup": false, "auto_rotate_period": 0}),
        ),
        ("keys/new/import_version", json!({"ciphertext": "", "hash_function": "", "public_key": "", "version": null})),
    ]
}

fn world() -> (World, Vec<(&'static str, Value)>) {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    world.key("signer", "ed25519");
    world.key("tags", "hmac");
    let sealed = world.encrypt("orders", "x");
    let signature = world.post("sign/signer", json!({"input": base64("x")})).text("signature");
    let requests = requests(&sealed, &signature);
    (world, requests)
}

/// Replaces a field, of the request itself or of its first item.
fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    match body.get_mut("batch_input") {
        Some(Value::Array(items)) => items[0][field] = value,
        _ => body[field] = value,
    }
    body
}

fn fields(body: &Value) -> Vec<String> {
    let object = match body.get("batch_input") {
        Some(Value::Array(items)) => &items[0],
        _ => body,
    };
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_field_refuses_what_is_of_another_type_and_takes_null() {
    let (world, requests) = world();
    for (path, body) in requests {
        let status = world.post(path, body.clone()).status;
        for field in fields(&body) {
            for value in [
                json!([]),
                json!({}),
                json!([1]),
                json!(1.5),
                json!({"a": null}),
                json!("\u{0}\u{1F600}"),
                json!("x".repeat(100_000)),
                json!(-1),
                json!(u64::MAX),
            ] {
                let reply = world.post(path, with(&body, &field, value.clone()));
                assert!(reply.status < 500, "{path} {field} {reply:?}");
                if value.is_array() || value.is_object() || value.is_f64() {
                    assert_eq!(reply.status, 400, "{path} {field} {value}: {reply:?}");
                }
            }
            let reply = world.post(path, with(&body, &field, json!(null)));
            let required = ["plaintext", "ciphertext", "input", "signature", "min_available_version"];
            assert!(reply.status == status || required.contains(&&*field), "{path} {field}: {reply:?}");
        }
        world.post(path, with(&body, "unknown", json!(1))).refused("unknown field");
        for bad in ["[]", "1", "\"\"", "{", "{\"a\"", "{} {}", "null"] {
            assert_eq!(world.ask("POST", path, bad).status, 400, "{path} {bad}");
        }
    }
}

#[test]
fn a_batch_has_a_hundred_thousand_items_and_not_one_more() {
    let (world, _) = world();
    let batch = |items: usize| {
        let items = vec![r#"{"input":"eA=="}"#; items].join(",");
        world.ask("POST", "hmac/tags", &format!(r#"{{"batch_input":[{items}]}}"#))
    };
    assert_eq!(batch(100_000).data["batch_results"].as_array().unwrap().len(), 100_000);
    batch(100_001).refused("at most 100000 items");
    for path in ["encrypt/orders", "decrypt/orders", "rewrap/orders", "sign/signer", "verify/signer"] {
        let items = vec!["{}"; 100_001].join(",");
        world.ask("POST", path, &format!(r#"{{"batch_input":[{items}]}}"#)).refused("at most 100000 items");
    }
}

#[test]
fn no_altered_ciphertext_opens() {
    let (world, _) = world();
    let sealed = world.encrypt("orders", "42 widgets");
    let encoded = sealed.rsplit(':').next().unwrap();
    let bytes = BASE64.decode(encoded.as_bytes()).unwrap();
    let open = |bytes: &[u8]| world.decrypt("orders", &format!("vault:v1:{}", BASE64.encode(bytes)));
    assert_eq!(open(&bytes).status, 200);
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        open(&altered).refused("cannot be opened");
        open(&bytes[..at]).refused("cannot be opened");
    }
    open(&[&bytes[..], &[0]].concat()).refused("cannot be opened");
    open(&[]).refused("cannot be opened");
    for (text, words) in [
        (String::new(), "missing ciphertext"),
        (encoded.to_owned(), "no prefix"),
        (format!("vault:v1{encoded}"), "wrong number of fields"),
        (format!("vault:v2:{encoded}"), "too new"),
        (format!("vault:v18446744073709551615:{encoded}"), "too new"),
        (format!("vault:v18446744073709551616:{encoded}"), "version number"),
        (format!("vault:v0:{encoded}"), "version number"),
        (format!("vault:v-1:{encoded}"), "version number"),
        (format!("vault:v1:{encoded}="), "base64"),
        (format!(" vault:v1:{encoded}"), "no prefix"),
        (sealed.replace("vault", "bulla"), "no prefix"),
    ] {
        world.decrypt("orders", &text).refused(words);
    }
}

#[test]
fn whatever_text_comes_is_refused_and_never_a_surprise() {
    let (world, _) = world();
    world.key("ec", "ecdsa-p256");
    let text = "(vault:v[0-9]{0,21}:)?[ -~]{0,80}|vault:v1:MEUCI[A-Za-z0-9+/]{87}=?";
    let ran = TestRunner::default().run(&text, |text| {
        for (path, body) in [
            ("decrypt/orders", json!({"ciphertext": text})),
            ("rewrap/orders", json!({"ciphertext": text})),
            ("verify/ec", json!({"signature": text, "input": ""})),
            ("verify/signer", json!({"signature": text, "input": ""})),
            ("verify/tags", json!({"hmac": text, "input": ""})),
            ("restore", json!({"backup": text, "force": true})),
            ("keys/new/import", json!({"ciphertext": text})),
        ] {
            let reply = world.post(path, body);
            prop_assert!(reply.status == 400 || reply.data == json!({"valid": false}), "{path} {text:?}: {reply:?}");
        }
        Ok(())
    });
    assert!(ran.is_ok(), "{ran:?}");
}

#[test]
fn a_forged_version_is_found_out() {
    let (world, _) = world();
    let old = world.encrypt("orders", "x");
    for _ in 0..2 {
        world.post("keys/orders/rotate", json!({}));
    }
    world.decrypt("orders", &old.replacen("v1", "v2", 1)).refused("another version than it was made with");
    world.decrypt("orders", &old.replacen("v1", "v4", 1)).refused("too new");
    world.post("keys/orders/config", json!({"min_decryption_version": 2}));
    // One that is too old does not pass for a younger one, nor the other way round.
    world.decrypt("orders", &old.replacen("v1", "v3", 1)).refused("too old");
    world.decrypt("orders", &world.encrypt("orders", "x").replacen("v3", "v1", 1)).refused("too old");
}

#[test]
fn names_of_others_are_out_of_reach() {
    let (world, _) = world();
    for name in ["", "..", "a b", "store%2Fdefault", "sys", "a\0", "-", &"a".repeat(1_000)] {
        for (method, path) in [("GET", "keys"), ("POST", "keys"), ("DELETE", "keys"), ("GET", "backup")] {
            let reply = world.ask(method, &format!("{path}/{name}"), if method == "POST" { "{}" } else { "" });
            assert!([400, 404].contains(&reply.status), "{path} {name} {reply:?}");
        }
    }
    for mount in ["sys", "store", "store/features", "a/derived", "", "..", "a//b"] {
        world.ask_in(mount, "POST", "encrypt/default", r#"{"plaintext": ""}"#).refused("mount");
        world.ask_in(mount, "LIST", "keys", "").refused("mount");
    }
}

#[test]
fn no_error_shows_what_was_brought() {
    let (world, requests) = world();
    let secret = "c2VjcmV0LXNlY3JldA=x";
    for (path, body) in requests {
        for field in
            ["plaintext", "ciphertext", "input", "context", "associated_data", "nonce", "signature", "hmac", "backup"]
        {
            let reply = world.post(path, with(&body, field, json!(secret)));
            assert!(!format!("{reply:?}").contains("c2VjcmV0"), "{path} {field} {reply:?}");
        }
    }
    let request: bulla_server::transit::EncryptRequest = serde_json::from_value(json!({"plaintext": secret})).unwrap();
    assert!(!format!("{request:?}").contains(secret));
}
