//! Discrete Fourier transforms of any length.
//!
//! Y\[k\] = s·Σⱼ X\[j\]·exp(∓2πi·j·k/n), j and k in 0..n, along each of the axes in turn; the sign is
//! − forward and + inverse, s depends on the [`Norm`].
//!
//! | problem | input | output |
//! |---|---|---|
//! | [`Fft::new`] | complex, of the shape | complex, of the shape |
//! | [`Fft::real`] | real, of the shape | complex; n/2 + 1 along the last of the axes |
//! | [`Fft::real`] inverse | complex; n/2 + 1 along the last of the axes | real, of the shape |
//!
//! The real ones are those of `numpy.fft.rfftn` and `irfftn`: of a real signal's spectrum the other
//! half is known. The inverse reads Re only where the spectrum of a real signal has no imaginary
//! part (k = 0 and, for even n, n/2).
//!
//! Around the last of the axes a plan can do four things more, in this order, which save a pass over
//! memory each: [window](Fft::window) the input, [pad](Fft::pad) it with zeros, multiply the result by a
//! [spectrum](Fft::spectrum), [scale](Fft::scale) it.
//!
//! ## Accuracy
//!
//! ε = ‖Ŷ − Y‖/‖Y‖ in L2 over all of the output, n the product of the extents of all axes, for input
//! whose elements are of one magnitude:
//!
//! | of f32 | bound on ε |
//! |---|---|
//! | every extent a product of 2, 3, 5, 7, 11 and 13 | 5·10⁻⁸·√log₂n |
//! | others | 10⁻⁷·√log₂n |
//!
//! * Errors of the stages add as a random walk does, hence the root (Schatzman, *Accuracy of the
//!   discrete Fourier transform and the fast Fourier transform*, 1996); that asks for roots of unity
//!   that are themselves right to the last place, so they are made in f64 and never by recurrence.
//! * Where nothing is summed (n = 1), and where the factor of norm and scale is no power of two, the
//!   bound is 2⁻²³ at least; window and spectrum add 2⁻²³ each.
//! * Of f64, 2⁻²⁷ of all that.
//! * It is the bound of the whole, not of each element: one that cancels errs by as much as its
//!   neighbours do, and fewer than some hundred scatter about it. [`proof::tolerance`] computes it.
//!
//! ## Sources
//!
//! * Cooley & Tukey, *An algorithm for the machine calculation of complex Fourier series*, 1965:
//!   lengths that are products.
//! * Stockham, in Cochran et al., *What is the fast Fourier transform?*, 1967: results in order
//!   without a permutation.
//! * Rader, *Discrete Fourier transforms when the number of data samples is prime*, 1968, and
//!   Bluestein, *A linear filtering approach to the computation of discrete Fourier transform*, 1970:
//!   any other length, by convolution.
//! * Makhoul, *A fast cosine transform in one and two dimensions*, 1980: cosine transforms by one of
//!   the same length.
//! * Bailey, *FFTs in external or hierarchical memory*, 1990: long lengths in two passes.
//!
//! ## Notes
//!
//! * On a GPU a transform is bound by memory: the floor is 16 bytes a number, 8 read and 8 written, for
//!   each pass, and an H100 copies 2.9 TB/s. One pass suffices to 16384 numbers, which are as many as
//!   registers hold; where workgroup memory holds fewer, they go through it in parts. How it ran, and
//!   against cuFFT, is in benches/README.md.
//! * In workgroup memory real and imaginary parts are exchanged one after the other. Both at once
//!   spares half of the barriers and measured slower; so did 512 threads where 256 are enough, and
//!   chunks that stay in the cache between two passes.
//! * A prime length n is a convolution of n − 1 points (Rader) where these have no prime factor above 13
//!   and fit a workgroup; all other lengths with such a factor are one of 2n − 1 points or more
//!   (Bluestein).
//! * Operands may be larger than what a GPU binds at once. Lines are then divided among dispatches, each
//!   over a part that can be bound; a single line, or lines across each other, that cannot are an
//!   [`Error::Limit`].
//! * Plans of one [`Context`] that read the same tables share them.
//! * On the host lines are transformed by rustfft and realfft. All around them is here: passes over
//!   axes that are not contiguous, lines longer than a cache, threads.

