//! Appending: one process, many threads.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bulla_backend::testing::{Fault, SimDisk};
use bulla_backend::{Disk, Event as Reported, OpenMode, Recorder};
use bulla_guard::audit::{
    AuditError, AuditRecorder, Class, Code, Event, Log, Outcome, Phase, Reprove, Severity, Value, Verdict,
};
use pollster::block_on;

use super::ground::{Ground, append, event, numbers};

#[test]
fn what_was_appended_is_there_in_order_and_verifies() {
    let ground = Ground::new();
    let log = ground.open();
    for number in 0..10 {
        assert_eq!(block_on(log.append(event(number))).unwrap(), number);
    }
    let checkpoint = block_on(log.close()).unwrap();
    assert_eq!(checkpoint.size(), 10);
    assert_eq!(numbers(&ground.reader()), (0..10).collect::<Vec<_>>());
    let Verdict::Ok(verified) = ground.reader().verify(None) else { panic!() };
    assert_eq!((verified.size, verified.root, verified.unsigned), (10, *checkpoint.root(), 0));
    assert!(!verified.rollback_detectable);
    assert!(ground.reader().verify(None).to_string().contains("rollback not detectable"));
}

#[test]
fn many_threads_append_to_one_log_and_every_index_is_given_once() {
    let ground = Ground::new();
    let log = ground.open();
    let indices: Vec<Vec<u64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    (0..50).map(|number| block_on(log.append(event(thread * 100 + number))).unwrap()).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(indices.iter().all(|indices| indices.is_sorted()));
    let mut all = indices.concat();
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<_>>());
    drop(log);
    assert!(matches!(ground.reader().verify(None), Verdict::Ok(verified) if verified.size == 400));
}

#[test]
fn futures_that_are_dropped_leave_the_log_whole() {
    let ground = Ground::new();
    let log = ground.open();
    for number in 0..20 {
        let mut appending = Box::pin(log.append(event(number)));
        let waker = std::task::Waker::noop();
        let _ = appending.as_mut().poll(&mut std::task::Context::from_waker(waker));
    }
    append(&log, 1);
    drop(log);
    assert_eq!(numbers(&ground.reader()).len(), 21);
    assert!(matches!(ground.reader().verify(None), Verdict::Ok(_)));
}

#[test]
fn a_log_goes_on_in_new_segments_and_opens_from_the_last() {
    let ground = Ground::new();
    for round in 0..4 {
        let mut options = ground.options();
        options.segment_len = 700;
        options.reprove = if round % 2 == 0 { Reprove::All } else { Reprove::LastSegment };
        let log = Log::open(Arc::clone(&ground.disk), &ground.folder, options).unwrap();
        append(&log, 20);
        block_on(log.close()).unwrap();
    }
    assert!(ground.folder.join("segment-0000000009").exists());
    assert_eq!(numbers(&ground.reader()).len(), 80);
    assert!(matches!(ground.reader().verify(None), Verdict::Ok(verified) if verified.size == 80));
    let tail: Vec<u64> = ground.reader().tail(3).unwrap().map(|stored| stored.unwrap().index).collect();
    assert_eq!(tail, [77, 78, 79]);
    assert_eq!(ground.reader().tail(1_000).unwrap().count(), 80);
    assert_eq!(ground.reader().events(79).unwrap().count(), 1);
    assert_eq!(ground.reader().events(80).unwrap().count(), 0);
}

#[test]
fn checkpoints_come_by_number_by_time_and_at_the_end() {
    let ground = Ground::new();
    let size = || ground.reader().checkpoint().unwrap().size();
    let mut options = ground.options();
    options.checkpoint_events = 10;
    let log = Log::open(Arc::clone(&ground.disk), &ground.folder, options).unwrap();
    assert_eq!(size(), 0);
    append(&log, 9);
    assert_eq!((size(), block_on(log.tick()).unwrap()), (0, None));
    append(&log, 1);
    // It is made behind the answer; the next answer comes after it.
    append(&log, 1);
    assert_eq!(size(), 10);
    assert_eq!(block_on(log.tick()).unwrap(), None);
    ground.clock.advance(10_000);
    assert_eq!(block_on(log.tick()).unwrap().unwrap().size(), 11);
    ground.clock.advance(10_000);
    assert_eq!(block_on(log.tick()).unwrap(), None, "there is nothing new");
    append(&log, 1);
    drop(log);
    assert_eq!(size(), 12);
}

