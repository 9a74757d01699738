//! The name that fleche has for a payload, where it can be told without unpickling (spec, "Names").

use std::collections::BTreeMap;

use bulla_seal::sha256;

use super::FlecheName;
use super::pickle::{Id, Node, Pickle};

/// How deep data may be nested.
const MAX_DEPTH: usize = 64;

/// The prime by which Python takes numbers to their hashes, 2^61 - 1 (Python's library reference, "Hashing of numeric types").
const HASH_BITS: u32 = 61;
const HASH_MODULUS: u64 = (1 << HASH_BITS) - 1;

impl FlecheName {
    /// Returns the name under which fleche files a payload: of plain data, of what it keeps in parts, and of records of calls.
    ///
    /// `None` if that takes more than reading: classes of an application, arrays, sets, integers of more than 127 bits.
    ///
    /// # Security
    /// Of use only for a payload whose signature verified, to find that it was moved: anybody can compute it, and different values
    /// may have the same, as -1.0 and -2.0 do. Nothing is ever looked up by it.
    #[must_use]
    pub fn of_payload(payload: &[u8]) -> Option<Self> {
        let pickle = Pickle::read(payload)?;
        let mut digester = Digester { pickle: &pickle, known: vec![None; pickle.len()] };
        let call = digester.call(pickle.root());
        call.or_else(|| digester.value(pickle.root(), 0))
    }
}

struct Digester<'p, 'a> {
    pickle: &'p Pickle<'a>,
    /// So that what is used many times is digested once.
    known: Vec<Option<FlecheName>>,
}

impl<'a> Digester<'_, 'a> {
    fn value(&mut self, id: Id, depth: usize) -> Option<FlecheName> {
        if let Some(known) = self.known[id] {
            return Some(known);
        }
        if depth > MAX_DEPTH {
            return None;
        }
        let pickle = self.pickle;
        let digest = match pickle.node(id) {
            Node::None => salted("NoneType", b"__None__"),
            Node::Bool(value) => salted("bool", &[u8::from(*value)]),
            Node::Int(value) => int(*value)?,
            Node::Float(value) if value.is_nan() => {
                let (real, imaginary) = (value.to_le_bytes(), 0.0_f64.to_le_bytes());
                salted("float", &[real, imaginary].concat())
            }
            Node::Float(value) => int(python_hash(*value).into())?,
            Node::Text(value) => salted("str", value.as_bytes()),
            Node::Bytes(value) => salted("bytes", value),
            Node::List(items) => self.sequence("list", items, depth)?,
            Node::Tuple(items) => self.sequence("tuple", items, depth)?,
            Node::Dict(items) => self.mapping(items, depth)?,
            Node::Object { class, args, state } => self.object(*class, *args, *state, depth)?,
            Node::Global(..) | Node::Opaque => return None,
        };
        self.known[id] = Some(digest);
        Some(digest)
    }

    fn sequence(&mut self, kind: &str, items: &[Id], depth: usize) -> Option<FlecheName> {
        let mut digests = Vec::with_capacity(items.len());
        for item in items {
            digests.push(self.value(*item, depth + 1)?);
        }
        Some(joined(kind, digests))
    }

    fn mapping(&mut self, items: &[(Id, Id)], depth: usize) -> Option<FlecheName> {
        let mut sorted = BTreeMap::new();
        for (key, value) in items {
            let pair = (self.value(*key, depth + 1)?, self.value(*value, depth + 1)?);
            // Which of two would stay is for Python to say.
            if sorted.insert(pair.0, pair.1).is_some() {
                return None;
            }
        }
        Some(joined("dict", sorted.into_iter().flat_map(<[FlecheName; 2]>::from)))
    }

    /// Digests an instance of one of fleche's own classes: a reference to another file, or a container whose parts are such.
    fn object(&mut self, class: Id, args: Id, state: Option<Id>, depth: usize) -> Option<FlecheName> {
        let pickle = self.pickle;
        let Node::Global(module, name) = pickle.node(class) else { return None };
        let Node::Tuple(args) = pickle.node(args) else { return None };
        match (*module, *name, args.as_slice(), state) {
            ("fleche.digest", "Digest", &[text], None) => match pickle.node(text) {
                Node::Text(text) => text.parse().ok(),
                _ => None,
            },
            ("fleche.storage.destructuring", "DigestedIterable" | "DigestedDict", [], Some(state)) => {
                let [items] = self.members(state, ["items"])?;
                self.value(items, depth + 1)
            }
            ("fleche.storage.destructuring", "DigestedDataclass" | "DigestedAttrs", [], Some(state)) => {
                let [class, fields] = self.members(state, ["cls", "fields"])?;
                let Node::Global(_, class) = pickle.node(class) else { return None };
                let fields = self.value(fields, depth + 1)?;
                Some(joined(class.rsplit('.').next().unwrap_or(class), [fields]))
            }
            _ => None,
        }
    }

    /// Digests the record of a call as fleche looks it up: without its result and metadata, its arguments in their order.
    fn call(&mut self, id: Id) -> Option<FlecheName> {
        let pickle = self.pickle;
        let Node::Object { class, state: Some(state), .. } = pickle.node(id) else { return None };
        if *pickle.node(*class) != Node::Global("fleche.call", "DigestedCall") {
            return None;
        }
        // All that there are; a version of fleche with others names otherwise.
        let members = ["name", "arguments", "result", "metadata", "module", "version", "code_digest"];
        let [name, arguments, _, _, module, version, code] = self.members(*state, members)?;
        let Node::Dict(arguments) = pickle.node(arguments) else { return None };
        let mut pairs = Vec::with_capacity(arguments.len());
        for (key, value) in arguments {
            pairs.push(joined("tuple", [self.value(*key, 0)?, self.value(*value, 0)?]));
        }
        let none = salted("NoneType", b"__None__");
        let mut fields = BTreeMap::new();
        for (field, digest) in [
            ("name", self.value(name, 0)?),
            ("arguments", joined("tuple", pairs)),
            ("metadata", none),
            ("module", self.value(module, 0)?),
            ("version", self.value(version, 0)?),
            ("code_digest", self.value(code, 0)?),
            ("result", none),
        ] {
            fields.insert(salted("str", field.as_bytes()), digest);
        }
        let fields = joined("dict", fields.into_iter().flat_map(<[FlecheName; 2]>::from));
        Some(joined("Call", [fields]))
    }

    /// Returns the members of a state that has exactly these.
    fn members<const N: usize>(&self, state: Id, names: [&str; N]) -> Option<[Id; N]> {
        let Node::Dict(items) = self.pickle.node(state) else { return None };
        if items.len() != N {
            return None;
        }
        let mut found = [0; N];
        for (slot, name) in found.iter_mut().zip(names) {
            let item = items.iter().find(|(key, _)| *self.pickle.node(*key) == Node::Text(name));
            *slot = item?.1;
        }
        Some(found)
    }
}

