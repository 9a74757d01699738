//! Several machines on one project: each has a home, an identity and a working folder of its own, and all use one backend.

use serde_json::Value;

use crate::sandbox::{Run, Sandbox};

/// A project and the machine that made it.
pub(crate) struct Fleet {
    pub(crate) founder: Sandbox,
    backend: String,
}

/// What a machine asks for, as its `enroll` said.
pub(crate) struct Request {
    pub(crate) text: String,
    pub(crate) fingerprint: String,
}

impl Fleet {
    /// Makes a project in the founder's folder.
    pub(crate) fn on(scheme: &str) -> Self {
        let founder = Sandbox::empty();
        founder.run(["init", "--backend", &format!("{scheme}:.bulla")]).succeeds();
        let backend = format!("{scheme}:{}", founder.path(".bulla").display());
        Self { founder, backend }
    }

    /// Makes a project in a fresh schema of the tests' PostgreSQL server, whose password all machines find in one file.
    #[cfg(feature = "postgres")]
    #[track_caller]
    pub(crate) fn on_postgres() -> Self {
        let server = std::env::var("BULLA_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "BULLA_TEST_POSTGRES is not set: run `cargo xtask test --only tests`, or see `cargo xtask services up`"
            )
        });
        let (login, place) = server.rsplit_once('@').unwrap();
        let (user, password) = login.rsplit_once(':').unwrap();
        assert!(!password.contains('%'), "a file holds the password as it is");
        let founder = Sandbox::empty();
        founder.write("password", password);
        let mut random = [0; 8];
        bulla_seal::fill_random(&mut random).unwrap();
        let (schema, file) = (data_encoding::HEXLOWER.encode(&random), founder.path("password"));
        let backend = format!("{user}@{place}?schema=c{schema}&password_file={}", file.display());
        founder.run(["init", "--backend", &backend]).succeeds();
        Self { founder, backend }
    }

    /// Names the backend as machines elsewhere do.
    pub(crate) fn backend(&self) -> String {
        self.backend.clone()
    }

    pub(crate) fn project(&self) -> String {
        self.founder.run(["status", "--json"]).succeeds().json()[0]["project"].as_str().unwrap().to_owned()
    }

    /// Makes a machine that is in.
    pub(crate) fn machine(&self, name: &str, authoriser: bool) -> Sandbox {
        let machine = Sandbox::empty();
        authorize(&self.founder, &enroll(&machine, name), authoriser).succeeds();
        self.join(&machine);
        machine
    }

    /// Writes the settings by which a machine finds the project.
    pub(crate) fn join(&self, machine: &Sandbox) {
        machine.run(["config", "init", "--project", &self.project(), "--backend", &self.backend]).succeeds();
    }
}

pub(crate) fn enroll(machine: &Sandbox, name: &str) -> Request {
    asked(machine.run(["enroll", "--name", name, "--json"]))
}

/// Enrols one of several machines that share a folder, each with an identity file of its own.
pub(crate) fn enroll_as(folder: &Sandbox, name: &str) -> Request {
    let identity = folder.path(name);
    asked(folder.run(["enroll", "--name", name, "--json", "--identity", identity.to_str().unwrap()]))
}

/// Has an authoriser let a machine in.
pub(crate) fn authorize(authoriser: &Sandbox, request: &Request, authorises: bool) -> Run {
    let flag = authorises.then_some("--authoriser");
    let arguments = ["authorize", &request.text, "--fingerprint", &request.fingerprint, "--json"];
    authoriser.run(arguments.into_iter().chain(flag))
}

/// Returns the names of the machines that are in, sorted, and whether each lets others in.
pub(crate) fn members(machine: &Sandbox) -> Vec<(String, Option<bool>)> {
    let listed = machine.run(["list", "--json"]).succeeds().json();
    let mut members: Vec<_> = listed.iter().map(|record| (name(record), record["authorises"].as_bool())).collect();
    members.sort();
    members
}

/// Returns the number of the current epoch, which every key must have been renewed in.
#[track_caller]
pub(crate) fn verified_epoch(machine: &Sandbox) -> u64 {
    let verified = machine.run(["verify", "--json"]).succeeds().json().remove(0);
    assert_eq!((&verified["damaged"], &verified["of_older_epochs"]), (&0.into(), &0.into()), "{verified}");
    verified["epoch"].as_u64().unwrap()
}

#[track_caller]
fn asked(run: Run) -> Request {
    let record = run.succeeds().json().remove(0);
    let text = |field: &str| record[field].as_str().unwrap().to_owned();
    Request { text: text("request"), fingerprint: text("fingerprint") }
}

fn name(record: &Value) -> String {
    record["name"].as_str().unwrap().to_owned()
}
