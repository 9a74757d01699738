use bulla::{Pending, PendingAct};
use serde_json::json;

use super::Desk;
use crate::failure::Result;
use crate::{ask, machines};

/// Approve, as a second authoriser, that a machine is let in or the policy changes
///
/// Where two persons are asked for, what one authoriser wishes takes effect once another has approved it. `bulla status` lists what waits.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Position in the trust log of what is approved, as `bulla status` lists it
    position: u64,
    /// Approve it without asking
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let pending = project.keyring().pending().await.map_err(bulla::Error::from)?;
    let pending = pending.into_iter().find(|pending| pending.position == args.position);
    // What does not wait is refused by the keyring, which says why.
    if let Some(pending) = &pending {
        ask::confirm(&desk.output, args.yes, "--yes", || format!("{}\nIs that as it should be?", described(pending)))?;
    }
    project.approve(args.position).await?;
    let record = json!({ "position": args.position, "approved": pending.as_ref().map(record) });
    desk.output.done(&record, || match &pending {
        Some(pending) => format!("approved: {}", described(pending)),
        None => format!("approved record {}", args.position),
    })
}

/// Says what waits, and who asked for it.
pub(super) fn described(pending: &Pending) -> String {
    let by = machines::short(pending.by);
    match &pending.act {
        PendingAct::Grant { name, public, capability } => {
            let fingerprint = public.fingerprint();
            let may = machines::may(*capability);
            format!("record {}: machine {name} ({fingerprint}) may {may}, says machine {by}", pending.position)
        }
        PendingAct::Policy { two_person } => {
            let two_person = if *two_person { "on" } else { "off" };
            format!("record {}: the rule of two persons is {two_person}, says machine {by}", pending.position)
        }
        _ => format!("record {}, by machine {by}", pending.position),
    }
}

/// Describes in JSON what waits.
pub(super) fn record(pending: &Pending) -> serde_json::Value {
    let act = match &pending.act {
        PendingAct::Grant { name, public, capability } => json!({
            "kind": "grant",
            "name": name.as_str(),
            "fingerprint": public.fingerprint().to_string(),
            "capability": capability.map(|capability| capability.to_string()),
        }),
        PendingAct::Policy { two_person } => json!({ "kind": "policy", "two_person": two_person }),
        _ => json!({ "kind": null }),
    };
    json!({
        "position": pending.position,
        "created": crate::names::moment(pending.time),
        "by": pending.by.to_string(),
        "act": act,
    })
}
