use std::collections::BTreeMap;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::RequestId;
use crate::answer::Answer;
use crate::transit::SecretText;

/// What handlers answer.
pub trait Respond: Send + 'static {
    /// The status when all went well.
    const STATUS: u16;

    /// Describes the body, if it is JSON.
    const DESCRIBE: Option<fn(&mut SchemaGenerator) -> Schema> = None;

    /// Makes the answer.
    fn answer(self, id: &RequestId) -> Answer;
}

/// A JSON body in Vault's envelope: the value is under `data`.
#[derive(Debug, Clone)]
pub struct Data<T> {
    value: Option<T>,
    status: StatusCode,
    lease_seconds: u64,
    warnings: Vec<String>,
}

impl<T> Data<T> {
    /// Answers a value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self { value: Some(value), status: StatusCode::OK, lease_seconds: 0, warnings: Vec::new() }
    }

    /// Answers nothing but warnings.
    #[must_use]
    pub fn none() -> Self {
        Self { value: None, status: StatusCode::OK, lease_seconds: 0, warnings: Vec::new() }
    }

    /// Answers with another status: what was deleted is 404, with what is still known of it.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Says how long the value can be taken to be the newest.
    #[must_use]
    pub fn with_lease(self, seconds: u64) -> Self {
        Self { lease_seconds: seconds, ..self }
    }

    /// Adds a warning.
    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

/// What somebody gets who signs in, or renews a token: in Vault's envelope, under `auth`.
#[derive(Debug, Clone)]
pub struct Auth {
    auth: Authenticated,
    warnings: Vec<String>,
}

/// A token, as Vault hands it out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Authenticated {
    /// The token itself; empty for who knows its accessor only.
    pub client_token: SecretText,
    /// By which it is looked up, renewed and revoked.
    pub accessor: String,
    /// Its policies.
    pub policies: Vec<String>,
    /// The same: no policy comes from anywhere else.
    pub token_policies: Vec<String>,
    /// What the way of signing in says.
    pub metadata: Option<BTreeMap<String, String>>,
    /// For how many seconds it is good; 0 for ever.
    pub lease_duration: u64,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// There are no identities: empty.
    pub entity_id: String,
    /// The kind of token.
    pub token_type: String,
    /// Whether no token made it.
    pub orphan: bool,
    /// There is no second factor.
    pub mfa_requirement: Option<()>,
    /// How often it can be used; 0 for any number of times.
    pub num_uses: u64,
}

impl Auth {
    /// Answers a token.
    #[must_use]
    pub fn new(auth: Authenticated) -> Self {
        Self { auth, warnings: Vec::new() }
    }

    /// Adds a warning.
    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Returns the accessor of the token.
    pub(crate) fn accessor(&self) -> &str {
        &self.auth.accessor
    }
}

/// A JSON body as it is, without an envelope.
#[derive(Debug, Clone)]
pub struct Plain<T>(pub StatusCode, pub T);

/// No body: 204.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

/// A text, of a media type.
#[derive(Debug, Clone)]
pub struct Text(pub &'static str, pub String);

/// The envelope, in which every answer of Vault comes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Envelope_{T}")]
struct Envelope<'a, T> {
    request_id: &'a str,
    lease_id: &'a str,
    renewable: bool,
    lease_duration: u64,
    data: Option<&'a T>,
    wrap_info: Option<()>,
    warnings: Option<&'a [String]>,
    auth: Option<()>,
}

/// The envelope of a token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Envelope_Auth")]
struct AuthEnvelope<'a> {
    request_id: &'a str,
    lease_id: &'a str,
    renewable: bool,
    lease_duration: u64,
    data: Option<()>,
    wrap_info: Option<()>,
    warnings: Option<&'a [String]>,
    auth: &'a Authenticated,
}

impl Respond for Auth {
    const STATUS: u16 = 200;
    const DESCRIBE: Option<fn(&mut SchemaGenerator) -> Schema> =
        Some(|generator| generator.subschema_for::<AuthEnvelope<'static>>());

    fn answer(self, id: &RequestId) -> Answer {
        let envelope = AuthEnvelope {
            request_id: id.as_str(),
            lease_id: "",
            renewable: false,
            lease_duration: 0,
            data: None,
            wrap_info: None,
            warnings: (!self.warnings.is_empty()).then_some(&self.warnings),
            auth: &self.auth,
        };
        Answer::json(StatusCode::OK, &envelope)
    }
}

impl<T: Serialize + JsonSchema + Send + 'static> Respond for Data<T> {
    const STATUS: u16 = 200;
    const DESCRIBE: Option<fn(&mut SchemaGenerator) -> Schema> =
        Some(|generator| generator.subschema_for::<Envelope<'static, T>>());

    fn answer(self, id: &RequestId) -> Answer {
        let envelope = Envelope {
            request_id: id.as_str(),
            lease_id: "",
            renewable: false,
            lease_duration: self.lease_seconds,
            data: self.value.as_ref(),
            wrap_info: None,
            warnings: (!self.warnings.is_empty()).then_some(&self.warnings),
            auth: None,
        };
        Answer::json(self.status, &envelope)
    }
}

impl<T: Serialize + JsonSchema + Send + 'static> Respond for Plain<T> {
    const STATUS: u16 = 200;
    const DESCRIBE: Option<fn(&mut SchemaGenerator) -> Schema> = Some(|generator| generator.subschema_for::<T>());

    fn answer(self, _: &RequestId) -> Answer {
        Answer::json(self.0, &self.1)
    }
}

impl Respond for NoContent {
    const STATUS: u16 = 204;

    fn answer(self, _: &RequestId) -> Answer {
        Answer::empty(StatusCode::NO_CONTENT)
    }
}

impl Respond for Text {
    const STATUS: u16 = 200;

    fn answer(self, _: &RequestId) -> Answer {
        Answer::bytes(StatusCode::OK, self.0, self.1)
    }
}
