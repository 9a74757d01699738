//! Which rule of many policies decides over a path, as in Vault.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::PathRequest;
use crate::access::policy::{Parameters, PathGlob, Rights, WildSegment};
use crate::access::{Capabilities, Capability, Policy, RequestPath};

/// The rules of some policies, by how their paths are found.
#[derive(Debug, Clone, Default)]
pub(super) struct Acl {
    exact: HashMap<Box<str>, Rights>,
    /// In order of their text.
    prefixes: Vec<(Box<str>, Rights)>,
    wild: Vec<Wild>,
}

/// A rule whose path has `+`.
#[derive(Debug, Clone)]
struct Wild {
    segments: Vec<WildSegment>,
    is_prefix: bool,
    order: Order,
    rights: Rights,
}

/// How specific a rule is: the greatest decides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    /// Where the first `+` or `*` stands.
    first: usize,
    is_prefix: bool,
    wildcards: usize,
    text: Box<str>,
}

impl Ord for Order {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |order: &Self| (order.first, !order.is_prefix, std::cmp::Reverse(order.wildcards), order.text.len());
        key(self).cmp(&key(other)).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Acl {
    pub(super) fn new<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut acl = Self::default();
        let mut prefixes = HashMap::<Box<str>, Rights>::new();
        for rule in policies.into_iter().flat_map(Policy::rules) {
            let merge = |known: &mut Rights| known.merge(&rule.rights);
            let clone = || rule.rights.clone();
            match &rule.glob {
                PathGlob::Exact(path) => {
                    acl.exact.entry(path.clone()).and_modify(merge).or_insert_with(clone);
                }
                PathGlob::Prefix(path) => {
                    prefixes.entry(path.clone()).and_modify(merge).or_insert_with(clone);
                }
                PathGlob::Wild { segments, prefix } => {
                    let known = |wild: &&mut Wild| wild.segments == *segments && wild.is_prefix == *prefix;
                    match acl.wild.iter_mut().find(known) {
                        Some(wild) => merge(&mut wild.rights),
                        None => acl.wild.push(Wild::new(segments, *prefix, &rule.glob, clone())),
                    }
                }
            }
        }
        // The most specific first, so that the first that matches decides.
        acl.wild.sort_unstable_by(|a, b| b.order.cmp(&a.order));
        acl.prefixes = prefixes.into_iter().collect();
        acl.prefixes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        acl
    }

    pub(super) fn allows(&self, request: &PathRequest<'_>) -> bool {
        let path = request.path.as_str();
        self.find(path, request.capability).is_some_and(|rights| rights.allow(request))
    }

    pub(super) fn may_allow(&self, request: &PathRequest<'_>) -> bool {
        let rights = self.find(request.path.as_str(), request.capability);
        rights.is_some_and(|rights| rights.allow_without_parameters(request))
    }

    pub(super) fn has_parameters(&self, capability: Capability, path: &RequestPath) -> bool {
        let rights = self.find(path.as_str(), capability);
        rights.is_some_and(|rights| {
            !rights.allowed.is_empty() || !rights.denied.is_empty() || !rights.required.is_empty()
        })
    }

    pub(super) fn capabilities(&self, path: &RequestPath) -> Capabilities {
        // As for a listing, which looks without the slash at the end too.
        let found = self.find(path.as_str(), Capability::List).map(|rights| rights.capabilities);
        found.filter(|found| !found.is_empty()).unwrap_or(Capabilities::of(&[Capability::Deny]))
    }

    fn find(&self, path: &str, capability: Capability) -> Option<&Rights> {
        if let Some(rights) = self.exact.get(path) {
            return Some(rights);
        }
        let without = path.strip_suffix('/').filter(|_| matches!(capability, Capability::List | Capability::Scan));
        if let Some(without) = without {
            if let Some(rights) = self.exact.get(without) {
                return Some(rights);
            }
            if let Some(rights) = self.find_glob(without) {
                return Some(rights);
            }
        }
        self.find_glob(path)
    }

    fn find_glob(&self, path: &str) -> Option<&Rights> {
        let prefix = self.longest_prefix(path);
        let wild = self.wild.iter().find(|wild| wild.matches(path));
        match (prefix, wild) {
            (Some((prefix, rights)), Some(wild)) => {
                let order = Order { first: prefix.len(), is_prefix: true, wildcards: 0, text: prefix.into() };
                Some(if order > wild.order { rights } else { &wild.rights })
            }
            (Some((_, rights)), None) => Some(rights),
            (None, wild) => wild.map(|wild| &wild.rights),
        }
    }

