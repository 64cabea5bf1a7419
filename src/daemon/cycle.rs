//! One cycle, from the question how the API is to the news of what ran.

use super::client::{Answer, Client, Report};
use super::python::Sandbox;
use super::{Options, Stop};
use crate::store::{Due, Language, Outcome, Result, RunStatus, Started, Store, StoreError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Scripts a cycle.
const SCRIPTS: u32 = 3;

/// How long a run may go on when it is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How often it is looked, while a run goes on, whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A script is not tried again, as if nothing had happened, that took the API or the daemon with it so often
/// in a row.
const ATTEMPTS: i64 = 5;

/// Bytes that there must be room for before anything is claimed after there was none.
const ROOM: usize = 256 << 10;

/// What a cycle has come to.
#[derive(Debug, Default)]
pub(super) struct Cycle {
    /// Its number; the first of a folder is 1.
    pub number: i64,
    /// Why nothing was claimed, or nothing more.
    pub trouble: Option<String>,
    /// Runs that were recorded.
    pub ran: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// Those of them that were skipped.
    pub skipped: u32,
    /// How long it took.
    pub duration: Duration,
    /// When it was recorded, as the store has it.
    pub at: Option<String>,
}

/// A run that has ended and is not recorded yet.
struct Ended {
    run: Started,
    script: Due,
    cycle: i64,
    outcome: Outcome,
    canvas: Option<Vec<u8>>,
}

/// What lives from cycle to cycle.
pub(super) struct Daemon<'a> {
    pub options: &'a Options,
    pub store: Store,
    pub client: Client,
    stop: &'a Stop,
    sandbox: Sandbox,
    number: i64,
    /// What could not be recorded yet; nothing is claimed as long as there is some.
    unrecorded: Vec<Ended>,
    /// Whether there was no space when something was last written.
    pub full: bool,
    /// What was last told of as a trouble, so that it is told once.
    told: Option<String>,
    /// When the day's work is next due, by the loop's clock.
    pub upkeep: Duration,
}

impl<'a> Daemon<'a> {
    /// Ends the runs of those that came before.
    pub fn new(
        options: &'a Options,
        mut store: Store,
        client: Client,
        stop: &'a Stop,
    ) -> Result<Self> {
        let number = store.last_cycle()?;
        let abandoned = store.abandon_runs(number)?;
        if abandoned > 0 {
            tracing::warn!(abandoned, "runs of another life are due again");
        }
        Ok(Daemon {
            sandbox: Sandbox::new(options.allow_python),
            options,
            store,
            client,
            stop,
            number,
            unrecorded: Vec::new(),
            full: false,
            told: None,
            upkeep: Duration::ZERO,
        })
    }

    /// Runs what is due. Whatever goes wrong is in the cycle, and tried again in the next.
    pub fn cycle(&mut self) -> Cycle {
        self.number += 1;
        let mut cycle = Cycle { number: self.number, ..Cycle::default() };
        let began = Instant::now();
        match self.work(&mut cycle) {
            Ok(()) => self.full = false,
            Err(error) => self.trouble(&error, &mut cycle),
        }
        let context = json!({
            "ran": cycle.ran,
            "failed": cycle.failed,
            "skipped": cycle.skipped,
            "trouble": cycle.trouble,
        });
        let measured = self.store.measure(&[
            ("cycle", cycle.number as f64, Some(&context.to_string())),
            ("cycle_duration_ms", began.elapsed().as_secs_f64() * 1e3, None),
        ]);
        match measured {
            Ok(at) => cycle.at = Some(at),
            Err(error) => self.trouble(&error, &mut cycle),
        }
        cycle
    }

    /// The store cannot do it. That there is no space is said in the same words each time.
    fn trouble(&mut self, error: &StoreError, cycle: &mut Cycle) {
        if error.is_full() {
            tracing::debug!(%error, "full");
            self.full = true;
            let folder = self.options.data.display();
            cycle.trouble = Some(format!("no space is left in {folder}; scripts wait"));
        } else if cycle.trouble.is_none() {
            cycle.trouble = Some(error.to_string());
        }
    }

