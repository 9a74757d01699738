//! Programs of the system that tests need, installed where the system can and we may.

use crate::failure::Failure;
use crate::process::Process;

/// Sees to it that a program is there, which Debian has in a package of its name.
pub(crate) fn ensure(program: &str, why: &str) -> Result<(), Failure> {
    if is_there(program) {
        return Ok(());
    }
    install(program, &format!("{program} is needed for the tests, {why} (Debian: the package {program})"))?;
    if is_there(program) { Ok(()) } else { Err(Failure::new(format!("{program} was installed, and yet does not run"))) }
}

fn is_there(program: &str) -> bool {
    Process::new(program).arg("--version").quietly().is_ok()
}

/// Installs a package of Debian.
pub(crate) fn install(package: &str, advice: &str) -> Result<(), Failure> {
    if !is_there("apt-get") {
        return Err(Failure::new(advice));
    }
    let apt_get = || -> Result<Process, Failure> {
        if user_id("-u", None)? == 0 {
            return Ok(Process::new("apt-get"));
        }
        // Without a password, or not at all: nobody may be there to type it.
        Ok(Process::new("sudo").args(["--non-interactive", "apt-get"]))
    };
    let options = ["--quiet", "--yes", "--no-install-recommends"];
    let frontend = ("DEBIAN_FRONTEND", "noninteractive");
    let installed = apt_get()?
        .arg("update")
        .arg("--quiet")
        .run()
        .and_then(|()| apt_get()?.arg("install").args(options).arg(package).env(frontend.0, frontend.1).run());
    installed.map_err(|failure| Failure::new(format!("{failure}\n{advice}")))
}

/// Returns the number of a user: `-u` of nobody in particular is our own.
pub(crate) fn user_id(option: &str, name: Option<&str>) -> Result<u32, Failure> {
    let printed = Process::new("id").arg(option).args(name).output()?;
    printed.trim().parse().map_err(|_| Failure::new(format!("id printed {printed:?}, which is no number")))
}
