//! What a named key is, as its callers see it, and its versions as they are used.

use std::fmt;
use std::sync::Arc;

use bulla_backend::{DocumentKey, Timestamp};
use bulla_seal::{
    EcdsaKey, EcdsaPublicKey, KeyVersionId, MacKey, MlDsaKey, MlDsaPublicKey, Params, ProjectId, SealError, SealKey,
    Secret, SecretVec, SigningKey, VerifyingKey,
};

use crate::sealed_to::{SealToKey, XWingKey};
use crate::{Algorithm, KeyName, KeyOrigin, KeySettings, KeyringError, Result, VersionState};

/// A named key, without its material.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its name.
    pub name: KeyName,
    /// What it does.
    pub algorithm: Algorithm,
    /// Where its material comes from.
    pub origin: KeyOrigin,
    /// When it was created.
    pub created: Timestamp,
    /// How often what is known of it was written: each change adds one.
    pub serial: u64,
    /// Number of its first version.
    pub first: u64,
    /// Number of its newest version, which seals.
    pub newest: u64,
    /// When the newest version was made the newest.
    pub rotated: Timestamp,
    /// How it may be used.
    pub settings: KeySettings,
    /// From when on there is no way back, if it was deleted: it does nothing any more.
    pub deleting: Option<Timestamp>,
}

/// One version of a key, without its material.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionInfo {
    /// Its number within the key.
    pub number: u64,
    /// Its name within the project, which sealed values carry.
    pub id: KeyVersionId,
    /// What it may be used for.
    pub state: VersionState,
    /// When it was made.
    pub created: Timestamp,
    /// The epoch in which it was made; a version that seals was made in the current one.
    pub born: u64,
    /// Epoch of the data key that wraps it.
    pub epoch: u64,
}

/// Some keys of a listing. A damaged row takes its own place in it and hides no other.
#[derive(Debug)]
pub struct KeyPage {
    /// The keys in order of their names, or why a row cannot be read.
    pub keys: Vec<Result<KeyInfo>>,
    /// Where the next page begins, or `None` if this was the last.
    pub next: Option<DocumentKey>,
}

/// Some versions of a key. A damaged row takes its own place in it and hides no other.
#[derive(Debug)]
pub struct VersionPage {
    /// The versions in order of their numbers, or why a row cannot be read.
    pub versions: Vec<Result<VersionInfo>>,
    /// The number behind which the next page begins, or `None` if this was the last.
    pub next: Option<u64>,
}

/// One version of a key, ready to seal and open.
pub struct KeyVersion {
    name: KeyName,
    number: u64,
    params: Params,
    key: Arc<SealKey>,
}

impl KeyVersion {
    pub(crate) fn new(name: KeyName, number: u64, params: Params, key: SealKey) -> Self {
        Self { name, number, params, key: Arc::new(key) }
    }

    /// Returns the name of its key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Returns its number within the key.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the id that values sealed under it carry.
    #[must_use]
    pub fn id(&self) -> KeyVersionId {
        self.key.id()
    }

    /// Returns how the key's algorithm seals.
    #[must_use]
    pub fn params(&self) -> Params {
        self.params
    }

    /// Returns the prepared key.
    ///
    /// # Security
    /// Seal only under the version that [`Keyring::current`](crate::Keyring::current) returned for this message: one kept for
    /// longer does not notice a rotation, nor that it was disabled.
    #[must_use]
    pub fn seal_key(&self) -> &Arc<SealKey> {
        &self.key
    }
}

impl fmt::Debug for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyVersion({} {} {})", self.name, self.number, self.id())
    }
}

/// What others need to verify signatures of a version, or to seal to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// Verifies Ed25519 signatures.
    Ed25519(VerifyingKey),
    /// Verifies ECDSA signatures.
    EcdsaP256(EcdsaPublicKey),
    /// Verifies ML-DSA-65 signatures.
    MlDsa65(MlDsaPublicKey),
    /// Seals; its text form is all that a producer needs.
    XWing(SealToKey),
}

