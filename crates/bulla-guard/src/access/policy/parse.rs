//! Reading policies: the part of HCL that they use, and JSON. Whatever else these languages have is refused.

use std::time::Duration;

use super::{
    Capabilities, Capability, MAX_POLICY_LEN, MAX_POLICY_PATHS, ParameterValue, Parameters, PathGlob, PathRule,
    PolicyError, Rights,
};

/// How deep values may lie within each other.
const MAX_DEPTH: usize = 8;

type Map = Vec<(String, ParameterValue)>;

/// Reads the rules of a policy.
pub(super) fn rules(text: &str) -> Result<Vec<PathRule>, PolicyError> {
    if text.len() > MAX_POLICY_LEN {
        return Err(PolicyError::TooLong);
    }
    let is_json = text.trim_start().starts_with('{');
    let mut reader = Reader { text: text.as_bytes(), at: 0, is_json };
    let paths = if is_json { json_paths(&mut reader)? } else { hcl_paths(&mut reader)? };
    if paths.len() > MAX_POLICY_PATHS {
        return Err(PolicyError::TooLong);
    }
    paths.into_iter().map(|(path, body)| path_rule(&path, body)).collect()
}

fn hcl_paths(reader: &mut Reader<'_>) -> Result<Vec<(String, Map)>, PolicyError> {
    let mut paths = Vec::new();
    loop {
        reader.skip()?;
        if reader.peek().is_none() {
            return Ok(paths);
        }
        let word = reader.key()?;
        reader.skip()?;
        match word.as_str() {
            "path" => {
                let path = reader.text()?;
                reader.skip()?;
                if reader.take(b'=') {
                    reader.skip()?;
                }
                paths.push((path, reader.map(1)?));
            }
            "name" => {
                reader.expect(b'=', "`=` and a name")?;
                reader.skip()?;
                reader.text()?;
            }
            _ => return Err(PolicyError::Unsupported(word)),
        }
        if paths.len() > MAX_POLICY_PATHS {
            return Err(PolicyError::TooLong);
        }
    }
}

fn json_paths(reader: &mut Reader<'_>) -> Result<Vec<(String, Map)>, PolicyError> {
    reader.skip()?;
    let all = reader.map(0)?;
    reader.skip()?;
    if reader.peek().is_some() {
        return Err(reader.wrong("nothing behind the policy"));
    }
    let mut paths = Vec::new();
    for (word, value) in all {
        match (word.as_str(), value) {
            ("path", ParameterValue::Map(map)) => paths.extend(map),
            ("path", ParameterValue::List(list)) => {
                for item in list {
                    let ParameterValue::Map(map) = item else { return Err(not_paths()) };
                    paths.extend(map);
                }
            }
            ("path", _) => return Err(not_paths()),
            ("name", ParameterValue::Text(_)) => {}
            _ => return Err(PolicyError::Unsupported(word)),
        }
    }
    let body = |(path, value)| if let ParameterValue::Map(map) = value { Ok((path, map)) } else { Err(not_paths()) };
    paths.into_iter().map(body).collect()
}

fn not_paths() -> PolicyError {
    PolicyError::Syntax { line: 1, expected: "`path` has paths, each with what may be done there" }
}

fn path_rule(path: &str, body: Map) -> Result<PathRule, PolicyError> {
    if path.contains("{{") || path.contains("}}") {
        return Err(PolicyError::Template(path.to_owned()));
    }
    let glob =
        PathGlob::parse(path).map_err(|reason| PolicyError::Path { path: path.chars().take(80).collect(), reason })?;
    let mut rights = Rights::default();
    for (name, value) in body {
        let wrong = |expected| PolicyError::Value { path: path.to_owned(), name: name.clone(), expected };
        match (name.as_str(), value) {
            ("capabilities", ParameterValue::List(list)) => {
                for value in list {
                    let capability = capability(&value).ok_or_else(|| wrong("has the names of capabilities"))?;
                    rights.capabilities = rights.capabilities.joined(Capabilities::of(&[capability]));
                }
            }
            ("policy", ParameterValue::Text(word)) => {
                let old = old_style(&word).ok_or_else(|| wrong("is `deny`, `read`, `write` or `sudo`"))?;
                rights.capabilities = rights.capabilities.joined(old);
            }
            ("allowed_parameters", ParameterValue::Map(map)) => {
                rights.allowed = parameters(map).ok_or_else(|| wrong("has a list of values for each parameter"))?;
            }
            ("denied_parameters", ParameterValue::Map(map)) => {
                rights.denied = parameters(map).ok_or_else(|| wrong("has a list of values for each parameter"))?;
            }
            ("required_parameters", ParameterValue::List(list)) => {
                for value in list {
                    let ParameterValue::Text(name) = value else { return Err(wrong("has the names of parameters")) };
                    rights.required.push(name.to_ascii_lowercase());
                }
            }
            ("min_wrapping_ttl", value) => {
                rights.min_wrapping = Some(duration(&value).ok_or_else(|| wrong("is a time, such as `60` or \"1m\""))?);
            }
            ("max_wrapping_ttl", value) => {
                rights.max_wrapping = Some(duration(&value).ok_or_else(|| wrong("is a time, such as `60` or \"1m\""))?);
            }
            ("comment", ParameterValue::Text(_)) => {}
            (
                "capabilities"
                | "policy"
                | "allowed_parameters"
                | "denied_parameters"
                | "required_parameters"
                | "comment",
                _,
            ) => return Err(wrong("has a value of another sort than it wants")),
            _ => return Err(PolicyError::Unsupported(name)),
        }
    }
    // No time is none, as in Vault.
    rights.min_wrapping = rights.min_wrapping.filter(|time| !time.is_zero());
    rights.max_wrapping = rights.max_wrapping.filter(|time| !time.is_zero());
    if rights.min_wrapping.zip(rights.max_wrapping).is_some_and(|(min, max)| max < min) {
        let (path, name) = (path.to_owned(), "max_wrapping_ttl".to_owned());
        return Err(PolicyError::Value { path, name, expected: "is not below `min_wrapping_ttl`" });
    }
    Ok(PathRule { glob, rights })
}

