//! House rules that no other tool holds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::workspace::{Member, Workspace};

/// A file longer than this has acquired a second subject, or is listed with a reason.
const LONGEST_FILE: usize = 800;
const LONG_FILES: &[(&str, &str)] = &[];

/// The crate that may contain unsafe code, and in which file.
const UNSAFE_CRATE_ROOT: &str = "crates/bulla-seal/src/lib.rs";
const UNSAFE_FILES: &[(&str, &str)] =
    &[("crates/bulla-seal/src/locked.rs", "locks memory and keeps it out of core dumps")];

/// Kinds of files that people write, by how their names end.
const WRITTEN: &[&str] = &["rs", "py", "md", "toml", "yml", "yaml", "sh"];

/// Work that is left undone or tests that do not run. In two parts each, so that this file passes.
const UNDONE: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("db", "g!("),
    concat!("#[", "ignore"),
    concat!("```", "ignore"),
];
const UNDONE_WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// A file as the rules see it.
struct File {
    /// From the root of the checkout, with `/` between the parts.
    path: String,
    text: String,
}

pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let mut paths = Vec::new();
    collect(&workspace.root, &mut paths)?;
    paths.sort();
    let mut findings = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(Failure::on(&path))?;
        let file = File { path: workspace.relative(&path).to_string_lossy().into_owned(), text };
        findings.extend(file.findings());
        findings.extend(file.dead_links(&path));
    }
    for member in &workspace.members {
        check_member(workspace, member, &mut findings)?;
    }
    let readme = workspace.root.join("README.md");
    let text = fs::read_to_string(&readme).unwrap_or_default();
    findings.extend(readme_findings(&text, |subcommand| {
        let module = format!("crates/bulla-cli/src/commands/{}", subcommand.replace('-', "_"));
        workspace.root.join(format!("{module}.rs")).exists() || workspace.root.join(module).join("mod.rs").exists()
    }));
    Failure::unless_empty(&findings)
}

/// Collects the files that people write, without those that git does not keep.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in folder.read_dir().map_err(Failure::on(folder))? {
        let entry = entry.map_err(Failure::on(folder))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(Failure::on(folder))?);
        let name = entry.file_name().to_string_lossy().into_owned();
        let generated = ["target", ".git", "__pycache__"].contains(&name.as_str());
        let fuzzed = folder.ends_with("fuzz") && ["corpus", "artifacts", "coverage", "seeds"].contains(&name.as_str());
        if kind.is_dir() && !generated && !fuzzed {
            collect(&path, paths)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| WRITTEN.iter().any(|kind| end == *kind)) {
            paths.push(path);
        }
    }
    Ok(())
}

/// Every package takes the shared lints, and every root forbids unsafe code.
fn check_member(workspace: &Workspace, member: &Member, findings: &mut Vec<String>) -> Result<(), Failure> {
    let manifest = fs::read_to_string(&member.manifest).map_err(Failure::on(&member.manifest))?;
    if !manifest.contains("[lints]\nworkspace = true") {
        findings.push(format!(
            "{}: does not take the lints of the workspace",
            workspace.relative(&member.manifest).display()
        ));
    }
    for root in &member.roots {
        let text = fs::read_to_string(root).map_err(Failure::on(root))?;
        let path = workspace.relative(root).to_string_lossy().into_owned();
        let attribute = unsafe_attribute(&path);
        if !text.lines().any(|line| line == attribute) {
            findings.push(format!("{path}: a crate root has the line {attribute}"));
        }
    }
    Ok(())
}

fn unsafe_attribute(root: &str) -> &'static str {
    // What is forbidden cannot be allowed again further in.
    if root == UNSAFE_CRATE_ROOT { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" }
}

impl File {
    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let length = self.text.lines().count();
        if length > LONGEST_FILE && !LONG_FILES.iter().any(|(path, _)| *path == self.path) {
            let advice =
                format!("longer than {LONGEST_FILE}: split it, or list it with a reason in xtask/src/steps/tidy.rs");
            findings.push(format!("{}: {length} lines, {advice}", self.path));
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            findings.push(format!("{}: the last line does not end", self.path));
        }
        let mut lines = self.text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let next = lines.peek().map_or("", |(_, next)| *next);
            for fault in self.faults(line, next) {
                findings.push(format!("{}:{}: {fault}", self.path, index + 1));
            }
        }
        findings
    }

    fn faults(&self, line: &str, next: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if line.trim_end() != line {
            faults.push("white space at the end of the line".to_owned());
        }
        let undone = UNDONE.iter().filter(|mark| line.contains(**mark));
        let words =
            UNDONE_WORDS.iter().filter(|word| line.split(|c: char| !c.is_alphanumeric()).any(|part| part == **word));
        faults.extend(undone.chain(words).map(|mark| format!("{mark}: finish it, or write it down elsewhere")));
        if self.path.ends_with(".rs") {
            let code = line.trim_start();
            if code.split_once("fn ").is_some_and(|(before, name)| !before.contains('"') && name.starts_with("test_")) {
                faults.push("the name of a test says what is true, not that it is a test".to_owned());
            }
            let lifts =
                ["allow(unsafe_code", "expect(unsafe_code"].iter().any(|lift| code.contains(&format!("[{lift}")));
            let listed = UNSAFE_FILES.iter().any(|(path, _)| *path == self.path);
            let permitted = listed || (self.path == UNSAFE_CRATE_ROOT && next == "mod locked;");
            if lifts && !permitted {
                faults.push("unsafe code has its places, listed in xtask/src/steps/tidy.rs".to_owned());
            }
        }
        faults
    }

    /// Finds relative links of a Markdown file that lead nowhere.
    fn dead_links(&self, path: &Path) -> Vec<String> {
        if !self.path.ends_with(".md") {
            return Vec::new();
        }
        let folder = path.parent().unwrap_or(path);
        let targets = self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets
            .map(|target| target.split('#').next().unwrap_or_default())
            .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
            .filter(|target| !folder.join(target).exists())
            .map(|target| format!("{}: the link to {target} leads nowhere", self.path))
            .collect()
    }
}

