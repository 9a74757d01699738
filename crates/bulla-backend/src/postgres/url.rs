//! The URL of a PostgreSQL server and the place in it: `spec/backend-postgres.md`, "Place".

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{BackendError, Result};

/// Longest URL, in bytes.
const MAX_LEN: usize = 4_096;
/// Longest beginning of a schema's name: PostgreSQL's names have 63 bytes, and callers add to it.
const MAX_SCHEMA_LEN: usize = 40;
/// Longest time-out, in seconds.
const MAX_TIMEOUT: u32 = 3_600;
/// Most connections that a process may be told to open.
const MAX_CONNECTIONS: u32 = 100;
const DEFAULT_PORT: u16 = 5_432;
/// What stands behind the scheme; `postgresql:` is read too.
const SCHEME: &str = "postgres://";

/// Names a PostgreSQL server, the database and schema there, and how to connect.
///
/// # Security
/// Holds the password, if the URL did; neither [`fmt::Display`] nor [`fmt::Debug`] show it.
///
/// # Examples
/// ```
/// use bulla_backend::PostgresUrl;
///
/// let url: PostgresUrl = "postgres://bulla:secret@db.example.org/vault?schema=orders".parse()?;
/// assert_eq!(url.to_string(), "postgres://bulla@db.example.org/vault?schema=orders");
/// # Ok::<(), bulla_backend::BackendError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    pub(super) user: String,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) tls: Tls,
    pub(super) roots: Option<PathBuf>,
    pub(super) connect_timeout: Duration,
    pub(super) statement_timeout: Duration,
    pub(super) connections: usize,
    schema: String,
    /// The URL without its password.
    shown: String,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// The folder of a local socket.
    Socket(PathBuf),
    /// A name or an address.
    Name(String),
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// Not at all.
    Off,
    /// Encrypted; whoever answers is believed.
    Unverified,
    /// Encrypted, and the certificate is for this host, by an authority that counts.
    Verified,
}

impl PostgresUrl {
    /// Returns the beginning of the names of the schemas that belong to it.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }
}

impl FromStr for PostgresUrl {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self> {
        // The detail never repeats the URL, nor a part of it that may be the password.
        parse(text).map_err(|detail| BackendError::invalid_input("read the URL of a PostgreSQL server", detail))
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.shown)
    }
}

impl Host {
    fn parse(text: String) -> std::result::Result<Self, String> {
        match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => match address.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Self::Name(address.to_string())),
                Err(_) => Err("what stands in brackets is no address of IPv6".to_owned()),
            },
            None if text.starts_with('/') => Ok(Self::Socket(text.into())),
            None if text.is_empty() || text.contains(|c: char| c.is_whitespace() || ",:[]".contains(c)) => {
                Err("it names no host; write `postgres://USER@HOST/DATABASE`, or a socket's folder as `?host=/…`"
                    .to_owned())
            }
            None => Ok(Self::Name(text)),
        }
    }

    /// Says whether what is sent there does not leave the machine.
    fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Name(name) => {
                name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }
}

fn parse(text: &str) -> std::result::Result<PostgresUrl, String> {
    if text.len() > MAX_LEN {
        return Err(format!("it is longer than {MAX_LEN} bytes"));
    }
    let rest = text
        .strip_prefix(SCHEME)
        .or_else(|| text.strip_prefix("postgresql://"))
        .ok_or("it does not begin with `postgres://`")?;
    if rest.contains('#') {
        return Err("a `#` in it is written `%23`".to_owned());
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    let (login, place) = authority.rsplit_once('@').ok_or("it names no user; write `postgres://USER@HOST/DATABASE`")?;
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (decode(user)?, Some(Zeroizing::new(decode(password)?))),
        None => (decode(login)?, None),
    };
    if user.is_empty() {
        return Err("it names no user; write `postgres://USER@HOST/DATABASE`".to_owned());
    }
    let parameters = Parameters::parse(query)?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port: u16 =
                port.parse().ok().filter(|port| *port > 0).ok_or("its port is no number from 1 to 65535")?;
            (host, port)
        }
        _ => (place, DEFAULT_PORT),
    };
    let host = match (decode(host)?, parameters.host) {
        (host, Some(named)) if host.is_empty() => Host::parse(named)?,
        (_, Some(_)) => return Err("it names two hosts".to_owned()),
        (host, None) => Host::parse(host)?,
    };
    let database = if database.is_empty() { user.clone() } else { decode(database)? };
    let tls = parameters.tls.unwrap_or(if host.is_local() { Tls::Off } else { Tls::Verified });
    if tls != Tls::Off && matches!(host, Host::Socket(_)) {
        return Err("a local socket has no TLS; leave `sslmode` out".to_owned());
    }
    // As it was written, without the password.
    let user_part = login.split_once(':').map_or(login, |(user, _)| user);
    let behind = rest.get(login.len()..).unwrap_or_default();
    Ok(PostgresUrl {
        shown: format!("{SCHEME}{user_part}{behind}"),
        user,
        password,
        password_file: parameters.password_file,
        host,
        port,
        database,
        tls,
        roots: parameters.roots,
        connect_timeout: parameters.connect_timeout.unwrap_or(Duration::from_secs(10)),
        statement_timeout: parameters.statement_timeout.unwrap_or(Duration::from_secs(30)),
        connections: parameters.connections.unwrap_or(16),
        schema: parameters.schema.unwrap_or_else(|| "bulla".to_owned()),
    })
}

