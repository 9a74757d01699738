//! Whichever call to the storage fails, and however: the old value or the new one, whole, and what was acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use bulla_backend::testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
use bulla_backend::{
    BackendError, Capabilities, Collection, Document, DocumentKey, Documents, Expected, ListQuery, MemoryDocuments,
    Page, Result, Revision,
};
use bulla_store::{ExpectedVersion, GetOptions, Namespace, PutOptions, StoreError};
use pollster::block_on;

use crate::ground::{Ground, assert_code, pattern, value, write};

const LARGE: usize = 200_000;

/// What is there before, and what is then put (or, for `None`, removed).
type Step = (Option<usize>, Option<usize>);

const STEPS: [Step; 8] = [
    (None, Some(10)),
    (None, Some(LARGE)),
    (Some(10), Some(20)),
    (Some(10), Some(LARGE)),
    (Some(LARGE), Some(10)),
    (Some(LARGE), Some(LARGE)),
    (Some(10), None),
    (Some(LARGE), None),
];

fn take(namespace: &Namespace, after: Option<&[u8]>, in_pieces: bool) -> std::result::Result<(), StoreError> {
    block_on(async {
        match after {
            Some(value) if in_pieces => {
                let mut writer = namespace.writer(b"n", &PutOptions::default())?;
                for piece in value.chunks(50_000) {
                    writer.write(piece).await?;
                }
                writer.finish().await.map(drop)
            }
            Some(value) => namespace.put(b"n", value, &PutOptions::default()).await.map(drop),
            None => namespace.remove(b"n", ExpectedVersion::Any).await.map(drop),
        }
    })
}

#[test]
fn every_step_leaves_the_old_value_or_the_new_one() {
    let mut points = 0;
    for (before, after) in STEPS {
        for in_pieces in [false, true] {
            for failure in Failure::ALL {
                for at in 1.. {
                    let ground = Ground::new();
                    let namespace = ground.namespace("a");
                    write(&namespace, b"other", &pattern(LARGE, 9));
                    let before = before.map(|len| pattern(len, 1));
                    let after = after.map(|len| pattern(len, 2));
                    if let Some(before) = &before {
                        write(&namespace, b"n", before);
                    }
                    let faults = CallFaults::new();
                    let faulty = ground.over(
                        Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                        Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
                    );
                    faults.arm(at, failure);
                    let outcome = take(&faulty.namespace("a").unwrap(), after.as_deref(), in_pieces);

                    let found = value(&namespace, b"n");
                    match outcome {
                        Ok(()) => assert!(found == after, "{failure:?} at {at}: what was acknowledged is there"),
                        Err(error) => {
                            assert_eq!(error.code(), "backend", "{error}");
                            assert!(found == before || found == after, "{failure:?} at {at}: old or new, whole");
                        }
                    }
                    assert!(value(&namespace, b"other") == Some(pattern(LARGE, 9)));
                    let (counts, findings) = ground.check();
                    assert_eq!(counts.damaged, 0, "{failure:?} at {at}: {findings:?}");
                    assert!(counts.orphan_blobs <= 2, "{findings:?}");
                    // The same again, without failures, mends everything but orphans.
                    take(&namespace, after.as_deref(), in_pieces).unwrap();
                    assert!(value(&namespace, b"n") == after);
                    if faults.calls() < at {
                        assert_eq!(counts.orphan_blobs, 0);
                        break;
                    }
                    points += 1;
                }
            }
        }
    }
    println!("{points} fault points");
    assert!(points > 200, "{points} fault points");
}

#[test]
fn the_first_use_of_a_namespace_survives_failures_of_the_keyring() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let faults = CallFaults::new();
            let trust = FaultyDocuments::new(Arc::new(MemoryDocuments::new()), faults.clone());
            let ground = Ground::with_trust(Arc::new(trust));
            let namespace = ground.namespace("a");
            let calls = faults.calls();
            faults.arm(calls + at, failure);
            let put = block_on(namespace.put(b"n", &pattern(LARGE, 1), &PutOptions::default()));
            let happened = faults.calls() >= calls + at;
            faults.disarm();
            assert!(value(&namespace, b"n") == put.is_ok().then(|| pattern(LARGE, 1)));
            assert!(ground.check().0.is_clean(), "nothing was written, the blob neither, or everything");
            write(&namespace, b"n", b"v");
            assert_eq!(value(&namespace, b"n").unwrap(), b"v");
            if !happened {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 5, "{points} fault points");
}

