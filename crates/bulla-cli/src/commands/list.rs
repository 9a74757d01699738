use std::collections::BTreeMap;

use bulla::{Fingerprint, MachineName, Membership};

use super::Desk;
use crate::failure::Result;
use crate::{machines, names};

/// List the machines that were let in
///
/// AUTHORISES says whether a machine may let others in: Yes, No, or ? where this machine cannot read it. A * marks this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those that were put out again
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let history = project.keyring().history().await.map_err(bulla::Error::from)?;
    let names: BTreeMap<_, _> = history.iter().map(|one| (one.fingerprint, &one.machine.name)).collect();
    let me = project.keyring().identity().fingerprint();
    let listed = history.iter().filter(|one| args.all || one.put_out.is_none());
    if !desk.output.json() {
        let head = format!("  {:<16} {:<24} {:<10} {:<19}", "FINGERPRINT", "NAME", "AUTHORISES", "CREATED");
        let head = if args.all { format!("{head} PUT OUT") } else { head };
        desk.output.result(&().into(), || head.trim_end().to_owned())?;
    }
    for one in listed {
        let mut record = machines::record(one.fingerprint, &one.machine);
        record["this_machine"] = (one.fingerprint == me).into();
        record["put_out"] = one.put_out.map(|put_out| put_out_record(&put_out)).into();
        desk.output.result(&record, || row(one, me, &names).trim_end().to_owned())?;
    }
    Ok(())
}

fn row(one: &Membership, me: Fingerprint, names: &BTreeMap<Fingerprint, &MachineName>) -> String {
    let mark = if one.fingerprint == me && one.put_out.is_none() { '*' } else { ' ' };
    let fingerprint = machines::short(one.fingerprint);
    let name = one.machine.name.as_str();
    let authorises = machines::authorises(one.machine.capability);
    let created = names::table_moment(one.machine.granted);
    let put_out = one.put_out.map(|put_out| {
        let by = names.get(&put_out.by).map_or_else(|| machines::short(put_out.by), |name| name.to_string());
        format!("{} by {by}", names::table_moment(put_out.time))
    });
    format!("{mark} {fingerprint} {name:<24} {authorises:<10} {created:<19} {}", put_out.unwrap_or_default())
}

fn put_out_record(put_out: &bulla::PutOut) -> serde_json::Value {
    serde_json::json!({
        "time": names::moment(put_out.time),
        "by": put_out.by.to_string(),
        "position": put_out.position,
        "cascaded": put_out.cascaded,
    })
}
