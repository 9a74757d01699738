//! Creating and opening projects, rightly and wrongly.

use std::sync::Arc;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_backend::{DocumentKey, Documents, MemoryDocuments};
use bulla_keyring::format::{TRUST_LOG, WRAPS, Wrap};
use bulla_keyring::{Algorithm, Capability, Identity, KeyringError, TrustPin};

use crate::setting::{OneAtATime, Setting, code, context, name};

#[test]
fn a_project_is_created_once_and_opened_again() {
    let setting = Setting::new();
    let created = setting.create();
    assert_eq!(created.pin().project(), created.project());
    assert_eq!(created.pin().length(), 3);
    assert_eq!(created.epoch(), 1);
    let (fingerprint, machine) = created.machines().into_iter().next().unwrap();
    assert_eq!(fingerprint, setting.identity.fingerprint());
    assert_eq!((machine.name.as_str(), machine.capability), ("here", Some(Capability::Authorise)));

    for pin in [created.project().into(), created.pin()] {
        assert_eq!(setting.open(pin).unwrap().pin(), created.pin());
    }
    let again = setting.create_on(Arc::new(setting.documents.clone())).unwrap_err();
    assert!(matches!(again, KeyringError::ProjectExists { ours: true, project } if project == created.project()));
    assert!(again.to_string().contains("already initialized"), "{again}");
    let other = Setting { documents: setting.documents.clone(), ..Setting::new() };
    let theirs = other.create_on(Arc::new(other.documents.clone())).unwrap_err();
    assert!(matches!(theirs, KeyringError::ProjectExists { ours: false, .. }));
}

#[test]
fn two_projects_of_one_machine_differ() {
    let setting = Setting::new();
    let one = setting.create();
    let other = Setting { documents: MemoryDocuments::new(), identity: Arc::clone(&setting.identity) };
    assert_ne!(one.project(), other.create().project());
}

#[test]
fn an_empty_database_holds_no_project() {
    let (setting, elsewhere) = (Setting::new(), Setting::new());
    assert_eq!(code(setting.open(elsewhere.create().project())), "not_found");
}

#[test]
fn the_database_of_another_project_is_refused() {
    let (setting, elsewhere) = (Setting::new(), Setting::new());
    setting.create();
    let pinned = elsewhere.create().project();
    let error = setting.open(pinned).unwrap_err();
    assert_eq!(error.code(), "other_project");
    assert!(error.to_string().contains(&pinned.to_string()), "{error}");
}

#[test]
fn a_wrong_identity_is_refused_even_with_stolen_wraps() {
    let setting = Setting::new();
    let project = setting.create().project();
    let thief = Setting { documents: setting.documents.clone(), ..Setting::new() };
    assert_eq!(code(thief.open(project)), "no_grant");

    let stolen = Wrap::decode(&setting.all(WRAPS)[0].value).unwrap();
    let machine = thief.identity.fingerprint();
    let place = setting.all(WRAPS)[0].key.as_bytes()[32..].to_vec();
    let key = DocumentKey::new([&machine.0[..], &place].concat()).unwrap();
    for wrap in [Wrap { machine, ..stolen.clone() }, stolen] {
        setting.overwrite(WRAPS, &key, &wrap.encode());
        assert_eq!(code(thief.open(project)), "no_grant");
    }
}

#[test]
fn a_rolled_back_database_is_refused() {
    let setting = Setting::new();
    let keyring = setting.create();
    let head = keyring.pin().head();
    let pin: TrustPin = format!("{} 4 {head}", keyring.project()).parse().unwrap();
    let error = setting.open(pin).unwrap_err();
    assert_eq!(error.code(), "rollback");
    let pin: TrustPin = format!("{} 3 {}", keyring.project(), keyring.project()).parse().unwrap();
    assert_eq!(code(setting.open(pin)), "rollback");
}

#[test]
fn a_tampered_log_is_refused_by_position() {
    let setting = Setting::new();
    let project = setting.create().project();
    let log = setting.all(TRUST_LOG);
    for (position, document) in log.iter().enumerate() {
        setting.remove(TRUST_LOG, &document.key);
        let error = setting.open(project).unwrap_err().to_string();
        let expected = if position == 0 { "no project" } else { &format!("record {position} is missing") };
        assert!(error.contains(expected), "{error}");
        setting.overwrite(TRUST_LOG, &document.key, b"\x82");
        let error = setting.open(project).unwrap_err().to_string();
        assert!(error.contains(&format!("record {position} is not well-formed")), "{error}");
        setting.overwrite(TRUST_LOG, &document.key, &document.value);
    }
    setting.overwrite(TRUST_LOG, &DocumentKey::new(*b"zzzzzzzzz").unwrap(), b"");
    let error = setting.open(project).unwrap_err();
    assert_eq!(error.code(), "trust_log");
    assert!(error.to_string().contains("a document that is no record"), "{error}");
}

