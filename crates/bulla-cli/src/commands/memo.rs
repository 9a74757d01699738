use std::ffi::OsString;
use std::future::poll_fn;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use bulla::blocking::{ThreadWaiter, wait_for};
use bulla::{ComputeOptions, ComputedBy, Lifetime, MAX_VALUE_LEN, PutOptions};
use serde_json::{Map, json};
use zeroize::Zeroizing;

use super::{Desk, NamespaceArg};
use crate::duration;
use crate::failure::Result;
use crate::names;

/// Write a value of the store to standard output; where it is missing, run a command, and keep what it writes
///
/// Of many who ask for the same value at the same time, one runs the command, and the others wait for it. What a command wrote that failed
/// is not kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's name
    name: OsString,
    #[command(flatten)]
    namespace: NamespaceArg,
    /// How long the value is to live: seconds, or `12h`, `30d`; without, as long as the namespace says
    #[arg(long, value_name = "TIME", value_parser = duration::parse_or_seconds)]
    ttl: Option<Duration>,
    /// How long behind its end a value may be written while another runs the command anew
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration::parse_or_seconds)]
    grace: Duration,
    /// How long to wait for another who runs the command, at most
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse_or_seconds)]
    patience: Duration,
    /// A tag. May be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// The command and its arguments, behind `--`
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let name = args.name.as_bytes();
    let put = PutOptions {
        lifetime: args.ttl.map_or(Lifetime::Inherited, Lifetime::For),
        tags: args.tags.clone(),
        ..PutOptions::default()
    };
    let options = ComputeOptions { put, grace: args.grace, patience: args.patience, ..ComputeOptions::default() };
    let computed = wait_for(namespace.get_or_compute(name, &options, &ThreadWaiter, || output_of(&args.command)));
    let computed = computed.map_err(bulla::Error::from)?;
    let bytes = Zeroizing::new(computed.bytes);
    desk.output.bytes(&bytes)?;
    let by = match computed.by {
        ComputedBy::Earlier => "earlier",
        ComputedBy::EarlierAndExpired => "earlier_and_expired",
        ComputedBy::ThisCall => "this_call",
        _ => "another_call",
    };
    let mut record = Map::new();
    names::record(&mut record, name);
    record.extend([
        ("namespace".to_owned(), json!(namespace.name().as_str())),
        ("bytes".to_owned(), json!(bytes.len())),
        ("computed".to_owned(), json!(by)),
    ]);
    desk.output.done_beside_data(&record.into());
    Ok(())
}

/// What a thread leaves for the task that waits for it.
#[derive(Default)]
struct Left {
    output: Option<io::Result<Vec<u8>>>,
    waker: Option<Waker>,
}

/// Runs a command, and returns what it wrote to standard output. Meanwhile the task does other things, such as to keep its lease.
async fn output_of(command: &[OsString]) -> io::Result<Vec<u8>> {
    let left = Arc::new(Mutex::new(Left::default()));
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let theirs = Arc::clone(&left);
    thread::spawn(move || {
        let output = read_output(command);
        let mut left = theirs.lock().unwrap_or_else(PoisonError::into_inner);
        left.output = Some(output);
        if let Some(waker) = left.waker.take() {
            waker.wake();
        }
    });
    poll_fn(|context| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        left.waker = Some(context.waker().clone());
        left.output.take().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

fn read_output(mut command: Command) -> io::Result<Vec<u8>> {
    let mut child = command.spawn()?;
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_VALUE_LEN + 1).read_to_end(&mut output)?;
    }
    let status = child.wait()?;
    if output.len() as u64 > MAX_VALUE_LEN {
        return Err(io::Error::other(format!("the command wrote more than {MAX_VALUE_LEN} bytes")));
    }
    if !status.success() {
        return Err(io::Error::other(format!("the command failed, {status}")));
    }
    Ok(output)
}
