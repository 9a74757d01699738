//! The description of a named key, which its data key authenticates: settings and states of versions lie here and nowhere else.

use std::collections::BTreeMap;

use bulla_backend::Timestamp;
use bulla_seal::KeyVersionId;
use minicbor::Encoder;

use super::ranges::Ranges;
use super::row::{VERSION, begin, strictly};
use crate::cbor::{self, Infallible, Malformed, Reader};
use crate::{Algorithm, Exportable, KeyOrigin};

/// Longest description of a key, in bytes, as it is sealed.
pub const MAX_KEY_ROW_LEN: usize = 16_384;

/// Most ranges of versions of one state, and most versions that wait for their end.
pub(crate) const MAX_RANGES: usize = 256;

/// The time of a destruction that has begun, and is not undone any more.
pub(crate) const BEGUN: Timestamp = Timestamp(0);

/// The description of a named key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyBody {
    pub(crate) algorithm: Algorithm,
    pub(crate) created: Timestamp,
    /// One more with each change.
    pub(crate) serial: u64,
    pub(crate) first: u64,
    pub(crate) newest: u64,
    /// Tells the newest version from another of the same number, made after an older copy of the database was restored.
    pub(crate) newest_id: KeyVersionId,
    /// When the newest version was made the newest.
    pub(crate) rotated: Timestamp,
    pub(crate) settings: Settings,
}

/// What deviates from a key's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    pub(crate) min_open: Option<u64>,
    pub(crate) min_seal: Option<u64>,
    /// In milliseconds.
    pub(crate) period: Option<u64>,
    pub(crate) max_uses: Option<u64>,
    pub(crate) exportable: Exportable,
    pub(crate) deletion_allowed: bool,
    pub(crate) origin: KeyOrigin,
    pub(crate) disabled: Ranges,
    pub(crate) destroying: BTreeMap<u64, Timestamp>,
    pub(crate) destroyed: Ranges,
    pub(crate) deleting: Option<Timestamp>,
}

const MIN_OPEN: u64 = 1;
const MIN_SEAL: u64 = 2;
const PERIOD: u64 = 3;
const MAX_USES: u64 = 4;
const EXPORTABLE: u64 = 5;
const DELETION_ALLOWED: u64 = 6;
const ORIGIN: u64 = 7;
const DISABLED: u64 = 8;
const DESTROYING: u64 = 9;
const DESTROYED: u64 = 10;
const DELETING: u64 = 11;

const EXPORT_YES: u64 = 1;
const EXPORT_NEVER: u64 = 2;

impl KeyBody {
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        strictly(body, MAX_KEY_ROW_LEN, Self::read, Self::encode).filter(Self::is_sound)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(10)?.u64(VERSION)?.u64(self.algorithm.use_case().number())?.u64(self.algorithm.number())?;
            e.u64(self.created.0)?.u64(self.serial)?.u64(self.first)?.u64(self.newest)?;
            e.bytes(&self.newest_id.0)?.u64(self.rotated.0)?;
            self.settings.encode(e)
        })
    }

    fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = begin(body, 10)?;
        // The algorithm implies the use case; encoding again shows whether they agree.
        r.uint()?;
        Ok(Self {
            algorithm: Algorithm::from_number(r.uint()?).ok_or(Malformed)?,
            created: Timestamp(r.uint()?),
            serial: r.uint()?,
            first: r.uint()?,
            newest: r.uint()?,
            newest_id: KeyVersionId(r.fixed()?),
            rotated: Timestamp(r.uint()?),
            settings: Settings::read(&mut r)?,
        })
    }

    /// Says whether everything is about versions that the key has.
    fn is_sound(&self) -> bool {
        let has = |number: u64| (self.first..=self.newest).contains(&number);
        let settings = &self.settings;
        self.first >= 1
            && self.first <= self.newest
            && self.serial >= 1
            && settings.min_open.is_none_or(has)
            && settings.min_seal.is_none_or(has)
            && settings.destroying.keys().all(|number| has(*number))
            && [&settings.disabled, &settings.destroyed]
                .iter()
                .all(|ranges| ranges.bounds().is_none_or(|(from, to)| has(from) && has(to)))
    }
}

