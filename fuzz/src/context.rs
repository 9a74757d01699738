//! Contexts from CBOR, read as leniently as they come, and a strict reader of what the library writes.

use bulla_seal::{Context, ContextBuilder, ProjectId};
use minicbor::Decoder;
use minicbor::data::Type;

/// Reads the fields of an encoded context; `None` if it is none or says what a context cannot.
pub fn decode(bytes: &[u8]) -> Option<ContextBuilder> {
    let mut decoder = Decoder::new(bytes);
    (decoder.array().ok()? == Some(3)).then_some(())?;
    let domain = decoder.str().ok()?;
    let project = ProjectId(decoder.bytes().ok()?.try_into().ok()?);
    let mut builder = Context::in_domain(domain, &project);
    for _ in 0..decoder.map().ok()?? {
        let name = decoder.str().ok()?;
        builder = match decoder.datatype().ok()? {
            Type::String => builder.text(name, decoder.str().ok()?),
            Type::Bytes => builder.bytes(name, decoder.bytes().ok()?),
            Type::Bool => builder.flag(name, decoder.bool().ok()?),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => builder.uint(name, decoder.u64().ok()?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => builder.int(name, decoder.i64().ok()?),
            _ => return None,
        };
    }
    Some(builder)
}

/// Panics unless the bytes are a context in deterministic encoding (RFC 8949 §4.2.1), and nothing else.
pub fn check_deterministic(bytes: &[u8]) {
    let mut rest = bytes;
    assert_eq!(head(&mut rest), (4, 3), "an array of three");
    let (major, len) = head(&mut rest);
    assert_eq!(major, 3, "a text as domain");
    assert!((1..=255).contains(&len), "a domain of 1 to 255 bytes");
    std::str::from_utf8(content(&mut rest, len)).expect("a domain in UTF-8");
    assert_eq!(head(&mut rest), (2, 32), "the bytes of a project id");
    content(&mut rest, 32);

    let (major, fields) = head(&mut rest);
    assert_eq!(major, 5, "a map");
    let mut previous: &[u8] = &[];
    for _ in 0..fields {
        let start = rest;
        let (major, len) = head(&mut rest);
        assert_eq!(major, 3, "a text as name");
        std::str::from_utf8(content(&mut rest, len)).expect("a name in UTF-8");
        let name = &start[..start.len() - rest.len()];
        assert!(previous < name, "names in bytewise order, each once");
        previous = name;
        match head(&mut rest) {
            (0 | 1, _) | (7, 20 | 21) => {}
            (2, len) => drop(content(&mut rest, len)),
            (3, len) => drop(std::str::from_utf8(content(&mut rest, len)).expect("a text in UTF-8")),
            (major, argument) => panic!("a value of major type {major}, argument {argument}"),
        }
    }
    assert!(rest.is_empty(), "nothing behind the map");
}

/// Reads a major type and its argument, in the shortest form.
fn head(rest: &mut &[u8]) -> (u8, u64) {
    let initial = content(rest, 1)[0];
    let (width, smallest) = match initial & 31 {
        small @ 0..24 => return (initial >> 5, u64::from(small)),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        other => panic!("additional information {other}"),
    };
    let argument = content(rest, width).iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    assert!(argument >= smallest, "the argument {argument} in {width} bytes");
    (initial >> 5, argument)
}

fn content<'a>(rest: &mut &'a [u8], len: u64) -> &'a [u8] {
    let (content, after) = rest.split_at(usize::try_from(len).expect("a length of what is in memory"));
    *rest = after;
    content
}
