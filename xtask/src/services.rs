//! Servers that tests run against: real ones, on private ports of 127.0.0.1, with everything in a temporary folder.
//!
//! What runs is written to `target/services`, with the moment at which the process began: a number alone may belong to another
//! process by now, and is signalled only if both are right.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::process::Process;
use crate::system;
use crate::workspace::Workspace;

/// Names the variable that tells the tests where the server is.
pub(crate) const URL: &str = "BULLA_TEST_POSTGRES";
/// Names the variable that tells the tests where its programs are, for servers of their own that they kill.
pub(crate) const PROGRAMS: &str = "BULLA_TEST_POSTGRES_BIN";

/// Where systems put the programs, but for the search path; `*` stands for a version.
const FOLDERS: [&str; 4] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
];
const NEEDED: [&str; 3] = ["initdb", "pg_ctl", "postgres"];
const ADVICE: &str =
    "PostgreSQL 14 or later is needed for the tests: initdb, pg_ctl and postgres (Debian: the package postgresql)";

/// A PostgreSQL server that runs.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    url: String,
    process: String,
    began: String,
    /// Where this is written.
    note: PathBuf,
    /// Whether it is stopped when this is dropped.
    is_ours: bool,
}

impl Postgres {
    /// Returns the server that runs, or starts one, which goes on when this program ends.
    pub(crate) fn up(workspace: &Workspace) -> Result<Self, Failure> {
        let note = note(workspace)?;
        match Self::running(&note) {
            Some(running) => Ok(running),
            None => Self::start(note),
        }
    }

    /// As [`Self::up`], but one that had to be started is stopped when it is dropped.
    pub(crate) fn for_tests(workspace: &Workspace) -> Result<Self, Failure> {
        let note = note(workspace)?;
        match Self::running(&note) {
            Some(running) => Ok(running),
            None => {
                let mut started = Self::start(note)?;
                started.is_ours = true;
                Ok(started)
            }
        }
    }

    /// Stops the server if one runs; says whether one did.
    pub(crate) fn down(workspace: &Workspace) -> Result<bool, Failure> {
        match Self::running(&note(workspace)?) {
            Some(running) => running.stop().map(|()| true),
            None => Ok(false),
        }
    }

    /// Returns the variables that the tests want.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        [(URL, self.url.clone()), (PROGRAMS, self.programs.to_string_lossy().into_owned())]
    }

    fn running(note: &Path) -> Option<Self> {
        let noted: Value = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
        let text = |member: &str| Some(noted[member].as_str()?.to_owned());
        let running = Self {
            programs: text("programs")?.into(),
            folder: text("folder")?.into(),
            url: text("url")?,
            process: text("process")?,
            began: text("began")?,
            note: note.to_owned(),
            is_ours: false,
        };
        (began(&running.process).ok()? == running.began).then_some(running)
    }

    fn start(note: PathBuf) -> Result<Self, Failure> {
        let programs = programs()?;
        let user = unprivileged()?;
        let password = random()?;
        let folder = std::env::temp_dir().join(format!("bulla-postgres-{}", random()?));
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(Failure::on(&folder))?;
        let password_file = folder.join("password");
        fs::write(&password_file, &password).map_err(Failure::on(&password_file))?;
        if let Some(user) = user {
            for path in [&folder, &password_file] {
                chown(path, Some(user), Some(user)).map_err(Failure::on(path))?;
            }
        }
        // Free now; if somebody else takes it first, the start fails and says so.
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = listener.map_err(|error| Failure::new(format!("no free port on 127.0.0.1: {error}")))?.port();
        let (data, log) = (folder.join("data"), folder.join("log"));
        program(&programs, "initdb", user)
            .args(["--username=bulla", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--pwfile"])
            .arg(&password_file)
            .arg("--pgdata")
            .arg(&data)
            .quietly()?;
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c port={port} -c max_connections=400"
        );
        program(&programs, "pg_ctl", user)
            .args(["start", "--wait", "--silent", "--options", &options, "--log"])
            .arg(&log)
            .arg("--pgdata")
            .arg(&data)
            .quietly()
            .map_err(|failure| {
                Failure::new(format!("{failure}\n{}", fs::read_to_string(&log).unwrap_or_default().trim_end()))
            })?;
        let pid_file = data.join("postmaster.pid");
        let lines = fs::read_to_string(&pid_file).map_err(Failure::on(&pid_file))?;
        let process = lines.lines().next().unwrap_or_default().to_owned();
        let url = format!("postgres://bulla:{password}@127.0.0.1:{port}/postgres");
        let started = Self { programs, folder, url, began: began(&process)?, process, note, is_ours: false };
        let text = json!({
            "programs": started.programs, "folder": started.folder, "url": started.url,
            "process": started.process, "began": started.began,
        });
        fs::write(&started.note, text.to_string()).map_err(Failure::on(&started.note))?;
        Ok(started)
    }

    fn stop(&self) -> Result<(), Failure> {
        // Not another process that has its number by now.
        if began(&self.process).is_ok_and(|began| began == self.began) {
            program(&self.programs, "pg_ctl", unprivileged()?)
                .args(["stop", "--wait", "--silent", "--mode=fast", "--pgdata"])
                .arg(self.folder.join("data"))
                .quietly()?;
        }
        fs::remove_dir_all(&self.folder).map_err(Failure::on(&self.folder))?;
        fs::remove_file(&self.note).map_err(Failure::on(&self.note))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(failure) = self.stop()
        {
            eprintln!("xtask: the PostgreSQL server was not stopped: {failure}");
        }
    }
}

