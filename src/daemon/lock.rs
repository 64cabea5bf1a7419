//! One daemon a folder.

use super::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The lock of a folder, held as long as this lives. The system takes it back when the process ends, however
/// it ends; the file stays, since another may be opening it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a folder, and writes the process into it.
    ///
    /// # Errors
    /// [`Error::Locked`] if another holds it, [`Error::Lock`] for the file.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let path: PathBuf = folder.join("daemon.lock");
        let failed = |source| Error::Lock { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Where a lock keeps readers out, too, it is not known who has it.
                let read = file.read_to_string(&mut holder);
                let process = read.ok().and_then(|_| holder.trim().parse().ok());
                return Err(Error::Locked { folder: folder.into(), process });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        written.map_err(failed)?;
        Ok(Lock { _file: file })
    }
}
