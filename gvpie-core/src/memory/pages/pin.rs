//! What keeps a page where it is while it is copied.

use super::{Frame, Moving, PageId, Shared, Slot};
use crate::error::Result;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};

/// A page in host memory that stays there until this is dropped.
pub(crate) struct Pin {
    pub(super) shared: Arc<Shared>,
    pub(super) id: PageId,
    /// Given up before the page may go.
    pub(super) frame: Option<Arc<Frame>>,
    /// Whether others may wait for its end.
    pub(super) short: bool,
}

impl Pin {
    /// The bytes of the page.
    pub fn read(&self) -> PageBytes<'_> {
        let frame = self.frame.as_deref();
        PageBytes(frame.map(|frame| frame.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The bytes of the page, to write. It was pinned for that.
    pub fn write(&self) -> PageBytesMut<'_> {
        let frame = self.frame.as_deref();
        PageBytesMut(frame.map(|frame| frame.write().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.frame = None;
        let mut state = self.shared.lock();
        let state = &mut *state;
        state.passing -= usize::from(self.short);
        if let Some(page) = state.pages.get_mut(&self.id) {
            page.pins -= 1;
            if page.pins == 0 && page.moving == Moving::No {
                state.order.insert(page.used, self.id);
            }
        }
        self.shared.changed.notify_all();
    }
}

/// The bytes of a page, and what may lie behind them in its last word.
pub(crate) struct PageBytes<'a>(Option<RwLockReadGuard<'a, Vec<u64>>>);

impl std::ops::Deref for PageBytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |memory| bytemuck::cast_slice(memory))
    }
}

/// [`PageBytes`] to write.
pub(crate) struct PageBytesMut<'a>(Option<RwLockWriteGuard<'a, Vec<u64>>>);

impl std::ops::Deref for PageBytesMut<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |memory| bytemuck::cast_slice(memory))
    }
}

impl std::ops::DerefMut for PageBytesMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_mut().map_or(&mut [], |memory| bytemuck::cast_slice_mut(memory))
    }
}

/// A page that stays in its file until this is dropped.
pub(crate) struct Below {
    pub(super) shared: Arc<Shared>,
    pub(super) id: PageId,
    pub(super) slot: Slot,
}

impl Below {
    /// Overwrites part of the page.
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.shared.slots.write(self.slot, at as u64, bytes)?;
        self.shared.counters.spilled.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.passing -= 1;
        if let Some(page) = state.pages.get_mut(&self.id) {
            page.moving = Moving::No;
        }
        self.shared.changed.notify_all();
    }
}
