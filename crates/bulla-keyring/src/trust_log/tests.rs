//! Attacks on the trust log, each refused with its message.

mod model;

use bulla_backend::Timestamp;
use bulla_seal::ProjectId;

use super::{Capability, Problem, TrustLogError, TrustPin, Verifier, verifier::Trusted};
use crate::dek::Candidate;
use crate::format::{Act, Record, RecordHash, SignedRecord, Wrap};
use crate::{Identity, KeyringError, Result};

/// A log, the data keys behind it, and the copies of them that machines hold.
struct Scene {
    founder: Identity,
    project: ProjectId,
    log: Vec<SignedRecord>,
    deks: Vec<Candidate>,
    wraps: Vec<Wrap>,
}

impl Scene {
    fn begin() -> Self {
        Self::begin_as(Identity::generate().unwrap())
    }

    fn begin_as(founder: Identity) -> Self {
        let none = ProjectId(RecordHash::NONE.0);
        let mut scene = Self { founder, project: none, log: Vec::new(), deks: Vec::new(), wraps: Vec::new() };
        let root = scene.root();
        scene.log.push(root);
        scene.project = ProjectId(scene.head().0);
        scene.deks.push(Candidate::draw(1).unwrap());
        let grant = scene.grant("founder", &scene.founder, &scene.founder, Capability::Authorise);
        scene.push(grant, &[]);
        let epoch = scene.epoch(1, RecordHash::NONE, &scene.founder);
        scene.push(epoch, &[]);
        scene.let_in_to_epoch(0, &[]);
        scene
    }

    fn root(&self) -> SignedRecord {
        let act = Act::Root { author: self.founder.public().clone(), nonce: [7; 32] };
        self.at(0, RecordHash::NONE, ProjectId([0; 32]), act, &self.founder)
    }

    fn dek(&self, epoch: u64) -> &Candidate {
        &self.deks[usize::try_from(epoch).unwrap() - 1]
    }

    fn head(&self) -> RecordHash {
        self.log.last().map_or(RecordHash::NONE, SignedRecord::hash)
    }

    fn at(&self, position: u64, previous: RecordHash, project: ProjectId, act: Act, author: &Identity) -> SignedRecord {
        let record = Record { position, previous, project, author: author.fingerprint(), time: Timestamp(5), act };
        record.sign(author.signing()).unwrap()
    }

    fn next(&self, act: Act, author: &Identity) -> SignedRecord {
        self.at(self.log.len() as u64, self.head(), self.project, act, author)
    }

    fn grant(&self, name: &str, subject: &Identity, author: &Identity, capability: Capability) -> SignedRecord {
        let epoch = self.deks.len() as u64;
        let sealed = self.deks.last().unwrap().seal_capability(&self.project, subject.fingerprint(), capability);
        let machine = name.parse().unwrap();
        let act = Act::Grant { machine, subject: subject.public().clone(), epoch, capability: sealed.unwrap() };
        self.next(act, author)
    }

    fn epoch(&self, epoch: u64, previous: RecordHash, author: &Identity) -> SignedRecord {
        let commitment = self.deks.last().unwrap().commitment(&self.project).unwrap();
        self.next(Act::Epoch { epoch, commitment, previous }, author)
    }

    /// Appends a record, and wraps every data key to the machines.
    fn push(&mut self, record: SignedRecord, machines: &[&Identity]) {
        self.log.push(record);
        for at in 0..self.deks.len() {
            self.let_in_to_epoch(at, machines);
        }
    }

    fn let_in_to_epoch(&mut self, at: usize, machines: &[&Identity]) {
        let founder = self.founder.public().clone();
        for machine in machines.iter().map(|machine| machine.public()).chain([&founder]) {
            self.wraps.push(self.deks[at].wrap_to(&self.project, machine).unwrap());
        }
    }

    fn pin(&self) -> TrustPin {
        self.verify_as(&self.founder).unwrap().pin
    }

    fn stored(&self) -> Vec<Vec<u8>> {
        self.log.iter().map(SignedRecord::encode).collect()
    }

    fn verify_as(&self, machine: &Identity) -> Result<Trusted> {
        self.verify(&self.stored(), machine, self.project)
    }

    fn verify(&self, stored: &[Vec<u8>], machine: &Identity, pin: impl Into<TrustPin>) -> Result<Trusted> {
        let mut verifier = self.verifier(machine, pin);
        stored.iter().try_for_each(|record| verifier.record(record))?;
        verifier.snapshot(machine.fingerprint())
    }

