use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bulla_seal::SealWriter;
use serde_json::json;
use zeroize::Zeroizing;

use super::Desk;
use crate::context::ContextArgs;
use crate::failure::{Failure, Result};
use crate::input::{DASH, Input};
use crate::progress::Progress;
use crate::target::{Privacy, Target};

/// What the names of sealed files end with.
pub(super) const SUFFIX: &str = ".bulla";
/// How much is read at once.
pub(super) const BUFFER_LEN: usize = 64 * 1_024;

/// Seal a file, or what comes through a pipe
///
/// FILE is sealed to FILE.bulla, which must not exist yet; `-`, or no FILE, is standard input, sealed to standard output. The new
/// file appears whole or not at all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to seal
    file: Option<PathBuf>,
    /// Where to write to; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
    /// The named key to seal under
    #[arg(long, value_name = "NAME")]
    key: Option<OsString>,
    #[command(flatten)]
    context: ContextArgs,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project_with_key(args.key.as_deref()).await?;
    let name = project.settings().key().get();
    let context = args.context.build(&project)?;
    let version = project.keyring().current(project.key(name)?.name()).await.map_err(bulla::Error::from)?;

    let mut input = Input::open(args.file.as_deref())?;
    let path = args.output.clone().unwrap_or_else(|| input.path().map_or(DASH.into(), sealed_name));
    let mut target = Target::create(&path, args.force, Privacy::Sealed)?;
    let progress = Progress::over(&desk.output, "sealing", input.len());

    let mut writer =
        SealWriter::new(version.seal_key(), version.params(), &context, &mut target).map_err(bulla::Error::from)?;
    let mut buffer = Zeroizing::new(vec![0; BUFFER_LEN]);
    let mut len = 0_u64;
    let written = loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break writer.finish().map(drop),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(input.failure(&error)),
        };
        if let Err(error) = writer.write_all(&buffer[..read]) {
            break Err(error);
        }
        len += read as u64;
        progress.advance(read);
    };
    written.map_err(|error| target.failure(&error))?;
    drop(progress);

    let to_stdout = target.is_stdout();
    target.finish()?;
    let record = json!({
        "key": name,
        "version": version.number(),
        "bytes": len,
        "output": path.to_string_lossy(),
    });
    let text = || format!("sealed {len} bytes to {} under {name} version {}", path.display(), version.number());
    if to_stdout {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output.done(&record, text)
}

fn sealed_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// Undoes [`sealed_name`]; only that suffix is taken away.
pub(super) fn opened_name(path: &Path) -> Result<PathBuf> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = path.as_os_str().as_bytes();
    match bytes.strip_suffix(SUFFIX.as_bytes()) {
        Some(stem) if !stem.is_empty() && !stem.ends_with(b"/") => Ok(OsString::from_vec(stem.to_vec()).into()),
        _ => Err(Failure::usage(format!(
            "`{}` does not end in `{SUFFIX}`, so its opened name is not known",
            path.display()
        ))
        .with_hint("say where to write to with `-o FILE`")),
    }
}
