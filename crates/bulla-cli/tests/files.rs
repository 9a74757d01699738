use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::sandbox::{Run, Sandbox, noise};

#[test]
fn files_and_pipes_come_back() {
    let sandbox = Sandbox::with_project();
    for len in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
        let message = noise(len, 3);
        sandbox.write("file", &message);
        sandbox.run(["seal", "file", "--force"]).succeeds();
        fs::remove_file(sandbox.path("file")).unwrap();
        let run = sandbox.run(["open", "file.bulla"]).succeeds();
        assert!(run.stdout.is_empty() && run.stderr.contains(&format!("opened {len} bytes")), "{run:?}");
        assert!(sandbox.read("file") == message, "{len}");

        let sealed = sandbox.feed(&message, ["seal", "-q"]).succeeds();
        assert!(sealed.stderr.is_empty());
        assert!(sandbox.feed(&sealed.stdout, ["open", "-", "-o", "-"]).succeeds().stdout == message, "{len}");
    }
}

#[test]
fn names_follow_the_suffix() {
    let sandbox = Sandbox::with_project();
    sandbox.write("a.tar", b"x");
    let sealed = sandbox.run(["seal", "a.tar", "--json"]).succeeds().json();
    assert_eq!((&sealed[0]["output"], &sealed[0]["bytes"]), (&"a.tar.bulla".into(), &1.into()));
    sandbox.run(["seal", "a.tar", "-o", "elsewhere"]).succeeds();
    sandbox.run(["open", "elsewhere"]).fails(2, "does not end in `.bulla`");
    sandbox.run(["open", "elsewhere", "-o", "back"]).succeeds();
    assert_eq!(sandbox.read("back"), b"x");
    fs::rename(sandbox.path("elsewhere"), sandbox.path(".bulla.bulla")).unwrap();
    // Only the one suffix goes, and `.bulla` is the project's folder.
    sandbox.run(["open", ".bulla.bulla"]).fails(1, "directory");

    let name = OsStr::from_bytes(b"caf\xe9");
    sandbox.write(name, b"y");
    sandbox.run([OsStr::new("seal"), name]).succeeds();
    fs::remove_file(sandbox.path(name)).unwrap();
    sandbox.run([OsStr::new("open"), OsStr::from_bytes(b"caf\xe9.bulla")]).succeeds();
    assert_eq!(sandbox.read(name), b"y");
}

#[test]
fn nothing_is_replaced_unless_forced() {
    let sandbox = Sandbox::with_project();
    sandbox.write("file", b"new");
    sandbox.write("file.bulla", b"precious");
    let run = sandbox.run(["seal", "file"]).fails(5, "file.bulla");
    assert!(run.stderr.contains("hint: `--force`"), "{run:?}");
    assert_eq!(sandbox.read("file.bulla"), b"precious");
    sandbox.run(["seal", "file", "--force"]).succeeds();
    sandbox.run(["open", "file.bulla"]).fails(5, "`file`");
    sandbox.write("file", b"changed");
    sandbox.run(["open", "file.bulla", "--force"]).succeeds();
    assert_eq!(sandbox.read("file"), b"new");

    // A link that leads nowhere is there all the same.
    std::os::unix::fs::symlink("nowhere", sandbox.path("link")).unwrap();
    sandbox.run(["seal", "file", "-o", "link"]).fails(5, "link");
    assert_eq!(sandbox.names(), [".bulla", "bulla.toml", "file", "file.bulla", "link"]);
}

