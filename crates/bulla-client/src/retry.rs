//! What is tried again, and after how long.

use std::time::Duration;

use crate::ClientError;

/// First wait; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Returns how long to wait before another attempt, or `None` if there is to be none.
///
/// `jitter`, from 0 to 255, is drawn at random, so that many clients do not come back at once.
pub(crate) fn wait(
    error: &ClientError,
    is_repeatable: bool,
    attempt: u32,
    attempts: u32,
    jitter: u8,
) -> Option<Duration> {
    if attempt >= attempts {
        return None;
    }
    let asked = match error {
        // Nothing was sent.
        ClientError::Unreachable { .. } => Duration::ZERO,
        // A server that lets a connection go just when it is used again, most likely.
        ClientError::Broken { .. } if is_repeatable => Duration::ZERO,
        ClientError::Busy { retry_after: Some(after), .. } if is_repeatable => *after,
        _ => return None,
    };
    let longest = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(10));
    Some(asked.saturating_add(longest / 2).saturating_add(longest / 2 * u32::from(jitter) / 255))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Said;

    fn busy(retry_after: Option<u64>) -> ClientError {
        let said = Said { request: String::new(), status: http::StatusCode::SERVICE_UNAVAILABLE, messages: Vec::new() };
        ClientError::Busy { retry_after: retry_after.map(Duration::from_secs), said }
    }

    fn unreachable() -> ClientError {
        ClientError::Unreachable { server: String::new(), detail: String::new() }
    }

    #[test]
    fn waits_grow_and_differ() {
        let waits =
            |jitter| [1, 2, 3].map(|attempt| wait(&unreachable(), false, attempt, 9, jitter).unwrap().as_millis());
        assert_eq!(waits(0), [50, 100, 200]);
        assert_eq!(waits(255), [100, 200, 400]);
        assert_eq!(wait(&unreachable(), false, 3, 3, 0), None);
        assert!(wait(&unreachable(), false, u32::MAX - 1, u32::MAX, 255).is_some());
    }

    #[test]
    fn only_what_is_safe_is_tried_again() {
        assert_eq!(wait(&busy(Some(2)), true, 1, 3, 0), Some(Duration::from_millis(2_050)));
        assert_eq!(wait(&busy(Some(2)), false, 1, 3, 0), None);
        assert_eq!(wait(&busy(None), true, 1, 3, 0), None);
        let broken = ClientError::Broken { server: String::new(), detail: String::new() };
        assert_eq!(wait(&broken, false, 1, 3, 0), None);
        assert!(wait(&broken, true, 1, 3, 0).is_some());
        let tls = ClientError::Tls { server: String::new(), detail: String::new() };
        assert_eq!(wait(&tls, true, 1, 3, 0), None);
    }
}
