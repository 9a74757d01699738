//! The keyring on a PostgreSQL server that is killed while it works: another machine completes what was begun, and nothing is lost.
//!
//! Each kind of work is counted in calls of the driver, and done again with the server killed at 12 of them; `BULLA_TEST_ROUNDS` gives
//! another number, or `all` for each call in each way.

mod killing;
// The tests of the driver itself need more of it.
#[allow(dead_code, reason = "the server is that of the driver's tests")]
#[path = "../../bulla-backend/tests/postgres/server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulla_backend::{
    Clock, Collection, Document, Documents, Durability, Expected, ListQuery, MAX_COMMIT_WRITES, MemoryDocuments,
    Timestamp, Write,
};
use bulla_keyring::format::{
    Act, KEY_IDS, KEY_USES, KEY_VERSIONS, KEYS, KeyRow, SignedRecord, TRUST_LOG, VersionRow, WRAPS,
};
use bulla_keyring::{
    Algorithm, Backup, BackupError, Capability, Identity, KeyName, KeySetting, Keyring, KeyringError, Outcome, Request,
    RevokeOptions, RotationPhase,
};
use bulla_seal::{Context, ProjectId};
use pollster::block_on as block;

use self::killing::{Place, Work};
use crate::postgres::variable;

const COLLECTIONS: [Collection; 6] = [TRUST_LOG, KEYS, KEY_VERSIONS, KEY_IDS, KEY_USES, WRAPS];
const JOBS: Collection = Collection::new("jobs", Durability::Durable);
const ROTATE: RevokeOptions = RevokeOptions { cascade: false, rotate: true };
const BEGAN: u64 = 1_700_000_000_000;
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Longer than a lease that nobody gives back.
const LEASE_MS: u64 = 20_000;

#[derive(Debug)]
struct SetClock(AtomicU64);

impl SetClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(BEGAN)))
    }

    fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A project of three machines, with keys and with values sealed under several versions; made once, in memory, and copied to each place.
struct Scene {
    documents: MemoryDocuments,
    project: ProjectId,
    founder: Arc<Identity>,
    admin: Arc<Identity>,
    server: Arc<Identity>,
    keys: Vec<KeyName>,
    sealed: Vec<(KeyName, Context, Vec<u8>)>,
    backup: Vec<u8>,
}

impl Scene {
    fn new(more_keys: usize) -> Self {
        let (documents, clock, founder) = (MemoryDocuments::new(), SetClock::new(), identity());
        let name = "founder".parse().unwrap();
        let created = Keyring::create(Arc::new(documents.clone()), Arc::clone(&founder), &name, clock.clone());
        let keyring = block(created).unwrap();
        let project = keyring.project();
        let join = |name: &str, capability| {
            let newcomer = identity();
            let request = Request::create(&newcomer, name.parse().unwrap(), Some(project), clock.now()).unwrap();
            assert!(matches!(block(keyring.authorise(&request, capability)).unwrap(), Outcome::Done(_)));
            newcomer
        };
        let (admin, server) = (join("admin", Capability::Authorise), join("server", Capability::Use));
        let keys: Vec<KeyName> = ["orders", "shop/cards", "users"].map(|name| name.parse().unwrap()).into();
        let mut sealed = Vec::new();
        for key in &keys {
            block(keyring.create_key_with(key, Algorithm::default(), &[KeySetting::Period(Some(HOUR))])).unwrap();
            for row in 0..3 {
                let context = context(project, row);
                let value = block(keyring.seal(key, &context, format!("{key} {row}").as_bytes())).unwrap();
                sealed.push((key.clone(), context, value));
                block(keyring.rotate_key(key)).unwrap();
            }
        }
        for key in 0..more_keys {
            block(keyring.create_key(&format!("more/{key}").parse().unwrap(), Algorithm::default())).unwrap();
        }
        let (backup, _) = block(keyring.back_up(|| Ok(Vec::new()), |_| {})).unwrap();
        Self { documents, project, founder, admin, server, keys, sealed, backup }
    }

