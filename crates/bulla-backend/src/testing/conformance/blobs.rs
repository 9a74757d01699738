//! Blobs: whole or not there, never changed.

use std::{sync::Arc, thread};

use pollster::block_on;

use super::{id, refused};
use crate::{BlobId, BlobPage, BlobReader, Blobs, Durability, ErrorKind, MAX_PAGE_BLOBS, testing::Random};

const BOTH: [Durability; 2] = [Durability::Durable, Durability::Cache];

pub(super) fn check<P>(new_place: &impl Fn() -> P)
where
    P: Fn() -> Arc<dyn Blobs> + Sync,
{
    what_is_not_there(&*new_place()());
    contents(&*new_place()());
    visible_when_finished(&*new_place()());
    never_overwritten(&*new_place()());
    deleting(&*new_place()());
    listing(&*new_place()());
    moments(&new_place());
    reopening(&new_place());
    writers_at_once(&new_place());
}

fn write(blobs: &dyn Blobs, id: &BlobId, bytes: &[u8], durability: Durability) -> crate::Result<u64> {
    let mut writer = block_on(blobs.create(id, durability))?;
    for part in bytes.chunks(bytes.len() / 3 + 1) {
        block_on(writer.write(part))?;
    }
    block_on(writer.finish())
}

fn open(blobs: &dyn Blobs, id: &BlobId) -> Option<Box<dyn BlobReader>> {
    block_on(blobs.open(id)).expect("a blob is opened")
}

fn read(blobs: &dyn Blobs, id: &BlobId) -> Option<Vec<u8>> {
    let reader = open(blobs, id)?;
    let mut bytes = vec![0; usize::try_from(reader.len()).expect("a short blob")];
    let read = block_on(reader.read_at(0, &mut bytes)).expect("a blob is read");
    assert_eq!(read, bytes.len());
    Some(bytes)
}

fn list(blobs: &dyn Blobs, after: Option<&BlobId>, limit: usize) -> BlobPage {
    block_on(blobs.list(after, limit)).expect("a listing")
}

fn sizes(page: &BlobPage) -> Vec<(BlobId, u64)> {
    page.blobs.iter().map(|blob| (blob.id, blob.len)).collect()
}

fn what_is_not_there(blobs: &dyn Blobs) {
    assert!(open(blobs, &id(1)).is_none());
    assert!(!block_on(blobs.delete(&id(1))).expect("there is nothing to delete"));
    assert_eq!(list(blobs, None, 0), BlobPage::default());
}

fn contents(blobs: &dyn Blobs) {
    let sizes = [0, 1, 511, 512, 4096, 65_537, 1_048_579];
    for (number, size) in sizes.into_iter().enumerate() {
        let (id, bytes) = (id(number as u64), Random::new(number as u64).bytes(size));
        let len = write(blobs, &id, &bytes, BOTH[number % 2]).expect("a blob is written");
        assert_eq!(len, size as u64);
        assert_eq!(read(blobs, &id).as_deref(), Some(&*bytes));

        let reader = open(blobs, &id).expect("it is there");
        assert_eq!((reader.len(), reader.is_empty()), (size as u64, size == 0));
        for offset in [0, 1, size / 2, size.saturating_sub(1), size, size + 1] {
            for wanted in [0, 1, 700, size + 1] {
                let mut buffer = vec![0xa5; wanted];
                let read = block_on(reader.read_at(offset as u64, &mut buffer)).expect("a blob is read");
                let there = bytes.get(offset..).unwrap_or_default();
                assert_eq!(read, there.len().min(wanted), "short only at the end");
                assert_eq!(buffer[..read], there[..read]);
            }
        }
        let mut buffer = [0; 8];
        for offset in [u64::MAX, u64::MAX - 4, 1 << 63] {
            assert_eq!(block_on(reader.read_at(offset, &mut buffer)).expect("nothing is there"), 0);
        }
    }
    let mut empty = block_on(blobs.create(&id(100), Durability::Durable)).expect("a blob is begun");
    block_on(empty.write(b"")).expect("nothing is written");
    assert_eq!(block_on(empty.finish()).expect("a blob is finished"), 0);
    assert_eq!(read(blobs, &id(100)), Some(Vec::new()));
}

