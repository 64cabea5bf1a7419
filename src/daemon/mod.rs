//! The autonomous loop: is the API well, run the scripts whose turn it is, record, and again.
//!
//! ```text
//! every 10 s   health → scripts that are due, 3 at most → metrics → news
//! a script     claim (a row `running`) → POST /api/execute → the row's end, counters, map, metrics
//! a day        integrity, backup, retention
//! ```
//!
//! A program is run at least once and recorded exactly once. What can come between the claim and the
//! record, and what is made of it:
//!
//! | | the run | the script |
//! |---|---|---|
//! | the daemon is killed | `abandoned` at the next start | due at once |
//! | the answer does not come | `abandoned` | due at once |
//! | both, 5 times in a row | `failed`, without a sixth try | waits, as after any failure |
//! | the API is busy or stops (429, 503) | taken back: nothing was run, no row stays | due at once |
//! | the API wants another token, or is none (401, 403, 404 …) | taken back | due at once |
//! | the program does not assemble (422) | `failed` | switched off |
//! | the program is refused (400, 413, 422), or ends with a fault | `failed` | waits longer each time; switched off after 5 |
//! | no space is left for the record | kept here, and recorded when there is | nothing else is claimed |
//! | SIGTERM | 5 s to end, then `abandoned` | due at once |
//!
//! Time is told by a clock that never goes back; ticks that were missed are skipped. Only the store, in
//! which scripts say when they are due, uses the wall clock.

mod client;
mod clock;
mod cycle;
mod lock;
mod python;
mod stop;
#[cfg(test)]
mod tests;
mod upkeep;

pub use clock::{Clock, Monotonic};
pub use stop::Stop;

use crate::store::{Store, StoreError};
use client::Client;
use cycle::Daemon;
use lock::Lock;
use std::path::PathBuf;
use std::time::Duration;

/// What a daemon is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the store.
    pub data: PathBuf,
    /// Where the API is, as `http://127.0.0.1:8081`.
    pub api: String,
    /// From one cycle to the next.
    pub interval: Duration,
    /// Whether the API may be on another machine.
    pub allow_network: bool,
    /// Whether scripts in Python are run, in a sandbox.
    pub allow_python: bool,
    /// What the API's requests bear.
    pub token: Option<String>,
    /// Whether each cycle is told in a line on stderr.
    pub progress: bool,
}

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another works in the folder.
    #[error("'{}' has a daemon already{}", folder.display(), named(.process))]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other's process, if it can be told.
        process: Option<u32>,
    },
    /// The lock cannot be taken.
    #[error("'{}': {source}", path.display())]
    Lock {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The API cannot be spoken to there.
    #[error("the API's address '{address}': {why}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The interval is none.
    #[error("the interval is {0:?}; expected more than 0")]
    Interval(Duration),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn named(process: &Option<u32>) -> String {
    process.map_or(String::new(), |process| format!(": process {process}"))
}

/// Runs cycles until it is asked to stop, then ends what is under way and writes the log into the database.
///
/// # Errors
/// [`Error`], all before the first cycle. Later troubles are logged, and tried again in the next cycle.
pub fn run(options: Options, stop: &Stop) -> Result<(), Error> {
    run_by(options, stop, &Monotonic::start())
}

/// The same by another clock.
///
/// # Errors
/// As [`run`].
pub fn run_by(options: Options, stop: &Stop, clock: &impl Clock) -> Result<(), Error> {
    if options.interval.is_zero() {
        return Err(Error::Interval(options.interval));
    }
    let client = Client::new(&options.api, options.allow_network, options.token.clone())?;
    let _lock = Lock::take(&options.data)?;
    let store = Store::open(&options.data)?;
    let mut daemon = Daemon::new(&options, store, client, stop)?;
    tracing::info!(api = options.api, data = %options.data.display(), "daemon begins");
    if options.progress {
        eprintln!("gvpie: the daemon of {} begins", options.data.display());
    }
    while !stop.asked() {
        let began = clock.now();
        let mut cycle = daemon.cycle();
        daemon.keep_up(clock.now());
        cycle.duration = clock.now().saturating_sub(began);
        daemon.tell(&cycle);
        if clock.wait(clock::next_tick(clock.now(), options.interval), stop) {
            break;
        }
    }
    daemon.end();
    tracing::info!("daemon ends");
    Ok(())
}
