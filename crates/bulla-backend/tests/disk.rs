//! The real disk and the simulated one do the same, and the simulated one loses what it should.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use bulla_backend::{
    Disk, DiskFile, OpenMode, RealDisk,
    testing::{Fault, Loss, SimDisk},
};

fn create(disk: &dyn Disk, path: impl AsRef<Path>, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.open(path.as_ref(), OpenMode::CreateNew).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

fn read(disk: &dyn Disk, path: impl AsRef<Path>) -> Option<Vec<u8>> {
    match disk.open(path.as_ref(), OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        opened => {
            let file = opened.unwrap();
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
            Some(bytes)
        }
    }
}

/// Everything that a driver relies on but what a power cut leaves.
fn does_what_disks_do(disk: Arc<dyn Disk>, root: PathBuf) {
    let disk = &*disk;
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    let [a, b, below] = ["a", "b", "some/folder/file"].map(|name| root.join(name));

    // Opening.
    for mode in [OpenMode::Read, OpenMode::Write] {
        assert_eq!(kind(disk.open(&a, mode).map(drop)), ErrorKind::NotFound);
    }
    for mode in [OpenMode::Create, OpenMode::CreateNew] {
        assert_eq!(kind(disk.open(&below, mode).map(drop)), ErrorKind::NotFound);
    }
    assert!(!disk.exists(&a).unwrap());
    let file = create(disk, &a, b"0123456789");
    assert_eq!(kind(disk.open(&a, OpenMode::CreateNew).map(drop)), ErrorKind::AlreadyExists);
    assert_eq!(disk.open(&a, OpenMode::Create).unwrap().len().unwrap(), 10, "what is there stays");
    disk.open(&a, OpenMode::Read).unwrap().write_at(0, b"x").unwrap_err();

    // Contents.
    let mut buffer = [0; 4];
    assert_eq!(file.read_at(3, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"3456");
    assert_eq!(file.read_at(8, &mut buffer).unwrap(), 2);
    assert_eq!(file.read_at(10, &mut buffer).unwrap(), 0);
    assert_eq!(file.read_at(11, &mut buffer).unwrap(), 0);
    file.write_at(12, b"z").unwrap();
    assert_eq!(read(disk, &a).unwrap(), b"0123456789\0\0z");
    file.set_len(2).unwrap();
    file.set_len(4).unwrap();
    assert_eq!(read(disk, &a).unwrap(), b"01\0\0");
    assert!(!file.is_empty().unwrap());
    file.sync().unwrap();
    file.sync_file_system().unwrap();

    // Names.
    let identity = file.stat().unwrap().identity;
    assert_eq!(disk.stat(&a).unwrap().unwrap(), file.stat().unwrap());
    disk.rename(&a, &b).unwrap();
    assert_eq!(kind(disk.rename(&a, &b)), ErrorKind::NotFound);
    assert_eq!(disk.stat(&b).unwrap().unwrap().identity, identity, "a renamed file is the same");
    let replacement = create(disk, &a, b"other");
    assert_ne!(replacement.stat().unwrap().identity.inode, identity.inode);
    assert_eq!(kind(disk.rename_new(&a, &b)), ErrorKind::AlreadyExists);
    assert_eq!(read(disk, &b).unwrap(), b"01\0\0");
    disk.rename(&a, &b).unwrap();
    assert_eq!(read(disk, &b).unwrap(), b"other");
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 4, "a replaced file is still there for who has it open");
    disk.rename_new(&b, &a).unwrap();
    assert_eq!(read(disk, &b), None);
    assert_eq!(kind(disk.rename_new(&b, &a)), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove(&b)), ErrorKind::NotFound);

    // Folders.
    let folder = below.parent().unwrap();
    disk.create_folders(folder).unwrap();
    disk.create_folders(folder).unwrap();
    assert_eq!(kind(disk.create_folder(folder)), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.create_folder(&root.join("no/folder"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.create_folders(&a.join("c"))), ErrorKind::NotADirectory);
    assert!(disk.stat(folder).unwrap().unwrap().is_folder);
    create(disk, &below, b"1");
    create(disk, folder.join("a"), b"2");
    let mut names = disk.list(folder).unwrap();
    names.sort();
    assert_eq!(names, ["a", "file"]);
    assert_eq!(disk.list(&root.join("some")).unwrap(), ["folder"], "not what lies deeper");
    assert_eq!(kind(disk.list(&root.join("none")).map(drop)), ErrorKind::NotFound);
    disk.sync_folder(folder).unwrap();
    assert_eq!(kind(disk.sync_folder(&root.join("none"))), ErrorKind::NotFound);
    disk.remove(&below).unwrap();
    assert!(!disk.exists(&below).unwrap());

    // Locks.
    let [one, two] = [(); 2].map(|()| disk.open(&a, OpenMode::Write).unwrap());
    one.lock().unwrap();
    assert!(!two.try_lock().unwrap());
    one.unlock().unwrap();
    assert!(two.try_lock().unwrap());
    thread::scope(|scope| {
        let waits = scope.spawn(|| one.lock().unwrap());
        drop(two);
        waits.join().unwrap();
    });
    assert!(!disk.open(&a, OpenMode::Write).unwrap().try_lock().unwrap());
}

#[test]
fn the_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    does_what_disks_do(Arc::new(RealDisk), folder.path().to_owned());
}

