//! Counting what is sealed under which key version.

use std::collections::BTreeSet;

use bulla_backend::DocumentKey;
use bulla_seal::KeyVersionId;
use bulla_store::{Budget, Depth, VersionUsage, WalkEvent};
use pollster::block_on;

use crate::ground::{Ground, write};

fn usage(ground: &Ground, versions: &[KeyVersionId]) -> VersionUsage {
    let versions: BTreeSet<_> = versions.iter().copied().collect();
    block_on(ground.store.count_versions(&versions, &mut |_| {})).unwrap()
}

#[test]
fn entries_are_counted_by_the_version_that_seals_them() {
    let ground = Ground::new();
    let (a, b) = (ground.namespace("a"), ground.namespace("b"));
    for n in 0..3_u8 {
        write(&a, &[n], b"first");
    }
    write(&b, b"n", b"elsewhere");
    let (first, elsewhere) = (ground.newest("a"), ground.newest("b"));
    ground.rotate("a");
    let second = ground.newest("a");
    write(&a, &[2], b"second");
    write(&a, b"large", &[7; 200_000]);

    let all = usage(&ground, &[first, second, elsewhere]);
    assert_eq!((all.seen, all.unreadable, all.total()), (5, 0, 5));
    assert_eq!(all.entries.into_iter().collect::<BTreeSet<_>>(), [(first, 2), (second, 2), (elsewhere, 1)].into());
    assert_eq!(usage(&ground, &[first]).total(), 2);
    assert_eq!(usage(&ground, &[]).total(), 0);

    block_on(a.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!(usage(&ground, &[first]).entries.get(&first), None);
    assert_eq!(usage(&ground, &[second]).total(), 4);
}

#[test]
fn what_is_no_entry_is_counted_apart() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"good", b"v");
    let good = ground.document("a", b"good").value;
    ground.plant("a", b"damaged", b"not sealed at all");
    ground.plant_at(&DocumentKey::new(b"no namespace".to_vec()).unwrap(), &good);
    let newest = ground.newest("a");
    let usage = usage(&ground, &[newest]);
    assert_eq!((usage.seen, usage.unreadable, usage.total()), (3, 2, 1));
}

#[test]
fn the_observer_hears_of_every_page() {
    let ground = Ground::new();
    for n in 0..2_000_u16 {
        write(&ground.namespace("a"), &n.to_be_bytes(), b"v");
    }
    let versions = BTreeSet::from([ground.newest("a")]);
    let mut heard = Vec::new();
    block_on(ground.store.count_versions(&versions, &mut |event| {
        if let WalkEvent::Progress(usage) = event {
            heard.push(usage.seen);
        }
    }))
    .unwrap();
    assert!(heard.len() > 1 && heard.is_sorted(), "{heard:?}");
    assert_eq!(heard.last(), Some(&2_000));
}
