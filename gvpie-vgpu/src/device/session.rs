//! Dispatches that are gone through step by step.

use super::threads::STACK;
use crate::interp::{
    Access, Datum, Dispatch, Group, Look, Mask, Program, RunError, Stop, Texels, Watch,
};
use crate::ir::{Scope, Span, Variable, Where};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Steps between looks at the clock.
const STEPS: u32 = 256;

/// How far a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the next instruction that any lane takes.
    Instruction,
    /// To the next line that any lane comes to.
    Line,
    /// To the next time that lanes come to this line from another, counted from 1 on.
    At(usize),
    /// To the next barrier.
    Barrier,
    /// To the end of all workgroups.
    End,
}

/// Where a session waits: before a step is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The workgroup.
    pub workgroup: [u32; 3],
    /// The lanes that take the step, lowest first; others have gone another way, or have ended.
    pub lanes: Vec<u32>,
    /// Where the step is in the source.
    pub span: Span,
    /// The line, from 1 on; 0 where the source is not known.
    pub line: usize,
    /// The barrier, if it is one.
    pub barrier: Option<Scope>,
}

/// A dispatch that waits between steps, for who debugs a kernel.
///
/// All workgroups run one after another, on a thread of the session's own, and those that were chosen wait
/// before their first step. Constants that variables begin with are set first of all. Buffers and textures hold at any time what was written so far. To drop a session
/// is to end it where it is.
///
/// ```
/// use gvpie_vgpu::{Bindings, Buffer, Datum, Device, Module, Options, Until};
/// let source = "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
/// @compute @workgroup_size(4)
/// fn main(@builtin(local_invocation_index) lane: u32) {
///     var sum = 0u;
///     for (var i = 0u; i <= lane; i++) {
///         sum += i;
///     }
///     data[lane] = sum;
/// }";
/// let kernel = Module::new(source, &[])?.kernel("main")?;
/// let data = Buffer::zeroed(16)?;
/// let bindings = Bindings::new().buffer(0, 0, &data);
/// let device = Device::new(Options::default())?;
/// let mut session = device.step(&kernel, source, &bindings, [1, 1, 1], &[[0; 3]])?;
/// // The third round: lanes 0 and 1 have left the loop.
/// for _ in 0..3 {
///     session.run(Until::At(6))?;
/// }
/// assert_eq!(session.here().unwrap().lanes, [2, 3]);
/// assert_eq!(session.variable(3, "sum"), Some(vec![Datum::U32(1)]));
/// session.run(Until::Line)?;
/// session.run(Until::At(8))?;
/// assert_eq!(session.variable(1, "sum"), Some(vec![Datum::U32(1)]));
/// assert_eq!(session.run(Until::End)?, None);
/// assert_eq!(data.read(12, 4)?, [6, 0, 0, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    variables: Vec<Variable>,
    /// Whom to ask. The thread ends when nobody can ask any more.
    asks: Option<Sender<Ask>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    interrupt: Arc<AtomicBool>,
    state: State,
}

/// Has a session wait that another thread waits for. A clone is of the same session.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// The session waits before its next step, or if it waits already, before the first one of its next run.
    pub fn now(&self) {
        self.0.store(true, Relaxed);
    }
}

#[derive(Debug)]
enum State {
    Waits(Here),
    Ended(Result<(), RunError>),
}

/// What the thread is asked.
#[derive(Debug)]
enum Ask {
    Run(Until),
    Read(usize, Where),
    Memory,
}

/// What it answers.
#[derive(Debug)]
enum Answer {
    Waits(Here),
    Read(Option<Vec<Datum>>),
    Memory(Vec<u8>),
    Ended(Result<(), RunError>),
}

