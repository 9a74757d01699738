//! No name is another in disguise.

use super::setting::World;

/// Names that look as if they were `a`, or led out of where they stand.
const DISGUISES: [&str; 22] = [
    "..",
    ".",
    "%2e%2e",
    "%2E.",
    "a%2F..%2Fb",
    "..%2Fa",
    "a%2Fb",
    "%2Fa",
    "a%2F",
    "a%5Cb",
    "a%00",
    "a%0A",
    "a%20",
    "%D0%B0",
    "%EF%BD%81",
    "a%CC%81",
    "a%E2%80%8B",
    "%C0%AE",
    "%252e%252e",
    "a%2e",
    "-a",
    "a%3B",
];

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_and_not_cleaned() {
    let world = World::new().await;
    let lead = world
        .user("lead", &[("admin", Some("users/a")), ("admin", Some("roles/a")), ("admin", Some("keys/transit/a"))])
        .await;
    world.user("a", &[]).await;
    world.user("b", &[]).await;
    let mut refused = 0;
    for name in DISGUISES {
        for (method, path) in [
            ("POST", "users/NAME"),
            ("GET", "users/NAME"),
            ("DELETE", "users/NAME"),
            ("POST", "users/NAME/keys"),
            ("POST", "users/NAME/roles"),
            ("PUT", "roles/NAME"),
            ("POST", "bindings/NAME"),
            ("POST", "auth/approle/role/NAME"),
            ("POST", "auth/approle/role/NAME/secret-id"),
            ("PUT", "sys/policies/acl/NAME"),
            ("GET", "keys/NAME"),
            ("POST", "transit/keys/NAME"),
            ("POST", "transit/encrypt/NAME"),
        ] {
            let path = path.replace("NAME", name);
            // Neither for somebody who may everything on `a`, nor for root is it one.
            let got = world.ask(Some(&lead), method, &path, "{}").await;
            assert!(matches!(got.status, 400 | 403 | 404), "{method} {path} {got:?}");
            let got = world.root(method, &path, "{}").await;
            assert!(matches!(got.status, 400 | 404 | 405), "{method} {path} {got:?}");
            refused += 2;
        }
    }
    // Upper and lower case are two names.
    for path in ["users/A", "users/b", "roles/A", "transit/keys/A"] {
        let got = world.ask(Some(&lead), "DELETE", path, "").await;
        got.refused(403, "permission_denied");
        refused += 1;
    }
    println!("{refused} requests were refused");
    assert_eq!(world.access().users().await.unwrap().len(), 3);
    world.ask(Some(&lead), "DELETE", "users/a", "").await.ok();
}
