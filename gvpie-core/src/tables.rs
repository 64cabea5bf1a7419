//! Numbers on the device that several plans read: made once, and held while one of them lives.

use crate::buffer::{Buffer, WeakBuffer};
use crate::error::Result;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The tables of a context, by what tells one from any other.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<HashMap<String, WeakBuffer>>);

impl Tables {
    /// The table of this key, made where no plan holds it. Buffers of one key are never written after
    /// `make`, and hold the same.
    pub fn get(&self, key: String, make: impl FnOnce() -> Result<Buffer>) -> Result<Buffer> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = lock().get(&key).and_then(WeakBuffer::upgrade) {
            return Ok(table);
        }
        // Made outside the lock: two threads may do it twice, neither waits for the other's.
        let made = make()?;
        let mut tables = lock();
        if let Some(table) = tables.get(&key).and_then(WeakBuffer::upgrade) {
            return Ok(table);
        }
        tables.retain(|_, table| table.is_held());
        tables.insert(key, made.downgrade());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::memory::Pool;
    use std::time::Duration;

    #[test]
    fn tables_are_made_once_and_held_by_their_readers_only() {
        let device = Device::host(Pool::new(None), Duration::ZERO, false);
        let usage = || device.pool().usage();
        let tables = Tables::default();
        let get = |key: &str| {
            let make = || Buffer::zeroed(&device, 64, "a table");
            tables.get(key.to_string(), make).unwrap()
        };
        let first = get("first");
        assert!(first.is(&get("first")) && usage().allocations == 1);
        let second = get("second");
        assert!(!first.is(&second) && usage().in_use == 128);
        drop(first);
        assert_eq!(usage().in_use, 64);
        let again = get("first");
        assert_eq!((usage().in_use, usage().allocations), (128, 3));
        drop((second, again));
        assert_eq!(usage().in_use, 0);
        drop(get("third"));
        assert_eq!(tables.0.lock().unwrap().len(), 1); // those that nobody held were forgotten
    }
}
