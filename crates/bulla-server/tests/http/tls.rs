//! Certificates of both sides.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bulla_server::{
    ApiError, Audit, ClientCertificates, Config, Endpoint, Plain, Server, ServerError, TlsError, TlsFiles,
};
use http::StatusCode;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use super::certificates::Authority;
use super::client::{Client, Session};
use super::setting::{TestDoor, builder};
use super::wire::{PATIENCE, Running, SOON, local, patient, read_all};

async fn start(files: TlsFiles) -> Running {
    let shown = Endpoint::get("test.certificate", "/v1/certificate").open_to_all().audit(Audit::Unrecorded);
    let shown = shown.plain(|call| async move {
        let certificate = call.peer().certificate.as_deref().cloned();
        let shown = certificate.map(|shown| {
            json!({
                "name": shown.common_name, "dns": shown.dns_names, "uris": shown.uris, "addresses": shown.addresses,
                "serial": shown.serial, "issuer": shown.issuer, "fingerprint": shown.fingerprint.len(),
            })
        });
        Ok::<_, ApiError>(Plain(StatusCode::OK, json!({"encrypted": call.peer().is_encrypted, "shown": shown})))
    });
    let builder = builder(&TestDoor::default()).await.endpoints([shown]).times(patient());
    Running::start(Config::default().listen(local()).tls(files), builder).await
}

