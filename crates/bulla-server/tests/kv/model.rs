//! A secret's life against a naive model of it.

use std::collections::BTreeMap;

use bulla_backend::Timestamp;
use bulla_server::engines::Engine;
use bulla_server::kv::{self, VersionsRequest};
use bulla_store::{EntryQuery, Store};
use pollster::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ground::{memory, mount, request};

#[derive(Debug, Clone)]
enum Step {
    Write { cas: Option<u64>, value: u8, large: bool },
    Patch(u8),
    DeleteNewest,
    Delete(u64),
    Undelete(u64),
    Destroy(u64),
    Keep(u64),
    Lifetime(u64),
    MountKeeps(u64),
    Remove,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (proptest::option::weighted(0.3, 0..8_u64), any::<u8>(), proptest::bool::weighted(0.1))
            .prop_map(|(cas, value, large)| Step::Write { cas, value, large }),
        2 => any::<u8>().prop_map(Step::Patch),
        1 => Just(Step::DeleteNewest),
        2 => (0..12_u64).prop_map(Step::Delete),
        2 => (0..12_u64).prop_map(Step::Undelete),
        2 => (0..12_u64).prop_map(Step::Destroy),
        1 => (0..6_u64).prop_map(Step::Keep),
        1 => (0..4_u64).prop_map(Step::Lifetime),
        1 => (0..6_u64).prop_map(Step::MountKeeps),
        1 => Just(Step::Remove),
        2 => (0..3_000_u64).prop_map(Step::Wait),
    ]
}

/// What a secret is, told simply.
#[derive(Debug, Default)]
struct Model {
    is_there: bool,
    current: u64,
    versions: BTreeMap<u64, (Value, Option<u64>, bool)>,
    keep: u64,
    lifetime: u64,
    mount_keeps: u64,
    now: u64,
}

impl Model {
    fn readable(&self, number: u64) -> Option<&Value> {
        let (value, deleted, destroyed) = self.versions.get(&number)?;
        (!destroyed && deleted.is_none_or(|deleted| deleted > self.now)).then_some(value)
    }

    fn due(&self) -> Option<u64> {
        (self.lifetime > 0).then(|| self.now + self.lifetime * 1_000)
    }

    fn add(&mut self, value: Value) {
        self.is_there = true;
        self.current += 1;
        self.versions.insert(self.current, (value, self.due(), false));
        let keep = match self.keep.max(self.mount_keeps) {
            0 => 10,
            keep => keep,
        };
        while self.versions.len() as u64 > keep {
            self.versions.pop_first();
        }
    }

    fn forget(&mut self) {
        *self = Self { mount_keeps: self.mount_keeps, now: self.now, ..Self::default() };
    }

    /// Does a step to both, and compares what they say.
    fn step(&mut self, store: &Store, secret: &Engine, step: Step) {
        let now = Timestamp(self.now);
        let only = |number| VersionsRequest { versions: vec![number] };
        match step {
            Step::Write { cas, value, large } => {
                let value = json!({ "v": value, "padding": "x".repeat(if large { 66_000 } else { 3 }) });
                let written = block_on(kv::write_data(store, secret, "a", &request(&value, cas), now));
                assert_eq!(written.is_ok(), cas.is_none_or(|cas| cas == self.current));
                if let Ok(written) = written {
                    self.add(value);
                    assert_eq!(written.version, self.current);
                }
            }
            Step::Patch(value) => {
                let patched = block_on(kv::patch_data(store, secret, "a", &request(&json!({ "p": value }), None), now));
                match self.readable(self.current).cloned() {
                    Some(mut data) => {
                        assert_eq!(patched.unwrap().status(), 200);
                        data["p"] = json!(value);
                        self.add(data);
                    }
                    None => assert!(patched.map_or(404, |patched| patched.status().as_u16()) == 404),
                }
            }
            Step::DeleteNewest => {
                block_on(kv::delete_data(store, secret, "a", now)).unwrap();
                self.delete(self.current);
            }
            Step::Delete(number) => {
                block_on(kv::delete_versions(store, secret, "a", &only(number), now)).unwrap();
                self.delete(number);
            }
            Step::Undelete(number) => {
                block_on(kv::undelete_versions(store, secret, "a", &only(number), now)).unwrap();
                let due = self.due();
                if let Some((_, deleted, false)) = self.versions.get_mut(&number) {
                    *deleted = due;
                }
            }
            Step::Destroy(number) => {
                block_on(kv::destroy_versions(store, secret, "a", &only(number))).unwrap();
                if let Some((_, _, destroyed)) = self.versions.get_mut(&number) {
                    *destroyed = true;
                }
            }
            Step::Keep(keep) => {
                self.set(store, secret, &json!({ "max_versions": keep }));
                self.keep = keep;
            }
            Step::Lifetime(seconds) => {
                self.set(store, secret, &json!({ "delete_version_after": seconds }));
                self.lifetime = seconds;
            }
            Step::MountKeeps(keep) => {
                let config = serde_json::from_value(json!({ "max_versions": keep })).unwrap();
                block_on(kv::write_config(store, secret, &config)).unwrap();
                self.mount_keeps = keep;
            }
            Step::Remove => {
                block_on(kv::delete_metadata(store, secret, "a")).unwrap();
                self.forget();
            }
            Step::Wait(millis) => self.now += millis,
        }
    }

    fn set(&mut self, store: &Store, secret: &Engine, metadata: &Value) {
        let request = serde_json::from_value(metadata.clone()).unwrap();
        block_on(kv::write_metadata(store, secret, "a", &request, Timestamp(self.now))).unwrap();
        self.is_there = true;
    }

    fn delete(&mut self, number: u64) {
        if self.readable(number).is_some() {
            let now = self.now;
            self.versions.entry(number).and_modify(|version| version.1 = Some(now));
        }
    }

    fn compare(&self, store: &Store, secret: &Engine) {
        let now = Timestamp(self.now);
        for number in 0..=self.current + 1 {
            let read = block_on(kv::read_data(store, secret, "a", Some(number), now));
            let number = if number == 0 { self.current } else { number };
            let data = read.as_ref().ok().map(|read| serde_json::to_value(&read.data).unwrap());
            let expected =
                self.versions.contains_key(&number).then(|| self.readable(number).cloned().unwrap_or(Value::Null));
            assert_eq!(data, expected, "version {number} {read:?}");
        }
        let metadata = block_on(kv::read_metadata(store, secret, "a"));
        assert_eq!(metadata.is_ok(), self.is_there);
        if let Ok(metadata) = metadata {
            assert_eq!(metadata.current_version, self.current);
            assert!(metadata.versions.keys().eq(self.versions.keys()));
        }
        // No entry is left behind: the secret, the settings, and each older version that is not destroyed.
        let older = self.versions.iter().filter(|(number, (_, _, destroyed))| **number != self.current && !destroyed);
        let namespace = store.namespace(&format!("secrets/{}", secret.id)).unwrap();
        let entries = block_on(namespace.list(&EntryQuery::default())).unwrap().entries;
        let expected = older.count() + usize::from(self.is_there);
        assert_eq!(entries.iter().filter(|entry| entry.name.as_bytes() != b"c").count(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_lives_as_the_model_says(steps in vec(steps(), 1..40)) {
        let store = memory();
        let secret = mount(&store, "secret");
        let mut model = Model { now: 1_800_000_000_000, ..Model::default() };
        for step in steps {
            model.step(&store, &secret, step);
            model.compare(&store, &secret);
        }
    }
}
