//! How much there is.

use super::{Result, Store};
use rusqlite::Row;

/// How much the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Runs that have ended.
    pub runs: i64,
    /// Those that failed or were abandoned.
    pub failed: i64,
    /// Scripts.
    pub scripts: i64,
    /// Rows of the map.
    pub map_rows: i64,
}

impl Store {
    /// How much there is.
    ///
    /// # Errors
    /// [`StoreError::Database`](super::StoreError::Database).
    pub fn counts(&self) -> Result<Counts> {
        let sql = "SELECT
            (SELECT count(*) FROM improvement_runs WHERE status <> 'running'),
            (SELECT count(*) FROM improvement_runs WHERE status IN ('failed', 'abandoned')),
            (SELECT count(*) FROM improvement_scripts),
            (SELECT ifnull(max(id), 0) FROM infinite_map)";
        let of = |row: &Row<'_>| {
            let [runs, failed, scripts, map_rows] =
                [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok(Counts { runs, failed, scripts, map_rows })
        };
        Ok(self.one(sql, &[], of)?.unwrap_or(Counts {
            runs: 0,
            failed: 0,
            scripts: 0,
            map_rows: 0,
        }))
    }
}
