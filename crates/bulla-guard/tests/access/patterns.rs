//! Names of resources, and patterns of them.

use bulla_guard::access::{Pattern, Resource};
use proptest::prelude::*;

use super::setting::p;

#[test]
fn patterns_stand_for_what_the_specification_says() {
    for (pattern, matches, others) in [
        ("keys/orders", vec!["keys/orders"], vec!["keys/orders/a", "keys", "keys/Orders", "keys/orders-1"]),
        (
            "keys/orders-*",
            vec!["keys/orders-1", "keys/orders-a.b"],
            vec!["keys/orders", "keys/orders-1/x", "keys/x-orders-1"],
        ),
        ("keys/*", vec!["keys/a", "keys/orders-1"], vec!["keys", "keys/a/b", "stores/a"]),
        ("keys/*/v1", vec!["keys/a/v1"], vec!["keys/v1", "keys/a/b/v1", "keys/a/v2"]),
        ("store/cache/**", vec!["store/cache/a", "store/cache/a/b/c"], vec!["store/cache", "store/cached/a", "store"]),
        ("**", vec!["a", "a/b/c"], vec![]),
        ("*", vec!["a"], vec!["a/b"]),
        ("a*b*c/**", vec!["abc/x", "aXbYc/x/y"], vec!["ac/x", "abc"]),
        ("*a*", vec!["a", "bab", "aa"], vec!["b"]),
    ] {
        let pattern: Pattern = p(pattern);
        for name in matches {
            assert!(pattern.matches(&p(name)), "{pattern} {name}");
        }
        for name in others {
            assert!(!pattern.matches(&p(name)), "{pattern} {name}");
        }
    }
}

#[test]
fn what_is_no_name_is_refused_and_never_cleaned() {
    let long = "a".repeat(129);
    for text in [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "..",
        "a/../b",
        "a/..",
        "a..b",
        ".",
        "a/./b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a b",
        "a%2fb",
        "a%2Fb",
        "a\\b",
        "größe",
        "a\0",
        "a\u{0301}",
        "ａ",
        "\u{212a}",
        "a;b",
        "a?b",
        "a#b",
        "1/2/3/4/5/6/7/8/9/10/11/12/13",
        &long,
    ] {
        assert!(text.parse::<Resource>().is_err(), "{text:?}");
        assert!(text.parse::<Pattern>().is_err(), "{text:?}");
    }
    assert!("a*".parse::<Resource>().is_err());
    for text in ["a/**/b", "a**", "**a", "***", "a/b**", "*-", "-*", "a/*..*", "*****", "+", "a/+"] {
        assert!(text.parse::<Pattern>().is_err(), "{text:?}");
    }
}

#[test]
fn no_pattern_makes_matching_slow() {
    let pattern: Pattern = p(&format!("{}b", "a*".repeat(4)));
    let name: Resource = p(&"a".repeat(128));
    for _ in 0..10_000 {
        assert!(!pattern.matches(&name));
    }
}

/// The plainest way to say what a pattern stands for.
fn naive(pattern: &[&str], name: &[&str]) -> bool {
    fn segment(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some(b'*'), _) => segment(&pattern[1..], name) || (!name.is_empty() && segment(pattern, &name[1..])),
            (Some(a), Some(b)) => a == b && segment(&pattern[1..], &name[1..]),
            _ => false,
        }
    }
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(&"**"), Some(_)) => true,
        (Some(a), Some(b)) => segment(a.as_bytes(), b.as_bytes()) && naive(&pattern[1..], &name[1..]),
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_is_as_the_plainest_way_says(pattern in "[ab*]{1,4}(/[ab*]{1,3}){0,2}(/\\*\\*)?", name in "[ab]{1,4}(/[ab]{1,3}){0,3}") {
        if let Ok(parsed) = pattern.parse::<Pattern>() {
            let split = |text: &'static str| text.split('/').collect::<Vec<_>>();
            let expected = naive(&split(pattern.clone().leak()), &split(name.clone().leak()));
            prop_assert_eq!(parsed.matches(&p(&name)), expected, "{} {}", pattern, name);
        }
    }
}
