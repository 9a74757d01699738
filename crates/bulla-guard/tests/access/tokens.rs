//! Tokens.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, FaultyDocuments};
use bulla_guard::access::{
    ACCESS_TOKENS, Access, AccessError, AccessSettings, Capability, Credential, IssuedToken, MAX_TOKEN_DEPTH,
    NewApiKey, NewToken, PathRequest, PeerInfo, Permission, Permissions, PolicyName, Principal, SecretText,
};

use super::setting::{DAY, HOUR, Scene, block, code, grant, p, present, signed_in, user_with_key};

fn root(access: &Access) -> Principal {
    present(access, block(access.create_root_token()).unwrap().secret.expose()).unwrap()
}

fn token(access: &Access, maker: &Principal, policies: &[&str], edit: impl Fn(&mut NewToken)) -> IssuedToken {
    try_token(access, maker, policies, edit).unwrap()
}

fn try_token(
    access: &Access,
    maker: &Principal,
    policies: &[&str],
    edit: impl Fn(&mut NewToken),
) -> Result<IssuedToken, AccessError> {
    let policies = policies.iter().map(|name| p::<PolicyName>(name)).collect();
    let mut new = NewToken { policies, ..NewToken::default() };
    edit(&mut new);
    block(access.create_token(maker, &new))
}

fn policies(access: &Access) {
    for name in ["a", "b", "orphans"] {
        let path = if name == "orphans" { "auth/token/create-orphan" } else { name };
        block(access.put_policy(&p(name), &format!("path \"{path}\" {{ capabilities = [\"update\"] }}"))).unwrap();
    }
    block(access.put_policy(&p("sudo"), r#"path "auth/token/create" { capabilities = ["update", "sudo"] }"#)).unwrap();
}

fn of(access: &Access, issued: &IssuedToken) -> Principal {
    present(access, issued.secret.expose()).unwrap()
}

#[test]
fn a_token_lets_in_whoever_has_all_of_it() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let issued = token(&access, &root(&access), &["a"], |new| new.display_name = "deploy".to_owned());
    let text = issued.secret.expose();
    assert!(text.starts_with("bvs.") && text.len() == 4 + 16 + 43 + 6, "{}", text.len());
    let principal = of(&access, &issued);
    assert_eq!((principal.id(), principal.credential()), (issued.token.accessor.as_str(), Some(issued.token.accessor)));
    assert_eq!(block(access.find_token(&issued.secret)).unwrap().display_name, "deploy");
    assert_eq!(principal.policies(), [p("a"), p("default")]);
    assert!(principal.allows_path(&PathRequest::new(Capability::Update, &p("a"))));
    assert!(!principal.allows_path(&PathRequest::new(Capability::Update, &p("b"))));
    assert!(!format!("{issued:?} {principal:?}").contains(&text[20..63]));
    // The accessor alone is nothing.
    let other = token(&access, &root(&access), &["a"], |_| {});
    let spliced = format!("{}{}", &text[..20], &other.secret.expose()[20..]);
    assert!(SecretText::parse(&spliced).is_err());
    for document in scene.all(ACCESS_TOKENS) {
        assert!(!document.value.windows(43).any(|window| window == &text.as_bytes()[20..63]));
    }
}

#[test]
fn no_token_makes_one_that_may_more() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let root = root(&access);
    let maker = of(&access, &token(&access, &root, &["a"], |_| {}));
    let refused = |policies: &[&str], edit: &dyn Fn(&mut NewToken)| code(try_token(&access, &maker, policies, edit));
    assert_eq!(refused(&["a"], &|_| {}), "ok");
    assert_eq!(refused(&[], &|_| {}), "ok", "those of its maker");
    assert_eq!(refused(&["b"], &|_| {}), "not_permitted");
    assert_eq!(refused(&["a", "b"], &|_| {}), "not_permitted");
    assert_eq!(refused(&["root"], &|_| {}), "not_permitted");
    assert_eq!(refused(&["a"], &|new| new.orphan = true), "not_permitted");
    assert_eq!(refused(&["a"], &|new| new.period = Some(HOUR)), "not_permitted");
    // Who left `default` away does not get it back.
    let bare = of(&access, &token(&access, &root, &["a"], |new| new.no_default_policy = true));
    assert_eq!(token(&access, &bare, &["a"], |_| {}).token.policies, [p("a")]);
    assert_eq!(code(try_token(&access, &bare, &["default"], |_| {})), "not_permitted");
    // `sudo` gives what it likes, but not `root`.
    let sudo = of(&access, &token(&access, &root, &["sudo"], |_| {}));
    assert_eq!(code(try_token(&access, &sudo, &["b"], |new| new.period = Some(HOUR))), "ok");
    assert_eq!(code(try_token(&access, &sudo, &["root"], |_| {})), "not_permitted");
    let orphans = of(&access, &token(&access, &root, &["orphans"], |_| {}));
    assert_eq!(code(try_token(&access, &orphans, &["orphans"], |new| new.orphan = true)), "ok");
    assert_eq!(code(try_token(&access, &orphans, &["a"], |new| new.orphan = true)), "not_permitted");
    // An API key has no policies to give on, unless it is an administrator's.
    let user = present(&access, &user_with_key(&access, "ann", &[grant("operator")])).unwrap();
    assert_eq!(code(try_token(&access, &user, &["a"], |_| {})), "not_permitted");
    let admin = present(&access, &user_with_key(&access, "bob", &[grant("admin")])).unwrap();
    assert_eq!(code(try_token(&access, &admin, &["a", "b"], |_| {})), "ok");
    assert_eq!(code(try_token(&access, &admin, &["nonsense"], |_| {})), "unknown_policy");
    assert_eq!(code(try_token(&access, &admin, &["a"], |new| new.uses = Some(0))), "invalid_input");
    // Neither has an administrator's key that was narrowed.
    let narrow = NewApiKey { permissions: Some(Permissions::of(&[Permission::AdminSystem])), ..NewApiKey::default() };
    let narrow = block(access.create_key(&p("bob"), &narrow)).unwrap().secret.expose().to_owned();
    let narrow = present(&access, &narrow).unwrap();
    assert_eq!(code(try_token(&access, &narrow, &["root"], |_| {})), "not_permitted");
    assert_eq!(code(try_token(&access, &narrow, &[], |_| {})), "not_permitted");
    // `root` stands alone.
    assert_eq!(token(&access, &root, &["root", "a"], |_| {}).token.policies, [p("root")]);
}

