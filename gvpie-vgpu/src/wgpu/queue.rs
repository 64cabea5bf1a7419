//! The queue: a thread that does what was submitted, in order.

use super::adapter::Machine;
use super::command::{Command, CommandBuffer, Dispatch};
use super::pipeline::Compiled;
use super::{Api, Never};
use crate::interp::RunError;
use ::wgpu::hal;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What stopped the work of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The pipeline's label, empty if it has none.
    pub pipeline: String,
    /// The entry point; empty if it was no kernel.
    pub entry: String,
    /// The WGSL, where wgpu hands it on, as in [`Checked`](super::Checked).
    pub source: Option<Arc<str>>,
    /// Why.
    pub error: RunError,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    /// The kernel, its line where that is known, and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { pipeline, entry, source, error } = self;
        write!(f, "{entry} of '{pipeline}'")?;
        if let (Some(source), RunError::Divergent { span, .. } | RunError::Address { span, .. }) =
            (source, error)
        {
            write!(f, ", line {}", span.line(source))?;
        }
        write!(f, ": {error}")
    }
}

/// What a device and its queue share.
#[derive(Debug)]
pub(super) struct State {
    pub machine: Arc<Machine>,
    fault: OnceLock<Fault>,
}

impl State {
    pub(super) fn new(machine: &Arc<Machine>) -> State {
        State { machine: Arc::clone(machine), fault: OnceLock::new() }
    }

    /// What stopped the work, if anything has.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get().cloned()
    }

    /// An error if the work was stopped.
    pub(super) fn check(&self) -> Result<(), hal::DeviceError> {
        self.fault.get().map_or(Ok(()), |_| Err(hal::DeviceError::Lost))
    }

    /// Does commands until one fails, and none after that.
    fn run(&self, commands: &[Command]) {
        for command in commands {
            if self.fault.get().is_some() {
                return;
            }
            // SAFETY: wgpu has validated what it submits, and keeps the host from what is in use.
            let run = || unsafe { command.run(&self.machine) };
            // What a command changes is memory that holds whatever was written.
            let broken = |_| Err(RunError::Broken("a command panicked".into()));
            if let Err(error) = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(broken) {
                let (pipeline, entry, source) = match command {
                    Command::Dispatch(Dispatch { pipeline, .. }) => {
                        let Compiled { label, kernel, source, .. } = &**pipeline;
                        (label.clone(), kernel.name.clone(), source.clone())
                    }
                    _ => Default::default(),
                };
                self.fault.get_or_init(|| Fault { pipeline, entry, source, error });
            }
        }
    }
}

/// Rises as submissions are done.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<(Mutex<u64>, Condvar)>);

impl Fence {
    pub(super) fn value(&self) -> u64 {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rise(&self, value: u64) {
        let mut now = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = value.max(*now);
        self.0.1.notify_all();
    }

    /// Waits for a value, and says whether it has come.
    pub(super) fn wait(&self, value: u64, timeout: Option<Duration>) -> bool {
        // A time that the clock cannot tell never comes.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut now = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *now < value {
            let Some(end) = end else {
                now = self.0.1.wait(now).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            now = self.0.1.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// What the thread is sent: commands, and what rises when they are done.
struct Work {
    commands: Vec<Arc<[Command]>>,
    fence: Fence,
    value: u64,
}

/// The queue of a device.
#[derive(Debug)]
pub struct Queue {
    state: Arc<State>,
    works: Sender<Work>,
}

impl Queue {
    pub(super) fn new(state: &Arc<State>) -> Result<Queue, hal::DeviceError> {
        let (works, incoming) = channel();
        let shared = Arc::clone(state);
        std::thread::Builder::new()
            .name("vgpu-queue".into())
            .spawn(move || serve(&shared, &incoming))
            .map_err(|_| hal::DeviceError::OutOfMemory)?;
        Ok(Queue { state: Arc::clone(state), works })
    }

    fn send(
        &self,
        commands: Vec<Arc<[Command]>>,
        fence: &Fence,
        value: u64,
    ) -> Result<(), hal::DeviceError> {
        let work = Work { commands, fence: fence.clone(), value };
        self.works.send(work).map_err(|_| hal::DeviceError::Lost)
    }
}

/// Does what comes, until the queue is gone.
fn serve(state: &State, incoming: &Receiver<Work>) {
    for Work { commands, fence, value } in incoming {
        commands.iter().for_each(|commands| state.run(commands));
        // Whoever waits for it must not be kept from giving memory back by what is done.
        drop(commands);
        fence.rise(value);
    }
}

impl hal::Queue for Queue {
    type A = Api;

    unsafe fn submit(
        &self,
        command_buffers: &[&CommandBuffer],
        _: &[&Never],
        (fence, value): (&Fence, hal::FenceValue),
    ) -> Result<(), hal::DeviceError> {
        self.state.check()?;
        let commands = command_buffers.iter().map(|buffer| Arc::clone(&buffer.0)).collect();
        self.send(commands, fence, value)
    }

    unsafe fn present(
        &self,
        _: &super::adapter::Surface,
        texture: Never,
    ) -> Result<(), hal::SurfaceError> {
        match texture {}
    }

    unsafe fn get_timestamp_period(&self) -> f32 {
        1.0
    }

    unsafe fn wait_for_idle(&self) -> Result<(), hal::DeviceError> {
        let idle = Fence::default();
        self.send(Vec::new(), &idle, 1)?;
        idle.wait(1, None);
        Ok(())
    }
}