fn visible_when_finished(blobs: &dyn Blobs) {
    for durability in BOTH {
        let mut writer = block_on(blobs.create(&id(1), durability)).expect("a blob is begun");
        let mut dropped = block_on(blobs.create(&id(2), durability)).expect("a second at the same time");
        block_on(writer.write(b"some")).expect("bytes are written");
        block_on(dropped.write(b"lost")).expect("bytes are written");
        assert!(open(blobs, &id(1)).is_none(), "not before it is finished");
        assert_eq!(list(blobs, None, 0), BlobPage::default());
        drop(dropped);
        assert!(open(blobs, &id(2)).is_none());
        assert_eq!(block_on(writer.finish()).expect("a blob is finished"), 4);
        assert_eq!(sizes(&list(blobs, None, 0)), [(id(1), 4)]);
        assert!(block_on(blobs.delete(&id(1))).expect("a blob is deleted"));
    }
}

fn never_overwritten(blobs: &dyn Blobs) {
    for durability in BOTH {
        let earlier = block_on(blobs.create(&id(1), durability)).expect("a blob is begun");
        write(blobs, &id(1), b"first", durability).expect("the first to finish");
        refused(block_on(earlier.finish()), ErrorKind::Conflict);
        refused(write(blobs, &id(1), b"second", durability), ErrorKind::Conflict);
        assert_eq!(read(blobs, &id(1)), Some(b"first".to_vec()), "it stays as it is");
        assert_eq!(sizes(&list(blobs, None, 0)), [(id(1), 5)]);
        assert!(block_on(blobs.delete(&id(1))).expect("a blob is deleted"));
    }
}

fn deleting(blobs: &dyn Blobs) {
    write(blobs, &id(1), b"bytes", Durability::Durable).expect("a blob is written");
    write(blobs, &id(2), b"other", Durability::Durable).expect("a blob is written");
    let reader = open(blobs, &id(1)).expect("it is there");
    assert!(block_on(blobs.delete(&id(1))).expect("a blob is deleted"));
    assert!(open(blobs, &id(1)).is_none());
    assert!(!block_on(blobs.delete(&id(1))).expect("it is gone already"));
    assert_eq!(sizes(&list(blobs, None, 0)), [(id(2), 5)]);
    let mut buffer = [0; 5];
    if block_on(reader.read_at(0, &mut buffer)).is_ok() {
        assert_eq!(buffer, *b"bytes", "an open reader fails or reads on, but reads nothing else");
    }
    write(blobs, &id(1), b"again", Durability::Durable).expect("the id is free");
    assert_eq!(read(blobs, &id(1)), Some(b"again".to_vec()));
}

fn listing(blobs: &dyn Blobs) {
    let mut ids: Vec<_> = (0..MAX_PAGE_BLOBS as u64 + 1).map(id).collect();
    ids.extend([BlobId([0; 32]), BlobId([0xff; 32])]);
    for id in &ids {
        write(blobs, id, &id.0[..usize::from(id.0[31] % 32)], Durability::Cache).expect("a blob is written");
    }
    ids.sort_unstable();
    let expected: Vec<_> = ids.iter().map(|id| (*id, u64::from(id.0[31] % 32))).collect();
    for limit in [0, 1_000, usize::MAX, 100, ids.len() - 1, 7] {
        let most = if limit == 0 { MAX_PAGE_BLOBS } else { limit.min(MAX_PAGE_BLOBS) };
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = list(blobs, after.as_ref(), limit);
            assert_eq!(page.blobs.len(), most.min(expected.len() - listed.len()));
            listed.extend(sizes(&page));
            assert_eq!(page.next.is_some(), listed.len() < expected.len(), "the last page says so");
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        assert_eq!(listed, expected);
    }
    assert_eq!(list(blobs, Some(&BlobId([0xff; 32])), 0), BlobPage::default());
    let mut absent = ids[500];
    absent.0[31] ^= 1;
    let behind = expected.iter().find(|(id, _)| *id > absent).copied();
    assert_eq!(sizes(&list(blobs, Some(&absent), 1)).first().copied(), behind, "`after` need not be there");
}

