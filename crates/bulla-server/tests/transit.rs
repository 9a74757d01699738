//! Named keys.
