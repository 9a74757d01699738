//! What Vault's clients ask a server about itself. Ours has no seal to open by hand: whoever has the machine's identity is unsealed.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::table::{Audit, Draft, Endpoint, Plain};
use crate::{ApiError, Call};

pub(super) fn endpoints() -> [Endpoint; 3] {
    let open = |draft: Draft| draft.open_to_all().audit(Audit::Unrecorded);
    let health = Endpoint::get("sys.health", "/v1/sys/health")
        .summary("Says, as Vault does, whether the server can do its work.")
        .query(&[
            "standbyok",
            "perfstandbyok",
            "activecode",
            "standbycode",
            "drsecondarycode",
            "performancestandbycode",
            "sealedcode",
            "uninitcode",
        ])
        .fails_with(&[503]);
    let seal = Endpoint::get("sys.seal_status", "/v1/sys/seal-status")
        .summary("Says, as Vault does, that nothing waits to be unsealed.");
    let leader = Endpoint::get("sys.leader", "/v1/sys/leader").summary("Says, as Vault does, that every server leads.");
    [open(health).probe().plain(self::health), open(seal).plain(seal_status), open(leader).plain(self::leader)]
}

/// Vault's answer to `sys/health`.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    initialized: bool,
    sealed: bool,
    standby: bool,
    performance_standby: bool,
    replication_performance_mode: &'static str,
    replication_dr_mode: &'static str,
    server_time_utc: u64,
    version: &'static str,
    cluster_name: &'static str,
    cluster_id: String,
}

/// Vault's answer to `sys/seal-status`.
#[derive(Debug, Serialize, JsonSchema)]
struct SealStatus {
    r#type: &'static str,
    initialized: bool,
    sealed: bool,
    t: u32,
    n: u32,
    progress: u32,
    nonce: &'static str,
    version: &'static str,
    build_date: &'static str,
    migration: bool,
    cluster_name: &'static str,
    cluster_id: String,
    recovery_seal: bool,
    storage_type: String,
}

/// Vault's answer to `sys/leader`.
#[derive(Debug, Serialize, JsonSchema)]
struct Leader {
    ha_enabled: bool,
    is_self: bool,
    active_time: &'static str,
    leader_address: &'static str,
    leader_cluster_address: &'static str,
    performance_standby: bool,
    performance_standby_last_remote_wal: u64,
}

async fn health(call: Call) -> Result<Plain<Health>, ApiError> {
    let app = call.app();
    // A server that cannot do its work is sealed, in Vault's words.
    let is_ready = app.is_ready().await;
    let code = |name: &str, usual: StatusCode| {
        let code = call.query().number(name, 200..=599)?.and_then(|code| u16::try_from(code).ok());
        Ok::<_, ApiError>(code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(usual))
    };
    let active = code("activecode", StatusCode::OK)?;
    let sealed = code("sealedcode", StatusCode::SERVICE_UNAVAILABLE)?;
    let health = Health {
        initialized: true,
        sealed: !is_ready,
        standby: false,
        performance_standby: false,
        replication_performance_mode: "disabled",
        replication_dr_mode: "disabled",
        server_time_utc: app.now().0 / 1000,
        version: env!("CARGO_PKG_VERSION"),
        cluster_name: "bulla",
        cluster_id: app.project().id().to_string(),
    };
    Ok(Plain(if is_ready { active } else { sealed }, health))
}

async fn seal_status(call: Call) -> Result<Plain<SealStatus>, ApiError> {
    let app = call.app();
    let url = app.project().settings().backend().get().to_string();
    let status = SealStatus {
        r#type: "machine",
        initialized: true,
        sealed: !app.is_ready().await,
        t: 1,
        n: 1,
        progress: 0,
        nonce: "",
        version: env!("CARGO_PKG_VERSION"),
        build_date: "",
        migration: false,
        cluster_name: "bulla",
        cluster_id: app.project().id().to_string(),
        recovery_seal: false,
        // What kind of backend it is; where it is, strangers are not told.
        storage_type: url.split(':').next().unwrap_or_default().to_owned(),
    };
    Ok(Plain(StatusCode::OK, status))
}

async fn leader(_: Call) -> Result<Plain<Leader>, ApiError> {
    let leader = Leader {
        ha_enabled: false,
        is_self: true,
        active_time: "0001-01-01T00:00:00Z",
        leader_address: "",
        leader_cluster_address: "",
        performance_standby: false,
        performance_standby_last_remote_wal: 0,
    };
    Ok(Plain(StatusCode::OK, leader))
}
