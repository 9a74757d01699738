//! Every driver passes the same suite.

use std::sync::Arc;

use bulla_backend::{
    Blobs, Documents, FileBlobs, JsonDocuments, MemoryBlobs, MemoryDocuments,
    testing::{CallFaults, FaultyBlobs, FaultyDocuments, SimDisk, conformance},
};

#[test]
fn documents_in_memory() {
    conformance::documents(|| {
        let place = MemoryDocuments::new();
        move || Arc::new(place.clone()) as Arc<dyn Documents>
    });
}

#[test]
fn documents_in_a_json_file() {
    conformance::documents(|| {
        let folder = tempfile::tempdir().unwrap();
        move || Arc::new(JsonDocuments::open(folder.path().join("some/where/data.json")).unwrap()) as Arc<dyn Documents>
    });
}

#[test]
fn documents_in_a_json_file_on_a_simulated_disk() {
    conformance::documents(|| {
        let disk = SimDisk::new();
        move || Arc::new(JsonDocuments::open_on(Arc::new(disk.clone()), "/data.json").unwrap()) as Arc<dyn Documents>
    });
}

#[test]
fn documents_behind_faults_that_do_not_happen() {
    conformance::documents(|| {
        let place = MemoryDocuments::new();
        move || Arc::new(FaultyDocuments::new(Arc::new(place.clone()), CallFaults::new())) as Arc<dyn Documents>
    });
}

#[test]
fn blobs_in_memory() {
    conformance::blobs(|| {
        let place = MemoryBlobs::new();
        move || Arc::new(place.clone()) as Arc<dyn Blobs>
    });
}

#[test]
fn blobs_in_files() {
    conformance::blobs(|| {
        let folder = tempfile::tempdir().unwrap();
        move || Arc::new(FileBlobs::open(folder.path().join("some/where")).unwrap()) as Arc<dyn Blobs>
    });
}

#[test]
fn blobs_in_files_on_a_simulated_disk() {
    conformance::blobs(|| {
        let disk = SimDisk::new();
        move || Arc::new(FileBlobs::open_on(Arc::new(disk.clone()), "/some/where").unwrap()) as Arc<dyn Blobs>
    });
}

#[test]
fn blobs_behind_faults_that_do_not_happen() {
    conformance::blobs(|| {
        let place = MemoryBlobs::new();
        move || Arc::new(FaultyBlobs::new(Arc::new(place.clone()), CallFaults::new())) as Arc<dyn Blobs>
    });
}
