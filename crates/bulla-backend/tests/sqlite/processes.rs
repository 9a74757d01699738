//! Several processes on one database: this test program, started again as its own children.

use std::{
    collections::HashMap,
    env,
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write as _},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use bulla_backend::{Documents, ErrorKind, Expected, Filing, Rerank, Revision, Usage, Write, testing::Random};
use pollster::block_on;

use super::{CACHE, DURABLE, key, open, put, value};

const ROLE: &str = "BULLA_TEST_ROLE";
const DATABASE: &str = "BULLA_TEST_DATABASE";
const NUMBER: &str = "BULLA_TEST_NUMBER";

/// Starts this program as a child that plays `role`.
fn command(role: &str, database: &Path, number: u64) -> Command {
    // Not by its path: a child with fewer rights may not be allowed to go there.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "sqlite::processes::child", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(DATABASE, database).env(NUMBER, number.to_string()).stdout(Stdio::piped());
    command
}

fn start(role: &str, database: &Path, number: u64) -> Child {
    command(role, database, number).spawn().unwrap()
}

/// What children say, apart from what the test harness does.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The harness leaves its own line open before the first of ours.
    lines.map_while(Result::ok).filter_map(|line| line.split_once("said ").map(|(_, words)| words.to_owned()))
}

fn say(words: &str) {
    println!("said {words}");
    std::io::stdout().flush().unwrap();
}

/// What the children of the tests below do. In the test program itself there is nothing to do.
#[test]
fn child() {
    let Some(database) = env::var_os(DATABASE) else { return };
    let number: u64 = env::var(NUMBER).unwrap().parse().unwrap();
    match env::var(ROLE).unwrap().as_str() {
        "open" => say(&open(&database).map_or_else(|error| format!("{:?}", error.kind()), |_| "opened".to_owned())),
        "count" => count(&open(&database).unwrap(), number),
        "greedy" => {
            let documents = open(&database).unwrap();
            for turn in 0.. {
                put(&documents, DURABLE, "greedy", b"mine");
                if turn == 10 {
                    say("writing");
                }
            }
        }
        "file" => file_for_ever(&open(&database).unwrap(), number),
        "write" => write_for_ever(&open(&database).unwrap(), number),
        other => panic!("there is no role {other}"),
    }
}

/// Adds 1 so many times, by compare-and-swap.
fn count(documents: &dyn Documents, times: u64) {
    let mut lost = 0;
    for _ in 0..times {
        loop {
            let found = block_on(documents.get(DURABLE, &key("counter"))).unwrap().unwrap();
            let next = u64::from_be_bytes(found.value.try_into().unwrap()) + 1;
            let expected = Expected::Revision(found.revision);
            match block_on(documents.put(DURABLE, &key("counter"), &next.to_be_bytes(), expected)) {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
            lost += 1;
        }
    }
    say(&lost.to_string());
}

#[test]
fn eight_processes_share_a_counter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    put(&documents, DURABLE, "counter", &0_u64.to_be_bytes());
    let mut children: Vec<_> = (0..8).map(|_| start("count", &path, 40)).collect();
    let lost: u64 = children.iter_mut().flat_map(said).map(|lost| lost.parse::<u64>().unwrap()).sum();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    println!("8 processes × 40 increments, {lost} races lost and tried again");
    assert_eq!(value(&documents, DURABLE, "counter").unwrap(), 320_u64.to_be_bytes());
    assert_eq!(documents.check().unwrap(), [""; 0]);
}

#[test]
fn eight_processes_make_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/entries.db");
    let mut children: Vec<_> = (0..8).map(|_| start("open", &path, 0)).collect();
    let heard: Vec<_> = children.iter_mut().flat_map(said).collect();
    assert_eq!(heard, ["opened"; 8]);
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_greedy_process_leaves_others_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    let mut greedy = start("greedy", &path, 0);
    assert_eq!(said(&mut greedy).next().as_deref(), Some("writing"));
    let mut waited: Vec<u64> = (0..200)
        .map(|_| {
            let Revision(before) = block_on(documents.get(DURABLE, &key("greedy"))).unwrap().unwrap().revision;
            // Every write of the other process is a batch of its own, with a revision of its own.
            put(&documents, DURABLE, "polite", b"mine") - before - 1
        })
        .collect();
    greedy.kill().unwrap();
    greedy.wait().unwrap();
    waited.sort_unstable();
    let (median, most) = (waited[waited.len() / 2], waited[waited.len() - 1]);
    println!("batches of the greedy process before each of 200 others: median {median}, most {most}");
    // One that is at work, and one more if we are slow to queue. The most depends on who else wants the processor.
    assert!(median <= 4, "median {median}, most {most}");
}

