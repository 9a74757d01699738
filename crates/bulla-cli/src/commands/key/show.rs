use bulla::{KeyringError, PublicKey};
use data_encoding::HEXLOWER;
use serde_json::json;

use super::settings::lines;
use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::names::moment;

/// Show a key: its settings, its versions with their states, and its public key
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// Print the public key, and nothing else: what others need to verify signatures, or to seal to it
    #[arg(long)]
    public: bool,
    /// The version whose public key it is; otherwise the newest
    #[arg(long, value_name = "N", requires = "public")]
    version: Option<u64>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    if args.public {
        let public = written(&key.public_key(args.version).await?);
        return desk.output.result(&json!({ "key": key.name().as_str(), "public": public }), || public.clone());
    }
    let info = key.info().await?;
    let public = match key.public_key(None).await {
        Ok(public) => Some(written(&public)),
        // It has none, or its newest version may not be used.
        Err(bulla::Error::Keyring(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let source = project.settings().sources().get(key.name()).map(|source| source.get().to_string());
    let mut record = super::record(&info);
    record["public"] = json!(public);
    record["source"] = json!(source);
    desk.output.result(&record, || {
        let (name, algorithm, origin) = (&info.name, info.algorithm, info.origin);
        let mut text = format!("{name} {} {algorithm}, {origin}, made {}", algorithm.use_case(), moment(info.created));
        let source = source.iter().map(|source| ("source", source.clone()));
        let public = public.iter().map(|public| ("public key", public.clone()));
        for (name, value) in lines(&info).into_iter().chain(source).chain(public) {
            text.push_str(&format!("\n  {name:<11} {value}"));
        }
        text
    })?;
    let mut after = None;
    let mut damaged = 0_u64;
    loop {
        let page = project.keyring().versions(key.name(), after, 0).await.map_err(super::failed)?;
        for version in page.versions {
            let version = match version {
                Ok(version) => version,
                Err(error @ KeyringError::Backend(_)) => return Err(super::failed(error)),
                Err(error) => {
                    damaged += 1;
                    let failure = super::failed(error);
                    desk.output.result(&json!({ "error": failure.to_json() }), || format!("  {failure}"))?;
                    continue;
                }
            };
            let until = match version.state {
                bulla::VersionState::Destroying(at) => Some(moment(at)),
                _ => None,
            };
            let record = json!({
                "version": version.number,
                "id": version.id.to_string(),
                "state": version.state.to_string(),
                "destroyed_from": until,
                "created": moment(version.created),
                "epoch": version.epoch,
            });
            desk.output.result(&record, || {
                let (number, id, epoch) = (version.number, version.id, version.epoch);
                let state = until.map_or_else(|| version.state.to_string(), |at| format!("{} at {at}", version.state));
                format!("  version {number:<4} {id} {state}, made {}, under epoch {epoch}", moment(version.created))
            })?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Damage, "damage", format!("{damaged} versions are damaged"))
            .with_hint("restore the newest copy of the database")),
    }
}

/// Writes a public key: in hex, or in the text form of those that others seal to.
fn written(public: &PublicKey) -> String {
    match public {
        PublicKey::Ed25519(key) => HEXLOWER.encode(&key.0),
        PublicKey::EcdsaP256(key) => HEXLOWER.encode(key.as_bytes()),
        PublicKey::MlDsa65(key) => HEXLOWER.encode(key.as_bytes()),
        PublicKey::XWing(key) => key.to_string(),
        other => format!("{other:?}"),
    }
}
