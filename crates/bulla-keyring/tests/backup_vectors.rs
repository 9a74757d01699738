//! The vectors in `spec/vectors/backup/`, written by an independent implementation.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_backend::MemoryDocuments;
use bulla_keyring::format::{KEY_IDS, KEY_USES, KEY_VERSIONS, KEYS, TRUST_LOG, WRAPS};
use bulla_keyring::{Backup, Identity};
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
    assert!(good >= 4 && hostile >= 50, "{good} good, {hostile} hostile");
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
