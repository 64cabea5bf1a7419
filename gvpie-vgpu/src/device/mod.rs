//! A device: threads that take workgroups from a counter, and limits on what a kernel may use.

mod bindings;
mod buffer;
mod format;
#[cfg(test)]
mod tests;
mod texture;
mod threads;
mod words;

pub use bindings::Bindings;
pub use buffer::Buffer;
pub use format::Format;
pub use texture::{Extent, Texture};
pub(crate) use words::Words;

use crate::interp::{Dispatch, Group, MAX_LANES, Program, RunError, Stop, Unwatched};
use crate::ir::Kernel;
use crate::sanitize::{Report, Sanitizer};
use bindings::Given;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use threads::Threads;

/// Workgroups along one axis at most, as WebGPU has it.
const MAX_WORKGROUPS: u32 = 65_535;

/// What a [`Device`] may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Threads; 0 for as many as the machine runs at once.
    pub threads: usize,
    /// Lanes of a subgroup: a power of two, 4 to 128.
    pub subgroup: usize,
    /// Lanes of a workgroup at most, 1 to 1024.
    pub workgroup: usize,
    /// Instructions × lanes of a workgroup that one dispatch may run, over all its workgroups.
    pub budget: u64,
    /// How long one dispatch may take. Looked at every million instructions × lanes of each thread.
    pub deadline: Option<Duration>,
    /// Bytes that the threads may need for registers, workgroups' and lanes' own memory.
    pub memory: u64,
}

impl Default for Options {
    /// All threads, subgroups of 32, 10¹³ instructions, no deadline, 1 GiB.
    fn default() -> Options {
        Options {
            threads: 0,
            subgroup: 32,
            workgroup: MAX_LANES,
            budget: 10_u64.pow(13),
            deadline: None,
            memory: 1 << 30,
        }
    }
}

/// A compute device in software. Dispatches may come from several threads.
///
/// ```
/// use gvpie_vgpu::ir::{Kernel, Node, Op, Span, Type, Value};
/// use gvpie_vgpu::{Bindings, Device, Options};
/// let device = Device::new(Options { threads: 1, ..Options::default() })?;
/// let one = Node::Inst { first: Value(0), op: Op::Const(1), span: Span::default() };
/// let kernel = Kernel {
///     name: "main".into(),
///     workgroup: [64, 1, 1],
///     values: vec![Type::U32],
///     slots: vec![],
///     bindings: vec![],
///     workgroup_bytes: 0,
///     private_bytes: 0,
///     immediate_bytes: 0,
///     variables: vec![],
///     body: vec![one],
/// };
/// device.dispatch(&kernel, &Bindings::new(), [4, 1, 1])?;
/// # Ok::<(), gvpie_vgpu::RunError>(())
/// ```
#[derive(Debug)]
pub struct Device {
    options: Options,
    threads: Threads,
}

/// A kernel that a device has prepared, to be dispatched again and again.
#[derive(Debug, Clone)]
pub struct Pipeline {
    program: Arc<Program>,
}

/// A dispatch under way.
#[derive(Debug)]
struct Job {
    program: Arc<Program>,
    dispatch: Dispatch,
    /// The next workgroup that nobody has taken.
    next: AtomicU64,
    /// Workgroups in all.
    count: u64,
    /// What went wrong first, in the order of workgroups, and where.
    error: Mutex<Option<(u64, RunError)>>,
}

