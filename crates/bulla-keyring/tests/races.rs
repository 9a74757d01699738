//! Several keyrings, as of several processes, on one key at once.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread;

use bulla_keyring::Algorithm;
use bulla_seal::Header;

use crate::setting::{Setting, code, context, name};

const RACERS: usize = 8;

#[test]
fn no_rotation_is_lost() {
    const ROTATIONS: usize = 40;
    let setting = Setting::new();
    let keyring = setting.create();
    let orders = name("orders");
    pollster::block_on(keyring.create_key(&orders, Algorithm::default())).unwrap();
    let context = context(&keyring, 1);
    let start = Barrier::new(RACERS);
    let sealed: Vec<(u64, Vec<u8>)> = thread::scope(|scope| {
        let racers = [(); RACERS].map(|()| {
            scope.spawn(|| {
                let keyring = setting.open(keyring.pin()).unwrap();
                start.wait();
                let rotate = || {
                    pollster::block_on(async {
                        let rotated = keyring.rotate_key(&orders).await.unwrap();
                        let current = keyring.current(&orders).await.unwrap();
                        assert!(current.number() >= rotated.number, "sealing under a version older than one's own");
                        let sealed = keyring.seal(&orders, &context, b"42").await.unwrap();
                        (rotated.number, sealed)
                    })
                };
                (0..ROTATIONS).map(|_| rotate()).collect::<Vec<_>>()
            })
        });
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    });
    let numbers: HashSet<u64> = sealed.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), RACERS * ROTATIONS, "each rotation made a version of its own");
    let reopened = setting.open(keyring.pin()).unwrap();
    pollster::block_on(async {
        assert_eq!(reopened.key(&orders).await.unwrap().newest, *numbers.iter().max().unwrap());
        for (_, sealed) in &sealed {
            assert_eq!(reopened.open_sealed(&orders, &context, sealed).await.unwrap(), b"42");
        }
    });
}

#[test]
fn one_of_many_creators_wins() {
    let setting = Setting::new();
    let keyring = setting.create();
    for round in 0..20 {
        let key = name(&format!("key-{round}"));
        let start = Barrier::new(RACERS);
        let mut codes: Vec<_> = thread::scope(|scope| {
            let racers = [(); RACERS].map(|()| {
                scope.spawn(|| {
                    let keyring = setting.open(keyring.pin()).unwrap();
                    start.wait();
                    code(pollster::block_on(keyring.create_key(&key, Algorithm::default())))
                })
            });
            racers.map(|racer| racer.join().unwrap()).to_vec()
        });
        codes.sort_unstable();
        assert_eq!((codes[0], codes[RACERS - 1]), ("already_exists", "ok"));
        assert_eq!(codes.iter().filter(|&&code| code == "ok").count(), 1);
        pollster::block_on(async {
            let rotated = keyring.rotate_key(&key).await.unwrap();
            assert_eq!(keyring.current(&key).await.unwrap().id(), rotated.id);
        });
    }
}

#[test]
fn one_keyring_shared_by_threads_never_seals_under_an_old_version() {
    let setting = Setting::new();
    let keyring = Arc::new(setting.create());
    let orders = name("orders");
    pollster::block_on(keyring.create_key(&orders, Algorithm::default())).unwrap();
    let context = context(&keyring, 1);
    thread::scope(|scope| {
        for _ in 0..RACERS {
            scope.spawn(|| {
                for _ in 0..40 {
                    pollster::block_on(async {
                        let rotated = keyring.rotate_key(&orders).await.unwrap();
                        let sealed = keyring.seal(&orders, &context, b"42").await.unwrap();
                        let id = Header::parse(&sealed).unwrap().key_version();
                        let used = keyring.version(&orders, id).await.unwrap();
                        assert!(used.number() >= rotated.number);
                    });
                }
            });
        }
    });
}
