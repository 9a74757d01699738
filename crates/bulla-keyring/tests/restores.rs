//! Older copies of the database: refused, unless an authoriser has accepted one on purpose.

use std::sync::Arc;

use bulla_keyring::format::Act;
use bulla_keyring::{Algorithm, Capability, Identity, Keyring, KeyringError, TrustPin};

use crate::setting::{code, context, name};
use crate::team::{PLAIN, Team, asked, refreshed};

fn accept(team: &Team, machine: &Arc<Identity>, pin: TrustPin) -> Result<Keyring, KeyringError> {
    let documents = Arc::new(team.documents.clone());
    pollster::block_on(Keyring::accept_rollback(documents, machine.clone(), pin, team.clock.clone()))
}

/// A project of founder, admin and user; a copy of its database; and what happened since.
fn grown() -> (Team, Keyring, Arc<Identity>, Arc<Identity>, crate::team::Copy) {
    let (team, founder) = Team::begin();
    let admin = team.join(&founder, "admin", Capability::Authorise);
    let user = team.join(&founder, "user", Capability::Use);
    let copy = team.copy();
    for name in ["late", "later", "latest"] {
        team.join(&founder, name, Capability::Use);
    }
    (team, founder, admin, user, copy)
}

#[test]
fn an_older_copy_is_refused_until_an_authoriser_accepts_it() {
    let (team, founder, admin, user, copy) = grown();
    let (pin, there) = (founder.pin(), team.open(&user).unwrap());
    assert_eq!((pin.length(), pin.restores(), pin.authorisers().len()), (8, 0, 2));
    team.restore(&copy);
    for refused in [refreshed(&founder), refreshed(&there), team.open_at(&user, pin.clone()).map(drop)] {
        assert!(matches!(refused, Err(KeyringError::Rollback { pinned: 8, .. })), "{refused:?}");
    }
    assert_eq!(asked(&there), "rollback");

    let accepted = accept(&team, &admin, pin.clone()).unwrap();
    assert_eq!((accepted.pin().length(), accepted.pin().restores()), (6, 1));
    assert_eq!(accepted.machines().len(), 3);
    // Those that ran go on, and those that start again with their pin too.
    for keyring in [&founder, &there, &team.open_at(&user, pin.clone()).unwrap()] {
        refreshed(keyring).unwrap();
        assert_eq!((asked(keyring), keyring.pin()), ("ok", accepted.pin()));
    }
    // The log may become as long as the one that is gone, and longer.
    for name in ["a", "b", "c", "d"] {
        team.join(&founder, name, Capability::Use);
        refreshed(&there).unwrap();
        assert!(team.open_at(&user, pin.clone()).is_ok());
        assert!(team.open_at(&user, there.pin()).is_ok());
    }
}

#[test]
fn one_that_was_put_out_cannot_undo_that_with_an_older_copy() {
    let (team, founder, admin, user, copy) = grown();
    let before = team.open(&user).unwrap().pin();
    pollster::block_on(founder.revoke(admin.fingerprint(), PLAIN)).unwrap();
    let (pin, here) = (founder.pin(), team.open(&user).unwrap());
    assert!(!pin.authorisers().contains(&admin.fingerprint()));
    team.restore(&copy);
    // In the copy it is an authoriser, and what it signs is valid there.
    assert_eq!(code(accept(&team, &admin, pin.clone())), "not_authorised");
    accept(&team, &admin, team.project.into()).unwrap();
    for refused in [refreshed(&here), refreshed(&founder), team.open_at(&user, pin.clone()).map(drop)] {
        assert_eq!(refused.unwrap_err().code(), "rollback");
    }
    // Who had not seen the revocation cannot know better.
    assert!(team.open_at(&user, before).is_ok());
    // The founder's word, behind it, is another matter.
    accept(&team, &team.founder, pin.clone()).unwrap();
    assert_eq!(code(team.open_at(&user, pin)), "ok");
    refreshed(&here).unwrap();
}

#[test]
fn a_data_key_holder_cannot_accept_an_older_copy() {
    let (team, founder, _, user, copy) = grown();
    let pin = founder.pin();
    team.restore(&copy);
    assert_eq!(code(accept(&team, &user, pin.clone())), "not_authorised");
    assert_eq!(code(accept(&team, &user, team.project.into())), "not_authorised");
    team.plant(team.length(), &team.signed(&user, Act::Restore { number: 1 }));
    assert_eq!(code(team.open_at(&team.founder, pin)), "trust_log");
}