impl PublicKey {
    /// Says whether the signature, without the id of the version before it, is this key's over the message. A key to seal to verifies none.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => {
                signature.try_into().is_ok_and(|signature| key.verifies(message, &bulla_seal::Signature(signature)))
            }
            Self::EcdsaP256(key) => key.verifies(message, signature),
            Self::MlDsa65(key) => key.verifies(message, signature),
            Self::XWing(_) => false,
        }
    }
}

/// One version of any key, prepared for what its algorithm does.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: KeyName,
    pub(crate) number: u64,
    pub(crate) id: KeyVersionId,
    pub(crate) algorithm: Algorithm,
    /// The epoch in which it was made.
    pub(crate) born: u64,
    pub(crate) prepared: Prepared,
}

/// Material that is ready for use.
#[derive(Debug)]
pub(crate) enum Prepared {
    Seal(Arc<KeyVersion>),
    Mac(Arc<MacKey>),
    Ed25519(SigningKey),
    EcdsaP256(EcdsaKey),
    MlDsa65(MlDsaKey),
    XWing(XWingKey),
}

impl Version {
    /// Prepares material; refuses what is none of the algorithm.
    pub(crate) fn prepare(
        project: ProjectId,
        name: &KeyName,
        number: u64,
        id: KeyVersionId,
        algorithm: Algorithm,
        born: u64,
        material: &SecretVec,
    ) -> std::result::Result<Self, SealError> {
        let seed = || Secret::<32>::from_slice(material.expose()).ok_or(SealError::NoPrivateKey);
        let prepared = match (algorithm, algorithm.params()) {
            (_, Some(params)) => {
                let key = SealKey::new(id, material.expose())?;
                Prepared::Seal(Arc::new(KeyVersion::new(name.clone(), number, params, key)))
            }
            (Algorithm::HmacSha256, _) => Prepared::Mac(Arc::new(MacKey::new(material.expose())?)),
            (Algorithm::Ed25519, _) => Prepared::Ed25519(SigningKey::from_seed(seed()?)?),
            (Algorithm::EcdsaP256, _) => Prepared::EcdsaP256(EcdsaKey::from_secret(seed()?)?),
            (Algorithm::MlDsa65, _) => Prepared::MlDsa65(MlDsaKey::from_seed(seed()?)?),
            (_, None) => Prepared::XWing(XWingKey::new(project, id, seed()?)?),
        };
        Ok(Self { name: name.clone(), number, id, algorithm, born, prepared })
    }

    /// Says whether it is the version of this number of this key.
    pub(crate) fn is(&self, name: &KeyName, number: u64) -> bool {
        self.name == *name && self.number == number
    }

    /// Returns the version, if its key seals under material that both sides hold.
    pub(crate) fn sealing(&self, operation: &'static str) -> Result<&Arc<KeyVersion>> {
        match &self.prepared {
            Prepared::Seal(version) => Ok(version),
            _ => Err(self.wrong_use(operation)),
        }
    }

    /// Returns what others need to verify or to seal.
    pub(crate) fn public(&self) -> Result<PublicKey> {
        match &self.prepared {
            Prepared::Ed25519(key) => Ok(PublicKey::Ed25519(key.verifying_key())),
            Prepared::EcdsaP256(key) => Ok(PublicKey::EcdsaP256(key.public())),
            Prepared::MlDsa65(key) => Ok(PublicKey::MlDsa65(key.public().clone())),
            Prepared::XWing(key) => Ok(PublicKey::XWing(key.seal_to(self.name.clone()))),
            Prepared::Seal(_) | Prepared::Mac(_) => Err(self.wrong_use("have a public key")),
        }
    }

    pub(crate) fn wrong_use(&self, operation: &'static str) -> KeyringError {
        KeyringError::WrongUse { name: self.name.clone(), algorithm: self.algorithm, operation }
    }
}
