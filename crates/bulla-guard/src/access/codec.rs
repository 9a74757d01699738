//! Records in deterministic CBOR: arrays of fields in a fixed order (spec, "Records").

use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_keyring::Fingerprint;
use bulla_seal::KeyVersionId;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::{AppRoleName, BindingName, CredentialId, Pattern, Permissions, Policy, PolicyName, RoleName, UserName};

pub(crate) type Infallible = minicbor::encode::Error<core::convert::Infallible>;
pub(crate) type Written = Result<(), Infallible>;
pub(crate) type Out<'a> = Encoder<&'a mut Vec<u8>>;

/// What can be written into a record and read again.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut Out<'_>) -> Written;

    /// Reads the field; `None` for whatever [`Field::put`] did not write.
    fn take(from: &mut Decoder<'_>) -> Option<Self>;
}

/// Encodes to memory, which cannot fail: the writer's error type has no values.
pub(crate) fn encode(record: &impl Field) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let written = record.put(&mut Encoder::new(&mut out));
    debug_assert!(written.is_ok(), "encoding to memory does not fail");
    out
}

/// Reads a record; whatever is not its one encoding is refused.
pub(crate) fn decode<T: Field>(bytes: &[u8]) -> Option<T> {
    let record = T::take(&mut Decoder::new(bytes))?;
    (encode(&record) == bytes).then_some(record)
}

/// Makes a type a record of its fields.
macro_rules! record {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::access::codec::Field for $type {
            fn put(&self, out: &mut $crate::access::codec::Out<'_>) -> $crate::access::codec::Written {
                out.array([$(stringify!($field)),+].len() as u64)?;
                $(self.$field.put(out)?;)+
                Ok(())
            }

            fn take(from: &mut minicbor::Decoder<'_>) -> Option<Self> {
                let len = from.array().ok()??;
                if len != [$(stringify!($field)),+].len() as u64 {
                    return None;
                }
                Some(Self { $($field: $crate::access::codec::Field::take(from)?),+ })
            }
        }
    };
}
pub(crate) use record;

impl Field for u64 {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.u64(*self).map(drop)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        from.u64().ok()
    }
}

impl Field for u32 {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.u32(*self).map(drop)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        from.u32().ok()
    }
}

impl Field for bool {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.bool(*self).map(drop)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        from.bool().ok()
    }
}

impl Field for String {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.str(self).map(drop)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        from.str().ok().map(str::to_owned)
    }
}

impl<const N: usize> Field for [u8; N] {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.bytes(self).map(drop)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        from.bytes().ok()?.try_into().ok()
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Out<'_>) -> Written {
        match self {
            Some(field) => field.put(out),
            None => out.null().map(drop),
        }
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        if from.datatype().ok()? == Type::Null {
            return from.null().ok().map(|()| None);
        }
        T::take(from).map(Some)
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.array(self.len() as u64)?;
        self.iter().try_for_each(|field| field.put(out))
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        // Nothing is reserved for what a head only promises.
        (0..from.array().ok()??).map(|_| T::take(from)).collect()
    }
}

impl<T: Field, U: Field> Field for (T, U) {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.array(2)?;
        self.0.put(out)?;
        self.1.put(out)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        (from.array().ok()?? == 2).then_some(())?;
        Some((T::take(from)?, U::take(from)?))
    }
}

impl Field for Timestamp {
    fn put(&self, out: &mut Out<'_>) -> Written {
        self.0.put(out)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        u64::take(from).map(Self)
    }
}

/// In milliseconds.
impl Field for Duration {
    fn put(&self, out: &mut Out<'_>) -> Written {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX).put(out)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        u64::take(from).map(Self::from_millis)
    }
}

impl Field for KeyVersionId {
    fn put(&self, out: &mut Out<'_>) -> Written {
        self.0.put(out)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        <[u8; 8]>::take(from).map(Self)
    }
}

impl Field for Fingerprint {
    fn put(&self, out: &mut Out<'_>) -> Written {
        self.0.put(out)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        <[u8; 32]>::take(from).map(Self)
    }
}

impl Field for Permissions {
    fn put(&self, out: &mut Out<'_>) -> Written {
        self.bits().put(out)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        Self::from_bits(u64::take(from)?)
    }
}

impl Field for Policy {
    fn put(&self, out: &mut Out<'_>) -> Written {
        out.str(self.text()).map(drop)
    }

    fn take(from: &mut Decoder<'_>) -> Option<Self> {
        from.str().ok()?.parse().ok()
    }
}

/// Makes a field of what has a text of its own.
macro_rules! text {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Out<'_>) -> Written {
                out.str(self.as_str()).map(drop)
            }

            fn take(from: &mut Decoder<'_>) -> Option<Self> {
                from.str().ok()?.parse().ok()
            }
        }
    )+};
}

text!(AppRoleName, BindingName, CredentialId, Pattern, PolicyName, RoleName, UserName);
