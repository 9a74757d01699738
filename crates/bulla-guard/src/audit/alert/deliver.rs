//! Alerts as other programs take them: signed bodies of webhooks, and lines of syslog.

use std::fmt::Write as _;
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_seal::MacKey;
use data_encoding::HEXLOWER;

use super::Alert;
use crate::audit::event::Level;
use crate::audit::json::Object;
use crate::audit::time::rfc3339;

/// Log audit (RFC 5424 §6.2.1).
const FACILITY: u8 = 13;
/// An enterprise number is part of names that are not IANA's; this one is kept for those who have none (RFC 5612).
const DATA_ID: &str = "alert@32473";

impl Alert {
    /// Returns it as a body of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut body = Object::default();
        body.text("kind", self.kind.code()).text("time", &rfc3339(self.time)).text("level", self.level.name());
        body.text("subject", &self.subject).text("detail", &self.detail).number("suppressed", self.suppressed);
        if let Some(index) = self.index {
            body.number("index", index);
        }
        body.finish()
    }

    /// Returns it as a message of syslog (RFC 5424). Names that are no printable ASCII without spaces are left out.
    #[must_use]
    pub fn to_syslog(&self, host: &str, process: &str) -> String {
        let severity = match self.level {
            Level::Critical => 2,
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 6,
        };
        let mut line = format!(
            "<{}>1 {} {} bulla {} {} [{DATA_ID}",
            FACILITY * 8 + severity,
            rfc3339(self.time),
            name(host, 255),
            name(process, 128),
            name(self.kind.code(), 32)
        );
        let mut datum = |key: &str, value: &str| {
            let _ = write!(line, " {key}=\"");
            for character in shown(value).chars() {
                if matches!(character, '"' | '\\' | ']') {
                    line.push('\\');
                }
                line.push(character);
            }
            line.push('"');
        };
        datum("subject", &self.subject);
        datum("suppressed", &self.suppressed.to_string());
        if let Some(index) = self.index {
            datum("index", &index.to_string());
        }
        let _ = write!(line, "] {}", shown(&self.detail));
        line
    }
}

fn name(text: &str, longest: usize) -> &str {
    let is_name = !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name { text } else { "-" }
}

/// Printable ASCII stays; everything else is escaped.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            ' '..='~' => shown.push(character),
            other => shown.extend(other.escape_unicode()),
        }
    }
    shown
}

/// Returns the value of the header `Bulla-Signature` for the body of a webhook.
#[must_use]
pub fn sign_webhook(secret: &MacKey, time: Timestamp, body: &str) -> String {
    format!("t={},v1={}", time.0, HEXLOWER.encode(&secret.tag(&signed(time.0, body))))
}

/// Says whether a header is the sender's for this body, and not older or newer than a tolerance.
#[must_use]
pub fn verify_webhook(secret: &MacKey, header: &str, body: &str, now: Timestamp, tolerance: Duration) -> bool {
    let parts = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1="));
    let Some((time, tag)) = parts else { return false };
    let (Ok(time), Ok(tag)) = (time.parse::<u64>(), HEXLOWER.decode(tag.as_bytes())) else { return false };
    let is_fresh = u128::from(time.abs_diff(now.0)) <= tolerance.as_millis();
    secret.verifies(&signed(time, body), &tag) && is_fresh
}

fn signed(time: u64, body: &str) -> Vec<u8> {
    [time.to_string().as_bytes(), b".", body.as_bytes()].concat()
}
