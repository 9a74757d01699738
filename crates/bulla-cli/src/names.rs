//! How entries are printed: names, which are any bytes, moments, and what an entry says about its value.

use bulla::{EntryStat, Timestamp};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

/// Writes a name for people: text as it is, anything a terminal would not show escaped.
pub(crate) fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => name.escape_ascii().to_string(),
    }
}

/// Writes a name into a record: as `name`, or as `name_base64` where it is not text.
pub(crate) fn record(record: &mut Map<String, Value>, name: &[u8]) {
    match std::str::from_utf8(name) {
        Ok(text) => record.insert("name".into(), text.into()),
        Err(_) => record.insert("name_base64".into(), BASE64.encode(name).into()),
    };
}

/// Writes what an entry says about its value into a record.
pub(crate) fn record_stat(record: &mut Map<String, Value>, stat: &EntryStat) {
    record.extend([
        ("version".to_owned(), json!(stat.version)),
        ("bytes".to_owned(), json!(stat.len)),
        ("created".to_owned(), json!(moment(stat.created))),
        ("expires".to_owned(), json!(stat.expires.map(moment))),
        ("media_type".to_owned(), json!(stat.media_type)),
        ("tags".to_owned(), json!(stat.tags)),
    ]);
}

/// Writes a moment in UTC, to the second (RFC 3339).
pub(crate) fn moment(moment: Timestamp) -> String {
    let seconds = moment.0 / 1_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Writes a moment in UTC for a table: `YYYY-MM-DD HH:MM:SS`, or `-` where there is none that a calendar has.
pub(crate) fn table_moment(at: Timestamp) -> String {
    /// The first moment of the year 10000, in milliseconds.
    const END: u64 = 253_402_300_800_000;
    match at.0 {
        1..END => moment(at).replace('T', " ").replace('Z', ""),
        _ => "-".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(moment(Timestamp(seconds * 1_000)), text);
        }
        // Far beyond any calendar, and yet no panic.
        assert!(moment(Timestamp(u64::MAX)).ends_with('Z'));
    }

    #[test]
    fn moments_of_no_calendar_are_a_dash_in_tables() {
        assert_eq!(table_moment(Timestamp(1_798_761_599_999)), "2026-12-31 23:59:59");
        assert_eq!(table_moment(Timestamp(253_402_300_799_999)), "9999-12-31 23:59:59");
        for none in [0, 253_402_300_800_000, u64::MAX] {
            assert_eq!(table_moment(Timestamp(none)), "-");
        }
    }

    #[test]
    fn names_that_a_terminal_would_not_show_are_escaped() {
        assert_eq!(shown("größe/1".as_bytes()), "größe/1");
        assert_eq!(shown(b"a\x1b[31m"), "a\\x1b[31m");
        assert_eq!(shown(b"\xff"), "\\xff");
    }
}