    /// A verifier that has found the machine's copies of the data keys.
    fn verifier(&self, machine: &Identity, pin: impl Into<TrustPin>) -> Verifier {
        let mut verifier = Verifier::new(pin.into());
        for wrap in self.wraps.iter().filter(|wrap| wrap.machine == machine.fingerprint()) {
            let commitment = self.dek(wrap.epoch).commitment(&self.project).unwrap();
            let found = Candidate::unwrap(wrap, &self.project, machine).ok_or("it does not open");
            verifier.offer((wrap.epoch, commitment), found).unwrap();
        }
        verifier
    }

    /// Says what is wrong once this record is appended.
    fn refusal(&self, record: SignedRecord) -> String {
        let mut stored = self.stored();
        stored.push(record.encode());
        describe(self.verify(&stored, &self.founder, self.project))
    }
}

fn describe(result: Result<Trusted>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn refused(position: u64, problem: Problem) -> String {
    KeyringError::from(TrustLogError { position, problem }).to_string()
}

/// A scene with a second authoriser and a machine that may only use.
fn three_machines() -> (Scene, Identity, Identity) {
    let mut scene = Scene::begin();
    let (second, user) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let grant = scene.grant("second", &second, &scene.founder, Capability::Authorise);
    scene.push(grant, &[&second]);
    let grant = scene.grant("user", &user, &second, Capability::Use);
    scene.push(grant, &[&user]);
    (scene, second, user)
}

#[test]
fn a_whole_log_lets_each_machine_in() {
    let (mut scene, second, user) = three_machines();
    let first = scene.log[2].hash();
    scene.deks.push(Candidate::draw(2).unwrap());
    let epoch = scene.epoch(2, first, &second);
    scene.push(epoch, &[&second, &user]);
    for (machine, capability) in
        [(&scene.founder, Capability::Authorise), (&second, Capability::Authorise), (&user, Capability::Use)]
    {
        let trust = scene.verify_as(machine).unwrap();
        assert_eq!((trust.pin.length(), trust.pin.head()), (scene.log.len() as u64, scene.head()));
        assert_eq!(*trust.pin.authorisers(), [scene.founder.fingerprint(), second.fingerprint()].into());
        assert_eq!(trust.machines.len(), 3);
        assert_eq!(trust.machines[&machine.fingerprint()].capability, Some(capability));
        assert_eq!(trust.deks.current(), 2);
        assert!(trust.deks.of(1).is_some() && trust.deks.of(2).is_some() && trust.deks.of(3).is_none());
    }
}

#[test]
fn every_altered_byte_is_found_in_its_record() {
    let (scene, ..) = three_machines();
    let stored = scene.stored();
    for (position, record) in stored.iter().enumerate() {
        for at in (0..record.len()).step_by(13).chain([record.len() - 1]) {
            let mut altered = stored.clone();
            altered[position][at] ^= 0x10;
            let error = scene.verify(&altered, &scene.founder, scene.project).unwrap_err();
            match error {
                KeyringError::TrustLog(found) => assert_eq!(found.position, position as u64, "byte {at}: {found}"),
                KeyringError::OtherProject { .. } => assert_eq!(position, 0),
                other => unreachable!("record {position}, byte {at}: {other}"),
            }
        }
    }
}

#[test]
fn a_truncated_log_is_refused() {
    let (scene, ..) = three_machines();
    let stored = scene.stored();
    let full = scene.pin();
    for kept in 0..stored.len() {
        let pinned = describe(scene.verify(&stored[..kept], &scene.founder, full.clone()));
        let expected = KeyringError::Rollback { pinned: full.length(), found: kept as u64 }.to_string();
        assert_eq!(pinned, expected, "{kept} records kept");
    }
    assert_eq!(describe(scene.verify(&stored[..1], &scene.founder, scene.project)), refused(1, Problem::Unfinished));
    assert_eq!(describe(scene.verify(&stored[..2], &scene.founder, scene.project)), refused(2, Problem::Unfinished));
}

#[test]
fn a_log_that_was_forked_below_the_pin_is_refused() {
    let (scene, ..) = three_machines();
    let pin = scene.pin();
    let mut stored = scene.stored();
    stored.pop();
    let another = Identity::generate().unwrap();
    let mut fork = Scene { log: scene.log[..stored.len()].to_vec(), ..Scene::begin() };
    fork.project = scene.project;
    let last = fork.at(
        stored.len() as u64,
        fork.head(),
        scene.project,
        Act::Grant {
            machine: "another".parse().unwrap(),
            subject: another.public().clone(),
            epoch: 1,
            capability: Vec::new(),
        },
        &scene.founder,
    );
    stored.push(last.encode());
    let expected = KeyringError::Rollback { pinned: pin.length(), found: pin.length() - 1 };
    assert_eq!(describe(scene.verify(&stored, &scene.founder, pin)), expected.to_string());
    // A machine that pinned less cannot know.
    assert!(scene.verify(&stored, &scene.founder, scene.project).is_ok());
}

#[test]
fn reordered_and_replayed_records_are_refused() {
    let (scene, ..) = three_machines();
    let stored = scene.stored();
    for (one, other) in [(1, 2), (1, 3), (3, 4), (2, 4)] {
        let mut swapped = stored.clone();
        swapped.swap(one, other);
        let found = describe(scene.verify(&swapped, &scene.founder, scene.project));
        assert_eq!(found, refused(one as u64, Problem::Position));
    }
    for record in &scene.log {
        assert_eq!(scene.refusal(record.clone()), refused(5, Problem::Position));
    }
    // Made anew for the next position by somebody who may, it still cannot let a machine in twice.
    let again = scene.next(scene.log[3].record().act.clone(), &scene.founder);
    assert_eq!(scene.refusal(again), refused(5, Problem::Duplicate));
}

#[test]
fn records_of_another_project_are_refused() {
    let (scene, ..) = three_machines();
    let (elsewhere, ..) = three_machines();
    let mut stored = scene.stored();
    stored[3] = elsewhere.stored()[3].clone();
    assert_eq!(describe(scene.verify(&stored, &scene.founder, scene.project)), refused(3, Problem::Previous));
    let act = elsewhere.log[3].record().act.clone();
    let moved = scene.at(5, scene.head(), elsewhere.project, act, &scene.founder);
    assert_eq!(scene.refusal(moved), refused(5, Problem::Project));
    let pinned = describe(scene.verify(&scene.stored(), &scene.founder, elsewhere.project));
    let expected = KeyringError::OtherProject { pinned: elsewhere.project, found: scene.project };
    assert_eq!(pinned, expected.to_string());
}

#[test]
fn strangers_and_forgers_are_refused() {
    let (scene, ..) = three_machines();
    let stranger = Identity::generate().unwrap();
    let own = scene.grant("stranger", &stranger, &stranger, Capability::Authorise);
    assert_eq!(scene.refusal(own), refused(5, Problem::Author));
    let record = Record {
        author: scene.founder.fingerprint(),
        ..scene.grant("x", &stranger, &stranger, Capability::Use).record().clone()
    };
    let forged = record.sign(stranger.signing()).unwrap();
    assert_eq!(scene.refusal(forged), refused(5, Problem::Signature));
}

#[test]
fn a_data_key_without_authority_grants_nothing() {
    let (scene, _, user) = three_machines();
    let accomplice = Identity::generate().unwrap();
    // The user holds the data key, and so can seal a capability.
    let grant = scene.grant("accomplice", &accomplice, &user, Capability::Authorise);
    assert_eq!(scene.refusal(grant), refused(5, Problem::Authority));
    let epoch = scene.epoch(2, scene.log[2].hash(), &user);
    assert_eq!(scene.refusal(epoch), refused(5, Problem::Authority));
}

#[test]
fn a_capability_does_not_move_to_another_machine() {
    let (mut scene, ..) = three_machines();
    let newcomer = Identity::generate().unwrap();
    let Act::Grant { capability, .. } = scene.log[3].record().act.clone() else { unreachable!() };
    let act =
        Act::Grant { machine: "newcomer".parse().unwrap(), subject: newcomer.public().clone(), epoch: 1, capability };
    let grant = scene.next(act, &scene.founder);
    scene.push(grant, &[&newcomer]);
    assert_eq!(describe(scene.verify_as(&newcomer)), refused(5, Problem::Capability));
    assert_eq!(scene.verify_as(&scene.founder).unwrap().machines[&newcomer.fingerprint()].capability, None);
    let accomplice = Identity::generate().unwrap();
    let grant = scene.grant("accomplice", &accomplice, &newcomer, Capability::Use);
    assert_eq!(scene.refusal(grant), refused(5, Problem::Capability));
}

#[test]
fn a_data_key_of_the_database_writer_is_refused() {
    let (mut scene, _, user) = three_machines();
    let own = Candidate::draw(1).unwrap();
    let wrap = own.wrap_to(&scene.project, user.public()).unwrap();
    scene.wraps.retain(|wrap| wrap.machine != user.fingerprint());
    scene.wraps.push(wrap);
    let reason = "its copy holds another data key than the log commits to";
    assert_eq!(describe(scene.verify_as(&user)), KeyringError::NoDataKey { epoch: 1, reason }.to_string());

    let stranger = Identity::generate().unwrap();
    let (scene, ..) = three_machines();
    let epoch = scene.epoch(2, scene.log[2].hash(), &stranger);
    assert_eq!(scene.refusal(epoch), refused(5, Problem::Author));
}

#[test]
fn epochs_follow_one_another() {
    let (scene, ..) = three_machines();
    let first = scene.log[2].hash();
    for (epoch, previous) in [(1, first), (3, first), (2, RecordHash::NONE), (2, scene.head()), (u64::MAX, first)] {
        assert_eq!(scene.refusal(scene.epoch(epoch, previous, &scene.founder)), refused(5, Problem::Epoch));
    }
    for epoch in [0, 2, u64::MAX] {
        let subject = Identity::generate().unwrap().public().clone();
        let act = Act::Grant { machine: "x".parse().unwrap(), subject, epoch, capability: Vec::new() };
        assert_eq!(scene.refusal(scene.next(act, &scene.founder)), refused(5, Problem::Epoch));
    }
}

#[test]
fn names_are_unique() {
    let (scene, ..) = three_machines();
    let namesake = scene.grant("user", &Identity::generate().unwrap(), &scene.founder, Capability::Use);
    assert_eq!(scene.refusal(namesake), refused(5, Problem::Duplicate));
}

#[test]
fn a_project_begins_in_one_way_only() {
    let scene = Scene::begin();
    let begun = |kept: usize, next: &dyn Fn(&Scene) -> SignedRecord| {
        let part = Scene {
            founder: Identity::from_text(&scene.founder.expose_text()).unwrap(),
            log: scene.log[..kept].to_vec(),
            deks: vec![Candidate::draw(1).unwrap()],
            wraps: Vec::new(),
            ..scene
        };
        part.refusal(next(&part))
    };
    let stranger = Identity::generate().unwrap();
    let other = begun(1, &|part| part.grant("other", &stranger, &part.founder, Capability::Authorise));
    assert_eq!(other, refused(1, Problem::Beginning));
    assert_eq!(begun(1, &|part| part.epoch(1, RecordHash::NONE, &part.founder)), refused(1, Problem::Beginning));
    assert_eq!(begun(2, &|part| part.epoch(2, RecordHash::NONE, &part.founder)), refused(2, Problem::Beginning));
    let second = begun(2, &|part| part.grant("other", &stranger, &part.founder, Capability::Authorise));
    assert_eq!(second, refused(2, Problem::Beginning));
    let root = scene.next(scene.log[0].record().act.clone(), &scene.founder);
    assert_eq!(scene.refusal(root), refused(3, Problem::Beginning));
}

#[test]
fn a_machine_without_a_grant_gets_no_data_key() {
    let (mut scene, ..) = three_machines();
    let outsider = Identity::generate().unwrap();
    // Somebody who may not has wrapped the data key to it.
    let wrap = scene.deks[0].wrap_to(&scene.project, outsider.public()).unwrap();
    scene.wraps.push(wrap);
    assert_eq!(describe(scene.verify_as(&outsider)), KeyringError::NoGrant(outsider.fingerprint()).to_string());
}

#[test]
fn a_missing_copy_is_named() {
    let (mut scene, second, user) = three_machines();
    scene.deks.push(Candidate::draw(2).unwrap());
    let epoch = scene.epoch(2, scene.log[2].hash(), &second);
    scene.push(epoch, &[&second, &user]);
    scene.wraps.retain(|wrap| wrap.machine != user.fingerprint() || wrap.epoch == 1);
    let error = scene.verify_as(&user).unwrap_err();
    assert!(matches!(error, KeyringError::NoDataKey { epoch: 2, .. }), "{error}");
    assert_eq!(error.code(), "no_data_key");
}

#[test]
fn malformed_and_newer_records_are_told_apart() {
    let scene = Scene::begin();
    let mut stored = scene.stored();
    stored.push(vec![0x82, 0x40]);
    assert_eq!(describe(scene.verify(&stored, &scene.founder, scene.project)), refused(3, Problem::Malformed));
    stored[3] = vec![0; 5_000];
    assert_eq!(describe(scene.verify(&stored, &scene.founder, scene.project)), refused(3, Problem::Malformed));
    // Version 2 of a body: `[2, …]` with the same number of items.
    let mut newer = scene.stored()[2].clone();
    let version = newer.windows(2).position(|pair| pair == [0x88, 0x01]).unwrap();
    newer[version + 1] = 2;
    stored[3] = newer;
    assert_eq!(describe(scene.verify(&stored, &scene.founder, scene.project)), refused(3, Problem::Newer));
}
