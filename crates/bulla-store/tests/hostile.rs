//! What a hostile reader of the store tried: each of these must hold.

mod copies;
mod entries;
mod modes;
mod quarantine;
mod settings;
mod sweeping;
mod transactions;

use std::sync::Arc;

use bulla_backend::{BlobId, Collection, Document, DocumentKey, Durability, Expected};
use bulla_store::{Namespace, NamespaceSettings, Store, StoreError};
use pollster::block_on;

use crate::ground::Ground;

const NAMESPACES: Collection = Collection::new("namespaces", Durability::Durable);
const LARGE: usize = 200_000;

fn set(namespace: &Namespace, change: impl FnOnce(&mut NamespaceSettings)) -> Result<u64, StoreError> {
    let mut settings = NamespaceSettings::default();
    change(&mut settings);
    block_on(namespace.set_settings(&settings))
}

fn settings_of(ground: &Ground, namespace: &str) -> Document {
    let key = DocumentKey::new(namespace.as_bytes()).unwrap();
    block_on(ground.documents.get(NAMESPACES, &key)).unwrap().unwrap()
}

fn plant_settings(ground: &Ground, namespace: &str, bytes: &[u8]) {
    let key = DocumentKey::new(namespace.as_bytes()).unwrap();
    block_on(ground.documents.put(NAMESPACES, &key, bytes, Expected::Any)).unwrap();
}

/// As another process would have it, that has seen nothing yet.
fn fresh(ground: &Ground) -> Store {
    ground.over(Arc::clone(&ground.documents), Arc::clone(&ground.blobs))
}

fn only_blob(ground: &Ground) -> BlobId {
    ground.blob_ids()[0]
}
