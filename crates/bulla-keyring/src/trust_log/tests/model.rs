//! Random acts of random authors, against a model that knows nothing of signatures: what is valid, and who is in afterwards.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const PEOPLE: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    Grant { subject: usize, name: usize, capability: Capability, epoch: u64 },
    Epoch { skip: u64 },
    Revoke { subject: usize, cascade: bool, rotate: bool },
    Restore { number: u64 },
    Approve { back: u64 },
    Policy { two_person: bool },
    Floor { key: usize, serial: u64 },
    Root,
}

fn step() -> impl Strategy<Value = Step> {
    let people = 0..PEOPLE;
    let capability = prop_oneof![Just(Capability::Use), Just(Capability::Authorise), Just(Capability::Recovery)];
    prop_oneof![
        8 => (people.clone(), 0..PEOPLE, capability, 0..4_u64)
            .prop_map(|(subject, name, capability, epoch)| Step::Grant { subject, name, capability, epoch }),
        2 => (0..3_u64).prop_map(|skip| Step::Epoch { skip }),
        4 => (people, any::<bool>(), any::<bool>())
            .prop_map(|(subject, cascade, rotate)| Step::Revoke { subject, cascade, rotate }),
        1 => (0..4_u64).prop_map(|number| Step::Restore { number }),
        4 => (1..4_u64).prop_map(|back| Step::Approve { back }),
        3 => any::<bool>().prop_map(|two_person| Step::Policy { two_person }),
        2 => (0..2_usize, 0..4_u64).prop_map(|(key, serial)| Step::Floor { key, serial }),
        1 => Just(Step::Root),
    ]
}

/// Who somebody is in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    name: usize,
    capability: Capability,
    by: usize,
}

#[derive(Debug, Clone, Copy)]
enum Wish {
    Grant { subject: usize, name: usize, capability: Capability },
    Policy(bool),
}

#[derive(Debug, Default)]
struct Model {
    members: BTreeMap<usize, Member>,
    waiting: BTreeMap<u64, (usize, Wish)>,
    floors: BTreeMap<usize, u64>,
    epochs: u64,
    restores: u64,
    two_person: bool,
    owed: bool,
    length: u64,
}

impl Model {
    /// Applies an act, or says that it is not valid and changes nothing.
    fn apply(&mut self, author: usize, step: &Step) -> bool {
        let Some(member) = self.members.get(&author).copied().filter(|member| member.capability.may_authorise()) else {
            return false;
        };
        let waits = self.two_person && member.capability == Capability::Authorise;
        let valid = match *step {
            Step::Grant { subject, name, capability, epoch } => {
                let known = (1..=self.epochs).contains(&epoch);
                known && self.free(subject, name) && {
                    if waits {
                        self.waiting.insert(self.length, (author, Wish::Grant { subject, name, capability }));
                    } else {
                        self.members.insert(subject, Member { name, capability, by: author });
                    }
                    true
                }
            }
            Step::Epoch { skip } => {
                skip == 1 && {
                    (self.epochs, self.owed) = (self.epochs + 1, false);
                    true
                }
            }
            Step::Revoke { subject, cascade, rotate } => self.revoke(author, subject, cascade, rotate),
            Step::Restore { number } => {
                number > self.restores && {
                    self.restores = number;
                    true
                }
            }
            Step::Approve { back } => self.approve(author, self.length.wrapping_sub(back)),
            Step::Policy { two_person } => {
                if waits {
                    self.waiting.insert(self.length, (author, Wish::Policy(two_person)));
                } else {
                    self.two_person = two_person;
                }
                true
            }
            Step::Floor { key, serial } => {
                self.floors.get(&key).is_none_or(|floor| serial > *floor) && {
                    self.floors.insert(key, serial);
                    true
                }
            }
            Step::Root => false,
        };
        self.length += u64::from(valid);
        valid
    }

