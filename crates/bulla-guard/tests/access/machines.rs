//! Requests that a machine signs.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::Clock;
use bulla_guard::access::{
    Access, Binding, BindingSubject, Credential, MachineSignature, PeerInfo, Principal, RequestDigest,
};
use bulla_keyring::{Capability, Identity, Outcome, Request, RevokeOptions};
use bulla_seal::{ProjectId, sha256};

use super::setting::{Scene, block, grant, p};

fn request() -> RequestDigest<'static> {
    RequestDigest { method: "POST", path: "/v1/keys/orders?x=1", body: sha256(b"{}") }
}

fn sign(scene: &Scene, identity: &Identity) -> MachineSignature {
    MachineSignature::sign(identity, &scene.keyring.project(), &request(), scene.clock.now()).unwrap()
}

fn send(access: &Access, signature: &MachineSignature, request: &RequestDigest<'_>) -> Result<Principal, &'static str> {
    let credential = Credential::Machine(signature, request);
    block(access.authenticate(&credential, &PeerInfo::default())).map_err(|refused| refused.reason().name())
}

/// Lets a machine in that may only use the project.
fn join(scene: &Scene, name: &str) -> Arc<Identity> {
    let identity = Arc::new(Identity::generate().unwrap());
    let request = Request::create(&identity, p(name), Some(scene.keyring.project()), scene.clock.now()).unwrap();
    let outcome = block(scene.keyring.authorise(&request, Capability::Use)).unwrap();
    assert!(matches!(outcome, Outcome::Done(_)));
    scene.wait();
    identity
}

#[test]
fn a_machine_is_known_by_its_signature_once() {
    let scene = Scene::begin();
    let access = scene.open();
    let signature = sign(&scene, &scene.identity);
    let principal = send(&access, &signature, &request()).unwrap();
    assert_eq!((principal.id(), principal.roles()), ("office", &[p("admin")][..]), "it lets others in");
    assert_eq!(send(&access, &signature, &request()).unwrap_err(), "replayed");
    assert!(send(&access, &sign(&scene, &scene.identity), &request()).is_ok());
}

#[test]
fn a_machine_that_only_uses_the_project_needs_a_binding() {
    let scene = Scene::begin();
    let access = scene.open();
    let worker = join(&scene, "worker");
    assert_eq!(send(&access, &sign(&scene, &worker), &request()).unwrap_err(), "no_binding");
    let of = BindingSubject::Machine(worker.fingerprint());
    block(access.bind(&p("worker"), &Binding { of, user: None, grants: vec![grant("user")] })).unwrap();
    assert_eq!(send(&access, &sign(&scene, &worker), &request()).unwrap().roles(), [p("user")]);
    // Put out, it is nobody within a second.
    block(scene.keyring.revoke(worker.fingerprint(), RevokeOptions { cascade: false, rotate: false })).unwrap();
    scene.wait();
    assert_eq!(send(&access, &sign(&scene, &worker), &request()).unwrap_err(), "unknown");
}

#[test]
fn what_is_signed_is_this_request_of_this_machine_in_this_project() {
    let scene = Scene::begin();
    let access = scene.open();
    let worker = join(&scene, "worker");
    let good = request();
    for other in [
        RequestDigest { method: "GET", ..good },
        RequestDigest { path: "/v1/keys/orders", ..good },
        RequestDigest { path: "/v1/keys/orders?x=2", ..good },
        RequestDigest { body: sha256(b"{} "), ..good },
    ] {
        assert_eq!(send(&access, &sign(&scene, &scene.identity), &other).unwrap_err(), "signature", "{other:?}");
    }
    let elsewhere = MachineSignature::sign(&scene.identity, &ProjectId([7; 32]), &good, scene.clock.now()).unwrap();
    assert_eq!(send(&access, &elsewhere, &good).unwrap_err(), "signature");
    // Under another's name, at another time, with another nonce.
    let (mine, theirs) = (sign(&scene, &worker).to_string(), sign(&scene, &scene.identity).to_string());
    let (mine, theirs): (Vec<&str>, Vec<&str>) = (mine.split(' ').collect(), theirs.split(' ').collect());
    for field in [1, 3, 4] {
        let mut spliced = mine.clone();
        spliced[field] = theirs[field];
        let spliced: MachineSignature = p(&spliced.join(" "));
        assert_eq!(send(&access, &spliced, &good).unwrap_err(), "signature", "field {field}");
    }
    let stranger = Identity::generate().unwrap();
    assert_eq!(send(&access, &sign(&scene, &stranger), &good).unwrap_err(), "unknown");
    let long = "x".repeat(9_000);
    let good = RequestDigest { path: &long, ..good };
    let signature =
        MachineSignature::sign(&scene.identity, &scene.keyring.project(), &good, scene.clock.now()).unwrap();
    assert_eq!(send(&access, &signature, &good).unwrap_err(), "malformed");
}

#[test]
fn a_request_is_good_for_half_a_minute() {
    let scene = Scene::begin();
    let access = scene.open();
    scene.clock.advance(Duration::from_secs(60));
    let early = sign(&scene, &scene.identity);
    scene.clock.advance(Duration::from_secs(30));
    assert!(send(&access, &early, &request()).is_ok());
    let late = sign(&scene, &scene.identity);
    scene.clock.advance(Duration::from_millis(30_001));
    assert_eq!(send(&access, &late, &request()).unwrap_err(), "time");
    scene.clock.set_back(Duration::from_millis(30_001));
    let again = send(&access, &early, &request()).unwrap_err();
    assert_eq!(again, "replayed", "it is remembered for as long as it is good");
    scene.clock.advance(Duration::from_secs(30));
    let ahead = sign(&scene, &scene.identity);
    scene.clock.set_back(Duration::from_secs(30));
    assert!(send(&access, &ahead, &request()).is_ok());
    // A process that began later has seen none of them.
    let late = sign(&scene, &scene.identity);
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(send(&scene.open(), &late, &request()).unwrap_err(), "time");
}

#[test]
fn the_text_has_one_form() {
    let scene = Scene::begin();
    let text = sign(&scene, &scene.identity).to_string();
    assert_eq!(text.parse::<MachineSignature>().unwrap().to_string(), text);
    for wrong in [
        text.to_uppercase(),
        format!("{text} "),
        format!(" {text}"),
        text.replace(' ', "  "),
        text.replace("v1", "v2"),
        text.replacen(' ', " 0", 2),
        format!("{text}="),
        text[..text.len() - 1].to_owned(),
        "bulla-machine-v1".to_owned(),
        "x".repeat(1_000),
        String::new(),
    ] {
        assert!(wrong.parse::<MachineSignature>().is_err(), "{wrong}");
    }
}
