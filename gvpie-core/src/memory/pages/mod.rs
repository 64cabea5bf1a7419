//! The middle tier: pages of host memory, and their ways to the files below and back.
//!
//! A page is in host memory (a frame), in a file (a slot), in both, or in neither: then it is zeros,
//! or what a source holds. One that differs from what lies below it is dirty. When host memory is
//! full, the page that was used longest ago goes: a clean one is dropped, a dirty one is written
//! first. Threads of the pool read pages ahead and write dirty ones before they have to go, so that
//! callers seldom wait. A failure of theirs loses nothing: the page stays where it was, and the call that
//! needs it elsewhere tries again and returns what it meets.
//!
//! Whoever copies pins one page at a time and lets it go, so that threads that wait for room always
//! see it come; what is held for longer is counted apart and waited for by nobody.

mod moves;
mod pin;

pub(crate) use pin::{Below, PageBytes, PageBytesMut, Pin};

use super::disk::{Slot, Slots};
use crate::error::{Budgets, Error, Result};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// Threads that read ahead and write back. A few, because one does not keep a solid-state drive busy.
const THREADS: usize = 4;

/// What a page holds before anything was written to it.
#[derive(Clone)]
pub(crate) enum Origin {
    /// Zeros.
    Zeros,
    /// The bytes of a source from this one on.
    Source(Arc<dyn ReadBytes>, u64),
}

/// Bytes that can be read by position.
pub(crate) trait ReadBytes: Send + Sync {
    fn read_at(&self, first: u64, out: &mut [u8]) -> Result<()>;
}

/// Names a page for as long as it lives.
pub(crate) type PageId = u64;

/// The memory of a page, in whole words, so that it is aligned for every element type.
type Frame = RwLock<Vec<u64>>;

struct Page {
    bytes: usize,
    origin: Origin,
    frame: Option<Arc<Frame>>,
    slot: Option<Slot>,
    dirty: bool,
    moving: Moving,
    pins: usize,
    /// When it was used last; its key in [`State::order`] while it may go.
    used: u64,
    /// Read ahead and not asked for yet.
    ahead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moving {
    No,
    Up,
    Down,
}

/// What is wanted of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// To read it.
    Read,
    /// To write part of it.
    Write,
    /// To write all of it, so that what it held is not needed.
    Overwrite,
}

/// How a page can be read.
pub(crate) enum Opened {
    /// It holds nothing but zeros.
    Zeros,
    /// It is in host memory.
    Held(Pin),
    /// It is not, and so little of it is wanted that this is read by itself.
    Below(PageId),
}

/// How a page can be written.
pub(crate) enum Writable {
    /// In host memory.
    Held(Pin),
    /// In its file, since so little of it is written.
    Below(Below),
}

/// How much may be done to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Pages are written down and other threads waited for.
    Patient,
    /// Pages are written down; other threads may be waiting for the caller.
    Eager,
    /// Only what is clean and was not read ahead goes.
    Quiet,
}

/// Counters of the pages.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub hits: AtomicU64,
    pub spills: AtomicU64,
    pub spilled: AtomicU64,
    pub fetched: AtomicU64,
    pub stalls: AtomicU64,
    pub stalled_nanos: AtomicU64,
}

#[derive(Default)]
struct State {
    pages: HashMap<PageId, Page>,
    next: PageId,
    clock: u64,
    /// Pages that may go, by when they were used last.
    order: BTreeMap<u64, PageId>,
    /// Frames without a page, by their bytes.
    spare: BTreeMap<usize, Vec<Vec<u64>>>,
    /// Bytes of frames and of staging buffers.
    held: u64,
    peak: u64,
    /// Bytes of dirty frames.
    dirty: u64,
    /// Bytes read ahead that nobody has asked for yet.
    ahead: u64,
    /// Pages on their way with their room reserved, and pins that are short.
    passing: usize,
    wanted: VecDeque<PageId>,
    /// Whether writing back has failed and nothing has changed since.
    blocked: bool,
    stop: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    slots: Slots,
    wished: Option<u64>,
    budget: OnceLock<u64>,
    device: Option<u64>,
    counters: Counters,
}

/// All pages of a pool.
pub(crate) struct Pages {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pages({} bytes)", self.held().0)
    }
}