    fn free(&self, subject: usize, name: usize) -> bool {
        !self.members.contains_key(&subject) && self.members.values().all(|member| member.name != name)
    }

    fn approve(&mut self, author: usize, position: u64) -> bool {
        match self.waiting.get(&position) {
            Some((by, _)) if *by == author => return false,
            Some((_, Wish::Policy(two_person))) => self.two_person = *two_person,
            Some(&(by, Wish::Grant { subject, name, capability })) if self.free(subject, name) => {
                self.members.insert(subject, Member { name, capability, by });
            }
            _ => return false,
        }
        self.waiting.remove(&position);
        true
    }

    fn revoke(&mut self, author: usize, subject: usize, cascade: bool, rotate: bool) -> bool {
        let mut gone: BTreeSet<usize> = self.members.contains_key(&subject).then_some(subject).into_iter().collect();
        let mut through = BTreeSet::from([subject]);
        let let_in = |through: &BTreeSet<usize>, (who, member): &(&usize, &Member)| {
            through.contains(&member.by) && !through.contains(who) && **who != author
        };
        while let Some((who, _)) = self.members.iter().find(|found| cascade && let_in(&through, found)) {
            gone.insert(*who);
            through.insert(*who);
        }
        let asked = |wish: &Wish| matches!(wish, Wish::Grant { subject: who, .. } if *who == subject);
        let stays =
            |(who, member): (&usize, &Member)| !gone.contains(who) && member.capability == Capability::Authorise;
        if gone.is_empty() && !self.waiting.values().any(|(_, wish)| asked(wish)) || !self.members.iter().any(stays) {
            return false;
        }
        self.members.retain(|who, _| !gone.contains(who));
        self.waiting.retain(|_, (by, wish)| !gone.contains(by) && !asked(wish));
        self.owed |= rotate;
        true
    }
}

/// People whose keys are made once, for making them takes long.
fn people() -> &'static [Identity] {
    static PEOPLE_KEYS: std::sync::OnceLock<Vec<Identity>> = std::sync::OnceLock::new();
    PEOPLE_KEYS.get_or_init(|| (0..PEOPLE).map(|_| Identity::generate().unwrap()).collect())
}

