//! Whom a client trusts, and how it shows who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};

use crate::secret::{read_file, read_secret};
use crate::{ClientError, Result};

/// Longest file of TLS.
const MAX_FILE: u64 = 16 << 20;

/// Files of TLS.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFiles {
    pub(crate) authorities: Option<PathBuf>,
    /// Certificate with its chain, and its key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
}

/// Shows no certificate, and remembers whether it was asked for one.
///
/// With TLS 1.3 a server says no only after the handshake; if a request is on its way by then, TCP may drop what it said (RFC 9293, section 3.10.7).
#[derive(Debug, Default)]
pub(crate) struct NoCertificate(AtomicBool);

impl NoCertificate {
    pub(crate) fn was_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl TlsFiles {
    pub(crate) fn load(&self, none: &Arc<NoCertificate>) -> Result<Arc<ClientConfig>> {
        let unfit = |error: rustls::Error| ClientError::Unfit(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(unfit)?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.own {
            None => builder.with_client_cert_resolver(none.clone()),
            Some((certificate, key)) => {
                builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(unfit)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(path) => {
                for root in certificates(path)? {
                    roots.add(root).map_err(|error| ClientError::Unfit(error.to_string()))?;
                }
            }
            None => {
                // Of the system's some may be of a kind that nobody knows; those count for nothing.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(ClientError::NoRoots);
                }
            }
        }
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read_file(path, MAX_FILE)?).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| ClientError::Pem { path: path.to_owned(), what: "certificate" })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read_secret(path, MAX_FILE)?)
        .map_err(|_| ClientError::Pem { path: path.to_owned(), what: "private key that is not encrypted" })
}