#[test]
fn creation_is_completed_after_a_failure_at_any_call() {
    let at_once = |setting: &Setting| -> Arc<dyn Documents> { Arc::new(setting.documents.clone()) };
    assert_eq!(fail_at_any_call(at_once), 4, "look, commit, and two to open");
    let one_by_one = |setting: &Setting| -> Arc<dyn Documents> { Arc::new(OneAtATime(setting.documents.clone())) };
    let calls = fail_at_any_call(one_by_one);
    assert!(calls >= 12, "{calls} calls");
}

/// Lets each call of creating a project fail in each way, and creates it again; returns how many calls there are.
fn fail_at_any_call(driver: impl Fn(&Setting) -> Arc<dyn Documents>) -> u64 {
    let faulty = |setting: &Setting, faults: &CallFaults| -> Arc<dyn Documents> {
        Arc::new(FaultyDocuments::new(driver(setting), faults.clone()))
    };
    let calls = {
        let setting = Setting::new();
        let faults = CallFaults::new();
        setting.create_on(faulty(&setting, &faults)).unwrap();
        faults.calls()
    };
    for (at, failure) in (1..=calls).flat_map(|at| Failure::ALL.map(|failure| (at, failure))) {
        let setting = Setting::new();
        let faults = CallFaults::new();
        faults.arm(at, failure);
        assert!(setting.create_on(faulty(&setting, &faults)).is_err(), "call {at}, {failure:?}");
        faults.disarm();
        let keyring = match setting.create_on(faulty(&setting, &faults)) {
            Ok(keyring) => keyring,
            Err(KeyringError::ProjectExists { project, ours: true }) => setting.open(project).unwrap(),
            Err(error) => unreachable!("call {at}, {failure:?}: {error}"),
        };
        assert_eq!(keyring.pin().length(), 3);
        pollster::block_on(async {
            let orders = name("orders");
            keyring.create_key(&orders, Algorithm::Aes256Gcm).await.unwrap();
            let context = context(&keyring, 1);
            let sealed = keyring.seal(&orders, &context, b"42").await.unwrap();
            let reopened = setting.open(keyring.pin()).unwrap();
            assert_eq!(reopened.open_sealed(&orders, &context, &sealed).await.unwrap(), b"42");
        });
    }
    calls
}

#[test]
fn an_unfinished_project_says_what_to_do() {
    let setting = Setting::new();
    let project = setting.create().project();
    let log = setting.all(TRUST_LOG);
    setting.remove(TRUST_LOG, &log[2].key);
    let error = setting.open(project).unwrap_err().to_string();
    assert!(error.contains("create it again with the same identity"), "{error}");
    assert_eq!(setting.create().project(), project);
    assert!(setting.open(project).is_ok());
}

#[test]
fn two_creators_at_once_make_one_project() {
    for at_once in [true, false].repeat(6) {
        let documents = MemoryDocuments::new();
        let created = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                let documents = documents.clone();
                scope.spawn(move || {
                    let identity = Arc::new(Identity::generate().unwrap());
                    let setting = Setting { documents: documents.clone(), identity };
                    setting.create_on(if at_once { Arc::new(documents) } else { Arc::new(OneAtATime(documents)) })
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        let projects: Vec<_> = created.iter().flatten().collect();
        assert_eq!(projects.len(), 1);
        for refused in created.iter().filter_map(|created| created.as_ref().err()) {
            assert_eq!(refused.code(), "already_exists", "{refused}");
        }
    }
}

#[test]
fn one_identity_used_twice_at_once_makes_one_project() {
    for at_once in [true, false].repeat(8) {
        let setting = Setting::new();
        let driver = || -> Arc<dyn Documents> {
            if at_once { Arc::new(setting.documents.clone()) } else { Arc::new(OneAtATime(setting.documents.clone())) }
        };
        let created: Vec<_> = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| setting.create_on(driver())));
            threads.map(|thread| thread.join().unwrap()).into()
        });
        // Whoever lost a race is told so; whoever looks afterwards finds one project.
        let project = match setting.create_on(driver()) {
            Ok(keyring) => keyring.project(),
            Err(KeyringError::ProjectExists { project, ours: true }) => project,
            Err(error) => unreachable!("{error}"),
        };
        for keyring in created.iter().flatten() {
            assert_eq!(keyring.project(), project);
        }
        assert_eq!(setting.open(project).unwrap().pin().length(), 3);
    }
}
