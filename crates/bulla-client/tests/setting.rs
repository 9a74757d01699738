//! The server that the tests share, and the certificates of its listeners.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bulla_client::{Builder, Client, Method, Token};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::openbao::{OpenBao, ROOT, free_port, write_private};

/// A server with listeners of every kind, and the files to reach them.
pub(crate) struct Setting {
    server: OpenBao,
    folder: TempDir,
    pub(crate) tls_port: u16,
    pub(crate) mutual_port: u16,
}

impl Setting {
    /// Returns the server that other tests use now, or a new one. It ends with the last of them.
    pub(crate) fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Setting>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(setting) = running.upgrade() {
            return setting;
        }
        let setting = Arc::new(Self::start());
        *running = Arc::downgrade(&setting);
        setting
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let authority = authority("authority");
        std::fs::write(path("ca.pem"), authority.0.clone()).unwrap();
        std::fs::write(path("other.pem"), self::authority("another").0).unwrap();
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority.1).unwrap();
            std::fs::write(path(&format!("{name}.pem")), certificate.pem()).unwrap();
            write_private(&path(&format!("{name}.key")), &key.serialize_pem());
        }
        let (tls_port, mutual_port) = (free_port(), free_port());
        let tls = |port: u16, more: &str| {
            let (certificate, key) = (path("server.pem"), path("server.key"));
            let files = format!("tls_cert_file = {certificate:?}\ntls_key_file = {key:?}");
            format!("listener \"tcp\" {{\naddress = \"127.0.0.1:{port}\"\n{files}\n{more}\n}}\n")
        };
        let authority = path("ca.pem");
        let clients = format!("tls_require_and_verify_client_cert = true\ntls_client_ca_file = {authority:?}");
        let socket = path("socket");
        let listeners =
            [tls(tls_port, ""), tls(mutual_port, &clients), format!("listener \"unix\" {{ address = {socket:?} }}\n")];
        let server = OpenBao::start(&listeners.concat());
        Self { server, folder, tls_port, mutual_port }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Returns a client with every right.
    pub(crate) fn root(&self) -> Client {
        root(&self.url()).build().unwrap()
    }

    /// Mounts an engine under a name that no other test has.
    pub(crate) async fn mount(&self, kind: &str, options: Value) -> String {
        let name = fresh(kind);
        let body = json!({ "type": kind, "options": options });
        self.root().request(Method::POST, &format!("sys/mounts/{name}"), Some(&body)).await.unwrap();
        name
    }
}

/// Begins to make a client with every right.
pub(crate) fn root(url: &str) -> Builder {
    Client::builder(url).unwrap().token(token(ROOT))
}

pub(crate) fn token(text: &str) -> Token {
    Token::new(text.to_owned()).unwrap()
}

/// Returns a name that nobody has had.
pub(crate) fn fresh(kind: &str) -> String {
    let mut random = [0; 8];
    bulla_seal::fill_random(&mut random).unwrap();
    format!("{kind}-{}", data_encoding::HEXLOWER.encode(&random))
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}
