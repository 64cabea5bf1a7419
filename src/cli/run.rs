//! `gvpie run`: a program of PXL-1, and the picture it draws.

use super::{Arguments, Choice, Failure};
use crate::output::{PendingFile, print};
use crate::program::{self, FRAME_MS};
use crate::{png, terminal};
use clap::{Args, ValueEnum};
use gvpie_core::pixel::{
    Algorithm, Cartridge, Fault, Inputs, MAX_CANVAS, Machines, Mode, Program, State, Status,
    disassemble,
};
use gvpie_core::{Backend, Context, Pixel};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Run a program: a text (see `gvpie help pxl`) or a cartridge.
///
/// It runs until it halts, or has shown as many frames as it may. What it writes to its output goes to
/// standard output; a terminal also shows the canvas. A GIF has every frame, 50 a second; with several
/// lanes, all canvases are side by side. A fault ends it with status 1; the picture is then of that
/// moment.
#[derive(Debug, Args)]
pub struct Options {
    /// A text or a cartridge; /dev/stdin is one, too
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// Where to write the canvas, or all frames
    #[arg(short, long, value_name = "OUT.png|OUT.gif")]
    pub output: Option<PathBuf>,
    /// Another canvas than the program's own
    #[arg(long, value_name = "WxH", value_parser = canvas)]
    pub canvas: Option<[u32; 2]>,
    /// Cycles after which it is stopped with a fault; the cartridge's own, or 100 million
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_cycles: Option<u32>,
    /// Frames that are shown at most
    #[arg(long, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub frames: u32,
    /// Where random numbers begin
    #[arg(long, value_name = "S")]
    pub seed: Option<u32>,
    /// What it reads from its input
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub input: String,
    /// So many machines, which differ in their number and their random numbers
    #[arg(long, value_name = "N", default_value = "1", value_parser = super::at_least_one)]
    pub lanes: usize,
    /// Whether faults stop it
    #[arg(long, value_enum, hide_possible_values = true, value_name = "strict|total")]
    pub mode: Option<ModeName>,
    /// Tell every instruction of the first machine and its registers, on stderr
    #[arg(long)]
    pub trace: bool,
}

/// [`Mode`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum ModeName {
    Strict,
    Total,
}

/// Cycles that a program has unless it says otherwise.
const CYCLES: u32 = 100_000_000;

/// Pixels of all canvases together at most: 1 GiB.
const MOST_PIXELS: usize = 1 << 28;

/// Pixels of a picture of all lanes at most, each way.
const MOST_SIDE: usize = 16_384;

/// Bytes of output that the JSON holds at most.
const MOST_OUTPUT: usize = 1 << 20;

