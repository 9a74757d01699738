//! What somebody can do who writes the database, and what comes of it.

use bulla_backend::{Document, DocumentKey, Expected};
use bulla_guard::access::{ACCESS, AccessPin, RevocationReason, SecretText};
use bulla_keyring::Keyring;

use super::setting::{Scene, block, code, grant, p, signed_in, user_with_key};

/// A project with a user who has two keys, one of them revoked; the rows before that, and the texts.
fn scene() -> (Scene, Vec<Document>, String, String, AccessPin) {
    let scene = Scene::begin();
    let access = scene.open();
    let revoked = user_with_key(&access, "ann", &[grant("admin")]);
    let good = user_with_key(&access, "bob", &[grant("viewer")]);
    let before = scene.all(ACCESS);
    block(access.revoke_key(SecretText::parse(&revoked).unwrap().id(), RevocationReason::Compromised, "")).unwrap();
    let pin = access.pin();
    (scene, before, revoked, good, pin)
}

#[test]
fn an_old_row_put_back_is_found() {
    let (scene, before, revoked, _, _) = scene();
    let access = scene.open();
    assert_eq!(signed_in(&access, &revoked), "revoked");
    let newest = scene.all(ACCESS);
    for old in before.iter().filter(|old| !old.key.as_bytes().starts_with(b"head")) {
        let new = newest.iter().find(|new| new.key == old.key).unwrap();
        if new.value == old.value {
            continue;
        }
        scene.overwrite(ACCESS, old);
        let error = scene.try_open(None).unwrap_err();
        assert!(error.to_string().contains("does not vouch"), "{error}");
        // A process that knows better goes on with what it knows.
        scene.wait();
        assert_eq!(signed_in(&access, &revoked), "revoked");
        scene.overwrite(ACCESS, new);
    }
    assert_eq!(signed_in(&scene.open(), &revoked), "revoked");
}

#[test]
fn the_whole_state_put_back_is_found_by_whoever_saw_a_newer_one() {
    let (scene, before, revoked, good, pin) = scene();
    let running = scene.open();
    scene.restore(ACCESS, &before);
    // Without a pin, a process that starts cannot know.
    assert_eq!(signed_in(&scene.open(), &revoked), "ok");
    let error = scene.try_open(Some(&pin)).unwrap_err();
    assert_eq!(error.code(), "rollback");
    assert_eq!(
        error.to_string(),
        "users, roles and keys were put back to generation 4, 5 was seen before; where that was a restore, accept it"
    );
    scene.wait();
    assert_eq!(signed_in(&running, &revoked), "unavailable");
    assert_eq!(signed_in(&running, &good), "unavailable", "nobody is let in by what is known to be wrong");
    assert_eq!(code(block(running.create_user(&p("eve"), &[]))), "rollback");
    assert_eq!(running.pin(), pin, "what was seen stays seen");
}

#[test]
fn the_head_alone_put_back_is_found() {
    let (scene, before, ..) = scene();
    let running = scene.open();
    let old = before.iter().find(|document| document.key.as_bytes() == b"head").unwrap();
    scene.overwrite(ACCESS, old);
    assert_eq!(code(scene.try_open(None)), "corrupt");
    scene.wait();
    assert_eq!(code(block(running.refresh())), "corrupt");
}

#[test]
fn another_history_of_the_same_length_is_found() {
    let (scene, before, revoked, _, pin) = scene();
    scene.restore(ACCESS, &before);
    // Whoever has a machine of the project, and the older state, makes another change of the same number.
    let forked = scene.open();
    block(forked.create_user(&p("eve"), &[grant("admin")])).unwrap();
    assert_eq!(forked.pin().generation(), pin.generation());
    let error = scene.try_open(Some(&pin)).unwrap_err();
    assert!(error.to_string().contains("something else than was seen before"), "{error}");
    assert_eq!(signed_in(&forked, &revoked), "ok");
}

#[test]
fn altered_rows_are_refused_bit_by_bit() {
    let (scene, ..) = scene();
    let newest = scene.all(ACCESS);
    for document in &newest {
        for at in (0..document.value.len()).step_by(7).chain([document.value.len() - 1]) {
            let mut altered = document.clone();
            altered.value[at] ^= 0x40;
            scene.overwrite(ACCESS, &altered);
            assert_eq!(code(scene.try_open(None)), "corrupt", "{} at {at}", document.key);
        }
        let mut cut = document.clone();
        cut.value.pop();
        scene.overwrite(ACCESS, &cut);
        assert_eq!(code(scene.try_open(None)), "corrupt", "{} cut", document.key);
        scene.overwrite(ACCESS, document);
    }
    assert_eq!(code(scene.try_open(None)), "ok");
}

