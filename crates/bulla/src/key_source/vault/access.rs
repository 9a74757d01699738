//! Which server is asked, and what it is shown.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bulla_client::{Client, ClientError, Token};

/// How long a server is given, as a command is.
const TIME: Duration = Duration::from_secs(10);

/// Makes the client that the environment describes.
///
/// Variables belong together by what they begin with: a token is shown to no server but the one that it stands beside.
pub(super) fn client(variable: impl Fn(&str) -> Option<OsString>) -> Result<Client, NoClient> {
    let text = |name: &str| -> Result<Option<String>, NoClient> {
        let value = variable(name).filter(|value| !value.is_empty());
        value.map(|value| value.into_string().map_err(|_| NoClient::NoText(name.to_owned()))).transpose()
    };
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (family, url) = match (text("BULLA_ADDR")?, text("VAULT_ADDR")?) {
        (Some(url), _) => ("BULLA", url),
        (None, Some(url)) => ("VAULT", url),
        (None, None) => return Err(NoClient::NoAddress),
    };
    let named = |name: &str| format!("{family}_{name}");
    let token = match (text(&named("TOKEN"))?, path(&named("TOKEN_FILE"))) {
        (Some(token), _) => Token::new(token)?,
        (None, Some(file)) => Token::from_file(file)?,
        (None, None) => match path("HOME").filter(|_| family == "VAULT").map(|home| home.join(".vault-token")) {
            // Where `vault login` leaves it.
            Some(file) if file.exists() => Token::from_file(file)?,
            _ => return Err(NoClient::NoToken(family)),
        },
    };
    let mut builder = Client::builder(&url)?.token(token).request_time(TIME);
    if let Some(file) = path(&named("CACERT")) {
        builder = builder.ca_file(file);
    }
    if let (Some(certificate), Some(key)) = (path(&named("CLIENT_CERT")), path(&named("CLIENT_KEY"))) {
        builder = builder.client_certificate(certificate, key);
    }
    // The variable of this name that begins with `BULLA` means another thing.
    if family == "VAULT"
        && let Some(namespace) = text("VAULT_NAMESPACE")?
    {
        builder = builder.namespace(namespace);
    }
    Ok(builder.build()?)
}

/// Why the environment describes no client. No value of a variable is shown.
#[derive(Debug)]
pub(super) enum NoClient {
    NoAddress,
    NoToken(&'static str),
    NoText(String),
    Client(ClientError),
}

impl From<ClientError> for NoClient {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("neither BULLA_ADDR nor VAULT_ADDR says which server to ask"),
            Self::NoToken("VAULT") => f.write_str(
                "there is no token: VAULT_TOKEN and VAULT_TOKEN_FILE are not set, and there is no `~/.vault-token`",
            ),
            Self::NoToken(family) => write!(f, "there is no token: {family}_TOKEN and {family}_TOKEN_FILE are not set"),
            Self::NoText(name) => write!(f, "the variable {name} is not text"),
            Self::Client(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn check(variables: &[(&str, &str)]) -> Result<String, String> {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        client(found).map(|client| format!("{client:?}")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_says_which_server_is_asked() {
        let vault = [("VAULT_ADDR", "http://127.0.0.1:1"), ("VAULT_TOKEN", "t")];
        assert!(check(&vault).unwrap().contains("http://127.0.0.1:1"));
        let both = [vault[0], vault[1], ("BULLA_ADDR", "http://127.0.0.1:2"), ("BULLA_TOKEN", "t")];
        assert!(check(&both).unwrap().contains("http://127.0.0.1:2"));
        assert_eq!(check(&[]).unwrap_err(), "neither BULLA_ADDR nor VAULT_ADDR says which server to ask");
        assert_eq!(check(&[("VAULT_ADDR", ""), ("VAULT_TOKEN", "t")]).unwrap_err(), check(&[]).unwrap_err());
        let remote = [("VAULT_ADDR", "http://vault.example.org:8200"), ("VAULT_TOKEN", "s3cret")];
        let refused = check(&remote).unwrap_err();
        assert!(refused.contains("vault.example.org") && !refused.contains("s3cret"), "{refused}");
        let refused = check(&[("VAULT_ADDR", "https://s3cret@a"), ("VAULT_TOKEN", "s3cret")]).unwrap_err();
        assert!(!refused.contains("s3cret"), "{refused}");
        let refused = check(&[vault[0], ("VAULT_TOKEN", "s3cret words")]).unwrap_err();
        assert!(refused.contains("token is not valid") && !refused.contains("s3cret"), "{refused}");
    }

    #[test]
    fn a_token_is_for_the_server_that_it_stands_beside() {
        let refused = check(&[("BULLA_ADDR", "http://127.0.0.1:1"), ("VAULT_TOKEN", "t")]).unwrap_err();
        assert_eq!(refused, "there is no token: BULLA_TOKEN and BULLA_TOKEN_FILE are not set");
        let refused = check(&[("VAULT_ADDR", "http://127.0.0.1:1"), ("BULLA_TOKEN", "t")]).unwrap_err();
        assert!(refused.contains("VAULT_TOKEN_FILE"), "{refused}");
    }

    #[test]
    fn a_token_may_lie_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let file = folder.path().join(".vault-token");
        let at_home = [("VAULT_ADDR", "http://127.0.0.1:1"), ("HOME", home)];
        assert!(check(&at_home).unwrap_err().contains("there is no `~/.vault-token`"));
        std::fs::write(&file, "t\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(check(&at_home).is_ok());
        assert!(check(&[("BULLA_ADDR", "http://127.0.0.1:1"), ("HOME", home)]).is_err());
        let named = [("BULLA_ADDR", "http://127.0.0.1:1"), ("BULLA_TOKEN_FILE", file.to_str().unwrap())];
        assert!(check(&named).is_ok());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        assert!(check(&at_home).unwrap_err().contains("everybody can use"));
    }
}
