//! Attacks on rotation and trust, by machines that were put out and kept all older data keys, and by whoever writes the database.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_backend::{
    Capabilities, ChangeMark, Collection, Document, DocumentKey, Documents, Durability, Expected, ListQuery,
    MemoryDocuments, Page, Revision,
};
use bulla_keyring::format::{Act, KEY_IDS, KEY_VERSIONS, KEYS, KeyRow, TRUST_LOG, VersionRow, WRAPS};
use bulla_keyring::{
    Algorithm, Capability, Identity, KeyName, KeySetting, Keyring, Outcome, RotationEvent, RotationPhase,
};
use bulla_seal::{Header, SecretVec};

use crate::setting::{code, context, name};
use crate::team::{PLAIN, ROTATE, Team, refreshed};

const JOBS: Collection = Collection::new("jobs", Durability::Durable);
const ROWS: [Collection; 3] = [KEYS, KEY_VERSIONS, KEY_IDS];
const LEASE_MS: u64 = 20_000;

fn block<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}

fn rotate(keyring: &Keyring) {
    assert!(block(keyring.rotate_data_key(&mut |_| {})).unwrap().is_done());
}

/// A project with a machine that is about to be put out, and a copy of the database in which that machine goes on as it likes.
struct Scene {
    team: Team,
    founder: Keyring,
    server: Arc<Identity>,
    orders: KeyName,
    copy: MemoryDocuments,
}

impl Scene {
    fn begin(settings: &[KeySetting]) -> Self {
        let (team, founder) = Team::begin();
        let server = team.join(&founder, "server", Capability::Use);
        let orders = name("orders");
        block(founder.create_key_with(&orders, Algorithm::default(), settings)).unwrap();
        let copy = MemoryDocuments::new();
        for collection in [TRUST_LOG, WRAPS, KEYS, KEY_VERSIONS, KEY_IDS] {
            for found in team.all(collection) {
                block(copy.put(collection, &found.key, &found.value, Expected::Any)).unwrap();
            }
        }
        Self { team, founder, server, orders, copy }
    }

    /// The machine that was put out, on its own copy.
    fn outsider(&self) -> Keyring {
        self.team.open_on(Arc::new(self.copy.clone()), &self.server, self.team.project).unwrap()
    }

    fn put_out(&self) {
        block(self.founder.revoke(self.server.fingerprint(), ROTATE)).unwrap();
    }

    /// Puts a document of the outsider's copy into the project's database.
    fn plant(&self, collection: Collection, key: &[u8]) {
        let key = DocumentKey::new(key).unwrap();
        let found = block(self.copy.get(collection, &key)).unwrap().unwrap();
        self.team.overwrite(collection, key.as_bytes(), &found.value);
    }

    fn version_key(&self, number: u64) -> Vec<u8> {
        [self.orders.as_str().as_bytes(), &[0], &number.to_be_bytes()].concat()
    }

    fn without_journal(&self) {
        self.team.all(JOBS).iter().for_each(|found| self.team.remove(JOBS, found));
    }

    /// Seals in a process that has just begun. What comes of it must not open for the outsider, who holds what it kept.
    fn seals_for_nobody_outside(&self) {
        let fresh = self.team.open_at(&self.team.founder, self.founder.pin()).unwrap();
        let context = context(&fresh, 1);
        // To refuse is as good.
        if let Ok(sealed) = block(fresh.seal(&self.orders, &context, b"secret")) {
            let opened = block(self.outsider().open_sealed(&self.orders, &context, &sealed));
            assert_ne!(opened.ok().as_deref(), Some(&b"secret"[..]), "the outsider reads what is sealed now");
        }
    }
}

#[test]
fn a_key_that_is_said_to_come_from_outside_is_rotated_all_the_same() {
    let scene = Scene::begin(&[]);
    scene.put_out();
    for collection in ROWS {
        for found in scene.team.all(collection) {
            block(scene.copy.delete(collection, &found.key, Expected::Any)).unwrap();
        }
    }
    let outsider = scene.outsider();
    let material = |byte| SecretVec::new(vec![byte; 32]);
    block(outsider.create_external_key(&scene.orders, Algorithm::default(), &[], &material(7))).unwrap();
    // One step further than what anybody has seen of the key.
    block(outsider.import_version(&scene.orders, &material(8))).unwrap();
    scene.plant(KEYS, b"orders");
    scene.plant(KEY_VERSIONS, &scene.version_key(2));
    rotate(&scene.founder);
    scene.seals_for_nobody_outside();
}

