//! Runs on their way: one thread owns the device, others compute on the host, and a limit on how many wait.

use super::execute::{Ran, Work, execute};
use super::problem::Problem;
use gvpie_core::{Backend, Context, ContextOptions, Error, Turn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Runs that wait at most; who comes then is asked to try again.
pub const WAITING: usize = 256;

/// Between two attempts to open a device that could not be opened.
const REOPENED: Duration = Duration::from_secs(30);

/// Where a run may take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where it suits.
    Any,
    /// On the device.
    Device,
    /// On the host.
    Host,
}

/// What is known of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adapter {
    /// It is being opened.
    Opening,
    /// It is there: its name, and whether it is a driver in software.
    Ready(String, bool),
    /// It is not: why.
    None(String),
}

type Answer = Result<Ran, Problem>;

struct Job {
    work: Work,
    place: Place,
    answer: oneshot::Sender<Answer>,
    cancelled: Arc<AtomicBool>,
    /// Of the queue; given back when the run begins.
    permit: OwnedSemaphorePermit,
}

/// Sets its flag when nobody waits any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens the device, again and again if need be.
type Open = Box<dyn Fn() -> gvpie_core::Result<Context> + Send>;

/// The queue and its threads, which end when it is dropped.
#[derive(Debug)]
pub struct Queue {
    room: Arc<Semaphore>,
    /// Where jobs go: to the device's thread, and to the host's. None once it is being dropped.
    jobs: Option<[Sender<Job>; 2]>,
    threads: Vec<JoinHandle<()>>,
    adapter: watch::Receiver<Adapter>,
    lost: Arc<AtomicU64>,
    own: Place,
}

impl Queue {
    /// Starts the threads. Runs that may take place anywhere go where `own` says; with [`Place::Host`]
    /// no device is ever opened.
    ///
    /// # Errors
    /// Those of starting threads; [`Error::Setting`].
    pub fn start(own: Place) -> gvpie_core::Result<Self> {
        let options = ContextOptions { backend: Some(Backend::Gpu), ..ContextOptions::from_env()? };
        let open = move || pollster::block_on(Context::request(options.clone()));
        Self::with(own, Box::new(open))
    }

    fn with(own: Place, open: Open) -> gvpie_core::Result<Self> {
        let (device, device_jobs) = channel();
        let (host, host_jobs) = channel();
        let lost = Arc::new(AtomicU64::new(0));
        let on_host = Context::on(Backend::Cpu)?;
        let mut threads = Vec::new();
        let adapter = match own {
            Place::Host => {
                watch::channel(Adapter::None("this server was told to use the CPU".into())).1
            }
            _ => {
                let (told, adapter) = watch::channel(Adapter::Opening);
                let owner = Owner {
                    open,
                    ctx: None,
                    tried: None,
                    told,
                    host: on_host.clone(),
                    lost: lost.clone(),
                };
                threads.push(spawn("device", move || owner.serve(&device_jobs))?);
                adapter
            }
        };
        let host_jobs = Arc::new(Mutex::new(host_jobs));
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (jobs, ctx) = (host_jobs.clone(), on_host.clone());
            threads.push(spawn("host", move || serve_host(&jobs, &ctx))?);
        }
        let room = Arc::new(Semaphore::new(WAITING));
        Ok(Queue { room, jobs: Some([device, host]), threads, adapter, lost, own })
    }

    /// Runs that wait.
    pub fn waiting(&self) -> usize {
        WAITING - self.room.available_permits()
    }

    /// Devices that were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What is known of the device now.
    pub fn adapter(&self) -> Adapter {
        self.adapter.borrow().clone()
    }

    /// The same, once it is known.
    pub async fn known(&self) -> Adapter {
        let mut adapter = self.adapter.clone();
        let known = adapter.wait_for(|adapter| *adapter != Adapter::Opening).await;
        known.map_or(Adapter::None("its thread has ended".into()), |adapter| adapter.clone())
    }

    /// Runs, when its turn comes. A run whose answer nobody awaits any more is stopped.
    ///
    /// # Errors
    /// A [`Problem`]: the queue is full, there is no device, what the library refuses.
    pub async fn run(&self, work: Work, place: Place) -> Answer {
        let place = if place == Place::Any { self.own } else { place };
        // Whoever names the device means a kernel, however few machines there are.
        let work = Work { on_gpu: place == Place::Device, ..work };
        let on_device = match place {
            Place::Host => false,
            Place::Device => match self.known().await {
                Adapter::None(reason) => {
                    return Err(Problem::value("backend", "one of /api/pixel/backends", reason));
                }
                _ => true,
            },
            // A driver in software is no gain where nobody asks for it.
            Place::Any => {
                !work.problem().suits_host()
                    && matches!(self.known().await, Adapter::Ready(_, software) if !software)
            }
        };
        let permit = self.room.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Problem::busy(WAITING))?;
        let (answer, awaited) = oneshot::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let waiting = Waiting(cancelled.clone());
        let ended = || Problem::defect("the thread that runs programs has ended");
        let [device, host] = self.jobs.as_ref().ok_or_else(ended)?;
        let queue = if on_device { device } else { host };
        queue.send(Job { work, place, answer, cancelled, permit }).map_err(|_| ended())?;
        let answer = awaited.await;
        drop(waiting);
        answer.map_err(|_| ended())?
    }
}

