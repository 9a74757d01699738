//! Creation of a project against a writer of the database who wraps a data key of their own.

use std::sync::Arc;

use async_trait::async_trait;
use bulla_backend::{
    Capabilities, ChangeMark, Collection, Document, DocumentKey, ListQuery, MemoryDocuments, Page, Revision,
    SystemClock,
};

use super::*;
use crate::Keyring;

/// A backend whose writer wraps a data key that they know as soon as a record has been written.
#[derive(Debug)]
struct Hostile {
    documents: MemoryDocuments,
    commits: bool,
    /// The record behind which they write.
    behind: u64,
    founder: Identity,
    dek: Candidate,
}

impl Hostile {
    fn new(founder: &Identity, commits: bool, behind: u64) -> Self {
        let documents = MemoryDocuments::new();
        let dek = Candidate::draw(FIRST_EPOCH).unwrap();
        Self { documents, commits, behind, founder: copy(founder), dek }
    }

    async fn plant(&self) {
        let root = stored(&self.documents, 0).await.unwrap().unwrap();
        let project = ProjectId(SignedRecord::decode(&root).unwrap().hash().0);
        let wrap = self.dek.wrap_to(&project, self.founder.public()).unwrap();
        let place = wrap_key(self.founder.fingerprint(), FIRST_EPOCH, &self.dek.commitment(&project).unwrap()).unwrap();
        put(&self.documents, WRAPS, &place, &wrap.encode()).await;
    }

    /// Says whether the log commits to the hostile data key.
    async fn has_won(&self, project: ProjectId) -> bool {
        let epoch = SignedRecord::decode(&stored(&self.documents, 2).await.unwrap().unwrap()).unwrap();
        let Act::Epoch { commitment, .. } = epoch.record().act else { unreachable!() };
        commitment == self.dek.commitment(&project).unwrap()
    }
}