impl Pages {
    /// Pages of at most `budget` bytes of host memory, half of what is free unless said, with files
    /// below. `device` is the budget of the tier above, for errors that name all three.
    pub fn new(device: Option<u64>, budget: Option<u64>, slots: Slots) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            slots,
            wished: budget,
            budget: OnceLock::new(),
            device,
            counters: Counters::default(),
        };
        Pages { shared: Arc::new(shared), threads: Mutex::default() }
    }

    /// The most bytes of host memory.
    pub fn budget(&self) -> u64 {
        self.shared.budget()
    }

    /// Bytes of host memory now, and the most that there were.
    pub fn held(&self) -> (u64, u64) {
        let state = self.shared.lock();
        (state.held, state.peak)
    }

    pub fn slots(&self) -> &Slots {
        &self.shared.slots
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub fn budgets(&self) -> Budgets {
        self.shared.budgets()
    }

    /// New pages that cost nothing until they are written or read.
    pub fn add(&self, pages: impl Iterator<Item = (usize, Origin)>) -> Vec<PageId> {
        let mut state = self.shared.lock();
        let state = &mut *state;
        let added = pages.map(|(bytes, origin)| {
            state.next += 1;
            let page = Page {
                bytes,
                origin,
                frame: None,
                slot: None,
                dirty: false,
                moving: Moving::No,
                pins: 0,
                used: 0,
                ahead: false,
            };
            state.pages.insert(state.next, page);
            state.next
        });
        added.collect()
    }

    /// Ends pages, whatever they hold.
    pub fn end(&self, ids: &[PageId]) {
        let mut state = self.shared.lock();
        for &id in ids {
            // A thread of the pool may be moving it.
            while state.pages.get(&id).is_some_and(|page| page.moving != Moving::No) {
                state = self.shared.wait(state);
            }
            let Some(page) = state.pages.remove(&id) else { continue };
            state.order.remove(&page.used);
            if page.dirty {
                state.dirty -= page.bytes as u64;
            }
            if page.ahead {
                state.ahead -= page.bytes as u64;
            }
            if let Some(frame) = page.frame {
                state.recycle(page.bytes, frame);
            }
            if let Some(slot) = page.slot {
                self.shared.slots.free(slot);
            }
        }
        state.blocked = false;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// A page in host memory, to be let go soon. Who has pinned none before is `patient`, and waits
    /// for others to let theirs go; who has gets `None` instead, and should let go first.
    pub fn pin(&self, id: PageId, intent: Intent, patient: bool) -> Result<Option<Pin>> {
        let shared = &self.shared;
        let state = shared.lock();
        let wish = if patient { Wish::Patient } else { Wish::Eager };
        let Some(mut state) = shared.bring(state, id, intent, wish)? else { return Ok(None) };
        let pin = shared.pinned(&mut state, id, intent)?;
        let crowded = state.crowded(shared.budget());
        drop(state);
        if crowded {
            self.wake()?;
        }
        Ok(Some(pin))
    }

    /// A page kept in host memory for as long as the caller wants.
    pub fn hold(&self, id: PageId) -> Result<Pin> {
        let mut pin = self.pin(id, Intent::Read, true)?.ok_or_else(gone)?;
        pin.short = false;
        self.shared.lock().passing -= 1;
        self.shared.changed.notify_all();
        Ok(pin)
    }

    /// How to read `needed` bytes of a page; `None` as [`pin`](Self::pin) says.
    pub fn open(&self, id: PageId, needed: usize, patient: bool) -> Result<Option<Opened>> {
        let state = self.shared.lock();
        let Some(page) = state.pages.get(&id) else { return Err(gone()) };
        if page.frame.is_none() && page.moving == Moving::No {
            if page.slot.is_none() && matches!(page.origin, Origin::Zeros) {
                return Ok(Some(Opened::Zeros));
            }
            if needed < page.bytes / 2 {
                return Ok(Some(Opened::Below(id)));
            }
        }
        drop(state);
        Ok(self.pin(id, Intent::Read, patient)?.map(Opened::Held))
    }

    /// How to write `needed` bytes of a page; `None` as [`pin`](Self::pin) says.
    pub fn open_mut(&self, id: PageId, needed: usize, patient: bool) -> Result<Option<Writable>> {
        let mut state = self.shared.lock();
        let Some(page) = state.pages.get_mut(&id) else { return Err(gone()) };
        let (absent, whole) = (page.frame.is_none(), needed == page.bytes);
        if let Some(slot) = page.slot
            && absent
            && page.moving == Moving::No
            && needed < page.bytes / 2
        {
            page.moving = Moving::Down; // nobody reads it up meanwhile
            state.passing += 1;
            return Ok(Some(Writable::Below(Below { shared: Arc::clone(&self.shared), id, slot })));
        }
        drop(state);
        let intent = if whole { Intent::Overwrite } else { Intent::Write };
        Ok(self.pin(id, intent, patient)?.map(Writable::Held))
    }

    /// Reads part of a page that is not in host memory, where it lies.
    pub fn read_below(&self, id: PageId, from: usize, out: &mut [u8]) -> Result<()> {
        let state = self.shared.lock();
        let Some(page) = state.pages.get(&id) else { return Err(gone()) };
        let (slot, origin) = (page.slot, page.origin.clone());
        drop(state);
        let start = Instant::now();
        self.shared.read(slot, &origin, from, out)?;
        self.shared.stalled(start);
        Ok(())
    }

    /// Asks for pages to be read before they are needed. What does not fit is left where it is.
    pub fn prefetch(&self, ids: impl Iterator<Item = PageId>) -> Result<()> {
        let mut state = self.shared.lock();
        let state_ref = &mut *state;
        for id in ids {
            let below = |page: &Page| {
                let below = page.slot.is_some() || !matches!(page.origin, Origin::Zeros);
                below && page.frame.is_none() && page.moving == Moving::No
            };
            if state_ref.pages.get(&id).is_some_and(below) {
                state_ref.wanted.push_back(id);
            }
        }
        let some = !state.wanted.is_empty();
        drop(state);
        if some { self.wake() } else { Ok(()) }
    }

    /// Takes host memory for something other than a page; pages make room for it.
    pub fn reserve(&self, bytes: u64, what: &str) -> Result<()> {
        self.shared.reserve(self.shared.lock(), bytes, what, Wish::Patient).map(drop)
    }

    /// Gives back what [`reserve`](Self::reserve) took.
    pub fn give_back(&self, bytes: u64) {
        self.shared.lock().held -= bytes;
        self.shared.changed.notify_all();
    }

    /// Wakes the threads of the pool, and starts them where there are none.
    fn wake(&self) -> Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while threads.len() < THREADS {
            let shared = Arc::clone(&self.shared);
            let name = format!("gvpie pages {}", threads.len());
            let spawned = std::thread::Builder::new().name(name).spawn(move || shared.work());
            threads.push(spawned.map_err(|error| Error::Internal {
                what: "starting a thread that moves pages".into(),
                message: error.to_string(),
            })?);
        }
        drop(threads);
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            let _ = thread.join(); // one that panicked has said so
        }
    }
}

