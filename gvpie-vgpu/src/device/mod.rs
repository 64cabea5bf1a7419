//! A device: threads that take workgroups from a counter, and limits on what a kernel may use.

mod bindings;
mod buffer;
mod format;
mod session;
#[cfg(test)]
mod tests;
mod texture;
mod threads;
mod words;

pub use bindings::Bindings;
pub use buffer::Buffer;
pub use format::Format;
pub use session::{Here, Interrupt, Session, Until};
pub use texture::{Extent, Texture};
pub(crate) use words::Words;

use crate::compile::{Compiled, MAX_WARP, Machine, asks_for_subgroups, choose_lanes};
use crate::interp::{Dispatch, Group, MAX_LANES, Program, RunError, Stop, Unwatched};
use crate::ir::Kernel;
use crate::optimise::{self, optimise};
use crate::sanitize::{Report, Sanitizer};
use bindings::Given;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use threads::Threads;

/// Workgroups along one axis at most, as WebGPU has it.
const MAX_WORKGROUPS: u32 = 65_535;

/// Pipelines that a device keeps, at most.
const KEPT: usize = 256;

/// Instructions and constructs of a kernel as machine code at most, times vectors of a warp: some seconds
/// of the code generator's. Larger kernels are interpreted.
const MAX_COMPILED: usize = 1 << 16;

/// How kernels are run. Both give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Execution {
    /// As machine code. Where there is none, for a processor that the code generator does not know, for
    /// subgroups of more than 32 lanes and for kernels of tens of thousands of instructions, interpreted.
    #[default]
    Compiled,
    /// By the interpreter.
    Interpreted,
}

