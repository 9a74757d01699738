use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use super::{Loaded, TlsError, certificate, encrypted_key};
use crate::config::{ClientCertificates, TlsFiles};

/// Longest file of TLS.
const MAX_FILE: u64 = 16 << 20;

/// How a key under a passphrase begins.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// What tells a file from what it was before: time, length and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks(Vec<Option<(i64, i64, u64, u64)>>);

impl Marks {
    pub(super) fn of(files: &TlsFiles) -> Self {
        let TlsFiles { certificate, key, passphrase, client_roots, revoked, .. } = files;
        let paths = [Some(certificate), Some(key), passphrase.as_ref(), client_roots.as_ref(), revoked.as_ref()];
        let mark = |path: &Path| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.mtime(), file.mtime_nsec(), file.size(), file.ino()))
        };
        Self(paths.into_iter().flatten().map(|path| mark(path)).collect())
    }
}

impl Loaded {
    pub(super) fn read(files: &TlsFiles, generation: u64) -> Result<Self, TlsError> {
        // Taken before the files are read: what changes meanwhile is found at the next look.
        let marks = Marks::of(files);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = verifier(files, &provider)?;
        let chain = certificates(&files.certificate)?;
        let key = key(files)?;
        let expires = chain.first().and_then(|certificate| certificate::expires(certificate)).unwrap_or_default();
        let unfit = |error: rustls::Error| TlsError::Unfit(error.to_string());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(unfit)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), verifier, marks, expires, generation })
    }
}

fn verifier(
    files: &TlsFiles,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if files.clients == ClientCertificates::Ignored {
        return Ok(None);
    }
    let path = files.client_roots.as_deref().ok_or(TlsError::NoRoots)?;
    let mut roots = RootCertStore::empty();
    for root in certificates(path)? {
        roots.add(root).map_err(|error| TlsError::Unfit(error.to_string()))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if let Some(path) = &files.revoked {
        let content = || TlsError::Content { path: path.clone(), what: "list of what was revoked" };
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&read(path)?).collect();
        let lists = lists.ok().filter(|lists| !lists.is_empty()).ok_or_else(content)?;
        builder = builder.with_crls(lists).only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    if files.clients == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(|error| TlsError::Unfit(error.to_string()))?;
    Ok(Some(verifier))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| TlsError::Content { path: path.to_owned(), what: "certificate" })
}

fn key(files: &TlsFiles) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = &files.key;
    let pem = read_secret(path)?;
    let content = || TlsError::Content { path: path.clone(), what: "private key" };
    if !pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED.as_bytes()) {
        return PrivateKeyDer::from_pem_slice(&pem).map_err(|_| content());
    }
    let passphrase = files.passphrase.as_ref().ok_or_else(|| TlsError::EncryptedKey(path.clone()))?;
    let passphrase = read_secret(passphrase)?;
    let passphrase = passphrase.strip_suffix(b"\n").unwrap_or(&passphrase);
    let der = encrypted_der(&pem).ok_or_else(content)?;
    let opened = encrypted_key::open(&der, passphrase).ok_or_else(|| TlsError::CannotOpenKey(path.clone()))?;
    Ok(PrivateKeyDer::Pkcs8(opened.to_vec().into()))
}

/// Takes the bytes out of what [`ENCRYPTED`] begins.
fn encrypted_der(pem: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = std::str::from_utf8(pem).ok()?.split_once(ENCRYPTED)?;
    let base64: String = rest.split_once("-----END")?.0.split_ascii_whitespace().collect();
    BASE64.decode(base64.as_bytes()).ok()
}

/// Reads a file that not everybody may be able to read.
fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mode = std::fs::metadata(path).map(|file| file.mode()).unwrap_or_default();
    if mode & 0o007 != 0 {
        return Err(TlsError::ExposedKey { path: path.to_owned(), mode: mode & 0o777 });
    }
    read(path)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > MAX_FILE {
        return Err(failed(std::io::Error::other("it is too long")));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(failed)
}
