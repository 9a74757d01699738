//! Whole folders: `seal --recursive` and `open --recursive`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::killed::run_or_kill;
use crate::sandbox::{Run, Sandbox, noise, number};

/// What is kept of a file or folder: its mode, its modification time to the nanosecond, and what it holds.
type Kept = (u32, SystemTime, Option<Vec<u8>>);

/// Everything below a folder, and the folder itself, by path.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, Kept> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                let kept = (metadata.mode(), metadata.modified().unwrap(), Some(fs::read(&path).unwrap()));
                found.insert(path.strip_prefix(root).unwrap().to_owned(), kept);
            }
        }
        let metadata = fs::metadata(&folder).unwrap();
        let kept = (metadata.mode(), metadata.modified().unwrap(), None);
        found.insert(folder.strip_prefix(root).unwrap().to_owned(), kept);
    }
    found
}

/// The same without what files hold, and with the names that files have once they are sealed.
fn sealed_shape(tree: &BTreeMap<PathBuf, Kept>) -> BTreeMap<PathBuf, (u32, SystemTime)> {
    let name = |(path, (mode, modified, bytes)): (&PathBuf, &Kept)| {
        let mut name = path.clone().into_os_string();
        if bytes.is_some() {
            name.push(".bulla");
        }
        (name.into(), (*mode, *modified))
    };
    tree.iter().map(name).collect()
}

fn shape(tree: &BTreeMap<PathBuf, Kept>) -> BTreeMap<PathBuf, (u32, SystemTime)> {
    tree.iter().map(|(path, (mode, modified, _))| (path.clone(), (*mode, *modified))).collect()
}

fn moment(seed: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + seed * 10_007, (seed * 7_654_321 % 1_000_000_000) as u32 | 1)
}

