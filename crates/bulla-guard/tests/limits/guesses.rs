//! Wrong secrets.

use std::time::Duration;

use bulla_guard::limits::{GuessSettings, Guesses};

use super::{SECOND, at, numbered, peer};

#[test]
fn a_wrong_secret_costs_more_each_time_and_a_minute_at_most() {
    let (guesses, source) = (Guesses::default(), peer("192.0.2.1"));
    let mut now = 0;
    for seconds in [1, 3, 5, 10, 20, 30, 60, 60, 60] {
        let wrong = guesses.begin(source, at(now)).unwrap().wrong(None, at(now));
        assert_eq!(wrong.delay, Duration::from_secs(seconds));
        now += seconds * SECOND;
        let too_soon = guesses.begin(source, at(now - 1)).unwrap_err();
        assert_eq!(too_soon.wait, Duration::from_millis(1));
        assert_eq!(too_soon.to_string(), "too many wrong secrets from this address: wait 1 s");
    }
}

#[test]
fn ten_thousand_guesses_take_one_entry_and_a_week() {
    let (guesses, source) = (Guesses::default(), peer("192.0.2.1"));
    let (mut now, mut refused) = (0, 0);
    for _ in 0..10_000 {
        while let Err(too_soon) = guesses.begin(source, at(now)) {
            refused += 1;
            now += u64::try_from(too_soon.wait.as_millis()).unwrap();
        }
        let _delay = guesses.begin(source, at(now)).unwrap().wrong(Some("id"), at(now));
    }
    assert_eq!((guesses.sources(), refused), (1, 9_999));
    assert!(now > 6 * 24 * 3_600 * SECOND, "{now}");
}

#[test]
fn a_right_secret_takes_no_delay_away() {
    let (guesses, source) = (Guesses::default(), peer("192.0.2.1"));
    let _delay = guesses.begin(source, at(0)).unwrap().wrong(None, at(0));
    guesses.begin(source, at(SECOND)).unwrap().right();
    let wrong = guesses.begin(source, at(SECOND)).unwrap().wrong(None, at(SECOND));
    assert_eq!(wrong.delay, Duration::from_secs(3));
}

#[test]
fn right_secrets_alone_are_never_slowed_down() {
    let (guesses, source) = (Guesses::default(), peer("192.0.2.1"));
    let attempts: Vec<_> = (0..1_000).map(|_| guesses.begin(source, at(0)).unwrap()).collect();
    for attempt in attempts {
        attempt.right();
    }
    assert_eq!(guesses.sources(), 0);
}

#[test]
fn quiet_time_and_an_administrator_forgive() {
    let (guesses, source) = (Guesses::default(), peer("192.0.2.1"));
    let first_delay = |now| guesses.begin(source, at(now)).unwrap().wrong(None, at(now)).delay.as_secs() == 1;
    assert!(first_delay(0));
    assert!(!first_delay(15 * 60 * SECOND - 1));
    assert!(first_delay(30 * 60 * SECOND));
    assert!(guesses.reset(source));
    assert!(!guesses.reset(source));
    assert!(first_delay(30 * 60 * SECOND));
    guesses.sweep(at(45 * 60 * SECOND));
    assert_eq!(guesses.sources(), 0);
}

#[test]
fn only_the_source_waits() {
    let guesses = Guesses::default();
    for number in 0..100 {
        let _delay = guesses.begin(numbered(number), at(0)).unwrap().wrong(Some("id"), at(0));
    }
    // The key's owner comes from elsewhere.
    guesses.begin(peer("198.51.100.7"), at(0)).unwrap().right();
}

#[test]
fn a_source_that_guessed_wrong_has_few_attempts_side_by_side() {
    let (guesses, source) = (Guesses::default(), peer("192.0.2.1"));
    let _delay = guesses.begin(source, at(0)).unwrap().wrong(None, at(0));
    let now = at(SECOND);
    let mut attempts: Vec<_> = (0..100).filter_map(|_| guesses.begin(source, now).ok()).collect();
    assert_eq!(attempts.len(), 4);
    // One that ends makes room, however it ends.
    attempts.pop().unwrap().right();
    drop(attempts.pop());
    attempts.extend((0..100).filter_map(|_| guesses.begin(source, now).ok()));
    assert_eq!(attempts.len(), 4);
    // Those that were begun all count.
    let delays: Vec<_> = attempts.into_iter().map(|attempt| attempt.wrong(None, now).delay.as_secs()).collect();
    assert_eq!(delays, [3, 5, 10, 20]);
}

#[test]
fn many_wrong_secrets_for_a_key_raise_one_alert() {
    let guesses = Guesses::default();
    let wrong = |number, key_id, now| guesses.begin(numbered(number), at(now)).unwrap().wrong(key_id, at(now)).alert;
    let alerts: Vec<_> = (0..100).filter_map(|number| wrong(number, Some("orders-1"), number)).collect();
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].key_id.as_str(), alerts[0].wrong, alerts[0].last_source), ("orders-1", 10, numbered(9)));
    // Another key is another count, and what is no key is none.
    assert!((100..109).all(|number| wrong(number, Some("orders-2"), 0).is_none()));
    assert!((200..300).all(|number| wrong(number, None, 0).is_none()));
    // After the time it is said again.
    let later = 10 * 60 * SECOND;
    assert_eq!((300..400).filter_map(|number| wrong(number, Some("orders-1"), later)).count(), 1);
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_wait_longer() {
    let (guesses, source) = (Guesses::default(), peer("192.0.2.1"));
    let _delay = guesses.begin(source, at(3_600 * SECOND)).unwrap().wrong(None, at(3_600 * SECOND));
    assert_eq!(guesses.begin(source, at(0)).unwrap_err().wait, Duration::from_secs(1));
    assert!(guesses.begin(source, at(SECOND)).is_ok());
}

#[test]
fn settings_of_nothing_do_no_harm() {
    let settings = GuessSettings {
        delays: Vec::new(),
        quiet: Duration::ZERO,
        parallel: 0,
        alert_after: 0,
        alert_within: Duration::ZERO,
        entries: 0,
    };
    let guesses = Guesses::new(settings);
    let wrong = guesses.begin(numbered(1), at(0)).unwrap().wrong(Some("id"), at(0));
    assert_eq!((wrong.delay, wrong.alert.map(|alert| alert.wrong)), (Duration::ZERO, Some(1)));
    assert!(guesses.begin(numbered(1), at(0)).is_ok());
}
