//! The lowest tier: files of a folder, written and read in blocks by position.
//!
//! Each pool has a folder of its own inside the one it was given, held by a lock on a file in it.
//! A lock ends with its process, however that ends: whoever opens the outer folder next finds the
//! lock free and removes what is left. Nothing is ever mapped, because a file that another process
//! shortens would then be the end of this one.

use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// How the folder of a pool begins, so that others in the same place are left alone.
const PREFIX: &str = "gvpie-spill-";
const LOCK: &str = "lock";

/// Pages that one file has room for.
const FILE_PAGES: u64 = 16;

/// Where blocks are kept. The folder of a pool, or in tests one that fails on purpose.
pub(crate) trait Disk: std::fmt::Debug + Send + Sync {
    /// Makes a file with room for so many bytes.
    fn create(&self, file: u64, bytes: u64) -> Result<()>;
    /// Writes a block.
    fn write(&self, file: u64, at: u64, bytes: &[u8]) -> Result<()>;
    /// Reads a block that was written.
    fn read(&self, file: u64, at: u64, out: &mut [u8]) -> Result<()>;
    /// Removes a file.
    fn remove(&self, file: u64);
}

/// A folder that no other pool uses, removed with the pool.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: RwLock<HashMap<u64, Arc<File>>>,
    lock: Option<File>,
}

impl Folder {
    /// Makes a folder inside `home`, after what dead processes have left there is gone.
    pub fn open(home: &Path) -> Result<Self> {
        fs::create_dir_all(home).map_err(|error| Error::file(home, "creating", &error))?;
        sweep(home);
        loop {
            let path = home.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
            fs::create_dir(&path).map_err(|error| Error::file(&path, "creating", &error))?;
            let name = path.join(LOCK);
            let locked = File::create_new(&name).and_then(|file| {
                file.lock()?;
                Ok(file)
            });
            match locked {
                // Until it was locked, another process may have taken it for a dead one's.
                Ok(lock) if name.exists() => {
                    return Ok(Folder { path, files: RwLock::default(), lock: Some(lock) });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    remove(&path);
                    return Err(Error::file(name, "locking", &error));
                }
            }
        }
    }

    fn name(&self, file: u64) -> PathBuf {
        self.path.join(format!("{file}.pages"))
    }

    fn file(&self, file: u64) -> io::Result<Arc<File>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.get(&file).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for Folder {
    fn create(&self, file: u64, bytes: u64) -> Result<()> {
        let name = self.name(file);
        let opened = File::options().read(true).write(true).create_new(true).open(&name);
        let made = opened.and_then(|made| match fs4::FileExt::allocate(&made, bytes) {
            // Some file systems cannot set space aside: then a full disk is met when writing.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                made.set_len(bytes).map(|()| made)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(made),
        });
        match made {
            Ok(made) => {
                let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
                files.insert(file, Arc::new(made));
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_file(&name); // it may not even have been made
                Err(Error::file(name, "setting aside space for", &error))
            }
        }
    }

    fn write(&self, file: u64, at: u64, bytes: &[u8]) -> Result<()> {
        let written = self.file(file).and_then(|file| write_at(&file, at, bytes));
        written.map_err(|error| Error::file(self.name(file), "writing", &error))
    }

    fn read(&self, file: u64, at: u64, out: &mut [u8]) -> Result<()> {
        let read = self.file(file).and_then(|file| read_at(&file, at, out));
        read.map_err(|error| Error::file(self.name(file), "reading", &error))
    }

    fn remove(&self, file: u64) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).remove(&file);
        if let Err(error) = fs::remove_file(self.name(file)) {
            tracing::warn!("{} is left: {error}", self.name(file).display());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.lock = None;
        remove(&self.path);
    }
}

/// Reads exactly so many bytes of a file from a position, whatever other threads do with it.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] where the file ends before.
pub(crate) fn read_at(file: &File, at: u64, out: &mut [u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, out, at);
    #[cfg(windows)]
    {
        let (mut done, total) = (0, out.len());
        while done < total {
            use std::os::windows::fs::FileExt;
            match file.seek_read(&mut out[done..], at + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
    #[cfg(not(any(unix, windows)))]
    return Err(io::ErrorKind::Unsupported.into());
}

fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, at);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            use std::os::windows::fs::FileExt;
            done += file.seek_write(&bytes[done..], at + done as u64)?;
        }
        Ok(())
    }
    #[cfg(not(any(unix, windows)))]
    return Err(io::ErrorKind::Unsupported.into());
}

/// Removes the folders of pools whose processes are gone.
pub(crate) fn sweep(home: &Path) {
    let Ok(entries) = fs::read_dir(home) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PREFIX);
        if !path.file_name().is_some_and(ours) {
            continue;
        }
        match File::open(path.join(LOCK)).map(|lock| (lock.try_lock(), lock)) {
            Ok((Ok(()), lock)) => {
                remove(&path);
                drop(lock); // held until then, so that nobody takes the folder for its own
            }
            Ok((Err(TryLockError::WouldBlock), _)) => {}
            Ok((Err(TryLockError::Error(error)), _)) => {
                tracing::warn!("{} is left: {error}", path.display());
            }
            // Begun, or half removed: only an empty one goes.
            Err(_) => drop(fs::remove_dir(&path)),
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!("{} is left: {error}", path.display());
    }
}