/// Returns the folder of PostgreSQL's programs; installs them where the system can and we may.
pub(crate) fn programs() -> Result<PathBuf, Failure> {
    if let Some(found) = find() {
        return Ok(found);
    }
    system::install("postgresql", ADVICE)?;
    find().ok_or_else(|| {
        Failure::new("PostgreSQL was installed, and yet initdb, pg_ctl and postgres are not to be found")
    })
}

fn find() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let listed = FOLDERS.iter().flat_map(|pattern| versions(pattern));
    let is_whole = |folder: &PathBuf| NEEDED.iter().all(|name| folder.join(name).exists());
    std::env::split_paths(&on_path).chain(listed).find(is_whole)
}

/// Lists the folders that a pattern stands for, the newest version first.
fn versions(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return Vec::new() };
    let (folder, prefix) = before.rsplit_once('/').unwrap_or_default();
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<(u32, PathBuf)> = names
        .filter_map(|name| {
            let version = name.strip_prefix(prefix)?.parse().ok()?;
            Some((version, PathBuf::from(format!("{before}{version}{after}"))))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Returns whom servers run as: nobody, where we are root, which PostgreSQL refuses; else ourselves.
fn unprivileged() -> Result<Option<u32>, Failure> {
    match system::user_id("-u", None)? {
        0 => system::user_id("-u", Some("nobody")).map(Some),
        _ => Ok(None),
    }
}

fn program(folder: &Path, name: &str, user: Option<u32>) -> Process {
    let process = Process::new(folder.join(name)).env("LC_ALL", "C").directory(Path::new("/"));
    match user {
        Some(user) => process.user(user),
        None => process,
    }
}

fn note(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let folder = workspace.target.join("services");
    fs::create_dir_all(&folder).map_err(Failure::on(&folder))?;
    Ok(folder.join("postgres.json"))
}

/// Says when a process began, as its system tells it; fails if there is none.
fn began(process: &str) -> Result<String, Failure> {
    if Path::new("/proc/self/stat").exists() {
        let path = PathBuf::from(format!("/proc/{process}/stat"));
        let stat = fs::read_to_string(&path).map_err(Failure::on(&path))?;
        // Field 22 of proc_pid_stat(5); the second, in brackets, may hold spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        return Ok(fields.split_whitespace().nth(19).unwrap_or_default().to_owned());
    }
    Process::new("ps").args(["-o", "lstart=", "-p", process]).output().map(|printed| printed.trim().to_owned())
}

/// Draws a name that nobody guesses.
fn random() -> Result<String, Failure> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Failure::on(path))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_beginning() {
        let ours = std::process::id().to_string();
        assert!(!began(&ours).unwrap().is_empty());
        assert_eq!(began(&ours).unwrap(), began(&ours).unwrap());
        assert_ne!(began("1").unwrap(), began(&ours).unwrap());
        assert!(began("0").is_err());
    }

    #[test]
    fn what_is_noted_but_does_not_run_is_not_taken_for_it() {
        let folder = std::env::temp_dir().join(format!("bulla-xtask-{}", random().unwrap()));
        fs::create_dir(&folder).unwrap();
        let note = folder.join("postgres.json");
        assert!(Postgres::running(&note).is_none());
        let write = |began: &str| {
            let process = std::process::id().to_string();
            let text = json!({ "programs": "", "folder": "", "url": "", "process": process, "began": began });
            fs::write(&note, text.to_string()).unwrap();
        };
        write("long ago");
        assert!(Postgres::running(&note).is_none());
        write(&began(&std::process::id().to_string()).unwrap());
        assert!(Postgres::running(&note).is_some());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_newest_version_comes_first() {
        let folder = std::env::temp_dir().join(format!("bulla-xtask-{}", random().unwrap()));
        for name in ["9/bin", "15/bin", "14/bin", "common/bin"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let found = versions(&format!("{}/*/bin", folder.display()));
        let expected = ["15", "14", "9"].map(|version| folder.join(version).join("bin"));
        assert_eq!(found, expected);
        fs::remove_dir_all(&folder).unwrap();
    }
}
