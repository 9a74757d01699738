//! The vectors in `spec/vectors/backup/`, written by an independent implementation.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_backend::MemoryDocuments;
use bulla_keyring::format::{KEY_IDS, KEY_USES, KEY_VERSIONS, KEYS, TRUST_LOG, WRAPS};
use bulla_keyring::{Backup, BackupItem, Identity};
use bulla_seal::ProjectId;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::setting::{Setting, StoppedClock};

#[test]
fn every_backup_is_read_as_it_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/backup");
    let (mut good, mut hostile) = (0, 0);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        check(&file, &serde_json::from_slice(&fs::read(&path).unwrap()).unwrap());
        if file.starts_with("ok_") {
            good += 1;
        } else {
            assert!(file.starts_with("hostile_"), "{file}");
            hostile += 1;
        }
    }
    assert!(good >= 8 && hostile >= 81, "{good} good, {hostile} hostile");
}

fn check(name: &str, vector: &Value) {
    let text = |member: &str| vector[member].as_str().unwrap();
    let identity = Arc::new(Identity::from_text(text("identity")).unwrap());
    let project = ProjectId(HEXLOWER.decode(text("project").as_bytes()).unwrap().try_into().unwrap());
    let file = BASE64.decode(text("file").as_bytes()).unwrap();
    let read = Backup::read(file.as_slice(), Arc::clone(&identity), project, Arc::new(StoppedClock));
    let backup = match pollster::block_on(read) {
        Ok(backup) => backup,
        Err(error) => return assert_eq!(error.code(), text("expect"), "{name}: {error}"),
    };
    assert_eq!(text("expect"), "ok", "{name}");
    assert_eq!(backup.info().id.to_string(), text("backup_id"), "{name}");
    assert!(backup.damaged().is_empty(), "{name}");

    check_store(name, vector, &backup, &file);
    let documents = MemoryDocuments::new();
    pollster::block_on(backup.restore(&documents, |_| {})).unwrap();
    let setting = Setting { documents, identity };
    for collection in [TRUST_LOG, KEYS, KEY_VERSIONS, KEY_IDS, KEY_USES, WRAPS] {
        let found: Vec<_> = setting.all(collection).into_iter().map(|found| (found.key, found.value)).collect();
        let expected = vector["documents"][collection.name()].as_object();
        assert_eq!(found.len(), expected.map_or(0, |rows| rows.len()), "{name}: {collection:?}");
        for (key, value) in found {
            let value = Value::from(HEXLOWER.encode(&value));
            assert_eq!(expected.unwrap()[&HEXLOWER.encode(key.as_bytes())], value, "{name}: {collection:?}");
        }
    }
    assert_eq!(setting.open(project).unwrap().project(), project, "{name}");
}

/// What a backup holds of a store is what the vector says, in the order of the file.
fn check_store(name: &str, vector: &Value, backup: &Backup, file: &[u8]) {
    let mut contents = backup.contents(file).unwrap();
    let mut documents: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    let (mut blobs, mut coming) = (BTreeMap::new(), Vec::new());
    while let Some(item) = contents.next_item().unwrap() {
        match item {
            BackupItem::Document { collection, key, value } => {
                let rows = documents.entry(collection.name()).or_default();
                rows.insert(HEXLOWER.encode(key.as_bytes()), HEXLOWER.encode(&value).into());
                coming.clear();
            }
            BackupItem::BlobPiece { offset, bytes, .. } => {
                coming.truncate(usize::try_from(offset).unwrap());
                coming.extend(bytes);
            }
            BackupItem::BlobEnd { id, len } => {
                coming.truncate(usize::try_from(len).unwrap());
                blobs.insert(id.to_string(), Value::from(HEXLOWER.encode(&std::mem::take(&mut coming))));
            }
            item => panic!("{name}: {item:?}"),
        }
    }
    for collection in ["namespaces", "entries", "quarantine"] {
        let found = documents.remove(collection).map(Value::from_iter);
        assert_eq!(found.as_ref(), vector["documents"].get(collection), "{name}: {collection}");
    }
    let expected = vector.get("blobs").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::default()));
    assert_eq!(Value::from_iter(blobs), expected, "{name}");
    assert_eq!(backup.info().store.is_some(), vector.get("blobs").is_some(), "{name}");
}
