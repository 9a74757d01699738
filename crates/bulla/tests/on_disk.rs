//! What outlives a process, and who gets in.

use std::path::Path;
use std::{fs, thread};

use bulla::blocking::Project;
use bulla::{Error, IdentityError, KeyringError, Origin, Setting, Settings, SettingsBuilder};
use tempfile::TempDir;

fn settings(folder: &Path, scheme: &str) -> SettingsBuilder {
    Settings::builder()
        .folder(folder)
        .environment(false)
        .identity(folder.join("identity"))
        .backend(format!("{scheme}:{}", folder.join("data").display()))
}

fn project(scheme: &str) -> (TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::init(settings(folder.path(), scheme).load_for_init().unwrap()).unwrap();
    (folder, project)
}

#[test]
fn values_outlive_the_process() {
    for scheme in ["sqlite", "json"] {
        let (folder, project) = project(scheme);
        let id = project.id();
        let row = project.context().int("row", 7).build().unwrap();
        let key = project.create_key("orders").unwrap();
        let sealed = key.seal(&row, b"sealed").unwrap();
        project.store("features").unwrap().put("small", b"entry").unwrap();
        project.store("features").unwrap().put("large", [7; 200_000]).unwrap();
        drop((project, key));

        // The settings file that `init` wrote says the rest.
        let found =
            Settings::builder().folder(folder.path()).environment(false).identity(folder.path().join("identity"));
        let project = Project::open(found.load().unwrap()).unwrap();
        assert_eq!(project.id(), id);
        assert_eq!(project.key("orders").unwrap().open(&row, &sealed).unwrap(), b"sealed");
        let entries = project.store("features").unwrap();
        assert_eq!(entries.get("small").unwrap().unwrap(), b"entry");
        assert!(entries.get("large").unwrap().unwrap() == [7; 200_000]);
    }
}

#[test]
fn a_project_is_made_once() {
    let (folder, _project) = project("sqlite");
    let again = Project::init(settings(folder.path(), "sqlite").load_for_init().unwrap());
    assert!(matches!(again, Err(Error::AlreadyInitialized { .. })), "{again:?}");

    // Another machine, whose settings do not name the project, finds one that is not its own.
    let elsewhere = tempfile::tempdir().unwrap();
    let theirs = settings(folder.path(), "sqlite").folder(elsewhere.path()).identity(elsewhere.path().join("identity"));
    let taken = Project::init(theirs.load_for_init().unwrap());
    assert!(matches!(taken, Err(Error::Keyring(KeyringError::ProjectExists { ours: false, .. }))), "{taken:?}");
    assert!(!elsewhere.path().join("bulla.toml").exists());
}

#[test]
fn another_machine_or_project_is_refused() {
    let (folder, ours) = project("sqlite");
    let (other, theirs) = project("sqlite");
    let load = |settings: SettingsBuilder| Project::open(settings.load().unwrap());

    let machine = load(settings(folder.path(), "sqlite").identity(other.path().join("identity")));
    assert!(matches!(machine, Err(Error::Keyring(KeyringError::NoGrant(_)))), "{machine:?}");
    let project = load(settings(folder.path(), "sqlite").give(Setting::Project, theirs.id().to_string(), Origin::Code));
    assert!(matches!(project, Err(Error::Keyring(KeyringError::OtherProject { .. }))), "{project:?}");
    let nobody = load(settings(folder.path(), "sqlite").identity(folder.path().join("none")));
    assert!(matches!(nobody, Err(Error::Identity(IdentityError::NotFound(_)))), "{nobody:?}");
    drop(ours);

    fs::remove_file(folder.path().join("bulla.toml")).unwrap();
    let unnamed = load(settings(folder.path(), "sqlite"));
    assert!(matches!(unnamed, Err(Error::NoProject { .. })), "{unnamed:?}");
}

#[test]
fn threads_share_a_project() {
    let (_folder, project) = project("sqlite");
    thread::scope(|scope| {
        for worker in 0..8_u8 {
            let project = &project;
            scope.spawn(move || {
                let entries = project.store("shared").unwrap();
                for round in 0..20_u8 {
                    entries.put([worker, round], [round; 100]).unwrap();
                    if round == 10 {
                        project.key("store/shared").unwrap().rotate().unwrap();
                    }
                }
            });
        }
    });
    let entries = project.store("shared").unwrap();
    for worker in 0..8 {
        for round in 0..20 {
            assert_eq!(entries.get([worker, round]).unwrap().unwrap(), [round; 100]);
        }
    }
}
