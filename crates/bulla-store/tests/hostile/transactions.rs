//! Transactions end, and lose nothing.

use bulla_store::{Eviction, OnTamper, PutOptions, StoreError};
use pollster::block_on;

use super::{LARGE, only_blob, set};
use crate::ground::{Ground, pattern, value, write};

#[test]
fn a_transaction_says_that_a_value_is_missing_rather_than_begin_again() {
    for on_tamper in [OnTamper::Error, OnTamper::Miss] {
        let ground = Ground::new();
        let namespace = ground.namespace("a");
        set(&namespace, |settings| settings.on_tamper = on_tamper).unwrap();
        write(&namespace, b"n", &pattern(LARGE, 1));
        block_on(ground.blobs.delete(&only_blob(&ground))).unwrap();
        // Whoever gets a conflict begins again, as told: they never come to an end.
        let mut conflicts = 0;
        let got = loop {
            let mut transaction = ground.store.transaction().unwrap();
            match block_on(transaction.get(&namespace, b"n")) {
                Err(StoreError::TransactionConflict(_)) if conflicts < 20 => conflicts += 1,
                got => break got,
            }
        };
        match on_tamper {
            OnTamper::Error => assert!(got.is_err_and(|error| error.is_integrity_failure())),
            OnTamper::Miss => assert_eq!(got.unwrap(), None),
        }
    }
}

#[test]
fn a_transaction_treats_a_damaged_value_as_a_read_does() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.on_tamper = OnTamper::Miss).unwrap();
    write(&namespace, b"n", &pattern(LARGE, 1));
    let id = only_blob(&ground);
    let mut blob = ground.blob(&id);
    blob[300] ^= 1;
    ground.plant_blob(&id, &blob);
    let mut transaction = ground.store.transaction().unwrap();
    let got = block_on(transaction.get(&namespace, b"n"));
    assert_eq!(got.map_err(|error| error.code()), Ok(None));
    assert_eq!(block_on(namespace.quarantine(None)).unwrap().records.len(), 1);
}

#[test]
fn a_transaction_over_two_stores_loses_no_value() {
    let (here, there) = (Ground::new(), Ground::new());
    let (a, b) = (here.namespace("a"), there.namespace("b"));
    let mut transaction = here.store.transaction().unwrap();
    let put = transaction
        .put(&a, b"n", b"v", &PutOptions::default())
        .and_then(|()| transaction.put(&b, b"n", b"w", &PutOptions::default()));
    // Refused at the one place or the other; but what is said to be written is there.
    if put.is_ok() && block_on(transaction.commit()).is_ok() {
        assert_eq!(value(&a, b"n").as_deref(), Some(&b"v"[..]));
        assert_eq!(value(&b, b"n").as_deref(), Some(&b"w"[..]));
    }
}

#[test]
fn a_namespace_that_is_not_full_keeps_no_transaction_out() {
    let ground = Ground::new();
    let (plain, cache) = (ground.namespace("plain"), ground.namespace("cache"));
    set(&plain, |settings| settings.max_entries = Some(100)).unwrap();
    set(&cache, |settings| {
        (settings.max_entries, settings.eviction) = (Some(5), Some(Eviction::LeastRecentlyStored));
    })
    .unwrap();
    for name in 0_u8..5 {
        write(&cache, &[name], b"v");
    }
    let mut transaction = ground.store.transaction().unwrap();
    transaction.put(&plain, b"n", b"v", &PutOptions::default()).unwrap();
    transaction.put(&cache, b"n", b"v", &PutOptions::default()).unwrap();
    block_on(transaction.commit()).unwrap();
}
