//! Several machines on one project, through the library.

use std::fs;
use std::path::Path;

use bulla::blocking::Project;
use bulla::{
    Capability, Error, KeyringError, Origin, Outcome, RecoveryWords, RevokeOptions, Setting, Settings, TrustPin,
};
use pollster::block_on;
use tempfile::TempDir;

/// A machine: a folder with its identity and settings.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Loads the settings of this machine for the project in `data`.
    fn settings(&self, data: &Path, project: Option<&Project>) -> Settings {
        let folder = self.0.path();
        let settings = Settings::builder().folder(folder).environment(false).identity(folder.join("identity"));
        let settings = settings.backend(format!("json:{}", data.display()));
        match project {
            Some(project) => settings.give(Setting::Project, project.id().to_string(), Origin::Code).load().unwrap(),
            None => settings.load_for_init().unwrap(),
        }
    }

    fn pin(&self) -> TrustPin {
        let pin = fs::read_dir(self.0.path().join("pins")).unwrap().next().unwrap().unwrap().path();
        fs::read_to_string(pin).unwrap().trim_end().parse().unwrap()
    }
}

/// A project that one machine has made.
struct Scene {
    data: TempDir,
    founder: Machine,
    project: Project,
}

impl Scene {
    fn new() -> Self {
        let (data, founder) = (tempfile::tempdir().unwrap(), Machine::new());
        let project = Project::init(founder.settings(data.path(), None)).unwrap();
        Self { data, founder, project }
    }

    fn settings(&self, machine: &Machine) -> Settings {
        machine.settings(self.data.path(), Some(&self.project))
    }

    /// Lets a machine in.
    fn admit(&self, name: &str, capability: Capability) -> Machine {
        let machine = Machine::new();
        let request = Project::enroll(&self.settings(&machine), Some(name.parse().unwrap())).unwrap();
        let outcome = block_on(self.project.project().authorise(&request, capability)).unwrap();
        assert!(matches!(outcome, Outcome::Done(machine) if machine.public.fingerprint() == request.fingerprint()));
        machine
    }
}

#[test]
fn each_operation_keeps_the_pin() {
    let scene = Scene::new();
    let project = scene.project.project();
    let before = scene.founder.pin();
    assert_eq!(before, project.pin());
    let laptop = scene.admit("laptop", Capability::Authorise);
    scene.admit("server", Capability::Use);
    assert_eq!((scene.founder.pin(), scene.founder.pin().length()), (project.pin(), before.length() + 2));

    assert!(matches!(block_on(project.set_two_person(true)).unwrap(), Outcome::Done(())));
    let request = Project::enroll(&scene.settings(&Machine::new()), Some("waiting".parse().unwrap())).unwrap();
    let Outcome::Waits(position) = block_on(project.authorise(&request, Capability::Use)).unwrap() else {
        panic!("it takes two");
    };
    assert_eq!(scene.founder.pin(), project.pin());
    let second = Project::open(scene.settings(&laptop)).unwrap();
    assert_eq!(block_on(second.project().approve(position)).unwrap().unwrap().name.as_str(), "waiting");
    assert_eq!(laptop.pin(), second.project().pin());

    let options = RevokeOptions { rotate: true, ..RevokeOptions::default() };
    block_on(second.project().revoke(request.fingerprint(), options)).unwrap();
    assert_eq!(laptop.pin(), second.project().pin());
    let rotation = block_on(second.project().rotate(&mut |_| {})).unwrap();
    assert_eq!((rotation.epoch, rotation.is_done(), laptop.pin()), (2, true, second.project().pin()));

    // What failed and wrote nothing leaves the pin as it was.
    let unknown = block_on(second.project().revoke(request.fingerprint(), RevokeOptions::default()));
    assert!(matches!(unknown, Err(Error::Keyring(KeyringError::NoMachine(_)))), "{unknown:?}");
    assert_eq!(laptop.pin(), second.project().pin());
}

