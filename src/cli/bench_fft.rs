//! Rates of Fourier transforms.

use super::Failure;
use super::bench::{Number, RUNS, Row, TARGET, median_time, row};
use clap::Args;
use gvpie_core::{Budgets, Complex, Context, DType, Element, Error, Fft, Shape, Tensor};
use std::f64::consts::TAU;

/// Transforms to measure, as options of a subcommand.
#[derive(Debug, Clone, Args)]
pub struct Transforms {
    /// A transform's length N, NxN or NxNxN, batched to fill the buffer; may be given more than
    /// once
    #[arg(long, value_name = "N", value_parser = parse_length)]
    pub length: Vec<Shape>,
    /// Transforms of real numbers to half their spectrum only; without --length, both kinds
    #[arg(long)]
    pub real: bool,
}

/// Batched transforms to measure: dense, forward, along all axes but the batch, into other memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Extents of one.
    pub length: Shape,
    /// How many.
    pub batch: usize,
    /// Real numbers to half a spectrum.
    pub real: bool,
    /// Of real and imaginary parts.
    pub precision: DType,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind(), self.length)
    }
}

fn parse_length(text: &str) -> Result<Shape, String> {
    let extents: Vec<usize> = text
        .split(['x', 'X'])
        .map(|part| part.trim().parse().ok().filter(|&extent| extent > 0))
        .collect::<Option<_>>()
        .ok_or("expected positive whole numbers, as in 4096 or 128x128x128")?;
    let shape = Shape::from(extents);
    match (shape.rank(), shape.len()) {
        (1..=3, Some(_)) => Ok(shape),
        (1..=3, None) => Err("more elements than this machine can count".into()),
        (count, _) => Err(format!("expected N, NxN or NxNxN, found {count} numbers")),
    }
}

/// The fixed table of complex transforms.
const COMPLEX: [&[usize]; 30] = [
    &[256],
    &[512],
    &[1000],
    &[1013],
    &[1024],
    &[1155],
    &[2048],
    &[4096],
    &[8192],
    &[10007],
    &[16384],
    &[32768],
    &[65536],
    &[131072],
    &[262144],
    &[524288],
    &[1048576],
    &[2097152],
    &[4194304],
    &[8388608],
    &[16777216],
    &[59049],
    &[390625],
    &[117649],
    &[1024, 1024],
    &[2048, 2048],
    &[4096, 4096],
    &[128, 128, 128],
    &[256, 256, 256],
    &[512, 512, 512],
];

/// The fixed table of real transforms.
const REAL: [&[usize]; 13] = [
    &[1024],
    &[2048],
    &[4096],
    &[8192],
    &[16384],
    &[32768],
    &[65536],
    &[131072],
    &[262144],
    &[524288],
    &[1048576],
    &[2097152],
    &[4194304],
];

/// Bytes of the input to be approached by batching.
const BYTES: usize = 256 << 20;

/// The same on a processor, also one that poses as a GPU.
const BYTES_OF_A_CPU: usize = 16 << 20;

impl Transforms {
    /// What is to be measured: of the table, on a GPU what it can bind, on a CPU what fits its
    /// smaller buffer.
    pub(super) fn problems(&self, ctx: &Context, precision: DType) -> Vec<Problem> {
        let (bytes, most) = match ctx.device().gpu() {
            Some(gpu) if !gpu.is_software() => {
                let most = gpu.limits().max_storage_buffer_binding_size;
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                (BYTES.min(most), most)
            }
            _ => (BYTES_OF_A_CPU, BYTES_OF_A_CPU),
        };
        let of = |length: Shape, real: bool| {
            let batch = (bytes / element_bytes(real, precision) / count(&length)).max(1);
            Problem { length, batch, real, precision }
        };
        if !self.length.is_empty() {
            return self.length.iter().map(|length| of(length.clone(), self.real)).collect();
        }
        let complex = COMPLEX.iter().filter(|_| !self.real).map(|&dims| (dims, false));
        let all = complex.chain(REAL.iter().map(|&dims| (dims, true)));
        all.map(|(dims, real)| of(dims.into(), real)).filter(|p| p.input_bytes() <= most).collect()
    }
}

