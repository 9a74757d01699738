//! Documents that are meant to do harm.

use bulla_guard::input::{Bounds, Fault, json};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{read, refusal};

const BOUNDS: Bounds = Bounds::DEFAULT;

#[test]
fn what_is_not_utf8_is_refused() {
    for bytes in [
        &b"\xc0\xaf"[..],            // overlong slash
        b"\xe0\x80\xaf",             // overlong slash, in three bytes
        b"\xf0\x80\x80\xaf",         // and in four
        b"\xc0\x80",                 // overlong zero
        b"\xed\xa0\x80",             // a surrogate
        b"\xed\xa0\xbd\xed\xb8\x80", // a pair of them (CESU-8)
        b"\xf4\x90\x80\x80",         // beyond the last character
        b"\xff",
        b"\x80",
        b"\xe2\x82", // cut short
        "é".as_bytes().split_at(1).0,
    ] {
        for document in [[&b"\""[..], bytes, b"\""].concat(), [&b"{\""[..], bytes, b"\": 1}"].concat()] {
            assert_eq!(refusal(&document, &BOUNDS).1, Fault::Utf8, "{bytes:x?}");
        }
        assert!(read([&b"["[..], bytes, b"]"].concat()).is_err());
        assert!(read([&b"\"a\\"[..], bytes, b"\""].concat()).is_err());
    }
}

#[test]
fn other_encodings_and_byte_order_marks_are_refused() {
    assert_eq!(refusal(b"\xef\xbb\xbf{}", &BOUNDS).1, Fault::ByteOrderMark);
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for document in
        [&utf16[..], b"\xff\xfe{\0}\0", b"\xfe\xff\0{\0}", b"[\xef\xbb\xbf1]", b"\xc2\xa0{}", b"\x0b{}", b"\x0c{}"]
    {
        assert!(read(document).is_err(), "{document:x?}");
    }
    assert_eq!(read("\"\u{feff}\"").unwrap(), "\u{feff}");
}