#[test]
fn an_older_description_does_not_bring_an_older_version_back() {
    let scene = Scene::begin(&[]);
    scene.put_out();
    rotate(&scene.founder);
    scene.plant(KEYS, b"orders");
    scene.without_journal();
    scene.team.clock.advance(LEASE_MS);
    let fresh = scene.team.open_at(&scene.team.founder, scene.founder.pin()).unwrap();
    block(fresh.resume_rotation(&mut |_| {})).unwrap();
    scene.seals_for_nobody_outside();
}

#[test]
fn no_description_of_the_new_epoch_ever_names_an_older_version() {
    // The description as it is between two writes of a rotation, as whoever reads the database sees it.
    let mut seen = 0;
    for at in 1..80 {
        let scene = Scene::begin(&[]);
        scene.put_out();
        let faults = CallFaults::new();
        let inner: Arc<dyn Documents> = Arc::new(scene.team.documents.clone());
        let faulty = Arc::new(FaultyDocuments::new(inner, faults.clone()));
        let dying = scene.team.open_on(faulty, &scene.team.founder, scene.founder.pin()).unwrap();
        faults.arm(faults.calls() + at, Failure::ALL[0]);
        if block(dying.rotate_data_key(&mut |_| {})).is_ok() {
            continue;
        }
        let between = scene.team.all(KEYS).remove(0);
        scene.team.clock.advance(LEASE_MS);
        block(scene.founder.resume_rotation(&mut |_| {})).unwrap();
        scene.team.overwrite(KEYS, b"orders", &between.value);
        if KeyRow::decode(&between.value).unwrap().epoch == 2 {
            seen += 1;
            scene.seals_for_nobody_outside();
        }
    }
    assert!(seen > 0);
}

#[test]
fn a_planted_version_is_not_made_the_newest() {
    let period = Duration::from_secs(3_600);
    let scene = Scene::begin(&[KeySetting::Period(Some(period))]);
    scene.put_out();
    for _ in 0..2 {
        block(scene.outsider().rotate_key(&scene.orders)).unwrap();
    }
    // The rotation makes version 2. Its phase behind that wraps all versions of older epochs anew.
    scene.plant(KEY_VERSIONS, &scene.version_key(3));
    rotate(&scene.founder);
    scene.team.clock.advance(3_600_000);
    scene.seals_for_nobody_outside();
}

#[test]
fn a_key_that_waited_for_its_deletion_is_rotated_too() {
    let scene = Scene::begin(&[KeySetting::DeletionAllowed(true)]);
    block(scene.founder.delete_key(&scene.orders, Duration::from_secs(86_400))).unwrap();
    scene.put_out();
    rotate(&scene.founder);
    block(scene.founder.undelete_key(&scene.orders)).unwrap();
    scene.seals_for_nobody_outside();
}

#[test]
fn what_is_restored_from_a_backup_of_an_older_epoch_is_not_sealed_under() {
    let scene = Scene::begin(&[]);
    let backup = block(scene.founder.backup_key(&scene.orders)).unwrap();
    scene.put_out();
    rotate(&scene.founder);
    for collection in ROWS {
        scene.team.all(collection).iter().for_each(|found| scene.team.remove(collection, found));
    }
    let fresh = scene.team.open_at(&scene.team.founder, scene.founder.pin()).unwrap();
    block(fresh.restore_key(&backup)).unwrap();
    scene.seals_for_nobody_outside();
}

#[test]
fn without_its_journal_a_rotation_still_begins_an_epoch() {
    let scene = Scene::begin(&[]);
    rotate(&scene.founder);
    block(scene.founder.revoke(scene.server.fingerprint(), PLAIN)).unwrap();
    scene.without_journal();
    rotate(&scene.founder);
    assert_eq!(scene.founder.epoch(), 3, "the machine that was put out holds the data key of epoch 2");
}

#[test]
fn what_a_process_has_seen_is_not_forgotten_by_opening() {
    let scene = Scene::begin(&[]);
    let context = context(&scene.founder, 1);
    let sealed = block(scene.founder.seal(&scene.orders, &context, b"first")).unwrap();
    let older = scene.team.all(KEYS).remove(0);
    block(scene.founder.rotate_key(&scene.orders)).unwrap();
    block(scene.founder.seal(&scene.orders, &context, b"second")).unwrap();
    scene.team.overwrite(KEYS, b"orders", &older.value);
    scene.team.clock.advance(2_000);
    block(scene.founder.open_sealed(&scene.orders, &context, &sealed)).unwrap();
    assert_eq!(code(block(scene.founder.seal(&scene.orders, &context, b"third"))), "rollback");
}

#[test]
fn a_row_of_no_epoch_holds_up_no_other() {
    let scene = Scene::begin(&[]);
    scene.team.overwrite(KEYS, b"a", &KeyRow { epoch: 0, sealed: vec![1] }.encode());
    let rotated = block(scene.founder.rotate_data_key(&mut |_| {}));
    assert_eq!(code(rotated), "ok");
}