fn capability(value: &ParameterValue) -> Option<Capability> {
    let ParameterValue::Text(name) = value else { return None };
    Capability::ALL.iter().copied().find(|capability| capability.name() == name)
}

/// What Vault's first policies wrote in place of capabilities.
fn old_style(word: &str) -> Option<Capabilities> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    Some(match word {
        "deny" => Capabilities::of(&[Deny]),
        "read" => Capabilities::of(&[Read, List]),
        "write" => Capabilities::of(&[Create, Read, Update, Delete, List]),
        "sudo" => Capabilities::of(&[Create, Read, Update, Delete, List, Sudo]),
        _ => return None,
    })
}

fn parameters(map: Map) -> Option<Parameters> {
    let mut parameters = Parameters::new();
    for (name, value) in map {
        let ParameterValue::List(values) = value else { return None };
        // Two names that differ only in case are one parameter to whoever reads requests.
        if parameters.insert(name.to_ascii_lowercase(), values).is_some() {
            return None;
        }
    }
    Some(parameters)
}

/// Reads a number of seconds, or a text such as `90`, `60s`, `5m` or `1h30m`.
fn duration(value: &ParameterValue) -> Option<Duration> {
    match value {
        ParameterValue::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        ParameterValue::Text(text) => {
            if let Ok(seconds) = text.parse::<u64>() {
                return Some(Duration::from_secs(seconds));
            }
            let (mut total, mut rest) = (0_u64, text.as_str());
            while !rest.is_empty() {
                let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let number: u64 = rest.get(..digits)?.parse().ok()?;
                rest = &rest[digits..];
                let unit = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
                let seconds = match &rest[..unit] {
                    "s" => 1,
                    "m" => 60,
                    "h" => 3_600,
                    "d" => 86_400,
                    _ => return None,
                };
                total = total.checked_add(number.checked_mul(seconds)?)?;
                rest = &rest[unit..];
            }
            (!text.is_empty()).then(|| Duration::from_secs(total))
        }
        _ => None,
    }
}

