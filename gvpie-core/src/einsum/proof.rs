//! What proves an implementation of einsum: hard cases, random ones, the sums of the definition in f64,
//! and the bound that the [module](super) promises.

mod cases;

pub use cases::{hard_cases, random_case};

use super::Einsum;
use super::expression::{Bound, Expression};
use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::{Shape, span};
use half::f16;
use num_complex::Complex;
use rayon::prelude::*;

/// How an operand of a [`Case`] lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Storage {
    /// Elements before the first.
    pub offset: usize,
    /// Elements between the lines of the axis that varies fastest, beyond their own.
    pub pad: usize,
    /// The axis that varies fastest is so many before the last; the others follow in their order.
    pub turn: usize,
}

/// One problem with its operands' shapes and memory layouts.
#[derive(Debug, Clone)]
pub struct Case {
    /// What makes it hard.
    pub why: &'static str,
    /// The problem.
    pub problem: Einsum,
    /// Of the operands.
    pub shapes: Vec<Shape>,
    /// Of the operands, then of the result; those that are not given are dense.
    pub storage: Vec<Storage>,
}

/// What a case showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The largest error of an element as a part of its bound; at most 1 if the result is right.
    pub worst: f64,
    /// The result, row-major.
    pub result: Vec<Complex<f64>>,
}

/// What outputs hold before, to show elements that were not written (or must not be).
const SENTINEL: f64 = 1234.0;

/// The error that the [module](super) allows for an element: `operands` of type `element`, `depth`
/// additions one after another, `products` in all, the exact value's magnitude, and the sum of the
/// products' magnitudes.
///
/// ```
/// use gvpie_core::{DType, einsum::proof::{Sum, bound}};
/// let u = 2.0_f64.powi(-24);
/// let sum = Sum { value: 3.0.into(), magnitude: 7.0, products: 100 };
/// assert!((bound(DType::F32, 2, 100, &sum) - 116.0 * u * 7.0).abs() < 1e-9);
/// assert!(bound(DType::F16, 2, 100, &sum) > 3.0 / 2048.0);
/// ```
pub fn bound(element: DType, operands: usize, depth: usize, sum: &Sum) -> f64 {
    let (u, smallest) = match element {
        DType::F64 | DType::C128 => (DType::F64.unit_roundoff(), 0.0),
        _ => (DType::F32.unit_roundoff(), 2.0_f64.powi(-126)),
    };
    let flushed = (sum.products * operands) as f64 * smallest;
    let sums = (depth as f64 + 8.0 * operands as f64) * u * sum.magnitude + flushed;
    match element {
        DType::F16 => {
            sums + DType::F16.unit_roundoff() * (sum.value.norm() + sums) + 2.0_f64.powi(-25)
        }
        DType::C64 | DType::C128 => std::f64::consts::SQRT_2 * sums,
        _ => sums,
    }
}

/// An element of a result in f64.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    /// The sum of the products.
    pub value: Complex<f64>,
    /// The sum of their magnitudes.
    pub magnitude: f64,
    /// How many there are.
    pub products: usize,
}

/// A contraction by its definition, element by element.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Of the result's indices, then of those summed over.
    extents: Vec<usize>,
    rank: usize,
    /// Of each operand, dense, along these.
    strides: Vec<Vec<usize>>,
}

impl Definition {
    /// Of a problem with operands of these shapes.
    ///
    /// # Errors
    /// [`Error::Expression`].
    pub fn new(problem: &Einsum, shapes: &[Shape]) -> Result<Self> {
        let bound = Expression::parse(&problem.expression)?.bind(shapes)?;
        let Bound { indices, inputs, output } = &bound;
        let mut order = output.clone();
        order.extend((0..indices.extents.len()).filter(|index| !output.contains(index)));
        let stride = |operand: usize, index: usize| -> usize {
            let strides = shapes[operand].strides();
            let axes = inputs[operand].iter().zip(strides);
            axes.filter(|(axis, _)| **axis == Some(index)).map(|(_, stride)| stride).sum()
        };
        let strides = |operand: usize| order.iter().map(|&i| stride(operand, i)).collect();
        Ok(Definition {
            extents: order.iter().map(|&index| indices.extents[index]).collect(),
            rank: output.len(),
            strides: (0..shapes.len()).map(strides).collect(),
        })
    }