/// Room for one page in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    file: u64,
    at: u64,
    bytes: u64,
}

/// Who has which part of which file.
#[derive(Debug)]
pub(crate) struct Slots {
    home: PathBuf,
    budget: Option<u64>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    disk: Option<Arc<dyn Disk>>,
    /// The budget, or what the file system had left when the folder was opened.
    limit: Option<u64>,
    /// Files by number: bytes of a page, bytes of the file, and the slots that are free.
    files: BTreeMap<u64, Extent>,
    next: u64,
    /// Bytes of all files.
    held: u64,
    peak: u64,
}

#[derive(Debug)]
struct Extent {
    page: u64,
    bytes: u64,
    free: Vec<u64>,
}

impl Slots {
    /// Files below `home`, which is touched when the first page goes there.
    pub fn new(home: PathBuf, budget: Option<u64>) -> Self {
        Slots { home, budget, taken: Mutex::default() }
    }

    /// On a disk of the caller's.
    #[cfg(test)]
    pub fn on(disk: Arc<dyn Disk>, budget: Option<u64>) -> Self {
        let taken = Taken { disk: Some(disk), limit: budget, ..Taken::default() };
        Slots { home: PathBuf::new(), budget, taken: Mutex::new(taken) }
    }

    /// Opens the folder now, which shows whether it can be written.
    pub fn open(&self) -> Result<Arc<dyn Disk>> {
        self.open_in(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_in(&self, taken: &mut Taken) -> Result<Arc<dyn Disk>> {
        if let Some(disk) = &taken.disk {
            return Ok(Arc::clone(disk));
        }
        let disk: Arc<dyn Disk> = Arc::new(Folder::open(&self.home)?);
        taken.limit = self.budget.or_else(|| fs4::available_space(&self.home).ok());
        taken.disk = Some(Arc::clone(&disk));
        Ok(disk)
    }

    /// What files may hold together: the budget, or what the file system has free. `None` where neither
    /// is known, as of a folder that is yet to be made.
    pub fn budget(&self) -> Option<u64> {
        let free = || fs4::available_space(&self.home).ok();
        self.budget.or_else(|| self.lock().limit).or_else(free)
    }

    /// Bytes of all files now, and the most that there were.
    pub fn held(&self) -> (u64, u64) {
        let taken = self.lock();
        (taken.held, taken.peak)
    }

    /// Room for a page; `None` where the budget is spent.
    pub fn take(&self, bytes: u64) -> Result<Option<Slot>> {
        let mut taken = self.lock();
        let disk = self.open_in(&mut taken)?;
        let fits = |(&file, extent): (&u64, &mut Extent)| {
            let at = (extent.page == bytes).then(|| extent.free.pop()).flatten()?;
            Some(Slot { file, at, bytes })
        };
        if let Some(slot) = taken.files.iter_mut().find_map(fits) {
            return Ok(Some(slot));
        }
        let left = taken.limit.map_or(u64::MAX, |limit| limit.saturating_sub(taken.held));
        let pages = FILE_PAGES.min(left / bytes);
        if pages == 0 {
            return Ok(None);
        }
        let (file, size) = (taken.next, pages * bytes);
        disk.create(file, size)?;
        taken.next += 1;
        taken.held += size;
        taken.peak = taken.peak.max(taken.held);
        let free = (1..pages).rev().map(|page| page * bytes).collect();
        taken.files.insert(file, Extent { page: bytes, bytes: size, free });
        Ok(Some(Slot { file, at: 0, bytes }))
    }

    /// Gives room back; a file without pages is removed.
    pub fn free(&self, slot: Slot) {
        let mut taken = self.lock();
        let Some(extent) = taken.files.get_mut(&slot.file) else { return };
        extent.free.push(slot.at);
        if extent.free.len() as u64 * extent.page == extent.bytes {
            taken.held -= extent.bytes;
            taken.files.remove(&slot.file);
            if let Some(disk) = &taken.disk {
                disk.remove(slot.file);
            }
        }
    }

    /// Writes part of a page.
    pub fn write(&self, slot: Slot, from: u64, bytes: &[u8]) -> Result<()> {
        debug_assert!(from + bytes.len() as u64 <= slot.bytes);
        self.open()?.write(slot.file, slot.at + from, bytes)
    }

    /// Reads part of a page that was written.
    pub fn read(&self, slot: Slot, from: u64, out: &mut [u8]) -> Result<()> {
        debug_assert!(from + out.len() as u64 <= slot.bytes);
        self.open()?.read(slot.file, slot.at + from, out)
    }
}