/// SHA-256 (FIPS 180-4) of a salt, which says what the rest is, and the rest.
fn salted(salt: &str, rest: &[u8]) -> FlecheName {
    FlecheName(sha256(&[salt.as_bytes(), rest].concat()))
}

/// The same over the digests of parts, as text.
fn joined(salt: &str, parts: impl IntoIterator<Item = FlecheName>) -> FlecheName {
    salted(salt, parts.into_iter().map(|part| part.to_string()).collect::<String>().as_bytes())
}

/// An integer, in as many bytes as hold its magnitude and a sign; `None` beyond 16.
fn int(value: i128) -> Option<FlecheName> {
    let bits = i128::BITS - value.unsigned_abs().leading_zeros();
    let len = usize::try_from((bits + 8) / 8).ok()?;
    value.to_le_bytes().get(..len).map(|bytes| salted("int", bytes))
}

/// What Python's `hash` returns for a float that is a number, on 64-bit machines: its residue modulo 2^61 - 1, with its sign. -1 stands
/// for an error within Python, and is -2 instead.
fn python_hash(value: f64) -> i64 {
    const INFINITE: i64 = 314_159;
    if value.is_infinite() {
        return if value > 0.0 { INFINITE } else { -INFINITE };
    }
    let bits = value.to_bits();
    let (mantissa, biased) = (bits & ((1 << 52) - 1), (bits >> 52) & 0x7ff);
    // Of a subnormal number the first bit is not implied. Its value is mantissa × 2^exponent (IEEE 754).
    let (mantissa, exponent) = if biased == 0 {
        (mantissa, -1_074)
    } else {
        (mantissa | 1 << 52, i64::try_from(biased).unwrap_or_default() - 1_075)
    };
    // 2^61 is 1 modulo 2^61 - 1: multiplying by a power of two turns the bits round.
    let turn = u32::try_from(exponent.rem_euclid(i64::from(HASH_BITS))).unwrap_or_default();
    let turned = (u128::from(mantissa) << turn) % u128::from(HASH_MODULUS);
    let residue = i64::try_from(turned).unwrap_or_default();
    match if value < 0.0 { -residue } else { residue } {
        -1 => -2,
        hash => hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(payload: &[u8]) -> Option<String> {
        FlecheName::of_payload(payload).map(|name| name.to_string())
    }

    #[test]
    fn floats_hash_as_in_python() {
        for (value, hash) in [
            (0.0, 0),
            (-0.0, 0),
            (1.0, 1),
            (-1.0, -2),
            (-2.0, -2),
            (0.5, 1_152_921_504_606_846_976),
            (2.5, 1_152_921_504_606_846_978),
            (-0.1, -230_584_300_921_369_408),
            (1e300, 1_224_995_262_755_759_164),
            (5e-324, 16_777_216),
            (f64::INFINITY, 314_159),
            (f64::NEG_INFINITY, -314_159),
        ] {
            assert_eq!(python_hash(value), hash, "{value}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_would_have_to_be_run() {
        assert_eq!(named(b"cos\nsystem\n\x8c\x02id\x85R."), None);
        assert_eq!(named(b"cos\nsystem\n."), None);
        assert_eq!(named(b"capp\nClass\n)\x81."), None);
        assert_eq!(named(b"]\x94h\x00a."), None, "a list that holds itself");
        assert_eq!(named(b"}(K\x01NK\x01Nu."), None, "a key twice");
        assert_eq!(named(b"cfleche.digest\nDigest\n\x8c\x01a\x85\x81."), None, "no whole digest");
    }

    #[test]
    fn what_is_used_often_is_digested_once() {
        // Each list holds the one before twice: 2^60 values, had each to be looked at.
        let mut payload = b"]\x94".to_vec();
        for level in 0..60 {
            payload.extend_from_slice(&[b']', 0x94, b'(', b'h', level, b'h', level, b'e']);
        }
        // All but the last are still on the stack: put them into one.
        payload.push(b'.');
        assert_eq!(named(&payload), None);
        let payload = [b"(", &payload[..payload.len() - 1], b"t."].concat();
        assert!(named(&payload).is_some());
    }
}
