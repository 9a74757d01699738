//! Bindings: which user or roles a client certificate, a local peer or a machine has.

use std::sync::Arc;

use bulla_keyring::Fingerprint;

use super::codec::{Field, record};
use super::error::{AccessError, Result};
use super::sealed::{Kind, Place};
use super::snapshot::{Object, Snapshot};
use super::store::Edit;
use super::{Access, BindingName, RoleGrant, UserName};

/// Longest text that a rule on certificates compares with, in bytes.
const MAX_TEXT_LEN: usize = 1_024;

/// Which user or roles somebody has who is known by something else than a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Who.
    pub of: BindingSubject,
    /// The user whose roles they have, and who they are in the audit log.
    pub user: Option<UserName>,
    /// Roles that they have beside or without a user.
    pub grants: Vec<RoleGrant>,
}

/// Whom a binding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingSubject {
    /// Whoever shows a client certificate that a rule matches.
    Certificate(CertificateRule),
    /// A local process of a user of the operating system.
    Uid(u32),
    /// A local process of a group of the operating system.
    Gid(u32),
    /// A machine of the trust log.
    Machine(Fingerprint),
}

/// What a client certificate must be. All that is given must match; something must be given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateRule {
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// A DNS name among its alternative names; `*.` at the beginning stands for any one label.
    pub dns: Option<String>,
    /// A URI among its alternative names, as SPIFFE has them; `/*` at the end stands for any one segment, `/**` for one or more.
    pub uri: Option<String>,
    /// A mail address among its alternative names.
    pub email: Option<String>,
    /// Its serial number, in lower-case hexadecimal digits.
    pub serial: Option<String>,
    /// Its issuer, as the verifier writes it.
    pub issuer: Option<String>,
}

/// What a client certificate says.
///
/// # Security
/// Only of a certificate that was verified: its chain, its time, its use for clients, and that it was not revoked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateFields {
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// The DNS names among its alternative names.
    pub dns: Vec<String>,
    /// The URIs among its alternative names.
    pub uris: Vec<String>,
    /// The mail addresses among its alternative names.
    pub emails: Vec<String>,
    /// Its serial number, in lower-case hexadecimal digits.
    pub serial: String,
    /// Its issuer, as the verifier writes it.
    pub issuer: String,
}

record!(CertificateRule { common_name, dns, uri, email, serial, issuer });

impl CertificateRule {
    fn texts(&self) -> [&Option<String>; 6] {
        [&self.common_name, &self.dns, &self.uri, &self.email, &self.serial, &self.issuer]
    }

    fn check(&self) -> Result<()> {
        let invalid = |bound| Err(AccessError::Invalid { what: "a rule on certificates", bound });
        let mut given = self.texts().into_iter().flatten().peekable();
        if given.peek().is_none() {
            return invalid("says something of the certificate");
        }
        if given.any(|text| text.is_empty() || text.len() > MAX_TEXT_LEN || text.contains('\0')) {
            return invalid("has texts of 1 to 1024 bytes");
        }
        let stars = |text: &str, ends: &[&str]| {
            let inner = ends.iter().fold(text, |text, end| text.strip_suffix(end).unwrap_or(text));
            !inner.contains('*')
        };
        if self.uri.as_ref().is_some_and(|uri| !stars(uri, &["/**", "/*"])) {
            return invalid("has `*` in a URI only as the whole end");
        }
        if self.dns.as_ref().is_some_and(|dns| dns.strip_prefix("*.").unwrap_or(dns).contains('*')) {
            return invalid("has `*` in a DNS name only as the whole first label");
        }
        Ok(())
    }

    /// Says whether all that is given is so.
    #[must_use]
    pub fn matches(&self, fields: &CertificateFields) -> bool {
        let given = |rule: &Option<String>, is: &dyn Fn(&str) -> bool| rule.as_deref().is_none_or(is);
        self.texts().into_iter().any(Option::is_some)
            && given(&self.common_name, &|name| fields.common_name.as_deref() == Some(name))
            && given(&self.dns, &|rule| fields.dns.iter().any(|name| dns_matches(rule, name)))
            && given(&self.uri, &|rule| fields.uris.iter().any(|uri| uri_matches(rule, uri)))
            && given(&self.email, &|rule| fields.emails.iter().any(|email| email == rule))
            && given(&self.serial, &|serial| fields.serial == serial)
            && given(&self.issuer, &|issuer| fields.issuer == issuer)
    }
}

/// DNS names know no case, and nothing but ASCII.
fn dns_matches(rule: &str, name: &str) -> bool {
    match rule.strip_prefix("*.") {
        None => rule.eq_ignore_ascii_case(name),
        Some(rest) => name
            .split_once('.')
            .is_some_and(|(label, found)| !label.is_empty() && label != "*" && found.eq_ignore_ascii_case(rest)),
    }
}

