//! A server of the real binary, on a project of no worth.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Server {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bulla"))
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--json", "--drain-delay", "0", "--quiet"])
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server said: {line}"));
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Self { child, address: text("address"), token: text("token") }
    }

    /// Runs a client in Python against it.
    pub(crate) fn used_by(&self, script: &str) -> Output {
        const VARIABLE: &str = "BULLA_TEST_PYTHON";
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python =
            std::env::var_os(VARIABLE).map_or_else(|| root.join("../../target/venv/bin/python"), PathBuf::from);
        let ran = Command::new(&python)
            .arg(root.join("tests/clients").join(script))
            .env("VAULT_ADDR", &self.address)
            .env("VAULT_TOKEN", &self.token)
            .output();
        ran.unwrap_or_else(|error| {
            panic!("could not run `{}`: {error}; make it with `cargo xtask venv`, or set {VARIABLE}", python.display())
        })
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has stopped already, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
