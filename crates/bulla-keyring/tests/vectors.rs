//! The vectors in `spec/vectors/keyring/`, written by an independent implementation.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_backend::{Collection, DocumentKey, MemoryDocuments};
use bulla_keyring::format::{KEY_IDS, KEY_VERSIONS, KEYS, TRUST_LOG, WRAPS};
use bulla_keyring::{Identity, Keyring, KeyringError, TrustPin};
use bulla_seal::{Context, ProjectId};
use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::setting::{Setting, code, name};

#[test]
fn every_vector_is_found_as_it_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/keyring");
    let (mut good, mut hostile) = (0, 0);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        check(&file, &vector);
        if file.starts_with("ok_") {
            good += 1;
        } else {
            assert!(file.starts_with("hostile_"), "{file}");
            hostile += 1;
        }
    }
    assert!(good >= 6 && hostile >= 80, "{good} good, {hostile} hostile");
}

fn check(file: &str, vector: &Value) {
    let setting = Setting {
        documents: MemoryDocuments::new(),
        identity: Arc::new(Identity::from_text(text(&vector["identity"])).unwrap()),
    };
    for (collection, rows) in vector["documents"].as_object().unwrap() {
        for (key, value) in rows.as_object().unwrap() {
            setting.overwrite(collection_of(collection), &DocumentKey::new(hex(key)).unwrap(), &hex(text(value)));
        }
    }
    let pin: TrustPin = text(&vector["pin"]).parse().unwrap();
    match setting.open(pin) {
        Ok(keyring) => {
            assert_eq!(text(&vector["expect"]), "ok", "{file} was accepted");
            assert_eq!(keyring.pin().to_string(), text(&vector["head"]), "{file}");
            check_keys(file, vector, &keyring);
        }
        Err(error) => {
            assert_eq!(error.code(), text(&vector["expect"]), "{file}: {error}");
            let position = match &error {
                KeyringError::TrustLog(error) => Some(error.position),
                _ => None,
            };
            assert_eq!(position, vector["position"].as_u64(), "{file}: {error}");
        }
    }
}

fn check_keys(file: &str, vector: &Value, keyring: &Keyring) {
    // Values first: what the keys prepare would answer for an entry that leads astray.
    for value in vector["values"].as_array().unwrap() {
        let context = context(&value["context"]);
        let sealed = hex(text(&value["sealed"]));
        let opened = pollster::block_on(keyring.open_sealed(&name(text(&value["key"])), &context, &sealed));
        let message = opened.as_ref().ok().map(|message| HEXLOWER.encode(message));
        assert_eq!(code(opened), text(&value["expect"]), "{file}");
        assert_eq!(message.as_deref(), value["message"].as_str(), "{file}");
    }
    for (key, expected) in vector["keys"].as_object().unwrap() {
        let current = pollster::block_on(keyring.current(&name(key)));
        assert_eq!(code(current), text(expected), "{file}: key {key}");
    }
}

fn context(context: &Value) -> Context {
    let project = ProjectId(hex(text(&context["project"])).try_into().unwrap());
    let fields = context["map"].as_object().unwrap().iter();
    let begun = Context::in_domain(text(&context["domain"]), &project);
    fields.fold(begun, |built, (field, value)| built.uint(field, value.as_u64().unwrap())).build().unwrap()
}

fn collection_of(collection: &str) -> Collection {
    let all = [TRUST_LOG, WRAPS, KEYS, KEY_VERSIONS, KEY_IDS];
    all.into_iter().find(|known| known.name() == collection).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(digits: &str) -> Vec<u8> {
    HEXLOWER.decode(digits.as_bytes()).unwrap()
}
