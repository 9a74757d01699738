//! Moments and spans of time as Vault writes them.

use std::fmt;

use bulla_backend::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// A moment in UTC, to the millisecond (RFC 3339), or an empty text where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, JsonSchema)]
pub struct Moment(#[schemars(with = "String")] pub Option<Timestamp>);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Timestamp(millis)) = self.0 else { return Ok(()) };
        let (seconds, fraction) = (millis / 1_000, millis % 1_000);
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)?;
        match fraction {
            0 => f.write_str("Z"),
            _ if fraction % 100 == 0 => write!(f, ".{}Z", fraction / 100),
            _ if fraction % 10 == 0 => write!(f, ".{:02}Z", fraction / 10),
            _ => write!(f, ".{fraction:03}Z"),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns the Gregorian date so many days after 1970-01-01.
///
/// Years are counted from 1 March of the year 0, so that a leap day is the last of its year; 400 of them have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day_of_month)
}

/// Writes a span of time as hours, minutes and seconds.
pub(crate) fn text_of_seconds(seconds: i64) -> String {
    let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, rest) => format!("{sign}{rest}s"),
        (0, minutes, rest) => format!("{sign}{minutes}m{rest}s"),
        (hours, minutes, rest) => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_796_164_625_684, "2026-12-01T22:37:05.684Z"),
            (1_796_164_625_680, "2026-12-01T22:37:05.68Z"),
            (1_796_164_625_600, "2026-12-01T22:37:05.6Z"),
            (1_796_164_625_004, "2026-12-01T22:37:05.004Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(Moment(Some(Timestamp(millis))).to_string(), text);
        }
        assert_eq!(Moment(None).to_string(), "");
        assert!(!Moment(Some(Timestamp(u64::MAX))).to_string().is_empty());
    }

    #[test]
    fn spans_are_written_from_hours_down() {
        let cases = [(0, "0s"), (90, "1m30s"), (3_600, "1h0m0s"), (12_319, "3h25m19s"), (-1, "-1s")];
        for (seconds, text) in cases {
            assert_eq!(text_of_seconds(seconds), text);
        }
        assert!(!text_of_seconds(i64::MIN).is_empty());
    }
}
