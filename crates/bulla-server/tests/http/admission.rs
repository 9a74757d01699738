//! Nobody gets past the door.

use bulla_server::Requires;

use super::setting::{LOOKER, ROOT, app, ask, request, send};

#[tokio::test]
async fn every_endpoint_asks_the_door_first() {
    let (app, door) = app().await;
    for endpoint in app.table().endpoints() {
        for path in endpoint.paths() {
            let path = if endpoint.kind().is_some() { format!("/v1/box/{path}") } else { (*path).to_owned() };
            let path = path.replace("{path..}", "a").replace(['{', '}'], "");
            for verb in endpoint.verbs() {
                door.record.lock().unwrap().clear();
                for token in [None, Some(""), Some("wrong"), Some("token-of-roo"), Some("token-of-root2")] {
                    let got = send(&app, request(verb.name(), &path, token, "{}")).await;
                    let is_open = endpoint.requires() == Requires::Nothing;
                    assert_eq!(got.status.as_u16() == 403, !is_open, "{verb} {path} {token:?}");
                    assert_eq!(door.record.lock().unwrap().is_empty(), !is_open);
                }
                ask(&app, verb.name(), &path, "{}").await;
                let record = door.record.lock().unwrap().clone();
                assert!(record.iter().any(|line| line.starts_with("admit root")), "{record:?}");
                assert!(record.iter().any(|line| line.starts_with("begin")), "{record:?}");
                assert!(record.last().unwrap().starts_with("finish"), "{record:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_permission_lets_in_to_what_needs_it_only() {
    let (app, _) = app().await;
    let looks = |method, path| send(&app, request(method, path, Some(LOOKER), "{}"));
    assert_eq!(looks("GET", "/v1/box/data/a").await.status, 200);
    assert_eq!(looks("POST", "/v1/box/data/a").await.status, 403);
    assert_eq!(looks("POST", "/v1/box/echo/a").await.status, 403);
}

#[tokio::test]
async fn a_body_is_not_read_before_its_sender_is_let_in() {
    let (app, door) = app().await;
    let got = send(&app, request("POST", "/v1/box/data/a", Some("wrong"), "no JSON")).await;
    assert_eq!(got.status, 403);
    // What is not well formed is not begun, and ends as a failure.
    assert_eq!(ask(&app, "POST", "/v1/box/data/a", "no JSON").await.status, 400);
    assert_eq!(*door.record.lock().unwrap(), ["admit root POST box/data/a", "finish box/data/a 400"]);
}

#[tokio::test]
async fn a_credential_is_read_from_either_header_and_from_one_only() {
    let (app, _) = app().await;
    let with = |headers: &[(&'static str, String)]| {
        let mut asked = request("GET", "/v1/box/data/a", None, "");
        for (name, value) in headers {
            asked.headers_mut().append(*name, value.parse().unwrap());
        }
        send(&app, asked)
    };
    let root = || ROOT.to_owned();
    let bearer = |scheme: &str| ("authorization", format!("{scheme} {ROOT}"));
    assert_eq!(with(&[("x-vault-token", root())]).await.status, 200);
    assert_eq!(with(&[bearer("Bearer")]).await.status, 200);
    assert_eq!(with(&[bearer("bearer")]).await.status, 200);
    assert_eq!(with(&[bearer("Basic")]).await.status, 400);
    assert_eq!(with(&[("x-vault-token", root()), bearer("Bearer")]).await.status, 400);
    assert_eq!(with(&[("x-vault-token", root()), ("x-vault-token", root())]).await.status, 400);
    assert_eq!(with(&[("authorization", root())]).await.status, 400);
    assert_eq!(with(&[("authorization", "Bearer".to_owned())]).await.status, 403);
}
