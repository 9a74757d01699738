//! The faulty drivers fail where they are told to, and only there.

use std::sync::Arc;

use bulla_backend::{
    BlobId, Blobs, Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, MemoryBlobs, MemoryDocuments,
    testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments},
};
use pollster::block_on;

const PLACE: Collection = Collection::new("place", Durability::Durable);

#[test]
fn a_write_fails_before_or_after_its_effect() {
    let key = DocumentKey::new(*b"a").unwrap();
    for (failure, written) in [(Failure::Before, false), (Failure::After, true), (Failure::Away, false)] {
        let (faults, inner) = (CallFaults::new(), MemoryDocuments::new());
        let documents = FaultyDocuments::new(Arc::new(inner.clone()), faults.clone());
        assert!(block_on(documents.get(PLACE, &key)).unwrap().is_none());
        faults.arm(2, failure);
        block_on(documents.put(PLACE, &key, b"1", Expected::Absent)).unwrap_err();
        assert_eq!(block_on(inner.get(PLACE, &key)).unwrap().is_some(), written);
        let later = block_on(documents.get(PLACE, &key));
        if failure == Failure::Away {
            assert_eq!(later.unwrap_err().kind(), ErrorKind::Unavailable);
        } else {
            later.unwrap();
        }
        assert_eq!(faults.calls(), 3);
        faults.disarm();
        block_on(documents.put(PLACE, &key, b"2", Expected::Any)).unwrap();
    }
}

#[test]
fn each_step_of_a_blob_is_a_call() {
    let id = BlobId([7; 32]);
    for step in 1..=5 {
        let (faults, inner) = (CallFaults::new(), MemoryBlobs::new());
        let blobs = FaultyBlobs::new(Arc::new(inner.clone()), faults.clone());
        faults.arm(step, Failure::Before);
        let steps = async {
            let mut writer = blobs.create(&id, Durability::Durable).await?;
            writer.write(b"bytes").await?;
            writer.finish().await?;
            let reader = blobs.open(&id).await?.unwrap();
            reader.read_at(0, &mut [0; 5]).await
        };
        block_on(steps).unwrap_err();
        assert_eq!(faults.calls(), step, "nothing is called after step {step}");
        assert_eq!(block_on(inner.open(&id)).unwrap().is_some(), step > 3);
    }
}
