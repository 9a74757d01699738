//! The one road in: who passes, who does not, and what the log has of it.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::testing::{Fault, SimDisk};
use bulla_guard::access::{Access, Capability, NewToken, ParameterValue, Permission, RequestPath, Resource};
use bulla_guard::admission::{Admitted, Ask, Denied, Guard, Need, Presented, Record};
use bulla_guard::audit::{Class, Code, Export, Log, LogOptions, LogReader, Origin, Outcome};
use bulla_guard::limits::{GuessSettings, Quota, Quotas};
use bulla_keyring::SystemKey;
use serde_json::Value;

use crate::access::keys::guess;
use crate::access::setting::{Scene, block, grant, p, present, user_with_key, within};

/// A guard on documents and a disk in memory.
struct Gate {
    scene: Scene,
    guard: Guard,
    disk: SimDisk,
}

impl Gate {
    fn new() -> Self {
        Self::with(Quotas::default())
    }

    fn with(quotas: Quotas) -> Self {
        let scene = Scene::begin();
        let disk = SimDisk::new();
        let access = Arc::new(scene.open());
        let key = block(scene.keyring.system_key(&SystemKey::audit())).unwrap();
        let options = LogOptions::new(scene.keyring.project(), scene.identity.clone(), key, scene.clock.clone());
        let log = Arc::new(Log::open(Arc::new(disk.clone()), "/log".as_ref(), options).unwrap());
        let guard = Guard::new(access, log, scene.clock.clone(), quotas, GuessSettings::default());
        Self { scene, guard, disk }
    }

    fn access(&self) -> &Access {
        self.guard.access()
    }

    /// Returns all events, as they are exported.
    fn events(&self) -> Vec<Value> {
        block(self.guard.log().checkpoint()).unwrap();
        let origin = Origin::of(&self.scene.keyring.project(), self.scene.identity.public());
        let reader = LogReader::new(Arc::new(self.disk.clone()), "/log".as_ref(), origin);
        let events = reader.events(0).unwrap();
        events.map(|stored| serde_json::from_str(&Export::Json.line(&stored.unwrap())).unwrap()).collect()
    }

    /// Returns of each event its class, phase and outcome.
    fn told(&self) -> Vec<String> {
        let text = |event: &Value, name: &str| event[name].as_str().unwrap_or("-").to_owned();
        let told =
            |event: &Value| format!("{} {} {}", text(event, "class"), text(event, "phase"), text(event, "outcome"));
        self.events().iter().map(told).collect()
    }

    fn admit(&self, ask: &Ask<'_>) -> Result<Admitted, Denied> {
        block(self.guard.admit(ask))
    }
}

fn ask<'a>(secret: Option<&'a str>, need: Need<'a>, record: Record) -> Ask<'a> {
    Ask {
        presented: secret.map(Presented::Bearer),
        source: Some("192.0.2.7".parse().unwrap()),
        action: Code::new("test.act"),
        class: Class::Key,
        subject: "keys/orders",
        need,
        record,
        route: "test",
        request: "r-1",
    }
}

fn need(resource: &Resource) -> Need<'_> {
    Need::Permission { permission: Permission::UseKeys, resource: Some(resource), path: None, capabilities: &[] }
}

fn finish(admitted: &Admitted, outcome: Outcome) -> Result<(), Denied> {
    block(admitted.finish(outcome, None, Duration::from_millis(1)))
}

#[test]
fn who_may_passes_and_who_may_not_does_not() {
    let gate = Gate::new();
    let ann = user_with_key(gate.access(), "ann", &[within("user", "keys/orders*")]);
    let bob = user_with_key(gate.access(), "bob", &[grant("viewer")]);
    let (orders, other): (Resource, Resource) = (p("keys/orders-2026"), p("keys/invoices"));

    assert!(gate.admit(&ask(Some(&ann), need(&orders), Record::Look)).is_ok());
    for (secret, resource) in [(&ann, &other), (&bob, &orders)] {
        let denied = gate.admit(&ask(Some(secret), need(resource), Record::Look)).unwrap_err();
        assert_eq!(denied.code(), "permission_denied");
    }
    let nameless = Need::Permission { permission: Permission::UseKeys, resource: None, path: None, capabilities: &[] };
    assert_eq!(gate.admit(&ask(Some(&ann), nameless, Record::Look)).unwrap_err().code(), "permission_denied");
    assert_eq!(gate.admit(&ask(None, need(&orders), Record::Look)).unwrap_err().code(), "no_credential");
    let credential = Need::Credential;
    assert!(gate.admit(&ask(Some(&bob), credential, Record::Look)).is_ok());
    let told = gate.told();
    assert_eq!(told.iter().filter(|event| *event == "authorization notice failure").count(), 3);
    assert_eq!(told.iter().filter(|event| *event == "authentication notice failure").count(), 1);
}

