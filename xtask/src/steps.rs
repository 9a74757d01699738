//! What the test command consists of: quick checks first, so that a failure shows early.

mod all_tests;
pub(crate) mod floors;
pub(crate) mod fuzz;
mod seeds;
mod tidy;
mod tools;
pub(crate) mod venv;

use std::io::IsTerminal;
use std::time::Instant;

use crate::arguments::Options;
use crate::failure::Failure;
use crate::process::Process;
use crate::services;
use crate::system;
use crate::workspace::Workspace;

pub(crate) struct Step {
    pub(crate) name: &'static str,
    purpose: &'static str,
    run: fn(&Workspace, &Options, &mut Tally) -> Result<(), Failure>,
}

/// How many tests passed and failed, as `cargo test` counted them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "tools",
        purpose: "crates, pinned tools, Python environment with OpenBao, PostgreSQL",
        run: |workspace, _, _| prepare(workspace),
    },
    Step { name: "format", purpose: "cargo fmt", run: |workspace, _, _| format(workspace) },
    Step { name: "tidy", purpose: "house rules", run: |workspace, _, _| tidy::check(workspace) },
    Step { name: "floors", purpose: "which crate may use which", run: |workspace, _, _| floors::check(workspace) },
    Step { name: "policy", purpose: "licences, bans and sources", run: |workspace, _, _| policy(workspace) },
    Step { name: "vectors", purpose: "test vectors made anew", run: |workspace, _, _| vectors(workspace) },
    Step { name: "clippy", purpose: "lints, warnings denied", run: |workspace, _, _| clippy(workspace) },
    Step { name: "docs", purpose: "rustdoc, warnings denied", run: |workspace, _, _| docs(workspace) },
    Step {
        name: "tests",
        purpose: "all tests, all features, on real servers",
        run: |workspace, _, tally| all_tests::run(workspace, tally),
    },
    Step {
        name: "fuzz",
        purpose: "every fuzz target for a few seconds",
        run: |workspace, options, _| fuzz::run(workspace, &[], options.fuzz_seconds),
    },
];

/// Prints the steps.
pub(crate) fn list() {
    for Step { name, purpose, .. } in STEPS {
        println!("{name:8} {purpose}");
    }
}

/// Runs the selected steps up to the first that fails. The last line says how many tests passed and failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> std::process::ExitCode {
    let mut tally = Tally::default();
    let started = Instant::now();
    for step in STEPS.iter().filter(|step| options.select(step.name)) {
        println!("\n== {}: {}", step.name, step.purpose);
        let step_started = Instant::now();
        let outcome = (step.run)(workspace, options, &mut tally);
        let seconds = step_started.elapsed().as_secs_f32();
        if let Err(failure) = outcome {
            eprintln!("\n{failure}");
            println!("== {} failed after {seconds:.1} s; again: cargo xtask test --only {}\n", step.name, step.name);
            println!("{} passed, {} failed", tally.passed, tally.failed.max(1));
            return std::process::ExitCode::FAILURE;
        }
        println!("== {} passed in {seconds:.1} s", step.name);
    }
    println!("\n== everything selected passed in {:.1} s\n", started.elapsed().as_secs_f32());
    // Without the step that counts, there is nothing to say.
    if tally != Tally::default() {
        println!("{} passed, {} failed", tally.passed, tally.failed);
    }
    std::process::ExitCode::SUCCESS
}

fn prepare(workspace: &Workspace) -> Result<(), Failure> {
    tools::check_system()?;
    fetch(workspace)?;
    Process::cargo("fetch").directory(&workspace.root.join("fuzz")).run()?;
    tools::ensure(workspace, &tools::CARGO_DENY)?;
    tools::ensure(workspace, &tools::CARGO_FUZZ)?;
    services::programs()?;
    system::ensure("strace", "to make system calls fail")?;
    system::ensure("curl", "to speak to the server as people do")?;
    venv::openbao(&venv::ensure(workspace)?).map(drop)
}

/// Downloads the crates of every platform, since the policy covers them all.
fn fetch(workspace: &Workspace) -> Result<(), Failure> {
    Process::cargo("fetch").arg("--locked").directory(&workspace.root).run()
}

fn format(workspace: &Workspace) -> Result<(), Failure> {
    let colour = if std::io::stdout().is_terminal() { "auto" } else { "never" };
    for (directory, scope) in [(".", "--all"), ("fuzz", "--package=bulla-fuzz")] {
        let directory = workspace.root.join(directory);
        Process::cargo("fmt").args([scope, "--check", "--", "--color", colour]).directory(&directory).run()?;
    }
    Ok(())
}

fn policy(workspace: &Workspace) -> Result<(), Failure> {
    let cargo_deny = tools::ensure(workspace, &tools::CARGO_DENY)?;
    fetch(workspace)?;
    Process::new(cargo_deny)
        .args(["--workspace", "--all-features", "--locked", "--offline", "check", "--hide-inclusion-graph"])
        .args(["licenses", "bans", "sources"])
        .directory(&workspace.root)
        .run()
}

fn vectors(workspace: &Workspace) -> Result<(), Failure> {
    let python = venv::ensure(workspace)?;
    let spec = workspace.root.join("spec");
    let mut generators = Vec::new();
    for entry in spec.read_dir().map_err(Failure::on(&spec))? {
        let name = entry.map_err(Failure::on(&spec))?.file_name().to_string_lossy().into_owned();
        if name.starts_with("generate_") && name.ends_with("_vectors.py") {
            generators.push(name);
        }
    }
    if generators.is_empty() {
        return Err(Failure::new("spec/ has no generate_*_vectors.py"));
    }
    generators.sort();
    for generator in generators {
        let script = format!("spec/{generator}");
        Process::new(&python).arg("-B").args([&script, "--check"]).directory(&workspace.root).run()?;
    }
    Ok(())
}

fn clippy(workspace: &Workspace) -> Result<(), Failure> {
    Process::cargo("clippy")
        .args(["--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"])
        .directory(&workspace.root)
        .run()
}

fn docs(workspace: &Workspace) -> Result<(), Failure> {
    Process::cargo("doc")
        .args(["--workspace", "--all-features", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .directory(&workspace.root)
        .run()
}