#[test]
fn a_revoked_token_takes_all_that_it_made_with_it() {
    let scene = Scene::begin();
    let (access, there) = (scene.open(), scene.open());
    policies(&access);
    let root = root(&access);
    let parent = token(&access, &root, &["a", "sudo"], |_| {});
    let child = token(&access, &of(&access, &parent), &["a", "sudo"], |_| {});
    let grandchild = token(&access, &of(&access, &child), &["a"], |_| {});
    let orphan = token(&access, &of(&access, &child), &["a"], |new| new.orphan = true);
    assert_eq!((child.token.parent, orphan.token.parent), (Some(parent.token.accessor), None));
    scene.wait();
    assert!(block(there.revoke_token(child.token.accessor)).unwrap());
    assert!(!block(there.revoke_token(child.token.accessor)).unwrap());
    let state = |issued: &IssuedToken| signed_in(&access, issued.secret.expose());
    assert_eq!(
        (state(&parent), state(&child), state(&grandchild), state(&orphan)),
        ("ok", "unknown", "parent_gone", "ok")
    );
    assert_eq!(code(block(access.lookup_token(grandchild.token.accessor))), "unknown_token");
    assert_eq!(code(block(access.renew_token(grandchild.token.accessor, None))), "unknown_token");
    let principal = of(&access, &parent);
    assert_eq!(block(access.lookup_self(&principal)).unwrap().accessor, parent.token.accessor);
    assert!(block(access.revoke_self(&principal)).unwrap());
    assert_eq!(state(&parent), "unknown");
    let user = present(&access, &user_with_key(&access, "ann", &[])).unwrap();
    assert_eq!(code(block(access.revoke_self(&user))), "unknown_token");
}

#[test]
fn a_parent_that_expires_takes_its_children_with_it() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let parent = token(&access, &root(&access), &["a"], |new| new.lifetime = Some(HOUR));
    let child = token(&access, &of(&access, &parent), &["a"], |new| new.lifetime = Some(DAY));
    scene.clock.advance(HOUR);
    assert_eq!(signed_in(&access, parent.secret.expose()), "expired");
    assert_eq!(signed_in(&access, child.secret.expose()), "parent_gone");
}

