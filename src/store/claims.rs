//! Claims of the daemon that come to nothing: taken back, or lost on the way. And what it says of itself.

use super::map::{Chain, Entry, Kind};
use super::runs::{Started, newest};
use super::scripts::Due;
use super::{NOW, Result, Store, StoreError};
use rusqlite::{ErrorCode, OptionalExtension, Row, params};
use std::io;

impl Store {
    /// Takes a claim back: what was claimed was refused before it was run, by an API that is busy, so that
    /// nothing has happened that could be recorded. Its row goes, no counter changes, and the script is
    /// due as it was. Whether it was still running.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn release_run(&mut self, run: &Started) -> Result<bool> {
        self.write(|tx| {
            let gone = tx.execute(
                "DELETE FROM improvement_runs WHERE id = ?1 AND status = 'running'",
                [run.id],
            )?;
            Ok(gone == 1)
        })
    }

    /// Ends a run whose answer never came, with its row of the map; its script is due again, and its
    /// counters stay. Whether it was still running.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn abandon_run(
        &mut self,
        run: &Started,
        script: &Due,
        iteration: i64,
        why: &str,
    ) -> Result<bool> {
        let open = Open {
            id: run.id,
            uuid: run.uuid.clone(),
            script: Some(script.id),
            name: Some(script.name.clone()),
            code_sha256: script.code_sha256.clone(),
        };
        self.write(|tx| abandon(&mut Chain::of(tx)?, open, iteration, Some(why)))
    }

    /// Ends runs that another opening of the store began and never ended; their scripts are due again.
    /// How many there were.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn abandon_runs(&mut self, iteration: i64) -> Result<usize> {
        let boot = self.boot.clone();
        self.write(|tx| {
            let open: Vec<Open> = tx
                .prepare(
                    "SELECT r.id, r.run_uuid, r.script_id, s.name, r.code_sha256
                     FROM improvement_runs r LEFT JOIN improvement_scripts s ON s.id = r.script_id
                     WHERE r.status = 'running' AND r.boot_id <> ?1 ORDER BY r.id",
                )?
                .query_map([&boot], Open::of)?
                .collect::<rusqlite::Result<_>>()?;
            let (mut chain, count) = (Chain::of(tx)?, open.len());
            for run in open {
                abandon(&mut chain, run, iteration, None)?;
            }
            Ok(count)
        })
    }

    /// Writes metrics of one moment, each a name, a value and what belongs to it; returns the moment.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn measure(&mut self, metrics: &[(&str, f64, Option<&str>)]) -> Result<String> {
        self.write(|tx| {
            let time: String = tx.query_row(&format!("SELECT {NOW}"), [], |row| row.get(0))?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO system_metrics (timestamp, metric_name, metric_value, context)
                 VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (name, value, context) in metrics {
                insert.execute(params![time, name, value, context])?;
            }
            Ok(time)
        })
    }

    /// The last cycle that a daemon has told of, in the map or in the metric `cycle`; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn last_cycle(&self) -> Result<i64> {
        let sql = "SELECT max((SELECT ifnull(max(iteration), 0) FROM infinite_map),
            (SELECT ifnull(max(CAST(metric_value AS INTEGER)), 0) FROM system_metrics
             WHERE metric_name = 'cycle' AND grain = 'raw'))";
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|source| self.told(source))
    }

    /// Moves the write-ahead log into the database, all of it unless others are reading.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn checkpoint(&self) -> Result<()> {
        let moved =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).optional();
        moved.map(drop).map_err(|source| self.told(source))
    }
}

/// A run that has not ended.
struct Open {
    id: i64,
    uuid: String,
    script: Option<i64>,
    name: Option<String>,
    code_sha256: String,
}

impl Open {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Open {
            id: row.get(0)?,
            uuid: row.get(1)?,
            script: row.get(2)?,
            name: row.get(3)?,
            code_sha256: row.get(4)?,
        })
    }
}

/// Ends a run for which nothing can be said, has its script be due, and tells the map; whether it was
/// still running.
fn abandon(
    chain: &mut Chain<'_>,
    run: Open,
    iteration: i64,
    why: Option<&str>,
) -> rusqlite::Result<bool> {
    let tx = chain.tx;
    let ended = tx.execute(
        "UPDATE improvement_runs SET status = 'abandoned', finished_at = ?2, success = 0,
            backend = 'none', stderr = ?3 WHERE id = ?1 AND status = 'running'",
        params![run.id, chain.now, why],
    )?;
    if ended == 0 {
        return Ok(false);
    }
    let due = "UPDATE improvement_scripts SET next_run_at = NULL WHERE id = ?1";
    tx.execute(due, [run.script])?;
    let result = serde_json::json!({ "run": run.uuid, "status": "abandoned", "error": why });
    let parent = run.script.map_or(Ok(None), |script| newest(tx, script, run.id))?;
    chain.append(&Entry {
        task: run.name,
        result: Some(result.to_string()),
        parent,
        run: Some(run.id),
        code_sha256: Some(run.code_sha256),
        place: [iteration, run.script.unwrap_or(0)],
        ..Entry::new(Kind::Abandoned, iteration)
    })?;
    Ok(true)
}

impl StoreError {
    /// Whether there is no space left to write to; it may come back.
    pub fn is_full(&self) -> bool {
        match self {
            StoreError::Database { source: rusqlite::Error::SqliteFailure(error, _), .. } => {
                // The log's index grows by a write of its own, whose failure has another name.
                error.code == ErrorCode::DiskFull
                    || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
            }
            StoreError::File { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}
