//! Many threads at one secret.

use std::thread;

use bulla_server::ApiError;
use bulla_server::engines::Engines;
use bulla_server::kv::{self, SecretJson};
use pollster::block_on;
use serde_json::json;
use tempfile::TempDir;

use super::ground::{NOW, memory, mount, open, read, request};

const THREADS: u64 = 8;

#[test]
fn of_writes_that_expect_one_version_one_is_made() {
    let store = memory();
    let secret = mount(&store, "secret");
    for version in 0..30 {
        let made: usize = thread::scope(|scope| {
            let write = |n: u64| {
                let (store, secret) = (&store, &secret);
                scope.spawn(move || {
                    let data = request(&json!({ "by": n }), Some(version));
                    block_on(kv::write_data(store, secret, "a", &data, NOW))
                })
            };
            let threads: Vec<_> = (0..THREADS).map(write).collect();
            threads
                .into_iter()
                .map(|thread| match thread.join().unwrap() {
                    Ok(written) => {
                        assert_eq!(written.version, version + 1);
                        1
                    }
                    Err(error) => {
                        assert_eq!(error.code(), "cas_mismatch");
                        0
                    }
                })
                .sum()
        });
        assert_eq!(made, 1, "version {version}");
    }
}

#[test]
fn of_many_who_may_only_make_a_secret_one_makes_it() {
    let store = memory();
    let kv1 = serde_json::from_value(json!({ "type": "kv" })).unwrap();
    block_on(Engines::new(store.clone()).enable("plain", &kv1)).unwrap();
    let (secret, plain) = (mount(&store, "secret"), mount(&store, "plain"));
    for round in 0..20 {
        let path = format!("a/{round}");
        let made = |way: kv::Way| {
            let answers: Vec<_> = thread::scope(|scope| {
                let write = |n: u64| {
                    let (store, secret, plain, path) = (&store, &secret, &plain, &path);
                    scope.spawn(move || {
                        let data = request(&json!({ "by": n }), None);
                        let with_versions = kv::write_data_as(store, secret, path, &data, way, NOW);
                        let data = SecretJson::parse(r#"{"k":"v"}"#).unwrap();
                        let without = kv::v1::write_as(store, plain, path, &data, way);
                        (block_on(with_versions).map(drop), block_on(without))
                    })
                };
                let threads: Vec<_> = (0..THREADS).map(write).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let good = |answer: &Result<(), ApiError>| match answer {
                Ok(()) => 1,
                Err(error) => {
                    assert_eq!(error.status(), 403, "{error:?}");
                    0
                }
            };
            answers.iter().fold((0, 0), |sum, (with, without)| (sum.0 + good(with), sum.1 + good(without)))
        };
        assert_eq!(made(kv::Way::Replace), (0, 0), "there is none");
        assert_eq!(made(kv::Way::New), (1, 1));
        assert_eq!(made(kv::Way::Replace), (THREADS, THREADS));
    }
}

#[test]
fn no_patch_is_lost() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let secret = mount(&store, "secret");
    block_on(kv::write_data(&store, &secret, "a", &request(&json!({}), None), NOW)).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, secret) = (&store, &secret);
            scope.spawn(move || {
                for n in 0..5 {
                    let patch = request(&json!({ format!("{thread}-{n}"): n }), None);
                    block_on(kv::patch_data(store, secret, "a", &patch, NOW)).unwrap();
                }
            });
        }
    });
    let data = read(&store, &secret, "a", 1 + THREADS * 5).unwrap();
    assert_eq!(data.as_object().unwrap().len(), 40);
}

#[test]
fn readers_of_old_versions_are_never_told_that_one_is_damaged() {
    let store = memory();
    let secret = mount(&store, "secret");
    thread::scope(|scope| {
        let (store, secret) = (&store, &secret);
        scope.spawn(move || {
            for n in 0..300_u64 {
                block_on(kv::write_data(store, secret, "a", &request(&json!({ "n": n + 1 }), None), NOW)).unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(move || {
                let mut newest = 0;
                while newest < 300 {
                    let Ok(read) = block_on(kv::read_data(store, secret, "a", None, NOW)) else { continue };
                    assert!(read.metadata.version >= newest);
                    newest = read.metadata.version;
                    for version in newest.saturating_sub(11)..newest {
                        match block_on(kv::read_data(store, secret, "a", Some(version.max(1)), NOW)) {
                            Ok(read) => {
                                let data = serde_json::to_value(read.data.unwrap()).unwrap();
                                assert_eq!(data["n"], json!(read.metadata.version));
                            }
                            Err(error) => assert_eq!(error.status(), 404, "{error:?}"),
                        }
                    }
                }
            });
        }
    });
}