fn uri_matches(rule: &str, uri: &str) -> bool {
    let below = |base: &str| uri.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    // A URI that could be read as another one is none to rely on.
    let is_plain = |rest: &str| {
        !rest.is_empty()
            && !rest.contains(['%', '?', '#', '\\'])
            && rest.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
    };
    if let Some(base) = rule.strip_suffix("/**") {
        return below(base).is_some_and(is_plain);
    }
    if let Some(base) = rule.strip_suffix("/*") {
        return below(base).is_some_and(|rest| is_plain(rest) && !rest.contains('/'));
    }
    rule == uri
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindingRow {
    pub(crate) name: BindingName,
    pub(crate) of: BindingSubject,
    pub(crate) user: Option<UserName>,
    /// The number of the user: a later one of the same name is another.
    pub(crate) user_number: Option<[u8; 16]>,
    pub(crate) grants: Vec<RoleGrant>,
}

record!(BindingRow { name, of, user, user_number, grants });

impl Field for BindingSubject {
    fn put(&self, out: &mut super::codec::Out<'_>) -> super::codec::Written {
        out.array(2)?;
        match self {
            Self::Certificate(rule) => {
                1_u64.put(out)?;
                rule.put(out)
            }
            Self::Uid(uid) => {
                2_u64.put(out)?;
                uid.put(out)
            }
            Self::Gid(gid) => {
                3_u64.put(out)?;
                gid.put(out)
            }
            Self::Machine(fingerprint) => {
                4_u64.put(out)?;
                fingerprint.put(out)
            }
        }
    }

    fn take(from: &mut minicbor::Decoder<'_>) -> Option<Self> {
        (from.array().ok()?? == 2).then_some(())?;
        Some(match u64::take(from)? {
            1 => Self::Certificate(Field::take(from)?),
            2 => Self::Uid(Field::take(from)?),
            3 => Self::Gid(Field::take(from)?),
            4 => Self::Machine(Field::take(from)?),
            _ => return None,
        })
    }
}

impl Snapshot {
    /// Returns the bindings that are about somebody.
    pub(crate) fn bindings_of(&self, is: impl Fn(&BindingSubject) -> bool) -> Vec<Arc<BindingRow>> {
        self.bindings.values().filter(|(_, row)| is(&row.of)).map(|(_, row)| Arc::clone(row)).collect()
    }
}

impl Access {
    /// Writes a binding, in place of one of the same name.
    ///
    /// # Errors
    /// [`AccessError::UnknownUser`], [`AccessError::UnknownRole`]; [`AccessError::Invalid`] for a rule on certificates that says nothing, or is
    /// out of its bounds, and for a binding that gives neither a user nor a role; as [`Access::refresh`], [`AccessError::Full`].
    pub async fn bind(&self, name: &BindingName, binding: &Binding) -> Result<()> {
        self.bind_if(name, binding, |_, _, _| Ok(())).await
    }

    /// `may` is asked about the binding that is there under this name, and the one that is to be.
    pub(crate) async fn bind_if(
        &self,
        name: &BindingName,
        binding: &Binding,
        may: impl Fn(&Snapshot, Option<&BindingRow>, &BindingRow) -> Result<()>,
    ) -> Result<()> {
        if let BindingSubject::Certificate(rule) = &binding.of {
            rule.check()?;
        }
        if binding.user.is_none() && binding.grants.is_empty() {
            return Err(AccessError::Invalid { what: "a binding", bound: "gives a user or roles" });
        }
        let Binding { of, user, grants } = binding.clone();
        let row = BindingRow { name: name.clone(), of, user, user_number: None, grants };
        let new = Place::random(Kind::Binding)?;
        self.change(|snapshot| {
            let user = row.user.as_ref().map(|user| snapshot.user(user)).transpose()?;
            snapshot.check_grants(&row.grants)?;
            let row = BindingRow { user_number: user.map(|(_, user)| user.number), ..row.clone() };
            let known = snapshot.bindings.get(name);
            may(snapshot, known.map(|(_, row)| &**row), &row)?;
            let place = known.map_or(new, |(place, _)| *place);
            Ok((vec![Edit::Put(place, Object::Binding(Arc::new(row)))], ()))
        })
        .await
    }

    /// Deletes a binding.
    ///
    /// # Errors
    /// [`AccessError::UnknownBinding`]; as [`Access::refresh`].
    pub async fn unbind(&self, name: &BindingName) -> Result<()> {
        self.unbind_if(name, |_| Ok(())).await
    }

    pub(crate) async fn unbind_if(&self, name: &BindingName, may: impl Fn(&BindingRow) -> Result<()>) -> Result<()> {
        self.change(|snapshot| {
            let found = snapshot.bindings.get(name);
            let (place, row) = found.ok_or_else(|| AccessError::UnknownBinding(name.clone()))?;
            may(row)?;
            Ok((vec![Edit::Delete(*place)], ()))
        })
        .await
    }

    /// Returns all bindings, in the order of their names.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn bindings(&self) -> Result<Vec<(BindingName, Binding)>> {
        let snapshot = self.fresh().await?;
        let describe =
            |row: &BindingRow| Binding { of: row.of.clone(), user: row.user.clone(), grants: row.grants.clone() };
        Ok(snapshot.bindings.values().map(|(_, row)| (row.name.clone(), describe(row))).collect())
    }
}
