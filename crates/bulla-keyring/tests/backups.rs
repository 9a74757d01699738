//! Backup and restore: what comes back, who can bring it back, and what is refused.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use bulla_backend::{Clock, Documents, MemoryDocuments};
use bulla_keyring::format::{KEY_IDS, KEY_VERSIONS, KEYS, TRUST_LOG, WRAPS};
use bulla_keyring::{
    Algorithm, Backup, BackupError, BackupInfo, Capability, Exportable, Identity, KeySetting, Keyring, Outcome,
    Request, Restored, RevokeOptions, VersionState,
};
use bulla_seal::ProjectId;

use crate::setting::{Setting, StoppedClock, code, context, name};

/// A project with several machines and keys, and values that were sealed in it.
pub(crate) struct Scene {
    pub(crate) setting: Setting,
    pub(crate) keyring: Keyring,
    sealed: Vec<(&'static str, Vec<u8>)>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let setting = Setting::new();
        let keyring = setting.create();
        let mut sealed = Vec::new();
        pollster::block_on(async {
            for (key, rotations) in [("orders", 3), ("a/b/reports", 0), ("index", 1)] {
                keyring.create_key(&name(key), Algorithm::default()).await.unwrap();
                for version in 0..=rotations {
                    let context = context(&keyring, version);
                    sealed.push((
                        key,
                        keyring.seal(&name(key), &context, format!("{key} {version}").as_bytes()).await.unwrap(),
                    ));
                    if version < rotations {
                        keyring.rotate_key(&name(key)).await.unwrap();
                    }
                }
            }
        });
        Self { setting, keyring, sealed }
    }

    pub(crate) fn project(&self) -> ProjectId {
        self.keyring.project()
    }

    /// Makes keys that are not used.
    pub(crate) fn add_keys(&self, count: usize) {
        for key in 0..count {
            let key = name(&format!("many/{key}"));
            pollster::block_on(self.keyring.create_key(&key, Algorithm::default())).unwrap();
        }
    }

    pub(crate) fn let_in(&self, machine: &str, capability: Capability) -> Arc<Identity> {
        let identity = Arc::new(Identity::generate().unwrap());
        let request = Request::create(&identity, machine.parse().unwrap(), Some(self.project()), StoppedClock.now());
        let done = pollster::block_on(self.keyring.authorise(&request.unwrap(), capability)).unwrap();
        assert!(matches!(done, Outcome::Done(_)));
        identity
    }

    pub(crate) fn back_up(&self) -> Vec<u8> {
        back_up(&self.keyring).unwrap().0
    }

    pub(crate) fn read(&self, file: &[u8]) -> Result<Backup, BackupError> {
        self.read_as(&self.setting.identity, file)
    }

    pub(crate) fn read_as(&self, identity: &Arc<Identity>, file: &[u8]) -> Result<Backup, BackupError> {
        pollster::block_on(Backup::read(file, Arc::clone(identity), self.project(), Arc::new(StoppedClock)))
    }

    /// Opens a database and looks whether all of the project is there, exactly once.
    pub(crate) fn holds_everything(&self, documents: MemoryDocuments, identity: &Arc<Identity>) -> Keyring {
        let there = Setting { documents, identity: Arc::clone(identity) };
        for collection in [TRUST_LOG, WRAPS, KEYS, KEY_VERSIONS, KEY_IDS] {
            let values = |setting: &Setting| {
                setting.all(collection).into_iter().map(|found| (found.key, found.value)).collect::<Vec<_>>()
            };
            assert!(values(&there) == values(&self.setting), "{collection:?}");
        }
        let keyring = there.open(self.keyring.pin()).unwrap();
        assert_eq!(keyring.epoch(), self.keyring.epoch());
        self.opens_everything(&keyring);
        keyring
    }

    pub(crate) fn opens_everything(&self, keyring: &Keyring) {
        pollster::block_on(async {
            let mut version = 0;
            for (at, (key, sealed)) in self.sealed.iter().enumerate() {
                version = if at > 0 && self.sealed[at - 1].0 == *key { version + 1 } else { 0 };
                let opened = keyring.open_sealed(&name(key), &context(keyring, version), sealed).await.unwrap();
                assert_eq!(opened, format!("{key} {version}").as_bytes());
            }
            let sealed = keyring.seal(&name("orders"), &context(keyring, 9), b"new").await.unwrap();
            keyring.rotate_key(&name("orders")).await.unwrap();
            assert_eq!(keyring.open_sealed(&name("orders"), &context(keyring, 9), &sealed).await.unwrap(), b"new");
        });
    }
}

