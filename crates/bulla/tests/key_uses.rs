//! What keys do and depend on, through the library: operations, sources, flows, and letting old versions go.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bulla::blocking::Project;
use bulla::flows::{KEY_STATES, KeyDefinition};
use bulla::source::{SourceError, callable};
use bulla::{
    Algorithm, Error, Exportable, KeyOrigin, KeySetting, KeySource, KeyringError, PublicKey, Settings, SettingsError,
};
use bulla_backend::{DocumentKey, Documents, Expected, SqliteDocuments, SqliteOptions};
use tempfile::TempDir;

fn on_disk() -> (TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::init(settings(folder.path()).load_for_init().unwrap()).unwrap();
    (folder, project)
}

fn settings(folder: &Path) -> bulla::SettingsBuilder {
    Settings::builder().folder(folder).environment(false).identity(folder.join("identity"))
}

#[test]
fn keys_sign_authenticate_and_make_data_keys() {
    let project = Project::in_memory().unwrap();
    let signing = project.create_key_with("release", Algorithm::Ed25519, &[]).unwrap();
    let signature = signing.sign(b"v1.0").unwrap();
    assert!(signing.verify(b"v1.0", &signature).unwrap() && !signing.verify(b"v1.1", &signature).unwrap());
    let PublicKey::Ed25519(public) = signing.public_key(None).unwrap() else { panic!("of another algorithm") };
    assert!(PublicKey::Ed25519(public).verifies(b"v1.0", &signature[8..]));

    let tokens = project.create_key_with("tokens", Algorithm::HmacSha256, &[]).unwrap();
    let tag = tokens.hmac(b"user 7").unwrap();
    assert!(tokens.verify_hmac(b"user 7", &tag).unwrap() && !tokens.verify_hmac(b"user 8", &tag).unwrap());
    let wrong = tokens.sign(b"x").unwrap_err();
    assert!(matches!(wrong, Error::Keyring(KeyringError::WrongUse { .. })) && wrong.hint().is_some(), "{wrong:?}");

    let sealing = project.create_key("orders").unwrap();
    let row = project.context().int("row", 1).build().unwrap();
    let made = sealing.data_key(&row).unwrap();
    assert_eq!(sealing.open_data_key(&row, &made.wrapped).unwrap(), made.plain);
    assert_eq!(tokens.info().unwrap().settings.exportable, Exportable::No);
}

