//! Rates of machines of PXL-1.

use super::Failure;
use super::bench::{RUNS, Row, TARGET, median_of, row};
use gvpie_core::pixel::{Algorithm, Machines, Mode, PixelPlan, Program, State, isa, isa::code};
use gvpie_core::{Backend, Context, Pixel};
use std::time::{Duration, Instant};

/// Machines to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// All run one program of arithmetic.
    Equal,
    /// Each runs arithmetic of its own, drawn at random.
    Distinct,
    /// Each draws a canvas of 64 by 64 in 256 instructions.
    Canvases,
    /// One machine on one thread of the host runs arithmetic.
    Host,
    /// One machine writes a line of text, from its program to its canvas.
    Once,
}

/// All of them.
pub(super) const TABLE: [Problem; 5] =
    [Problem::Equal, Problem::Distinct, Problem::Canvases, Problem::Host, Problem::Once];

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Problem::Equal => "equal",
            Problem::Distinct => "distinct",
            Problem::Canvases => "canvases",
            Problem::Host => "host",
            Problem::Once => "once",
        })
    }
}

/// Machines that are run again on the host to check the others.
const CHECKED: usize = 4;

/// A program of so many instructions without an end: eight registers begin at random, then arithmetic
/// with any of its operations and on any of them goes round.
fn arithmetic(random: &mut fastrand::Rng, length: u16) -> Program {
    let number = |random: &mut fastrand::Rng| {
        let [c, d, e, _] = random.u32(..).to_le_bytes();
        [c, d, e]
    };
    let mut instructions: Vec<isa::Instruction> = Vec::new();
    for register in 0..8 {
        let [c, d, e] = number(random);
        instructions.push([code::LDI, register, 0, c, d, e]);
    }
    while instructions.len() + 1 < usize::from(length) {
        let (a, b) = (random.u8(..8), random.u8(..8));
        let [c, d, e] =
            if random.bool() { [random.u8(..8), 0, 0] } else { number(random).map(|n| n | 1) };
        let form = if [d, e] == [0, 0] { code::ADD } else { code::ADDI };
        instructions.push([form + random.u8(..16), a, b, c, d, e]);
    }
    instructions.push([code::JMP, 0, 0, 8, 0, 0]);
    Program { code: instructions, mode: Mode::Total, canvas: [1, 1], ..Program::default() }
}

/// Instructions of a canvas.
const CANVAS: u32 = 256;

/// A canvas, again and again: mostly arithmetic, points, and now and then a figure or a letter.
fn drawing() -> Program {
    let figures: [isa::Instruction; 4] = [
        [code::RECTR, 0, 1, 4, 4, 0],
        [code::LINER, 0, 1, 2, 3, 0],
        [code::DISCR, 0, 1, 5, 0, 0],
        [code::CHRR, 0, 1, 2, 0, 0],
    ];
    let mut instructions: Vec<isa::Instruction> = vec![
        [code::LDI, 4, 0, 8, 0, 0],
        [code::LDI, 5, 0, 5, 0, 0],
        [code::LDI, 6, 0, 64, 0, 0],
        [code::PAPER, 0, 0, 16, 16, 40],
        [code::CLS, 0, 0, 0, 0, 0],
    ];
    while instructions.len() as u32 + 1 < CANVAS {
        let at = instructions.len();
        instructions.push(match at % 8 {
            0 => [code::RND, 0, 6, 0, 0, 0],
            1 => [code::RND, 1, 6, 0, 0, 0],
            2 => [code::HASH, 2, 0, 0, 0, 0],
            3 => [code::PENR, 2, 0, 0, 0, 0],
            4 => [code::PLOTR, 0, 1, 0, 0, 0],
            5 => [code::ANDI, 3, 2, 63, 0, 0],
            6 => [code::ADD, 2, 2, 3, 0, 0],
            _ => figures[at / 8 % 4],
        });
    }
    instructions.push([code::JMP, 0, 0, 0, 0, 0]);
    Program { code: instructions, canvas: [64, 64], ..Program::default() }
}

/// What a problem runs.
struct Work {
    programs: Vec<Program>,
    /// Machines of each program.
    copies: usize,
    algorithm: Algorithm,
    /// Cycles of a machine in one run, unless a run is a slice.
    cycles: Option<u32>,
}

impl Work {
    fn new(problem: Problem, modest: bool) -> Self {
        let few = |many: usize| if modest { many / 256 } else { many };
        let mut random = fastrand::Rng::with_seed(8);
        let (programs, copies, algorithm, cycles) = match problem {
            Problem::Equal => {
                (vec![arithmetic(&mut random, 64)], few(1 << 18), Algorithm::Lane, Some(65_536))
            }
            Problem::Distinct => {
                let programs = (0..few(1 << 17)).map(|_| arithmetic(&mut random, 32));
                (programs.collect(), 1, Algorithm::Lane, Some(16_384))
            }
            Problem::Canvases => (vec![drawing()], few(1 << 15), Algorithm::Group, None),
            Problem::Host => (vec![arithmetic(&mut random, 64)], 1, Algorithm::Host, Some(1 << 20)),
            Problem::Once => {
                let text = b"Hello World";
                let line = [code::TXT, 10, 10, 0, 0, text.len() as u8];
                let halt = [code::HALT, 0, 0, 0, 0, 0];
                let data = text.to_vec();
                let program = Program { code: vec![line, halt], data, ..Program::default() };
                (vec![program], 1, Algorithm::Host, Some(2))
            }
        };
        let cycles = cycles.map(|most| if modest { most.min(2048) } else { most });
        Work { programs, copies, algorithm, cycles }
    }

