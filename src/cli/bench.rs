//! `gvpie bench`: rates of the operations, from checked results.

#[cfg(feature = "vgpu")]
use super::bench_vgpu;
use super::gemm::{AccuracyName, FloatName};
use super::{
    Arguments, Failure, bandwidth, bench_einsum, bench_fft, bench_fmm, bench_glyph, bench_pixel,
    rows,
};
use crate::output::print;
use clap::{Args, ValueEnum};
use gvpie_core::gemm::{Accuracy, GemmPlan, proof};
use gvpie_core::glyph::Cell;
use gvpie_core::{Backend, Context, DType, Element, Gemm, Tensor, f16};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Measure operations, with checked results.
///
/// Each row is the median of seven runs after a warm-up, on random operands; a run repeats the
/// operation until it has taken about 40 ms, and is timed by the device's own clock where it has
/// one. Elements of each result are recomputed in double precision; a wrong one fails the bench.
#[derive(Debug, Args)]
pub struct Options {
    /// What to measure; all operations unless named
    #[arg(value_enum, value_name = "OP")]
    pub ops: Vec<Op>,
    /// A product's shape MxNxK, or BxMxNxK for a batch; may be given more than once
    #[arg(long, value_name = "MxNxK", value_parser = parse_shape)]
    pub shape: Vec<Extents>,
    /// Which Fourier transforms
    #[command(flatten)]
    pub transforms: bench_fft::Transforms,
    /// Which sums over many bodies
    #[command(flatten)]
    pub sums: bench_fmm::Sums,
    /// Element types, and accuracy of products
    #[command(flatten)]
    pub numbers: Numbers,
    /// Print comma-separated values (RFC 4180)
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Measure llvmpipe's part of `vgpu`, in a process of its own
    #[cfg(feature = "vgpu")]
    #[arg(long, hide = true)]
    pub llvmpipe: bool,
}

/// The numbers that products are made of, as options of a subcommand.
#[derive(Debug, Clone, Copy, Args)]
pub struct Numbers {
    /// Element type
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        default_value = "f32",
        value_name = "f16|f32|f64"
    )]
    pub dtype: FloatName,
    /// Element type of the product, unless it is that of the operands
    #[arg(long, value_enum, hide_possible_values = true, value_name = "f16|f32|f64")]
    pub out: Option<FloatName>,
    /// How sums may be rounded, as in `gvpie gemm`
    #[arg(
        long,
        default_value = "f32",
        value_enum,
        hide_possible_values = true,
        value_name = "f32|exact|f16"
    )]
    pub accuracy: AccuracyName,
}

impl Numbers {
    /// The problem of a shape with these numbers.
    pub(super) fn problem(self, shape: Extents) -> Problem {
        let Numbers { dtype, out, accuracy } = self;
        Problem { shape, dtype, out: out.unwrap_or(dtype), accuracy }
    }
}

/// An operation that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Op {
    /// Copying within the device's memory: the ceiling of all that is bound by memory
    Copy,
    /// Writing the device's memory: the ceiling of glyph expansion
    Fill,
    /// Matrix products
    Gemm,
    /// Fourier transforms of buffers of 256 MB, 16 MB on a CPU; f32 or f64
    Fft,
    /// Sums of products over named indices, of extents an eighth as long on a CPU; f32
    Einsum,
    /// Sums of 1/r over many bodies, the tree included; f32 or f64
    Fmm,
    /// Machine textures expanded to pictures
    Glyph,
    /// Machines of PXL-1: equal and distinct programs, canvases, the host's, one alone
    Pixel,
    /// Kernels on the device in software, beside llvmpipe, in a table of their own; only if named
    #[cfg(feature = "vgpu")]
    Vgpu,
}

/// One measurement to make.
#[derive(Debug, Clone)]
enum Job {
    Copy,
    Fill,
    Gemm(Problem),
    Fft(bench_fft::Problem),
    Einsum(bench_einsum::Problem),
    Fmm(bench_fmm::Problem),
    Glyph(Cell),
    Pixel(bench_pixel::Problem),
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Job::Copy => f.write_str("copy"),
            Job::Fill => f.write_str("fill"),
            Job::Gemm(Problem { shape: e, .. }) => write!(f, "gemm {}x{}x{}", e.m, e.n, e.k),
            Job::Fft(problem) => write!(f, "fft {problem}"),
            Job::Einsum(problem) => write!(f, "einsum {problem}"),
            Job::Fmm(problem) => write!(f, "fmm {problem}"),
            Job::Glyph(cell) => write!(f, "glyph {cell}"),
            Job::Pixel(problem) => write!(f, "pixel {problem}"),
        }
    }
}

