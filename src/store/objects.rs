//! Large values, once each, as files named by what is in them.

use super::{Result, StoreError};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of a value that a row holds itself.
pub const INLINE: usize = 4096;

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
        let kept = || -> std::io::Result<()> {
            if fs::metadata(&place).is_ok_and(|found| found.len() == bytes.len() as u64) {
                return Ok(());
            }
            let folder = place.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&place)?;
            // The name is on the disk with its folder.
            for folder in [folder, &self.0] {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        kept().map_err(|source| StoreError::File { path: place.clone(), source })?;
        Ok(hash)
    }

    /// A value by its name.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let object = |found: &str| StoreError::Object { hash: name.into(), found: found.into() };
        let proper = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if name.len() != 64 || !name.bytes().all(proper) {
            return Err(object("no hash"));
        }
        let place = self.place(name);
        match fs::read(&place) {
            Ok(bytes) if hash(&bytes) == name => Ok(bytes),
            Ok(_) => Err(object("damaged")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(object("not there")),
            Err(source) => Err(StoreError::File { path: place, source }),
        }
    }
}