    fn plan(&self, ctx: &Context) -> Result<PixelPlan, gvpie_core::Error> {
        let pixel = Pixel::of(self.programs.iter().cloned()).copies(self.copies);
        pixel.algorithm(self.algorithm).plan(ctx)
    }

    /// The first machines of them, on the host.
    fn sample(&self, host: &Context) -> Result<PixelPlan, gvpie_core::Error> {
        let programs = self.programs.iter().take(CHECKED).cloned();
        Pixel::of(programs).copies(self.copies.min(CHECKED)).plan(host)
    }

    /// One run: so many cycles, or as much drawing as a slice may have.
    fn run(&self, machines: &mut Machines) -> Result<(), gvpie_core::Error> {
        match self.cycles {
            Some(cycles) => machines.step(cycles)?,
            None => machines.advance()?,
        };
        Ok(())
    }
}

/// Measures one of them by the host's clock, from the first instruction to the last; one alone from its
/// program to its canvas. None of those of a GPU where there is none.
pub(super) fn measure(ctx: &Context, problem: Problem) -> Result<Option<Row>, Failure> {
    let host = Context::on(Backend::Cpu)?;
    let (ctx, modest) = match problem {
        Problem::Host | Problem::Once => (&host, false),
        _ => match ctx.device().gpu() {
            Some(gpu) => (ctx, gpu.is_software()),
            None => return Ok(None),
        },
    };
    let work = Work::new(problem, modest);
    let mut plan = work.plan(ctx)?;
    let mut machines = plan.start()?;
    let mut runs = 0_u32;
    let time = median_of(ctx, RUNS, TARGET, |repeats| {
        let mut sum = Duration::ZERO;
        for _ in 0..repeats {
            let start = Instant::now();
            if problem == Problem::Once {
                plan = work.plan(ctx)?;
                machines = plan.start()?;
            }
            work.run(&mut machines)?;
            sum += start.elapsed();
            runs = if problem == Problem::Once { 1 } else { runs + 1 };
        }
        Ok(sum)
    })?;
    if plan.algorithm() != Algorithm::Host {
        let mut sample = work.sample(&host)?.start()?;
        (0..runs).try_for_each(|_| work.run(&mut sample))?;
        check(problem, sample.states()?, machines.states()?)?;
    }
    let seconds = time.as_secs_f64();
    let cycles: f64 = machines.states()?.iter().map(|state| f64::from(state.cycles())).sum();
    let instructions = cycles / f64::from(runs) / seconds / 1e9;
    let (rate, unit, path) = match problem {
        Problem::Canvases => {
            let canvases = 1e3 * instructions / f64::from(CANVAS);
            (canvases, "Mcanvas/s", format!("{}, {instructions:.1} Ginstr/s", plan.algorithm()))
        }
        Problem::Once => (1.0 / seconds, "run/s", plan.algorithm().to_string()),
        _ => (instructions, "Ginstr/s", plan.algorithm().to_string()),
    };
    Ok(Some(Row {
        dtype: "rgba8".into(),
        shape: problem.to_string(),
        batch: machines.len(),
        path,
        rate,
        unit,
        ..row(ctx, "pixel", time)
    }))
}

/// Holds the first machines against the same ones on the host.
fn check(problem: Problem, expected: &[State], found: &[State]) -> Result<(), Failure> {
    let same = |(expected, found): (&State, &State)| {
        expected.registers() == found.registers()
            && expected.cycles() == found.cycles()
            && expected.fuel() == found.fuel()
            && expected.canvas() == found.canvas()
    };
    match expected.iter().zip(found).position(|pair| !same(pair)) {
        Some(at) => {
            Err(Failure::Wrong(format!("pixel {problem}: machine {at} differs from the host's")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_measured_without_a_gpu() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        for problem in TABLE {
            let row = measure(&ctx, problem).unwrap();
            let of_the_host = matches!(problem, Problem::Host | Problem::Once);
            assert_eq!(row.is_some(), of_the_host, "{problem}");
            assert!(row.is_none_or(|row| row.rate > 0.0 && row.path == "host"));
        }
    }

    #[test]
    fn drawing_takes_a_canvas_each_round() {
        let program = drawing();
        assert_eq!(program.code.len() as u32, CANVAS);
        assert!(program.check().is_ok());
    }
}
