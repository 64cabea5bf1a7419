//! Large values, once each, as files named by what is in them.

use super::{Result, StoreError};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes of a value that a row holds itself.
pub const INLINE: usize = 4096;

/// How old a file may be that needs no word that it is wanted still.
const RECENT: Duration = Duration::from_secs(600);

/// Their folder.
#[derive(Debug)]
pub(super) struct Objects(PathBuf);

/// SHA-256 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Objects {
    pub fn new(folder: PathBuf) -> Self {
        Objects(folder)
    }

    fn place(&self, hash: &str) -> PathBuf {
        self.0.join(&hash[..2]).join(hash)
    }

    /// Keeps a value and returns its name. It is on the disk, name and all, when this returns: rows may
    /// name it.
    pub fn keep(&self, bytes: &[u8]) -> Result<String> {
        let hash = hash(bytes);
        let place = self.place(&hash);
        let kept = || -> io::Result<()> {
            if wanted(&place, bytes.len() as u64)? { Ok(()) } else { place_file(&place, bytes) }
        };
        kept().map_err(|source| StoreError::File { path: place.clone(), source })?;
        Ok(hash)
    }

    /// The names of all that nobody has kept for so long. What an interrupted write has left is deleted,
    /// what an interrupted [`delete`](Self::delete) has moved is put back.
    pub fn aged(&self, age: Duration) -> Result<HashSet<String>> {
        let mut names = HashSet::new();
        let mut look = || -> io::Result<()> {
            for folder in fs::read_dir(&self.0)? {
                let folder = folder?.path();
                if !folder.is_dir() {
                    continue;
                }
                for entry in fs::read_dir(&folder)? {
                    let entry = entry?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if !entry.metadata().is_ok_and(|found| older(&found, age)) {
                        continue; // or it has gone
                    }
                    if is_hash(&name) {
                        names.insert(name);
                    } else if let Some(hash) = name.strip_suffix(MOVED).filter(|n| is_hash(n)) {
                        fs::rename(entry.path(), self.place(hash))?;
                    } else {
                        fs::remove_file(entry.path())?;
                    }
                }
            }
            Ok(())
        };
        look().map_err(|source| StoreError::File { path: self.0.clone(), source })?;
        Ok(names)
    }

    /// Deletes a value that nobody has kept for so long; its bytes, if so.
    ///
    /// [`keep`](Self::keep) marks a file that is there with the time, and then looks whether it still
    /// is. Here it is moved first and looked at then: either this sees the mark, or that sees it gone.
    pub fn delete(&self, name: &str, age: Duration) -> Result<Option<u64>> {
        let place = self.place(name);
        let moved = place.with_file_name(format!("{name}{MOVED}"));
        let deleted = || -> io::Result<Option<u64>> {
            fs::rename(&place, &moved)?;
            let found = fs::metadata(&moved)?;
            if older(&found, age) {
                fs::remove_file(&moved)?;
                return Ok(Some(found.len()));
            }
            fs::rename(&moved, &place)?;
            Ok(None)
        };
        match deleted() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            told => told.map_err(|source| StoreError::File { path: place.clone(), source }),
        }
    }

    /// A value by its name.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let object = |found: &str| StoreError::Object { hash: name.into(), found: found.into() };
        if !is_hash(name) {
            return Err(object("no hash"));
        }
        let place = self.place(name);
        match fs::read(&place) {
            Ok(bytes) if hash(&bytes) == name => Ok(bytes),
            Ok(_) => Err(object("damaged")),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(object("not there")),
            Err(source) => Err(StoreError::File { path: place, source }),
        }
    }
}

/// What a file is called while it is deleted.
const MOVED: &str = ".old";

fn is_hash(name: &str) -> bool {
    let proper = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == 64 && name.bytes().all(proper)
}

/// Whether a file was written and marked so long ago; not if that is in the future.
fn older(found: &Metadata, age: Duration) -> bool {
    let modified = found.modified().ok().and_then(|time| time.elapsed().ok());
    modified.is_some_and(|past| past >= age)
}

/// Whether a file of this length is there and will stay a while, since it is marked as wanted.
fn wanted(place: &Path, length: u64) -> io::Result<bool> {
    let there = |found: &Metadata| found.len() == length;
    let Some(found) = fs::metadata(place).ok().filter(there) else { return Ok(false) };
    if !older(&found, RECENT) {
        return Ok(true);
    }
    match File::options().append(true).open(place) {
        Ok(file) => file.set_modified(SystemTime::now())?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(fs::metadata(place).is_ok_and(|found| there(&found)))
}

/// Writes a file, whole or not at all. It is on the disk, name and all, when this returns.
pub(super) fn place_file(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(place)?;
    // The name is on the disk with its folder.
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
