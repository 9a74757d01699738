//! What strangers may send: refused with a status below 500, whole, and without a panic.

use bulla_server::kv::{self, MetadataPatch, SecretJson, VersionsRequest, WriteRequest};
use pollster::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::door::{Door, get, put};
use super::ground::{NOW, memory, mount, request};

#[test]
fn paths_that_are_none_are_refused_by_every_function() {
    let store = memory();
    let secret = mount(&store, "secret");
    let long = "a".repeat(1_000_000);
    let bad = [
        "",
        "/",
        "//",
        "/a",
        "a/",
        "a//b",
        "..",
        ".",
        "../a",
        "a/../b",
        "a/..",
        "a/.",
        "a\0b",
        "a\nb",
        "\u{7f}",
        "a\u{202e}b",
        "a\u{200b}",
        "\u{feff}a",
        "a\u{a0}b",
        long.as_str(),
    ];
    let (data, versions) = (request(&json!({}), None), VersionsRequest { versions: vec![1] });
    for path in bad {
        let statuses = block_on(async {
            [
                kv::read_data(&store, &secret, path, None, NOW).await.map(drop),
                kv::write_data(&store, &secret, path, &data, NOW).await.map(drop),
                kv::patch_data(&store, &secret, path, &data, NOW).await.map(drop),
                kv::delete_data(&store, &secret, path, NOW).await,
                kv::delete_versions(&store, &secret, path, &versions, NOW).await,
                kv::undelete_versions(&store, &secret, path, &versions, NOW).await,
                kv::destroy_versions(&store, &secret, path, &versions).await,
                kv::read_metadata(&store, &secret, path).await.map(drop),
                kv::write_metadata(&store, &secret, path, &kv::MetadataRequest::default(), NOW).await,
                kv::patch_metadata(&store, &secret, path, &MetadataPatch::default(), NOW).await,
                kv::delete_metadata(&store, &secret, path).await,
                kv::read_subkeys(&store, &secret, path, None, 0, NOW).await.map(drop),
            ]
            .map(|result| result.unwrap_err().status().as_u16())
        });
        assert_eq!(statuses, [400; 12], "{:?}", path.get(..20));
    }
    assert!(block_on(store.namespaces()).unwrap().is_empty());
}

#[test]
fn paths_that_look_alike_are_not_the_same() {
    let door = Door::new();
    for (n, path) in ["a", "A", "ä", "a%CC%88", "a%20", "..a", "a..", "..."].into_iter().enumerate() {
        assert_eq!(put(&door, &format!("secret/data/{path}"), &json!({ "n": n })).0, 200, "{path}");
    }
    for (n, path) in ["a", "A", "ä", "a%CC%88", "a%20", "..a", "a..", "..."].into_iter().enumerate() {
        assert_eq!(get(&door, &format!("secret/data/{path}")).1.unwrap()["data"]["n"], json!(n));
    }
}

