//! What a question costs: `cargo bench -p bulla-guard --bench access`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench speaks to whoever runs it")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bulla_backend::{Clock, SqliteDocuments, SqliteOptions, SystemClock};
use bulla_guard::access::{
    Access, AccessOptions, Capability, Credential, NewApiKey, NewToken, PathRequest, PeerInfo, Permission, Principal,
    RoleGrant, SecretText,
};
use bulla_keyring::{Identity, Keyring};
use pollster::block_on as block;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.db");
    let documents = Arc::new(SqliteDocuments::open(path, SqliteOptions::default()).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let identity = Arc::new(Identity::generate().unwrap());
    let name = "bench".parse().unwrap();
    let keyring = block(Keyring::create(documents.clone(), identity, &name, clock.clone())).unwrap();
    let access = block(Access::open(Arc::new(keyring), documents, clock, None, AccessOptions::default())).unwrap();
    let (role, token) = (of_roles(&access), of_policies(&access));

    let secret = SecretText::parse(&role).unwrap();
    let sign_in = |secret| block(access.authenticate(&Credential::Bearer(secret), &PeerInfo::default())).unwrap();
    let principal: Principal = sign_in(&secret);
    let resource = "keys/orders-2026".parse().unwrap();
    measure("a permission, by one of 21 grants with patterns", 1_000_000, || {
        principal.allows(Permission::UseKeys, black_box(&resource))
    });
    measure("an API key signs in", 100_000, || sign_in(&secret).expires());
    measure("the text of an API key is read", 100_000, || SecretText::parse(black_box(&role)).unwrap().id());

    let secret = SecretText::parse(&token).unwrap();
    let principal = sign_in(&secret);
    for (path, what) in [
        ("secret/data/team-42/app", "a capability, by a prefix among 100 paths with 5 wildcards"),
        ("sys/exact-42", "a capability, by an exact path"),
        ("auth/x/login", "a capability, by a wildcard"),
        ("nothing/of/the/sort", "a capability, by nothing"),
    ] {
        let path = path.parse().unwrap();
        measure(what, 1_000_000, || principal.allows_path(&PathRequest::new(Capability::Read, black_box(&path))));
    }
    measure("a token signs in", 20_000, || sign_in(&secret).expires());
    let number = std::sync::atomic::AtomicU64::new(0);
    measure("a user is created, durably", 50, || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        block(access.create_user(&format!("user-{number}").parse().unwrap(), &[])).unwrap();
    });
}

fn of_roles(access: &Access) -> String {
    let grants: Vec<RoleGrant> = (0..20)
        .map(|number| format!("keys/team-{number}-*"))
        .chain(["keys/orders-*".to_owned()])
        .map(|pattern| RoleGrant::within("user".parse().unwrap(), pattern.parse().unwrap()))
        .collect();
    block(access.create_user(&"ann".parse().unwrap(), &grants)).unwrap();
    let issued = block(access.create_key(&"ann".parse().unwrap(), &NewApiKey::default())).unwrap();
    issued.secret.expose().to_owned()
}

fn of_policies(access: &Access) -> String {
    let mut text = String::new();
    for number in 0..50 {
        text.push_str(&format!("path \"secret/data/team-{number}/*\" {{ capabilities = [\"read\"] }}\n"));
        text.push_str(&format!("path \"sys/exact-{number}\" {{ capabilities = [\"read\"] }}\n"));
    }
    for name in ["auth", "kv", "pki", "ssh", "database"] {
        text.push_str(&format!("path \"{name}/+/login\" {{ capabilities = [\"read\"] }}\n"));
    }
    block(access.put_policy(&"team".parse().unwrap(), &text)).unwrap();
    let root = block(access.create_root_token()).unwrap();
    let root = SecretText::parse(root.secret.expose()).unwrap();
    let root = block(access.authenticate(&Credential::Bearer(&root), &PeerInfo::default())).unwrap();
    let new = NewToken { policies: vec!["team".parse().unwrap()], ..NewToken::default() };
    block(access.create_token(&root, &new)).unwrap().secret.expose().to_owned()
}

/// Prints the median of five runs.
fn measure<T>(what: &str, times: u32, mut run: impl FnMut() -> T) {
    let mut nanoseconds: Vec<u128> = (0..5)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..times {
                black_box(run());
            }
            started.elapsed().as_nanos() / u128::from(times)
        })
        .collect();
    nanoseconds.sort_unstable();
    println!("{:>12} ns  {what}", nanoseconds[2]);
}