impl Settings {
    fn encode(&self, e: &mut Encoder<&mut Vec<u8>>) -> Result<(), Infallible> {
        let numbers = [
            (MIN_OPEN, self.min_open),
            (MIN_SEAL, self.min_seal),
            (PERIOD, self.period),
            (MAX_USES, self.max_uses),
            (EXPORTABLE, export_number(self.exportable)),
            (DELETION_ALLOWED, self.deletion_allowed.then_some(1)),
            (ORIGIN, (self.origin != KeyOrigin::Generated).then(|| self.origin.number())),
        ];
        let lists = [!self.disabled.is_empty(), !self.destroying.is_empty(), !self.destroyed.is_empty()];
        let entries = numbers.iter().filter(|(_, value)| value.is_some()).count()
            + lists.iter().filter(|&&present| present).count()
            + usize::from(self.deleting.is_some());
        e.map(entries as u64)?;
        for (number, value) in numbers {
            if let Some(value) = value {
                e.u64(number)?.u64(value)?;
            }
        }
        if !self.disabled.is_empty() {
            encode_pairs(e, DISABLED, self.disabled.pairs())?;
        }
        if !self.destroying.is_empty() {
            encode_pairs(e, DESTROYING, self.destroying.iter().map(|(number, at)| (*number, at.0)))?;
        }
        if !self.destroyed.is_empty() {
            encode_pairs(e, DESTROYED, self.destroyed.pairs())?;
        }
        if let Some(at) = self.deleting {
            e.u64(DELETING)?.u64(at.0)?;
        }
        Ok(())
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut settings = Self::default();
        for _ in 0..r.map_len()? {
            match r.uint()? {
                MIN_OPEN => settings.min_open = Some(r.uint()?),
                MIN_SEAL => settings.min_seal = Some(r.uint()?),
                PERIOD => settings.period = Some(r.uint()?),
                MAX_USES => settings.max_uses = Some(r.uint()?),
                EXPORTABLE => {
                    settings.exportable = match r.uint()? {
                        EXPORT_YES => Exportable::Yes,
                        EXPORT_NEVER => Exportable::Never,
                        _ => return Err(Malformed),
                    }
                }
                DELETION_ALLOWED => settings.deletion_allowed = r.uint()? == 1,
                ORIGIN => settings.origin = KeyOrigin::from_number(r.uint()?).ok_or(Malformed)?,
                DISABLED => settings.disabled = Ranges::from_pairs(read_pairs(r)?).ok_or(Malformed)?,
                DESTROYING => {
                    settings.destroying =
                        read_pairs(r)?.into_iter().map(|(number, at)| (number, Timestamp(at))).collect();
                }
                DESTROYED => settings.destroyed = Ranges::from_pairs(read_pairs(r)?).ok_or(Malformed)?,
                DELETING => settings.deleting = Some(Timestamp(r.uint()?)),
                _ => return Err(Malformed),
            }
        }
        Ok(settings)
    }
}

fn export_number(exportable: Exportable) -> Option<u64> {
    match exportable {
        Exportable::No => None,
        Exportable::Yes => Some(EXPORT_YES),
        Exportable::Never => Some(EXPORT_NEVER),
    }
}

fn encode_pairs(
    e: &mut Encoder<&mut Vec<u8>>,
    number: u64,
    pairs: impl ExactSizeIterator<Item = (u64, u64)>,
) -> Result<(), Infallible> {
    e.u64(number)?.array(pairs.len() as u64)?;
    for (first, second) in pairs {
        e.array(2)?.u64(first)?.u64(second)?;
    }
    Ok(())
}

