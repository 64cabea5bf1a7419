//! What is done once a day: the database is checked, copied and cleared of what is too old.

use super::cycle::Daemon;
use crate::store::{Keep, Result};
use std::time::Duration;

/// From one time to the next.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Until it is tried again that has failed.
const AGAIN: Duration = Duration::from_secs(3600);

impl Daemon<'_> {
    /// Does the day's work if its time has come, first when the daemon begins; not while there is no
    /// space for it.
    pub fn keep_up(&mut self, now: Duration) {
        if now < self.upkeep || self.full {
            return;
        }
        self.upkeep = now + DAY;
        if let Err(error) = self.day() {
            self.upkeep = now + AGAIN;
            tracing::error!(%error, "the day's check and backup");
            self.notice(&format!("the day's check and backup: {error}"));
        }
    }

    fn day(&mut self) -> Result<()> {
        let found = self.store.integrity()?;
        if found != "ok" {
            // No copy of it shall push a good one out.
            tracing::error!(found, "the database is damaged");
            self.notice(&format!("the database is damaged: {found}"));
            return Ok(());
        }
        let keep = Keep::default();
        if let Some(copy) = self.store.back_up_daily(&keep)? {
            let tidied = self.store.tidy(&keep)?;
            tracing::info!(copy = %copy.display(), ?tidied, "the day's backup");
        }
        Ok(())
    }
}
