//! Random sequences of uses, changes and lifetimes against a model of what the back path may be given.

use std::sync::{Arc, Mutex};

use bulla_keyring::flows::{Change, Flow, FlowError, KeyDefinition, KeyFlows, OnChange};
use bulla_keyring::source::{SecretPair, SecretValue};
use proptest::prelude::*;

use crate::flows_setting::{Application, Place};
use crate::setting::name;

/// What the callback of a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deal {
    Nothing,
    Adopt,
    Reopen,
    Save,
    Fail,
}

#[derive(Debug, Clone)]
enum Step {
    Define {
        key: usize,
        one_way: bool,
        stateful: bool,
        cached: bool,
    },
    Forward {
        key: usize,
    },
    Back {
        key: usize,
    },
    Implicit {
        key: usize,
    },
    /// Declares a change to the next value; the source changes then, or later.
    Change {
        key: usize,
        deal: Deal,
        at_once: bool,
    },
    /// The source changes, declared or not.
    Turn {
        key: usize,
    },
    Save {
        key: usize,
    },
    SaveAll,
    Lifetime,
}

const KEYS: usize = 2;

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    let deal = prop_oneof![
        3 => Just(Deal::Nothing),
        1 => Just(Deal::Adopt),
        1 => Just(Deal::Reopen),
        2 => Just(Deal::Save),
        1 => Just(Deal::Fail),
    ];
    prop_oneof![
        8 => (key.clone(), prop::bool::weighted(0.1), any::<bool>(), prop::bool::weighted(0.7))
            .prop_map(|(key, one_way, stateful, cached)| Step::Define { key, one_way, stateful, cached }),
        4 => key.clone().prop_map(|key| Step::Forward { key }),
        8 => key.clone().prop_map(|key| Step::Back { key }),
        4 => key.clone().prop_map(|key| Step::Implicit { key }),
        5 => (key.clone(), deal, any::<bool>()).prop_map(|(key, deal, at_once)| Step::Change { key, deal, at_once }),
        2 => key.clone().prop_map(|key| Step::Turn { key }),
        3 => key.prop_map(|key| Step::Save { key }),
        1 => Just(Step::SaveAll),
        1 => Just(Step::Lifetime),
    ]
}

/// A key as the model sees it. Values are numbers: the source gives 1, 2, 3 and so on.
#[derive(Clone, Default)]
struct Model {
    /// Outside of the application.
    source: u32,
    stored: Option<(Flow, Option<u32>)>,
    /// Of this lifetime.
    defined: Option<Defined>,
}

#[derive(Clone)]
struct Defined {
    one_way: bool,
    stateful: bool,
    cached: bool,
    last: Option<Flow>,
    known: Known,
    /// Whether the state in the repository is to be asked when nothing is known.
    state_counts: bool,
}

/// What this lifetime knows of the value that opens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing: look further.
    No,
    /// This value, until something else happens.
    Yes(u32),
    /// This value, for one more time.
    Once(u32),
}

type Outcome = Result<(Flow, u32), &'static str>;

impl Model {
    fn take(&mut self, wanted: Option<Flow>) -> Outcome {
        let (source, stored) = (self.source, self.stored);
        let Some(key) = &mut self.defined else { return Err("key_not_defined") };
        let flow = match wanted {
            Some(_) if key.one_way => return Err("wrong_flow"),
            Some(flow) => flow,
            None if key.one_way => Flow::OneWay,
            None if !key.cached => return Err("no_implicit_flow"),
            None => {
                key.recall(stored);
                if key.last == Some(Flow::Forward) { Flow::Back } else { Flow::Forward }
            }
        };
        key.last = Some(flow);
        if flow != Flow::Back {
            if flow == Flow::Forward {
                key.learn(source);
                key.state_counts = false;
            }
            return Ok((flow, source));
        }
        let value = match key.known {
            Known::Yes(value) => value,
            Known::Once(value) => {
                key.known = Known::No;
                value
            }
            Known::No => {
                let stored = stored.filter(|_| key.stateful && key.state_counts);
                let value = stored.and_then(|(_, value)| value).unwrap_or(source);
                key.learn(value);
                value
            }
        };
        Ok((flow, value))
    }

    fn change(&mut self, deal: Deal) -> Result<(), &'static str> {
        let (new, stored) = (self.source + 1, self.stored);
        let Some(key) = &mut self.defined else { return Err("key_not_defined") };
        key.recall(stored);
        match deal {
            Deal::Fail => return Ok(()),
            Deal::Nothing => {
                if let Known::Yes(old) = key.known
                    && old != new
                {
                    key.known = Known::Once(old);
                }
                return Ok(());
            }
            Deal::Reopen if !key.one_way => key.last = Some(Flow::Back),
            Deal::Reopen | Deal::Adopt | Deal::Save => {}
        }
        key.known = Known::No;
        key.learn(new);
        key.state_counts = false;
        if deal == Deal::Save
            && key.stateful
            && let Some(last) = key.last
        {
            self.stored = Some((last, Some(new).filter(|_| !key.one_way)));
            key.state_counts = true;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), &'static str> {
        let source = self.source;
        let Some(key) = &mut self.defined else { return Err("key_not_defined") };
        if !key.stateful {
            return Err("stateless");
        }
        let Some(last) = key.last else { return Ok(()) };
        let value = match key.known {
            Known::Yes(value) | Known::Once(value) => Some(value),
            Known::No if key.cached || key.one_way => None,
            Known::No if !key.state_counts => Some(source),
            Known::No => self.stored.and_then(|(_, value)| value),
        };
        self.stored = Some((last, value));
        key.state_counts = true;
        Ok(())
    }
}

