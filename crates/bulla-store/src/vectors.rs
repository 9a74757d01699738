//! The vectors of `spec/vectors/store`, which an independent implementation wrote.

use std::collections::BTreeMap;
use std::path::Path;

use bulla_backend::{BlobId, Blobs, Durability, MemoryBlobs, Timestamp};
use bulla_seal::{Context, Header, KeyVersionId, MacKey, ProjectId, SealKey};
use data_encoding::{BASE64, HEXLOWER};
use pollster::block_on;
use serde_json::Value;

use crate::blinding::blind;
use crate::blob::BlobOpener;
use crate::entry::Entry;
use crate::name::document_key;
use crate::store::{open_document, parse_entry, place, refuse_exposed};
use crate::{BadEntry, NamespaceName, Place, QuarantineRecord, StoreError, StoredSettings};

#[test]
fn both_implementations_agree_on_every_vector() {
    let outcomes = check_folder("store", Vector::check);
    assert!(outcomes["ok"] >= 19 && outcomes.values().sum::<usize>() >= 126, "the vectors are all there");
}

#[test]
fn both_implementations_agree_on_every_settings_document() {
    let outcomes = check_folder("store_settings", |vector, file| {
        vector.check_sealed(file, |message| {
            StoredSettings::parse(message).map(|settings| settings.encode()).map_err(|_| "bad_settings")
        });
    });
    assert!(outcomes["ok"] >= 5 && outcomes.values().sum::<usize>() >= 33, "the vectors are all there");
}

#[test]
fn both_implementations_agree_on_every_quarantine_record() {
    let outcomes = check_folder("store_quarantine", |vector, file| {
        vector.check_sealed(file, |message| {
            QuarantineRecord::parse(message).map(|record| record.encode()).ok_or("bad_record")
        });
    });
    assert!(outcomes["ok"] >= 4 && outcomes.values().sum::<usize>() >= 26, "the vectors are all there");
}

/// Checks every vector of a folder, and counts the outcomes that they promise.
fn check_folder(folder: &str, check: impl Fn(&Vector, &str)) -> BTreeMap<String, usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors").join(folder);
    let mut outcomes = BTreeMap::<String, usize>::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let vector = Vector::read(&path);
        check(&vector, &path.file_name().unwrap().to_string_lossy());
        *outcomes.entry(vector.text("expect")).or_default() += 1;
    }
    println!("{outcomes:?}");
    outcomes
}

struct Vector(Value);

