//! How a namespace is kept (spec, "Settings").

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bulla_backend::{Durability, Usage};
use bulla_seal::KeyVersionId;
use minicbor::{Decoder, Encoder};

/// Longest encoded settings, in bytes.
pub(crate) const MAX_SETTINGS_LEN: usize = 1_024;

/// How a namespace is kept. By default: encrypted, names in the clear, durable, without limits, damage is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceSettings {
    /// Whether values are encrypted.
    pub mode: Mode,
    /// Whether names are replaced by keyed digests in the storage. Decided before the first entry, and for good.
    pub blinded_names: bool,
    /// What a reader is told of an entry that is not what was written.
    pub on_tamper: OnTamper,
    /// What the recorder is told.
    pub audit: AuditScope,
    /// When a put that returned is safe.
    pub durability: Kept,
    /// How long entries live that are put without a lifetime; at least a millisecond.
    pub lifetime: Option<Duration>,
    /// The most entries there may be, expired ones included; at least one.
    pub max_entries: Option<u64>,
    /// The most bytes that entries and their blobs may take on their storage.
    pub max_bytes: Option<u64>,
    /// Which entries make room where a limit is reached. Without, a put that would pass the limit is refused.
    pub eviction: Option<Eviction>,
    /// Whether opened values may be held in the store's memory tier.
    pub memory_tier: bool,
}

/// Whether values are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Encrypted and authenticated.
    #[default]
    Sealed,
    /// Authenticated, and readable by whoever reads the storage; what is sensitive is encrypted all the same.
    Authenticated,
}

/// What a reader is told of an entry that is not what was written. It is reported and put into quarantine in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTamper {
    /// The failure, until somebody puts the entry anew or sees to its quarantine.
    #[default]
    Error,
    /// That there is no entry, so that the value is computed anew: for caches.
    Miss,
}

/// What a recorder is told of a namespace. Violations are told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditScope {
    /// Changes.
    #[default]
    Changes,
    /// Changes and reads.
    All,
}

/// How well entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kept {
    /// What was put survives a power cut.
    #[default]
    Durable,
    /// What was put survives the process; a power cut may undo the newest puts. For what can be recomputed.
    Cache,
}

/// Which entries go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Those stored longest ago.
    LeastRecentlyStored,
    /// Those read or stored longest ago.
    LeastRecentlyUsed,
    /// Those read least often, where older use counts for less.
    LeastFrequentlyUsed,
}

impl NamespaceSettings {
    /// Returns the hard limit, if there is one.
    #[must_use]
    pub fn limit(&self) -> Option<Usage> {
        (self.max_entries.is_some() || self.max_bytes.is_some()).then(|| Usage {
            documents: self.max_entries.unwrap_or(u64::MAX),
            bytes: self.max_bytes.unwrap_or(u64::MAX),
        })
    }

    /// Checks what has bounds.
    ///
    /// # Errors
    /// Names the first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), BadSettings> {
        let bounds = [
            (self.lifetime.is_none_or(|lifetime| lifetime.as_millis() > 0), BadSettings::Lifetime),
            (self.max_entries != Some(0) && self.max_bytes != Some(0), BadSettings::Limit),
            (self.eviction.is_none() || self.limit().is_some(), BadSettings::EvictionWithoutLimit),
        ];
        bounds.into_iter().find(|(held, _)| !held).map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl From<Kept> for Durability {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Durable => Self::Durable,
            Kept::Cache => Self::Cache,
        }
    }
}

/// Makes the names of a setting's values: what the command line and the listings use.
macro_rules! names {
    ($type:ident { $($variant:ident = $number:literal $name:literal),+ }) => {
        impl $type {
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub(crate) const fn number(self) -> u8 {
                match self { $(Self::$variant => $number),+ }
            }

            fn from_number(number: u8) -> Result<Self, BadSettings> {
                Self::ALL.iter().copied().find(|value| value.number() == number).ok_or(BadSettings::Malformed)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = BadSettings;

            fn from_str(text: &str) -> Result<Self, BadSettings> {
                let known = || Self::ALL.iter().map(|value| value.name()).collect::<Vec<_>>().join(", ");
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.name() == text)
                    .ok_or_else(|| BadSettings::Value { found: text.chars().take(40).collect(), known: known() })
            }
        }
    };
}

