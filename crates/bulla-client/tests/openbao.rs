//! A real server to talk to: `OpenBao`, in memory, on ports of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Names the variable that says where the program is.
const VARIABLE: &str = "BULLA_TEST_OPENBAO";

/// What the server takes for its first token.
pub(crate) const ROOT: &str = "root-of-the-tests";

/// A server that runs until this is dropped, or the process of the tests ends, however that comes.
pub(crate) struct OpenBao {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl OpenBao {
    /// Starts a server; `listeners` are further ones, in its own language.
    pub(crate) fn start(listeners: &str) -> Self {
        let program = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} is not set: run `cargo xtask test --only tests`, or see `cargo xtask services up`")
        });
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("listeners.hcl");
        fs::write(&config, listeners).unwrap();
        let port = free_port();
        // Its standard input is a pipe that closes when we end: then the shell stops the server. Its standard output is the server's alone, and ends with it.
        let mut process = Command::new("sh")
            .args(["-c", "\"$@\" 2>&1 & exec >/dev/null; cat; kill $!; wait $!", "sh", &program])
            .args(["server", "-dev", "-dev-no-store-token", "-log-level=error", "-dev-root-token-id", ROOT])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-config={}", config.display()))
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("server started!") {
            assert!(output.read_line(&mut seen).unwrap() > 0, "OpenBao did not start:\n{seen}");
        }
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Self { process, port, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Returns a port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Writes a file that only its owner can use.
pub(crate) fn write_private(path: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;

    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_owned()
}