impl Vector {
    fn read(path: &Path) -> Self {
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn text(&self, member: &str) -> String {
        self.0[member].as_str().unwrap().to_owned()
    }

    fn bytes(&self, member: &str) -> Option<Vec<u8>> {
        let value = self.0.get(member)?;
        Some(match value.get("base64") {
            Some(text) => BASE64.decode(text.as_str()?.as_bytes()).unwrap(),
            None => HEXLOWER.decode(value.as_str()?.as_bytes()).unwrap(),
        })
    }

    fn array<const N: usize>(&self, member: &str) -> [u8; N] {
        self.bytes(member).unwrap().try_into().unwrap()
    }

    fn check(&self, file: &str) {
        let namespace: NamespaceName = self.text("namespace").parse().unwrap();
        let name = self.stored_name();
        let document_key = document_key(&namespace, &name).unwrap();
        assert_eq!(Some(document_key.as_bytes()), self.bytes("document_key").as_deref(), "{file}");
        assert_eq!(Place::parse(document_key.as_bytes()), Some(place(&namespace, &name)), "{file}");

        let expect = self.text("expect");
        match self.open(&namespace, &name) {
            Err(error) => assert_eq!(error.code(), expect, "{file}: {error}"),
            Ok((entry, value)) => {
                assert_eq!(expect, "ok", "{file}");
                self.check_entry(file, &entry, &value);
            }
        }
    }

    /// Returns what the document's key shows of the name.
    fn stored_name(&self) -> Vec<u8> {
        let name = self.bytes("name").unwrap();
        match self.bytes("index") {
            None => name,
            Some(material) => {
                let key = MacKey::new(&material).unwrap();
                blind(|message| key.tag(message), &name).unwrap()
            }
        }
    }

    /// Takes the steps of the specification, "Reading".
    fn open(&self, namespace: &NamespaceName, name: &[u8]) -> Result<(Entry, Vec<u8>), StoreError> {
        let project = ProjectId(self.array("project"));
        let material = self.bytes("material").unwrap();
        let key = SealKey::new(KeyVersionId(self.array("key_version")), &material).unwrap();
        let document = self.bytes("document").unwrap();
        let suite = Header::parse(&document).ok().map(|header| header.params().suite);
        let opened = open_document(&key, &project, namespace, name, document)?;
        assert_eq!(self.bytes("entry").as_deref(), Some(opened.as_slice()), "both open it to the same");
        let (entry, value) = parse_entry(namespace, name, opened)?;
        let bad_entry = |reason| StoreError::BadEntry { place: place(namespace, name), reason };
        refuse_exposed(suite, &entry).map_err(bad_entry)?;
        let true_name = self.bytes("index").map(|_| self.bytes("name").unwrap());
        if entry.name.as_ref().map(|name| name.as_bytes().to_vec()) != true_name {
            return Err(bad_entry(BadEntry::Name));
        }
        let Some(reference) = &entry.blob else { return Ok((entry, value.to_vec())) };
        let blobs = self.blobs();
        block_on(async {
            let blob = BlobOpener::open(&blobs, &project, namespace, reference, entry.stat.len).await?;
            blob.open_all(usize::try_from(entry.stat.len).unwrap()).await
        })
        .map_err(|error| error.at(place(namespace, name), reference.id))
        .map(|value| (entry, value))
    }

    /// Opens what lies beside entries, and holds the outcome of reading it against the one that is promised.
    fn check_sealed(&self, file: &str, read: impl Fn(&[u8]) -> Result<Vec<u8>, &'static str>) {
        let project = ProjectId(self.array("project"));
        let record = self.bytes("record");
        let domain = if record.is_some() { "bulla/store/quarantine" } else { "bulla/store/settings" };
        let mut context = Context::in_domain(domain, &project).text("namespace", &self.text("namespace"));
        if let Some(record) = &record {
            context = context.bytes("record", record);
        }
        let key = SealKey::new(KeyVersionId(self.array("key_version")), &self.bytes("material").unwrap()).unwrap();
        let outcome = match key.open(&context.build().unwrap(), &self.bytes("sealed").unwrap()) {
            Err(error) => error.code(),
            Ok(message) => {
                assert_eq!(self.bytes("message").as_deref(), Some(message.as_slice()), "{file}");
                match read(&message) {
                    Err(code) => code,
                    Ok(again) => {
                        assert_eq!(again, message, "{file}: encoding again gives the same");
                        "ok"
                    }
                }
            }
        };
        assert_eq!(outcome, self.text("expect"), "{file}");
    }

    fn blobs(&self) -> MemoryBlobs {
        let blobs = MemoryBlobs::new();
        if let Some(bytes) = self.bytes("blob") {
            block_on(async {
                let mut blob = blobs.create(&BlobId(self.array("blob_id")), Durability::Durable).await.unwrap();
                blob.write(&bytes).await.unwrap();
                blob.finish().await.unwrap();
            });
        }
        blobs
    }

    fn check_entry(&self, file: &str, entry: &Entry, value: &[u8]) {
        let stat = &entry.stat;
        let tags: Vec<_> = self.0["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        assert_eq!(Some(stat.version), self.0["version"].as_u64(), "{file}");
        assert_eq!(Some(stat.created.0), self.0["created"].as_u64(), "{file}");
        assert_eq!(stat.expires, self.0.get("expires").map(|at| Timestamp(at.as_u64().unwrap())), "{file}");
        assert_eq!(stat.media_type.as_deref(), self.0.get("media_type").map(|text| text.as_str().unwrap()), "{file}");
        assert_eq!(stat.tags, tags, "{file}");
        let name = entry.name.as_ref().map(|name| name.as_bytes().to_vec());
        assert_eq!(name, self.bytes("true_name"), "{file}");
        let compute_time = stat.compute_time.map(|time| u64::try_from(time.as_millis()).unwrap());
        assert_eq!(compute_time, self.0.get("compute_time").map(|time| time.as_u64().unwrap()), "{file}");
        assert_eq!(stat.sensitive, self.0.get("sensitive").is_some(), "{file}");
        assert_eq!(Some(value), self.bytes("value").as_deref(), "{file}");
        let inline = if entry.blob.is_some() { &[][..] } else { value };
        assert_eq!(Some(entry.encode(inline, 0)), self.bytes("entry"), "{file}: encoding again gives the same");
    }
}
