//! Names, and pages.

use bulla_guard::input::{Bounds, Name};
use bulla_keyring::KeyName;
use proptest::prelude::*;

#[test]
fn names_are_taken_as_they_are_or_refused() {
    for name in ["a", "_", "0", "Team-1/reader_x.y", "1/2/3/4/5/6/7/8", &"a".repeat(128)] {
        assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        assert_eq!(KeyName::from(name.parse::<Name>().unwrap()).as_str(), name);
    }
    for name in [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        " a",
        "a ",
        "a b",
        "a\0",
        "a\n",
        "a\u{200b}",
        "\u{430}",
        "\u{ff41}",
        "a\u{301}",
        "\u{17f}",
        "\u{212a}",
        "a%2fb",
        "a\\b",
        "a:b",
        "a*",
        "~a",
        "\u{202e}a",
        "1/2/3/4/5/6/7/8/9",
        &"a".repeat(129),
    ] {
        assert!(name.parse::<Name>().is_err(), "{name:?}");
    }
}

#[test]
fn a_refused_name_is_not_repeated() {
    let error = Name::of_field("role", "hunter2\u{202e}\u{1b}[2J").unwrap_err();
    assert_eq!(
        error.to_string(),
        "role: no name: a name has only letters, digits, `_`, `.` and `-`, this one has '\\u{202e}'"
    );
    assert_eq!(error.fault().code(), "bad_name");
}

#[test]
fn a_page_has_what_was_asked_for_within_the_bound() {
    let page = |asked| Bounds::DEFAULT.page("limit", asked);
    assert_eq!((page(None).unwrap(), page(Some(1)).unwrap(), page(Some(1_000)).unwrap()), (1_000, 1, 1_000));
    for asked in [0, 1_001, u64::MAX] {
        assert_eq!(page(Some(asked)).unwrap_err().to_string(), "limit: not a whole number from 1 to 1000");
    }
}

#[test]
fn bounds_are_those_of_the_documentation() {
    let Bounds { headers, body, depth, members, elements, query_text, context, page, .. } = Bounds::DEFAULT;
    assert_eq!((headers, body, depth, members, elements), (16_384, 1_048_576, 32, 1_000, 10_000));
    assert_eq!((query_text, context, page), (10_000, 50_000, 1_000));
    assert_eq!((Bounds::BATCH.body, Bounds::BATCH.elements), (67_108_864, 100_000));
    let documentation = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/input.md")).unwrap();
    for bound in
        ["16 KiB", "1 MiB", "64 MiB", "| 32 |", "1,000,000", "100,000", "10,000 characters", "50,000 characters"]
    {
        assert!(documentation.contains(bound), "{bound}");
    }
}

proptest! {
    /// The grammar as it is written down, by hand and not by the type's own code.
    #[test]
    fn names_follow_the_grammar(text in "[a-zA-Z0-9._/ é-]{0,12}|[a-z./-]{0,8}") {
        let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let segments: Vec<&str> = text.split('/').collect();
        let follows = segments.len() <= 8 && segments.iter().all(|segment| {
            word(segment.chars().next()) && word(segment.chars().last()) && !segment.contains("..")
                && segment.chars().all(|c| word(Some(c)) || c == '.' || c == '-')
        });
        prop_assert_eq!(text.parse::<Name>().is_ok(), follows, "{}", text);
    }
}
