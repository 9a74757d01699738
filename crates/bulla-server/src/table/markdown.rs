use std::fmt::Write;

use super::{Requires, Table};

impl Table {
    /// Writes the table for people, in Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = "| endpoint | methods and path | requires | does |\n|---|---|---|---|\n".to_owned();
        for endpoint in self.endpoints() {
            let verbs: Vec<&str> = endpoint.verbs().iter().map(|verb| verb.name()).collect();
            let mount = endpoint.kind().map(|kind| format!("/v1/{{{}_mount}}/", kind.0)).unwrap_or_default();
            let paths: Vec<String> = endpoint.paths().iter().map(|path| format!("`{mount}{path}`")).collect();
            let requires = match endpoint.requires() {
                Requires::Nothing => "nothing".to_owned(),
                Requires::Credential => "a credential".to_owned(),
                Requires::Permission(permission, capability) => {
                    format!("`{permission}`, or {}", format!("{capability:?}").to_lowercase())
                }
            };
            let (id, verbs, paths) = (endpoint.id(), verbs.join(", "), paths.join(", "));
            // Writing to a string does not fail.
            let _ = writeln!(text, "| `{id}` | {verbs} {paths} | {requires} | {} |", endpoint.summary());
        }
        text
    }
}
