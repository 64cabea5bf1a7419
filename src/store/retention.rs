//! What is let go, and the copies that are kept.
//!
//! The map, failures, and all that they name stay for ever. Of the rest: figures become means of hours,
//! long outputs of runs that were right are forgotten, objects that no row names are deleted, backups
//! but the last few. Each step is a transaction of its own, short enough for others to write between.

use super::{Result, Store, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days of figures as they were measured.
    pub metrics: u32,
    /// Days of what successful runs have written.
    pub outputs: u32,
    /// Hours of objects that no row names; a writer may be about to name it.
    pub objects: u32,
    /// Backups.
    pub backups: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { metrics: 7, outputs: 30, objects: 1, backups: 7 }
    }
}

/// What was let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Figures that have become means.
    pub metrics: usize,
    /// Runs whose output was forgotten.
    pub outputs: usize,
    /// Objects.
    pub objects: usize,
    /// Bytes of those objects.
    pub bytes: u64,
}

/// Bytes of an output that is worth forgetting.
const BULKY: usize = 256;

/// Rows of a transaction at most.
const BLOCK: i64 = 10_000;

/// Figures of the oldest hour of a name become means, one for each thing that they are of.
const ROLL_UP: &str = "
    INSERT INTO system_metrics (timestamp, metric_name, metric_value, context, grain)
    SELECT hour, ?1, sum(metric_value * n) / sum(n), json_object('count', sum(n), 'of', of), 'hour'
    FROM (
        SELECT strftime('%Y-%m-%d %H:00:00', timestamp) AS hour, metric_value,
            CASE WHEN told THEN max(1, ifnull(CAST(json_extract(context, '$.count') AS INTEGER), 1))
                ELSE 1 END AS n,
            CASE WHEN told THEN json_extract(context, '$.of') ELSE context END AS of
        FROM (
            SELECT *, CASE WHEN json_valid(context) THEN json_type(context) = 'object'
                ELSE 0 END AS told
            FROM system_metrics
            WHERE metric_name = ?1 AND timestamp >= ?2 AND timestamp < ?2 || '~' AND grain = 'raw'
                AND timestamp < ?3 AND julianday(timestamp) IS NOT NULL))
    GROUP BY hour, of";

impl Store {
    /// Lets go what need not be kept.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`]; what was let go until then is.
    pub fn tidy(&mut self, keep: &Keep) -> Result<Tidied> {
        let metrics = self.roll_up(keep.metrics)?;
        let outputs = self.forget_outputs(keep.outputs)?;
        let (objects, bytes) = self.sweep(Duration::from_secs(3600 * u64::from(keep.objects)))?;
        Ok(Tidied { metrics, outputs, objects, bytes })
    }

