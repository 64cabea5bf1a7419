//! Where the elements of a paged tensor come from, if not from the program itself.

use crate::element::Element;
use crate::error::{Error, Result};
use crate::memory::disk::read_at;
use crate::memory::pages::ReadBytes;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Elements that can be read by position, in row-major order, from any thread.
pub trait Source<T>: Send + Sync + 'static {
    /// Fills `out` with the elements from `first` on.
    ///
    /// # Errors
    /// Whatever keeps it from doing so; [`Error::File`] for a file.
    fn read_at(&self, first: usize, out: &mut [T]) -> Result<()>;
}

impl<T: Element> Source<T> for Vec<T> {
    fn read_at(&self, first: usize, out: &mut [T]) -> Result<()> {
        let end = first.checked_add(out.len()).filter(|&end| end <= self.len());
        let Some(end) = end else {
            let expected = format!("at least {} elements", first.saturating_add(out.len()));
            return Err(Error::shape("source", expected, self.len().to_string()));
        };
        out.copy_from_slice(&self[first..end]);
        Ok(())
    }
}

/// Elements of a file, as they lie in memory, one behind the other; read in blocks by position and
/// never mapped, so that a file that becomes shorter is an error and not the end of the process.
#[derive(Debug)]
pub struct FileSource<T> {
    file: File,
    path: PathBuf,
    offset: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> FileSource<T> {
    /// The elements of the file that begin `offset` bytes from its beginning.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be opened; [`Error::Unsupported`] on a machine that does not
    /// store numbers as files do, the least significant byte first.
    pub fn open(path: &Path, offset: u64) -> Result<Self> {
        if cfg!(target_endian = "big") {
            return Err(Error::unsupported(
                "reading a file of numbers",
                "this machine is big-endian",
            ));
        }
        let file = File::open(path).map_err(|error| Error::file(path, "opening", &error))?;
        Ok(FileSource { file, path: path.into(), offset, element: PhantomData })
    }
}

impl<T: Element> Source<T> for FileSource<T> {
    fn read_at(&self, first: usize, out: &mut [T]) -> Result<()> {
        let at = self.offset + (first * size_of::<T>()) as u64;
        read_at(&self.file, at, bytemuck::cast_slice_mut(out))
            .map_err(|error| Error::file(&self.path, "reading", &error))
    }
}

/// A source of elements as one of bytes.
pub(super) struct Erased<S, T> {
    pub source: S,
    pub element: PhantomData<fn() -> T>,
}

impl<T: Element, S: Source<T>> ReadBytes for Erased<S, T> {
    fn read_at(&self, first: u64, out: &mut [u8]) -> Result<()> {
        let first = first as usize / size_of::<T>();
        // Pages begin and end between elements, and so do pieces of them.
        match bytemuck::try_cast_slice_mut(out) {
            Ok(elements) => self.source.read_at(first, elements),
            Err(_) => {
                let mut elements = vec![T::default(); out.len() / size_of::<T>()];
                self.source.read_at(first, &mut elements)?;
                out.copy_from_slice(bytemuck::cast_slice(&elements));
                Ok(())
            }
        }
    }
}
