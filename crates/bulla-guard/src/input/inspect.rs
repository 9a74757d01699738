//! The inspection pack: looks for what attacks often contain.
//!
//! It is the list of FACT's query sanitiser, twelve regular expressions and two counts, on the text as it came in. It proves nothing: a text about JavaScript
//! has a hit, and most attacks have none (docs/input.md has the figures). What protects are typed requests, bound parameters and [`encode`](super::encode). So it is off unless
//! somebody asks for it, for their log, or because a rule of theirs says that it has to be.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::{RegexSet, RegexSetBuilder};

/// Longest text that is looked at, in bytes. A longer one has the hit [`TOO_LONG`](Finding::TooLong).
pub const LONGEST_INSPECTED: usize = 1 << 20;

/// Most `(`, and most `[`.
const MOST_BRACKETS: usize = 20;

/// What is done about hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InspectionMode {
    /// Nothing is looked for.
    #[default]
    Off,
    /// Hits are reported, and the request goes on.
    Report,
    /// Hits are reported, and the request is refused.
    Deny,
}

impl FromStr for InspectionMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "off" => Ok(Self::Off),
            "report" => Ok(Self::Report),
            "deny" => Ok(Self::Deny),
            _ => Err(UnknownMode),
        }
    }
}

impl fmt::Display for InspectionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Deny => "deny",
        })
    }
}

/// A text that is no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an inspection is `off`, `report` or `deny`")]
pub struct UnknownMode;

/// How much a hit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HitSeverity {
    /// Common in harmless texts.
    Low,
    /// What a security violation is by default.
    Medium,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Finding {
    /// `<script>…</script>`.
    ScriptTag,
    /// `javascript:`.
    JavascriptUrl,
    /// `onclick=` and the like.
    EventHandler,
    /// `data:text/html`.
    HtmlDataUrl,
    /// `vbscript:`.
    VbscriptUrl,
    /// `expression(`.
    CssExpression,
    /// `import "` or `import '`.
    ImportStatement,
    /// `eval(`.
    EvalCall,
    /// `exec(`.
    ExecCall,
    /// `subprocess`.
    Subprocess,
    /// `os.system`.
    OsSystem,
    /// `__import__`.
    DynamicImport,
    /// More than 20 `(`, or more than 20 `[`.
    ManyBrackets,
    /// More than 30 of 100 characters are neither ASCII letters, digits nor white space.
    ManySpecialCharacters,
    /// Too long to be looked at.
    TooLong,
}

/// The patterns of the source, which ignores case and lets a dot stand for a line break too.
const PATTERNS: [(Finding, &str); 12] = [
    (Finding::ScriptTag, r"<script[^>]*>.*?</script>"),
    (Finding::JavascriptUrl, r"javascript:"),
    (Finding::EventHandler, r"on\w+\s*="),
    (Finding::HtmlDataUrl, r"data:text/html"),
    (Finding::VbscriptUrl, r"vbscript:"),
    (Finding::CssExpression, r"expression\s*\("),
    (Finding::ImportStatement, r#"import\s+['"]"#),
    (Finding::EvalCall, r"eval\s*\("),
    (Finding::ExecCall, r"exec\s*\("),
    (Finding::Subprocess, r"subprocess"),
    (Finding::OsSystem, r"os\.system"),
    (Finding::DynamicImport, r"__import__"),
];

static SET: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = PATTERNS.iter().map(|(_, pattern)| as_in_python(pattern));
    let set = RegexSetBuilder::new(patterns).case_insensitive(true).dot_matches_new_line(true).build();
    set.expect("constant patterns, which every test of this module compiles")
});

/// Writes a pattern so that it finds what it finds in the source: there, an `i` without a dot and an `I` with one are `i` too, and the four
/// separators of ASCII are white space.
fn as_in_python(pattern: &str) -> String {
    pattern.replace('i', "[i\u{130}\u{131}]").replace(r"\s", r"[\s\x1c-\x1f]")
}

impl Finding {
    /// Returns its code, which stays the same between versions.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ScriptTag => "script_tag",
            Self::JavascriptUrl => "javascript_url",
            Self::EventHandler => "event_handler",
            Self::HtmlDataUrl => "html_data_url",
            Self::VbscriptUrl => "vbscript_url",
            Self::CssExpression => "css_expression",
            Self::ImportStatement => "import_statement",
            Self::EvalCall => "eval_call",
            Self::ExecCall => "exec_call",
            Self::Subprocess => "subprocess",
            Self::OsSystem => "os_system",
            Self::DynamicImport => "dynamic_import",
            Self::ManyBrackets => "many_brackets",
            Self::ManySpecialCharacters => "many_special_characters",
            Self::TooLong => "too_long_to_inspect",
        }
    }

    /// Returns how much it says.
    #[must_use]
    pub fn severity(self) -> HitSeverity {
        match self {
            Self::ManyBrackets | Self::ManySpecialCharacters => HitSeverity::Low,
            _ => HitSeverity::Medium,
        }
    }
}

/// What an inspection came to. Nothing of the text is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspection {
    /// What was found, each once; every one of them belongs in the audit log.
    pub findings: Vec<Finding>,
    /// Whether the request is to be refused.
    pub denied: bool,
}

/// Looks at a text as it came in. It takes time in proportion to the text's length, whatever is in it.
#[must_use]
pub fn inspect(text: &str, mode: InspectionMode) -> Inspection {
    let findings = match mode {
        InspectionMode::Off => Vec::new(),
        _ if text.len() > LONGEST_INSPECTED => vec![Finding::TooLong],
        _ => findings(text),
    };
    Inspection { denied: mode == InspectionMode::Deny && !findings.is_empty(), findings }
}

fn findings(text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        SET.matches(text).iter().filter_map(|index| PATTERNS.get(index)).map(|(finding, _)| *finding).collect();
    let count = |wanted: char| text.chars().filter(|c| *c == wanted).count();
    if count('(') > MOST_BRACKETS || count('[') > MOST_BRACKETS {
        findings.push(Finding::ManyBrackets);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
    let special = text.chars().filter(|c| !plain(*c)).count();
    if special * 10 > text.chars().count() * 3 {
        findings.push(Finding::ManySpecialCharacters);
    }
    findings
}
