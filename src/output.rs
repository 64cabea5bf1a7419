//! Files that appear whole or not at all, and text for a standard output that may close early.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file being written beside its final place; it gets its name with [`finish`](Self::finish),
/// and dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct PendingFile {
    file: BufWriter<tempfile::NamedTempFile>,
    path: PathBuf,
}

impl PendingFile {
    /// Begins the file, so that a place that cannot be written is known before any work is done.
    ///
    /// # Errors
    /// Those of creating a file in that folder; [`io::ErrorKind::IsADirectory`].
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".gvpie-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The umask is applied to it, as to any file a program creates.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = BufWriter::new(builder.tempfile_in(folder)?);
        Ok(PendingFile { file, path: path.into() })
    }

    /// Gives the file its name, replacing what stood there.
    ///
    /// # Errors
    /// Those of writing the rest and renaming.
    pub fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map(|_: File| ()).map_err(|error| error.error)
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for PendingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Prints to standard output. A reader that has gone away (`gvpie bench | head`) is no error.
///
/// # Errors
/// Any other failure to write.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_with_finish_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "old").unwrap();
        let mut pending = PendingFile::create(&path).unwrap();
        pending.write_all(b"half").unwrap();
        drop(pending);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut pending = PendingFile::create(&path).unwrap();
        pending.write_all(b"whole").unwrap();
        pending.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(PendingFile::create(folder.path()).is_err());
        assert!(PendingFile::create(&folder.path().join("no/such")).is_err());
    }
}
