use std::path::Path;
use std::{env, fs};

use crate::sandbox::Sandbox;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["api"],
    &["run"],
    &["render"],
    &["init"],
    &["enroll"],
    &["authorize"],
    &["approve"],
    &["list"],
    &["verify"],
    &["revoke"],
    &["rotate"],
    &["audit"],
    &["audit", "search"],
    &["audit", "verify"],
    &["audit", "machines"],
    &["policy"],
    &["policy", "show"],
    &["policy", "set"],
    &["recovery"],
    &["recovery", "new"],
    &["recover"],
    &["accept-rollback"],
    &["backup"],
    &["restore"],
    &["key"],
    &["key", "new"],
    &["key", "ls"],
    &["key", "show"],
    &["key", "rotate"],
    &["key", "set"],
    &["key", "disable"],
    &["key", "enable"],
    &["key", "where"],
    &["key", "trim"],
    &["key", "destroy"],
    &["key", "rm"],
    &["key", "undelete"],
    &["key", "purge"],
    &["key", "sign"],
    &["key", "verify"],
    &["key", "hmac"],
    &["key", "data-key"],
    &["key", "import"],
    &["key", "export"],
    &["key", "backup"],
    &["key", "restore"],
    &["seal"],
    &["open"],
    &["rewrap"],
    &["put"],
    &["get"],
    &["ls"],
    &["rm"],
    &["check"],
    &["import"],
    &["import", "fact"],
    &["fleche"],
    &["fleche", "ls"],
    &["fleche", "verify"],
    &["fleche", "get"],
    &["fleche", "put"],
    &["fleche", "import"],
    &["random"],
    &["status"],
    &["identity"],
    &["identity", "show"],
    &["identity", "protect"],
    &["identity", "unprotect"],
    &["identity", "remember"],
    &["identity", "forget"],
    &["config", "show"],
    &["completions"],
    &["man"],
    &["demo"],
];

/// The help is reviewed as a file; `BULLA_TEST_UPDATE=1` writes it anew.
#[test]
fn the_help_is_as_it_was_reviewed() {
    let sandbox = Sandbox::empty();
    let mut text = String::new();
    for &command in COMMANDS {
        let run = sandbox.run(command.iter().chain(&["--help"])).succeeds();
        assert!(run.stderr.is_empty(), "{run:?}");
        text.push_str(&format!("$ bulla {}\n{}\n", [command, &["--help"]].concat().join(" "), run.text()));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    if env::var_os("BULLA_TEST_UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let reviewed = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == reviewed, "the help differs from tests/help.txt; review it with BULLA_TEST_UPDATE=1");
}

#[test]
fn documents_agree_with_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let help = Sandbox::empty().run(["--help"]).succeeds();
    let documented = fs::read_to_string(root.join("docs/exit-codes.md")).unwrap();
    let codes: Vec<_> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next()?.parse::<i32>().ok())
        .collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 141]);
    for code in codes {
        assert!(help.text().lines().any(|line| line.trim_start().starts_with(&format!("{code}  "))), "{code}");
    }

    let documented = fs::read_to_string(root.join("docs/settings.md")).unwrap();
    for setting in Sandbox::empty().run(["config", "show", "--json"]).succeeds().json() {
        let name = setting["setting"].as_str().unwrap();
        assert!(documented.contains(&format!("| `{name}` |")), "{name} is not in docs/settings.md");
    }
}

#[test]
fn completions_and_manual_are_made() {
    let sandbox = Sandbox::empty();
    for shell in ["bash", "zsh", "fish"] {
        assert!(sandbox.run(["completions", shell]).succeeds().text().contains("bulla"));
    }
    sandbox.run(["completions", "none"]).fails(2, "none");
    assert!(sandbox.run(["man"]).succeeds().text().contains(".TH bulla"));
    sandbox.run(["man", "pages"]).succeeds();
    for page in ["bulla.1", "bulla-seal.1", "bulla-key-rotate.1"] {
        assert!(sandbox.path("pages").join(page).exists(), "{page}");
    }
    assert!(sandbox.run(["--version"]).succeeds().text().starts_with("bulla 0."));
}
