/// A set of numbers, as ranges in order that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Takes ranges, both ends included, or returns `None` if they are not in order, or overlap, or touch.
    pub(crate) fn from_pairs(pairs: Vec<(u64, u64)>) -> Option<Self> {
        let sound = pairs.iter().all(|(from, to)| from <= to)
            && pairs.windows(2).all(|two| two[0].1.checked_add(1).is_some_and(|next| next < two[1].0));
        sound.then_some(Self(pairs))
    }

    pub(crate) fn pairs(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the lowest and the highest number.
    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        Some((self.0.first()?.0, self.0.last()?.1))
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.end_of(number).is_some()
    }

    /// Returns the end of the range that a number is in.
    pub(crate) fn end_of(&self, number: u64) -> Option<u64> {
        let at = self.0.partition_point(|(_, to)| *to < number);
        self.0.get(at).filter(|(from, _)| *from <= number).map(|(_, to)| *to)
    }

    pub(crate) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let at = self.0.partition_point(|(_, to)| *to < number);
        let joins_before = at > 0 && self.0[at - 1].1.checked_add(1) == Some(number);
        let joins_behind = self.0.get(at).is_some_and(|(from, _)| number.checked_add(1) == Some(*from));
        match (joins_before, joins_behind) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = number,
            (false, true) => self.0[at].0 = number,
            (false, false) => self.0.insert(at, (number, number)),
        }
    }

    pub(crate) fn remove(&mut self, number: u64) {
        if !self.contains(number) {
            return;
        }
        let at = self.0.partition_point(|(_, to)| *to < number);
        let (from, to) = self.0.remove(at);
        // A number within a range has a neighbour wherever it is not that range's end.
        if number < to {
            self.0.insert(at, (number + 1, to));
        }
        if from < number {
            self.0.insert(at, (from, number - 1));
        }
    }

    /// Forgets all numbers below one.
    pub(crate) fn forget_below(&mut self, first: u64) {
        self.0.retain(|(_, to)| *to >= first);
        if let Some((from, _)) = self.0.first_mut() {
            *from = first.max(*from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn ranges_are_a_set(steps in prop::collection::vec((0..20_u64, 0..7_u8), 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (number, step) in steps {
                let number = if number == 19 { u64::MAX } else { number };
                match step {
                    0..4 => { ranges.insert(number); set.insert(number); }
                    4..6 => { ranges.remove(number); set.remove(&number); }
                    _ => { ranges.forget_below(number); set.retain(|held| *held >= number); }
                }
                for number in (0..20).chain([u64::MAX]) {
                    prop_assert_eq!(ranges.contains(number), set.contains(&number));
                }
                prop_assert_eq!(Ranges::from_pairs(ranges.pairs().collect()), Some(ranges.clone()));
                prop_assert_eq!(ranges.bounds(), set.first().copied().zip(set.last().copied()));
            }
        }
    }
}