/// What stands behind the `?`.
#[derive(Default)]
struct Parameters {
    schema: Option<String>,
    tls: Option<Tls>,
    roots: Option<PathBuf>,
    host: Option<String>,
    password_file: Option<PathBuf>,
    connect_timeout: Option<Duration>,
    statement_timeout: Option<Duration>,
    connections: Option<usize>,
}

impl Parameters {
    fn parse(query: &str) -> std::result::Result<Self, String> {
        let mut found = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("what stands behind `?` has the form `NAME=VALUE`")?;
            let value = decode(value)?;
            match name {
                "schema" => once(&mut found.schema, name, schema(value)?)?,
                "sslmode" => once(&mut found.tls, name, tls(&value)?)?,
                "sslrootcert" => once(&mut found.roots, name, absolute(name, &value)?)?,
                "host" => once(&mut found.host, name, value)?,
                "password_file" => once(&mut found.password_file, name, absolute(name, &value)?)?,
                "connect_timeout" => once(&mut found.connect_timeout, name, seconds(name, &value)?)?,
                "statement_timeout" => once(&mut found.statement_timeout, name, seconds(name, &value)?)?,
                "connections" => {
                    let number = number(name, &value, MAX_CONNECTIONS)?;
                    once(&mut found.connections, name, number as usize)?;
                }
                // Not repeated: a password with an `&` that was not encoded ends up here.
                _ => {
                    return Err(
                        "it has an unknown parameter; known are schema, sslmode, sslrootcert, host, password_file, \
                                connect_timeout, statement_timeout and connections"
                            .to_owned(),
                    );
                }
            }
        }
        Ok(found)
    }
}