    fn work(&mut self, cycle: &mut Cycle) -> Result<()> {
        if self.full {
            self.probe()?;
        }
        while let Some(ended) = self.unrecorded.pop() {
            self.record(ended, cycle)?;
        }
        if let Err(error) = self.client.health() {
            cycle.trouble = Some(format!("the API at {} is not well: {error}", self.options.api));
            return Ok(());
        }
        for script in self.store.due(SCRIPTS)? {
            if self.stop.asked() || cycle.trouble.is_some() {
                break;
            }
            self.claim(script, cycle)?;
        }
        Ok(())
    }

    /// Whether there is room for what a run leaves, beyond what the log has left over.
    fn probe(&self) -> Result<()> {
        let folder = &self.options.data;
        let written = tempfile::tempfile_in(folder)
            .and_then(|mut file| file.write_all(&[0x5a; ROOM]).and_then(|()| file.sync_all()));
        written.map_err(|source| StoreError::File { path: folder.clone(), source })
    }

    /// One script, from its claim to its record.
    fn claim(&mut self, script: Due, cycle: &mut Cycle) -> Result<()> {
        let run = self.store.begin_run(&script)?;
        let (outcome, canvas) = if run.attempt > ATTEMPTS {
            let why = format!("no answer came in {ATTEMPTS} attempts in a row");
            (Outcome::unrun(RunStatus::Failed, why), None)
        } else if script.language == Language::Python {
            let asked = Asked::default();
            let outcome = self.sandbox.run(&script.code, || asked.long_enough(self.stop));
            if asked.long_enough(self.stop) {
                self.store.abandon_run(&run, &script, self.number, STOPPED)?;
                return Ok(());
            }
            (outcome, None)
        } else {
            match self.execute(&run, &script) {
                Answer::Ran(report) => ended(*report),
                Answer::Broken(why) => (Outcome::unrun(RunStatus::Broken, why), None),
                Answer::Refused(why) => (Outcome::unrun(RunStatus::Failed, why), None),
                Answer::NotNow(why) => {
                    self.store.release_run(&run)?;
                    cycle.trouble = Some(format!("the API does not run scripts now: {why}"));
                    return Ok(());
                }
                Answer::Lost(why) => {
                    self.store.abandon_run(&run, &script, self.number, &why)?;
                    cycle.trouble = Some(format!("'{}' had no answer: {why}", script.name));
                    return Ok(());
                }
            }
        };
        self.record(Ended { run, script, cycle: self.number, outcome, canvas }, cycle)
    }

    /// Records what came of a run, or keeps it until that can be done.
    fn record(&mut self, mut ended: Ended, cycle: &mut Cycle) -> Result<()> {
        let mut written = || -> Result<bool> {
            if let Some(canvas) = &ended.canvas {
                ended.outcome.canvas_sha256 = Some(self.store.keep(canvas)?);
            }
            self.store.end_run(&ended.run, &ended.script, ended.cycle, &ended.outcome)
        };
        match written() {
            Ok(_) => {
                self.recorded(&ended);
                cycle.ran += 1;
                match ended.outcome.status {
                    RunStatus::Failed | RunStatus::Broken => cycle.failed += 1,
                    RunStatus::Skipped => cycle.skipped += 1,
                    RunStatus::Ok => {}
                }
                Ok(())
            }
            Err(error) => {
                self.unrecorded.push(ended);
                Err(error)
            }
        }
    }

    /// Tells of a run, to the log and to those who listen.
    fn recorded(&self, Ended { run, script, outcome, .. }: &Ended) {
        let (uuid, status) = (&run.uuid, outcome.status.name());
        tracing::debug!(script = script.name, run = uuid, status, "recorded");
        let data = json!({
            "run_uuid": uuid,
            "script": script.name,
            "status": status,
            "backend": outcome.backend,
            "duration_ms": outcome.duration,
            "cycles": outcome.cycles,
        });
        self.client.tell("run", &data);
    }