impl Session {
    pub(super) fn new(
        program: Arc<Program>,
        dispatch: Dispatch,
        source: &str,
        workgroups: &[[u32; 3]],
    ) -> Result<Session, RunError> {
        let count = dispatch.workgroups;
        let outside = |id: &&[u32; 3]| (0..3).any(|axis| id[axis] >= count[axis]);
        if let Some(found) = workgroups.iter().find(outside) {
            return Err(RunError::NoWorkgroup { expected: count, found: *found });
        }
        let (asks, asked) = channel();
        let (answer, answers) = channel();
        let interrupt = Arc::new(AtomicBool::new(false));
        let mut stepper = Stepper {
            asked,
            answer,
            interrupt: Arc::clone(&interrupt),
            limit: dispatch.deadline.map(|(limit, _)| limit),
            begun: Instant::now(),
            until_clock: STEPS,
            lines: lines(source),
            workgroups: workgroups.to_vec(),
            workgroup: [0; 3],
            chosen: false,
            until: Until::Instruction,
            line: 0,
        };
        // The time that it waits does not count: the stepper looks at the clock.
        let dispatch = Dispatch { deadline: None, ..dispatch };
        let variables = program.kernel.variables.clone();
        let work = move || {
            let total = dispatch.workgroups.iter().map(|n| u64::from(*n)).product::<u64>();
            let mut group = Group::new(&program, &dispatch, &mut stepper);
            let stop = (0..total).find_map(|index| group.run(index).err());
            let end = match stop {
                Some(Stop::Error(error)) => Err(*error),
                Some(Stop::Superseded) => return,
                None => Ok(()),
            };
            // If nobody listens, nobody wants to know.
            let _ = stepper.answer.send(Answer::Ended(end));
        };
        let builder = Builder::new().name("vgpu-session".into()).stack_size(STACK);
        let thread = builder.spawn(work).map_err(|error| RunError::Threads(error.to_string()))?;
        let mut session = Session {
            variables,
            asks: Some(asks),
            answers,
            thread: Some(thread),
            interrupt,
            state: State::Ended(Ok(())),
        };
        session.wait()?;
        Ok(session)
    }

    /// Goes on, and waits until it waits again; nothing once all workgroups have ended.
    /// [`Options::deadline`](super::Options::deadline) is for each run by itself.
    ///
    /// # Errors
    /// What stops a dispatch. The session has ended then, and says so again.
    pub fn run(&mut self, until: Until) -> Result<Option<&Here>, RunError> {
        if let State::Waits(_) = self.state {
            self.ask(Ask::Run(until));
            self.wait()?;
        }
        match &self.state {
            State::Waits(here) => Ok(Some(here)),
            State::Ended(end) => end.clone().map(|()| None),
        }
    }

    /// Where it waits; nothing once it has ended.
    pub fn here(&self) -> Option<&Here> {
        match &self.state {
            State::Waits(here) => Some(here),
            State::Ended(_) => None,
        }
    }

    /// The kernel's variables: of inlined functions, and of blocks, there may be several of one name.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What the first variable of this name holds in a lane, element by element, be it that the lane takes
    /// part or not; nothing if there is no such variable or lane, or the session has ended.
    pub fn variable(&self, lane: u32, name: &str) -> Option<Vec<Datum>> {
        let variable = self.variables.iter().find(|variable| variable.name == name)?;
        self.read(lane, variable.at)
    }

    /// What is at the place of a variable.
    pub fn read(&self, lane: u32, at: Where) -> Option<Vec<Datum>> {
        self.here()?;
        self.ask(Ask::Read(lane as usize, at));
        match self.answers.recv() {
            Ok(Answer::Read(data)) => data,
            _ => None,
        }
    }