fn once<T>(place: &mut Option<T>, name: &str, value: T) -> std::result::Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` is given twice")),
    }
}

fn schema(name: String) -> std::result::Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if begins && name.bytes().all(is_plain) && name.len() <= MAX_SCHEMA_LEN && !name.starts_with("pg_") {
        return Ok(name);
    }
    Err(format!(
        "`schema` is 1 to {MAX_SCHEMA_LEN} of a to z, 0 to 9 and `_`, begins with a letter, and not with `pg_`"
    ))
}

fn tls(mode: &str) -> std::result::Result<Tls, String> {
    match mode {
        "disable" => Ok(Tls::Off),
        "require" => Ok(Tls::Unverified),
        "verify-full" => Ok(Tls::Verified),
        "allow" | "prefer" | "verify-ca" => Err(format!(
            "`sslmode={mode}` protects from nobody who can alter what is sent; write `verify-full`, or `disable` where that is meant"
        )),
        _ => Err("`sslmode` is `disable`, `require` or `verify-full`".to_owned()),
    }
}

fn absolute(name: &str, value: &str) -> std::result::Result<PathBuf, String> {
    if Path::new(value).is_absolute() { Ok(value.into()) } else { Err(format!("`{name}` is an absolute path")) }
}

fn seconds(name: &str, value: &str) -> std::result::Result<Duration, String> {
    number(name, value, MAX_TIMEOUT).map(|seconds| Duration::from_secs(seconds.into()))
}

fn number(name: &str, value: &str, most: u32) -> std::result::Result<u32, String> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("`{name}` is a number from 1 to {most}"))
}

/// Reads percent-encoded text (RFC 3986 §2.1).
fn decode(text: &str) -> std::result::Result<String, String> {
    const WRONG: &str = "it has a `%` that two hex digits do not follow; a `%` itself is written `%25`";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(WRONG);
        let value = digit()? << 4 | digit()?;
        bytes.push(u8::try_from(value).map_err(|_| WRONG)?);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("what it encodes is not text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let url: PostgresUrl =
            "postgresql://us%40er:p%3As%2Fs:@db.example.org:5433/va%20ult?schema=orders&connections=3".parse().unwrap();
        assert_eq!((&*url.user, &*url.database, url.port), ("us@er", "va ult", 5433));
        assert_eq!(url.password.as_ref().map(|password| password.as_str()), Some("p:s/s:"));
        assert_eq!(url.host, Host::Name("db.example.org".to_owned()));
        assert_eq!((url.schema(), url.connections, url.tls), ("orders", 3, Tls::Verified));
        assert_eq!(url.connect_timeout, Duration::from_secs(10));

        let url: PostgresUrl = "postgres://bulla@[::1]".parse().unwrap();
        assert_eq!((url.host, &*url.database, url.tls), (Host::Name("::1".to_owned()), "bulla", Tls::Off));
        for socket in ["postgres://bulla@/db?host=/run/postgresql", "postgres://bulla@%2Frun%2Fpostgresql/db"] {
            let url: PostgresUrl = socket.parse().unwrap();
            assert_eq!((url.host, url.tls), (Host::Socket("/run/postgresql".into()), Tls::Off));
        }
    }

    #[test]
    fn what_leaves_the_machine_is_verified_unless_told_otherwise() {
        let check = |host: &str, expected| {
            let url: PostgresUrl = format!("postgres://u@{host}").parse().unwrap();
            assert_eq!(url.tls, expected, "{host}");
        };
        check("localhost", Tls::Off);
        check("127.0.0.9:1", Tls::Off);
        check("localhost.example.org", Tls::Verified);
        check("10.0.0.1", Tls::Verified);
        check("[2001:db8::1]", Tls::Verified);
        check("h?sslmode=disable", Tls::Off);
        check("h?sslmode=require", Tls::Unverified);
        check("127.0.0.1?sslmode=verify-full", Tls::Verified);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_no_password_repeated() {
        for text in [
            "mysql://u:hunter2@h",
            "postgres:u:hunter2@h",
            "postgres://h:hunter2",
            "postgres://:hunter2@h",
            "postgres://u:hunter2@",
            "postgres://u:hunter2@h:0",
            "postgres://u:hunter2@h:99999",
            "postgres://u:hunter2@a,b",
            "postgres://u:hunter2@[::g]",
            "postgres://u:hunter2%@h",
            "postgres://u:hunter2%f@h",
            "postgres://u:hunter2%ff@h",
            "postgres://u:hunter2%00@h",
            "postgres://u:#hunter2@h",
            "postgres://u:?hunter2@h",
            "postgres://u:x@h?hunter2=1",
            "postgres://u:hunter2@h?schema",
            "postgres://u:hunter2@h?schema=Orders",
            "postgres://u:hunter2@h?schema=pg_orders",
            "postgres://u:hunter2@h?schema=",
            "postgres://u:hunter2@h?schema=a&schema=b",
            "postgres://u:hunter2@h?sslmode=prefer",
            "postgres://u:hunter2@h?sslmode=no",
            "postgres://u:hunter2@h?sslrootcert=ca.pem",
            "postgres://u:hunter2@h?connect_timeout=0",
            "postgres://u:hunter2@h?connections=101",
            "postgres://u:hunter2@h?host=/tmp",
            "postgres://u:hunter2@/d?host=/tmp&sslmode=require",
            &format!("postgres://u:hunter2@{}", "h".repeat(MAX_LEN)),
            &format!("postgres://u:hunter2@h?schema={}", "s".repeat(MAX_SCHEMA_LEN + 1)),
        ] {
            let error = text.parse::<PostgresUrl>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_url_shows_no_password_and_reads_as_the_same_without_it() {
        let url: PostgresUrl = "postgres://u%3A:hun%74er2@h:1/d?schema=s".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://u%3A@h:1/d?schema=s");
        assert_eq!(format!("{url:?}"), "PostgresUrl(postgres://u%3A@h:1/d?schema=s)");
        let mut expected = url.clone();
        expected.password = None;
        assert_eq!(url.to_string().parse::<PostgresUrl>().unwrap(), expected);
    }
}