#[test]
fn what_is_opened_is_for_its_owner_only() {
    let sandbox = Sandbox::with_project();
    sandbox.write("file", b"x");
    sandbox.run(["seal", "file"]).succeeds();
    sandbox.run(["open", "file.bulla", "-o", "back"]).succeeds();
    assert_eq!(fs::metadata(sandbox.path("back")).unwrap().mode() & 0o777, 0o600);
    sandbox.feed(b"x", ["put", "name"]).succeeds();
    sandbox.run(["get", "name", "-o", "got"]).succeeds();
    assert_eq!(fs::metadata(sandbox.path("got")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_context_is_needed_whole() {
    let sandbox = Sandbox::with_project();
    let sealed = sandbox.feed(b"x", ["seal", "--context", "table=orders", "--context", "row=7"]).succeeds().stdout;
    let opened = sandbox.feed(&sealed, ["open", "--context", "row=7", "--context", "table=orders"]);
    assert_eq!(opened.succeeds().stdout, b"x");
    for context in [&[][..], &["--context", "row=7"], &["--context", "table=orders", "--context", "row=8"]] {
        let run = sandbox.feed(&sealed, ["open"].iter().chain(context)).fails(4, "cannot be opened");
        assert!(run.stderr.contains("hint: name the context"), "{run:?}");
    }
    sandbox.feed(b"x", ["seal", "--context", "a=1", "--context", "a=2"]).fails(2, "names a field twice");
}

#[test]
fn every_damaged_file_is_refused_and_leaves_nothing() {
    let sandbox = Sandbox::with_project();
    let sealed = sandbox.feed(&noise(200_000, 4), ["seal"]).succeeds().stdout;
    let before = sandbox.names();
    let refused = |bytes: &[u8], what: &str| {
        sandbox.write("damaged.bulla", bytes);
        let run = sandbox.run(["open", "damaged.bulla"]);
        assert_eq!(run.code, Some(4), "{what}: {run:?}");
        assert!(run.stdout.is_empty() && run.stderr.starts_with("error: "), "{what}: {run:?}");
        fs::remove_file(sandbox.path("damaged.bulla")).unwrap();
        assert_eq!(sandbox.names(), before, "{what}");
    };
    let last = sealed.len() - 1;
    for at in [0, 3, 4, 5, 6, 8, 16, 39, 40, 71, 72, 65_607, 65_608, 65_624, 150_000, last - 16, last] {
        for bit in [1, 0x80] {
            let mut damaged = sealed.clone();
            damaged[at] ^= bit;
            refused(&damaged, &format!("bit {bit} of byte {at}"));
        }
    }
    for len in [0, 1, 71, 72, 87, 88, 65_624, 72 + 65_552, 72 + 2 * 65_552, last - 16, last] {
        refused(&sealed[..len], &format!("cut to {len}"));
    }
    refused(&[&sealed[..], b"x"].concat(), "one byte longer");
    refused(b"not sealed at all", "something else");
}

#[test]
fn a_damaged_pipe_says_so_at_its_end() {
    let sandbox = Sandbox::with_project();
    let message = noise(200_000, 5);
    let mut sealed = sandbox.feed(&message, ["seal"]).succeeds().stdout;
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    let run = sandbox.feed(&sealed, ["open"]);
    assert_eq!(run.code, Some(4));
    // What was released had verified.
    assert!(message.starts_with(&run.stdout) && run.stdout.len() < message.len());
}

#[test]
fn what_cannot_be_read_or_written_is_an_error() {
    let sandbox = Sandbox::with_project();
    sandbox.write("file", b"x");
    sandbox.run(["seal", "missing"]).fails(3, "missing");
    sandbox.run(["seal", "."]).fails(1, "directory");
    sandbox.run(["seal", "file", "-o", "no/such/folder"]).fails(3, "no/such/folder");
    sandbox.run(["seal", "file", "-o", "."]).fails(1, "directory");
    sandbox.run(["seal", "file", "-o", "/dev/full"]).fails(6, "/dev/full");
    sandbox.run(["seal", "file", "-o", "/dev/null"]).succeeds();

    // Root may write to any folder, but not make files in this one.
    let read_only = if rustix::process::geteuid().is_root() {
        "/sys/kernel".into()
    } else {
        let folder = sandbox.path("read-only");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
        folder
    };
    let run = sandbox.run([OsStr::new("seal"), OsStr::new("file"), OsStr::new("-o"), read_only.join("x").as_os_str()]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(!read_only.join("x").exists());
}

#[test]
fn no_room_leaves_nothing() {
    let sandbox = Sandbox::with_project();
    sandbox.write("file", noise(3_000_000, 6));
    let before = sandbox.names();
    // No file may grow beyond 1 MiB, and the signal that says so is not heard: writes fail as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    for arguments in [&["seal", "file"][..], &["put", "name", "file"]] {
        let shell = ["-c", script, env!("CARGO_BIN_EXE_bulla")];
        let mut command = sandbox.prepare(Command::new("bash"), shell.iter().chain(arguments));
        Run::of(&mut command).fails(6, "large");
        assert_eq!(sandbox.names(), before, "{arguments:?}");
    }
    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "");
    let checked = sandbox.run(["check"]).succeeds();
    assert!(checked.stdout.is_empty());
}

#[test]
fn a_kill_leaves_no_part_of_a_file() {
    let sandbox = Sandbox::with_project();
    let mut child = sandbox.spawn_fed(["seal", "-", "-o", "out"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(5_000_000, 8)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // Only where the file system has no files without names, a hidden one stays, which no later run takes for anything.
    let left: Vec<_> = sandbox.names().into_iter().filter(|name| !name.starts_with(".out.")).collect();
    assert_eq!(left, [".bulla", "bulla.toml"]);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_file() {
    let sandbox = Sandbox::with_project();
    let mut child = sandbox.spawn_fed(["seal", "-", "-o", "out"]);
    let peak = |child: &std::process::Child| -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let mut stdin = child.stdin.take().unwrap();
    let piece = noise(1 << 20, 9);
    // A pipe holds less than this, so the first piece is being sealed when the second is taken.
    for _ in 0..2 {
        stdin.write_all(&piece).unwrap();
    }
    let begun = peak(&child);
    for _ in 0..128 {
        stdin.write_all(&piece).unwrap();
    }
    let grown = peak(&child) - begun;
    drop(stdin);
    Run::end_of(child).succeeds();
    assert!(grown <= 1_024, "grew by {grown} KiB over 128 MiB");
    sandbox.run(["open", "out", "-o", "/dev/null"]).succeeds();
}
