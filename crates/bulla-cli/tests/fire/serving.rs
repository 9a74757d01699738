//! A server of a sandbox's project.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Client, PATIENCE};
use crate::sandbox::Sandbox;

/// A running server.
pub(super) struct Serving {
    child: Child,
    pub(super) address: String,
}

impl Serving {
    pub(super) fn start(sandbox: &Sandbox) -> Self {
        Self::start_with(sandbox, "127.0.0.1:0", &[])
    }

    pub(super) fn start_with(sandbox: &Sandbox, listen: &str, more: &[&str]) -> Self {
        Self::run(sandbox.command(arguments(listen, more)))
    }

    /// Runs a command that comes to be a server.
    pub(super) fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server said: {line:?}"));
        Self { child, address: said["addresses"][0].as_str().unwrap().to_owned() }
    }

    pub(super) fn client(&self, token: &str) -> Client {
        Client::new(&self.address, token)
    }

    /// Ends it at once, while others still speak to it.
    pub(super) fn cut(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    /// Ends it at once.
    pub(super) fn kill(mut self) {
        self.cut();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(super) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Returns the time that it has used of a processor, in hundredths of a second.
    pub(super) fn processor_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Returns the memory that it has, in KiB.
    pub(super) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has stopped already, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn arguments(listen: &str, more: &[&str]) -> Vec<String> {
    let arguments = ["serve", "--listen", listen, "--json", "--quiet", "--drain-delay", "0"];
    arguments.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
}

/// Makes a project, and a token that may do everything.
pub(super) fn project() -> (Sandbox, String) {
    let sandbox = Sandbox::with_project();
    let token = root(&sandbox);
    (sandbox, token)
}

pub(super) fn root(sandbox: &Sandbox) -> String {
    let made = sandbox.run(["api", "POST", "/v1/auth/token/create", r#"policies:=["root"]"#]).succeeds();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// Tells workers to end when it is dropped, so that they do also if a test fails.
pub(super) struct Ends<'a>(pub(super) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Counts what workers have done, so that others can wait for it.
#[derive(Default)]
pub(super) struct Done {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Done {
    pub(super) fn one_more(&self) {
        *self.count.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    /// Waits until so much more is done.
    pub(super) fn wait_for(&self, more: u64) {
        let mut count = self.count.lock().unwrap();
        let goal = *count + more;
        while *count < goal {
            let (now, waited) = self.changed.wait_timeout(count, PATIENCE).unwrap();
            assert!(!waited.timed_out(), "nothing is done any more");
            count = now;
        }
    }
}

/// Returns a port that is free.
pub(super) fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Reads the audit log, an event a line.
pub(super) fn events(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.run(["audit", "export"]).succeeds().json()
}
