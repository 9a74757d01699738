//! The data in a pickle, read without running any of it (spec, "Names").
//!
//! The format is a program for a small machine with a stack; only what builds plain data is followed here. Whatever would call
//! something, import something or is not known is an *opaque* node: it can be carried about, and nothing can be said of it.

/// Where a node lies in its pickle.
pub(super) type Id = usize;

/// The most nodes that are followed. Bounds the memory to some tens of megabytes.
const MAX_NODES: usize = 1 << 20;

/// One thing that a pickle builds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// In the order in which they were set; keys may repeat.
    Dict(Vec<(Id, Id)>),
    /// A class or function, by module and qualified name. It is not imported.
    Global(&'a str, &'a str),
    /// An instance: class, arguments, and its state once that was set. It is not made.
    Object {
        class: Id,
        args: Id,
        state: Option<Id>,
    },
    Opaque,
}

/// What a pickle builds.
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Follows a pickle up to its end. `None` if it is none, goes on behind its end, or uses what is not followed.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut machine =
            Machine { rest: bytes, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
        while let Some(opcode) = machine.byte() {
            if opcode == b'.' {
                let root = machine.pop()?;
                let is_all = machine.rest.is_empty() && machine.stack.is_empty() && machine.marks.is_empty();
                return is_all.then_some(Self { nodes: machine.nodes, root });
            }
            machine.step(opcode)?;
        }
        None
    }

    /// Returns what all of it builds.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// Returns how many nodes there are; ids are below that.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        // Ids come from this pickle alone, and nodes are never removed.
        &self.nodes[id]
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
}