pub(crate) fn back_up(keyring: &Keyring) -> Result<(Vec<u8>, BackupInfo), BackupError> {
    pollster::block_on(keyring.back_up(|| Ok(Vec::new()), |_| {}))
}

pub(crate) fn restore(backup: &Backup, documents: &dyn Documents) -> Result<Restored, BackupError> {
    pollster::block_on(backup.restore(documents, |_| {}))
}

pub(crate) fn refused<T>(result: Result<T, BackupError>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

#[test]
fn each_machine_alone_restores_all_of_it() {
    let scene = Scene::new();
    let mut machines = vec![Arc::clone(&scene.setting.identity)];
    for (machine, capability) in
        [("web-1", Capability::Use), ("admin", Capability::Authorise), ("words", Capability::Recovery)]
    {
        machines.push(scene.let_in(machine, capability));
    }
    let (file, info) = back_up(&scene.keyring).unwrap();
    assert_eq!((info.project, info.author), (scene.project(), scene.setting.identity.fingerprint()));
    assert_eq!((info.log_length, info.head), (scene.keyring.pin().length(), scene.keyring.pin().head()));
    assert_eq!(info.machines.len(), machines.len());
    for identity in &machines {
        let backup = scene.read_as(identity, &file).unwrap();
        assert_eq!(backup.info(), &info);
        assert!(backup.damaged().is_empty());
        let documents = MemoryDocuments::new();
        let mut heard = Vec::new();
        let restored =
            pollster::block_on(backup.restore(&documents, |progress| heard.push((progress.done, progress.total))));
        let restored = restored.unwrap();
        assert_eq!((restored.written, restored.resumed), (info.documents, false));
        assert!(heard.is_sorted() && heard.last() == Some(&(info.documents, info.documents)), "{heard:?}");
        scene.holds_everything(documents, identity);
    }
    assert_eq!(refused(scene.read_as(&Arc::new(Identity::generate().unwrap()), &file)), "not_for_machine");
    // Who was let in later is not among those that it is sealed to.
    assert_eq!(refused(scene.read_as(&scene.let_in("late", Capability::Authorise), &file)), "not_for_machine");
}

#[test]
fn a_backup_of_another_project_is_refused() {
    let (scene, other) = (Scene::new(), Scene::new());
    let file = other.back_up();
    assert_eq!(refused(scene.read(&file)), "other_project");
    let identity = Arc::clone(&scene.setting.identity);
    let read = Backup::read(file.as_slice(), identity, other.project(), Arc::new(StoppedClock));
    assert_eq!(refused(pollster::block_on(read)), "not_for_machine");
}

#[test]
fn every_flipped_bit_of_the_header_is_refused() {
    let scene = Scene::new();
    scene.let_in("web-1", Capability::Use);
    let file = scene.back_up();
    let header = 8 + usize::try_from(u32::from_be_bytes(file[4..8].try_into().unwrap())).unwrap();
    for at in 0..header + 72 {
        let mut altered = file.clone();
        altered[at] ^= 1 << (at % 8);
        let code = refused(scene.read(&altered));
        let expected: &[&str] = match at {
            0..3 => &["not_a_backup"],
            3 => &["newer_backup"],
            _ => &["damaged_backup", "other_project", "not_for_machine"],
        };
        assert!(expected.contains(&code), "byte {at}: {code}");
    }
}

#[test]
fn every_flipped_bit_of_the_body_is_refused() {
    let scene = Scene::new();
    let file = scene.back_up();
    let body = file.len() - 5_000;
    for at in (0..file.len()).step_by(211).chain(body..body + 100).chain(file.len() - 40..file.len()) {
        let mut altered = file.clone();
        altered[at] ^= 1 << (at % 8);
        assert_ne!(refused(scene.read(&altered)), "ok", "byte {at}");
    }
}

#[test]
fn a_backup_that_was_cut_or_prolonged_is_refused() {
    let scene = Scene::new();
    // Enough for several chunks.
    scene.add_keys(500);
    let file = scene.back_up();
    assert_eq!(refused(scene.read(&file)), "ok");
    let header = 8 + usize::try_from(u32::from_be_bytes(file[4..8].try_into().unwrap())).unwrap();
    let chunk = (1 << 16) + 16;
    let borders = (header + 72..file.len()).step_by(chunk);
    assert!(borders.len() >= 3, "{} bytes", file.len());
    for end in borders.chain((0..file.len()).step_by(1_009)).chain(file.len() - 20..file.len()) {
        assert!(matches!(refused(scene.read(&file[..end])), "damaged_backup" | "not_a_backup"), "cut at {end}");
    }
    for more in [&[0][..], &[0; 5_000], &file] {
        assert_eq!(refused(scene.read(&[&file, more].concat())), "damaged_backup");
    }
    assert_eq!(refused(scene.read(b"")), "not_a_backup");
    assert_eq!(refused(scene.read(b"BLB\x01\xff\xff\xff\xff")), "damaged_backup");
    assert_eq!(refused(scene.read(b"BLB\x01\x01\x00\x00\x00 and no more")), "damaged_backup");
}

#[test]
fn the_parts_of_two_backups_do_not_fit() {
    let scene = Scene::new();
    let (one, two) = (scene.back_up(), scene.back_up());
    assert_ne!(one, two);
    let header = 8 + usize::try_from(u32::from_be_bytes(one[4..8].try_into().unwrap())).unwrap();
    assert_eq!(one[4..8], two[4..8]);
    for (head, body) in [(&one, &two), (&two, &one)] {
        assert_eq!(refused(scene.read(&[&head[..header], &body[header..]].concat())), "damaged_backup");
    }
}

#[test]
fn a_reader_may_be_slow_and_may_fail() {
    let scene = Scene::new();
    let file = scene.back_up();
    let read = |source: &mut dyn io::Read| {
        let identity = Arc::clone(&scene.setting.identity);
        pollster::block_on(Backup::read(source, identity, scene.project(), Arc::new(StoppedClock)))
    };
    assert_eq!(refused(read(&mut Trickle { rest: &file, fail: false })), "ok");
    assert_eq!(refused(read(&mut Trickle { rest: &file[..file.len() / 2], fail: true })), "file");
}

/// Hands out bytes one at a time; at their end it ends, or fails.
struct Trickle<'a> {
    rest: &'a [u8],
    fail: bool,
}

