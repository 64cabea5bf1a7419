//! Runs as they are read.

use super::{Page, Paged, Result, Store};
use rusqlite::{Row, ToSql};
use serde::Serialize;
use utoipa::ToSchema;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunRow {
    /// Its row.
    pub id: i64,
    /// The script that it is of; null for what the API was asked for.
    pub script_id: Option<i64>,
    /// That script's name.
    pub script: Option<String>,
    /// When it began, UTC.
    pub started_at: String,
    /// When it ended, UTC; null while it runs.
    pub finished_at: Option<String>,
    /// Whether it came to its end; null while it runs.
    pub success: Option<bool>,
    /// What it wrote; in lists null where that is long.
    pub stdout: Option<String>,
    /// What went wrong.
    pub stderr: Option<String>,
    /// Milliseconds that it took.
    pub duration_ms: Option<i64>,
    /// Where it ran: gpu, cpu or none.
    pub backend: Option<String>,
    /// The cartridge that was run, its path in the data folder.
    pub cartridge_path: Option<String>,
    /// Names it everywhere.
    pub run_uuid: String,
    /// Which opening of the store began it.
    pub boot_id: String,
    /// How often it was tried, from 1.
    pub attempt: i64,
    /// running, ok, failed, abandoned or skipped.
    pub status: String,
    /// SHA-256 of the program.
    pub code_sha256: String,
    /// Instructions that it ran.
    pub cycles: Option<i64>,
    /// Instructions and drawing that were paid for.
    pub fuel: Option<i64>,
    /// SHA-256 of its canvas.
    pub canvas_sha256: Option<String>,
    /// The canvas's width and height in pixels.
    pub canvas: Option<[u32; 2]>,
    /// Its row of the map.
    pub map_id: Option<i64>,
    /// SHA-256 of a long output, which is an object.
    pub stdout_sha256: Option<String>,
}

/// A script's last run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LastRun {
    /// Names it everywhere.
    pub run_uuid: String,
    /// ok, failed, abandoned or skipped.
    pub status: String,
    /// Where it ran: gpu, cpu or none.
    pub backend: Option<String>,
    /// Milliseconds that it took.
    pub duration_ms: Option<i64>,
    /// What it wrote; null where that is long: the run has it.
    pub stdout: Option<String>,
    /// What went wrong.
    pub stderr: Option<String>,
    /// SHA-256 of its canvas.
    pub canvas_sha256: Option<String>,
    /// When it began, UTC.
    pub started_at: String,
    /// The canvas's width and height in pixels.
    pub canvas: Option<[u32; 2]>,
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Those of a script.
    pub script: Option<i64>,
    /// Those of a status: running, ok, failed, abandoned, skipped.
    pub status: Option<String>,
}

/// A canvas's size, from what the map has of the run.
pub(super) fn size(result: Option<String>) -> Option<[u32; 2]> {
    let result: serde_json::Value = serde_json::from_str(&result?).ok()?;
    serde_json::from_value(result.get("canvas")?.clone()).ok()
}

const RUNS: &str = "SELECT r.id, r.script_id, s.name, r.started_at, r.finished_at, r.success, \
    r.stdout, r.stderr, r.duration_ms, r.backend, r.cartridge_path, r.run_uuid, r.boot_id, r.attempt, \
    r.status, r.code_sha256, r.cycles, r.fuel, r.canvas_sha256, m.result, m.id, m.result_sha256 \
    FROM improvement_runs r LEFT JOIN improvement_scripts s ON s.id = r.script_id \
    LEFT JOIN infinite_map m ON m.run_id = r.id";

impl RunRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(RunRow {
            id: row.get(0)?,
            script_id: row.get(1)?,
            script: row.get(2)?,
            started_at: row.get(3)?,
            finished_at: row.get(4)?,
            success: row.get(5)?,
            stdout: row.get(6)?,
            stderr: row.get(7)?,
            duration_ms: row.get(8)?,
            backend: row.get(9)?,
            cartridge_path: row.get(10)?,
            run_uuid: row.get(11)?,
            boot_id: row.get(12)?,
            attempt: row.get(13)?,
            status: row.get(14)?,
            code_sha256: row.get(15)?,
            cycles: row.get(16)?,
            fuel: row.get(17)?,
            canvas_sha256: row.get(18)?,
            canvas: size(row.get(19)?),
            map_id: row.get(20)?,
            stdout_sha256: row.get(21)?,
        })
    }
}

impl Store {
    /// Runs, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`](super::StoreError::Database).
    pub fn runs(&self, filter: &RunFilter, page: Page) -> Result<Paged<RunRow>> {
        let before = page.before();
        let (mut sql, mut parameters) =
            (format!("{RUNS} WHERE r.id < ?"), vec![&before as &dyn ToSql]);
        if let Some(script) = &filter.script {
            sql += " AND r.script_id = ?";
            parameters.push(script);
        }
        if let Some(status) = &filter.status {
            sql += " AND r.status = ?";
            parameters.push(status);
        }
        sql += " ORDER BY r.id DESC LIMIT ?";
        self.paged(page, &sql, &parameters, RunRow::of, |row| row.id)
    }

    /// A run by its row or its name, with all that it wrote.
    ///
    /// # Errors
    /// [`StoreError::Object`](super::StoreError::Object) where a long output is lost;
    /// [`StoreError::Database`](super::StoreError::Database).
    pub fn run(&self, which: &str) -> Result<Option<RunRow>> {
        let found = match which.parse::<i64>() {
            Ok(id) => self.one(&format!("{RUNS} WHERE r.id = ?1"), &[&id], RunRow::of)?,
            Err(_) => self.one(&format!("{RUNS} WHERE r.run_uuid = ?1"), &[&which], RunRow::of)?,
        };
        let Some(mut row) = found else { return Ok(None) };
        if let Some(hash) = &row.stdout_sha256 {
            row.stdout = Some(String::from_utf8_lossy(&self.object(hash)?).into_owned());
        }
        Ok(Some(row))
    }
}