#[test]
fn lifetimes_and_renewals_have_their_bounds() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let settings = AccessSettings { token_lifetime: HOUR, max_token_lifetime: 3 * HOUR, ..AccessSettings::default() };
    block(access.change_settings(settings)).unwrap();
    let root = root(&access);
    let left = |issued: &IssuedToken| {
        let now = bulla_backend::Clock::now(&*scene.clock).0;
        block(access.lookup_token(issued.token.accessor)).unwrap().expires.map(|expires| (expires.0 - now) / 60_000)
    };
    let renew = |issued: &IssuedToken, wanted| code(block(access.renew_token(issued.token.accessor, wanted)));
    let plain = token(&access, &root, &["a"], |_| {});
    let long = token(&access, &root, &["a"], |new| new.lifetime = Some(DAY));
    let short = token(&access, &root, &["a"], |new| new.max_lifetime = Some(Duration::from_secs(90 * 60)));
    let periodic = token(&access, &root, &["a"], |new| new.period = Some(2 * HOUR));
    let fixed = token(&access, &root, &["a"], |new| new.not_renewable = true);
    let for_ever = token(&access, &root, &["root"], |_| {});
    assert_eq!((left(&plain), left(&long), left(&short)), (Some(60), Some(180), Some(60)));
    assert_eq!((left(&periodic), left(&fixed), left(&for_ever)), (Some(120), Some(60), None));
    scene.clock.advance(HOUR / 2);
    assert_eq!(renew(&fixed, None), "not_renewable");
    for issued in [&plain, &short, &periodic, &for_ever] {
        assert_eq!(renew(issued, None), "ok");
    }
    assert_eq!((left(&plain), left(&short), left(&periodic), left(&for_ever)), (Some(60), Some(60), Some(120), None));
    assert_eq!(renew(&plain, Some(DAY)), "ok");
    assert_eq!(left(&plain), Some(150), "3 hours from its making");
    scene.clock.advance(2 * HOUR);
    for _ in 0..40 {
        assert_eq!(renew(&periodic, Some(DAY)), "unknown_token", "its two hours are over");
    }
    assert_eq!(signed_in(&access, plain.secret.expose()), "ok");
    let principal = of(&access, &plain);
    block(access.renew_self(&principal, None)).unwrap();
    assert_eq!(left(&plain), Some(30));
    let periodic = token(&access, &root, &["a"], |new| new.period = Some(2 * HOUR));
    for _ in 0..40 {
        scene.clock.advance(HOUR);
        assert_eq!((renew(&periodic, Some(DAY)), left(&periodic)), ("ok", Some(120)));
    }
}

#[test]
fn uses_are_counted_to_the_last() {
    let scene = Scene::begin();
    let (here, there) = (scene.open(), scene.open());
    policies(&here);
    scene.wait();
    let issued = token(&here, &root(&here), &["a"], |new| new.uses = Some(3));
    let principal = of(&there, &issued);
    assert_eq!(code(try_token(&there, &principal, &["a"], |_| {})), "not_permitted", "it makes no others");
    assert_eq!(block(here.lookup_token(issued.token.accessor)).unwrap().uses, Some(2));
    assert_eq!(signed_in(&here, issued.secret.expose()), "ok");
    assert_eq!(signed_in(&there, issued.secret.expose()), "ok");
    assert_eq!(signed_in(&here, issued.secret.expose()), "unknown");
    assert_eq!(code(block(here.lookup_token(issued.token.accessor))), "unknown_token");
}

#[test]
fn of_many_at_once_no_more_get_in_than_there_are_uses() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let issued = token(&access, &root(&access), &["a"], |new| new.uses = Some(10));
    let others: Vec<Access> = (0..4).map(|_| scene.open()).collect();
    let let_in: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = others
            .iter()
            .map(|access| {
                let text = issued.secret.expose();
                scope.spawn(move || (0..8).filter(|_| signed_in(access, text) == "ok").count())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(let_in, 10);
}

#[test]
fn a_token_is_bound_to_its_addresses() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let issued = token(&access, &root(&access), &["a"], |new| new.cidrs = vec![p("192.0.2.0/24"), p("2001:db8::/32")]);
    let from = |address: Option<&str>| {
        let peer = PeerInfo { address: address.map(p) };
        let credential = Credential::Bearer(&issued.secret);
        block(access.authenticate(&credential, &peer)).map_or_else(|refused| refused.reason().name(), |_| "ok")
    };
    for (address, expected) in [
        (Some("192.0.2.7"), "ok"),
        (Some("::ffff:192.0.2.7"), "ok"),
        (Some("2001:db8:1::1"), "ok"),
        (Some("192.0.3.7"), "address"),
        (Some("2001:db9::1"), "address"),
        (None, "address"),
    ] {
        assert_eq!(from(address), expected, "{address:?}");
    }
    for text in [
        "192.0.2.0/33",
        "192.0.2.0/024",
        "192.0.2/24",
        "::ffff:192.0.2.0/120",
        "",
        "x/8",
        "2001:db8::/129",
        "1.2.3.4/+8",
    ] {
        assert!(text.parse::<bulla_guard::access::Cidr>().is_err(), "{text}");
    }
    assert!(p::<bulla_guard::access::Cidr>("0.0.0.0/0").contains(p("9.9.9.9")));
}

#[test]
fn a_chain_of_tokens_has_an_end() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let mut maker = root(&access);
    let mut made = 0;
    while let Ok(issued) = try_token(&access, &maker, &["root"], |_| {}) {
        maker = of(&access, &issued);
        made += 1;
    }
    assert_eq!(made + 1, MAX_TOKEN_DEPTH);
}

