//! A server of a test's own, which may be killed, stopped and told to lose its power over others.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::variable;

/// Whom the server runs as where the tests run as root, which it refuses: `nobody`.
const NOBODY: u32 = 65_534;
const PASSWORD: &str = "pass/word";

#[derive(Debug)]
pub(super) struct Server {
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    postmaster: Option<Child>,
}

impl Server {
    /// Makes a database cluster and starts a server on it, with settings such as `ssl=on`.
    pub(super) fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let password_file = folder.path().join("password");
        fs::write(&password_file, PASSWORD).unwrap();
        own(folder.path());
        own(&password_file);
        let mut initdb = command("initdb");
        initdb.args(["--username=bulla", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.arg("--pwfile").arg(&password_file).arg("--pgdata").arg(folder.path().join("data"));
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Free now; that somebody else takes it before the server does is seen, and ends the test.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder, port, settings, postmaster: None };
        server.start_again();
        server
    }

    /// Starts the server again after it was killed, and waits until it takes connections.
    pub(super) fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "it runs already");
        let mut postgres = command("postgres");
        postgres.arg("-D").arg(self.data()).args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ]);
        postgres.args(["-c", &format!("port={}", self.port)]);
        for setting in &self.settings {
            postgres.args(["-c", setting]);
        }
        let mut postmaster = postgres.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(postmaster.stderr.take().unwrap());
        self.postmaster = Some(postmaster);
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            assert!(log.read_line(&mut said).unwrap() > 0, "the server did not start: {said}");
        }
        // A full pipe would stop it.
        thread::spawn(move || log.read_to_end(&mut Vec::new()));
    }

    pub(super) fn url(&self) -> String {
        self.url_of("bulla", "pass%2Fword")
    }

    pub(super) fn url_of(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Copies a file to where the server finds it, for nobody else to read.
    pub(super) fn give(&self, name: &str, contents: &[u8]) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.data().join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        own(&path);
    }

    /// Kills every process of the server, at once and without a word.
    pub(super) fn kill(&mut self) {
        // The first one only stops, so that it starts no more while the others are looked for.
        self.signal(Signal::STOP);
        self.signal(Signal::KILL);
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.wait().unwrap();
        }
        // What it left has no parent that waits: a later server refuses to start while one of these lives.
        while !self.processes().is_empty() {
            thread::yield_now();
        }
    }

    /// Sends a signal to every process of the server.
    pub(super) fn signal(&self, signal: Signal) {
        let postmaster = self.postmaster.as_ref().map(|postmaster| postmaster.id().cast_signed());
        let mut processes = self.processes();
        processes.sort_by_key(|process| (Some(*process) != postmaster, *process));
        for process in processes.into_iter().filter_map(Pid::from_raw) {
            // One that has just ended is none to send it to.
            let _ = kill_process(process, signal);
        }
    }

    /// Finds the processes that work in the server's folder.
    fn processes(&self) -> Vec<i32> {
        let data = self.data();
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let entry = entry.ok()?;
            let works_there = fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder == data);
            entry.file_name().to_str()?.parse().ok().filter(|_| works_there)
        });
        processes.collect()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of PostgreSQL, run by somebody who is not root.
fn command(name: &str) -> Command {
    let mut command = Command::new(Path::new(&variable("BULLA_TEST_POSTGRES_BIN")).join(name));
    command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/").env_clear().env("LC_ALL", "C");
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn own(path: &Path) {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}
