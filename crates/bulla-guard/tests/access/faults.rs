//! Each call to the storage fails once, in each way: nothing is half done, and nothing that was answered is lost.

use std::sync::Arc;

use bulla_backend::MemoryDocuments;
use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_guard::access::{Access, AccessError, NewApiKey, NewToken, RevocationReason, RoleGrant};

use super::setting::{HOUR, Scene, block, grant, p, present, signed_in};

/// What was answered, by which the end is judged.
#[derive(Debug, Default)]
struct Answered {
    user: bool,
    role: bool,
    key: Option<String>,
    successor: Option<String>,
    is_revoked: bool,
    token: Option<String>,
}

async fn work(access: &Access, answered: &mut Answered) -> Result<(), AccessError> {
    access.create_user(&p("ann"), &[grant("viewer")]).await?;
    answered.user = true;
    access.assign(&p("ann"), &RoleGrant::within(p("user"), p("keys/orders-*"))).await?;
    answered.role = true;
    let key = access.create_key(&p("ann"), &NewApiKey::default()).await?;
    answered.key = Some(key.secret.expose().to_owned());
    let successor = access.roll_key(key.key.id, HOUR).await?;
    answered.successor = Some(successor.secret.expose().to_owned());
    access.revoke_key(key.key.id, RevocationReason::Superseded, "").await?;
    answered.is_revoked = true;
    let root = access.create_root_token().await?;
    answered.token = Some(root.secret.expose().to_owned());
    let root = present(access, root.secret.expose()).map_err(|_| AccessError::UnknownToken)?;
    access.create_token(&root, &NewToken::default()).await?;
    Ok(())
}

/// What was answered holds, and no half of a change is there.
fn judge(scene: &Scene, answered: &Answered, what: &str) {
    let access = scene.open();
    let users = block(access.users()).unwrap();
    assert!(!answered.user || users.len() == 1, "{what}");
    if let Some(user) = users.first() {
        let grants = user.grants.len();
        assert!(grants == 2 || (grants == 1 && !answered.role), "{what}");
    }
    let keys = block(access.keys(None)).unwrap();
    // A successor is never there without its predecessor knowing it.
    for key in &keys {
        if let Some(predecessor) = key.predecessor {
            assert_eq!(block(access.key(predecessor)).unwrap().successor, Some(key.id), "{what}");
        }
        if let Some(successor) = key.successor {
            assert_eq!(block(access.key(successor)).unwrap().predecessor, Some(key.id), "{what}");
        }
    }
    if let Some(key) = &answered.key {
        let state = signed_in(&access, key);
        assert!(
            if answered.is_revoked { state == "revoked" } else { state == "ok" || state == "revoked" },
            "{what}: {state}"
        );
    }
    for good in [&answered.successor, &answered.token].into_iter().flatten() {
        assert_eq!(signed_in(&access, good), "ok", "{what}");
    }
    // And it goes on from there.
    block(access.create_user(&p("bob"), &[])).unwrap();
}

#[test]
fn no_fault_of_the_storage_leaves_anything_half_done() {
    let mut at = 1;
    let mut failed = 0;
    loop {
        let mut has_reached_the_end = true;
        for failure in Failure::ALL {
            let scene = Scene::begin_on(Arc::new(MemoryDocuments::new()));
            let faults = CallFaults::new();
            let documents = FaultyDocuments::new(scene.documents.clone(), faults.clone());
            let access = scene.open_on(Arc::new(documents), None).unwrap();
            let from = faults.calls();
            faults.arm(from + at, failure);
            let mut answered = Answered::default();
            let result = block(work(&access, &mut answered));
            has_reached_the_end &= faults.calls() < from + at;
            failed += usize::from(result.is_err());
            judge(&scene, &answered, &format!("{failure:?} at call {at}: {result:?}"));
            // The process itself recovers too.
            faults.disarm();
            scene.wait();
            assert_eq!(block(access.users()).unwrap().iter().filter(|user| user.name.as_str() == "bob").count(), 1);
        }
        if has_reached_the_end {
            break;
        }
        at += 1;
    }
    assert!(at > 30 && failed > 50, "{at} calls, {failed} failures");
}
