//! What proves an implementation of GEMM: one table of hard cases, one of operands on which accuracy
//! is hard to keep, a naive f64 oracle, and the bound that the [module](super) promises. Tests,
//! benchmarks, fuzzers and the self-check of the command all read this one.

mod cases;
mod inputs;
mod splitting;

pub use cases::hard_cases;
pub use inputs::{Entries, Input, hard_inputs};

use super::{Accuracy, Activation, Algorithm, Gemm, GemmPlan};
use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::span;
use crate::tensor::TensorView;
use half::f16;
use rayon::prelude::*;

/// How one operand of a [`Case`] lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Storage {
    /// Elements between the rows (columns, if column-major) of a matrix beyond its own.
    pub pad: usize,
    /// Elements before the first.
    pub offset: usize,
    /// Stored column by column.
    pub column_major: bool,
    /// One matrix for the whole batch.
    pub broadcast: bool,
    /// Distance between neighbours, less one.
    pub spread: usize,
}

/// One problem with the memory layout of its operands.
#[derive(Debug, Clone)]
pub struct Case {
    /// What makes it hard.
    pub why: &'static str,
    /// The problem.
    pub problem: Gemm,
    /// Layouts of A, B and C as given, before any transposition.
    pub layouts: [Storage; 3],
    /// Layout of the bias, if there is one: one vector for the batch where it is broadcast, else
    /// one for each product.
    pub bias: Storage,
}

/// What a case showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan's choice.
    pub algorithm: Algorithm,
    /// The largest error of an element as a part of its bound; at most 1 if the result is right.
    pub worst: f64,
    /// The relative error in the Frobenius norm, against f64.
    pub frobenius: f64,
    /// The result, row-major, as f64.
    pub result: Vec<f64>,
}

/// What outputs hold before, to show elements that were not written (or must not be).
const SENTINEL: f64 = 1234.0;

impl Case {
    /// A problem with dense operands.
    pub fn dense(why: &'static str, problem: Gemm) -> Self {
        Case { why, problem, layouts: Default::default(), bias: Default::default() }
    }

    fn a(self, layout: Storage) -> Self {
        Case { layouts: [layout, self.layouts[1], self.layouts[2]], ..self }
    }
    fn b(self, layout: Storage) -> Self {
        Case { layouts: [self.layouts[0], layout, self.layouts[2]], ..self }
    }
    fn c(self, layout: Storage) -> Self {
        Case { layouts: [self.layouts[0], self.layouts[1], layout], ..self }
    }
    fn bias(self, bias: Storage) -> Self {
        Case { bias, ..self }
    }
    fn all(self, layout: Storage) -> Self {
        Case { layouts: [layout; 3], ..self }
    }

    /// Runs the case on random operands of `seed` and holds the result against the oracle.
    ///
    /// # Errors
    /// [`Error::Internal`] if an element is outside its bound or one outside C was written;
    /// whatever the plan and the run return.
    pub fn check(&self, ctx: &Context, seed: u64) -> Result<Outcome> {
        self.check_plan(&self.problem.plan(ctx)?, ctx, seed)
    }

    /// The same by this algorithm.
    ///
    /// # Errors
    /// As [`check`](Self::check), and as [`Gemm::plan_with`].
    pub fn check_by(&self, algorithm: Algorithm, ctx: &Context, seed: u64) -> Result<Outcome> {
        self.check_plan(&self.problem.plan_with(ctx, algorithm)?, ctx, seed)
    }

    fn check_plan(&self, plan: &GemmPlan, ctx: &Context, seed: u64) -> Result<Outcome> {
        use DType::{F16, F32, F64};
        match (self.problem.a, self.problem.b, self.problem.c) {
            (F32, F32, F32) => self.check_as::<f32, f32, f32>(plan, ctx, seed),
            (F64, F64, F64) => self.check_as::<f64, f64, f64>(plan, ctx, seed),
            (F16, F16, F16) => self.check_as::<f16, f16, f16>(plan, ctx, seed),
            (F16, F16, F32) => self.check_as::<f16, f16, f32>(plan, ctx, seed),
            (F16, F32, F32) => self.check_as::<f16, f32, f32>(plan, ctx, seed),
            (F32, F64, F64) => self.check_as::<f32, f64, f64>(plan, ctx, seed),
            (F32, F32, F16) => self.check_as::<f32, f32, f16>(plan, ctx, seed),
            (F64, F64, F32) => self.check_as::<f64, f64, f32>(plan, ctx, seed),
            (a, b, c) => Err(Error::unsupported(
                format!("the check of {a}, {b} and {c} elements"),
                "the table holds none",
            )),
        }
    }