#[test]
fn rows_are_neither_swapped_nor_moved_nor_copied() {
    let (scene, ..) = scene();
    let newest = scene.all(ACCESS);
    for from in &newest {
        for to in newest.iter().filter(|to| to.key != from.key) {
            scene.overwrite(ACCESS, &Document { key: to.key.clone(), ..from.clone() });
            assert_eq!(code(scene.try_open(None)), "corrupt", "{} to {}", from.key, to.key);
            scene.overwrite(ACCESS, to);
        }
        if from.key.as_bytes().contains(&b'/') {
            let mut number = from.key.as_bytes().to_vec();
            *number.last_mut().unwrap() = if number.ends_with(b"0") { b'1' } else { b'0' };
            let key = DocumentKey::new(number).unwrap();
            scene.overwrite(ACCESS, &Document { key: key.clone(), ..from.clone() });
            assert_eq!(code(scene.try_open(None)), "corrupt", "a copy of {}", from.key);
            block(scene.documents.delete(ACCESS, &key, Expected::Any)).unwrap();
        }
    }
    assert_eq!(code(scene.try_open(None)), "ok");
}

#[test]
fn rows_of_another_project_are_strangers() {
    let (scene, ..) = scene();
    let (other, ..) = self::scene();
    for document in other.all(ACCESS) {
        scene.overwrite(ACCESS, &document);
    }
    assert_eq!(code(scene.try_open(None)), "corrupt");
}

#[test]
fn deleted_rows_are_missed() {
    let (scene, _, _, _, pin) = scene();
    let running = scene.open();
    let newest = scene.all(ACCESS);
    for document in &newest {
        block(scene.documents.delete(ACCESS, &document.key, Expected::Any)).unwrap();
        assert_eq!(code(scene.try_open(None)), "corrupt", "{}", document.key);
        scene.overwrite(ACCESS, document);
    }
    scene.restore(ACCESS, &[]);
    assert_eq!(code(scene.try_open(Some(&pin))), "rollback");
    scene.wait();
    assert_eq!(code(block(running.refresh())), "rollback");
    // Without a pin there is a project without users, in which nobody is let in.
    assert!(block(scene.open().users()).unwrap().is_empty());
}

#[test]
fn rows_that_are_nothing_of_ours_change_nothing() {
    let (scene, _, _, good, _) = scene();
    for key in [
        "x",
        "user/1",
        "user/",
        "emperor/00000000000000000000000000000000",
        "user/0000000000000000000000000000000G",
        "\u{0}",
    ] {
        let key = DocumentKey::new(key.as_bytes()).unwrap();
        block(scene.documents.put(ACCESS, &key, b"nonsense", Expected::Absent)).unwrap();
    }
    assert_eq!(signed_in(&scene.open(), &good), "ok");
    let key = DocumentKey::new(&b"user/00000000000000000000000000000000"[..]).unwrap();
    block(scene.documents.put(ACCESS, &key, b"nonsense", Expected::Absent)).unwrap();
    assert_eq!(code(scene.try_open(None)), "corrupt", "an invented row");
}

#[test]
fn a_restore_that_an_authoriser_accepted_is_accepted() {
    let (scene, before, revoked, _, pin) = scene();
    let running = scene.open();
    scene.restore(ACCESS, &before);
    assert_eq!(code(scene.try_open(Some(&pin))), "rollback");
    let (documents, identity) = (scene.documents.clone(), scene.identity.clone());
    block(Keyring::accept_rollback(documents, identity, scene.keyring.pin(), scene.clock.clone())).unwrap();
    scene.wait();
    let after = scene.try_open(Some(&pin)).unwrap();
    assert_eq!(signed_in(&after, &revoked), "ok");
    assert_eq!(signed_in(&running, &revoked), "ok");
    // From there on it counts as seen.
    let pin = after.pin();
    block(after.create_user(&p("eve"), &[])).unwrap();
    scene.restore(ACCESS, &before);
    assert_eq!(code(scene.try_open(Some(&pin))), "ok");
    assert_eq!(code(scene.try_open(Some(&after.pin()))), "rollback");
}

#[test]
fn the_text_of_a_pin_has_one_form() {
    let (.., pin) = scene();
    let text = pin.to_string();
    assert_eq!(text.parse(), Ok(pin));
    for wrong in [
        String::new(),
        format!("{text} "),
        format!("0{text}"),
        text.to_uppercase(),
        text.replace(' ', "  "),
        format!("{text} 1"),
        text.rsplit_once(' ').unwrap().0.to_owned(),
        format!("-{text}"),
    ] {
        assert!(wrong == text || wrong.parse::<AccessPin>().is_err(), "{wrong}");
    }
}
