//! What only rows that are written by hand can show: epochs, restored copies, keys of Bulla itself.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{Document, Expected, ListQuery, MemoryDocuments, SystemClock};
use bulla_seal::{Context, Header, SecretVec};

use super::*;
use crate::format::{KEY_IDS, KEY_VERSIONS, KEYS, KeyBody};
use crate::{Algorithm, Exportable, KeyName, KeySetting};

struct Scene {
    documents: MemoryDocuments,
    identity: Arc<Identity>,
    project: ProjectId,
}

impl Scene {
    fn begin() -> Self {
        let (documents, identity) = (MemoryDocuments::new(), Arc::new(Identity::generate().unwrap()));
        let machine = "here".parse().unwrap();
        let trust = Arc::new(documents.clone());
        let created = Keyring::create(trust, Arc::clone(&identity), &machine, Arc::new(SystemClock));
        let project = pollster::block_on(created).unwrap().project();
        Self { documents, identity, project }
    }

    fn open(&self) -> Keyring {
        let trust = Arc::new(self.documents.clone());
        let opened = Keyring::open(trust, Arc::clone(&self.identity), self.project, Arc::new(SystemClock));
        pollster::block_on(opened).unwrap()
    }

    /// Begins epoch 2; no key is written anew.
    async fn begin_second_epoch(&self) {
        assert_eq!(self.open().begin_epoch().await.unwrap(), 2);
    }

    async fn rows(&self) -> Vec<(bulla_backend::Collection, Document)> {
        let mut rows = Vec::new();
        for collection in [KEYS, KEY_VERSIONS, KEY_IDS] {
            let page = self.documents.list(collection, &ListQuery::default()).await.unwrap();
            rows.extend(page.documents.into_iter().map(|document| (collection, document)));
        }
        rows
    }

    /// Brings the rows of all keys back to what they were.
    async fn restore(&self, rows: &[(bulla_backend::Collection, Document)]) {
        for (collection, document) in self.rows().await {
            self.documents.delete(collection, &document.key, Expected::Any).await.unwrap();
        }
        for (collection, document) in rows {
            self.documents.put(*collection, &document.key, &document.value, Expected::Any).await.unwrap();
        }
    }
}

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

#[test]
fn what_an_older_data_key_protects_opens_and_does_not_seal() {
    let scene = Scene::begin();
    pollster::block_on(async {
        let orders = name("orders");
        let context = Context::user(&scene.project).build().unwrap();
        let before = scene.open();
        before.create_key(&orders, Algorithm::default()).await.unwrap();
        let sealed = before.seal(&orders, &context, b"42").await.unwrap();
        scene.begin_second_epoch().await;

        let keyring = scene.open();
        assert_eq!(keyring.epoch(), 2);
        for refused in [
            keyring.current(&orders).await.map(drop),
            keyring.seal(&orders, &context, b"42").await.map(drop),
            keyring.rewrap(&orders, &context, &sealed).await.map(drop),
            keyring.rotate_key(&orders).await.map(drop),
        ] {
            assert_eq!(refused.unwrap_err().code(), "old_epoch");
        }
        assert_eq!(code(keyring.create_key(&orders, Algorithm::default()).await), "already_exists");
        assert_eq!(keyring.open_sealed(&orders, &context, &sealed).await.unwrap(), b"42");
        assert_eq!(keyring.key(&orders).await.unwrap().newest, 1);

        // The description is written anew first. Its newest version still is one that a holder of the old data key may have chosen.
        let found = keyring.find_key(&mut keyring.last_seen(), &orders).await.unwrap();
        let anew = KeyBody { serial: found.body.serial + 1, ..found.body };
        let expected = Expected::Revision(found.revision);
        keyring.write_key(&keyring.last_seen(), &orders, &anew, expected).await.unwrap().unwrap();
        assert_eq!(code(keyring.seal(&orders, &context, b"42").await), "old_epoch");
        let rotated = keyring.rotate_key(&orders).await.unwrap();
        assert_eq!((rotated.number, rotated.epoch), (2, 2));
        let rewrapped = keyring.rewrap(&orders, &context, &sealed).await.unwrap().unwrap();
        assert_eq!(Header::parse(&rewrapped).unwrap().key_version(), rotated.id);

        // Whoever opened the project in epoch 1 finds a description of an epoch that they do not know, and looks at the log again.
        let sealed = before.seal(&orders, &context, b"42").await.unwrap();
        assert_eq!(Header::parse(&sealed).unwrap().key_version(), rotated.id);
    });
}

#[test]
fn a_version_that_was_lost_with_a_restored_copy_seals_no_more() {
    let scene = Scene::begin();
    pollster::block_on(async {
        let orders = name("orders");
        let context = Context::user(&scene.project).build().unwrap();
        let (here, there) = (scene.open(), scene.open());
        here.create_key(&orders, Algorithm::default()).await.unwrap();
        let rows = scene.rows().await;
        let lost = here.rotate_key(&orders).await.unwrap();
        assert_eq!(here.current(&orders).await.unwrap().id(), lost.id);

        scene.restore(&rows).await;
        for refused in [here.seal(&orders, &context, b"42").await.map(drop), here.rotate_key(&orders).await.map(drop)] {
            assert!(matches!(refused, Err(KeyringError::KeyRollback { seen: 2, found: 1, .. })), "{refused:?}");
        }
        let other = there.rotate_key(&orders).await.unwrap();
        assert_eq!(other.number, lost.number);
        assert_ne!(other.id, lost.id);
        for refused in [here.seal(&orders, &context, b"42").await.map(drop), here.rotate_key(&orders).await.map(drop)] {
            assert!(matches!(refused, Err(KeyringError::KeyForked { number: 2, .. })), "{refused:?}");
        }
        let sealed = there.seal(&orders, &context, b"42").await.unwrap();
        assert_eq!(Header::parse(&sealed).unwrap().key_version(), other.id);
        assert_eq!(here.open_sealed(&orders, &context, &sealed).await.unwrap(), b"42");
    });
}

