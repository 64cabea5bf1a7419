//! Timestamps.

use super::buffer::Buffer;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Timestamps, in nanoseconds since the device was opened.
#[derive(Debug, Clone)]
pub struct QuerySet(Arc<[AtomicU64]>);

impl QuerySet {
    pub(super) fn new(count: u32) -> QuerySet {
        QuerySet((0..count).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes what time it is.
    pub(super) fn stamp(&self, index: u32, begin: Instant) {
        let nanoseconds = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0[index as usize].store(nanoseconds, Relaxed);
    }

    pub(super) fn reset(&self, range: Range<u32>) {
        for stamp in &self.0[range.start as usize..range.end as usize] {
            stamp.store(0, Relaxed);
        }
    }

    /// Writes timestamps to a buffer, one every `stride` bytes.
    pub(super) fn resolve(&self, range: Range<u32>, to: &Buffer, offset: u64, stride: u64) {
        let stamps = &self.0[range.start as usize..range.end as usize];
        for (number, stamp) in stamps.iter().enumerate() {
            let stamp = stamp.load(Relaxed).to_le_bytes();
            // wgpu has held the range against the buffer's length.
            let _ = to.memory().write(offset + number as u64 * stride, &stamp);
        }
    }
}
