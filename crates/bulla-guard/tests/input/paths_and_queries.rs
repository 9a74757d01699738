//! Paths and query strings.

use bulla_guard::input::percent::{self, Allowed};
use bulla_guard::input::{Bounds, Fault, Query};
use proptest::prelude::*;

fn segment(encoded: &str, allowed: Allowed) -> Result<Vec<u8>, Fault> {
    percent::segment("name", encoded, allowed).map_err(|error| error.fault().clone())
}

fn query(encoded: &str) -> Result<Query, String> {
    Query::parse(encoded, &Bounds::DEFAULT).map_err(|error| error.to_string())
}

#[test]
fn a_segment_is_decoded_once() {
    for (encoded, decoded) in [
        ("", ""),
        ("a-b_c.d~e", "a-b_c.d~e"),
        ("a%20b+c", "a b+c"),
        ("gr%C3%b6%C3%9Fe", "größe"),
        ("%252e%252e%252f", "%2e%2e%2f"),
        ("...", "..."),
        ("!$&'()*,;=:@", "!$&'()*,;=:@"),
    ] {
        assert_eq!(segment(encoded, Allowed::default()).unwrap(), decoded.as_bytes(), "{encoded}");
    }
}

#[test]
fn what_could_be_taken_for_a_path_is_refused_unless_it_is_allowed() {
    let only = Allowed::default();
    for (encoded, fault, allowed) in [
        ("a%2Fb", Fault::EncodedSlash, Allowed { slash: true, ..only }),
        ("a%5cb", Fault::EncodedSlash, Allowed { slash: true, ..only }),
        ("a%00", Fault::Nul, Allowed { nul: true, ..only }),
        (".", Fault::DotSegment, Allowed { dots: true, ..only }),
        ("%2E%2e", Fault::DotSegment, Allowed { dots: true, ..only }),
        (".%2e", Fault::DotSegment, Allowed { dots: true, ..only }),
        ("%ff", Fault::Utf8, Allowed { bytes: true, ..only }),
        ("%c0%ae%c0%ae", Fault::Utf8, Allowed { bytes: true, ..only }),
        ("%ed%a0%80", Fault::Utf8, Allowed { bytes: true, ..only }),
    ] {
        assert_eq!(segment(encoded, only), Err(fault), "{encoded}");
        assert!(segment(encoded, allowed).is_ok() && segment(encoded, Allowed::ANYTHING).is_ok(), "{encoded}");
    }
}

#[test]
fn sequences_and_characters_that_there_are_not_are_refused_in_any_case() {
    for encoded in ["%", "%2", "a%", "%g0", "%0g", "%%20", "%u002f", "% 20", "%+2", "%-1", "%é"] {
        assert_eq!(segment(encoded, Allowed::ANYTHING), Err(Fault::PercentSequence), "{encoded}");
    }
    for encoded in [
        "a b", "a/b", "a\\b", "a?b", "a#b", "é", "a\0", "a\n", "<", "\"", "a|b", "[a]", "{a}", "^", "`", "\u{7f}",
        "．．",
    ] {
        assert_eq!(segment(encoded, Allowed::ANYTHING), Err(Fault::Unencoded), "{encoded:?}");
    }
}

#[test]
fn a_query_string_is_decoded_as_forms_are() {
    let query = query("a=1&b=x+y%2B%26%3D&c&d=&e=k=v&gr%C3%B6%C3%9Fe=%F0%9F%98%80&list[]=1").unwrap();
    for (name, value) in
        [("a", "1"), ("b", "x y+&="), ("c", ""), ("d", ""), ("e", "k=v"), ("größe", "😀"), ("list[]", "1")]
    {
        assert_eq!(query.text(name), Some(value), "{name}");
    }
    assert_eq!(query.text("f"), None);
    assert_eq!(Query::parse("", &Bounds::DEFAULT).unwrap(), Query::default());
}

#[test]
fn a_query_string_is_refused_for_one_bad_parameter() {
    let many: Vec<String> = (0..101).map(|n| format!("{n}=")).collect();
    for (encoded, message) in [
        ("a=1&a=2", "a: is there twice"),
        ("a=1&%61=2", "a: is there twice"),
        ("a=1&&b=2", "the query string: is empty"),
        ("&", "the query string: is empty"),
        ("=1", "the query string: is empty"),
        ("a=%zz", "a: a `%` is followed by two hexadecimal digits"),
        ("a%=1", "a%: a `%` is followed by two hexadecimal digits"),
        ("a=%00", "a: a zero byte"),
        ("a=%ff", "a: not UTF-8"),
        ("a=%c0%af", "a: not UTF-8"),
        ("a=é", "a: a character that has to be percent-encoded"),
        ("a=b c", "a: a character that has to be percent-encoded"),
        ("a=1#b", "a: a character that has to be percent-encoded"),
        ("%0a%1b=%", "\\n\\u{1b}: a `%` is followed by two hexadecimal digits"),
        (
            &format!("{}=", "n".repeat(1_025)),
            &format!("{}…: the name of a member is longer than 1024 bytes", "n".repeat(64)),
        ),
        (&"a".repeat(16_385), "the query string: longer than 16384 bytes"),
        (&many.join("&"), "the query string: more than 100 parameters"),
    ] {
        assert_eq!(query(encoded).unwrap_err(), message, "{}", &encoded[..encoded.len().min(30)]);
    }
    assert!(query(&many[..100].join("&")).is_ok());
}

#[test]
fn parameters_that_a_route_does_not_have_are_refused() {
    let query = query("limit=5&%1bdelete=1").unwrap();
    assert!(query.only(&["limit", "\u{1b}delete"]).is_ok());
    assert_eq!(query.only(&["limit"]).unwrap_err().to_string(), "\\u{1b}delete: unknown here");
}

#[test]
fn numbers_are_digits_within_a_range() {
    let number = |text: &str| query(&format!("n={text}")).unwrap().number("n", 1..=1_000);
    assert_eq!(
        (number("1").unwrap(), number("1000").unwrap(), number("0005").unwrap()),
        (Some(1), Some(1_000), Some(5))
    );
    assert_eq!(query("").unwrap().number("n", 1..=1_000).unwrap(), None);
    for text in ["0", "1001", "", "-1", "%2B1", "+1", "1.0", "1e2", "0x1", "18446744073709551616", "%D9%A1", "1%20"] {
        let error = number(text).unwrap_err();
        assert_eq!(error.to_string(), "n: not a whole number from 1 to 1000", "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(bytes in any::<Vec<u8>>()) {
        prop_assert_eq!(segment(&percent::encode(&bytes), Allowed::ANYTHING).unwrap(), bytes);
    }

    #[test]
    fn parameters_that_are_encoded_decode_to_themselves(pairs in proptest::collection::btree_map("[^\0]{1,8}", "[^\0]{0,8}", 0..10)) {
        let encode = |text: &str| percent::encode(text.as_bytes());
        let encoded: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let query = query(&encoded.join("&")).unwrap();
        for (name, value) in &pairs {
            prop_assert_eq!(query.text(name), Some(value.as_str()));
        }
    }

    #[test]
    fn a_decoded_segment_is_no_path(encoded in "[%0-9a-fA-F./\\\\ ]{0,12}") {
        if let Ok(decoded) = percent::text_segment("name", &encoded, Allowed::default()) {
            prop_assert!(!decoded.contains(['/', '\\', '\0']) && decoded != "." && decoded != "..");
        }
    }
}
