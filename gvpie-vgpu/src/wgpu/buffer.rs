//! Memory that wgpu maps, copies and binds.
//!
//! wgpu sees to it that the host, copies and kernels use a byte one after another, which the functions
//! here rely on.

use ::wgpu::hal;
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

// Mapped bytes are the words as they are in memory.
const _: () = assert!(cfg!(target_endian = "little"), "words are mapped least byte first");

/// A buffer.
#[derive(Clone)]
pub struct Buffer(crate::Buffer);

impl Buffer {
    pub(super) fn zeroed(bytes: u64) -> Result<Buffer, hal::DeviceError> {
        crate::Buffer::zeroed(bytes).map(Buffer).map_err(|_| hal::DeviceError::OutOfMemory)
    }

    pub(super) fn memory(&self) -> &crate::Buffer {
        &self.0
    }

    /// Where these bytes are, which wgpu has held against the buffer's length.
    pub(super) fn pointer(&self, bytes: Range<u64>) -> NonNull<u8> {
        pointer(self.0.words(), bytes)
    }

    /// Sets bytes to zero.
    ///
    /// # Safety
    /// The bytes are the buffer's, and nobody else uses them.
    pub(super) unsafe fn clear(&self, bytes: Range<u64>) {
        let length = (bytes.end - bytes.start) as usize;
        // SAFETY: as the caller warrants.
        unsafe { self.pointer(bytes).write_bytes(0, length) };
    }

    /// Overwrites bytes with another buffer's.
    ///
    /// # Safety
    /// The bytes are the buffers', and nobody else uses them.
    pub(super) unsafe fn copy(&self, at: u64, other: &Buffer, bytes: Range<u64>) {
        let length = bytes.end - bytes.start;
        let to = self.pointer(at..at + length);
        // SAFETY: as the caller warrants.
        unsafe { other.pointer(bytes).copy_to(to, length as usize) };
    }
}

/// Where these bytes of words are, which are known to be within.
pub(super) fn pointer(words: &[AtomicU32], bytes: Range<u64>) -> NonNull<u8> {
    debug_assert!(bytes.start <= bytes.end && bytes.end <= 4 * words.len() as u64);
    let first = NonNull::from(words).cast::<u8>();
    // SAFETY: within the words, or just behind them. Words are atomic: they may be written through what
    // comes of a shared reference.
    unsafe { first.add(bytes.start as usize) }
}

thread_local! {
    /// The buffers that were formatted since [`of_bindings`] began.
    static SHOWN: RefCell<Option<Vec<Buffer>>> = const { RefCell::new(None) };
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SHOWN.with_borrow_mut(|shown| shown.iter_mut().for_each(|shown| shown.push(self.clone())));
        write!(f, "Buffer({} bytes)", self.0.bytes())
    }
}

/// The buffers of bindings. Their field for it is private to wgpu's own back ends, and can be seen from
/// elsewhere by its `Debug` alone.
pub(super) fn of_bindings(bindings: &[hal::BufferBinding<'_, Buffer>]) -> Vec<Buffer> {
    /// Where text goes that nobody reads.
    struct Nowhere;

    impl fmt::Write for Nowhere {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Ok(())
        }
    }

    SHOWN.set(Some(Vec::new()));
    // Neither the sink nor the buffers' own Debug fails.
    let _ = write!(Nowhere, "{bindings:?}");
    SHOWN.take().unwrap_or_default()
}