#[test]
fn a_sweep_takes_what_ended_and_nothing_else() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let root = root(&access);
    let kept = token(&access, &root, &["a"], |new| new.lifetime = Some(30 * DAY));
    let parent = token(&access, &root, &["a"], |new| new.lifetime = Some(DAY));
    let _child = token(&access, &of(&access, &parent), &["a"], |new| new.lifetime = Some(30 * DAY));
    for _ in 0..20 {
        token(&access, &root, &["a"], |new| new.lifetime = Some(HOUR));
    }
    scene.clock.advance(2 * DAY);
    let (mut next, mut deleted, mut steps) = (None, 0, 0);
    loop {
        let swept = block(access.sweep_tokens(next, 5)).unwrap();
        assert!(swept.deleted <= 5 && swept.unreadable == 0);
        (deleted, steps) = (deleted + swept.deleted, steps + 1);
        match swept.next {
            Some(after) => next = Some(after),
            None => break,
        }
    }
    assert_eq!(deleted, 22);
    assert!(steps >= 5);
    assert_eq!(signed_in(&access, kept.secret.expose()), "ok");
    assert_eq!(block(access.tokens(None, 0)).unwrap().0.len(), 2, "the one kept, and the one of the root");
}

#[test]
fn all_tokens_can_be_revoked_at_once() {
    let scene = Scene::begin();
    let (here, there) = (scene.open(), scene.open());
    policies(&here);
    let old = token(&here, &root(&here), &["a"], |_| {});
    let before = scene.all(ACCESS_TOKENS);
    block(here.revoke_all_tokens()).unwrap();
    scene.wait();
    assert_eq!(signed_in(&there, old.secret.expose()), "all_revoked");
    scene.restore(ACCESS_TOKENS, &before);
    assert_eq!(signed_in(&there, old.secret.expose()), "all_revoked", "an old row does not undo it");
    let new = token(&here, &root(&here), &["a"], |_| {});
    assert_eq!(signed_in(&here, new.secret.expose()), "ok");
    assert_eq!(block(here.settings()).unwrap(), AccessSettings::default());
}

#[test]
fn rows_of_tokens_are_neither_moved_nor_altered() {
    let scene = Scene::begin();
    let access = scene.open();
    policies(&access);
    let root = root(&access);
    let (weak, strong) = (token(&access, &root, &["a"], |_| {}), token(&access, &root, &["a", "b"], |_| {}));
    let find = |issued: &IssuedToken| {
        let end = issued.token.accessor.to_string();
        scene.all(ACCESS_TOKENS).into_iter().find(|row| row.key.to_string().ends_with(&end)).unwrap()
    };
    let (weak_row, strong_row) = (find(&weak), find(&strong));
    let moved = bulla_backend::Document { key: weak_row.key.clone(), ..strong_row };
    scene.overwrite(ACCESS_TOKENS, &moved);
    assert_eq!(signed_in(&access, weak.secret.expose()), "unavailable");
    let mut altered = weak_row.clone();
    *altered.value.last_mut().unwrap() ^= 1;
    scene.overwrite(ACCESS_TOKENS, &altered);
    assert_eq!(signed_in(&access, weak.secret.expose()), "unavailable");
    let swept = block(access.sweep_tokens(Some(bulla_backend::DocumentKey::new(&b"token"[..]).unwrap()), 100)).unwrap();
    assert_eq!((swept.deleted, swept.unreadable), (0, 1), "it is reported, and not deleted");
    scene.overwrite(ACCESS_TOKENS, &weak_row);
    assert_eq!(signed_in(&access, weak.secret.expose()), "ok");
}

#[test]
fn a_token_is_read_again_only_where_something_was_written() {
    let scene = Scene::begin();
    let faults = CallFaults::new();
    let documents = FaultyDocuments::new(scene.documents.clone(), faults.clone());
    let (here, there) = (scene.open_on(Arc::new(documents), None).unwrap(), scene.open());
    policies(&here);
    let issued = token(&here, &root(&here), &["a"], |_| {});
    let calls = |expected: &str| {
        let before = faults.calls();
        assert_eq!(signed_in(&here, issued.secret.expose()), expected);
        faults.calls() - before
    };
    calls("ok");
    assert_eq!(calls("ok"), 3, "a mark each for the token, the one that made it, and the pepper");
    // Another process writes: it is read again, and what is gone is gone without a moment's grace.
    block(there.create_root_token()).unwrap();
    assert!(calls("ok") > 3);
    assert_eq!(calls("ok"), 3);
    block(there.revoke_token(issued.token.accessor)).unwrap();
    calls("unknown");
}