#[test]
fn surrogates_come_in_pairs() {
    assert_eq!(read(r#""\ud83d\ude00\uD83D\uDE00""#).unwrap(), "😀😀");
    for half in [
        r"\ud800",
        r"\udc00",
        r"\udbff\udbff",
        r"\udc00\ud800",
        r"\ud800\u0041",
        r"\ud800x",
        r"\ud800\n",
        r"\uD83D \uDE00",
    ] {
        assert_eq!(refusal(format!("\"{half}\""), &BOUNDS).1, Fault::Escape, "{half}");
        assert_eq!(refusal(format!("{{\"{half}\": 1}}"), &BOUNDS).1, Fault::Escape, "{half}");
    }
}

#[test]
fn escapes_are_those_of_json() {
    assert_eq!(read(r#""\"\\\/\b\f\n\r\t\u0000\u00Ff""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\t\0ÿ");
    for escape in [r"\x41", r"\'", r"\u", r"\u00", r"\u00g0", r"\u+123", r"\U0041", r"\0", r"\v", "\\\n"] {
        assert!(read(format!("\"{escape}\"")).is_err(), "{escape}");
    }
    for control in 0..0x20u8 {
        assert!(read([b'"', control, b'"']).is_err(), "{control}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for document in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "\"\\",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "'a'",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{null:1}",
        "{\"a\":1 \"b\":2}",
        "[1}",
        "{\"a\":1]",
        "// c\n1",
        "/* c */1",
        "1 // c",
        "# c",
        "()",
        "`a`",
    ] {
        assert!(read(document).is_err(), "{document:?}");
        assert!(serde_json::from_str::<Value>(document).is_err(), "{document:?}");
    }
}

#[test]
fn nothing_follows_the_document() {
    for document in ["{}{}", "1 2", "{} x", "null,", "[]]", "{}\0", "\"a\"\"b\"", "{}\u{a0}"] {
        assert_eq!(refusal(document, &BOUNDS).1, Fault::Trailing, "{document:?}");
    }
    assert!(read("{} \r\n\t").is_ok());
}

#[test]
fn numbers_are_kept_as_they_are_written_or_refused() {
    for (text, value) in [
        ("0", Value::from(0)),
        ("18446744073709551615", Value::from(u64::MAX)),
        ("-9223372036854775808", Value::from(i64::MIN)),
        ("-0", Value::from(-0.0)),
        ("1e3", Value::from(1_000.0)),
        ("5e-324", Value::from(5e-324)),
        ("1.7976931348623157e308", Value::from(f64::MAX)),
        ("0.1", Value::from(0.1)),
    ] {
        assert_eq!(read(text).unwrap(), value, "{text}");
    }
    let long = "9".repeat(1_000_000);
    let fraction = format!("0.{long}");
    let exponent = format!("1e{long}");
    for text in [
        "18446744073709551616",
        "-9223372036854775809",
        "340282366920938463463374607431768211456",
        "1e309",
        "-1e309",
        "1e99999",
        &long,
        &fraction,
        &exponent,
    ] {
        assert_eq!(refusal(text, &BOUNDS).1, Fault::Number, "{}", &text[..text.len().min(50)]);
    }
    for text in
        ["01", "-01", "00", "+1", ".5", "1.", "-", "--1", "1e", "1e+", "0x10", "1_000", "1,5", "1.e1", "-.5", "١", "1a"]
    {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn depth_is_bounded_whatever_the_type() {
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + "0" + &close.repeat(depth);
    assert!(read(nested("[", "]", 32)).is_ok());
    assert!(read(nested("{\"a\":", "}", 32)).is_ok());
    for document in
        [nested("[", "]", 33), nested("{\"a\":", "}", 33), "[".repeat(1_000_000), "{\"a\":[".repeat(150_000)]
    {
        assert_eq!(refusal(&document, &BOUNDS).1, Fault::Depth(32));
        assert!(json::from_slice::<IgnoredAny>(document.as_bytes(), &BOUNDS).is_err());
    }
    // No setting lets a stranger use up the stack.
    let deepest = Bounds { depth: usize::MAX, ..BOUNDS };
    assert!(json::from_slice::<Value>(nested("[", "]", 128).as_bytes(), &deepest).is_ok());
    assert_eq!(refusal("[".repeat(1_000_000), &deepest).1, Fault::Depth(128));
}

#[test]
fn a_type_that_contains_itself_ends_at_the_depth() {
    #[derive(Debug, Deserialize)]
    struct Tree {
        #[expect(dead_code, reason = "only read")]
        left: Option<Box<Self>>,
    }
    assert!(json::from_slice::<Tree>(br#"{"left": {"left": null}}"#, &BOUNDS).is_ok());
    assert!(json::from_slice::<Tree>("{\"left\":".repeat(100_000).as_bytes(), &BOUNDS).is_err());
}

#[test]
fn elements_and_members_are_counted_while_they_are_read() {
    let list = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    assert!(read(list(10_000)).is_ok());
    assert_eq!(refusal(list(10_001), &BOUNDS), (String::new(), Fault::Elements(10_000)));
    assert!(json::from_slice::<Value>(list(100_000).as_bytes(), &Bounds::BATCH).is_ok());
    assert_eq!(refusal(list(100_001), &Bounds::BATCH).1, Fault::Elements(100_000));
    let object =
        |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
    assert!(read(object(1_000)).is_ok());
    assert_eq!(refusal(object(1_001), &BOUNDS), (String::new(), Fault::Members(1_000)));
    assert_eq!(refusal(format!("[{}]", object(1_001)), &BOUNDS).0, "/0");
    // All of them together, though no list or object is large by itself.
    let few = Bounds { values: 1_000, ..BOUNDS };
    let wide = format!("[{}]", vec![list(100); 10].join(","));
    assert_eq!(refusal(wide, &few).1, Fault::Values(1_000));
}

#[test]
fn a_million_members_of_one_name_are_refused_at_the_second() {
    let document = format!("{{{}}}", vec!["\"a\":1"; 1_000_000].join(","));
    let large = Bounds { members: 10_000_000, values: 10_000_000, ..Bounds::BATCH };
    let error = json::from_slice::<Value>(document.as_bytes(), &large).unwrap_err();
    assert_eq!((error.field().as_str(), error.fault(), error.offset()), ("/a", &Fault::Duplicate, Some(10)));
}

#[test]
fn a_million_different_members_take_a_moment() {
    let document = format!("{{{}}}", (0..1_000_000).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(","));
    let large = Bounds { members: 10_000_000, values: 10_000_000, ..Bounds::BATCH };
    assert!(json::from_slice::<IgnoredAny>(document.as_bytes(), &large).is_ok());
    let twice = document.replace("\"999999\"", "\"\\u0030\"");
    assert_eq!(json::from_slice::<IgnoredAny>(twice.as_bytes(), &large).unwrap_err().fault(), &Fault::Duplicate);
}

#[test]
fn no_name_is_there_twice_wherever_it_is() {
    let many: String = (0..40).map(|n| format!("\"{n}\":{{\"x\":{n}}},")).collect();
    for document in [
        r#"{"a":1,"a":1}"#.to_owned(),
        r#"{"a":1,"\u0061":1}"#.to_owned(),
        r#"{"\/":1,"/":1}"#.to_owned(),
        r#"{"":1,"":1}"#.to_owned(),
        r#"[{"b":{"a":1,"c":{"a":2},"a":3}}]"#.to_owned(),
        format!("{{{many}\"0\":1}}"),
        format!("{{{many}\"20\":1}}"),
        format!("{{\"z\":1,{many}\"z\":1}}"),
    ] {
        assert_eq!(refusal(&document, &BOUNDS).1, Fault::Duplicate, "{document}");
        // Also where the type looks at none of them.
        assert_eq!(
            json::from_slice::<IgnoredAny>(document.as_bytes(), &BOUNDS).unwrap_err().fault(),
            &Fault::Duplicate
        );
    }
    // Names that only look the same are others, and are not changed into one: é as one character and as two, and letters of other scripts.
    let alike = "{\"\u{e9}\":1,\"e\u{301}\":2,\"a\":3,\"\u{430}\":4,\"A\":5,\"a\u{200b}\":6}";
    assert_eq!(read(alike).unwrap().as_object().unwrap().len(), 6);
    assert!(read(format!("{{{many}\"x\":1}}")).is_ok());
}

#[test]
fn lengths_are_bounded() {
    let narrow = Bounds { text: 10, member_name: 5, body: 100, ..BOUNDS };
    let refusal = |document: &str| refusal(document, &narrow).1;
    assert!(json::from_slice::<Value>(br#"{"12345": "1234567890"}"#, &narrow).is_ok());
    assert!(json::from_slice::<Value>(br#""\u0031\u0032\u0033\u0034567890""#, &narrow).is_ok());
    assert_eq!(refusal(r#""12345678901""#), Fault::TextLength(10));
    assert_eq!(refusal(r#""\u0031234567890\n""#), Fault::TextLength(10));
    assert_eq!(refusal("\"1234567é0\"".replace('0', "00").as_str()), Fault::TextLength(10));
    assert_eq!(refusal(r#"{"123456": 1}"#), Fault::NameLength(5));
    assert_eq!(refusal(&format!("[{}]", " ".repeat(99))), Fault::Body(100));
}

#[test]
fn a_type_that_overlooks_errors_does_not_get_the_document() {
    /// Reads a list and takes what cannot be read for nothing.
    #[derive(Debug)]
    struct Lenient(usize);

    impl<'de> Deserialize<'de> for Lenient {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Elements;

            impl<'de> serde::de::Visitor<'de> for Elements {
                type Value = Lenient;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a list")
                }

                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Lenient, A::Error> {
                    let mut failed = 0;
                    for _ in 0..100 {
                        match list.next_element::<u8>() {
                            Ok(None) => break,
                            Ok(Some(_)) => {}
                            Err(_) => failed += 1,
                        }
                    }
                    Ok(Lenient(failed))
                }
            }
            deserializer.deserialize_seq(Elements)
        }
    }

    assert_eq!(json::from_slice::<Lenient>(b"[1, true, 2]", &BOUNDS).unwrap().0, 1);
    for document in ["[1, 1e999, 2]", "[1, \"\\ud800\", 2]", "[[1, true, 2], 3]", "[1, {\"a\":1}, 2]", "[1, [[]], 2]"] {
        assert!(json::from_slice::<Lenient>(document.as_bytes(), &BOUNDS).is_err(), "{document}");
    }
}
