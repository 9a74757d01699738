//! Policies, by the rules of Vault.

use std::time::Duration;

use bulla_guard::access::{
    Access, Capabilities, Capability, NewToken, ParameterValue, PathRequest, Policy, PolicyError, Principal,
    RequestPath,
};
use proptest::prelude::*;

use super::setting::{Scene, block, code, p, present};

/// Somebody who has some policies and nothing else.
fn with(access: &Access, texts: &[&str]) -> Principal {
    let root = present(access, block(access.create_root_token()).unwrap().secret.expose()).unwrap();
    let mut policies = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let name = p(&format!("p{number}"));
        block(access.put_policy(&name, text)).unwrap();
        policies.push(name);
    }
    let new = NewToken { policies, no_default_policy: true, ..NewToken::default() };
    let issued = block(access.create_token(&root, &new)).unwrap();
    present(access, issued.secret.expose()).unwrap()
}

fn holder(texts: &[&str]) -> Principal {
    with(&Scene::begin().open(), texts)
}

fn names(capabilities: Capabilities) -> String {
    capabilities.iter().map(Capability::name).collect::<Vec<_>>().join(" ")
}

fn on(principal: &Principal, path: &str) -> String {
    names(principal.capabilities(&p(path)))
}

fn asks(principal: &Principal, capability: Capability, path: &str, parameters: &[(&str, ParameterValue)]) -> bool {
    let path: RequestPath = p(path);
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    principal.allows_path(&PathRequest { path: &path, capability, parameters: &parameters, wrapping: None })
}

fn text(text: &str) -> ParameterValue {
    ParameterValue::Text(text.to_owned())
}

