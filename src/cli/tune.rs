//! `gvpie tune`: which algorithm is the fastest here, measured and remembered.

use super::bench::{Extents, Numbers, Problem, parse_shape, table};
use super::trial::{self, Examiner, Trial};
use super::{Arguments, Failure};
use crate::output::print;
use clap::{Args, ValueEnum};
use gvpie_core::tune::{self, Choice};
use gvpie_core::{Context, DType, GpuDevice};
use indicatif::ProgressBar;
use serde::Serialize;
use std::process::Command;
use std::time::Duration;

/// Measure which algorithm is the fastest on this device, and remember it.
///
/// For each shape, every algorithm that suits the device is tried in a process of its own, where
/// a driver that crashes or hangs costs one candidate and nothing else. Its result on random
/// operands is checked against double precision before its time counts; times are the device's
/// own where it has a clock. Candidates are thinned out by successive halving, and the default
/// must be beaten by 2 %.
///
/// The fastest is kept in tune.json in the cache folder. From then on this command, and every
/// program that gives gvpie-core that folder, uses it for products of this shape, type and
/// accuracy on this adapter, driver and version of gvpie. It decides how soon a result comes, not
/// how accurate it is. The file may be read, and deleted at any time.
///
/// A trial may take twice GVPIE_TIMEOUT. On the CPU there is nothing to tune.
#[derive(Debug, Args)]
pub struct Options {
    /// What to tune
    #[arg(long, value_enum, default_value = "gemm", value_name = "OP")]
    pub op: Op,
    /// A shape MxNxK, or BxMxNxK for a batch; may be given more than once; the table of `gvpie
    /// bench gemm` unless given
    #[arg(long, value_name = "MxNxK", num_args = 1.., value_parser = parse_shape)]
    pub shape: Vec<Extents>,
    /// Element types and accuracy of products
    #[command(flatten)]
    pub numbers: Numbers,
    /// Measure, and keep nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Forget what was kept for this adapter, with any driver or version, and measure nothing
    #[arg(long, conflicts_with_all = ["shape", "dry_run"])]
    pub reset: bool,
    /// Serve trials to another gvpie, over standard input and output
    #[arg(long, hide = true)]
    pub trial: bool,
}

/// An operation that has something to tune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Op {
    /// Matrix products
    Gemm,
}

/// Measurements of a candidate in the first round; each later one has twice as many.
const REPEATS: u32 = 3;

/// What another algorithm's time must be of the default's to be kept, so that chance decides
/// nothing.
const BEATS: f64 = 0.98;