    /// How many elements the result has.
    pub fn results(&self) -> usize {
        self.extents[..self.rank].iter().product()
    }

    /// The element of this number, row-major, of operands that `read` gives elements of: operand, and
    /// number of the element.
    pub fn element(
        &self,
        number: usize,
        read: impl Fn(usize, usize) -> Complex<f64> + Sync,
    ) -> Sum {
        let products: usize = self.extents[self.rank..].iter().product();
        let add = |mut sum: Sum, product: usize| {
            let mut number = number * products + product;
            let mut at = vec![0; self.strides.len()];
            for (axis, &extent) in self.extents.iter().enumerate().rev() {
                let i = number % extent;
                number /= extent;
                at.iter_mut().zip(&self.strides).for_each(|(at, s)| *at += i * s[axis]);
            }
            let factors = at.iter().enumerate().map(|(operand, &at)| read(operand, at));
            let term: Complex<f64> = factors.product();
            sum.value += term;
            sum.magnitude += term.norm();
            sum.products += 1;
            sum
        };
        let parts: Vec<Sum> = (0..products.div_ceil(PART))
            .into_par_iter()
            .map(|part| (part * PART..products.min((part + 1) * PART)).fold(Sum::default(), add))
            .collect();
        parts.into_iter().fold(Sum::default(), |all, part| Sum {
            value: all.value + part.value,
            magnitude: all.magnitude + part.magnitude,
            products: all.products + part.products,
        })
    }
}

/// Products that a thread sums at a time.
const PART: usize = 1 << 16;

impl Case {
    /// A case with dense operands.
    pub fn dense<S: Into<Shape> + Clone>(
        why: &'static str,
        problem: Einsum,
        shapes: impl AsRef<[S]>,
    ) -> Self {
        Case { why, problem, shapes: super::listed(shapes), storage: Vec::new() }
    }

    /// Runs the case on random operands of `seed` and holds the result against the sums of the
    /// definition.
    ///
    /// # Errors
    /// [`Error::Internal`] if an element is outside its bound or one outside the result was written;
    /// whatever the plan and the run return.
    pub fn check(&self, ctx: &Context, seed: u64) -> Result<Outcome> {
        match self.problem.element {
            DType::F16 => self.check_as::<f16>(ctx, seed),
            DType::F64 => self.check_as::<f64>(ctx, seed),
            DType::C64 => self.check_as::<Complex<f32>>(ctx, seed),
            DType::C128 => self.check_as::<Complex<f64>>(ctx, seed),
            _ => self.check_as::<f32>(ctx, seed),
        }
    }

