use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::Desk;
use super::secrets::Secrets;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::input::Input;
use crate::target::{Privacy, Target};

/// Longest template, in bytes.
const MAX_LEN: usize = 1 << 20;
const BEGIN: &str = "{{";
const END: &str = "}}";

/// Write a file from a template, with secrets where it names them
///
/// `{{ secret/shop/database#password }}` in the template becomes the field of the secret: of the server that BULLA_ADDR or VAULT_ADDR names or, where neither is
/// set, of the project here. The file has mode 0600, and is there whole or not at all.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "it is the help, as people read it")]
pub(crate) struct Args {
    /// The template; `-` is standard input
    template: PathBuf,
    /// Write it there, in the place of what is there; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Go on, and write the file anew when a secret has changed: look each minute, say
    #[arg(long, value_name = "TIME", value_parser = duration::parse_or_seconds)]
    watch: Option<Duration>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let template = Input::open(Some(&args.template))?.whole(MAX_LEN)?;
    let template = std::str::from_utf8(&template).map_err(|_| Failure::usage("the template is not UTF-8"))?;
    let secrets = Secrets::open(desk).await?;
    let mut written: Option<Zeroizing<Vec<u8>>> = None;
    loop {
        match render(template, &secrets).await {
            Ok(text) if written.as_ref() == Some(&text) => {}
            Ok(text) => {
                let mut target = Target::create(&args.output, true, Privacy::Secret)?;
                target.write_all(&text).map_err(|error| target.failure(&error))?;
                target.finish()?;
                let record = json!({ "output": args.output.to_string_lossy(), "length": text.len() });
                desk.output.done(&record, || format!("wrote {}", args.output.display()))?;
                written = Some(text);
            }
            // Once there is a file, one look that failed is no reason to give up.
            Err(failure) if written.is_some() => desk.output.note(|| failure.to_string()),
            Err(failure) => return Err(failure),
        }
        let Some(period) = args.watch else { return Ok(()) };
        // Nobody wakes it earlier.
        thread::park_timeout(period.max(Duration::from_secs(1)));
    }
}

async fn render(template: &str, secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(template.len() + 1_024));
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        let (place, after) =
            behind.split_once(END).ok_or_else(|| Failure::usage("a `{{` of the template has no `}}`"))?;
        text.extend_from_slice(before.as_bytes());
        text.extend_from_slice(&secrets.read(place.trim()).await?);
        rest = after;
    }
    text.extend_from_slice(rest.as_bytes());
    Ok(text)
}
