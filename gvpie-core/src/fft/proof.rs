//! What proves an implementation of the FFT: one table of hard cases, the sums of the definition in
//! f64, and the bound that the [module](super) promises.

mod cases;
mod oracle;

pub use cases::hard_cases;

use super::{Fft, Hooks};
use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::{Shape, span};
use num_complex::Complex;

/// How one operand of a [`Case`] lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Storage {
    /// Elements between the lines of the axis that varies fastest, beyond their own.
    pub pad: usize,
    /// Elements before the first.
    pub offset: usize,
    /// Distance between neighbours, less one.
    pub spread: usize,
    /// The axis that varies fastest is so many before the last; the others follow in their order, the
    /// first after the last.
    pub turn: usize,
}

/// One problem with the memory layout of its operands.
#[derive(Debug, Clone)]
pub struct Case {
    /// What makes it hard.
    pub why: &'static str,
    /// The problem.
    pub problem: Fft,
    /// Layout of the input.
    pub input: Storage,
    /// Layout of the output; that of the input where it takes its place.
    pub output: Storage,
    /// The output takes the input's place.
    pub in_place: bool,
}

/// What a case showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// ‖found − expected‖ / ‖expected‖, in L2 over all of the output.
    pub error: f64,
    /// What it may be: [`tolerance`].
    pub allowed: f64,
}

/// The relative error in L2 that the [module](super) promises for a problem.
///
/// ```
/// use gvpie_core::fft::{Fft, proof::tolerance};
/// assert_eq!(tolerance(&Fft::new([65536])), 4.0 * 5e-8);
/// assert_eq!(tolerance(&Fft::new([256, 256]).all_axes()), 4.0 * 5e-8);
/// assert_eq!(tolerance(&Fft::new([17])), 17_f64.log2().sqrt() * 1e-7);
/// ```
pub fn tolerance(problem: &Fft) -> f64 {
    let extents = || problem.axes.iter().filter_map(|&axis| problem.shape.dims().get(axis));
    let smooth = |&n: &usize| {
        let rest = [2, 3, 5, 7, 11, 13].iter().fold(n.max(1), |mut n, prime| {
            while n.is_multiple_of(*prime) {
                n /= prime;
            }
            n
        });
        rest == 1
    };
    let depth: f64 = extents().map(|&n| (n as f64).log2()).sum();
    let each = if extents().all(smooth) { 5e-8 } else { 1e-7 };
    let hooks = [problem.window, problem.spectrum].into_iter().filter(|&asked| asked).count();
    let last_place = 2.0 * DType::F32.unit_roundoff();
    let sums = each * depth.sqrt();
    // Where nothing is summed, or a factor that is no power of two is itself rounded.
    let scaled = depth == 0.0 || problem.factor().log2().fract() != 0.0;
    let single = if scaled { sums.max(last_place) } else { sums } + hooks as f64 * last_place;
    if problem.precision == DType::F64 { single * 0.5_f64.powi(27) } else { single }
}

