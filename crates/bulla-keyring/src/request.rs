//! What a machine that is not in yet asks with.

use std::fmt;
use std::str::FromStr;

use bulla_backend::Timestamp;
use bulla_seal::{ProjectId, SealError, Signature, VerifyingKey};
use data_encoding::BASE64URL_NOPAD;

use crate::cbor::{self, Malformed, Reader};
use crate::{Fingerprint, Identity, KeyringError, MachineName, PublicIdentity};

/// Longest text of a request, in characters.
pub const MAX_REQUEST_LEN: usize = 4_096;

const PREFIX: &str = "bulla-request:v1:";
const VERSION: u64 = 1;
const LABEL: &[u8] = b"bulla/request/signature/v1\0";
const ANY_PROJECT: ProjectId = ProjectId([0; 32]);

/// A machine's request to be let in: its public keys and the name that it would like, signed by itself.
///
/// The text form is one line, `bulla-request:v1:` and base64url; it is no secret. The signature shows that whoever made it holds
/// the private key, and that nothing was altered; it does not say who that is. The fingerprint does, if it was compared.
///
/// # Examples
/// ```
/// use bulla_backend::Timestamp;
/// use bulla_keyring::{Identity, Request};
///
/// let identity = Identity::generate()?;
/// let text = Request::create(&identity, "laptop".parse()?, None, Timestamp(1_700_000_000_000))?.to_string();
///
/// // On the machine of an authoriser, with the fingerprint that the laptop shows:
/// let request: Request = text.parse()?;
/// request.expect_fingerprint(identity.fingerprint())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    project: ProjectId,
    name: MachineName,
    public: PublicIdentity,
    time: Timestamp,
    signature: Signature,
}

impl Request {
    /// Asks for a machine to be let in; to one project only, where the machine knows which.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn create(
        identity: &Identity,
        name: MachineName,
        project: Option<ProjectId>,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let (project, public) = (project.unwrap_or(ANY_PROJECT), identity.public().clone());
        let unsigned = Self { project, name, public, time: now, signature: Signature([0; 64]) };
        let signature = identity.signing().sign(&signed_bytes(&unsigned.body()))?;
        Ok(Self { signature, ..unsigned })
    }

    /// Returns the fingerprint of the machine that asks.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.public.fingerprint()
    }

    /// Returns its public keys.
    #[must_use]
    pub fn public(&self) -> &PublicIdentity {
        &self.public
    }

    /// Returns the friendly name that it would like.
    #[must_use]
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// Returns the project that it asks for; `None` if it did not know.
    #[must_use]
    pub fn project(&self) -> Option<ProjectId> {
        (self.project != ANY_PROJECT).then_some(self.project)
    }

    /// Returns when it was made, as the machine says.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Requires that the machine that asks is the expected one.
    ///
    /// # Errors
    /// [`OtherMachineError`] if the request was replaced by that of another.
    pub fn expect_fingerprint(&self, expected: Fingerprint) -> Result<(), OtherMachineError> {
        let found = self.fingerprint();
        if found == expected { Ok(()) } else { Err(OtherMachineError { expected, found }) }
    }

    pub(crate) fn check_project(&self, project: &ProjectId) -> Result<(), KeyringError> {
        match self.project() {
            Some(requested) if requested != *project => {
                Err(KeyringError::RequestElsewhere { requested, project: *project })
            }
            _ => Ok(()),
        }
    }

    fn body(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(6)?.u64(VERSION)?.bytes(&self.project.0)?.str(self.name.as_str())?;
            e.bytes(self.public.encryption())?.bytes(&self.public.signing().0)?.u64(self.time.0).map(drop)
        })
    }

    fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| e.array(2)?.bytes(&self.body())?.bytes(&self.signature.0).map(drop))
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut signed = Reader::new(bytes);
        signed.array(2)?;
        let mut r = Reader::new(signed.bytes()?);
        let signature = Signature(signed.fixed()?);
        r.array(6)?;
        if r.uint()? != VERSION {
            return Err(Malformed);
        }
        let project = ProjectId(r.fixed()?);
        let name = r.text()?.parse().map_err(|_| Malformed)?;
        let encryption = r.bytes()?;
        let public = PublicIdentity::new(encryption, VerifyingKey(r.fixed()?)).ok_or(Malformed)?;
        let request = Self { project, name, public, time: Timestamp(r.uint()?), signature };
        if request.encode() == bytes { Ok(request) } else { Err(Malformed) }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(&self.encode()))
    }
}

impl FromStr for Request {
    type Err = ParseRequestError;

    /// Reads a request; spaces and line ends around it are passed over.
    fn from_str(text: &str) -> Result<Self, ParseRequestError> {
        let text = text.trim_ascii();
        if text.len() > MAX_REQUEST_LEN {
            return Err(ParseRequestError::TooLong);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(ParseRequestError::NotARequest)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| ParseRequestError::Malformed)?;
        let request = Self::decode(&bytes).map_err(|Malformed| ParseRequestError::Malformed)?;
        if request.public.signing().verifies(&signed_bytes(&request.body()), &request.signature) {
            Ok(request)
        } else {
            Err(ParseRequestError::Signature)
        }
    }
}

/// Why a text is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRequestError {
    /// Longer than any request.
    #[error("a request has at most {MAX_REQUEST_LEN} characters")]
    TooLong,
    /// Something else, or a format of the future.
    #[error("it does not begin with `{PREFIX}`")]
    NotARequest,
    /// Cut off, or changed.
    #[error("the request is not well-formed; it may be cut off: copy the whole line")]
    Malformed,
    /// Altered on its way.
    #[error("the request was altered: it does not carry the signature of the machine that it names")]
    Signature,
}

/// A request was made by another machine than the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request was made by machine {found}, expected was {expected}; it may have been replaced on its way")]
pub struct OtherMachineError {
    /// The machine that was expected.
    pub expected: Fingerprint,
    /// The machine that asks.
    pub found: Fingerprint,
}

fn signed_bytes(body: &[u8]) -> Vec<u8> {
    [LABEL, body].concat()
}