fn read_pairs(r: &mut Reader<'_>) -> Result<Vec<(u64, u64)>, Malformed> {
    let len = usize::try_from(r.array_len()?).map_err(|_| Malformed)?;
    if len > MAX_RANGES {
        return Err(Malformed);
    }
    let mut pairs = Vec::with_capacity(len);
    for _ in 0..len {
        r.array(2)?;
        pairs.push((r.uint()?, r.uint()?));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> KeyBody {
        let every_second = || (0..MAX_RANGES as u64).map(|n| (u64::MAX / 2 + 2 * n, u64::MAX / 2 + 2 * n)).collect();
        let settings = Settings {
            min_open: Some(u64::MAX - 1),
            min_seal: Some(u64::MAX),
            period: Some(u64::MAX),
            max_uses: Some(u64::MAX),
            exportable: Exportable::Never,
            deletion_allowed: true,
            origin: KeyOrigin::External,
            disabled: Ranges::from_pairs(every_second()).unwrap(),
            destroying: every_second().into_iter().map(|(number, _)| (number, Timestamp(u64::MAX))).collect(),
            destroyed: Ranges::from_pairs(every_second()).unwrap(),
            deleting: Some(Timestamp(u64::MAX)),
        };
        KeyBody {
            algorithm: Algorithm::XWing,
            created: Timestamp(u64::MAX),
            serial: u64::MAX,
            first: 1,
            newest: u64::MAX,
            newest_id: KeyVersionId([7; 8]),
            rotated: Timestamp(u64::MAX),
            settings,
        }
    }

    #[test]
    fn the_longest_description_fits_its_row() {
        let body = full();
        let encoded = body.encode();
        assert!(encoded.len() + 200 < MAX_KEY_ROW_LEN, "{}", encoded.len());
        assert_eq!(KeyBody::decode(&encoded), Some(body));
    }

    #[test]
    fn what_is_not_about_its_own_versions_is_refused() {
        let plain = KeyBody { settings: Settings::default(), first: 3, newest: 9, ..full() };
        assert_eq!(KeyBody::decode(&plain.encode()), Some(plain.clone()));
        let settings = Settings::default;
        for settings in [
            Settings { min_open: Some(2), ..settings() },
            Settings { min_seal: Some(10), ..settings() },
            Settings { disabled: Ranges::from_pairs(vec![(2, 3)]).unwrap(), ..settings() },
            Settings { destroyed: Ranges::from_pairs(vec![(9, 10)]).unwrap(), ..settings() },
            Settings { destroying: [(10, Timestamp(1))].into(), ..settings() },
        ] {
            assert_eq!(KeyBody::decode(&KeyBody { settings, ..plain.clone() }.encode()), None);
        }
        for other in [
            KeyBody { first: 0, ..plain.clone() },
            KeyBody { first: 10, ..plain.clone() },
            KeyBody { serial: 0, ..plain.clone() },
        ] {
            assert_eq!(KeyBody::decode(&other.encode()), None);
        }
    }

    #[test]
    fn one_description_has_one_encoding() {
        let body = KeyBody { settings: Settings { min_open: Some(1), ..Settings::default() }, first: 1, ..full() };
        let encoded = body.encode();
        assert_eq!(encoded[encoded.len() - 3..], [0xa1, 0x01, 0x01]);
        let with = |settings: &[u8]| [&encoded[..encoded.len() - 3], settings].concat();
        assert!(KeyBody::decode(&with(&[0xa2, 0x01, 0x01, 0x02, 0x01])).is_some());
        for other in [
            &[0xa2, 0x02, 0x01, 0x01, 0x01][..],                     // out of order
            &[0xa2, 0x01, 0x01, 0x01, 0x01],                         // twice
            &[0xa1, 0x18, 0x01, 0x01],                               // longer than it need be
            &[0xa1, 0x0c, 0x01],                                     // not known
            &[0xa1, 0x06, 0x00],                                     // a default
            &[0xa1, 0x07, 0x01],                                     // a default
            &[0xa1, 0x08, 0x80],                                     // empty
            &[0xa1, 0x08, 0x82, 0x82, 0x01, 0x02, 0x82, 0x03, 0x03], // ranges that touch
            &[0xa1, 0x08, 0x81, 0x82, 0x02, 0x01],                   // a range without end
            &[0xa0, 0x00],
        ] {
            assert_eq!(KeyBody::decode(&with(other)), None, "{other:x?}");
        }
    }
}