#[test]
fn an_earlier_acceptance_is_not_played_back() {
    let (team, founder, _, user, copy) = grown();
    let pin = founder.pin();
    team.restore(&copy);
    let founder = accept(&team, &team.founder, pin).unwrap();
    let accepted = team.copy();
    // Behind the restore somebody is put out; a writer then cuts the log back to the restore.
    let rogue = team.join(&founder, "rogue", Capability::Authorise);
    pollster::block_on(founder.revoke(rogue.fingerprint(), PLAIN)).unwrap();
    let (pin, here) = (founder.pin(), team.open(&user).unwrap());
    team.restore(&accepted);
    for refused in [refreshed(&here), refreshed(&founder), team.open_at(&user, pin.clone()).map(drop)] {
        assert_eq!(refused.unwrap_err().code(), "rollback");
    }
    // The same number once more is refused too, whoever writes it.
    team.plant(team.length(), &team.signed(&team.founder, Act::Restore { number: 1 }));
    assert_eq!(code(team.open(&team.founder)), "trust_log");
    team.restore(&accepted);
    let again = accept(&team, &team.founder, pin.clone()).unwrap();
    assert_eq!(again.pin().restores(), 2);
    assert!(team.open_at(&user, pin).is_ok());
}

#[test]
fn a_restore_behind_the_pin_excuses_nothing() {
    let (team, founder, ..) = grown();
    let (pin, copy) = (founder.pin(), team.copy());
    let shorter = team.records().len() - 2;
    // An honest acceptance of a copy that holds all that was pinned, before the log is forked below.
    accept(&team, &team.founder, pin.clone()).unwrap();
    assert!(team.open_at(&team.founder, pin.clone()).is_ok());
    team.restore(&copy);
    let gone: Vec<_> = team.records().split_off(shorter);
    gone.iter().for_each(|record| team.remove(bulla_keyring::format::TRUST_LOG, record));
    let here = team.open(&team.founder).unwrap();
    for name in ["a", "b", "c"] {
        team.join(&here, name, Capability::Use);
    }
    accept(&team, &team.founder, pin.clone()).unwrap();
    assert_eq!(
        code(team.open_at(&team.founder, pin)),
        "rollback",
        "the pinned record is another one, and the restore stands behind it"
    );
}

#[test]
fn behind_an_accepted_restore_keys_go_on_from_the_copy() {
    let (team, founder) = Team::begin();
    let (orders, context) = (name("orders"), context(&founder, 1));
    pollster::block_on(async {
        founder.create_key(&orders, Algorithm::default()).await.unwrap();
        let kept = founder.seal(&orders, &context, b"kept").await.unwrap();
        let copy = team.copy_all();
        let rotated = founder.rotate_key(&orders).await.unwrap();
        let lost = founder.seal(&orders, &context, b"lost").await.unwrap();
        team.join(&founder, "late", Capability::Use);
        let pin = founder.pin();

        team.restore(&copy);
        team.clock.advance(1_000);
        for refused in
            [founder.seal(&orders, &context, b"42").await, founder.open_sealed(&orders, &context, &kept).await]
        {
            assert_eq!(code(refused), "rollback");
        }
        accept(&team, &team.founder, pin).unwrap();
        // The process that knew the lost version neither seals under it, nor holds it against the copy.
        let again = founder.rotate_key(&orders).await.unwrap();
        assert_eq!(again.number, rotated.number);
        assert_ne!(again.id, rotated.id);
        let sealed = founder.seal(&orders, &context, b"new").await.unwrap();
        let fresh = team.open(&team.founder).unwrap();
        for keyring in [&founder, &fresh] {
            assert_eq!(keyring.open_sealed(&orders, &context, &sealed).await.unwrap(), b"new");
            assert_eq!(keyring.open_sealed(&orders, &context, &kept).await.unwrap(), b"kept");
            assert_eq!(code(keyring.open_sealed(&orders, &context, &lost).await), "unknown_version");
        }
    });
}
