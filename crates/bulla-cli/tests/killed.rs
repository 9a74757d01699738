//! The program is killed at any moment, again and again; what it acknowledged is there, and the rest is as it was or as it was to be.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::sandbox::{Run, Sandbox, noise, number};

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let rounds = number("BULLA_TEST_ROUNDS", 10);
    let sandbox = Sandbox::with_project();
    let clock = Instant::now();
    sandbox.feed(b"first", ["put", "entry-0"]).succeeds();
    let usual = clock.elapsed();

    // What each name may hold: what was acknowledged last, and what was begun since and killed.
    let mut allowed: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::from([("entry-0".to_owned(), vec![b"first".to_vec()])]);
    let mut version = 1;
    let mut killed = 0;
    for round in 1..=rounds {
        // Spread over a little more than a whole run, in an order that does not repeat.
        let delay = usual * u32::try_from(round * 37 % 120).unwrap() / 100;
        let name = format!("entry-{}", round % 7);
        // Small ones lie in the database, large ones in files.
        let value = noise(if round.is_multiple_of(2) { 100 } else { 150_000 }, round);
        sandbox.write("value", &value);
        let possible = allowed.entry(name.clone()).or_default();
        if run_or_kill(&sandbox, &["put", &name, "value"], delay) {
            *possible = vec![value];
        } else {
            possible.push(value);
            killed += 1;
        }

        let rotated = run_or_kill(&sandbox, &["key", "rotate", "store/default"], delay);
        let newest = sandbox.run(["key", "show", "store/default", "--json"]).succeeds().json()[0]["versions"]["newest"]
            .as_u64()
            .unwrap();
        // A killed rotation may leave a number behind that is never used.
        assert!(newest > version || (!rotated && newest == version), "round {round}: {version} became {newest}");
        version = newest;
        killed += u64::from(!rotated);

        holds(&sandbox, &name, &allowed);
    }
    for name in allowed.keys() {
        holds(&sandbox, name, &allowed);
    }
    let checked = sandbox.run(["check", "--json"]);
    let counts = checked.json().pop().unwrap();
    // A blob without an entry is what a kill may leave; it loses nothing.
    assert_eq!((&counts["damaged"], &counts["missing_blobs"]), (&0.into(), &0.into()), "{checked:?}");
    eprintln!(
        "{rounds} rounds, {killed} of {} runs killed, {} blobs without an entry",
        rounds * 2,
        counts["recent_blobs"]
    );
}

/// Runs the program; kills it once `delay` has passed. Says whether it ended by itself, and well.
pub(crate) fn run_or_kill(sandbox: &Sandbox, arguments: &[&str], delay: Duration) -> bool {
    let mut command = sandbox.command(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (ended, end) = mpsc::channel();
    let waiter = std::thread::spawn(move || wait(child, &ended));
    let run = match end.recv_timeout(delay) {
        Ok(run) => run,
        Err(_) => {
            // Not reaped before the thread has told us, so the number is still this child's; it may just have ended.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            end.recv().unwrap()
        }
    };
    waiter.join().unwrap();
    match run.code {
        Some(0) => true,
        None => false,
        Some(_) => panic!("neither done nor killed: {run:?}"),
    }
}

fn wait(child: Child, ended: &mpsc::Sender<Run>) {
    ended.send(Run::end_of(child)).unwrap();
}

fn holds(sandbox: &Sandbox, name: &str, allowed: &BTreeMap<String, Vec<Vec<u8>>>) {
    let possible = &allowed[name];
    let run = sandbox.run(["get", name]);
    // Nothing was acknowledged yet if the very first value may or may not be there.
    let never_acknowledged = run.code == Some(3) && !possible.is_empty();
    assert!(never_acknowledged || possible.contains(&run.succeeds().stdout), "{name} holds what nobody put there");
}
