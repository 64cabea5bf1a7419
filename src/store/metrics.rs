//! Figures: what was measured and when, and what is counted now.

use super::{NOW, Page, Paged, Result, Store, StoreError};
use rusqlite::{Row, ToSql, params};
use serde::Serialize;
use utoipa::ToSchema;

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MetricRow {
    /// Its row.
    pub id: i64,
    /// When, UTC; of an hour, its beginning.
    pub timestamp: String,
    /// Which figure.
    pub metric_name: String,
    /// Its value; of an hour, the mean.
    pub metric_value: f64,
    /// Of what: a script's name, or JSON with `count`, how many values there were, and `of`.
    pub context: Option<String>,
    /// raw, hour or day.
    pub grain: String,
}

/// Which figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricFilter {
    /// Those of a name.
    pub name: Option<String>,
    /// Those from this time on, as the column has it: `2026-01-31 12:00:00`.
    pub since: Option<String>,
}

/// What there is, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// Runs that have begun.
    pub runs: u64,
    /// Of them, those that came to their ends.
    pub runs_ok: u64,
    /// Those that were stopped.
    pub runs_failed: u64,
    /// Those that were lost with their process.
    pub runs_abandoned: u64,
    /// Those of a language that is switched off.
    pub runs_skipped: u64,
    /// Those that run now.
    pub runs_running: u64,
    /// Scripts.
    pub scripts: u64,
    /// Scripts that are switched on.
    pub scripts_enabled: u64,
    /// Goals that are not reached.
    pub goals_open: u64,
    /// Rows of the map.
    pub map_rows: u64,
    /// Cartridges.
    pub cartridges: u64,
}

impl MetricRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(MetricRow {
            id: row.get(0)?,
            timestamp: row.get(1)?,
            metric_name: row.get(2)?,
            metric_value: row.get(3)?,
            context: row.get(4)?,
            grain: row.get(5)?,
        })
    }
}

impl Store {
    /// Adds a figure of now.
    ///
    /// # Errors
    /// [`StoreError::Value`] for one that is no number; [`StoreError::Database`].
    pub fn add_metric(&mut self, name: &str, value: f64, context: Option<&str>) -> Result<()> {
        if !value.is_finite() {
            return Err(StoreError::Value {
                what: "the figure",
                expected: "a finite number".into(),
                found: value.to_string(),
            });
        }
        self.write(|tx| {
            tx.prepare_cached(&format!(
                "INSERT INTO system_metrics (timestamp, metric_name, metric_value, context)
                 VALUES ({NOW}, ?1, ?2, ?3)"
            ))?
            .execute(params![name, value, context])?;
            Ok(())
        })
    }

    /// Figures, those that were written last first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn metrics(&self, filter: &MetricFilter, page: Page) -> Result<Paged<MetricRow>> {
        let before = page.before();
        let mut sql = "SELECT id, timestamp, metric_name, metric_value, context, grain
             FROM system_metrics WHERE id < ?"
            .to_string();
        let mut parameters = vec![&before as &dyn ToSql];
        if let Some(name) = &filter.name {
            sql += " AND metric_name = ?";
            parameters.push(name);
        }
        if let Some(since) = &filter.since {
            sql += " AND timestamp >= ?";
            parameters.push(since);
        }
        sql += " ORDER BY id DESC LIMIT ?";
        self.paged(page, &sql, &parameters, MetricRow::of, |row| row.id)
    }

    /// Counts what there is, fast enough to be asked for every second: rows of the map are never deleted,
    /// so that the last one tells how many there are, nor are runs that have ended, so that each is
    /// counted once.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn counts(&self) -> Result<Counts> {
        let number = |sql: &str| -> Result<u64> {
            let found: Option<i64> = self.one(sql, &[], |row| row.get(0))?;
            Ok(found.unwrap_or(0).max(0) as u64)
        };
        let of_status = |status: &str| -> Result<u64> {
            number(&format!(
                "SELECT count(*) FROM improvement_runs WHERE status <> 'ok' AND status = '{status}'"
            ))
        };
        let runs = self.count_runs()? as u64;
        let [runs_failed, runs_abandoned, runs_skipped, runs_running] = [
            of_status("failed")?,
            of_status("abandoned")?,
            of_status("skipped")?,
            of_status("running")?,
        ];
        let rest = runs_failed + runs_abandoned + runs_skipped + runs_running;
        Ok(Counts {
            runs,
            runs_ok: runs.saturating_sub(rest),
            runs_failed,
            runs_abandoned,
            runs_skipped,
            runs_running,
            scripts: number("SELECT count(*) FROM improvement_scripts")?,
            scripts_enabled: number("SELECT count(*) FROM improvement_scripts WHERE enabled = 1")?,
            goals_open: number("SELECT count(*) FROM development_goals WHERE completed = 0")?,
            map_rows: number("SELECT ifnull(max(id), 0) FROM infinite_map")?,
            cartridges: number("SELECT count(*) FROM cartridge_registry WHERE deleted_at IS NULL")?,
        })
    }

    /// Counts runs, of those that have ended before all that run only the ones that are not counted yet.
    fn count_runs(&self) -> Result<i64> {
        let number = |sql: &str, parameters: &[&dyn ToSql]| -> Result<i64> {
            Ok(self.one(sql, parameters, |row| row.get(0))?.unwrap_or(0))
        };
        let last = number(
            "SELECT ifnull(
                (SELECT min(id) - 1 FROM improvement_runs
                 WHERE status <> 'ok' AND status = 'running'),
                (SELECT ifnull(max(id), 0) FROM improvement_runs))",
            &[],
        )?;
        let (before, mut count) = self.ended.get();
        let between = "SELECT count(*) FROM improvement_runs WHERE id > ?1 AND id <= ?2";
        count += number(between, &[&before, &last])?;
        self.ended.set((last.max(before), count));
        Ok(count + number(between, &[&last.max(before), &i64::MAX])?)
    }
}