#[test]
fn a_key_of_a_process_that_was_not_up_to_date_is_brought_under_the_new_data_key() {
    let scene = Scene::begin(&[]);
    let admin = scene.team.join(&scene.founder, "admin", Capability::Authorise);
    let admin = scene.team.open(&admin).unwrap();
    rotate(&scene.founder);
    // Less than a second has gone by since it looked.
    let late = name("late");
    block(admin.create_key(&late, Algorithm::default())).unwrap();
    block(scene.founder.resume_rotation(&mut |_| {})).unwrap();
    let context = context(&scene.founder, 1);
    assert_eq!(code(block(scene.founder.seal(&late, &context, b"42"))), "ok");
}

#[test]
fn one_of_two_does_not_get_round_the_other_by_an_older_copy() {
    let (team, founder) = Team::begin();
    let admin = team.join(&founder, "admin", Capability::Authorise);
    let copy = team.copy();
    assert_eq!(block(founder.set_two_person(true)).unwrap(), Outcome::Done(()));
    let pin = team.open(&admin).unwrap().pin();
    team.restore(&copy);
    let documents = Arc::new(team.documents.clone());
    if let Ok(alone) = block(Keyring::accept_rollback(documents, admin, pin, team.clock.clone())) {
        team.join(&alone, "accomplice", Capability::Authorise);
    }
    let machines = refreshed(&founder).map(|()| founder.machines().len());
    assert_ne!(machines.ok(), Some(3), "one machine alone has let another in");
}

#[test]
fn restores_are_never_counted_to_their_end() {
    let (team, founder) = Team::begin();
    let rogue = team.join(&founder, "rogue", Capability::Authorise);
    team.plant(team.length(), &team.signed(&rogue, Act::Restore { number: u64::MAX }));
    if refreshed(&founder).is_ok() {
        block(founder.revoke(rogue.fingerprint(), PLAIN)).unwrap();
        let documents = Arc::new(team.documents.clone());
        let accepted = Keyring::accept_rollback(documents, team.founder.clone(), founder.pin(), team.clock.clone());
        assert_eq!(code(block(accepted)), "ok");
    }
}

/// Documents in memory, in the hands of somebody else.
#[derive(Debug)]
struct Hostile {
    documents: MemoryDocuments,
    /// Says that nothing was ever changed.
    mark: Option<ChangeMark>,
    /// Holds the next version back once.
    slow: AtomicBool,
}

impl Hostile {
    fn new(documents: &MemoryDocuments, slow: bool) -> Self {
        let mark = if slow { None } else { block(documents.change_mark(KEYS)).unwrap() };
        Self { documents: documents.clone(), mark, slow: AtomicBool::new(slow) }
    }
}

