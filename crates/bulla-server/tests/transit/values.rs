//! Encrypting, decrypting, rewrapping, and keys for use elsewhere.

use bulla::{Algorithm, Context, KeySetting};
use data_encoding::BASE64;
use pollster::block_on as block;
use serde_json::{Value, json};

use crate::transit::world::{World, base64};

#[test]
fn what_was_encrypted_decrypts_under_every_version() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    let first = world.encrypt("orders", "42 widgets");
    assert!(first.starts_with("vault:v1:"), "{first}");
    assert_eq!(world.post("keys/orders/rotate", json!({})).data["latest_version"], 2);
    let reply = world.post("encrypt/orders", json!({"plaintext": base64("42 widgets"), "key_version": null}));
    assert!(reply.text("ciphertext").starts_with("vault:v2:") && reply.data["key_version"] == 2);
    for ciphertext in [first, reply.text("ciphertext")] {
        assert_eq!(world.decrypt("orders", &ciphertext).text("plaintext"), base64("42 widgets"));
    }
    assert_eq!(world.decrypt("orders", &world.encrypt("orders", "")).text("plaintext"), "");
}

#[test]
fn an_older_version_may_be_chosen_as_far_as_the_configuration_says() {
    let world = World::new();
    world.key("orders", "chacha20-poly1305");
    for _ in 0..2 {
        world.post("keys/orders/rotate", json!({}));
    }
    let under = |version: Value| world.post("encrypt/orders", json!({"plaintext": "", "key_version": version}));
    for version in [json!(1), json!("2"), json!(3)] {
        assert_eq!(under(version.clone()).status, 200, "{version}");
    }
    assert_eq!(under(json!(0)).data["key_version"], 3);
    under(json!(4)).refused("higher than the latest");
    under(json!(-1)).refused("negative");
    assert_eq!(world.post("keys/orders/config", json!({"min_encryption_version": 2})).status, 200);
    under(json!(1)).refused("less than the minimum");
    assert_eq!(under(json!(2)).data["key_version"], 2);
    assert_eq!(
        world.post("keys/orders/config", json!({"min_encryption_version": 0})).data["min_encryption_version"],
        0
    );
    assert_eq!(under(json!(1)).data["key_version"], 1);
}

#[test]
fn a_ciphertext_is_bound_to_its_key_its_mount_and_what_was_told_with_it() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    world.key("other", "aes256-gcm96");
    let sealed = world.encrypt("orders", "42 widgets");
    world.decrypt("other", &sealed).refused("cannot be opened");
    let elsewhere = json!({"plaintext": base64("42 widgets")}).to_string();
    let elsewhere = world.ask_in("payments", "POST", "encrypt/orders", &elsewhere).text("ciphertext");
    world.decrypt("orders", &elsewhere).refused("cannot be opened");

    let told = world.post("encrypt/orders", json!({"plaintext": base64("x"), "associated_data": base64("row 7")}));
    let told = told.text("ciphertext");
    let open = |extra: Value| {
        let mut body = json!({"ciphertext": told});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        world.post("decrypt/orders", body)
    };
    assert_eq!(open(json!({"associated_data": base64("row 7")})).text("plaintext"), base64("x"));
    open(json!({"associated_data": base64("row 8")})).refused("cannot be opened");
    open(json!({})).refused("cannot be opened");
    // The one does not stand for the other.
    open(json!({"context": base64("row 7")})).refused("cannot be opened");
}

#[test]
fn a_ciphertext_is_what_the_specification_says() {
    let world = World::new();
    let body = json!({"plaintext": base64("x"), "context": base64("a"), "associated_data": base64("b")}).to_string();
    for (mount, key) in [("transit", "transit/derived/orders"), ("a/b/", "a/b/derived/orders")] {
        let text = world.ask_in(mount, "POST", "encrypt/orders", &body).text("ciphertext");
        let sealed = BASE64.decode(text.strip_prefix("vault:v1:").unwrap().as_bytes()).unwrap();
        let context = Context::in_domain("bulla/transit", &world.project.id())
            .text("mount", mount.trim_end_matches('/'))
            .text("key", "orders")
            .bytes("context", b"a")
            .bytes("associated_data", b"b");
        let (key, context) = (key.parse().unwrap(), context.build().unwrap());
        assert_eq!(block(world.project.keyring().open_sealed(&key, &context, &sealed)).unwrap(), b"x");
    }
}

