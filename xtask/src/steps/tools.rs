//! Tools that come as crates, at a version of ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::process::Process;
use crate::workspace::Workspace;

pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

/// What has to be there already: the system's, or its owner's choice.
const OF_THE_SYSTEM: &[(&str, &str)] = &[
    ("cc", "a C compiler, for the cryptographic library and SQLite"),
    ("c++", "a C++ compiler, for libFuzzer"),
    ("python3", "Python 3.11 or later, for test vectors and interoperability tests"),
];

/// Checks that the programs no step can install are there.
pub(crate) fn check_system() -> Result<(), Failure> {
    let missing = OF_THE_SYSTEM.iter().filter(|(program, _)| answer(Path::new(program)).is_none());
    let findings: Vec<String> = missing.map(|(program, purpose)| format!("{program} is missing: {purpose}")).collect();
    Failure::unless_empty(&findings)
}

/// Returns the path of the tool: the one installed by its user if that has our version, else one in the target folder.
pub(crate) fn ensure(workspace: &Workspace, tool: &Tool) -> Result<PathBuf, Failure> {
    let home = workspace.target.join("tools");
    let ours = home.join("bin").join(tool.name);
    for candidate in [Path::new(tool.name), &ours] {
        if tool.is(candidate) {
            return Ok(candidate.to_owned());
        }
    }
    // Quick to build matters more than quick to run: each runs for seconds.
    Process::cargo("install")
        .args(["--locked", "--debug", "--version", tool.version, "--root"])
        .arg(&home)
        .arg(tool.name)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_TARGET_DIR", home.join("build"))
        .directory(&workspace.target)
        .run()?;
    if tool.is(&ours) {
        Ok(ours)
    } else {
        Err(Failure::new(format!("{} {} was installed but does not run", tool.name, tool.version)))
    }
}

impl Tool {
    /// Tells whether the program is this tool at this version.
    fn is(&self, program: &Path) -> bool {
        answer(program)
            .is_some_and(|answer| answer.trim_ascii() == format!("{} {}", self.name, self.version).as_bytes())
    }
}

/// What a program says when it is asked for its version; `None` if there is no such program.
fn answer(program: &Path) -> Option<Vec<u8>> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_of_another_version_is_not_ours() {
        let rustc = Path::new("rustc");
        assert!(!Tool { name: "rustc", version: "0.1.0" }.is(rustc));
        assert!(!Tool { name: "rustc", version: "1.95.0" }.is(Path::new("/nowhere/rustc")));
        assert!(answer(rustc).unwrap().starts_with(b"rustc "));
    }
}