    fn check_as<A: Number, B: Number, C: Number>(
        &self,
        plan: &GemmPlan,
        ctx: &Context,
        seed: u64,
    ) -> Result<Outcome> {
        let p = &self.problem;
        let turn = |rows, columns, turned| if turned { [columns, rows] } else { [rows, columns] };
        let shapes = [turn(p.m, p.k, p.transpose_a), turn(p.k, p.n, p.transpose_b), [p.m, p.n]];
        let [ga, gb, gc]: [Grid; 3] =
            std::array::from_fn(|i| Grid::new(shapes[i], p.batch, self.layouts[i]));
        let mut random = fastrand::Rng::with_seed(seed);
        let mut fill = |grid: &Grid| -> Vec<f64> {
            (0..grid.held).map(|_| random.f64() * 2.0 - 1.0).collect()
        };
        let a: Vec<A> = fill(&ga).iter().map(|&x| A::from_f64(x)).collect();
        let b: Vec<B> = fill(&gb).iter().map(|&x| B::from_f64(x)).collect();
        let mut before: Vec<C> = vec![C::from_f64(SENTINEL); gc.held];
        if p.beta != 0.0 {
            let values = fill(&gc);
            gc.each(|_, at| before[at] = C::from_f64(values[at]));
        }

        let gbias = Grid::new([1, p.n], p.batch, self.bias);
        let bias: Vec<C> = match p.bias {
            true => fill(&gbias).iter().map(|&x| C::from_f64(x)).collect(),
            false => Vec::new(),
        };

        let (ta, tb) = (ctx.upload([ga.held], &a)?, ctx.upload([gb.held], &b)?);
        let mut tc = ctx.upload([gc.held], &before)?;
        let out = tc.view_mut().map(|view| gc.of(view))?;
        if p.bias {
            let held = ctx.upload([gbias.held], &bias)?;
            let rows = gbias.rows_of(&held.view())?;
            plan.run_biased(ga.of(&ta.view())?, gb.of(&tb.view())?, rows, out)?;
        } else {
            plan.run(ga.of(&ta.view())?, gb.of(&tb.view())?, out)?;
        }
        let after = tc.download()?;

        let wide = |x: &[f64], grid: &Grid, turned| Dense::gather(x, grid, turned);
        let a = wide(&a.iter().map(|x| x.to_f64()).collect::<Vec<_>>(), &ga, p.transpose_a);
        let b = wide(&b.iter().map(|x| x.to_f64()).collect::<Vec<_>>(), &gb, p.transpose_b);
        let c0: Vec<f64> = before.iter().map(|x| x.to_f64()).collect();
        let bias: Vec<f64> = bias.iter().map(|x| x.to_f64()).collect();
        let bias = p.bias.then(|| wide(&bias, &gbias, false));
        let expected = oracle(p, &a, &b, &wide(&c0, &gc, false), bias.as_ref());
        let mut inside = vec![false; gc.held];
        let mut result = vec![0.0; expected.len()];
        gc.each(|index, at| {
            inside[at] = true;
            result[index] = after[at].to_f64();
        });
        let outcome = Outcome::of(plan.algorithm(), result, &expected);
        let fault =
            |message: String| Error::Internal { what: format!("GEMM: {}", self.why), message };
        if outcome.worst > 1.0 {
            let words =
                format!("{:.3} times the error bound, by {}", outcome.worst, plan.algorithm());
            return Err(fault(words));
        }
        let strayed = (0..gc.held).find(|&at| !inside[at] && after[at] != before[at]);
        match strayed {
            Some(at) => Err(fault(format!("element {at}, outside C, was written"))),
            None => Ok(outcome),
        }
    }
}

impl Outcome {
    /// Holds a result against the elements and bounds of the oracle.
    fn of(algorithm: Algorithm, result: Vec<f64>, expected: &[(f64, f64)]) -> Self {
        let (mut worst, mut error_square, mut norm_square) = (0.0_f64, 0.0, 0.0);
        for (&found, &(expected, bound)) in result.iter().zip(expected) {
            let error = (found - expected).abs();
            if bound == f64::INFINITY || found == expected || found.is_nan() && expected.is_nan() {
                // As right as it can be told to be.
            } else {
                let part = error / bound;
                worst = worst.max(if part.is_nan() { f64::INFINITY } else { part });
            }
            if found.is_finite() && expected.is_finite() {
                error_square += error * error;
                norm_square += expected * expected;
            }
        }
        let frobenius = if norm_square > 0.0 { (error_square / norm_square).sqrt() } else { 0.0 };
        Outcome { algorithm, worst, frobenius, result }
    }
}

