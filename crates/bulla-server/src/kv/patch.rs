//! Merge patches (RFC 7386) on JSON texts: what is not patched stays as it was written, to the last digit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::json::SecretJson;
use crate::ApiError;

/// The members of an object, with their texts.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Applies a patch to data.
pub(crate) fn merge(data: &SecretJson, patch: &SecretJson) -> Result<SecretJson, ApiError> {
    // The room that it takes at most, so that no copy is left behind when it grows.
    let mut out = Zeroizing::new(String::with_capacity(data.expose().len() + patch.expose().len() + 2));
    write(&mut out, Some(data.expose()), patch.expose())?;
    SecretJson::parse(std::mem::take(&mut *out))
}

/// Writes what a patch makes of a target. Both are at most [`MAX_DEPTH`](super::MAX_DEPTH) deep.
fn write(out: &mut String, target: Option<&str>, patch: &str) -> Result<(), ApiError> {
    if !patch.starts_with('{') {
        out.push_str(patch);
        return Ok(());
    }
    let target = target.filter(|target| target.starts_with('{')).map(members).transpose()?.unwrap_or_default();
    let patch = members(patch)?;
    let mut separator = '{';
    let kept = target.iter().filter(|(key, _)| !patch.contains_key(*key));
    for (key, value) in kept {
        member(out, &mut separator, key)?;
        out.push_str(value.get());
    }
    for (key, value) in patch.iter().filter(|(_, value)| value.get() != "null") {
        member(out, &mut separator, key)?;
        write(out, target.get(key).map(|target| target.get()), value.get())?;
    }
    if separator == '{' {
        out.push('{');
    }
    out.push('}');
    Ok(())
}

fn member(out: &mut String, separator: &mut char, key: &str) -> Result<(), ApiError> {
    out.push(std::mem::replace(separator, ','));
    out.push_str(&serde_json::to_string(key).map_err(|_| ApiError::field("data", "a name in it cannot be written"))?);
    out.push(':');
    Ok(())
}

/// Reads the members of an object; of two with one name, the last.
pub(crate) fn members(object: &str) -> Result<Members<'_>, ApiError> {
    serde_json::from_str(object).map_err(|_| ApiError::field("data", "it is not JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(data: &str, patch: &str) -> String {
        merge(&SecretJson::parse(data).unwrap(), &SecretJson::parse(patch).unwrap()).unwrap().expose().to_owned()
    }

    /// The examples of RFC 7386, appendix A, that begin and end with objects.
    #[test]
    fn the_examples_of_the_standard_hold() {
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        for (data, patch, expected) in cases {
            assert_eq!(merged(data, patch), expected, "{data} {patch}");
        }
    }

    #[test]
    fn what_is_not_patched_keeps_its_digits() {
        let data = r#"{"n":1.00,"big":12345678901234567890123,"in":{"x":1e400}}"#;
        let expected = r#"{"big":12345678901234567890123,"n":1.00,"in":{"x":1e400,"\"":2}}"#;
        assert_eq!(merged(data, r#"{ "in" : { "\"" : 2 } }"#), expected);
    }
}