impl io::Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.fail {
            return Err(io::Error::other("the cable came out"));
        }
        let len = buffer.len().min(self.rest.len()).min(1 + self.rest.len() % 7);
        buffer[..len].copy_from_slice(&self.rest[..len]);
        self.rest = &self.rest[len..];
        Ok(len)
    }
}

#[test]
fn a_full_disk_is_told() {
    let scene = Scene::new();
    for room in [0, 3, 500, 2_000, 5_000] {
        let written = scene.keyring.back_up(|| Ok(Full { room }), |_| {});
        match pollster::block_on(written) {
            Err(BackupError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{room}"),
            other => panic!("{room}: {:?}", other.map(|(_, info)| info)),
        }
    }
    let never = scene.keyring.back_up(|| Err::<Vec<u8>, _>(io::ErrorKind::PermissionDenied.into()), |_| {});
    assert_eq!(refused(pollster::block_on(never)), "file");
}

struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.room);
        self.room -= len;
        if len == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(len) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn damaged_rows_are_named_and_hide_no_others() {
    let scene = Scene::new();
    let alter = |collection, at: usize| {
        let mut document = scene.setting.all(collection).swap_remove(at);
        *document.value.last_mut().unwrap() ^= 1;
        scene.setting.overwrite(collection, &document.key, &document.value);
    };
    // In the order of their keys: `a/b/reports`, `index`, `orders`.
    alter(KEYS, 0);
    alter(KEY_VERSIONS, 1);
    let lost = scene.setting.all(KEY_VERSIONS).swap_remove(3);
    scene.setting.remove(KEY_VERSIONS, &lost.key);

    let file = scene.back_up();
    let backup = scene.read(&file).unwrap();
    let named: Vec<_> = backup.damaged().iter().map(ToString::to_string).collect();
    assert_eq!(named.len(), 3, "{named:?}");
    for part in ["key `a/b/reports` is corrupt", "version 1 of key `index` is corrupt", "version 1 of key `orders`"] {
        assert!(named.iter().any(|error| error.contains(part)), "{part}: {named:?}");
    }
    let documents = MemoryDocuments::new();
    restore(&backup, &documents).unwrap();
    let there = Setting { documents, identity: Arc::clone(&scene.setting.identity) };
    let keyring = there.open(scene.keyring.pin()).unwrap();
    let (key, newest) = scene.sealed.iter().rfind(|(key, _)| *key == "orders").unwrap();
    let opened = pollster::block_on(keyring.open_sealed(&name(key), &context(&keyring, 3), newest));
    assert_eq!(opened.unwrap(), b"orders 3");
}

