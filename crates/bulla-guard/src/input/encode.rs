//! Text for where it goes to: written so that it is only text there.
//!
//! Each function is for one place, and right nowhere else. What is kept stays as it came in; these are called when it goes out.

/// Writes text into HTML, as content of an element or as a value of an attribute between quotation marks.
///
/// # Security
/// Not for what is within `<script>` or `<style>`, nor for addresses: escaped as it is, `javascript:…` remains what it was.
#[must_use]
pub fn html(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            _ => written.push(character),
        }
    }
    written
}

/// Writes text into one line for logs and terminals.
///
/// What cannot be seen, or does something, is escaped as in Rust: control characters, and with them the escape sequences of terminals; line and
/// paragraph separators; characters that change the direction of text, have no width, or combine with what stands before. A backslash is
/// written twice, so that the text can be had back.
#[must_use]
pub fn log_line(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' => written.push(character),
            _ => written.extend(character.escape_debug()),
        }
    }
    written
}

/// Writes text as one field of CSV (RFC 4180), always between quotation marks.
///
/// # Security
/// Spreadsheets take a field for a formula if it begins with `=`, `+`, `-`, `@` or their wide forms, a tab or a line break, with or without spaces before. Such a field
/// gets an apostrophe in front, unless it is a plain number. That does alter it: CSV has no other way.
#[must_use]
pub fn csv_field(text: &str) -> String {
    let first = text.trim_start_matches(' ').chars().next();
    let formula = first.is_some_and(|first| "=+-@\t\r\n＝＋－＠".contains(first)) && !is_plain_number(text);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes text as one word of a POSIX shell, or nothing if it has a zero byte, which no word can have.
///
/// # Security
/// A word that begins with `-` is an option all the same: put `--` before it. Rather than to have a shell read it, run the program with its arguments.
#[must_use]
pub fn shell_word(text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:._-+@%".contains(c);
    let is_plain = !text.is_empty() && text.chars().all(plain);
    Some(if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) })
}