impl<'a> Machine<'a> {
    /// Takes one step, other than the last.
    fn step(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Some(())
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'J' => {
                let bytes = self.take(4)?.try_into().ok()?;
                self.push(Node::Int(i32::from_le_bytes(bytes).into()))
            }
            b'K' => {
                let value = self.length(1)?;
                self.push(Node::Int(value as i128))
            }
            b'M' => {
                let value = self.length(2)?;
                self.push(Node::Int(value as i128))
            }
            0x8a => self.long(1),
            0x8b => self.long(4),
            b'G' => {
                let bytes = self.take(8)?.try_into().ok()?;
                self.push(Node::Float(f64::from_be_bytes(bytes)))
            }
            0x8c => self.text(1),
            b'X' => self.text(4),
            0x8d => self.text(8),
            b'C' => self.bytes(1),
            b'B' => self.bytes(4),
            0x8e => self.bytes(8),
            b']' => self.push(Node::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(items)
            }
            b')' => self.push(Node::Tuple(Vec::new())),
            b't' => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items))
            }
            0x85..=0x87 => {
                let first = self.above_mark(usize::from(opcode - 0x84))?;
                let items = self.stack.split_off(first);
                self.push(Node::Tuple(items))
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            b's' => {
                let first = self.above_mark(2)?;
                let items = self.stack.split_off(first);
                self.set(&items)
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)
            }
            0x94 => {
                let top = *self.stack.last()?;
                self.memo.push(Some(top));
                Some(())
            }
            b'q' => self.put(1),
            b'r' => self.put(4),
            b'h' => self.recall(1),
            b'j' => self.recall(4),
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module], &self.nodes[name]) {
                    (Node::Text(module), Node::Text(name)) => self.push(Node::Global(module, name)),
                    _ => None,
                }
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(module, name))
            }
            0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.push(Node::Object { class, args, state: None })
            }
            b'b' => self.build(),
            // A call. What it would return cannot be known.
            b'R' => {
                self.pop()?;
                self.pop()?;
                self.push(Node::Opaque)
            }
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads an unsigned integer of 1 to 8 bytes, the lowest first.
    fn length(&mut self, width: usize) -> Option<usize> {
        let bytes = self.take(width)?;
        let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    }

    fn line(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = self.take(end)?;
        self.byte()?;
        std::str::from_utf8(line).ok()
    }

    fn push(&mut self, node: Node<'a>) -> Option<()> {
        if self.nodes.len() == MAX_NODES {
            return None;
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Some(())
    }

    /// Returns where on the stack the last `count` things begin, all of them above the last mark.
    fn above_mark(&self, count: usize) -> Option<usize> {
        let floor = self.marks.last().copied().unwrap_or_default();
        self.stack.len().checked_sub(count).filter(|first| *first >= floor)
    }

    fn pop(&mut self) -> Option<Id> {
        self.above_mark(1)?;
        self.stack.pop()
    }

    fn since_mark(&mut self) -> Option<Vec<Id>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn text(&mut self, width: usize) -> Option<()> {
        let len = self.length(width)?;
        let text = std::str::from_utf8(self.take(len)?);
        // Python has texts that are no Unicode.
        self.push(text.map_or(Node::Opaque, Node::Text))
    }

    fn bytes(&mut self, width: usize) -> Option<()> {
        let len = self.length(width)?;
        let bytes = self.take(len)?;
        self.push(Node::Bytes(bytes))
    }

    /// Reads an integer in two's complement, the lowest byte first.
    fn long(&mut self, width: usize) -> Option<()> {
        let len = self.length(width)?;
        let bytes = self.take(len)?;
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [sign; 16];
        match wide.get_mut(..len) {
            Some(low) => {
                low.copy_from_slice(bytes);
                self.push(Node::Int(i128::from_le_bytes(wide)))
            }
            None => self.push(Node::Opaque),
        }
    }

    fn extend(&mut self, more: Vec<Id>) -> Option<()> {
        self.above_mark(1)?;
        match &mut self.nodes[*self.stack.last()?] {
            Node::List(items) => items.extend(more),
            Node::Opaque => {}
            _ => return None,
        }
        Some(())
    }

    fn set(&mut self, items: &[Id]) -> Option<()> {
        self.above_mark(1)?;
        let (pairs, odd) = items.as_chunks::<2>();
        match &mut self.nodes[*self.stack.last()?] {
            Node::Dict(present) if odd.is_empty() => present.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            Node::Opaque if odd.is_empty() => {}
            _ => return None,
        }
        Some(())
    }

    fn build(&mut self) -> Option<()> {
        let new = self.pop()?;
        self.above_mark(1)?;
        match &mut self.nodes[*self.stack.last()?] {
            Node::Object { state: state @ None, .. } => *state = Some(new),
            Node::Opaque => {}
            _ => return None,
        }
        Some(())
    }

    fn put(&mut self, width: usize) -> Option<()> {
        let at = self.length(width)?;
        let top = *self.stack.last()?;
        // Honest picklers number in order, so that the memo has no more places than there are nodes.
        if at > self.nodes.len() {
            return None;
        }
        if self.memo.len() <= at {
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = Some(top);
        Some(())
    }

    fn recall(&mut self, width: usize) -> Option<()> {
        let at = self.length(width)?;
        let id = self.memo.get(at).copied().flatten()?;
        self.stack.push(id);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(bytes: &[u8]) -> Option<Node<'_>> {
        Pickle::read(bytes).map(|pickle| pickle.node(pickle.root()).clone())
    }

    #[test]
    fn plain_data_is_followed() {
        assert_eq!(root(b"\x80\x04N."), Some(Node::None));
        assert_eq!(root(b"K\xff."), Some(Node::Int(255)));
        assert_eq!(root(b"J\xff\xff\xff\xff."), Some(Node::Int(-1)));
        assert_eq!(root(b"\x8a\x02\x00\x80."), Some(Node::Int(-32_768)));
        assert_eq!(root(b"\x8a\x00."), Some(Node::Int(0)));
        assert_eq!(root(b"\x8a\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01."), Some(Node::Opaque));
        assert_eq!(root(b"G\x3f\xf8\0\0\0\0\0\0."), Some(Node::Float(1.5)));
        assert_eq!(root(b"\x8c\x02ab."), Some(Node::Text("ab")));
        assert_eq!(root(b"\x8c\x03\xed\xa0\x80."), Some(Node::Opaque));
        assert_eq!(root(b"](K\x01K\x02e."), Some(Node::List(vec![1, 2])));
        assert_eq!(root(b"K\x01K\x02\x86."), Some(Node::Tuple(vec![0, 1])));
        assert_eq!(root(b"}\x94(K\x01h\x00u."), Some(Node::Dict(vec![(1, 0)])), "it holds itself");
        assert_eq!(root(b"cos\nsystem\n\x8c\x02id\x85R."), Some(Node::Opaque), "nothing is run");
    }

    #[test]
    fn what_is_no_pickle_is_left() {
        for bytes in [
            &b""[..],
            b".",
            b"N",
            b"N.N",
            b"NN.",
            b"(N.",
            b"(e.",
            b"N(b.",
            b"](K\x01.",
            b"}(K\x01u.",
            b"h\x00.",
            b"Nr\xff\xff\xff\xff.",
            b"\x8c\x05abc.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            b"K\x01(\x86.",
            b"K\x01K\x01\x93.",
            b"Nb.",
            b"I01\n.",
            b"Pid\n.",
        ] {
            assert_eq!(root(bytes), None, "{bytes:?}");
        }
        let many = [&vec![b'N'; MAX_NODES + 1][..], b"."].concat();
        assert_eq!(root(&many), None);
    }
}