#[test]
fn the_simulated_disk() {
    does_what_disks_do(Arc::new(SimDisk::new()), PathBuf::from("/"));
}

#[test]
fn a_power_cut_loses_what_was_not_synced() {
    let disk = SimDisk::new();
    let file = create(&disk, "/synced", b"old");
    file.sync().unwrap();
    create(&disk, "/nameless", b"bytes").sync().unwrap();
    disk.rename(Path::new("/synced"), Path::new("/renamed")).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    file.write_at(0, b"new").unwrap();
    create(&disk, "/unsynced", b"bytes").sync().unwrap();
    disk.remove(Path::new("/nameless")).unwrap();

    let seen = disk.reboot();
    assert_eq!(read(&seen, "/renamed").unwrap(), b"new", "a kill loses nothing");
    assert_eq!(file.read_at(0, &mut [0]).unwrap_err().kind(), read_error(&disk), "handles end with their process");
    let kept = seen.power_cut(Loss::Nothing);
    assert_eq!(read(&kept, "/renamed").unwrap(), b"new");
    assert_eq!(read(&kept, "/unsynced").unwrap(), b"bytes");
    assert_eq!(read(&kept, "/nameless"), None);

    let file = kept.open(Path::new("/renamed"), OpenMode::Write).unwrap();
    file.write_at(0, b"newer").unwrap();
    create(&kept, "/again", b"bytes");
    let lost = kept.power_cut(Loss::Everything);
    assert_eq!(read(&lost, "/renamed").unwrap(), b"new");
    assert_eq!(read(&lost, "/again"), None);
}

/// Returns how a handle from before a restart fails.
fn read_error(disk: &SimDisk) -> ErrorKind {
    disk.list(Path::new("/")).unwrap_err().kind()
}

#[test]
fn a_seed_decides_what_is_lost_and_what_is_torn() {
    let (old, new) = (vec![b'o'; 2_048], vec![b'n'; 2_048]);
    let mut torn = 0;
    let mut found = [0; 2];
    for seed in 0..60 {
        let outcome = || {
            let disk = SimDisk::new();
            let file = create(&disk, "/file", &old);
            file.sync().unwrap();
            disk.sync_folder(Path::new("/")).unwrap();
            file.write_at(0, &new).unwrap();
            create(&disk, "/other", b"");
            let disk = disk.power_cut(Loss::Seeded(seed));
            (read(&disk, "/file").unwrap(), disk.exists(Path::new("/other")).unwrap())
        };
        let (bytes, exists) = outcome();
        assert_eq!(outcome(), (bytes.clone(), exists), "the same seed, the same loss");
        assert!(bytes.chunks(512).all(|sector| *sector == old[..512] || *sector == new[..512]), "sectors are whole");
        torn += u32::from(bytes != old && bytes != new);
        found[0] += u32::from(bytes == new);
        found[1] += u32::from(exists);
    }
    assert!(
        (10..50).contains(&torn) && (10..50).contains(&found[0]) && (10..50).contains(&found[1]),
        "{torn} {found:?}"
    );
}

#[test]
fn what_the_system_gave_up_on_is_shown_and_lost() {
    let disk = SimDisk::new();
    let file = create(&disk, "/file", b"bytes");
    let other = disk.open(Path::new("/file"), OpenMode::Read).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    disk.arm(disk.operations() + 1, Fault::SyncError);
    file.sync().unwrap_err();
    file.sync().unwrap();
    other.sync().unwrap_err();
    other.sync().unwrap();
    disk.open(Path::new("/file"), OpenMode::Read).unwrap().sync().unwrap();
    other.sync_file_system().unwrap_err();
    other.sync_file_system().unwrap();
    assert_eq!(read(&disk, "/file").unwrap(), b"bytes");
    file.write_at(5, b"more").unwrap();
    file.sync().unwrap();
    assert_eq!(read(&disk.power_cut(Loss::Nothing), "/file").unwrap(), b"\0\0\0\0\0more");
}

#[test]
fn faults_happen_once_or_until_taken_back() {
    let disk = SimDisk::new();
    let file = create(&disk, "/file", b"");
    let arm = |fault| disk.arm(disk.operations() + 1, fault);
    arm(Fault::Error);
    file.write_at(0, b"1234").unwrap_err();
    assert_eq!(read(&disk, "/file").unwrap(), b"");
    arm(Fault::ShortWrite);
    file.write_at(0, b"1234").unwrap_err();
    assert_eq!(read(&disk, "/file").unwrap(), b"12");
    arm(Fault::ShortWrite);
    file.sync().unwrap();
    assert!(!disk.fired(), "a sync is no write");
    arm(Fault::NoSpace);
    for _ in 0..2 {
        assert_eq!(file.write_at(0, b"1234").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(disk.open(Path::new("/new"), OpenMode::Create).unwrap_err().kind(), ErrorKind::StorageFull);
        file.sync().unwrap();
    }
    disk.disarm();
    file.write_at(0, b"ab").unwrap();
    file.lock().unwrap();
    arm(Fault::Kill);
    file.write_at(2, b"cdef").unwrap_err();
    file.sync().unwrap_err();
    disk.remove(Path::new("/file")).unwrap_err();
    let disk = disk.reboot();
    assert_eq!(read(&disk, "/file").unwrap(), b"abcd", "killed in the middle of the write");
    assert!(disk.open(Path::new("/file"), OpenMode::Write).unwrap().try_lock().unwrap(), "its locks are gone");
}