/// The extents of a batch of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extents {
    /// Products of the batch.
    pub batch: usize,
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
}

/// A matrix product to measure: dense, α = 1, β = 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its extents.
    pub shape: Extents,
    /// The elements of A and B.
    pub dtype: FloatName,
    /// The elements of C.
    pub out: FloatName,
    /// How sums may be rounded.
    pub accuracy: AccuracyName,
}

impl Problem {
    /// The same for the library.
    pub fn gemm(&self) -> Gemm {
        let Extents { batch, m, n, k } = self.shape;
        let (dtype, out) = (self.dtype.into(), self.out.into());
        let accuracy = Accuracy::from(self.accuracy);
        Gemm::new(m, n, k).batch(batch).elements(dtype, dtype, out).accuracy(accuracy)
    }

    /// Its element types, as `f32`, or as `f16->f32` where C has another than A and B.
    pub fn elements(&self) -> String {
        let (dtype, out) = (DType::from(self.dtype), DType::from(self.out));
        if dtype == out { dtype.to_string() } else { format!("{dtype}->{out}") }
    }

    /// Bytes of A, B and C: none can be moved less than once.
    fn bytes(&self) -> f64 {
        let Extents { batch, m, n, k } = self.shape;
        let (dtype, out) = (DType::from(self.dtype), DType::from(self.out));
        let of = |rows: usize, columns: usize, dtype: DType| {
            batch as f64 * rows as f64 * columns as f64 * dtype.size() as f64
        };
        of(m, k, dtype) + of(k, n, dtype) + of(m, n, out)
    }
}

pub(super) fn parse_shape(text: &str) -> Result<Extents, String> {
    let extents: Vec<usize> = text
        .split(['x', 'X'])
        .map(|part| part.trim().parse().ok().filter(|&extent| extent > 0))
        .collect::<Option<_>>()
        .ok_or("expected positive whole numbers, as in 4096x4096x4096")?;
    match extents[..] {
        [m, n, k] => Ok(Extents { batch: 1, m, n, k }),
        [batch, m, n, k] => Ok(Extents { batch, m, n, k }),
        _ => Err(format!("expected MxNxK or BxMxNxK, found {} numbers", extents.len())),
    }
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The operation.
    pub op: &'static str,
    /// The element type; of A and B, and of C where it has another.
    pub dtype: String,
    /// How sums may be rounded, of products; which transform, `c2c` or `r2c`; of sums over bodies,
    /// what errors they were asked for; else empty.
    pub accuracy: &'static str,
    /// Extents, without the batch.
    pub shape: String,
    /// Products or transforms of the batch.
    pub batch: usize,
    /// The algorithm that was chosen.
    pub path: String,
    /// The median time of one, in milliseconds.
    pub ms_median: f64,
    /// Work over time; of `einsum`, whose peers are compared by it, the time.
    pub rate: f64,
    /// The rate's unit.
    pub unit: &'static str,
    /// The bytes that must be moved at least, over time, in GB/s: what a product of vectors, which
    /// is bound by memory, is to be judged by.
    pub gbps: f64,
    /// What computed it.
    pub adapter: String,
    /// Its driver.
    pub driver: String,
}

/// The fixed table of GEMM on a GPU; on a CPU it stops at 2048.
const TABLE: [(usize, [usize; 3]); 12] = [
    (1, [512; 3]),
    (1, [1024; 3]),
    (1, [2048; 3]),
    (1, [4096; 3]),
    (1, [8192; 3]),
    (1, [16384; 3]),
    (1, [4096, 64, 4096]),
    (1, [64, 4096, 4096]),
    (1, [4096, 4096, 64]),
    (1, [1, 4096, 4096]),
    (64, [256; 3]),
    (1, [7, 1023, 4097]),
];

/// The part of the table that a context is asked for.
pub(super) fn table(ctx: &Context) -> Vec<Extents> {
    // A processor, also one that poses as a GPU, is not asked for minutes of work.
    let modest = ctx.device().gpu().is_none_or(|gpu| gpu.is_software());
    let most = if modest { 2 * 2048_usize.pow(3) } else { usize::MAX };
    let all = TABLE.iter().map(|&(batch, [m, n, k])| Extents { batch, m, n, k });
    all.filter(|e| 2 * e.m * e.n * e.k <= most).collect()
}

/// Of so many runs a row is the median.
pub(super) const RUNS: u32 = 7;