    /// Has the API run a script, on a thread of its own so that this one can stop waiting.
    fn execute(&self, run: &Started, script: &Due) -> Answer {
        let request = json!({
            "lang": script.language.name(),
            "code": script.code,
            "run_uuid": run.uuid,
            "canvas": "base64",
        });
        let (client, (answered, answer)) = (self.client.clone(), mpsc::channel());
        let asking = std::thread::Builder::new().name("execute".into()).spawn(move || {
            // Nobody waits for it when the grace is over.
            let _ = answered.send(client.execute(&request));
        });
        if let Err(error) = asking {
            return Answer::NotNow(format!("no thread: {error}"));
        }
        let asked = Asked::default();
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => {
                    return Answer::Lost("the request has failed".into());
                }
                Err(RecvTimeoutError::Timeout) if asked.long_enough(self.stop) => {
                    return Answer::Lost(STOPPED.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Tells of a cycle: a line in the log, one on a terminal, and an event to those who listen to the API.
    pub fn tell(&mut self, cycle: &Cycle) {
        let Cycle { number, ran, failed, skipped, .. } = *cycle;
        let milliseconds = cycle.duration.as_secs_f64() * 1e3;
        let trouble = cycle.trouble.as_deref();
        tracing::info!(cycle = number, ran, failed, skipped, milliseconds, trouble, "cycle");
        if self.options.progress {
            let trouble = trouble.map_or(String::new(), |trouble| format!("; {trouble}"));
            eprintln!(
                "gvpie: cycle {number}: {ran} run, {failed} failed, {milliseconds:.0} ms{trouble}"
            );
        }
        if cycle.trouble != self.told {
            match trouble {
                Some(trouble) => tracing::warn!(cycle = number, "{trouble}"),
                None => tracing::warn!(cycle = number, "all is well again"),
            }
            self.notice(trouble.unwrap_or("all is well again"));
            self.told = cycle.trouble.clone();
        }
        let data = json!({
            "cycle": number, "ran": ran, "failed": failed, "at": cycle.at,
        });
        self.client.tell("cycle", &data);
    }

    pub fn notice(&self, message: &str) {
        self.client.tell("notice", &json!({ "message": format!("daemon: {message}") }));
    }

    /// Records what it still can, and leaves the database without a log.
    pub fn end(mut self) {
        let mut last = Cycle::default();
        while let Some(ended) = self.unrecorded.pop() {
            if let Err(error) = self.record(ended, &mut last) {
                tracing::warn!(%error, "runs stay open, and are abandoned at the next start");
                break;
            }
        }
        if let Err(error) = self.store.checkpoint() {
            tracing::warn!(%error, "the log stays");
        }
    }
}

const STOPPED: &str = "the daemon was stopped";

/// Since when it is known that it is to stop.
#[derive(Default)]
struct Asked(std::cell::OnceCell<Instant>);

impl Asked {
    /// Whether what goes on has had its grace.
    fn long_enough(&self, stop: &Stop) -> bool {
        stop.asked() && self.0.get_or_init(Instant::now).elapsed() >= GRACE
    }
}

/// What is recorded of a program that was run, and its canvas.
fn ended(report: Report) -> (Outcome, Option<Vec<u8>>) {
    let mut stderr = report.error.unwrap_or_default();
    if let Some(notice) = report.notice {
        let line = if stderr.is_empty() { "" } else { "\n" };
        stderr += &format!("{line}notice: {notice}");
    }
    let outcome = Outcome {
        status: if report.success { RunStatus::Ok } else { RunStatus::Failed },
        stdout: report.stdout,
        stderr,
        duration: report.execution_time_ms.round() as u64,
        backend: match report.backend_used.as_str() {
            "gpu" => "gpu",
            "cpu" => "cpu",
            _ => "none",
        },
        cycles: report.cycles_executed,
        fuel: report.fuel,
        canvas_sha256: report.canvas_sha256,
        canvas: report.canvas,
    };
    let canvas = report.canvas_data.and_then(|text| STANDARD.decode(text).ok());
    (outcome, canvas)
}
