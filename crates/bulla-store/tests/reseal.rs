//! After a rotation, nothing is lost, and re-sealing lets the old key version go.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
use bulla_seal::Header;
use bulla_store::{Finding, GetOptions, Lifetime, Namespace, PutOptions, ResealCounts, WalkEvent};
use pollster::block_on;

use crate::ground::{Ground, check, pattern, read, write};

fn reseal(namespace: &Namespace) -> (ResealCounts, Vec<Finding>) {
    let mut findings = Vec::new();
    let counts = block_on(namespace.reseal(&mut |event| {
        if let WalkEvent::Found(finding) = event {
            findings.push(finding);
        }
    }));
    (counts.unwrap(), findings)
}

fn fill(ground: &Ground) -> Vec<(Vec<u8>, Vec<u8>)> {
    let namespace = ground.namespace("a");
    let values: Vec<_> =
        (0_u8..100).map(|n| (vec![b'n', n], pattern(if n % 10 == 0 { 70_000 } else { 3_000 }, n))).collect();
    for (name, value) in &values {
        write(&namespace, name, value);
    }
    values
}

fn old(ground: &Ground) -> usize {
    let newest = ground.newest("a");
    let of_another = |value: &[u8]| Header::parse(value).unwrap().key_version() != newest;
    ground.documents().iter().filter(|document| of_another(&document.value)).count()
}

#[test]
fn everything_moves_to_the_newest_version_and_stays_what_it_was() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let values = fill(&ground);
    write(&ground.namespace("b"), b"n", b"elsewhere");
    let options = PutOptions { lifetime: Lifetime::For(Duration::from_secs(9)), ..PutOptions::default() };
    block_on(namespace.put(b"brief", b"v", &options)).unwrap();
    let stats: Vec<_> =
        values.iter().map(|(name, _)| block_on(namespace.stat(name, &GetOptions::default())).unwrap()).collect();
    let blobs: Vec<_> = ground.blob_ids().iter().map(|id| ground.blob(id)).collect();
    let elsewhere = ground.document("b", b"n");

    ground.rotate("a");
    ground.rotate("a");
    assert_eq!(old(&ground), 102);
    for (name, value) in &values {
        assert!(read(&namespace, name).unwrap() == *value, "what is under an old version still opens");
    }
    let (counts, findings) = reseal(&namespace);
    assert_eq!((counts.resealed, counts.current, counts.failed), (101, 0, 0), "{findings:?}");
    assert_eq!(old(&ground), 1, "the one of the other namespace");
    assert_eq!(ground.document("b", b"n"), elsewhere);
    for ((name, value), stat) in values.iter().zip(stats) {
        let got = block_on(namespace.get(name, &GetOptions::version(1))).unwrap();
        assert!(got.bytes == *value && got.stat == stat);
    }
    assert!(blobs.into_iter().eq(ground.blob_ids().iter().map(|id| ground.blob(id))), "blobs stay as they are");
    assert!(ground.check().0.is_clean());

    let (counts, _) = reseal(&namespace);
    assert_eq!((counts.resealed, counts.current, counts.failed), (0, 101, 0));
    ground.clock.forward(Duration::from_secs(9));
    assert_eq!(check(&ground.store).0.expired, 1, "no life was lengthened");
}

#[test]
fn what_does_not_open_is_named_and_left_as_it_is() {
    let ground = Ground::new();
    fill(&ground);
    let mut document = ground.document("a", b"n\x05").value;
    document[90] ^= 1;
    ground.plant("a", b"n\x05", &document);
    ground.rotate("a");
    let (counts, findings) = reseal(&ground.namespace("a"));
    assert_eq!((counts.resealed, counts.failed), (99, 1));
    assert_eq!(findings.iter().map(Finding::code).collect::<Vec<_>>(), ["damaged"]);
    assert_eq!(ground.document("a", b"n\x05").value, document);
}

#[test]
fn a_namespace_without_a_key_has_nothing_to_reseal() {
    let ground = Ground::new();
    assert_eq!(reseal(&ground.namespace("a")).0, ResealCounts::default());
}

#[test]
fn it_can_be_stopped_at_any_point_and_begun_again() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::new();
            let values = fill(&ground);
            ground.rotate("a");
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
            );
            faults.arm(at, failure);
            let stopped = block_on(faulty.namespace("a").unwrap().reseal(&mut |_| {}));
            for (name, value) in &values {
                assert!(read(&ground.namespace("a"), name).unwrap() == *value);
            }
            let (counts, findings) = reseal(&ground.namespace("a"));
            assert_eq!(counts.failed, 0, "{findings:?}");
            assert_eq!(old(&ground), 0);
            assert!(ground.check().0.is_clean());
            if faults.calls() < at {
                assert_eq!(stopped.unwrap().resealed, 100);
                break;
            }
            points += 1;
        }
    }
    assert!(points >= 9, "{points} fault points");
}
