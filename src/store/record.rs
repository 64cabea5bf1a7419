//! Runs that the store hears of when they have ended: recorded in one transaction, many at once.

use super::map::{Chain, Entry, Kind};
use super::objects::{self, INLINE, Objects};
use super::runs::{Outcome, RunStatus, count, newest};
use super::scripts::{Due, Language, chart};
use super::{Result, Store, StoreError};
use rusqlite::named_params;
use serde_json::json;

/// Characters of what went wrong that the map repeats; the run has all of it.
const MOST_ERROR: usize = 1024;

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Names it everywhere; no other run has it.
    pub uuid: String,
    /// The script that it was a run of, if it was of one.
    pub script: Option<Due>,
    /// The path in the data folder of the cartridge that was run, if it was one.
    pub cartridge: Option<String>,
    /// What was to be done, in a line.
    pub task: String,
    /// The program's text, where no script has it.
    pub code: Option<String>,
    /// The hash of the program.
    pub code_sha256: String,
    /// The daemon's cycle.
    pub iteration: i64,
    /// Where its random numbers began, if that was asked for.
    pub seed: Option<i64>,
    /// What came of it.
    pub outcome: Outcome,
}

impl Finished {
    /// A run of a script.
    pub fn of(script: Due, iteration: i64, outcome: Outcome) -> Self {
        let path = (script.language == Language::Cartridge).then(|| script.code.trim().into());
        Finished {
            uuid: uuid::Uuid::new_v4().to_string(),
            cartridge: path,
            task: script.name.clone(),
            code: None,
            code_sha256: script.code_sha256.clone(),
            iteration,
            seed: None,
            outcome,
            script: Some(script),
        }
    }

    /// A run of a program that no script has.
    pub fn asked(task: &str, code: String, iteration: i64, outcome: Outcome) -> Self {
        Finished {
            uuid: uuid::Uuid::new_v4().to_string(),
            script: None,
            cartridge: None,
            task: task.into(),
            code_sha256: objects::hash(code.as_bytes()),
            code: Some(code),
            iteration,
            seed: None,
            outcome,
        }
    }
}

/// Where a run was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Its row.
    pub id: i64,
    /// Its row of the map.
    pub map_id: i64,
}

/// What the store knows of a run's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Unknown,
    /// It has begun; who began it will record it.
    Running,
    /// It is recorded.
    Recorded,
}

/// The hashes of what is too long for a row, which are objects already.
pub(super) struct Large {
    pub stdout: Option<String>,
    /// The program's text, a script's or one that was asked for.
    pub code: Option<String>,
}

impl Large {
    pub fn keep(objects: &Objects, run: &Finished) -> Result<Self> {
        let keep = |text: &str| {
            if text.len() > INLINE { objects.keep(text.as_bytes()).map(Some) } else { Ok(None) }
        };
        let code = run.script.as_ref().map(|script| &script.code).or(run.code.as_ref());
        Ok(Large {
            stdout: keep(&run.outcome.stdout)?,
            code: code.map_or(Ok(None), |code| keep(code))?,
        })
    }
}

/// What a run adds besides its own row: its script's counters, rows of the map, its cartridge's
/// counter, a script's metrics. Its row of the map.
pub(super) fn ended(
    chain: &mut Chain<'_>,
    id: i64,
    run: &Finished,
    large: &Large,
    spread: f64,
) -> rusqlite::Result<i64> {
    let (tx, outcome) = (chain.tx, &run.outcome);
    let mut parent = None;
    if let Some(script) = &run.script {
        count(tx, script.id, outcome, spread)?;
        chart(chain, script, run.iteration, id)?;
        parent = newest(tx, script.id, id)?;
        tx.prepare_cached(
            "INSERT INTO system_metrics (timestamp, metric_name, metric_value, context)
             VALUES (:now, 'run_duration_ms', :value, :name)",
        )?
        .execute(named_params! {
            ":now": chain.now,
            ":value": outcome.duration as f64,
            ":name": script.name,
        })?;
    }
    if let Some(path) = run.cartridge.as_ref().filter(|_| outcome.backend != "none") {
        tx.prepare_cached(
            "UPDATE cartridge_registry SET executed_count = executed_count + 1 WHERE path = ?1",
        )?
        .execute([path])?;
    }
    let error: String = outcome.stderr.chars().take(MOST_ERROR).collect();
    let summary = json!({
        "run": run.uuid,
        "status": outcome.status.name(),
        "backend": outcome.backend,
        "duration_ms": outcome.duration,
        "cycles": outcome.cycles,
        "canvas": outcome.canvas,
        "canvas_sha256": outcome.canvas_sha256,
        "error": (!error.is_empty()).then_some(error),
    });
    let inline = large.code.is_none().then(|| run.code.clone()).flatten();
    chain.append(&Entry {
        task: Some(run.task.clone()),
        code: if run.script.is_none() { inline } else { None },
        result: Some(summary.to_string()),
        parent,
        run: Some(id),
        code_sha256: Some(run.code_sha256.clone()),
        result_sha256: large.stdout.clone(),
        place: [run.iteration, run.script.as_ref().map_or(0, |script| script.id)],
        seed: run.seed,
        ..Entry::new(Kind::Run, run.iteration)
    })
}

