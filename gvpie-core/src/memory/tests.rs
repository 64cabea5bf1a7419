//! Budgets, pages under pressure, and files that fail.

use super::*;
use disk::{Disk, Folder};
use pages::{Intent, Opened, Origin, PageId};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Mutex;

#[test]
fn the_budget_is_kept_and_given_back() {
    let pool = Pool::new(Some(100));
    let first = pool.reserve(60, "a").unwrap();
    let refused = pool.reserve(41, "b").unwrap_err();
    let budgets = Budgets { device: Some(100), ..Budgets::default() };
    assert_eq!(refused, Error::OutOfMemory { what: "b".into(), asked: 41, in_use: 60, budgets });
    let second = pool.reserve(40, "c").unwrap();
    drop(first);
    drop(second);
    let usage = pool.usage();
    assert_eq!((usage.in_use, usage.peak, usage.allocations, usage.refused), (0, 100, 2, 1));
}

#[test]
fn a_sum_past_u64_is_refused() {
    let pool = Pool::new(None);
    let _all = pool.reserve(u64::MAX, "a").unwrap();
    assert!(pool.reserve(1, "b").is_err());
}

const PAGE: usize = 4096;

/// A disk in memory whose n-th call, counted from 0, fails as a full one does.
#[derive(Debug, Default)]
struct Faulty {
    fails: Option<u64>,
    calls: AtomicU64,
    files: Mutex<HashMap<u64, Vec<u8>>>,
    order: Mutex<Vec<u8>>,
}

impl Faulty {
    fn call(&self) -> Result<()> {
        match self.calls.fetch_add(1, Relaxed) {
            call if Some(call) == self.fails => Err(Error::File {
                path: "memory".into(),
                action: "writing",
                kind: ErrorKind::StorageFull,
                message: "no space".into(),
            }),
            _ => Ok(()),
        }
    }
}

impl Disk for Faulty {
    fn create(&self, file: u64, bytes: u64) -> Result<()> {
        self.call()?;
        self.files.lock().unwrap().insert(file, vec![0xEE; bytes as usize]);
        Ok(())
    }
    fn write(&self, file: u64, at: u64, bytes: &[u8]) -> Result<()> {
        self.call()?;
        self.order.lock().unwrap().push(bytes[0]);
        self.files.lock().unwrap().get_mut(&file).unwrap()[at as usize..][..bytes.len()]
            .copy_from_slice(bytes);
        Ok(())
    }
    fn read(&self, file: u64, at: u64, out: &mut [u8]) -> Result<()> {
        self.call()?;
        out.copy_from_slice(&self.files.lock().unwrap()[&file][at as usize..][..out.len()]);
        Ok(())
    }
    fn remove(&self, file: u64) {
        assert!(self.files.lock().unwrap().remove(&file).is_some());
    }
}

/// A pool of so many pages of host memory, on a disk in memory.
fn small(pages: usize, fails: Option<u64>) -> (Pool, Arc<Faulty>) {
    let faulty = Arc::new(Faulty { fails, ..Faulty::default() });
    let budgets = Budgets { host: Some((pages * PAGE) as u64), ..Budgets::default() };
    let disk = Arc::clone(&faulty);
    (Pool::on(budgets, Slots::on(disk, Some(1 << 20))), faulty)
}

fn zeros(pool: &Pool, count: usize) -> Vec<PageId> {
    pool.pages().add((0..count).map(|_| (PAGE, Origin::Zeros)))
}

fn write(pool: &Pool, id: PageId, at: usize, value: u8) -> Result<()> {
    let pin = pool.pages().pin(id, Intent::Write, true)?.unwrap();
    pin.write()[at] = value;
    Ok(())
}

fn read(pool: &Pool, id: PageId, at: usize) -> Result<u8> {
    match pool.pages().open(id, PAGE, true)?.unwrap() {
        Opened::Zeros => Ok(0),
        Opened::Held(pin) => Ok(pin.read()[at]),
        Opened::Below(_) => panic!("all of the page was asked for"),
    }
}

#[test]
fn the_page_used_longest_ago_goes_first() {
    let (pool, disk) = small(8, None);
    let ids = zeros(&pool, 10);
    for (i, &id) in ids.iter().take(6).enumerate() {
        write(&pool, id, 0, i as u8 + 1).unwrap();
    }
    assert_eq!(read(&pool, ids[0], 0).unwrap(), 1); // now the one used last
    for (i, &id) in ids.iter().enumerate().skip(6) {
        write(&pool, id, 0, i as u8 + 1).unwrap();
    }
    for (i, &id) in ids.iter().enumerate() {
        assert_eq!(read(&pool, id, 0).unwrap(), i as u8 + 1);
    }
    let order = disk.order.lock().unwrap().clone();
    assert!(order.starts_with(&[2, 3]), "{order:?}");
    let usage = pool.usage();
    assert!(usage.spills >= 2 && usage.hits >= 1 && usage.stalls >= 2, "{usage:?}");
    assert!(usage.host.peak <= 8 * PAGE as u64, "{usage:?}");
    pool.pages().end(&ids);
    assert!(disk.files.lock().unwrap().is_empty(), "files go with their pages");
    assert_eq!(pool.usage().disk.in_use, 0);
}

