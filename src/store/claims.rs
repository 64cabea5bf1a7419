//! Claims of the daemon that come to nothing: taken back, or lost on the way. And what it says of itself.

use super::map::{Chain, Entry, Kind};
use super::runs::{Started, newest};
use super::scripts::Due;
use super::{NOW, Result, Store, StoreError};
use rusqlite::{ErrorCode, OptionalExtension, params};

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
        self.write(|tx| {
            let ended = tx.execute(
                &format!(
                    "UPDATE improvement_runs SET status = 'abandoned', finished_at = {NOW}, success = 0,
                        backend = 'none', stderr = ?2 WHERE id = ?1 AND status = 'running'"
                ),
                params![run.id, why],
            )?;
            if ended == 0 {
                return Ok(false);
            }
            tx.execute(
                "UPDATE improvement_scripts SET next_run_at = NULL WHERE id = ?1",
                [script.id],
            )?;
            let result =
                serde_json::json!({ "run": run.uuid, "status": "abandoned", "error": why });
            Chain::of(tx)?.append(&Entry {
                task: Some(script.name.clone()),
                result: Some(result.to_string()),
                parent: newest(tx, script.id, run.id)?,
                run: Some(run.id),
                code_sha256: Some(script.code_sha256.clone()),
                place: [iteration, script.id],
                ..Entry::new(Kind::Abandoned, iteration)
            })?;
            Ok(true)
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
                source.kind() == std::io::ErrorKind::StorageFull
                    || source.kind() == std::io::ErrorKind::QuotaExceeded
            }
            _ => false,
        }
    }
}