#[test]
fn a_machine_knows_what_it_may_do_until_it_is_put_out() {
    let scene = Scene::new();
    let server = scene.admit("server", Capability::Use);
    let theirs = Project::open(scene.settings(&server)).unwrap();
    let machine = theirs.machine().unwrap();
    assert_eq!((machine.name.as_str(), machine.capability), ("server", Some(Capability::Use)));
    let key = theirs.create_key("orders").unwrap();
    let context = theirs.context().build().unwrap();
    let sealed = key.seal(&context, b"x").unwrap();
    let fingerprint = machine.public.fingerprint();
    block_on(scene.project.project().revoke(fingerprint, RevokeOptions::default())).unwrap();
    assert_eq!(theirs.machine().unwrap_err().code(), "revoked");
    let refused = key.open(&context, &sealed).unwrap_err();
    assert_eq!(refused.code(), "revoked");
    assert!(refused.hint().is_some());
    assert_eq!(Project::open(scene.settings(&server)).unwrap_err().code(), "revoked");
}

#[test]
fn words_let_a_new_machine_in() {
    let scene = Scene::new();
    let words = RecoveryWords::generate().unwrap();
    let machine = block_on(scene.project.project().add_recovery(&words, "recovery".parse().unwrap())).unwrap();
    assert_eq!(machine.done().unwrap().capability, Some(Capability::Recovery));

    let spare = Machine::new();
    let recover = |words: &RecoveryWords, name: Option<&str>| {
        let name = name.map(|name| name.parse().unwrap());
        block_on(bulla::Project::recover(scene.settings(&spare), words, name))
    };
    let strangers = recover(&RecoveryWords::generate().unwrap(), None);
    assert_eq!(strangers.unwrap_err().code(), "no_grant");
    for _ in 0..2 {
        let project = recover(&words, Some("spare")).unwrap();
        let machine = block_on(project.machine()).unwrap();
        assert_eq!((machine.name.as_str(), machine.capability), ("spare", Some(Capability::Authorise)));
        assert_eq!(project.keyring().machines().len(), 3);
        assert_eq!(spare.pin(), project.pin());
    }
}

#[test]
fn after_a_restore_was_accepted_pins_are_shorter() {
    let scene = Scene::new();
    let laptop = scene.admit("laptop", Capability::Authorise);
    drop(Project::open(scene.settings(&laptop)).unwrap());
    let trust = scene.data.path().join("trust.json");
    let copy = fs::read(&trust).unwrap();
    for name in ["a", "b", "c"] {
        scene.admit(name, Capability::Use);
    }
    drop(Project::open(scene.settings(&laptop)).unwrap());
    let pinned = (scene.founder.pin(), laptop.pin());
    fs::write(&trust, copy).unwrap();
    for machine in [&scene.founder, &laptop] {
        assert_eq!(Project::open(scene.settings(machine)).unwrap_err().code(), "rollback");
    }
    assert_eq!((scene.founder.pin(), laptop.pin()), pinned);

    let restored = block_on(bulla::Project::accept_rollback(scene.settings(&scene.founder), None)).unwrap();
    assert_eq!((scene.founder.pin(), restored.pin().restores()), (restored.pin(), 1));
    assert!(restored.pin().length() < pinned.0.length());
    // The other one follows the word of an authoriser that it knew.
    let second = Project::open(scene.settings(&laptop)).unwrap();
    assert_eq!((laptop.pin(), second.project().pin()), (restored.pin(), restored.pin()));
}

#[test]
fn a_request_is_bound_to_the_project_where_it_is_known() {
    let (scene, other) = (Scene::new(), Scene::new());
    let machine = Machine::new();
    let bound = Project::enroll(&scene.settings(&machine), None).unwrap();
    assert_eq!(bound.project(), Some(scene.project.id()));
    let refused = block_on(other.project.project().authorise(&bound, Capability::Use)).unwrap_err();
    assert!(matches!(refused, Error::Keyring(KeyringError::RequestElsewhere { .. })), "{refused:?}");
    let unbound = Project::enroll(&machine.settings(scene.data.path(), None), None).unwrap();
    assert_eq!((unbound.project(), unbound.fingerprint()), (None, bound.fingerprint()));
}