/// Elements of a shape that has been checked to have so many.
fn count(shape: &Shape) -> usize {
    shape.len().unwrap_or(usize::MAX)
}

fn element_bytes(real: bool, precision: DType) -> usize {
    precision.size() * if real { 1 } else { 2 }
}

impl Problem {
    /// The same for the library.
    fn fft(&self) -> Fft {
        let shape = [&[self.batch], self.length.dims()].concat();
        let axes: Vec<usize> = (1..shape.len()).collect();
        let fft = if self.real { Fft::real(shape) } else { Fft::new(shape) };
        fft.axes(axes).precision(self.precision)
    }

    fn kind(&self) -> &'static str {
        if self.real { "r2c" } else { "c2c" }
    }

    fn input_bytes(&self) -> usize {
        let each = element_bytes(self.real, self.precision);
        self.batch.saturating_mul(count(&self.length)).saturating_mul(each)
    }

    /// Bytes of input and output: none can be moved less than once.
    fn bytes(&self) -> f64 {
        let (output, dtype) = self.fft().output();
        let output: f64 = output.dims().iter().map(|&extent| extent as f64).product();
        self.input_bytes() as f64 + output * dtype.size() as f64
    }
}

/// Measures batched transforms of random numbers.
pub(super) fn measure(ctx: &Context, problem: &Problem) -> Result<Row, Failure> {
    match (problem.precision, problem.real) {
        (DType::F32, true) => measure_of::<f32, Complex<f32>>(ctx, problem),
        (DType::F32, false) => measure_of::<Complex<f32>, Complex<f32>>(ctx, problem),
        (DType::F64, true) => measure_of::<f64, Complex<f64>>(ctx, problem),
        (DType::F64, false) => measure_of::<Complex<f64>, Complex<f64>>(ctx, problem),
        (other, _) => Err(Error::Element {
            operand: "fft".into(),
            expected: "f32 or f64",
            found: other.name(),
        }
        .into()),
    }
}

fn measure_of<X: Part, Y: Part>(ctx: &Context, problem: &Problem) -> Result<Row, Failure> {
    let fft = problem.fft();
    let plan = fft.plan(ctx)?;
    let mut random = fastrand::Rng::with_seed(4);
    let elements = problem.batch.saturating_mul(count(&problem.length));
    let mut data: Vec<X> = Vec::new();
    data.try_reserve_exact(elements).map_err(|_| Error::OutOfMemory {
        what: format!("the input of fft {problem}"),
        asked: problem.input_bytes() as u64,
        in_use: 0,
        budgets: Budgets::default(),
    })?;
    data.extend((0..elements).map(|_| X::draw(&mut random)));
    let x = ctx.upload(fft.input().0, &data)?;
    let mut y = ctx.zeros::<Y>(fft.output().0)?;
    let time = median_time(ctx, RUNS, TARGET, |batch| plan.record(batch, &x, &mut y))?;
    spot_check(problem, &data, &y)?;
    let rate = problem.bytes() / time.as_secs_f64() / 1e9;
    Ok(Row {
        dtype: problem.precision.to_string(),
        accuracy: problem.kind(),
        shape: problem.length.to_string(),
        batch: problem.batch,
        path: super::fft::path(&plan),
        rate,
        unit: "GB/s",
        gbps: rate,
        ..row(ctx, "fft", time)
    })
}

/// An element of a transform's operands.
trait Part: Element {
    fn draw(random: &mut fastrand::Rng) -> Self;
    fn wide(self) -> Complex<f64>;
}

impl<T: Number> Part for T {
    fn draw(random: &mut fastrand::Rng) -> Self {
        T::draw(random)
    }
    fn wide(self) -> Complex<f64> {
        Complex::new(self.into(), 0.0)
    }
}

macro_rules! complex_parts {
    ($($part:ty),*) => {$(
        impl Part for Complex<$part> {
            fn draw(random: &mut fastrand::Rng) -> Self {
                Complex::new(<$part as Number>::draw(random), <$part as Number>::draw(random))
            }
            fn wide(self) -> Complex<f64> {
                Complex::new(self.re.into(), self.im.into())
            }
        }
    )*};
}
complex_parts!(f32, f64);

