//! Certificates and local peers.

use bulla_guard::access::{
    Access, Binding, BindingSubject, CertificateFields, CertificateRule, Credential, PeerInfo, Permission, Principal,
};

use super::setting::{Scene, block, code, grant, p, within};

fn fields() -> CertificateFields {
    CertificateFields {
        common_name: Some("orders".to_owned()),
        dns: vec!["orders.example.org".to_owned()],
        uris: vec!["spiffe://example.org/ns/shop/sa/orders".to_owned()],
        emails: vec!["ops@example.org".to_owned()],
        serial: "0a1b".to_owned(),
        issuer: "CN=Example CA".to_owned(),
    }
}

fn sign_in(access: &Access, credential: &Credential<'_>) -> Result<Principal, &'static str> {
    block(access.authenticate(credential, &PeerInfo::default())).map_err(|refused| refused.reason().name())
}

fn bind(access: &Access, name: &str, of: BindingSubject, user: Option<&str>, role: Option<&str>) -> &'static str {
    let grants = role.map(grant).into_iter().collect();
    code(block(access.bind(&p(name), &Binding { of, user: user.map(p), grants })))
}

#[test]
fn a_rule_matches_if_all_that_it_gives_is_so() {
    let some = |text: &str| Some(text.to_owned());
    let none = CertificateRule::default;
    let uri = |text: &str| CertificateRule { uri: some(text), ..none() };
    let dns = |text: &str| CertificateRule { dns: some(text), ..none() };
    for (rule, expected) in [
        (none(), false),
        (CertificateRule { common_name: some("orders"), ..none() }, true),
        (CertificateRule { common_name: some("Orders"), ..none() }, false),
        (dns("ORDERS.example.org"), true),
        (dns("*.example.org"), true),
        (dns("*.org"), false),
        (dns("orders.example.org.evil.org"), false),
        (dns("example.org"), false),
        (uri("spiffe://example.org/ns/shop/sa/orders"), true),
        (uri("spiffe://example.org/ns/shop/sa/*"), true),
        (uri("spiffe://example.org/ns/shop/*"), false),
        (uri("spiffe://example.org/ns/shop/**"), true),
        (uri("spiffe://example.org/ns/shop/sa/order"), false),
        (uri("spiffe://example.org/ns/sho/**"), false),
        (CertificateRule { email: some("ops@example.org"), ..none() }, true),
        (CertificateRule { serial: some("0a1b"), issuer: some("CN=Example CA"), ..none() }, true),
        (CertificateRule { serial: some("0a1b"), issuer: some("CN=Other CA"), ..none() }, false),
        (CertificateRule { common_name: some("orders"), serial: some("0a1c"), ..none() }, false),
    ] {
        assert_eq!(rule.matches(&fields()), expected, "{rule:?}");
    }
    for tricky in ["a/../b", "a%2fb", "", "a//b", "a?b", "a#b", "."] {
        let fields = CertificateFields { uris: vec![format!("spiffe://example.org/ns/{tricky}")], ..fields() };
        assert!(!uri("spiffe://example.org/ns/**").matches(&fields), "{tricky}");
    }
}

