//! What is said of how much there is, held against a recount.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_backend::{Durability, ListQuery};
use bulla_store::{Budget, Depth, Lifetime, NamespaceSettings, NamespaceStats, PutOptions, WalkEvent};
use pollster::block_on;

use crate::ground::{ENTRIES, Ground, open_folder, pattern, write};

fn stats(ground: &Ground) -> NamespaceStats {
    block_on(ground.namespace("a").stats(&mut |_| {})).unwrap()
}

#[test]
fn the_figures_are_those_of_a_recount() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&ground.namespace("b"), b"n", &pattern(90_000, 1));
    let (mut value_bytes, mut blob_bytes) = (0, 0);
    for n in 0..50_u8 {
        let len = if n % 10 == 0 { 70_000 + usize::from(n) } else { 10 * usize::from(n) };
        value_bytes += len as u64;
        blob_bytes += if len > 65_536 { len as u64 } else { 0 };
        let lifetime = if n < 7 { Lifetime::For(Duration::from_secs(1)) } else { Lifetime::Inherited };
        let options = PutOptions { lifetime, ..PutOptions::default() };
        block_on(namespace.put(&[n], &pattern(len, n), &options)).unwrap();
    }
    let first = ground.newest("a");
    ground.rotate("a");
    let second = ground.newest("a");
    for n in 40..50_u8 {
        write(&namespace, &[n], b"anew");
        let len = if n % 10 == 0 { 70_000 + u64::from(n) } else { 10 * u64::from(n) };
        value_bytes = value_bytes + 4 - len;
        blob_bytes -= if len > 65_536 { len } else { 0 };
    }
    ground.clock.forward(Duration::from_secs(1));
    let found = stats(&ground);
    assert_eq!((found.entries, found.expired, found.refused, found.quarantined), (50, 7, 0, 0));
    assert_eq!((found.value_bytes, found.blobs, found.blob_bytes), (value_bytes, 4, blob_bytes));
    assert_eq!(found.versions, BTreeMap::from([(first, 40), (second, 10)]));
    let query = ListQuery { prefix: b"a\0".to_vec(), ..ListQuery::default() };
    let documents = block_on(ground.documents.list(ENTRIES, &query)).unwrap().documents;
    assert_eq!(found.document_bytes, documents.iter().map(|document| document.value.len() as u64).sum::<u64>());

    let summary = block_on(namespace.summary()).unwrap();
    assert_eq!((summary.settings, summary.usage.unwrap().documents), (Some(NamespaceSettings::default()), 50));
    let blobs = block_on(ground.store.blob_stats()).unwrap();
    let stored: u64 = ground.blob_ids().iter().map(|id| ground.blob(id).len() as u64).sum();
    assert_eq!((blobs.blobs, blobs.bytes), (5, stored));

    // What is damaged is counted as such, and then as in quarantine.
    let mut document = ground.document("a", &[20]).value;
    document[90] ^= 1;
    ground.plant("a", &[20], &document);
    assert_eq!((stats(&ground).entries, stats(&ground).refused), (50, 1));
    assert!(crate::ground::read(&namespace, &[20]).is_err());
    let found = stats(&ground);
    assert_eq!((found.entries, found.refused, found.quarantined), (49, 0, 1));
    block_on(namespace.reseal(Depth::Blobs, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!(stats(&ground).versions, BTreeMap::from([(second, 49)]));
    assert_eq!((stats(&ground).value_bytes, stats(&ground).blobs), (found.value_bytes, 3));
}

#[test]
fn a_compaction_gives_room_back_beside_writers_and_loses_nothing() {
    let ground = Ground::in_folder();
    let namespace = ground.namespace("a");
    for n in 0..2_000_u16 {
        write(&namespace, &n.to_be_bytes(), &pattern(8_000, 1));
    }
    for n in 0..1_990_u16 {
        block_on(namespace.remove(&n.to_be_bytes(), bulla_store::ExpectedVersion::Any)).unwrap();
    }
    let before = block_on(ground.store.disk_usage()).unwrap().unwrap();
    let mut steps = 0;
    let mut written = 0_u16;
    // Each call by a process of its own, stopped behind its first step, and a write in between.
    loop {
        let (documents, blobs) = open_folder(ground.folder());
        let store = ground.over(documents, blobs);
        let budget = Budget { entries: 1, bytes: u64::MAX };
        let counts = block_on(store.compact(&budget, &mut |event| {
            steps += u64::from(matches!(event, WalkEvent::Progress(_)));
        }))
        .unwrap();
        if counts.finished {
            break;
        }
        write(&store.namespace("a").unwrap(), &[b'w', 0, 0, u8::try_from(written % 50).unwrap()], &pattern(500, 2));
        written += 1;
        assert!(written < 10_000);
    }
    let after = block_on(ground.store.disk_usage()).unwrap().unwrap();
    println!("{} bytes became {} in {written} steps", before.total, after.total);
    assert!(steps > 0 && after.total < before.total / 2, "{before:?} {after:?}");
    for n in 1_990..2_000_u16 {
        assert!(crate::ground::read(&namespace, &n.to_be_bytes()).unwrap() == pattern(8_000, 1));
    }
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 10 + u64::from(written.min(50)), "{findings:?}");
}

#[test]
fn a_compaction_can_be_stopped_at_any_call_and_another_goes_on() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::in_folder();
            let namespace = ground.namespace("a").with_durability(Durability::Cache);
            for n in 0..60_u8 {
                write(&namespace, &[n], &pattern(30_000, n));
            }
            for n in 1..60_u8 {
                block_on(namespace.remove(&[n], bulla_store::ExpectedVersion::Any)).unwrap();
            }
            let faults = CallFaults::new();
            let faulty = FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone());
            let faulty = ground.over(Arc::new(faulty), Arc::clone(&ground.blobs));
            faults.arm(at, failure);
            let stopped = block_on(faulty.compact(&Budget::UNLIMITED, &mut |_| {}));
            assert!(crate::ground::read(&namespace, &[0]).unwrap() == pattern(30_000, 0));
            assert!(block_on(ground.store.compact(&Budget::UNLIMITED, &mut |_| {})).unwrap().finished);
            let disk = block_on(ground.store.disk_usage()).unwrap().unwrap();
            assert!(disk.total < 60 * 30_000 / 4, "{failure:?} at {at}: {disk:?}");
            let (counts, findings) = ground.check();
            assert!(counts.is_clean() && counts.ok == 1, "{findings:?}");
            if faults.calls() < at {
                assert!(stopped.unwrap().finished);
                break;
            }
            points += 1;
        }
    }
    assert!(points > 3, "{points} fault points");
}
