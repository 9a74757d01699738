//! When to compute a value anew before it expires.

use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_seal::{SealError, fill_random};

/// Returns a random number above 0, and at most 1.
pub(super) fn chance() -> Result<f64, SealError> {
    let mut bytes = [0; 8];
    fill_random(&mut bytes)?;
    Ok(fraction(u64::from_le_bytes(bytes)))
}

/// Says whether a reader is to compute a value anew now: with a probability that grows the longer the computation took, and the nearer the
/// end is (`XFetch`, figure 2 in Vattani, Chierichetti and Lowenstein, "Optimal probabilistic cache stampede prevention", VLDB 2015).
pub(super) fn is_due(now: Timestamp, expires: Timestamp, took: Duration, earliness: f64, chance: f64) -> bool {
    let gap = took.as_secs_f64() * earliness * -chance.ln();
    let left = Duration::from_millis(expires.0.saturating_sub(now.0)).as_secs_f64();
    gap > 0.0 && gap >= left
}

/// Takes the upper 53 bits, which is as many as there are.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn fraction(random: u64) -> f64 {
    ((random >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use bulla_backend::testing::Random;

    use super::*;

    #[test]
    fn readers_compute_early_as_often_as_the_formula_says() {
        let mut random = Random::new(4);
        let took = Duration::from_secs(2);
        for (earliness, left_ms) in [(1.0, 500), (1.0, 2_000), (1.0, 6_000), (2.0, 4_000), (0.5, 1_000)] {
            let (now, tries) = (Timestamp(1_000_000), 40_000);
            let expires = Timestamp(now.0 + left_ms);
            let due = (0..tries).filter(|_| is_due(now, expires, took, earliness, fraction(random.number()))).count();
            // -ln(u) is distributed exponentially.
            let expected = (-(f64::from(u32::try_from(left_ms).unwrap()) / 1e3) / (2.0 * earliness)).exp();
            let found = f64::from(u32::try_from(due).unwrap()) / f64::from(tries);
            assert!(
                (found - expected).abs() < 0.012,
                "{earliness}, {left_ms} ms: {found} where {expected} was expected"
            );
        }
    }

    #[test]
    fn without_cost_or_eagerness_nobody_is_early() {
        let (now, expires) = (Timestamp(1_000), Timestamp(1_001));
        for chance in [f64::MIN_POSITIVE, 0.5, 1.0] {
            assert!(!is_due(now, expires, Duration::ZERO, 1.0, chance));
            assert!(!is_due(now, expires, Duration::from_secs(9), 0.0, chance));
            assert!(!is_due(now, expires, Duration::from_secs(9), f64::NAN, chance));
        }
        assert!(!is_due(now, Timestamp(u64::MAX), Duration::from_secs(9), 1.0, fraction(0)));
    }

    #[test]
    fn chances_lie_above_0_and_reach_1() {
        assert!(fraction(0) > 0.0 && fraction(u64::MAX) <= 1.0);
        let drawn = chance().unwrap();
        assert!(drawn > 0.0 && drawn <= 1.0);
    }
}
