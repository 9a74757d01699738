//! One key against a model: whatever is done to it, in whatever order and at whatever time, each version does what its state permits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bulla_keyring::{Algorithm, KeySetting, Keyring};
use bulla_seal::Header;
use pollster::block_on as block;
use proptest::prelude::*;

use crate::setting::{code, context, name};
use crate::team::Team;

const HOUR: u64 = 60 * 60 * 1_000;
const PERIOD: u64 = 10 * HOUR;

#[derive(Debug, Clone)]
enum Step {
    Rotate,
    Seal,
    Disable(u64),
    Enable(u64),
    Destroy { number: u64, delay: u64 },
    Undelete(u64),
    Purge,
    MinOpen(u64),
    MinSeal(Option<u64>),
    Choose(u64),
    Trim(u64),
    Wait(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..9_u64;
    let hours = || (0..4_u64).prop_map(|hours| hours * HOUR);
    prop_oneof![
        5 => Just(Step::Rotate),
        6 => Just(Step::Seal),
        3 => number().prop_map(Step::Disable),
        3 => number().prop_map(Step::Enable),
        3 => (number(), hours()).prop_map(|(number, delay)| Step::Destroy { number, delay }),
        2 => number().prop_map(Step::Undelete),
        2 => Just(Step::Purge),
        2 => number().prop_map(Step::MinOpen),
        2 => prop::option::of(number()).prop_map(Step::MinSeal),
        2 => number().prop_map(Step::Choose),
        2 => number().prop_map(Step::Trim),
        4 => (hours(), 0..3_000_u64).prop_map(|(hours, millis)| Step::Wait(hours + millis)),
        2 => Just(Step::Reopen),
    ]
}

/// What must be true of the key.
#[derive(Debug)]
struct Model {
    now: u64,
    first: u64,
    newest: u64,
    rotated: u64,
    min_open: u64,
    min_seal: Option<u64>,
    disabled: BTreeSet<u64>,
    destroying: BTreeMap<u64, u64>,
    destroyed: BTreeSet<u64>,
}

impl Model {
    fn has(&self, number: u64) -> bool {
        (self.first..=self.newest).contains(&number)
    }

    fn is_destroyed(&self, number: u64) -> bool {
        self.destroyed.contains(&number) || self.destroying.get(&number).is_some_and(|at| *at <= self.now)
    }

    fn opens(&self, number: u64) -> &'static str {
        match number {
            _ if !self.has(number) => "unknown_version",
            _ if self.is_destroyed(number) || self.destroying.contains_key(&number) => "version_destroyed",
            _ if self.disabled.contains(&number) => "version_disabled",
            _ if number < self.min_open => "below_minimum",
            _ => "ok",
        }
    }

    fn rotate(&mut self) {
        self.newest += 1;
        self.rotated = self.now;
    }

    fn rotate_if_due(&mut self) {
        if self.rotated + PERIOD <= self.now {
            self.rotate();
        }
    }

    fn purge(&mut self) {
        let due: Vec<u64> = self.destroying.keys().copied().filter(|number| self.is_destroyed(*number)).collect();
        for number in due {
            self.destroying.remove(&number);
            self.destroyed.insert(number);
            self.disabled.remove(&number);
        }
    }

    fn usable(&self, number: u64) -> &'static str {
        match number {
            _ if !self.has(number) => "not_found",
            _ if self.is_destroyed(number) || self.destroying.contains_key(&number) => "version_destroyed",
            _ => "ok",
        }
    }

    /// Takes a step, and says what the keyring must answer.
    fn take(&mut self, step: &Step) -> &'static str {
        match *step {
            Step::Rotate => self.rotate(),
            Step::Seal => {
                self.rotate_if_due();
                return self.opens(self.newest);
            }
            Step::Disable(number) => {
                if self.usable(number) == "ok" {
                    self.disabled.insert(number);
                }
                return self.usable(number);
            }
            Step::Enable(number) => {
                // What is on its way out keeps its state for the day when it is taken back.
                if self.usable(number) == "ok" {
                    self.disabled.remove(&number);
                }
                return self.usable(number);
            }
            Step::Destroy { number, .. } if !self.has(number) => return "not_found",
            Step::Destroy { number, .. } if number == self.newest => return "newest_version",
            Step::Destroy { number, delay } => {
                if !self.destroyed.contains(&number) {
                    let at = self.now + delay;
                    self.destroying.entry(number).and_modify(|waits| *waits = at.min(*waits)).or_insert(at);
                }
                if delay == 0 {
                    self.purge();
                }
            }
            Step::Undelete(number) => {
                if !self.has(number) {
                    return "not_found";
                }
                if self.is_destroyed(number) {
                    return "version_destroyed";
                }
                self.destroying.remove(&number);
            }
            Step::Purge => self.purge(),
            Step::MinOpen(number) => {
                if !self.has(number) {
                    return "bad_setting";
                }
                self.min_open = number;
            }
            Step::MinSeal(number) => {
                if number.is_some_and(|number| !self.has(number)) {
                    return "bad_setting";
                }
                self.min_seal = number;
            }
            Step::Choose(number) => {
                return match self.opens(number) {
                    "unknown_version" => "not_found",
                    "ok" if number < self.min_seal.unwrap_or(self.newest) => "below_minimum",
                    answer => answer,
                };
            }
            Step::Trim(number) => {
                if number > self.first {
                    if number > self.min_open {
                        return "bad_setting";
                    }
                    self.first = number;
                    self.min_seal = self.min_seal.map(|lowest| lowest.max(number));
                    self.disabled.retain(|held| *held >= number);
                    self.destroyed.retain(|held| *held >= number);
                    self.destroying.retain(|held, _| *held >= number);
                }
            }
            Step::Wait(millis) => self.now += millis,
            Step::Reopen => {}
        }
        "ok"
    }
}

