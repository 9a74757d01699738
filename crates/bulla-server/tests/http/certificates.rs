//! A certificate authority for tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bulla_server::{ClientCertificates, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// A root, and a folder with the server's files.
pub(crate) struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    pub(crate) folder: TempDir,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pem: String,
    key_pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Root of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { root, folder: tempfile::tempdir().unwrap() };
        fs::write(authority.file("roots.pem"), authority.root.pem()).unwrap();
        authority.install(&authority.server("localhost"));
        authority
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.root.der().clone()
    }

    pub(crate) fn server(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A server's certificate for a key that there is already.
    pub(crate) fn server_with(&self, name: &str, key: &str) -> Pair {
        self.sign_with(CertificateParams::new(vec![name.to_owned()]).unwrap(), KeyPair::from_pem(key).unwrap())
    }

    pub(crate) fn client(&self, serial: u64, expired: bool) -> Pair {
        let mut params = CertificateParams::new(vec!["client.test".to_owned(), "127.0.0.9".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Client of tests");
        params.subject_alt_names.push(SanType::URI("spiffe://test/client".try_into().unwrap()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        }
        self.sign(params)
    }

    /// Makes the server's files those of a pair: the key first, then the certificate.
    pub(crate) fn install(&self, pair: &Pair) {
        let replace = |name: &str, text: &str| {
            let new = self.file("new");
            fs::write(&new, text).unwrap();
            fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
            fs::rename(&new, self.file(name)).unwrap();
        };
        replace("key.pem", &pair.key_pem);
        replace("certificate.pem", &pair.pem);
    }

    /// Writes the list of what was revoked.
    pub(crate) fn revoke(&self, serials: &[u64], expired: bool) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(if expired { 2021 } else { 2999 }, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let new = self.file("new");
        fs::write(&new, params.signed_by(&self.root).unwrap().pem().unwrap()).unwrap();
        fs::rename(new, self.file("revoked.pem")).unwrap();
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles::new(self.file("certificate.pem"), self.file("key.pem"))
    }

    pub(crate) fn mutual(&self, clients: ClientCertificates) -> TlsFiles {
        self.files().client_certificates(self.file("roots.pem"), clients)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        self.sign_with(params, KeyPair::generate().unwrap())
    }

    fn sign_with(&self, params: CertificateParams, key: KeyPair) -> Pair {
        let certificate = params.signed_by(&key, &self.root).unwrap();
        Pair {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}
