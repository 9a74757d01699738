//! Several entries as one: all or nothing, one after the other.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, Failure, Fault, FaultyBlobs, FaultyDocuments, Loss, SimDisk};
use bulla_backend::{Blobs, Documents, FileBlobs, JsonDocuments, MAX_COMMIT_WRITES};
use bulla_store::{
    ExpectedVersion, GetOptions, Lifetime, MAX_INLINE_LEN, Namespace, NamespaceSettings, OnTamper, PutOptions, Store,
    StoreError, Transaction,
};
use pollster::block_on;

use crate::ground::{Ground, assert_code, pattern, read, value, write};

const LARGE: usize = 200_000;

fn put(transaction: &mut Transaction, namespace: &Namespace, name: &[u8], value: &[u8]) {
    transaction.put(namespace, name, value, &PutOptions::default()).unwrap();
}

#[test]
fn everything_is_written_at_the_end_and_read_before() {
    let ground = Ground::new();
    let (a, b) = (ground.namespace("a"), ground.namespace("b"));
    write(&a, b"gone", &pattern(LARGE, 1));
    write(&b, b"there", b"old");
    let mut transaction = ground.store.transaction().unwrap();
    put(&mut transaction, &a, b"small", b"1");
    put(&mut transaction, &a, b"large", &pattern(LARGE, 2));
    put(&mut transaction, &b, b"there", b"new");
    transaction.remove(&a, b"gone").unwrap();
    let get = |transaction: &mut Transaction, name: &[u8]| block_on(transaction.get(&a, name)).unwrap();
    assert_eq!(get(&mut transaction, b"small").unwrap(), b"1");
    assert!(get(&mut transaction, b"large").unwrap() == pattern(LARGE, 2));
    assert_eq!(get(&mut transaction, b"gone"), None);
    assert_eq!(get(&mut transaction, b"missing"), None);
    transaction.put(&a, b"small", b"2", &PutOptions::default()).unwrap();
    assert_eq!(get(&mut transaction, b"small").unwrap(), b"2");
    assert_eq!(value(&a, b"small"), None);
    assert!(value(&a, b"gone").is_some());
    assert_eq!(value(&b, b"there").unwrap(), b"old");
    block_on(transaction.commit()).unwrap();
    assert_eq!(value(&a, b"small").unwrap(), b"2");
    assert!(value(&a, b"large") == Some(pattern(LARGE, 2)));
    assert_eq!(value(&a, b"gone"), None);
    assert_eq!(value(&b, b"there").unwrap(), b"new");
    assert_eq!(block_on(b.stat(b"there", &GetOptions::default())).unwrap().version, 2);
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && ground.blob_ids().len() == 1, "{findings:?}");
}

#[test]
fn what_was_read_and_changed_by_others_ends_it() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    type Meddle = fn(&Namespace);
    let meddlers: [Meddle; 4] = [
        |namespace| assert!(write(namespace, b"read", b"new") > 1),
        |namespace| assert!(write(namespace, b"missing", b"new") > 0),
        |namespace| assert!(block_on(namespace.remove(b"read", ExpectedVersion::Any)).unwrap()),
        |namespace| {
            assert!(block_on(namespace.set_lifetime(b"read", Lifetime::Unlimited, ExpectedVersion::Any)).is_ok());
        },
    ];
    for meddle in meddlers {
        for large in [false, true] {
            write(&namespace, b"read", &pattern(LARGE, 1));
            block_on(namespace.remove(b"missing", ExpectedVersion::Any)).unwrap();
            let blobs = ground.blob_ids().len();
            let mut transaction = ground.store.transaction().unwrap();
            assert!(block_on(transaction.get(&namespace, b"read")).unwrap() == Some(pattern(LARGE, 1)));
            assert_eq!(block_on(transaction.get(&namespace, b"missing")).unwrap(), None);
            put(&mut transaction, &namespace, b"written", &pattern(if large { LARGE } else { 5 }, 1));
            meddle(&namespace);
            assert_code(block_on(transaction.commit()), "conflict");
            assert_eq!(value(&namespace, b"written"), None);
            assert!(ground.blob_ids().len() <= blobs, "no blob is left of it");
        }
    }
    // It is seen while reading, too.
    let mut transaction = ground.store.transaction().unwrap();
    block_on(transaction.get(&namespace, b"read")).unwrap();
    write(&namespace, b"read", b"newest");
    assert_code(block_on(transaction.get(&namespace, b"read")), "conflict");
}

