//! Whatever is done in whichever order, the store behaves as a map does that counts versions and knows the time.

use std::collections::BTreeMap;
use std::time::Duration;

use bulla_store::{Budget, Depth, ExpectedVersion, GetOptions, Lifetime, Namespace, PutOptions, StoreError};
use pollster::block_on;
use proptest::prelude::*;

use crate::ground::{Ground, names, pattern};

const NAMESPACES: [&str; 2] = ["a", "a/b"];
const NAMES: [&[u8]; 4] = [b"n", b"n\0", b"\xff\x01", b"m"];
const LENGTHS: [usize; 5] = [0, 12, 65_536, 65_537, 140_000];

#[derive(Debug, Clone)]
enum Step {
    Put { namespace: usize, name: usize, len: usize, seed: u8, lifetime: Lifetime, expected: ExpectedVersion },
    Remove { namespace: usize, name: usize, expected: ExpectedVersion },
    Get { namespace: usize, name: usize },
    List { namespace: usize },
    Wait { seconds: u8 },
    Rotate { namespace: usize },
    Reseal { namespace: usize },
    Reopen,
    Check,
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..NAMESPACES.len(), 0..NAMES.len());
    let lifetime = prop_oneof![
        2 => Just(Lifetime::Unlimited),
        1 => (0_u8..20).prop_map(|seconds| Lifetime::For(Duration::from_secs(seconds.into()))),
    ];
    let expected = prop_oneof![
        3 => Just(ExpectedVersion::Any),
        1 => Just(ExpectedVersion::Absent),
        1 => (1_u64..5).prop_map(ExpectedVersion::Version),
    ];
    prop_oneof![
        6 => (place.clone(), 0..LENGTHS.len(), any::<u8>(), lifetime, expected.clone()).prop_map(
            |((namespace, name), len, seed, lifetime, expected)| Step::Put {
                namespace, name, len: LENGTHS[len], seed, lifetime, expected
            }
        ),
        2 => (place.clone(), expected)
            .prop_map(|((namespace, name), expected)| Step::Remove { namespace, name, expected }),
        4 => place.prop_map(|(namespace, name)| Step::Get { namespace, name }),
        1 => (0..NAMESPACES.len()).prop_map(|namespace| Step::List { namespace }),
        2 => (1_u8..10).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..NAMESPACES.len()).prop_map(|namespace| Step::Rotate { namespace }),
        1 => (0..NAMESPACES.len()).prop_map(|namespace| Step::Reseal { namespace }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Check),
    ]
}

/// What lies under a name, expired or not.
#[derive(Debug, Clone)]
struct Row {
    version: u64,
    value: Vec<u8>,
    expires: Option<u64>,
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    rows: BTreeMap<(usize, usize), Row>,
    /// Namespaces that have a key.
    used: [bool; NAMESPACES.len()],
}

impl Model {
    fn live(&self, place: (usize, usize)) -> Option<&Row> {
        self.rows.get(&place).filter(|row| row.expires.is_none_or(|expires| expires > self.now))
    }

    fn live_version(&self, place: (usize, usize)) -> Option<u64> {
        self.live(place).map(|row| row.version)
    }
}

fn take(ground: &mut Ground, model: &mut Model, step: Step) {
    let namespace = |ground: &Ground, at: usize| -> Namespace { ground.namespace(NAMESPACES[at]) };
    match step {
        Step::Put { namespace: at, name, len, seed, lifetime, expected } => {
            let value = pattern(len, seed);
            let options = PutOptions { lifetime, expected, ..PutOptions::default() };
            let put = block_on(namespace(ground, at).put(NAMES[name], &value, &options));
            let found = model.live_version((at, name));
            if !expected.holds(found) {
                assert!(
                    matches!(put, Err(StoreError::VersionMismatch { found: seen, .. }) if seen == found),
                    "{put:?}"
                );
                return;
            }
            let version = model.rows.get(&(at, name)).map_or(1, |row| row.version + 1);
            assert_eq!(put.unwrap(), version);
            let expires = match lifetime {
                Lifetime::For(duration) => Some(model.now + u64::try_from(duration.as_millis()).unwrap()),
                Lifetime::Inherited | Lifetime::Unlimited | Lifetime::Until(_) => None,
            };
            model.rows.insert((at, name), Row { version, value, expires });
            model.used[at] = true;
        }
        Step::Remove { namespace: at, name, expected } => {
            let removed = block_on(namespace(ground, at).remove(NAMES[name], expected));
            let found = model.live_version((at, name));
            if expected.holds(found) {
                assert_eq!(removed.unwrap(), found.is_some());
                model.rows.remove(&(at, name));
            } else {
                assert!(matches!(removed, Err(StoreError::VersionMismatch { .. })), "{removed:?}");
            }
        }
        Step::Get { namespace: at, name } => {
            match (block_on(namespace(ground, at).get(NAMES[name], &GetOptions::default())), model.live((at, name))) {
                (Ok(got), Some(row)) => {
                    assert!(got.bytes == row.value && got.stat.version == row.version);
                }
                (Err(StoreError::NotFound(_)), None) => {}
                (got, row) => panic!("{got:?} where {:?} was expected", row.map(|row| row.version)),
            }
        }
        Step::List { namespace: at } => {
            let live = (0..NAMES.len()).filter(|name| model.live((at, *name)).is_some());
            let mut expected: Vec<_> = live.map(|name| NAMES[name].to_vec()).collect();
            expected.sort_unstable();
            assert_eq!(names(&namespace(ground, at), b"", 2), expected);
        }
        Step::Wait { seconds } => {
            ground.clock.forward(Duration::from_secs(seconds.into()));
            model.now += u64::from(seconds) * 1_000;
        }
        Step::Rotate { namespace: at } if model.used[at] => ground.rotate(NAMESPACES[at]),
        Step::Rotate { .. } => {}
        Step::Reseal { namespace: at } => {
            let counts =
                block_on(namespace(ground, at).reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})).unwrap();
            let rows = model.rows.keys().filter(|(namespace, _)| *namespace == at).count() as u64;
            assert_eq!((counts.resealed + counts.current, counts.failed), (rows, 0));
        }
        Step::Reopen => ground.reopen(),
        Step::Check => {
            let (counts, findings) = ground.check();
            assert!(counts.is_clean() && findings.is_empty(), "{findings:?}");
            assert_eq!(counts.ok, model.rows.len() as u64);
        }
    }
}

fn behaves_as_a_map_does(mut ground: Ground, steps: Vec<Step>) {
    let mut model = Model::default();
    for step in steps {
        take(&mut ground, &mut model, step);
    }
    take(&mut ground, &mut model, Step::Check);
    for namespace in 0..NAMESPACES.len() {
        for name in 0..NAMES.len() {
            take(&mut ground, &mut model, Step::Get { namespace, name });
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn in_memory_it_behaves_as_a_map_does(steps in prop::collection::vec(step(), 1..60)) {
        behaves_as_a_map_does(Ground::new(), steps);
    }
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn in_sqlite_and_files_it_behaves_as_a_map_does(steps in prop::collection::vec(step(), 1..60)) {
        behaves_as_a_map_does(Ground::in_folder(), steps);
    }
}