mod bindings;
pub mod convolution;
mod cpu;
mod exchange;
mod gpu;
mod lines;
mod long;
mod paged;
mod passes;
mod plan;
mod pointwise;
mod program;
pub mod proof;
mod radix;
mod recipe;
mod rendering;
mod strided;
#[cfg(test)]
mod tests;
pub mod trig;
mod twiddles;
mod wide;

pub use convolution::{Convolution, ConvolutionPlan, Mode, next_smooth};
pub use gpu::kernels;
pub use paged::PagedFft;
pub use plan::{FftPlan, Hooks};
pub use recipe::Recipe;
pub use trig::{Trig, TrigPlan};

use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::{Tensor, TensorView};
use num_complex::Complex;

/// Which of the two directions is divided by n, the product of the extents of all axes, as in
/// `scipy.fft`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Norm {
    /// The inverse, by n.
    #[default]
    Backward,
    /// Both, by √n.
    Ortho,
    /// The forward transform, by n.
    Forward,
}

/// What is transformed into what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Complex numbers into complex numbers.
    Complex,
    /// Real numbers into half a spectrum; inverse, half a spectrum into real numbers.
    Real,
}

/// A Fourier transform as plain data; see the [module](self) for the formula.
#[derive(Debug, Clone, PartialEq)]
pub struct Fft {
    shape: Shape,
    axes: Vec<usize>,
    kind: Kind,
    inverse: bool,
    norm: Norm,
    /// Of the parts: f32 or f64.
    precision: DType,
    /// Extent of the input along the last of the axes, if it is to be padded.
    given: Option<usize>,
    window: bool,
    spectrum: bool,
    scale: f64,
}

impl Fft {
    /// The forward transform of complex numbers, of f32, along the last axis of this shape.
    pub fn new(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Fft {
            axes: vec![shape.rank().saturating_sub(1)],
            shape,
            kind: Kind::Complex,
            inverse: false,
            norm: Norm::Backward,
            precision: DType::F32,
            given: None,
            window: false,
            spectrum: false,
            scale: 1.0,
        }
    }

    /// The forward transform of real numbers of this shape; its inverse ends in this shape.
    pub fn real(shape: impl Into<Shape>) -> Self {
        Fft { kind: Kind::Real, ..Fft::new(shape) }
    }

    /// The axes to transform along, each once; the last of them is the one that a real transform
    /// halves. The last axis unless said.
    pub fn axes(self, axes: impl Into<Vec<usize>>) -> Self {
        Fft { axes: axes.into(), ..self }
    }

    /// All axes, in order.
    pub fn all_axes(self) -> Self {
        Fft { axes: (0..self.shape.rank()).collect(), ..self }
    }

    /// The inverse.
    pub fn inverse(self) -> Self {
        Fft { inverse: true, ..self }
    }

    /// What is divided by n.
    pub fn norm(self, norm: Norm) -> Self {
        Fft { norm, ..self }
    }

    /// The type of real and imaginary parts, f32 (unless said) or f64.
    pub fn precision(self, precision: DType) -> Self {
        Fft { precision, ..self }
    }

    /// The input is multiplied by a real vector along the last of the axes, which
    /// [`FftPlan::run_with`] is given. The vector is as long as the input is along that axis.
    pub fn window(self) -> Self {
        Fft { window: true, ..self }
    }

    /// The input has only this extent along the last of the axes; the rest is taken for zero.
    pub fn pad(self, given: usize) -> Self {
        Fft { given: Some(given), ..self }
    }

    /// The output is multiplied by a complex vector along the last of the axes, which
    /// [`FftPlan::run_with`] is given. Not for a transform that ends in real numbers.
    pub fn spectrum(self) -> Self {
        Fft { spectrum: true, ..self }
    }

    /// The output is multiplied by this besides what the norm says.
    pub fn scale(self, scale: f64) -> Self {
        Fft { scale, ..self }
    }

    /// The shape of the signal.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The last of the axes and the extent of the signal along it; `None` where there are no axes.
    fn last(&self) -> Option<(usize, usize)> {
        let &axis = self.axes.last()?;
        Some((axis, *self.shape.dims().get(axis)?))
    }

    /// The shape with another extent along the last of the axes.
    fn with_last(&self, extent: usize) -> Shape {
        let mut dims = self.shape.dims().to_vec();
        if let Some((axis, _)) = self.last() {
            dims[axis] = extent;
        }
        Shape::from(dims)
    }

