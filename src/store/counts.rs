//! How much there is.

use super::{Result, Store};
use serde::Serialize;
use utoipa::ToSchema;

/// How much the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// Runs that have ended.
    pub runs: i64,
    /// Those that came to their ends.
    pub ok: i64,
    /// Those that failed or were abandoned.
    pub failed: i64,
    /// Those that were abandoned.
    pub abandoned: i64,
    /// Those of a language that is switched off.
    pub skipped: i64,
    /// Runs that have not ended.
    pub running: i64,
    /// Scripts.
    pub scripts: i64,
    /// Scripts that are switched on.
    pub scripts_enabled: i64,
    /// Goals that are not reached.
    pub goals_open: i64,
    /// Rows of the map.
    pub map_rows: i64,
    /// Cartridges.
    pub cartridges: i64,
}

impl Store {
    /// How much there is, soon enough to be asked every second: rows of runs and of the map are never
    /// deleted, so that their last ones tell how many there are, and runs that were not right have an
    /// index.
    ///
    /// # Errors
    /// [`StoreError::Database`](super::StoreError::Database).
    pub fn counts(&self) -> Result<Counts> {
        let number = |sql: &str| Ok(self.one(sql, &[], |row| row.get(0))?.unwrap_or(0));
        let of_status = |status: &str| -> Result<i64> {
            number(&format!(
                "SELECT count(*) FROM improvement_runs WHERE status <> 'ok' AND status = '{status}'"
            ))
        };
        let begun: i64 = number("SELECT ifnull(max(id), 0) FROM improvement_runs")?;
        let (stopped, abandoned) = (of_status("failed")?, of_status("abandoned")?);
        let (skipped, running) = (of_status("skipped")?, of_status("running")?);
        Ok(Counts {
            runs: begun - running,
            ok: begun - stopped - abandoned - skipped - running,
            failed: stopped + abandoned,
            abandoned,
            skipped,
            running,
            scripts: number("SELECT count(*) FROM improvement_scripts")?,
            scripts_enabled: number("SELECT count(*) FROM improvement_scripts WHERE enabled = 1")?,
            goals_open: number("SELECT count(*) FROM development_goals WHERE completed = 0")?,
            map_rows: number("SELECT ifnull(max(id), 0) FROM infinite_map")?,
            cartridges: number("SELECT count(*) FROM cartridge_registry WHERE deleted_at IS NULL")?,
        })
    }
}
