//! The fuzz targets: built with the address sanitizer, and each run for a while on its corpus and seeds.

use std::fs;
use std::path::Path;

use super::{seeds, tools};
use crate::failure::Failure;
use crate::process::Process;
use crate::workspace::Workspace;

/// Ends one input that takes this long, or the process that needs this much memory: both are findings.
const INPUT_SECONDS: u32 = 25;
const MEMORY_MIB: u32 = 2_048;

/// Where the telling parts of a log begin, and how many lines of each are shown.
const TELLING: &[(&str, usize)] = &[("panicked at", 5), ("ERROR: ", 12), ("Failing input:", 7), ("Reproduce with:", 3)];
const SHOWN_OTHERWISE: usize = 40;

/// Runs the named targets, or all, for `seconds` each.
pub(crate) fn run(workspace: &Workspace, targets: &[String], seconds: u32) -> Result<(), Failure> {
    let cargo_fuzz = tools::ensure(workspace, &tools::CARGO_FUZZ)?;
    let present = present(workspace)?;
    if let Some(unknown) = targets.iter().find(|target| !present.contains(target)) {
        return Err(Failure::new(format!("no fuzz target {unknown:?}; there are {}", present.join(", "))));
    }
    let targets = if targets.is_empty() { &present } else { targets };

    cargo_fuzz_command(workspace, &cargo_fuzz, "build").run()?;
    let logs = workspace.root.join("fuzz/target/logs");
    fs::create_dir_all(&logs).map_err(Failure::on(&logs))?;
    for target in targets {
        let log = logs.join(format!("{target}.log"));
        let outcome = fuzz(workspace, &cargo_fuzz, target, seconds, &log);
        let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        if let Err(failure) = outcome {
            let shown = excerpt(&text);
            return Err(Failure::new(format!(
                "{shown}\n\nfuzz target {target}: {failure}\nwhole log: {}",
                log.display()
            )));
        }
        let count = |name: &str| statistic(&text, name).unwrap_or("?");
        println!(
            "{target}: {} executions in {seconds} s, {} new inputs, {} MiB",
            count("number_of_executed_units"),
            count("new_units_added"),
            count("peak_rss_mb"),
        );
    }
    Ok(())
}

/// Names the targets: a file each.
fn present(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let folder = workspace.root.join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in folder.read_dir().map_err(Failure::on(&folder))? {
        let path = entry.map_err(Failure::on(&folder))?.path();
        if let (Some(name), Some("rs")) = (path.file_stem(), path.extension().and_then(|end| end.to_str())) {
            targets.push(name.to_string_lossy().into_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

fn fuzz(workspace: &Workspace, cargo_fuzz: &Path, target: &str, seconds: u32, log: &Path) -> Result<(), Failure> {
    let fuzz = workspace.root.join("fuzz");
    // New inputs go to the first folder; the others are only read.
    let corpus = fuzz.join("corpus").join(target);
    fs::create_dir_all(&corpus).map_err(Failure::on(&corpus))?;
    let mut command = cargo_fuzz_command(workspace, cargo_fuzz, "run").arg(target).arg(corpus);
    let committed = Some(fuzz.join("seeds").join(target)).filter(|seeds| seeds.is_dir());
    for seeds in [committed, seeds::from_vectors(workspace, target)?].into_iter().flatten() {
        command = command.arg(seeds);
    }
    command
        .args(["--", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .log_to(log)
}

fn cargo_fuzz_command(workspace: &Workspace, cargo_fuzz: &Path, subcommand: &str) -> Process {
    Process::new(cargo_fuzz)
        .args([subcommand, "--fuzz-dir", "fuzz", "--target-dir", "fuzz/target"])
        // Sanitizers and coverage are unstable options of the stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_INCREMENTAL", "0")
        .directory(&workspace.root)
}

/// Picks what tells most out of the log of a target that found something.
fn excerpt(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let mut shown = Vec::new();
    for (start, count) in TELLING {
        if let Some(at) = lines.iter().position(|line| line.contains(start)) {
            shown.extend_from_slice(&lines[at..lines.len().min(at + count)]);
        }
    }
    if shown.is_empty() {
        shown.extend_from_slice(&lines[lines.len().saturating_sub(SHOWN_OTHERWISE)..]);
    }
    shown.join("\n")
}

/// Finds a line `stat::name:  value` of libFuzzer's.
fn statistic<'a>(log: &'a str, name: &str) -> Option<&'a str> {
    log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built() {
        let workspace = Workspace::load().unwrap();
        let manifest = fs::read_to_string(workspace.root.join("fuzz/Cargo.toml")).unwrap();
        let targets = present(&workspace).unwrap();
        for target in &targets {
            assert!(
                manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")),
                "{target} is not in fuzz/Cargo.toml"
            );
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }

    #[test]
    fn the_telling_parts_of_a_log_are_shown() {
        let log =
            "noise\nthread panicked at a.rs:1:1:\nleft != right\n1\n2\n3\nnoise\nReproduce with:\n\n\tcargo fuzz run\n";
        let shown = "thread panicked at a.rs:1:1:\nleft != right\n1\n2\n3\nReproduce with:\n\n\tcargo fuzz run";
        assert_eq!(excerpt(log), shown);
        assert_eq!(excerpt("could not even\nstart\n"), "could not even\nstart");
    }

    #[test]
    fn statistics_are_found_in_a_log() {
        let log = "#1 INITED\nstat::number_of_executed_units: 63409\nstat::peak_rss_mb:  140\n";
        assert_eq!(statistic(log, "number_of_executed_units"), Some("63409"));
        assert_eq!(statistic(log, "new_units_added"), None);
    }
}
