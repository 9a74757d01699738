//! The RSA key that clients wrap material with that they bring.
//!
//! It is made when it is first asked for, and kept in the store, so that every server of the project has the same.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use bulla::{ExpectedVersion, GetOptions, Namespace, Project, PutOptions, StoreError};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::public_key::pem;
use crate::ApiError;

/// Where it is kept.
const NAMESPACE: &str = "server/transit";
const ENTRY: &[u8] = b"wrapping-key";

/// The public part of the key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WrappingKeyView {
    /// The key, of 4,096 bits.
    pub public_key: String,
}

/// Returns the key that material is wrapped with to be imported. The first call takes seconds of computing.
///
/// # Errors
/// As the store says.
pub async fn wrapping_key(project: &Project) -> Result<Answer<WrappingKeyView>, ApiError> {
    let key = load(project).await?;
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| failed())?;
    Ok(Answer::ok(WrappingKeyView { public_key: pem("PUBLIC KEY", der.as_ref()).as_str().to_owned() }))
}

/// Finds the padding that goes with a hash function.
pub(super) fn padding(hash_function: Option<&str>) -> Result<&'static OaepAlgorithm, ApiError> {
    match hash_function.unwrap_or_default().to_ascii_uppercase().as_str() {
        "" | "SHA256" => Ok(&OAEP_SHA256_MGF1SHA256),
        "SHA1" => Ok(&OAEP_SHA1_MGF1SHA1),
        "SHA384" => Ok(&OAEP_SHA384_MGF1SHA384),
        "SHA512" => Ok(&OAEP_SHA512_MGF1SHA512),
        _ => Err(ApiError::field("hash_function", "it is SHA1, SHA256, SHA384 or SHA512")),
    }
}

/// Decrypts what was encrypted with the public part; `None` if it was not.
pub(super) async fn decrypt(
    project: &Project,
    padding: &'static OaepAlgorithm,
    ciphertext: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, ApiError> {
    let key = OaepPrivateDecryptingKey::new(load(project).await?).map_err(|_| failed())?;
    let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
    let Ok(len) = key.decrypt(padding, ciphertext, &mut out, None).map(|plain| plain.len()) else { return Ok(None) };
    out.truncate(len);
    Ok(Some(out))
}

/// Length of what [`decrypt`] takes, in bytes.
pub(super) const WRAPPED_LEN: usize = 512;

async fn load(project: &Project) -> Result<PrivateDecryptingKey, ApiError> {
    let namespace = project.store(NAMESPACE).map_err(|_| failed())?;
    if let Some(key) = read(&namespace).await? {
        return Ok(key);
    }
    let key = PrivateDecryptingKey::generate(KeySize::Rsa4096).map_err(|_| failed())?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| failed())?;
    let options = PutOptions { expected: ExpectedVersion::Absent, sensitive: true, ..PutOptions::default() };
    match namespace.put(ENTRY, der.as_ref(), &options).await {
        Ok(_) => Ok(key),
        // Another server was faster: its key counts.
        Err(StoreError::VersionMismatch { .. }) => read(&namespace).await?.ok_or_else(failed),
        Err(error) => Err(of_store(&error)),
    }
}

async fn read(namespace: &Namespace) -> Result<Option<PrivateDecryptingKey>, ApiError> {
    match namespace.get(ENTRY, &GetOptions::default()).await {
        Ok(value) => {
            let der = Zeroizing::new(value.bytes);
            PrivateDecryptingKey::from_pkcs8(&der).map(Some).map_err(|_| failed())
        }
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(of_store(&error)),
    }
}

fn of_store(error: &StoreError) -> ApiError {
    let message = "the wrapping key cannot be read or kept in the store";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), message).with_hint("try again later")
}

fn failed() -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "wrapping_key", "the wrapping key cannot be made or used")
}
