//! Lengths of time, as people write them.

use std::time::Duration;

/// The units, longest first, with their seconds.
const UNITS: [(char, u64); 5] = [('w', 7 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads `30d`, `12h`, `1h30m`: whole numbers, each with one of the units `w`, `d`, `h`, `m` and `s`, the longest first and each once.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        "write whole numbers with units, `30d`, `12h` or `1h30m` say: w(eeks), d(ays), h(ours), m(inutes), s(econds)"
            .to_owned()
    };
    let mut seconds = 0_u64;
    let mut units = UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let unit = behind.chars().next().ok_or_else(wrong)?;
        let (_, factor) = units.find(|(known, _)| *known == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(*factor).and_then(|part| seconds.checked_add(part));
        seconds = part.ok_or_else(|| "it is longer than can be counted".to_owned())?;
        rest = &behind[unit.len_utf8()..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

/// Reads whole seconds, or what [`parse`] reads.
pub(crate) fn parse_or_seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).or_else(|_| parse(text))
}

/// Writes a length of time as [`parse`] reads it; what is less than a second is left out.
pub(crate) fn shown(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    // Weeks are left to those who write them: 30 days are easier to compare than 4 weeks and 2.
    for (unit, seconds) in &UNITS[1..] {
        if rest >= *seconds {
            text.push_str(&format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        assert_eq!(parse_or_seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_or_seconds("2m"), Ok(Duration::from_secs(120)));
        assert!(parse("90").is_err());
        for (text, seconds, written) in [
            ("30d", 2_592_000, "30d"),
            ("2w", 1_209_600, "14d"),
            ("1h30m", 5_400, "1h30m"),
            ("90s", 90, "1m30s"),
            ("0s", 0, "0s"),
            ("1w1d1h1m1s", 694_861, "8d1h1m1s"),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(shown(Duration::from_secs(seconds)), written);
        }
        for text in [
            "",
            "30",
            "d",
            "30 d",
            "30D",
            "1m1h",
            "1h1h",
            "-1d",
            "1.5h",
            "99999999999999999999d",
            "9999999999999999w",
            "1µ",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