/// ‖found − expected‖ / ‖expected‖ in L2, 0 where both are zero; NaN if an element is.
///
/// ```
/// use gvpie_core::{Complex, fft::proof::relative};
/// let expected = [3.0, 4.0].map(Complex::from);
/// assert_eq!(relative(&[3.0, 4.5].map(Complex::from), &expected), 0.1);
/// ```
pub fn relative(found: &[Complex<f64>], expected: &[Complex<f64>]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = Complex<f64>>| x.map(|x| x.norm_sqr()).sum::<f64>();
    let error = norm(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
    if error == 0.0 { 0.0 } else { (error / norm(&mut expected.iter().copied())).sqrt() }
}

/// What outputs hold before, to show elements that were not written (or must not be).
const SENTINEL: f64 = 1234.0;

impl Case {
    /// A problem with dense operands.
    pub fn dense(why: &'static str, problem: Fft) -> Self {
        let dense = Storage::default();
        Case { why, problem, input: dense, output: dense, in_place: false }
    }

    /// Runs the case on random input of `seed` and holds the result against the oracle.
    ///
    /// # Errors
    /// [`Error::Internal`] if the error is past its bound or an element outside the output was
    /// written; whatever the plan and the run return.
    pub fn check(&self, ctx: &Context, seed: u64) -> Result<Outcome> {
        match (self.problem.input().1, self.problem.output().1) {
            (DType::C64, DType::C64) => self.check_as::<Complex<f32>, Complex<f32>, f32>(ctx, seed),
            (DType::F32, DType::C64) => self.check_as::<f32, Complex<f32>, f32>(ctx, seed),
            (DType::C64, DType::F32) => self.check_as::<Complex<f32>, f32, f32>(ctx, seed),
            (DType::F64, DType::C128) => self.check_as::<f64, Complex<f64>, f64>(ctx, seed),
            (DType::C128, DType::F64) => self.check_as::<Complex<f64>, f64, f64>(ctx, seed),
            _ => self.check_as::<Complex<f64>, Complex<f64>, f64>(ctx, seed),
        }
    }

    fn check_as<X: Number, Y: Number, T: Number>(&self, ctx: &Context, seed: u64) -> Result<Outcome>
    where
        Complex<T>: Number,
    {
        let problem = &self.problem;
        let plan = problem.plan(ctx)?;
        let (input, output) = (problem.input().0, problem.output().0);
        let grids = [Grid::new(&input, self.input), Grid::new(&output, self.output)];
        let [gx, gy] = &grids;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut draw = || Complex::new(random.f64() * 2.0 - 1.0, random.f64() * 2.0 - 1.0);
        let x: Vec<X> = (0..gx.held).map(|_| X::of(draw())).collect();
        let along = |shape: &Shape| problem.last().map_or(0, |(axis, _)| shape.dims()[axis]);
        let window: Vec<T> = (0..along(&input)).map(|_| T::of(draw())).collect();
        let spectrum: Vec<Complex<T>> = (0..along(&output)).map(|_| Number::of(draw())).collect();
        let wide = |x: &[X]| -> Vec<Complex<f64>> { gx.places().map(|at| x[at].wide()).collect() };
        let window_wide: Vec<f64> = window.iter().map(|w| w.wide().re).collect();
        let spectrum_wide: Vec<_> = spectrum.iter().map(Number::wide).collect();
        let fault =
            |message: String| Error::Internal { what: format!("FFT: {}", self.why), message };
        let expected = oracle::oracle(
            problem,
            wide(&x),
            problem.window.then_some(&window_wide[..]),
            problem.spectrum.then_some(&spectrum_wide[..]),
        )
        .map_err(fault)?;

        let mut tx = ctx.upload([gx.held], &x)?;
        let (before, after, gy): (Vec<Complex<f64>>, Vec<Complex<f64>>, &Grid) = if self.in_place {
            plan.run_in_place(tx.view_mut().map(|v| v.strided(input, &gx.strides, gx.offset))?)?;
            let after = tx.download()?;
            (x.iter().map(X::wide).collect(), after.iter().map(X::wide).collect(), gx)
        } else {
            let before = vec![Y::of(Complex::new(SENTINEL, SENTINEL)); gy.held];
            let mut ty = ctx.upload([gy.held], &before)?;
            let mut hooks = Hooks::new();
            if problem.window {
                hooks = hooks.window(&ctx.upload([window.len()], &window)?);
            }
            if problem.spectrum {
                hooks = hooks.spectrum(&ctx.upload([spectrum.len()], &spectrum)?);
            }
            let from = tx.view().strided(input, &gx.strides, gx.offset)?;
            let to = ty.view_mut().map(|v| v.strided(output, &gy.strides, gy.offset))?;
            plan.run_with(from, hooks, to)?;
            let changed = tx.download()?.iter().zip(&x).position(|(after, before)| after != before);
            if let Some(at) = changed {
                return Err(fault(format!("element {at} of the input was written")));
            }
            let after = ty.download()?;
            (before.iter().map(Y::wide).collect(), after.iter().map(Y::wide).collect(), gy)
        };

        let mut inside = vec![false; gy.held];
        gy.places().for_each(|at| inside[at] = true);
        let found: Vec<_> = gy.places().map(|at| after[at]).collect();
        let error = relative(&found, &expected);
        let outcome = Outcome { error, allowed: tolerance(problem) };
        // NaN is no error that is allowed.
        if error.is_nan() || error > outcome.allowed {
            let allowed = outcome.allowed;
            return Err(fault(format!("an error of {error:.3e}, {allowed:.3e} is allowed")));
        }
        match (0..gy.held).find(|&at| !inside[at] && after[at] != before[at]) {
            Some(at) => Err(fault(format!("element {at}, outside the output, was written"))),
            None => Ok(outcome),
        }
    }
}

/// An element type with its way to and from complex numbers of f64.
trait Number: Element {
    fn of(value: Complex<f64>) -> Self;
    fn wide(&self) -> Complex<f64>;
}

macro_rules! numbers {
    ($($part:ty),*) => {$(
        impl Number for $part {
            fn of(value: Complex<f64>) -> Self { value.re as $part }
            fn wide(&self) -> Complex<f64> { f64::from(*self).into() }
        }
        impl Number for Complex<$part> {
            fn of(value: Complex<f64>) -> Self {
                Complex::new(value.re as $part, value.im as $part)
            }
            fn wide(&self) -> Complex<f64> { Complex::new(self.re.into(), self.im.into()) }
        }
    )*};
}
numbers!(f32, f64);

/// An operand in memory.
struct Grid {
    dims: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    /// Elements of the whole buffer, some past the last among them.
    held: usize,
}

impl Grid {
    fn new(shape: &Shape, layout: Storage) -> Self {
        let dims = shape.dims().to_vec();
        let rank = dims.len();
        let mut strides = vec![0; rank];
        let mut step = layout.spread + 1;
        for inner in 0..rank {
            let axis = (2 * rank - 1 - inner - layout.turn % rank) % rank;
            strides[axis] = step;
            step *= dims[axis].max(1);
            step += if inner == 0 { layout.pad } else { 0 };
        }
        let held = span(&dims, &strides).unwrap_or(0) + layout.offset + 5;
        Grid { dims, strides, offset: layout.offset, held }
    }

    /// Where the elements lie, in row-major order.
    fn places(&self) -> impl Iterator<Item = usize> {
        let count = self.dims.iter().product();
        (0..count).map(|mut index: usize| {
            let mut at = self.offset;
            for (extent, stride) in self.dims.iter().zip(&self.strides).rev() {
                at += index % extent * stride;
                index /= extent;
            }
            at
        })
    }
}
