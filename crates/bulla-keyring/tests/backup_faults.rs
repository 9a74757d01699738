//! Every call of a restoring fails once, in every way, on backends with and without commits; another process completes it.

use std::sync::Arc;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_backend::{Documents, MemoryDocuments};
use bulla_keyring::format::{KEYS, TRUST_LOG};
use bulla_keyring::{Backup, BackupError, Capability, Keyring, Restored};

use crate::backups::{Scene, refused, restore};
use crate::setting::{OneAtATime, Setting, StoppedClock, code};

#[test]
fn with_commits() {
    sweep(|documents| Arc::new(documents));
}

#[test]
fn one_document_at_a_time() {
    sweep(|documents| Arc::new(OneAtATime(documents)));
}

fn sweep(backend: impl Fn(MemoryDocuments) -> Arc<dyn Documents>) {
    let scene = Scene::new();
    // Enough for several steps.
    scene.add_keys(30);
    let other = scene.let_in("web-1", Capability::Use);
    let file = scene.back_up();
    let backup = scene.read(&file).unwrap();
    let another = scene.read(&scene.back_up()).unwrap();

    let counted = CallFaults::new();
    restore(&backup, &FaultyDocuments::new(backend(MemoryDocuments::new()), counted.clone())).unwrap();
    let calls = counted.calls();
    assert!(calls >= 9, "{calls} calls");
    for (at, failure) in (1..=calls).flat_map(|at| Failure::ALL.map(|failure| (at, failure))) {
        let place = format!("call {at} of {calls}, {failure:?}");
        let (documents, faults) = (MemoryDocuments::new(), CallFaults::new());
        faults.arm(at, failure);
        let failed = restore(&backup, &FaultyDocuments::new(backend(documents.clone()), faults));
        // The last call may have done its work, and only its answer was lost.
        let whole = Setting { documents: documents.clone(), identity: Arc::clone(&scene.setting.identity) };
        let has_root = whole.all(TRUST_LOG).first().is_some_and(|root| root.key.as_bytes() == [0; 8]);
        if failed.is_ok() || refused(failed) != "backend" {
            assert!(has_root, "{place}");
        }
        if has_root {
            assert!(at + 1 >= calls, "{place}: a project before all of it was there");
        } else {
            // Until it is complete there is no project, and no other is mixed into it.
            assert_eq!(code(whole.open(scene.project())), "not_found", "{place}");
            let begun = !whole.all(KEYS).is_empty();
            if begun {
                assert_eq!(refused(restore(&another, &*backend(documents.clone()))), "other_restore", "{place}");
            }
        }
        // Another machine, that has nothing but the file.
        let backup = pollster::block_on(Backup::read(
            file.as_slice(),
            Arc::clone(&other),
            scene.project(),
            Arc::new(StoppedClock),
        ));
        let resumed = restore(&backup.unwrap(), &*backend(documents.clone()));
        match resumed {
            Ok(_) => {}
            Err(BackupError::ProjectExists(project)) if has_root => assert_eq!(project, scene.project(), "{place}"),
            Err(error) => panic!("{place}: {error}"),
        }
        scene.holds_everything(documents, &other);
    }
}

#[test]
fn of_two_at_once_the_later_one_goes_on() {
    let scene = Scene::new();
    let file = scene.back_up();
    for commits in [true, false] {
        let documents = MemoryDocuments::new();
        let place = || -> Arc<dyn Documents> {
            if commits { Arc::new(documents.clone()) } else { Arc::new(OneAtATime(documents.clone())) }
        };
        let results: Vec<Result<Restored, BackupError>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let backup = scene.read(&file).unwrap();
                        restore(&backup, &*place())
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        let mut done = 0;
        for result in results {
            match result {
                Ok(_) => done += 1,
                Err(error) => assert!(matches!(error.code(), "taken_over" | "already_exists" | "not_empty"), "{error}"),
            }
        }
        assert!(done >= 1);
        scene.holds_everything(documents, &scene.setting.identity);
    }
}

#[test]
fn making_a_backup_can_fail_at_any_call() {
    let scene = Scene::new();
    let (keyring, faults) = scene.setting.open_faulty(scene.keyring.pin());
    let back_up = |keyring: &Keyring| crate::backups::back_up(keyring);
    let before = faults.calls();
    back_up(&keyring).unwrap();
    let calls = faults.calls() - before;
    for (at, failure) in (1..=calls).flat_map(|at| Failure::ALL.map(|failure| (at, failure))) {
        faults.arm(faults.calls() + at, failure);
        let written = back_up(&keyring);
        faults.disarm();
        // A look at the log may be made up for by one that is not old yet; a backup that is made is whole.
        match written {
            Err(error) => assert!(matches!(error.code(), "backend" | "stale"), "call {at}, {failure:?}: {error}"),
            Ok((file, _)) => assert!(scene.read(&file).unwrap().damaged().is_empty()),
        }
        let (file, _) = back_up(&keyring).unwrap();
        assert!(scene.read(&file).unwrap().damaged().is_empty());
    }
}
