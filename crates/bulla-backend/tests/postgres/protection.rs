//! TLS: who is believed, and who is not. The keys and certificates in `tests/fixtures/tls` are for these tests and protect nothing.

use std::path::Path;

use bulla_backend::{DocumentKey, Documents, ErrorKind, Expected, PostgresDocuments, PostgresServer};
use pollster::block_on;

use super::{DURABLE, Place, server::Server};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name).to_str().unwrap().to_owned()
}

#[test]
fn only_a_server_that_proves_who_it_is_is_believed() {
    // Settings are those of the start; the files come before the server is told of them.
    let mut server = Server::start(&[]);
    server.give("server.pem", include_bytes!("../fixtures/tls/server.pem"));
    server.give("server.key", include_bytes!("../fixtures/tls/server.key"));
    let place = Place::on(&server.url());
    drop(place.documents());
    let settings = ["ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'", "ssl = 'on'"];
    for setting in settings {
        place.client().run(&format!("ALTER SYSTEM SET {setting}"));
    }
    server.kill();
    server.start_again();

    let open = |host: &str, parameters: &str| {
        let url = place.url.replace("127.0.0.1", host);
        let server = PostgresServer::new(format!("{url}&{parameters}").parse().unwrap());
        block_on(PostgresDocuments::open(&server, "", false)).map_err(|error| (error.kind(), error.to_string()))
    };
    let encrypted = || {
        place.client().number("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'bulla'")
    };
    let ours = format!("sslmode=verify-full&sslrootcert={}", fixture("authority.pem"));
    let other = format!("sslmode=verify-full&sslrootcert={}", fixture("other-authority.pem"));

    assert_eq!(encrypted(), 0);
    let documents = open("localhost", &ours).unwrap();
    block_on(documents.put(DURABLE, &DocumentKey::new(*b"a").unwrap(), b"1", Expected::Any)).unwrap();
    assert!(encrypted() > 0);
    let unverified = open("127.0.0.1", "sslmode=require").unwrap();
    assert!(block_on(unverified.get(DURABLE, &DocumentKey::new(*b"a").unwrap())).unwrap().is_some());

    for (host, parameters, why) in [
        ("127.0.0.1", &*ours, "a certificate for another name"),
        ("localhost", &*other, "one by another authority"),
        ("localhost", "sslmode=verify-full", "one by an authority that the system does not know"),
    ] {
        let (kind, text) = open(host, parameters).unwrap_err();
        assert!(kind == ErrorKind::Unsuitable && text.contains("sslrootcert"), "{why}: {kind:?} {text}");
    }
    for (file, why) in [("server.key", "no authority"), ("nothing.pem", "no file")] {
        let (kind, text) =
            open("localhost", &format!("sslmode=verify-full&sslrootcert={}", fixture(file))).unwrap_err();
        assert_eq!(kind, ErrorKind::Unsuitable, "{why}: {text}");
    }
}

#[test]
fn a_password_is_read_from_a_file() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let open = |contents: &[u8]| {
        std::fs::write(&file, contents).unwrap();
        let url = format!("postgres://bulla@127.0.0.1:{}/postgres?password_file={}", server.port(), file.display());
        let opened = block_on(PostgresDocuments::open(&PostgresServer::new(url.parse().unwrap()), "", true));
        opened.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(open(b"pass/word\n"), Ok(()));
    assert_eq!(open(b"pass/word"), Ok(()));
    assert_eq!(open(b"pass/wor"), Err(ErrorKind::Permission));
    assert_eq!(open(&[b'p'; 5000]), Err(ErrorKind::Permission));
    assert_eq!(open(&[0xff]), Err(ErrorKind::Permission));
}
