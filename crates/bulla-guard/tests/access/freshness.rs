//! How soon a process knows what others did, and what it does where it cannot know.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_backend::{
    Capabilities, Collection, Document, DocumentKey, Documents, Expected, ListQuery, Page, Result, Revision, Write,
};
use bulla_guard::access::{Access, Permission};

use super::setting::{Scene, block, code, grant, p, present, signed_in, user_with_key};

/// A process whose storage can be taken away.
fn process(scene: &Scene) -> (Access, CallFaults) {
    let faults = CallFaults::new();
    let documents = FaultyDocuments::new(scene.documents.clone(), faults.clone());
    (scene.open_on(Arc::new(documents), None).unwrap(), faults)
}

#[test]
fn every_change_is_seen_within_a_second() {
    let scene = Scene::begin();
    let here = scene.open();
    let (there, _) = process(&scene);
    let text = user_with_key(&here, "ann", &[]);
    assert_eq!(signed_in(&there, &text), "unknown", "a look of this moment serves");
    scene.clock.advance(Duration::from_millis(999));
    assert_eq!(signed_in(&there, &text), "unknown");
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(signed_in(&there, &text), "ok");
    let may = || present(&there, &text).unwrap().allows(Permission::UseKeys, &p("keys/a"));
    block(here.assign(&p("ann"), &grant("user"))).unwrap();
    scene.wait();
    assert!(may());
    block(here.remove(&p("ann"), &p("user"))).unwrap();
    scene.wait();
    assert!(!may());
    block(here.delete_user(&p("ann"))).unwrap();
    scene.wait();
    assert_eq!(signed_in(&there, &text), "revoked");
    block(here.create_user(&p("bob"), &[])).unwrap();
    block(there.refresh()).unwrap();
    assert_eq!(block(there.users()).unwrap().len(), 1, "who asks for a look gets one");
}

#[test]
fn within_a_second_and_without_changes_little_is_read() {
    let scene = Scene::begin();
    let text = user_with_key(&scene.open(), "ann", &[]);
    let (access, faults) = process(&scene);
    assert_eq!(signed_in(&access, &text), "ok");
    assert_eq!(signed_in(&access, &text), "ok");
    let before = faults.calls();
    for _ in 0..100 {
        assert_eq!(signed_in(&access, &text), "ok");
    }
    assert!(faults.calls() - before <= 100, "one mark each for the pepper, and nothing of ours");
    scene.wait();
    let before = faults.calls();
    assert_eq!(signed_in(&access, &text), "ok");
    assert!(faults.calls() - before <= 8, "{} calls", faults.calls() - before);
}

#[test]
fn a_storage_that_is_away_is_borne_for_five_seconds_and_then_nobody_is_let_in() {
    let scene = Scene::begin();
    let text = user_with_key(&scene.open(), "ann", &[]);
    let (access, faults) = process(&scene);
    assert_eq!(signed_in(&access, &text), "ok");
    faults.arm(faults.calls() + 1, Failure::Away);
    for _ in 0..4 {
        scene.wait();
        assert_eq!(signed_in(&access, &text), "ok");
    }
    scene.clock.advance(Duration::from_millis(999));
    assert_eq!(signed_in(&access, &text), "ok");
    scene.clock.advance(Duration::from_millis(1));
    let refused = present(&access, &text).unwrap_err();
    assert!(refused.is_unavailable());
    assert_eq!(refused.to_string(), "it cannot be verified now who is asking; try again later");
    let error = block(access.users()).unwrap_err();
    assert_eq!(error.code(), "stale");
    assert_eq!(error.to_string(), "who may do what could not be read for 5 s; nobody is let in meanwhile");
    faults.disarm();
    assert_eq!(signed_in(&access, &text), "ok");
}

#[test]
fn a_clock_that_was_set_back_makes_every_look_an_old_one() {
    let scene = Scene::begin();
    let text = user_with_key(&scene.open(), "ann", &[]);
    let (access, faults) = process(&scene);
    scene.clock.set_back(Duration::from_millis(1));
    faults.arm(faults.calls() + 1, Failure::Away);
    assert_eq!(signed_in(&access, &text), "unavailable");
    faults.disarm();
    assert_eq!(signed_in(&access, &text), "ok");
}

#[test]
fn a_machine_that_was_put_out_lets_nobody_in() {
    use bulla_backend::Clock;
    use bulla_guard::access::AccessOptions;
    use bulla_keyring::{Capability, Identity, Keyring, Request, RevokeOptions};

    let scene = Scene::begin();
    let text = user_with_key(&scene.open(), "ann", &[]);
    let identity = Arc::new(Identity::generate().unwrap());
    let project = scene.keyring.project();
    let request = Request::create(&identity, p("server"), Some(project), scene.clock.now()).unwrap();
    block(scene.keyring.authorise(&request, Capability::Use)).unwrap().done().unwrap();
    let keyring =
        block(Keyring::open(scene.documents.clone(), identity.clone(), project, scene.clock.clone())).unwrap();
    let opened =
        Access::open(Arc::new(keyring), scene.documents.clone(), scene.clock.clone(), None, AccessOptions::default());
    let access = block(opened).unwrap();
    assert_eq!(signed_in(&access, &text), "ok");
    block(scene.keyring.revoke(identity.fingerprint(), RevokeOptions { cascade: false, rotate: false })).unwrap();
    scene.wait();
    assert_eq!(signed_in(&access, &text), "unavailable");
    assert_eq!(code(block(access.users())), "revoked");
}

#[test]
fn a_backend_that_changes_one_document_at_a_time_is_refused() {
    let scene = Scene::begin();
    let narrow = Narrow { documents: scene.documents.clone(), commits: false };
    let error = scene.open_on(Arc::new(narrow), None).unwrap_err();
    assert_eq!(error.code(), "unsupported_backend");
}

#[test]
fn a_backend_without_marks_serves_as_well() {
    let scene = Scene::begin();
    let text = user_with_key(&scene.open(), "ann", &[]);
    let narrow = Narrow { documents: scene.documents.clone(), commits: true };
    let access = scene.open_on(Arc::new(narrow), None).unwrap();
    assert_eq!(signed_in(&access, &text), "ok");
    block(scene.open().delete_user(&p("ann"))).unwrap();
    scene.wait();
    assert_eq!(signed_in(&access, &text), "revoked");
    block(access.create_user(&p("bob"), &[])).unwrap();
    assert_eq!(block(scene.open().users()).unwrap().len(), 1);
}

/// A backend with as little as may be.
#[derive(Debug)]
struct Narrow {
    documents: Arc<dyn Documents>,
    commits: bool,
}

#[async_trait::async_trait]
impl Documents for Narrow {
    fn capabilities(&self) -> Capabilities {
        Capabilities { commit: self.commits, ..Capabilities::default() }
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.documents.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        self.documents.put(collection, key, value, expected).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.documents.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.documents.list(collection, query).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        assert!(self.commits);
        self.documents.commit(writes).await
    }
}
