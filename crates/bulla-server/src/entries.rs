//! Entries of the store: a namespace is in the path, the name of an entry behind `?`, since it is any bytes, and its value is the body as it is.

mod listing;
mod name;
mod value;

use bulla_guard::audit::Code;

use crate::Call;
use crate::table::{Audit, Capability, Endpoint};

/// To read entries.
const READ: &str = "read:store";
/// To write and remove them.
const WRITE: &str = "write:store";
/// What roles are granted for.
const NAMESPACE: &str = "store/{namespace..}";

/// Returns the endpoints.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::list("store.namespaces", "/v1/store/namespaces")
            .summary("Lists the namespaces.")
            .permission(READ, Capability::List)
            .on("store")
            .audit(Audit::Look)
            .plain(listing::namespaces),
        Endpoint::list("store.list", "/v1/store/entries/{namespace..}")
            .summary("Lists entries of a namespace, a page at a time.")
            .query(&["prefix", "prefix_base64", "after", "limit"])
            .permission(READ, Capability::List)
            .on(NAMESPACE)
            .audit(Audit::Look)
            .fails_with(&[409, 500])
            .plain(listing::entries),
        Endpoint::get("store.get", "/v1/store/entries/{namespace..}")
            .summary("Returns the value of an entry, as it is.")
            .query(&["name", "name_base64", "version"])
            .permission(READ, Capability::Read)
            .on(NAMESPACE)
            .audit(Audit::Reveal)
            .fails_with(&[404, 409, 500])
            .names(named)
            .plain(value::get),
        Endpoint::write("store.put", "/v1/store/entries/{namespace..}")
            .summary("Puts an entry in the place of the one that may be there.")
            .query(&["name", "name_base64", "ttl", "tag", "expected", "sensitive"])
            .permission(WRITE, Capability::Update)
            .on(NAMESPACE)
            .audit(Audit::Change)
            .fails_with(&[409, 413, 507, 500])
            .names(named)
            .stream(value::put),
        Endpoint::delete("store.remove", "/v1/store/entries/{namespace..}")
            .summary("Removes an entry, if it is there.")
            .query(&["name", "name_base64", "expected"])
            .permission(WRITE, Capability::Delete)
            .on(NAMESPACE)
            .audit(Audit::Change)
            .fails_with(&[409, 500])
            .names(named)
            .plain(value::remove),
    ]
}

/// Names the entry that a request is about.
fn named(call: &Call) -> Option<(Code, Vec<u8>)> {
    Some((Code::new("entry"), name::entry(call).ok()?))
}