#[test]
fn a_certificate_gets_what_its_bindings_say() {
    let scene = Scene::begin();
    let access = scene.open();
    let fields = fields();
    let certificate = Credential::Certificate(&fields);
    assert_eq!(sign_in(&access, &certificate).unwrap_err(), "no_binding");
    let of = |rule| BindingSubject::Certificate(rule);
    let by_uri =
        CertificateRule { uri: Some("spiffe://example.org/ns/shop/**".to_owned()), ..CertificateRule::default() };
    let by_name = CertificateRule { common_name: Some("orders".to_owned()), ..CertificateRule::default() };
    block(access.create_user(&p("ann"), &[within("user", "keys/orders-*")])).unwrap();
    assert_eq!(bind(&access, "shop", of(by_uri), Some("ann"), None), "ok");
    assert_eq!(bind(&access, "names", of(by_name.clone()), None, Some("viewer")), "ok");
    let principal = sign_in(&scene.open(), &certificate).unwrap();
    assert_eq!(principal.user(), Some(&p("ann")));
    assert_eq!(principal.id(), "spiffe://example.org/ns/shop/sa/orders");
    assert!(principal.allows(Permission::UseKeys, &p("keys/orders-1")));
    assert!(principal.allows(Permission::ViewMetrics, &p("metrics")));
    assert!(!principal.allows(Permission::UseKeys, &p("keys/x")));
    // Two users are nobody.
    block(access.create_user(&p("bob"), &[])).unwrap();
    assert_eq!(bind(&access, "names", of(by_name), Some("bob"), None), "ok");
    assert_eq!(sign_in(&access, &certificate).unwrap_err(), "ambiguous");
    block(access.unbind(&p("names"))).unwrap();
    assert_eq!(code(block(access.unbind(&p("names")))), "unknown_binding");
    assert!(sign_in(&access, &certificate).is_ok());
    // A user who is gone is nobody, also if somebody of that name comes later.
    block(access.delete_user(&p("ann"))).unwrap();
    block(access.create_user(&p("ann"), &[grant("admin")])).unwrap();
    assert_eq!(sign_in(&access, &certificate).unwrap_err(), "owner_gone");
    assert_eq!(block(access.bindings()).unwrap().len(), 1);
}

#[test]
fn what_no_binding_may_be_is_refused() {
    let access = Scene::begin().open();
    let certificate = |rule| BindingSubject::Certificate(rule);
    let with = |edit: &dyn Fn(&mut CertificateRule)| {
        let mut rule = CertificateRule::default();
        edit(&mut rule);
        certificate(rule)
    };
    let refused = |of| bind(&access, "b", of, None, Some("viewer"));
    assert_eq!(refused(with(&|_| {})), "invalid_input");
    assert_eq!(refused(with(&|rule| rule.dns = Some("a.*.org".to_owned()))), "invalid_input");
    assert_eq!(refused(with(&|rule| rule.dns = Some("*".to_owned()))), "invalid_input");
    assert_eq!(refused(with(&|rule| rule.uri = Some("spiffe://*/x".to_owned()))), "invalid_input");
    assert_eq!(refused(with(&|rule| rule.serial = Some(String::new()))), "invalid_input");
    assert_eq!(refused(with(&|rule| rule.issuer = Some("x".repeat(1_025)))), "invalid_input");
    assert_eq!(bind(&access, "b", BindingSubject::Uid(7), None, None), "invalid_input");
    assert_eq!(bind(&access, "b", BindingSubject::Uid(7), None, Some("emperor")), "unknown_role");
    assert_eq!(bind(&access, "b", BindingSubject::Uid(7), Some("ann"), None), "unknown_user");
}

#[test]
fn the_owner_of_the_project_is_an_administrator_and_others_are_nobody() {
    let scene = Scene::begin();
    let access = scene.open();
    let peer = |uid, gid| sign_in(&access, &Credential::Peer { uid, gid });
    let owner = peer(1_000, 1_000).unwrap();
    assert_eq!((owner.id(), owner.roles()), ("uid:1000", &[p("admin")][..]));
    assert!(owner.allows(Permission::AdminSystem, &p("system")));
    assert_eq!(peer(0, 0).unwrap_err(), "no_binding", "not even the superuser, who needs no door");
    assert_eq!(peer(1_001, 1_000).unwrap_err(), "no_binding");
    assert_eq!(bind(&access, "group", BindingSubject::Gid(50), None, Some("viewer")), "ok");
    let member = peer(1_001, 50).unwrap();
    assert!(member.allows(Permission::ViewMetrics, &p("m")) && !member.allows(Permission::UseKeys, &p("keys/a")));
    // The owner can bind themselves to less.
    assert_eq!(bind(&access, "owner", BindingSubject::Uid(1_000), None, Some("operator")), "ok");
    assert_eq!(peer(1_000, 1_000).unwrap().roles(), [p("operator")]);
}