/// What a [`Device`] may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Threads; 0 for as many as the machine runs at once.
    pub threads: usize,
    /// How kernels are run.
    pub execution: Execution,
    /// Whether kernels are made simpler before they run, which changes no bit of what they do.
    pub optimise: bool,
    /// Lanes of a subgroup: a power of two, 4 to 128.
    pub subgroup: usize,
    /// Lanes that machine code runs at a time, in kernels that do not look at subgroups: 4, 8, 16 or 32;
    /// 0 to choose for each kernel.
    pub warp: usize,
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
    /// All threads, machine code, subgroups of 32, 10¹³ instructions, no deadline, 1 GiB.
    fn default() -> Options {
        Options {
            threads: 0,
            execution: Execution::Compiled,
            optimise: true,
            subgroup: 32,
            warp: 0,
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
    /// What was prepared lately, by the hashes of kernels.
    kept: Mutex<HashMap<u64, Pipeline>>,
}

/// A kernel that a device has prepared, to be dispatched again and again.
#[derive(Debug, Clone)]
pub struct Pipeline {
    kernel: Arc<Kernel>,
    code: Arc<Prepared>,
}

/// What runs a kernel.
#[derive(Debug)]
enum Prepared {
    Interpreted(Box<Program>),
    Compiled(Box<Compiled>),
}

impl Pipeline {
    /// How it is run.
    pub fn execution(&self) -> Execution {
        match *self.code {
            Prepared::Interpreted(_) => Execution::Interpreted,
            Prepared::Compiled(_) => Execution::Compiled,
        }
    }

    /// Lanes that machine code runs at a time; none where it is interpreted.
    pub fn warp(&self) -> Option<usize> {
        match &*self.code {
            Prepared::Interpreted(_) => None,
            Prepared::Compiled(compiled) => Some(compiled.lanes()),
        }
    }
}

/// A dispatch under way.
#[derive(Debug)]
struct Job {
    code: Arc<Prepared>,
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
        if options.warp != 0 && ![4, 8, 16, 32].contains(&options.warp) {
            return Err(option("lanes of a warp", "4, 8, 16 or 32, or 0 to choose", options.warp));
        }
        if options.threads > 1024 {
            return Err(option("threads", "0 to 1024", options.threads));
        }
        let count = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, |count| count.get()),
            count => count,
        };
        Ok(Device { options, threads: Threads::new(count)?, kept: Mutex::default() })
    }

    /// Threads that run workgroups.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Prepares a kernel. One that is equal to one prepared lately is had at once.
    ///
    /// # Errors
    /// A kernel that breaks a rule of the [`ir`](crate::ir), nests too deep, has a workgroup that is too large,
    /// needs more memory than allowed, or has a
    /// texture of texels that this device does not know.
    pub fn prepare(&self, kernel: &Kernel) -> Result<Pipeline, RunError> {
        let mut hasher = DefaultHasher::new();
        kernel.hash(&mut hasher);
        let hash = hasher.finish();
        // What is kept is whole at any time: a panic of another holder leaves nothing half done.
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = kept().get(&hash).filter(|pipeline| *pipeline.kernel == *kernel) {
            return Ok(pipeline.clone());
        }
        self.fits(Program::check(kernel)?)?;
        let code = match self.options.optimise {
            true => {
                let kernel = optimise(kernel);
                self.compile(optimise::distribute(&kernel).as_ref().unwrap_or(&kernel))?
            }
            false => self.compile(kernel)?,
        };
        let bytes = match &code {
            Prepared::Interpreted(program) => program.bytes(),
            Prepared::Compiled(compiled) => compiled.bytes(),
        };
        self.affords(bytes, self.threads.count())?;
        let pipeline = Pipeline { kernel: Arc::new(kernel.clone()), code: Arc::new(code) };
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(hash, pipeline.clone());
        Ok(pipeline)
    }

    /// Machine code where it is asked for and can be had.
    fn compile(&self, kernel: &Kernel) -> Result<Prepared, RunError> {
        let subgroups = asks_for_subgroups(&kernel.body);
        let Options { execution, subgroup, warp, .. } = self.options;
        if execution == Execution::Interpreted || subgroups && subgroup > MAX_WARP {
            return Ok(Prepared::Interpreted(Box::new(Program::new(kernel)?)));
        }
        let lanes = match warp {
            _ if subgroups => subgroup,
            0 => choose_lanes(kernel),
            warp => warp,
        };
        let instructions = optimise::count(&kernel.body, usize::MAX).unwrap_or(usize::MAX);
        if instructions.saturating_mul(lanes / 4) > MAX_COMPILED {
            return Ok(Prepared::Interpreted(Box::new(Program::new(kernel)?)));
        }
        match Compiled::new(kernel, lanes) {
            Ok(compiled) => Ok(Prepared::Compiled(Box::new(compiled))),
            Err(RunError::Unsupported { .. }) => {
                Ok(Prepared::Interpreted(Box::new(Program::new(kernel)?)))
            }
            Err(error) => Err(error),
        }
    }

    /// What looks into a kernel as it runs takes it as it is.
    fn interpret(&self, kernel: &Kernel) -> Result<Program, RunError> {
        let program = Program::new(kernel)?;
        self.fits(program.lanes)?;
        self.affords(program.bytes(), 1)?;
        Ok(program)
    }

    fn fits(&self, lanes: usize) -> Result<(), RunError> {
        let (expected, found) = (self.options.workgroup as u64, lanes as u64);
        if found > expected { Err(RunError::Workgroup { expected, found }) } else { Ok(()) }
    }

    fn affords(&self, bytes: u64, threads: usize) -> Result<(), RunError> {
        let found = bytes.saturating_mul(threads as u64);
        let (what, expected) = ("registers and workgroups' memory", self.options.memory);
        if found > expected { Err(RunError::Memory { what, expected, found }) } else { Ok(()) }
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
        let dispatch = self.dispatch_of(&pipeline.kernel, bindings, count)?;
        let total = count.iter().map(|n| u64::from(*n)).product::<u64>();
        if total == 0 {
            return Ok(());
        }
        let job = Arc::new(Job {
            code: Arc::clone(&pipeline.code),
            dispatch,
            next: AtomicU64::new(0),
            count: total,
            error: Mutex::new(None),
        });
        let count = total.min(self.threads.count() as u64) as usize;
        match (&*pipeline.code, count) {
            // Waking a thread for it would take longer than most of what one runs.
            (Prepared::Compiled(_), 1) => threads::here(|| job.work())?,
            _ => {
                let share = Arc::clone(&job);
                self.threads.run(count, move || share.work())?;
            }
        }
        match job.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Runs `count` workgroups one after another on one thread, and tells what no correct kernel does.
    ///
    /// # Errors
    /// Those of [`Device::dispatch`], but for barriers in divergent flow, which are findings; more memory for
    /// what the sanitizer keeps, 40 bytes for each word that a kernel may write and 16 for each workgroup, than
    /// [`Options::memory`].
    pub fn check(
        &self,
        kernel: &Kernel,
        bindings: &Bindings,
        count: [u32; 3],
    ) -> Result<Report, RunError> {
        let program = self.interpret(kernel)?;
        let dispatch = self.dispatch_of(kernel, bindings, count)?;
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

    /// Begins a dispatch of `count` workgroups that can be gone through step by step, and waits before the
    /// first instruction of the first of `workgroups`. Lines are those of `source`.
    ///
    /// # Errors
    /// Those of [`Device::dispatch`]; a workgroup that the dispatch has not.
    pub fn step(
        &self,
        kernel: &Kernel,
        source: &str,
        bindings: &Bindings,
        count: [u32; 3],
        workgroups: &[[u32; 3]],
    ) -> Result<Session, RunError> {
        let program = Arc::new(self.interpret(kernel)?);
        let dispatch = self.dispatch_of(kernel, bindings, count)?;
        Session::new(program, dispatch, source, workgroups)
    }

    /// What the workgroups of a dispatch share, once it is checked.
    fn dispatch_of(
        &self,
        kernel: &Kernel,
        bindings: &Bindings,
        count: [u32; 3],
    ) -> Result<Dispatch, RunError> {
        for (axis, found) in ['x', 'y', 'z'].into_iter().zip(count) {
            if found > MAX_WORKGROUPS {
                return Err(RunError::Workgroups { axis, expected: MAX_WORKGROUPS, found });
            }
        }
        let Given { buffers, textures, immediate } = bindings.check(kernel)?;
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
        match &*self.code {
            Prepared::Interpreted(program) => {
                let mut watch = Unwatched;
                let mut group = Group::new(program, &self.dispatch, &mut watch);
                self.each(|index| group.run(index));
            }
            Prepared::Compiled(compiled) => {
                let mut machine = Machine::new(compiled, &self.dispatch);
                self.each(|index| machine.run(index));
            }
        }
    }

    fn each(&self, mut run: impl FnMut(u64) -> Result<(), Stop>) {
        loop {
            let index = self.next.fetch_add(1, Relaxed);
            if index >= self.count || self.dispatch.failed.load(Relaxed) < index {
                return;
            }
            if let Err(Stop::Error(error)) = run(index) {
                self.dispatch.failed.fetch_min(index, Relaxed);
                let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(other, _)| index < *other) {
                    *first = Some((index, *error));
                }
            }
        }
    }
}
