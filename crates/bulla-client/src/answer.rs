//! What comes back.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::ask::Ask;
use crate::body::Wiped;
use crate::{ClientError, Result, Said};

/// How much of what a server says is shown.
const MAX_MESSAGES: usize = 8;
const MAX_MESSAGE_CHARS: usize = 300;

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Wiped,
    /// What messages call the server.
    server: String,
    /// What messages call the request.
    request: String,
    /// What no message shows.
    secrets: Vec<Zeroizing<String>>,
    retry_after: Option<Duration>,
}

/// The part of an answer that is the answer.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: Wiped, server: String, ask: &Ask) -> Self {
        let (request, secrets) = (ask.described(), ask.secrets.clone());
        Self { status, body, server, request, secrets, retry_after: retry_after(headers) }
    }

    /// Reads the body, or `None` where there is none.
    pub(crate) fn whole<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        if self.body.len() == 0 {
            return Ok(None);
        }
        serde_json::from_slice(self.body.as_slice()).map(Some).map_err(|error| {
            // The words of the parser would repeat what it found.
            let what = if error.is_data() { "other JSON than there should be" } else { "no JSON" };
            self.unlike(&format!("it is {what}, at line {} column {}", error.line(), error.column()))
        })
    }

    /// Reads what is under `data`.
    pub(crate) fn data<T: DeserializeOwned>(&self) -> Result<T> {
        let envelope: Option<Envelope<T>> = self.whole()?;
        envelope.map(|envelope| envelope.data).ok_or_else(|| self.unlike("it is empty"))
    }

    /// Makes the error of an answer that is not as it should be.
    pub(crate) fn unlike(&self, detail: &str) -> ClientError {
        ClientError::Answer { server: self.server.clone(), detail: detail.to_owned() }
    }

    /// Makes words of the server fit to be shown.
    pub(crate) fn cleaned(&self, text: &str) -> String {
        cleaned(text, &self.secrets)
    }

    /// Makes the error that an answer tells of.
    pub(crate) fn failure(&self) -> ClientError {
        #[derive(Deserialize)]
        struct Errors {
            #[serde(default)]
            errors: Vec<String>,
        }
        let errors =
            serde_json::from_slice(self.body.as_slice()).map_or_else(|_| Vec::new(), |Errors { errors }| errors);
        let messages = errors.iter().take(MAX_MESSAGES).map(|message| self.cleaned(message)).collect();
        let said = self.said(messages);
        // Vault says so with 400, and in words only.
        let is_conflict = said.messages.iter().any(|message| message.contains("check-and-set parameter"));
        match self.status.as_u16() {
            401 | 403 => ClientError::Refused(said),
            404 => ClientError::NotFound(said),
            409 | 412 => ClientError::Conflict(said),
            400 if is_conflict => ClientError::Conflict(said),
            429 | 503 => ClientError::Busy { retry_after: self.retry_after, said },
            400..=499 => ClientError::Invalid(said),
            500..=599 => ClientError::Failed(said),
            status => self.unlike(&format!("status {status}")),
        }
    }

    /// Repeats what was asked, with words on why it was not done.
    pub(crate) fn said(&self, messages: Vec<String>) -> Said {
        Said { request: self.cleaned(&self.request), status: self.status, messages }
    }
}

/// Why a body was not read.
pub(crate) enum ReadError {
    TooLong,
    Broken(hyper::Error),
}

/// Reads a body to its end.
pub(crate) async fn read(mut body: Incoming, longest: usize) -> std::result::Result<Wiped, ReadError> {
    let announced = body.size_hint().exact().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > longest {
        return Err(ReadError::TooLong);
    }
    let mut bytes = Wiped::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() {
            if data.len() > longest - bytes.len() {
                return Err(ReadError::TooLong);
            }
            bytes.push(&data);
        }
    }
    Ok(bytes)
}

/// Says whether a body is JSON, by what it says of itself.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Reads after how many seconds to come back. A date is not heeded: it would take the server's clock for ours.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Makes words of a stranger fit to be shown: on one line, not too long, without what turns a terminal around, and without secrets.
pub(crate) fn cleaned(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let shown = |c: char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let text: String = text.chars().filter(|c| shown(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut text = Zeroizing::new(text);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = Zeroizing::new(text.replace(secret.as_str(), "[secret]"));
    }
    let text = text.trim();
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_is_fit_to_be_shown() {
        let secrets = [Zeroizing::new("s.abc".to_owned()), Zeroizing::new(String::new())];
        assert_eq!(
            cleaned("a\r\n\u{1b}[31mred\u{202e} s.abc s.\u{200b}abc ", &secrets),
            "a   [31mred [secret] [secret]"
        );
        let long = cleaned(&"ä".repeat(MAX_MESSAGE_CHARS + 1), &secrets);
        assert_eq!(long.chars().count(), MAX_MESSAGE_CHARS + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_date_is_no_time_to_wait() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        for (text, expected) in [("7", Some(7)), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("-1", None), ("9e9", None)] {
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        let mut headers = HeaderMap::new();
        assert!(!is_json(&headers));
        let kinds =
            [("application/json", true), ("Application/JSON; charset=utf-8", true), ("application/health+json", true)];
        for (kind, expected) in kinds.into_iter().chain([("text/html", false), ("application/jsonx", false)]) {
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            assert_eq!(is_json(&headers), expected, "{kind}");
        }
    }
}