#[test]
fn a_right_id_with_a_wrong_secret_slows_its_source_down() {
    let gate = Gate::new();
    let ann = user_with_key(gate.access(), "ann", &[grant("user")]);
    let orders: Resource = p("keys/orders");
    // A right id, another secret, and a checksum that fits.
    let forged = guess(&ann);
    let first = gate.admit(&ask(Some(&forged), need(&orders), Record::Look)).unwrap_err();
    assert_eq!(first.code(), "bad_credential");
    let again = gate.admit(&ask(Some(&ann), need(&orders), Record::Look)).unwrap_err();
    assert_eq!(again.code(), "too_many_wrong_secrets");
    assert!(again.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)));

    let mut elsewhere = ask(Some(&ann), need(&orders), Record::Look);
    elsewhere.source = Some("198.51.100.9".parse().unwrap());
    assert!(gate.admit(&elsewhere).is_ok(), "nobody else waits");
    gate.scene.clock.advance(Duration::from_secs(2));
    assert!(gate.admit(&ask(Some(&ann), need(&orders), Record::Look)).is_ok());
    assert!(gate.guard.forgive("192.0.2.7".parse::<std::net::IpAddr>().unwrap().into()));
}

#[test]
fn ten_thousand_guesses_raise_an_alert_and_not_many() {
    let gate = Gate::new();
    let ann = user_with_key(gate.access(), "ann", &[grant("user")]);
    let forged = guess(&ann);
    let orders: Resource = p("keys/orders");
    let mut looked_at = 0;
    for _ in 0..10_000 {
        let denied = gate.admit(&ask(Some(&forged), need(&orders), Record::Look)).unwrap_err();
        looked_at += u64::from(denied.code() == "bad_credential");
        gate.scene.clock.advance(Duration::from_millis(100));
    }
    // 1,000 seconds: the delays are 1, 3, 5, 10, 20, 30 and then 60 seconds.
    assert!((15..=30).contains(&looked_at), "{looked_at} secrets were looked at");
    let events = gate.events();
    let alerts = events.iter().filter(|event| event["class"] == "security_violation").count();
    assert!((1..=2).contains(&alerts), "{alerts} alerts");
}

#[test]
fn strangers_are_counted_by_their_address_and_principals_by_themselves() {
    let five = Quota::new(5, Duration::from_secs(60), 5).unwrap();
    let gate = Gate::with(Quotas { peer: five, principal: five, ..Quotas::default() });
    let ann = user_with_key(gate.access(), "ann", &[grant("user")]);
    let bob = user_with_key(gate.access(), "bob", &[grant("user")]);
    let orders: Resource = p("keys/orders");
    for _ in 0..5 {
        assert!(gate.admit(&ask(None, Need::Nothing, Record::Look)).is_ok());
        assert!(gate.admit(&ask(Some(&ann), need(&orders), Record::Look)).is_ok());
    }
    let denied = gate.admit(&ask(None, Need::Nothing, Record::Look)).unwrap_err();
    assert_eq!(denied.code(), "too_many_requests");
    assert!(denied.retry_after().is_some_and(|wait| wait > Duration::ZERO));
    assert_eq!(gate.admit(&ask(Some(&ann), need(&orders), Record::Look)).unwrap_err().code(), "too_many_requests");
    assert!(gate.admit(&ask(Some(&bob), need(&orders), Record::Look)).is_ok(), "from the same address");
    assert!(gate.admit(&ask(None, Need::Nothing, Record::Nothing)).is_ok(), "probes are not counted");
}