fn set(path: &Path, mode: u32, modified: SystemTime) {
    File::open(path).unwrap().set_modified(modified).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Makes files of many lengths and names in folders of many modes, each with a time of its own.
fn plant(root: &Path) -> BTreeMap<PathBuf, Kept> {
    let folders: [&OsStr; 5] = ["a", "a/b", "a/b/c", "empty", "caf\u{e9}"].map(OsStr::new);
    let byte_folder = OsStr::from_bytes(b"a/\xff\xfe");
    fs::create_dir_all(root).unwrap();
    for folder in folders.iter().chain([&byte_folder]) {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let files: [(&[u8], usize); 10] = [
        (b"nothing", 0),
        (b"one", 1),
        (b"a/chunk", 65_536),
        (b"a/more than a chunk", 65_537),
        (b"a/b/three chunks", 200_000),
        (b"a/b/c/.hidden", 10),
        (b"a/b/c/line\nfeed \x1b[31m", 10),
        (b"a/\xff\xfe/\x80", 10),
        (b"caf\xc3\xa9/-o", 10),
        (b"caf\xc3\xa9/tar.gz", 70_000),
    ];
    for (seed, (name, len)) in files.into_iter().enumerate() {
        let path = root.join(OsStr::from_bytes(name));
        fs::write(&path, noise(len, seed as u64)).unwrap();
        set(&path, [0o600, 0o644, 0o755, 0o440, 0o666][seed % 5], moment(seed as u64));
    }
    for (seed, folder) in folders.iter().chain([&byte_folder]).enumerate() {
        set(&root.join(folder), [0o755, 0o700, 0o775][seed % 3], moment(100 + seed as u64));
    }
    set(root, 0o751, moment(999));
    snapshot(root)
}

fn outcomes(run: &Run) -> BTreeMap<String, String> {
    let text = |record: &Value, name: &str| record[name].as_str().map(str::to_owned);
    let named = |record: Value| {
        let name = text(&record, "name").or_else(|| text(&record, "name_base64"))?;
        Some((name, text(&record, "outcome").unwrap()))
    };
    run.json().into_iter().filter_map(named).collect()
}

fn failures(run: &Run) -> BTreeMap<String, String> {
    let failed = |record: Value| {
        let code = record["error"]["code"].as_str()?.to_owned();
        Some((record["name"].as_str().unwrap().to_owned(), code))
    };
    run.json().into_iter().filter_map(failed).collect()
}

/// The last record: the numbers.
fn numbers(run: &Run) -> Value {
    run.json().pop().unwrap()
}

#[test]
fn a_tree_comes_back_with_modes_and_times() {
    let sandbox = Sandbox::with_project();
    let planted = plant(&sandbox.path("tree"));
    let sealed = sandbox.run(["seal", "--recursive", "tree", "-o", "sealed", "--json"]).succeeds();
    assert_eq!((&numbers(&sealed)["sealed"], &numbers(&sealed)["folders"]), (&10.into(), &7.into()));
    assert_eq!(shape(&snapshot(&sandbox.path("sealed"))), sealed_shape(&planted));
    assert_eq!(snapshot(&sandbox.path("tree")), planted, "the source is as it was");

    sandbox.run(["open", "-r", "sealed", "-o", "back"]).succeeds();
    assert_eq!(snapshot(&sandbox.path("back")), planted);

    // The folder as a whole may be moved.
    fs::rename(sandbox.path("sealed"), sandbox.path("elsewhere")).unwrap();
    sandbox.run(["open", "-r", "elsewhere", "-o", "again"]).succeeds();
    assert_eq!(snapshot(&sandbox.path("again")), planted);
}

#[test]
fn a_tree_is_sealed_and_opened_in_place() {
    let sandbox = Sandbox::with_project();
    let planted = plant(&sandbox.path("tree"));
    sandbox.run(["seal", "-r", "tree"]).succeeds();
    let both = snapshot(&sandbox.path("tree"));
    let mut expected = shape(&planted);
    expected.extend(sealed_shape(&planted));
    assert_eq!(shape(&both), expected, "each beside its source, and the folders' times are kept");

    // Everything is there already, and nothing is done twice.
    let again = sandbox.run(["seal", "-r", "tree", "--json"]).succeeds();
    assert_eq!((&numbers(&again)["sealed"], &numbers(&again)["unchanged"]), (&0.into(), &10.into()));
    assert_eq!(snapshot(&sandbox.path("tree")), both);

    sandbox.run(["seal", "-r", "tree", "--remove-source"]).succeeds();
    assert_eq!(shape(&snapshot(&sandbox.path("tree"))), sealed_shape(&planted));
    sandbox.run(["open", "-r", "tree", "--remove-source"]).succeeds();
    assert_eq!(snapshot(&sandbox.path("tree")), planted);
}

#[test]
fn a_rotation_neither_loses_a_tree_nor_has_it_sealed_again() {
    let sandbox = Sandbox::with_project();
    fs::create_dir(sandbox.path("tree")).unwrap();
    sandbox.write("tree/a", "1");
    sandbox.run(["seal", "-r", "tree", "-o", "sealed"]).succeeds();
    sandbox.run(["key", "rotate", "default"]).succeeds();
    sandbox.write("tree/b", "2");
    let run = sandbox.run(["seal", "-r", "tree", "-o", "sealed", "--json"]).succeeds();
    assert_eq!((outcomes(&run)["a"].as_str(), outcomes(&run)["b"].as_str()), ("unchanged", "sealed"));
    sandbox.run(["open", "-r", "sealed", "-o", "back"]).succeeds();
    assert_eq!((sandbox.read("back/a"), sandbox.read("back/b")), (b"1".to_vec(), b"2".to_vec()));
}

#[test]
fn swapped_renamed_and_moved_files_are_refused() {
    let sandbox = Sandbox::with_project();
    for (name, bytes) in [("tree/a", "1"), ("tree/b", "2"), ("tree/c", "3"), ("tree/d/e", "4")] {
        fs::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
        sandbox.write(name, bytes);
    }
    sandbox.run(["seal", "-r", "tree", "-o", "sealed"]).succeeds();
    let rename = |from: &str, to: &str| fs::rename(sandbox.path(from), sandbox.path(to)).unwrap();
    rename("sealed/a.bulla", "sealed/x");
    rename("sealed/b.bulla", "sealed/a.bulla");
    rename("sealed/x", "sealed/b.bulla");
    rename("sealed/d/e.bulla", "sealed/e.bulla");
    let run = sandbox.run(["open", "-r", "sealed", "-o", "back", "--json"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    let refused = ["a.bulla", "b.bulla", "e.bulla"].map(|name| (name.to_owned(), "cannot_open".to_owned()));
    assert_eq!(failures(&run), BTreeMap::from(refused));
    assert_eq!(run.json_error()["code"], "incomplete");
    assert_eq!(snapshot(&sandbox.path("back")).into_keys().collect::<Vec<_>>(), ["", "c", "d"].map(PathBuf::from));

    // One alone, wherever it is, by the path that it is bound to.
    sandbox.run(["open", "sealed/e.bulla", "-o", "e"]).fails(4, "`--context`");
    sandbox.run(["open", "sealed/e.bulla", "-o", "e", "--context", "path=d/e"]).succeeds();
    assert_eq!(sandbox.read("e"), b"4");
}

#[test]
fn movable_files_open_anywhere_but_only_as_such() {
    let sandbox = Sandbox::with_project();
    fs::create_dir(sandbox.path("tree")).unwrap();
    sandbox.write("tree/a", "1");
    sandbox.run(["seal", "-r", "tree", "-o", "sealed", "--movable", "--context", "owner=me"]).succeeds();
    fs::rename(sandbox.path("sealed/a.bulla"), sandbox.path("sealed/b.bulla")).unwrap();
    let run = sandbox.run(["open", "-r", "sealed", "-o", "back", "--context", "owner=me"]);
    run.fails_late(4, "not opened");
    sandbox.run(["open", "-r", "sealed", "-o", "back", "--movable"]).fails_late(4, "not opened");
    sandbox.run(["open", "-r", "sealed", "-o", "back", "--movable", "--context", "owner=me"]).succeeds();
    assert_eq!(sandbox.read("back/b"), b"1");
    sandbox.run(["open", "sealed/b.bulla", "-o", "b", "--context", "owner=me"]).succeeds();
    sandbox.run(["seal", "-r", "tree", "--context", "path=x"]).fails(2, "twice");
}

#[test]
fn links_and_what_is_no_file_are_told_and_never_followed() {
    let sandbox = Sandbox::with_project();
    fs::create_dir_all(sandbox.path("outside/inner")).unwrap();
    sandbox.write("outside/secret", "x");
    fs::create_dir_all(sandbox.path("tree/inner")).unwrap();
    sandbox.write("tree/file", "y");
    sandbox.write("tree/twice", "z");
    fs::hard_link(sandbox.path("tree/twice"), sandbox.path("tree/inner/twice")).unwrap();
    symlink(".", sandbox.path("tree/loop")).unwrap();
    symlink("../..", sandbox.path("tree/inner/up")).unwrap();
    symlink("nowhere", sandbox.path("tree/dangling")).unwrap();
    symlink("../outside/secret", sandbox.path("tree/secret")).unwrap();
    symlink(sandbox.path("outside"), sandbox.path("tree/away")).unwrap();
    let clean = sandbox.run(["seal", "-r", "tree/inner", "-o", "links", "--json"]);
    assert_eq!(failures(&clean), BTreeMap::from([("twice".to_owned(), "hard_link".to_owned())]));

    let pipe = sandbox.path("tree/pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let _socket = UnixListener::bind(sandbox.path("tree/socket")).unwrap();
    let before = snapshot(&sandbox.path("outside"));
    for target in [&["-o", "sealed"][..], &[]] {
        let run = sandbox.run(["seal", "-r", "tree", "--json"].iter().chain(target));
        assert_eq!(run.code, Some(1), "{run:?}");
        let expected = [
            ("away", "left"),
            ("dangling", "left"),
            ("file", "sealed"),
            ("inner/twice", "failed"),
            ("inner/up", "left"),
            ("loop", "left"),
            ("pipe", "failed"),
            ("secret", "left"),
            ("socket", "failed"),
            ("twice", "failed"),
        ];
        assert_eq!(outcomes(&run), expected.map(|(name, what)| (name.to_owned(), what.to_owned())).into());
    }
    assert_eq!(snapshot(&sandbox.path("outside")), before);
    let mut names: Vec<_> = snapshot(&sandbox.path("sealed")).into_keys().collect();
    names.sort();
    assert_eq!(names, ["", "file.bulla", "inner"].map(PathBuf::from));

    // Links alone are no failure.
    fs::remove_file(&pipe).unwrap();
    fs::remove_file(sandbox.path("tree/socket")).unwrap();
    fs::remove_file(sandbox.path("tree/inner/twice")).unwrap();
    let run = sandbox.run(["seal", "-r", "tree", "-o", "sealed"]).succeeds();
    assert!(run.text().contains("loop: left as it is: a symbolic link"), "{run:?}");

    // Nor is a link followed where the result would be.
    fs::create_dir_all(sandbox.path("back")).unwrap();
    symlink(sandbox.path("outside"), sandbox.path("back/inner")).unwrap();
    symlink(sandbox.path("outside/secret"), sandbox.path("back/file")).unwrap();
    let run = sandbox.run(["open", "-r", "sealed", "-o", "back", "--json"]);
    assert_eq!(failures(&run).into_keys().collect::<Vec<_>>(), ["file.bulla", "inner"]);
    assert_eq!(snapshot(&sandbox.path("outside")), before);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let sandbox = Sandbox::with_project();
    let planted = plant(&sandbox.path("tree"));
    sandbox.run(["seal", "-r", "tree", "-o", "sealed"]).succeeds();
    let damaged = sandbox.path("sealed/a/b/three chunks.bulla");
    let file = File::options().write(true).open(&damaged).unwrap();
    file.write_all_at(b"!", 100_000).unwrap();
    let foreign = sandbox.path("sealed/one.bulla");
    fs::write(&foreign, "not sealed").unwrap();
    let run = sandbox.run(["open", "-r", "sealed", "-o", "back", "--json"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    let expected = [("a/b/three chunks.bulla", "damaged"), ("one.bulla", "not_sealed")];
    assert_eq!(failures(&run), expected.map(|(name, code)| (name.to_owned(), code.to_owned())).into());
    assert_eq!(numbers(&run)["opened"], 8);
    let mut rest = planted;
    rest.remove(Path::new("a/b/three chunks"));
    rest.remove(Path::new("one"));
    assert_eq!(snapshot(&sandbox.path("back")), rest, "nothing of the damaged one is left");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_sealed() {
    let sandbox = Sandbox::empty();
    // Root reads everything, so the program runs as somebody else where the tests are root's.
    let nobody = rustix::process::geteuid().is_root().then_some(65_534);
    let own = |path: &Path| {
        if let Some(id) = nobody {
            std::os::unix::fs::chown(path, Some(id), Some(id)).unwrap();
        }
    };
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        if let Some(id) = nobody {
            command.uid(id).gid(id);
        }
        Run::of(&mut command)
    };
    fs::create_dir_all(sandbox.path("tree/closed")).unwrap();
    for name in ["tree/a", "tree/b", "tree/closed/c"] {
        sandbox.write(name, name);
        own(&sandbox.path(name));
    }
    for path in [sandbox.work(), sandbox.home(), sandbox.path("tree"), sandbox.path("tree/closed")] {
        own(&path);
    }
    own(sandbox.work().parent().unwrap());
    run(&["init"]).succeeds();
    fs::set_permissions(sandbox.path("tree/b"), Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(sandbox.path("tree/closed"), Permissions::from_mode(0o000)).unwrap();
    let sealed = run(&["seal", "-r", "tree", "-o", "sealed", "--json"]);
    assert_eq!(sealed.code, Some(6), "{sealed:?}");
    let expected = ["b", "closed"].map(|name| (name.to_owned(), "file_permission".to_owned()));
    assert_eq!(failures(&sealed), BTreeMap::from(expected));
    assert!(sandbox.path("sealed/a.bulla").exists());

    // Once it can be, the same command does the rest.
    fs::set_permissions(sandbox.path("tree/b"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(sandbox.path("tree/closed"), Permissions::from_mode(0o500)).unwrap();
    let sealed = run(&["seal", "-r", "tree", "-o", "sealed", "--json"]).succeeds();
    assert_eq!((&numbers(&sealed)["sealed"], &numbers(&sealed)["unchanged"]), (&2.into(), &1.into()));
    assert_eq!(fs::metadata(sandbox.path("sealed/closed")).unwrap().mode() & 0o777, 0o500);
}

#[test]
fn a_file_that_changes_meanwhile_is_not_sealed_torn() {
    let sandbox = Sandbox::with_project();
    fs::create_dir(sandbox.path("tree")).unwrap();
    sandbox.write("tree/calm", "x");
    sandbox.write("tree/restless", noise(64 << 20, 1));
    let file = File::options().write(true).open(sandbox.path("tree/restless")).unwrap();
    let ended = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0;
            while !ended.load(Ordering::Relaxed) {
                file.write_all_at(b"other bytes", at % (64 << 20)).unwrap();
                at += 1_000_003;
            }
        });
        let run = sandbox.run(["seal", "-r", "tree", "--json", "--remove-source"]);
        ended.store(true, Ordering::Relaxed);
        run
    });
    assert_eq!(run.code, Some(5), "{run:?}");
    assert_eq!(failures(&run), BTreeMap::from([("restless".to_owned(), "file_changed".to_owned())]));
    let names: Vec<_> = snapshot(&sandbox.path("tree")).into_keys().collect();
    assert_eq!(names, ["", "calm.bulla", "restless"].map(PathBuf::from));
    sandbox.run(["seal", "-r", "tree"]).succeeds();
}

#[test]
fn a_target_that_is_something_else_is_not_replaced() {
    let sandbox = Sandbox::with_project();
    fs::create_dir(sandbox.path("tree")).unwrap();
    for name in ["a", "b", "c", "d"] {
        sandbox.write(Path::new("tree").join(name), name);
    }
    sandbox.run(["seal", "-r", "tree"]).succeeds();
    // Changed since; replaced by something else of the same length and time; and by one sealed elsewhere.
    sandbox.write("tree/a", "A");
    let (path, metadata) = (sandbox.path("tree/b.bulla"), fs::metadata(sandbox.path("tree/b.bulla")).unwrap());
    fs::write(&path, vec![0; fs::read(&path).unwrap().len()]).unwrap();
    set(&path, 0o644, metadata.modified().unwrap());
    fs::copy(sandbox.path("tree/d.bulla"), sandbox.path("tree/c.bulla")).unwrap();
    set(&sandbox.path("tree/c.bulla"), 0o644, fs::metadata(sandbox.path("tree/c")).unwrap().modified().unwrap());

    let run = sandbox.run(["seal", "-r", "tree", "--remove-source", "--json"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    let expected = ["a", "b", "c"].map(|name| (name.to_owned(), "file_exists".to_owned()));
    assert_eq!(failures(&run), BTreeMap::from(expected));
    assert_eq!(outcomes(&run)["d"], "unchanged");
    assert!(!sandbox.path("tree/d").exists() && sandbox.path("tree/a").exists());
    let run = sandbox.run(["seal", "-r", "tree", "--force", "--json"]).succeeds();
    assert_eq!(numbers(&run)["sealed"], 3);
    sandbox.run(["open", "-r", "tree", "-o", "back"]).succeeds();
    assert_eq!(sandbox.read("back/a"), b"A");
    assert_eq!(sandbox.names().iter().filter(|name| name.starts_with(".bulla-part")).count(), 0);
}

#[test]
fn a_source_is_not_removed_for_a_sealed_file_that_does_not_hold_it() {
    let sandbox = Sandbox::with_project();
    fs::create_dir(sandbox.path("tree")).unwrap();
    let bytes = noise(200_000, 7);
    for name in ["tree/damaged", "tree/other"] {
        sandbox.write(name, &bytes);
        set(&sandbox.path(name), 0o600, moment(1));
    }
    sandbox.run(["seal", "-r", "tree"]).succeeds();
    // In its middle, where it is not looked at when a run is taken up again.
    let path = sandbox.path("tree/damaged.bulla");
    File::options().write(true).open(&path).unwrap().write_all_at(b"!", 100_000).unwrap();
    set(&path, 0o600, moment(1));
    // As somebody would who sets the time back behind a change.
    let other = File::options().write(true).open(sandbox.path("tree/other")).unwrap();
    other.write_all_at(b"!", 100_000).unwrap();
    set(&sandbox.path("tree/other"), 0o600, moment(1));

    let run = sandbox.run(["seal", "-r", "tree", "--remove-source", "--json"]);
    let expected = [("damaged", "damaged"), ("other", "not_the_same")];
    assert_eq!(failures(&run), expected.map(|(name, code)| (name.to_owned(), code.to_owned())).into());
    assert_eq!(numbers(&run)["sources_removed"], 0);
    assert_eq!(sandbox.read("tree/damaged"), bytes);
    assert!(sandbox.path("tree/other").exists() && sandbox.path("tree/other.bulla").exists());
    fs::remove_file(sandbox.path("tree/damaged.bulla")).unwrap();
    fs::remove_file(sandbox.path("tree/other.bulla")).unwrap();
    sandbox.run(["seal", "-r", "tree", "--remove-source"]).succeeds();
    sandbox.run(["open", "-r", "tree"]).succeeds();
    assert_eq!(sandbox.read("tree/damaged"), bytes);
}

#[test]
fn what_the_project_needs_is_left() {
    let sandbox = Sandbox::with_project();
    sandbox.write("file", "x");
    sandbox.write("phrase", "correct horse");
    set(&sandbox.path("phrase"), 0o600, moment(1));
    let mut command = sandbox.command(["seal", "-r", "..", "--remove-source", "--json"]);
    command.env("BULLA_PASSPHRASE_FILE", sandbox.path("phrase"));
    let run = Run::of(&mut command).succeeds();
    let outcomes = outcomes(&run);
    for own in ["work/.bulla", "work/bulla.toml", "work/phrase"] {
        assert_eq!(outcomes[own], "left", "{outcomes:?}");
    }
    assert_eq!(outcomes["work/file"], "sealed");
    let left = outcomes.iter().filter(|(name, what)| name.starts_with("home/") && *what == "left").count();
    assert!(left >= 2, "the identity and the pins: {outcomes:?}");
    sandbox.run(["open", "-r", "..", "--remove-source"]).succeeds();
    assert_eq!(sandbox.read("file"), b"x");
    sandbox.run(["status"]).succeeds();
}

#[test]
fn folders_that_cannot_be_meant_are_refused() {
    let sandbox = Sandbox::with_project();
    fs::create_dir_all(sandbox.path("tree/inner")).unwrap();
    for output in ["tree", "tree/inner", "tree/new", ".", "tree/../tree/inner/new"] {
        sandbox.run(["seal", "-r", "tree", "-o", output]).fails(2, "must not lie in each other");
    }
    assert_eq!(fs::read_dir(sandbox.path("tree")).unwrap().count(), 1);
    sandbox.run(["seal", "-r"]).fails(2, "required");
    sandbox.run(["seal", "-r", "-"]).fails(2, "folder");
    sandbox.run(["seal", "-r", "tree", "-o", "-"]).fails(2, "standard output");
    sandbox.run(["seal", "-r", "nowhere"]).fails(3, "nowhere");
    sandbox.run(["seal", "-r", "bulla.toml"]).fails(1, "directory");
    sandbox.run(["seal", "-r", "tree", "-o", "no/such"]).fails(3, "no");
    sandbox.run(["seal", "tree/inner", "--remove-source"]).fails(2, "--recursive");
    sandbox.run(["seal", "-r", "tree", "--to", "bulla-seal-to:x"]).fails(2, "cannot be used with");
}

#[test]
fn no_room_leaves_no_part_of_a_file() {
    let sandbox = Sandbox::with_project();
    fs::create_dir(sandbox.path("tree")).unwrap();
    sandbox.write("tree/large", noise(3_000_000, 1));
    sandbox.write("tree/small", noise(1_000, 2));
    let before = snapshot(&sandbox.path("tree"));
    // No file may grow beyond 1 MiB, and the signal that says so is not heard: writes fail as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    let shell = ["-c", script, env!("CARGO_BIN_EXE_bulla"), "seal", "-r", "tree", "--remove-source", "--json"];
    let run = Run::of(&mut sandbox.prepare(Command::new("bash"), shell));
    assert_eq!(run.code, Some(6), "{run:?}");
    assert_eq!(failures(&run), BTreeMap::from([("large".to_owned(), "file_full".to_owned())]));
    let names: Vec<_> = snapshot(&sandbox.path("tree")).into_keys().collect();
    assert_eq!(names, ["", "large", "small.bulla"].map(PathBuf::from));
    sandbox.run(["open", "-r", "tree", "--remove-source"]).succeeds();
    assert_eq!(snapshot(&sandbox.path("tree")), before);
}

#[test]
fn leftovers_of_a_killed_run_are_cleared_and_taken_for_nothing() {
    let sandbox = Sandbox::with_project();
    fs::create_dir(sandbox.path("tree")).unwrap();
    sandbox.write("tree/file", "x");
    sandbox.write("tree/.bulla-part.0123456789abcdef", "half a file");
    set(&sandbox.path("tree"), 0o755, moment(5));
    let run = sandbox.run(["seal", "-r", "tree", "--json"]).succeeds();
    assert_eq!(outcomes(&run), BTreeMap::from([("file".to_owned(), "sealed".to_owned())]));
    assert_eq!(fs::read_dir(sandbox.path("tree")).unwrap().count(), 2);
}

/// Killed at any moment and run again, the work ends as if nothing had happened, and no moment exists at which a file is in neither form.
#[test]
fn a_kill_at_any_moment_is_made_good_by_the_same_command() {
    let rounds = number("BULLA_TEST_ROUNDS", 6);
    let sandbox = Sandbox::with_project();
    plant(&sandbox.path("tree"));
    for extra in 0..40 {
        let path = sandbox.path(format!("tree/a/b/{extra}"));
        fs::write(&path, noise(extra * 1_000, extra as u64)).unwrap();
        set(&path, 0o640, moment(extra as u64));
    }
    set(&sandbox.path("tree/a/b"), 0o700, moment(101));
    let planted = snapshot(&sandbox.path("tree"));
    let clear: BTreeMap<_, _> = planted.iter().filter_map(|(path, kept)| Some((path, kept.2.as_ref()?))).collect();

    let clock = Instant::now();
    sandbox.run(["seal", "-r", "tree", "-o", "sealed"]).succeeds();
    let usual = clock.elapsed();
    let uninterrupted = shape(&snapshot(&sandbox.path("sealed")));
    fs::remove_dir_all(sandbox.path("sealed")).unwrap();
    let (mut killed, mut runs) = (0, 0);
    let mut until_done = |arguments: &[&str], round: u64, check: &dyn Fn()| {
        for attempt in 1.. {
            // Spread over a little more than a whole run, and longer with each attempt, so that it ends.
            let delay = usual * u32::try_from((round * 37 + attempt * 29) % 120 + attempt * 3).unwrap() / 100;
            runs += 1;
            let done = run_or_kill(&sandbox, arguments, delay);
            check();
            if done {
                break;
            }
            killed += 1;
        }
    };
    for round in 1..=rounds {
        // To another folder.
        until_done(&["seal", "-r", "tree", "-o", "sealed"], round, &|| {});
        assert_eq!(shape(&snapshot(&sandbox.path("sealed"))), uninterrupted, "round {round}");
        until_done(&["open", "-r", "sealed", "-o", "back"], round + 1, &|| {});
        assert_eq!(snapshot(&sandbox.path("back")), planted, "round {round}");
        // In place, with nothing left behind.
        let in_one_form = || {
            for (path, bytes) in &clear {
                let file = sandbox.path("back").join(path);
                let mut sealed = file.clone().into_os_string();
                sealed.push(".bulla");
                match fs::read(&file) {
                    Ok(found) => assert!(found == **bytes, "{path:?}"),
                    Err(_) => assert!(Path::new(&sealed).exists(), "{path:?} is gone"),
                }
            }
        };
        until_done(&["seal", "-r", "back", "--remove-source"], round + 2, &in_one_form);
        assert_eq!(shape(&snapshot(&sandbox.path("back"))), sealed_shape(&planted), "round {round}");
        until_done(&["open", "-r", "back", "--remove-source"], round + 3, &in_one_form);
        assert_eq!(snapshot(&sandbox.path("back")), planted, "round {round}");
        for folder in ["sealed", "back"] {
            fs::remove_dir_all(sandbox.path(folder)).unwrap();
        }
    }
    assert!(killed > 0, "none of {runs} runs was killed");
    eprintln!("{rounds} rounds, {killed} of {runs} runs killed");
}

#[test]
fn several_processes_at_once_do_no_harm() {
    let sandbox = Sandbox::with_project();
    let planted = plant(&sandbox.path("tree"));
    let all = |commands: &[&[&str]]| -> Vec<Run> {
        let start = |arguments: &&[&str]| {
            let mut command = sandbox.command(*arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<_> = commands.iter().map(start).collect();
        children.into_iter().map(Run::end_of).collect()
    };
    let seal: &[&str] = &["seal", "-r", "tree", "--remove-source"];
    let open: &[&str] = &["open", "-r", "tree", "--remove-source"];
    for run in all(&[seal; 4]) {
        run.succeeds();
    }
    assert_eq!(shape(&snapshot(&sandbox.path("tree"))), sealed_shape(&planted));
    for run in all(&[open; 4]) {
        run.succeeds();
    }
    assert_eq!(snapshot(&sandbox.path("tree")), planted);
    for _ in 0..3 {
        // Against each other: what either leaves undone is there in the other's form.
        all(&[seal, open, seal, open]);
        for (path, (_, _, bytes)) in &planted {
            let file = sandbox.path("tree").join(path);
            let mut sealed = OsString::from(&file);
            sealed.push(".bulla");
            let there = bytes.as_ref().is_none_or(|bytes| fs::read(&file).is_ok_and(|found| found == *bytes));
            assert!(there || Path::new(&sealed).exists(), "{path:?} is gone");
        }
    }
    sandbox.run(open).succeeds();
    let bytes = |tree: BTreeMap<PathBuf, Kept>| tree.into_iter().map(|(path, kept)| (path, kept.2)).collect::<Vec<_>>();
    assert_eq!(bytes(snapshot(&sandbox.path("tree"))), bytes(planted));
}

#[test]
fn many_small_files_in_deep_folders() {
    let files = number("BULLA_TEST_FILES", 2_000);
    let sandbox = Sandbox::with_project();
    let mut folder = sandbox.path("tree");
    for at in 0..files {
        if at % 20 == 0 {
            // A hundred folders deep, again and again.
            folder = if at % 2_000 == 0 { sandbox.path(format!("tree/{at}")) } else { folder.join("d") };
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(format!("f{at}")), at.to_string()).unwrap();
    }
    let planted = snapshot(&sandbox.path("tree"));
    let clock = Instant::now();
    let sealed = sandbox.run(["seal", "-r", "tree", "-o", "sealed", "--json"]).succeeds();
    let sealing = clock.elapsed();
    assert_eq!(numbers(&sealed)["sealed"], files);
    let again = sandbox.run(["seal", "-r", "tree", "-o", "sealed", "--json"]).succeeds();
    let resuming = clock.elapsed() - sealing;
    assert_eq!(numbers(&again)["unchanged"], files);
    sandbox.run(["open", "-r", "sealed", "-o", "back"]).succeeds();
    let opening = clock.elapsed() - sealing - resuming;
    assert_eq!(snapshot(&sandbox.path("back")), planted);
    eprintln!("{files} files: sealed in {sealing:?}, found done in {resuming:?}, opened in {opening:?}");
}

#[test]
fn folders_beyond_all_measure_are_an_error() {
    let sandbox = Sandbox::with_project();
    let deep: PathBuf = std::iter::repeat_n("d", 300).collect();
    fs::create_dir_all(sandbox.path("tree").join(&deep)).unwrap();
    sandbox.write(Path::new("tree").join(&deep).join("file"), "x");
    sandbox.write("tree/file", "x");
    let run = sandbox.run(["seal", "-r", "tree", "-o", "sealed", "--json"]);
    assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(1), Some("incomplete")));
    assert_eq!(failures(&run).into_values().collect::<Vec<_>>(), ["too_deep"]);
    assert!(sandbox.path("sealed/file.bulla").exists());
}