impl Device {
    /// A device with threads of its own.
    ///
    /// # Errors
    /// An option that is out of its range, or no threads to be had.
    pub fn new(options: Options) -> Result<Device, RunError> {
        let option = |option, expected, found: usize| RunError::Option {
            option,
            expected,
            found: found as u64,
        };
        if !options.subgroup.is_power_of_two() || !(4..=128).contains(&options.subgroup) {
            let expected = "a power of two, 4 to 128";
            return Err(option("lanes of a subgroup", expected, options.subgroup));
        }
        if !(1..=MAX_LANES).contains(&options.workgroup) {
            return Err(option("lanes of a workgroup", "1 to 1024", options.workgroup));
        }
        if options.threads > 1024 {
            return Err(option("threads", "0 to 1024", options.threads));
        }
        let count = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, |count| count.get()),
            count => count,
        };
        Ok(Device { options, threads: Threads::new(count)? })
    }

    /// Threads that run workgroups.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Prepares a kernel.
    ///
    /// # Errors
    /// A kernel that breaks a rule of the [`ir`](crate::ir), nests too deep, has a workgroup that is too large,
    /// needs more memory than allowed, or has a
    /// texture of texels that this device does not know.
    pub fn prepare(&self, kernel: &Kernel) -> Result<Pipeline, RunError> {
        let program = Program::new(kernel)?;
        if program.lanes > self.options.workgroup {
            return Err(RunError::Workgroup {
                expected: self.options.workgroup as u64,
                found: program.lanes as u64,
            });
        }
        let found = program.bytes().saturating_mul(self.threads.count() as u64);
        if found > self.options.memory {
            let (what, expected) = ("registers and workgroups' memory", self.options.memory);
            return Err(RunError::Memory { what, expected, found });
        }
        Ok(Pipeline { program: Arc::new(program) })
    }

    /// Runs `count` workgroups along x, y and z, and waits for them.
    ///
    /// # Errors
    /// Those of [`Device::prepare`] and [`Device::run`].
    pub fn dispatch(
        &self,
        kernel: &Kernel,
        bindings: &Bindings,
        count: [u32; 3],
    ) -> Result<(), RunError> {
        self.run(&self.prepare(kernel)?, bindings, count)
    }

    /// Runs a kernel that was prepared, and waits for it. After an error, buffers hold what was written.
    ///
    /// # Errors
    /// Bindings that are missing, unknown, of another kind, too small, misaligned or overlap; too many workgroups; and what
    /// stops a kernel: a barrier in divergent control flow, the budget, the deadline. Of several workgroups
    /// that fail, the first is told.
    pub fn run(
        &self,
        pipeline: &Pipeline,
        bindings: &Bindings,
        count: [u32; 3],
    ) -> Result<(), RunError> {
        let dispatch = self.dispatch_of(&pipeline.program, bindings, count)?;
        let total = count.iter().map(|n| u64::from(*n)).product::<u64>();
        if total == 0 {
            return Ok(());
        }
        let job = Arc::new(Job {
            program: Arc::clone(&pipeline.program),
            dispatch,
            next: AtomicU64::new(0),
            count: total,
            error: Mutex::new(None),
        });
        let share = Arc::clone(&job);
        self.threads.run(total.min(self.threads.count() as u64) as usize, move || share.work())?;
        match job.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Runs `count` workgroups one after another on one thread, and tells what no correct kernel does.
    ///
    /// # Errors
    /// Those of [`Device::dispatch`], but for barriers in divergent flow, which are findings; more memory for
    /// what the sanitizer keeps, 40 bytes for each word that a kernel may write, than [`Options::memory`].
    pub fn check(
        &self,
        kernel: &Kernel,
        bindings: &Bindings,
        count: [u32; 3],
    ) -> Result<Report, RunError> {
        let program = self.prepare(kernel)?.program;
        let dispatch = self.dispatch_of(&program, bindings, count)?;
        let options = &self.options;
        let sanitizer = Sanitizer::new(kernel, options.subgroup, &dispatch, options.memory)?;
        let total = count.iter().map(|n| u64::from(*n)).product::<u64>();
        let kept = Arc::new(Mutex::new((Some(sanitizer), None)));
        let share = Arc::clone(&kept);
        self.threads.run(1, move || {
            let mut kept = share.lock().unwrap_or_else(PoisonError::into_inner);
            let (sanitizer, stop) = &mut *kept;
            if let Some(sanitizer) = sanitizer {
                let mut group = Group::new(&program, &dispatch, sanitizer);
                *stop = (0..total).find_map(|index| group.run(index).err());
            }
        })?;
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match (kept.0.take(), kept.1.take()) {
            (_, Some(Stop::Error(error))) => Err(*error),
            (sanitizer, _) => Ok(sanitizer.map(Sanitizer::report).unwrap_or_default()),
        }
    }

    /// What the workgroups of a dispatch share, once it is checked.
    fn dispatch_of(
        &self,
        program: &Program,
        bindings: &Bindings,
        count: [u32; 3],
    ) -> Result<Dispatch, RunError> {
        for (axis, found) in ['x', 'y', 'z'].into_iter().zip(count) {
            if found > MAX_WORKGROUPS {
                return Err(RunError::Workgroups { axis, expected: MAX_WORKGROUPS, found });
            }
        }
        let Given { buffers, textures, immediate } = bindings.check(&program.kernel)?;
        let now = Instant::now();
        Ok(Dispatch {
            bindings: buffers,
            textures,
            immediate,
            workgroups: count,
            subgroup: self.options.subgroup,
            budget: self.options.budget,
            deadline: self
                .options
                .deadline
                .and_then(|limit| Some((limit, now.checked_add(limit)?))),
            spent: AtomicU64::new(0),
            failed: AtomicU64::new(u64::MAX),
        })
    }
}

impl Job {
    /// Runs workgroups until none is left, or one has failed.
    fn work(&self) {
        let mut watch = Unwatched;
        let mut group = Group::new(&self.program, &self.dispatch, &mut watch);
        loop {
            let index = self.next.fetch_add(1, Relaxed);
            if index >= self.count || self.dispatch.failed.load(Relaxed) < index {
                return;
            }
            if let Err(Stop::Error(error)) = group.run(index) {
                self.dispatch.failed.fetch_min(index, Relaxed);
                let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(other, _)| index < *other) {
                    *first = Some((index, *error));
                }
            }
        }
    }
}
