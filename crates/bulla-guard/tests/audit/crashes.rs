//! Kills, power cuts, failed syncs and full disks at every operation: nothing that was acknowledged is lost, and the log verifies.

use std::sync::Arc;

use bulla_backend::testing::{Fault, Loss, Random, SimDisk};
use bulla_guard::audit::{Checkpoint, Log, Outcome, Verdict};
use pollster::block_on;

use super::ground::{Ground, event, numbers};

const EVENTS: u64 = 12;

/// What a process was told.
#[derive(Debug, Default)]
struct Told {
    appended: Vec<u64>,
    signed: Vec<Checkpoint>,
}

/// Opens a log as several processes do, appends in turn and signs; goes on whatever fails.
fn work(ground: &Ground, processes: usize, told: &mut Told) {
    let open = || {
        let mut options = ground.options();
        options.segment_len = 900;
        options.checkpoint_events = 4;
        // A process that finds the log not to open is started again.
        let open = || Log::open(Arc::clone(&ground.disk), &ground.folder, options.clone());
        open().or_else(|_| open()).ok()
    };
    let logs: Vec<Option<Log>> = (0..processes).map(|_| open()).collect();
    for (number, log) in (0..EVENTS).zip(logs.iter().cycle()) {
        let Some(log) = log else { continue };
        if block_on(log.append(event(number))).is_ok() {
            told.appended.push(number);
        }
        if number == 6 {
            told.signed.extend(block_on(log.checkpoint()).ok());
            if let Ok(intent) = block_on(log.intent(event(100)))
                && block_on(intent.outcome(Outcome::Success)).is_ok()
            {
                told.appended.push(100);
            }
        }
    }
    for log in logs.into_iter().flatten() {
        told.signed.extend(block_on(log.close()).ok());
    }
}

/// Opens the log after a failure: everything that was told is there.
fn check(ground: &Ground, told: &Told, case: &str) {
    let log = Log::open(Arc::clone(&ground.disk), &ground.folder, ground.options());
    let log = log.unwrap_or_else(|error| panic!("{case}: {error}"));
    block_on(log.append(event(1_000))).unwrap_or_else(|error| panic!("{case}: {error}"));
    block_on(log.close()).unwrap_or_else(|error| panic!("{case}: {error}"));
    let found = numbers(&ground.reader());
    let mut rest = found.as_slice();
    for number in &told.appended {
        let at = rest.iter().position(|found| found == number);
        let at = at.unwrap_or_else(|| panic!("{case}: {number} was acknowledged and is not in {found:?}"));
        rest = &rest[at + 1..];
    }
    assert!(rest.contains(&1_000), "{case}");
    for outside in &told.signed {
        let verdict = ground.reader().verify(Some(outside));
        assert!(matches!(verdict, Verdict::Ok(_)), "{case}: {verdict}");
    }
    let verdict = ground.reader().verify(None);
    assert!(matches!(verdict, Verdict::Ok(_)), "{case}: {verdict}");
}

fn operations(ground: &Ground, processes: usize) -> u64 {
    let disk = SimDisk::new();
    work(&Ground { disk: Arc::new(disk.clone()), ..ground.clone() }, processes, &mut Told::default());
    disk.operations()
}

fn sweep(fault: Fault, losses: &[Option<Loss>]) {
    sweep_with(fault, losses, 1);
    sweep_with(fault, losses, 2);
}

fn sweep_with(fault: Fault, losses: &[Option<Loss>], processes: usize) {
    let ground = Ground::on(Arc::new(SimDisk::new()), "/state/log".as_ref());
    let operations = operations(&ground, processes);
    assert!(operations > 60, "{operations}");
    for at in 1..=operations {
        for loss in losses {
            let disk = SimDisk::new();
            disk.arm(at, fault);
            let ground = Ground { disk: Arc::new(disk.clone()), ..ground.clone() };
            let mut told = Told::default();
            work(&ground, processes, &mut told);
            disk.disarm();
            let case = format!("{fault:?} at {at} with {processes}, then {loss:?}");
            let found = match loss {
                None => disk.reboot(),
                Some(Loss::Seeded(seed)) => disk.power_cut(Loss::Seeded(seed + at)),
                Some(loss) => disk.power_cut(*loss),
            };
            check(&Ground { disk: Arc::new(found), ..ground }, &told, &case);
        }
    }
}

