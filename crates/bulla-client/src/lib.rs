//! A client of HTTP APIs as Vault has one: Bulla's own server, OpenBao and HashiCorp Vault.
//!
//! A [`Client`] belongs to one server. It has a door for each part of the API, and [`Client::request`] for whatever has none.
//!
//! | you want | use |
//! |---|---|
//! | secrets by path, with versions | [`Client::kv`] |
//! | secrets by path, without versions | [`Client::kv1`] |
//! | to have things encrypted, signed or authenticated | [`Client::transit`] |
//! | to know, renew or revoke the token | [`Client::token`] |
//! | a token for a program | [`Client::approle`] |
//! | to know how the server is | [`Client::sys`] |
//! | anything else | [`Client::request`] |
//! | all that without async | [`blocking::Client`] |
//!
//! # Examples
//! ```no_run
//! use bulla_client::{Client, Token};
//!
//! # async fn example() -> Result<(), bulla_client::ClientError> {
//! let client = Client::builder("https://vault.example.org:8200")?
//!     .token(Token::from_file("/run/secrets/token")?)
//!     .ca_file("/etc/ssl/ours.pem")
//!     .build()?;
//! let secret = client.kv("secret").read("shop/database").await?;
//! let password = secret.data.text("password");
//! let sealed = client.transit("transit").encrypt("orders", &b"42 widgets"[..]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Security
//! - Tokens, plaintexts and secrets are types: wiped on drop and silent in `Debug`. Bodies are wiped as well; what
//!   hyper, TLS and the system buffer on the way is not.
//! - The token goes to the server that the client was made for and, where it redirects, to those that [`Builder::follow_to`] names. It is in no
//!   message, not even if the server says it.
//! - Without TLS only this machine is spoken to: loopback addresses, and sockets in the file system.
//! - Answers are bounded, and so is the time for them.
//!
//! # What is tried again
//! A connection that was not made, since nothing was sent. And, for calls that change nothing, a connection that broke, and an answer 429 or 503 that says
//! when to come back. There are three attempts at most, with waits that grow and differ at random, and all of them share the time that a request has.

#![forbid(unsafe_code)]

mod answer;
mod approle;
mod ask;
pub mod blocking;
mod body;
mod builder;
mod client;
mod connector;
mod error;
mod kv;
mod kv1;
mod path;
mod redirect;
mod retry;
mod secret;
mod server_url;
mod sys;
mod tls;
mod token;
mod transit;

pub use approle::{AppRole, Login};
pub use builder::{Builder, CONNECT_TIME, MAX_ANSWER, MAX_ATTEMPTS, REQUEST_TIME};
pub use client::Client;
pub use error::{ClientError, Result, Said};
pub use http::Method;
pub use kv::{Expect, Kv, Metadata, Secret, Version, VersionState};
pub use kv1::Kv1;
pub use secret::{SecretData, Token};
pub use sys::{Health, Mount, SealStatus, Sys};
pub use token::{Lease, TokenDoor, TokenInfo};
pub use transit::{
    Ciphertext, DataKey, Encrypted, ItemError, KeyOptions, KeyVersionInfo, Message, Plaintext, Signature, Transit,
    TransitKey,
};
