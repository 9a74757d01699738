//! Which endpoints there are, and what each needs: data for whoever answers requests.

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Its stable name.
    pub id: &'static str,
    /// The method of HTTP. `LIST` is also GET with `list=true`; where it is POST, PUT is the same.
    pub method: &'static str,
    /// The path below the mount; what is in braces is a segment, and one that ends in `?` may be left out.
    pub path: &'static str,
    /// The permission of Bulla's roles that it takes.
    pub permission: &'static str,
    /// The capability that a policy has to give on the path.
    pub capability: Capability,
    /// What the operation is to the audit log.
    pub audit: Audit,
}

/// What a policy gives, by Vault's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// To change or to use what is there. An encryption that would make a key takes `create` besides.
    Update,
    /// To make what is not there; `update` if it is there.
    Create,
    /// To read.
    Read,
    /// To list.
    List,
    /// To delete.
    Delete,
}

/// What an operation is to the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// It looks at what is no secret.
    Look,
    /// It reveals a secret, or uses a key for the one who asks.
    Reveal,
    /// It changes what there is.
    Change,
}

/// To use keys, and to see which there are.
const USE: &str = "use:keys";
/// To make, change, hand out and delete keys.
const MANAGE: &str = "manage:keys";

const fn endpoint(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    permission: &'static str,
    capability: Capability,
    audit: Audit,
) -> Endpoint {
    Endpoint { id, method, path, permission, capability, audit }
}

/// All endpoints of a mount.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint("transit.keys.list", "LIST", "keys", USE, Capability::List, Audit::Look),
    endpoint("transit.keys.read", "GET", "keys/{name}", USE, Capability::Read, Audit::Look),
    endpoint("transit.keys.create", "POST", "keys/{name}", MANAGE, Capability::Create, Audit::Change),
    endpoint("transit.keys.delete", "DELETE", "keys/{name}", MANAGE, Capability::Delete, Audit::Change),
    endpoint("transit.keys.configure", "POST", "keys/{name}/config", MANAGE, Capability::Update, Audit::Change),
    endpoint("transit.keys.rotate", "POST", "keys/{name}/rotate", MANAGE, Capability::Update, Audit::Change),
    endpoint("transit.keys.trim", "POST", "keys/{name}/trim", MANAGE, Capability::Update, Audit::Change),
    endpoint(
        "transit.keys.soft-delete",
        "DELETE",
        "keys/{name}/soft-delete",
        MANAGE,
        Capability::Delete,
        Audit::Change,
    ),
    endpoint(
        "transit.keys.soft-delete-restore",
        "POST",
        "keys/{name}/soft-delete-restore",
        MANAGE,
        Capability::Update,
        Audit::Change,
    ),
    endpoint("transit.keys.import", "POST", "keys/{name}/import", MANAGE, Capability::Update, Audit::Change),
    endpoint(
        "transit.keys.import-version",
        "POST",
        "keys/{name}/import_version",
        MANAGE,
        Capability::Update,
        Audit::Change,
    ),
    endpoint("transit.wrapping-key", "GET", "wrapping_key", MANAGE, Capability::Read, Audit::Look),
    endpoint("transit.export", "GET", "export/{part}/{name}/{version?}", MANAGE, Capability::Read, Audit::Reveal),
    endpoint("transit.backup", "GET", "backup/{name}", MANAGE, Capability::Read, Audit::Reveal),
    endpoint("transit.restore", "POST", "restore/{name?}", MANAGE, Capability::Update, Audit::Change),
    endpoint("transit.encrypt", "POST", "encrypt/{name}", USE, Capability::Update, Audit::Reveal),
    endpoint("transit.decrypt", "POST", "decrypt/{name}", USE, Capability::Update, Audit::Reveal),
    endpoint("transit.rewrap", "POST", "rewrap/{name}", USE, Capability::Update, Audit::Reveal),
    endpoint("transit.datakey", "POST", "datakey/{form}/{name}", USE, Capability::Update, Audit::Reveal),
    endpoint("transit.sign", "POST", "sign/{name}/{algorithm?}", USE, Capability::Update, Audit::Reveal),
    endpoint("transit.verify", "POST", "verify/{name}/{algorithm?}", USE, Capability::Update, Audit::Reveal),
    endpoint("transit.hmac", "POST", "hmac/{name}/{algorithm?}", USE, Capability::Update, Audit::Reveal),
    endpoint("transit.hash", "POST", "hash/{algorithm?}", USE, Capability::Update, Audit::Look),
    endpoint("transit.random", "POST", "random/{first?}/{second?}", USE, Capability::Update, Audit::Reveal),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_has_a_name_and_a_place_of_its_own() {
        let ids: BTreeSet<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.id).collect();
        let places: BTreeSet<(&str, &str)> =
            ENDPOINTS.iter().map(|endpoint| (endpoint.method, endpoint.path)).collect();
        assert_eq!([ids.len(), places.len()], [ENDPOINTS.len(); 2]);
    }
}
