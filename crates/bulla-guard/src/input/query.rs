//! Query strings.

use std::ops::RangeInclusive;

use super::bounds::Bounds;
use super::error::{Fault, InputError};
use super::percent;

/// The parameters of a query string, each of which is there once.
///
/// They are decoded once, and as forms are (a `+` is a space), since that is what clients write.
///
/// # Examples
/// ```
/// use bulla_guard::input::{Bounds, Query};
///
/// let query = Query::parse("prefix=a%2Fb&limit=20", &Bounds::DEFAULT)?;
/// query.only(&["prefix", "limit"])?;
/// assert_eq!(query.text("prefix"), Some("a/b"));
/// assert_eq!(query.number("limit", 1..=1_000)?, Some(20));
/// # Ok::<(), bulla_guard::input::InputError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string, without its `?`. A parameter without `=` has an empty value.
    ///
    /// # Errors
    /// [`InputError`] if it is longer than the bound of headers or has too many parameters; for a name that is empty, too long or there twice; for a `%`
    /// without two digits, a character that has to be encoded, a zero byte, and what is not UTF-8.
    pub fn parse(encoded: &str, bounds: &Bounds) -> Result<Self, InputError> {
        let whole = |fault| InputError::of_field("the query string", fault);
        if encoded.len() > bounds.headers {
            return Err(whole(Fault::TextLength(bounds.headers)));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in encoded.split('&').filter(|_| !encoded.is_empty()) {
            if pairs.len() >= bounds.parameters {
                return Err(whole(Fault::Parameters(bounds.parameters)));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(|fault| InputError::of_field(name, fault))?;
            let refused = |fault| InputError::of_field(&name, fault);
            if name.is_empty() {
                return Err(whole(Fault::Empty));
            }
            if name.len() > bounds.member_name {
                return Err(refused(Fault::NameLength(bounds.member_name)));
            }
            if pairs.iter().any(|(before, _)| *before == name) {
                return Err(refused(Fault::Duplicate));
            }
            let value = decode(value).map_err(refused)?;
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Refuses parameters other than these.
    ///
    /// # Errors
    /// [`Fault::Unknown`] with the name of the first.
    pub fn only(&self, names: &[&str]) -> Result<(), InputError> {
        match self.0.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((other, _)) => Err(InputError::of_field(other, Fault::Unknown)),
            None => Ok(()),
        }
    }

    /// Returns all parameters, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the value of a parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a parameter that is a whole number, written with digits only.
    ///
    /// # Errors
    /// [`Fault::Range`] if it is no number, or outside of the range.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, InputError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse().ok().filter(|number| digits && range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(InputError::of_field(name, Fault::Range { least: *range.start(), most: *range.end() })),
        }
    }
}

fn decode(encoded: &str) -> Result<String, Fault> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => percent::escaped(&mut bytes).ok_or(Fault::PercentSequence)?,
            b'+' => b' ',
            b'!'..=b'~' if !b"\"#<>\\^`{|}".contains(&byte) => byte,
            _ => return Err(Fault::Unencoded),
        });
    }
    if decoded.contains(&0) {
        return Err(Fault::Nul);
    }
    String::from_utf8(decoded).map_err(|_| Fault::Utf8)
}