#[test]
fn the_most_specific_path_decides_and_no_other() {
    let principal = holder(&[r#"
        path "secret/*" { capabilities = ["create", "read", "update"] }
        path "secret/super-secret" { capabilities = ["deny"] }
        path "secret/data/*" { capabilities = ["list"] }
        path "secret/data/exact" { capabilities = [] }
        path "secret/+/teamb" { capabilities = ["update"] }
        path "secret/apps/+/teamb" { capabilities = ["delete"] }
        path "secret/apps/+/team*" { capabilities = ["read"] }
        path "secret/apps/a*" { capabilities = ["sudo"] }
        path "+/other/x" { capabilities = ["patch"] }
    "#]);
    for (path, expected) in [
        ("secret/a", "create read update"),
        ("secret/super-secret", "deny"),
        ("secret/super-secret/below", "create read update"),
        ("secret/data/a", "list"),
        ("secret/data/exact", "deny"),
        ("secret/data/exact/", "deny"),
        ("secret/x/teamb", "update"),
        // The first wildcard stands further behind in the prefix.
        ("secret/data/teamb", "list"),
        ("secret/apps/x/teamb", "delete"),
        ("secret/apps/x/teamc", "read"),
        ("secret/apps/x/team", "read"),
        ("secret/apps/x/teamc/below", "read"),
        ("secret/apps/ax/teamb", "sudo"),
        ("secret/apps/x/tea", "create read update"),
        ("anything/other/x", "patch"),
        ("anything/other/y", "deny"),
        ("secret", "deny"),
    ] {
        assert_eq!(on(&principal, path), expected, "{path}");
    }
}

#[test]
fn the_order_of_wildcards_is_that_of_vault() {
    // Each pair: the first must win over the second for the path.
    for (winner, loser, path) in [
        ("foo/a*", "foo/+", "foo/ab"),
        ("foo/bar/+/baz", "foo/+/bar/baz", "foo/bar/bar/baz"),
        ("foo/+/bar", "foo/+/ba*", "foo/x/bar"),
        ("foo/+", "foo/*", "foo/x"),
        ("foo/bar/+/baz", "foo/bar/+/+", "foo/bar/x/baz"),
        ("foo/+/bar/ba*", "foo/+/bar/b*", "foo/x/bar/baz"),
        ("foo/x", "foo/*", "foo/x"),
        ("foo/x", "foo/+", "foo/x"),
        ("foo/ba*", "foo/b*", "foo/bar"),
        ("foo/*", "*", "foo/bar"),
    ] {
        for paths in [[winner, loser], [loser, winner]] {
            let policy = |path: &str| {
                let capability = if path == winner { "read" } else { "delete" };
                format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}")
            };
            let principal = holder(&[&policy(paths[0]), &policy(paths[1])]);
            assert_eq!(on(&principal, path), "read", "{winner} over {loser}");
        }
    }
}

#[test]
fn policies_add_up_and_deny_wins() {
    let principal = holder(&[
        r#"path "a" { capabilities = ["read"] } path "b" { capabilities = ["read"] } path "c/*" { capabilities = ["read"] }"#,
        r#"path "a" { capabilities = ["list"] } path "b" { capabilities = ["deny", "update"] } path "c/+" { capabilities = ["list"] }"#,
        r#"path "b" { capabilities = ["sudo"] }"#,
    ]);
    assert_eq!(on(&principal, "a"), "read list");
    assert_eq!(on(&principal, "b"), "deny");
    assert!(!asks(&principal, Capability::Read, "b", &[]) && !asks(&principal, Capability::Deny, "b", &[]));
    assert_eq!(on(&principal, "c/x"), "list");
}

#[test]
fn a_listing_is_found_without_its_slash() {
    let principal = holder(&[r#"
        path "secret/metadata" { capabilities = ["list"] }
        path "kv/+" { capabilities = ["list"] }
        path "slash/" { capabilities = ["list"] }
    "#]);
    assert!(asks(&principal, Capability::List, "secret/metadata/", &[]));
    assert!(asks(&principal, Capability::List, "secret/metadata", &[]));
    assert!(asks(&principal, Capability::List, "kv/team/", &[]));
    assert!(asks(&principal, Capability::List, "slash/", &[]));
    assert!(!asks(&principal, Capability::List, "slash", &[]));
    assert!(!asks(&principal, Capability::Read, "secret/metadata/", &[]));
}

#[test]
fn parameters_are_required_allowed_and_denied() {
    let principal = holder(&[r#"
        path "allowed" { capabilities = ["create"] allowed_parameters = { "foo" = ["a", "b*"], "bar" = [], "n" = [1, true] } }
        path "others" { capabilities = ["create"] allowed_parameters = { "foo" = ["a"], "*" = [] } }
        path "denied" { capabilities = ["create", "delete"] denied_parameters = { "Foo" = ["x"], "bar" = [] } }
        path "none" { capabilities = ["create"] denied_parameters = { "*" = [] } }
        path "required" { capabilities = ["create", "list"] required_parameters = ["foo", "Bar"] }
    "#]);
    let asks = |path, parameters: &[(&str, ParameterValue)]| asks(&principal, Capability::Create, path, parameters);
    for (path, parameters, expected) in [
        ("allowed", vec![], true),
        ("allowed", vec![("foo", text("a"))], true),
        ("allowed", vec![("FOO", text("bcd"))], true),
        ("allowed", vec![("foo", text("c"))], false),
        ("allowed", vec![("bar", text("whatever"))], true),
        ("allowed", vec![("bar", text("x")), ("baz", text("x"))], false),
        ("allowed", vec![("n", ParameterValue::Integer(1))], true),
        ("allowed", vec![("n", ParameterValue::Number(1.0))], true),
        ("allowed", vec![("n", ParameterValue::Flag(true))], true),
        ("allowed", vec![("n", text("1"))], false),
        ("others", vec![("foo", text("a")), ("else", text("x"))], true),
        ("others", vec![("foo", text("b"))], false),
        ("denied", vec![("foo", text("x"))], false),
        ("denied", vec![("fOO", text("x"))], false),
        ("denied", vec![("foo", text("y"))], true),
        ("denied", vec![("bar", text("y"))], false),
        ("none", vec![], true),
        ("none", vec![("a", ParameterValue::Null)], false),
        ("required", vec![("foo", text("1"))], false),
        ("required", vec![("foo", text("1")), ("bar", text("2"))], true),
    ] {
        assert_eq!(asks(path, &parameters), expected, "{path} {parameters:?}");
    }
    assert!(super::policies::asks(&principal, Capability::List, "required", &[]), "a listing has none");
    assert!(super::policies::asks(&principal, Capability::Delete, "denied", &[("bar", text("y"))]));
}

#[test]
fn what_two_policies_say_of_parameters_is_joined() {
    let principal = holder(&[
        r#"path "a" { capabilities = ["update"] allowed_parameters = { "x" = ["1"] } required_parameters = ["x"] }"#,
        r#"path "a" { capabilities = ["update"] allowed_parameters = { "x" = ["2"], "y" = [] } min_wrapping_ttl = "1m" }"#,
        r#"path "a" { capabilities = ["update"] allowed_parameters = { "y" = ["3"] } min_wrapping_ttl = 30 max_wrapping_ttl = "1h30m" }"#,
    ]);
    let path: RequestPath = p("a");
    let asks = |parameters: &[(&str, &str)], seconds: Option<u64>| {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
        let wrapping = seconds.map(Duration::from_secs);
        principal.allows_path(&PathRequest {
            path: &path,
            capability: Capability::Update,
            parameters: &parameters,
            wrapping,
        })
    };
    assert!(asks(&[("x", "1")], Some(30)) && asks(&[("x", "2"), ("y", "9")], Some(5_400)));
    assert!(!asks(&[("x", "3")], Some(30)) && !asks(&[("y", "3")], Some(30)));
    assert!(!asks(&[("x", "1")], Some(29)) && !asks(&[("x", "1")], Some(5_401)) && !asks(&[("x", "1")], None));
}

#[test]
fn both_forms_say_the_same() {
    let hcl: Policy = p(r#"
        # A comment, and
        // another one, and
        /* a third */
        name = "team"
        path "secret/data/*" {
          capabilities = ["read", "list",]
          allowed_parameters = {
            "a" = ["x", 1, -2, 1.5, true],
            b = []
          }
          denied_parameters { c = ["\"quoted\" \u00e9"] }
          required_parameters = ["a"]
          min_wrapping_ttl = "90s"
          comment = "none"
        }
        path "/sys/health" { policy = "read" }
    "#);
    let json: Policy = p(r#"{"name": "team", "path": [{"secret/data/*": {
        "capabilities": ["read", "list"], "allowed_parameters": {"a": ["x", 1, -2, 1.5, true], "b": []},
        "denied_parameters": {"c": ["\"quoted\" é"]}, "required_parameters": ["a"], "min_wrapping_ttl": 90}},
        {"sys/health": {"capabilities": ["list", "read"]}}]}"#);
    assert!(hcl.paths().eq(json.paths()));
    let strip = |policy: &Policy| format!("{policy:?}").split_once("rules").unwrap().1.to_owned();
    assert_eq!(strip(&hcl), strip(&json));
}

#[test]
fn what_is_no_policy_is_refused_with_a_word_why() {
    let long = format!("path \"{}\" {{ }}", "a".repeat(1_100));
    let deep = format!(r#"path "a" {{ x = {} }}"#, "[".repeat(50));
    for (policy, expected) in [
        (r#"path "secret/{{identity.entity.id}}/*" { capabilities = ["read"] }"#, "templates are not supported"),
        (r#"path "secret/${x}" { capabilities = ["read"] }"#, "`${`"),
        (r#"{"path": {"secret/${x}": {"capabilities": ["read"]}}}"#, "`${`"),
        (r#"path "a" { capabilities = ["fly"] }"#, "has the names of capabilities"),
        (r#"path "a" { capabilities = "read" }"#, "another sort"),
        (r#"path "a" { policy = "all" }"#, "is `deny`, `read`"),
        (r#"path "a" { control_group = { } }"#, "`control_group`, which is not supported"),
        (r#"path "a" { mfa_methods = ["x"] }"#, "not supported"),
        (r#"key "a" { policy = "read" }"#, "`key`, which is not supported"),
        (r#"path "a/*/b" { policy = "read" }"#, "only at the end"),
        (r#"path "a/+*" { policy = "read" }"#, "not behind `+`"),
        (r#"path "a/+b" { policy = "read" }"#, "whole segment"),
        (r#"path "a//b" { policy = "read" }"#, "segment"),
        (r#"path "a/../b" { policy = "read" }"#, "segment"),
        (r#"path "a%2fb" { policy = "read" }"#, "printable ASCII"),
        (r#"path "größe" { policy = "read" }"#, "printable ASCII"),
        (r#"path "" { policy = "read" }"#, "1 to 1024"),
        (&long, "1 to 1024"),
        (r#"path "a" { capabilities = ["read"] capabilities = ["list"] }"#, "each name once"),
        ("path \"a\" {\n capabilities = [\"read\"]\n capabilities = [\"list\"]\n}", "line 3 of the policy"),
        (r#"{"path": {"a": {"policy": "read"}, "a": {"policy": "deny"}}}"#, "each name once"),
        (r#"{"path": {"a": {"policy": "read"},}}"#, "a text in double quotes"),
        (r#"{"path": {"a": {"policy": "read"}}} x"#, "nothing behind"),
        (r#"{"path": {"a": 1}}"#, "each with what may be done"),
        (r#"path "a" { min_wrapping_ttl = "soon" }"#, "is a time"),
        (r#"path "a" { min_wrapping_ttl = 9 max_wrapping_ttl = 8 }"#, "is not below"),
        (r#"{"path": {"a": {"policy": "read" "comment": ""}}}"#, "`,` or `}`"),
        (r#"path "a" { allowed_parameters = { "x" = 1 } }"#, "list of values"),
        ("path \"a\" { allowed_parameters = { \"x\" = [], \"X\" = [] } }", "list of values"),
        (r#"path "a" { capabilities = ["read"]"#, "line 1"),
        (r#"path "a" { x = 007 }"#, "a number"),
        (r#"path "a" { x = <<EOT }"#, "a word"),
        (&deep, "less deep"),
        ("/* never closed", "the end of the comment"),
        ("path \"a\nb\" { }", "on one line"),
        ("path", "a text in double quotes"),
    ] {
        let error: PolicyError = policy.parse::<Policy>().expect_err(policy);
        assert!(error.to_string().contains(expected), "{policy}: {error}");
    }
    assert_eq!("#\n".repeat(40_000).parse::<Policy>(), Err(PolicyError::TooLong));
    assert_eq!("path \"a\" {}\n".repeat(1_001).parse::<Policy>(), Err(PolicyError::TooLong));
    for empty in ["", "# nothing", "{}", "name = \"x\""] {
        assert_eq!(empty.parse::<Policy>().unwrap().paths().count(), 0, "{empty}");
    }
}

#[test]
fn requests_for_paths_that_could_be_read_in_two_ways_are_refused() {
    for path in ["", "/", "/a", "a//b", "a/../b", "a/.", "..", "a%2fb", "a%2e%2e", "a\\b", "a\u{0}", "größe", "a//"] {
        assert!(path.parse::<RequestPath>().is_err(), "{path:?}");
    }
    for path in ["a", "a/", "a/b c", "a/..b", "secret/data/x+y*z~"] {
        assert!(path.parse::<RequestPath>().is_ok(), "{path:?}");
    }
}

#[test]
fn default_and_root_are_there() {
    let scene = Scene::begin();
    let access = scene.open();
    let issued = block(access.create_root_token()).unwrap();
    let root = present(&access, issued.secret.expose()).unwrap();
    assert!(root.rules().is_root() && asks(&root, Capability::Sudo, "sys/anything", &[]));
    assert_eq!(on(&root, "x"), "create read update delete list sudo patch scan");
    let issued = block(access.create_token(&root, &NewToken { policies: vec![p("default")], ..NewToken::default() }));
    let own = present(&access, issued.unwrap().secret.expose()).unwrap();
    assert!(asks(&own, Capability::Read, "auth/token/lookup-self", &[]));
    assert!(asks(&own, Capability::Update, "cubbyhole/a/b", &[]));
    assert_eq!(on(&own, "secret/data/a"), "deny");
    let names = block(access.policies()).unwrap();
    assert_eq!(names, [p("default"), p("root")]);
    assert_eq!(code(block(access.put_policy(&p("root"), ""))), "built_in_policy");
    assert_eq!(code(block(access.delete_policy(&p("default")))), "built_in_policy");
    assert_eq!(code(block(access.policy(&p("root")))), "unknown_policy");
    assert!(block(access.policy(&p("default"))).unwrap().text().contains("lookup-self"));
    // A project may write its own.
    block(access.put_policy(&p("default"), r#"path "x" { policy = "read" }"#)).unwrap();
    assert_eq!((on(&own, "x").as_str(), on(&own, "cubbyhole/a").as_str()), ("deny", "create read update delete list"));
    let issued = block(access.create_token(&root, &NewToken { policies: vec![p("default")], ..NewToken::default() }));
    assert_eq!(on(&present(&access, issued.unwrap().secret.expose()).unwrap(), "x"), "read list");
}

#[test]
fn a_changed_policy_changes_what_tokens_may() {
    let scene = Scene::begin();
    let access = scene.open();
    let root = present(&access, block(access.create_root_token()).unwrap().secret.expose()).unwrap();
    block(access.put_policy(&p("team"), r#"path "a" { policy = "read" }"#)).unwrap();
    let new = NewToken { policies: vec![p("team")], ..NewToken::default() };
    let token = block(access.create_token(&root, &new)).unwrap().secret;
    let capabilities = || on(&present(&access, token.expose()).unwrap(), "a");
    assert_eq!(capabilities(), "read list");
    block(access.put_policy(&p("team"), r#"path "a" { policy = "deny" }"#)).unwrap();
    assert_eq!(capabilities(), "deny");
    assert!(block(access.delete_policy(&p("team"))).unwrap());
    assert!(!block(access.delete_policy(&p("team"))).unwrap());
    assert_eq!(capabilities(), "deny", "and no other is found in its place");
    let unknown = NewToken { policies: vec![p("team")], ..NewToken::default() };
    assert_eq!(code(block(access.create_token(&root, &unknown))), "unknown_policy");
}

/// The rules of Vault, said as plainly as can be: every path that matches, and the greatest of them.
fn naive(paths: &[(String, &str)], path: &str) -> Option<String> {
    fn matches(glob: &str, path: &str) -> bool {
        let (glob, is_prefix) = glob.strip_suffix('*').map_or((glob, false), |glob| (glob, true));
        if !glob.split('/').any(|segment| segment == "+") {
            return if is_prefix { path.starts_with(glob) } else { path == glob };
        }
        let (globs, parts): (Vec<_>, Vec<_>) = (glob.split('/').collect(), path.split('/').collect());
        let fits = if is_prefix { parts.len() >= globs.len() } else { parts.len() == globs.len() };
        fits && globs.iter().zip(&parts).enumerate().all(|(number, (glob, part))| {
            *glob == "+" || glob == part || (is_prefix && number + 1 == globs.len() && part.starts_with(glob))
        })
    }
    let found = paths.iter().filter(|(glob, _)| matches(glob, path));
    let best = found.max_by_key(|(glob, _)| {
        let is_prefix = glob.ends_with('*');
        let body = glob.trim_end_matches('*');
        let plus = body.split('/').filter(|segment| *segment == "+").count();
        let is_exact = !is_prefix && plus == 0;
        let first = body.find('+').unwrap_or(body.len());
        (is_exact, first, !is_prefix, std::cmp::Reverse(plus), body.len(), body.to_owned())
    })?;
    let same = paths.iter().filter(|(glob, _)| glob.trim_start_matches('/') == best.0);
    let words: std::collections::BTreeSet<&str> = same.map(|(_, word)| *word).collect();
    Some(if words.contains("deny") { "deny".to_owned() } else { words.into_iter().collect::<Vec<_>>().join(" ") })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn policies_decide_as_the_plainest_way_says(
        globs in prop::collection::vec(("([ab]|ab|\\+)(/([ab]|ab|\\+)){0,2}/?\\*?", prop::sample::select(vec!["delete", "deny", "read"])), 1..12),
        paths in prop::collection::vec("(a|b|ab)(/(a|b|ab|ba)){0,3}", 20),
    ) {
        let globs: Vec<_> = globs.into_iter().filter(|(glob, _)| !glob.contains("+*")).collect();
        let texts: Vec<String> = globs
            .iter()
            .map(|(glob, word)| format!("path \"{glob}\" {{ capabilities = [\"{word}\"] }}"))
            .collect();
        prop_assume!(!texts.is_empty());
        let principal = holder(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for path in paths {
            let expected = naive(&globs, &path).unwrap_or_else(|| "deny".to_owned());
            let mut found: Vec<String> = on(&principal, &path).split(' ').map(str::to_owned).collect();
            found.sort_unstable();
            prop_assert_eq!(found.join(" "), expected, "{} of {:?}", path, globs);
        }
    }

    #[test]
    fn no_text_makes_the_parser_fall(text in "(path|name|[a-z\"{}\\[\\]=:,#/*+. 0-9\\\\\n]){0,80}") {
        let _ = text.parse::<Policy>();
    }
}
