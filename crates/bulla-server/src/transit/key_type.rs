//! Types of keys, as the API names them.

use bulla::Algorithm;
use http::StatusCode;

use crate::ApiError;

/// The type of a key that is made without one.
const DEFAULT: &str = "aes256-gcm96";

/// Reads the name of a type.
pub(super) fn parse(name: Option<&str>, parameter_set: Option<&str>) -> Result<Algorithm, ApiError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or(DEFAULT);
    let parameter_set = parameter_set.filter(|set| !set.is_empty());
    match (name, parameter_set) {
        ("aes256-gcm96", None) => Ok(Algorithm::Aes256Gcm),
        ("chacha20-poly1305", None) => Ok(Algorithm::ChaCha20Poly1305),
        ("hmac", None) => Ok(Algorithm::HmacSha256),
        ("ed25519", None) => Ok(Algorithm::Ed25519),
        ("ecdsa-p256", None) => Ok(Algorithm::EcdsaP256),
        ("ml-dsa-65", None) | ("ml-dsa", Some("65")) => Ok(Algorithm::MlDsa65),
        ("ml-dsa", _) => Err(ApiError::field("parameter_set", "keys of type ml-dsa have the parameter set `65`")),
        (_, Some(_)) => Err(ApiError::field("parameter_set", "only keys of type ml-dsa have one")),
        ("aes128-gcm96", None) => {
            Err(unsupported(name, "use aes256-gcm96: it costs hardly more, and no quantum computer breaks it"))
        }
        ("xchacha20-poly1305", None) => {
            Err(unsupported(name, "use chacha20-poly1305: every message has its own key, so that no nonce can repeat"))
        }
        ("ecdsa-p384" | "ecdsa-p521", None) => Err(unsupported(name, "use ecdsa-p256, ed25519 or ml-dsa-65")),
        (_, None) if name.starts_with("rsa-") => {
            Err(unsupported(name, "use ed25519, ecdsa-p256 or ml-dsa-65 to sign, aes256-gcm96 to encrypt"))
        }
        _ => {
            let known = "the types are aes256-gcm96, chacha20-poly1305, hmac, ed25519, ecdsa-p256 and ml-dsa-65";
            let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
            Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_field", format!("unknown key type {shown}"))
                .with_hint(known))
        }
    }
}

/// Returns the name of a type.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Aes256Gcm | Algorithm::Aes256Deterministic => "aes256-gcm96",
        Algorithm::HmacSha256 => "hmac",
        other => other.name(),
    }
}

/// Says whether keys of the algorithm seal and open here.
pub(super) fn encrypts(algorithm: Algorithm) -> bool {
    algorithm.params().is_some()
}

/// Says whether keys of the algorithm sign.
pub(super) fn signs(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ed25519 | Algorithm::EcdsaP256 | Algorithm::MlDsa65)
}

fn unsupported(name: &str, hint: &str) -> ApiError {
    let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
    ApiError::new(StatusCode::BAD_REQUEST, "unsupported_type", format!("key type {shown} is not supported"))
        .with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_shown_under_the_name_it_was_asked_for() {
        for name in ["aes256-gcm96", "chacha20-poly1305", "hmac", "ed25519", "ecdsa-p256", "ml-dsa-65"] {
            assert_eq!(super::name(parse(Some(name), None).unwrap()), name);
        }
        assert_eq!(parse(None, None).unwrap(), Algorithm::Aes256Gcm);
        assert_eq!(parse(Some("ml-dsa"), Some("65")).unwrap(), Algorithm::MlDsa65);
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_to_take_instead() {
        for name in
            ["aes128-gcm96", "xchacha20-poly1305", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-4096", "nope", "xwing"]
        {
            let error = parse(Some(name), None).unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
            assert!(error.message().contains(name) && error.hint().is_some(), "{error:?}");
        }
        assert!(parse(Some("ml-dsa"), None).is_err() && parse(Some("hmac"), Some("65")).is_err());
    }
}
