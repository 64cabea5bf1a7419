//! Convolution and correlation through FFTs.
//!
//! Along each of the axes, with l over all that both operands have:
//!
//! | problem | full result |
//! |---|---|
//! | [`Convolution::new`] | Y\[k\] = Σₗ A\[l\]·B\[k − l\], as `numpy.convolve` |
//! | [`Convolution::correlate`] | Y\[k\] = Σₗ A\[l\]·conj B\[l − k + n_B − 1\], as `scipy.signal.correlate` |
//!
//! for k in 0..n_A + n_B − 1, of which a [`Mode`] keeps a part. The other axes are a batch: both
//! operands have the same extent there, or one of them 1 and serves the whole batch.
//!
//! The cost is three FFTs of [`next_smooth`] of the result's length, or, where a mode keeps less, of
//! the least length that keeps what it keeps free of wrapping around.

mod cpu;
mod gpu;
mod plan;
#[cfg(test)]
mod tests;

pub use gpu::kernels;
pub use plan::ConvolutionPlan;

use super::{check_axes, check_precision};
use crate::context::Context;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// Which part of the full result is kept, as in `scipy.signal.fftconvolve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// All n_A + n_B − 1.
    #[default]
    Full,
    /// n_A of them, from (n_B − 1)/2 on: as long as A, centred.
    Same,
    /// Those to which the whole of the shorter operand contributes: the difference of lengths plus
    /// one. One operand must be at least as long as the other along every axis.
    Valid,
}

/// A convolution or correlation as plain data; see the [module](self) for the formulas.
///
/// ```
/// use gvpie_core::{Backend, Context, fft::{Convolution, Mode}};
/// let ctx = Context::on(Backend::Cpu)?;
/// let a = ctx.upload([4], &[1.0_f32, 2.0, 3.0, 4.0])?;
/// let b = ctx.upload([2], &[1.0_f32, 10.0])?;
/// let mut y = ctx.zeros([5])?;
/// Convolution::new([4], [2]).plan(&ctx)?.run(&a, &b, &mut y)?;
/// let expected = [1.0_f32, 12.0, 23.0, 34.0, 40.0];
/// assert!(y.download()?.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-4));
/// assert_eq!(Convolution::new([4], [2]).mode(Mode::Valid).output()?.dims(), [3]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    a: Shape,
    b: Shape,
    axes: Vec<usize>,
    complex: bool,
    correlate: bool,
    mode: Mode,
    precision: DType,
}

impl Convolution {
    /// The full convolution of real numbers, of f32, along the last axis of operands of these shapes.
    pub fn new(a: impl Into<Shape>, b: impl Into<Shape>) -> Self {
        let a = a.into();
        Convolution {
            axes: vec![a.rank().saturating_sub(1)],
            a,
            b: b.into(),
            complex: false,
            correlate: false,
            mode: Mode::Full,
            precision: DType::F32,
        }
    }

    /// Of complex numbers.
    pub fn complex(self) -> Self {
        Convolution { complex: true, ..self }
    }

    /// The axes to convolve along, each once. The last axis unless said.
    pub fn axes(self, axes: impl Into<Vec<usize>>) -> Self {
        Convolution { axes: axes.into(), ..self }
    }

    /// The correlation: B is reversed along the axes and conjugated.
    pub fn correlate(self) -> Self {
        Convolution { correlate: true, ..self }
    }

    /// The part of the result that is kept; all unless said.
    pub fn mode(self, mode: Mode) -> Self {
        Convolution { mode, ..self }
    }

    /// The type of the numbers or of their parts, f32 (unless said) or f64.
    pub fn precision(self, precision: DType) -> Self {
        Convolution { precision, ..self }
    }

    /// The element type of both operands and the result.
    pub fn element(&self) -> DType {
        match (self.complex, self.precision) {
            (true, DType::F64) => DType::C128,
            (true, _) => DType::C64,
            (false, precision) => precision,
        }
    }

