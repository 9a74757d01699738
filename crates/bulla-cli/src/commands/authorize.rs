use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use bulla::{BackendUrl, Capability, Fingerprint, Outcome, Request};
use serde_json::json;

use super::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::input::Input;
use crate::{ask, machines};

/// What the text of a request begins with.
const TEXT_BEGINS: &str = "bulla-request:";
/// Longest request that is read from a file, in bytes.
const MAX_LEN: u64 = 16 * 1_024;
/// How many digits of a fingerprint confirm it: a machine whose fingerprint has the same ones cannot be made.
const MIN_DIGITS: usize = 32;

/// Let a machine in
///
/// The request is what `bulla enroll` printed there. Compare the fingerprint that is shown with the one that was shown there, over a
/// channel that you trust: who can alter the request on its way could otherwise put their own machine in its place.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The request: its text, a file that holds it, or `-` for standard input
    request: OsString,
    /// Let it let others in, too; otherwise it may use the project
    #[arg(long, alias = "authorizer")]
    authoriser: bool,
    /// The fingerprint that `bulla enroll` showed, or at least the first 32 digits of it; confirms without asking
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let request = read_request(&args.request)?;
    let fingerprint = request.fingerprint();
    let capability = if args.authoriser { Capability::Authorise } else { Capability::Use };
    let may = machines::may(Some(capability));
    if let Some(expected) = &args.fingerprint {
        check_fingerprint(expected, fingerprint)?;
    }
    let project = desk.project().await?;
    ask::confirm(&desk.output, args.fingerprint.is_some(), "--fingerprint HEX", || {
        let name = request.name();
        format!("machine      {name}\nfingerprint  {fingerprint}\nIs it this machine that may {may} from now on?")
    })?;
    let outcome = project.authorise(&request, capability).await?;

    let pin = project.pin();
    let (id, head) = (project.id(), pin.head());
    let backend = project.settings().backend().get();
    let command = format!("bulla config init --project {id} --backend {}", quoted(backend));
    let (machine, waits) = match &outcome {
        Outcome::Done(machine) => (Some(machine), None),
        Outcome::Waits(position) => (None, Some(*position)),
    };
    let record = json!({
        "name": request.name().as_str(),
        "fingerprint": fingerprint.to_string(),
        "capability": capability.to_string(),
        "machine": machine.map(|machine| machines::record(fingerprint, machine)),
        "waits_for_approval": waits,
        "project": id.to_string(),
        "backend": backend.to_string(),
        "trust_log": { "length": pin.length(), "head": head.to_string() },
        "command": command,
    });
    desk.output.result(&record, || {
        let name = request.name();
        let done = match waits {
            None => format!("let in {name}, which may {may}"),
            Some(position) => format!("{name} waits to be let in: record {position} needs a second authoriser"),
        };
        format!(
            "{done}\n  fingerprint  {fingerprint}\n  project      {id}\n  trust log    {} records, head {head}\n\
             on that machine, in the folder that it is to use the project from:\n  {command}",
            pin.length(),
        )
    })?;
    if let Some(position) = waits {
        desk.output.note(|| format!("on another machine that may let others in:\n  bulla approve {position}"));
    }
    Ok(())
}

fn read_request(argument: &OsStr) -> Result<Request> {
    let text = match argument.to_str().filter(|text| text.trim_start().starts_with(TEXT_BEGINS)) {
        Some(text) => text.to_owned(),
        None => {
            let mut input = Input::open(Some(Path::new(argument)))?;
            let mut text = String::new();
            let read = input.by_ref().take(MAX_LEN).read_to_string(&mut text);
            match read {
                Ok(_) => text,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    return Err(not_a_request("it is no text").about(&input.described()));
                }
                Err(error) => return Err(input.failure(&error)),
            }
        }
    };
    text.trim().parse().map_err(|error: bulla::ParseRequestError| not_a_request(&error.to_string()))
}

fn not_a_request(reason: &str) -> Failure {
    Failure::new(Exit::Refused, "bad_request", format!("the request cannot be used: {reason}"))
        .with_hint("have `bulla enroll` print it again, and bring it here whole and unaltered")
}

/// Compares what the user was told with the request that arrived.
fn check_fingerprint(expected: &str, found: Fingerprint) -> Result<()> {
    let expected = expected.trim().to_ascii_lowercase();
    if expected.len() < MIN_DIGITS || !expected.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "`--fingerprint` takes all 64 hex digits of a fingerprint, or at least the first {MIN_DIGITS}"
        )));
    }
    if found.to_string().starts_with(&expected) {
        return Ok(());
    }
    let message = format!("the request is not that machine's: its fingerprint is {found}");
    Err(Failure::new(Exit::Refused, "other_fingerprint", message)
        .with_hint("it was altered on its way, or is another machine's; do not let it in"))
}

/// Writes a backend so that a shell takes it for one word.
fn quoted(backend: &BackendUrl) -> String {
    let text = backend.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:._-+@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_compared_from_its_beginning() {
        let found = Fingerprint([0xab; 32]);
        for expected in [&"ab".repeat(32)[..], &"ab".repeat(16), &"AB".repeat(20), &format!(" {}\n", "ab".repeat(32))] {
            assert!(check_fingerprint(expected, found).is_ok(), "{expected}");
        }
        for (expected, exit) in [
            ("", Exit::Usage),
            (&"ab".repeat(15)[..], Exit::Usage),
            (&"xy".repeat(32), Exit::Usage),
            (&"ac".repeat(16), Exit::Refused),
            (&"ab".repeat(33), Exit::Refused),
        ] {
            assert_eq!(check_fingerprint(expected, found).unwrap_err().exit(), exit, "{expected}");
        }
    }

    #[test]
    fn a_backend_is_one_word_of_a_shell() {
        for (folder, text) in [
            ("/srv/bulla", "sqlite:/srv/bulla"),
            ("/my data", "'sqlite:/my data'"),
            ("/it's", r"'sqlite:/it'\''s'"),
            ("/$(x)", "'sqlite:/$(x)'"),
        ] {
            assert_eq!(quoted(&BackendUrl::Sqlite(folder.into())), text);
        }
    }
}
