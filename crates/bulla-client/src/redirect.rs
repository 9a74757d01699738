//! Where a server sends its clients, and whether they go there.
//!
//! Standby servers of Vault answer 307 with the address of the active one. Whoever is followed gets the token: so a client follows within the server that it was
//! made for, and to those that it was told of, and to nobody else.

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::server_url::ServerUrl;

/// How often one request is sent on.
pub(crate) const MAX_REDIRECTS: usize = 3;

/// Why a redirect is not followed.
pub(crate) struct NotFollowed {
    /// Scheme, host and port of the other server.
    pub(crate) to: String,
    pub(crate) reason: &'static str,
}

/// Says whether a status sends elsewhere.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Returns where a request is sent next.
pub(crate) fn next(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    from: &Uri,
    allowed: &[ServerUrl],
) -> Result<Uri, NotFollowed> {
    let nowhere = |reason| NotFollowed { to: "nowhere".to_owned(), reason };
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| nowhere("the answer names no place"))?;
    let to = resolve(location, from).ok_or_else(|| nowhere("the place that the answer names is no address"))?;
    let origin = match (to.scheme_str(), to.authority()) {
        (Some(scheme), Some(authority)) => {
            // A user that is named there could be a secret.
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        _ => return Err(nowhere("the place that the answer names is no address")),
    };
    let refused = |reason| Err(NotFollowed { to: origin.clone(), reason });
    if !allowed.iter().any(|server| server.has(&to)) && !is_same_origin(&to, from) {
        return refused("the token is for this server only");
    }
    let keeps_method = matches!(status.as_u16(), 307 | 308);
    if !keeps_method && !method.is_safe() && method.as_str() != "LIST" {
        return refused("the request would become another one");
    }
    Ok(to)
}

fn resolve(location: &str, from: &Uri) -> Option<Uri> {
    if location.starts_with('/') {
        // Two slashes begin a host.
        if location.starts_with("//") {
            return None;
        }
        let mut parts = from.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(location).ok()?);
        return Uri::from_parts(parts).ok();
    }
    location.parse().ok()
}

fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().or_else(|| (uri.scheme_str() == Some("https")).then_some(443)).unwrap_or(80);
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, status: u16, location: &str) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let allowed = ["https://active:8200".parse().unwrap()];
        let from = Uri::from_static("https://standby:8200/v1/secret/data/a?version=1");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        next(&method, StatusCode::from_u16(status).unwrap(), &headers, &from, &allowed)
            .map(|uri| uri.to_string())
            .map_err(|refused| refused.reason)
    }

    #[test]
    fn the_own_server_and_those_that_are_allowed_are_followed() {
        assert_eq!(check("GET", 307, "/v1/b?x"), Ok("https://standby:8200/v1/b?x".to_owned()));
        assert_eq!(check("POST", 308, "https://STANDBY:8200/v1/b"), Ok("https://STANDBY:8200/v1/b".to_owned()));
        assert_eq!(check("POST", 307, "https://active:8200/v1/b"), Ok("https://active:8200/v1/b".to_owned()));
        assert_eq!(check("LIST", 301, "/v1/b/"), Ok("https://standby:8200/v1/b/".to_owned()));
    }

    #[test]
    fn nobody_else_is() {
        for location in [
            "https://active/",
            "http://active:8200/",
            "https://standby/",
            "https://evil:8200/",
            "http://x@standby:8200/",
        ] {
            assert_eq!(check("GET", 307, location), Err("the token is for this server only"), "{location}");
        }
        for location in ["//evil/v1/a", "", "v1/a", "\\\\evil", "https:///", "evil:8200"] {
            assert!(check("GET", 307, location).unwrap_err().contains("no address"), "{location}");
        }
        assert_eq!(check("POST", 302, "/v1/b"), Err("the request would become another one"));
        assert_eq!(check("DELETE", 301, "/v1/b"), Err("the request would become another one"));
    }

    #[test]
    fn a_user_in_an_address_is_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, "https://s3cret@evil/s3cret".parse().unwrap());
        let from = Uri::from_static("https://a/");
        let refused = next(&Method::GET, StatusCode::TEMPORARY_REDIRECT, &headers, &from, &[]).map(drop).unwrap_err();
        assert_eq!(refused.to, "https://evil");
    }
}
