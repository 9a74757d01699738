//! The inspection pack.

use std::time::{Duration, Instant};

use bulla_guard::input::inspect::{Finding, HitSeverity, InspectionMode, LONGEST_INSPECTED, inspect};

fn codes(text: &str) -> Vec<&'static str> {
    inspect(text, InspectionMode::Report).findings.into_iter().map(Finding::code).collect()
}

#[test]
fn each_pattern_of_the_source_is_found_in_any_case() {
    for (text, code) in [
        ("a <SCRIPT src=x>\nalert\n</Script> b and so on", "script_tag"),
        ("go to JavaScript: now", "javascript_url"),
        ("an image ONERROR \n= something", "event_handler"),
        ("see data:text/HTML for more", "html_data_url"),
        ("vbscript: again", "vbscript_url"),
        ("width expression  (one)", "css_expression"),
        ("import 'fs' and more text", "import_statement"),
        ("import \"fs\" and more text", "import_statement"),
        ("Eval (one)", "eval_call"),
        ("Exec\t(one)", "exec_call"),
        ("the subProcess module", "subprocess"),
        ("call os.system now", "os_system"),
        ("and __IMPORT__ here is text", "dynamic_import"),
        // What the source takes for the same letters, and for white space.
        ("vb\u{17f}cr\u{131}pt: again, and V\u{212a}", "vbscript_url"),
        ("and \u{130}MPORT\u{1c}'fs'", "import_statement"),
    ] {
        assert_eq!(codes(text), [code], "{text}");
    }
    for text in ["osXsystem", "<script>", "java script:", "import x", "evaluate this", "button =x", "subproces"] {
        assert!(!codes(text).iter().any(|code| *code != "many_special_characters"), "{text}");
    }
}

#[test]
fn a_harmless_text_can_have_a_hit() {
    assert_eq!(codes("the condition = true"), ["event_handler"]);
    assert_eq!(codes("SELECT 1; DROP TABLE users"), Vec::<&str>::new());
}

#[test]
fn brackets_and_special_characters_are_counted() {
    let padded = |text: String| text + &"a".repeat(200);
    assert_eq!(codes(&padded("(".repeat(20) + &"[".repeat(20))), Vec::<&str>::new());
    assert_eq!(codes(&padded("(".repeat(21))), ["many_brackets"]);
    assert_eq!(codes(&padded("[".repeat(21))), ["many_brackets"]);
    assert_eq!(codes("aaaaaaa!!!"), Vec::<&str>::new());
    assert_eq!(codes("aaaaaa!!!!"), ["many_special_characters"]);
    assert_eq!(codes(""), Vec::<&str>::new());
}

#[test]
fn modes_decide_what_follows() {
    let text = "eval (x)";
    for (mode, findings, denied) in [("off", 0, false), ("report", 1, false), ("deny", 1, true)] {
        let mode: InspectionMode = mode.parse().unwrap();
        let inspection = inspect(text, mode);
        assert_eq!((inspection.findings.len(), inspection.denied), (findings, denied), "{mode}");
        assert!(!inspect("harmless", mode).denied);
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    assert_eq!(InspectionMode::default(), InspectionMode::Off);
    assert!("Deny".parse::<InspectionMode>().is_err());
    assert_eq!(Finding::EvalCall.severity(), HitSeverity::Medium);
    assert!(Finding::ManyBrackets.severity() < HitSeverity::Medium);
}

#[test]
fn no_text_takes_long_and_what_is_too_long_is_said() {
    let begun = Instant::now();
    for piece in ["<script", "on", "import ", "expression ", "<script>", "\u{17f}cript", "onaaaa "] {
        let text: String = piece.chars().cycle().take(LONGEST_INSPECTED / 2).collect();
        let _findings = inspect(&text, InspectionMode::Deny);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let long = "a".repeat(LONGEST_INSPECTED + 1);
    assert_eq!(codes(&long), ["too_long_to_inspect"]);
    assert!(inspect(&long, InspectionMode::Deny).denied);
    assert!(!inspect(&long, InspectionMode::Off).denied);
}