    fn copy_to(&self, documents: &dyn Documents) {
        let writes: Vec<_> = COLLECTIONS
            .into_iter()
            .flat_map(|collection| all(&self.documents, collection).into_iter().map(move |found| (collection, found)))
            .map(|(collection, Document { key, value, .. })| {
                let expected = Expected::Absent;
                Write::Put { collection, key, value, expected }
            })
            .collect();
        for writes in writes.chunks(MAX_COMMIT_WRITES) {
            block(documents.commit(writes)).unwrap();
        }
    }

    fn open(
        &self,
        documents: Arc<dyn Documents>,
        machine: &Arc<Identity>,
        clock: &Arc<SetClock>,
    ) -> Result<Keyring, KeyringError> {
        block(Keyring::open(documents, Arc::clone(machine), self.project, clock.clone()))
    }

    /// Everything that was sealed before opens, every key seals, there is one current epoch, and no row is of another.
    fn is_whole(&self, keyring: &Keyring, documents: &dyn Documents, epoch: u64, at: &str) {
        let sign = |error: KeyringError| -> Vec<u8> { panic!("{at}: {error}") };
        assert_eq!(keyring.epoch(), epoch, "{at}");
        for (number, (key, context, value)) in self.sealed.iter().enumerate() {
            let opened = block(keyring.open_sealed(key, context, value)).unwrap_or_else(sign);
            assert_eq!(opened, format!("{key} {}", number % 3).as_bytes(), "{at}");
        }
        for key in &self.keys {
            let context = context(self.project, 9);
            let sealed = block(keyring.seal(key, &context, b"new")).unwrap_or_else(sign);
            assert_eq!(block(keyring.open_sealed(key, &context, &sealed)).unwrap_or_else(sign), b"new", "{at}");
        }
        let records = all(documents, TRUST_LOG);
        let acts = records.iter().map(|record| SignedRecord::decode(&record.value).unwrap().record().act.clone());
        let (mut roots, mut epochs) = (0, Vec::new());
        for act in acts {
            match act {
                Act::Root { .. } => roots += 1,
                Act::Epoch { epoch, .. } => epochs.push(epoch),
                _ => {}
            }
        }
        assert_eq!((roots, epochs), (1, (1..=epoch).collect()), "{at}");
        for row in all(documents, KEYS) {
            assert_eq!(KeyRow::decode(&row.value).unwrap().epoch, epoch, "{at}");
        }
        for row in all(documents, KEY_VERSIONS) {
            assert_eq!(VersionRow::decode(&row.value).unwrap().epoch, epoch, "{at}");
        }
        assert!(!block(keyring.rotation_owed()).unwrap(), "{at}");
    }
}

/// A project at a place: the keyring that will meet the server's death, and another one of the same process.
struct Begun {
    clock: Arc<SetClock>,
    dying: Keyring,
    beside: Keyring,
}

impl Begun {
    fn at(scene: &Scene, place: &Place, killing: Arc<dyn Documents>) -> Self {
        let (clock, documents) = (SetClock::new(), place.documents());
        scene.copy_to(&*documents);
        let dying = scene.open(killing, &scene.founder, &clock).unwrap();
        let beside = scene.open(documents, &scene.founder, &clock).unwrap();
        Self { clock, dying, beside }
    }
}

fn identity() -> Arc<Identity> {
    Arc::new(Identity::generate().unwrap())
}

fn context(project: ProjectId, row: u64) -> Context {
    Context::user(&project).uint("row", row).build().unwrap()
}

fn all(documents: &dyn Documents, collection: Collection) -> Vec<Document> {
    let (mut query, mut all) = (ListQuery::default(), Vec::new());
    loop {
        let page = block(documents.list(collection, &query)).unwrap();
        all.extend(page.documents);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return all,
        }
    }
}

