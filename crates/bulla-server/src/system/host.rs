use schemars::JsonSchema;
use serde::Serialize;

use crate::table::{Audit, Capability, Data, Endpoint};
use crate::{ApiError, Call};

/// Where the system says how much memory there is.
const MEMINFO: &str = "/proc/meminfo";

pub(super) fn endpoints() -> [Endpoint; 1] {
    [Endpoint::get("sys.host_info", "/v1/sys/host-info")
        .summary("Describes the machine that the server runs on.")
        .permission("admin:system", Capability::Read)
        .audit(Audit::Look)
        .plain(host_info)]
}

#[derive(Debug, Serialize, JsonSchema)]
struct HostInfo {
    /// Milliseconds since 1970.
    timestamp: u64,
    host: Host,
    memory: Memory,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Host {
    hostname: String,
    os: String,
    kernel_version: String,
    kernel_arch: String,
    processors: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Memory {
    /// Bytes, where the system tells.
    total: Option<u64>,
    available: Option<u64>,
}

async fn host_info(call: Call) -> Result<Data<HostInfo>, ApiError> {
    let system = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let host = Host {
        hostname: text(system.nodename()),
        os: text(system.sysname()),
        kernel_version: text(system.release()),
        kernel_arch: text(system.machine()),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let known = std::fs::read_to_string(MEMINFO).unwrap_or_default();
    let memory = Memory { total: kibibytes(&known, "MemTotal:"), available: kibibytes(&known, "MemAvailable:") };
    Ok(Data::new(HostInfo { timestamp: call.app().now().0, host, memory }))
}

/// Reads a line such as `MemTotal: 16384 kB`, in bytes.
fn kibibytes(known: &str, name: &str) -> Option<u64> {
    let line = known.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
