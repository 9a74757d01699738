//! Tokens and logins, on OpenBao.

use std::time::Duration;

use bulla_client::{ClientError, Method, Token};
use serde_json::json;

use crate::openbao::write_private;
use crate::setting::{Setting, fresh, token};

#[tokio::test]
async fn a_token_is_looked_up_renewed_and_revoked() {
    let setting = Setting::shared();
    let root = setting.root();
    let known = root.token().lookup_self().await.unwrap();
    assert_eq!((known.policies, known.ttl, known.expire_time), (vec!["root".to_owned()], Duration::ZERO, None));

    let body = json!({ "ttl": "1h", "policies": ["default"], "display_name": "short" });
    let made = root.request(Method::POST, "auth/token/create", Some(&body)).await.unwrap();
    let text = made["auth"]["client_token"].as_str().unwrap();
    let client = root.with_token(token(text));
    let known = client.token().lookup_self().await.unwrap();
    assert_eq!((&*known.display_name, known.renewable), ("token-short", true));
    assert!(known.ttl > Duration::from_secs(3_500) && known.expire_time.is_some());
    let lease = client.token().renew_self(Some(Duration::from_secs(7_200))).await.unwrap();
    assert_eq!((lease.duration, lease.renewable), (Duration::from_secs(7_200), true));
    assert!(client.token().renew_self(None).await.unwrap().duration > Duration::from_secs(3_500));

    let refused = client.request(Method::GET, "sys/mounts", None).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Refused(said) if said.status().as_u16() == 403), "{refused}");
    assert!(refused.to_string().contains("permission denied") && refused.hint().is_some(), "{refused}");
    client.token().revoke_self().await.unwrap();
    assert!(matches!(client.token().lookup_self().await, Err(ClientError::Refused(_))));
}

#[tokio::test]
async fn a_program_logs_in_and_its_secret_is_in_no_message() {
    let setting = Setting::shared();
    let (root, mount) = (setting.root(), fresh("approle"));
    let ask = async |method, path: String, body| root.request(method, &path, Some(&body)).await.unwrap();
    ask(Method::POST, format!("sys/auth/{mount}"), json!({ "type": "approle" })).await;
    let role = format!("auth/{mount}/role/shop");
    ask(Method::POST, role.clone(), json!({ "token_policies": ["default"], "token_ttl": "30m" })).await;
    let role_id = root.request(Method::GET, &format!("{role}/role-id"), None).await.unwrap();
    let role_id = role_id["data"]["role_id"].as_str().unwrap();
    let secret_id = ask(Method::POST, format!("{role}/secret-id"), json!({})).await;
    let secret_id = secret_id["data"]["secret_id"].as_str().unwrap();

    let anonymous = bulla_client::Client::builder(&setting.url()).unwrap().build().unwrap();
    let login = anonymous.approle(&mount).login(role_id, secret_id).await.unwrap();
    assert_eq!((login.duration, login.renewable), (Duration::from_secs(1_800), true));
    assert!(!format!("{login:?}").contains(login.token.expose()), "{login:?}");
    let client = anonymous.with_token(login.token);
    assert_eq!(client.token().lookup_self().await.unwrap().path, format!("auth/{mount}/login"));

    let refused = anonymous.approle(&mount).login(role_id, "no-such-secret").await.unwrap_err();
    assert!(matches!(refused, ClientError::Invalid(_)), "{refused}");
    assert!(!refused.to_string().contains("no-such-secret"), "{refused}");
    let refused = anonymous.token().lookup_self().await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "{refused}");
}

#[test]
fn a_token_comes_from_a_file_that_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = write_private(&folder.path().join("token"), "s.from-file\n");
    assert_eq!(Token::from_file(&path).unwrap().expose(), "s.from-file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Token::from_file(&path).unwrap_err();
    assert!(matches!(refused, ClientError::Exposed { mode: 0o644, .. }), "{refused}");
    for (text, reason) in [("", "empty"), ("\n", "empty"), ("two words", "character"), ("a\rb", "character")] {
        let refused = Token::from_file(write_private(&path, text)).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    let refused = Token::from_file(write_private(&path, &"x".repeat(20_000))).unwrap_err();
    assert!(matches!(refused, ClientError::File { .. }), "{refused}");
    assert!(matches!(Token::from_file(folder.path()), Err(ClientError::File { .. })));
    assert!(matches!(Token::from_file(folder.path().join("none")), Err(ClientError::File { .. })));
}