    /// The shape of the result.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the operand: another rank, an axis out of range or repeated, no axes,
    /// an extent of 0 along an axis, extents of the batch that differ and are not 1;
    /// [`Mode::Valid`] where each operand is longer than the other somewhere.
    pub fn output(&self) -> Result<Shape> {
        let Convolution { a, b, axes, .. } = self;
        if b.rank() != a.rank() {
            let expected = format!("{} axes, as A of shape {a} has", a.rank());
            return Err(Error::shape("B", expected, format!("shape {b}")));
        }
        check_axes(a, axes)?;
        check_axes(b, axes)?;
        let mut dims = Vec::with_capacity(a.rank());
        let along = |axis: usize| axes.contains(&axis);
        for (axis, (&a_extent, &b_extent)) in a.dims().iter().zip(b.dims()).enumerate() {
            let extent = match (a_extent, b_extent) {
                (a, b) if along(axis) => self.window(a, b)?.len(),
                (a, b) if a == b || b == 1 => a,
                (1, b) => b,
                (extent, _) => {
                    let expected = format!("an extent of {extent} or 1 along axis {axis}");
                    return Err(Error::shape("B", expected, format!("shape {b}")));
                }
            };
            dims.push(extent);
        }
        let longer = |x: &Shape, y: &Shape| axes.iter().all(|&i| x.dims()[i] >= y.dims()[i]);
        if self.mode == Mode::Valid && !longer(a, b) && !longer(b, a) {
            let expected = format!("along all axes at most, or at least, the extents of A, {a}");
            return Err(Error::shape("B", expected, format!("shape {b}")));
        }
        Ok(Shape::from(dims))
    }

    /// The kept part of the full result of operands of these lengths, both at least 1.
    fn window(&self, a: usize, b: usize) -> Result<std::ops::Range<usize>> {
        let full = (a - 1).checked_add(b).ok_or_else(|| Error::Limit {
            what: format!("a convolution of {a} and {b} elements"),
            limit: "usize",
            asked: u64::MAX,
            allowed: usize::MAX as u64,
        })?;
        let (short, long) = (a.min(b), a.max(b));
        Ok(match self.mode {
            Mode::Full => 0..full,
            Mode::Same => (b - 1) / 2..(b - 1) / 2 + a,
            Mode::Valid => short - 1..long,
        })
    }

    /// Chooses and compiles.
    ///
    /// # Errors
    /// As [`output`](Self::output); [`Error::Element`] for a precision other than f32 and f64;
    /// [`Error::Unsupported`] for f64 on a GPU whose driver lacks it; [`Error::Limit`]; errors of the
    /// device.
    pub fn plan(&self, ctx: &Context) -> Result<ConvolutionPlan> {
        check_precision(self.precision)?;
        ConvolutionPlan::new(self.clone(), ctx)
    }
}

/// The least even number from `least` on whose prime factors are all 13 or less: a length that FFTs
/// are quick at. `None` where it does not fit a `usize`.
///
/// ```
/// use gvpie_core::fft::next_smooth;
/// assert_eq!(next_smooth(1), Some(2));
/// assert_eq!(next_smooth(1019), Some(1024));
/// assert_eq!(next_smooth(2039), Some(2048));
/// ```
pub fn next_smooth(least: usize) -> Option<usize> {
    // For every odd smooth number below, the least power of two that makes it large enough.
    fn search(least: usize, odd: usize, primes: &[usize], best: &mut Option<usize>) {
        let even = least.div_ceil(odd).max(2).checked_next_power_of_two();
        let found = even.and_then(|even| even.checked_mul(odd));
        if found.is_some_and(|found| best.is_none_or(|best| found < best)) {
            *best = found;
        }
        for (at, &prime) in primes.iter().enumerate() {
            if let Some(odd) = odd.checked_mul(prime).filter(|&odd| odd < least) {
                search(least, odd, &primes[at..], best);
            }
        }
    }
    let mut best = None;
    search(least, 1, &[3, 5, 7, 11, 13], &mut best);
    best
}
