//! Files kept between runs: measured and compiled things that can always be made again.
//!
//! Nothing here fails: a file that cannot be read or written, or that is damaged, costs time and
//! a warning, never a result.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Eight bytes that open every file of this kind.
const MAGIC: &[u8; 8] = b"gvpie\0\0\x01";

/// The folder for such files: `GVPIE_CACHE_DIR`, else the user's cache folder; `None` if
/// `GVPIE_CACHE_DIR` is set but empty, or there is no home.
pub(crate) fn folder() -> Option<PathBuf> {
    match std::env::var_os("GVPIE_CACHE_DIR") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.into()),
        None => Some(directories::ProjectDirs::from("", "", "gvpie")?.cache_dir().into()),
    }
}

/// The payload of a file that [`write`] made, if it is whole.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let payload = bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.split_first_chunk::<4>())
        .filter(|(sum, data)| crc32fast::hash(data) == u32::from_le_bytes(**sum))
        .map(|(_, data)| data.to_vec());
    if payload.is_none() {
        let fate = set_aside(path, "damaged");
        tracing::warn!("cache file {} is damaged; {fate}", path.display());
    }
    payload
}

/// Gives a file that is of no use another extension; what became of it, in words.
pub(crate) fn set_aside(path: &Path, extension: &str) -> String {
    let aside = path.with_extension(extension);
    match std::fs::rename(path, &aside) {
        Ok(()) => format!("moved aside to {}", aside.display()),
        // It is overwritten by the next run that has something to keep.
        Err(error) => format!("not moved aside: {error}"),
    }
}

/// Stores a payload whole or not at all.
pub(crate) fn write(path: &Path, data: &[u8]) {
    let sum = crc32fast::hash(data).to_le_bytes();
    if let Err(error) = replace(path, &[MAGIC, &sum, data]) {
        tracing::warn!("cache file {} was not written: {error}", path.display());
    }
}

/// Puts a file of these parts in the place of any that stood there, in one step.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("blob");
        assert_eq!(read(&path), None);
        write(&path, b"payload");
        assert_eq!(read(&path).as_deref(), Some(&b"payload"[..]));

        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path), None);
        assert!(!path.exists() && path.with_extension("damaged").exists());
    }
}
