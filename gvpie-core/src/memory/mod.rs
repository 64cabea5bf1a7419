//! Who holds how many bytes, and where: on the device, in host memory, in files.
//!
//! Every buffer and texture of a context is paid for here before the driver is asked, because
//! some drivers hand out memory they do not have and fail much later. Below the device, a
//! [`Paged`](crate::Paged) tensor's pages live in host memory as far as its budget goes and in files
//! beyond that.

pub(crate) mod disk;
pub(crate) mod heaps;
pub(crate) mod pages;
pub(crate) mod staging;
#[cfg(test)]
mod tests;

use crate::error::{Budgets, Error, Result};
use disk::Slots;
use pages::Pages;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What tensors larger than the device work with where no budget says and no driver tells.
const DEVICE_ROOM: u64 = 1 << 30;

/// A context's account of memory: byte budgets, pages, counters. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Account>);

#[derive(Debug)]
struct Account {
    budget: Option<u64>,
    in_use: AtomicU64,
    peak: AtomicU64,
    allocations: AtomicU64,
    refused: AtomicU64,
    uploaded: AtomicU64,
    downloaded: AtomicU64,
    pages: Pages,
}

/// What a [`Pool`] has counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes held on the device now.
    pub in_use: u64,
    /// The most bytes that were ever held on the device at once.
    pub peak: u64,
    /// Allocations granted.
    pub allocations: u64,
    /// Allocations refused for want of budget.
    pub refused: u64,
    /// The byte budget of the device; `None` leaves it to the driver.
    pub budget: Option<u64>,
    /// Pages and staging buffers in host memory.
    pub host: Tier,
    /// Files.
    pub disk: Tier,
    /// Bytes of [`Paged`](crate::Paged) tensors that were brought to the device.
    pub uploaded: u64,
    /// Bytes of paged tensors that were brought back from the device.
    pub downloaded: u64,
    /// Bytes of pages that were written to files.
    pub spilled: u64,
    /// Bytes that were read from files, spilled ones and sources.
    pub fetched: u64,
    /// How often a page was in host memory when it was wanted.
    pub hits: u64,
    /// How many pages were written to files.
    pub spills: u64,
    /// How often a thread waited for a file, or for room that only a file could make.
    pub stalls: u64,
    /// How long, summed over threads.
    pub stalled: Duration,
}

/// One of the tiers below the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tier {
    /// Bytes held now.
    pub in_use: u64,
    /// The most bytes that were ever held at once.
    pub peak: u64,
    /// The byte budget, as far as it is known; for files, what the file system has free unless one is set.
    pub budget: Option<u64>,
}

impl Default for Pool {
    fn default() -> Self {
        Pool::new(None)
    }
}

impl Pool {
    /// A pool that grants at most `budget` bytes of device memory at a time; `None` sets no bound of
    /// ours. Pages may take half of the free host memory, and files of the system's temporary folder.
    pub fn new(budget: Option<u64>) -> Self {
        let budgets = Budgets { device: budget, ..Budgets::default() };
        Pool::tiered(budgets, std::env::temp_dir())
    }

    /// A pool with these budgets, whose files are in a folder of their own below `folder`.
    pub(crate) fn tiered(budgets: Budgets, folder: PathBuf) -> Self {
        disk::sweep(&folder);
        Pool::on(budgets, Slots::new(folder, budgets.disk))
    }

    pub(crate) fn on(budgets: Budgets, slots: Slots) -> Self {
        Pool(Arc::new(Account {
            budget: budgets.device,
            in_use: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            uploaded: AtomicU64::new(0),
            downloaded: AtomicU64::new(0),
            pages: Pages::new(budgets.device, budgets.host, slots),
        }))
    }

    /// The counters.
    pub fn usage(&self) -> Usage {
        let account = &*self.0;
        let counters = account.pages.counters();
        let slots = account.pages.slots();
        let tier = |(in_use, peak), budget| Tier { in_use, peak, budget };
        Usage {
            in_use: account.in_use.load(Relaxed),
            peak: account.peak.load(Relaxed),
            allocations: account.allocations.load(Relaxed),
            refused: account.refused.load(Relaxed),
            budget: account.budget,
            host: tier(account.pages.held(), Some(account.pages.budget())),
            disk: tier(slots.held(), slots.budget()),
            uploaded: account.uploaded.load(Relaxed),
            downloaded: account.downloaded.load(Relaxed),
            spilled: counters.spilled.load(Relaxed),
            fetched: counters.fetched.load(Relaxed),
            hits: counters.hits.load(Relaxed),
            spills: counters.spills.load(Relaxed),
            stalls: counters.stalls.load(Relaxed),
            stalled: Duration::from_nanos(counters.stalled_nanos.load(Relaxed)),
        }
    }

    /// The pages below the device.
    pub(crate) fn pages(&self) -> &Pages {
        &self.0.pages
    }

    /// Bytes of device memory that work on paged tensors may plan with: what the budget has left, else
    /// what `known` tells of the device, else 1 GiB.
    pub(crate) fn room(&self, known: impl FnOnce() -> Option<u64>) -> u64 {
        match self.0.budget {
            Some(budget) => budget.saturating_sub(self.0.in_use.load(Relaxed)),
            None => known().unwrap_or(DEVICE_ROOM),
        }
    }

    /// Counts bytes on their way from pages to the device.
    pub(crate) fn count_up(&self, bytes: u64) {
        self.0.uploaded.fetch_add(bytes, Relaxed);
    }

    /// Counts bytes on their way from the device to pages.
    pub(crate) fn count_down(&self, bytes: u64) {
        self.0.downloaded.fetch_add(bytes, Relaxed);
    }

    /// Takes `bytes` from the budget until the reservation is dropped.
    pub(crate) fn reserve(&self, bytes: u64, what: &str) -> Result<Reservation> {
        let account = &*self.0;
        let limit = account.budget.unwrap_or(u64::MAX);
        let taken = account.in_use.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(bytes).filter(|&sum| sum <= limit)
        });
        match taken {
            Ok(before) => {
                account.peak.fetch_max(before + bytes, Relaxed);
                account.allocations.fetch_add(1, Relaxed);
                Ok(Reservation { pool: self.clone(), bytes })
            }
            Err(_) => {
                account.refused.fetch_add(1, Relaxed);
                Err(self.out_of_memory(bytes, what))
            }
        }
    }

    /// The error to report when the budget, or the driver behind it, has no `bytes` left.
    pub(crate) fn out_of_memory(&self, bytes: u64, what: &str) -> Error {
        Error::OutOfMemory {
            what: what.into(),
            asked: bytes,
            in_use: self.0.in_use.load(Relaxed),
            budgets: Budgets { device: self.0.budget, ..Budgets::default() },
        }
    }
}

/// Bytes taken from a [`Pool`], given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    pool: Pool,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pool.0.in_use.fetch_sub(self.bytes, Relaxed);
    }
}

/// Bytes of host memory that are free now, for this process: of the system, or of what it may take
/// of it.
pub(crate) fn host_memory() -> u64 {
    let told = sysinfo::System::new().ok().map(|mut system| {
        system.refresh_memory();
        let allowed = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
        system.available_memory().min(allowed)
    });
    match told {
        None | Some(0) => DEVICE_ROOM, // a system that does not tell
        Some(bytes) => bytes,
    }
}
