//! Runs: begun in one transaction, ended in another, recorded exactly once.

use super::map::Chain;
use super::record::{Finished, Large, ended};
use super::scripts::Due;
use super::{NOW, Result, Store};
use rusqlite::{Connection, named_params, params};

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// It came to its end.
    Ok,
    /// It was stopped by a fault or a limit.
    Failed,
    /// It is not a program; more runs would not change that.
    Broken,
    /// It was not run, since its language is switched off.
    Skipped,
}

impl RunStatus {
    /// As the column has it.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Ok => "ok",
            RunStatus::Failed | RunStatus::Broken => "failed",
            RunStatus::Skipped => "skipped",
        }
    }
}

/// A run that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its row.
    pub id: i64,
    /// Names it everywhere.
    pub uuid: String,
    /// 1, and 1 more for each time in a row that it was abandoned.
    pub attempt: i64,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub status: RunStatus,
    /// What it wrote.
    pub stdout: String,
    /// What is wrong, if something is.
    pub stderr: String,
    /// Milliseconds that it took.
    pub duration: u64,
    /// Where it ran: `gpu`, `cpu` or `none`.
    pub backend: &'static str,
    /// Instructions that it ran.
    pub cycles: u64,
    /// Instructions and drawing that were paid for.
    pub fuel: u64,
    /// The hash of its canvas.
    pub canvas_sha256: Option<String>,
    /// The canvas's width and height in pixels.
    pub canvas: Option<[u32; 2]>,
}

impl Outcome {
    /// Of a program that was not run, and why.
    pub fn unrun(status: RunStatus, why: String) -> Self {
        Outcome {
            status,
            stdout: String::new(),
            stderr: why,
            duration: 0,
            backend: "none",
            cycles: 0,
            fuel: 0,
            canvas_sha256: None,
            canvas: None,
        }
    }
}

/// Seconds before the first script that failed is tried again, and at most.
pub(super) const BACKOFF: [f64; 2] = [10.0, 3600.0];

/// Seconds until a script is tried again that has failed so often in a row: 10 and twice as long each
/// time, an hour at most, a tenth more or less so that not all come at once (`spread` from -1 to 1).
fn backoff(failures: i64, spread: f64) -> f64 {
    let [first, most] = BACKOFF;
    let doubled = first * 2_f64.powi((failures - 1).clamp(0, 30) as i32);
    doubled.min(most) * (1.0 + 0.1 * spread)
}

impl Store {
    /// Says that a script runs from now on.
    ///
    /// # Errors
    /// [`StoreError::Database`](super::StoreError::Database).
    pub fn begin_run(&mut self, script: &Due) -> Result<Started> {
        let (uuid, boot) = (uuid::Uuid::new_v4().to_string(), self.boot.clone());
        self.write(|tx| {
            let attempt: i64 = tx.query_row(
                "SELECT 1 + count(*) FROM improvement_runs WHERE script_id = ?1 AND status = 'abandoned'
                 AND id > (SELECT ifnull(max(id), 0) FROM improvement_runs
                           WHERE script_id = ?1 AND status IN ('ok', 'failed', 'skipped'))",
                [script.id],
                |row| row.get(0),
            )?;
            tx.execute(
                &format!(
                    "INSERT INTO improvement_runs (script_id, started_at, run_uuid, boot_id, attempt,
                        status, code_sha256)
                     VALUES (?1, {NOW}, ?2, ?3, ?4, 'running', ?5)"
                ),
                params![script.id, uuid, boot, attempt, script.code_sha256],
            )?;
            Ok(Started { id: tx.last_insert_rowid(), uuid: uuid.clone(), attempt })
        })
    }

    /// Records what came of a run: its row, its script's counters, a row of the map, metrics, all or
    /// none. Whether this was the first to do so.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    pub fn end_run(
        &mut self,
        run: &Started,
        script: &Due,
        iteration: i64,
        outcome: &Outcome,
    ) -> Result<bool> {
        let finished = Finished {
            uuid: run.uuid.clone(),
            ..Finished::of(script.clone(), iteration, outcome.clone())
        };
        let large = Large::keep(&self.objects, &finished)?;
        let spread = fastrand::f64() * 2.0 - 1.0;
        self.write(|tx| {
            let update = tx.prepare_cached(
                "UPDATE improvement_runs SET finished_at = :now, success = :success,
                    stdout = :stdout, stderr = :stderr, duration_ms = :duration, backend = :backend,
                    cartridge_path = :cartridge, status = :status, cycles = :cycles, fuel = :fuel,
                    canvas_sha256 = :canvas
                 WHERE id = :id AND status = 'running'",
            );
            let mut chain = Chain::of(tx)?;
            let changed = update?.execute(named_params! {
                ":now": chain.now,
                ":success": outcome.status == RunStatus::Ok,
                ":stdout": large.stdout.is_none().then_some(&outcome.stdout),
                ":stderr": outcome.stderr,
                ":duration": outcome.duration as i64,
                ":backend": outcome.backend,
                ":cartridge": finished.cartridge,
                ":status": outcome.status.name(),
                ":cycles": outcome.cycles as i64,
                ":fuel": outcome.fuel as i64,
                ":canvas": outcome.canvas_sha256,
                ":id": run.id,
            })?;
            if changed == 1 {
                ended(&mut chain, run.id, &finished, &large, spread)?;
            }
            Ok(changed == 1)
        })
    }
}