    fn roll_up(&mut self, days: u32) -> Result<usize> {
        let cutoff = "SELECT strftime('%Y-%m-%d %H:00:00', 'now', ?1)";
        let cutoff: Option<String> =
            self.one(cutoff, &[&format!("-{days} days")], |row| row.get(0))?;
        let cutoff = cutoff.unwrap_or_default();
        let names = || -> rusqlite::Result<Vec<String>> {
            let sql = "SELECT DISTINCT metric_name FROM system_metrics";
            self.connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        let names = names().map_err(|source| self.told(source))?;
        let mut count = 0;
        for name in names {
            loop {
                let rolled = self.write(|tx| {
                    let hour: Option<String> = tx
                        .prepare_cached(
                            "SELECT substr(timestamp, 1, 13) FROM system_metrics
                             WHERE metric_name = ?1 AND grain = 'raw' AND timestamp < ?2
                                AND julianday(timestamp) IS NOT NULL ORDER BY timestamp LIMIT 1",
                        )?
                        .query_row([&name, &cutoff], |row| row.get(0))
                        .optional()?;
                    let Some(hour) = hour else { return Ok(0) };
                    tx.prepare_cached(ROLL_UP)?.execute([&name, &hour, &cutoff])?;
                    tx.prepare_cached(
                        "DELETE FROM system_metrics WHERE metric_name = ?1 AND timestamp >= ?2
                            AND timestamp < ?2 || '~' AND grain = 'raw' AND timestamp < ?3
                            AND julianday(timestamp) IS NOT NULL",
                    )?
                    .execute([&name, &hour, &cutoff])
                })?;
                if rolled == 0 {
                    break;
                }
                count += rolled;
            }
        }
        Ok(count)
    }

    fn forget_outputs(&mut self, days: u32) -> Result<usize> {
        let last = "SELECT ifnull(max(id), 0) FROM improvement_runs";
        let last: i64 = self.one(last, &[], |row| row.get(0))?.unwrap_or(0);
        let (mut from, mut count) = (0, 0);
        while from < last {
            count += self.write(|tx| {
                tx.prepare_cached(
                    "UPDATE improvement_runs SET stdout = NULL
                     WHERE id > ?1 AND id <= ?2 AND status = 'ok' AND length(stdout) > ?3
                        AND finished_at < datetime('now', ?4)",
                )?
                .execute(params![
                    from,
                    from + BLOCK,
                    BULKY as i64,
                    format!("-{days} days")
                ])
            })?;
            from += BLOCK;
        }
        Ok(count)
    }

    /// Deletes objects that no row names and nobody has kept for so long; how many, and their bytes.
    fn sweep(&self, age: Duration) -> Result<(usize, u64)> {
        let mut unnamed = self.objects.aged(age)?;
        let mut named = || -> rusqlite::Result<()> {
            for sql in [
                "SELECT code_sha256 FROM infinite_map WHERE code_sha256 IS NOT NULL",
                "SELECT result_sha256 FROM infinite_map WHERE result_sha256 IS NOT NULL",
                "SELECT canvas_sha256 FROM improvement_runs WHERE canvas_sha256 IS NOT NULL",
                "SELECT code_sha256 FROM improvement_runs",
            ] {
                let mut statement = self.connection.prepare(sql)?;
                let mut rows = statement.query([])?;
                while !unnamed.is_empty()
                    && let Some(row) = rows.next()?
                {
                    unnamed.remove(row.get_ref(0)?.as_str()?);
                }
            }
            Ok(())
        };
        named().map_err(|source| self.told(source))?;
        let (mut count, mut bytes) = (0, 0);
        for hash in &unnamed {
            if let Some(length) = self.objects.delete(hash, age)? {
                count += 1;
                bytes += length;
            }
        }
        Ok((count, bytes))
    }

    /// Copies the database to `DIR/backups/daemon-YYYYMMDD.db`, unless today's copy is there, looks
    /// whether the copy is whole, and keeps the last few; the copy, if one was made.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a copy that is not whole, which is not kept;
    /// [`StoreError::Database`], [`StoreError::File`].
    pub fn back_up_daily(&self, keep: &Keep) -> Result<Option<PathBuf>> {
        let folder = self.folder.join("backups");
        let file = |source| StoreError::File { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(file)?;
        let today = "SELECT strftime('daemon-%Y%m%d.db', 'now')";
        let today: String = self.one(today, &[], |row| row.get(0))?.unwrap_or_default();
        let path = folder.join(&today);
        if path.exists() {
            return Ok(None);
        }
        self.back_up(&path)?;
        let proper = |name: &String| {
            let day = name.strip_prefix("daemon-").and_then(|name| name.strip_suffix(".db"));
            day.is_some_and(|day| day.len() == 8 && day.bytes().all(|c| c.is_ascii_digit()))
        };
        let entries = fs::read_dir(&folder).map_err(file)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        // Whatever the clock has been, the one of now stays.
        let mut old: Vec<String> = names.filter(proper).filter(|name| *name != today).collect();
        old.sort_unstable();
        let surplus = (old.len() + 1).saturating_sub(keep.backups.max(1));
        for name in &old[..surplus] {
            fs::remove_file(folder.join(name)).map_err(file)?;
        }
        Ok(Some(path))
    }
}

/// Whether a database is whole, as SQLite and the map's chain have it.
pub(super) fn check(path: &std::path::Path) -> Result<()> {
    let told = |source| StoreError::Database { path: path.into(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags(path, flags).map_err(told)?;
    let found: String =
        copy.pragma_query_value(None, "integrity_check", |row| row.get(0)).map_err(told)?;
    let found = match super::map::verify(&copy).map_err(told)? {
        _ if found != "ok" => found,
        super::Verdict::Whole { .. } => return Ok(()),
        super::Verdict::Broken { id, why } => format!("row {id} of the map: {why}"),
    };
    Err(StoreError::Damaged { path: path.into(), found })
}

/// Has a file's bytes on the disk.
pub(super) fn sync(path: &std::path::Path) -> std::io::Result<()> {
    File::options().write(true).open(path)?.sync_all()
}
