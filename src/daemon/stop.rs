//! The wish to stop, shared by those who wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whether it is to stop. Copies share the wish; it is never taken back.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Asks for it.
    pub fn ask(&self) {
        *self.wish() = true;
        self.0.1.notify_all();
    }

    /// Whether it was asked for.
    pub fn asked(&self) -> bool {
        *self.wish()
    }

    /// Waits so long at most; whether it was asked for.
    pub fn wait(&self, most: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.wish(), most, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn wish(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