/// Turns a step into the record that says it.
fn act(scene: &Scene, step: &Step) -> Act {
    let epochs = scene.deks.len() as u64;
    match *step {
        Step::Grant { subject, name, capability, epoch } => {
            let subject = people()[subject].public().clone();
            // An epoch that does not exist has no data key; the record is refused before anybody looks for one.
            let dek = scene.dek(epoch.clamp(1, epochs));
            let capability = dek.seal_capability(&scene.project, subject.fingerprint(), capability).unwrap();
            Act::Grant { machine: format!("m{name}").parse().unwrap(), subject, epoch, capability }
        }
        Step::Epoch { skip } => {
            let last = scene.log.iter().rev().find(|signed| matches!(signed.record().act, Act::Epoch { .. }));
            let previous = last.map_or(RecordHash::NONE, SignedRecord::hash);
            let commitment = Candidate::draw(epochs + 1).unwrap().commitment(&scene.project).unwrap();
            Act::Epoch { epoch: epochs + skip, commitment, previous }
        }
        Step::Revoke { subject, cascade, rotate } => {
            Act::Revocation { machine: people()[subject].fingerprint(), cascade, rotate }
        }
        Step::Restore { number } => Act::Restore { number },
        Step::Approve { back } => Act::Approval { position: (scene.log.len() as u64).wrapping_sub(back) },
        Step::Policy { two_person } => Act::Policy { two_person },
        Step::Floor { key, serial } => Act::Floor { key: format!("key/{key}").parse().unwrap(), serial },
        Step::Root => scene.log[0].record().act.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verifier_behaves_as_the_model(steps in prop::collection::vec((0..PEOPLE, step()), 1..60)) {
        let founder = Identity::from_text(&people()[0].expose_text()).unwrap();
        let mut scene = Scene::begin_as(founder);
        let mut model = Model { epochs: 1, length: 3, ..Model::default() };
        model.members.insert(0, Member { name: usize::MAX, capability: Capability::Authorise, by: 0 });
        let mut live = scene.verifier(&scene.founder, scene.project);
        for stored in scene.stored() {
            live.record(&stored).unwrap();
        }
        for (author, step) in steps {
            let mut act = act(&scene, &step);
            let drawn = Candidate::draw(scene.deks.len() as u64 + 1).unwrap();
            if let Act::Epoch { commitment, .. } = &mut act {
                *commitment = drawn.commitment(&scene.project).unwrap();
            }
            let signed = scene.next(act, &people()[author]);
            if let Act::Epoch { epoch, commitment, .. } = signed.record().act {
                let wrap = drawn.wrap_to(&scene.project, scene.founder.public()).unwrap();
                live.offer((epoch, commitment), Candidate::unwrap(&wrap, &scene.project, &scene.founder).ok_or("")).unwrap();
            }
            let valid = model.apply(author, &step);
            let taken = live.record(&signed.encode());
            prop_assert_eq!(taken.is_ok(), valid, "{:?} by {}: {:?}", step, author, taken);
            if valid {
                if matches!(step, Step::Epoch { .. }) {
                    scene.deks.push(drawn);
                    scene.let_in_to_epoch(scene.deks.len() - 1, &[]);
                }
                scene.log.push(signed);
            }
        }
        // One that reads the log from its root at once says the same as the one that read each record as it came.
        let mut whole = scene.verifier(&scene.founder, scene.project);
        for stored in scene.stored() {
            whole.record(&stored).unwrap();
        }
        for verifier in [&live, &whole] {
            prop_assert_eq!(verifier.position(), model.length);
            let who = |fingerprint| people().iter().position(|person| person.fingerprint() == fingerprint).unwrap();
            if !model.members.contains_key(&0) {
                prop_assert_eq!(verifier.snapshot(scene.founder.fingerprint()).unwrap_err().code(), "revoked");
                continue;
            }
            let trusted = verifier.snapshot(scene.founder.fingerprint()).unwrap();
            let found: BTreeMap<_, _> = trusted
                .machines
                .iter()
                .map(|(fingerprint, machine)| {
                    let name = machine.name.as_str().strip_prefix('m').map_or(usize::MAX, |name| name.parse().unwrap());
                    let (capability, by) = (machine.capability.unwrap(), who(machine.granted_by));
                    (who(*fingerprint), Member { name, capability, by })
                })
                .collect();
            prop_assert_eq!(&found, &model.members);
            let waiting: Vec<_> = trusted.pending.iter().map(|pending| (pending.position, who(pending.by))).collect();
            let expected: Vec<_> = model.waiting.iter().map(|(position, (by, _))| (*position, *by)).collect();
            prop_assert_eq!(waiting, expected);
            let floors = trusted.floors.iter().map(|(key, serial)| (key.as_str().to_owned(), *serial));
            let expected = model.floors.iter().map(|(key, serial)| (format!("key/{key}"), *serial));
            prop_assert_eq!(floors.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            prop_assert_eq!((trusted.two_person(), trusted.epoch_owed()), (model.two_person, model.owed));
            prop_assert_eq!((trusted.deks.current(), trusted.pin.restores()), (model.epochs, model.restores));
            let may_accept = |member: &Member| match model.two_person {
                true => member.capability == Capability::Recovery,
                false => member.capability.may_authorise(),
            };
            let authorisers = model.members.iter().filter(|(_, member)| may_accept(member));
            let authorisers: BTreeSet<_> = authorisers.map(|(who, _)| people()[*who].fingerprint()).collect();
            prop_assert_eq!(trusted.pin.authorisers(), &authorisers);
        }
    }
}