#[test]
fn every_failure_of_a_read_is_said_to_be_the_storages() {
    for len in [10, LARGE] {
        for failure in Failure::ALL {
            for at in 1.. {
                let ground = Ground::new();
                write(&ground.namespace("a"), b"n", &pattern(len, 1));
                let faults = CallFaults::new();
                let faulty = ground.over(
                    Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                    Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
                );
                let namespace = faulty.namespace("a").unwrap();
                faults.arm(at, failure);
                let got = block_on(namespace.get(b"n", &GetOptions::default()));
                if faults.calls() < at {
                    assert!(got.unwrap().bytes == pattern(len, 1));
                    break;
                }
                assert_code(got, "backend");
            }
        }
    }
}

#[test]
fn a_writer_is_of_no_use_after_a_failure() {
    let ground = Ground::new();
    let faults = CallFaults::new();
    let blobs = Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone()));
    let namespace = ground.over(Arc::clone(&ground.documents), blobs).namespace("a").unwrap();
    let mut writer = namespace.writer(b"n", &PutOptions::default()).unwrap();
    // Creation, header, then chunks: the second of them fails.
    faults.arm(4, Failure::Before);
    assert_code(block_on(writer.write(&pattern(LARGE, 1))), "backend");
    faults.disarm();
    assert_code(block_on(writer.write(b"more")), "writer_failed");
    assert_code(block_on(writer.finish()), "writer_failed");
    assert_eq!(value(&namespace, b"n"), None);
    assert_eq!(ground.blob_ids(), []);
}

/// Documents of which every put ends in a conflict.
#[derive(Debug)]
struct Contested {
    documents: Arc<dyn Documents>,
    /// Whether they write all the same, as a storage would that repeats a write whose answer was lost.
    writes: bool,
}

#[async_trait]
impl Documents for Contested {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.documents.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        if self.writes {
            self.documents.put(collection, key, value, expected).await?;
        }
        Err(BackendError::conflict("write a document", key))
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.documents.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.documents.list(collection, query).await
    }
}

#[test]
fn a_put_that_loses_every_race_leaves_no_blob() {
    let ground = Ground::new();
    let contested = Contested { documents: Arc::clone(&ground.documents), writes: false };
    let namespace = ground.over(Arc::new(contested), Arc::clone(&ground.blobs)).namespace("a").unwrap();
    assert_code(block_on(namespace.put(b"n", &pattern(LARGE, 1), &PutOptions::default())), "conflict");
    assert_eq!(ground.blob_ids(), []);
    write(&ground.namespace("a"), b"n", &pattern(LARGE, 2));
    assert_code(block_on(namespace.put(b"n", &pattern(LARGE, 3), &PutOptions::default())), "conflict");
    assert_eq!(value(&namespace, b"n"), Some(pattern(LARGE, 2)));
    assert_eq!(ground.blob_ids(), [ground.entry("a", b"n").blob.unwrap().id]);
}

#[test]
fn a_write_mistaken_for_a_lost_race_keeps_its_blob() {
    let ground = Ground::new();
    let forgetful = Contested { documents: Arc::clone(&ground.documents), writes: true };
    let namespace = ground.over(Arc::new(forgetful), Arc::clone(&ground.blobs)).namespace("a").unwrap();
    for expected in [ExpectedVersion::Absent, ExpectedVersion::Version(1), ExpectedVersion::Any] {
        let options = PutOptions { expected, ..PutOptions::default() };
        block_on(namespace.put(b"n", &pattern(LARGE, 1), &options)).unwrap();
        assert!(value(&namespace, b"n") == Some(pattern(LARGE, 1)));
    }
    assert_eq!(ground.check().0.damaged, 0);
}
