//! Making, showing, configuring, handing out and deleting keys.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use bulla::{Algorithm, Exportable, KeySetting};
use data_encoding::BASE64;
use pollster::block_on as block;
use serde_json::{Value, json};

use crate::transit::world::{World, base64};

#[test]
fn a_key_is_shown_as_it_was_made() {
    let world = World::new();
    let body = json!({"type": "chacha20-poly1305", "exportable": true, "auto_rotate_period": "72h", "derived": null});
    let made = world.post("keys/orders", body);
    assert_eq!((made.status, made.warnings), (200, 0));
    assert_eq!(made, world.get("keys/orders"));
    for (field, value) in [
        ("name", json!("orders")),
        ("type", json!("chacha20-poly1305")),
        ("latest_version", json!(1)),
        ("min_available_version", json!(0)),
        ("min_decryption_version", json!(1)),
        ("min_encryption_version", json!(0)),
        ("deletion_allowed", json!(false)),
        ("exportable", json!(true)),
        ("auto_rotate_period", json!(259_200)),
        ("imported_key", json!(false)),
        ("derived", json!(false)),
        ("supports_encryption", json!(true)),
        ("supports_signing", json!(false)),
    ] {
        assert_eq!(made.data[field], value, "{field}");
    }
    assert!(made.data["keys"]["1"].as_u64().is_some_and(|seconds| seconds > 1_700_000_000));
    // Made again it stays as it is, whatever is asked for.
    let again = world.post("keys/orders", json!({"type": "ed25519"}));
    assert_eq!((again.status, again.warnings, &again.data), (200, 1, &made.data));
}