fn apply(team: &Team, keyring: &mut Keyring, step: &Step, values: &mut Vec<(u64, Vec<u8>)>) -> &'static str {
    let key = name("orders");
    let context = context(keyring, 1);
    match *step {
        Step::Rotate => code(block(keyring.rotate_key(&key))),
        Step::Seal => match block(keyring.seal(&key, &context, b"42")) {
            Ok(sealed) => {
                let id = Header::parse(&sealed).unwrap().key_version();
                values.push((block(keyring.version(&key, id)).unwrap().number(), sealed));
                "ok"
            }
            Err(error) => error.code(),
        },
        Step::Disable(number) => code(block(keyring.disable_version(&key, number))),
        Step::Enable(number) => code(block(keyring.enable_version(&key, number))),
        Step::Destroy { number, delay } => {
            code(block(keyring.destroy_version(&key, number, Duration::from_millis(delay))))
        }
        Step::Undelete(number) => code(block(keyring.undelete_version(&key, number))),
        Step::Purge => code(block(keyring.purge())),
        Step::MinOpen(number) => code(block(keyring.change_settings(&key, &[KeySetting::MinOpen(number)]))),
        Step::MinSeal(number) => code(block(keyring.change_settings(&key, &[KeySetting::MinSeal(number)]))),
        Step::Choose(number) => code(block(keyring.version_to_seal(&key, number))),
        Step::Trim(number) => code(block(keyring.trim_key(&key, number))),
        Step::Wait(millis) => {
            team.clock.advance(millis);
            "ok"
        }
        Step::Reopen => {
            *keyring = team.open(&team.founder).unwrap();
            "ok"
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_key_does_what_its_model_says(steps in prop::collection::vec(step(), 1..50)) {
        let (team, mut keyring) = Team::begin();
        let key = name("orders");
        let settings = [KeySetting::Period(Some(Duration::from_millis(PERIOD)))];
        block(keyring.create_key_with(&key, Algorithm::default(), &settings)).unwrap();
        let now = 1_700_000_000_000;
        let mut model = Model {
            now,
            first: 1,
            newest: 1,
            rotated: now,
            min_open: 1,
            min_seal: None,
            disabled: BTreeSet::new(),
            destroying: BTreeMap::new(),
            destroyed: BTreeSet::new(),
        };
        let witness = team.open(&team.founder).unwrap();
        let mut values = Vec::new();
        for step in &steps {
            let expected = model.take(step);
            prop_assert_eq!(apply(&team, &mut keyring, step, &mut values), expected, "{:?}: {:?}", step, model);
            let info = block(keyring.key(&key)).unwrap();
            prop_assert_eq!((info.first, info.newest), (model.first, model.newest));
            for (number, sealed) in &values {
                let opened = code(block(keyring.open_sealed(&key, &context(&keyring, 1), sealed)));
                prop_assert_eq!(opened, model.opens(*number), "version {} after {:?}: {:?}", number, step, model);
            }
        }
        // Another process that has seen it all along agrees a second later.
        team.clock.advance(1_001);
        model.now += 1_001;
        for (number, sealed) in &values {
            let opened = code(block(witness.open_sealed(&key, &context(&witness, 1), sealed)));
            prop_assert_eq!(opened, model.opens(*number), "version {}: {:?}", number, model);
        }
    }
}
