use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

use bulla::{Expectation, Fingerprint, Machine, MachineFinding, Membership};
use serde_json::json;

use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::input::Input;
use crate::machines;
use crate::names::table_moment;

/// Longest file that is read, in bytes: 10,000 machines have room.
const MAX_LEN: u64 = 1 << 20;

/// Compare the machines that are in with those that should be
///
/// The file has a machine on each line: its fingerprint, or its friendly name; behind it `use` or `authorise`, where it matters which of the two
/// it may do. What begins with # is a comment. A fingerprint is the safer way to name a machine: a name can go to another one. Findings go
/// to standard output; a machine that is not expected, that may do what is not expected, or that is missing, makes the exit code 7.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file that says which machines should be in; `-` is standard input
    #[arg(long, value_name = "FILE")]
    expect: PathBuf,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let expected = read_expected(&args.expect)?;
    let project = desk.project().await?;
    let findings = project.keyring().audit_machines(&expected).await.map_err(bulla::Error::from)?;
    let history = project.keyring().history().await.map_err(bulla::Error::from)?;
    let known = Known::from(&history[..]);
    let mut unexpected = 0;
    for finding in &findings {
        let told = known.tell(finding);
        unexpected += u64::from(told.alarming);
        desk.output.result(&told.record, || told.text.clone())?;
    }
    let machines = history.iter().filter(|one| one.put_out.is_none()).count();
    let record = json!({ "machines": machines, "expected": expected.len(), "unexpected": unexpected });
    if desk.output.json() {
        desk.output.result(&record, String::new)?;
    } else {
        desk.output.note(|| format!("{machines} machines are in, {} were expected", expected.len()));
    }
    match unexpected {
        0 => Ok(()),
        _ => {
            Err(Failure::new(Exit::Damage, "unexpected_machines", format!("{unexpected} findings are not as expected"))
                .with_hint("docs/runbooks.md says what to do about a machine that should not be in"))
        }
    }
}

/// What the history of the project tells about machines by their fingerprints.
struct Known<'a>(BTreeMap<Fingerprint, &'a Membership>);

/// A finding as it is printed.
struct Told {
    record: serde_json::Value,
    text: String,
    /// Whether somebody has to look into it.
    alarming: bool,
}

impl<'a> From<&'a [Membership]> for Known<'a> {
    fn from(history: &'a [Membership]) -> Self {
        Self(history.iter().map(|one| (one.fingerprint, one)).collect())
    }
}

impl Known<'_> {
    fn tell(&self, finding: &MachineFinding) -> Told {
        let (code, fingerprint, machine, alarming) = match finding {
            MachineFinding::Missing { expected } => {
                return Told {
                    record: json!({ "finding": "missing_machine", "expected": expected, "alarming": true }),
                    text: format!("missing: {expected} is expected and not in"),
                    alarming: true,
                };
            }
            MachineFinding::Unexpected { fingerprint, machine } => {
                let authorises = machine.capability.is_none_or(bulla::Capability::may_authorise);
                let code = if authorises { "unexpected_authoriser" } else { "unexpected_machine" };
                (code, *fingerprint, machine, true)
            }
            MachineFinding::Authority { fingerprint, machine } => ("other_capability", *fingerprint, machine, true),
            MachineFinding::Unreadable { fingerprint, machine } => {
                ("unreadable_capability", *fingerprint, machine, true)
            }
            // Nothing is wrong with a machine that is expected and whose authoriser has retired.
            MachineFinding::Orphan { fingerprint, machine } => ("let_in_by_one_put_out", *fingerprint, machine, false),
            _ => return Told { record: json!({ "finding": "unknown" }), text: format!("{finding:?}"), alarming: true },
        };
        let mut record = machines::record(fingerprint, machine);
        record["finding"] = code.into();
        record["alarming"] = alarming.into();
        record["granted_by_name"] = self.name(machine.granted_by).into();
        record["approved_by_name"] = machine.approved_by.map(|by| self.name(by)).into();
        Told { record, text: self.text(code, fingerprint, machine), alarming }
    }

    fn text(&self, code: &str, fingerprint: Fingerprint, machine: &Machine) -> String {
        let what = code.replace('_', " ");
        let may = machines::may(machine.capability);
        let by = [Some(machine.granted_by), machine.approved_by].into_iter().flatten();
        let by: Vec<_> = by.map(|by| self.described(by)).collect();
        format!(
            "{what}: {} ({fingerprint}) may {may}; let in {} by {}",
            machine.name,
            table_moment(machine.granted),
            by.join(" and "),
        )
    }

    fn described(&self, fingerprint: Fingerprint) -> String {
        let is_out = self.0.get(&fingerprint).is_some_and(|one| one.put_out.is_some());
        let since = if is_out { ", put out since" } else { "" };
        format!("{} ({}{since})", self.name(fingerprint), machines::short(fingerprint))
    }

    fn name(&self, fingerprint: Fingerprint) -> String {
        self.0.get(&fingerprint).map_or_else(|| "unknown".to_owned(), |one| one.machine.name.to_string())
    }
}

fn read_expected(path: &std::path::Path) -> Result<BTreeSet<Expectation>> {
    let mut input = Input::open(Some(path))?;
    let mut text = String::new();
    let read = input.by_ref().take(MAX_LEN + 1).read_to_string(&mut text).map_err(|error| input.failure(&error))?;
    if read as u64 > MAX_LEN {
        return Err(Failure::usage(format!("`{}` has more than {MAX_LEN} bytes", input.described())));
    }
    let mut expected = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(machine) = words.next() else { continue };
        let authoriser = match (words.next(), words.next()) {
            (None, _) => None,
            (Some("use"), None) => Some(false),
            (Some("authorise" | "authorize"), None) => Some(true),
            _ => {
                let message = "a line is NAME, `NAME use` or `NAME authorise`";
                return Err(Failure::usage(format!("line {}: {message}", index + 1)).about(&input.described()));
            }
        };
        expected.insert(Expectation { machine: machine.to_owned(), authoriser });
    }
    Ok(expected)
}