#[test]
fn there_are_the_types_that_have_a_named_key_and_no_others() {
    let world = World::new();
    for (r#type, encrypts, signs) in [
        ("aes256-gcm96", true, false),
        ("chacha20-poly1305", true, false),
        ("ed25519", false, true),
        ("ecdsa-p256", false, true),
        ("ml-dsa-65", false, true),
        ("hmac", false, false),
    ] {
        world.key(r#type, r#type);
        let shown = world.get(&format!("keys/{}", r#type)).data;
        assert_eq!((&shown["supports_encryption"], &shown["supports_signing"]), (&json!(encrypts), &json!(signs)));
        let version = &shown["keys"]["1"];
        assert_eq!(version["public_key"].as_str().is_some_and(|key| !key.is_empty()), signs, "{version}");
        if !encrypts {
            world.post(&format!("encrypt/{}", r#type), json!({"plaintext": ""})).refused("another use");
            world.post("keys/x", json!({"type": r#type, "derived": true})).refused("derived");
        }
    }
    assert_eq!(
        world.post("keys/post-quantum", json!({"type": "ml-dsa", "parameter_set": "65"})).data["type"],
        "ml-dsa-65"
    );
    for r#type in ["aes128-gcm96", "xchacha20-poly1305", "ecdsa-p384", "rsa-2048", "rsa-4096", "managed_key", "nope"] {
        world.post("keys/x", json!({ "type": r#type })).refused(r#type);
    }
    world.post("keys/x", json!({"type": "hmac", "key_size": 16})).refused("key_size");
    assert_eq!(world.post("keys/x", json!({"type": "hmac", "key_size": "32"})).status, 200);
    world.post("keys/y", json!({"auto_rotate_period": "30m"})).refused("auto_rotate_period");
    assert_eq!(world.post("keys/y", json!({"allow_plaintext_backup": true})).warnings, 1);
}

#[test]
fn the_keys_of_a_mount_are_listed_and_no_others() {
    let world = World::new();
    assert_eq!(world.ask_in("payments", "LIST", "keys", "").status, 404);
    for name in ["b", "a", "c"] {
        world.key(name, "aes256-gcm96");
    }
    world.post("keys/bound", json!({"derived": true}));
    world.ask_in("payments", "POST", "keys/orders", "{}");
    block(world.project.store("features").unwrap().put(b"a", b"b", &bulla::PutOptions::default())).unwrap();
    let list = |mount: &str, body: &str| world.ask_in(mount, "LIST", "keys", body).data["keys"].clone();
    // The project's own first key is one of them.
    assert_eq!(list("transit", ""), json!(["a", "b", "bound", "c", "default"]));
    assert_eq!(list("payments", ""), json!(["orders"]));
    assert_eq!(list("transit", r#"{"after": "a", "limit": "2"}"#), json!(["b", "bound"]));
    assert_eq!(list("transit", r#"{"limit": 0}"#).as_array().unwrap().len(), 5);
    assert_eq!(world.ask("LIST", "keys", r#"{"after": "z"}"#).status, 404);
}

#[test]
fn a_configuration_changes_as_a_whole_or_not_at_all() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    for _ in 0..3 {
        world.post("keys/orders/rotate", json!({}));
    }
    let config = |body: Value| world.post("keys/orders/config", body);
    let body = json!({"min_decryption_version": "2", "min_encryption_version": 3, "deletion_allowed": "true", "exportable": true, "auto_rotate_period": 3_600});
    let changed = config(body).data;
    assert_eq!((&changed["min_decryption_version"], &changed["min_encryption_version"]), (&json!(2), &json!(3)));
    assert_eq!((&changed["deletion_allowed"], &changed["exportable"]), (&json!(true), &json!(true)));
    assert_eq!(changed["auto_rotate_period"], 3_600);
    assert_eq!(changed["keys"].as_object().unwrap().keys().collect::<Vec<_>>(), ["2", "3", "4"]);
    for (body, words) in [
        (json!({"min_decryption_version": 5, "exportable": false}), "latest key version is 4"),
        (json!({"min_encryption_version": 5}), "latest key version is 4"),
        (json!({"min_decryption_version": -1}), "negative"),
        (json!({"min_encryption_version": 1}), "less than the min decryption version"),
        (json!({"min_decryption_version": 4}), "less than the min decryption version"),
        (json!({"auto_rotate_period": "5s", "deletion_allowed": false}), "at least an hour"),
        (json!({"min_decryption_version": "x"}), "whole number"),
        (json!({"min_decrypt": 1}), "unknown field"),
    ] {
        config(body).refused(words);
        assert_eq!(world.get("keys/orders").data, changed);
    }
    assert_eq!(config(json!({})).data, changed);
    let back = json!({"min_decryption_version": 0, "min_encryption_version": 0, "deletion_allowed": false, "exportable": false, "auto_rotate_period": 0, "allow_plaintext_backup": null});
    let back = config(back).data;
    assert_eq!(
        (&back["min_decryption_version"], &back["exportable"], &back["auto_rotate_period"]),
        (&json!(1), &json!(false), &json!(0))
    );
    world.post("keys/none/config", json!({})).refused("none");
}

#[test]
fn trimming_takes_what_may_not_be_used_any_more() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    let old = world.encrypt("orders", "x");
    for _ in 0..2 {
        world.post("keys/orders/rotate", json!({}));
    }
    let trim = |number: Value| world.post("keys/orders/trim", json!({"min_available_version": number}));
    trim(json!(null)).refused("missing");
    trim(json!(0)).refused("positive");
    trim(json!(-1)).refused("negative");
    trim(json!(2)).refused("minimum encryption version is not set");
    world.post("keys/orders/config", json!({"min_encryption_version": 2}));
    trim(json!(2)).refused("minimum decryption version");
    world.post("keys/orders/config", json!({"min_decryption_version": 2}));
    world.decrypt("orders", &old).refused("disallowed by policy (too old)");
    trim(json!(3)).refused("minimum encryption version");
    assert_eq!(trim(json!(2)).data["min_available_version"], 2);
    trim(json!(1)).refused("decremented");
    world.decrypt("orders", &old).refused("disallowed by policy (too old)");
    world.post("keys/orders/config", json!({"min_decryption_version": 1})).refused("minimum available version");
    assert_eq!(world.get("keys/orders").data["min_decryption_version"], 2);
    world.post("keys/none/trim", json!({"min_available_version": 1})).refused("invalid key name");
}

#[test]
fn a_key_is_deleted_if_that_is_allowed_and_can_be_made_anew() {
    let world = World::new();
    world.key("orders", "aes256-gcm96");
    let old = world.encrypt("orders", "x");
    let delete = |path: &str| world.ask("DELETE", path, "");
    delete("keys/orders").refused("may not be deleted");
    delete("keys/none").refused("not found");
    world.post("keys/orders/config", json!({"deletion_allowed": true}));
    assert_eq!(delete("keys/orders/soft-delete").status, 204);
    assert_eq!(world.get("keys/orders").data["soft_deleted"], true);
    world.decrypt("orders", &old).refused("deleted");
    world.post("encrypt/orders", json!({"plaintext": ""})).refused("deleted");
    assert_eq!(world.post("keys/orders/soft-delete-restore", json!({})).status, 204);
    assert_eq!(world.decrypt("orders", &old).status, 200);
    assert_eq!(delete("keys/orders").status, 204);
    assert_eq!(world.get("keys/orders").status, 404);
    let made = world.post("keys/orders", json!({}));
    assert_eq!(made.status, 200);
    // It begins with a higher number, and what the other made does not open.
    let number = made.data["latest_version"].as_u64().unwrap();
    assert!(number > 1);
    world.decrypt("orders", &old).refused("too old");
    world.decrypt("orders", &old.replacen("v1", &format!("v{number}"), 1)).refused("cannot be opened");
    assert_eq!(world.decrypt("orders", &world.encrypt("orders", "y")).text("plaintext"), base64("y"));
    let chosen = json!({"plaintext": "", "key_version": number});
    assert_eq!(world.post("encrypt/orders", chosen).data["key_version"], number);
}

#[test]
fn keys_are_handed_out_in_the_form_of_their_type() {
    let world = World::new();
    for (part, r#type, begins) in [
        ("encryption-key", "aes256-gcm96", ""),
        ("signing-key", "ed25519", ""),
        ("signing-key", "ecdsa-p256", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE"),
        ("signing-key", "ml-dsa-65", ""),
        ("hmac-key", "hmac", ""),
    ] {
        world.key(r#type, r#type);
        let path = format!("export/{part}/{}", r#type);
        world.get(&path).refused("not exportable");
        world.post(&format!("keys/{}/config", r#type), json!({"exportable": true}));
        world.post(&format!("keys/{}/rotate", r#type), json!({}));
        let all = world.get(&path).data;
        assert_eq!((&all["name"], &all["type"]), (&json!(r#type), &json!(r#type)));
        assert_eq!(all["keys"].as_object().unwrap().len(), 2);
        assert!(all["keys"]["1"].as_str().unwrap().starts_with(begins), "{all}");
        assert_eq!(world.get(&format!("{path}/1")).data["keys"], json!({"1": all["keys"]["1"]}));
        assert_eq!(world.get(&format!("{path}/latest")).data["keys"], json!({"2": all["keys"]["2"]}));
        world.get(&format!("{path}/3")).refused("does not exist");
        world.get(&format!("{path}/x")).refused("invalid key version");
        world.post(&format!("keys/{}/config", r#type), json!({"min_decryption_version": 2}));
        world.get(&format!("{path}/1")).refused("below the minimum");
        assert_eq!(world.get(&path).data["keys"], json!({"2": all["keys"]["2"]}));
    }
    for (path, words) in [
        ("export/nope/hmac", "export type"),
        ("export/signing-key/hmac", "signing not supported"),
        ("export/encryption-key/ed25519", "encryption not supported"),
        ("export/hmac-key/aes256-gcm96", "HMAC"),
        ("export/public-key/aes256-gcm96", "no public part"),
    ] {
        world.get(path).refused(words);
    }
    world.ask("GET", "export/public-key/ed25519", r#"{"format": "der"}"#).refused("format");
    assert_eq!(world.get("export/hmac-key/none").status, 404);
}

#[test]
fn a_public_key_is_handed_out_whatever_the_configuration() {
    let world = World::new();
    for (r#type, begins) in [("ed25519", ""), ("ecdsa-p256", "-----BEGIN PUBLIC KEY-----\nMFkw"), ("ml-dsa-65", "")] {
        world.key(r#type, r#type);
        let handed = world.get(&format!("export/public-key/{}", r#type)).data["keys"]["1"].clone();
        assert!(handed.as_str().unwrap().starts_with(begins));
        assert_eq!(world.get(&format!("keys/{}", r#type)).data["keys"]["1"]["public_key"], handed);
    }
}

#[test]
fn a_private_key_that_is_handed_out_is_that_of_the_public_key() {
    let world = World::new();
    for r#type in ["ed25519", "ecdsa-p256"] {
        world.post(&format!("keys/{}", r#type), json!({"type": r#type, "exportable": true}));
    }
    let handed = |path: &str| world.get(path).data["keys"]["1"].as_str().unwrap().to_owned();
    let der = |pem: String| {
        let encoded: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        BASE64.decode(encoded.as_bytes()).unwrap()
    };
    let private = der(handed("export/signing-key/ecdsa-p256"));
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &private).unwrap();
    assert!(der(handed("export/public-key/ecdsa-p256")).ends_with(pair.public_key().as_ref()));
    let both = der(handed("export/signing-key/ed25519"));
    let pair = Ed25519KeyPair::from_seed_and_public_key(&both[..32], &both[32..]).unwrap();
    assert_eq!(der(handed("export/public-key/ed25519")), pair.public_key().as_ref());
}

#[test]
fn what_may_never_be_handed_out_never_is() {
    let world = World::new();
    let name = "orders".parse().unwrap();
    let settings = [KeySetting::Exportable(Exportable::Never)];
    block(world.project.keyring().create_key_with(&name, Algorithm::Aes256Gcm, &settings)).unwrap();
    world.get("export/encryption-key/orders").refused("not exportable");
    world.post("keys/orders/config", json!({"exportable": true})).refused("not exportable");
    assert_eq!(world.post("keys/orders/config", json!({"exportable": false})).data["exportable"], false);
}

#[test]
fn a_backup_brings_back_what_was_lost() {
    let world = World::new();
    world.post("keys/orders", json!({"derived": true}));
    let body = json!({"plaintext": base64("x"), "context": base64("a")});
    let sealed = world.post("encrypt/orders", body).text("ciphertext");
    let backup = world.get("backup/orders").text("backup");
    let restore = |path: &str, body: Value| world.post(path, body);
    restore("restore", json!({"backup": backup})).refused("already");
    assert_eq!(restore("restore", json!({"backup": backup, "force": true})).status, 204);
    world.post("keys/orders/config", json!({"deletion_allowed": true}));
    assert_eq!(world.ask("DELETE", "keys/orders", "").status, 204);
    restore("restore/other", json!({"backup": backup})).refused("another name");
    restore("restore", json!({"backup": backup, "name": "other"})).refused("another name");
    let elsewhere = json!({"backup": backup}).to_string();
    world.ask_in("payments", "POST", "restore", &elsewhere).refused("not of this mount");
    assert_eq!(world.get("keys/orders").status, 404);
    assert_eq!(restore("restore/orders", json!({"backup": backup})).status, 204);
    let opened = world.post("decrypt/orders", json!({"ciphertext": sealed, "context": base64("a")}));
    assert_eq!(opened.text("plaintext"), base64("x"));
    for bad in [json!(null), json!(""), json!("!!"), json!(base64("{}"))] {
        restore("restore", json!({"backup": bad})).refused("backup");
    }
    World::new().post("restore", json!({"backup": backup})).refused("no backup of a key of this project");
    assert_eq!(world.get("backup/none").status, 404);
}
