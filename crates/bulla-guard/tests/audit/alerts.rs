//! Alerts: who has to hear of what, how often, and in which form.

use std::collections::BTreeSet;
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_guard::audit::{
    Alert, AlertKind, AlertRules, AlertWatch, Class, Code, Event, Level, LoggedEvent, Outcome, Severity, Verdict,
    sign_webhook, verify_webhook,
};
use bulla_seal::MacKey;
use pollster::block_on;

use super::ground::Ground;

fn logged(ground: &Ground, event: Event) -> LoggedEvent {
    let log = ground.open();
    let index = block_on(log.append(event)).unwrap();
    drop(log);
    ground.reader().events(index).unwrap().next().unwrap().unwrap().event().unwrap()
}

fn failure(ground: &Ground, principal: &str, address: &str) -> LoggedEvent {
    logged(ground, Event::authentication("key", Outcome::Failure).principal(principal).address(address))
}

fn kinds(alerts: &[Alert]) -> Vec<AlertKind> {
    alerts.iter().map(|alert| alert.kind).collect()
}

#[test]
fn repeated_failures_of_one_principal_alert_once_and_then_say_how_many_more() {
    let ground = Ground::new();
    let mut watch = AlertWatch::new(AlertRules::default());
    let mut event = failure(&ground, "alice", "192.0.2.1");
    let mut raised = Vec::new();
    for second in 0..60 {
        event.time = Timestamp(second * 1_000);
        raised.extend(watch.observe(second, &event));
    }
    assert_eq!(kinds(&raised), [AlertKind::PrincipalFailures, AlertKind::AddressFailures]);
    assert_eq!((raised[0].index, raised[0].suppressed), (Some(4), 0));
    assert!(!raised[0].subject.contains("alice"));
    for second in 400..410 {
        event.time = Timestamp(second * 1_000);
        raised.extend(watch.observe(second, &event));
    }
    assert_eq!(raised.len(), 3);
    assert_eq!(raised[2].suppressed, 55);
}

#[test]
fn failures_that_are_far_between_or_of_many_principals_alert_nobody_but_of_one_address_they_do() {
    let ground = Ground::new();
    let mut watch = AlertWatch::new(AlertRules::default());
    let mut event = failure(&ground, "alice", "192.0.2.1");
    for minute in 0..60 {
        event.time = Timestamp(minute * 120_000);
        assert_eq!(watch.observe(minute, &event), []);
    }
    let mut watch = AlertWatch::new(AlertRules::default());
    let mut raised = Vec::new();
    for number in 0..20_u8 {
        event.principal.as_mut().unwrap().tag[0] = number;
        raised.extend(watch.observe(number.into(), &event));
    }
    assert_eq!(kinds(&raised), [AlertKind::AddressFailures]);
    let success = logged(&ground, Event::authentication("key", Outcome::Success).principal("alice"));
    let mut watch = AlertWatch::new(AlertRules::default());
    assert!((0..30).all(|index| watch.observe(index, &success).is_empty()));
}

#[test]
fn every_high_or_critical_violation_alerts_and_others_do_not() {
    let ground = Ground::new();
    let violation =
        |severity| Event::security_violation(Code::new("probe"), severity).text(Code::new("detail"), "a\nb");
    for (severity, alerts) in [(Severity::Low, 0), (Severity::Medium, 0), (Severity::High, 1), (Severity::Critical, 1)]
    {
        let event = logged(&ground, violation(severity));
        let raised = AlertWatch::new(AlertRules::default()).observe(7, &event);
        assert_eq!(raised.len(), alerts);
    }
}

#[test]
fn an_authoriser_that_is_not_expected_alerts() {
    let ground = Ground::new();
    let mut rules = AlertRules::default();
    rules.authorisers = Some(BTreeSet::from(["aa".to_owned()]));
    let mut watch = AlertWatch::new(rules);
    let authorize = |by: &str| {
        Event::new(Class::Machine, Code::new("authorize"), Outcome::Success)
            .resource("laptop")
            .text(Code::new("authoriser"), by)
    };
    assert_eq!(watch.observe(0, &logged(&ground, authorize("aa"))), []);
    let raised = watch.observe(1, &logged(&ground, authorize("bb")));
    assert_eq!(kinds(&raised), [AlertKind::UnexpectedAuthoriser]);
    assert_eq!((raised[0].level, raised[0].detail.as_str()), (Level::Critical, "bb has let in laptop"));
}

