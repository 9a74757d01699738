//! What a new data key, and a new version of the key for all of this, change.

use bulla_guard::access::{ACCESS, RevocationReason, SecretText};
use bulla_keyring::SystemKey;
use bulla_seal::Header;

use super::setting::{Scene, block, code, grant, p, signed_in, user_with_key};

fn key_of(scene: &Scene, prefix: &str) -> bulla_seal::KeyVersionId {
    Header::parse(&scene.only(prefix).value).unwrap().key_version()
}

#[test]
fn the_head_is_written_anew_by_the_first_who_notices() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[]);
    let before = scene.all(ACCESS);
    let (old, pin) = (key_of(&scene, "head"), access.pin());
    let newest = block(scene.keyring.rotate_system_key(&SystemKey::access())).unwrap();
    scene.wait();
    assert_eq!(signed_in(&access, &text), "ok");
    assert_eq!(key_of(&scene, "head"), newest.id);
    assert_eq!(key_of(&scene, "user/"), old, "the others can wait");
    assert_eq!(access.pin().generation(), pin.generation() + 1);
    // Nothing that is sealed under the older version gets past those who know of the newer one.
    let renewed = access.pin();
    scene.restore(ACCESS, &before);
    assert_eq!(code(scene.try_open(Some(&renewed))), "rollback");
    scene.wait();
    assert_eq!(code(block(access.refresh())), "rollback");
}

#[test]
fn documents_are_sealed_anew_some_at_a_time() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[]);
    for number in 0..9 {
        block(access.create_user(&p(&format!("user-{number}")), &[])).unwrap();
    }
    assert_eq!(block(access.reseal(100)).unwrap(), 0);
    let newest = block(scene.keyring.rotate_system_key(&SystemKey::access())).unwrap();
    let mut left = vec![];
    loop {
        left.push(block(access.reseal(4)).unwrap());
        if left.ends_with(&[0]) {
            break;
        }
    }
    assert_eq!(left, [7, 3, 0]);
    for document in scene.all(ACCESS) {
        assert_eq!(Header::parse(&document.value).unwrap().key_version(), newest.id);
    }
    assert_eq!(signed_in(&scene.open(), &text), "ok");
}

#[test]
fn a_new_epoch_stops_changes_until_the_key_is_renewed_and_lets_people_in_all_the_same() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[grant("user")]);
    block(scene.keyring.begin_epoch()).unwrap();
    scene.wait();
    assert_eq!(signed_in(&access, &text), "ok");
    assert_eq!(code(block(access.create_user(&p("bob"), &[]))), "old_epoch");
    for key in [SystemKey::access(), SystemKey::pepper()] {
        block(scene.keyring.renew_key(&p(&key.to_string()))).unwrap();
    }
    assert_eq!(signed_in(&access, &text), "ok");
    block(access.create_user(&p("bob"), &[])).unwrap();
    let id = SecretText::parse(&text).unwrap().id();
    block(access.revoke_key(id, RevocationReason::Manual, "")).unwrap();
    assert_eq!(signed_in(&scene.open(), &text), "revoked");
}