#[test]
fn a_key_names_its_newest_version_by_id() {
    let scene = Scene::begin();
    pollster::block_on(async {
        let orders = name("orders");
        let keyring = scene.open();
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        let rotated = keyring.rotate_key(&orders).await.unwrap();
        let found = keyring.find_key(&mut keyring.last_seen(), &orders).await.unwrap();
        assert_eq!(found.body.newest_id, rotated.id);
        let other = KeyBody { newest_id: bulla_seal::KeyVersionId([9; 8]), ..found.body };
        keyring.write_key(&keyring.last_seen(), &orders, &other, Expected::Any).await.unwrap().unwrap();
        assert_eq!(code(scene.open().current(&orders).await), "corrupt");
    });
}

#[test]
fn the_keys_of_bulla_itself_are_out_of_reach() {
    let scene = Scene::begin();
    pollster::block_on(async {
        let keyring = scene.open();
        let context = Context::user(&scene.project).build().unwrap();
        let pepper = name("sys/pepper");
        // Of a kind with which each of the operations could do something.
        keyring
            .make_key(&pepper, Algorithm::default(), &[KeySetting::Exportable(Exportable::Yes)], None)
            .await
            .unwrap();
        let (version, _) = keyring.newest(&pepper, 1).await.unwrap();
        let info = keyring.versions(&pepper, None, 0).await.unwrap().versions.remove(0).unwrap();
        let sealed = version.seal(&context, b"42").unwrap();
        for refused in [
            keyring.create_key(&pepper, Algorithm::default()).await.map(drop),
            keyring.rotate_key(&pepper).await.map(drop),
            keyring.current(&pepper).await.map(drop),
            keyring.version(&pepper, info.id).await.map(drop),
            keyring.locate(info.id).await.map(drop),
            keyring.seal(&pepper, &context, b"42").await.map(drop),
            keyring.open_sealed(&pepper, &context, &sealed).await.map(drop),
            keyring.rewrap(&pepper, &context, &sealed).await.map(drop),
            keyring.rotate_due(&pepper).await.map(drop),
            keyring.version_to_seal(&pepper, 1).await.map(drop),
            keyring.version_of(&pepper, 1).await.map(drop),
            keyring.change_settings(&pepper, &[KeySetting::MaxUses(Some(1))]).await.map(drop),
            keyring.disable_version(&pepper, 1).await,
            keyring.enable_version(&pepper, 1).await,
            keyring.destroy_version(&pepper, 1, Duration::ZERO).await.map(drop),
            keyring.undelete_version(&pepper, 1).await,
            keyring.trim_key(&pepper, 1).await.map(drop),
            keyring.delete_key(&pepper, Duration::ZERO).await,
            keyring.undelete_key(&pepper).await.map(drop),
            keyring.purge_key(&pepper).await.map(drop),
            keyring.export_version(&pepper, 1).await.map(drop),
            keyring.public_key(&pepper, None).await.map(drop),
            keyring.import_version(&pepper, &SecretVec::new(vec![7; 32])).await.map(drop),
            keyring
                .create_external_key(&pepper, Algorithm::default(), &[], &SecretVec::new(vec![7; 32]))
                .await
                .map(drop),
            keyring.backup_key(&pepper).await.map(drop),
            keyring.derive_data_key(&pepper, &context).await.map(drop),
            keyring.open_data_key(&pepper, &context, &sealed).await.map(drop),
            keyring.sign(&pepper, b"42").await.map(drop),
            keyring.verify(&pepper, b"42", &sealed).await.map(drop),
            keyring.hmac(&pepper, b"42").await.map(drop),
            keyring.verify_hmac(&pepper, b"42", &sealed).await.map(drop),
            keyring.seal_batch(&pepper, &[(&context, b"42")]).await.map(drop),
            keyring.open_batch(&pepper, &[(&context, &sealed)]).await.map(drop),
            keyring.rewrap_batch(&pepper, &[(&context, &sealed)]).await.map(drop),
            keyring.sign_batch(&pepper, &[b"42"]).await.map(drop),
            keyring.verify_batch(&pepper, &[(b"42", &sealed)]).await.map(drop),
            keyring.hmac_batch(&pepper, &[b"42"]).await.map(drop),
            keyring.verify_hmac_batch(&pepper, &[(b"42", &sealed)]).await.map(drop),
        ] {
            assert_eq!(code(refused), "reserved_name");
        }
        assert_eq!(code(keyring.open_sealed(&name("orders"), &context, &sealed).await), "unknown_version");
    });
}
