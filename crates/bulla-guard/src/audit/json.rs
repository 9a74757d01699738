//! JSON in ASCII, for exports: nothing in it ends a line or moves a terminal's cursor.

use std::fmt::Write as _;

use super::value::Text;

/// One object that is being written.
#[derive(Debug, Default)]
pub(super) struct Object {
    out: String,
}

impl Object {
    fn key(&mut self, key: &str) -> &mut String {
        self.out.push(if self.out.is_empty() { '{' } else { ',' });
        quote(&mut self.out, key);
        self.out.push(':');
        &mut self.out
    }

    pub(super) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        quote(self.key(key), text);
        self
    }

    pub(super) fn number(&mut self, key: &str, number: u64) -> &mut Self {
        // Writing to memory does not fail.
        let _ = write!(self.key(key), "{number}");
        self
    }

    pub(super) fn flag(&mut self, key: &str, flag: bool) -> &mut Self {
        self.key(key).push_str(if flag { "true" } else { "false" });
        self
    }

    pub(super) fn object(&mut self, key: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut object = Self::default();
        write(&mut object);
        self.key(key).push_str(&object.finish());
        self
    }

    /// Adds an array of one object.
    pub(super) fn list(&mut self, key: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut object = Self::default();
        write(&mut object);
        let _ = write!(self.key(key), "[{}]", object.finish());
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str(if self.out.is_empty() { "{}" } else { "}" });
        self.out
    }
}

/// Returns text with the bytes that are not UTF-8 as `\xNN`, and a mark if it was cut.
pub(super) fn shown(text: &Text) -> String {
    let mut shown = String::new();
    for chunk in text.as_bytes().utf8_chunks() {
        shown.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    if text.is_cut() {
        shown.push('…');
    }
    shown
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}