    /// The shape with the last of the axes halved, as spectra of real signals are.
    fn half(&self) -> Shape {
        self.with_last(self.last().map_or(0, |(_, n)| n / 2 + 1))
    }

    /// The shape and element type of the input.
    pub fn input(&self) -> (Shape, DType) {
        let (shape, dtype) = match (self.kind, self.inverse) {
            (Kind::Real, false) => (self.shape.clone(), self.precision),
            (Kind::Real, true) => (self.half(), self.complex()),
            (Kind::Complex, _) => (self.shape.clone(), self.complex()),
        };
        match self.given {
            Some(given) => (self.with_last(given), dtype),
            None => (shape, dtype),
        }
    }

    /// The shape and element type of the output.
    pub fn output(&self) -> (Shape, DType) {
        match (self.kind, self.inverse) {
            (Kind::Real, false) => (self.half(), self.complex()),
            (Kind::Real, true) => (self.shape.clone(), self.precision),
            (Kind::Complex, _) => (self.shape.clone(), self.complex()),
        }
    }

    fn complex(&self) -> DType {
        if self.precision == DType::F64 { DType::C128 } else { DType::C64 }
    }

    /// What each element is multiplied by at the end.
    fn factor(&self) -> f64 {
        let dims = self.shape.dims();
        let n: f64 = self.axes.iter().map(|&axis| dims[axis] as f64).product();
        let norm = match (self.norm, self.inverse) {
            (Norm::Backward, false) | (Norm::Forward, true) => 1.0,
            (Norm::Backward, true) | (Norm::Forward, false) => 1.0 / n,
            (Norm::Ortho, _) => 1.0 / n.sqrt(),
        };
        norm * self.scale
    }

    /// Floating-point operations as they are counted for comparisons: 5·n·log₂n for a complex
    /// transform of n in all its axes, half of that for a real one.
    pub fn flops(&self) -> f64 {
        let dims = self.shape.dims();
        let all: f64 = dims.iter().map(|&n| n as f64).product();
        let depth: f64 = self.axes.iter().map(|&axis| (dims[axis] as f64).log2()).sum();
        let each = if self.kind == Kind::Real { 2.5 } else { 5.0 };
        each * all * depth
    }

    /// Chooses and compiles.
    ///
    /// # Errors
    /// [`Error::Shape`] for an axis out of range or repeated, no axes, an extent of 0 along an axis,
    /// a padding that is longer than the signal; [`Error::Element`] for a precision other than f32
    /// and f64; [`Error::Unsupported`] for f64 on a GPU whose driver lacks it; [`Error::Limit`];
    /// errors of the device.
    pub fn plan(&self, ctx: &Context) -> Result<FftPlan> {
        FftPlan::new(self.clone(), ctx)
    }