impl Drop for Queue {
    /// Waits for the threads: a process must not end while a driver is being left.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic was told when it happened
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> gvpie_core::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(format!("gvpie-{name}")).spawn(work);
    thread.map_err(|error| Error::Unsupported {
        what: "a thread of the queue".into(),
        reason: error.to_string(),
    })
}

/// Runs in a way that a defect ends the run and not the thread.
fn guarded(work: &Work, ctx: &Context, cancelled: &AtomicBool) -> Result<Ran, Failed> {
    let run = AssertUnwindSafe(|| execute(work, ctx, cancelled));
    match catch_unwind(run) {
        Ok(Ok(ran)) => Ok(ran),
        Ok(Err(error)) => Err(Failed::Core(error)),
        Err(_) => Err(Failed::Defect),
    }
}

enum Failed {
    Core(Error),
    Defect,
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Core(error) => error.into(),
            Failed::Defect => Problem::defect("a run has panicked"),
        }
    }
}

fn serve_host(jobs: &Mutex<Receiver<Job>>, ctx: &Context) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { work, answer, cancelled, permit, .. }) = job else { return };
        drop(permit);
        if !answer.is_closed() {
            let ran = guarded(&work, ctx, &cancelled).map_err(Problem::from);
            let _ = answer.send(ran); // who asked may have gone
        }
    }
}

/// What the device's thread has.
struct Owner {
    open: Open,
    ctx: Option<Context>,
    tried: Option<Instant>,
    told: watch::Sender<Adapter>,
    host: Context,
    lost: Arc<AtomicU64>,
}

impl Owner {
    fn serve(mut self, jobs: &Receiver<Job>) {
        self.reopen();
        while let Ok(Job { work, place, answer, cancelled, permit }) = jobs.recv() {
            drop(permit);
            if !answer.is_closed() {
                let ran = self.run(&work, place, &cancelled);
                let _ = answer.send(ran); // who asked may have gone
            }
        }
    }

    fn reopen(&mut self) {
        self.tried = Some(Instant::now());
        self.ctx = None;
        let adapter = match (self.open)() {
            Ok(ctx) => {
                let software = ctx.device().gpu().is_none_or(|gpu| gpu.is_software());
                let name = ctx.adapter();
                self.ctx = Some(ctx);
                Adapter::Ready(name, software)
            }
            Err(error) => Adapter::None(error.to_string()),
        };
        self.told.send_replace(adapter);
    }

