//! What follows the `?` of a request.

use std::fmt;
use std::str::FromStr;

use crate::ApiError;
use crate::table::decode;

/// Longest query, in bytes as it was sent.
const MAX_QUERY: usize = 8192;

/// Most parameters of a query.
const MAX_PARAMETERS: usize = 64;

/// Parameters, decoded once. None is there twice.
#[derive(Clone, Default)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Self::default()) };
        let bad = |problem: &str| ApiError::field("query", problem);
        if query.len() > MAX_QUERY {
            return Err(bad("is too long"));
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(bad("has too many parameters"));
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = |text: &str| {
                let text = text.replace('+', " ");
                let decoded = decode(&text).map(std::borrow::Cow::into_owned);
                decoded.ok_or_else(|| bad("has an escape that is none, or is not UTF-8"))
            };
            let (name, value) = (decoded(name)?, decoded(value)?);
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(bad("has a parameter twice"));
            }
            parameters.push((name, value));
        }
        Ok(Self { parameters })
    }

    /// Returns a parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Returns a parameter that is a number, or whatever else can be read from text.
    ///
    /// # Errors
    /// 400, naming the parameter.
    pub fn value<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| ApiError::field(name, "is not what it must be"))
    }

    /// Returns a switch: `true` or `1`, `false` or `0`, or absent. With nothing after it, it is on.
    ///
    /// # Errors
    /// 400, naming the parameter.
    pub fn switch(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            Some("" | "true" | "1") => Ok(true),
            None | Some("false" | "0") => Ok(false),
            Some(_) => Err(ApiError::field(name, "is neither true nor false")),
        }
    }

    /// Refuses parameters that nobody reads.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let unknown = self.parameters.iter().find(|(name, _)| !known.contains(&&**name) && name != "list");
        match unknown {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(ApiError::field("query", format_args!("there is no parameter `{name}`")))
            }
        }
    }
}

/// Names only: values can be secrets.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.parameters.iter().map(|(name, _)| name)).finish()
    }
}
