//! All tests of the workspace, doc tests among them.

use super::{Tally, venv};
use crate::failure::Failure;
use crate::process::Process;
use crate::services::Postgres;
use crate::workspace::Workspace;

/// Runs all tests and counts them. An ignored test is a failure: nothing is skipped silently.
pub(crate) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<(), Failure> {
    let python = venv::ensure(workspace)?;
    let openbao = venv::openbao(&python)?;
    // Stopped when this function ends, whichever way.
    let postgres = Postgres::for_tests(workspace)?;
    let [url, programs] = postgres.variables();
    let outcome = Process::cargo("test")
        .args(["--workspace", "--all-features", "--locked", "--no-fail-fast"])
        .env(venv::VARIABLE, python)
        .env(venv::OPENBAO, openbao)
        .env(url.0, url.1)
        .env(programs.0, programs.1)
        .directory(&workspace.root)
        .watch(|line| tally.count(line));
    outcome?;
    match tally {
        Tally { passed: 0, .. } => Err(Failure::new("no test ran")),
        Tally { ignored: 0, .. } => Ok(()),
        Tally { ignored, .. } => Err(Failure::new(format!("{ignored} tests or examples are marked as ignored"))),
    }
}

impl Tally {
    /// Adds what a line such as `test result: ok. 4 passed; 0 failed; 0 ignored; …` says.
    fn count(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        let Some((_, counts)) = result.split_once(". ") else { return };
        for part in counts.split(';') {
            match part.trim().split_once(' ').map(|(number, what)| (number.parse::<u64>(), what)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut tally = Tally::default();
        tally.count("running 5 tests");
        tally.count("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        tally
            .count("test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.00s");
        assert_eq!(tally, Tally { passed: 11, failed: 2, ignored: 1 });
    }

    #[test]
    fn coloured_results_count_too() {
        let mut tally = Tally::default();
        tally.count("test result: \u{1b}[32mok\u{1b}[m. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(tally, Tally { passed: 3, failed: 0, ignored: 0 });
    }
}
