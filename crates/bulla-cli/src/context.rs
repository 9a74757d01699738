//! The context that a value is bound to, as the command line names it.

use bulla::{Context, ContextBuilder, Project, ProjectId};
use clap::Args;

use crate::failure::{Failure, Result};

/// The field that says where a file lies in its tree.
const PATH: &str = "path";

#[derive(Debug, Clone, Args)]
pub(crate) struct ContextArgs {
    /// Bind the value to a field of text; it opens only with all of the same fields. May be given several times
    #[arg(long = "context", value_name = "NAME=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,
}

impl ContextArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(crate) fn build(&self, project: &Project) -> Result<Context> {
        self.build_for(&project.id())
    }

    /// Builds the context for a project that is not at hand.
    pub(crate) fn build_for(&self, project: &ProjectId) -> Result<Context> {
        self.begin(project).build().map_err(|error| Failure::usage(error.to_string()))
    }

    /// Builds the context of a file in a tree: what was named, and where the file lies as seen from the root of the tree.
    ///
    /// A path that is text is the field of text that `--context path=PATH` gives, so that each such file can be opened alone.
    pub(crate) fn build_for_file(&self, project: &ProjectId, path: &[u8]) -> Result<Context> {
        let context = match std::str::from_utf8(path) {
            Ok(text) => self.begin(project).text(PATH, text),
            Err(_) => self.begin(project).bytes(PATH, path),
        };
        context.build().map_err(|error| Failure::usage(error.to_string()))
    }

    fn begin(&self, project: &ProjectId) -> ContextBuilder {
        self.fields.iter().fold(Context::user(project), |context, (name, value)| context.text(name, value))
    }
}

fn field(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
