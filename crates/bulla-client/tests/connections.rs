//! Ways to a server, on OpenBao.

use std::path::PathBuf;
use std::sync::Arc;

use bulla_client::{Client, ClientError, Expect};
use serde_json::json;

use crate::openbao::free_port;
use crate::setting::{Setting, root};

#[tokio::test]
async fn tls_is_spoken_with_who_has_a_certificate_for_the_name() {
    let setting = Setting::shared();
    let url = format!("https://localhost:{}", setting.tls_port);
    let client = root(&url).ca_file(setting.path("ca.pem")).build().unwrap();
    assert!(client.token().lookup_self().await.unwrap().policies.contains(&"root".to_owned()));

    let attempt = async |url: &str, authority: &str| {
        let client = root(url).ca_file(setting.path(authority)).build().unwrap();
        client.sys().health().await.unwrap_err()
    };
    for refused in [
        attempt(&url, "other.pem").await,
        // The certificate is for another name.
        attempt(&format!("https://127.0.0.1:{}", setting.tls_port), "ca.pem").await,
        // No TLS is spoken there.
        attempt(&setting.url().replace("http:", "https:"), "ca.pem").await,
    ] {
        assert!(matches!(refused, ClientError::Tls { .. }), "{refused}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("authority")));
    }
    let plain = root(&url.replace("https:", "http:")).build().unwrap().sys().health().await.unwrap_err();
    assert!(matches!(plain, ClientError::Invalid(_)), "{plain}");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let setting = Setting::shared();
    let url = format!("https://localhost:{}", setting.mutual_port);
    let builder = root(&url).ca_file(setting.path("ca.pem"));
    let shown = builder.clone().client_certificate(setting.path("client.pem"), setting.path("client.key"));
    assert!(shown.build().unwrap().sys().health().await.unwrap().initialized);
    let refused = builder.build().unwrap().sys().health().await.unwrap_err();
    // What the server says of it comes behind the handshake, and is lost if the request crosses it. What is missing is told in either case.
    assert!(matches!(refused, ClientError::Tls { .. } | ClientError::Broken { .. }), "{refused}");
    assert!(refused.to_string().to_lowercase().contains("certificate"), "{refused}");
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_a_way() {
    let setting = Setting::shared();
    let client = root(&format!("unix:{}", setting.path("socket").display())).build().unwrap();
    assert!(client.token().lookup_self().await.is_ok());
    let client = root(&format!("unix:{}", setting.path("none").display())).build().unwrap();
    let refused = client.sys().health().await.unwrap_err();
    assert!(matches!(refused, ClientError::Unreachable { .. }), "{refused}");
    assert!(refused.to_string().contains("/none: "), "{refused}");
}

#[tokio::test]
async fn where_nobody_listens_nobody_answers() {
    for url in [format!("http://127.0.0.1:{}", free_port()), format!("http://localhost:{}", free_port())] {
        let refused = root(&url).build().unwrap().sys().health().await.unwrap_err();
        assert!(matches!(refused, ClientError::Unreachable { .. }), "{refused}");
        assert!(refused.to_string().contains(&url), "{refused}");
    }
}

#[tokio::test]
async fn many_requests_share_few_connections() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("kv", json!({ "version": "2" })).await);
    client.kv(&mount).put("a", &json!({ "b": "c" }), Expect::Nothing).await.unwrap();
    for url in [setting.url(), format!("https://localhost:{}", setting.tls_port)] {
        let client = root(&url).ca_file(setting.path("ca.pem")).build().unwrap();
        let mount: Arc<str> = mount.as_str().into();
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let (client, mount) = (client.clone(), Arc::clone(&mount));
                tokio::spawn(async move { client.kv(&mount).read("a").await.unwrap().metadata.version })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 1);
        }
    }
}

#[test]
fn a_client_that_cannot_be_is_not_made() {
    let setting = Setting::shared();
    let build = |url: &str| Client::builder(url).unwrap();
    for url in ["http://vault.example.org:8200", "http://10.1.2.3"] {
        let refused = build(url).build().unwrap_err();
        assert!(matches!(&refused, ClientError::Plaintext { server } if server == url), "{refused}");
        assert!(build(url).danger_allow_plaintext().build().is_ok());
    }
    let secure = || build("https://localhost").ca_file(setting.path("ca.pem"));
    assert!(secure().build().is_ok());
    let refused = secure().follow_to("http://vault.example.org").unwrap().build().unwrap_err();
    assert!(matches!(refused, ClientError::Plaintext { .. }), "{refused}");
    assert!(matches!(secure().follow_to("unix:/x"), Err(ClientError::Url(_))));
    assert!(matches!(secure().namespace("a\nb").build(), Err(ClientError::Path(_))));

    let failed = |authority: PathBuf, certificate: &str, key: &str| {
        let builder = build("https://localhost").ca_file(authority);
        builder.client_certificate(setting.path(certificate), setting.path(key)).build().unwrap_err()
    };
    let authority = || setting.path("ca.pem");
    let missing = failed(setting.path("none.pem"), "client.pem", "client.key");
    assert!(matches!(missing, ClientError::File { .. }), "{missing}");
    let no_key = failed(authority(), "client.pem", "client.pem");
    assert!(matches!(no_key, ClientError::Exposed { .. }), "{no_key}");
    let no_certificate = failed(authority(), "client.key", "client.key");
    assert!(matches!(no_certificate, ClientError::Pem { what: "certificate", .. }), "{no_certificate}");
    let unfit = failed(authority(), "client.pem", "server.key");
    assert!(matches!(unfit, ClientError::Unfit(_)), "{unfit}");
}