/// Computes a few elements of the result by their sum, in double precision.
///
/// A correct transform errs by about u·√log₂n·‖x‖₂ an element, with u the unit roundoff; wrong
/// are 16·u·(1 + log₂n)·‖x‖₂, which leaves room for long detours of awkward lengths.
fn spot_check<X: Part, Y: Part>(problem: &Problem, x: &[X], y: &Tensor<Y>) -> Result<(), Failure> {
    let (dims, n) = (problem.length.dims(), count(&problem.length));
    let spectrum = &y.shape().dims()[1..];
    let mut random = fastrand::Rng::with_seed(5);
    let edges = [
        vec![0; dims.len()],
        spectrum.iter().map(|&extent| extent - 1).collect(),
        spectrum.iter().map(|&extent| extent / 2).collect(),
    ];
    let drawn = (0..3).map(|_| spectrum.iter().map(|&extent| random.usize(..extent)).collect());
    let bins: Vec<Vec<usize>> = edges.into_iter().chain(drawn).collect();
    for (i, bin) in bins.into_iter().enumerate() {
        let index = match i {
            0 => 0,
            1 => problem.batch - 1,
            _ => random.usize(..problem.batch),
        };
        let x = &x[index * n..][..n];
        let (expected, norm) = direct(x, dims, &bin);
        let mut view = y.view().slice(0, index..index + 1)?;
        for (axis, &k) in bin.iter().enumerate() {
            view = view.slice(axis + 1, k..k + 1)?;
        }
        let found = view.download()?[0].wide();
        let bound = 16.0 * problem.precision.unit_roundoff() * (1.0 + (n as f64).log2()) * norm;
        let close = (found - expected).norm() <= bound; // false for NaN too
        if !close {
            let words = format!(
                "element {bin:?} of transform {index} of fft {problem} is {found}, {expected} in \
                 double precision"
            );
            return Err(Failure::Wrong(words));
        }
    }
    Ok(())
}

