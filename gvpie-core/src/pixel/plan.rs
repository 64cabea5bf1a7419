//! Checks and choices, and the machines of a plan.

use super::program::Program;
use super::state::{Slice, State, Status, at};
use super::{Pixel, cpu, gpu};
use crate::context::Context;
use crate::device::Backend;
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Where machines run; prints as `host`, `group` or `lane`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// On the host, a thread a machine.
    Host,
    /// On a GPU, 32 threads a machine, which draw together.
    Group,
    /// On a GPU, a thread a machine.
    Lane,
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Algorithm::Host => "host",
            Algorithm::Group => "group",
            Algorithm::Lane => "lane",
        })
    }
}

/// What a dispatch runs of a machine at most, so that none holds a device for long: a few
/// milliseconds.
const SLICE: Slice = Slice { steps: 16_384, fuel: 16_384 };

/// Slices that are submitted at once, a dispatch each, at most: the host then looks who goes on.
const TOGETHER: u32 = 8;

/// Between these, a submission is long enough that what it costs besides is little, and short enough that
/// others come to the device.
const QUICK: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_millis(100);

/// Machines below which the host is done before a GPU would be.
const FEW: usize = 32;

/// Machines that keep a GPU busy with a thread each.
const MANY: usize = 8192;

/// Fuel of an instruction, on the average, above which its drawing is what takes the time.
const DRAWING: f64 = 4.0;

/// Fuel of an instruction of a program, on the average of its text: operands in registers count as
/// an area of 16 by 16.
fn cost(program: &Program) -> f64 {
    use super::isa::code as op;
    let area = |w: u8, h: u8| f64::from(w) * f64::from(h);
    let pixels = |&[code, _, _, c, d, e]: &super::isa::Instruction| match code {
        op::CLS | op::SCROLL | op::HIST => {
            f64::from(program.canvas[0]) * f64::from(program.canvas[1])
        }
        op::RECT => area(c, d),
        op::CIRCLE | op::DISC => 4.0 * area(c, c),
        op::TXT => 35.0 * f64::from(e),
        op::LINE | op::FRAME | op::CHR | op::SPR => 64.0,
        op::LINER..=op::BLIT => 256.0,
        _ => 0.0,
    };
    let all: f64 = program.code.iter().map(|i| 1.0 + pixels(i) / 64.0).sum();
    all / program.code.len().max(1) as f64
}

/// Whether the host is done before a GPU would be, and nobody has asked for one.
pub(super) fn is_few(problem: &Pixel) -> bool {
    let machines = problem.programs.len() * problem.copies;
    machines < FEW && matches!(problem.algorithm, None | Some(Algorithm::Host))
}

/// Fuel of an instruction of these programs at most.
fn dearest(programs: &[Program]) -> u32 {
    use super::isa::code as op;
    let mut codes = programs.iter().flat_map(|p| &p.code).map(|instruction| instruction[0]);
    let draws = |code| matches!(code, op::CLS | op::SCROLL | op::PLOT..=op::BLIT | op::HIST);
    if !codes.any(draws) {
        return 1;
    }
    let pixels = programs.first().map_or(0, |p| p.canvas[0] * p.canvas[1]);
    1 + pixels.div_ceil(64).max((255 * 35_u32).div_ceil(64))
}

/// Where machines of these programs, so many of each, run best. Pure.
pub(super) fn choose(problem: &Pixel, backend: Backend) -> Result<Algorithm> {
    let Pixel { programs, copies, algorithm, .. } = problem;
    let machines = programs.len() * copies;
    match (algorithm, backend) {
        (None | Some(Algorithm::Host), Backend::Cpu) => Ok(Algorithm::Host),
        (Some(other), Backend::Cpu) => Err(Error::unsupported(
            format!("the {other} kernel"),
            "this context computes on the host, which has machines of its own",
        )),
        (Some(asked), Backend::Gpu) => Ok(*asked),
        (None, Backend::Gpu) if is_few(problem) => Ok(Algorithm::Host),
        (None, Backend::Gpu) => {
            let mean = programs.iter().map(cost).sum::<f64>() / programs.len().max(1) as f64;
            let lane = machines >= MANY && mean < DRAWING;
            Ok(if lane { Algorithm::Lane } else { Algorithm::Group })
        }
    }
}

/// Checked programs. Made by [`Pixel::plan`].
#[derive(Debug, Clone)]
pub struct PixelPlan {
    problem: Pixel,
    algorithm: Algorithm,
    /// Fuel of an instruction at most.
    dearest: u32,
    ctx: Context,
}

impl PixelPlan {
    pub(super) fn new(problem: Pixel, ctx: &Context) -> Result<Self> {
        for program in problem.programs.iter() {
            program.check()?;
            let (asked, first) = (program.canvas, problem.programs[0].canvas);
            if asked != first {
                return Err(Error::Value {
                    operand: "the programs' canvases".into(),
                    expected: format!("one size, {} x {}", first[0], first[1]),
                    found: format!("{} x {}", asked[0], asked[1]),
                });
            }
        }
        let algorithm = choose(&problem, ctx.backend())?;
        let dearest = dearest(&problem.programs);
        Ok(PixelPlan { problem, algorithm, dearest, ctx: ctx.clone() })
    }

