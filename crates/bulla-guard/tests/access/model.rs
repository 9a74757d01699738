//! Any run of changes, asked the same as a plain model of it.

use std::collections::{BTreeMap, BTreeSet};

use bulla_guard::access::{
    Access, NewApiKey, Pattern, Permission, Permissions, Resource, RevocationReason, RoleGrant, RoleName, SecretText,
};
use proptest::prelude::*;

use super::setting::{Scene, block, code, p, present};

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const ROLES: [&str; 5] = ["viewer", "user", "admin", "first", "second"];
const PATTERNS: [&str; 4] = ["keys/*", "keys/orders-*", "store/**", "**"];
const RESOURCES: [&str; 5] = ["keys/orders-1", "keys/x", "store/a/b", "store", "system"];
const ASKED: [Permission; 5] = [
    Permission::ViewMetrics,
    Permission::UseKeys,
    Permission::ReadStore,
    Permission::AdminSystem,
    Permission::ReadAudit,
];

#[derive(Debug, Clone)]
enum Step {
    CreateUser(usize),
    DeleteUser(usize),
    Assign(usize, usize, Option<usize>),
    Remove(usize, usize),
    PutRole(usize, u64),
    DeleteRole(usize),
    CreateKey {
        user: usize,
        role: Option<usize>,
        permissions: Option<u64>,
        pattern: Option<usize>,
    },
    Revoke(usize),
    Roll(usize),
    /// Another process goes on.
    Change,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (user, role) = (0..USERS.len(), 0..ROLES.len());
    let pattern = prop::option::of(0..PATTERNS.len());
    let step = prop_oneof![
        3 => user.clone().prop_map(Step::CreateUser),
        1 => user.clone().prop_map(Step::DeleteUser),
        4 => (user.clone(), role.clone(), pattern.clone()).prop_map(|(user, role, pattern)| Step::Assign(user, role, pattern)),
        1 => (user.clone(), role.clone()).prop_map(|(user, role)| Step::Remove(user, role)),
        2 => (role.clone(), any::<u64>()).prop_map(|(role, bits)| Step::PutRole(role, bits)),
        1 => role.clone().prop_map(Step::DeleteRole),
        4 => (user, prop::option::of(role), prop::option::of(any::<u64>()), pattern)
            .prop_map(|(user, role, permissions, pattern)| Step::CreateKey { user, role, permissions, pattern }),
        1 => (0..8_usize).prop_map(Step::Revoke),
        1 => (0..8_usize).prop_map(Step::Roll),
        1 => Just(Step::Change),
    ];
    prop::collection::vec(step, 1..30)
}

/// A role, and the pattern that it is good for.
type ModelGrants = BTreeSet<(usize, Option<usize>)>;

/// Everything, as plainly as can be.
#[derive(Debug, Default)]
struct Model {
    /// Each user with which of that name it is, and their grants.
    users: BTreeMap<usize, (usize, ModelGrants)>,
    created: usize,
    roles: BTreeMap<usize, BTreeSet<Permission>>,
    keys: Vec<ModelKey>,
}

#[derive(Debug, Clone)]
struct ModelKey {
    text: String,
    user: usize,
    owner: usize,
    role: Option<usize>,
    permissions: Option<BTreeSet<Permission>>,
    pattern: Option<usize>,
    is_revoked: bool,
    has_successor: bool,
}

fn set(bits: u64) -> BTreeSet<Permission> {
    Permission::ALL.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, one)| *one).collect()
}

fn built_in(role: usize) -> Option<BTreeSet<Permission>> {
    use Permission::{
        CallObjects, ReadQueries, ReadSecrets, ReadStore, UseKeys, ViewMetrics, WriteQueries, WriteStore,
    };
    let viewer = BTreeSet::from([ReadQueries, ViewMetrics, ReadStore]);
    match ROLES[role] {
        "viewer" => Some(viewer),
        "user" => Some(&viewer | &BTreeSet::from([WriteQueries, UseKeys, WriteStore, CallObjects, ReadSecrets])),
        "admin" => Some(Permission::ALL.iter().copied().collect()),
        _ => None,
    }
}

impl Model {
    fn role(&self, role: usize) -> Option<BTreeSet<Permission>> {
        built_in(role).or_else(|| self.roles.get(&role).cloned())
    }

    fn allows(&self, key: &ModelKey, permission: Permission, resource: &Resource) -> bool {
        let matches =
            |pattern: Option<usize>| pattern.is_none_or(|pattern| p::<Pattern>(PATTERNS[pattern]).matches(resource));
        let Some((_, grants)) = self.users.get(&key.user) else { return false };
        matches(key.pattern)
            && key.permissions.as_ref().is_none_or(|permissions| permissions.contains(&permission))
            && grants.iter().any(|(role, pattern)| {
                key.role.is_none_or(|only| only == *role)
                    && matches(*pattern)
                    && self.role(*role).is_some_and(|permissions| permissions.contains(&permission))
            })
    }

    fn is_good(&self, key: &ModelKey) -> bool {
        !key.is_revoked && self.users.get(&key.user).is_some_and(|(owner, _)| *owner == key.owner)
    }
}

fn permissions(set: &BTreeSet<Permission>) -> Permissions {
    set.iter().copied().collect()
}

