//! Where a server is.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use crate::ClientError;

/// Longest address, in bytes.
const MAX_LEN: usize = 2_048;

/// The address of a server: `https://HOST:PORT`, perhaps with a path before the API's own, or `unix:/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    prefix: String,
    socket: Option<PathBuf>,
}

impl ServerUrl {
    pub(crate) fn socket(&self) -> Option<&PathBuf> {
        self.socket.as_ref()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Says whether what is sent stays on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = bare(self.authority.host());
        self.socket.is_some()
            || host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Returns the address of what has a path on the server.
    pub(crate) fn uri(&self, path: &str) -> Result<Uri, ClientError> {
        let whole = format!("{}{path}", self.prefix);
        let path =
            PathAndQuery::try_from(whole).map_err(|_| ClientError::Path("it has characters that no path has"))?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| ClientError::Path("it has characters that no path has"))
    }

    /// Says whether an address leads to this server.
    pub(crate) fn has(&self, uri: &Uri) -> bool {
        self.socket.is_none()
            && uri.scheme() == Some(&self.scheme)
            && uri.authority().is_some_and(|other| {
                let standard = if self.is_https() { 443 } else { 80 };
                other.host().eq_ignore_ascii_case(self.authority.host())
                    && other.port_u16().unwrap_or(standard) == self.authority.port_u16().unwrap_or(standard)
            })
    }
}

impl FromStr for ServerUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        if text.len() > MAX_LEN {
            return Err(ClientError::Url("it is too long"));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.contains('\0') {
                return Err(ClientError::Url("`unix:` is followed by an absolute path"));
            }
            return Ok(Self {
                scheme: Scheme::HTTP,
                authority: Authority::from_static("localhost"),
                prefix: String::new(),
                socket: Some(path.into()),
            });
        }
        let uri: Uri = text.parse().map_err(|_| ClientError::Url("it is no URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ClientError::Url("it is no URL with `https://` and a host"));
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(ClientError::Url("it is neither of https nor of http"));
        }
        if authority.as_str().contains('@') {
            return Err(ClientError::Url("it names a user, for whom there is no use"));
        }
        if authority.host().is_empty() {
            return Err(ClientError::Url("it names no host"));
        }
        // What has a colon and no number behind it has no port, and is no name either.
        if authority.as_str().len() != authority.host().len() && authority.port_u16().is_none() {
            return Err(ClientError::Url("its port is no number from 0 to 65535"));
        }
        if uri.query().is_some() {
            return Err(ClientError::Url("it has a query"));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme: scheme.clone(), authority: authority.clone(), prefix, socket: None })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(path) => write!(f, "unix:{}", path.display()),
            None => write!(f, "{}://{}", self.scheme, self.authority),
        }
    }
}

/// Takes the brackets off an address of version 6.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["https://a.example:8200", "http://127.0.0.1:8200", "https://[::1]:8200", "unix:/run/bulla.sock"] {
            assert_eq!(url(text).to_string(), text);
        }
        assert_eq!(url("unix:///run/bulla.sock"), url("unix:/run/bulla.sock"));
        assert_eq!(url("https://a/vault/").uri("/v1/sys/health").unwrap(), "https://a/vault/v1/sys/health");
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        let refused =
            ["", "a:8200", "ftp://a", "https://", "https://user:s3cret@a", "https://a:x", "https://a/?q=s3cret"];
        for text in refused.into_iter().chain(["unix:run/x", "https://a:99999", "https:///v1", "https://a b"]) {
            let error = text.parse::<ServerUrl>().expect_err(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        for text in ["http://127.0.0.1:1", "http://127.9.9.9", "http://LocalHost", "http://[::1]:1", "unix:/x"] {
            assert!(url(text).is_local(), "{text}");
        }
        for text in ["http://10.0.0.1", "http://localhost.example", "http://0.0.0.0", "http://[2001:db8::1]"] {
            assert!(!url(text).is_local(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let server = url("https://a.example");
        for (text, is_same) in [
            ("https://a.example/v1/x", true),
            ("https://A.example:443/", true),
            ("http://a.example/", false),
            ("https://a.example:8200/", false),
            ("https://a.example.org/", false),
            ("https://b.example/", false),
        ] {
            assert_eq!(server.has(&text.parse().unwrap()), is_same, "{text}");
        }
        assert!(!url("unix:/x").has(&"http://localhost/".parse().unwrap()));
    }
}
