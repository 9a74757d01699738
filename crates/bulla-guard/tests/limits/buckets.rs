//! Token buckets, and which quota is whose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_guard::limits::{Limiter, Peer, Policy, Quota, QuotaError, Quotas};
use proptest::prelude::*;

use super::{Person, SECOND, at, numbered, peer, per_minute};

/// Counts how many of so many requests at one moment are admitted.
fn admitted(limiter: &Limiter, quotas: &Quotas, peer: Peer, requests: u32, now: Timestamp) -> u32 {
    (0..requests).map(|_| u32::from(limiter.check(&quotas.peer(peer, ""), now).admitted)).sum()
}

#[test]
fn a_stranger_has_sixty_requests_a_minute() {
    let (limiter, quotas, stranger) = (Limiter::default(), Quotas::default(), peer("192.0.2.1"));
    assert_eq!(admitted(&limiter, &quotas, stranger, 100, at(0)), 60);
    assert_eq!(admitted(&limiter, &quotas, stranger, 100, at(999)), 0);
    assert_eq!(admitted(&limiter, &quotas, stranger, 100, at(1_000)), 1);
    assert_eq!(admitted(&limiter, &quotas, stranger, 100, at(11 * SECOND)), 10);
    assert_eq!(admitted(&limiter, &quotas, stranger, 100, at(3_600 * SECOND)), 60);
}

#[test]
fn what_is_refused_costs_nothing() {
    let (limiter, quotas, stranger) = (Limiter::default(), Quotas::default(), peer("192.0.2.1"));
    assert_eq!(admitted(&limiter, &quotas, stranger, 10_000, at(0)), 60);
    assert_eq!(admitted(&limiter, &quotas, stranger, 1, at(SECOND)), 1);
}

#[test]
fn an_answer_says_what_is_left_and_when_to_come_back() {
    let (limiter, quotas) = (Limiter::default(), Quotas { peer: per_minute(30, 2), ..Quotas::default() });
    let subject = quotas.peer(peer("192.0.2.1"), "");
    let first = limiter.check(&subject, at(0));
    assert_eq!((first.admitted, first.limit, first.remaining, first.retry_after), (true, 2, 1, Duration::ZERO));
    assert_eq!(first.reset, Duration::from_secs(2));
    assert_eq!(
        first.fields(),
        [("RateLimit-Policy", "\"peer\";q=2;w=4".to_owned()), ("RateLimit", "\"peer\";r=1;t=2".to_owned())]
    );
    let second = limiter.check(&subject, at(500));
    assert_eq!((second.admitted, second.remaining, second.retry_after), (true, 0, Duration::from_millis(1_500)));
    let third = limiter.check(&subject, at(600));
    assert_eq!((third.admitted, third.retry_after), (false, Duration::from_millis(1_400)));
    assert_eq!(
        third.fields(),
        [
            ("RateLimit-Policy", "\"peer\";q=2;w=4".to_owned()),
            ("RateLimit", "\"peer\";r=0;t=4".to_owned()),
            ("Retry-After", "2".to_owned())
        ]
    );
    assert!(!limiter.check(&subject, at(1_999)).admitted);
    assert!(limiter.check(&subject, at(2_000)).admitted);
}

#[test]
fn a_key_comes_before_its_roles_and_the_widest_role_counts() {
    let quotas = Quotas {
        principal: per_minute(60, 60),
        roles: BTreeMap::from([("viewer".into(), per_minute(10, 10)), ("operator".into(), per_minute(600, 100))]),
        principals: BTreeMap::from([("slow".into(), per_minute(1, 1))]),
        ..Quotas::default()
    };
    let limiter = Limiter::default();
    for (person, limit) in [
        (Person("nobody", &[]), 60),
        (Person("unknown role", &["other"]), 60),
        (Person("one", &["viewer"]), 10),
        (Person("two", &["operator", "viewer"]), 100),
        (Person("slow", &["operator"]), 1),
    ] {
        let verdict = limiter.check(&quotas.principal(&person, ""), at(0));
        assert_eq!((verdict.limit, verdict.policy), (limit, Policy::Principal), "{}", person.0);
    }
}