#[test]
fn an_intent_is_durable_before_and_its_outcome_refers_to_it() {
    let ground = Ground::new();
    let log = ground.open();
    let rotate = || Event::new(Class::Key, Code::new("rotate"), Outcome::Success).resource("orders").principal("alice");
    let intent = block_on(log.intent(rotate())).unwrap();
    let index = intent.index();
    let stored = ground.reader().events(index).unwrap().next().unwrap().unwrap().event().unwrap();
    assert_eq!((stored.phase, stored.outcome), (Phase::Intent, None));
    let outcome =
        block_on(intent.outcome_with(Outcome::Failure, |event| event.text(Code::new("error"), "full"))).unwrap();
    drop(block_on(log.intent(rotate())).unwrap());
    drop(log);
    let events: Vec<_> =
        ground.reader().events(outcome).unwrap().map(|stored| stored.unwrap().event().unwrap()).collect();
    assert_eq!(
        (events[0].phase, events[0].outcome, events[0].intent),
        (Phase::Outcome, Some(Outcome::Failure), Some(index))
    );
    assert_eq!(events[0].field("error").unwrap().to_string(), "full");
    assert_eq!((events[2].outcome, events[2].intent), (Some(Outcome::Unknown), Some(outcome + 1)), "{events:?}");
}

#[test]
fn an_intent_whose_process_was_killed_has_an_unknown_outcome_and_one_that_lives_has_not() {
    let disk = SimDisk::new();
    let ground = Ground::on(Arc::new(disk.clone()), "/log".as_ref());
    let log = ground.open();
    let intent = block_on(log.intent(event(1))).unwrap();
    // A second process opens the log while the first is at work.
    let second = ground.open();
    assert!(second.recovery().unknown.is_empty());
    drop(second);
    disk.arm(disk.operations() + 1, Fault::Kill);
    assert!(block_on(intent.outcome(Outcome::Success)).is_err());
    drop(log);
    let ground = Ground { disk: Arc::new(disk.reboot()), ..ground };
    let log = ground.open();
    assert_eq!(log.recovery().unknown, [0_u64]);
    drop(log);
    assert!(ground.open().recovery().unknown.is_empty(), "it has an outcome now");
    let events = ground.reader().events(1).unwrap().map(|stored| stored.unwrap().event().unwrap()).collect::<Vec<_>>();
    // Of the outcome that was being written when it was killed, half was there.
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["recovered", "unknown_outcome"]);
    assert_eq!((events[1].outcome, events[1].intent), (Some(Outcome::Unknown), Some(0)));
}

#[test]
fn strict_events_fail_while_the_log_cannot_be_written_and_others_leave_a_gap() {
    let disk = SimDisk::new();
    let ground = Ground::on(Arc::new(disk.clone()), "/log".as_ref());
    let log = ground.open();
    append(&log, 2);
    disk.arm(disk.operations() + 1, Fault::NoSpace);
    let denial = || Event::authentication("key", Outcome::Failure).principal("mallory");
    for _ in 0..3 {
        assert!(matches!(block_on(log.record(event(9))), Err(AuditError::Storage { .. })));
        block_on(log.record(denial())).unwrap();
    }
    assert!(block_on(log.append(event(9))).is_err());
    assert_eq!(log.status().lost, 3);
    disk.disarm();
    append(&log, 1);
    assert_eq!(log.status().lost, 0);
    block_on(log.close()).unwrap();
    let gaps: Vec<_> = ground
        .reader()
        .events(0)
        .unwrap()
        .map(|stored| stored.unwrap().event().unwrap())
        .filter(|event| event.action.as_str() == "gap")
        .collect();
    let lost: Vec<_> = gaps.iter().map(|gap| gap.field("lost").cloned()).collect();
    assert_eq!(lost, [Some(Value::Number(3))]);
    assert!(matches!(ground.reader().verify(None), Verdict::Ok(_)));
}