/// About how long a run takes.
pub(super) const TARGET: Duration = Duration::from_millis(40);

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`]; rows measured before it are printed.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    #[cfg(feature = "vgpu")]
    {
        if options.llvmpipe {
            return Ok(print(&bench_vgpu::llvmpipe()?)?);
        }
        if options.ops.contains(&Op::Vgpu) {
            print(&bench_vgpu::run(arguments.json)?)?;
            if options.ops.iter().all(|op| *op == Op::Vgpu) {
                return Ok(());
            }
        }
    }
    let ctx = arguments.context()?;
    let wanted = |op| options.ops.is_empty() || options.ops.contains(&op);
    let shapes = if options.shape.is_empty() { table(&ctx) } else { options.shape.clone() };
    let problems = shapes.into_iter().map(|shape| options.numbers.problem(shape));
    let mut jobs = Vec::new();
    jobs.extend(wanted(Op::Copy).then_some(Job::Copy));
    jobs.extend(wanted(Op::Fill).then_some(Job::Fill));
    jobs.extend(problems.filter(|_| wanted(Op::Gemm)).map(Job::Gemm));
    // Halves are for products: with them, others are measured where they are asked for, and fail.
    let halves = options.numbers.dtype == FloatName::F16;
    let wanted_so = |op| options.ops.contains(&op) || wanted(op) && !halves;
    if wanted_so(Op::Fft) {
        let problems = options.transforms.problems(&ctx, options.numbers.dtype.into());
        jobs.extend(problems.into_iter().map(Job::Fft));
    }
    if wanted(Op::Einsum) {
        jobs.extend(bench_einsum::problems(&ctx).into_iter().map(Job::Einsum));
    }
    if wanted_so(Op::Fmm) {
        let problems = options.sums.problems(&ctx, options.numbers.dtype.into());
        jobs.extend(problems.into_iter().map(Job::Fmm));
    }
    jobs.extend(Cell::ALL.into_iter().filter(|_| wanted(Op::Glyph)).map(Job::Glyph));
    jobs.extend(bench_pixel::TABLE.into_iter().filter(|_| wanted(Op::Pixel)).map(Job::Pixel));

    let bar = super::progress(jobs.len() as u64);
    let mut rows = Vec::new();
    let mut failure = None;
    for job in jobs {
        bar.set_message(job.to_string());
        let measured = match job {
            Job::Copy => bandwidth::copy(&ctx),
            Job::Fill => bandwidth::fill(&ctx),
            Job::Gemm(problem) => gemm(&ctx, problem).map(Some),
            Job::Fft(problem) => bench_fft::measure(&ctx, &problem).map(Some),
            Job::Einsum(problem) => bench_einsum::measure(&ctx, &problem).map(Some),
            Job::Fmm(problem) => bench_fmm::measure(&ctx, &problem).map(Some),
            Job::Glyph(cell) => bench_glyph::measure(&ctx, cell).map(Some),
            Job::Pixel(problem) => bench_pixel::measure(&ctx, problem),
        };
        match measured {
            Ok(row) => rows.extend(row),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    print(&rows::render(&rows, options.csv, arguments.json))?;
    failure.map_or(Ok(()), Err)
}

/// How long a GPU must have worked without a pause before its clock is measured by: one that idles
/// while the host prepares operands may run at a sixth of its clock (an H100 does, from about three
/// seconds after it opened) and takes a while to raise it again.
const CLOCKS_RISE: Duration = Duration::from_millis(600);
/// Beyond it, how long to wait for two runs that agree.
const CLOCKS_SETTLE: Duration = Duration::from_secs(4);

/// The median time of one operation, of `runs` that take about `target` each, once the device has
/// worked long enough for its clocks to rise: `record` records one into a batch.
pub(super) fn median_time(
    ctx: &Context,
    runs: u32,
    target: Duration,
    mut record: impl FnMut(&mut gvpie_core::Batch) -> gvpie_core::Result<()>,
) -> gvpie_core::Result<Duration> {
    median_of(ctx, runs, target, |repeats| {
        let mut batch = ctx.batch("bench");
        (0..repeats).try_for_each(|_| record(&mut batch))?;
        batch.time()
    })
}

/// The same, where `time` does so many and says how long they took together.
pub(super) fn median_of(
    ctx: &Context,
    runs: u32,
    target: Duration,
    mut time: impl FnMut(u32) -> gvpie_core::Result<Duration>,
) -> gvpie_core::Result<Duration> {
    time(1)?; // compiles, fills caches, raises clocks
    let mut once = time(2)? / 2;
    let repeats = |once: Duration| {
        (target.as_secs_f64() / once.as_secs_f64().max(1e-7)).clamp(1.0, 500.0) as u32
    };
    if ctx.backend() == Backend::Gpu && once < Duration::from_secs(1) {
        let start = std::time::Instant::now();
        loop {
            let count = repeats(once);
            let before = std::mem::replace(&mut once, time(count)? / count);
            let agree = once.as_secs_f64() > 0.98 * before.as_secs_f64();
            if start.elapsed() > CLOCKS_SETTLE || agree && start.elapsed() > CLOCKS_RISE {
                break;
            }
        }
    }
    let repeats = repeats(once);
    let runs = if once > Duration::from_secs(1) { 1 } else { runs };
    let mut times = (0..runs.max(1)).map(|_| time(repeats)).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    Ok(times[times.len() / 2] / repeats)
}

pub(super) fn row(ctx: &Context, op: &'static str, time: Duration) -> Row {
    Row {
        op,
        dtype: String::new(),
        accuracy: "",
        shape: String::new(),
        batch: 1,
        path: String::new(),
        ms_median: time.as_secs_f64() * 1e3,
        rate: 0.0,
        unit: "",
        gbps: 0.0,
        adapter: ctx.adapter(),
        driver: ctx.driver(),
    }
}

/// A matrix product.
pub(super) fn gemm(ctx: &Context, problem: Problem) -> Result<Row, Failure> {
    match problem.dtype {
        FloatName::F16 => gemm_of::<f16>(ctx, problem),
        FloatName::F32 => gemm_of::<f32>(ctx, problem),
        FloatName::F64 => gemm_of::<f64>(ctx, problem),
    }
}

fn gemm_of<T: Number>(ctx: &Context, problem: Problem) -> Result<Row, Failure> {
    match problem.out {
        FloatName::F16 => measure::<T, f16>(ctx, problem),
        FloatName::F32 => measure::<T, f32>(ctx, problem),
        FloatName::F64 => measure::<T, f64>(ctx, problem),
    }
}

/// A number that random operands are made of and results are checked in.
pub(super) trait Number: Element + Into<f64> {
    const NAN: Self;
    fn draw(random: &mut fastrand::Rng) -> Self;
}
impl Number for f16 {
    const NAN: Self = f16::NAN;
    fn draw(random: &mut fastrand::Rng) -> Self {
        f16::from_f32(random.f32() - 0.5)
    }
}
impl Number for f32 {
    const NAN: Self = f32::NAN;
    fn draw(random: &mut fastrand::Rng) -> Self {
        random.f32() - 0.5
    }
}
impl Number for f64 {
    const NAN: Self = f64::NAN;
    fn draw(random: &mut fastrand::Rng) -> Self {
        random.f64() - 0.5
    }
}

/// Random A and B.
pub(super) fn operands<T: Number>(e: Extents) -> (Vec<T>, Vec<T>) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut draw = |count: usize| -> Vec<T> { (0..count).map(|_| T::draw(&mut random)).collect() };
    (draw(e.batch * e.m * e.k), draw(e.batch * e.k * e.n))
}

/// How a plan computed, and how much of it in another way.
pub(super) fn path(plan: &GemmPlan) -> gvpie_core::Result<String> {
    let algorithm = plan.algorithm();
    Ok(match plan.left_to_plain()? {
        Some([left, all]) if left > 0 => format!("{algorithm}, {left} of {all} tiles plain"),
        _ => algorithm.to_string(),
    })
}

fn measure<T: Number, C: Number>(ctx: &Context, problem: Problem) -> Result<Row, Failure> {
    let e = problem.shape;
    let gemm = problem.gemm();
    let plan = gemm.plan(ctx)?;
    let (a, b) = operands::<T>(e);
    let ta = ctx.upload([e.batch, e.m, e.k], &a)?;
    let tb = ctx.upload([e.batch, e.k, e.n], &b)?;
    let mut c = ctx.zeros::<C>([e.batch, e.m, e.n])?;
    let time = median_time(ctx, RUNS, TARGET, |batch| plan.record(batch, &ta, &tb, &mut c))?;
    spot_check(&gemm, &a, &b, &c)?;
    Ok(Row {
        dtype: problem.elements(),
        accuracy: problem.accuracy.name(),
        shape: format!("{}x{}x{}", e.m, e.n, e.k),
        batch: e.batch,
        path: path(&plan)?,
        rate: gemm.flops() / time.as_secs_f64() / 1e12,
        unit: "TFLOP/s",
        gbps: problem.bytes() / time.as_secs_f64() / 1e9,
        ..row(ctx, "gemm", time)
    })
}

/// Recomputes corners and random elements in double precision.
pub(super) fn spot_check<T: Number, C: Number>(
    problem: &Gemm,
    a: &[T],
    b: &[T],
    c: &Tensor<C>,
) -> Result<(), Failure> {
    let (batch, m, n, k) = (problem.count(), problem.rows(), problem.columns(), problem.depth());
    let mut random = fastrand::Rng::with_seed(2);
    let corner = [(0, 0, 0), (batch - 1, m - 1, n - 1)];
    let drawn = (0..62).map(|_| (random.usize(..batch), random.usize(..m), random.usize(..n)));
    let wide: fn(T) -> f64 = T::into;
    for (index, i, j) in corner.into_iter().chain(drawn).collect::<Vec<_>>() {
        let factors =
            (0..k).map(|l| (wide(a[(index * m + i) * k + l]), wide(b[(index * k + l) * n + j])));
        let (expected, bound) = proof::element(problem, factors, 0.0, 0.0);
        let view = c.view().slice(0, index..index + 1)?.slice(1, i..i + 1)?.slice(2, j..j + 1)?;
        let found: f64 = view.download()?[0].into();
        let close = (found - expected).abs() <= bound; // false for NaN too
        if !close {
            let words = format!("C[{index}, {i}, {j}] is {found}, {expected} in double precision");
            return Err(Failure::Wrong(words));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_or_refused() {
        assert_eq!(parse_shape("2x3x4"), Ok(Extents { batch: 1, m: 2, n: 3, k: 4 }));
        assert_eq!(parse_shape("9X2x3x4"), Ok(Extents { batch: 9, m: 2, n: 3, k: 4 }));
        for bad in ["", "2x3", "2x0x4", "2x-3x4", "axbxc", "1x2x3x4x5", "99999999999999999999x1x1"]
        {
            assert!(parse_shape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_element_is_found() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        let p = Gemm::new(1, 1, 2);
        let (a, b) = ([1.0_f32, 2.0], [3.0_f32, 4.0]);
        let of = |p: &Gemm, c: f32| spot_check(p, &a, &b, &ctx.upload([1, 1, 1], &[c]).unwrap());
        of(&p, 11.0).unwrap();
        for wrong in [11.001_f32, f32::NAN] {
            assert!(matches!(of(&p, wrong), Err(Failure::Wrong(_))));
        }
        // Two roundings of 2^-11 of 11 are 0.0107.
        let half = p.accuracy(Accuracy::F16);
        of(&half, 11.01).unwrap();
        assert!(matches!(of(&half, 11.011), Err(Failure::Wrong(_))));
    }

    #[test]
    fn the_least_traffic_is_that_of_the_operands() {
        let shape = Extents { batch: 2, m: 3, n: 5, k: 7 };
        let (dtype, out, accuracy) = (FloatName::F16, FloatName::F32, AccuracyName::F32);
        let problem = Problem { shape, dtype, out, accuracy };
        assert_eq!(problem.bytes(), 2.0 * (2.0 * 21.0 + 2.0 * 35.0 + 4.0 * 15.0));
        assert_eq!(problem.elements(), "f16->f32");
        assert_eq!(Problem { out: dtype, ..problem }.elements(), "f16");
    }

    #[test]
    fn the_peer_s_script_has_the_same_table_and_columns() {
        let script = include_str!("../../benches/peers/gemm_torch.py");
        let rows = TABLE.map(|(batch, [m, n, k])| format!("    ({batch}, {m}, {n}, {k}),\n"));
        assert!(script.contains(&format!("TABLE = [\n{}]\n", rows.concat())));
        let ctx = Context::on(Backend::Cpu).unwrap();
        let text = rows::render(&[row(&ctx, "gemm", Duration::ZERO)], true, false);
        let columns = text.lines().next().unwrap();
        assert!(script.contains(&format!("COLUMNS = \"{columns}\"\n")), "{columns}");
    }

    #[test]
    fn tables_quote_what_needs_quotes() {
        let time = Duration::from_micros(1500);
        let ctx = Context::on(Backend::Cpu).unwrap();
        let one =
            Row { shape: "2x2x2".into(), driver: "a, \"b\"".into(), ..row(&ctx, "gemm", time) };
        let text = rows::render(&[one], true, false);
        let expected = "op,dtype,accuracy,shape,batch,path,ms_median,rate,unit,gbps,adapter,driver\r\n\
             gemm,,,2x2x2,1,,1.5,0.0,,0.0,cpu,\"a, \"\"b\"\"\"\r\n";
        assert_eq!(text, expected);
    }
}