#[test]
fn what_restricts_a_key_is_restored_with_it() {
    let scene = Scene::new();
    let orders = name("orders");
    pollster::block_on(async {
        let never = [KeySetting::Exportable(Exportable::Never), KeySetting::DeletionAllowed(true)];
        scene.keyring.change_settings(&orders, &never).await.unwrap();
        scene.keyring.rotate_key(&orders).await.unwrap();
        scene.keyring.disable_version(&orders, 2).await.unwrap();
        scene.keyring.destroy_version(&orders, 1, Duration::ZERO).await.unwrap();
        scene.keyring.purge_key(&orders).await.unwrap();
    });
    let backup = scene.read(&scene.back_up()).unwrap();
    assert!(backup.damaged().is_empty(), "{:?}", backup.damaged());
    let documents = MemoryDocuments::new();
    restore(&backup, &documents).unwrap();
    let there = Setting { documents, identity: Arc::clone(&scene.setting.identity) };
    let keyring = there.open(scene.keyring.pin()).unwrap();
    pollster::block_on(async {
        for number in 1..=5 {
            assert_ne!(code(keyring.export_version(&orders, number).await), "ok", "version {number}");
        }
        let export = [KeySetting::Exportable(Exportable::Yes)];
        assert_ne!(code(keyring.change_settings(&orders, &export).await), "ok");
        let versions = keyring.versions(&orders, None, 0).await.unwrap().versions;
        let states: Vec<_> = versions.into_iter().map(|version| version.unwrap().state).collect();
        assert_eq!(states[..3], [VersionState::Destroyed, VersionState::Disabled, VersionState::Enabled]);
        assert_eq!(states.len(), 5);
    });
}

#[test]
fn who_was_put_out_cannot_restore_what_was_backed_up_since() {
    let scene = Scene::new();
    let (stays, leaves) = (scene.let_in("web-1", Capability::Use), scene.let_in("web-2", Capability::Authorise));
    let before = scene.back_up();
    pollster::block_on(async {
        scene.keyring.revoke(leaves.fingerprint(), RevokeOptions::default()).await.unwrap();
        scene.keyring.begin_epoch().await.unwrap();
        scene.keyring.create_key(&name("second-epoch"), Algorithm::default()).await.unwrap();
    });
    let after = scene.back_up();
    assert_eq!(refused(scene.read_as(&leaves, &after)), "not_for_machine");
    assert_eq!(refused(scene.read_as(&leaves, &before)), "ok", "what is revoked does not reach copies of the past");
    let backup = scene.read_as(&stays, &after).unwrap();
    assert!(backup.damaged().is_empty());
    let documents = MemoryDocuments::new();
    restore(&backup, &documents).unwrap();
    let there = Setting { documents, identity: stays };
    assert_eq!(there.open(scene.keyring.pin()).unwrap().epoch(), 2);
}