    fn check_as<T: Number>(&self, ctx: &Context, seed: u64) -> Result<Outcome> {
        let plan = self.problem.plan(ctx, &self.shapes)?;
        let shapes = self.shapes.iter().chain([plan.shape()]);
        let storage = |at: usize| self.storage.get(at).copied().unwrap_or_default();
        let grids: Vec<Grid> =
            shapes.enumerate().map(|(at, shape)| Grid::new(shape, storage(at))).collect();
        let (output, inputs) = (&grids[self.shapes.len()], &grids[..self.shapes.len()]);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut part = || random.f64() * 2.0 - 1.0;
        let mut held = Vec::new();
        for grid in inputs {
            let data: Vec<T> =
                (0..grid.held).map(|_| T::of(Complex::new(part(), part()))).collect();
            held.push((ctx.upload([grid.held], &data)?, data));
        }
        let before = vec![T::of(Complex::new(SENTINEL, SENTINEL)); output.held];
        let mut y = ctx.upload([output.held], &before)?;
        let views = held.iter().zip(inputs).map(|((tensor, _), grid)| {
            tensor.view().strided(&grid.shape, &grid.strides, grid.offset)
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let to = y.view_mut().map(|v| v.strided(&output.shape, &output.strides, output.offset))?;
        plan.run(&views, to)?;
        let after = y.download()?;

        let dense: Vec<Vec<Complex<f64>>> = held
            .iter()
            .zip(inputs)
            .map(|((_, data), grid)| grid.places().map(|at| data[at].wide()).collect())
            .collect();
        let definition = Definition::new(&self.problem, &self.shapes)?;
        let depth = plan.path().depth();
        let fault = |message: String| Error::Internal {
            what: format!("einsum '{}': {}", self.problem.expression, self.why),
            message,
        };
        let mut inside = vec![false; output.held];
        output.places().for_each(|at| inside[at] = true);
        let result: Vec<Complex<f64>> = output.places().map(|at| after[at].wide()).collect();
        let mut worst = 0.0_f64;
        for (at, found) in result.iter().enumerate() {
            let sum = definition.element(at, |operand, at| dense[operand][at]);
            let allowed = bound(self.problem.element, self.shapes.len(), depth, &sum);
            let value = sum.value;
            let error = (found - value).norm();
            let share = if error == 0.0 { 0.0 } else { error / allowed };
            // NaN is no error that is allowed.
            if share.is_nan() || share > 1.0 {
                let words = format!("element {at} is {found}, expected {value} ± {allowed:e}");
                return Err(fault(words));
            }
            worst = worst.max(share);
        }
        match (0..output.held).find(|&at| !inside[at] && after[at] != before[at]) {
            Some(at) => Err(fault(format!("element {at}, outside the result, was written"))),
            None => Ok(Outcome { worst, result }),
        }
    }
}

/// An element type with its way to and from complex numbers of f64.
trait Number: Element {
    fn of(value: Complex<f64>) -> Self;
    fn wide(&self) -> Complex<f64>;
}

macro_rules! numbers {
    ($($type:ty: $narrow:expr, $wide:expr;)*) => {$(
        impl Number for $type {
            fn of(value: Complex<f64>) -> Self { $narrow(value) }
            fn wide(&self) -> Complex<f64> { $wide(*self) }
        }
    )*};
}
numbers! {
    f16: |z: Complex<f64>| f16::from_f64(z.re), |x| Complex::from(f64::from(x));
    f32: |z: Complex<f64>| z.re as f32, |x| Complex::from(f64::from(x));
    f64: |z: Complex<f64>| z.re, Complex::from;
    Complex<f32>: |z: Complex<f64>| Complex::new(z.re as f32, z.im as f32),
        |z: Self| Complex::new(z.re.into(), z.im.into());
    Complex<f64>: |z| z, |z| z;
}

/// An operand in memory.
struct Grid {
    shape: Shape,
    strides: Vec<usize>,
    offset: usize,
    /// Elements of the whole buffer, some past the last among them.
    held: usize,
}

impl Grid {
    fn new(shape: &Shape, storage: Storage) -> Self {
        let dims = shape.dims();
        let rank = dims.len();
        let mut strides = vec![0; rank];
        let mut step = 1;
        for inner in 0..rank {
            let axis = (2 * rank - 1 - inner - storage.turn % rank) % rank;
            strides[axis] = step;
            step *= dims[axis].max(1);
            step += if inner == 0 { storage.pad } else { 0 };
        }
        let held = span(dims, &strides).unwrap_or(0) + storage.offset + 5;
        Grid { shape: shape.clone(), strides, offset: storage.offset, held }
    }

    /// Where the elements lie, in row-major order.
    fn places(&self) -> impl Iterator<Item = usize> {
        let count = self.shape.len().unwrap_or(0);
        (0..count).map(|mut index: usize| {
            let mut at = self.offset;
            for (extent, stride) in self.shape.dims().iter().zip(&self.strides).rev() {
                at += index % extent * stride;
                index /= extent;
            }
            at
        })
    }
}
