//! What is mounted and cannot be changed: ways to sign in, and the system itself.

use bulla_seal::sha256;
use data_encoding::HEXLOWER;
use http::StatusCode;

use super::engine::{DEFAULT_LEASE, EngineConfig};
use super::show::{EngineView, EngineViews, ShownConfig};
use super::tune::TuneResponse;
use crate::ApiError;

/// Ways to sign in: path, type and description.
const WAYS: &[(&str, &str, &str)] =
    &[("approle", "approle", "role and secret id of a program"), ("token", "token", "token based credentials")];

/// Lists the ways to sign in (`sys/auth`).
#[must_use]
pub fn auth_ways() -> EngineViews {
    WAYS.iter().map(|(path, kind, description)| (format!("{path}/"), fixed("auth_", kind, description, true))).collect()
}

/// Shows one way to sign in.
///
/// # Errors
/// 400 if there is none at the path.
pub fn auth_way(path: &str) -> Result<EngineView, ApiError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    auth_ways().remove(&format!("{path}/")).ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "no_mount", format!("no auth engine at {path}/"))
            .with_hint("there are `token` and `approle`")
    })
}

/// Reads how a way to sign in is set.
///
/// # Errors
/// As [`auth_way`].
pub fn auth_tune(path: &str) -> Result<TuneResponse, ApiError> {
    let engine = auth_way(path)?;
    Ok(TuneResponse {
        default_lease_ttl: DEFAULT_LEASE,
        description: engine.description,
        force_no_cache: false,
        listing_visibility: None,
        max_lease_ttl: DEFAULT_LEASE,
        options: None,
        token_type: engine.config.token_type,
    })
}

/// Shows the system itself, with its path.
pub(super) fn system() -> (String, EngineView) {
    ("sys/".to_owned(), fixed("", "system", "system endpoints used for control, policy and debugging", false))
}

fn fixed(prefix: &str, kind: &'static str, description: &str, is_way: bool) -> EngineView {
    let id = HEXLOWER.encode(&sha256(format!("bulla/{prefix}{kind}").as_bytes())[..16]);
    let config = ShownConfig { config: EngineConfig::default(), token_type: is_way.then_some("default-service") };
    let uuid = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
    EngineView::bare(format!("{prefix}{kind}_{}", &id[..8]), config, description, kind, uuid)
}
