//! The machines of the project: which are in, and letting them in and putting them out.

use bulla::{Capability as Power, Fingerprint, Membership, Outcome, Request, RevokeOptions};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::table::{Audit, Capability, Data, Endpoint};
use crate::{ApiError, Call};

/// To see which machines are in.
const READ: &str = "read:machines";
/// To let machines in and to put them out.
const AUTHORIZE: &str = "authorize:machines";

/// Returns the endpoints.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::list("machines.list", "/v1/machines")
            .summary("Lists the machines that are in, and those that were put out.")
            .permission(READ, Capability::List)
            .on("machines")
            .audit(Audit::Look)
            .plain(list),
        Endpoint::write("machines.authorize", "/v1/machines/authorize")
            .summary("Lets a machine in, by its request.")
            .permission(AUTHORIZE, Capability::Update)
            .on("machines")
            .audit(Audit::Administer)
            .fails_with(&[409])
            .json(authorize),
        Endpoint::get("machines.show", "/v1/machines/{fingerprint}")
            .summary("Shows a machine.")
            .permission(READ, Capability::Read)
            .on("machines/{fingerprint}")
            .audit(Audit::Look)
            .fails_with(&[404])
            .plain(show),
        Endpoint::write("machines.revoke", "/v1/machines/{fingerprint}/revoke")
            .summary("Puts a machine out. What it knew is not secret from it before the next rotation.")
            .permission(AUTHORIZE, Capability::Update)
            .on("machines/{fingerprint}")
            .audit(Audit::Administer)
            .fails_with(&[404, 409])
            .json(revoke),
    ]
}

/// A machine, and whether it is in.
#[derive(Debug, Serialize, JsonSchema)]
struct Machine {
    fingerprint: String,
    name: String,
    /// `use` or `authorise`; `null` if that cannot be read.
    capability: Option<String>,
    /// When it was let in, in milliseconds since 1970.
    granted: u64,
    granted_by: String,
    /// When it was put out, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    put_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    put_out_by: Option<String>,
}

/// Machines, in the order in which they were let in.
#[derive(Debug, Serialize, JsonSchema)]
struct Machines {
    machines: Vec<Machine>,
}

/// Whom to let in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuthorizeRequest {
    /// The request that `bulla enroll` printed on the machine.
    request: String,
    /// The fingerprint that the machine shows, compared by a person: of a request of another machine, nothing is done.
    fingerprint: String,
    /// Whether it may let others in.
    #[serde(default)]
    authorise: bool,
}

/// How a machine is put out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RevokeRequest {
    /// Those that it let in go too, and those that they let in.
    cascade: bool,
    /// A new epoch is owed from here on: the machine may have kept the data key.
    rotate: bool,
}

/// What was done, or waits for a second administrator.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// `done`, or `pending` where two administrators have to agree.
    state: &'static str,
    /// The position of what waits, for `bulla approve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

impl From<&Membership> for Machine {
    fn from(one: &Membership) -> Self {
        Self {
            fingerprint: one.fingerprint.to_string(),
            name: one.machine.name.to_string(),
            capability: one.machine.capability.map(|capability| capability.to_string()),
            granted: one.machine.granted.0,
            granted_by: one.machine.granted_by.to_string(),
            put_out: one.put_out.as_ref().map(|out| out.time.0),
            put_out_by: one.put_out.as_ref().map(|out| out.by.to_string()),
        }
    }
}

async fn list(call: Call) -> Result<Data<Machines>, ApiError> {
    let history = call.project().keyring().history().await?;
    Ok(Data::new(Machines { machines: history.iter().map(Machine::from).collect() }))
}

async fn show(call: Call) -> Result<Data<Machine>, ApiError> {
    let fingerprint = fingerprint(call.param("fingerprint"))?;
    let history = call.project().keyring().history().await?;
    let found = history.iter().rev().find(|one| one.fingerprint == fingerprint);
    found.map(|one| Data::new(Machine::from(one))).ok_or_else(|| ApiError::not_found("machine of that fingerprint"))
}

async fn authorize(call: Call, asked: AuthorizeRequest) -> Result<Data<Done>, ApiError> {
    let request: Request =
        asked.request.trim().parse().map_err(|_| ApiError::field("request", "is no request of a machine"))?;
    if fingerprint(&asked.fingerprint)? != request.fingerprint() {
        return Err(ApiError::field("fingerprint", "is not that of the request"));
    }
    // A machine that is in has the data key, and with it everything.
    everything(&call)?;
    let power = if asked.authorise { Power::Authorise } else { Power::Use };
    let outcome = call.project().authorise(&request, power).await?;
    Ok(Data::new(match outcome {
        Outcome::Done(_) => Done { state: "done", position: None },
        Outcome::Waits(position) => Done { state: "pending", position: Some(position) },
    }))
}

async fn revoke(call: Call, asked: RevokeRequest) -> Result<Data<Done>, ApiError> {
    let fingerprint = fingerprint(call.param("fingerprint"))?;
    if fingerprint == call.project().keyring().identity().fingerprint() {
        let error = ApiError::new(StatusCode::CONFLICT, "own_machine", "this is the machine that the server runs on");
        return Err(error.with_hint("put it out from another machine"));
    }
    if asked.cascade || asked.rotate {
        // It reaches other machines than the one that the path names.
        everything(&call)?;
    }
    let mut options = RevokeOptions::default();
    (options.cascade, options.rotate) = (asked.cascade, asked.rotate);
    call.project().revoke(fingerprint, options).await?;
    Ok(Data::new(Done { state: "done", position: None }))
}

fn everything(call: &Call) -> Result<(), ApiError> {
    if call.principal()?.rules().is_everything() {
        return Ok(());
    }
    let hint = "it takes somebody who may do everything: a machine that is in can open everything";
    Err(ApiError::forbidden().with_hint(hint))
}

fn fingerprint(text: &str) -> Result<Fingerprint, ApiError> {
    text.parse().map_err(|_| ApiError::field("fingerprint", "is no fingerprint of a machine"))
}