/// The two commands a newcomer types are in the README, and every command line in it names a command that there is.
fn readme_findings(readme: &str, is_bulla_command: impl Fn(&str) -> bool) -> Vec<String> {
    let lines: Vec<&str> = fenced(readme).map(|line| line.trim_start_matches("$ ").trim()).collect();
    let mut findings = Vec::new();
    for wanted in ["cargo run --release -- demo", "cargo xtask test"] {
        if !lines.iter().any(|line| line.starts_with(wanted)) {
            findings.push(format!("README.md: does not show {wanted:?}"));
        }
    }
    for line in lines {
        let command = |prefix: &str| line.strip_prefix(prefix).and_then(|rest| rest.split_whitespace().next());
        let bulla = command("bulla ").or_else(|| command("cargo run --release -- "));
        if bulla.is_some_and(|name| !name.starts_with('-') && !is_bulla_command(name)) {
            findings.push(format!("README.md: {line:?} names no command of bulla"));
        }
        if command("cargo xtask ").is_some_and(|name| !["test", "fuzz", "venv", "services"].contains(&name)) {
            findings.push(format!("README.md: {line:?} names no command of xtask"));
        }
    }
    findings
}

/// Lines between fences that are marked as shell or console.
fn fenced(markdown: &str) -> impl Iterator<Item = &str> {
    let mut language = None;
    markdown.lines().filter(move |line| {
        if let Some(mark) = line.strip_prefix("```") {
            language = if language.is_none() { Some(mark) } else { None };
            return false;
        }
        matches!(language, Some("sh" | "console" | "text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let findings = File { path: path.to_owned(), text: text.to_owned() }.findings();
        let found = findings.len() == expected.len() && findings.iter().zip(expected).all(|(f, e)| f.contains(e));
        assert!(found, "expected {expected:?}, found {findings:?}");
    }

    #[test]
    fn a_tidy_file_passes() {
        check("crates/bulla-seal/src/key.rs", "//! A key.\n\nfn contest_is_over() {}\n", &[]);
    }

    #[test]
    fn white_space_at_an_end_is_found() {
        check("docs/a.md", "one \ntwo", &["the last line does not end", "a.md:1: white space"]);
    }

    #[test]
    fn undone_work_is_found() {
        for mark in UNDONE.iter().chain(UNDONE_WORDS) {
            check("a.rs", &format!("// {mark}\n"), &[mark]);
        }
        // Words that only begin or end with one.
        for mark in UNDONE_WORDS {
            check("a.md", &format!("A list of {mark}s, and un{mark}.\n"), &[]);
        }
    }

    #[test]
    fn the_names_of_tests_do_not_say_so() {
        check("a.rs", &format!("    fn {}opens() {{}}\n", "test_"), &["a.rs:1: the name"]);
        check("a.py", "def test_opens():\n", &[]);
    }

    #[test]
    fn long_files_are_found() {
        check("a.rs", &"//\n".repeat(LONGEST_FILE), &[]);
        check("a.rs", &"//\n".repeat(LONGEST_FILE + 1), &["801 lines"]);
    }

    #[test]
    fn unsafe_code_has_one_place() {
        let lift = format!("#[{}(unsafe_code)]\nmod locked;\n", "allow");
        check(UNSAFE_CRATE_ROOT, &lift, &[]);
        check("crates/bulla-store/src/lib.rs", &lift, &["lib.rs:1: unsafe code"]);
        check(UNSAFE_CRATE_ROOT, &lift.replace("locked", "unlocked"), &["lib.rs:1: unsafe code"]);
        check(UNSAFE_FILES[0].0, &format!("#![{}(unsafe_code)]\n", "allow"), &[]);
    }

    #[test]
    fn the_readme_names_commands_that_exist() {
        let check = |readme: &str, expected: &[&str]| {
            assert_eq!(readme_findings(readme, |name| name == "demo" || name == "put"), expected, "{readme}");
        };
        let both = "```sh\ncargo run --release -- demo\ncargo xtask test\n```\n";
        check(both, &[]);
        check(&format!("{both}```console\n$ bulla put name\n$ bulla --help\n```\n"), &[]);
        check(&format!("{both}```sh\nbulla fly\n```\n"), &["README.md: \"bulla fly\" names no command of bulla"]);
        check(
            &format!("{both}```sh\ncargo xtask fly\n```\n"),
            &["README.md: \"cargo xtask fly\" names no command of xtask"],
        );
        check(
            "cargo xtask test\n",
            &[
                "README.md: does not show \"cargo run --release -- demo\"",
                "README.md: does not show \"cargo xtask test\"",
            ],
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let text = "[here](tidy.rs) [there](gone.md#part) [out](https://example.org) [within](#part)\n";
        let file = File { path: "docs/a.md".to_owned(), text: text.to_owned() };
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/steps/a.md");
        assert_eq!(file.dead_links(&beside), ["docs/a.md: the link to gone.md leads nowhere"]);
    }
}