impl Defined {
    fn recall(&mut self, stored: Option<(Flow, Option<u32>)>) {
        if self.stateful
            && !self.one_way
            && self.last.is_none()
            && let Some((last, value)) = stored
        {
            self.last = Some(last);
            if let Some(value) = value {
                self.learn(value);
            }
        }
    }

    fn learn(&mut self, value: u32) {
        self.known = if self.cached && !self.one_way { Known::Yes(value) } else { Known::No };
    }
}

/// A key as the application has it.
struct Real {
    place: Place,
    deal: Arc<Mutex<Deal>>,
}

fn pair(number: u32) -> SecretPair {
    (format!("e{number}"), format!("d{number}")).into()
}

/// What a key used one way has.
fn single(number: u32) -> SecretPair {
    format!("o{number}").into()
}

fn outcome(result: Result<SecretValue, FlowError>) -> Outcome {
    let value = result.map_err(|error| error.code())?;
    let text = value.expose_text().unwrap();
    let flow = match &text[..1] {
        "e" => Flow::Forward,
        "d" => Flow::Back,
        _ => Flow::OneWay,
    };
    Ok((flow, text[1..].parse().unwrap()))
}

fn callback(deal: &Arc<Mutex<Deal>>) -> OnChange {
    let deal = Arc::clone(deal);
    OnChange::new(move |change: Change| {
        let deal = *deal.lock().unwrap();
        async move {
            match deal {
                Deal::Nothing => {}
                Deal::Adopt => change.key.adopt_new(),
                Deal::Reopen => change.key.set_last_flow(Flow::Back),
                // A stateless key has nothing to save, and what it has adopted stays so.
                Deal::Save => drop(change.key.save_state().await),
                Deal::Fail => return Err("it fails".into()),
            }
            Ok(())
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_flows_behave_as_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let application = Application::new();
        let mut flows = application.lifetime();
        let mut models = vec![Model { source: 1, ..Model::default() }; KEYS];
        let real: Vec<_> =
            (0..KEYS).map(|_| Real { place: Place::new("unset"), deal: Arc::new(Mutex::new(Deal::Nothing)) }).collect();
        for step in steps {
            if matches!(step, Step::Lifetime) {
                flows = application.lifetime();
                models.iter_mut().for_each(|model| model.defined = None);
                continue;
            }
            pollster::block_on(apply(&flows, &mut models, &real, step));
        }
    }
}

async fn apply(flows: &KeyFlows, models: &mut [Model], real: &[Real], step: Step) {
    let key_name = |key: usize| name(&format!("key/{key}"));
    let set = |models: &[Model], key: usize| {
        let one_way = models[key].defined.as_ref().is_some_and(|key| key.one_way);
        real[key].place.set(if one_way { single(models[key].source) } else { pair(models[key].source) });
    };
    match step {
        Step::Define { key, one_way, stateful, cached } => {
            let definition = if one_way { KeyDefinition::one_way() } else { KeyDefinition::round_trip() };
            let definition = definition.with_stateless(!stateful).with_keep_in_cache(cached);
            let defined = flows.define_key(&key_name(key), real[key].place.source(), definition);
            let model = &mut models[key];
            assert_eq!(defined.is_err(), model.defined.is_some());
            if let Ok(handle) = defined {
                handle.register_on_change(None, callback(&real[key].deal));
                let fresh = Defined { one_way, stateful, cached, last: None, known: Known::No, state_counts: true };
                model.defined = Some(fresh);
                set(models, key);
            }
        }
        Step::Forward { key } => {
            let taken = outcome(flows.forward_path_key(&key_name(key)).await);
            assert_eq!(taken, models[key].take(Some(Flow::Forward)));
        }
        Step::Back { key } => {
            let taken = outcome(flows.back_path_key(&key_name(key)).await);
            assert_eq!(taken, models[key].take(Some(Flow::Back)));
        }
        Step::Implicit { key } => {
            assert_eq!(outcome(flows.key(&key_name(key)).await), models[key].take(None));
        }
        Step::Change { key, deal, at_once } => {
            *real[key].deal.lock().unwrap() = deal;
            let (old, new) = (pair(models[key].source), pair(models[key].source + 1));
            let changed = flows.changed(&key_name(key), Some(old), Some(new)).await;
            assert_eq!(changed.map(drop).map_err(|error| error.code()), models[key].change(deal));
            if at_once {
                models[key].source += 1;
                set(models, key);
            }
        }
        Step::Turn { key } => {
            models[key].source += 1;
            set(models, key);
        }
        Step::Save { key } => {
            let saved = flows.save_state(&key_name(key)).await.map_err(|error| error.code());
            assert_eq!(saved, models[key].save());
        }
        Step::SaveAll => {
            flows.save_states().await.unwrap();
            for model in models.iter_mut() {
                // Keys that are stateless or not defined are left out.
                let _ = model.save();
            }
        }
        Step::Lifetime => unreachable!("the caller does that"),
    }
}
