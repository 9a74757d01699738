//! Where paths lead.

use bulla_server::{Audit, Call, Endpoint, Kind, Mount, MountError, Table, TableError, Text};
use serde_json::json;

use super::setting::{BOX, TestDoor, app, ask, builder, request, send};

fn open(id: &'static str, path: &'static str) -> Endpoint {
    Endpoint::get(id, path).open_to_all().audit(Audit::Unrecorded).plain(|_| async { Ok(bulla_server::NoContent) })
}

#[tokio::test]
async fn a_literal_comes_before_a_parameter_and_that_before_a_tail() {
    let (app, _) = app().await;
    assert_eq!(ask(&app, "POST", "/v1/box/echo/fixed", "").await.json()["data"]["path"], json!([]));
    assert_eq!(ask(&app, "POST", "/v1/box/echo/other", "").await.json()["data"]["path"], json!(["other"]));
    assert_eq!(ask(&app, "PUT", "/v1/box/echo/fixed/7", "").await.json()["data"]["path"], json!(["fixed", "7"]));
    assert_eq!(ask(&app, "GET", "/v1/box/data/a/b/c", "").await.json()["data"]["path"], json!(["a/b/c"]));
}

#[tokio::test]
async fn a_literal_may_end_a_tail() {
    let said = |id, path| {
        Endpoint::get(id, path).open_to_all().audit(Audit::Unrecorded).plain(|call: Call| async move {
            Ok(Text("text/plain", format!("{} {}", call.endpoint().id(), call.param("path"))))
        })
    };
    let endpoints = [said("whole", "/v1/things/{path..}"), said("ended", "/v1/things/{path..}/end")];
    let app = builder(&TestDoor::default()).await.endpoints(endpoints).build().unwrap();
    let cases = [
        ("a", "whole a"),
        ("a/end", "ended a"),
        ("a/b/end", "ended a/b"),
        ("end", "whole end"),
        ("end/end", "ended end"),
        ("a/end/b", "whole a/end/b"),
    ];
    for (path, expected) in cases {
        assert_eq!(ask(&app, "GET", &format!("/v1/things/{path}"), "").await.text, expected);
    }
    assert_eq!(ask(&app, "GET", "/v1/things/a%2Fb/end", "").await.status, 404);
}

#[tokio::test]
async fn a_list_is_asked_for_in_two_ways_and_may_be_of_everything() {
    let (app, door) = app().await;
    for (method, path) in [
        ("LIST", "/v1/box/data"),
        ("LIST", "/v1/box/data/"),
        ("GET", "/v1/box/data?list=true"),
        ("GET", "/v1/box/data/?list=true"),
        ("LIST", "/v1/box/data/a/"),
        ("GET", "/v1/team/box/data/a/?list=1"),
    ] {
        assert_eq!(ask(&app, method, path, "").await.status, 200, "{method} {path}");
    }
    assert!(door.record.lock().unwrap().iter().all(|line| !line.starts_with("admit root GET")));
    // Reading has a name to read, and no name ends with a slash.
    assert_eq!(ask(&app, "GET", "/v1/box/data", "").await.status, 405);
    assert_eq!(ask(&app, "GET", "/v1/box/data/a/", "").await.status, 405);
}

#[tokio::test]
async fn a_path_is_decoded_once_and_refused_rather_than_cleaned() {
    let (app, door) = app().await;
    let path = |got: &super::setting::Got| got.json()["data"]["path"].clone();
    assert_eq!(path(&ask(&app, "POST", "/v1/box/echo/a%20b", "").await), json!(["a b"]));
    assert_eq!(path(&ask(&app, "POST", "/v1/box/echo/a%252Fb", "").await), json!(["a%2Fb"]));
    assert_eq!(path(&ask(&app, "POST", "/v1/box/echo/store%2Fdefault", "").await), json!(["store/default"]));
    for bad in [
        "/v1/box/echo/..",
        "/v1/box/echo/%2e%2e",
        "/v1/box/./echo/a",
        "/v1//box/echo/a",
        "/v1/box/echo/%00",
        "/v1/box/echo/a%0Ab",
        "/v1/box/echo/%zz",
        "/v1/box/echo/%",
        "/v1/box/echo/%f",
        "/v1/box/echo/%ff",
        "/v1/box/echo/%+1",
    ] {
        assert_eq!(ask(&app, "POST", bad, "").await.status, 400, "{bad}");
    }
    // In a tail a slash is a slash: one value has one path.
    assert_eq!(ask(&app, "GET", "/v1/box/data/a%2Fb", "").await.status, 404);
    // Resources of different paths have different names.
    let resources = door.record.lock().unwrap().join("\n");
    assert!(resources.contains("admit root POST box/echo/store%2Fdefault"), "{resources}");
    assert!(resources.contains("admit root POST box/echo/a%252Fb"), "{resources}");
}