/// An element type with its way to and from f64.
trait Number: Element {
    fn from_f64(value: f64) -> Self;
    fn to_f64(&self) -> f64;
}

macro_rules! numbers {
    ($($t:ty, $from:expr);*) => {$(
        impl Number for $t {
            fn from_f64(value: f64) -> Self { $from(value) }
            fn to_f64(&self) -> f64 { f64::from(*self) }
        }
    )*};
}
numbers!(f16, f16::from_f64; f32, |x| x as f32; f64, |x| x);

/// A batch of matrices in memory.
struct Grid {
    shape: [usize; 3],
    strides: [usize; 3],
    offset: usize,
    /// Elements of the whole buffer, some past the last matrix among them.
    held: usize,
}

impl Grid {
    fn new([rows, columns]: [usize; 2], batch: usize, layout: Storage) -> Self {
        let step = layout.spread + 1;
        let (minor, major) = if layout.column_major { (rows, columns) } else { (columns, rows) };
        // Of nothing as of one, as dense tensors have it: matrices of C lie apart.
        let lead = (minor * step + layout.pad).max(1);
        let (row, column) = if layout.column_major { (step, lead) } else { (lead, step) };
        let batch = if layout.broadcast { 1 } else { batch };
        let strides = [lead * major.max(1), row, column];
        let shape = [batch, rows, columns];
        let held = span(&shape, &strides).unwrap_or(0) + layout.offset + 5;
        Grid { shape, strides, offset: layout.offset, held }
    }

    fn of<'a, T: Element>(&self, whole: &TensorView<'a, T>) -> Result<TensorView<'a, T>> {
        whole.strided(self.shape, &self.strides, self.offset)
    }

    /// Matrices of one row as vectors: one of them if there is one, else a row for each.
    fn rows_of<'a, T: Element>(&self, whole: &TensorView<'a, T>) -> Result<TensorView<'a, T>> {
        let ([batch, _, n], [each, _, step]) = (self.shape, self.strides);
        match batch {
            1 => whole.strided([n], &[step], self.offset),
            _ => whole.strided([batch, n], &[each, step], self.offset),
        }
    }

    /// Calls with (row-major index, position in the buffer).
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let [batch, rows, columns] = self.shape;
        for i in 0..batch * rows * columns {
            let (b, r, c) = (i / (rows * columns), i / columns % rows, i % columns);
            let [sb, sr, sc] = self.strides;
            visit(i, self.offset + b * sb + r * sr + c * sc);
        }
    }
}

/// op(X), dense and row-major, with as many matrices as are stored.
struct Dense {
    data: Vec<f64>,
    columns: usize,
    /// Elements from one matrix to the next; 0 for one that serves the whole batch.
    each: usize,
}

impl Dense {
    fn gather(x: &[f64], grid: &Grid, turned: bool) -> Self {
        let [batch, rows, columns] = grid.shape;
        let mut data = vec![0.0; batch * rows * columns];
        let plane = (rows * columns).max(1);
        grid.each(|i, at| {
            let (b, r, c) = (i / plane, i % plane / columns, i % columns);
            data[b * plane + if turned { c * rows + r } else { r * columns + c }] = x[at];
        });
        let columns = if turned { rows } else { columns };
        Dense { data, columns, each: if batch == 1 { 0 } else { plane } }
    }

    fn at(&self, index: usize, row: usize, column: usize) -> f64 {
        self.data[index * self.each + row * self.columns + column]
    }
}

/// The activation of x in f64, and the bound on its error where x has this one.
pub(super) fn activated(activation: Activation, x: f64, error: f64, u: f64) -> (f64, f64) {
    match activation {
        Activation::None => (x, error),
        Activation::Relu => (if x < 0.0 { 0.0 } else { x }, error),
        Activation::Gelu => {
            // 1 + tanh(t / 2) is 2 / (1 + exp(-t)), which does not cancel where x is negative.
            let t = 2.0 * std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3));
            let value = x / (1.0 + (-t).exp());
            let rounding = (12.0 + 10.0 * t.abs()) * u * value.abs();
            (value, 1.13 * error + rounding + 2.0_f64.powi(-125) * x.abs())
        }
    }
}

/// Each element of the result in f64 with the bound on its error.
fn oracle(p: &Gemm, a: &Dense, b: &Dense, c: &Dense, bias: Option<&Dense>) -> Vec<(f64, f64)> {
    let row = |row: usize| {
        let (index, i) = (row / p.m, row % p.m);
        (0..p.n).map(move |j| {
            let factors = (0..p.k).map(|l| (a.at(index, i, l), b.at(index, l, j)));
            let old = if p.beta == 0.0 { 0.0 } else { c.at(index, i, j) };
            element(p, factors, old, bias.map_or(0.0, |bias| bias.at(index, 0, j)))
        })
    };
    (0..p.batch * p.m).into_par_iter().flat_map_iter(row).collect()
}

