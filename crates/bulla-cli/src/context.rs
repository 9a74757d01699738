//! The context that a value is bound to, as the command line names it.

use bulla::{Context, Project, ProjectId};
use clap::Args;

use crate::failure::{Failure, Result};

#[derive(Debug, Clone, Args)]
pub(crate) struct ContextArgs {
    /// Bind the value to a field of text; it opens only with all of the same fields. May be given several times
    #[arg(long = "context", value_name = "NAME=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,
}

impl ContextArgs {
    pub(crate) fn build(&self, project: &Project) -> Result<Context> {
        self.build_for(&project.id())
    }

    /// Builds the context for a project that is not at hand.
    pub(crate) fn build_for(&self, project: &ProjectId) -> Result<Context> {
        let context =
            self.fields.iter().fold(Context::user(project), |context, (name, value)| context.text(name, value));
        context.build().map_err(|error| Failure::usage(error.to_string()))
    }
}

fn field(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