    /// What is wrong with the problem itself.
    fn check(&self) -> Result<()> {
        check_axes(&self.shape, &self.axes)?;
        check_precision(self.precision)?;
        let full = self.last().map_or(0, |(_, n)| n);
        match self.given {
            Some(_) if self.kind == Kind::Real && self.inverse => {
                Err(Error::unsupported("padding half a spectrum", "pad the signal before"))
            }
            Some(given) if given == 0 || given > full => {
                let expected = format!("1 to {full} along the last of the axes");
                Err(Error::shape("padding", expected, given.to_string()))
            }
            _ if self.spectrum && self.kind == Kind::Real && self.inverse => {
                Err(Error::unsupported(
                    "a spectrum product of real numbers",
                    "multiply before the inverse",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with the axes to transform a signal of this shape along.
fn check_axes(shape: &Shape, axes: &[usize]) -> Result<()> {
    let (rank, dims) = (shape.rank(), shape.dims());
    if axes.is_empty() {
        return Err(Error::shape("axes", "at least one axis", "none"));
    }
    for (i, &axis) in axes.iter().enumerate() {
        if axis >= rank {
            let expected = format!("axes below {rank}, as shape {shape} has");
            return Err(Error::shape("axes", expected, axis.to_string()));
        }
        if axes[..i].contains(&axis) {
            let found = format!("axis {axis} again in {axes:?}");
            return Err(Error::shape("axes", "each axis once", found));
        }
        if dims[axis] == 0 {
            let expected = format!("an extent of at least 1 along axis {axis}");
            return Err(Error::shape("shape", expected, format!("shape {shape}")));
        }
    }
    Ok(())
}

fn check_precision(precision: DType) -> Result<()> {
    if matches!(precision, DType::F32 | DType::F64) {
        return Ok(());
    }
    Err(Error::Element {
        operand: "the precision".into(),
        expected: "f32 or f64",
        found: precision.name(),
    })
}

impl Context {
    /// The transform of complex numbers along their last axis.
    ///
    /// ```
    /// use gvpie_core::{Backend, Complex, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let wave: Vec<Complex<f32>> = [1.0, 0.0, -1.0, 0.0].map(Complex::from).to_vec();
    /// let y = ctx.fft(&ctx.upload([4], &wave)?)?;
    /// assert_eq!(y.download()?, [0.0, 2.0, 0.0, 2.0].map(Complex::from));
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// Other axes, norms and hooks: [`Fft`].
    ///
    /// # Errors
    /// [`Error::Shape`] without axes or for an extent of 0 along the last; [`Error::Foreign`],
    /// [`Error::Unsupported`]; errors of the device.
    pub fn fft<'a, T: Element>(
        &self,
        x: impl Into<TensorView<'a, Complex<T>>>,
    ) -> Result<Tensor<Complex<T>>>
    where
        Complex<T>: Element,
    {
        let x = x.into();
        easy(self, Fft::new(x.shape()), x)
    }

    /// The inverse of [`fft`](Self::fft), which divides by the extent.
    ///
    /// ```
    /// use gvpie_core::{Backend, Complex, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let x = ctx.upload([2, 2], &[1.0_f32, 2.0, 3.0, 4.0].map(Complex::from))?;
    /// let y = ctx.fft(&x)?;
    /// assert_eq!(ctx.ifft(&y)?.download()?, x.download()?);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fft`](Self::fft).
    pub fn ifft<'a, T: Element>(
        &self,
        x: impl Into<TensorView<'a, Complex<T>>>,
    ) -> Result<Tensor<Complex<T>>>
    where
        Complex<T>: Element,
    {
        let x = x.into();
        easy(self, Fft::new(x.shape()).inverse(), x)
    }

    /// The transform of real numbers along their last axis, of extent n: the n/2 + 1 elements that
    /// tell all others.
    ///
    /// ```
    /// use gvpie_core::{Backend, Complex, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let y = ctx.rfft(&ctx.upload([4], &[1.0_f32, 2.0, 3.0, 4.0])?)?;
    /// let expected = [(10.0, 0.0), (-2.0, 2.0), (-2.0, 0.0)];
    /// assert_eq!(y.download()?, expected.map(|(re, im)| Complex::new(re, im)));
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fft`](Self::fft).
    pub fn rfft<'a, T: Element>(
        &self,
        x: impl Into<TensorView<'a, T>>,
    ) -> Result<Tensor<Complex<T>>>
    where
        Complex<T>: Element,
    {
        let x = x.into();
        easy(self, Fft::real(x.shape()), x)
    }

    /// The inverse of [`rfft`](Self::rfft), of extent n along the last axis.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let x = ctx.upload([4], &[1.0_f32, 2.0, 3.0, 4.0])?;
    /// let y = ctx.rfft(&x)?;
    /// assert_eq!(ctx.irfft(&y, 4)?.download()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fft`](Self::fft); [`Error::Shape`] unless the extent of x along the last axis is n/2 + 1.
    pub fn irfft<'a, T: Element>(
        &self,
        x: impl Into<TensorView<'a, Complex<T>>>,
        n: usize,
    ) -> Result<Tensor<T>>
    where
        Complex<T>: Element,
    {
        let x = x.into();
        let problem = Fft::real(x.shape()).inverse();
        let shape = problem.with_last(n);
        easy(self, Fft { shape, ..problem }, x)
    }
}

/// Plans, runs, and gives the result a tensor of its own.
fn easy<X: Element, Y: Element>(
    ctx: &Context,
    problem: Fft,
    x: TensorView<'_, X>,
) -> Result<Tensor<Y>> {
    let precision = match X::DTYPE {
        DType::C64 => DType::F32,
        DType::C128 => DType::F64,
        real => real,
    };
    let plan = problem.precision(precision).plan(ctx)?;
    let mut y = ctx.zeros(plan.problem().output().0)?;
    plan.run(x, &mut y)?;
    Ok(y)
}
