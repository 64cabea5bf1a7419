//! Runs, on their way to the disk: together with those of the next 50 ms, each once.

use super::events::Events;
use super::execute::Ran;
use super::problem::Problem;
use super::request::Settings;
use crate::store::{Finished, Outcome, Standing, Store, StoreError};
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a run may wait for others.
const TOGETHER: Duration = Duration::from_millis(50);

/// Runs of one transaction at most.
const MOST: usize = 1024;

/// Runs that are kept while the disk takes none; more are refused.
const BACKLOG: usize = 10_000;

/// Between two attempts to write to a disk that took nothing.
const AGAIN: Duration = Duration::from_millis(500);

/// A run before it has taken place.
#[derive(Debug)]
pub struct Entry {
    task: &'static str,
    code: String,
    seed: Option<u32>,
    cartridge: Option<String>,
    canvas: [u32; 2],
    uuid: Option<String>,
}

impl Entry {
    /// Of a program, which is run for this reason and in this way, on canvases of this size.
    ///
    /// # Errors
    /// [`Problem::value`] for a name that is no UUID.
    pub fn new(
        task: &'static str,
        code: String,
        settings: &Settings,
        cartridge: Option<String>,
        canvas: [u32; 2],
    ) -> Result<Self, Problem> {
        let uuid = settings.run_uuid.as_deref().map(|text| {
            let parsed = uuid::Uuid::parse_str(text);
            parsed.map_err(|error| Problem::value("run_uuid", "a UUID", error))
        });
        let uuid = uuid.transpose()?.map(|uuid| uuid.to_string());
        Ok(Entry { task, code, seed: settings.seed(), cartridge, canvas, uuid })
    }

    /// The name that it shall have.
    pub fn uuid(&self) -> Option<&str> {
        self.uuid.as_deref()
    }
}

/// The right to record a run under its name.
#[derive(Debug)]
pub struct Claim {
    entry: Entry,
    uuid: String,
    /// Whether another records it.
    elsewhere: bool,
    claimed: Arc<Mutex<HashSet<String>>>,
}

impl Claim {
    /// The run's name.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uuid);
    }
}

/// A run to be written, and who waits for it.
struct Message {
    finished: Finished,
    claim: Claim,
    written: Option<oneshot::Sender<Result<(), String>>>,
}

enum Order {
    Record(Box<Message>),
    Finish(oneshot::Sender<()>),
}

/// Writes runs, in a thread of its own.
#[derive(Debug)]
pub struct Recorder {
    orders: Sender<Order>,
    claimed: Arc<Mutex<HashSet<String>>>,
    waiting: Arc<AtomicUsize>,
    stuck: Arc<AtomicBool>,
}