#[test]
fn a_database_that_is_not_empty_is_refused() {
    let (scene, other) = (Scene::new(), Scene::new());
    let backup = scene.read(&scene.back_up()).unwrap();
    assert_eq!(refused(restore(&backup, &scene.setting.documents)), "already_exists");
    assert_eq!(refused(restore(&backup, &other.setting.documents)), "already_exists");

    let documents = MemoryDocuments::new();
    restore(&backup, &documents).unwrap();
    assert_eq!(refused(restore(&backup, &documents)), "already_exists");

    for collection in [KEYS, KEY_VERSIONS, KEY_IDS, WRAPS] {
        let stray = Setting { documents: MemoryDocuments::new(), identity: Arc::clone(&scene.setting.identity) };
        let document = scene.setting.all(collection).swap_remove(0);
        stray.overwrite(collection, &document.key, &document.value);
        assert_eq!(refused(restore(&backup, &stray.documents)), "not_empty", "{collection:?}");
        assert_eq!(stray.all(TRUST_LOG).len(), 0);
    }
}

#[test]
fn a_backup_that_is_made_while_others_work_is_whole() {
    let scene = Scene::new();
    let stop = AtomicBool::new(false);
    let files = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (scene, stop) = (&scene, &stop);
            scope.spawn(move || {
                let keyring = scene.setting.open(scene.keyring.pin()).unwrap();
                let own = name(&format!("own/{thread}"));
                pollster::block_on(async {
                    keyring.create_key(&own, Algorithm::default()).await.unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        keyring.rotate_key(&own).await.unwrap();
                        keyring.rotate_key(&name("orders")).await.unwrap();
                    }
                });
            });
        }
        let files: Vec<_> = (0..8).map(|_| scene.back_up()).collect();
        stop.store(true, Ordering::Relaxed);
        files
    });
    for file in files {
        let backup = scene.read(&file).unwrap();
        assert!(backup.damaged().is_empty(), "{:?}", backup.damaged());
        let documents = MemoryDocuments::new();
        restore(&backup, &documents).unwrap();
        let there = Setting { documents, identity: Arc::clone(&scene.setting.identity) };
        scene.opens_everything(&there.open(scene.keyring.pin()).unwrap());
    }
}

#[test]
fn a_machine_that_is_let_in_meanwhile_is_in_the_backup_or_not_at_all() {
    let scene = Scene::new();
    let barrier = Barrier::new(2);
    let file = std::thread::scope(|scope| {
        let (scene, begin) = (&scene, &barrier);
        scope.spawn(move || {
            let keyring = scene.setting.open(scene.keyring.pin()).unwrap();
            begin.wait();
            for machine in 0..3 {
                let identity = Identity::generate().unwrap();
                let name = format!("machine-{machine}").parse().unwrap();
                let request = Request::create(&identity, name, Some(scene.project()), StoppedClock.now()).unwrap();
                let done = pollster::block_on(keyring.authorise(&request, Capability::Use)).unwrap();
                assert!(matches!(done, Outcome::Done(_)));
            }
        });
        begin.wait();
        scene.back_up()
    });
    let backup = scene.read(&file).unwrap();
    let info = backup.info();
    // The root and the epoch are no grants.
    assert_eq!((info.machines.len() as u64, backup.keyring().pin().length()), (info.log_length - 2, info.log_length));
    let documents = MemoryDocuments::new();
    restore(&backup, &documents).unwrap();
    let there = Setting { documents, identity: Arc::clone(&scene.setting.identity) };
    assert_eq!(there.all(WRAPS).len(), info.machines.len());
    scene.opens_everything(&there.open(scene.project()).unwrap());
}

#[test]
fn a_log_that_grows_while_a_store_is_copied_is_in_the_backup() {
    let scene = Scene::new();
    let writing = pollster::block_on(scene.keyring.begin_backup(Vec::new())).unwrap();
    let before = scene.keyring.pin();
    let late = scene.let_in("web-1", Capability::Use);
    scene.add_keys(2);
    let (file, info) = pollster::block_on(writing.finish(&scene.keyring)).unwrap();
    assert_eq!((info.log_length, info.machines.len()), (before.length() + 1, 1));
    let backup = scene.read(&file).unwrap();
    assert_eq!(backup.info(), &info);
    let documents = MemoryDocuments::new();
    pollster::block_on(backup.restore(&documents, |_| {})).unwrap();
    scene.holds_everything(documents, &scene.setting.identity);
    // It is sealed to those who were in when it was begun.
    assert_eq!(scene.read_as(&late, &file).unwrap_err().code(), "not_for_machine");
}
