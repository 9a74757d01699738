//! What a handler gets.

use std::sync::Arc;

use bulla_guard::access::Principal;
use bulla_guard::audit::Code;
use bulla_guard::input::Query;
use http::{HeaderMap, StatusCode};

use crate::admission::{Admitted, Brought};
use crate::mounts::Mount;
use crate::peer::Peer;
use crate::table::{Endpoint, Verb};
use crate::transit::SecretText;
use crate::{ApiError, App, RequestId};

/// A request that was let in: where it leads, who asks, and what it is asked of.
#[derive(Debug)]
pub struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) verb: Verb,
    pub(crate) parameters: Vec<(&'static str, String)>,
    pub(crate) query: Query,
    /// Without those that hold credentials.
    pub(crate) headers: HeaderMap,
    pub(crate) mount: Option<Arc<Mount>>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) admitted: Arc<Admitted>,
    /// What the request showed, where that is what it is about.
    pub(crate) own: Option<SecretText>,
    pub(crate) id: RequestId,
}

impl Call {
    /// Returns what the server works on.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Returns the project.
    #[must_use]
    pub fn project(&self) -> &Arc<bulla::Project> {
        self.app.project()
    }

    /// Returns the session whose guard let the request in.
    ///
    /// # Errors
    /// 501, if it was a door of another sort.
    pub fn session(&self) -> Result<&Arc<bulla::Session>, ApiError> {
        let problem = "this server has no users, tokens and roles of its own";
        self.app.session().ok_or_else(|| ApiError::new(StatusCode::NOT_IMPLEMENTED, "no_guard", problem))
    }

    /// Returns who asks.
    ///
    /// # Errors
    /// 403, if nobody had to be known.
    pub fn principal(&self) -> Result<&Principal, ApiError> {
        let admitted = self.admitted.details::<bulla_guard::admission::Admitted>();
        admitted.and_then(|admitted| admitted.principal()).ok_or_else(ApiError::forbidden)
    }

    /// Returns the token or API key that the request showed. Only endpoints that [require](crate::Requires::Credential) one, whichever it is, get to see it.
    #[must_use]
    pub fn own_credential(&self) -> Option<&SecretText> {
        self.own.as_ref()
    }

    /// Returns the endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns how it is called.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// Returns a parameter of the path, decoded. One that this path of the endpoint does not have is empty.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.optional_param(name).unwrap_or_default()
    }

    /// Returns a parameter that only some paths of the endpoint have.
    #[must_use]
    pub fn optional_param(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(parameter, _)| *parameter == name).map(|(_, value)| &**value)
    }

    /// Returns the parameters after `?`.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Returns a header, if it is there once and is text. Those that hold credentials are not to be had.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// Returns the mount that the path leads into.
    ///
    /// # Errors
    /// 404, for an endpoint that belongs to no kind of mount.
    pub fn mount(&self) -> Result<&Mount, ApiError> {
        self.mount.as_deref().ok_or_else(ApiError::nothing)
    }

    /// Returns who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns the proof that it was let in, and who was.
    #[must_use]
    pub fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Returns the id of the request.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        self.id.clone()
    }

    /// Names in the record something that this request has made, or ended, or is about. It is blinded there.
    pub(crate) fn record(&self, name: &'static str, identifier: impl AsRef<[u8]>) {
        self.admitted.add_identifier(Code::new(name), identifier.as_ref());
    }

    pub(crate) async fn begin(&self, body: Option<&[u8]>) -> Result<(), ApiError> {
        if let Some((name, identifier)) = self.endpoint.names().and_then(|names| names(self)) {
            self.admitted.add_identifier(name, &identifier);
        }
        self.admitted.begin(&Brought { query: &self.query, body }).await
    }
}