#[test]
fn pinned_pages_stay() {
    let (pool, disk) = small(4, None);
    let ids = zeros(&pool, 8);
    write(&pool, ids[0], 7, 70).unwrap();
    let held: Vec<_> = (0..3).map(|i| pool.pages().hold(ids[i]).unwrap()).collect();
    for &id in &ids[3..] {
        write(&pool, id, 0, 9).unwrap();
    }
    assert_eq!(held[0].read()[7], 70);
    assert!(
        disk.order.lock().unwrap().iter().all(|&first| first == 9),
        "pinned pages were spilled"
    );
    let last = pool.pages().hold(ids[3]).unwrap();
    match write(&pool, ids[4], 0, 1).unwrap_err() {
        Error::OutOfMemory { budgets, .. } => {
            assert_eq!((budgets.host, budgets.disk), (Some(4 * PAGE as u64), Some(1 << 20)));
        }
        other => panic!("{other}"),
    }
    drop((held, last));
    write(&pool, ids[4], 0, 1).unwrap();
    assert_eq!(read(&pool, ids[0], 7).unwrap(), 70);
}

#[test]
fn whatever_call_of_the_disk_fails_nothing_is_lost() {
    for fails in 0.. {
        let (pool, disk) = small(4, Some(fails));
        let ids = zeros(&pool, 12);
        let mut random = fastrand::Rng::with_seed(fails);
        let mut model = vec![[0_u8; 2]; ids.len()];
        let mut failures = 0;
        for _ in 0..80 {
            let (page, at, value) = (random.usize(..ids.len()), random.usize(..2), random.u8(1..));
            if random.bool() {
                match write(&pool, ids[page], at, value) {
                    Ok(()) => model[page][at] = value,
                    Err(error) => {
                        assert!(matches!(error, Error::File { kind: ErrorKind::StorageFull, .. }));
                        failures += 1;
                    }
                }
            } else {
                match read(&pool, ids[page], at) {
                    Ok(found) => assert_eq!(found, model[page][at], "call {fails} failed"),
                    Err(_) => failures += 1,
                }
            }
        }
        for (page, &id) in ids.iter().enumerate() {
            for (at, &expected) in model[page].iter().enumerate() {
                let found = read(&pool, id, at).or_else(|_| read(&pool, id, at)).unwrap(); // once it may fail
                assert_eq!(found, expected, "call {fails} failed");
            }
        }
        assert!(failures <= 1, "{failures} failures for one of the disk");
        pool.pages().end(&ids);
        assert!(disk.files.lock().unwrap().is_empty(), "call {fails} failed, and a file is left");
        assert_eq!(pool.usage().disk.in_use, 0);
        if disk.calls.load(Relaxed) <= fails {
            assert!(fails > 40, "only {fails} calls");
            return;
        }
    }
}

#[test]
fn a_full_disk_names_all_budgets() {
    let disk = Arc::new(Faulty::default());
    let budgets =
        Budgets { device: Some(1000), host: Some(4 * PAGE as u64), disk: Some(2 * PAGE as u64) };
    let pool = Pool::on(budgets, Slots::on(disk, budgets.disk));
    let ids = zeros(&pool, 8);
    let error = ids.iter().find_map(|&id| write(&pool, id, 0, 3).err()).unwrap();
    match &error {
        Error::OutOfMemory { budgets: told, .. } => assert_eq!(*told, budgets),
        other => panic!("{other}"),
    }
    let words = "budgets of 1000 on the device, 16384 of the host, 8192 on disk";
    assert!(error.to_string().contains(words), "{error}");
    pool.pages().end(&ids[3..]);
    assert_eq!(read(&pool, ids[0], 0).unwrap(), 3);
}

#[test]
fn threads_that_share_few_pages_come_through() {
    let (pool, _) = small(5, None);
    let ids = zeros(&pool, 40);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (pool, ids) = (&pool, &ids);
            scope.spawn(move || {
                for round in 0..200_usize {
                    let page = ids[(round * 7 + thread * 11) % ids.len()];
                    if round % 3 == 0 {
                        pool.pages()
                            .prefetch(ids.iter().copied().skip(thread * 9).take(6))
                            .unwrap();
                    }
                    write(pool, page, thread, round as u8).unwrap();
                    read(pool, page, thread).unwrap();
                }
            });
        }
    });
    let usage = pool.usage();
    assert!(usage.host.peak <= 5 * PAGE as u64, "{usage:?}");
    pool.pages().end(&ids);
}

#[test]
fn folders_of_the_living_are_left_alone_and_those_of_the_dead_removed() {
    let home = tempfile::tempdir().unwrap();
    let count = || std::fs::read_dir(home.path()).unwrap().count();
    let first = Folder::open(home.path()).unwrap();
    let second = Folder::open(home.path()).unwrap();
    for folder in [&first, &second] {
        folder.create(0, 4096).unwrap();
        folder.write(0, 100, b"mine").unwrap();
    }
    first.write(0, 100, b"ours").unwrap();
    let mut found = [0; 4];
    second.read(0, 100, &mut found).unwrap();
    assert_eq!((&found, count()), (b"mine", 2));
    // What a killed process leaves: its folder, with a lock that nobody holds.
    let dead = home.path().join("gvpie-spill-dead");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("lock"), "").unwrap();
    std::fs::write(dead.join("0.pages"), "x").unwrap();
    std::fs::write(home.path().join("letters"), "of someone else").unwrap();
    drop(first);
    disk::sweep(home.path());
    assert!(!dead.exists() && count() == 2);
    second.read(0, 100, &mut found).unwrap();
    drop(second);
    assert_eq!(count(), 1);
}