    /// The workgroup's memory; nothing once it has ended.
    pub fn workgroup_memory(&self) -> Option<Vec<u8>> {
        self.here()?;
        self.ask(Ask::Memory);
        match self.answers.recv() {
            Ok(Answer::Memory(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// To have it wait while a thread is in [`Session::run`].
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(Arc::clone(&self.interrupt))
    }

    fn ask(&self, ask: Ask) {
        if let Some(asks) = &self.asks {
            // A thread that has ended has closed its answers too, which whoever waits for one sees.
            let _ = asks.send(ask);
        }
    }

    fn wait(&mut self) -> Result<(), RunError> {
        self.state = match self.answers.recv() {
            Ok(Answer::Waits(here)) => State::Waits(here),
            Ok(Answer::Ended(end)) => State::Ended(end),
            Ok(Answer::Read(_) | Answer::Memory(_)) => broken("an answer to another question"),
            Err(_) => broken("a session's thread has ended before its kernel"),
        };
        match &self.state {
            State::Ended(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

fn broken(what: &str) -> State {
    State::Ended(Err(RunError::Broken(what.into())))
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its thread waits for questions, or has ended: as none can come any more, it ends.
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // What a panic of its would say has come out as an error.
            let _ = thread.join();
        }
    }
}

/// Who looks on, on the session's thread.
#[derive(Debug)]
struct Stepper {
    asked: Receiver<Ask>,
    answer: Sender<Answer>,
    interrupt: Arc<AtomicBool>,
    /// How long a run may take, and when it began.
    limit: Option<Duration>,
    begun: Instant,
    until_clock: u32,
    /// The first byte of each line.
    lines: Vec<usize>,
    workgroups: Vec<[u32; 3]>,
    workgroup: [u32; 3],
    /// Whether it waits in this workgroup.
    chosen: bool,
    until: Until,
    /// The line of the step before.
    line: usize,
}

fn lines(source: &str) -> Vec<usize> {
    let ends = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
}

impl Stepper {
    /// The line of a step; that of the one before where it comes from nowhere.
    fn line(&self, span: Span) -> usize {
        match span {
            span if span == Span::default() => self.line,
            span => self.lines.partition_point(|first| *first <= span.start as usize),
        }
    }

    fn waits(&self, look: &Look<'_>, line: usize) -> bool {
        if self.interrupt.swap(false, Relaxed) {
            return true;
        }
        let known = look.span != Span::default();
        match self.until {
            Until::Instruction => known,
            Until::Line => known && line != self.line,
            Until::At(wanted) => known && line != self.line && line == wanted,
            Until::Barrier => look.barrier.is_some(),
            Until::End => false,
        }
    }

    /// Answers until it is to go on.
    fn serve(&mut self, look: &Look<'_>, line: usize) -> Result<(), Stop> {
        let here = Here {
            workgroup: self.workgroup,
            lanes: look.mask.lanes().map(|lane| lane as u32).collect(),
            span: look.span,
            line,
            barrier: look.barrier,
        };
        let mut answer = Answer::Waits(here);
        loop {
            // Nobody listens any more, or nobody asks.
            self.answer.send(answer).map_err(|_| Stop::Superseded)?;
            answer = match self.asked.recv().map_err(|_| Stop::Superseded)? {
                Ask::Read(lane, at) => Answer::Read(look.read(lane, at)),
                Ask::Memory => Answer::Memory(look.memory()),
                Ask::Run(until) => {
                    self.until = until;
                    (self.begun, self.until_clock) = (Instant::now(), STEPS);
                    return Ok(());
                }
            };
        }
    }
}

impl Watch for Stepper {
    const ACTIVE: bool = false;
    const STEPS: bool = true;

    fn begin(&mut self, workgroup: [u32; 3]) {
        self.workgroup = workgroup;
        self.line = 0;
        self.chosen = self.workgroups.contains(&workgroup);
    }

    fn step(&mut self, look: &Look<'_>) -> Result<(), Stop> {
        self.until_clock -= 1;
        if self.until_clock == 0 {
            self.until_clock = STEPS;
            if let Some(limit) = self.limit.filter(|limit| self.begun.elapsed() > *limit) {
                return Err(RunError::Deadline { limit }.into());
            }
        }
        if self.chosen || self.interrupt.load(Relaxed) {
            let line = self.line(look.span);
            if self.waits(look, line) {
                self.serve(look, line)?;
            }
            self.line = line;
        }
        Ok(())
    }

    fn access(&mut self, _: Access<'_>) {}
    fn texels(&mut self, _: Texels<'_>) {}
    fn barrier(&mut self, _: Scope, _: &Mask, missing: Option<usize>, _: Span) -> bool {
        missing.is_none()
    }
    fn bound(&mut self, _: &[u32], _: u32, _: &Mask, _: Span) {}
    fn divided_by_zero(&mut self, _: &Mask, _: Span) {}
    fn not_a_number(&mut self, _: &Mask, _: Span) {}
}
