//! What to look for, as the command line says it.

use bulla::Project;
use bulla::Timestamp;
use bulla::guard::audit::{Class, Code, Filter, Level, LogReader, Outcome};

use crate::failure::Result;

/// Which events are meant.
#[derive(Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Of this class: `authentication`, `key` or `store`, say. May be given several times
    #[arg(long, value_name = "CLASS", value_parser = class)]
    class: Vec<Class>,
    /// Of this action: `transit.encrypt`, say
    #[arg(long)]
    action: Option<Code>,
    /// By this user, token or machine. Names are blinded in the log; this finds them
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// From this address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// About this entry, token, API key or role id. Their names and ids are blinded too; this finds them in whatever field
    #[arg(long, value_name = "NAME")]
    about: Option<String>,
    /// To this resource
    #[arg(long)]
    resource: Option<String>,
    /// That went so: `success`, `failure` or `unknown`
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// As loud as this, or louder: `INFO`, `WARNING`, `ERROR` or `CRITICAL`
    #[arg(long, value_parser = level)]
    level: Option<Level>,
    /// Not before so long ago: `2h`, say
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    since: Option<std::time::Duration>,
    /// Before so long ago
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    until: Option<std::time::Duration>,
}

impl FilterArgs {
    pub(super) async fn build(&self, project: &Project, log: &LogReader) -> Result<Filter> {
        let now = project.now();
        let ago = |duration: std::time::Duration| {
            Timestamp(now.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
        };
        let mut filter = Filter {
            from: self.since.map(ago),
            until: self.until.map(ago),
            classes: self.class.clone(),
            action: self.action.clone(),
            resource: self.resource.clone().map(String::into_bytes),
            outcome: self.outcome,
            level: self.level,
            ..Filter::default()
        };
        if let Some(name) = &self.principal {
            filter.principals = project.audit_identifiers(log, name).await?;
        }
        if let Some(address) = &self.address {
            filter.addresses = project.audit_identifiers(log, address).await?;
        }
        if let Some(name) = &self.about {
            filter.about = project.audit_identifiers(log, name).await?;
        }
        Ok(filter)
    }

    /// Says whether somebody is looked for of whom the log has nothing that could be them.
    pub(super) fn finds_nobody(&self, filter: &Filter) -> bool {
        (self.principal.is_some() && filter.principals.is_empty())
            || (self.address.is_some() && filter.addresses.is_empty())
            || (self.about.is_some() && filter.about.is_empty())
    }
}

fn class(text: &str) -> std::result::Result<Class, String> {
    named(Class::ALL, Class::name, text)
}

fn outcome(text: &str) -> std::result::Result<Outcome, String> {
    named(Outcome::ALL, Outcome::name, text)
}

fn level(text: &str) -> std::result::Result<Level, String> {
    named(Level::ALL, Level::name, text)
}

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> std::result::Result<T, String> {
    let found = all.iter().copied().find(|one| name(*one) == text);
    found.ok_or_else(|| format!("one of {}", all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ")))
}
