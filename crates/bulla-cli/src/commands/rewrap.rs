use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use bulla_seal::{SealWriter, SealedStream};
use serde_json::json;

use super::Desk;
use super::open::{Kind, find_version};
use crate::context::ContextArgs;
use crate::failure::{Failure, Result, open_error};
use crate::input::{DASH, Input};
use crate::progress::Progress;
use crate::target::{Privacy, Target};

/// Seal a sealed file anew under the newest version of its key, without showing what is in it
///
/// FILE is replaced, whole or not at all, unless it is under the newest version already; either way all of it is verified. `-`, or no FILE, is
/// standard input, sealed anew to standard output.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to seal anew
    file: Option<PathBuf>,
    /// The named key that it is sealed under
    #[arg(long, value_name = "NAME")]
    key: Option<OsString>,
    #[command(flatten)]
    context: ContextArgs,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project_with_key(args.key.as_deref()).await?;
    let name = project.settings().key().get();
    let key = project.key(name)?;
    let context = args.context.build(&project)?;
    let input = Input::open(args.file.as_deref())?;
    let path: PathBuf = input.path().map_or(DASH.into(), Into::into);
    let progress = Progress::over(&desk.output, "rewrapping", input.len());
    let described = input.described();
    let failed = |error: &std::io::Error| match open_error(error) {
        Some(error) => Failure::from(error).about(&described),
        None => Failure::file("read", described.as_ref(), error),
    };
    let input = match Kind::of(input)? {
        Kind::Sealed(input) => input,
        Kind::SealedTo(sealed) => {
            let rewrapped = key.rewrap(&context, &sealed).await?;
            let to_stdout = path.as_os_str() == DASH;
            if let Some(value) = rewrapped.as_deref().or(to_stdout.then_some(&sealed)) {
                let mut target = Target::create(&path, true, Privacy::Sealed)?;
                target.write_all(value).map_err(|error| target.failure(&error))?;
                target.finish()?;
            }
            return tell(desk, name, key.info().await?.newest, rewrapped.is_some(), &path);
        }
    };
    let reader = SealedStream::new(input).map_err(|error| failed(&error))?;
    let version = find_version(&project, key.name(), reader.header().key_version(), &described).await?;
    let newest = key.current().await?;
    let mut reader =
        reader.open(version.seal_key(), &context).map_err(|error| Failure::from(error).about(&described))?;

    let is_newest = version.id() == newest.id() && path.as_os_str() != DASH;
    if is_newest {
        loop {
            let taken = reader.fill_buf().map_err(|error| failed(&error))?.len();
            if taken == 0 {
                break;
            }
            reader.consume(taken);
            progress.advance(taken);
        }
    } else {
        let mut target = Target::create(&path, true, Privacy::Sealed)?;
        let mut writer =
            SealWriter::new(newest.seal_key(), newest.params(), &context, &mut target).map_err(bulla::Error::from)?;
        let written = loop {
            let released = reader.fill_buf().map_err(|error| failed(&error))?;
            if released.is_empty() {
                break writer.finish().map(drop);
            }
            let taken = released.len();
            if let Err(error) = writer.write_all(released) {
                break Err(error);
            }
            reader.consume(taken);
            progress.advance(taken);
        };
        written.map_err(|error| target.failure(&error))?;
        target.finish()?;
    }
    drop(progress);
    tell(desk, name, newest.number(), !is_newest, &path)
}

fn tell(desk: &Desk, name: &str, version: u64, rewrapped: bool, path: &std::path::Path) -> Result<()> {
    let record = json!({ "key": name, "version": version, "rewrapped": rewrapped, "output": path.to_string_lossy() });
    if path.as_os_str() == DASH {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output.done(&record, || match rewrapped {
        true => format!("sealed {} anew under {name} version {version}", path.display()),
        false => format!("{} is under {name} version {version} already", path.display()),
    })
}
