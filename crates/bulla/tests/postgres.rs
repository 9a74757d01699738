//! Projects in a PostgreSQL database, which several machines share.

use std::path::Path;

use bulla::blocking::Project;
use bulla::{BackendUrl, Error, KeyringError, Origin, Setting, Settings, SettingsBuilder};
use tempfile::TempDir;

#[track_caller]
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `cargo xtask test --only tests`, or see `cargo xtask services up`")
    })
}

/// Returns a URL of the tests' server with a schema that was never used.
#[track_caller]
fn fresh_url() -> String {
    let server = variable("BULLA_TEST_POSTGRES");
    let mut random = [0; 8];
    bulla_seal::fill_random(&mut random).unwrap();
    format!("{server}?schema=p{}", data_encoding::HEXLOWER.encode(&random))
}

fn settings(folder: &Path, url: &str) -> SettingsBuilder {
    Settings::builder().folder(folder).environment(false).identity(folder.join("identity")).backend(url)
}

fn init(url: &str) -> (TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::init(settings(folder.path(), url).load_for_init().unwrap()).unwrap();
    (folder, project)
}

#[test]
fn values_outlive_the_process_and_the_password_stays_out_of_files() {
    let url = fresh_url();
    let (folder, project) = init(&url);
    let row = project.context().int("row", 7).build().unwrap();
    let key = project.create_key("orders").unwrap();
    let sealed = key.seal(&row, b"sealed").unwrap();
    project.store("features").unwrap().put("small", b"entry").unwrap();
    project.store("features").unwrap().put("large", [7; 700_000]).unwrap();
    let id = project.id();
    assert!(project.project().pin_is_kept());
    drop((project, key));

    let written = std::fs::read_to_string(folder.path().join("bulla.toml")).unwrap();
    let (_, secret) = url.split_once("bulla:").unwrap();
    let (secret, _) = secret.split_once('@').unwrap();
    assert!(written.contains("postgres://bulla@") && !written.contains(secret), "{written}");

    // Who opens it gives the password by the environment.
    let environment = [("BULLA_BACKEND".into(), url.clone().into())];
    let found = Settings::builder().folder(folder.path()).identity(folder.path().join("identity"));
    let found = found.variables(environment).load().unwrap();
    assert!(!format!("{found:?} {:?}", found.report()).contains(secret));
    let project = Project::open(found).unwrap();
    assert_eq!(project.id(), id);
    assert_eq!(project.key("orders").unwrap().open(&row, &sealed).unwrap(), b"sealed");
    let features = project.store("features").unwrap();
    assert_eq!(features.get("small").unwrap(), Some(b"entry".to_vec()));
    assert_eq!(features.get("large").unwrap(), Some(vec![7; 700_000]));
    features.reseal().unwrap();
    assert!(features.remove("large").unwrap());
}

#[test]
fn of_several_who_make_one_project_one_does() {
    let url = fresh_url();
    let made: Vec<_> = std::thread::scope(|scope| {
        let start = |_| {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                let settings = settings(folder.path(), &url).load_for_init().unwrap();
                Project::init(settings).map(|project| (folder, project))
            })
        };
        let running: Vec<_> = (0..4).map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    for lost in made.into_iter().filter_map(Result::err) {
        assert!(matches!(lost, Error::Keyring(KeyringError::ProjectExists { .. })), "{lost}");
    }
}

#[test]
fn a_project_that_is_not_there_is_not_made_by_opening_it() {
    let url = fresh_url();
    let folder = tempfile::tempdir().unwrap();
    let found = settings(folder.path(), &url).give(Setting::Project, "07".repeat(32), Origin::Code).load().unwrap();
    assert!(matches!(found.backend().get(), BackendUrl::Postgres(_)));
    bulla::Project::enroll(&found, None).unwrap();
    let error = Project::open(found).unwrap_err();
    assert_eq!(error.code(), "backend_unsuitable", "{error}");
}