/// Writes pairs of documents, and says so for each that is answered.
fn write_for_ever(documents: &dyn Documents, round: u64) {
    for number in 0.. {
        let put = |side: &str| Write::Put {
            collection: DURABLE,
            key: key(format!("{round}/{number}/{side}")),
            value: Random::new(number).bytes(1_000),
            expected: Expected::Absent,
        };
        block_on(documents.commit(&[put("left"), put("right")])).unwrap();
        say(&number.to_string());
    }
}

#[test]
fn nothing_that_was_answered_is_lost_by_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let mut random = Random::new(1);
    let mut answered: HashMap<u64, u64> = HashMap::new();
    for round in 0..15 {
        let mut child = start("write", &path, round);
        let last = random.below(120);
        let mut heard = said(&mut child).map(|number| number.parse::<u64>().unwrap());
        heard.find(|number| *number == last).unwrap();
        child.kill().unwrap();
        // What it said before it died, we have not read yet.
        let more = heard.last().unwrap_or(last);
        child.wait().unwrap();
        answered.insert(round, more);

        let documents = open(&path).unwrap();
        assert_eq!(documents.check().unwrap(), [""; 0]);
        for (round, last) in &answered {
            // The one behind the last may be there as well: answered, and killed before it said so.
            for number in 0..=last + 1 {
                let [left, right] =
                    ["left", "right"].map(|side| value(&documents, DURABLE, &format!("{round}/{number}/{side}")));
                assert_eq!(left, right, "a commit is there whole or not at all");
                assert!(left.is_some() || number > *last, "{round}/{number} was answered");
                assert!(left.is_none_or(|left| left == Random::new(number).bytes(1_000)));
            }
        }
    }
    println!("15 kills, {} commits answered before, none lost", answered.values().map(|last| last + 1).sum::<u64>());
}

/// Files documents in one group, changes their ranks, deletes some, and compacts; says so for each round.
fn file_for_ever(documents: &dyn Documents, seed: u64) {
    let mut random = Random::new(seed);
    for number in 0.. {
        let name = key(format!("g/{}", random.below(300)));
        let limit = Usage { documents: ROOM, bytes: u64::MAX };
        let filing = Filing { group_len: 2, rank: Some(random.below(1_000)), limit: Some(limit), ..Filing::default() };
        let put = Write::PutFiled {
            collection: CACHE,
            key: name.clone(),
            value: random.bytes(1_000),
            expected: Expected::Any,
            filing,
        };
        match block_on(documents.commit(&[put])) {
            Ok(_) => block_on(documents.rerank(CACHE, &[(name, Rerank::Add(100))])).unwrap(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
                for lowest in block_on(documents.lowest(CACHE, b"g/", 5)).unwrap() {
                    block_on(documents.delete(CACHE, &lowest.key, Expected::Any)).unwrap();
                }
            }
        }
        if number % 50 == 0 {
            block_on(documents.compact()).unwrap();
        }
        say(&number.to_string());
    }
}

/// How many documents the group has room for.
const ROOM: u64 = 100;

#[test]
fn totals_hold_against_kills_of_several_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    let mut random = Random::new(2);
    for round in 0..5 {
        let mut children: Vec<_> = (0..3).map(|number| start("file", &path, round * 3 + number)).collect();
        let last = 150 + random.below(100);
        said(&mut children[0]).find(|number| number.parse() == Ok(last)).unwrap();
        // The others may be anywhere in the middle.
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(documents.check().unwrap(), [""; 0], "the total is what is there");
        let usage = block_on(documents.usage(CACHE, b"g/")).unwrap();
        assert!((1..=ROOM).contains(&usage.documents), "{usage:?}");
        assert_eq!(block_on(documents.lowest(CACHE, b"g/", 1_000)).unwrap().len() as u64, usage.documents);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    drop(open(&path).unwrap());
    for file in fs::read_dir(folder.path()).unwrap() {
        fs::set_permissions(file.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    for name in ["entries.db", "other.db", "new/entries.db"] {
        let mut command = command("open", &folder.path().join(name), 0);
        if fs::write(folder.path().join("probe"), "").is_ok() {
            // The superuser may write everywhere; "nobody" may not.
            command.uid(65_534).gid(65_534);
        }
        let mut child = command.spawn().unwrap();
        let heard: Vec<_> = said(&mut child).collect();
        assert_eq!(heard, ["Permission"], "{name}");
        assert!(child.wait().unwrap().success());
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn threads_and_processes_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    put(&documents, DURABLE, "counter", &0_u64.to_be_bytes());
    let mut children: Vec<_> = (0..2).map(|_| start("count", &path, 30)).collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| count(&documents, 30));
            // A second handle in this process is a stranger like any other.
            scope.spawn(|| count(&open(&path).unwrap(), 30));
        }
    });
    for child in &mut children {
        assert!(said(child).count() == 1 && child.wait().unwrap().success());
    }
    assert_eq!(value(&documents, DURABLE, "counter").unwrap(), 180_u64.to_be_bytes());
}
