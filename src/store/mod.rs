//! What the runtime remembers: six tables of SQLite, and large values by their hash beside them.
//!
//! ```text
//! DIR/db/daemon.db        scripts, runs, goals, the map, cartridges, metrics (schema.sql)
//! DIR/objects/ab/<hash>   values of more than [`INLINE`] bytes, named by SHA-256
//! DIR/cartridges/         cartridges, SLUG-<16 digits of the file's SHA-256>.pxl.png
//! DIR/backups/            copies of the database, one a day
//! ```
//!
//! Tables and columns are a public interface: people read them with `sqlite3`, and insert scripts and
//! goals by hand. Every run is recorded exactly once: a first transaction says that it runs, a second
//! one what came of it, with counters, its row of the map and metrics. The map only grows, and each row's
//! hash covers the row before.

mod cartridges;
mod claims;
mod goals;
mod history;
mod import;
mod map;
mod metrics;
mod objects;
mod page;
mod plane;
mod record;
mod retention;
mod runs;
mod scripts;
#[cfg(test)]
mod tests;

pub use cartridges::CartridgeRow;
pub use goals::{Goal, GoalRow};
pub use history::{LastRun, RunFilter, RunRow};
pub use import::Imported;
pub use map::{Entry, GENESIS, Kind, Verdict};
pub use metrics::{Counts, MetricFilter, MetricRow};
pub use objects::INLINE;
pub use page::{Page, Paged};
pub use plane::{Lineage, MapRow, Place, Region};
pub use record::{Finished, Recorded, Standing};
pub use retention::{Keep, Tidied};
pub use runs::{Outcome, RunStatus, Started};
pub use scripts::{Change, Due, Language, Origin, Script, ScriptRow};

use objects::Objects;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the tables came to be what they are, a step a version.
fn migrations() -> Migrations<'static> {
    Migrations::new(vec![M::up(include_str!("schema.sql"))])
}

/// Does what others may be in the way of that open a new store at the same time, and again, for two
/// seconds at most, where it failed for a reason that may pass.
fn patiently<T, E>(
    mut work: impl FnMut() -> std::result::Result<T, E>,
    passes: impl Fn(&E) -> bool,
) -> std::result::Result<T, E> {
    for attempt in 1..20 {
        match work() {
            Err(error) if passes(&error) => std::thread::sleep(Duration::from_millis(10 * attempt)),
            told => return told,
        }
    }
    work()
}

/// Sets up a connection, and brings the tables to this version.
fn prepare(connection: &mut Connection) -> rusqlite_migration::Result<()> {
    use rusqlite_migration::Error;
    connection.busy_timeout(BUSY)?;
    // It does not wait for others as statements do.
    let busy = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
    patiently(|| connection.pragma_update(None, "journal_mode", "WAL"), busy)?;
    for (name, value) in [
        ("foreign_keys", "ON"),
        // Without it, INSERT OR REPLACE slips past the triggers that keep the map.
        ("recursive_triggers", "ON"),
        ("synchronous", "FULL"),
        ("trusted_schema", "OFF"),
    ] {
        connection.pragma_update(None, name, value)?;
    }
    // Each looks before one of them makes the tables; the others then find them there.
    let refused = |error: &Error| matches!(error, Error::RusqliteError { .. });
    patiently(|| migrations().to_latest(connection), refused)
}

