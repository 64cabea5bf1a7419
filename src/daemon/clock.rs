//! Time that never goes back, and ticks of it.

use super::Stop;
use std::time::{Duration, Instant};

/// What the loop knows of time. The wall clock, which may jump, is the store's alone.
pub trait Clock {
    /// The time since some moment, which never goes back.
    fn now(&self) -> Duration;

    /// Waits until then, or until it is to stop: whether it is.
    fn wait(&self, until: Duration, stop: &Stop) -> bool;
}

/// The machine's.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// From now on.
    pub fn start() -> Self {
        Monotonic(Instant::now())
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait(&self, until: Duration, stop: &Stop) -> bool {
        stop.wait(until.saturating_sub(self.now()))
    }
}

/// The first tick after `now` of those that come every `interval` from 0 on: those that were missed are
/// not made up for.
pub(super) fn next_tick(now: Duration, interval: Duration) -> Duration {
    let ticks = (now.as_nanos() / interval.as_nanos().max(1)).saturating_add(1);
    let nanoseconds = interval.as_nanos().saturating_mul(ticks);
    Duration::new(
        u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX),
        (nanoseconds % 1_000_000_000) as u32,
    )
}