fn told(error: KeyringError) -> String {
    format!("{}: {error}", error.code())
}

#[test]
fn a_machine_is_put_out_and_the_data_key_rotated() {
    let scene = Scene::new(0);
    let leaver = scene.server.fingerprint();
    let work = Work {
        name: "revocation with rotation",
        kills: 12,
        calls: 50..=500,
        begin: |place: &Place, killing| Begun::at(&scene, place, killing),
        work: |begun: &Begun| {
            block(begun.dying.revoke(leaver, ROTATE)).map_err(told)?;
            block(begun.dying.rotate_data_key(&mut |_| {})).map(drop).map_err(told)
        },
        complete: |begun: &Begun, place: &Place, done: bool, at: &str| {
            begun.clock.advance(LEASE_MS);
            let documents = place.documents();
            let admin = scene.open(Arc::clone(&documents), &scene.admin, &begun.clock).unwrap();
            match block(admin.revoke(leaver, ROTATE)) {
                // The revocation itself was written; it holds, and what it owes is known to everybody.
                Ok(_) if !done => {}
                Err(KeyringError::NoMachine(_)) => {}
                other => panic!("{at}: {other:?}"),
            }
            let resumed = block(admin.resume_rotation(&mut |_| {})).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(!done || resumed.is_none(), "{at}: what was done is not done again");
            // Those who go on in the process that saw the server die do so on its connections, old and new.
            block(begun.beside.refresh()).unwrap_or_else(|error| panic!("{at}: {error}"));
            for keyring in [&admin, &begun.beside, &begun.dying] {
                let rotation = block(keyring.rotation()).unwrap().unwrap();
                assert_eq!((rotation.epoch, rotation.phase), (2, RotationPhase::Done), "{at}");
                scene.is_whole(keyring, &*documents, 2, at);
            }
            let refused = scene.open(Arc::clone(&documents), &scene.server, &begun.clock);
            assert_eq!(refused.unwrap_err().code(), "revoked", "{at}");
            let copies = all(&*documents, WRAPS).into_iter();
            assert_eq!(copies.filter(|copy| copy.key.as_bytes().starts_with(&leaver.0)).count(), 0, "{at}");
        },
    };
    work.sweep();
}

/// How many versions each key of the scene has.
const VERSIONS: u64 = 4;

/// Checks that a key has versions up to `newest`, each once, and returns that.
fn versions_of(keyring: &Keyring, key: &KeyName, documents: &dyn Documents, at: &str) -> u64 {
    let newest = block(keyring.key(key)).unwrap().newest;
    let versions = block(keyring.versions(key, None, 0)).unwrap().versions;
    let numbers: Vec<_> =
        versions.into_iter().map(|version| version.unwrap_or_else(|error| panic!("{at}: {error}")).number).collect();
    assert_eq!(numbers, (1..=newest).collect::<Vec<_>>(), "{at}");
    let others = 2 * usize::try_from(VERSIONS).unwrap();
    assert_eq!(all(documents, KEY_VERSIONS).len(), numbers.len() + others, "{at}: a version that no key names");
    newest
}

#[test]
fn a_key_is_rotated() {
    let scene = Scene::new(0);
    let work = Work {
        name: "rotation of a key",
        kills: 6,
        calls: 4..=50,
        begin: |place: &Place, killing| Begun::at(&scene, place, killing),
        work: |begun: &Begun| block(begun.dying.rotate_key(&scene.keys[0])).map(drop).map_err(told),
        complete: |begun: &Begun, place: &Place, done: bool, at: &str| {
            let documents = place.documents();
            let admin = scene.open(Arc::clone(&documents), &scene.admin, &begun.clock).unwrap();
            let rotated = block(admin.rotate_key(&scene.keys[0])).unwrap_or_else(|error| panic!("{at}: {error}"));
            for keyring in [&admin, &begun.beside, &begun.dying] {
                scene.is_whole(keyring, &*documents, 1, at);
                let newest = versions_of(keyring, &scene.keys[0], &*documents, at);
                let least = if done { VERSIONS + 2 } else { VERSIONS + 1 };
                assert!(newest == rotated.number && (least..=VERSIONS + 2).contains(&newest), "{at}: {newest}");
            }
        },
    };
    work.sweep();
}

