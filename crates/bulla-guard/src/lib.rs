//! Who may do what, what strangers may send and how often, and the proof of what was done.
//!
//! | you want | use |
//! |---|---|
//! | names, texts, URLs and JSON as they are, or a refusal that says what is wrong | [`mod@input`] |
//! | to hold somebody to a rate, slow down who guesses secrets, count connections | [`limits`] |
//! | to let somebody in to do one thing, and to record it | [`admission`] |
//! | to know who calls by a credential, and what their roles and policies allow | [`access`] |
//! | a log of what was done, that nobody can rewrite, and proofs from it | [`audit`] |
//!
//! `spec/audit.md` states the log byte by byte, `spec/access.md` what lies where of users, keys and policies. This crate knows no socket and no runtime, and takes the time from its callers.

#![forbid(unsafe_code)]

pub mod access;
pub mod admission;
pub mod audit;
pub mod input;
pub mod limits;
