//! TLS: the server's certificate, those of clients, and what was revoked, read anew when the files change.

mod certificate;
mod encrypted_key;
mod files;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bulla_backend::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use self::files::Marks;
use crate::App;
use crate::config::TlsFiles;
use crate::peer::ClientCertificate;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why TLS cannot be set up, or not anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The private key is encrypted.
    #[error("the private key in {0} is under a passphrase, and no file that holds it is named")]
    EncryptedKey(PathBuf),
    /// The passphrase does not open the private key.
    #[error(
        "the private key in {0} cannot be opened: the passphrase is another, or it was not written as `openssl pkcs8 -topk8 -v2 aes-256-cbc` does"
    )]
    CannotOpenKey(PathBuf),
    /// Others can read the private key, or its passphrase.
    #[error("{path} can be read by everybody (mode {mode:o})")]
    ExposedKey {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Clients are to show certificates, and it is not said of which roots.
    #[error("client certificates are asked for, and no file of roots is named")]
    NoRoots,
    /// What the files hold does not fit together.
    #[error("the files of TLS do not fit together: {0}")]
    Unfit(String),
}

/// TLS as it is set up now.
pub(crate) struct Tls {
    files: TlsFiles,
    loaded: ArcSwap<Loaded>,
    /// One at a time reads files.
    reading: Mutex<()>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    marks: Marks,
    /// When the server's certificate expires, in seconds since 1970.
    expires: u64,
    /// Counts how often files were read.
    generation: u64,
}

/// What a handshake showed of the client.
pub(crate) struct Session {
    chain: Vec<CertificateDer<'static>>,
    certificate: Option<Arc<ClientCertificate>>,
    /// The generation that the chain was last verified with, and whether it was valid.
    verified: Mutex<(u64, bool)>,
}

impl Session {
    pub(crate) fn certificate(&self) -> &Option<Arc<ClientCertificate>> {
        &self.certificate
    }
}

impl Tls {
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = Loaded::read(&files, 0)?;
        Ok(Self { files, loaded: ArcSwap::from_pointee(loaded), reading: Mutex::new(()) })
    }

    /// Reads the files again. If they do not fit together, what was read before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.loaded.load().generation + 1;
        self.loaded.store(Arc::new(Loaded::read(&self.files, generation)?));
        Ok(())
    }

    /// Returns when the server's certificate expires, in seconds since 1970.
    pub(crate) fn expires(&self) -> u64 {
        self.loaded.load().expires
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Session)> {
        let loaded = self.loaded.load_full();
        let stream = TlsAcceptor::from(loaded.config.clone()).accept(stream).await?;
        let chain: Vec<_> = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let certificate = match chain.first() {
            None => None,
            Some(der) => {
                let parsed = certificate::parse(der);
                Some(Arc::new(parsed.ok_or_else(|| io::Error::other("the client certificate cannot be read"))?))
            }
        };
        let verified = Mutex::new((loaded.generation, true));
        Ok((stream, Session { chain, certificate, verified }))
    }

    /// Says whether the certificate that a client has shown is still valid by the newest roots and lists of what was revoked. It is verified again
    /// only after those were read again.
    pub(crate) fn still_trusts(&self, session: &Session, now: Timestamp) -> bool {
        let Some((certificate, others)) = session.chain.split_first() else { return true };
        let loaded = self.loaded.load();
        let mut verified = session.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.0 != loaded.generation {
            let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
            let valid = loaded
                .verifier
                .as_ref()
                .is_some_and(|verifier| verifier.verify_client_cert(certificate, others, now).is_ok());
            *verified = (loaded.generation, valid);
        }
        verified.1
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Reads the files again when they have changed, and on SIGHUP, until it is aborted.
pub(crate) async fn watch(tls: Arc<Tls>, app: Arc<App>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = tls.loaded.load().marks.clone();
    let mut hangup = signal(SignalKind::hangup()).ok();
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            _ = asked => true,
        };
        let marks = Marks::of(&tls.files);
        // A key that is written after its certificate fits at the second look.
        if asked || marks != seen {
            seen = marks;
            match tls.reload() {
                Ok(()) => {
                    app.metrics().certificate_expires.store(tls.expires(), Relaxed);
                    tracing::info!("the files of TLS were read again");
                }
                Err(error) => tracing::error!(
                    error = error.to_string(),
                    "the files of TLS are not usable; those read before stay in use"
                ),
            }
        }
    }
}
