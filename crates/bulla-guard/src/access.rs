//! Who may do what: principals, users, API keys, tokens, roles and policies.
//!
//! [`Access`] is opened on a project's trust database. It keeps in memory what it has read, knows within a second what other processes changed,
//! and lets nobody in once it could not know for five. `spec/access.md` states what is stored.
//!
//! # Which door
//!
//! | you want | use |
//! |---|---|
//! | to know who asks | [`SecretText::parse`], [`MachineSignature`], then [`Access::authenticate`] |
//! | to know what they may | [`Principal::allows`], [`Principal::allows_path`] |
//! | users and their roles | [`Access::create_user`], [`Access::assign`], [`Access::remove`], [`Access::put_role`] |
//! | API keys | [`Access::create_key`], [`Access::roll_key`], [`Access::revoke_key`], [`Access::keys`] |
//! | policies and tokens as Vault has them | [`Access::put_policy`], [`Access::create_token`], [`Access::put_approle`] |
//! | certificates, local processes and machines | [`Access::bind`] |
//! | that whoever changes these hands out no more than they have | [`Access::given_by`] |
//! | to be safe from old copies of the database | [`Access::pin`] |
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//!
//! use bulla_backend::{MemoryDocuments, SystemClock};
//! use bulla_guard::access::{Access, AccessOptions, Credential, NewApiKey, PeerInfo, Permission, RoleGrant, SecretText};
//! use bulla_keyring::{Identity, Keyring};
//!
//! # pollster::block_on(async {
//! let documents = Arc::new(MemoryDocuments::new());
//! let identity = Arc::new(Identity::generate()?);
//! let clock = Arc::new(SystemClock);
//! let keyring = Keyring::create(documents.clone(), identity, &"laptop".parse()?, clock.clone()).await?;
//! let access = Access::open(Arc::new(keyring), documents, clock, None, AccessOptions::default()).await?;
//!
//! let ann = "ann".parse()?;
//! access.create_user(&ann, &[RoleGrant::within("user".parse()?, "keys/orders-*".parse()?)]).await?;
//! let issued = access.create_key(&ann, &NewApiKey::default()).await?;
//! let shown_once = issued.secret.expose().to_owned();
//!
//! let presented = SecretText::parse(&shown_once)?;
//! let principal = access.authenticate(&Credential::Bearer(&presented), &PeerInfo::default()).await?;
//! assert!(principal.allows(Permission::UseKeys, &"keys/orders-2026".parse()?));
//! assert!(!principal.allows(Permission::UseKeys, &"keys/invoices".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api_key;
mod approle;
mod authenticate;
mod binding;
mod cidr;
mod codec;
mod compile;
mod error;
mod giving;
mod held;
mod loose;
mod machine;
mod name;
mod permission;
mod pin;
mod policy;
mod policy_store;
mod principal;
mod resource;
mod role;
mod rules;
mod sealed;
mod settings;
mod snapshot;
mod store;
mod text;
mod token;
mod used;
mod user;

use std::sync::{Arc, RwLock};

use bulla_backend::{Clock, Documents};
use bulla_keyring::Keyring;
use bulla_seal::MAC_LEN;

pub use api_key::{
    ApiKey, IssuedKey, MAX_LABEL_LEN, NewApiKey, ParseRevocationReasonError, Revocation, RevocationReason,
};
pub use approle::{AppRole, AppRoleSecret, IssuedSecret, NewAppRoleSecret};
pub use authenticate::{Credential, PeerInfo};
pub use binding::{Binding, BindingSubject, CertificateFields, CertificateRule};
pub use cidr::{Cidr, ParseCidrError};
pub use error::{AccessError, Result};
pub use giving::Giving;
pub use machine::{MachineSignature, ParseMachineSignatureError, RequestDigest};
pub use name::{AppRoleName, BindingName, PolicyName, RoleName, UserName};
pub use permission::{ParsePermissionError, Permission, Permissions};
pub use pin::{AccessPin, ParseAccessPinError};
pub use policy::{
    Capabilities, Capability, MAX_PATH_LEN, MAX_POLICY_LEN, MAX_POLICY_PATHS, ParameterValue, ParsePathError, Policy,
    PolicyError, RequestPath,
};
pub use principal::{Principal, PrincipalKind, Refused, RefusedReason};
pub use resource::{MAX_RESOURCE_LEN, MAX_RESOURCE_SEGMENTS, ParseResourceError, Pattern, Resource};
pub use role::{Role, RoleGrant};
pub use rules::{PathRequest, Rules};
pub use sealed::{ACCESS, ACCESS_TOKENS, ACCESS_USED};
pub use settings::AccessSettings;
pub use text::{
    CredentialId, CredentialKind, MAX_CREDENTIAL_LEN, MAX_ENVIRONMENT_LEN, ParseCredentialError, SecretText,
};
pub use token::{IssuedToken, MAX_TOKEN_DEPTH, NewToken, Swept, Token};
pub use user::{EffectivePermissions, User};

/// Most users, API keys, roles, policies, `AppRole`s and bindings of a project, taken together.
pub const MAX_DOCUMENTS: usize = 100_000;

/// Who may do what in a project. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Access {
    keyring: Arc<Keyring>,
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    options: AccessOptions,
    state: RwLock<store::State>,
    used: used::Used,
    held: held::HeldTokens,
    replays: machine::ReplayGuard,
    /// What a secret is compared with where there is none.
    nothing: [u8; MAC_LEN],
}

/// What a caller knows of the machine it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccessOptions {
    /// The user of the operating system that owns the project's files, who is an administrator unless a binding says otherwise.
    pub owner_uid: Option<u32>,
}

impl Access {
    /// Opens what a project's trust database says about who may do what.
    ///
    /// # Errors
    /// [`AccessError::NoCommit`] if the backend cannot change several documents at once; [`AccessError::Rollback`] if the database is older
    /// than the pin; as [`Access::refresh`].
    ///
    /// # Security
    /// Keep [`Access::pin`] on this machine, outside of the database, and hand it in. Without, whoever writes the database can put back an older
    /// state of it while no process is running: a key that was revoked would be good again.
    pub async fn open(
        keyring: Arc<Keyring>,
        documents: Arc<dyn Documents>,
        clock: Arc<dyn Clock>,
        pin: Option<&AccessPin>,
        options: AccessOptions,
    ) -> Result<Self> {
        if !documents.capabilities().commit {
            return Err(AccessError::NoCommit);
        }
        let mut nothing = [0; MAC_LEN];
        bulla_seal::fill_random(&mut nothing)?;
        let state = RwLock::new(store::State::new(pin.cloned().unwrap_or_default()));
        let (used, held) = (used::Used::default(), held::HeldTokens::default());
        let replays = machine::ReplayGuard::new(clock.now());
        let access = Self { keyring, documents, clock, options, state, used, held, replays, nothing };
        access.look().await?;
        Ok(access)
    }
}