/// Which clock a storage has is its own affair; but the moments that it names stay, in every handle, and do not go back.
fn moments<P: Fn() -> Arc<dyn Blobs>>(place: &P) {
    let blobs = place();
    let finished = |blobs: &dyn Blobs, id: BlobId| {
        let page = list(blobs, None, 0);
        page.blobs.iter().find(|blob| blob.id == id).map(|blob| blob.finished).expect("it is there")
    };
    let mut earlier = block_on(blobs.create(&id(1), Durability::Durable)).expect("a blob is begun");
    write(&*blobs, &id(2), b"second to begin, first to end", Durability::Durable).expect("a blob is written");
    let second = finished(&*blobs, id(2));
    block_on(earlier.write(b"first to begin, second to end")).expect("bytes are written");
    block_on(earlier.finish()).expect("a blob is finished");
    let first = finished(&*blobs, id(1));
    assert!(first >= second, "what counts is when it was finished: {first:?}, {second:?}");
    drop(open(&*blobs, &id(2)).expect("it is there"));
    assert_eq!(finished(&*place(), id(2)), second, "reading changes nothing, nor does another handle");
    assert!(block_on(blobs.delete(&id(2))).expect("a blob is deleted"));
    write(&*blobs, &id(2), b"again", Durability::Durable).expect("the id is free");
    assert!(finished(&*blobs, id(2)) >= first, "a blob written again is a new one");
}

fn reopening<P: Fn() -> Arc<dyn Blobs>>(place: &P) {
    let blobs = place();
    for (number, durability) in BOTH.into_iter().enumerate() {
        write(&*blobs, &id(number as u64), b"kept", durability).expect("a blob is written");
    }
    let mut unfinished = block_on(blobs.create(&id(9), Durability::Durable)).expect("a blob is begun");
    block_on(unfinished.write(b"half")).expect("bytes are written");
    let other = place();
    assert_eq!(read(&*other, &id(0)), Some(b"kept".to_vec()));
    assert_eq!(read(&*other, &id(1)), Some(b"kept".to_vec()));
    assert!(open(&*other, &id(9)).is_none());
    block_on(unfinished.write(b"way")).expect("another opening does not disturb a writer");
    assert_eq!(block_on(unfinished.finish()).expect("a blob is finished"), 7);
    assert_eq!(read(&*other, &id(9)), Some(b"halfway".to_vec()));
}

fn writers_at_once<P>(place: &P)
where
    P: Fn() -> Arc<dyn Blobs> + Sync,
{
    const THREADS: u64 = 8;
    let shared = place();
    let won: u64 = thread::scope(|scope| {
        let started: Vec<_> = (0..THREADS)
            .map(|thread| {
                let blobs = if thread % 2 == 0 { Arc::clone(&shared) } else { place() };
                scope.spawn(move || {
                    for round in 0..4 {
                        let number = thread * 100 + round;
                        let bytes = Random::new(number).bytes(2_000);
                        write(&*blobs, &id(number), &bytes, Durability::Durable).expect("a blob is written");
                        assert_eq!(read(&*blobs, &id(number)), Some(bytes));
                    }
                    match write(&*blobs, &id(u64::MAX), &thread.to_be_bytes(), Durability::Durable) {
                        Ok(_) => 1,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                            0
                        }
                    }
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().expect("a thread that ends well")).sum()
    });
    assert_eq!(won, 1, "of several writers of one blob, one wins");
    let winner = read(&*shared, &id(u64::MAX)).expect("it is there");
    assert!(u64::from_be_bytes(winner.try_into().expect("eight bytes")) < THREADS);
    assert_eq!(list(&*shared, None, 0).blobs.len(), 4 * THREADS as usize + 1);
}