#[async_trait]
impl Documents for Hostile {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> bulla_backend::Result<Option<Document>> {
        self.documents.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> bulla_backend::Result<Revision> {
        if collection == KEY_VERSIONS && self.slow.swap(false, Ordering::SeqCst) {
            let mut waited = false;
            poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
        self.documents.put(collection, key, value, expected).await
    }

    async fn delete(
        &self,
        collection: Collection,
        key: &DocumentKey,
        expected: Expected,
    ) -> bulla_backend::Result<bool> {
        self.documents.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> bulla_backend::Result<Page> {
        self.documents.list(collection, query).await
    }

    async fn change_mark(&self, _: Collection) -> bulla_backend::Result<Option<ChangeMark>> {
        Ok(self.mark)
    }
}

#[test]
fn a_floor_holds_whatever_the_backend_says_of_changes() {
    let scene = Scene::begin(&[]);
    let context = context(&scene.founder, 1);
    let sealed = block(scene.founder.seal(&scene.orders, &context, b"42")).unwrap();
    let admin = scene.team.join(&scene.founder, "admin", Capability::Authorise);
    let hostile = Arc::new(Hostile::new(&scene.team.documents, false));
    let there = scene.team.open_on(hostile, &admin, scene.team.project).unwrap();
    block(there.open_sealed(&scene.orders, &context, &sealed)).unwrap();
    block(there.seal(&scene.orders, &context, b"42")).unwrap();
    block(scene.founder.disable_version(&scene.orders, 1)).unwrap();
    scene.team.clock.advance(10_000);
    assert_ne!(code(block(there.open_sealed(&scene.orders, &context, &sealed))), "ok");
    assert_ne!(code(block(there.seal(&scene.orders, &context, b"42"))), "ok");
}

#[test]
fn a_version_that_was_begun_in_the_older_epoch_is_not_the_newest_of_the_new_one() {
    let scene = Scene::begin(&[]);
    let admin = scene.team.join(&scene.founder, "admin", Capability::Authorise);
    let slow = Arc::new(Hostile::new(&scene.team.documents, true));
    let admin = scene.team.open_on(slow, &admin, scene.team.project).unwrap();
    let mut begun = Box::pin(admin.rotate_key(&scene.orders));
    let mut waker = std::task::Context::from_waker(Waker::noop());
    assert!(begun.as_mut().poll(&mut waker).is_pending());

    scene.put_out();
    let mut begun = Some(begun);
    let mut known = Vec::new();
    block(scene.founder.rotate_data_key(&mut |event| {
        if let RotationEvent::Progress(rotation) = event
            && rotation.phase == RotationPhase::Versions
            && let Some(begun) = begun.take()
        {
            let _ = block(begun);
            let rows = scene.team.all(KEY_VERSIONS).into_iter().map(|found| VersionRow::decode(&found.value).unwrap());
            known = rows.filter(|row| row.epoch == 1).map(|row| row.id).collect();
        }
    }))
    .unwrap();
    assert!(!known.is_empty() && begun.is_none());
    let fresh = scene.team.open_at(&scene.team.founder, scene.founder.pin()).unwrap();
    if let Ok(sealed) = block(fresh.seal(&scene.orders, &context(&fresh, 1), b"secret")) {
        let id = Header::parse(&sealed).unwrap().key_version();
        assert!(!known.contains(&id), "its material lay there under the data key of the machine that was put out");
    }
}

#[test]
fn who_lacks_a_data_key_lets_nobody_in_without_it() {
    let (team, founder) = Team::begin();
    let admin = team.join(&founder, "admin", Capability::Authorise);
    rotate(&founder);
    rotate(&founder);
    let second =
        team.copies(admin.fingerprint()).into_iter().find(|found| found.key.as_bytes()[32..40] == 2_u64.to_be_bytes());
    team.remove(WRAPS, &second.unwrap());
    let admin = team.open(&admin).unwrap();
    let newcomer = crate::team::identity();
    if team.let_in(&admin, &newcomer, "newcomer", Capability::Use).is_ok() {
        assert_eq!(team.copies(newcomer.fingerprint()).len(), 3);
    }
}

#[test]
fn a_rotation_that_is_stopped_leaves_no_key_at_an_older_version() {
    let mut stuck = Vec::new();
    for at in 1..80 {
        let scene = Scene::begin(&[]);
        scene.put_out();
        let faults = CallFaults::new();
        let inner: Arc<dyn Documents> = Arc::new(scene.team.documents.clone());
        let faulty = Arc::new(FaultyDocuments::new(inner, faults.clone()));
        let dying = scene.team.open_on(faulty, &scene.team.founder, scene.founder.pin()).unwrap();
        faults.arm(faults.calls() + at, Failure::ALL[0]);
        if block(dying.rotate_data_key(&mut |_| {})).is_ok() {
            continue;
        }
        scene.team.clock.advance(LEASE_MS);
        let fresh = scene.team.open_at(&scene.team.founder, scene.founder.pin()).unwrap();
        block(fresh.resume_rotation(&mut |_| {})).unwrap();
        assert!(block(fresh.rotation()).unwrap().unwrap().is_done());
        if block(fresh.key(&scene.orders)).unwrap().newest == 1 {
            stuck.push(at);
        }
    }
    assert!(
        stuck.is_empty(),
        "nobody wrote but the project itself, and the key still seals under version 1: stopped at calls {stuck:?}"
    );
}

#[test]
fn where_two_have_to_agree_an_older_copy_is_for_the_recovery_identity_to_accept() {
    let (team, founder) = Team::begin();
    team.join(&founder, "admin", Capability::Authorise);
    let recovery = team.join(&founder, "recovery", Capability::Recovery);
    assert_eq!(block(founder.set_two_person(true)).unwrap(), Outcome::Done(()));
    let (copy, pin) = (team.copy(), founder.pin());
    let server = team.join(&team.open(&recovery).unwrap(), "server", Capability::Use);
    refreshed(&founder).unwrap();
    let later = founder.pin();
    team.restore(&copy);
    let accept = |identity| {
        let documents = Arc::new(team.documents.clone());
        block(Keyring::accept_rollback(documents, identity, later.clone(), team.clock.clone()))
    };
    assert_eq!(code(refreshed(&founder)), "rollback");
    assert_eq!(code(accept(team.founder.clone())), "recovery_only");
    assert_eq!(pin.authorisers().iter().collect::<Vec<_>>(), [&recovery.fingerprint()]);
    accept(recovery).unwrap();
    refreshed(&founder).unwrap();
    assert_eq!(code(team.open(&server)), "no_grant");
}
