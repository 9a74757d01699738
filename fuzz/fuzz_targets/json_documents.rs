//! An arbitrary file: it is refused, or what is read from it is there again after the next write.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use bulla_backend::testing::SimDisk;
use bulla_backend::{
    Collection, Disk, Document, DocumentKey, Documents, Durability, Expected, JsonDocuments, ListQuery, OpenMode,
};
use libfuzzer_sys::fuzz_target;
use pollster::block_on;

const FILE: &str = "/documents.json";
const ENTRIES: Collection = Collection::new("entries", Durability::Durable);
const KEYS: Collection = Collection::new("keys", Durability::Durable);

fuzz_target!(|data: &[u8]| {
    let disk = SimDisk::new();
    let file = disk.open(Path::new(FILE), OpenMode::CreateNew).expect("an empty disk");
    file.write_at(0, data).expect("a disk with room");
    drop(file);

    let open = || JsonDocuments::open_on(Arc::new(disk.clone()), FILE);
    let Ok(documents) = open() else { return };
    let (mut entries, keys) = (list(&documents, ENTRIES), list(&documents, KEYS));

    let key = DocumentKey::new(*b"\xff\xff").expect("two bytes");
    let Ok(revision) = block_on(documents.put(ENTRIES, &key, data, Expected::Any)) else { return };
    entries.retain(|document| document.key != key);
    entries.push(Document { key, revision, value: data.to_vec() });
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    for documents in [documents, open().expect("our own file")] {
        assert_eq!(list(&documents, ENTRIES), entries);
        assert_eq!(list(&documents, KEYS), keys);
    }
});

fn list(documents: &JsonDocuments, collection: Collection) -> Vec<Document> {
    let mut all = Vec::new();
    let mut query = ListQuery { limit: 3, ..ListQuery::default() };
    loop {
        let page = block_on(documents.list(collection, &query)).expect("a file that was read once");
        all.extend(page.documents);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return all,
        }
    }
}