#[test]
fn each_item_of_a_batch_has_its_own_result() {
    let project = Project::in_memory().unwrap();
    let key = project.create_key("orders").unwrap();
    let rows: Vec<_> = (0..3).map(|row| project.context().int("row", row).build().unwrap()).collect();
    let items: Vec<_> = rows.iter().map(|row| (row, &b"value"[..])).collect();
    let sealed: Vec<_> = key.seal_batch(&items).unwrap().into_iter().map(Result::unwrap).collect();
    // The second and the third are exchanged.
    let items = [(&rows[0], &sealed[0][..]), (&rows[1], &sealed[2]), (&rows[2], &sealed[2])];
    let opened = key.open_batch(&items).unwrap();
    assert_eq!(opened[0].as_ref().unwrap(), b"value");
    assert_eq!(opened[1].as_ref().unwrap_err().code(), "cannot_open");
    key.rotate().unwrap();
    let rewrapped = key.rewrap_batch(&items).unwrap();
    assert!(rewrapped[0].as_ref().unwrap().is_some() && rewrapped[1].is_err());

    let signing = project.create_key_with("release", Algorithm::Ed25519, &[]).unwrap();
    let signatures: Vec<_> = signing.sign_batch(&[b"a", b"b"]).unwrap().into_iter().map(Result::unwrap).collect();
    let verified = signing.verify_batch(&[(b"a", &signatures[0]), (b"a", &signatures[1])]).unwrap();
    assert_eq!(verified.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [true, false]);
    let tokens = project.create_key_with("tokens", Algorithm::HmacSha256, &[]).unwrap();
    let tags: Vec<_> = tokens.hmac_batch(&[b"a", b"b"]).unwrap().into_iter().map(Result::unwrap).collect();
    let verified = tokens.verify_hmac_batch(&[(b"a", &tags[0]), (b"a", &tags[1])]).unwrap();
    assert_eq!(verified.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn trimming_waits_for_entries_and_states() {
    let project = Project::in_memory().unwrap();
    project.store("features").unwrap().put("a", "value").unwrap();
    let key = project.key("store/features").unwrap();
    key.rotate().unwrap();
    let found = project.dependents("store/features", None).unwrap();
    assert_eq!((found.entries(), found.states(), found.versions[0].number, found.seen), (1, 0, 1, 1));
    let Error::InUse(refused) = project.trim_key("store/features", 2).unwrap_err() else { panic!("another refusal") };
    assert_eq!(refused.versions, found.versions);
    assert_eq!(key.info().unwrap().settings.min_open, 1, "nothing has changed");

    project.store("features").unwrap().reseal().unwrap();
    assert!(project.dependents("store/features", Some(1)).unwrap().is_free());
    assert_eq!(project.trim_key("store/features", 2).unwrap(), 1);
    assert_eq!(key.info().unwrap().first, 2);
    assert_eq!(project.store("features").unwrap().get("a").unwrap().unwrap(), b"value");

    let newest = project.trim_key("store/features", 3).unwrap_err();
    assert!(matches!(newest, Error::Keyring(KeyringError::NewestVersion { .. })), "{newest:?}");
    let missing = project.dependents("store/features", Some(9)).unwrap_err();
    assert!(matches!(missing, Error::Keyring(KeyringError::NoVersion { .. })), "{missing:?}");
}

#[test]
fn what_comes_while_it_is_looked_stops_a_trim_and_nothing_is_lost() {
    let (folder, project) = on_disk();
    let key = project.create_key("states").unwrap();
    let row = project.context().build().unwrap();
    let sealed = key.seal(&row, b"kept elsewhere until now").unwrap();
    key.rotate().unwrap();
    let trust = SqliteDocuments::open(folder.path().join(".bulla/trust.db"), SqliteOptions::default()).unwrap();
    let mut looks = 0;
    let trimmed = pollster::block_on(project.project().trim_key("states", 2, &mut |_| {
        looks += 1;
        // The first look found nothing; during the second, another process brings back what it had.
        if looks == 2 {
            assert_eq!(key.info().unwrap().settings.min_open, 2, "nothing new can depend on it");
            let place = DocumentKey::new(b"token".to_vec()).unwrap();
            pollster::block_on(trust.put(KEY_STATES, &place, &sealed, Expected::Any)).unwrap();
        }
    }));
    assert_eq!(looks, 2);
    assert!(matches!(&trimmed, Err(Error::InUse(found)) if found.states() == 1), "{trimmed:?}");
    let info = key.info().unwrap();
    assert_eq!((info.first, info.settings.min_open), (1, 1), "as it was");
    assert_eq!(key.open(&row, &sealed).unwrap(), b"kept elsewhere until now");
}

#[test]
fn flows_keep_their_states_under_a_named_key() {
    let (folder, project) = on_disk();
    project.create_key("states").unwrap();
    let token = "token".parse().unwrap();
    let value = Arc::new(Mutex::new("first"));
    let define = |project: &Project| {
        let flows = project.key_flows("states").unwrap();
        let read = Arc::clone(&value);
        let source = callable(move || Ok::<_, SourceError>(*read.lock().unwrap()));
        flows.define_key(&token, source, KeyDefinition::round_trip().with_stateless(false)).unwrap();
        flows
    };
    let flows = define(&project);
    assert_eq!(flows.forward_path_key(&token).unwrap().expose_text(), Some("first"));
    flows.save_state(&token).unwrap();
    project.key("states").unwrap().rotate().unwrap();
    let found = project.dependents("states", Some(1)).unwrap();
    assert_eq!((found.states(), &found.versions[0].state_names), (1, &vec!["token".to_owned()]));
    assert_eq!(project.trim_key("states", 2).unwrap_err().code(), "in_use");
    drop((flows, project));

    // A later lifetime still decrypts with the old value, and saves the state under the new version.
    *value.lock().unwrap() = "second";
    let project = Project::open(settings(folder.path()).load().unwrap()).unwrap();
    let flows = define(&project);
    assert_eq!(flows.back_path_key(&token).unwrap().expose_text(), Some("first"));
    assert_eq!(flows.forward_path_key(&token).unwrap().expose_text(), Some("second"));
    flows.save_states().unwrap();
    assert_eq!(project.trim_key("states", 2).unwrap(), 1);

    assert!(matches!(project.key_flows("none"), Err(Error::Keyring(KeyringError::NoKey(_)))));
    project.create_key_with("signs", Algorithm::Ed25519, &[]).unwrap();
    assert!(matches!(project.key_flows("signs"), Err(Error::Keyring(KeyringError::WrongUse { .. }))));
}

#[test]
fn an_external_key_follows_its_source() {
    let (folder, project) = on_disk();
    let file = folder.path().join("material");
    let write = |material: &[u8]| {
        use std::os::unix::fs::PermissionsExt;
        fs::write(&file, material).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(&[1; 32]);
    let source: KeySource = format!("file:{}", file.display()).parse().unwrap();
    let key = project.create_sourced_key("orders", Algorithm::default(), &[], &source).unwrap();
    assert_eq!(key.info().unwrap().origin, KeyOrigin::External);
    let unchanged = key.rotate().unwrap_err();
    assert!(matches!(&unchanged, Error::SourceUnchanged { version: 1, .. }), "{unchanged:?}");
    write(&[2; 32]);
    assert_eq!(key.rotate().unwrap().number, 2);
    write(&[1; 32]);
    assert!(matches!(key.rotate().unwrap_err(), Error::SourceUnchanged { version: 1, .. }));
    drop((key, project));

    // The settings file names it, so that a later lifetime asks it too.
    write(&[3; 32]);
    let project = Project::open(settings(folder.path()).load().unwrap()).unwrap();
    let key = project.key("orders").unwrap();
    let row = project.context().build().unwrap();
    let sealed = key.seal(&row, b"x").unwrap();
    assert_eq!(key.info().unwrap().newest, 3);
    fs::remove_file(&file).unwrap();
    assert_eq!(key.open(&row, &sealed).unwrap(), b"x");
    let gone = key.rotate().unwrap_err();
    assert!(gone.code() == "source_missing" && gone.to_string().contains("`orders`"), "{gone}");

    let other: KeySource = "env:OTHER".parse().unwrap();
    let again = project.project().settings().add_source(&"orders".parse().unwrap(), &other).unwrap_err();
    assert!(matches!(again, SettingsError::SourceExists { .. }), "{again:?}");
}

#[test]
fn a_program_brings_a_source_of_its_own() {
    let project = Project::in_memory().unwrap();
    let name = "orders".parse().unwrap();
    let first = bulla::SecretVec::new(vec![1; 32]);
    pollster::block_on(project.project().keyring().create_external_key(&name, Algorithm::default(), &[], &first))
        .unwrap();
    let key = project.key("orders").unwrap();
    assert!(matches!(key.rotate(), Err(Error::Keyring(KeyringError::ExternalKey(_)))));
    project.attach_source("orders", callable(|| Ok::<_, SourceError>(vec![2_u8; 32]))).unwrap();
    let row = project.context().build().unwrap();
    key.seal(&row, b"x").unwrap();
    assert_eq!(key.info().unwrap().newest, 2);
    // A key whose material is drawn here takes none from a source.
    project.attach_source("default", callable(|| Ok::<_, SourceError>(vec![3_u8; 32]))).unwrap();
    let refused = project.key("default").unwrap().seal(&row, b"x").unwrap_err();
    assert!(matches!(refused, Error::Keyring(KeyringError::GeneratedKey(_))), "{refused:?}");
}

#[test]
fn a_source_is_added_to_the_settings_file_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bulla.toml");
    let add = |old: &str, name: &str| {
        fs::write(&path, old).unwrap();
        let settings = settings(folder.path()).load().unwrap();
        settings
            .add_source(&name.parse().unwrap(), &"hex:env:A".parse().unwrap())
            .map(|()| fs::read_to_string(&path).unwrap())
    };
    assert_eq!(add("# ours\nkey = \"x\"\n", "a").unwrap(), "# ours\nkey = \"x\"\n\n[sources]\n\"a\" = \"hex:env:A\"\n");
    let table = "[sources] # ours\nb = \"env:B\"\n[config]\n";
    assert_eq!(add(table, "a/b").unwrap(), "[sources] # ours\n\"a/b\" = \"hex:env:A\"\nb = \"env:B\"\n[config]\n");
    assert_eq!(add("[sources]", "a").unwrap(), "[sources]\n\"a\" = \"hex:env:A\"\n");
    let there = "[sources]\na = \"hex:env:A\"\n";
    assert_eq!(add(there, "a").unwrap(), there);
    // Written so that a line cannot be added, it is left as it is, and the line is told.
    for inline in ["sources = { b = \"env:B\" }\n", "[sources.b]\n"] {
        fs::write(&path, inline).unwrap();
        if settings(folder.path()).load().is_ok() {
            let refused = add(inline, "a").unwrap_err();
            assert!(refused.to_string().contains("add by hand: \"a\" = \"hex:env:A\""), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), inline);
        }
    }
}

#[test]
fn settings_of_a_new_key_are_checked() {
    let project = Project::in_memory().unwrap();
    let refused = project.create_key_with("orders", Algorithm::default(), &[KeySetting::MaxUses(Some(0))]).unwrap_err();
    assert_eq!(refused.code(), "bad_setting");
    assert!(matches!(project.key("orders").unwrap().info(), Err(Error::Keyring(KeyringError::NoKey(_)))));
}