/// One element of the transform of x by its sum, and ‖x‖₂.
fn direct<X: Part>(x: &[X], dims: &[usize], bin: &[usize]) -> (Complex<f64>, f64) {
    let Some((&length, outer)) = dims.split_last() else { return (Complex::ZERO, 0.0) };
    // exp(-2πi·j·k/n): the product is reduced before, so that no digit is lost.
    let root = |j: usize, axis: usize| {
        let n = dims[axis] as u128;
        let turns = (j as u128 * bin[axis] as u128 % n) as f64 / n as f64;
        Complex::cis(-TAU * turns)
    };
    // Along the last axis j = j₁·s + j₂, so that √n roots do for n elements.
    let last = outer.len();
    let s = length.isqrt().max(1);
    let fine: Vec<Complex<f64>> = (0..s).map(|j| root(j, last)).collect();
    let coarse: Vec<Complex<f64>> = (0..length).step_by(s).map(|j| root(j, last)).collect();
    let (mut sum, mut squares) = (Complex::ZERO, 0.0);
    for (i, line) in x.chunks_exact(length).enumerate() {
        let mut along = Complex::ZERO;
        for (part, &step) in line.chunks(s).zip(&coarse) {
            let mut inner: Complex<f64> = Complex::ZERO;
            for (&value, &factor) in part.iter().zip(&fine) {
                let value = value.wide();
                inner += value * factor;
                squares += value.norm_sqr();
            }
            along += inner * step;
        }
        let mut rest = i;
        for axis in (0..last).rev() {
            along *= root(rest % dims[axis], axis);
            rest /= dims[axis];
        }
        sum += along;
    }
    (sum, squares.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvpie_core::Backend;
    use std::time::Duration;

    fn problem(length: impl Into<Shape>, batch: usize, real: bool) -> Problem {
        Problem { length: length.into(), batch, real, precision: DType::F32 }
    }

    #[test]
    fn lengths_are_read_or_refused() {
        assert_eq!(parse_length("1013"), Ok(Shape::from([1013])));
        assert_eq!(parse_length("2x3X4"), Ok(Shape::from([2, 3, 4])));
        let huge = "99999999999x99999999999";
        for bad in ["", "0", "2x0", "-3", "axb", "1x2x3x4", huge] {
            assert!(parse_length(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_direct_sum_is_that_of_the_formula() {
        let dims = [3, 2, 7];
        let mut random = fastrand::Rng::with_seed(1);
        let x: Vec<Complex<f64>> = (0..42).map(|_| Part::draw(&mut random)).collect();
        let bin = [2, 1, 5];
        let mut sum = Complex::ZERO;
        for (i, value) in x.iter().enumerate() {
            let index = [i / 14, i / 7 % 2, i % 7];
            let turns: f64 = (0..3).map(|a| (index[a] * bin[a]) as f64 / dims[a] as f64).sum();
            sum += value * Complex::cis(-TAU * turns);
        }
        let (found, norm) = direct(&x, &dims, &bin);
        assert!((found - sum).norm() < 1e-13);
        assert!((norm * norm - x.iter().map(Complex::norm_sqr).sum::<f64>()).abs() < 1e-12);
    }

    #[test]
    fn a_wrong_element_is_found() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        let of = |last: f32| {
            let y = [3.0, -1.0, 0.0, last].map(|re| Complex::new(re, 0.0));
            let y = ctx.upload([2, 2], &y).unwrap();
            spot_check(&problem([2], 2, true), &[1.0_f32, 2.0, -0.5, 0.5], &y)
        };
        of(-1.0).unwrap();
        for wrong in [-1.001, f32::NAN] {
            assert!(matches!(of(wrong), Err(Failure::Wrong(_))));
        }
    }

    #[test]
    fn the_least_traffic_is_that_of_the_operands() {
        assert_eq!(problem([6], 5, false).bytes(), 2.0 * 8.0 * 30.0);
        assert_eq!(problem([4, 6], 5, true).bytes(), 4.0 * 120.0 + 8.0 * 5.0 * 4.0 * 4.0);
        let double = Problem { precision: DType::F64, ..problem([6], 5, true) };
        assert_eq!(double.bytes(), 8.0 * 30.0 + 16.0 * 20.0);
    }

    #[test]
    fn a_cpu_is_asked_for_what_its_buffer_holds() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        let all = Transforms { length: vec![], real: false }.problems(&ctx, DType::F32);
        assert!(all.iter().all(|p| p.input_bytes() <= BYTES_OF_A_CPU));
        assert!(all.contains(&problem([1024], 2048, false)));
        assert!(all.contains(&problem([1024], 4096, true)));
        assert!(all.contains(&problem([128, 128, 128], 1, false)));
        let length = vec![Shape::from([1 << 22])];
        let asked = Transforms { length, real: false }.problems(&ctx, DType::F32);
        assert_eq!(asked, [problem([1 << 22], 1, false)]);
    }

    #[test]
    fn the_peer_s_script_has_the_same_table_and_columns() {
        let script = include_str!("../../benches/peers/fft_torch.py");
        let rows = |table: &[&[usize]]| -> String {
            let row = |dims: &&[usize]| {
                let words: Vec<String> = dims.iter().map(ToString::to_string).collect();
                let comma = if dims.len() == 1 { "," } else { "" };
                format!("    ({}{comma}),\n", words.join(", "))
            };
            table.iter().map(row).collect()
        };
        assert!(script.contains(&format!("C2C = [\n{}]\n", rows(&COMPLEX))));
        assert!(script.contains(&format!("R2C = [\n{}]\n", rows(&REAL))));
        assert!(script.contains("\nBYTES = 256 << 20\n") && BYTES == 256 << 20);
        let ctx = Context::on(Backend::Cpu).unwrap();
        let text = super::super::rows::render(&[row(&ctx, "fft", Duration::ZERO)], true, false);
        let columns = text.lines().next().unwrap();
        assert!(script.contains(&format!("COLUMNS = \"{columns}\"\n")), "{columns}");
    }
}