names!(Mode { Sealed = 0 "sealed", Authenticated = 1 "authenticated" });
names!(OnTamper { Error = 0 "error", Miss = 1 "miss" });
names!(AuditScope { Changes = 0 "changes", All = 1 "all" });
names!(Kept { Durable = 0 "durable", Cache = 1 "cache" });
names!(Eviction {
    LeastRecentlyStored = 1 "least-recently-stored",
    LeastRecentlyUsed = 2 "least-recently-used",
    LeastFrequentlyUsed = 3 "least-frequently-used"
});

/// Settings as they are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSettings {
    /// 1 for the first settings of a namespace, one more with each that replace others.
    pub version: u64,
    /// The settings themselves.
    pub settings: NamespaceSettings,
    /// Which version of the index key blinds names; present where they are blinded.
    pub index: Option<KeyVersionId>,
}

impl StoredSettings {
    /// Encodes the settings.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(96);
        let written = self.write(&mut Encoder::new(&mut encoded));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        encoded
    }

    fn write(
        &self,
        encoder: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
        let settings = &self.settings;
        let optional = [
            self.index.is_some(),
            settings.lifetime.is_some(),
            settings.max_entries.is_some(),
            settings.max_bytes.is_some(),
            settings.eviction.is_some(),
        ];
        encoder.map(6 + optional.into_iter().map(u64::from).sum::<u64>())?;
        encoder.u8(1)?.u64(self.version)?;
        encoder.u8(2)?.u8(settings.mode.number())?;
        encoder.u8(3)?.u8(settings.on_tamper.number())?;
        encoder.u8(4)?.u8(settings.audit.number())?;
        encoder.u8(5)?.u8(settings.durability.number())?;
        encoder.u8(6)?.bool(settings.memory_tier)?;
        if let Some(index) = &self.index {
            encoder.u8(7)?.bytes(&index.0)?;
        }
        if let Some(lifetime) = settings.lifetime {
            encoder.u8(8)?.u64(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX))?;
        }
        if let Some(entries) = settings.max_entries {
            encoder.u8(9)?.u64(entries)?;
        }
        if let Some(bytes) = settings.max_bytes {
            encoder.u8(10)?.u64(bytes)?;
        }
        if let Some(eviction) = settings.eviction {
            encoder.u8(11)?.u8(eviction.number())?;
        }
        Ok(())
    }

    /// Reads encoded settings, in their one encoding.
    ///
    /// # Errors
    /// [`BadSettings`] if they are not exactly as the specification says.
    pub fn parse(encoded: &[u8]) -> Result<Self, BadSettings> {
        if encoded.len() > MAX_SETTINGS_LEN {
            return Err(BadSettings::Malformed);
        }
        let stored = Self::decode(encoded)?;
        stored.settings.check()?;
        if stored.version == 0 || stored.encode() != encoded {
            return Err(BadSettings::Malformed);
        }
        Ok(stored)
    }

    fn decode(encoded: &[u8]) -> Result<Self, BadSettings> {
        let mut decoder = Decoder::new(encoded);
        let mut stored = Self { version: 0, settings: NamespaceSettings::default(), index: None };
        let settings = &mut stored.settings;
        for _ in 0..decoder.map()?.ok_or(BadSettings::Malformed)? {
            match decoder.u64()? {
                1 => stored.version = decoder.u64()?,
                2 => settings.mode = Mode::from_number(decoder.u8()?)?,
                3 => settings.on_tamper = OnTamper::from_number(decoder.u8()?)?,
                4 => settings.audit = AuditScope::from_number(decoder.u8()?)?,
                5 => settings.durability = Kept::from_number(decoder.u8()?)?,
                6 => settings.memory_tier = decoder.bool()?,
                7 => {
                    let id = decoder.bytes()?.try_into().map_err(|_| BadSettings::Malformed)?;
                    (stored.index, settings.blinded_names) = (Some(KeyVersionId(id)), true);
                }
                8 => settings.lifetime = Some(Duration::from_millis(decoder.u64()?)),
                9 => settings.max_entries = Some(decoder.u64()?),
                10 => settings.max_bytes = Some(decoder.u64()?),
                11 => settings.eviction = Some(Eviction::from_number(decoder.u8()?)?),
                other => return Err(BadSettings::UnknownField(other)),
            }
        }
        Ok(stored)
    }
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSettings {
    /// A value that the setting has not.
    #[error("`{}` is none of {known}", .found.escape_debug())]
    Value {
        /// What was found, or its start.
        found: String,
        /// What there is.
        known: String,
    },
    /// A lifetime of less than a millisecond.
    #[error("entries that live less than a millisecond are of no use")]
    Lifetime,
    /// A limit of nothing.
    #[error("a limit is at least 1")]
    Limit,
    /// A policy for what never happens.
    #[error("an eviction policy needs a limit of entries or bytes")]
    EvictionWithoutLimit,
    /// Names cannot be blinded, or shown, once there are entries.
    #[error("whether names are blinded is decided before the first entry; use another namespace")]
    Blinding,
    /// Names are to be shown that may be blinded.
    #[error("its names may be blinded, and no entry that opens says otherwise; keep them blinded")]
    PerhapsBlinded,
    /// Limits on a storage that does not count.
    #[error("limits need a backend that counts entries, as SQLite does")]
    NoCounting,
    /// Not encoded as settings are.
    #[error("they are not encoded as settings are")]
    Malformed,
    /// A field of the future.
    #[error("they have the unknown field {0}: a newer program wrote them, update this one")]
    UnknownField(u64),
}