#[test]
fn a_derived_key_takes_a_context_and_is_bound_to_it() {
    let world = World::new();
    assert_eq!(world.post("keys/tenants", json!({"derived": true})).data["derived"], true);
    world.post("encrypt/tenants", json!({"plaintext": base64("x")})).refused("context");
    world.post("encrypt/tenants", json!({"plaintext": base64("x"), "context": ""})).refused("context");
    world
        .post("encrypt/tenants", json!({"plaintext": base64("x"), "context": "!"}))
        .refused("context: it is not base64");
    let body = json!({"plaintext": base64("x"), "context": base64("tenant 1")});
    let sealed = world.post("encrypt/tenants", body).text("ciphertext");
    let open = |context: Value| world.post("decrypt/tenants", json!({"ciphertext": sealed, "context": context}));
    assert_eq!(open(json!(base64("tenant 1"))).text("plaintext"), base64("x"));
    open(json!(base64("tenant 2"))).refused("cannot be opened");
    open(json!(null)).refused("missing 'context'");
    let batch = json!({"batch_input": [{"plaintext": "", "context": base64("a")}, {"plaintext": ""}]});
    world.post("encrypt/tenants", batch).refused("in all items of a batch or in none");
    world.post("datakey/plaintext/tenants", json!({})).refused("missing 'context'");
    world.post("rewrap/tenants", json!({"ciphertext": sealed})).refused("missing 'context'");
    world.post("keys/tenants/rotate", json!({}));
    let again = world.post("rewrap/tenants", json!({"ciphertext": sealed, "context": base64("tenant 1")}));
    assert_eq!(again.data["key_version"], 2);
}

#[test]
fn a_convergent_key_makes_equal_ciphertexts_in_equal_contexts() {
    let world = World::new();
    let made = world.post("keys/index", json!({"derived": true, "convergent_encryption": true}));
    assert!(made.data["convergent_encryption"] == true && made.data["type"] == "aes256-gcm96");
    let encrypt = |plaintext: &str, context: &str| {
        world
            .post("encrypt/index", json!({"plaintext": base64(plaintext), "context": base64(context)}))
            .text("ciphertext")
    };
    let sealed = encrypt("ada@example.org", "mail");
    assert_eq!(sealed, encrypt("ada@example.org", "mail"));
    assert_ne!(sealed, encrypt("bob@example.org", "mail"));
    assert_ne!(sealed, encrypt("ada@example.org", "login"));
    let opened = world.post("decrypt/index", json!({"ciphertext": sealed, "context": base64("mail")}));
    assert_eq!(opened.text("plaintext"), base64("ada@example.org"));
    world.post("keys/x", json!({"convergent_encryption": true})).refused("derivation");
    let other = json!({"type": "chacha20-poly1305", "derived": true, "convergent_encryption": true});
    world.post("keys/x", other).refused("convergent_encryption");
}

#[test]
fn a_context_binds_also_where_the_key_is_not_derived() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    let body = json!({"plaintext": base64("x"), "context": base64("a")});
    let sealed = world.post("encrypt/orders", body).text("ciphertext");
    let opened = world.post("decrypt/orders", json!({"ciphertext": sealed, "context": base64("a")}));
    assert_eq!(opened.text("plaintext"), base64("x"));
    world.decrypt("orders", &sealed).refused("cannot be opened");
}

