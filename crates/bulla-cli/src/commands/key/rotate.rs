use bulla::{Key, VersionInfo};
use serde_json::json;

use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};

/// Make a new version of a key, which seals from now on; what older versions sealed still opens
///
/// Where the key's material comes from a source of this machine, the new version is what that holds now.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    #[arg(required_unless_present = "due")]
    name: Option<String>,
    /// Only if its period is over, or its newest version was used as often as it may; without a name, every key for which that is so
    #[arg(long)]
    due: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let keyring = project.keyring();
    match &args.name {
        Some(name) if !args.due => {
            let key = project.key(name)?;
            tell(&key, &key.rotate().await?, desk)
        }
        Some(name) => {
            let key = project.key(name)?;
            match keyring.rotate_due(key.name()).await.map_err(super::failed)? {
                Some(version) => tell(&key, &version, desk),
                None => {
                    desk.output.note(|| format!("key {} is not due", key.name()));
                    Ok(())
                }
            }
        }
        None => {
            let mut after = None;
            let (mut rotated, mut refused) = (0_u64, 0_u64);
            loop {
                let page = keyring.keys(after, 0).await.map_err(super::failed)?;
                for info in page.keys {
                    let outcome = match info {
                        // Those of Bulla itself, and those that wait to be deleted, are not for this command.
                        Ok(info) if info.name.is_system() || info.deleting.is_some() => continue,
                        Ok(info) => keyring.rotate_due(&info.name).await.map(|version| (info.name, version)),
                        Err(error) => Err(error),
                    };
                    match outcome {
                        Ok((name, Some(version))) => {
                            rotated += 1;
                            tell(&project.key(name.as_str())?, &version, desk)?;
                        }
                        Ok((_, None)) => {}
                        Err(error) => {
                            refused += 1;
                            let failure = super::failed(error);
                            desk.output.result(&json!({ "error": failure.to_json() }), || failure.to_string())?;
                        }
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if rotated + refused == 0 {
                desk.output.note(|| "no key is due".to_owned());
            }
            match refused {
                0 => Ok(()),
                _ => Err(Failure::new(
                    Exit::Damage,
                    "damage",
                    format!("{refused} keys could not be looked at or rotated"),
                )
                .with_hint("`bulla verify` lists what is damaged")),
            }
        }
    }
}

fn tell(key: &Key, version: &VersionInfo, desk: &Desk) -> Result<()> {
    let record = json!({ "key": key.name().as_str(), "version": version.number, "id": version.id.to_string() });
    desk.output.done(&record, || format!("rotated key {} to version {}", key.name(), version.number))
}
