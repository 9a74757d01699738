//! Nobody hands out more than they have.

use std::time::Duration;

use bulla_guard::access::{
    Access, AppRole, Binding, BindingSubject, CertificateRule, NewApiKey, NewAppRoleSecret, NewToken, Pattern,
    Permission, Permissions, Principal, Resource,
};
use bulla_keyring::Fingerprint;

use super::setting::{Scene, block, code, grant, p, present, user_with_key, within};

/// A project with roles that see to users, and some users.
fn access() -> Access {
    let access = Scene::begin().open();
    let manager = Permissions::of(&[Permission::ManageUsers, Permission::ManageRoles, Permission::UseKeys]);
    block(access.put_role(&p("manager"), manager, None)).unwrap();
    block(access.put_role(&p("keyuser"), Permissions::of(&[Permission::UseKeys]), None)).unwrap();
    user_with_key(&access, "root", &[grant("admin")]);
    access
}

fn of(access: &Access, name: &str, grants: &[bulla_guard::access::RoleGrant]) -> Principal {
    present(access, &user_with_key(access, name, grants)).unwrap()
}

fn token(access: &Access, policies: &[&str]) -> Principal {
    let root = present(access, block(access.create_root_token()).unwrap().secret.expose()).unwrap();
    let new = NewToken { policies: policies.iter().map(|name| p(name)).collect(), ..NewToken::default() };
    present(access, block(access.create_token(&root, &new)).unwrap().secret.expose()).unwrap()
}

#[test]
fn roles_are_given_by_those_who_have_all_of_them() {
    let access = access();
    let manager = of(&access, "ann", &[grant("manager"), within("operator", "keys/a-*")]);
    let giving = access.given_by(&manager);
    let create = |name: &str, grants: &[_]| code(block(giving.create_user(&p(name), grants)));
    assert_eq!(create("b1", &[]), "ok");
    assert_eq!(create("b2", &[grant("keyuser"), within("operator", "keys/a-1")]), "ok");
    assert_eq!(create("b3", &[within("operator", "keys/a-*")]), "ok");
    assert_eq!(create("b4", &[within("viewer", "keys/a-*1")]), "ok");
    let beyond = [
        grant("admin"),
        grant("viewer"),
        grant("operator"),
        within("operator", "keys/*"),
        within("operator", "keys/**"),
        within("operator", "**"),
        within("operator", "keys/*a"),
        within("operator", "keys/a-*/b"),
        within("admin", "keys/a-1"),
    ];
    for (number, more) in beyond.into_iter().enumerate() {
        assert_eq!(create(&format!("c{number}"), std::slice::from_ref(&more)), "not_permitted", "{more:?}");
        assert_eq!(create(&format!("c{number}"), &[grant("keyuser"), more.clone()]), "not_permitted", "{more:?}");
        assert_eq!(code(block(giving.assign(&p("b1"), &more))), "not_permitted", "{more:?}");
        // Not even to themselves.
        assert_eq!(code(block(giving.assign(&p("ann"), &more))), "not_permitted", "{more:?}");
    }
    assert_eq!(block(access.user(&p("b1"))).unwrap().grants, []);
    assert_eq!(code(block(giving.assign(&p("b1"), &grant("manager")))), "ok");
    assert_eq!(code(block(giving.assign(&p("b1"), &grant("none")))), "unknown_role");
    // An administrator gives everything, unless their key was narrowed.
    let admin = of(&access, "max", &[grant("admin")]);
    assert_eq!(code(block(access.given_by(&admin).assign(&p("b1"), &grant("admin")))), "ok");
    let narrow = NewApiKey { pattern: Some(p("users/**")), ..NewApiKey::default() };
    let narrow = block(access.create_key(&p("max"), &narrow)).unwrap();
    let narrow = present(&access, narrow.secret.expose()).unwrap();
    assert_eq!(code(block(access.given_by(&narrow).assign(&p("b2"), &grant("admin")))), "not_permitted");
    assert_eq!(code(block(access.given_by(&narrow).assign(&p("b2"), &within("admin", "users/x")))), "ok");
}

