//! Rates of sums over many bodies.

use super::Failure;
use super::bench::{Number, RUNS, Row, TARGET, median_of, row};
use clap::Args;
use gvpie_core::fmm::Method;
use gvpie_core::nbody::models;
use gvpie_core::{Context, DType, Error, Fmm};
use std::num::NonZero;
use std::time::Instant;

/// Sums to measure, as options of a subcommand.
#[derive(Debug, Clone, Args)]
pub struct Sums {
    /// A sum over N charges of both signs in a cube, to errors of 1e-5; over N masses of a Plummer
    /// sphere; or over all pairs in the cube; may be given more than once
    #[arg(long, value_name = "N|plummer:N|direct:N", value_parser = parse_points)]
    pub points: Vec<(Kind, usize)>,
}

/// What is summed over, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Uniform,
    Plummer,
    Direct,
}

/// A sum to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// What is summed over.
    pub kind: Kind,
    /// How many.
    pub count: usize,
    /// Of coordinates, charges and results.
    pub precision: DType,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Uniform => write!(f, "{}", self.count),
            Kind::Plummer => write!(f, "plummer:{}", self.count),
            Kind::Direct => write!(f, "direct:{}", self.count),
        }
    }
}

fn parse_points(text: &str) -> Result<(Kind, usize), String> {
    let (kind, number) = match text.split_once(':') {
        None => (Kind::Uniform, text),
        Some(("plummer", number)) => (Kind::Plummer, number),
        Some(("direct", number)) => (Kind::Direct, number),
        Some(_) => return Err("expected N, plummer:N or direct:N".into()),
    };
    match number.parse() {
        Ok(count) if count > 0 => Ok((kind, count)),
        _ => Err("expected a number of bodies from 1, as in 100000 or plummer:100000".into()),
    }
}

/// The fixed table of a GPU.
const TABLE: [(Kind, usize); 5] = [
    (Kind::Direct, 262_144),
    (Kind::Uniform, 100_000),
    (Kind::Uniform, 1_000_000),
    (Kind::Uniform, 10_000_000),
    (Kind::Plummer, 1_000_000),
];

/// That of a processor, also one that poses as a GPU.
const TABLE_OF_A_CPU: [(Kind, usize); 3] =
    [(Kind::Direct, 8192), (Kind::Uniform, 20_000), (Kind::Plummer, 20_000)];

/// The relative error in L2, of potentials and of gradients, that is asked for.
const TOLERANCE: f64 = 1e-5;

impl Sums {
    /// What is to be measured.
    pub(super) fn problems(&self, ctx: &Context, precision: DType) -> Vec<Problem> {
        let modest = ctx.device().gpu().is_none_or(|gpu| gpu.is_software());
        let table = if modest { &TABLE_OF_A_CPU[..] } else { &TABLE[..] };
        let chosen = if self.points.is_empty() { table } else { &self.points };
        chosen.iter().map(|&(kind, count)| Problem { kind, count, precision }).collect()
    }
}

impl Problem {
    /// The same for the library.
    fn fmm(&self) -> Fmm {
        let method = match self.kind {
            Kind::Direct => Method::Direct,
            Kind::Uniform | Kind::Plummer => Method::Auto,
        };
        Fmm::new(self.count).precision(self.precision).tolerance(TOLERANCE).method(method)
    }

    /// Rows x, y, z, q.
    fn points(&self) -> Vec<[f64; 4]> {
        if self.kind == Kind::Plummer {
            return models::plummer(self.count, 6).positions;
        }
        let mut random = fastrand::Rng::with_seed(6);
        let mut point = || {
            let charge = if random.bool() { 1.0 } else { -1.0 };
            [random.f64(), random.f64(), random.f64(), charge]
        };
        (0..self.count).map(|_| point()).collect()
    }
}

/// Measures a sum from points on the device to results on the device, tree and all, by the host's
/// clock: the host has a part in it.
pub(super) fn measure(ctx: &Context, problem: &Problem) -> Result<Row, Failure> {
    match problem.precision {
        DType::F32 => measure_of::<f32>(ctx, problem, |x| x as f32),
        DType::F64 => measure_of::<f64>(ctx, problem, |x| x),
        other => Err(Error::Element {
            operand: "fmm".into(),
            expected: "f32 or f64",
            found: other.name(),
        }
        .into()),
    }
}

fn measure_of<T: Number>(
    ctx: &Context,
    problem: &Problem,
    narrow: fn(f64) -> T,
) -> Result<Row, Failure> {
    let plan = problem.fmm().plan(ctx)?;
    let count = problem.count;
    let points: Vec<T> =
        problem.points().as_flattened().iter().map(|&number| narrow(number)).collect();
    let x = ctx.upload([count, 4], &points)?;
    let mut y = ctx.zeros::<T>([count, 4])?;
    let mut pairs = 0;
    let time = median_of(ctx, RUNS, TARGET, |repeats| {
        let start = Instant::now();
        for _ in 0..repeats {
            pairs = plan.run(&x, &mut y)?.pairs;
        }
        y.view().slice(0, 0..1)?.download()?; // waits
        Ok(start.elapsed())
    })?;
    let errors = errors(&points, &y.download()?);
    let bound = plan.bound();
    let within = errors.iter().all(|error| *error <= bound); // false for NaN too
    if !within {
        let [potential, gradient] = errors;
        return Err(Failure::Wrong(format!(
            "fmm {problem}, {}: relative errors of {potential:.1e} and {gradient:.1e}, expected at \
             most {bound:.1e}",
            plan.algorithm()
        )));
    }
    let seconds = time.as_secs_f64();
    let (rate, unit) = match problem.kind {
        Kind::Direct => (pairs as f64 / seconds / 1e9, "Gpair/s"),
        Kind::Uniform | Kind::Plummer => (count as f64 / seconds / 1e6, "Mpoint/s"),
    };
    let [potential, gradient] = errors;
    Ok(Row {
        dtype: problem.precision.to_string(),
        accuracy: "1e-5",
        shape: problem.to_string(),
        path: format!("{}, errors {potential:.1e} {gradient:.1e}", plan.algorithm()),
        rate,
        unit,
        gbps: 8.0 * (count * problem.precision.size()) as f64 / seconds / 1e9,
        ..row(ctx, "fmm", time)
    })
}

