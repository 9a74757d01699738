//! Several processes on one SQLite folder.

use std::sync::Arc;

use bulla_backend::{Documents, SqliteDocuments, SqliteOptions};
use bulla_guard::access::{
    Access, AppRole, Cidr, Credential, NewApiKey, PeerInfo, Permission, Permissions, RevocationReason, UserName,
};

use super::setting::{HOUR, Scene, block, grant, p, signed_in};

const THREADS: usize = 3;
const CHANGES: usize = 12;

#[test]
fn no_change_is_lost_among_many_writers() {
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Arc<dyn Documents> {
        Arc::new(SqliteDocuments::open(folder.path().join("trust.db"), SqliteOptions::default()).unwrap())
    };
    let scene = Scene::begin_on(open());
    let shared: UserName = p("shared");
    block(scene.open().create_user(&shared, &[])).unwrap();
    let handles: Vec<Access> = (0..THREADS).map(|_| scene.open_on(open(), None).unwrap()).collect();
    for role in 0..THREADS * CHANGES {
        block(handles[0].put_role(&p(&format!("role-{role}")), Permissions::of(&[Permission::UseKeys]), None)).unwrap();
    }
    let keys: Vec<(String, bool)> = std::thread::scope(|scope| {
        let threads: Vec<_> = handles
            .iter()
            .enumerate()
            .map(|(thread, access)| {
                let shared = &shared;
                scope.spawn(move || {
                    let mut keys = Vec::new();
                    for change in 0..CHANGES {
                        // All of them write the same document.
                        let role = format!("role-{}", thread * CHANGES + change);
                        assert!(block(access.assign(shared, &grant(&role))).unwrap());
                        let issued = block(access.create_key(shared, &NewApiKey::default())).unwrap();
                        let revoke = change % 2 == 0;
                        if revoke {
                            block(access.revoke_key(issued.key.id, RevocationReason::Manual, "")).unwrap();
                        }
                        keys.push((issued.secret.expose().to_owned(), revoke));
                    }
                    keys
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    scene.wait();
    for access in handles.iter().chain([&scene.open_on(open(), None).unwrap()]) {
        assert_eq!(block(access.user(&shared)).unwrap().grants.len(), THREADS * CHANGES);
        assert_eq!(block(access.keys(Some(&shared))).unwrap().len(), THREADS * CHANGES);
        for (text, is_revoked) in &keys {
            assert_eq!(signed_in(access, text), if *is_revoked { "revoked" } else { "ok" });
        }
    }
    // One generation a change: the user, the roles, and what each thread did.
    let changes = 1 + THREADS * CHANGES + THREADS * (2 * CHANGES + CHANGES / 2);
    assert_eq!(handles[0].pin().generation(), changes as u64);
}

#[test]
fn a_key_that_another_process_made_just_now_has_a_successor_at_once() {
    let scene = Scene::begin();
    let (one, other) = (scene.open(), scene.open());
    block(one.create_user(&p("ann"), &[])).unwrap();
    // The other has just looked, and relies on that for a second.
    assert!(block(other.users()).unwrap().is_empty());
    let key = block(one.create_key(&p("ann"), &NewApiKey::default())).unwrap().key;
    let rolled = block(other.roll_key(key.id, HOUR)).unwrap();
    assert_eq!(rolled.key.predecessor, Some(key.id));
}

#[test]
fn no_change_of_an_approle_is_lost() {
    let scene = Scene::begin();
    let access = scene.open();
    let secret = block(access.create_root_token()).unwrap().secret;
    let root = block(access.authenticate(&Credential::Bearer(&secret), &PeerInfo::default())).unwrap();
    let handles: Vec<Access> = (0..THREADS).map(|_| scene.open()).collect();
    std::thread::scope(|scope| {
        for (thread, access) in handles.iter().enumerate() {
            let root = &root;
            scope.spawn(move || {
                for change in 0..CHANGES {
                    let cidr: Cidr = p(&format!("10.{thread}.{change}.0/24"));
                    let add = |role: &mut AppRole| role.token_cidrs.push(cidr);
                    block(access.given_by(root).change_approle(&p("ci"), add)).unwrap();
                }
            });
        }
    });
    let (_, role) = block(scene.open().approle(&p("ci"))).unwrap();
    assert_eq!(role.token_cidrs.len(), THREADS * CHANGES);
}

#[test]
fn of_two_who_create_the_same_user_one_does() {
    let scene = Scene::begin();
    let handles: Vec<Access> = (0..4).map(|_| scene.open()).collect();
    let created: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = handles
            .iter()
            .map(|access| scope.spawn(move || usize::from(block(access.create_user(&p("ann"), &[])).is_ok())))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(created, 1);
    assert_eq!(block(scene.open().users()).unwrap().len(), 1);
}