#[test]
fn a_key_that_is_due_is_rotated_once() {
    let scene = Scene::new(0);
    let work = Work {
        name: "rotation of a key that is due",
        kills: 6,
        calls: 4..=50,
        begin: |place: &Place, killing| {
            let begun = Begun::at(&scene, place, killing);
            begun.clock.advance(2 * 60 * 60 * 1_000);
            begun
        },
        work: |begun: &Begun| block(begun.dying.rotate_due(&scene.keys[0])).map(drop).map_err(told),
        complete: |begun: &Begun, place: &Place, done: bool, at: &str| {
            let documents = place.documents();
            let admin = scene.open(Arc::clone(&documents), &scene.admin, &begun.clock).unwrap();
            let rotated = block(admin.rotate_due(&scene.keys[0])).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(!done || rotated.is_none(), "{at}: what was done is not done again");
            for keyring in [&admin, &begun.beside, &begun.dying] {
                assert_eq!(block(keyring.rotate_due(&scene.keys[0])).unwrap(), None, "{at}");
                assert_eq!(versions_of(keyring, &scene.keys[0], &*documents, at), VERSIONS + 1, "{at}");
            }
            // Sealing rotates the others, which are due too.
            scene.is_whole(&admin, &*documents, 1, at);
        },
    };
    work.sweep();
}

#[test]
fn a_backup_is_restored() {
    // Enough keys for several steps.
    let scene = Scene::new(60);
    let clock = SetClock::new();
    let read = |machine: &Arc<Identity>| {
        block(Backup::read(scene.backup.as_slice(), Arc::clone(machine), scene.project, clock.clone())).unwrap()
    };
    let backup = read(&scene.founder);
    let work = Work {
        name: "restoring",
        kills: 12,
        calls: 9..=100,
        begin: |_: &Place, killing| killing,
        work: |killing: &Arc<dyn Documents>| {
            let restored = block(backup.restore(&**killing, |_| {}));
            restored.map(drop).map_err(|error| format!("{}: {error}", error.code()))
        },
        complete: |_: &Arc<dyn Documents>, place: &Place, done: bool, at: &str| {
            let documents = place.documents();
            let has_root = |found: &Document| found.key.as_bytes() == [0; 8];
            let had_root = all(&*documents, TRUST_LOG).first().is_some_and(has_root);
            if !had_root {
                let nothing = scene.open(Arc::clone(&documents), &scene.admin, &clock);
                assert_eq!(nothing.unwrap_err().code(), "not_found", "{at}: a project before all of it was there");
            }
            assert!(had_root || !done, "{at}: it was said to be done");
            // Another machine, that has nothing but the file.
            match block(read(&scene.admin).restore(&*documents, |_| {})) {
                Ok(_) => {}
                Err(BackupError::ProjectExists(project)) if had_root => assert_eq!(project, scene.project, "{at}"),
                Err(error) => panic!("{at}: {error}"),
            }
            for collection in COLLECTIONS {
                let values = |documents: &dyn Documents| {
                    all(documents, collection).into_iter().map(|found| (found.key, found.value)).collect::<Vec<_>>()
                };
                assert!(values(&*documents) == values(&scene.documents), "{at}: {}", collection.name());
            }
            assert!(all(&*documents, JOBS).is_empty(), "{at}");
            for machine in [&scene.founder, &scene.admin, &scene.server] {
                let keyring = scene.open(Arc::clone(&documents), machine, &clock).unwrap();
                scene.is_whole(&keyring, &*documents, 1, at);
            }
        },
    };
    work.sweep();
}