/// Takes one step in both, and compares what is said of it.
fn take(model: &mut Model, access: &Access, step: &Step) {
    match step {
        Step::CreateUser(user) => {
            let said = code(block(access.create_user(&p(USERS[*user]), &[])));
            if model.users.contains_key(user) {
                assert_eq!(said, "user_exists");
            } else {
                model.created += 1;
                model.users.insert(*user, (model.created, BTreeSet::new()));
                assert_eq!(said, "ok");
            }
        }
        Step::DeleteUser(user) => {
            let said = code(block(access.delete_user(&p(USERS[*user]))));
            assert_eq!(said, if model.users.remove(user).is_some() { "ok" } else { "unknown_user" });
        }
        Step::Assign(user, role, pattern) => {
            let grant = RoleGrant { role: p(ROLES[*role]), pattern: pattern.map(|pattern| p(PATTERNS[pattern])) };
            let said = code(block(access.assign(&p(USERS[*user]), &grant)));
            let exists = model.role(*role).is_some();
            match model.users.get_mut(user) {
                None => assert_eq!(said, "unknown_user"),
                Some(_) if !exists => assert_eq!(said, "unknown_role"),
                Some((_, grants)) => {
                    grants.insert((*role, *pattern));
                    assert_eq!(said, "ok");
                }
            }
        }
        Step::Remove(user, role) => {
            let said = code(block(access.remove(&p(USERS[*user]), &p(ROLES[*role]))));
            match model.users.get_mut(user) {
                None => assert_eq!(said, "unknown_user"),
                Some((_, grants)) => {
                    grants.retain(|(known, _)| known != role);
                    assert_eq!(said, "ok");
                }
            }
        }
        Step::PutRole(role, bits) => {
            let said = code(block(access.put_role(&p(ROLES[*role]), permissions(&set(*bits)), None)));
            if built_in(*role).is_some() {
                assert_eq!(said, "built_in_role");
            } else {
                model.roles.insert(*role, set(*bits));
                assert_eq!(said, "ok");
            }
        }
        Step::DeleteRole(role) => {
            let said = code(block(access.delete_role(&p(ROLES[*role]))));
            let has_holder = model.users.values().any(|(_, grants)| grants.iter().any(|(known, _)| known == role));
            if built_in(*role).is_some() {
                assert_eq!(said, "built_in_role");
            } else if !model.roles.contains_key(role) {
                assert_eq!(said, "unknown_role");
            } else if has_holder {
                assert_eq!(said, "role_in_use");
            } else {
                model.roles.remove(role);
                assert_eq!(said, "ok");
            }
        }
        Step::CreateKey { user, role, permissions: narrower, pattern } => {
            let narrower = narrower.map(set);
            let new = NewApiKey {
                roles: role.map(|role| vec![p::<RoleName>(ROLES[role])]),
                permissions: narrower.as_ref().map(permissions),
                pattern: pattern.map(|pattern| p(PATTERNS[pattern])),
                ..NewApiKey::default()
            };
            let issued = block(access.create_key(&p(USERS[*user]), &new));
            match model.users.get(user) {
                None => assert_eq!(code(issued), "unknown_user"),
                Some((_, grants)) if role.is_some_and(|role| !grants.iter().any(|(known, _)| *known == role)) => {
                    assert_eq!(code(issued), "unknown_role");
                }
                Some((owner, _)) => model.keys.push(ModelKey {
                    text: issued.unwrap().secret.expose().to_owned(),
                    user: *user,
                    owner: *owner,
                    role: *role,
                    permissions: narrower,
                    pattern: *pattern,
                    is_revoked: false,
                    has_successor: false,
                }),
            }
        }
        Step::Revoke(number) => {
            let Some(key) = model.keys.get_mut(*number) else { return };
            let id = SecretText::parse(&key.text).unwrap().id();
            block(access.revoke_key(id, RevocationReason::Manual, "")).unwrap();
            key.is_revoked = true;
        }
        Step::Roll(number) => {
            let Some(key) = model.keys.get(*number).cloned() else { return };
            let id = SecretText::parse(&key.text).unwrap().id();
            let rolled = block(access.roll_key(id, super::setting::DAY));
            if !model.is_good(&key) || key.has_successor {
                assert_eq!(code(rolled), "api_key_ended");
            } else {
                model.keys[*number].has_successor = true;
                model.keys.push(ModelKey { text: rolled.unwrap().secret.expose().to_owned(), ..key });
            }
        }
        Step::Change => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_decides_as_the_model_does(steps in steps()) {
        let scene = Scene::begin();
        let processes = [scene.open(), scene.open()];
        let mut model = Model::default();
        let mut at = 0;
        for step in &steps {
            if matches!(step, Step::Change) {
                at = 1 - at;
            }
            take(&mut model, &processes[at], step);
        }
        scene.wait();
        for access in &processes {
            for key in &model.keys {
                let principal = present(access, &key.text);
                prop_assert_eq!(principal.is_ok(), model.is_good(key), "{:?}", key);
                let Ok(principal) = principal else { continue };
                for (resource, permission) in RESOURCES.iter().flat_map(|name| ASKED.iter().map(move |one| (name, one))) {
                    let resource = p(resource);
                    let expected = model.allows(key, *permission, &resource);
                    prop_assert_eq!(principal.allows(*permission, &resource), expected, "{} {} {:?}", permission, resource, key);
                }
            }
        }
    }
}