/// Reads words, texts, numbers and what is made of them.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    is_json: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn wrong(&self, expected: &'static str) -> PolicyError {
        let before = &self.text[..self.at.min(self.text.len())];
        PolicyError::Syntax { line: 1 + before.iter().filter(|byte| **byte == b'\n').count(), expected }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), PolicyError> {
        if self.take(byte) { Ok(()) } else { Err(self.wrong(expected)) }
    }

    /// Skips white space, and comments where the language has them.
    fn skip(&mut self) -> Result<(), PolicyError> {
        loop {
            match (self.peek(), self.text.get(self.at + 1)) {
                (Some(b' ' | b'\t' | b'\r' | b'\n'), _) => self.at += 1,
                (Some(b'#'), _) | (Some(b'/'), Some(b'/')) if !self.is_json => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                (Some(b'/'), Some(b'*')) if !self.is_json => {
                    let end = self.text[self.at + 2..].windows(2).position(|pair| pair == b"*/");
                    let Some(end) = end else { return Err(self.wrong("the end of the comment")) };
                    self.at += 2 + end + 2;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Reads a name: a text, or in HCL a word.
    fn key(&mut self) -> Result<String, PolicyError> {
        if self.is_json || self.peek() == Some(b'"') { self.text() } else { self.word() }
    }

    fn word(&mut self) -> Result<String, PolicyError> {
        let rest = &self.text[self.at..];
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
        let len = rest.iter().take_while(|byte| known(byte)).count();
        if !rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_') {
            return Err(self.wrong("a word"));
        }
        let word = String::from_utf8_lossy(&rest[..len]).into_owned();
        self.at += len;
        Ok(word)
    }

    fn text(&mut self) -> Result<String, PolicyError> {
        self.expect(b'"', "a text in double quotes")?;
        let mut out = Vec::new();
        loop {
            let byte = self.peek().ok_or_else(|| self.wrong("the end of a text"))?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => self.escape(&mut out)?,
                0..=0x1f => return Err(self.wrong("a text on one line")),
                _ => out.push(byte),
            }
        }
        let text = String::from_utf8(out).map_err(|_| self.wrong("a text in UTF-8"))?;
        if text.contains("${") {
            return Err(self.wrong("a text without `${`"));
        }
        Ok(text)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), PolicyError> {
        let byte = self.peek().ok_or_else(|| self.wrong("the end of a text"))?;
        self.at += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' if self.is_json => 8,
            b'f' if self.is_json => 12,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).and_then(|hex| std::str::from_utf8(hex).ok());
                let number = digits.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let number = number.and_then(|hex| u32::from_str_radix(hex, 16).ok());
                // Pairs for what lies beyond need no support: nothing that a policy names is written so.
                let c = number.and_then(char::from_u32).ok_or_else(|| self.wrong("four hexadecimal digits"))?;
                self.at += 4;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.wrong("a character that may be escaped")),
        });
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<ParameterValue, PolicyError> {
        match self.peek() {
            Some(b'"') => self.text().map(ParameterValue::Text),
            Some(b'[') => self.list(depth).map(ParameterValue::List),
            Some(b'{') => self.map(depth).map(ParameterValue::Map),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => match self.word()?.as_str() {
                "true" => Ok(ParameterValue::Flag(true)),
                "false" => Ok(ParameterValue::Flag(false)),
                "null" if self.is_json => Ok(ParameterValue::Null),
                _ => Err(self.wrong("a value: a text, a number, true, false, a list or a map")),
            },
        }
    }

    fn number(&mut self) -> Result<ParameterValue, PolicyError> {
        let rest = &self.text[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)).count();
        let text = String::from_utf8_lossy(&rest[..len]).into_owned();
        let digits = text.trim_start_matches('-');
        let led_by_zero = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        if led_by_zero || !digits.starts_with(|c: char| c.is_ascii_digit()) || text.len() - digits.len() > 1 {
            return Err(self.wrong("a number"));
        }
        let number = match text.parse::<i64>() {
            Ok(integer) => ParameterValue::Integer(integer),
            Err(_) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => ParameterValue::Number(number),
                _ => return Err(self.wrong("a number")),
            },
        };
        self.at += len;
        Ok(number)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<ParameterValue>, PolicyError> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong("values that lie less deep"));
        }
        self.expect(b'[', "a list")?;
        let mut list = Vec::new();
        loop {
            self.skip()?;
            // HCL lets a comma stand before the end.
            if self.peek() == Some(b']') && (list.is_empty() || !self.is_json) {
                self.at += 1;
                return Ok(list);
            }
            list.push(self.value(depth + 1)?);
            self.skip()?;
            if self.take(b']') {
                return Ok(list);
            }
            self.expect(b',', "`,` or `]`")?;
        }
    }

    fn map(&mut self, depth: usize) -> Result<Map, PolicyError> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong("values that lie less deep"));
        }
        self.expect(b'{', "`{`")?;
        let mut map = Map::new();
        let mut names = std::collections::HashSet::new();
        loop {
            self.skip()?;
            if self.peek() == Some(b'}') && (map.is_empty() || !self.is_json) {
                self.at += 1;
                return Ok(map);
            }
            let name = self.key()?;
            if !names.insert(name.clone()) {
                return Err(self.wrong("each name once"));
            }
            self.skip()?;
            let value = match self.peek() {
                Some(b':') if self.is_json => {
                    self.at += 1;
                    self.skip()?;
                    self.value(depth + 1)?
                }
                Some(b'=') if !self.is_json => {
                    self.at += 1;
                    self.skip()?;
                    self.value(depth + 1)?
                }
                Some(b'{') if !self.is_json => ParameterValue::Map(self.map(depth + 1)?),
                _ => return Err(self.wrong(if self.is_json { "`:`" } else { "`=` or `{`" })),
            };
            map.push((name, value));
            self.skip()?;
            if self.take(b'}') {
                return Ok(map);
            }
            // In HCL nothing has to stand between two entries.
            if !self.take(b',') && self.is_json {
                return Err(self.wrong("`,` or `}`"));
            }
        }
    }
}