#[test]
fn encrypting_makes_the_key_for_those_who_may() {
    let mut world = World::new();
    assert_eq!(world.post("encrypt/plain", json!({"plaintext": ""})).status, 200);
    assert_eq!(world.post("encrypt/bound", json!({"plaintext": "", "context": base64("a")})).status, 200);
    let batch = json!({"type": "chacha20-poly1305", "batch_input": [{"plaintext": ""}, {"plaintext": ""}]});
    assert_eq!(world.post("encrypt/many", batch).status, 200);
    assert_eq!(world.get("keys/plain").data["derived"], false);
    assert_eq!(world.get("keys/bound").data["derived"], true);
    assert_eq!(world.get("keys/many").data["type"], "chacha20-poly1305");
    let body = json!({"plaintext": "", "context": base64("a"), "convergent_encryption": true});
    assert_eq!(world.post("encrypt/equal", body).status, 200);
    assert_eq!(world.get("keys/equal").data["convergent_encryption"], true);
    world.post("encrypt/no", json!({"plaintext": "", "convergent_encryption": true})).refused("context");
    world.post("encrypt/no", json!({"plaintext": "", "type": "ed25519"})).refused("do not encrypt");
    world.post("encrypt/no", json!({"plaintext": "", "type": "rsa-2048"})).refused("not supported");
    world.post("encrypt/no", json!({"type": "aes256-gcm96"})).refused("missing plaintext");
    assert_eq!(world.get("keys/no").status, 404);
    world.may_create = false;
    world.post("encrypt/no", json!({"plaintext": ""})).refused("encryption key not found");
    assert_eq!(world.get("keys/no").status, 404);
    assert_eq!(world.post("encrypt/plain", json!({"plaintext": ""})).status, 200);
}

#[test]
fn the_items_of_a_batch_fail_one_by_one() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    let items = json!([
        {"plaintext": base64("a"), "reference": "first"},
        {"plaintext": "!!", "reference": "second"},
        {"plaintext": base64("c"), "key_version": 7},
        {},
    ]);
    let reply = world.post("encrypt/orders", json!({"plaintext": null, "batch_input": items}));
    assert_eq!(reply.status, 400);
    assert_eq!((reply.item(0, "reference"), reply.item(1, "reference")), (&json!("first"), &json!("second")));
    assert_eq!(reply.item(1, "error"), "plaintext: it is not base64");
    assert!(reply.item(2, "error").as_str().unwrap().contains("higher than the latest"));
    assert_eq!(
        (reply.item(2, "reference"), reply.item(3, "error")),
        (&json!(""), &json!("plaintext: missing plaintext to encrypt"))
    );
    let sealed = reply.item(0, "ciphertext").clone();
    for (code, status, warnings) in
        [(json!(207), 207, 0), (json!("200"), 200, 0), (json!(700), 400, 1), (json!(-1), 400, 1), (json!(null), 400, 0)]
    {
        let body = json!({"batch_input": [{"ciphertext": sealed}, {"ciphertext": "x"}], "partial_failure_response_code": code});
        let reply = world.post("decrypt/orders", body);
        assert_eq!((reply.status, reply.warnings), (status, warnings), "{code}");
        assert_eq!(reply.item(0, "plaintext"), &json!(base64("a")));
        assert_eq!(reply.item(1, "error"), "invalid ciphertext: no prefix");
    }
    // Where nothing went well, no other status is answered.
    let body = json!({"batch_input": [{"ciphertext": "x"}], "partial_failure_response_code": 207});
    assert_eq!(world.post("decrypt/orders", body).status, 400);
    for path in ["encrypt/orders", "decrypt/orders", "rewrap/orders"] {
        world.post(path, json!({"batch_input": []})).refused("missing batch input");
    }
    world.post("decrypt/none", json!({"batch_input": [{"ciphertext": sealed}]})).refused("encryption key not found");
}