#[test]
fn a_flood_of_denials_leaves_room_for_what_is_strict() {
    let disk = SimDisk::new();
    let ground = Ground::on(Arc::new(disk.clone()), "/log".as_ref());
    let log = ground.open();
    // Another process is at work, and the writer waits.
    let other = disk.open("/log/lock".as_ref(), OpenMode::Write).unwrap();
    other.lock().unwrap();
    for _ in 0..20_000 {
        log.note(Event::authentication("key", Outcome::Failure));
    }
    let lost = log.status().lost;
    assert!(lost > 0);
    let mut appending = Box::pin(log.append(event(1)));
    let waker = std::task::Waker::noop();
    assert!(appending.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    drop(other);
    block_on(appending).unwrap();
    block_on(log.close()).unwrap();
    let reader = ground.reader();
    let events = reader.events(0).unwrap().map(|stored| stored.unwrap().event().unwrap());
    let gaps = events.filter_map(|event| event.field("lost").cloned()).collect::<Vec<_>>();
    assert_eq!(gaps, [Value::Number(lost)]);
    assert_eq!(numbers(&ground.reader()), [1]);
}

#[test]
fn a_failed_sync_goes_on_in_a_new_segment_and_nothing_acknowledged_is_lost() {
    let disk = SimDisk::new();
    let ground = Ground::on(Arc::new(disk.clone()), "/log".as_ref());
    let log = ground.open();
    append(&log, 3);
    // The write, then its sync.
    disk.arm(disk.operations() + 2, Fault::SyncError);
    block_on(log.append(event(3))).unwrap();
    assert!(disk.fired());
    block_on(log.append(event(4))).unwrap();
    let found = disk.power_cut(bulla_backend::testing::Loss::Everything);
    drop(log);
    let ground = Ground { disk: Arc::new(found), ..ground };
    drop(ground.open());
    assert_eq!(numbers(&ground.reader()), [0, 1, 2, 3, 4]);
    assert!(ground.disk.exists("/log/segment-0000000001".as_ref()).unwrap());
    assert!(matches!(ground.reader().verify(None), Verdict::Ok(_)));
}

#[test]
fn what_lower_floors_report_arrives() {
    let ground = Ground::new();
    let log = Arc::new(ground.open());
    let recorder = AuditRecorder::new(Arc::clone(&log));
    recorder.record(&Reported::Change { action: "evict", subject: &"cache/7" });
    recorder.record(&Reported::Read { subject: &"quarantine" });
    recorder.record(&Reported::Change { action: "Not A Code", subject: &"x" });
    recorder.record(&Reported::SecurityViolation { code: "damaged", subject: &"orders/7", detail: &"a tag is wrong" });
    drop((recorder, log));
    let events: Vec<_> = ground.reader().events(0).unwrap().map(|stored| stored.unwrap().event().unwrap()).collect();
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["evict", "read", "other", "damaged"]);
    assert_eq!(events[3].class, Class::SecurityViolation);
    assert_eq!(events[3].level, Severity::High.level());
}

#[test]
fn a_log_that_is_closed_for_others_says_so() {
    let ground = Ground::new();
    let log = ground.open();
    let intent = block_on(log.intent(event(1))).unwrap();
    drop(log);
    assert_eq!(block_on(intent.outcome(Outcome::Success)), Err(AuditError::Closed));
}

#[test]
fn an_outside_checkpoint_is_held_to_the_log_when_it_is_opened() {
    let ground = Ground::new();
    ground.fill(3);
    let seen = ground.reader().checkpoint().unwrap();
    ground.fill(2);
    let mut options = ground.options();
    options.outside = Some(seen.clone());
    drop(Log::open(Arc::clone(&ground.disk), &ground.folder, options.clone()).unwrap());
    std::fs::remove_dir_all(&ground.folder).unwrap();
    let opened = Log::open(Arc::clone(&ground.disk), &ground.folder, options);
    assert!(matches!(opened, Err(AuditError::Truncated(_))), "{opened:?}");
}

#[test]
fn nobody_waits_for_company_for_long() {
    let ground = Ground::new();
    let log = ground.open();
    let begun = std::time::Instant::now();
    append(&log, 5);
    assert!(begun.elapsed() < Duration::from_secs(20));
}
