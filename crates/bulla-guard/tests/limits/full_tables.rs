//! What a full table forgets.

use bulla_guard::limits::{GuessSettings, Guesses, Limiter, Quotas};

use super::{Person, SECOND, at, numbered, peer, per_minute};

#[test]
fn many_addresses_take_no_more_memory_than_the_bound() {
    let (limiter, quotas) = (Limiter::new(1_000), Quotas::default());
    for number in 0..50_000 {
        assert!(limiter.check(&quotas.peer(numbered(number), ""), at(number / 100)).admitted);
    }
    assert!(limiter.buckets() <= 1_000, "{}", limiter.buckets());
}

#[test]
fn who_is_limited_stays_limited_whatever_many_addresses_do() {
    let (limiter, quotas, limited) = (Limiter::new(1_000), Quotas::default(), peer("192.0.2.1"));
    let check = |now| limiter.check(&quotas.peer(limited, ""), at(now)).admitted;
    while check(0) {}
    for number in 0..20_000 {
        // Three requests from each of many addresses, all within the second in which the limited one gets nothing.
        for _ in 0..3 {
            let _verdict = limiter.check(&quotas.peer(numbered(number), ""), at(number / 25));
        }
    }
    assert!(!check(999));
    assert!(check(SECOND));
}

#[test]
fn a_quota_that_fills_slowly_outweighs_nobody_who_is_limited() {
    let quotas = Quotas {
        peer: per_minute(60, 2),
        routes: [("slow".to_owned(), per_minute(1, 10))].into(),
        ..Quotas::default()
    };
    let (limiter, limited) = (Limiter::new(1_000), peer("192.0.2.1"));
    let check = |now| limiter.check(&quotas.peer(limited, ""), at(now)).admitted;
    assert!(check(0) && check(0) && !check(0));
    for number in 0..20_000 {
        let _verdict = limiter.check(&quotas.peer(numbered(number), "slow"), at(0));
    }
    assert!(!check(500));
}

#[test]
fn principals_are_not_forgotten_because_of_peers() {
    let (limiter, quotas) = (Limiter::new(100), Quotas { principal: per_minute(60, 2), ..Quotas::default() });
    let check = || limiter.check(&quotas.principal(&Person("key", &[]), ""), at(0)).admitted;
    assert!(check() && check() && !check());
    for number in 0..10_000 {
        let _verdict = limiter.check(&quotas.peer(numbered(number), ""), at(0));
    }
    assert!(!check());
}

#[test]
fn full_buckets_are_swept() {
    let (limiter, quotas) = (Limiter::default(), Quotas::default());
    for number in 0..5_000 {
        let _verdict = limiter.check(&quotas.peer(numbered(number), ""), at(0));
    }
    while limiter.check(&quotas.peer(numbered(0), ""), at(0)).admitted {}
    limiter.sweep(at(SECOND - 1));
    assert_eq!(limiter.buckets(), 5_000);
    limiter.sweep(at(SECOND));
    assert_eq!(limiter.buckets(), 1);
    limiter.sweep(at(60 * SECOND));
    assert_eq!(limiter.buckets(), 0);
}

#[test]
fn a_source_that_guesses_waits_on_though_many_others_guess_once() {
    let guesses = Guesses::new(GuessSettings { entries: 1_000, ..GuessSettings::default() });
    let mut now = 0;
    for _ in 0..6 {
        let attempt = guesses.begin(peer("192.0.2.1"), at(now)).unwrap();
        now += u64::try_from(attempt.wrong(None, at(now)).delay.as_millis()).unwrap();
    }
    // Now it waits for 60 seconds after each.
    let attempt = guesses.begin(peer("192.0.2.1"), at(now)).unwrap();
    let _delay = attempt.wrong(None, at(now));
    for number in 0..20_000 {
        let _delay = guesses.begin(numbered(number), at(now)).unwrap().wrong(None, at(now));
    }
    assert!(guesses.sources() <= 1_000);
    assert_eq!(guesses.begin(peer("192.0.2.1"), at(now)).unwrap_err().wait.as_secs(), 60);
}
