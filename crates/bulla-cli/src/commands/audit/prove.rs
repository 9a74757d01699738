use std::path::PathBuf;

use bulla::Encoding;
use bulla::guard::audit::{Export, LoggedEvent, Proof};
use serde_json::json;

use super::{Desk, LogArg, failure};
use crate::failure::{Exit, Failure, Result};
use crate::input::Input;

/// Longest proof with its event, in bytes.
const MAX_LEN: usize = 256 * 1024;

/// Prove that an event is in the audit log, to somebody who has no access to it
///
/// Prints an object of JSON with the stored bytes of the event and a proof (C2SP tlog-proof). `bulla audit check-proof` verifies it, and so does any
/// program that knows transparency logs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index of the event
    index: u64,
    #[command(flatten)]
    log: LogArg,
}

/// Verify a proof that `bulla audit prove` printed
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The file; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let log = args.log.open(&project)?;
    let proof = log.prove(args.index).map_err(failure)?;
    let stored = log.events(args.index).map_err(failure)?.next().transpose().map_err(failure)?;
    let stored = stored.ok_or_else(|| Failure::new(Exit::NotFound, "no_event", "there is no event of that index"))?;
    let event = String::from_utf8_lossy(&Encoding::Base64.encode(&stored.bytes)).into_owned();
    let record = json!({ "index": args.index, "event": event, "proof": proof.to_string() });
    desk.output.line(&record.to_string())
}

pub(crate) async fn check(args: &CheckArgs, desk: &Desk) -> Result<()> {
    let refused = |why: String| Failure::new(Exit::Refused, "proof_refused", why);
    let bytes = Input::open(Some(&args.file))?.whole(MAX_LEN)?;
    let record: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|_| refused("this is no proof: it is not an object of JSON".to_owned()))?;
    let text =
        |name: &str| record[name].as_str().ok_or_else(|| refused(format!("this is no proof: `{name}` is missing")));
    let proof: Proof = text("proof")?.parse().map_err(|error| refused(format!("this is no proof: {error}")))?;
    let event = Encoding::Base64.decode(text("event")?.as_bytes());
    let event = event.map_err(|error| refused(format!("`event`: {error}")))?;
    let event = event.expose();
    let project = desk.project().await?;
    let log = args.log.open(&project)?;
    let checkpoint = proof.verify(event, log.origin()).map_err(|error| refused(error.to_string()))?;
    let line = match LoggedEvent::parse(event) {
        Ok(_) => Export::Json.line(&bulla::guard::audit::Stored { index: proof.index(), bytes: event.to_vec() }),
        Err(_) => String::new(),
    };
    let record = json!({ "verified": true, "index": proof.index(), "events": checkpoint.size() });
    desk.output.result(&record, || {
        format!("event {} is in the log, by its checkpoint of {} events\n{line}", proof.index(), checkpoint.size())
    })
}