#[test]
fn a_kill_at_any_operation_loses_nothing() {
    sweep(Fault::Kill, &[None]);
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing() {
    sweep(
        Fault::Kill,
        &[Some(Loss::Everything), Some(Loss::Seeded(1)), Some(Loss::Seeded(1_000)), Some(Loss::Seeded(2_000))],
    );
}

#[test]
fn an_error_at_any_operation_loses_nothing() {
    sweep(Fault::Error, &[None, Some(Loss::Everything)]);
}

#[test]
fn a_failed_sync_at_any_operation_loses_nothing() {
    sweep(Fault::SyncError, &[None, Some(Loss::Everything), Some(Loss::Seeded(7))]);
}

#[test]
fn a_full_disk_at_any_operation_loses_nothing() {
    sweep(Fault::NoSpace, &[None, Some(Loss::Seeded(5))]);
}

#[test]
fn a_short_write_at_any_operation_loses_nothing() {
    sweep(Fault::ShortWrite, &[None, Some(Loss::Everything), Some(Loss::Seeded(11))]);
}

#[test]
fn failures_upon_failures_lose_nothing() {
    let ground = Ground::on(Arc::new(SimDisk::new()), "/state/log".as_ref());
    for seed in 0..120 {
        let (mut disk, mut random, mut told) = (SimDisk::new(), Random::new(seed), Told::default());
        let mut case = format!("seed {seed}");
        for _ in 0..4 {
            let fault = Fault::ALL[usize::try_from(random.below(5)).unwrap()];
            disk.arm(disk.operations() + 1 + random.below(70), fault);
            let processes = 1 + usize::try_from(random.below(3)).unwrap();
            work(&Ground { disk: Arc::new(disk.clone()), ..ground.clone() }, processes, &mut told);
            let loss = match random.below(4) {
                0 => None,
                1 => Some(Loss::Everything),
                2 => Some(Loss::Nothing),
                _ => Some(Loss::Seeded(random.number())),
            };
            disk = loss.map_or_else(|| disk.reboot(), |loss| disk.power_cut(loss));
            case = format!("{case}; {fault:?} with {processes}, then {loss:?}");
        }
        check(&Ground { disk: Arc::new(disk), ..ground.clone() }, &told, &case);
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_the_log_says_so() {
    let disk = SimDisk::new();
    let ground = Ground::on(Arc::new(disk.clone()), "/log".as_ref());
    let log = ground.open();
    super::ground::append(&log, 3);
    disk.arm(disk.operations() + 1, Fault::Kill);
    assert!(block_on(log.append(event(3))).is_err());
    drop(log);
    let ground = Ground { disk: Arc::new(disk.reboot()), ..ground };
    let log = ground.open();
    assert!(log.recovery().cut_bytes > 0);
    drop(log);
    let recovered = ground.reader().events(3).unwrap().next().unwrap().unwrap().event().unwrap();
    assert_eq!(recovered.action.as_str(), "recovered");
    assert_eq!(recovered.field("index").unwrap().to_string(), "3");
    assert!(matches!(ground.reader().verify(None), Verdict::Ok(_)));
}

#[test]
fn a_second_process_goes_on_where_one_was_killed_in_the_middle_of_a_write() {
    let disk = SimDisk::new();
    let ground = Ground::on(Arc::new(disk.clone()), "/log".as_ref());
    let [first, second] = [ground.open(), ground.open()];
    super::ground::append(&first, 2);
    super::ground::append(&second, 2);
    disk.arm(disk.operations() + 1, Fault::ShortWrite);
    assert!(block_on(first.append(event(9))).is_err());
    block_on(second.append(event(4))).unwrap();
    block_on(first.append(event(5))).unwrap();
    drop((first, second));
    assert_eq!(numbers(&ground.reader()), [0, 1, 0, 1, 4, 5]);
    assert!(matches!(ground.reader().verify(None), Verdict::Ok(_)));
}