impl Recorder {
    /// Starts the thread, which owns this opening of the store.
    ///
    /// # Errors
    /// [`StoreError::File`] where no thread can be started.
    pub fn start(store: Store, events: Events) -> Result<Self, StoreError> {
        let (orders, received) = channel();
        let (waiting, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let path = store.path().to_path_buf();
        let mut writer = Writer {
            store,
            events,
            batch: Vec::new(),
            waiting: waiting.clone(),
            stuck: stuck.clone(),
        };
        let thread = thread::Builder::new().name("gvpie-recorder".into());
        let started = thread.spawn(move || writer.serve(&received));
        started.map_err(|source| StoreError::File { path, source })?;
        Ok(Recorder { orders, claimed: Arc::default(), waiting, stuck })
    }

    /// Whether the store cannot be written.
    pub fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Runs that are not on the disk yet.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes a run's name, of which the store knows this.
    ///
    /// # Errors
    /// [`Problem::conflict`] for a name that is taken; [`Problem::unavailable`] where too many runs wait
    /// for a disk that takes none.
    pub fn claim(&self, entry: Entry, known: Standing) -> Result<Claim, Problem> {
        if self.waiting() >= BACKLOG {
            let detail = format!("{BACKLOG} runs wait for a store that cannot be written");
            return Err(Problem::unavailable(detail));
        }
        let uuid = entry.uuid.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if known == Standing::Recorded || !claimed.insert(uuid.clone()) {
            return Err(Problem::conflict(format!("run_uuid: {uuid} is recorded already")));
        }
        let claimed = self.claimed.clone();
        Ok(Claim { entry, uuid, elsewhere: known == Standing::Running, claimed })
    }

    /// Has a run written, in this cycle of the daemon, and waits for it if it shall be `durable`; says
    /// what there is to say of it.
    ///
    /// # Errors
    /// [`Problem::unavailable`] where it should be durable and the store cannot be written.
    pub async fn record(
        &self,
        claim: Claim,
        ran: &Ran,
        cycle: i64,
        durable: bool,
    ) -> Result<Option<String>, Problem> {
        if claim.elsewhere {
            return Ok(None);
        }
        let outcome = Outcome { canvas: Some(claim.entry.canvas), ..ran.outcome() };
        let finished = Finished {
            uuid: claim.uuid.clone(),
            seed: claim.entry.seed.map(i64::from),
            cartridge: claim.entry.cartridge.clone(),
            ..Finished::asked(claim.entry.task, claim.entry.code.clone(), cycle, outcome)
        };
        let (written, wait) = durable.then(oneshot::channel).unzip();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let order = Order::Record(Box::new(Message { finished, claim, written }));
        let ended = || Problem::defect("the thread that records runs has ended");
        self.orders.send(order).map_err(|_| ended())?;
        match wait {
            Some(wait) => match wait.await.map_err(|_| ended())? {
                Ok(()) => Ok(None),
                Err(why) => {
                    Err(Problem::unavailable(format!("the run is not recorded yet: {why}")))
                }
            },
            None if self.is_stuck() => {
                Ok(Some("the store cannot be written; the run is recorded when it can".into()))
            }
            None => Ok(None),
        }
    }

    /// Writes what waits, and ends the thread.
    pub async fn finish(&self) {
        let (done, wait) = oneshot::channel();
        if self.orders.send(Order::Finish(done)).is_ok() {
            let _ = wait.await; // ended is ended
        }
    }
}

struct Writer {
    store: Store,
    events: Events,
    batch: Vec<Message>,
    waiting: Arc<AtomicUsize>,
    stuck: Arc<AtomicBool>,
}

impl Writer {
    fn serve(&mut self, orders: &Receiver<Order>) {
        let mut due = None;
        loop {
            let order = match due {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => {
                    orders.recv_timeout(Instant::saturating_duration_since(&due, Instant::now()))
                }
            };
            match order {
                Ok(Order::Record(message)) => {
                    self.batch.push(*message);
                    due = due.or(Some(Instant::now() + TOGETHER));
                    if self.batch.len() < MOST || self.stuck.load(Ordering::Relaxed) {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Finish(done)) => {
                    self.write();
                    if !self.batch.is_empty() {
                        tracing::error!(
                            runs = self.batch.len(),
                            "runs are lost: the store cannot be written"
                        );
                    }
                    let _ = done.send(()); // who asked may have gone
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
            self.write();
            due = (!self.batch.is_empty()).then(|| Instant::now() + AGAIN);
        }
    }

    /// Writes all that waits in one transaction; if that fails, it waits on.
    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let finished: Vec<Finished> =
            self.batch.iter().map(|message| message.finished.clone()).collect();
        match self.store.record_runs(&finished) {
            Ok(recorded) => {
                if self.stuck.swap(false, Ordering::Relaxed) {
                    tracing::info!("the store can be written again");
                    self.events
                        .tell("notice", json!({ "message": "the store can be written again" }));
                }
                self.waiting.fetch_sub(self.batch.len(), Ordering::Relaxed);
                for (Message { finished, written, claim }, recorded) in
                    self.batch.drain(..).zip(recorded)
                {
                    match &recorded {
                        Ok(map) => self.events.tell("run", told(&finished, map.map_id)),
                        Err(error) => tracing::warn!(run = finished.uuid, %error, "not recorded"),
                    }
                    if let Some(written) = written {
                        // Who asked may have gone.
                        let _ = written.send(recorded.map(drop).map_err(|error| error.to_string()));
                    }
                    drop(claim);
                }
            }
            Err(error) => {
                let why = error.to_string();
                if !self.stuck.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the store cannot be written");
                    let message = format!("the store cannot be written: {why}");
                    self.events.tell("notice", json!({ "message": message }));
                }
                for written in self.batch.iter_mut().filter_map(|message| message.written.take()) {
                    let _ = written.send(Err(why.clone())); // who asked may have gone
                }
            }
        }
    }
}

fn told(finished: &Finished, map: i64) -> serde_json::Value {
    json!({
        "run_uuid": finished.uuid,
        "script": null,
        "task": finished.task,
        "status": finished.outcome.status.name(),
        "backend": finished.outcome.backend,
        "duration_ms": finished.outcome.duration,
        "cycles": finished.outcome.cycles,
        "map_id": map,
    })
}