#[test]
fn verdicts_and_keys_that_expire_make_alerts() {
    let bad = Verdict::Truncated("5 events were signed, 3 are there".to_owned());
    let alert = Alert::of_verdict("office", &bad, Timestamp(1)).unwrap();
    assert_eq!((alert.kind, alert.level), (AlertKind::Tampering, Level::Critical));
    let hour = 3_600_000;
    let keys = [("old", Timestamp(hour)), ("soon", Timestamp(30 * hour)), ("later", Timestamp(300 * hour))];
    let alerts: Vec<_> = Alert::of_keys(keys, Timestamp(2 * hour), Duration::from_secs(48 * 3_600)).collect();
    let details: Vec<_> = alerts.iter().map(|alert| alert.detail.as_str()).collect();
    assert_eq!(details, ["old has expired", "soon expires within 28 hours"]);
    let mut watch = AlertWatch::new(AlertRules::default());
    assert!(watch.raise(alerts[0].clone()).is_some());
    assert!(watch.raise(alerts[0].clone()).is_none());
}

#[test]
fn a_line_of_syslog_is_of_rfc_5424_whatever_is_in_it() {
    let mut alert =
        Alert::of_verdict("a\"b]c\\d\n\u{1b}[1mé", &Verdict::Altered("x\ny".to_owned()), Timestamp(0)).unwrap();
    alert.index = Some(9);
    assert_eq!(
        alert.to_syslog("host.example", "42"),
        "<106>1 1970-01-01T00:00:00.000Z host.example bulla 42 tampering \
         [alert@32473 subject=\"a\\\"b\\]c\\\\d\\\\u{a}\\\\u{1b}[1m\\\\u{e9}\" suppressed=\"0\" index=\"9\"] altered: x\\u{a}y"
    );
    assert!(alert.to_syslog("a host", "").starts_with("<106>1 1970-01-01T00:00:00.000Z - bulla - tampering "));
}

#[test]
fn the_body_of_a_webhook_is_signed_with_its_time() {
    let alert = Alert::of_verdict("office", &Verdict::Altered("event 7".to_owned()), Timestamp(1_000)).unwrap();
    let (secret, body) = (MacKey::new(&[7; 32]).unwrap(), alert.to_json());
    let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&parsed["kind"], &parsed["level"]), (&"tampering".into(), &"CRITICAL".into()));
    let header = sign_webhook(&secret, Timestamp(5_000), &body);
    assert!(header.starts_with("t=5000,v1="));
    let minute = Duration::from_secs(60);
    assert!(verify_webhook(&secret, &header, &body, Timestamp(60_000), minute));
    assert!(!verify_webhook(&secret, &header, &body, Timestamp(65_001), minute));
    assert!(!verify_webhook(&secret, &header, &format!("{body} "), Timestamp(5_000), minute));
    assert!(!verify_webhook(&MacKey::new(&[8; 32]).unwrap(), &header, &body, Timestamp(5_000), minute));
    for bad in
        ["", "t=", "v1=", "t=5000", "t=5000,v1=", "t=x,v1=00", &header.replace("5000", "5001"), &header.to_uppercase()]
    {
        assert!(!verify_webhook(&secret, bad, &body, Timestamp(5_000), minute), "{bad}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let ground = Ground::new();
    let mut watch = AlertWatch::new(AlertRules::default());
    let mut event = failure(&ground, "alice", "192.0.2.1");
    for number in 0..30_000_u64 {
        event.time = Timestamp(number);
        event.principal.as_mut().unwrap().tag[..8].copy_from_slice(&number.to_be_bytes());
        event.address = None;
        assert_eq!(watch.observe(number, &event), []);
    }
    assert!(format!("{watch:?}").len() < 4_000_000);
}