impl From<minicbor::decode::Error> for BadSettings {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> StoredSettings {
        let settings = NamespaceSettings {
            mode: Mode::Authenticated,
            blinded_names: true,
            on_tamper: OnTamper::Miss,
            audit: AuditScope::All,
            durability: Kept::Cache,
            lifetime: Some(Duration::from_secs(60)),
            max_entries: Some(1_000),
            max_bytes: Some(1 << 40),
            eviction: Some(Eviction::LeastFrequentlyUsed),
            memory_tier: true,
        };
        StoredSettings { version: 3, settings, index: Some(KeyVersionId([7; 8])) }
    }

    #[test]
    fn settings_come_back_as_they_were() {
        let plain = StoredSettings { version: 1, settings: NamespaceSettings::default(), index: None };
        for stored in [full(), plain] {
            assert_eq!(StoredSettings::parse(&stored.encode()), Ok(stored));
        }
    }

    #[test]
    fn only_one_encoding_is_read() {
        let good = full().encode();
        for end in 0..good.len() {
            assert!(StoredSettings::parse(&good[..end]).is_err(), "cut at {end}");
        }
        assert!(StoredSettings::parse(&[&good[..], b"\0"].concat()).is_err());
        assert_eq!(StoredSettings::parse(b"\xa1\x0c\x01"), Err(BadSettings::UnknownField(12)));
        // A version of 0; a longer encoding of the version.
        assert!(StoredSettings::parse(b"\xa6\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06\xf4").is_err());
        assert!(StoredSettings::parse(b"\xa6\x01\x18\x01\x02\x00\x03\x00\x04\x00\x05\x00\x06\xf4").is_err());
        assert!(StoredSettings::parse(b"\xa6\x01\x01\x02\x00\x03\x00\x04\x00\x05\x00\x06\xf4").is_ok());
    }

    #[test]
    fn bounds_are_held() {
        let check = |change: fn(&mut NamespaceSettings)| {
            let mut settings = NamespaceSettings::default();
            change(&mut settings);
            settings.check()
        };
        assert_eq!(check(|settings| settings.lifetime = Some(Duration::ZERO)), Err(BadSettings::Lifetime));
        assert_eq!(check(|settings| settings.max_bytes = Some(0)), Err(BadSettings::Limit));
        assert_eq!(
            check(|settings| settings.eviction = Some(Eviction::LeastRecentlyUsed)),
            Err(BadSettings::EvictionWithoutLimit)
        );
    }

    #[test]
    fn values_have_names() {
        assert_eq!("least-recently-used".parse(), Ok(Eviction::LeastRecentlyUsed));
        assert_eq!(
            "lru".parse::<Eviction>().unwrap_err().to_string(),
            "`lru` is none of least-recently-stored, least-recently-used, least-frequently-used"
        );
    }
}