    /// Where its machines run.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Machines before their first instruction: of each program as many as were asked for, one
    /// program's after another's.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn start(&self) -> Result<Machines> {
        let Pixel { programs, copies, limit, .. } = &self.problem;
        let lanes = (programs.len() * copies) as u32;
        let states: Vec<State> = (0..lanes)
            .map(|lane| {
                let mut state = State::new(&programs[lane as usize / copies], lane, lanes);
                state.limit(*limit);
                state
            })
            .collect();
        let mut machines = Machines { plan: self.clone(), states, banks: Vec::new(), together: 1 };
        if self.algorithm != Algorithm::Host {
            machines.fill_banks()?;
        }
        Ok(machines)
    }

    fn program(&self, machine: usize) -> &Program {
        &self.problem.programs[machine / self.problem.copies]
    }

    /// Machines whose words and canvases a kernel can be shown at once.
    fn bank(&self) -> usize {
        let [width, height] = self.problem.programs.first().map_or([1; 2], |p| p.canvas);
        let bytes = 4 * (at::WORDS as u64).max(u64::from(width) * u64::from(height));
        let shown = self
            .ctx
            .device()
            .gpu()
            .map_or(u64::MAX, |gpu| gpu.limits().max_storage_buffer_binding_size);
        (shown / bytes).clamp(1, 1 << 20) as usize
    }
}

/// Machines of a [`PixelPlan`], on the device or on the host, wherever they are in their lives.
#[derive(Debug)]
pub struct Machines {
    plan: PixelPlan,
    /// As of when they were last on the host.
    states: Vec<State>,
    /// None on the host.
    banks: Vec<gpu::Bank>,
    /// Slices that are submitted at once.
    together: u32,
}

impl Machines {
    fn fill_banks(&mut self) -> Result<()> {
        let most = self.plan.bank();
        for (at, states) in self.states.chunks(most).enumerate() {
            let of = |i: usize| self.plan.program(at * most + i);
            let programs: Vec<&Program> = (0..states.len()).map(of).collect();
            let algorithm = self.plan.algorithm;
            self.banks.push(gpu::Bank::new(&self.plan.ctx, algorithm, &programs, states)?);
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Runs all of them until each waits or has stopped. A limit of cycles ends what else would not.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Timeout`].
    pub fn run(&mut self) -> Result<()> {
        while self.slices(SLICE, self.together)? > 0 {}
        Ok(())
    }

    /// Runs each for a slice, 16,384 instructions or drawing of as much fuel, and says how many machines
    /// would go on. A slice takes a few milliseconds at most, whatever the program.
    ///
    /// ```
    /// use gvpie_core::pixel::{Status, assemble};
    /// use gvpie_core::{Backend, Context, Pixel};
    /// let program = assemble("a: RECT 0 0 128 64\nJMP a").map_err(|faults| faults[0].clone())?;
    /// let mut machines = Pixel::new(program).plan(&Context::on(Backend::Cpu)?)?.start()?;
    /// assert_eq!(machines.advance()?, 1);
    /// let state = &machines.states()?[0];
    /// assert_eq!(state.status(), Status::Running);
    /// assert!(state.cycles() < 1000); // its rectangles have cost the rest
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn advance(&mut self) -> Result<usize> {
        self.slices(SLICE, 1)
    }

    /// Runs at most so many instructions of each, and says how many machines would go on.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn step(&mut self, instructions: u32) -> Result<usize> {
        let mut left = instructions;
        let mut running = self.len();
        while left > 0 && running > 0 {
            // Fuel ends no slice before its instructions are run.
            let steps = left.min(SLICE.fuel / self.plan.dearest).max(1);
            let slices = (left / steps).min(self.together);
            running = self.slices(Slice { steps, fuel: u32::MAX }, slices)?;
            left -= steps * slices;
        }
        Ok(running)
    }

    pub(super) fn slices(&mut self, slice: Slice, slices: u32) -> Result<usize> {
        if self.plan.algorithm != Algorithm::Host {
            let (ctx, start) = (&self.plan.ctx, Instant::now());
            let running: Result<usize> =
                self.banks.iter().map(|bank| bank.run(ctx, slice, slices)).sum();
            let taken = start.elapsed();
            if taken > LONG {
                self.together = (slices / 2).max(1);
            } else if taken < QUICK && slices == self.together {
                self.together = (2 * slices).min(TOGETHER);
            }
            return running;
        }
        let plan = &self.plan;
        let machines = self.states.par_iter_mut().enumerate();
        machines.for_each(|(machine, state)| {
            (0..slices).for_each(|_| cpu::run(plan.program(machine), state, slice));
        });
        Ok(self.states.iter().filter(|state| state.status() == Status::Running).count())
    }

    /// The states of all of them, as they are now.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn states(&mut self) -> Result<&[State]> {
        if !self.banks.is_empty() {
            let states: Result<Vec<Vec<State>>> = self.banks.iter().map(gpu::Bank::read).collect();
            self.states = states?.concat();
        }
        Ok(&self.states)
    }

    /// Changes their states, as [`State`]'s methods do: feeds, drains, begins frames.
    ///
    /// # Errors
    /// As [`states`](Self::states).
    pub fn change(&mut self, mut change: impl FnMut(usize, &mut State)) -> Result<()> {
        self.states()?;
        self.states.iter_mut().enumerate().for_each(|(machine, state)| change(machine, state));
        let most = self.plan.bank();
        self.banks.iter().zip(self.states.chunks(most)).try_for_each(|(bank, s)| bank.write(s))
    }
}