impl State {
    /// Keeps a frame for the next page of its size.
    fn recycle(&mut self, bytes: usize, frame: Arc<Frame>) {
        match Arc::try_unwrap(frame) {
            Ok(frame) => {
                let memory = frame.into_inner().unwrap_or_else(PoisonError::into_inner);
                self.spare.entry(bytes).or_default().push(memory);
            }
            // Freed with whoever still reads it; nobody does who was let in by this file.
            Err(_) => self.held -= bytes as u64,
        }
    }

    /// A spare frame of exactly this size.
    fn spare(&mut self, bytes: usize) -> Option<Vec<u64>> {
        self.spare.get_mut(&bytes)?.pop()
    }

    /// Frees a spare frame of any size.
    fn free_spare(&mut self) -> bool {
        let freed = self.spare.iter_mut().find_map(|(&bytes, frames)| {
            frames.pop()?;
            Some(bytes as u64)
        });
        self.held -= freed.unwrap_or(0);
        freed.is_some()
    }

    /// The page that was used longest ago and may go; a dirty one, if only such are asked for.
    fn oldest(&self, dirty: bool) -> Option<PageId> {
        let fits = |id: &&PageId| !dirty || self.pages.get(id).is_some_and(|page| page.dirty);
        self.order.values().find(fits).copied()
    }

    /// Whether a page of at least so many bytes may be dropped as it is. Not every wish may drop
    /// what was read ahead.
    fn is_clean(&self, id: PageId, bytes: usize, wish: Wish) -> bool {
        let may = |page: &Page| wish != Wish::Quiet || !page.ahead;
        self.pages.get(&id).is_some_and(|page| !page.dirty && page.bytes >= bytes && may(page))
    }

    /// Drops the frame of a clean page.
    fn drop_frame(&mut self, id: PageId) {
        let Some(page) = self.pages.get_mut(&id) else { return };
        let (bytes, used) = (page.bytes, page.used);
        if std::mem::take(&mut page.ahead) {
            self.ahead -= bytes as u64;
        }
        let frame = page.frame.take();
        self.order.remove(&used);
        if let Some(frame) = frame {
            self.recycle(bytes, frame);
        }
    }

    /// Whether so much is dirty that some of it should be written before anyone has to wait.
    fn crowded(&self, budget: u64) -> bool {
        self.dirty > budget - budget / 8
    }
}

/// Pages are ended with the tensor that they are of, so this is a defect of ours.
fn gone() -> Error {
    Error::Internal { what: "memory".into(), message: "a page was asked for after its end".into() }
}