#[test]
fn the_log_has_what_each_kind_of_record_says() {
    let gate = Gate::new();
    let ann = user_with_key(gate.access(), "ann", &[grant("operator")]);
    let orders: Resource = p("keys/orders");
    let act = |record, outcome| {
        let admitted = gate.admit(&ask(Some(&ann), need(&orders), record)).unwrap();
        block(admitted.begin(&[])).unwrap();
        finish(&admitted, outcome).unwrap();
    };
    act(Record::Nothing, Outcome::Success);
    act(Record::Look, Outcome::Success);
    act(Record::Reveal, Outcome::Success);
    act(Record::Reveal, Outcome::Failure);
    act(Record::Change, Outcome::Success);
    act(Record::Administer, Outcome::Failure);
    // Somebody left before it was done.
    let admitted = gate.admit(&ask(Some(&ann), need(&orders), Record::Change)).unwrap();
    block(admitted.begin(&[])).unwrap();
    drop(admitted);
    let expected = [
        "key notice success",
        "key notice success",
        "key notice failure",
        "key intent -",
        "key outcome success",
        "key intent -",
        "key outcome failure",
        "key intent -",
        "key outcome unknown",
    ];
    assert_eq!(gate.told(), expected);
    for event in gate.events() {
        let shown = event.to_string();
        assert!(!shown.contains("ann") && !shown.contains("192.0.2.7"), "blinded: {shown}");
        assert_eq!(event["fields"]["request"], "r-1");
    }
}

#[test]
fn what_cannot_be_recorded_is_not_done_and_not_shown() {
    let gate = Gate::new();
    let ann = user_with_key(gate.access(), "ann", &[grant("operator")]);
    let orders: Resource = p("keys/orders");
    let look = gate.admit(&ask(Some(&ann), need(&orders), Record::Look)).unwrap();
    let reveal = gate.admit(&ask(Some(&ann), need(&orders), Record::Reveal)).unwrap();
    let change = gate.admit(&ask(Some(&ann), need(&orders), Record::Change)).unwrap();
    let begun = gate.admit(&ask(Some(&ann), need(&orders), Record::Change)).unwrap();
    block(begun.begin(&[])).unwrap();
    gate.disk.arm(gate.disk.operations() + 1, Fault::NoSpace);
    assert_eq!(block(change.begin(&[])).unwrap_err().code(), "audit_unavailable");
    assert_eq!(finish(&reveal, Outcome::Success).unwrap_err().code(), "audit_unavailable");
    assert_eq!(finish(&begun, Outcome::Success).unwrap_err().code(), "done_unrecorded");
    assert!(finish(&look, Outcome::Success).is_ok(), "best effort");
}

#[test]
fn policies_have_a_say_in_parameters() {
    let gate = Gate::new();
    let policy = r#"path "transit/encrypt/orders" {
        capabilities = ["update"]
        required_parameters = ["context"]
        denied_parameters = { "key_version" = [] }
    }"#;
    block(gate.access().put_policy(&p("writer"), policy)).unwrap();
    let root = block(gate.access().create_root_token()).unwrap();
    let root = present(gate.access(), root.secret.expose()).unwrap();
    let new = NewToken { policies: vec![p("writer")], ..NewToken::default() };
    let token = block(gate.access().create_token(&root, &new)).unwrap().secret.expose().to_owned();
    let path: RequestPath = p("transit/encrypt/orders");
    let need = Need::Permission {
        permission: Permission::UseKeys,
        resource: None,
        path: Some(&path),
        capabilities: &[Capability::Update, Capability::Create],
    };
    let begin = |parameters: &[(&str, &str)]| {
        let admitted = gate.admit(&ask(Some(&token), need, Record::Reveal)).unwrap();
        assert!(admitted.wants_parameters());
        assert!(admitted.may(Capability::Update) && !admitted.may(Capability::Create));
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, text)| ((*name).to_owned(), ParameterValue::Text((*text).to_owned())))
            .collect();
        block(admitted.begin(&parameters)).map_err(|denied| denied.code())
    };
    assert_eq!(begin(&[("context", "a")]), Ok(()));
    assert_eq!(begin(&[]), Err("permission_denied"));
    assert_eq!(begin(&[("context", "a"), ("KEY_VERSION", "1")]), Err("permission_denied"));
}
