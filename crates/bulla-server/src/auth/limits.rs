//! What wrong secrets cost their source, and how that is forgiven.

use std::net::IpAddr;

use bulla_guard::admission::Guard;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::parse;
use crate::table::{Audit, Capability, Data, Endpoint};
use crate::{ApiError, Call};

/// Whom to forgive.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForgiveRequest {
    /// The address that wrong secrets came from. An IPv6 address stands for its /64.
    pub source: Option<String>,
}

/// Whether there was anything to forgive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ForgivenView {
    /// Whether wrong secrets had come from there.
    pub forgiven: bool,
}

/// Forgets what a source guessed wrong, so that it need not wait.
///
/// # Errors
/// 400 for an address that is none.
pub fn forgive(guard: &Guard, request: ForgiveRequest) -> Result<ForgivenView, ApiError> {
    let source = request.source.ok_or_else(|| ApiError::field("source", "it is missing"))?;
    let source: IpAddr = parse("source", &source)?;
    Ok(ForgivenView { forgiven: guard.forgive(source.into()) })
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::write("limits.forgive", "/v1/limits/forgive")
            .summary("Forgets what a source guessed wrong, so that it need not wait.")
            .permission("admin:system", Capability::Update)
            .audit(Audit::Administer)
            .json(|call: Call, request| async move { forgive(call.session()?.guard(), request).map(Data::new) }),
    ]
}