impl Store {
    /// Records a run: its row, its script's counters, its row of the map, metrics, all or none.
    ///
    /// # Errors
    /// [`StoreError::Recorded`] where a run of this name has begun or is recorded;
    /// [`StoreError::Missing`] where the script is none; [`StoreError::Database`],
    /// [`StoreError::File`].
    pub fn record_run(&mut self, run: &Finished) -> Result<Recorded> {
        let told = self.record_runs(std::slice::from_ref(run))?.pop();
        told.unwrap_or_else(|| Err(StoreError::Recorded { uuid: run.uuid.clone() }))
    }

    /// Records many runs in one transaction: what came of each, in their order. Those that cannot be
    /// recorded do not keep the others out.
    ///
    /// # Errors
    /// [`StoreError::Database`] or [`StoreError::File`]: none of them is recorded.
    pub fn record_runs(&mut self, runs: &[Finished]) -> Result<Vec<Result<Recorded>>> {
        let large = runs.iter().map(|run| Large::keep(&self.objects, run));
        let large = large.collect::<Result<Vec<Large>>>()?;
        let (boot, path) = (self.boot.clone(), self.path.clone());
        self.write(|tx| {
            let mut chain = Chain::of(tx)?;
            let mut told = Vec::with_capacity(runs.len());
            let (mut asked, mut total) = (0_u64, 0.0);
            for (run, large) in runs.iter().zip(&large) {
                let recorded = match chain.attempt(|chain| record(chain, run, large, &boot))? {
                    Ok(recorded) => recorded,
                    Err(source) => Err(StoreError::Database { path: path.clone(), source }),
                };
                if run.script.is_none() && recorded.is_ok() {
                    asked += 1;
                    total += run.outcome.duration as f64;
                }
                told.push(recorded);
            }
            if asked > 0 {
                tx.prepare_cached(
                    "INSERT INTO system_metrics (timestamp, metric_name, metric_value, context)
                     VALUES (:now, 'api_run_duration_ms', :value, :context)",
                )?
                .execute(named_params! {
                    ":now": chain.now,
                    ":value": total / asked as f64,
                    ":context": json!({ "count": asked }).to_string(),
                })?;
            }
            Ok(told)
        })
    }

    /// What the store knows of a run's name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn standing(&self, uuid: &str) -> Result<Standing> {
        let sql = "SELECT status = 'running' FROM improvement_runs WHERE run_uuid = ?1";
        let running: Option<bool> = self.one(sql, &[&uuid], |row| row.get(0))?;
        Ok(running.map_or(Standing::Unknown, |running| {
            if running { Standing::Running } else { Standing::Recorded }
        }))
    }
}

/// One run of a batch.
fn record(
    chain: &mut Chain<'_>,
    run: &Finished,
    large: &Large,
    boot: &str,
) -> rusqlite::Result<Result<Recorded>> {
    let (tx, outcome) = (chain.tx, &run.outcome);
    if let Some(script) = &run.script {
        let there: bool = tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM improvement_scripts WHERE id = ?1)")?
            .query_row([script.id], |row| row.get(0))?;
        if !there {
            return Ok(Err(StoreError::Missing { what: "script", which: script.name.clone() }));
        }
    }
    let mut insert = tx.prepare_cached(
        "INSERT INTO improvement_runs (script_id, started_at, finished_at, success, stdout, stderr,
            duration_ms, backend, cartridge_path, run_uuid, boot_id, status, code_sha256, cycles,
            fuel, canvas_sha256)
         VALUES (:script, strftime('%Y-%m-%d %H:%M:%f', :now, :before), :now, :success, :stdout,
            :stderr, :duration, :backend, :cartridge, :uuid, :boot, :status, :code, :cycles, :fuel,
            :canvas)
         ON CONFLICT (run_uuid) DO NOTHING",
    )?;
    let inserted = insert.execute(named_params! {
        ":script": run.script.as_ref().map(|script| script.id),
        ":now": chain.now,
        ":before": format!("-{:.3} seconds", outcome.duration as f64 / 1e3),
        ":success": outcome.status == RunStatus::Ok,
        ":stdout": large.stdout.is_none().then_some(&outcome.stdout),
        ":stderr": outcome.stderr,
        ":duration": outcome.duration as i64,
        ":backend": outcome.backend,
        ":cartridge": run.cartridge,
        ":uuid": run.uuid,
        ":boot": boot,
        ":status": outcome.status.name(),
        ":code": run.code_sha256,
        ":cycles": outcome.cycles as i64,
        ":fuel": outcome.fuel as i64,
        ":canvas": outcome.canvas_sha256,
    })?;
    if inserted == 0 {
        return Ok(Err(StoreError::Recorded { uuid: run.uuid.clone() }));
    }
    let id = tx.last_insert_rowid();
    let map_id = ended(chain, id, run, large, fastrand::f64() * 2.0 - 1.0)?;
    Ok(Ok(Recorded { id, map_id }))
}