/// The newest row of the map that tells of a script, of its code or of a run before this one.
pub(super) fn newest(tx: &Connection, script: i64, run: i64) -> rusqlite::Result<Option<i64>> {
    tx.prepare_cached(
        "SELECT max(id) FROM (
            SELECT max(id) AS id FROM infinite_map WHERE y = ?1 AND kind = 'script'
            UNION ALL
            SELECT m.id FROM infinite_map m WHERE m.run_id = (
                SELECT r.id FROM improvement_runs r
                WHERE r.script_id = ?1 AND r.id < ?2 AND r.status <> 'running'
                ORDER BY r.id DESC LIMIT 1))",
    )?
    .query_row([script, run], |row| row.get(0))
}

/// The counters of a script after a run, and when it is due again.
pub(super) fn count(
    tx: &Connection,
    script: i64,
    outcome: &Outcome,
    spread: f64,
) -> rusqlite::Result<()> {
    let ok = outcome.status == RunStatus::Ok;
    let (streak, most, interval): (i64, i64, Option<f64>) = tx
        .prepare_cached(
            "SELECT fail_streak, max_fail_streak, interval_s FROM improvement_scripts WHERE id = ?1",
        )?
        .query_row([script], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let skipped = outcome.status == RunStatus::Skipped;
    let streak = if ok || skipped { 0 } else { streak + 1 };
    let reason = match outcome.status {
        RunStatus::Broken => Some("it does not assemble".to_string()),
        RunStatus::Failed if streak >= most => Some(format!("{streak} failures in a row")),
        _ => None,
    };
    let wait = match (streak, interval) {
        (0, None) => None,
        (0, Some(seconds)) => Some(seconds),
        (failures, interval) => Some(backoff(failures, spread).max(interval.unwrap_or(0.0))),
    };
    let mut update = tx.prepare_cached(&format!(
        "UPDATE improvement_scripts SET run_count = run_count + 1,
            success_count = success_count + :ok, last_run_at = {NOW}, fail_streak = :streak,
            next_run_at = strftime('%Y-%m-%d %H:%M:%f', 'now', :wait),
            enabled = enabled AND :on, disabled_reason = ifnull(:reason, disabled_reason)
         WHERE id = :id"
    ))?;
    update.execute(named_params! {
        ":ok": ok,
        ":streak": streak,
        // No modifier, no time: due in every cycle.
        ":wait": wait.map(|seconds| format!("+{seconds:.3} seconds")),
        ":on": reason.is_none(),
        ":reason": reason,
        ":id": script,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_later_and_later() {
        assert_eq!(
            [1, 2, 3, 9, 10, 99].map(|n| backoff(n, 0.0)),
            [10.0, 20.0, 40.0, 2560.0, 3600.0, 3600.0]
        );
        assert!((backoff(2, 1.0) - 22.0).abs() < 1e-9 && (backoff(2, -1.0) - 18.0).abs() < 1e-9);
    }
}