    /// On the device; if it is lost, on a new one, once; then on the host, and the answer says so.
    fn run(&mut self, work: &Work, place: Place, cancelled: &AtomicBool) -> Answer {
        if self.ctx.is_none() && self.tried.is_none_or(|tried| tried.elapsed() > REOPENED) {
            self.reopen();
        }
        let mut reason = String::from("there is no device");
        for attempt in 0..2 {
            let Some(ctx) = &self.ctx else { break };
            match guarded(work, ctx, cancelled) {
                Ok(ran) if attempt == 0 => return Ok(ran),
                Ok(ran) => {
                    let notice = format!("{reason}; it was run again on a new device");
                    return Ok(Ran { notice: Some(notice), ..ran });
                }
                Err(Failed::Core(error @ (Error::DeviceLost { .. } | Error::Timeout { .. }))) => {
                    tracing::warn!(%error, "the device is opened anew");
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    reason = error.to_string();
                    self.reopen();
                }
                Err(Failed::Core(error)) if place == Place::Any && error.turn() != Turn::Caller => {
                    reason = error.to_string();
                    break;
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        let work = Work { on_gpu: false, ..work.clone() };
        let ran = guarded(&work, &self.host, cancelled)?;
        Ok(Ran { notice: Some(format!("{reason}; it was run on the CPU")), ..ran })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvpie_core::pixel::{Inputs, assemble};

    fn work(text: &str) -> Work {
        Work {
            programs: vec![assemble(text).unwrap()],
            copies: 1,
            cycles: 1 << 20,
            frames: 1,
            text: Vec::new(),
            inputs: Inputs::default(),
            canvases: false,
            on_gpu: true,
        }
    }

    fn gpu() -> gvpie_core::Result<Context> {
        Context::on(Backend::Gpu)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_lost_gpu_is_replaced_once_and_then_done_without() {
        let made = Arc::new(Mutex::new(Vec::new()));
        let opened = made.clone();
        let open = move || {
            let mut made = opened.lock().unwrap();
            if made.len() == 3 {
                return Err(Error::NoAdapter { reason: "it is gone".into(), found: Vec::new() });
            }
            let ctx = gpu()?;
            made.push(ctx.clone());
            Ok(ctx)
        };
        let queue = Queue::with(Place::Any, Box::new(open)).unwrap();
        let work = work("TXT 1 1 lost\nHALT");
        let runtime = runtime();
        let run = || runtime.block_on(queue.run(work.clone(), Place::Device)).unwrap();
        let lose = || made.lock().unwrap().last().unwrap().device().gpu().unwrap().wgpu().destroy();
        let first = run();
        assert_eq!((first.backend(), first.notice.clone()), ("gpu", None));
        for round in 1..=2 {
            lose();
            let again = run();
            assert_eq!((again.backend(), queue.lost()), ("gpu", round));
            assert!(again.notice.unwrap().contains("new device"));
            assert_eq!(again.canvas_sha256, first.canvas_sha256);
        }
        lose();
        let last = run();
        assert_eq!((last.backend(), last.canvas_sha256.clone()), ("cpu", first.canvas_sha256));
        assert!(last.notice.unwrap().ends_with("it was run on the CPU"));
        assert!(matches!(queue.adapter(), Adapter::None(_)));
    }

    #[test]
    fn what_runs_anywhere_runs_on_the_gpu_where_the_server_says_so() {
        let queue = Queue::with(Place::Device, Box::new(gpu)).unwrap();
        let work = Work { on_gpu: false, ..work("TXT 1 1 here\nHALT") };
        let run = |place| runtime().block_on(queue.run(work.clone(), place)).unwrap();
        let (any, host) = (run(Place::Any), run(Place::Host));
        assert_eq!((any.backend(), host.backend()), ("gpu", "cpu"));
        assert_eq!(any.canvas_sha256, host.canvas_sha256);
    }

    #[test]
    fn without_a_device_runs_that_name_one_are_refused() {
        let queue = Queue::start(Place::Host).unwrap();
        let run = |place| runtime().block_on(queue.run(work("HALT"), place));
        assert_eq!(run(Place::Device).unwrap_err().status(), 422);
        let host = Work { on_gpu: false, ..work("HALT") };
        assert_eq!(runtime().block_on(queue.run(host, Place::Any)).unwrap().backend(), "cpu");
    }

    #[test]
    fn a_full_queue_says_so_and_what_nobody_awaits_is_stopped() {
        let queue = Arc::new(Queue::start(Place::Host).unwrap());
        let runtime = runtime();
        let long = Work { cycles: u32::MAX, on_gpu: false, ..work("a: JMP a") };
        let refused = runtime.block_on(async {
            let start = || {
                let (queue, long) = (queue.clone(), long.clone());
                tokio::spawn(async move { queue.run(long, Place::Host).await.map(drop) })
            };
            let settled = async |waiting| {
                while queue.waiting() != waiting {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            // Those that run, and as many as wait behind them.
            let mut runs = Vec::new();
            for _ in 0..thread::available_parallelism().unwrap().get() {
                runs.push(start());
                tokio::time::sleep(Duration::from_millis(20)).await;
                settled(0).await;
            }
            runs.extend((0..WAITING).map(|_| start()));
            settled(WAITING).await;
            let refused = queue.run(long.clone(), Place::Host).await.unwrap_err();
            runs.iter().for_each(|run| run.abort());
            for run in runs {
                assert!(run.await.unwrap_err().is_cancelled());
            }
            refused
        });
        assert_eq!(refused.status(), 429);
        let quick = Work { on_gpu: false, ..work("HALT") };
        let began = Instant::now();
        while queue.waiting() > 0 {
            assert!(began.elapsed() < Duration::from_secs(5));
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(runtime.block_on(queue.run(quick, Place::Any)).unwrap().machines[0].cycles, 1);
    }
}