#[test]
fn each_holder_of_a_role_has_a_bucket_of_their_own() {
    let quotas = Quotas { roles: BTreeMap::from([("viewer".into(), per_minute(1, 1))]), ..Quotas::default() };
    let limiter = Limiter::default();
    for (name, admitted) in [("one", true), ("two", true), ("one", false), ("two", false)] {
        let person = Person(name, &["viewer"]);
        assert_eq!(limiter.check(&quotas.principal(&person, ""), at(0)).admitted, admitted, "{name}");
    }
}

#[test]
fn a_class_of_routes_has_a_bucket_besides() {
    let quotas = Quotas { routes: BTreeMap::from([("sign-in".into(), per_minute(2, 2))]), ..Quotas::default() };
    let (limiter, stranger) = (Limiter::default(), peer("192.0.2.1"));
    let check = |route: &str| limiter.check(&quotas.peer(stranger, route), at(0));
    assert_eq!((check("sign-in").remaining, check("sign-in").remaining), (1, 0));
    let refused = check("sign-in");
    assert_eq!((refused.admitted, refused.policy, refused.limit), (false, Policy::Route, 2));
    // The others count in the bucket for everything, in which two are gone.
    assert_eq!(check("read").remaining, 57);
    assert_eq!(limiter.buckets(), 2);
}

#[test]
fn no_bucket_of_a_route_pays_for_what_the_wide_one_refuses() {
    let quotas = Quotas {
        peer: per_minute(60, 1),
        routes: BTreeMap::from([("read".into(), per_minute(1, 3))]),
        ..Quotas::default()
    };
    let limiter = Limiter::default();
    let check = |now| limiter.check(&quotas.peer(peer("192.0.2.1"), "read"), at(now));
    assert!(check(0).admitted);
    for _ in 0..100 {
        let refused = check(0);
        assert_eq!((refused.admitted, refused.policy), (false, Policy::Peer));
    }
    assert!(check(SECOND).admitted && check(2 * SECOND).admitted);
    assert_eq!(check(3 * SECOND).policy, Policy::Route);
}

#[test]
fn names_that_requests_invent_make_no_buckets() {
    let (limiter, quotas) = (Limiter::default(), Quotas::default());
    for number in 0..1_000 {
        let _verdict = limiter.check(&quotas.peer(peer("192.0.2.1"), &format!("route {number}")), at(0));
    }
    assert_eq!(limiter.buckets(), 1);
}

#[test]
fn a_peer_is_an_address_or_a_64() {
    for (one, other, same) in [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "64:ff9b::192.0.2.1", true),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false),
        ("192.0.2.1", "192.0.2.2", false),
        ("0.0.0.0", "::", false),
    ] {
        assert_eq!(peer(one) == peer(other), same, "{one} {other}");
        let (limiter, quotas) = (Limiter::default(), Quotas { peer: per_minute(1, 1), ..Quotas::default() });
        assert!(limiter.check(&quotas.peer(peer(one), ""), at(0)).admitted);
        assert_eq!(limiter.check(&quotas.peer(peer(other), ""), at(0)).admitted, !same, "{one} {other}");
    }
    assert_eq!(peer("2001:db8::1").to_string(), "2001:db8::/64");
    assert_eq!(peer("::ffff:192.0.2.1").to_string(), "192.0.2.1");
}

#[test]
fn a_principal_is_never_taken_for_a_peer() {
    let (limiter, quotas) = (Limiter::default(), Quotas { peer: per_minute(1, 1), ..Quotas::default() });
    let stranger = peer("192.0.2.1");
    assert!(limiter.check(&quotas.peer(stranger, ""), at(0)).admitted);
    assert!(!limiter.check(&quotas.peer(stranger, ""), at(0)).admitted);
    assert!(limiter.check(&quotas.principal(&Person("192.0.2.1", &[]), ""), at(0)).admitted);
}

#[test]
fn a_clock_that_was_set_back_empties_a_bucket_and_no_more() {
    let (limiter, quotas, stranger) = (Limiter::default(), Quotas::default(), peer("192.0.2.1"));
    assert_eq!(admitted(&limiter, &quotas, stranger, 1, at(10 * 3_600 * SECOND)), 1);
    assert_eq!(admitted(&limiter, &quotas, stranger, 100, at(0)), 0);
    assert_eq!(admitted(&limiter, &quotas, stranger, 100, at(30 * SECOND)), 30);
}

