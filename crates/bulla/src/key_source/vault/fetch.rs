use std::thread;

use async_trait::async_trait;
use bulla_client::{Client, ClientError, SecretData, blocking};
use bulla_keyring::source::{MAX_VALUE_LEN, RemoteProblem, SecretPair, SecretValue, Source, SourceError};
use futures_channel::oneshot;

use super::VaultSpec;
use super::access::{self, NoClient};

/// Takes a field of a secret, as it is when it is asked.
///
/// Each time is a connection of its own, on a thread of its own, so that no executor is needed or kept waiting and a forked child has nothing to do anew.
#[derive(Debug)]
pub(super) struct VaultSource {
    spec: VaultSpec,
}

impl VaultSource {
    pub(super) fn new(spec: VaultSpec) -> Self {
        Self { spec }
    }
}

#[async_trait]
impl Source for VaultSource {
    async fn fetch(&self) -> Result<SecretPair, SourceError> {
        let (sender, receiver) = oneshot::channel();
        let spec = self.spec.clone();
        // Whoever asked may have gone away; the time is bounded all the same.
        let asking = move || drop(sender.send(spec.fetch()));
        let not_started = || unavailable("the system gave no thread to ask with".to_owned());
        thread::Builder::new().name("bulla-vault".to_owned()).spawn(asking).map_err(|_| not_started())?;
        receiver.await.unwrap_or_else(|_| Err(not_started()))
    }
}

impl VaultSpec {
    fn fetch(&self) -> Result<SecretPair, SourceError> {
        let client = access::client(|name| std::env::var_os(name)).map_err(no_client)?;
        let client = blocking::Client::new(client).map_err(failed)?;
        let secret = client.wait(self.read(client.client())).map_err(failed)?;
        self.value(&secret).map(Into::into)
    }

    /// Reads the secret.
    ///
    /// A path that has `data` in it, behind its first segment, is as the API has it. For any other the server is asked what is mounted there.
    async fn read(&self, client: &Client) -> Result<SecretData, ClientError> {
        let is_explicit = self.path.split('/').skip(1).any(|segment| segment == "data");
        let mut path = self.path.clone();
        if !is_explicit {
            let mount = client.sys().mount(&path).await?;
            if let Some(rest) = path.strip_prefix(&*mount.path).filter(|_| mount.is_versioned()) {
                path = format!("{}data/{rest}", mount.path);
            }
        }
        let (mount, rest) = path.split_once('/').unwrap_or((&*path, ""));
        client.kv1(mount).read(rest).await
    }

    fn value(&self, secret: &SecretData) -> Result<SecretValue, SourceError> {
        let fields = secret.expose();
        // Of secrets with versions, the fields lie one level further down, beside what is known of the version.
        let inner = fields.get("data").and_then(|data| data.as_object());
        let is_versioned = fields.get("metadata").is_some_and(|metadata| metadata.get("version").is_some());
        let fields = inner.filter(|_| is_versioned).unwrap_or(fields);
        let field = fields.get(&self.field).ok_or_else(|| SourceError::Remote {
            problem: RemoteProblem::Missing,
            reason: format!("the secret `{}` has no field `{}`", self.path, self.field),
            hint: None,
        })?;
        let text = field.as_str().ok_or_else(|| SourceError::Remote {
            problem: RemoteProblem::Refused,
            reason: format!("the field `{}` of the secret `{}` is not text", self.field, self.path),
            hint: None,
        })?;
        let described = || format!("the field `{}` of the secret `{}`", self.field, self.path);
        match text.len() {
            0 => Err(SourceError::Empty(described())),
            1..=MAX_VALUE_LEN => Ok(text.into()),
            _ => Err(SourceError::TooLong(described())),
        }
    }
}

fn failed(error: ClientError) -> SourceError {
    let problem = match &error {
        ClientError::NotFound(_) => RemoteProblem::Missing,
        ClientError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => RemoteProblem::Missing,
        ClientError::Refused(_)
        | ClientError::Invalid(_)
        | ClientError::Plaintext { .. }
        | ClientError::Exposed { .. }
        | ClientError::Token(_)
        | ClientError::Tls { .. }
        | ClientError::Redirected { .. } => RemoteProblem::Refused,
        _ => RemoteProblem::Unavailable,
    };
    SourceError::Remote { problem, reason: error.to_string(), hint: error.hint() }
}

fn no_client(error: NoClient) -> SourceError {
    match error {
        NoClient::Client(error) => failed(error),
        NoClient::NoText(_) => unavailable(error.to_string()),
        NoClient::NoAddress | NoClient::NoToken(_) => {
            SourceError::Remote { problem: RemoteProblem::Missing, reason: error.to_string(), hint: None }
        }
    }
}

fn unavailable(reason: String) -> SourceError {
    SourceError::Remote { problem: RemoteProblem::Unavailable, reason, hint: None }
}
