//! The device in software, beside llvmpipe: what kernels cost of one core.

mod clock;
mod kernels;
mod peer;

use super::Failure;
use super::rows::figure;
use gvpie_vgpu::{Bindings, Buffer, Device, Execution, Module, Options, RunError};
use kernels::Problem;
use serde::Serialize;
use std::time::Instant;

/// One kernel: milliseconds of processor time of one core.
#[derive(Debug, Clone, Serialize)]
struct Row {
    kernel: &'static str,
    /// As machine code, interpreted, and interpreted with all checks.
    compiled_ms: f64,
    interpreted_ms: f64,
    sanitized_ms: f64,
    /// By llvmpipe, where there is one.
    llvmpipe_ms: Option<f64>,
    /// llvmpipe's time over that of the machine code.
    against_llvmpipe: Option<f64>,
    /// From source to machine code.
    compile_ms: f64,
    /// Lanes that machine code runs at a time.
    warp: Option<usize>,
    /// Work over time.
    rate: f64,
    unit: &'static str,
}

/// One number that the device is judged by.
#[derive(Debug, Clone, Serialize)]
struct Figure {
    figure: String,
    found: Option<f64>,
    unit: &'static str,
    /// What it is to be: at least, or at most.
    target: f64,
    bound: Bound,
    met: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Bound {
    AtLeast,
    AtMost,
}

#[derive(Debug, Serialize)]
struct Report {
    llvmpipe: String,
    kernels: Vec<Row>,
    figures: Vec<Figure>,
}

impl Figure {
    fn new(
        figure: impl Into<String>,
        found: Option<f64>,
        unit: &'static str,
        bound: Bound,
        target: f64,
    ) -> Figure {
        let met = found.map(|found| match bound {
            Bound::AtLeast => found >= target,
            Bound::AtMost => found <= target,
        });
        Figure { figure: figure.into(), found, unit, target, bound, met }
    }
}

fn failed(problem: &Problem, error: RunError) -> Failure {
    Failure::Wrong(format!("{}: {error}", problem.name))
}

/// A device of so many threads.
fn device(threads: usize, execution: Execution) -> Result<Device, RunError> {
    Device::new(Options { threads, execution, ..Options::default() })
}

/// A kernel, and buffers that hold its operands.
struct Prepared {
    kernel: std::sync::Arc<gvpie_vgpu::ir::Kernel>,
    bindings: Bindings,
    outputs: Vec<Buffer>,
}

impl Prepared {
    fn new(problem: &Problem) -> Result<Prepared, Failure> {
        let kernel = Module::new(problem.source, &[])
            .and_then(|module| module.kernel("main"))
            .map_err(|error| Failure::Wrong(format!("{}: {error}", problem.name)))?;
        let mut bindings = Bindings::new();
        let mut outputs = Vec::new();
        for (number, words) in problem.inputs.iter().chain(&problem.outputs).enumerate() {
            let buffer = Buffer::with(bytemuck::cast_slice(words))
                .map_err(|error| failed(problem, error))?;
            bindings = bindings.buffer(0, number as u32, &buffer);
            if number >= problem.inputs.len() {
                outputs.push(buffer);
            }
        }
        Ok(Prepared { kernel, bindings, outputs })
    }

