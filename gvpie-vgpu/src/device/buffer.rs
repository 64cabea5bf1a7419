//! Memory that kernels share.

use crate::interp::RunError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Bytes of a buffer at most: kernels count bytes in 32 bits.
const MAX_BYTES: u64 = u32::MAX as u64 & !3;

/// Bytes, zero at first. A clone is the same buffer.
///
/// ```
/// use gvpie_vgpu::Buffer;
/// let buffer = Buffer::zeroed(8)?;
/// buffer.write(3, &[1, 2])?;
/// assert_eq!(buffer.read(0, 8)?, [0, 0, 0, 1, 2, 0, 0, 0]);
/// assert!(buffer.read(4, 8).is_err());
/// # Ok::<(), gvpie_vgpu::RunError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Buffer {
    words: Arc<[AtomicU32]>,
    bytes: u64,
}

impl Buffer {
    /// So many zeros, less than 4 GiB.
    ///
    /// # Errors
    /// More than that, or than there is.
    pub fn zeroed(bytes: u64) -> Result<Buffer, RunError> {
        let what = "a buffer";
        if bytes > MAX_BYTES {
            return Err(RunError::Memory { what, expected: MAX_BYTES, found: bytes });
        }
        let count = bytes.div_ceil(4) as usize;
        // Arc would abort where there is no memory: what it needs is asked for first.
        let mut probe = Vec::<AtomicU32>::new();
        if probe.try_reserve_exact(count + 4).is_err() {
            return Err(RunError::Memory { what, expected: 0, found: bytes });
        }
        drop(probe);
        Ok(Buffer { words: (0..count).map(|_| AtomicU32::new(0)).collect(), bytes })
    }

    /// A buffer of these bytes.
    ///
    /// # Errors
    /// Those of [`Buffer::zeroed`].
    pub fn with(bytes: &[u8]) -> Result<Buffer, RunError> {
        let buffer = Buffer::zeroed(bytes.len() as u64)?;
        buffer.write(0, bytes)?;
        Ok(buffer)
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `length` bytes from `offset` on.
    ///
    /// # Errors
    /// Bytes past the end.
    pub fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, RunError> {
        self.check(offset, length)?;
        let mut out = Vec::with_capacity(length as usize);
        let (mut at, end) = (offset as usize, (offset + length) as usize);
        while at < end {
            let bytes = self.words[at / 4].load(Relaxed).to_le_bytes();
            let part = &bytes[at % 4..(end - at / 4 * 4).min(4)];
            out.extend_from_slice(part);
            at += part.len();
        }
        Ok(out)
    }

    /// Writes bytes from `offset` on.
    ///
    /// # Errors
    /// Bytes past the end; nothing is written then.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), RunError> {
        self.check(offset, data.len() as u64)?;
        let (mut at, mut data) = (offset as usize, data);
        while !data.is_empty() {
            let count = data.len().min(4 - at % 4);
            let (part, rest) = data.split_at(count);
            let word = &self.words[at / 4];
            let mut bytes = word.load(Relaxed).to_le_bytes();
            bytes[at % 4..at % 4 + count].copy_from_slice(part);
            word.store(u32::from_le_bytes(bytes), Relaxed);
            (at, data) = (at + count, rest);
        }
        Ok(())
    }

    fn check(&self, offset: u64, length: u64) -> Result<(), RunError> {
        let end = offset.saturating_add(length);
        if end > self.bytes {
            return Err(RunError::PastEnd { offset, end, bytes: self.bytes });
        }
        Ok(())
    }

    pub(crate) fn words(&self) -> &Arc<[AtomicU32]> {
        &self.words
    }

    /// Whether it is the same memory.
    pub(super) fn is(&self, other: &Buffer) -> bool {
        Arc::ptr_eq(&self.words, &other.words)
    }
}
