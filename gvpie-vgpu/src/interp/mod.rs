//! The interpreter: a workgroup's lanes in lock step.
//!
//! Each instruction is looked up once and runs over all lanes of the workgroup, in a loop of its own over
//! vectors ([`lanes`]). One [`Mask`] says who takes part; lanes that go separate ways take turns ([`control`]).
//! A barrier then has nothing to do but to see that all are there. Who wants to know more brings a
//! [`Watch`].
//!
//! Operations without effect run over all lanes from the first to the last that takes part, whoever takes
//! part in between: what the others compute nobody looks at. Writes, atomics and what lanes do together ask
//! the mask.

mod compute;
mod control;
mod error;
mod lanes;
mod look;
mod memory;
mod plan;
mod step;
#[cfg(test)]
mod tests;
mod texture;
mod together;
mod watch;

pub use error::RunError;
pub(crate) use lanes::{MAX_LANES, Mask};
pub use look::Datum;
pub(crate) use look::Look;
pub(crate) use memory::{Bound, WIDE};
pub(crate) use plan::Program;
pub(crate) use watch::{Access, Reach, Shape, Texels, Unwatched, Watch};

use crate::device::Texture;
use crate::ir::{Builtin, Length};
use lanes::Registers;
use plan::Fixed;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Instructions × lanes between looks at the clock, at most: some milliseconds.
const QUANTUM: u64 = 1 << 20;

/// What all workgroups of a dispatch share.
#[derive(Debug)]
pub(crate) struct Dispatch {
    /// In the order of the kernel's bindings.
    pub(crate) bindings: Vec<Bound>,
    /// The same of textures; nothing where a buffer is, and there a buffer of no bytes.
    pub(crate) textures: Vec<Option<Texture>>,
    pub(crate) immediate: Bound,
    /// Workgroups along x, y and z.
    pub(crate) workgroups: [u32; 3],
    /// Lanes of a subgroup.
    pub(crate) subgroup: usize,
    /// Instructions × lanes at most.
    pub(crate) budget: u64,
    /// How long it may take, and when that is over.
    pub(crate) deadline: Option<(Duration, Instant)>,
    /// Instructions × lanes given out.
    pub(crate) spent: AtomicU64,
    /// The first workgroup that has failed; those after it stop.
    pub(crate) failed: AtomicU64,
}

/// Why a workgroup is not finished.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An error of its own.
    Error(Box<RunError>),
    /// One before it has failed, or nobody wants it any more.
    Superseded,
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Stop {
        Stop::Error(Box::new(error))
    }
}

/// A workgroup, and what a thread uses again for the next one.
pub(crate) struct Group<'a, W: Watch> {
    program: &'a Program,
    dispatch: &'a Dispatch,
    watch: &'a mut W,
    registers: Registers,
    /// The workgroup's memory, in words.
    workgroup: Vec<u32>,
    /// The lanes' own: word w of a lane is at w × lanes + lane, so that lanes that read the same word read
    /// side by side.
    private: Vec<u32>,
    /// The addresses that an instruction reaches.
    addresses: Vec<u32>,
    /// Who takes part, from whom to whom, who could, and whether they all do.
    mask: Mask,
    range: Range<usize>,
    all: Mask,
    whole: bool,
    /// Whether all from the first to the last take part.
    dense: bool,
    /// For each label, who has left it, and who goes on with its next round.
    left: Vec<Mask>,
    again: Vec<Mask>,
    /// Its place among the workgroups.
    id: [u32; 3],
    index: u64,
    /// Instructions × lanes until the next look at the clock.
    credit: u64,
}

impl<'a, W: Watch> Group<'a, W> {
    pub(crate) fn new(program: &'a Program, dispatch: &'a Dispatch, watch: &'a mut W) -> Self {
        let lanes = program.lanes;
        let all = Mask::first(lanes);
        let private = program.kernel.private_bytes.div_ceil(4) as usize;
        let mut group = Group {
            program,
            dispatch,
            watch,
            registers: Registers::zeroed(program.words, program.longs, lanes),
            workgroup: vec![0; program.kernel.workgroup_bytes.div_ceil(4) as usize],
            private: vec![0; private * lanes],
            addresses: vec![0; lanes],
            mask: all,
            range: 0..lanes,
            all,
            whole: true,
            dense: true,
            left: vec![Mask::NONE; program.labels],
            again: vec![Mask::NONE; program.labels],
            id: [0; 3],
            index: 0,
            credit: 0,
        };
        for (fixed, wide, register) in &program.fixed {
            match fixed {
                Fixed::Const(bits) => group.registers.fill_bits(*wide, *register, *bits),
                Fixed::Length(length) => {
                    group.registers.fill(*register, dispatch.length(*length));
                }
                Fixed::Builtin(builtin) => {
                    let first = group.builtin(*builtin, 0);
                    if (1..lanes).all(|lane| group.builtin(*builtin, lane) == first) {
                        group.registers.fill(*register, first);
                        continue;
                    }
                    for lane in 0..lanes {
                        let value = group.builtin(*builtin, lane);
                        group.registers.of_mut::<u32>(*register)[lane] = value;
                    }
                }
            }
        }
        group
    }