    fn words(&self) -> Result<Vec<Vec<u32>>, RunError> {
        let words = |buffer: &Buffer| {
            let bytes = buffer.read(0, buffer.bytes())?;
            Ok(bytemuck::pod_collect_to_vec(&bytes))
        };
        self.outputs.iter().map(words).collect()
    }
}

/// Milliseconds of one dispatch, once its results have been checked.
fn dispatch(problem: &Problem, execution: Execution) -> Result<(f64, Option<usize>), Failure> {
    let prepared = Prepared::new(problem)?;
    let measure = || {
        let device = device(1, execution)?;
        let pipeline = device.prepare(&prepared.kernel)?;
        device.run(&pipeline, &prepared.bindings, problem.groups)?;
        let found = prepared.words()?;
        let run = || device.run(&pipeline, &prepared.bindings, problem.groups);
        Ok((found, clock::median(run)?, pipeline.warp()))
    };
    let (found, ms, warp) = measure().map_err(|error| failed(problem, error))?;
    (problem.check)(problem, &found)
        .map_err(|what| Failure::Wrong(format!("{}: {what}", problem.name)))?;
    Ok((ms, warp))
}

fn sanitized(problem: &Problem) -> Result<f64, Failure> {
    let prepared = Prepared::new(problem)?;
    let device = device(1, Execution::Interpreted).map_err(|error| failed(problem, error))?;
    clock::median(|| device.check(&prepared.kernel, &prepared.bindings, problem.groups).map(drop))
        .map_err(|error| failed(problem, error))
}

/// Milliseconds from source to machine code, with nothing kept from before.
fn compile(problem: &Problem) -> Result<f64, Failure> {
    let device = || device(1, Execution::Compiled).map_err(|error| failed(problem, error));
    let mut times = Vec::new();
    for _ in 0..9 {
        let device = device()?;
        let start = clock::spent();
        let kernel = Module::new(problem.source, &[]).and_then(|module| module.kernel("main"));
        let kernel = kernel.map_err(|error| Failure::Wrong(error.to_string()))?;
        device.prepare(&kernel).map_err(|error| failed(problem, error))?;
        times.push((clock::spent() - start).as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Microseconds, by the clock on the wall, of a dispatch of one workgroup whose kernel is known.
fn cached(problem: &Problem) -> Result<f64, Failure> {
    let prepared = Prepared::new(problem)?;
    let measure = || {
        let device = device(1, Execution::Compiled)?;
        let mut times = Vec::new();
        for _ in 0..1000 {
            let start = Instant::now();
            device.dispatch(&prepared.kernel, &prepared.bindings, [1, 1, 1])?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        Ok(middle(times))
    };
    measure().map_err(|error| failed(problem, error))
}

/// How many times as fast two threads are as one, by the clock on the wall: the best of several runs,
/// which others on the machine have disturbed least.
fn two_threads(problem: &Problem) -> Result<f64, Failure> {
    let prepared = Prepared::new(problem)?;
    let best = |threads: usize| {
        let device = device(threads, Execution::Compiled)?;
        let pipeline = device.prepare(&prepared.kernel)?;
        let mut best = f64::MAX;
        for _ in 0..15 {
            let start = Instant::now();
            device.run(&pipeline, &prepared.bindings, problem.groups)?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    let [one, two] = [best(1), best(2)].map(|time| time.map_err(|error| failed(problem, error)));
    Ok(one? / two?)
}

/// Gigabytes a second, read and written, of copying half as many bytes as `bytes`.
fn memcpy(bytes: f64) -> f64 {
    let words = bytes as usize / 8;
    let (from, mut to) = (vec![1_u32; words], vec![0_u32; words]);
    let copy = || {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
        Ok::<(), std::convert::Infallible>(())
    };
    clock::median(copy).map_or(0.0, |ms| bytes / ms / 1e6)
}

/// What llvmpipe takes, as JSON: this process's part of the bench.
pub(super) fn llvmpipe() -> Result<String, Failure> {
    Ok(serde_json::json!(peer::measure()?).to_string())
}

/// Runs the bench and gives its text.
pub(super) fn run(json: bool) -> Result<String, Failure> {
    let problems = kernels::all();
    let bar = super::progress(problems.len() as u64 + 2);
    bar.set_message("llvmpipe");
    let peer = peer::ask();
    bar.inc(1);
    let mut rows = Vec::new();
    for (number, problem) in problems.iter().enumerate() {
        bar.set_message(problem.name);
        let (compiled_ms, warp) = dispatch(problem, Execution::Compiled)?;
        let (interpreted_ms, _) = dispatch(problem, Execution::Interpreted)?;
        let llvmpipe_ms = peer.ms.get(number).copied();
        rows.push(Row {
            kernel: problem.name,
            compiled_ms,
            interpreted_ms,
            sanitized_ms: sanitized(problem)?,
            llvmpipe_ms,
            against_llvmpipe: llvmpipe_ms.map(|ms| ms / compiled_ms),
            compile_ms: compile(problem)?,
            warp,
            rate: problem.work / compiled_ms / 1e6,
            unit: problem.unit,
        });
        bar.inc(1);
    }
    bar.set_message("figures");
    let figures = figures(&problems, &rows)?;
    bar.finish_and_clear();
    let report = Report { llvmpipe: peer.driver, kernels: rows, figures };
    Ok(if json { serde_json::json!(report).to_string() + "\n" } else { text(&report) })
}

/// The targets, and what was found.
fn figures(problems: &[Problem], rows: &[Row]) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for (problem, row) in problems.iter().zip(rows) {
        let least = match problem.name {
            name if name.starts_with("integer") => Some(1.0),
            _ if problem.barriers => Some(5.0),
            _ => None,
        };
        let name = format!("{} against llvmpipe", row.kernel);
        figures.extend(
            least.map(|least| Figure::new(name, row.against_llvmpipe, "x", Bound::AtLeast, least)),
        );
    }
    let share = Some(rows[0].rate / memcpy(problems[0].work));
    figures.push(Figure::new("saxpy 1M against memcpy, in cache", share, "x", Bound::AtLeast, 0.8));
    let large = kernels::saxpy(1 << 25);
    let rate = large.work / dispatch(&large, Execution::Compiled)?.0 / 1e6;
    let share = Some(rate / memcpy(large.work));
    figures.push(Figure::new("saxpy 32M against memcpy", share, "x", Bound::AtLeast, 0.8));
    if let Some(row) = rows.last() {
        let rate = Some(row.rate);
        figures.push(Figure::new(row.kernel, rate, "GFLOP/s", Bound::AtLeast, 30.0));
    }
    let compiled = middle(rows.iter().map(|row| row.compile_ms).collect());
    figures.push(Figure::new("compile, median", Some(compiled), "ms", Bound::AtMost, 5.0));
    let cached = cached(&problems[0])?;
    figures.push(Figure::new("cached dispatch", Some(cached), "µs", Bound::AtMost, 20.0));
    let large = problems.iter().find(|problem| problem.name.starts_with("N-body"));
    let faster = large.map(two_threads).transpose()?;
    figures.push(Figure::new("two threads against one", faster, "x", Bound::AtLeast, 1.9));
    let slowest = rows.iter().map(|row| row.sanitized_ms / row.interpreted_ms).reduce(f64::max);
    let name = "sanitizer against interpreter, worst";
    figures.push(Figure::new(name, slowest, "x", Bound::AtMost, 5.0));
    Ok(figures)
}

fn text(report: &Report) -> String {
    let mut text = format!("llvmpipe: {}\n", report.llvmpipe);
    text += "ms a dispatch, of one core's time\n";
    text += &format!(
        "{:<18} {:>9} {:>5} {:>12} {:>10} {:>9} {:>7} {:>11} {:>8}\n",
        "kernel",
        "compiled",
        "warp",
        "interpreted",
        "sanitized",
        "llvmpipe",
        "ratio",
        "compile ms",
        "rate"
    );
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    for row in &report.kernels {
        text += &format!(
            "{:<18} {:>9} {:>5} {:>12} {:>10} {:>9} {:>7} {:>11} {:>8} {}\n",
            row.kernel,
            figure(row.compiled_ms),
            or_none(row.warp.map(|warp| warp.to_string())),
            figure(row.interpreted_ms),
            figure(row.sanitized_ms),
            or_none(row.llvmpipe_ms.map(figure)),
            or_none(row.against_llvmpipe.map(figure)),
            figure(row.compile_ms),
            figure(row.rate),
            row.unit
        );
    }
    text += &format!("{:<40} {:>8} {:>11}\n", "figure", "found", "target");
    for Figure { figure: name, found, unit, target, bound, met } in &report.figures {
        let sign = match bound {
            Bound::AtLeast => "≥",
            Bound::AtMost => "≤",
        };
        let missed = if *met == Some(false) { "  missed" } else { "" };
        let found = or_none(found.map(figure));
        text += &format!("{name:<40} {found:>8} {sign:>4} {target:>6} {unit}{missed}\n");
    }
    text
}
