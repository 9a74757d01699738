//! The Python environment in the target folder: what the vector generators and interoperability tests need. OpenBao is in it too: it comes
//! as a Python package.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::process::Process;
use crate::workspace::Workspace;

/// Tests find the interpreter through this variable.
pub(crate) const VARIABLE: &str = "BULLA_TEST_PYTHON";

/// Tests find the program of OpenBao through this variable, and start servers of their own.
pub(crate) const OPENBAO: &str = "BULLA_TEST_OPENBAO";

/// Returns the program of OpenBao that lies beside an interpreter.
pub(crate) fn openbao(python: &Path) -> Result<PathBuf, Failure> {
    let program = python.with_file_name("bao");
    if program.exists() {
        Ok(program)
    } else {
        Err(Failure::new(format!("{} is missing; remove the folder `venv` of the target folder", program.display())))
    }
}

/// Makes the environment, or brings it up to `spec/requirements.txt`, and returns its interpreter.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let requirements = workspace.root.join("spec/requirements.txt");
    let home = workspace.target.join("venv");
    let python = home.join("bin/python");
    // Written last: as long as it differs, the environment is not what was asked for.
    let installed = home.join("installed-requirements.txt");

    let wanted = fs::read(&requirements).map_err(Failure::on(&requirements))?;
    if fs::read(&installed).is_ok_and(|present| present == wanted) && python.exists() {
        return Ok(python);
    }
    Process::new("python3").args(["-m", "venv", "--clear"]).arg(&home).run().map_err(|failure| {
        Failure::new(format!("{failure}\nPython 3.11 or later with its venv module is needed (Debian: python3-venv)"))
    })?;
    Process::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"])
        .arg("--requirement")
        .arg(&requirements)
        .run()?;
    fs::write(&installed, wanted).map_err(Failure::on(&installed))?;
    Ok(python)
}
