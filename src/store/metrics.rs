//! Figures: what was measured, and when.

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
}
