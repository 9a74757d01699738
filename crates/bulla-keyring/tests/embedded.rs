//! The keyring on the embedded database, opened twice, as two processes have it.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use bulla_backend::{MemoryDocuments, SqliteDocuments, SqliteOptions};
use bulla_keyring::{Algorithm, Keyring};

use crate::setting::{Setting, context, name};

#[test]
fn rotations_are_seen_across_openings_and_outlive_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust");
    let setting = Setting { documents: MemoryDocuments::new(), ..Setting::new() };
    let here = setting.create_on(open(&path)).unwrap();
    let there = setting.open_on(open(&path), here.pin()).unwrap();
    let orders = name("orders");
    let context = context(&here, 1);
    let mut sealed = Vec::new();
    pollster::block_on(async {
        here.create_key(&orders, Algorithm::default()).await.unwrap();
        for _ in 0..10 {
            for (one, other) in [(&here, &there), (&there, &here)] {
                let rotated = one.rotate_key(&orders).await.unwrap();
                for keyring in [one, other] {
                    assert_eq!(keyring.current(&orders).await.unwrap().id(), rotated.id);
                }
                sealed.push(other.seal(&orders, &context, b"42").await.unwrap());
            }
        }
    });
    let pin = here.pin();
    drop((here, there));
    let reopened = setting.open_on(open(&path), pin).unwrap();
    for sealed in &sealed {
        assert_eq!(pollster::block_on(reopened.open_sealed(&orders, &context, sealed)).unwrap(), b"42");
    }
}

#[test]
fn racing_openings_lose_no_rotation() {
    const ROTATIONS: u64 = 25;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust");
    let setting = Setting::new();
    let keyring = setting.create_on(open(&path)).unwrap();
    let orders = name("orders");
    pollster::block_on(keyring.create_key(&orders, Algorithm::default())).unwrap();
    let rotate = |keyring: &Keyring| {
        for _ in 0..ROTATIONS {
            let rotated = pollster::block_on(keyring.rotate_key(&orders)).unwrap();
            assert!(pollster::block_on(keyring.current(&orders)).unwrap().number() >= rotated.number);
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| rotate(&setting.open_on(open(&path), keyring.pin()).unwrap()));
        }
    });
    let info = pollster::block_on(keyring.key(&orders)).unwrap();
    assert_eq!(info.newest, 1 + 4 * ROTATIONS);
}

fn open(path: &Path) -> Arc<SqliteDocuments> {
    Arc::new(SqliteDocuments::open(path, SqliteOptions::default()).unwrap())
}