#[tokio::test]
async fn an_endless_path_is_refused() {
    let (app, _) = app().await;
    assert_eq!(ask(&app, "GET", &format!("/v1/box/data/{}", "a".repeat(5000)), "").await.status, 414);
    assert_eq!(ask(&app, "GET", &format!("/v1/box/data{}", "/a".repeat(100)), "").await.status, 400);
}

#[tokio::test]
async fn an_unknown_path_is_404_and_another_method_405_with_what_is_allowed() {
    let (app, _) = app().await;
    for path in
        ["/", "/v1", "/v1/", "/v1/nothing", "/v1/box", "/v1/box/", "/v1/box/nothing", "/v2/box/echo/a", "/box/echo/a"]
    {
        let got = ask(&app, "GET", path, "").await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (404, "no_path"), "{path}");
    }
    let got = ask(&app, "DELETE", "/v1/box/data/a", "").await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(got.headers["allow"], "GET, HEAD, LIST, OPTIONS, POST, PUT");
    let got = ask(&app, "TRACE", "/v1/box/echo/a", "").await;
    assert_eq!((got.status.as_u16(), got.headers["allow"].to_str().unwrap()), (405, "OPTIONS, POST, PUT"));
}

#[tokio::test]
async fn options_says_what_is_allowed_and_head_is_get_without_the_body() {
    let (app, door) = app().await;
    let got = send(&app, request("OPTIONS", "/v1/box/echo/a", None, "")).await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (204, ""));
    assert_eq!(got.headers["allow"], "OPTIONS, POST, PUT");
    assert!(!got.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    assert!(door.record.lock().unwrap().is_empty());
    let got = ask(&app, "HEAD", "/v1/box/data/a", "").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (200, ""));
    assert_eq!(send(&app, request("HEAD", "/v1/box/data/a", None, "")).await.status, 403);
}

#[tokio::test]
async fn a_query_is_strict() {
    let (app, _) = app().await;
    assert_eq!(ask(&app, "GET", "/v1/box/data/a?version=1", "").await.status, 200);
    for bad in ["version=1&version=2", "versoin=1", "version=%zz", "list=perhaps", &"a&".repeat(6000)] {
        assert_eq!(ask(&app, "GET", &format!("/v1/box/data/a?{bad}"), "").await.status, 400, "{bad:.40}");
    }
    let got = ask(&app, "GET", "/v1/box/data/a?versoin=1", "").await;
    assert_eq!(got.error(), "versoin: unknown here");
}

#[tokio::test]
async fn mounts_come_and_go_while_requests_are_answered() {
    let (app, _) = app().await;
    assert_eq!(ask(&app, "GET", "/v1/new/box/data/a", "").await.status, 404);
    app.mount(Mount::new("new/box/", BOX).with_options(7_u8)).unwrap();
    assert_eq!(ask(&app, "GET", "/v1/new/box/data/a", "").await.status, 200);
    assert!(app.unmount("new/box"));
    assert!(!app.unmount("new/box"));
    assert_eq!(ask(&app, "GET", "/v1/new/box/data/a", "").await.status, 404);
}

#[tokio::test]
async fn nothing_is_mounted_over_something_else() {
    let (app, _) = app().await;
    for taken in ["box", "box/", "box/inner", "team", "hello", "hello/inner", "sys", "sys/inner"] {
        assert!(matches!(app.mount(Mount::new(taken, BOX)), Err(MountError::Taken { .. })), "{taken}");
    }
    app.mount(Mount::new("auth/box", BOX)).unwrap();
    for bad in ["", "/", "/box2", "a//b", "a/../b", ".hidden", "a b", "a%2Fb", "ä", &"a/".repeat(9), &"a".repeat(300)]
    {
        assert!(matches!(app.mount(Mount::new(bad, BOX)), Err(MountError::BadPath(_))), "{bad}");
    }
    assert_eq!(app.mount(Mount::new("fine", Kind("no such kind"))), Err(MountError::NoKind("no such kind")));
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let refused = |endpoints: Vec<Endpoint>| Table::new().add(endpoints).unwrap_err();
    assert_eq!(refused(vec![open("a", "/a"), open("a", "/b")]), TableError::SameId("a"));
    assert!(matches!(refused(vec![open("a", "/a/{x}"), open("b", "/a/{y}")]), TableError::SamePath { id: "b", .. }));
    for path in ["a", "/a//b", "/{", "/{}", "/{x", "/{x}/{x}", "/{x..}/a/b", "/{x..}/{y}", "/x{y}", "/{X}", "/a%20b"] {
        assert_eq!(refused(vec![open("a", path)]), TableError::BadPath { id: "a", path });
    }
    let mut table = Table::new();
    assert_eq!(table.add_kind(BOX, [open("a", "/a")]), Err(TableError::BadPath { id: "a", path: "/a" }));
}
