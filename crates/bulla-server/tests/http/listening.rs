//! Where a server listens.

use std::net::SocketAddr;

use bulla_server::{Address, ApiError, Audit, Config, Endpoint, Listen, Server, ServerError, Text};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::certificates::Authority;
use super::setting::{TestDoor, builder};
use super::wire::{Running, answers, local, read_all};

#[test]
fn unless_told_otherwise_it_listens_on_this_machine() {
    assert_eq!(Config::default().listen, [Listen::Network(SocketAddr::from(([127, 0, 0, 1], 8200)))]);
}

#[tokio::test]
async fn without_a_certificate_nobody_but_this_machine_is_listened_to() {
    let app = builder(&TestDoor::default()).await.build().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let listen = Listen::Network(address.parse().unwrap());
        let refused = Server::bind(Config::default().listen(listen), app.clone()).await.unwrap_err();
        assert!(matches!(refused, ServerError::PlainBeyondLoopback(_)), "{address}");
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
    let listen = Listen::Network("0.0.0.0:0".parse().unwrap());
    let authority = Authority::new();
    let config = Config::default().listen(listen).tls(authority.files());
    assert!(Server::bind(config, app.clone()).await.is_ok());
    assert!(Server::bind(Config { listen: Vec::new(), ..Config::default() }, app).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let running = Running::with_times(|_| {}).await;
    let listen = Listen::Network(running.address.unwrap());
    let refused = Server::bind(Config::default().listen(listen), running.app.clone()).await.unwrap_err();
    assert!(refused.to_string().starts_with(&format!("cannot listen on {}", running.address.unwrap())), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_unix_socket_the_system_says_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bulla.sock");
    let user = Endpoint::get("test.user", "/v1/user").open_to_all().audit(Audit::Unrecorded).plain(|call| async move {
        let Address::Local { user, process, .. } = call.peer().address else { return Err(ApiError::nothing()) };
        assert!(call.peer().source().is_none());
        Ok(Text("text/plain", format!("{user} {}", process == Some(std::process::id()))))
    });
    let builder = builder(&TestDoor::default()).await.endpoints([user]);
    // What a server that died has left is no hindrance.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let running = Running::start(Config::default().listen(Listen::Local(path.clone())), builder).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /v1/user HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let text = read_all(&mut stream).await;
    let user = rustix::process::getuid().as_raw();
    assert!(text.ends_with(&format!("{user} true")), "{text}");
    // One that lives keeps its socket.
    let again = Server::bind(Config::default().listen(Listen::Local(path.clone())), running.app.clone()).await;
    assert!(matches!(again, Err(ServerError::Listen { .. })));
    running.stop().await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_for_probes_has_probes_only_and_needs_no_tls() {
    let authority = Authority::new();
    let config = Config::default().listen(local()).tls(authority.files()).probes(SocketAddr::from(([0, 0, 0, 0], 0)));
    let running = Running::start(config, builder(&TestDoor::default()).await).await;
    let probes = SocketAddr::from(([127, 0, 0, 1], running.probes.unwrap().port()));
    for (path, status) in [
        ("/livez", "200"),
        ("/readyz", "200"),
        ("/health", "200"),
        ("/ready", "200"),
        ("/v1/sys/health", "200"),
        ("/v1/sys/seal-status", "404"),
        ("/v1/metrics", "404"),
        ("/v1/openapi.json", "404"),
        ("/v1/box/data/a", "404"),
        ("/nothing", "404"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(probes).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        assert_eq!(answers(&read_all(&mut stream).await), (1, status), "{path}");
    }
}
