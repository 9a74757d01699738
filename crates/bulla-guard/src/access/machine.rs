//! Requests that a machine signs with its identity (spec, "Signed requests").

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_keyring::{Fingerprint, Identity};
use bulla_seal::{ProjectId, SealError, Signature, VerifyingKey, fill_random};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use minicbor::Encoder;

use super::codec::{Out, Written};
use super::principal::RefusedReason;

/// How far the clocks of a machine and of the server may be apart, and so how long a request is remembered.
const WINDOW: Duration = Duration::from_secs(30);
/// Most requests that are remembered. Beyond them nobody is let in by a signature until the oldest are out of the window.
const MAX_REMEMBERED: usize = 65_536;
/// Longest method and path that are signed, in bytes.
const MAX_METHOD_LEN: usize = 16;
const MAX_SIGNED_PATH_LEN: usize = 8_192;

const LABEL: &[u8] = b"bulla/access/request/v1\0";
const SCHEME: &str = "bulla-machine-v1";

/// What a machine signs: one request, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest<'a> {
    /// The method, such as `POST`.
    pub method: &'a str,
    /// The path with the query, as it is sent.
    pub path: &'a str,
    /// The SHA-256 of the body.
    pub body: [u8; 32],
}

/// That a machine made a request: the value of its `Authorization` header.
///
/// # Examples
/// ```
/// use bulla_guard::access::{MachineSignature, RequestDigest};
/// # use bulla_backend::Timestamp;
/// # use bulla_seal::ProjectId;
///
/// let machine = bulla_keyring::Identity::generate()?;
/// let request = RequestDigest { method: "GET", path: "/v1/machines", body: bulla_seal::sha256(b"") };
/// let signature = MachineSignature::sign(&machine, &ProjectId([7; 32]), &request, Timestamp(0))?;
/// assert_eq!(signature.to_string().parse(), Ok(signature));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineSignature {
    machine: Fingerprint,
    time: Timestamp,
    nonce: [u8; 16],
    signature: Signature,
}

impl MachineSignature {
    /// Signs a request as this machine.
    ///
    /// # Errors
    /// [`SealError`] if nothing can be drawn or signed.
    pub fn sign(
        identity: &Identity,
        project: &ProjectId,
        request: &RequestDigest<'_>,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let mut nonce = [0; 16];
        fill_random(&mut nonce)?;
        let machine = identity.fingerprint();
        let signature = identity.signing().sign(&signed_bytes(project, machine, request, now, &nonce))?;
        Ok(Self { machine, time: now, nonce, signature })
    }

    /// Returns the machine that it says made the request.
    #[must_use]
    pub fn machine(&self) -> Fingerprint {
        self.machine
    }

    /// Requires that the machine of a public key signed this request.
    pub(crate) fn verify(
        &self,
        key: &VerifyingKey,
        project: &ProjectId,
        request: &RequestDigest<'_>,
    ) -> Result<(), RefusedReason> {
        if request.method.len() > MAX_METHOD_LEN || request.path.len() > MAX_SIGNED_PATH_LEN {
            return Err(RefusedReason::Malformed);
        }
        let message = signed_bytes(project, self.machine, request, self.time, &self.nonce);
        if key.verifies(&message, &self.signature) { Ok(()) } else { Err(RefusedReason::Signature) }
    }
}

fn signed_bytes(
    project: &ProjectId,
    machine: Fingerprint,
    request: &RequestDigest<'_>,
    time: Timestamp,
    nonce: &[u8; 16],
) -> Vec<u8> {
    let mut out = LABEL.to_vec();
    let write = |encoder: &mut Out<'_>| -> Written {
        encoder.array(7)?.bytes(&project.0)?.bytes(&machine.0)?.str(request.method)?.str(request.path)?;
        encoder.bytes(&request.body)?.u64(time.0)?.bytes(nonce).map(drop)
    };
    let written = write(&mut Encoder::new(&mut out));
    debug_assert!(written.is_ok(), "encoding to memory does not fail");
    out
}

impl fmt::Display for MachineSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nonce, signature) = (HEXLOWER.encode(&self.nonce), BASE64URL_NOPAD.encode(&self.signature.0));
        write!(f, "{SCHEME} {} {} {nonce} {signature}", self.machine, self.time.0)
    }
}

impl std::str::FromStr for MachineSignature {
    type Err = ParseMachineSignatureError;

    fn from_str(text: &str) -> Result<Self, ParseMachineSignatureError> {
        let parse = || {
            let mut parts = text.split(' ');
            (parts.next()? == SCHEME).then_some(())?;
            let machine = parts.next()?.parse().ok()?;
            let time = Timestamp(parts.next()?.parse().ok()?);
            let nonce = HEXLOWER.decode(parts.next()?.as_bytes()).ok()?.try_into().ok()?;
            let signature = Signature(BASE64URL_NOPAD.decode(parts.next()?.as_bytes()).ok()?.try_into().ok()?);
            Some(Self { machine, time, nonce, signature })
        };
        // What is not written as we write it is refused.
        let is_short = text.len() <= 256;
        let parsed = is_short.then(parse).flatten();
        parsed.filter(|signature| signature.to_string() == text).ok_or(ParseMachineSignatureError)
    }
}

/// The text is no signature of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no signature of a machine")]
pub struct ParseMachineSignatureError;

/// Remembers which requests were made, for as long as they could be made again.
#[derive(Debug)]
pub(crate) struct ReplayGuard {
    /// Requests that were signed before this process began are refused: it does not know which it has seen.
    began: Timestamp,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: HashSet<(Fingerprint, [u8; 16])>,
    /// Until when each is remembered, in the order of coming.
    until: VecDeque<(Timestamp, (Fingerprint, [u8; 16]))>,
}

impl ReplayGuard {
    pub(crate) fn new(began: Timestamp) -> Self {
        Self { began, seen: Mutex::default() }
    }

    /// Takes a request whose signature was verified, once.
    pub(crate) fn take(&self, request: &MachineSignature, now: Timestamp) -> Result<(), RefusedReason> {
        let window = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        if request.time < self.began || request.time.0.abs_diff(now.0) > window {
            return Err(RefusedReason::Time);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while seen.until.front().is_some_and(|(until, _)| *until < now) {
            if let Some((_, old)) = seen.until.pop_front() {
                seen.requests.remove(&old);
            }
        }
        let id = (request.machine, request.nonce);
        if seen.requests.contains(&id) {
            return Err(RefusedReason::Replayed);
        }
        if seen.requests.len() >= MAX_REMEMBERED {
            return Err(RefusedReason::Crowded);
        }
        seen.requests.insert(id);
        // Until it is out of the window whichever clock it was signed by: all are remembered for equally long, so that the oldest come first.
        seen.until.push_back((now.saturating_add(2 * WINDOW), id));
        Ok(())
    }
}