#[test]
fn what_was_only_written_is_replaced_whoever_wrote_meanwhile() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let mut transaction = ground.store.transaction().unwrap();
    put(&mut transaction, &namespace, b"n", b"ours");
    write(&namespace, b"n", b"theirs");
    block_on(transaction.commit()).unwrap();
    assert_eq!(value(&namespace, b"n").unwrap(), b"ours");
    let mut transaction = ground.store.transaction().unwrap();
    put(&mut transaction, &namespace, b"other", b"x");
    let expected = ExpectedVersion::Version(1);
    transaction.put(&namespace, b"n", b"y", &PutOptions { expected, ..PutOptions::default() }).unwrap();
    assert_code(block_on(transaction.commit()), "version_mismatch");
    assert_eq!(value(&namespace, b"other"), None);
    // Nothing to do is done at once.
    block_on(ground.store.transaction().unwrap().commit()).unwrap();
}

#[test]
fn what_is_too_large_is_refused_before_anything_is_written() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let name = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    let mut transaction = ground.store.transaction().unwrap();
    for n in 0..MAX_COMMIT_WRITES {
        put(&mut transaction, &namespace, &name(n), b"v");
    }
    let more = transaction.put(&namespace, &name(MAX_COMMIT_WRITES), b"v", &PutOptions::default());
    assert_code(more, "transaction_too_large");
    assert_code(transaction.remove(&namespace, b"x"), "transaction_too_large");
    assert_code(block_on(transaction.get(&namespace, b"x")), "transaction_too_large");
    assert_code(
        transaction.put(&namespace, &name(0), &pattern(LARGE, 1), &PutOptions::default()),
        "transaction_too_large",
    );
    assert_eq!(ground.documents(), []);
    // What was asked for before can be had.
    transaction.put(&namespace, &name(0), b"w", &PutOptions::default()).unwrap();
    block_on(transaction.commit()).unwrap();
    assert_eq!(ground.documents().len(), MAX_COMMIT_WRITES);

    let mut transaction = ground.store.transaction().unwrap();
    let value = pattern(MAX_INLINE_LEN, 1);
    for n in 0..16 {
        put(&mut transaction, &namespace, &name(n), &value);
    }
    assert_code(transaction.put(&namespace, &name(16), &value, &PutOptions::default()), "transaction_too_large");
    assert_code(block_on(transaction.commit()), "transaction_too_large");
    assert_eq!(read(&namespace, &name(1)).unwrap(), b"v", "with what seals add it was too large still");
}

