//! Clients of others, against a server of the real binary.

use crate::server::Server;

#[test]
fn hvac_finds_what_it_is_used_to() {
    let server = Server::start();
    let ran = server.used_by("with_hvac.py");
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}{complained}");
    assert_eq!(said.lines().count(), 10, "every step is there: {said}");
    server.stop();
}

#[test]
fn schemathesis_finds_nothing() {
    let server = Server::start();
    let ran = server.used_by("with_schemathesis.py");
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}{complained}");
    let line = said.lines().find(|line| line.contains("generated")).unwrap_or_default();
    eprintln!("schemathesis: {}", line.trim());
    server.stop();
}
