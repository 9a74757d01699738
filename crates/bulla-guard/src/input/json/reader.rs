//! Reads the tokens of a document, and counts.

use std::borrow::Cow;
use std::collections::HashSet;

use memchr::memchr2;

use crate::input::bounds::Bounds;
use crate::input::error::{Fault, InputError};

/// Bounds beyond this are not followed: reading takes stack for each level.
const DEEPEST: usize = 128;
/// Longest number, in characters. Those of 64 bits have at most 25.
const LONGEST_NUMBER: usize = 64;
/// Whole numbers of so many digits are below 2^64, whatever the digits.
const SHORT_NUMBER: usize = 19;
/// Names of one object that are compared one by one; more of them are hashed.
const FEW_NAMES: usize = 16;

pub(super) struct Reader<'de, 'b> {
    bytes: &'de [u8],
    at: usize,
    pub(super) bounds: &'b Bounds,
    depth: usize,
    values: usize,
    /// Names of the objects that are being read, those of the innermost last.
    names: Vec<Cow<'de, str>>,
    failed: bool,
}

/// The names of one object.
pub(super) struct Names<'de> {
    /// Where they begin in the reader's list.
    begin: usize,
    hashed: HashSet<Cow<'de, str>>,
    count: usize,
}

impl Names<'_> {
    /// Says whether no member was read yet.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl<'de, 'b> Reader<'de, 'b> {
    pub(super) fn new(bytes: &'de [u8], bounds: &'b Bounds) -> Self {
        Self { bytes, at: 0, bounds, depth: 0, values: 0, names: Vec::new(), failed: false }
    }

    /// Makes an error of what is wrong here. A type that swallows it does not get the document read all the same.
    #[cold]
    pub(super) fn fail(&mut self, fault: Fault) -> InputError {
        self.failed = true;
        InputError::within(fault, Some(self.at))
    }

    /// The document has been read: nothing follows.
    pub(super) fn end(&mut self) -> Result<(), InputError> {
        if self.failed || self.peek().is_some() {
            return Err(self.fail(Fault::Trailing));
        }
        Ok(())
    }

    /// Returns the next byte that is not white space, and leaves it there.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Steps over the byte that `peek` returned.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Steps over a byte that has to be next.
    pub(super) fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), InputError> {
        match self.peek() {
            Some(next) if next == byte => {
                self.at += 1;
                Ok(())
            }
            next => Err(self.unexpected(next, name)),
        }
    }

    #[cold]
    pub(super) fn unexpected(&mut self, next: Option<u8>, expected: &'static str) -> InputError {
        self.fail(if next.is_none() { Fault::End } else { Fault::Syntax(expected) })
    }

    /// Steps over a word that has to be next.
    pub(super) fn word(&mut self, word: &'static str) -> Result<(), InputError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        let cut = word.as_bytes().starts_with(rest);
        Err(self.fail(if cut { Fault::End } else { Fault::Syntax("a value") }))
    }

    /// Steps into a list or object.
    pub(super) fn enter(&mut self) -> Result<(), InputError> {
        let deepest = self.bounds.depth.min(DEEPEST);
        if self.depth >= deepest {
            return Err(self.fail(Fault::Depth(deepest)));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Steps out of a list or object.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Counts an element or member.
    pub(super) fn count_value(&mut self) -> Result<(), InputError> {
        self.values += 1;
        if self.values > self.bounds.values {
            return Err(self.fail(Fault::Values(self.bounds.values)));
        }
        Ok(())
    }

    pub(super) fn begin_names(&self) -> Names<'de> {
        Names { begin: self.names.len(), hashed: HashSet::new(), count: 0 }
    }

    pub(super) fn end_names(&mut self, names: &Names<'de>) {
        self.names.truncate(names.begin);
    }

    /// Reads the name of a member, which is none of those before it.
    pub(super) fn name(&mut self, names: &mut Names<'de>) -> Result<Cow<'de, str>, InputError> {
        let name = self.text(self.bounds.member_name, Fault::NameLength)?;
        names.count += 1;
        if names.count > self.bounds.members {
            return Err(self.fail(Fault::Members(self.bounds.members)));
        }
        let new = if names.count <= FEW_NAMES {
            let before = self.names.get(names.begin..).unwrap_or_default();
            let new = !before.contains(&name);
            self.names.push(name.clone());
            new
        } else {
            names.hashed.extend(self.names.drain(names.begin..));
            names.hashed.insert(name.clone())
        };
        if new { Ok(name) } else { Err(self.fail(Fault::Duplicate).under(&name)) }
    }

    /// Reads a text of at most so many bytes; the quotation mark is next.
    pub(super) fn text(&mut self, most: usize, too_long: fn(usize) -> Fault) -> Result<Cow<'de, str>, InputError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let piece = self.piece()?;
            if text.len() + piece.len() > most {
                return Err(self.fail(too_long(most)));
            }
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                if text.is_empty() {
                    return Ok(Cow::Borrowed(piece));
                }
                text.push_str(piece);
                return Ok(Cow::Owned(text));
            }
            text.push_str(piece);
            self.at += 1;
            text.push(self.escaped()?);
        }
    }

    /// Reads up to the next quotation mark or backslash, which is there.
    fn piece(&mut self) -> Result<&'de str, InputError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(len) = memchr2(b'"', b'\\', rest) else {
            self.at = self.bytes.len();
            return Err(self.fail(Fault::End));
        };
        // The least byte of all, rather than the first below, is what processors find many at a time.
        if rest[..len].iter().copied().min().is_some_and(|least| least < 0x20) {
            self.at += rest.iter().position(|byte| *byte < 0x20).unwrap_or_default();
            return Err(self.fail(Fault::Syntax("no control character within a text")));
        }
        match std::str::from_utf8(&rest[..len]) {
            Ok(piece) => {
                self.at += len;
                Ok(piece)
            }
            Err(error) => {
                self.at += error.valid_up_to();
                Err(self.fail(Fault::Utf8))
            }
        }
    }

    /// Reads what follows a backslash.
    fn escaped(&mut self) -> Result<char, InputError> {
        let Some(byte) = self.bytes.get(self.at).copied() else { return Err(self.fail(Fault::End)) };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.code_unit()?;
                let mut units = [unit, 0];
                let pair = (0xd800..0xdc00).contains(&unit)
                    && self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u"));
                if pair {
                    self.at += 2;
                    units[1] = self.code_unit()?;
                }
                match char::decode_utf16(units).next() {
                    Some(Ok(character)) => character,
                    _ => return Err(self.fail(Fault::Escape)),
                }
            }
            _ => return Err(self.fail(Fault::Escape)),
        })
    }

    fn code_unit(&mut self) -> Result<u16, InputError> {
        let Some(digits) = self.bytes.get(self.at..self.at + 4) else { return Err(self.fail(Fault::End)) };
        let mut unit = 0;
        for digit in digits {
            let Some(value) = char::from(*digit).to_digit(16).and_then(|value| u16::try_from(value).ok()) else {
                return Err(self.fail(Fault::Escape));
            };
            unit = unit << 4 | value;
        }
        self.at += 4;
        Ok(unit)
    }

    /// Reads a number; its first character is next.
    pub(super) fn number(&mut self) -> Result<Number, InputError> {
        let begin = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        let leading = self.bytes.get(self.at).copied();
        if self.digits(begin)? > 1 && leading == Some(b'0') {
            return Err(self.fail(Fault::Syntax("a number without a zero before it")));
        }
        let whole_end = self.at;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits(begin)?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits(begin)?;
        }
        let text = &self.bytes[begin..self.at];
        if self.at == whole_end && text.len() <= SHORT_NUMBER && leading == text.first().copied() {
            let number = text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
            return Ok(Number::Unsigned(number));
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        let number = if self.at > whole_end {
            text.parse().ok().filter(|number: &f64| number.is_finite()).map(Number::Float)
        } else if text == "-0" {
            Some(Number::Float(-0.0))
        } else if text.starts_with('-') {
            text.parse().ok().map(Number::Signed)
        } else {
            text.parse().ok().map(Number::Unsigned)
        };
        number.ok_or_else(|| self.fail(Fault::Number))
    }

    /// Steps over digits, of which there is at least one, and says how many.
    fn digits(&mut self, begin: usize) -> Result<usize, InputError> {
        let first = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            if self.at - begin > LONGEST_NUMBER {
                return Err(self.fail(Fault::Number));
            }
        }
        if self.at == first {
            let next = self.bytes.get(self.at).copied();
            return Err(self.unexpected(next, "a digit"));
        }
        Ok(self.at - first)
    }
}
