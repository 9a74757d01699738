//! Random sequences of operations against a model: what was sealed opens, under the newest version of its moment, always.

use std::collections::BTreeMap;

use bulla_keyring::{Algorithm, Keyring};
use bulla_seal::Header;
use proptest::prelude::*;

use crate::setting::{Setting, code, context, name};

const KEYS: usize = 3;
const PROCESSES: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Create { process: usize, key: usize, algorithm: usize },
    Rotate { process: usize, key: usize },
    Seal { process: usize, key: usize, row: u64, message: Vec<u8> },
    Open { process: usize, at: usize, key: usize, row: u64 },
    Rewrap { process: usize, at: usize },
    Reopen { process: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (process, key) = (0..PROCESSES, 0..KEYS);
    let message = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        2 => (process.clone(), key.clone(), 0..3_usize)
            .prop_map(|(process, key, algorithm)| Step::Create { process, key, algorithm }),
        3 => (process.clone(), key.clone()).prop_map(|(process, key)| Step::Rotate { process, key }),
        4 => (process.clone(), key.clone(), 0..3_u64, message)
            .prop_map(|(process, key, row, message)| Step::Seal { process, key, row, message }),
        4 => (process.clone(), 0..50_usize, key, 0..3_u64)
            .prop_map(|(process, at, key, row)| Step::Open { process, at, key, row }),
        2 => (process.clone(), 0..50_usize).prop_map(|(process, at)| Step::Rewrap { process, at }),
        1 => process.prop_map(|process| Step::Reopen { process }),
    ]
}

/// What must be true.
#[derive(Default)]
struct Model {
    newest: BTreeMap<usize, u64>,
    values: Vec<Value>,
}

struct Value {
    key: usize,
    row: u64,
    message: Vec<u8>,
    number: u64,
    sealed: Vec<u8>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_keyring_behaves_as_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let setting = Setting::new();
        let created = setting.create();
        let pin = created.pin();
        let mut processes = [created, setting.open(pin.clone()).unwrap()];
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Reopen { process } => processes[process] = setting.open(pin.clone()).unwrap(),
                step => pollster::block_on(apply(&mut model, &processes, step)),
            }
        }
        for process in &processes {
            pollster::block_on(check(&model, process));
        }
    }
}

async fn apply(model: &mut Model, processes: &[Keyring], step: Step) {
    let key_name = |key: usize| name(&format!("key/{key}"));
    match step {
        Step::Create { process, key, algorithm } => {
            let algorithms = [Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305, Algorithm::Aes256Deterministic];
            let created = processes[process].create_key(&key_name(key), algorithms[algorithm]).await;
            let expected = if model.newest.contains_key(&key) { "already_exists" } else { "ok" };
            assert_eq!(code(created), expected);
            model.newest.entry(key).or_insert(1);
        }
        Step::Rotate { process, key } => {
            let rotated = processes[process].rotate_key(&key_name(key)).await;
            match model.newest.get_mut(&key) {
                None => assert_eq!(code(rotated), "not_found"),
                Some(newest) => {
                    *newest += 1;
                    assert_eq!(rotated.unwrap().number, *newest);
                }
            }
        }
        Step::Seal { process, key, row, message } => {
            let keyring = &processes[process];
            let sealed = keyring.seal(&key_name(key), &context(keyring, row), &message).await;
            match model.newest.get(&key) {
                None => assert_eq!(code(sealed), "not_found"),
                Some(&number) => model.values.push(Value { key, row, message, number, sealed: sealed.unwrap() }),
            }
        }
        Step::Open { process, at, key, row } => {
            let Some(value) = model.values.get(at) else { return };
            let keyring = &processes[process];
            let opened = keyring.open_sealed(&key_name(key), &context(keyring, row), &value.sealed).await;
            match (key == value.key, row == value.row) {
                (true, true) => assert_eq!(opened.unwrap(), value.message),
                (true, false) => assert_eq!(code(opened), "cannot_open"),
                (false, _) => assert_eq!(code(opened), "unknown_version"),
            }
        }
        Step::Rewrap { process, at } => {
            let Some(value) = model.values.get_mut(at) else { return };
            let keyring = &processes[process];
            let context = context(keyring, value.row);
            let rewrapped = keyring.rewrap(&key_name(value.key), &context, &value.sealed).await.unwrap();
            assert_eq!(rewrapped.is_some(), value.number < model.newest[&value.key]);
            if let Some(sealed) = rewrapped {
                value.sealed = sealed;
                value.number = model.newest[&value.key];
            }
        }
        Step::Reopen { .. } => unreachable!("the caller does that"),
    }
}

async fn check(model: &Model, keyring: &Keyring) {
    let listed = keyring.keys(None, 0).await.unwrap().keys;
    let listed: BTreeMap<_, _> = listed.into_iter().map(|key| key.unwrap()).map(|key| (key.name, key.newest)).collect();
    let expected: BTreeMap<_, _> =
        model.newest.iter().map(|(key, newest)| (name(&format!("key/{key}")), *newest)).collect();
    assert_eq!(listed, expected);
    for value in &model.values {
        let key = name(&format!("key/{}", value.key));
        let opened = keyring.open_sealed(&key, &context(keyring, value.row), &value.sealed).await.unwrap();
        assert_eq!(opened, value.message);
        let id = Header::parse(&value.sealed).unwrap().key_version();
        assert_eq!(keyring.version(&key, id).await.unwrap().number(), value.number);
    }
}