#[test]
fn rewrapping_brings_under_the_newest_version_and_keeps_what_is_told() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    let told = base64("row 7");
    let body = json!({"plaintext": base64("x"), "associated_data": told});
    let sealed = world.post("encrypt/orders", body).text("ciphertext");
    let rewrap = |body: Value| world.post("rewrap/orders", body);
    // As it is, while its version is the newest.
    assert_eq!(rewrap(json!({"ciphertext": sealed, "associated_data": told})).text("ciphertext"), sealed);
    rewrap(json!({"ciphertext": sealed})).refused("cannot be opened");
    world.post("keys/orders/rotate", json!({}));
    let again = rewrap(json!({"ciphertext": sealed, "associated_data": told})).text("ciphertext");
    assert!(again.starts_with("vault:v2:"));
    let opened = world.post("decrypt/orders", json!({"ciphertext": again, "associated_data": told}));
    assert_eq!(opened.text("plaintext"), base64("x"));
    let back = rewrap(json!({"ciphertext": again, "associated_data": told, "key_version": 1}));
    assert_eq!(back.data["key_version"], 1);
    let batch = json!({"batch_input": [{"ciphertext": sealed, "associated_data": told, "reference": "r"}, {"ciphertext": "x"}]});
    let reply = rewrap(batch);
    assert_eq!((reply.status, reply.item(0, "key_version"), reply.item(0, "reference")), (400, &json!(2), &json!("r")));
    rewrap(json!({})).refused("missing ciphertext");
    world.post("rewrap/none", json!({"ciphertext": sealed})).refused("encryption key not found");
}

#[test]
fn a_key_for_use_elsewhere_comes_back_from_its_ciphertext() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    for (bits, len) in [(json!(null), 44), (json!(128), 24), (json!("256"), 44), (json!(512), 88)] {
        let body = json!({"bits": bits, "associated_data": base64("a")});
        let made = world.post("datakey/plaintext/orders", body);
        assert_eq!(made.text("plaintext").len(), len);
        let body = json!({"ciphertext": made.text("ciphertext"), "associated_data": base64("a")});
        assert_eq!(world.post("decrypt/orders", body).text("plaintext"), made.text("plaintext"));
    }
    let wrapped = world.post("datakey/wrapped/orders", json!({}));
    assert!(wrapped.data.get("plaintext").is_none() && wrapped.data["key_version"] == 1);
    world.post("datakey/plaintext/orders", json!({"bits": 64})).refused("bit length");
    world.post("datakey/shown/orders", json!({})).refused("path");
    world.post("datakey/plaintext/none", json!({})).refused("encryption key not found");
}

#[test]
fn uses_that_are_counted_are_counted_for_each_item() {
    let world = World::new();
    let name = "counted".parse().unwrap();
    let settings = [KeySetting::MaxUses(Some(2))];
    block(world.project.keyring().create_key_with(&name, Algorithm::Aes256Gcm, &settings)).unwrap();
    let items = json!([{"plaintext": ""}, {"plaintext": ""}, {"plaintext": ""}, {"plaintext": ""}, {"plaintext": ""}]);
    let reply = world.post("encrypt/counted", json!({"batch_input": items}));
    let versions: Vec<u64> = (0..5).map(|index| reply.item(index, "key_version").as_u64().unwrap()).collect();
    assert_eq!(versions, [1, 1, 2, 2, 3]);
}

#[test]
fn a_nonce_is_refused_and_said_why() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    for path in ["encrypt/orders", "decrypt/orders", "rewrap/orders", "datakey/plaintext/orders"] {
        let sealed = world.encrypt("orders", "x");
        let mut body = json!({"nonce": base64("123456789012")});
        match path.split('/').next() {
            Some("encrypt") => body["plaintext"] = json!(""),
            Some("datakey") => {}
            _ => body["ciphertext"] = json!(sealed),
        }
        world.post(path, body.clone()).refused("nonce");
        for none in [json!(null), json!("")] {
            body["nonce"] = none;
            assert_eq!(world.post(path, body.clone()).status, 200, "{path}");
        }
    }
}
