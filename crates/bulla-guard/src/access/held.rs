//! Tokens as they were read, held for the next request while the backend says that nothing was written since.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bulla_backend::{ChangeMark, Revision};

use super::error::{AccessError, Result};
use super::loose::Loose;
use super::sealed::{ACCESS_TOKENS, Kind};
use super::token::TokenRow;
use super::{Access, CredentialId};

/// Most tokens that are held.
const MAX_HELD: usize = 4_096;

/// Tokens that were read, each with the state of the collection in which it was.
#[derive(Debug, Default)]
pub(crate) struct HeldTokens(Mutex<HashMap<CredentialId, (ChangeMark, Revision, TokenRow)>>);

impl HeldTokens {
    fn find(&self, id: CredentialId, mark: ChangeMark) -> Option<Loose<TokenRow>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, revision, row) = held.get(&id)?;
        (*seen == mark).then(|| Loose { revision: *revision, row: row.clone() })
    }

    fn hold(&self, mark: ChangeMark, found: &Loose<TokenRow>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX_HELD {
            held.clear();
        }
        held.insert(found.row.id, (mark, found.revision, found.row.clone()));
    }
}

impl Access {
    /// Reads a token, or takes it from memory where nothing was written since it was read: one that was revoked is gone at once.
    pub(crate) async fn read_token(&self, id: CredentialId) -> Result<Option<Loose<TokenRow>>> {
        // The mark comes first: what changes between the two looks is noticed by the next caller.
        let mark = self.documents.change_mark(ACCESS_TOKENS).await?;
        if let Some(held) = mark.and_then(|mark| self.held.find(id, mark)) {
            return Ok(Some(held));
        }
        let Some(found) = self.read_loose::<TokenRow>(ACCESS_TOKENS, Kind::Token, id.as_str()).await? else {
            return Ok(None);
        };
        if found.row.id != id {
            return Err(AccessError::corrupt(format!("the token {id}"), "it is another"));
        }
        if let Some(mark) = mark {
            self.held.hold(mark, &found);
        }
        Ok(Some(found))
    }
}