    /// Runs the workgroup of this number, x counting fastest.
    pub(crate) fn run(&mut self, index: u64) -> Result<(), Stop> {
        let [x, y, _] = self.dispatch.workgroups.map(u64::from);
        self.index = index;
        self.id = [index % x, index / x % y, index / (x * y)].map(|n| n as u32);
        self.workgroup.fill(0);
        self.private.fill(0);
        let program = self.program;
        for (wide, register) in &program.slots {
            self.registers.fill_bits(*wide, *register, 0);
        }
        for (fixed, _, register) in &program.fixed {
            if let Fixed::Builtin(Builtin::WorkgroupId(axis)) = fixed {
                let id = self.id.get(usize::from(*axis)).copied().unwrap_or(0);
                self.registers.fill(*register, id);
            }
        }
        self.enter(self.all);
        self.watch.begin(self.id);
        self.block(&program.body)
    }

    fn builtin(&self, builtin: Builtin, lane: usize) -> u32 {
        let [x, y, _] = self.program.kernel.workgroup;
        let (index, subgroup) = (lane as u32, self.dispatch.subgroup as u32);
        let of = |list: [u32; 3], axis: u8| list.get(usize::from(axis)).copied().unwrap_or(0);
        match builtin {
            Builtin::LocalId(axis) => of([index % x, index / x % y, index / (x * y)], axis),
            Builtin::LocalIndex => index,
            Builtin::WorkgroupId(axis) => of(self.id, axis),
            Builtin::Workgroups(axis) => of(self.dispatch.workgroups, axis),
            Builtin::SubgroupSize => subgroup,
            Builtin::SubgroupLane => index % subgroup,
            Builtin::SubgroupId => index / subgroup,
            Builtin::Subgroups => (self.program.lanes as u32).div_ceil(subgroup),
        }
    }

    /// Has these lanes take part from now on.
    fn enter(&mut self, mask: Mask) {
        self.whole = mask == self.all;
        self.range = if self.whole { 0..self.program.lanes } else { mask.range() };
        self.dense = self.whole || mask.count() == self.range.len();
        self.mask = mask;
    }

    /// Pays for so many instructions.
    fn charge(&mut self, instructions: usize) -> Result<(), Stop> {
        let cost = instructions as u64 * self.program.lanes as u64;
        if self.credit < cost {
            self.credit += self.dispatch.grant(cost, self.index)?;
        }
        self.credit -= cost;
        Ok(())
    }
}

impl Dispatch {
    /// Elements of an array.
    pub(crate) fn length(&self, length: Length) -> u32 {
        match length {
            Length::Fixed(count) => count,
            Length::Runtime { binding, offset, stride } => {
                let bytes = self.bindings[binding as usize].bytes();
                let count = bytes.saturating_sub(offset.into()) / u64::from(stride.max(1));
                count.clamp(1, u32::MAX.into()) as u32
            }
        }
    }

    /// Gives out instructions × lanes, if there are any and there is time.
    pub(crate) fn grant(&self, cost: u64, index: u64) -> Result<u64, Stop> {
        if self.failed.load(Relaxed) < index {
            return Err(Stop::Superseded);
        }
        if let Some((limit, end)) = self.deadline
            && Instant::now() >= end
        {
            return Err(RunError::Deadline { limit }.into());
        }
        // Small parts of small budgets, so that what other threads hold unspent is little.
        let part = (self.budget / 1024).clamp(1, QUANTUM).max(cost);
        let spend = |spent: u64| spent.checked_add(part).filter(|sum| *sum <= self.budget);
        match self.spent.fetch_update(Relaxed, Relaxed, spend) {
            Ok(_) => Ok(part),
            Err(_) => Err(RunError::Budget { instructions: self.budget }.into()),
        }
    }
}