    /// Finds the longest prefix by going back from where the path itself would stand: each step shortens it to what the neighbour shares.
    fn longest_prefix(&self, path: &str) -> Option<(&str, &Rights)> {
        let mut wanted = path;
        loop {
            let behind = self.prefixes.partition_point(|(prefix, _)| **prefix <= *wanted);
            let (prefix, rights) = self.prefixes.get(behind.checked_sub(1)?)?;
            if wanted.starts_with(&**prefix) {
                return Some((prefix, rights));
            }
            let shared = wanted.bytes().zip(prefix.bytes()).take_while(|(a, b)| a == b).count();
            // Paths are ASCII, so that every byte is a character.
            wanted = wanted.get(..shared)?;
        }
    }
}

impl Wild {
    fn new(segments: &[WildSegment], is_prefix: bool, glob: &PathGlob, rights: Rights) -> Self {
        let text = glob.to_string();
        let order = Order {
            first: text.find('+').unwrap_or(text.len()),
            is_prefix,
            wildcards: segments.iter().filter(|segment| **segment == WildSegment::Any).count(),
            text: text.strip_suffix('*').unwrap_or(&text).into(),
        };
        Self { segments: segments.to_vec(), is_prefix, order, rights }
    }

    fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        let last = self.segments.len() - 1;
        for (number, segment) in self.segments.iter().enumerate() {
            let Some(part) = parts.next() else { return false };
            let matches = match segment {
                WildSegment::Any => true,
                WildSegment::Literal(literal) if self.is_prefix && number == last => part.starts_with(&**literal),
                WildSegment::Literal(literal) => part == &**literal,
            };
            if !matches {
                return false;
            }
        }
        self.is_prefix || parts.next().is_none()
    }
}

impl Rights {
    /// Adds what another policy says of the same path.
    fn merge(&mut self, other: &Self) {
        self.capabilities = self.capabilities.joined(other.capabilities);
        if self.capabilities.contains(Capability::Deny) {
            *self = Self { capabilities: self.capabilities, ..Self::default() };
            return;
        }
        // The shorter time wins of two, as there.
        let shorter = |a: Option<_>, b: Option<_>| a.into_iter().chain(b).min();
        self.max_wrapping = shorter(self.max_wrapping, other.max_wrapping);
        self.min_wrapping = shorter(self.min_wrapping, other.min_wrapping);
        merge_parameters(&mut self.allowed, &other.allowed);
        merge_parameters(&mut self.denied, &other.denied);
        for name in &other.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
    }

    fn allow(&self, request: &PathRequest<'_>) -> bool {
        use Capability::{Create, Patch, Read, Update};
        self.allow_without_parameters(request)
            && (!matches!(request.capability, Create | Patch | Read | Update) || self.allow_parameters(request))
    }

    fn allow_without_parameters(&self, request: &PathRequest<'_>) -> bool {
        if !self.capabilities.contains(request.capability) || self.capabilities.contains(Capability::Deny) {
            return false;
        }
        let wraps = |fits: &dyn Fn(std::time::Duration) -> bool| request.wrapping.is_some_and(fits);
        if self.max_wrapping.is_some_and(|max| !wraps(&|time| time <= max))
            || self.min_wrapping.is_some_and(|min| !wraps(&|time| time >= min))
        {
            return false;
        }
        true
    }

    fn allow_parameters(&self, request: &PathRequest<'_>) -> bool {
        let came = |wanted: &String| request.parameters.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if !self.required.iter().all(came) {
            return false;
        }
        if request.parameters.is_empty() {
            return true;
        }
        if self.denied.contains_key("*") {
            return false;
        }
        let allows_others = self.allowed.is_empty() || self.allowed.contains_key("*");
        request.parameters.iter().all(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let names = |parameters: &Parameters| {
                let values = parameters.get(&name)?;
                Some(values.is_empty() || values.iter().any(|named| named.stands_for(value)))
            };
            names(&self.denied) != Some(true) && names(&self.allowed).unwrap_or(allows_others)
        })
    }
}

fn merge_parameters(known: &mut Parameters, other: &Parameters) {
    for (name, values) in other {
        match known.get_mut(name) {
            // No values stand for any.
            Some(known) if known.is_empty() => {}
            Some(known) if values.is_empty() => known.clear(),
            Some(known) => known.extend(values.iter().cloned()),
            None => {
                known.insert(name.clone(), values.clone());
            }
        }
    }
}
