//! The memory behind a buffer: words that kernels on several threads reach at once.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::sync::atomic::AtomicU32;

/// Memory as whole pairs of words, so that it can be had from, and given back to, who holds numbers of
/// 64 bits in it.
#[derive(Debug)]
pub(crate) struct Words(Vec<UnsafeCell<u64>>);

// SAFETY: the cells are reached only as atomics while they are shared (`Deref`), and otherwise by who owns
// them whole (`from`, `into_inner`).
unsafe impl Sync for Words {}

impl From<Vec<u64>> for Words {
    fn from(memory: Vec<u64>) -> Words {
        let mut memory = std::mem::ManuallyDrop::new(memory);
        let (first, length, capacity) = (memory.as_mut_ptr(), memory.len(), memory.capacity());
        // SAFETY: an `UnsafeCell<u64>` has the layout of its `u64`, and nobody else holds the vector.
        Words(unsafe { Vec::from_raw_parts(first.cast(), length, capacity) })
    }
}

impl Words {
    /// The memory, as it is now.
    pub(crate) fn into_inner(self) -> Vec<u64> {
        let mut memory = std::mem::ManuallyDrop::new(self.0);
        let (first, length, capacity) = (memory.as_mut_ptr(), memory.len(), memory.capacity());
        // SAFETY: as in `from`.
        unsafe { Vec::from_raw_parts(first.cast(), length, capacity) }
    }
}

impl Deref for Words {
    type Target = [AtomicU32];

    fn deref(&self) -> &[AtomicU32] {
        // SAFETY: two words to a cell, which is aligned for them; a cell may be written through a shared
        // reference, and while there is one, all that reach it do so by atomics.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), 2 * self.0.len()) }
    }
}
