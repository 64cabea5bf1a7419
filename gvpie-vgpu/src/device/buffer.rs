//! Memory that kernels share.

use super::words::Words;
use crate::interp::RunError;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

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
    words: Arc<Words>,
    bytes: u64,
}

impl Buffer {
    /// Bytes of a buffer at most: kernels count bytes in 32 bits.
    pub const MAX_BYTES: u64 = u32::MAX as u64 & !3;

    /// So many zeros, less than 4 GiB.
    ///
    /// # Errors
    /// More than that, or than there is.
    pub fn zeroed(bytes: u64) -> Result<Buffer, RunError> {
        check_length(bytes)?;
        let count = bytes.div_ceil(8) as usize;
        let mut memory = Vec::new();
        if memory.try_reserve_exact(count).is_err() {
            return Err(RunError::Memory { what: "a buffer", expected: 0, found: bytes });
        }
        memory.resize(count, 0);
        Ok(Buffer { words: Arc::new(memory.into()), bytes })
    }

    /// A buffer of memory that is there already, its first `bytes`: nothing is copied, and
    /// [`into_memory`](Self::into_memory) gives it back.
    ///
    /// ```
    /// use gvpie_vgpu::Buffer;
    /// let buffer = Buffer::from_memory(vec![1, 2], 12)?;
    /// buffer.write(0, &[7])?;
    /// assert!(buffer.read(8, 8).is_err());
    /// assert_eq!(buffer.into_memory().unwrap(), [7, 2]);
    /// # Ok::<(), gvpie_vgpu::RunError>(())
    /// ```
    ///
    /// # Errors
    /// More bytes than there are, or 4 GiB; the memory is lost then.
    pub fn from_memory(memory: Vec<u64>, bytes: u64) -> Result<Buffer, RunError> {
        check_length(bytes)?;
        let held = 8 * memory.len() as u64;
        if bytes > held {
            return Err(RunError::PastEnd { offset: 0, end: bytes, bytes: held });
        }
        Ok(Buffer { words: Arc::new(memory.into()), bytes })
    }

    /// Its memory, if nobody else holds the buffer.
    ///
    /// # Errors
    /// The buffer, if it is held elsewhere: by a clone, or by [`Bindings`](crate::Bindings).
    pub fn into_memory(self) -> Result<Vec<u64>, Buffer> {
        let bytes = self.bytes;
        Arc::try_unwrap(self.words).map(Words::into_inner).map_err(|words| Buffer { words, bytes })
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

    pub(crate) fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// Whether it is the same memory.
    pub(super) fn is(&self, other: &Buffer) -> bool {
        Arc::ptr_eq(&self.words, &other.words)
    }
}

fn check_length(bytes: u64) -> Result<(), RunError> {
    match bytes > Buffer::MAX_BYTES {
        true => {
            Err(RunError::Memory { what: "a buffer", expected: Buffer::MAX_BYTES, found: bytes })
        }
        false => Ok(()),
    }
}