/// How long a writer waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite has refused.
    #[error("'{}': {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It is of a version that this program does not know, or its tables cannot be made.
    #[error("'{}' is not a database of this version: {source}", path.display())]
    Version {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite_migration::Error,
    },
    /// A file or a folder beside the database.
    #[error("'{}': {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An object is missing or is not what its name says.
    #[error("object {hash} is {found}")]
    Object {
        /// Its name.
        hash: String,
        /// What is there instead.
        found: String,
    },
    /// There is no such row.
    #[error("there is no {what} '{which}'")]
    Missing {
        /// Of which kind.
        what: &'static str,
        /// Its id or name, as asked for.
        which: String,
    },
    /// A name that must be unique is another's.
    #[error("{what} '{name}' is taken")]
    Taken {
        /// Whose name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A run of this name has begun or is recorded.
    #[error("run {uuid} is recorded already")]
    Recorded {
        /// Its name.
        uuid: String,
    },
    /// A cartridge's file is missing or is not what its row says.
    #[error("cartridge '{path}' is {found}")]
    Cartridge {
        /// The file, below the data folder.
        path: String,
        /// What is there instead.
        found: String,
    },
    /// A file is no cartridge.
    #[error(transparent)]
    Format(gvpie_core::pixel::CartridgeError),
    /// A copy of the database is not whole.
    #[error("'{}' is damaged: {found}", path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A file of statements cannot be imported; nothing of it was.
    #[error("{file}:{line}: statement {statement}: {message}")]
    Import {
        /// The file.
        file: String,
        /// Which of its statements, from 1.
        statement: usize,
        /// The line where that begins, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A value that a column does not take.
    #[error("{what} is {found}; expected {expected}")]
    Value {
        /// Which.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// [`std::result::Result`] with a [`StoreError`].
pub type Result<T> = std::result::Result<T, StoreError>;

/// An open store. One connection; open another for another thread.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    /// The folder of all.
    folder: PathBuf,
    path: PathBuf,
    objects: Objects,
    /// Of this opening: runs of another that never ended are abandoned.
    boot: String,
    /// The last run of those that have ended before any other, and how many these are.
    ended: Cell<(i64, i64)>,
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::File`] for folders, [`StoreError::Database`], [`StoreError::Version`].
    pub fn open(folder: &Path) -> Result<Self> {
        let db = folder.join("db");
        let made = |path: &Path| {
            std::fs::create_dir_all(path)
                .map_err(|source| StoreError::File { path: path.into(), source })
        };
        made(&db)?;
        let objects = folder.join("objects");
        made(&objects)?;
        let path = db.join("daemon.db");
        let told = |source| StoreError::Database { path: path.clone(), source };
        let mut connection = Connection::open(&path).map_err(told)?;
        prepare(&mut connection).map_err(|source| match source {
            // Without the statement, which is the whole schema.
            rusqlite_migration::Error::RusqliteError { err, .. } => told(err),
            source => StoreError::Version { path: path.clone(), source },
        })?;
        let boot = uuid::Uuid::new_v4().to_string();
        let mut store = Store {
            connection,
            folder: folder.into(),
            path,
            objects: Objects::new(objects),
            boot,
            ended: Cell::default(),
        };
        if store.one("SELECT 1 FROM infinite_map LIMIT 1", &[], |_| Ok(()))?.is_none() {
            store.write(|tx| map::begin(tx))?; // unless another has, meanwhile
        }
        Ok(store)
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names this opening of the store.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Keeps a value under its hash, which it returns: a canvas under its `canvas_sha256`, its pixels row
    /// by row, four bytes each. It is on the disk then, and stays if a row names it within the hour.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn keep(&self, value: &[u8]) -> Result<String> {
        self.objects.keep(value)
    }

    /// A value by its hash.
    ///
    /// # Errors
    /// [`StoreError::Object`] where there is none, or another's; [`StoreError::File`].
    pub fn object(&self, hash: &str) -> Result<Vec<u8>> {
        self.objects.read(hash)
    }

    /// Follows the map's chain from its first row to its last.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a broken chain is a [`Verdict`].
    pub fn verify(&self) -> Result<Verdict> {
        map::verify(&self.connection).map_err(|source| self.told(source))
    }

    /// The last cycle that the map tells of.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn last_iteration(&self) -> Result<i64> {
        map::last_iteration(&self.connection).map_err(|source| self.told(source))
    }

    /// Whether SQLite finds its own structures whole: `ok`, or what it found.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn integrity(&self) -> Result<String> {
        self.connection
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .map_err(|source| self.told(source))
    }

    /// Copies the database, whole and compact, while others use it. The copy gets its name when it is
    /// complete, was found whole and is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Database`], [`StoreError::File`].
    pub fn back_up(&self, to: &Path) -> Result<()> {
        let part = to.with_extension("part");
        let file = |source| StoreError::File { path: to.into(), source };
        if part.exists() {
            std::fs::remove_file(&part).map_err(file)?; // of a backup that was cut short
        }
        let name = part.to_string_lossy();
        self.connection.execute("VACUUM INTO ?1", [&name]).map_err(|source| self.told(source))?;
        retention::check(&part)?;
        retention::sync(&part).and_then(|()| std::fs::rename(&part, to)).map_err(file)
    }

    fn told(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }

    /// A transaction that writes, begun as one so that it cannot be overtaken half-way.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let path = &self.path;
        let told = |source| StoreError::Database { path: path.clone(), source };
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(told)?;
        let done = work(&tx).map_err(told)?;
        tx.commit().map_err(told)?;
        Ok(done)
    }
}

/// The time as the tables have it, to the millisecond.
const NOW: &str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