/// Pairs of the check at most, beyond its least number of targets: a second or a few.
const MOST_PAIRS: usize = 2_000_000_000;

/// Relative errors in L2 of potentials and of gradients, against sums in double precision at up to
/// 1000 targets; of very many points at no fewer than 200.
fn errors<T: Number>(points: &[T], result: &[T]) -> [f64; 2] {
    let count = points.len() / 4;
    let wide = |row: &[T]| -> [f64; 4] { std::array::from_fn(|i| row[i].into()) };
    let sources: Vec<[f64; 4]> = points.chunks_exact(4).map(wide).collect();
    let samples = (MOST_PAIRS / count.max(1)).clamp(200, 1000).min(count);
    let mut random = fastrand::Rng::with_seed(7);
    let chosen: Vec<usize> = if samples == count {
        (0..count).collect()
    } else {
        (0..samples).map(|_| random.usize(..count)).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let part = |indices: &[usize]| {
        let mut squares = [[0.0; 2]; 2];
        for &i in indices {
            let expected = direct(&sources, sources[i]);
            let found = wide(&result[4 * i..][..4]);
            for c in 0..4 {
                let both = &mut squares[usize::from(c > 0)];
                both[0] += (found[c] - expected[c]).powi(2);
                both[1] += expected[c].powi(2);
            }
        }
        squares
    };
    let parts: Vec<[[f64; 2]; 2]> = std::thread::scope(|scope| {
        let each = chosen.len().div_ceil(threads).max(1);
        let running: Vec<_> =
            chosen.chunks(each).map(|indices| scope.spawn(move || part(indices))).collect();
        let nothing = [[f64::NAN; 2]; 2]; // of a thread that failed
        running.into_iter().map(|thread| thread.join().unwrap_or(nothing)).collect()
    });
    [0, 1].map(|which| {
        let total = |i: usize| parts.iter().map(|squares| squares[which][i]).sum::<f64>();
        if total(0) == 0.0 { 0.0 } else { (total(0) / total(1)).sqrt() }
    })
}

/// Potential and gradient at a point, in double precision; parts of the sum apart, so that no
/// number of them loses digits.
fn direct(sources: &[[f64; 4]], x: [f64; 4]) -> [f64; 4] {
    let mut total = [0.0; 4];
    for part in sources.chunks(4096) {
        let mut sum = [0.0; 4];
        for y in part {
            let d: [f64; 3] = std::array::from_fn(|axis| y[axis] - x[axis]);
            let square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            let inverse = if square > 0.0 { square.sqrt().recip() } else { 0.0 };
            let potential = y[3] * inverse;
            let factor = potential * inverse * inverse;
            sum[0] += potential;
            (0..3).for_each(|axis| sum[axis + 1] += factor * d[axis]);
        }
        (0..4).for_each(|i| total[i] += sum[i]);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvpie_core::Backend;

    #[test]
    fn points_are_read_or_refused() {
        assert_eq!(parse_points("1000"), Ok((Kind::Uniform, 1000)));
        assert_eq!(parse_points("plummer:7"), Ok((Kind::Plummer, 7)));
        assert_eq!(parse_points("direct:5"), Ok((Kind::Direct, 5)));
        for bad in ["", "0", "-3", "sphere:5", "plummer:", "direct:x"] {
            assert!(parse_points(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_are_relative_and_seen() {
        let points = [0.0, 0.0, 0.0, 2.0, 3.0, 4.0, 0.0, -1.0];
        let exact = [-0.2, -0.024, -0.032, 0.0, 0.4, -0.048, -0.064, 0.0];
        assert!(errors(&points, &exact).iter().all(|error| *error < 1e-15));
        let mut wrong = exact;
        wrong[0] = -0.2 + 0.02 * 0.2_f64.hypot(0.4);
        let [potential, gradient] = errors(&points, &wrong);
        assert!((potential - 0.02).abs() < 1e-12 && gradient < 1e-15);
        wrong[5] = f64::NAN;
        assert!(errors(&points, &wrong)[1].is_nan());
    }

    #[test]
    fn a_cpu_is_asked_for_what_it_can_do() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        let all = Sums { points: vec![] }.problems(&ctx, DType::F32);
        assert_eq!(all.len(), TABLE_OF_A_CPU.len());
        let asked = Sums { points: vec![(Kind::Plummer, 50)] }.problems(&ctx, DType::F64);
        assert_eq!(asked[0].to_string(), "plummer:50");
        let row = measure(&ctx, &asked[0]).unwrap();
        assert_eq!((row.unit, row.accuracy), ("Mpoint/s", "1e-5"));
    }
}
