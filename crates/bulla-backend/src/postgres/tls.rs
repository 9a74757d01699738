//! TLS to a server, by rustls with the primitives of aws-lc-rs.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::{Attempt, Failure},
    url::{PostgresUrl, Tls},
};
use crate::ErrorKind;

/// Longest file of authorities that is read, in bytes.
const MAX_ROOTS_LEN: u64 = 4 * 1024 * 1024;

/// Returns what makes protected connections, or `None` if none are wanted.
pub(super) fn connector(url: &PostgresUrl) -> Attempt<Option<MakeRustlsConnect>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(ErrorKind::Unsuitable, format!("there is no TLS: {error}")))
    };
    let config = match url.tls {
        Tls::Off => return Ok(None),
        Tls::Unverified => builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider.clone())))
            .with_no_client_auth(),
        Tls::Verified => builder()?.with_root_certificates(roots(url.roots.as_deref())?).with_no_client_auth(),
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

/// Collects the authorities of a file, or those that the system trusts.
fn roots(file: Option<&Path>) -> Attempt<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let place = match file {
        Some(path) => {
            let unusable = |reason: String| {
                Failure::new(ErrorKind::Unsuitable, format!("the authorities in `{}`: {reason}", path.display()))
            };
            let mut pem = Vec::new();
            let read = File::open(path).and_then(|file| file.take(MAX_ROOTS_LEN).read_to_end(&mut pem));
            read.map_err(|error| unusable(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            path.display().to_string()
        }
        None => {
            // Of the system's some may be of a kind that nobody knows; those count for nothing.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            "the system's store".to_owned()
        }
    };
    if roots.is_empty() {
        let detail =
            format!("{place} holds no authority that could vouch for the server; name a file by `sslrootcert`");
        return Err(Failure::new(ErrorKind::Unsuitable, detail));
    }
    Ok(roots)
}

/// Takes any certificate, as `sslmode=require` says; that the server has its key is checked all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