#[async_trait]
impl Documents for Hostile {
    fn capabilities(&self) -> Capabilities {
        Capabilities { commit: self.commits, ..self.documents.capabilities() }
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
        let written = self.documents.put(collection, key, value, expected).await?;
        if collection == TRUST_LOG && *key == position_key(self.behind)? {
            self.plant().await;
        }
        Ok(written)
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

    async fn commit(&self, writes: &[Write]) -> bulla_backend::Result<Vec<Option<Revision>>> {
        assert!(self.commits, "a commit that was not declared");
        let written = self.documents.commit(writes).await?;
        self.plant().await;
        Ok(written)
    }

    async fn change_mark(&self, collection: Collection) -> bulla_backend::Result<Option<ChangeMark>> {
        self.documents.change_mark(collection).await
    }
}

fn copy(identity: &Identity) -> Identity {
    Identity::from_text(&identity.expose_text()).unwrap()
}

async fn put(documents: &MemoryDocuments, collection: Collection, key: &DocumentKey, value: &[u8]) {
    documents.put(collection, key, value, Expected::Any).await.unwrap();
}

async fn begin(documents: &dyn Documents, identity: &Identity) -> Result<ProjectId> {
    create(documents, identity, &"here".parse().unwrap(), Timestamp(5)).await
}

/// A copy of a database with the first `records` of its log.
async fn interrupted(whole: &MemoryDocuments, records: u64) -> MemoryDocuments {
    let part = MemoryDocuments::new();
    for position in 0..records {
        let record = stored(whole, position).await.unwrap().unwrap();
        put(&part, TRUST_LOG, &position_key(position).unwrap(), &record).await;
    }
    for wrap in whole.list(WRAPS, &ListQuery::default()).await.unwrap().documents {
        put(&part, WRAPS, &wrap.key, &wrap.value).await;
    }
    part
}

#[test]
fn a_wrap_planted_while_a_project_is_made_is_not_adopted() {
    pollster::block_on(async {
        for (commits, behind) in [(false, 0), (false, 1), (true, 0)] {
            let founder = Identity::generate().unwrap();
            let hostile = Hostile::new(&founder, commits, behind);
            let project = begin(&hostile, &founder).await.unwrap();
            assert!(!hostile.has_won(project).await, "planted behind record {behind}");
            let opened =
                Keyring::open(Arc::new(hostile.documents), Arc::new(founder), project, Arc::new(SystemClock)).await;
            assert_eq!(opened.unwrap().pin().length(), 3, "planted behind record {behind}");
        }
    });
}

#[test]
fn resuming_goes_on_with_the_data_key_of_the_first_grant_only() {
    pollster::block_on(async {
        let founder = Identity::generate().unwrap();
        let me = founder.fingerprint();
        let whole = MemoryDocuments::new();
        let project = begin(&whole, &founder).await.unwrap();
        let planted = Hostile::new(&founder, true, 0).dek;
        let place = |dek: &Candidate| wrap_key(me, FIRST_EPOCH, &dek.commitment(&project).unwrap()).unwrap();
        let theirs = planted.wrap_to(&project, founder.public()).unwrap().encode();
        let ours = whole.list(WRAPS, &ListQuery::default()).await.unwrap().documents.remove(0);
        let epoch = stored(&whole, 2).await.unwrap();

        // Without a grant nobody has promised anything: neither copy that is found is gone on with.
        let part = interrupted(&whole, 1).await;
        put(&part, WRAPS, &place(&planted), &theirs).await;
        assert_eq!(begin(&part, &founder).await.unwrap(), project);
        assert_eq!(part.list(WRAPS, &ListQuery::default()).await.unwrap().documents.len(), 3);
        let found = Hostile { documents: part, dek: planted, ..Hostile::new(&founder, true, 0) };
        assert!(!found.has_won(project).await);
        assert_ne!(stored(&found.documents, 2).await.unwrap(), epoch);
        let planted = found.dek;

        // With one, its data key is the one, wherever another copy lies.
        for key in [place(&planted), DocumentKey::new([&me.0[..], &[0; 40]].concat()).unwrap()] {
            let part = interrupted(&whole, 2).await;
            put(&part, WRAPS, &key, &theirs).await;
            assert_eq!(begin(&part, &founder).await.unwrap(), project);
            assert_eq!(stored(&part, 2).await.unwrap(), epoch);
        }
        // Where it is lost, nothing is made up.
        let part = interrupted(&whole, 2).await;
        put(&part, WRAPS, &ours.key, &theirs).await;
        let refused = begin(&part, &founder).await.unwrap_err();
        assert!(matches!(refused, KeyringError::NoDataKey { epoch: 1, .. }), "{refused}");
        assert_eq!(stored(&part, 2).await.unwrap(), None);
    });
}

#[test]
fn a_first_grant_that_is_not_ours_is_refused() {
    pollster::block_on(async {
        let (founder, stranger) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (whole, other) = (MemoryDocuments::new(), MemoryDocuments::new());
        let project = begin(&whole, &founder).await.unwrap();
        begin(&other, &founder).await.unwrap();
        let root = SignedRecord::decode(&stored(&whole, 0).await.unwrap().unwrap()).unwrap();
        let machine = "here".parse().unwrap();
        let by = |identity| Beginning { trust: &whole, identity, machine: &machine, project, now: Timestamp(5) };
        let dek = Candidate::draw(FIRST_EPOCH).unwrap();
        let strangers = by(&stranger).grant(&root, &dek).unwrap().encode();
        let forged =
            Record { author: founder.fingerprint(), ..by(&stranger).grant(&root, &dek).unwrap().record().clone() };
        let forged = forged.sign(stranger.signing()).unwrap().encode();
        let elsewhere = stored(&other, 1).await.unwrap().unwrap();
        for planted in [strangers, forged, elsewhere] {
            let part = interrupted(&whole, 1).await;
            put(&part, TRUST_LOG, &position_key(1).unwrap(), &planted).await;
            let refused = begin(&part, &founder).await.unwrap_err();
            assert_eq!(refused.to_string(), KeyringError::from(Problem::Beginning.at(1)).to_string());
            assert_eq!(stored(&part, 2).await.unwrap(), None);
        }
    });
}
