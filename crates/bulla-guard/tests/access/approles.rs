//! `AppRole`s.

use bulla_guard::access::{Access, AppRole, IssuedSecret, NewAppRoleSecret, PeerInfo, SecretText};

use super::setting::{DAY, HOUR, Scene, block, code, p, present, signed_in};

fn login_from(access: &Access, role_id: &str, secret: &str, address: &str) -> Result<String, &'static str> {
    let peer = PeerInfo { address: Some(p(address)) };
    let issued = block(access.login_approle(role_id, secret, &peer)).map_err(|refused| {
        assert_eq!(refused.to_string(), "the credential is not accepted");
        refused.reason().name()
    })?;
    Ok(issued.secret.expose().to_owned())
}

fn login(access: &Access, role_id: &str, secret: &IssuedSecret) -> Result<String, &'static str> {
    login_from(access, role_id, secret.secret.expose(), "192.0.2.1")
}

fn with_role(access: &Access, role: &AppRole) -> String {
    block(access.put_policy(&p("a"), r#"path "a" { capabilities = ["read"] }"#)).unwrap();
    let role = AppRole { policies: vec![p("a")], ..role.clone() };
    block(access.put_approle(&p("ci"), &role)).unwrap();
    block(access.approle(&p("ci"))).unwrap().0.to_string()
}

#[test]
fn a_role_id_and_a_secret_give_a_token() {
    let scene = Scene::begin();
    let access = scene.open();
    let role = AppRole { token_lifetime: Some(HOUR), token_uses: Some(2), ..AppRole::default() };
    let role_id = with_role(&access, &role);
    let secret = block(access.create_approle_secret(&p("ci"), &NewAppRoleSecret::default())).unwrap();
    assert!(secret.secret.expose().starts_with("bas."));
    let token = login(&access, &role_id, &secret).unwrap();
    let principal = present(&access, &token).unwrap();
    assert_eq!(principal.policies(), [p("a"), p("default")]);
    let shown = block(access.lookup_token(principal.credential().unwrap())).unwrap();
    assert_eq!((shown.display_name.as_str(), principal.id()), ("approle-ci", shown.accessor.as_str()));
    assert_eq!((signed_in(&access, &token), signed_in(&access, &token)), ("ok", "unknown"), "two uses");
    assert!(!format!("{secret:?}").contains(&secret.secret.expose()[20..63]));
    // A secret is no token.
    assert_eq!(signed_in(&access, secret.secret.expose()), "malformed");
    assert_eq!(login_from(&access, &role_id, &token, "192.0.2.1"), Err("malformed"));
}

#[test]
fn what_does_not_belong_together_gives_nothing() {
    let scene = Scene::begin();
    let access = scene.open();
    let role_id = with_role(&access, &AppRole::default());
    block(access.put_approle(&p("other"), &AppRole::default())).unwrap();
    let other_id = block(access.approle(&p("other"))).unwrap().0.to_string();
    let secret = block(access.create_approle_secret(&p("ci"), &NewAppRoleSecret::default())).unwrap();
    assert_eq!(login(&access, &other_id, &secret), Err("unknown"));
    assert_eq!(login(&access, "nonsense", &secret), Err("unknown"));
    assert_eq!(login_from(&access, &role_id, "bas.nonsense", "192.0.2.1"), Err("malformed"));
    let elsewhere = Scene::begin().open();
    with_role(&elsewhere, &AppRole::default());
    let foreign = block(elsewhere.create_approle_secret(&p("ci"), &NewAppRoleSecret::default())).unwrap();
    assert_eq!(login(&access, &role_id, &foreign), Err("unknown"));
    assert!(login(&access, &role_id, &secret).is_ok());
    assert_eq!(SecretText::parse(secret.secret.expose()).unwrap().id(), secret.accessor);
}

#[test]
fn secrets_end_by_time_by_uses_and_by_hand() {
    let scene = Scene::begin();
    let access = scene.open();
    let role_id =
        with_role(&access, &AppRole { secret_lifetime: Some(DAY), secret_uses: Some(2), ..AppRole::default() });
    let make = || block(access.create_approle_secret(&p("ci"), &NewAppRoleSecret::default())).unwrap();
    let (used_up, expired, destroyed) = (make(), make(), make());
    assert!(login(&access, &role_id, &used_up).is_ok() && login(&access, &role_id, &used_up).is_ok());
    assert_eq!(login(&access, &role_id, &used_up), Err("unknown"));
    let listed = block(access.approle_secrets(&p("ci"), None, 0)).unwrap().0;
    assert!(listed.len() == 2 && listed.contains(&expired.accessor) && listed.contains(&destroyed.accessor));
    assert!(block(access.destroy_approle_secret(destroyed.accessor)).unwrap());
    assert_eq!(login(&access, &role_id, &destroyed), Err("unknown"));
    scene.clock.advance(DAY);
    assert_eq!(login(&access, &role_id, &expired), Err("expired"));
    let swept = block(access.sweep_tokens(None, 100)).unwrap();
    assert_eq!((swept.deleted, swept.unreadable), (1, 0));
}

#[test]
fn logins_come_from_where_the_role_and_the_secret_say() {
    let scene = Scene::begin();
    let access = scene.open();
    let role =
        AppRole { secret_cidrs: vec![p("192.0.2.0/24")], token_cidrs: vec![p("192.0.2.1")], ..AppRole::default() };
    let role_id = with_role(&access, &role);
    let near = NewAppRoleSecret { cidrs: vec![p("192.0.2.0/31")], ..NewAppRoleSecret::default() };
    let secret = block(access.create_approle_secret(&p("ci"), &near)).unwrap();
    let from = |address| login_from(&access, &role_id, secret.secret.expose(), address).map(drop);
    assert_eq!(from("192.0.2.1"), Ok(()));
    assert_eq!((from("192.0.2.2"), from("198.51.100.1")), (Err("address"), Err("address")));
    let token = login(&access, &role_id, &secret).unwrap();
    assert_eq!(signed_in(&access, &token), "address", "no address is not the one");
}

#[test]
fn a_deleted_role_takes_its_secrets_with_it() {
    let scene = Scene::begin();
    let access = scene.open();
    let role_id = with_role(&access, &AppRole::default());
    let secret = block(access.create_approle_secret(&p("ci"), &NewAppRoleSecret::default())).unwrap();
    // Written again, it keeps them.
    assert_eq!(with_role(&access, &AppRole { token_lifetime: Some(HOUR), ..AppRole::default() }), role_id);
    assert!(login(&access, &role_id, &secret).is_ok());
    block(access.delete_approle(&p("ci"))).unwrap();
    let new_id = with_role(&access, &AppRole::default());
    assert_ne!(new_id, role_id);
    assert_eq!((login(&access, &role_id, &secret), login(&access, &new_id, &secret)), (Err("unknown"), Err("unknown")));
    assert_eq!(block(access.sweep_tokens(None, 100)).unwrap().deleted, 1);
    assert_eq!(block(access.approles()).unwrap(), [p("ci")]);
}

#[test]
fn a_secret_is_found_by_itself_and_by_its_accessor_and_not_by_a_wrong_one() {
    let scene = Scene::begin();
    let access = scene.open();
    with_role(&access, &AppRole { secret_lifetime: Some(DAY), secret_uses: Some(5), ..AppRole::default() });
    block(access.put_approle(&p("other"), &AppRole::default())).unwrap();
    let shorter = NewAppRoleSecret { lifetime: Some(HOUR), uses: Some(3), ..NewAppRoleSecret::default() };
    let secret = block(access.create_approle_secret(&p("ci"), &shorter)).unwrap();
    let found = block(access.find_approle_secret(&p("ci"), &secret.secret)).unwrap().unwrap();
    assert_eq!((found.accessor, found.uses, found.expires), (secret.accessor, Some(3), secret.expires));
    assert_eq!(block(access.approle_secret(&p("ci"), secret.accessor)).unwrap(), Some(found));
    assert_eq!(block(access.approle_secret(&p("other"), secret.accessor)).unwrap(), None);
    let elsewhere = Scene::begin().open();
    with_role(&elsewhere, &AppRole::default());
    assert_eq!(block(elsewhere.find_approle_secret(&p("ci"), &secret.secret)).unwrap(), None);
    scene.clock.advance(HOUR);
    assert_eq!(block(access.find_approle_secret(&p("ci"), &secret.secret)).unwrap(), None);
    for beyond in [
        NewAppRoleSecret { lifetime: Some(2 * DAY), ..NewAppRoleSecret::default() },
        NewAppRoleSecret { uses: Some(6), ..NewAppRoleSecret::default() },
        NewAppRoleSecret { uses: Some(0), ..NewAppRoleSecret::default() },
    ] {
        assert_eq!(code(block(access.create_approle_secret(&p("ci"), &beyond))), "invalid_input");
    }
}

#[test]
fn what_no_role_may_be_is_refused() {
    let access = Scene::begin().open();
    let put = |role: AppRole| code(block(access.put_approle(&p("ci"), &role)));
    assert_eq!(put(AppRole { policies: vec![p("root")], ..AppRole::default() }), "not_permitted");
    assert_eq!(put(AppRole { policies: vec![p("none")], ..AppRole::default() }), "unknown_policy");
    assert_eq!(put(AppRole { secret_uses: Some(0), ..AppRole::default() }), "invalid_input");
    assert_eq!(put(AppRole { token_cidrs: vec![p("::1"); 65], ..AppRole::default() }), "invalid_input");
    assert_eq!(code(block(access.create_approle_secret(&p("ci"), &NewAppRoleSecret::default()))), "unknown_approle");
    assert_eq!(code(block(access.delete_approle(&p("ci")))), "unknown_approle");
}
