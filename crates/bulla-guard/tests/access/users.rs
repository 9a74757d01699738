//! Users and roles.

use bulla_guard::access::{NewApiKey, Permission, Permissions, RevocationReason, SecretText};

use super::setting::{Scene, block, code, grant, p, present, signed_in, user_with_key, within};

#[test]
fn the_built_in_roles_are_those_of_the_documentation() {
    let access = Scene::begin().open();
    let roles = block(access.roles()).unwrap();
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["viewer", "user", "operator", "admin"]);
    for pair in roles.windows(2) {
        assert!(pair[0].permissions.is_within(pair[1].permissions) && pair[0].permissions != pair[1].permissions);
    }
    let has = |role: usize, permission| roles[role].permissions.contains(permission);
    for (permission, from) in [
        (Permission::ReadQueries, 0),
        (Permission::ViewMetrics, 0),
        (Permission::WriteQueries, 1),
        (Permission::ManageCache, 2),
        (Permission::AdminSystem, 3),
        (Permission::ExportKeys, 3),
        (Permission::AuthorizeMachines, 3),
        (Permission::ManageUsers, 3),
    ] {
        for (role, name) in names.iter().enumerate() {
            assert_eq!(has(role, permission), role >= from, "{permission} {name}");
        }
    }
    assert_eq!(roles[3].permissions, Permissions::ALL);
    assert_eq!(roles[3].permissions.iter().count(), Permission::ALL.len());
    for permission in Permission::ALL {
        assert_eq!(permission.name().parse(), Ok(*permission));
    }
}

#[test]
fn users_have_any_number_of_roles_and_what_all_of_them_permit() {
    let scene = Scene::begin();
    let access = scene.open();
    let ann = p("ann");
    block(access.create_user(&ann, &[])).unwrap();
    assert_eq!(code(block(access.create_user(&ann, &[]))), "user_exists");
    assert!(block(access.permissions(&ann)).unwrap().everywhere.is_empty());
    let auditor = Permissions::of(&[Permission::ReadAudit]);
    block(access.put_role(&p("auditor"), auditor, Some(600))).unwrap();
    assert!(block(access.assign(&ann, &grant("viewer"))).unwrap());
    assert!(!block(access.assign(&ann, &grant("viewer"))).unwrap());
    assert!(block(access.assign(&ann, &within("auditor", "audit/office"))).unwrap());
    let effective = block(scene.open().permissions(&ann)).unwrap();
    assert_eq!(effective.everywhere.iter().count(), 3);
    assert_eq!(effective.within, [(p("audit/office"), auditor)]);
    let text = block(access.create_key(&ann, &NewApiKey::default())).unwrap().secret.expose().to_owned();
    let principal = present(&access, &text).unwrap();
    assert!(principal.allows(Permission::ReadAudit, &p("audit/office")));
    assert!(!principal.allows(Permission::ReadAudit, &p("audit/laptop")));
    assert_eq!(principal.requests_per_minute(), Some(600));
    assert!(block(access.remove(&ann, &p("auditor"))).unwrap());
    assert!(!block(access.remove(&ann, &p("auditor"))).unwrap());
    assert!(!present(&access, &text).unwrap().allows(Permission::ReadAudit, &p("audit/office")));
    assert_eq!(block(access.users()).unwrap().len(), 1);
}

#[test]
fn what_is_unknown_is_said_so() {
    let access = Scene::begin().open();
    let error = block(access.create_user(&p("ann"), &[grant("emperor")])).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.code()), ("unknown role: emperor", "unknown_role"));
    block(access.create_user(&p("ann"), &[])).unwrap();
    assert_eq!(block(access.assign(&p("ann"), &grant("emperor"))).unwrap_err().to_string(), "unknown role: emperor");
    for refused in [
        code(block(access.user(&p("bob")))),
        code(block(access.assign(&p("bob"), &grant("user")))),
        code(block(access.remove(&p("bob"), &p("user")))),
        code(block(access.delete_user(&p("bob")))),
        code(block(access.permissions(&p("bob")))),
        code(block(access.create_key(&p("bob"), &NewApiKey::default()))),
    ] {
        assert_eq!(refused, "unknown_user");
    }
    assert_eq!(code(block(access.put_role(&p("admin"), Permissions::NONE, None))), "built_in_role");
    assert_eq!(code(block(access.delete_role(&p("viewer")))), "built_in_role");
    assert_eq!(code(block(access.delete_role(&p("emperor")))), "unknown_role");
}

#[test]
fn a_role_that_somebody_has_is_not_deleted() {
    let access = Scene::begin().open();
    block(access.put_role(&p("auditor"), Permissions::of(&[Permission::ReadAudit]), None)).unwrap();
    block(access.create_user(&p("ann"), &[grant("auditor")])).unwrap();
    let error = block(access.delete_role(&p("auditor"))).unwrap_err();
    assert_eq!(error.to_string(), "the role `auditor` is in use by the user `ann`; remove it there first");
    block(access.remove(&p("ann"), &p("auditor"))).unwrap();
    block(access.delete_role(&p("auditor"))).unwrap();
}

#[test]
fn a_changed_role_changes_what_everybody_may_who_has_it() {
    let scene = Scene::begin();
    let (here, there) = (scene.open(), scene.open());
    block(here.put_role(&p("r"), Permissions::of(&[Permission::UseKeys]), None)).unwrap();
    let text = user_with_key(&here, "ann", &[grant("r")]);
    let may = |access, permission| present(access, &text).unwrap().allows(permission, &p("keys/a"));
    scene.wait();
    assert!(may(&there, Permission::UseKeys));
    block(here.put_role(&p("r"), Permissions::of(&[Permission::ManageKeys]), None)).unwrap();
    assert!(may(&here, Permission::ManageKeys) && !may(&here, Permission::UseKeys));
    scene.wait();
    assert!(may(&there, Permission::ManageKeys) && !may(&there, Permission::UseKeys));
}

#[test]
fn the_keys_of_a_deleted_user_are_nobodys() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[grant("admin")]);
    for _ in 0..100 {
        block(access.create_key(&p("ann"), &NewApiKey::default())).unwrap();
    }
    block(access.delete_user(&p("ann"))).unwrap();
    assert_eq!(signed_in(&access, &text), "revoked");
    let keys = block(access.keys(None)).unwrap();
    assert_eq!(keys.len(), 101);
    assert!(keys.iter().all(|key| key.revoked.as_ref().unwrap().reason == RevocationReason::OwnerLeft));
    // Somebody of the same name is somebody else.
    block(access.create_user(&p("ann"), &[grant("admin")])).unwrap();
    assert_eq!(signed_in(&access, &text), "revoked");
    assert_eq!(
        code(block(access.roll_key(SecretText::parse(&text).unwrap().id(), super::setting::HOUR))),
        "api_key_ended"
    );
}
