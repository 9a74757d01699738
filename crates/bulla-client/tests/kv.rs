//! Secrets, on OpenBao.

use bulla_client::{ClientError, Expect, Kv};
use serde_json::json;

use crate::setting::Setting;

/// Reads a field of the newest version.
async fn field(kv: Kv<'_>, path: &str, name: &str) -> Option<String> {
    kv.read(path).await.unwrap().data.text(name).map(str::to_owned)
}

#[tokio::test]
async fn every_version_is_written_read_and_brought_back() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("kv", json!({ "version": "2" })).await);
    let kv = client.kv(&mount);

    let first = kv.put("shop/database", &json!({ "user": "ann", "password": "one" }), Expect::Nothing).await.unwrap();
    assert_eq!((first.version, first.state.destroyed), (1, false));
    let second = kv.put("shop/database", &json!({ "user": "ann", "password": "two" }), Expect::Version(1)).await;
    assert_eq!(second.unwrap().version, 2);
    for expect in [Expect::Nothing, Expect::Version(1)] {
        let refused = kv.put("shop/database", &json!({}), expect).await.unwrap_err();
        assert!(matches!(refused, ClientError::Conflict(_)), "{refused}");
        assert_eq!((refused.code(), refused.status().unwrap().as_u16()), ("conflict", 400));
    }

    let newest = kv.read("shop/database").await.unwrap();
    assert_eq!((newest.metadata.version, newest.data.text("password")), (2, Some("two")));
    assert!(!format!("{newest:?}").contains("two"), "{newest:?}");
    let older = kv.read_version("shop/database", 1).await.unwrap();
    assert_eq!((older.metadata.version, older.data.text("password")), (1, Some("one")));

    let patched = kv.patch("shop/database", &json!({ "password": "three", "user": null }), Expect::Version(2)).await;
    assert_eq!(patched.unwrap().version, 3);
    let newest = kv.read("shop/database").await.unwrap();
    assert_eq!(newest.data.expose().len(), 1);
    assert_eq!(newest.data.text("password"), Some("three"));
    let missing = kv.patch("shop/nothing", &json!({}), Expect::Anything).await.unwrap_err();
    assert!(matches!(missing, ClientError::NotFound(_)), "{missing}");

    kv.delete("shop/database").await.unwrap();
    let gone = kv.read("shop/database").await.unwrap_err();
    assert!(gone.to_string().ends_with("status 404, version 3 was deleted"), "{gone}");
    kv.undelete("shop/database", &[3]).await.unwrap();
    assert_eq!(field(kv, "shop/database", "password").await.as_deref(), Some("three"));
    kv.delete_versions("shop/database", &[1, 3]).await.unwrap();
    assert!(matches!(kv.read_version("shop/database", 1).await, Err(ClientError::NotFound(_))));
    kv.destroy("shop/database", &[1]).await.unwrap();
    let gone = kv.read_version("shop/database", 1).await.unwrap_err();
    assert!(gone.to_string().ends_with("version 1 was destroyed"), "{gone}");

    let metadata = kv.metadata("shop/database").await.unwrap();
    assert_eq!((metadata.current_version, metadata.versions.len()), (3, 3));
    assert!(metadata.versions[&1].destroyed && !metadata.versions[&2].destroyed);
    assert!(!metadata.versions[&3].deletion_time.is_empty());
    kv.delete_all("shop/database").await.unwrap();
    let gone = kv.read("shop/database").await.unwrap_err();
    assert_eq!(gone.to_string(), format!("GET {mount}/data/shop/database: status 404"));
}

#[tokio::test]
async fn names_of_any_letters_are_names() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("kv", json!({ "version": "2" })).await);
    let kv = client.kv(&mount);
    let names = ["plain", "two words", "ümläut/名", "a?version=2", "a#b", "50%", "a+b&c=d;e", "\"quoted\"", "-._~"];
    for name in names {
        kv.put(name, &json!({ "name": name }), Expect::Nothing).await.unwrap();
    }
    for name in names {
        assert_eq!(field(kv, name, "name").await.as_deref(), Some(name));
    }
    let mut listed = kv.list("").await.unwrap();
    let mut expected = names.map(|name| name.split_inclusive('/').next().unwrap_or_default().to_owned()).to_vec();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert_eq!(kv.list("ümläut").await.unwrap(), ["名"]);
    assert_eq!(kv.list("nothing").await.unwrap(), [""; 0]);
    for name in ["", "a//b", "../../sys/seal", "a/./b"] {
        assert!(matches!(kv.read(name).await, Err(ClientError::Path(_))), "{name:?}");
    }
    let nowhere = client.kv("no-such-mount").list("").await.unwrap_err();
    assert!(matches!(nowhere, ClientError::NotFound(_)), "{nowhere}");
}

#[tokio::test]
async fn secrets_without_versions_are_written_read_and_removed() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("kv", json!({ "version": "1" })).await);
    let kv = client.kv1(&mount);
    assert_eq!(kv.list("").await.unwrap(), [""; 0]);
    kv.write("shop/database", &json!({ "password": "one", "port": 5432, "tags": ["a"] })).await.unwrap();
    kv.write("shop/database", &json!({ "password": "two", "port": 5433 })).await.unwrap();
    let secret = kv.read("shop/database").await.unwrap();
    assert_eq!((secret.text("password"), secret.text("port")), (Some("two"), None));
    assert_eq!(secret.expose()["port"], 5433);
    assert_eq!(kv.list("").await.unwrap(), ["shop/"]);
    assert_eq!(kv.list("shop").await.unwrap(), ["database"]);
    kv.delete("shop/database").await.unwrap();
    assert!(matches!(kv.read("shop/database").await, Err(ClientError::NotFound(_))));
}

#[tokio::test]
async fn a_megabyte_goes_both_ways() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("kv", json!({ "version": "2" })).await);
    let text = "0123456789abcdef".repeat(32_768);
    client.kv(&mount).put("large", &json!({ "text": text }), Expect::Nothing).await.unwrap();
    assert_eq!(field(client.kv(&mount), "large", "text").await, Some(text));
    let small = crate::setting::root(&setting.url()).max_answer(100_000).build().unwrap();
    let refused = small.kv(&mount).read("large").await.unwrap_err();
    assert!(matches!(refused, ClientError::Answer { .. }), "{refused}");
    assert!(refused.to_string().ends_with("it is longer than 100000 bytes"), "{refused}");
}