async fn hello(client: &Client, running: &Running, pair: Option<&super::certificates::Pair>) -> Result<u16, String> {
    client.session(running.address.unwrap(), pair).await?.hello().await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_tls_and_both_of_http_are_spoken() {
    let authority = Authority::new();
    let running = start(authority.files()).await;
    let mut client = Client::new(&authority);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for (protocol, number) in [(b"http/1.1".as_slice(), 1), (b"h2", 2)] {
            (client.versions, client.protocols) = (vec![version], vec![protocol]);
            let mut session = client.session(running.address.unwrap(), None).await.unwrap();
            assert_eq!(session.hello().await, Ok(200));
            assert_eq!(matches!(session, Session::Two(_)), number == 2);
            let got = session.ask("POST", "/v1/box/echo/a", "{\"text\": \"hi\"}").await.unwrap();
            assert_eq!(got.json()["data"]["text"], "hi");
        }
    }
    client.protocols.clear();
    assert_eq!(hello(&client, &running, None).await, Ok(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn older_versions_and_no_tls_at_all_get_nowhere() {
    let authority = Authority::new();
    let running = start(authority.files()).await;
    // The hello of a client that knows TLS 1.1, with a suite of that time.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let answer = running.say(hello).await;
    // An alert, and nothing else.
    assert!(answer.is_empty() || answer.starts_with('\u{15}'), "{answer:?}");
    let plain = running.say("GET /v1/hello HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!plain.contains("HTTP"), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_end_is_not_waited_for() {
    let authority = Authority::new();
    let mut times = patient();
    times.handshake = SOON;
    let config = Config::default().listen(local()).tls(authority.files());
    let running = Running::start(config, builder(&TestDoor::default()).await.times(times)).await;
    let mut stream = running.connect().await;
    stream.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_notices_another_root_and_another_name() {
    let authority = Authority::new();
    let running = start(authority.files()).await;
    let other = Client { root: Authority::new().root(), ..Client::new(&authority) };
    assert!(hello(&other, &running, None).await.unwrap_err().contains("certificate"));
    let other = Client { name: "elsewhere.test", ..Client::new(&authority) };
    assert!(hello(&other, &running, None).await.unwrap_err().contains("certificate"));
    assert_eq!(hello(&Client::new(&authority), &running, None).await, Ok(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_is_required_has_to_verify() {
    let authority = Authority::new();
    authority.revoke(&[13], false);
    let running = start(authority.mutual(ClientCertificates::Required).revoked(authority.file("revoked.pem"))).await;
    let client = Client::new(&authority);
    assert_eq!(hello(&client, &running, Some(&authority.client(7, false))).await, Ok(200));
    assert!(hello(&client, &running, None).await.is_err());
    assert!(hello(&client, &running, Some(&authority.client(8, true))).await.is_err(), "expired");
    assert!(hello(&client, &running, Some(&authority.client(13, false))).await.is_err(), "revoked");
    assert!(hello(&client, &running, Some(&Authority::new().client(7, false))).await.is_err(), "of another root");
    assert!(hello(&client, &running, Some(&authority.server("localhost"))).await.is_err(), "a server's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_certificate_says_is_known_to_the_door() {
    let authority = Authority::new();
    let running = start(authority.mutual(ClientCertificates::Optional)).await;
    let client = Client::new(&authority);
    let pair = authority.client(0x0712, false);
    let mut session = client.session(running.address.unwrap(), Some(&pair)).await.unwrap();
    assert_eq!(
        session.ask("GET", "/v1/certificate", "").await.unwrap().json(),
        json!({"encrypted": true, "shown": {
            "name": "Client of tests", "dns": ["client.test"], "uris": ["spiffe://test/client"], "addresses": ["127.0.0.9"],
            "serial": "0712", "issuer": "CN=Root of tests", "fingerprint": 64,
        }})
    );
    let mut session = client.session(running.address.unwrap(), None).await.unwrap();
    assert_eq!(
        session.ask("GET", "/v1/certificate", "").await.unwrap().json(),
        json!({"encrypted": true, "shown": null})
    );
    // Optional or not, one that does not verify is refused.
    assert!(hello(&client, &running, Some(&Authority::new().client(7, false))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_has_expired_lets_nobody_in() {
    let authority = Authority::new();
    authority.revoke(&[], true);
    let running = start(authority.mutual(ClientCertificates::Required).revoked(authority.file("revoked.pem"))).await;
    assert!(hello(&Client::new(&authority), &running, Some(&authority.client(7, false))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_while_old_connections_go_on() {
    let authority = Authority::new();
    let running = start(authority.files()).await;
    let client = Client { protocols: vec![b"h2"], ..Client::new(&authority) };
    let mut old = client.session(running.address.unwrap(), None).await.unwrap();
    assert_eq!(old.hello().await, Ok(200));
    let traffic = {
        let mut session = client.session(running.address.unwrap(), None).await.unwrap();
        tokio::spawn(async move {
            for _ in 0..200 {
                assert_eq!(session.hello().await, Ok(200));
                sleep(Duration::from_millis(10)).await;
            }
        })
    };
    authority.install(&authority.server("renewed.test"));
    let renewed = Client { name: "renewed.test", ..Client::new(&authority) };
    let seen = async {
        while hello(&renewed, &running, None).await != Ok(200) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect("the new certificate is shown");
    assert!(hello(&client, &running, None).await.is_err());
    assert_eq!(old.hello().await, Ok(200));
    let metrics = old.ask("GET", "/v1/metrics", "").await.unwrap();
    assert!(metrics.text.contains("bulla_tls_certificate_expires_seconds "), "{}", metrics.text);
    traffic.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_do_not_fit_together_change_nothing() {
    let authority = Authority::new();
    let running = start(authority.files()).await;
    let client = Client::new(&authority);
    fs::write(authority.file("certificate.pem"), "no certificate").unwrap();
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(hello(&client, &running, None).await, Ok(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_stops_on_open_connections_too() {
    let authority = Authority::new();
    authority.revoke(&[], false);
    let running = start(authority.mutual(ClientCertificates::Required).revoked(authority.file("revoked.pem"))).await;
    let client = Client::new(&authority);
    let (good, bad) = (authority.client(7, false), authority.client(13, false));
    let mut stays = client.session(running.address.unwrap(), Some(&good)).await.unwrap();
    let mut goes = client.session(running.address.unwrap(), Some(&bad)).await.unwrap();
    assert_eq!((stays.hello().await, goes.hello().await), (Ok(200), Ok(200)));
    authority.revoke(&[13], false);
    let seen = async {
        while goes.hello().await == Ok(200) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect("the list is read");
    let refused = goes.ask("GET", "/v1/hello", "").await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "certificate_refused"));
    assert_eq!(stays.hello().await, Ok(200));
    assert!(hello(&client, &running, Some(&bad)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_looked_at_before_the_server_starts() {
    let authority = Authority::new();
    let app = builder(&TestDoor::default()).await.build().unwrap();
    let bind =
        async |files: TlsFiles| match Server::bind(Config::default().listen(local()).tls(files), app.clone()).await {
            Err(ServerError::Tls(error)) => error,
            other => panic!("{other:?}"),
        };
    let missing = TlsFiles::new(authority.file("missing.pem"), authority.file("key.pem"));
    assert!(matches!(bind(missing).await, TlsError::Read { .. }));
    let swapped = TlsFiles::new(authority.file("key.pem"), authority.file("key.pem"));
    assert!(matches!(bind(swapped).await, TlsError::Content { what: "certificate", .. }));
    let other = TlsFiles::new(authority.file("roots.pem"), authority.file("key.pem"));
    assert!(matches!(bind(other).await, TlsError::Unfit(_)));
    let rootless = TlsFiles { clients: ClientCertificates::Required, ..authority.files() };
    assert!(matches!(bind(rootless).await, TlsError::NoRoots));
    let unlisted = authority.mutual(ClientCertificates::Required).revoked(authority.file("roots.pem"));
    assert!(matches!(bind(unlisted).await, TlsError::Content { what: "list of what was revoked", .. }));
    fs::set_permissions(authority.file("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(bind(authority.files()).await, TlsError::ExposedKey { mode: 0o644, .. }));
}

/// One key, as OpenSSL 3 writes it with its defaults, and with other functions and rounds.
const UNDER_PASSPHRASES: [&str; 2] = [
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjUVlPnP4ubHQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEA6Bd3vu8t6KbDVQ/5tfomsEgZBP
YkzzBAxy3G6M2A3/R0xJKjSAWZ/GAIKYPeKEYDCcx0S34U6IsWhgxIiwzQS+7lJK
dmAwF8xww1xYzPdz3Mp+8azhKeUBqXarOFColFqqeKEU97rqqfz0Ed98JqTz50UA
KEw3EKoDGcKxWtjWVCVRGmcMAnq97TPxjMhgb6+N5ldRkBoEqt/uiG06SsO9f3Q=",
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhasFtRSxa/ywICA+gw
DAYIKoZIhvcNAgsFADAdBglghkgBZQMEAQIEEKFTxuPnr4TAamxGI+uJm4sEgZDA
MDKKqCpJLhhjjb+LyYOxDf+kgDjpnxI7CO7DlW2WlvEDbaffWwx+gdwFWUDURIqp
mTb4inlziqays+FY5N+OuH/cP/sg98xdysQwu9KLSXYZvC+/sE/Vz2I5qwk7hcVf
+IdxszIDILrv6OqEEw6I1EpO/f3TzHV9ld6+X3Q8ml2JbdnF7c+zOhNq+MV9JM0=",
];

/// The same key, in the clear.
const IN_THE_CLEAR: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMXCpvvfuzIpAab1c
sl2cA+4qYByWeWps5d+oek5pWHehRANCAARnW5GYFYeL0oVCTj67n3+IP8z9BDZ2
6w8jhTm3T2pEfaMcu9QLDSvS5/rYMUwTopMh0F/PJENTvNpi93PjyU1z
-----END PRIVATE KEY-----
";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_be_under_a_passphrase() {
    let authority = Authority::new();
    authority.install(&authority.server_with("localhost", IN_THE_CLEAR));
    for base64 in UNDER_PASSPHRASES {
        let pem = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{base64}\n-----END ENCRYPTED PRIVATE KEY-----\n");
        for (name, text) in [("key.pem", pem.as_str()), ("right", "correct-horse\n"), ("wrong", "battery-staple\n")] {
            fs::write(authority.file(name), text).unwrap();
            fs::set_permissions(authority.file(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let running = start(authority.files().passphrase(authority.file("right"))).await;
        assert_eq!(hello(&Client::new(&authority), &running, None).await, Ok(200));
        let bind = |files| Server::bind(Config::default().listen(local()).tls(files), running.app.clone());
        let refused = bind(authority.files().passphrase(authority.file("wrong"))).await.unwrap_err();
        assert!(matches!(refused, ServerError::Tls(TlsError::CannotOpenKey(_))), "{refused}");
        let refused = bind(authority.files()).await.unwrap_err();
        assert!(matches!(refused, ServerError::Tls(TlsError::EncryptedKey(_))), "{refused}");
    }
}
