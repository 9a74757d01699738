//! A project of no worth, for trials: made now, and gone at the end.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, io};

use bulla::{Project, Settings, SettingsBuilder};
use bulla_server::TlsFiles;

use crate::failure::{Exit, Failure, Result};

/// A folder with a project in it. It goes when this is dropped.
#[derive(Debug)]
pub(super) struct Dev {
    folder: PathBuf,
    tls: Option<(PathBuf, PathBuf)>,
}

impl Dev {
    pub(super) async fn new(with_tls: bool) -> Result<Self> {
        let mut random = [0; 8];
        bulla_seal::fill_random(&mut random)?;
        let folder = env::temp_dir().join(format!("bulla-dev-{:016x}", u64::from_be_bytes(random)));
        let failed = |error: io::Error| Failure::file("create", &folder, &error);
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        let mut dev = Self { folder, tls: None };
        if with_tls {
            dev.tls = Some(dev.certify()?);
        }
        Project::init(dev.settings().load_for_init()?).await?;
        Ok(dev)
    }

    pub(super) async fn project(&self) -> Result<Project> {
        Ok(Project::open(self.settings().load()?).await?)
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(super) fn certificate(&self) -> Option<&Path> {
        self.tls.as_ref().map(|(certificate, _)| certificate.as_path())
    }

    pub(super) fn tls(&self) -> Option<TlsFiles> {
        self.tls.as_ref().map(|(certificate, key)| TlsFiles::new(certificate, key))
    }

    fn settings(&self) -> SettingsBuilder {
        let mut backend = OsString::from("sqlite:");
        backend.push(self.folder.join("data"));
        let settings = Settings::builder().environment(false).file(self.folder.join("bulla.toml"));
        settings.identity(self.folder.join("identity")).backend(backend)
    }

    /// Makes a certificate of this machine for itself.
    fn certify(&self) -> Result<(PathBuf, PathBuf)> {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
        let made = made.map_err(|error| Failure::new(Exit::Failed, "certificate", error.to_string()))?;
        let (certificate, key) = (self.folder.join("certificate.pem"), self.folder.join("key.pem"));
        write(&certificate, &made.cert.pem())?;
        write(&key, &made.signing_key.serialize_pem())?;
        Ok((certificate, key))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Of no worth to anybody, and nothing can be done about it here.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|error| Failure::file("write", path, &error))
}
