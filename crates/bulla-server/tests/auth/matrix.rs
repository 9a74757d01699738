//! Who gets in where: for every endpoint of the table, whichever there are.

use bulla_guard::access::{Permission, Permissions, RoleGrant};
use bulla_server::{Capability, Endpoint, Requires, Verb};

use super::setting::{World, p};

/// A body that no endpoint takes, so that whoever is let in does nothing.
const NOTHING: &str = r#"{"no such field": 0}"#;

/// Returns the paths of an endpoint below `/v1/`, with something in each place, and at every mount of its kind.
fn paths(world: &World, endpoint: &Endpoint) -> Vec<String> {
    let mut paths = Vec::new();
    for path in endpoint.paths() {
        let mut filled = String::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            filled += "/";
            filled += segment.strip_prefix('{').map_or(segment, |name| name.trim_end_matches(['.', '}']));
        }
        match endpoint.kind() {
            None => paths.push(filled.strip_prefix("/v1/").unwrap_or(&filled).to_owned()),
            Some(kind) => {
                let mounts = world.app.mounts();
                let of_kind = mounts.iter().filter(|mount| mount.kind() == kind);
                paths.extend(of_kind.map(|mount| format!("{}{filled}", mount.path())));
            }
        }
    }
    // What is not below `/v1/` is for probes.
    paths.retain(|path| !path.starts_with('/'));
    paths
}

/// Says whether somebody gets past the door.
async fn gets_in(world: &World, credential: Option<&str>, verb: Verb, path: &str) -> bool {
    let got = world.ask(credential, verb.name(), path, NOTHING).await;
    assert!(got.status >= 400 || got.status == 200, "{verb} {path} {got:?}");
    assert_ne!(got.status, 429, "{verb} {path} {got:?}");
    !(got.status == 403 && matches!(got.at("/code").as_str(), Some("permission_denied" | "no_credential")))
}

#[tokio::test]
async fn a_role_gets_in_exactly_where_it_has_the_permission() {
    let world = World::new().await;
    let mut callers = Vec::new();
    for role in world.access().roles().await.unwrap() {
        let grants = [(role.name.as_str(), None)];
        let credential = world.user(&format!("u-{}", role.name), &grants).await;
        callers.push((role.name.to_string(), Some(credential), role.permissions, true));
        // The same role for something else is none here.
        let elsewhere = [(role.name.as_str(), Some("elsewhere/**"))];
        let credential = world.user(&format!("e-{}", role.name), &elsewhere).await;
        callers.push((format!("{} elsewhere", role.name), Some(credential), Permissions::NONE, true));
    }
    // One for each permission, which has that one alone.
    for permission in Permission::ALL {
        let name = permission.name().replace(':', "-");
        world.role(&name, &[permission.name()]).await;
        let credential = world.user(&name, &[(&name, None)]).await;
        callers.push((name, Some(credential), Permissions::of(&[*permission]), true));
    }
    callers.push(("nobody".to_owned(), None, Permissions::NONE, false));
    let (mut asked, mut let_in) = (0, 0);
    for endpoint in world.app.table().endpoints() {
        for path in paths(&world, endpoint) {
            for verb in endpoint.verbs() {
                for (name, credential, permissions, is_known) in &callers {
                    let expected = match endpoint.requires() {
                        Requires::Nothing => true,
                        Requires::Credential => *is_known,
                        Requires::Permission(permission, _) => permissions.contains(p(permission)),
                    };
                    let found = gets_in(&world, credential.as_deref(), *verb, &path).await;
                    assert_eq!(found, expected, "{name}: {verb} {path} ({})", endpoint.id());
                    asked += 1;
                    let_in += usize::from(found);
                }
            }
        }
    }
    println!(
        "{} endpoints, {} callers: {asked} requests, {let_in} let in",
        world.app.table().endpoints().count(),
        callers.len()
    );
    assert!(asked > 1_000 && let_in > 100);
}

#[tokio::test]
async fn a_policy_lets_in_to_the_path_and_capability_that_it_names() {
    let world = World::new().await;
    let mut asked = 0;
    for (number, endpoint) in world.app.table().endpoints().enumerate() {
        let Requires::Permission(_, capability) = endpoint.requires() else { continue };
        let verb = endpoint.verbs()[0];
        for (index, path) in paths(&world, endpoint).iter().enumerate() {
            let slash = if verb == Verb::List { "/" } else { "" };
            let all = ["create", "read", "update", "delete", "list", "sudo", "patch"];
            // What is written may be made or changed; else one capability is as good as no other.
            let writes = capability == Capability::Write;
            let good = if writes { "create" } else { capability.name() };
            let is_good = |name: &&str| *name == good || (writes && *name == "update");
            let others: Vec<String> =
                all.iter().filter(|name| !is_good(name)).map(|name| format!("\"{name}\"")).collect();
            let rule = |path: &str, names: &str| format!("path \"{path}\" {{ capabilities = [{names}] }}");
            let right = rule(&format!("{path}{slash}"), &format!("\"{good}\""));
            let wrong = rule(&format!("{path}{slash}"), &others.join(", "));
            let beside = rule(&format!("{path}/x*"), &format!("\"{good}\""));
            for (name, text, expected) in [("right", right, true), ("wrong", wrong, false), ("beside", beside, false)] {
                let token = world.token(&format!("p-{number}-{index}-{name}"), &text).await;
                let found = gets_in(&world, Some(&token), verb, path).await;
                assert_eq!(found, expected, "{verb} {path} ({}): {text}", endpoint.id());
                asked += 1;
            }
        }
    }
    println!("{asked} requests by policy");
    assert!(asked > 200);
}

#[tokio::test]
async fn every_endpoint_requires_what_there_is_and_can_be_granted_by_name() {
    let world = World::new().await;
    for endpoint in world.app.table().endpoints() {
        let Requires::Permission(permission, _) = endpoint.requires() else { continue };
        assert!(permission.parse::<Permission>().is_ok(), "{}: {permission}", endpoint.id());
        let object = endpoint.object().replace("{mount}", "m").replace(['{', '}'], "").replace("..", "");
        if !object.is_empty() {
            let grant = RoleGrant::within(p("admin"), p(&object));
            assert!(grant.pattern.is_some(), "{}", endpoint.id());
        }
    }
}
