//! Cubbyholes: one for each token, gone with it.

use bulla_backend::Timestamp;
use bulla_server::TokenOwner;
use bulla_server::cubbyhole::{forget, list, owners, read, write};
use bulla_server::kv::{ListRequest, SecretJson};
use pollster::block_on;
use serde_json::json;

use super::door::{Door, KEY, READER, ROOT};
use super::ground::memory;

fn owner(id: &str) -> TokenOwner {
    TokenOwner { id: id.to_owned(), expires: None }
}

#[test]
fn nobody_else_sees_what_a_token_keeps() {
    let store = memory();
    let data = SecretJson::parse(r#"{"k":"v"}"#).unwrap();
    block_on(write(&store, &owner("one"), "a/b", &data)).unwrap();
    assert_eq!(block_on(read(&store, &owner("one"), "a/b")).unwrap(), data);
    for other in ["two", "", "one/a", "on"] {
        assert_eq!(block_on(read(&store, &owner(other), "a/b")).unwrap_err().status(), 404);
        assert_eq!(block_on(list(&store, &owner(other), "", &ListRequest::default())).unwrap_err().status(), 404);
    }
    assert_eq!(block_on(list(&store, &owner("one"), "", &ListRequest::default())).unwrap().keys, ["a/"]);
}

#[test]
fn a_cubbyhole_goes_with_its_token() {
    let store = memory();
    let data = SecretJson::parse(r#"{"k":"v"}"#).unwrap();
    for n in 0..70 {
        block_on(write(&store, &owner("one"), &format!("a/{n}"), &data)).unwrap();
    }
    block_on(write(&store, &owner("two"), "a", &data)).unwrap();
    assert_eq!(block_on(forget(&store, "one")).unwrap(), 70);
    assert_eq!(block_on(forget(&store, "one")).unwrap(), 0);
    assert_eq!(block_on(read(&store, &owner("one"), "a/1")).unwrap_err().status(), 404);
    assert_eq!(block_on(read(&store, &owner("two"), "a")).unwrap(), data);
    // Also if nobody revokes it.
    let expired = TokenOwner { id: "three".to_owned(), expires: Some(Timestamp(1)) };
    block_on(write(&store, &expired, "a", &data)).unwrap();
    assert_eq!(block_on(read(&store, &expired, "a")).unwrap_err().status(), 404);
}

#[test]
fn tokens_with_cubbyholes_are_listed_some_at_a_time() {
    let store = memory();
    assert!(block_on(owners(&store, None, 2)).unwrap().is_empty());
    let data = SecretJson::parse(r#"{"k":"v"}"#).unwrap();
    for token in 0..5 {
        for n in 0..40 {
            block_on(write(&store, &owner(&format!("t{token}")), &format!("b/{n}"), &data)).unwrap();
        }
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = block_on(owners(&store, after, 2)).unwrap();
        assert!(page.len() <= 2);
        after = page.last().cloned();
        seen.extend(page);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["t0", "t1", "t2", "t3", "t4"]);
}

#[test]
fn each_token_has_one_at_the_door_and_what_is_no_token_has_none() {
    let door = Door::new();
    let data = r#"{"k":"v"}"#;
    assert_eq!(door.send(READER, "POST", "cubbyhole/a/b", data).status, 204);
    assert_eq!(door.send(READER, "PUT", "cubbyhole/a/c", data).status, 204);
    let read = door.send(READER, "GET", "cubbyhole/a/b", "");
    assert_eq!((read.status, &read.json["data"]), (200, &json!({ "k": "v" })));
    assert_eq!(door.send(READER, "LIST", "cubbyhole/a", "").json["data"]["keys"], json!(["b", "c"]));
    assert_eq!(door.send(READER, "GET", "cubbyhole/?list=true", "").json["data"]["keys"], json!(["a/"]));
    for (method, target) in [("GET", "cubbyhole/a/b"), ("LIST", "cubbyhole/a"), ("LIST", "cubbyhole")] {
        assert_eq!(door.send(ROOT, method, target, "").status, 404, "{method} {target}");
    }
    assert_eq!(door.send(ROOT, "DELETE", "cubbyhole/a/b", "").status, 204);
    assert_eq!(door.send(READER, "GET", "cubbyhole/a/b", "").status, 200);
    assert_eq!(door.send(READER, "DELETE", "cubbyhole/a/b", "").status, 204);
    assert_eq!(door.send(READER, "GET", "cubbyhole/a/b", "").status, 404);
    assert_eq!(door.send("", "GET", "cubbyhole/a/c", "").status, 403);
    for (method, body) in [("GET", ""), ("POST", data), ("DELETE", ""), ("LIST", "")] {
        let refused = door.send(KEY, method, "cubbyhole/a", body);
        assert_eq!((refused.status, &refused.json["code"]), (403, &json!("no_token")), "{method}");
    }
}
