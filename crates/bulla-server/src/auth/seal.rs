//! What Vault's operators ask of a server before and beside its work. Here the machine's identity unseals, and the audit log is always on.

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent, Plain};
use crate::{ApiError, Call};

#[derive(Debug, Serialize, JsonSchema)]
struct Initialized {
    initialized: bool,
}

/// An audit device, as Vault shows it.
#[derive(Debug, Serialize, JsonSchema)]
struct Device {
    r#type: &'static str,
    description: &'static str,
    options: BTreeMap<String, String>,
    local: bool,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let open = |draft: Draft| draft.open_to_all().audit(Audit::Unrecorded);
    let manage = |draft: Draft| draft.permission("manage:audit", Capability::Sudo).audit(Audit::Administer);
    let sealing = Endpoint::write("sys.seal", "/v1/sys/seal").permission("admin:system", Capability::Sudo);
    vec![
        open(Endpoint::get("sys.init_status", "/v1/sys/init"))
            .summary("Says, as Vault does, that the project is there.")
            .plain(|_: Call| async { Ok(Plain(StatusCode::OK, Initialized { initialized: true })) }),
        refused(
            open(Endpoint::write("sys.init", "/v1/sys/init")),
            "the project is there already",
            "`bulla init` makes another one",
        ),
        refused(
            open(Endpoint::write("sys.unseal", "/v1/sys/unseal")),
            "there is nothing to unseal: the identity of the machine does",
            "`GET /v1/sys/seal-status` says whether it did",
        ),
        refused(
            sealing.audit(Audit::Administer),
            "a server is not sealed from afar",
            "stop it; or put its machine out of the project, which takes its keys away",
        ),
        Endpoint::get("sys.audit", "/v1/sys/audit")
            .permission("read:audit", Capability::Sudo)
            .audit(Audit::Look)
            .summary("Lists the one audit device that there is.")
            .plain(|_: Call| async { Ok(Data::new(devices())) }),
        refused(
            manage(Endpoint::write("sys.audit.enable", "/v1/sys/audit/{path..}")),
            "there is one audit log, and it is always on",
            "witnesses and exports of it are set up where the server is",
        ),
        refused(
            manage(Endpoint::delete("sys.audit.disable", "/v1/sys/audit/{path..}")),
            "the audit log is not turned off",
            "nothing is done that cannot be recorded",
        ),
    ]
}

fn devices() -> BTreeMap<&'static str, Device> {
    let description = "the audit log of the project on this machine: signed, and published to its backend";
    let device = Device { r#type: "bulla", description, options: BTreeMap::new(), local: true };
    BTreeMap::from([("bulla/", device)])
}

/// Completes an endpoint that says why it does nothing, whatever it is asked.
fn refused(draft: Draft, why: &'static str, hint: &'static str) -> Endpoint {
    draft.summary("Is refused, and says why.").json(move |_: Call, _: Map<String, Value>| async move {
        Err::<NoContent, _>(ApiError::new(StatusCode::BAD_REQUEST, "unsupported", why).with_hint(hint))
    })
}
