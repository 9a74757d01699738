//! fleche itself, in a process of its own.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const VARIABLE: &str = "BULLA_TEST_PYTHON";

/// Has fleche take some steps, and returns its answers.
pub(super) fn take(steps: &[Value]) -> Vec<Value> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os(VARIABLE).map_or_else(|| manifest.join("../../target/venv/bin/python"), PathBuf::from);
    let hint = format!(
        "make the Python environment with `cargo xtask venv`, or set {VARIABLE} to an interpreter that has the packages of \
         spec/requirements.txt"
    );
    let mut child = Command::new(&python)
        .arg("-B")
        .arg(manifest.join("tests/fleche_peer.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("could not run `{}`: {error}; {hint}", python.display()));
    child.stdin.take().unwrap().write_all(Value::from(steps).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{}` failed: {said}\n{hint}", python.display());
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), steps.len());
    answers
}

/// The texts of a member that is a list.
pub(super) fn texts(answer: &Value, member: &str) -> Vec<String> {
    let list = answer[member].as_array().unwrap_or_else(|| panic!("{answer}"));
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