/// One element of C in f64, summed term by term from the k pairs of `factors`, what C held and its
/// bias (neither looked at where the problem has none), and the bound on the error of a computed
/// one: what the [module](super) promises, and in f64 once more as much, for this sum's own error.
///
/// The bound is zero where the element is not finite: a computed one must then be the same infinity,
/// or NaN too. It is infinite where nothing is promised: sums that may or may not overflow, and
/// operands that overflow when they are rounded to f16.
///
/// ```
/// use gvpie_core::gemm::{Gemm, proof::element};
/// let (value, bound) = element(&Gemm::new(1, 1, 2), [(1.0, 3.0), (2.0, -4.0)], 0.0, 0.0);
/// assert_eq!(value, -5.0);
/// let first_order = (2.0 + 4.0) * 0.5_f64.powi(24) * (3.0 + 8.0);
/// assert!(first_order < bound && bound < 1.001 * first_order);
/// ```
pub fn element(
    problem: &Gemm,
    factors: impl IntoIterator<Item = (f64, f64)>,
    c: f64,
    bias: f64,
) -> (f64, f64) {
    let p = problem;
    // Every element type of a plan promotes; were one not to, u would be zero and nothing pass.
    let working = [p.a, p.b, p.c].into_iter().try_fold(DType::F32, DType::promote);
    let u = working.map_or(0.0, DType::unit_roundoff);
    // Shaders may take f32's subnormal numbers for zero.
    let tiny = if working == Some(DType::F32) { f64::from(f32::MIN_POSITIVE) } else { 0.0 };
    let half = p.accuracy == Accuracy::F16 && working == Some(DType::F32);
    // The most that rounding an operand to f16, if that is permitted, can change it.
    let rounding = |x: f64, dtype: DType| match x.abs() {
        _ if !half || dtype == DType::F16 => 0.0,
        x if x.is_infinite() => 0.0,
        x if x > largest(DType::F16) => f64::INFINITY,
        // Relative, or half a step among f16's subnormals.
        x => (DType::F16.unit_roundoff() * x).max(2.0_f64.powi(-25)),
    };
    let (mut sum, mut size, mut rounded) = (0.0_f64, 0.0_f64, 0.0_f64);
    if p.alpha != 0.0 {
        for (a, b) in factors {
            let term = a * b;
            sum += term;
            size += term.abs();
            if half {
                let (da, db) = (rounding(a, p.a), rounding(b, p.b));
                rounded += da * b.abs() + a.abs() * db + da * db;
            }
            let lost = |x: f64| x != 0.0 && x.abs() < tiny;
            if lost(a) || lost(b) {
                rounded += term.abs();
            }
        }
    }
    let most = working.map_or(0.0, largest);
    if sum.abs() == size && size > 2.0 * most {
        sum *= f64::INFINITY; // in any order
    }
    let old = if p.beta == 0.0 { 0.0 } else { p.beta * c };
    let mut value = p.alpha * sum + old;
    let (k, alpha) = (p.k as f64, p.alpha.abs());
    let mut bound = 3.0 * u * old.abs() + alpha * rounded;
    // Tensor cores cut sums off where others round them.
    bound += (k + 4.0) * (if half { 2.0 * u } else { u } * alpha * size + tiny * alpha.max(1.0));
    if p.bias {
        value += bias;
        bound += u * (alpha * size + old.abs() + bias.abs());
    }
    let on_the_way = size.max(alpha * size + old.abs() + bias.abs());
    (value, bound) = activated(p.activation, value, bound, u);
    bound *= 1.0 + (k + 16.0) * u; // what is of second order in u
    if working == Some(DType::F64) {
        bound *= 2.0; // the oracle itself errs as much
    }
    if working != Some(p.c) {
        // Rounding to a narrower C: relative, or half a step among its subnormals.
        bound += p.c.unit_roundoff() * (value.abs() + bound) + 2.0_f64.powi(-25);
    }
    match value.is_finite() {
        _ if !rounded.is_finite() => (value, f64::INFINITY),
        false => (value, 0.0),
        true if on_the_way > most || value.abs() + bound > largest(p.c) => (value, f64::INFINITY),
        true => (value, bound),
    }
}

/// The largest finite number of a floating-point type.
fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f16::MAX.into(),
        DType::F64 => f64::MAX,
        _ => f32::MAX.into(),
    }
}