#[test]
fn eight_threads_move_money_and_none_is_lost() {
    const ACCOUNTS: u8 = 6;
    let ground = Ground::in_folder();
    let namespace = ground.namespace("bank");
    for account in 0..ACCOUNTS {
        write(&namespace, &[account], b"100");
    }
    let amount = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap().parse::<u32>().unwrap();
    let moved = thread::scope(|scope| {
        let threads = [0, 1, 2, 3, 4, 5, 6, 7_u8].map(|who| {
            let ground = &ground;
            scope.spawn(move || {
                let namespace = ground.namespace("bank");
                let mut moved = 0;
                for round in 0..25_u8 {
                    let (from, to) = ([(who + round) % ACCOUNTS], [(who * 5 + round * 3 + 1) % ACCOUNTS]);
                    if from == to {
                        continue;
                    }
                    loop {
                        let mut transaction = ground.store.transaction().unwrap();
                        let read = block_on(async {
                            let from = transaction.get(&namespace, &from).await?;
                            Ok::<_, StoreError>((from, transaction.get(&namespace, &to).await?))
                        });
                        let (left, right) = match read {
                            Ok((left, right)) => (amount(left), amount(right)),
                            Err(StoreError::TransactionConflict(_)) => continue,
                            Err(error) => panic!("{error}"),
                        };
                        let sum = left.min(u32::from(round));
                        put(&mut transaction, &namespace, &from, (left - sum).to_string().as_bytes());
                        put(&mut transaction, &namespace, &to, (right + sum).to_string().as_bytes());
                        match block_on(transaction.commit()) {
                            Ok(()) => break moved += 1,
                            Err(StoreError::TransactionConflict(_) | StoreError::Conflict(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                moved
            })
        });
        // Whoever looks at all accounts in one transaction sees one moment.
        for _ in 0..20 {
            let mut transaction = ground.store.transaction().unwrap();
            let balances: Result<Vec<_>, _> =
                (0..ACCOUNTS).map(|account| block_on(transaction.get(&namespace, &[account]))).collect();
            if let Ok(balances) = balances
                && block_on(transaction.commit()).is_ok()
            {
                assert_eq!(balances.into_iter().map(amount).sum::<u32>(), u32::from(ACCOUNTS) * 100);
            }
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    let total: u32 = (0..ACCOUNTS).map(|account| amount(value(&namespace, &[account]))).sum();
    assert_eq!(total, u32::from(ACCOUNTS) * 100);
    let versions: u64 = (0..ACCOUNTS)
        .map(|account| block_on(namespace.stat(&[account], &GetOptions::default())).unwrap().version)
        .sum();
    assert_eq!(versions, u64::from(ACCOUNTS) + 2 * u64::from(moved), "each move changed two accounts once");
}

/// Puts, replaces and removes in one; says what was asked for.
fn step(store: &Store) -> Result<(), StoreError> {
    block_on(async {
        let namespace = store.namespace("a")?;
        let mut transaction = store.transaction()?;
        transaction.get(&namespace, b"read").await?;
        transaction.put(&namespace, b"new", &pattern(LARGE, 2), &PutOptions::default())?;
        transaction.put(&namespace, b"replaced", b"new", &PutOptions::default())?;
        transaction.remove(&namespace, b"removed")?;
        transaction.commit().await
    })
}

fn prepare(store: &Store) {
    let namespace = store.namespace("a").unwrap();
    write(&namespace, b"read", b"r");
    write(&namespace, b"replaced", &pattern(LARGE, 1));
    write(&namespace, b"removed", &pattern(LARGE, 1));
}

/// Says whether it happened; fails if it happened in part.
fn happened(store: &Store) -> bool {
    let namespace = store.namespace("a").unwrap();
    let [new, replaced, removed] = [&b"new"[..], b"replaced", b"removed"].map(|name| value(&namespace, name));
    if new.is_some() {
        assert!(new == Some(pattern(LARGE, 2)) && replaced.as_deref() == Some(b"new") && removed.is_none());
        return true;
    }
    assert!(replaced == Some(pattern(LARGE, 1)) && removed == Some(pattern(LARGE, 1)));
    false
}

#[test]
fn whatever_fails_everything_happened_or_nothing() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::new();
            prepare(&ground.store);
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
            );
            faults.arm(at, failure);
            let outcome = step(&faulty);
            let fired = faults.calls() >= at;
            let happened = happened(&ground.store);
            match outcome {
                Ok(()) => assert!(happened, "{failure:?} at {at}"),
                Err(error) => assert_eq!(error.code(), "backend", "{error}"),
            }
            let (counts, findings) = ground.check();
            assert_eq!(counts.damaged, 0, "{failure:?} at {at}: {findings:?}");
            if !fired {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 30, "{points} fault points");
}

fn on_disk(ground: &Ground, disk: &SimDisk) -> Store {
    let shared = || Arc::new(disk.clone());
    let documents: Arc<dyn Documents> = Arc::new(JsonDocuments::open_on(shared(), "/store/entries.json").unwrap());
    let blobs: Arc<dyn Blobs> = Arc::new(FileBlobs::open_on(shared(), "/store/blobs").unwrap());
    ground.over(documents, blobs)
}

#[test]
fn a_power_cut_anywhere_leaves_everything_or_nothing() {
    let mut points = 0;
    for fault in Fault::ALL {
        for loss in [Loss::Nothing, Loss::Everything, Loss::Seeded(7)] {
            for at in 1.. {
                let ground = Ground::new();
                let disk = SimDisk::new();
                let store = on_disk(&ground, &disk);
                prepare(&store);
                let operations = disk.operations();
                disk.arm(operations + at, fault);
                let acknowledged = step(&store).is_ok();
                let fired = disk.fired();
                drop(store);
                let happened = happened(&on_disk(&ground, &disk.power_cut(loss)));
                assert!(happened || !acknowledged, "{fault:?} at {at}, {loss:?}");
                if !fired {
                    break;
                }
                points += 1;
            }
        }
    }
    assert!(points > 50, "{points} power cuts");
}

#[test]
fn an_expired_entry_reads_as_none_and_is_replaced() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let short = PutOptions { lifetime: Lifetime::For(Duration::from_secs(1)), ..PutOptions::default() };
    block_on(namespace.put(b"n", b"old", &short)).unwrap();
    ground.clock.forward(Duration::from_secs(1));
    let mut transaction = ground.store.transaction().unwrap();
    assert_eq!(block_on(transaction.get(&namespace, b"n")).unwrap(), None);
    let absent = PutOptions { expected: ExpectedVersion::Absent, ..PutOptions::default() };
    transaction.put(&namespace, b"n", b"new", &absent).unwrap();
    block_on(transaction.commit()).unwrap();
    assert_eq!(block_on(namespace.stat(b"n", &GetOptions::default())).unwrap().version, 2);
}

#[test]
fn a_namespace_of_another_store_is_refused_at_once() {
    let (here, there) = (Ground::new(), Ground::new());
    let (ours, theirs) = (here.namespace("a"), there.namespace("a"));
    let mut transaction = here.store.transaction().unwrap();
    put(&mut transaction, &ours, b"n", b"v");
    assert_code(transaction.put(&theirs, b"n", b"w", &PutOptions::default()), "other_store");
    assert_code(transaction.remove(&theirs, b"n"), "other_store");
    assert_code(block_on(transaction.get(&theirs, b"n")), "other_store");
    block_on(transaction.commit()).unwrap();
    assert_eq!((value(&ours, b"n"), value(&theirs, b"n")), (Some(b"v".to_vec()), None));
    // Another handle of the same storage is the same store.
    let again = here.over(Arc::clone(&here.documents), Arc::clone(&here.blobs));
    let mut transaction = again.transaction().unwrap();
    transaction.remove(&ours, b"n").unwrap();
    block_on(transaction.commit()).unwrap();
    assert_eq!(value(&ours, b"n"), None);
}

#[test]
fn what_is_read_as_a_miss_can_be_put_again() {
    for flip in [false, true] {
        let ground = Ground::new();
        let namespace = ground.namespace("a");
        let settings = NamespaceSettings { on_tamper: OnTamper::Miss, ..NamespaceSettings::default() };
        block_on(namespace.set_settings(&settings)).unwrap();
        write(&namespace, b"n", &pattern(LARGE, 1));
        let id = ground.blob_ids()[0];
        if flip {
            let mut blob = ground.blob(&id);
            blob[100_000] ^= 1;
            ground.plant_blob(&id, &blob);
        } else {
            block_on(ground.blobs.delete(&id)).unwrap();
        }
        let mut transaction = ground.store.transaction().unwrap();
        assert_eq!(block_on(transaction.get(&namespace, b"n")).unwrap(), None);
        put(&mut transaction, &namespace, b"n", b"anew");
        put(&mut transaction, &namespace, b"other", b"v");
        block_on(transaction.commit()).unwrap();
        assert_eq!(value(&namespace, b"n").unwrap(), b"anew");
        assert_eq!(value(&namespace, b"other").unwrap(), b"v");
    }
}