/// What was found for one problem.
#[derive(Debug, Serialize)]
struct Row {
    shape: String,
    batch: usize,
    dtype: String,
    accuracy: &'static str,
    default: String,
    default_ms: Option<f64>,
    winner: Option<String>,
    winner_ms: Option<f64>,
    speedup: Option<f64>,
    tried: usize,
    failed: usize,
    /// The best first.
    trials: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    algorithm: String,
    ms: Option<f64>,
    failure: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`]; what was found before it is printed, and kept.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    if options.trial {
        return trial::serve(arguments);
    }
    let ctx = arguments.context()?;
    let Some(gpu) = ctx.device().gpu() else {
        let words = "Nothing to tune: on the CPU each problem has one algorithm.";
        let report = serde_json::json!({ "adapter": ctx.adapter(), "notice": words, "tuned": [] });
        return Ok(print(&if arguments.json {
            format!("{report}\n")
        } else {
            format!("{words}\n")
        })?);
    };
    if ctx.choices().path().is_none() && !options.dry_run {
        let words = "GVPIE_CACHE_DIR is empty, so nothing can be kept; --dry-run measures only";
        return Err(Failure::Tune(words.into()));
    }
    if options.reset {
        return reset(arguments, &ctx);
    }
    let problems = problems(&ctx, gpu, options);
    let program = std::env::current_exe()
        .map_err(|error| Failure::Tune(format!("this program's file is not known: {error}")))?;
    let command = || {
        let mut command = Command::new(&program);
        command.args(["tune", "--trial", "--backend", "gpu"]);
        command
    };
    let mut examiner = Examiner::new(command, 2 * gpu.timeout(), (ctx.adapter(), ctx.driver()));

    let counts = problems.iter().map(|problem| Ok(steps(problem.gemm().candidates(&ctx)?.len())));
    let bar = super::progress(counts.sum::<gvpie_core::Result<u64>>()?);
    bar.enable_steady_tick(Duration::from_secs(1));
    let mut rows = Vec::new();
    let mut failure = None;
    for problem in problems {
        match tune(&ctx, problem, options.dry_run, &bar, |trial| examiner.measure(trial)) {
            Ok(row) => rows.push(row),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    bar.finish_and_clear();
    print(&render(&ctx, &rows, options.dry_run, arguments.json))?;
    let lost = rows.iter().find(|row| row.winner.is_none());
    failure = failure.or_else(|| {
        let row = lost?;
        let reason = row.trials.iter().find_map(|t| t.failure.as_deref()).unwrap_or("none fits");
        Some(Failure::Tune(format!("no algorithm computes {}: {reason}", row.shape)))
    });
    failure.map_or(Ok(()), Err)
}

/// What is asked for, or the part of the bench's table that the device holds.
fn problems(ctx: &Context, gpu: &GpuDevice, options: &Options) -> Vec<Problem> {
    let Numbers { dtype, out, .. } = options.numbers;
    let shapes = if options.shape.is_empty() {
        let limits = gpu.limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let [input, output] = [dtype, out.unwrap_or(dtype)].map(|name| DType::from(name).size());
        let fits = |e: &Extents| {
            let largest = ((e.m * e.k).max(e.k * e.n) * input).max(e.m * e.n * output);
            (e.batch * largest) as u64 <= most
        };
        table(ctx).into_iter().filter(fits).collect()
    } else {
        options.shape.clone()
    };
    shapes.into_iter().map(|shape| options.numbers.problem(shape)).collect()
}

fn reset(arguments: &Arguments, ctx: &Context) -> Result<(), Failure> {
    let forgotten = ctx.choices().forget().map_err(|error| unwritten(ctx, error))?;
    let (adapter, file) = (ctx.adapter(), ctx.choices().path());
    Ok(print(&if arguments.json {
        let report =
            serde_json::json!({ "adapter": adapter, "file": file, "forgotten": forgotten });
        format!("{report}\n")
    } else {
        let file = file.unwrap_or("".as_ref()).display();
        format!("Choices for {adapter} forgotten: {forgotten}, in {file}\n")
    })?)
}

/// Measurements that one problem with so many candidates takes, if none fails.
fn steps(candidates: usize) -> u64 {
    let mut steps = u64::from(candidates > 1); // the default's last
    let mut round = candidates;
    while round > 0 {
        steps += round as u64;
        round = if round > 2 { round.div_ceil(2) } else { 0 };
    }
    steps
}

/// What a search found.
struct Found {
    /// The algorithm to use, and its time; `None` if all have failed.
    winner: Option<(String, Duration)>,
    /// The time of the default, unless it failed.
    default: Option<Duration>,
    /// Every candidate, the best first, failed ones last.
    trials: Vec<tune::Trial<String, String>>,
}

/// Searches the candidates, of which the first is the default.
fn search(
    candidates: Vec<String>,
    mut measure: impl FnMut(&str, u32) -> Result<Duration, String>,
) -> Found {
    let default = candidates.first().cloned();
    let mut repeats = REPEATS;
    let mut trials = tune::halve(candidates, REPEATS, |candidate, now| {
        repeats = now;
        measure(candidate, now)
    });
    let ahead = trials.first().map(|trial| trial.candidate.clone());
    let of_default = trials.iter_mut().find(|trial| Some(&trial.candidate) == default.as_ref());
    let default = of_default.and_then(|trial| {
        if ahead != default && trial.outcome.is_ok() {
            // It may have gone out early, of a few measurements; now it has as many as the winner.
            trial.outcome = measure(&trial.candidate, repeats);
        }
        Some((trial.candidate.clone(), *trial.outcome.as_ref().ok()?))
    });
    trials.sort_by_key(|trial| trial.outcome.is_err());
    let best = trials.first().and_then(|trial| {
        let time = trial.outcome.as_ref().ok()?;
        Some((trial.candidate.clone(), *time))
    });
    let time = default.as_ref().map(|&(_, time)| time);
    let winner = match (best, default) {
        (Some(best), Some(default)) if best.1.as_secs_f64() > BEATS * default.1.as_secs_f64() => {
            Some(default)
        }
        (best, _) => best,
    };
    Found { winner, default: time, trials }
}

/// Searches for one problem, and keeps what was found.
fn tune(
    ctx: &Context,
    problem: Problem,
    dry_run: bool,
    bar: &ProgressBar,
    mut measure: impl FnMut(&Trial) -> Result<Duration, String>,
) -> Result<Row, Failure> {
    let gemm = problem.gemm();
    let Extents { batch, m, n, k } = problem.shape;
    let shape = format!("{m}x{n}x{k}");
    let names: Vec<String> = gemm.candidates(ctx)?.iter().map(ToString::to_string).collect();
    let Some(default) = names.first().cloned() else {
        gemm.plan(ctx)?; // says which limit is too low
        return Err(Failure::Tune(format!("no algorithm fits {shape}")));
    };
    let found = search(names, |algorithm, repeats| {
        bar.set_message(format!("gemm {shape} {algorithm}"));
        let measured = measure(&Trial { problem, algorithm: algorithm.into(), repeats });
        bar.inc(1);
        measured
    });
    if let (Some((algorithm, time)), false) = (&found.winner, dry_run) {
        let choice = Choice {
            algorithm: algorithm.clone(),
            seconds: time.as_secs_f64(),
            default_seconds: found.default.map(|time| time.as_secs_f64()),
        };
        ctx.choices().keep(gemm.subject(), choice).map_err(|error| unwritten(ctx, error))?;
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let default_ms = found.default.map(ms);
    let winner_ms = found.winner.as_ref().map(|&(_, time)| ms(time));
    let outcomes = found.trials.into_iter().map(|trial| Outcome {
        ms: trial.outcome.as_ref().ok().copied().map(ms),
        failure: trial.outcome.err(),
        algorithm: trial.candidate,
    });
    let trials: Vec<Outcome> = outcomes.collect();
    Ok(Row {
        shape,
        batch,
        dtype: problem.elements(),
        accuracy: problem.accuracy.name(),
        default,
        default_ms,
        winner: found.winner.map(|(name, _)| name),
        winner_ms,
        speedup: default_ms.zip(winner_ms).map(|(before, after)| before / after),
        tried: trials.len(),
        failed: trials.iter().filter(|trial| trial.failure.is_some()).count(),
        trials,
    })
}

/// The failure to write the file of choices.
fn unwritten(ctx: &Context, source: std::io::Error) -> Failure {
    Failure::Output { path: ctx.choices().path().unwrap_or("tune.json".as_ref()).into(), source }
}

fn render(ctx: &Context, rows: &[Row], dry_run: bool, json: bool) -> String {
    let kept = !dry_run && rows.iter().any(|row| row.winner.is_some());
    let file = ctx.choices().path().filter(|_| kept);
    if json {
        let report = serde_json::json!({
            "adapter": ctx.adapter(),
            "driver": ctx.driver(),
            "file": file,
            "tuned": rows,
        });
        return format!("{report}\n");
    }
    let mut text = format!("{}, {}\n", ctx.adapter(), ctx.driver());
    text += &format!(
        "{:<18} {:>5} {:<20} {:>10} {:<20} {:>10} {:>8} {:>5} {:>6}\n",
        "shape", "batch", "default", "ms", "fastest", "ms", "speed-up", "tried", "failed"
    );
    let number = |value: Option<f64>, decimals: usize| match value {
        Some(value) => format!("{value:.decimals$}"),
        None => "-".into(),
    };
    for row in rows {
        text += &format!(
            "{:<18} {:>5} {:<20} {:>10} {:<20} {:>10} {:>8} {:>5} {:>6}\n",
            row.shape,
            row.batch,
            row.default,
            number(row.default_ms, 4),
            row.winner.as_deref().unwrap_or("-"),
            number(row.winner_ms, 4),
            number(row.speedup, 2),
            row.tried,
            row.failed,
        );
    }
    for row in rows {
        for Outcome { algorithm, failure, .. } in &row.trials {
            if let Some(reason) = failure {
                text += &format!("{}: {algorithm} failed: {reason}\n", row.shape);
            }
        }
    }
    text += &match file {
        Some(path) => format!("Kept in {}\n", path.display()),
        None => "Nothing was kept.\n".into(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches with these microseconds, the default first; what was measured how often.
    fn found(times: &[(&str, Result<u64, &str>)]) -> (Found, Vec<(String, u32)>) {
        let mut asked = Vec::new();
        let found = search(times.iter().map(|(name, _)| name.to_string()).collect(), |name, r| {
            asked.push((name.to_string(), r));
            let row = times.iter().find(|(known, _)| *known == name);
            row.map_or(Err("unknown"), |(_, time)| time.map(Duration::from_micros))
                .map_err(String::from)
        });
        (found, asked)
    }

    #[test]
    fn the_default_is_kept_unless_it_is_beaten() {
        let winner = |times| found(times).0.winner.map(|(name, _)| name);
        assert_eq!(winner(&[("default", Ok(100)), ("b", Ok(97))]).as_deref(), Some("b"));
        assert_eq!(winner(&[("default", Ok(100)), ("b", Ok(99))]).as_deref(), Some("default"));
        assert_eq!(winner(&[("default", Ok(100)), ("b", Ok(101))]).as_deref(), Some("default"));
        assert_eq!(winner(&[("default", Err("wrong")), ("b", Ok(9))]).as_deref(), Some("b"));
        assert_eq!(
            winner(&[("default", Ok(100)), ("b", Err("crash"))]).as_deref(),
            Some("default")
        );
        assert_eq!(winner(&[("default", Err("wrong")), ("b", Err("crash"))]), None);
        assert_eq!(winner(&[]), None);
    }

    #[test]
    fn the_default_is_measured_as_often_as_the_winner() {
        let times = [("default", Ok(40)), ("b", Ok(10)), ("c", Ok(20)), ("d", Ok(30))];
        let (found, asked) = found(&times);
        assert_eq!(asked.last(), Some(&("default".to_string(), 2 * REPEATS)));
        assert_eq!(asked.len() as u64, steps(times.len()));
        assert_eq!(found.default, Some(Duration::from_micros(40)));
        assert_eq!(found.trials.len(), 4);
    }

    #[test]
    fn a_default_that_fails_at_last_is_among_the_failed() {
        let names = ["default", "b", "c"].map(String::from).to_vec();
        let found = search(names, |name, repeats| match name {
            "default" if repeats > REPEATS => Err("late".into()),
            "default" => Ok(Duration::from_micros(3)),
            _ => Ok(Duration::from_micros(1)),
        });
        assert_eq!(found.default, None);
        assert_eq!(found.winner.map(|(name, _)| name).as_deref(), Some("b"));
        assert_eq!(found.trials[2].outcome, Err("late".into()));
    }
}
