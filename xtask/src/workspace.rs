//! Where the parts of the project are, as `cargo metadata` tells.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;
use crate::process::Process;

/// The checkout the command runs in.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<Member>,
}

/// A package of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    /// Root files of its libraries, binaries and build script.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    /// Normal and build dependencies: part of what is shipped.
    Shipped,
    /// Dependencies of tests, benches and examples.
    Development,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self, Failure> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
        let json = Process::cargo("metadata")
            .args(["--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(&manifest)
            .output()?;
        Self::parse(&json)
    }

    fn parse(json: &str) -> Result<Self, Failure> {
        let metadata: Value = serde_json::from_str(json)
            .map_err(|error| Failure::new(format!("cargo metadata printed what is not JSON: {error}")))?;
        Ok(Self {
            root: PathBuf::from(text(&metadata, "workspace_root")?),
            target: PathBuf::from(text(&metadata, "target_directory")?),
            members: list(&metadata, "packages")?.iter().map(Member::parse).collect::<Result<_, _>>()?,
        })
    }

    /// Names a path as people do: from the root of the checkout.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

impl Member {
    fn parse(package: &Value) -> Result<Self, Failure> {
        let mut roots = Vec::new();
        for target in list(package, "targets")? {
            let shipped = ["lib", "rlib", "cdylib", "proc-macro", "bin", "custom-build"];
            let mut kinds = list(target, "kind")?.iter().filter_map(Value::as_str);
            if kinds.any(|kind| shipped.contains(&kind)) {
                roots.push(PathBuf::from(text(target, "src_path")?));
            }
        }
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            manifest: PathBuf::from(text(package, "manifest_path")?),
            roots,
            dependencies: list(package, "dependencies")?.iter().map(Dependency::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> Result<Self, Failure> {
        let kind = match dependency["kind"].as_str() {
            Some("dev") => DependencyKind::Development,
            _ => DependencyKind::Shipped,
        };
        Ok(Self { name: text(dependency, "name")?.to_owned(), kind })
    }
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str, Failure> {
    value[member].as_str().ok_or_else(|| Failure::new(format!("cargo metadata has no text {member:?}")))
}

fn list<'a>(value: &'a Value, member: &str) -> Result<&'a Vec<Value>, Failure> {
    value[member].as_array().ok_or_else(|| Failure::new(format!("cargo metadata has no list {member:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_contains_this_package() {
        let workspace = Workspace::load().unwrap();
        let xtask = workspace.members.iter().find(|member| member.name == "xtask").unwrap();
        assert_eq!(workspace.relative(&xtask.manifest), Path::new("xtask/Cargo.toml"));
        assert_eq!(xtask.roots, [workspace.root.join("xtask/src/main.rs")]);
        assert!(xtask.dependencies.iter().any(|dependency| dependency.name == "serde_json"));
    }

    #[test]
    fn metadata_without_packages_is_refused() {
        assert!(Workspace::parse(r#"{"workspace_root": "/r", "target_directory": "/t"}"#).is_err());
    }
}
