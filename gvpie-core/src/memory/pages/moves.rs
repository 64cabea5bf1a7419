//! How pages move: up when they are wanted, down when others want their room.

use super::{Intent, Moving, Origin, Page, PageId, Pin, Shared, State, Wish, gone};
use crate::error::{Budgets, Error, Result};
use crate::memory::disk::Slot;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

/// The lock, and a frame where a spare one was found.
type Framed<'a> = (MutexGuard<'a, State>, Option<Vec<u64>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn budget(&self) -> u64 {
        *self.budget.get_or_init(|| self.wished.unwrap_or_else(|| crate::memory::host_memory() / 2))
    }

    pub(super) fn budgets(&self) -> Budgets {
        Budgets { device: self.device, host: Some(self.budget()), disk: self.slots.budget() }
    }

    pub(super) fn stalled(&self, start: Instant) {
        self.counters.stalls.fetch_add(1, Relaxed);
        self.counters.stalled_nanos.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
    }

    pub(super) fn read(
        &self,
        slot: Option<Slot>,
        origin: &Origin,
        from: usize,
        out: &mut [u8],
    ) -> Result<()> {
        match (slot, origin) {
            (Some(slot), _) => self.slots.read(slot, from as u64, out)?,
            (None, Origin::Source(source, first)) => source.read_at(first + from as u64, out)?,
            (None, Origin::Zeros) => {
                out.fill(0);
                return Ok(());
            }
        }
        self.counters.fetched.fetch_add(out.len() as u64, Relaxed);
        Ok(())
    }

    /// Sees to it that a page has a frame; `None` where that asks for more than the wish allows.
    pub(super) fn bring<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        id: PageId,
        intent: Intent,
        wish: Wish,
    ) -> Result<Option<MutexGuard<'a, State>>> {
        let mut waited = None;
        let page = loop {
            let Some(page) = state.pages.get_mut(&id) else { return Err(gone()) };
            if page.frame.is_some() {
                if let Some(start) = waited {
                    self.stalled(start);
                } else if wish != Wish::Quiet {
                    self.counters.hits.fetch_add(1, Relaxed);
                }
                return Ok(Some(state));
            }
            if page.moving == Moving::No {
                break page;
            }
            if wish != Wish::Patient {
                return Ok(None);
            }
            waited.get_or_insert_with(Instant::now);
            state = self.wait(state);
        };
        page.moving = Moving::Up;
        let (bytes, slot, origin) = (page.bytes, page.slot, page.origin.clone());
        let stays = |mut state: MutexGuard<'a, State>| {
            if let Some(page) = state.pages.get_mut(&id) {
                page.moving = Moving::No;
            }
            self.changed.notify_all();
            state
        };
        let (mut state, spare) = match self.frame(state, bytes, wish) {
            Ok(Some(found)) => found,
            none => {
                drop(stays(self.lock()));
                return none.map(|_| None);
            }
        };
        state.passing += 1;
        drop(state);

        let below = slot.is_some() || matches!(origin, Origin::Source(..));
        let start = Instant::now();
        let filled = self.fill(spare, bytes, intent, slot, &origin);
        if below && intent != Intent::Overwrite && wish != Wish::Quiet {
            self.stalled(start);
        }

        let mut state = self.lock();
        state.passing -= 1;
        let outcome = match (filled, state.pages.get_mut(&id)) {
            (Ok(memory), Some(page)) => {
                page.frame = Some(Arc::new(RwLock::new(memory)));
                Ok(())
            }
            (Err(error), _) => Err(error),
            (_, None) => Err(gone()),
        };
        if outcome.is_err() {
            state.held -= bytes as u64;
        }
        state = stays(state);
        outcome.map(|()| Some(state))
    }

    /// The memory of a page, with what lies below it unless all of it is to be overwritten.
    fn fill(
        &self,
        spare: Option<Vec<u64>>,
        bytes: usize,
        intent: Intent,
        slot: Option<Slot>,
        origin: &Origin,
    ) -> Result<Vec<u64>> {
        let recycled = spare.is_some();
        let mut memory = match spare {
            Some(memory) => memory,
            None => bytemuck::allocation::try_zeroed_vec(bytes.div_ceil(8)).map_err(|()| {
                Error::OutOfMemory {
                    what: format!("a page of {bytes} bytes"),
                    asked: bytes as u64,
                    in_use: self.lock().held,
                    budgets: self.budgets(),
                }
            })?,
        };
        let zeros = slot.is_none() && matches!(origin, Origin::Zeros);
        if intent != Intent::Overwrite && (recycled || !zeros) {
            self.read(slot, origin, 0, &mut bytemuck::cast_slice_mut(&mut memory)[..bytes])?;
        }
        Ok(memory)
    }

    /// Counts a page as pinned. The caller has brought it and kept the lock.
    pub(super) fn pinned(
        self: &Arc<Self>,
        state: &mut State,
        id: PageId,
        intent: Intent,
    ) -> Result<Pin> {
        state.clock += 1;
        let (clock, state) = (state.clock, &mut *state);
        let Some(page) = state.pages.get_mut(&id) else { return Err(gone()) };
        let Some(frame) = page.frame.clone() else { return Err(gone()) };
        if page.pins == 0 {
            state.order.remove(&page.used);
        }
        page.pins += 1;
        page.used = clock;
        if std::mem::take(&mut page.ahead) {
            state.ahead -= page.bytes as u64;
        }
        if intent != Intent::Read && !page.dirty {
            page.dirty = true;
            state.dirty += page.bytes as u64;
        }
        state.passing += 1;
        Ok(Pin { shared: Arc::clone(self), id, frame: Some(frame), short: true })
    }

    /// Takes the host memory of a page: a spare frame, or room for one.
    fn frame<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        bytes: usize,
        wish: Wish,
    ) -> Result<Option<Framed<'a>>> {
        loop {
            if let Some(spare) = state.spare(bytes) {
                return Ok(Some((state, Some(spare))));
            }
            let full = state.held.saturating_add(bytes as u64) > self.budget();
            match state.oldest(false) {
                // Its frame is of the right size, and need not be freed and asked for again.
                Some(id) if full && state.is_clean(id, bytes, wish) => state.drop_frame(id),
                _ => {
                    let what = format!("a page of {bytes} bytes");
                    let reserved = self.reserve(state, bytes as u64, &what, wish)?;
                    return Ok(reserved.map(|state| (state, None)));
                }
            }
        }
    }

    /// Takes `bytes` of host memory, for which the pages used longest ago go down.
    pub(super) fn reserve<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        bytes: u64,
        what: &str,
        wish: Wish,
    ) -> Result<Option<MutexGuard<'a, State>>> {
        let budget = self.budget();
        loop {
            if state.held.saturating_add(bytes) <= budget {
                state.held += bytes;
                state.peak = state.peak.max(state.held);
                return Ok(Some(state));
            }
            if state.free_spare() {
                continue;
            }
            let oldest = state.oldest(false);
            match oldest {
                _ if bytes > budget => {}
                Some(id) if state.is_clean(id, 0, wish) => {
                    state.drop_frame(id);
                    continue;
                }
                Some(id) if wish != Wish::Quiet => {
                    let start = Instant::now();
                    state = self.write_down(state, id)?;
                    self.stalled(start);
                    continue;
                }
                None if wish == Wish::Patient && state.passing > 0 => {
                    let start = Instant::now();
                    state = self.wait(state);
                    self.stalled(start);
                    continue;
                }
                _ if wish != Wish::Patient => return Ok(None),
                _ => {}
            }
            return Err(Error::OutOfMemory {
                what: what.into(),
                asked: bytes,
                in_use: state.held,
                budgets: self.budgets(),
            });
        }
    }

    /// Writes a dirty page to its slot, which may have to be found first. The lock is let go
    /// meanwhile; the page then is clean, unless it was written to.
    fn write_down<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        id: PageId,
    ) -> Result<MutexGuard<'a, State>> {
        let Some(page) = state.pages.get_mut(&id) else { return Ok(state) };
        let Some(frame) = page.frame.clone() else { return Ok(state) };
        let (bytes, slot, used) = (page.bytes, page.slot, page.used);
        page.moving = Moving::Down;
        page.dirty = false;
        state.dirty -= bytes as u64;
        state.order.remove(&used);
        state.passing += 1;
        drop(state);

        let slot = match slot {
            Some(slot) => Ok(slot),
            None => self.slots.take(bytes as u64).and_then(|slot| {
                slot.ok_or_else(|| Error::OutOfMemory {
                    what: format!("a page of {bytes} bytes"),
                    asked: bytes as u64,
                    in_use: self.slots.held().0,
                    budgets: self.budgets(),
                })
            }),
        };
        let written = slot.clone().and_then(|slot| {
            let memory = frame.read().unwrap_or_else(PoisonError::into_inner);
            self.slots.write(slot, 0, &bytemuck::cast_slice(&memory)[..bytes])
        });
        drop(frame);
        if written.is_ok() {
            self.counters.spills.fetch_add(1, Relaxed);
            self.counters.spilled.fetch_add(bytes as u64, Relaxed);
        }

        let mut state = self.lock();
        state.passing -= 1;
        let again = &mut *state;
        let mut fresh = None;
        match again.pages.get_mut(&id) {
            Some(page) => {
                page.moving = Moving::No;
                if written.is_err() && !page.dirty {
                    page.dirty = true;
                    again.dirty += bytes as u64;
                }
                again.blocked &= written.is_err();
                match (&written, slot) {
                    (Ok(()), Ok(slot)) => page.slot = Some(slot),
                    // What a slot holds after a write that failed is not known.
                    (Err(_), Ok(slot)) if page.slot.is_none() => fresh = Some(slot),
                    _ => {}
                }
                if page.pins == 0 {
                    again.order.insert(page.used, id);
                }
            }
            None => fresh = slot.ok(),
        }
        if let Some(slot) = fresh {
            self.slots.free(slot);
        }
        self.changed.notify_all();
        written.map(|()| state)
    }

    /// What each thread of the pool does until the pool ends.
    pub(super) fn work(&self) {
        let budget = self.budget();
        let mut state = self.lock();
        loop {
            if state.stop {
                return;
            }
            let room = state.ahead < budget / 4;
            let next = if room { state.wanted.pop_front() } else { None };
            let done = if let Some(id) = next {
                self.read_ahead(state, id)
            } else if state.crowded(budget)
                && !state.blocked
                && let Some(id) = state.oldest(true)
            {
                let written = self.write_down(state, id);
                if written.is_err() {
                    self.lock().blocked = true;
                }
                written
            } else {
                state = self.wait(state);
                continue;
            };
            state = done.unwrap_or_else(|error| {
                tracing::debug!("a page stays where it is: {error}");
                self.lock()
            });
        }
    }

    fn read_ahead<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        id: PageId,
    ) -> Result<MutexGuard<'a, State>> {
        let waiting = |page: &Page| page.frame.is_none() && page.moving == Moving::No;
        if !state.pages.get(&id).is_some_and(waiting) {
            return Ok(state);
        }
        let Some(mut state) = self.bring(state, id, Intent::Read, Wish::Quiet)? else {
            return Ok(self.lock()); // it is read when it is needed
        };
        let again = &mut *state;
        again.clock += 1;
        let Some(page) = again.pages.get_mut(&id) else { return Ok(state) };
        if page.pins == 0 && page.frame.is_some() && !page.ahead {
            again.order.remove(&page.used);
            page.used = again.clock;
            page.ahead = true;
            again.ahead += page.bytes as u64;
            again.order.insert(page.used, id);
        }
        Ok(state)
    }
}
