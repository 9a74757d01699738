//! Text at the edges.

use std::process::Command;

use bulla_guard::input::encode;
use proptest::prelude::*;

#[test]
fn html_has_no_markup_left() {
    assert_eq!(
        encode::html("<a href=\"x\" id='y'>&amp;</a>"),
        "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;"
    );
    assert_eq!(encode::html("größe 😀"), "größe 😀");
}

#[test]
fn a_log_line_is_one_line_and_moves_no_cursor() {
    for (text, line) in [
        ("plain \"text\", it's größe 😀", "plain \"text\", it's größe 😀"),
        ("a\r\nforged 2026-01-01", "a\\r\\nforged 2026-01-01"),
        ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
        ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
        ("\u{202e}\u{2066}\u{200f}\u{61c}", "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
        ("\u{2028}\u{2029}\u{feff}\u{200b}\u{ad}", "\\u{2028}\\u{2029}\\u{feff}\\u{200b}\\u{ad}"),
        ("\u{e0041}\u{301}\0\t\\n", "\\u{e0041}\\u{301}\\0\\t\\\\n"),
    ] {
        assert_eq!(encode::log_line(text), line);
    }
}

#[test]
fn a_field_of_csv_is_no_formula() {
    for (text, field) in [
        ("plain", "\"plain\""),
        ("a\"b,c\nd", "\"a\"\"b,c\nd\""),
        ("=1+1", "\"'=1+1\""),
        ("+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\""),
        ("-2+3", "\"'-2+3\""),
        ("@SUM(A1)", "\"'@SUM(A1)\""),
        ("  =1", "\"'  =1\""),
        ("\t=1", "\"'\t=1\""),
        ("\r=1", "\"'\r=1\""),
        ("＝1", "\"'＝1\""),
        ("-5", "\"-5\""),
        ("+1.25", "\"+1.25\""),
        ("-", "\"'-\""),
        ("-1.", "\"'-1.\""),
        ("a=b", "\"a=b\""),
        ("", "\"\""),
    ] {
        assert_eq!(encode::csv_field(text), field);
    }
}

#[test]
fn a_shell_reads_one_word() {
    let texts = [
        "",
        "plain",
        "two words",
        "it's",
        "$(id)",
        "`id`",
        "a\nb",
        "\\",
        "''",
        "~root",
        "A=b",
        "*",
        "é\u{1b}",
        "!x",
        "&& id",
        "-n",
    ];
    let words: Vec<String> = texts.iter().map(|text| encode::shell_word(text).unwrap()).collect();
    let script = format!("printf '%s\\036' {}", words.join(" "));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let read = String::from_utf8(output.stdout).unwrap();
    assert_eq!(read.split_terminator('\u{1e}').collect::<Vec<_>>(), texts);
    assert_eq!(encode::shell_word("a\0b"), None);
    assert_eq!(encode::shell_word("/srv/bulla").unwrap(), "/srv/bulla");
}

/// Reads a line back that `log_line` wrote.
fn unescaped(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line.chars());
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        text.push(match rest.next().unwrap() {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            'u' => {
                let digits: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
            }
            other => other,
        });
    }
    text
}

/// Reads the words of a shell back, as far as `shell_word` writes them.
fn shell_read(word: &str) -> String {
    let (mut text, mut quoted, mut rest) = (String::new(), false, word.chars());
    while let Some(character) = rest.next() {
        match character {
            '\'' => quoted = !quoted,
            '\\' if !quoted => text.push(rest.next().unwrap()),
            other => text.push(other),
        }
    }
    assert!(!quoted);
    text
}

proptest! {
    #[test]
    fn encoded_text_decodes_to_itself(text in any::<String>()) {
        let html = encode::html(&text);
        prop_assert!(!html.contains(['<', '>', '"', '\'']));
        let back = html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
        prop_assert_eq!(back, text.as_str());

        let line = encode::log_line(&text);
        prop_assert!(!line.chars().any(char::is_control));
        prop_assert_eq!(unescaped(&line), text.as_str());

        let field = encode::csv_field(&text);
        let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap().replace("\"\"", "\"");
        prop_assert!(inner == text || inner.strip_prefix('\'') == Some(&text));

        if let Some(word) = encode::shell_word(&text) {
            prop_assert_eq!(shell_read(&word), text);
        }
    }
}