#[test]
fn data_has_its_bounds() {
    let door = Door::new();
    let of_len = |len: usize| json!({ "k": "x".repeat(len - r#"{"k":""}"#.len()) });
    let write = |len| {
        let secret = mount(&door.store, "secret");
        let written = block_on(kv::write_data(&door.store, &secret, "a", &request(&of_len(len), None), NOW));
        written.map_or_else(|error| error.status().as_u16(), |_| 200)
    };
    assert_eq!((write(kv::MAX_SECRET_LEN), write(kv::MAX_SECRET_LEN + 1)), (200, 413));
    // A body has room for what is around the data, and no more.
    let body = |data: &Value| r#"{"data":}"#.len() + data.to_string().len();
    let fits = of_len(kv::MAX_SECRET_LEN - r#"{"data":}"#.len());
    assert_eq!((body(&fits), put(&door, "secret/data/b", &fits).0), (1 << 20, 200));
    assert_eq!(put(&door, "secret/data/b", &of_len(kv::MAX_SECRET_LEN)).0, 413);
    assert_eq!(door.ask("PATCH", "secret/data/a", &json!({ "data": { "more": 1 } })).0, 413);
    assert_eq!(get(&door, "secret/data/a").1.unwrap()["data"], of_len(kv::MAX_SECRET_LEN));
    let nested = |depth: usize| {
        let text = format!(r#"{{"data":{}1{}}}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
        serde_json::from_str::<WriteRequest>(&text).unwrap()
    };
    let write = |depth| {
        let secret = mount(&door.store, "secret");
        block_on(kv::write_data(&door.store, &secret, "deep", &nested(depth), NOW)).map(|written| written.version)
    };
    assert_eq!(write(kv::MAX_DEPTH).unwrap(), 1);
    for depth in [kv::MAX_DEPTH + 1, 100] {
        assert_eq!(write(depth).unwrap_err().status(), 400);
    }
    // A patch cannot make it deeper than it may be, nor does one that is as deep hurt.
    let secret = mount(&door.store, "secret");
    assert!(block_on(kv::patch_data(&door.store, &secret, "deep", &nested(kv::MAX_DEPTH), NOW)).is_ok());
    assert!(block_on(kv::read_subkeys(&door.store, &secret, "deep", None, 0, NOW)).is_ok());
}

#[test]
fn fields_that_nobody_knows_are_named() {
    let parse = |text: &str| serde_json::from_str::<WriteRequest>(text).unwrap_err().to_string();
    assert!(parse(r#"{"data":{},"other":1}"#).contains("`other`"));
    assert!(parse(r#"{"data":{},"options":{"cass":1}}"#).contains("`cass`"));
    assert!(
        serde_json::from_str::<MetadataPatch>(r#"{"maxversions":1}"#).unwrap_err().to_string().contains("maxversions")
    );
    let twice = r#"{"custom_metadata":{"a":"1","a":"2"}}"#;
    assert!(serde_json::from_str::<kv::MetadataRequest>(twice).is_err());
}

#[test]
fn no_message_shows_what_is_secret() {
    let hidden = "hunter2";
    let texts = [
        format!(r#"{{"data":"{hidden}"}}"#),
        format!(r#"{{"data":["{hidden}"]}}"#),
        format!(r#"{{"data":{{"k":"{hidden}"}},"options":{{"cas":"x"}}}}"#),
        format!(r#"{{"data":{{"k":"{hidden}",}}}}"#),
        format!(r#"{{"data":{{"k":"{hidden}"}}}}"#),
    ];
    let store = memory();
    let secret = mount(&store, "secret");
    for text in texts {
        let said = match serde_json::from_str::<WriteRequest>(&text) {
            Err(error) => error.to_string(),
            Ok(request) => {
                let written = block_on(kv::write_data(&store, &secret, "a", &request, NOW));
                format!("{request:?} {written:?} {:?}", block_on(kv::read_data(&store, &secret, "a", None, NOW)))
            }
        };
        assert!(!said.contains(hidden), "{said}");
    }
    let said = format!("{:?}", SecretJson::parse(hidden).unwrap_err());
    assert!(!said.contains(hidden), "{said}");
}

#[test]
fn long_lists_of_versions_are_refused() {
    let list = |n: usize| format!(r#"{{"versions":[{}]}}"#, vec!["1"; n].join(","));
    assert_eq!(serde_json::from_str::<VersionsRequest>(&list(1_000)).unwrap().versions.len(), 1_000);
    assert!(serde_json::from_str::<VersionsRequest>(&list(1_001)).is_err());
    let text = format!(r#"{{"versions":"{}"}}"#, "1,".repeat(1_001));
    assert!(serde_json::from_str::<VersionsRequest>(&text).is_err());
}

#[test]
fn functions_of_another_kind_of_mount_find_nothing() {
    let store = memory();
    let (secret, transit, cubby) = (mount(&store, "secret"), mount(&store, "transit"), mount(&store, "cubbyhole"));
    for mount in [&transit, &cubby] {
        assert_eq!(block_on(kv::read_data(&store, mount, "a", None, NOW)).unwrap_err().status(), 404);
        assert_eq!(block_on(kv::v1::read(&store, mount, "a")).unwrap_err().status(), 404);
    }
    assert_eq!(block_on(kv::v1::read(&store, &secret, "a")).unwrap_err().status(), 404);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_path_and_any_listing_is_answered(path in any::<String>(), after in any::<String>(), version in any::<Option<u64>>()) {
        let store = memory();
        let secret = mount(&store, "secret");
        let list = kv::ListRequest { after: Some(after), limit: None };
        let written = block_on(kv::write_data(&store, &secret, &path, &request(&json!({}), None), NOW));
        let read = block_on(kv::read_data(&store, &secret, &path, version, NOW));
        let listed = block_on(kv::list(&store, &secret, &path, &list));
        for error in [written.map(drop).err(), read.map(drop).err(), listed.map(drop).err()].into_iter().flatten() {
            prop_assert!(error.status().as_u16() < 500, "{:?}", error);
        }
    }
}
