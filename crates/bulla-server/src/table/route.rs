//! From segments to an endpoint: a tree whose branches are literals, parameters, and tails that a literal may end.

use super::{Endpoint, TableError, Verb};

/// Where a path leads: the endpoints there, and the parameters on the way.
#[derive(Debug)]
pub(crate) struct Found<'t, 'p> {
    leaves: &'t [Leaf],
    /// Endpoints with a tail, of which there is nothing left: only what lists answers, with all.
    whole: &'t [Leaf],
    values: Vec<&'p str>,
    tail: Option<String>,
}

impl Found<'_, '_> {
    /// Returns the endpoint that answers a verb, and its parameters.
    pub(crate) fn answer(&self, verb: Verb) -> Option<(usize, Vec<(&'static str, String)>)> {
        let leaf = self.leaves().find(|leaf| leaf.verb == verb)?;
        let tail = self.tail.as_deref().unwrap_or_default();
        let values = self.values.iter().copied().chain([tail]).map(str::to_owned);
        Some((leaf.index, leaf.names.iter().copied().zip(values).collect()))
    }

    /// Returns what is answered here, for `Allow`.
    pub(crate) fn allow(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for leaf in self.leaves() {
            names.extend(match leaf.verb {
                Verb::Get => ["GET", "HEAD"].as_slice(),
                // It is also `?list=true`.
                Verb::List => &["LIST", "GET"],
                Verb::Post => &["POST"],
                Verb::Put => &["PUT"],
                Verb::Patch => &["PATCH"],
                Verb::Delete => &["DELETE"],
            });
        }
        names.push("OPTIONS");
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.leaves.iter().chain(self.whole.iter().filter(|leaf| leaf.verb == Verb::List))
    }
}

#[derive(Debug, Default)]
pub(super) struct Routes {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: Vec<(&'static str, Node)>,
    parameter: Option<Box<Node>>,
    tail: Vec<Leaf>,
    /// Tails that end with a literal, as `{path..}/tune`.
    ended_tails: Vec<(&'static str, Vec<Leaf>)>,
    leaves: Vec<Leaf>,
}

#[derive(Debug)]
pub(crate) struct Leaf {
    verb: Verb,
    index: usize,
    names: Vec<&'static str>,
}

impl Routes {
    pub(super) fn insert(&mut self, endpoint: &Endpoint, index: usize) -> Result<(), TableError> {
        for &path in endpoint.paths() {
            let bad = || TableError::BadPath { id: endpoint.id(), path };
            let mut node = &mut self.root;
            let mut names = Vec::new();
            let mut is_tail = false;
            let mut end = None;
            let trimmed = path.strip_prefix('/').unwrap_or(path);
            for segment in trimmed.split('/').filter(|_| !trimmed.is_empty()) {
                let is_end = is_tail && end.is_none() && !segment.contains(['{', '}', '%']);
                if segment.is_empty() || (is_tail && !is_end) {
                    return Err(bad());
                }
                if is_end {
                    end = Some(segment);
                    continue;
                }
                match segment.strip_prefix('{') {
                    None if segment.contains(['{', '}', '%']) => return Err(bad()),
                    None => node = node.literal(segment),
                    Some(rest) => {
                        let name = rest.strip_suffix('}').ok_or_else(bad)?;
                        let (name, tail) = name.strip_suffix("..").map_or((name, false), |name| (name, true));
                        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
                        if name.is_empty() || !name.chars().all(is_name) || names.contains(&name) {
                            return Err(bad());
                        }
                        names.push(name);
                        if tail {
                            is_tail = true;
                        } else {
                            node = node.parameter.get_or_insert_default();
                        }
                    }
                }
            }
            let leaves = match end {
                Some(end) => node.ended_tail(end),
                None if is_tail => &mut node.tail,
                None => &mut node.leaves,
            };
            for &verb in endpoint.verbs() {
                if leaves.iter().any(|leaf| leaf.verb == verb) {
                    return Err(TableError::SamePath { id: endpoint.id(), verb, path });
                }
                leaves.push(Leaf { verb, index, names: names.clone() });
            }
        }
        Ok(())
    }

    /// Finds where a path leads. A literal comes before a parameter, that before a tail, and one that a literal ends before one that none does.
    pub(super) fn find<'p>(&self, segments: &[&'p str]) -> Option<Found<'_, 'p>> {
        self.root.find(segments, &mut Vec::new())
    }

    /// Says whether a path that begins with `prefix` goes on as `segments` do, or the other way round.
    pub(super) fn begins(&self, prefix: &[&str], segments: &[&str]) -> bool {
        let mut node = &self.root;
        for segment in prefix.iter().chain(segments) {
            match node.literals.iter().find(|(literal, _)| literal == segment) {
                Some((_, next)) => node = next,
                None => return false,
            }
        }
        true
    }
}

impl Node {
    fn literal(&mut self, segment: &'static str) -> &mut Self {
        let position = self.literals.iter().position(|(literal, _)| *literal == segment).unwrap_or_else(|| {
            self.literals.push((segment, Self::default()));
            self.literals.len() - 1
        });
        &mut self.literals[position].1
    }

    fn ended_tail(&mut self, end: &'static str) -> &mut Vec<Leaf> {
        let position = self.ended_tails.iter().position(|(known, _)| *known == end).unwrap_or_else(|| {
            self.ended_tails.push((end, Vec::new()));
            self.ended_tails.len() - 1
        });
        &mut self.ended_tails[position].1
    }

    /// Looks on from here. The depth is that of the table's paths, and at most two branches are tried at each step.
    fn find<'p>(&self, segments: &[&'p str], values: &mut Vec<&'p str>) -> Option<Found<'_, 'p>> {
        let [first, rest @ ..] = segments else {
            let found = Found { leaves: &self.leaves, whole: &self.tail, values: values.clone(), tail: None };
            let is_end = found.leaves().next().is_some();
            return is_end.then_some(found);
        };
        let literal = self.literals.iter().find(|(literal, _)| literal == first);
        if let Some(found) = literal.and_then(|(_, node)| node.find(rest, values)) {
            return Some(found);
        }
        if let Some(node) = &self.parameter {
            values.push(first);
            if let Some(found) = node.find(rest, values) {
                return Some(found);
            }
            values.pop();
        }
        // No segment of a tail has a slash in it: otherwise one resource would have two names.
        if segments.iter().any(|segment| segment.contains('/')) {
            return None;
        }
        if let Some((last, tail)) = segments.split_last().filter(|(_, tail)| !tail.is_empty())
            && let Some((_, leaves)) = self.ended_tails.iter().find(|(end, _)| end == last)
        {
            return Some(Found { leaves, whole: &[], values: values.clone(), tail: Some(tail.join("/")) });
        }
        if self.tail.is_empty() {
            return None;
        }
        Some(Found { leaves: &self.tail, whole: &[], values: values.clone(), tail: Some(segments.join("/")) })
    }
}