#[test]
fn a_changed_quota_is_in_force_at_once() {
    let (limiter, stranger) = (Limiter::default(), peer("192.0.2.1"));
    let slow = Quotas { peer: Quota::new(1, Duration::from_secs(3_600), 10).unwrap(), ..Quotas::default() };
    assert_eq!(admitted(&limiter, &slow, stranger, 100, at(0)), 10);
    // The bucket would be full in ten hours, but not by the new quota.
    let fast = Quotas { peer: per_minute(60, 10), ..Quotas::default() };
    assert_eq!(admitted(&limiter, &fast, stranger, 100, at(0)), 0);
    assert_eq!(admitted(&limiter, &fast, stranger, 100, at(5 * SECOND)), 5);
}

#[test]
fn quotas_of_nothing_and_of_ages_are_refused() {
    let hour = Duration::from_secs(3_600);
    for (count, period, burst, error) in [
        (0, hour, 1, QuotaError::Nothing),
        (1, hour, 0, QuotaError::Nothing),
        (1, Duration::ZERO, 1, QuotaError::Nothing),
        (1, Duration::from_nanos(1), 1, QuotaError::Nothing),
        (1, hour, 10_000, QuotaError::TooSlow),
        (1, Duration::MAX, 1, QuotaError::TooSlow),
        (1, Duration::MAX, u32::MAX, QuotaError::TooSlow),
    ] {
        assert_eq!(Quota::new(count, period, burst), Err(error), "{count} {period:?} {burst}");
    }
    assert_eq!(Quota::new(u32::MAX, Duration::from_secs(1), u32::MAX).unwrap().interval(), Duration::from_micros(1));
}

#[test]
fn threads_together_get_no_more_than_the_burst() {
    let (limiter, quotas, total) = (Limiter::default(), Quotas::default(), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..1_000 {
                    total.fetch_add(admitted(&limiter, &quotas, numbered(number % 4), 1, at(0)), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(total.into_inner(), 4 * 60);
}

proptest! {
    /// The rule itself, kept with a list of what was admitted: in no window is there more than the burst and what became free in it.
    #[test]
    fn no_window_has_more_than_the_burst_and_what_became_free(
        steps in proptest::collection::vec(0u64..3_000, 1..200),
        count in 1u32..200,
        burst in 1u32..20,
    ) {
        let (limiter, quotas) = (Limiter::default(), Quotas { peer: per_minute(count, burst), ..Quotas::default() });
        let interval = quotas.peer.interval().as_micros();
        let (mut now, mut taken): (u64, Vec<u64>) = (0, Vec::new());
        for step in steps {
            now += step;
            if limiter.check(&quotas.peer(numbered(0), ""), at(now)).admitted {
                taken.push(now);
            }
        }
        for (index, begin) in taken.iter().enumerate() {
            for (more, end) in taken[index..].iter().enumerate() {
                let free = u128::from((end - begin) * 1_000) / interval;
                prop_assert!((more as u128) < u128::from(burst) + free, "{more} from {begin} to {end}");
            }
        }
    }

    #[test]
    fn no_moment_and_no_quota_is_too_much(
        moments in proptest::collection::vec(any::<u64>(), 1..20),
        count in 1u32..,
        seconds in 1u64..31_000_000,
        burst in 1u32..,
    ) {
        let Ok(quota) = Quota::new(count, Duration::from_secs(seconds), burst) else { return Ok(()) };
        let (limiter, quotas) = (Limiter::new(10), Quotas { peer: quota, ..Quotas::default() });
        for moment in moments {
            let verdict = limiter.check(&quotas.peer(numbered(moment % 3), ""), Timestamp(moment));
            prop_assert!(verdict.remaining <= burst && verdict.reset <= quota.refill());
            prop_assert!(verdict.admitted || verdict.retry_after > Duration::ZERO);
            prop_assert_eq!(verdict.fields().len(), if verdict.admitted { 2 } else { 3 });
            limiter.sweep(Timestamp(moment));
        }
    }
}
