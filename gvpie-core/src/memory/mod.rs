//! Who holds how many bytes.
//!
//! Every buffer and texture of a context is paid for here before the driver is asked, because
//! some drivers hand out memory they do not have and fail much later.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A context's account of memory: a byte budget and counters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    budget: Option<u64>,
    in_use: AtomicU64,
    peak: AtomicU64,
    allocations: AtomicU64,
    refused: AtomicU64,
}

/// What a [`Pool`] has counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes held now.
    pub in_use: u64,
    /// The most bytes that were ever held at once.
    pub peak: u64,
    /// Allocations granted.
    pub allocations: u64,
    /// Allocations refused for want of budget.
    pub refused: u64,
    /// The byte budget; `None` leaves it to the driver.
    pub budget: Option<u64>,
}

impl Pool {
    /// A pool that grants at most `budget` bytes at a time; `None` sets no bound of ours.
    pub fn new(budget: Option<u64>) -> Self {
        Pool(Arc::new(Account { budget, ..Account::default() }))
    }

    /// The counters.
    pub fn usage(&self) -> Usage {
        let account = &*self.0;
        Usage {
            in_use: account.in_use.load(Relaxed),
            peak: account.peak.load(Relaxed),
            allocations: account.allocations.load(Relaxed),
            refused: account.refused.load(Relaxed),
            budget: account.budget,
        }
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
            budget: self.0.budget,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_kept_and_given_back() {
        let pool = Pool::new(Some(100));
        let first = pool.reserve(60, "a").unwrap();
        let refused = pool.reserve(41, "b").unwrap_err();
        assert_eq!(
            refused,
            Error::OutOfMemory { what: "b".into(), asked: 41, in_use: 60, budget: Some(100) }
        );
        let second = pool.reserve(40, "c").unwrap();
        drop(first);
        drop(second);
        let usage = pool.usage();
        assert_eq!((usage.in_use, usage.peak, usage.allocations, usage.refused), (0, 100, 2, 1));
    }

    #[test]
    fn a_sum_past_u64_is_refused() {
        let pool = Pool::new(None);
        let _all = pool.reserve(u64::MAX, "a").unwrap();
        assert!(pool.reserve(1, "b").is_err());
    }
}