#[test]
fn who_sees_the_secret_of_a_key_may_do_what_it_lets_do() {
    let access = access();
    let manager = of(&access, "ann", &[grant("manager"), within("user", "keys/a-*")]);
    let giving = access.given_by(&manager);
    let key = |owner: &str, new: &NewApiKey| code(block(giving.create_key(&p(owner), new)));
    let new = NewApiKey::default();
    assert_eq!(key("ann", &new), "ok");
    assert_eq!(key("root", &new), "not_permitted");
    // Narrowed to what the maker has, it is theirs to see.
    let only = |permission| Some(Permissions::of(&[permission]));
    let within = NewApiKey { pattern: Some(p("keys/a-*")), ..new.clone() };
    assert_eq!(key("root", &NewApiKey { permissions: only(Permission::UseKeys), ..within.clone() }), "ok");
    // Its owner may be granted more one day, and the key would have it.
    block(access.create_user(&p("eve"), &[])).unwrap();
    assert_eq!(key("eve", &within), "not_permitted");
    assert_eq!(key("eve", &new), "not_permitted");
    assert_eq!(key("root", &NewApiKey { permissions: only(Permission::ExportKeys), ..new.clone() }), "not_permitted");
    let read = NewApiKey { permissions: only(Permission::ReadStore), ..new.clone() };
    assert_eq!(key("root", &NewApiKey { pattern: Some(p("keys/a-b")), ..read.clone() }), "ok");
    assert_eq!(key("root", &NewApiKey { pattern: Some(p("keys/b")), ..read.clone() }), "not_permitted");
    assert_eq!(key("root", &read), "not_permitted");
    // A successor is a secret that is seen too.
    let of_root = block(access.keys(Some(&p("root")))).unwrap();
    let whole = of_root.iter().find(|key| key.permissions.is_none()).unwrap();
    assert_eq!(code(block(giving.roll_key(whole.id, Duration::ZERO))), "not_permitted");
    assert_eq!(block(access.key(whole.id)).unwrap().successor, None);
    let mine = block(access.keys(Some(&p("ann")))).unwrap()[0].id;
    assert_eq!(code(block(giving.roll_key(mine, Duration::ZERO))), "ok");
}

#[test]
fn a_role_comes_to_permit_only_what_its_writer_may_everywhere() {
    let access = access();
    let manager = of(&access, "ann", &[grant("manager"), within("operator", "**")]);
    let giving = access.given_by(&manager);
    let put = |name: &str, permissions: &[Permission]| {
        code(block(giving.put_role(&p(name), Permissions::of(permissions), None)))
    };
    assert_eq!(put("new", &[Permission::UseKeys, Permission::ManageUsers]), "ok");
    assert_eq!(put("new", &[Permission::UseKeys, Permission::ReadStore]), "not_permitted");
    assert_eq!(put("manager", &[Permission::AdminSystem]), "not_permitted");
    // What it permits already was given by others.
    block(access.put_role(&p("strong"), Permissions::ALL, None)).unwrap();
    assert_eq!(put("strong", &[Permission::ExportKeys]), "ok");
    assert_eq!(put("strong", &[Permission::ExportKeys, Permission::AdminSystem]), "not_permitted");
}

#[test]
fn policies_are_written_by_those_who_may_everything_or_were_let_to_by_name() {
    let access = access();
    let text = r#"path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }"#;
    let manager = of(&access, "ann", &[grant("manager")]);
    assert_eq!(code(block(access.given_by(&manager).put_policy(&p("mine"), text))), "not_permitted");
    let writes = r#"path "sys/policies/acl/*" { capabilities = ["create", "update", "delete"] }"#;
    block(access.put_policy(&p("writes"), writes)).unwrap();
    let sudo = r#"path "sys/policies/acl/team-*" { capabilities = ["create", "update", "sudo"] }"#;
    block(access.put_policy(&p("sudo"), sudo)).unwrap();
    let (writes, sudo) = (token(&access, &["writes"]), token(&access, &["sudo"]));
    for name in ["writes", "default", "new"] {
        assert_eq!(code(block(access.given_by(&writes).put_policy(&p(name), text))), "not_permitted");
        assert_eq!(code(block(access.given_by(&writes).delete_policy(&p(name)))), "not_permitted");
        assert_eq!(code(block(access.given_by(&sudo).put_policy(&p(name), text))), "not_permitted");
    }
    assert_eq!(code(block(access.given_by(&sudo).put_policy(&p("team-a"), text))), "ok");
    assert_eq!(code(block(access.given_by(&sudo).delete_policy(&p("team-a")))), "ok");
    assert_eq!(code(block(access.given_by(&token(&access, &["root"])).put_policy(&p("new"), text))), "ok");
}