fn canvas(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_CANVAS).contains(side));
    let sides =
        text.split_once('x').and_then(|(width, height)| Some([side(width)?, side(height)?]));
    sides.ok_or_else(|| format!("expected WxH, 1 to {MAX_CANVAS} each"))
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`]; with `--json`, the report says so too.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let outcome = attempt(arguments, options);
    if arguments.json {
        let report = match &outcome {
            Ok((report, _)) => report.clone(),
            Err(failure) => json!({
                "success": false,
                "cycles_executed": 0,
                "instruction_pointer": 0,
                "backend_used": null,
                "execution_time_ms": 0.0,
                "status": "refused",
                "fuel": 0,
                "stdout": "",
                "canvas_sha256": null,
                "error": failure.to_string(),
            }),
        };
        print(&format!("{report}\n"))?;
    }
    let (_, stopped) = outcome?;
    stopped.map_or(Ok(()), Err)
}

/// The report, and the fault that stopped the program, if one did.
fn attempt(arguments: &Arguments, options: &Options) -> Result<(Value, Option<Failure>), Failure> {
    let Cartridge { mut program, max_cycles, .. } = program::read(&options.program)?;
    program.canvas = options.canvas.unwrap_or(program.canvas);
    program.seed = options.seed.unwrap_or(program.seed);
    program.mode = match options.mode {
        Some(ModeName::Strict) => Mode::Strict,
        Some(ModeName::Total) => Mode::Total,
        None => program.mode,
    };
    let own = u32::try_from(max_cycles).unwrap_or(u32::MAX);
    let limit = options.max_cycles.unwrap_or(if own == 0 { CYCLES } else { own });
    let [width, height] = program.canvas.map(|extent| extent as usize);
    if options.lanes.saturating_mul(width * height) > MOST_PIXELS {
        let most = MOST_PIXELS / (width * height);
        let message = format!("{} canvases of {width} x {height}; {most} at most", options.lanes);
        return Err(Failure::Stopped { path: options.program.clone(), message });
    }
    let output =
        options.output.as_deref().map(|path| Output::create(path, &program, options.lanes));
    let mut output = output.transpose()?;
    let mut problem = Pixel::new(program.clone()).copies(options.lanes).limit(limit);
    if options.trace {
        problem = problem.algorithm(Algorithm::Host);
    } else if arguments.backend == Choice::Gpu && problem.suits_host() {
        problem = problem.algorithm(Algorithm::Group); // as asked
    }
    let ctx = match arguments.backend {
        Choice::Auto if problem.suits_host() => Context::on(Backend::Cpu)?,
        _ => arguments.context()?,
    };
    let plan = problem.plan(&ctx)?;
    let mut machines = plan.start()?;

    let began = Instant::now();
    let mut run = Run {
        options,
        program: &program,
        machines: &mut machines,
        given: vec![0; options.lanes],
        written: Vec::new(),
        prints: !arguments.json,
        bar: match options.output {
            Some(_) => super::progress(options.frames.into()),
            None => ProgressBar::hidden(),
        },
    };
    let ran = run.all(|states| output.as_mut().map_or(Ok(()), |output| output.frame(states)));
    run.bar.finish_and_clear();
    ran?;
    let written = run.written;
    let time = began.elapsed();
    let states = machines.states()?;
    if let Some(output) = output {
        output.finish(states)?;
    }

    let faulted = states.iter().position(|state| state.status() == Status::Faulted);
    let first = &states[faulted.unwrap_or(0)];
    let failure = faulted.map(|lane| {
        let fault = first.fault().map_or("a fault".to_string(), |fault| told(fault, limit));
        let lane = if options.lanes > 1 { format!(", lane {lane}") } else { String::new() };
        let (ip, cycles) = (first.ip(), first.cycles());
        let message = format!("{fault} at instruction {ip} after {cycles} cycles{lane}");
        Failure::Stopped { path: options.program.clone(), message }
    });
    let pixels = states.iter().flat_map(|state| state.canvas());
    let hash = pixels.fold(Sha256::new(), |hash, pixel| hash.chain_update(pixel.to_le_bytes()));
    let total = |count: fn(&State) -> u32| states.iter().map(|s| u64::from(count(s))).sum::<u64>();
    let report = json!({
        "success": failure.is_none(),
        "cycles_executed": total(State::cycles),
        "instruction_pointer": first.ip(),
        "backend_used": if plan.algorithm() == Algorithm::Host { "cpu" } else { "gpu" },
        "algorithm": plan.algorithm().to_string(),
        "execution_time_ms": time.as_secs_f64() * 1e3,
        "status": first.status().to_string(),
        "fuel": total(State::fuel),
        "stdout": String::from_utf8_lossy(&written),
        "canvas": program.canvas,
        "canvas_sha256": hash.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>(),
        "error": failure.as_ref().map(Failure::to_string),
    });
    if !arguments.json {
        let (width, pixels) = side_by_side(states);
        show(width, &pixels)?;
    }
    Ok((report, failure))
}

/// Shows a picture, where standard output is a terminal that can.
///
/// # Errors
/// Those of standard output.
pub(super) fn show(width: usize, pixels: &[u32]) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    let columns = terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into());
    match terminal::graphics(|name| std::env::var(name).ok()) {
        Some(graphics) => print(&terminal::show(graphics, width, pixels, columns)),
        None => Ok(()),
    }
}

fn told(fault: Fault, limit: u32) -> String {
    match fault {
        Fault::Timeout => format!("fault 6, {fault} (--max-cycles {limit})"),
        _ => format!("fault {}, {fault}", fault as u32),
    }
}

/// Machines on their way.
struct Run<'a> {
    options: &'a Options,
    program: &'a Program,
    machines: &'a mut Machines,
    /// Bytes of the input that each machine was given.
    given: Vec<usize>,
    /// What the first machine has written.
    written: Vec<u8>,
    prints: bool,
    /// Frames, of what goes to a file.
    bar: ProgressBar,
}

impl Run<'_> {
    /// Runs them to their ends, or until enough frames were shown.
    fn all(
        &mut self,
        mut shown: impl FnMut(&[State]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.serve()?;
        let mut frames = 0;
        loop {
            if self.options.trace {
                self.traced()?
            } else {
                self.machines.run()?
            }
            self.serve()?;
            let states = self.machines.states()?;
            if states.iter().any(|state| state.status() == Status::Running) {
                continue;
            }
            if states.iter().all(|state| state.status() != Status::Yielded) {
                return Ok(());
            }
            shown(states)?;
            frames += 1;
            self.bar.inc(1);
            if frames >= self.options.frames {
                return Ok(());
            }
            let inputs = Inputs { time: frames * FRAME_MS, ..Inputs::default() };
            self.machines.change(|_, state| state.frame(inputs))?;
        }
    }

    /// Gives input to those that want some, and takes what they have written.
    fn serve(&mut self) -> Result<(), Failure> {
        let input = self.options.input.as_bytes();
        let (given, mut written) = (&mut self.given, Vec::new());
        self.machines.change(|lane, state| {
            let said = state.drain();
            if lane == 0 {
                written = said;
            }
            if given[lane] == 0 || state.status() == Status::Starved {
                given[lane] += state.feed(&input[given[lane]..], false);
            }
        })?;
        if self.prints && !written.is_empty() {
            let told = self.bar.suspend(|| {
                let mut out = io::stdout().lock();
                out.write_all(&written).and_then(|()| out.flush())
            });
            match told {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
                _ => {}
            }
        }
        if !self.prints {
            let room = MOST_OUTPUT - self.written.len();
            self.written.extend(&written[..written.len().min(room)]);
        }
        Ok(())
    }

    /// Runs them an instruction at a time, and tells each of the first.
    fn traced(&mut self) -> Result<(), Failure> {
        let mut err = io::BufWriter::new(io::stderr().lock());
        loop {
            let state = &self.machines.states()?[0];
            if state.status() == Status::Running {
                let (ip, cycles) = (state.ip(), state.cycles());
                let text = self.program.code.get(ip as usize).map(|&instruction| {
                    let code = vec![instruction];
                    line(&Program { code, ..Program::default() })
                });
                let registers = state.registers().map(|value| value.to_string()).join(" ");
                let text = text.unwrap_or_else(|| "(end)".into());
                writeln!(err, "{cycles:>8} {ip:>4}  {text:<32} {registers}")?;
            }
            if self.machines.step(1)? == 0 {
                return Ok(err.flush()?);
            }
        }
    }
}

/// The text of a program's one instruction.
fn line(program: &Program) -> String {
    let text = disassemble(program);
    let instruction = text.lines().find(|line| line.starts_with(' '));
    instruction.unwrap_or("").trim().to_string()
}

/// All canvases in a picture that is nearly a square, as many as it has room for: its width, and its
/// pixels.
fn side_by_side(states: &[State]) -> (usize, Vec<u32>) {
    let Some(first) = states.first() else { return (0, Vec::new()) };
    let [width, height] = first.size().map(|extent| extent as usize);
    let [across, down] = grid(states.len(), [width, height]);
    let mut pixels = vec![0xff00_0000; across * width * down * height];
    for (lane, state) in states.iter().take(across * down).enumerate() {
        let corner = lane / across * height * across * width + lane % across * width;
        for (y, row) in state.canvas().chunks(width).enumerate() {
            pixels[corner + y * across * width..][..width].copy_from_slice(row);
        }
    }
    (across * width, pixels)
}

/// Canvases across and down.
fn grid(lanes: usize, [width, height]: [usize; 2]) -> [usize; 2] {
    let square = ((lanes * height) as f64 / width as f64).sqrt().ceil() as usize;
    let across = square.clamp(1, (MOST_SIDE / width).max(1)).min(lanes);
    [across, lanes.div_ceil(across).min((MOST_SIDE / height).max(1))]
}

/// A file that is being written.
struct Output<'a> {
    path: &'a Path,
    kind: Kind,
}

enum Kind {
    Png(PendingFile),
    Gif(Box<gif::Encoder<PendingFile>>, usize),
}

impl<'a> Output<'a> {
    fn create(path: &'a Path, program: &Program, lanes: usize) -> Result<Self, Failure> {
        let unwritten = |source| Failure::Output { path: path.into(), source };
        let file = PendingFile::create(path).map_err(unwritten)?;
        if !crate::movie::is_gif(path) {
            return Ok(Output { path, kind: Kind::Png(file) });
        }
        let size = program.canvas.map(|extent| extent as usize);
        let [across, down] = grid(lanes, size);
        let [width, height] = [across * size[0], down * size[1]].map(|extent| extent as u16);
        let encoder = gif::Encoder::new(file, width, height, &[]).and_then(|mut encoder| {
            encoder.set_repeat(gif::Repeat::Infinite)?;
            Ok(encoder)
        });
        let encoder = encoder.map_err(io::Error::other).map_err(unwritten)?;
        Ok(Output { path, kind: Kind::Gif(Box::new(encoder), 0) })
    }

    /// Adds a frame, where there may be several.
    fn frame(&mut self, states: &[State]) -> Result<(), Failure> {
        let Kind::Gif(encoder, frames) = &mut self.kind else { return Ok(()) };
        *frames += 1;
        let (width, pixels) = side_by_side(states);
        let height = pixels.len() / width.max(1);
        let mut bytes: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
        let mut frame =
            gif::Frame::from_rgba_speed(width as u16, height as u16, &mut bytes, QUANTISATION);
        frame.delay = (FRAME_MS / 10) as u16;
        let unwritten = |source| Failure::Output { path: self.path.into(), source };
        encoder.write_frame(&frame).map_err(io::Error::other).map_err(unwritten)
    }

    /// Writes what is left, and gives the file its name.
    fn finish(mut self, states: &[State]) -> Result<(), Failure> {
        if matches!(self.kind, Kind::Gif(_, 0))
            || states.iter().any(|state| state.status() != Status::Yielded)
        {
            self.frame(states)?; // the last picture was not shown by YIELD
        }
        let path = self.path.to_path_buf();
        let unwritten = |source| Failure::Output { path: path.clone(), source };
        match self.kind {
            Kind::Gif(encoder, _) => {
                let file = encoder.into_inner().map_err(io::Error::other).map_err(unwritten)?;
                file.finish().map_err(unwritten)
            }
            Kind::Png(mut file) => {
                let (width, pixels) = side_by_side(states);
                let height = pixels.len() / width.max(1);
                png::write::<io::Error>(&mut file, width as u32, height as u32, |add| add(&pixels))
                    .and_then(|()| file.finish())
                    .map_err(unwritten)
            }
        }
    }
}

/// How closely frames of more than 256 colours keep them: from 1, best, to 30, fastest.
const QUANTISATION: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canvases_are_laid_side_by_side() {
        assert_eq!(grid(1, [128, 64]), [1, 1]);
        assert_eq!(grid(8, [128, 64]), [2, 4]);
        assert_eq!(grid(5, [10, 10]), [3, 2]);
        let [across, down] = grid(1 << 20, [1024, 1024]);
        assert_eq!([across, down], [16, 16]);
        let program = Program { canvas: [2, 1], ..Program::default() };
        let states: Vec<State> = (0..3).map(|lane| State::new(&program, lane, 3)).collect();
        let (width, pixels) = side_by_side(&states);
        assert_eq!((width, pixels.len()), (4, 8));
    }

    #[test]
    fn canvases_are_read() {
        assert_eq!(canvas("64x32"), Ok([64, 32]));
        for text in ["64", "0x1", "1x1025", "x", "1x1x1", "-1x1"] {
            assert!(canvas(text).is_err(), "{text}");
        }
    }
}
