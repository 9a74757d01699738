//! Everything that the head vouches for, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulla_backend::Revision;
use bulla_keyring::Keyring;
use bulla_seal::KeyVersionId;

use super::api_key::KeyRow;
use super::approle::AppRoleRow;
use super::binding::BindingRow;
use super::error::{AccessError, Result};
use super::policy_store::PolicyRow;
use super::role::RoleRow;
use super::sealed::{HeadRow, Kind, Place, digest, open};
use super::settings::SettingsRow;
use super::user::UserRow;
use super::{AppRoleName, BindingName, CredentialId, PolicyName, RoleName, UserName};

/// What a document says.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    AppRole(Arc<AppRoleRow>),
    Binding(Arc<BindingRow>),
    Key(Arc<KeyRow>),
    Policy(Arc<PolicyRow>),
    Role(Arc<RoleRow>),
    Settings(Arc<SettingsRow>),
    User(Arc<UserRow>),
}

impl Object {
    /// Opens a document of a place; returns which write of it this is, and the version of the key too.
    pub(crate) async fn open(keyring: &Keyring, place: Place, sealed: &[u8]) -> Result<(Self, u64, KeyVersionId)> {
        macro_rules! opened {
            ($variant:ident) => {{
                let opened = open(keyring, place.kind, &place.number, sealed).await?;
                (Self::$variant(Arc::new(opened.record)), opened.version, opened.key)
            }};
        }
        Ok(match place.kind {
            Kind::AppRole => opened!(AppRole),
            Kind::Binding => opened!(Binding),
            Kind::Key => opened!(Key),
            Kind::Policy => opened!(Policy),
            Kind::Role => opened!(Role),
            Kind::Settings => opened!(Settings),
            Kind::User => opened!(User),
            Kind::Head | Kind::Token | Kind::Secret | Kind::Used => {
                return Err(AccessError::corrupt(place.to_string(), "it lies where it does not belong"));
            }
        })
    }

    /// Seals the document for a place.
    pub(crate) fn seal(
        &self,
        key: &bulla_keyring::KeyVersion,
        keyring: &Keyring,
        place: Place,
        version: u64,
    ) -> Result<Vec<u8>> {
        macro_rules! sealed {
            ($row:expr) => {
                super::sealed::seal(key, keyring, place.kind, &place.number, version, &**$row)
            };
        }
        match self {
            Self::AppRole(row) => sealed!(row),
            Self::Binding(row) => sealed!(row),
            Self::Key(row) => sealed!(row),
            Self::Policy(row) => sealed!(row),
            Self::Role(row) => sealed!(row),
            Self::Settings(row) => sealed!(row),
            Self::User(row) => sealed!(row),
        }
    }
}

/// A document as it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) revision: Revision,
    /// The generation that wrote it.
    pub(crate) version: u64,
    /// The SHA-256 of what is stored.
    pub(crate) stored: [u8; 32],
    /// Under which version of the key it is sealed.
    pub(crate) key: KeyVersionId,
    pub(crate) object: Object,
}

/// The head as it was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) row: HeadRow,
    pub(crate) revision: Revision,
    pub(crate) stored: [u8; 32],
    /// Number of the version of the key that seals it.
    pub(crate) key_number: u64,
}

/// Rows by name, with their places.
pub(crate) type Index<N, R> = BTreeMap<N, (Place, Arc<R>)>;

/// All documents of one generation.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) head: Option<Head>,
    pub(crate) entries: BTreeMap<Place, Entry>,
    pub(crate) approles: Index<AppRoleName, AppRoleRow>,
    pub(crate) bindings: Index<BindingName, BindingRow>,
    pub(crate) keys: Index<CredentialId, KeyRow>,
    pub(crate) policies: Index<PolicyName, PolicyRow>,
    pub(crate) roles: Index<RoleName, RoleRow>,
    pub(crate) settings: Option<(Place, Arc<SettingsRow>)>,
    pub(crate) users: Index<UserName, UserRow>,
    pub(crate) compiled: super::compile::Compiled,
}

impl Snapshot {
    /// Files documents by their names; refuses two of one name.
    pub(crate) fn new(head: Option<Head>, entries: BTreeMap<Place, Entry>) -> Result<Self> {
        let mut snapshot = Self { head, ..Self::default() };
        for (place, entry) in &entries {
            let is_first = match &entry.object {
                Object::AppRole(row) => file(&mut snapshot.approles, row.name.clone(), *place, row),
                Object::Binding(row) => file(&mut snapshot.bindings, row.name.clone(), *place, row),
                Object::Key(row) => file(&mut snapshot.keys, row.id, *place, row),
                Object::Policy(row) => file(&mut snapshot.policies, row.name.clone(), *place, row),
                Object::Role(row) => file(&mut snapshot.roles, row.name.clone(), *place, row),
                Object::Settings(row) => snapshot.settings.replace((*place, Arc::clone(row))).is_none(),
                Object::User(row) => file(&mut snapshot.users, row.name.clone(), *place, row),
            };
            if !is_first {
                return Err(AccessError::corrupt(place.to_string(), "another document has its name"));
            }
        }
        snapshot.entries = entries;
        Ok(snapshot)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.head.map_or(0, |head| head.row.generation)
    }

    /// Returns what a head that vouches for these documents says.
    pub(crate) fn vouch(entries: &BTreeMap<Place, Entry>, generation: u64) -> HeadRow {
        let digest = digest(entries.iter().map(|(place, entry)| (place, entry.version, &entry.stored)));
        HeadRow { generation, digest, documents: entries.len() as u64 }
    }
}

fn file<N: Ord, R>(index: &mut Index<N, R>, name: N, place: Place, row: &Arc<R>) -> bool {
    index.insert(name, (place, Arc::clone(row))).is_none()
}