#[test]
fn an_approle_gives_the_policies_of_its_writer() {
    let access = access();
    for (name, text) in [
        ("a", r#"path "auth/approle/role/*" { capabilities = ["create", "update"] }"#),
        ("b", r#"path "b" { capabilities = ["read"] }"#),
        ("broker", r#"path "auth/approle/role/app/secret-id" { capabilities = ["update"] }"#),
        ("sudo", r#"path "auth/approle/role/app" { capabilities = ["update", "sudo"] }"#),
    ] {
        block(access.put_policy(&p(name), text)).unwrap();
    }
    let role =
        |policies: &[&str]| AppRole { policies: policies.iter().map(|name| p(name)).collect(), ..AppRole::default() };
    let writer = token(&access, &["a"]);
    let put = |giver: &Principal, role: &AppRole| code(block(access.given_by(giver).put_approle(&p("app"), role)));
    assert_eq!(put(&writer, &role(&["a"])), "ok");
    assert_eq!(put(&writer, &role(&["a", "b"])), "not_permitted");
    assert_eq!(put(&token(&access, &["sudo"]), &role(&["b"])), "ok");
    let manager = of(&access, "ann", &[grant("manager")]);
    assert_eq!(put(&manager, &role(&["b"])), "not_permitted");
    assert_eq!(put(&manager, &role(&[])), "not_permitted", "`default` comes with them");
    // Whoever was let to by name hands out its secrets; a permission does not name it.
    let secret = |giver: &Principal| {
        code(block(access.given_by(giver).create_approle_secret(&p("app"), &NewAppRoleSecret::default())))
    };
    assert_eq!(secret(&token(&access, &["broker"])), "ok");
    assert_eq!(secret(&token(&access, &["b"])), "ok", "they have what it gives");
    assert_eq!(secret(&token(&access, &["sudo"])), "ok");
    assert_eq!(secret(&manager), "not_permitted");
    assert_eq!(secret(&of(&access, "max", &[grant("admin")])), "ok");
}

#[test]
fn a_binding_gives_no_more_and_its_end_makes_no_administrator() {
    let access = access();
    let manager = of(&access, "ann", &[grant("manager")]);
    let giving = access.given_by(&manager);
    let certificate = BindingSubject::Certificate(CertificateRule { dns: Some("a".to_owned()), ..Default::default() });
    let binding = |of: &BindingSubject, user: Option<&str>, grants: &[_]| Binding {
        of: of.clone(),
        user: user.map(p),
        grants: grants.to_vec(),
    };
    let bind = |name: &str, binding: Binding| code(block(giving.bind(&p(name), &binding)));
    assert_eq!(bind("a", binding(&certificate, Some("ann"), &[])), "ok");
    assert_eq!(bind("b", binding(&certificate, Some("root"), &[])), "not_permitted");
    assert_eq!(bind("b", binding(&certificate, None, &[grant("operator")])), "not_permitted");
    assert_eq!(bind("b", binding(&certificate, Some("ann"), &[grant("admin")])), "not_permitted");
    assert_eq!(code(block(giving.unbind(&p("a")))), "ok");
    // The owner of the files is bound to less than everything, and stays so.
    for of in [BindingSubject::Uid(1_000), BindingSubject::Gid(7), BindingSubject::Machine(Fingerprint([7; 32]))] {
        // The first binding takes it from them that they are an administrator without one.
        assert_eq!(bind("owner", binding(&of, None, &[grant("keyuser")])), "not_permitted");
        block(access.bind(&p("owner"), &binding(&of, None, &[grant("keyuser")]))).unwrap();
        assert_eq!(code(block(giving.unbind(&p("owner")))), "not_permitted");
        assert_eq!(bind("owner", binding(&certificate, None, &[grant("keyuser")])), "not_permitted");
        assert_eq!(bind("owner", binding(&BindingSubject::Uid(5), None, &[grant("keyuser")])), "not_permitted");
        assert_eq!(bind("owner", binding(&of, None, &[grant("manager")])), "ok");
        let admin = present(&access, &user_with_key(&access, &format!("max-{}", code_of(&of)), &[grant("admin")]));
        assert_eq!(code(block(access.given_by(&admin.unwrap()).unbind(&p("owner")))), "ok");
    }
}

fn code_of(of: &BindingSubject) -> &'static str {
    match of {
        BindingSubject::Uid(_) => "uid",
        BindingSubject::Gid(_) => "gid",
        _ => "other",
    }
}

#[test]
fn a_pattern_covers_another_only_if_it_stands_for_all_of_its_names() {
    let segments = ["a", "b", "ab", "*", "a*", "*b", "a*b", "*a*", "b*b"];
    let mut patterns: Vec<Pattern> = vec![p("**")];
    for first in segments {
        patterns.push(p(first));
        patterns.push(p(&format!("{first}/**")));
        patterns.extend(segments.iter().map(|second| p::<Pattern>(&format!("{first}/{second}"))));
    }
    let words = ["a", "b", "ab", "aab", "abb", "bab", "bb", "ba", "c", "abab"];
    let mut names: Vec<Resource> = Vec::new();
    for first in words {
        names.push(p(first));
        names.extend(words.iter().map(|second| p::<Resource>(&format!("{first}/{second}"))));
        names.push(p(&format!("{first}/a/b")));
    }
    let (mut covering, mut missed) = (0, 0);
    for wide in &patterns {
        assert!(wide.covers(wide), "{wide}");
        for narrow in &patterns {
            let holds = names.iter().all(|name| !narrow.matches(name) || wide.matches(name));
            assert!(holds || !wide.covers(narrow), "{wide} {narrow}");
            covering += usize::from(wide.covers(narrow));
            missed += usize::from(holds && !wide.covers(narrow));
        }
    }
    println!("{} pairs, {covering} cover, {missed} are not noticed", patterns.len() * patterns.len());
    assert!(covering > patterns.len());
}
