//! Secrets for commands that hand them on: of the server that the environment names, or else of the project here.

use std::env;

use bulla::KeySource;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Desk;
use super::in_process::{InProcess, refused};
use crate::failure::{Exit, Failure, Result};

/// Where secrets come from.
pub(super) enum Secrets {
    /// The server that `BULLA_ADDR` or `VAULT_ADDR` names.
    Server,
    /// The project that the settings name.
    Here(Box<InProcess>),
}

impl Secrets {
    pub(super) async fn open(desk: &Desk) -> Result<Self> {
        let names_server = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
        if names_server("BULLA_ADDR") || names_server("VAULT_ADDR") {
            return Ok(Self::Server);
        }
        Ok(Self::Here(Box::new(InProcess::open(desk).await?)))
    }

    /// Reads a field of a secret: `secret/shop/database#password`.
    pub(super) async fn read(&self, place: &str) -> Result<Zeroizing<Vec<u8>>> {
        let Self::Here(api) = self else {
            let source: KeySource = format!("vault:{place}").parse().map_err(|_| wrong(place))?;
            let fetched = source
                .source()
                .fetch()
                .await
                .map_err(|error| Failure::new(Exit::Unavailable, error.code(), format!("`{place}`: {error}")))?;
            return Ok(Zeroizing::new(fetched.forward().expose().to_vec()));
        };
        let (path, field) = place.rsplit_once('#').ok_or_else(|| wrong(place))?;
        let (mount, kind, rest) = api.mount(path).ok_or_else(|| missing(place, "nothing is mounted there"))?;
        let inner = if kind == "kv2" { "data/" } else { "" };
        let (status, body) = api.ask("GET", &format!("/v1/{mount}/{inner}{rest}"), Vec::new())?;
        let body = Zeroizing::new(body.to_vec());
        if !status.is_success() {
            return Err(refused(status, &body).about(place));
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let fields = if kind == "kv2" { &answer["data"]["data"] } else { &answer["data"] };
        match &fields[field] {
            Value::String(text) => Ok(Zeroizing::new(text.clone().into_bytes())),
            Value::Null => Err(missing(place, "it has no such field")),
            other => Ok(Zeroizing::new(other.to_string().into_bytes())),
        }
    }
}

fn wrong(place: &str) -> Failure {
    Failure::usage(format!(
        "`{place}` names no field of a secret: write PATH#FIELD, `secret/shop/database#password` say"
    ))
}

fn missing(place: &str, why: &str) -> Failure {
    Failure::new(Exit::NotFound, "no_secret", format!("`{place}`: {why}"))
}
