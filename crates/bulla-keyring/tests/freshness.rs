//! How soon a process knows what others did, and what it does where it cannot know.

use std::sync::Arc;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_keyring::{Algorithm, Capability, Identity, Keyring, KeyringError};

use crate::setting::{code, context, name};
use crate::team::{PLAIN, ROTATE, Team, asked};

/// A process of a machine whose storage can be taken away.
fn process(team: &Team, machine: &Arc<Identity>) -> (Keyring, CallFaults) {
    let faults = CallFaults::new();
    let documents = FaultyDocuments::new(Arc::new(team.documents.clone()), faults.clone());
    (team.open_on(Arc::new(documents), machine, team.project).unwrap(), faults)
}

#[test]
fn within_a_second_nothing_is_read_and_after_it_the_log_is() {
    let (team, founder) = Team::begin();
    let user = team.join(&founder, "user", Capability::Use);
    let (keyring, faults) = process(&team, &user);
    pollster::block_on(founder.revoke(user.fingerprint(), PLAIN)).unwrap();
    let before = faults.calls();
    for _ in 0..3 {
        assert_eq!(asked(&keyring), "ok");
        team.clock.advance(333);
    }
    assert_eq!(faults.calls(), before, "a look of 999 ms ago serves");
    team.clock.advance(1);
    assert_eq!(asked(&keyring), "revoked");
    assert_eq!(faults.calls(), before + 1, "one listing, behind what was verified before");
    // And from then on each time, without another second's grace.
    assert_eq!((asked(&keyring), asked(&keyring)), ("revoked", "revoked"));
}

#[test]
fn a_revoked_machines_open_process_refuses_within_a_second() {
    let (team, founder) = Team::begin();
    let admin = team.join(&founder, "admin", Capability::Authorise);
    let (keyring, _) = process(&team, &admin);
    pollster::block_on(founder.revoke(admin.fingerprint(), ROTATE)).unwrap();
    pollster::block_on(founder.begin_epoch()).unwrap();
    team.clock.advance(1_000);
    let refused = |error: KeyringError| assert_eq!(error.code(), "revoked");
    refused(pollster::block_on(keyring.rotation_owed()).unwrap_err());
    refused(pollster::block_on(keyring.history()).unwrap_err());
    refused(pollster::block_on(keyring.find_machine("founder")).unwrap_err());
    refused(pollster::block_on(keyring.begin_epoch()).unwrap_err());
    refused(pollster::block_on(keyring.revoke(team.founder.fingerprint(), PLAIN)).unwrap_err());
    let request = team.request(&crate::team::identity(), "newcomer");
    refused(pollster::block_on(keyring.authorise(&request, Capability::Use)).unwrap_err());
}

#[test]
fn a_new_epoch_is_known_within_a_second() {
    let (team, founder) = Team::begin();
    let user = team.join(&founder, "user", Capability::Use);
    let (keyring, _) = process(&team, &user);
    pollster::block_on(founder.begin_epoch()).unwrap();
    assert_eq!((asked(&keyring), keyring.epoch()), ("ok", 1));
    team.clock.advance(1_000);
    assert_eq!((asked(&keyring), keyring.epoch()), ("ok", 2));
}

#[test]
fn a_storage_that_is_away_is_borne_for_five_seconds() {
    let (team, founder) = Team::begin();
    let user = team.join(&founder, "user", Capability::Use);
    let (keyring, faults) = process(&team, &user);
    faults.arm(faults.calls() + 1, Failure::Away);
    for _ in 0..4 {
        team.clock.advance(1_000);
        assert_eq!(asked(&keyring), "ok");
    }
    team.clock.advance(999);
    assert_eq!(asked(&keyring), "ok");
    team.clock.advance(1);
    let error = pollster::block_on(keyring.pending()).unwrap_err();
    assert_eq!(error.code(), "stale");
    assert_eq!(error.to_string(), "the trust log could not be read for 5 s; nothing secret is revealed meanwhile");
    team.clock.advance(60_000);
    assert_eq!(asked(&keyring), "stale");
    // Who asks for a look gets the failure itself.
    assert_eq!(pollster::block_on(keyring.refresh()).unwrap_err().code(), "backend");
    faults.disarm();
    assert_eq!(asked(&keyring), "ok");
    // Being back is no amnesty.
    faults.arm(faults.calls() + 1, Failure::Away);
    pollster::block_on(founder.revoke(user.fingerprint(), PLAIN)).unwrap();
    team.clock.advance(2_000);
    assert_eq!(asked(&keyring), "ok");
    faults.disarm();
    assert_eq!(asked(&keyring), "revoked");
    faults.arm(faults.calls() + 1, Failure::Away);
    assert_eq!(asked(&keyring), "stale", "what was refused once is not served from memory");
}

#[test]
fn a_clock_that_was_set_back_makes_every_look_an_old_one() {
    let (team, founder) = Team::begin();
    let user = team.join(&founder, "user", Capability::Use);
    let (keyring, faults) = process(&team, &user);
    pollster::block_on(founder.revoke(user.fingerprint(), PLAIN)).unwrap();
    team.clock.set_back(1);
    faults.arm(faults.calls() + 1, Failure::Away);
    assert_eq!(asked(&keyring), "stale", "nobody knows how old the last look is");
    faults.disarm();
    assert_eq!(asked(&keyring), "revoked");
}

#[test]
fn no_value_is_sealed_or_opened_without_a_fresh_look() {
    let (team, founder) = Team::begin();
    let user = team.join(&founder, "user", Capability::Use);
    let (keyring, faults) = process(&team, &user);
    let (orders, context) = (name("orders"), context(&keyring, 1));
    pollster::block_on(async {
        founder.create_key(&orders, Algorithm::default()).await.unwrap();
        let sealed = keyring.seal(&orders, &context, b"42").await.unwrap();
        assert_eq!(keyring.open_sealed(&orders, &context, &sealed).await.unwrap(), b"42");
        let version = keyring.current(&orders).await.unwrap();
        let every = async |expected: &str| {
            for answered in [
                code(keyring.seal(&orders, &context, b"42").await),
                code(keyring.open_sealed(&orders, &context, &sealed).await),
                code(keyring.rewrap(&orders, &context, &sealed).await),
                code(keyring.current(&orders).await),
                code(keyring.version(&orders, version.id()).await),
                code(keyring.locate(version.id()).await),
                code(keyring.key(&orders).await),
                code(keyring.keys(None, 0).await),
                code(keyring.rotate_key(&orders).await),
            ] {
                assert_eq!(answered, expected);
            }
        };
        // The storage goes away: what was prepared serves for five seconds, and no longer.
        faults.arm(faults.calls() + 1, Failure::Away);
        team.clock.advance(4_999);
        assert_eq!(keyring.open_sealed(&orders, &context, &sealed).await.unwrap(), b"42");
        team.clock.advance(1);
        every("stale").await;
        faults.disarm();
        assert_eq!(keyring.open_sealed(&orders, &context, &sealed).await.unwrap(), b"42");
        // The machine is put out: a second later nothing serves any more.
        founder.revoke(user.fingerprint(), ROTATE).await.unwrap();
        founder.begin_epoch().await.unwrap();
        team.clock.advance(1_000);
        every("revoked").await;
        every("revoked").await;
    });
}
