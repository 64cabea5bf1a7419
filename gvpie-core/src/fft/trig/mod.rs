//! Cosine and sine transforms of types II, III and IV, of any length.
//!
//! With j and k in 0..n, along each of the axes in turn, as `scipy.fft.dctn` and `dstn` define them:
//!
//! | problem | Y\[k\] |
//! |---|---|
//! | [`Trig::dct2`] | 2·Σⱼ X\[j\]·cos(π·k·(2j + 1) / 2n) |
//! | [`Trig::dct3`] | X\[0\] + 2·Σⱼ X\[j\]·cos(π·(2k + 1)·j / 2n) over j ≥ 1 |
//! | [`Trig::dct4`] | 2·Σⱼ X\[j\]·cos(π·(2k + 1)·(2j + 1) / 4n) |
//! | [`Trig::dst2`] | 2·Σⱼ X\[j\]·sin(π·(k + 1)·(2j + 1) / 2n) |
//! | [`Trig::dst3`] | (−1)ᵏ·X\[n − 1\] + 2·Σⱼ X\[j\]·sin(π·(2k + 1)·(j + 1) / 2n) over j < n − 1 |
//! | [`Trig::dst4`] | 2·Σⱼ X\[j\]·sin(π·(2k + 1)·(2j + 1) / 4n) |
//!
//! Types II and III are each other's inverse, type IV its own, up to a factor of 2n for each axis.
//! [`Norm::Backward`] divides the inverse by it, [`Norm::Forward`] the transform itself.
//! [`Norm::Ortho`] divides both by its root and makes the matrix orthogonal: where one frequency has
//! more weight than the others (k = 0 of the DCT, k = n − 1 of the DST), type II divides it by √2
//! and type III multiplies it by √2.
//!
//! Each axis takes one [FFT](crate::Fft) of n real numbers, or of n/2 complex ones for type IV of
//! even n, between two passes over memory that reorder and rotate.

mod cpu;
mod gpu;
mod plan;
#[cfg(test)]
mod tests;

pub use gpu::kernels;
pub use plan::TrigPlan;

use super::{Norm, check_axes, check_precision};
use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::shape::Shape;

/// The type of a transform, in the literature's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Type {
    Two,
    Three,
    Four,
}

/// What a signal is decomposed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wave {
    Cosine,
    Sine,
}

/// A cosine or sine transform as plain data; see the [module](self) for formulas and norms.
///
/// ```
/// use gvpie_core::{Backend, Context, fft::{Norm, Trig}};
/// let ctx = Context::on(Backend::Cpu)?;
/// let x = ctx.upload([2, 4], &[1.0_f32, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0])?;
/// let (mut y, mut back) = (ctx.zeros([2, 4])?, ctx.zeros([2, 4])?);
/// let dct = Trig::dct2([2, 4]).norm(Norm::Ortho);
/// dct.plan(&ctx)?.run(&x, &mut y)?;
/// dct.inverse().plan(&ctx)?.run(&y, &mut back)?;
/// let (y, back) = (y.download()?, back.download()?);
/// assert!((y[0] - 5.0_f32).abs() < 1e-5 && (y[4] - 2.0).abs() < 1e-5 && y[5].abs() < 1e-5);
/// assert!((back[3] - 4.0_f32).abs() < 1e-5);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Trig {
    shape: Shape,
    axes: Vec<usize>,
    kind: Type,
    wave: Wave,
    inverse: bool,
    norm: Norm,
    precision: DType,
}

impl Trig {
    fn new(shape: Shape, kind: Type, wave: Wave) -> Self {
        Trig {
            axes: vec![shape.rank().saturating_sub(1)],
            shape,
            kind,
            wave,
            inverse: false,
            norm: Norm::Backward,
            precision: DType::F32,
        }
    }

    /// Type II of cosines, 'the' DCT, of f32 along the last axis of this shape:
    /// Y\[k\] = 2·Σⱼ X\[j\]·cos(π·k·(2j + 1) / 2n).
    pub fn dct2(shape: impl Into<Shape>) -> Self {
        Trig::new(shape.into(), Type::Two, Wave::Cosine)
    }

    /// Type III of cosines: Y\[k\] = X\[0\] + 2·Σⱼ X\[j\]·cos(π·(2k + 1)·j / 2n) over j ≥ 1.
    pub fn dct3(shape: impl Into<Shape>) -> Self {
        Trig::new(shape.into(), Type::Three, Wave::Cosine)
    }

    /// Type IV of cosines: Y\[k\] = 2·Σⱼ X\[j\]·cos(π·(2k + 1)·(2j + 1) / 4n).
    pub fn dct4(shape: impl Into<Shape>) -> Self {
        Trig::new(shape.into(), Type::Four, Wave::Cosine)
    }

    /// Type II of sines: Y\[k\] = 2·Σⱼ X\[j\]·sin(π·(k + 1)·(2j + 1) / 2n).
    pub fn dst2(shape: impl Into<Shape>) -> Self {
        Trig::new(shape.into(), Type::Two, Wave::Sine)
    }

    /// Type III of sines:
    /// Y\[k\] = (−1)ᵏ·X\[n − 1\] + 2·Σⱼ X\[j\]·sin(π·(2k + 1)·(j + 1) / 2n) over j < n − 1.
    pub fn dst3(shape: impl Into<Shape>) -> Self {
        Trig::new(shape.into(), Type::Three, Wave::Sine)
    }

    /// Type IV of sines: Y\[k\] = 2·Σⱼ X\[j\]·sin(π·(2k + 1)·(2j + 1) / 4n).
    pub fn dst4(shape: impl Into<Shape>) -> Self {
        Trig::new(shape.into(), Type::Four, Wave::Sine)
    }

    /// The axes to transform along, each once. The last axis unless said.
    pub fn axes(self, axes: impl Into<Vec<usize>>) -> Self {
        Trig { axes: axes.into(), ..self }
    }

    /// All axes.
    pub fn all_axes(self) -> Self {
        Trig { axes: (0..self.shape.rank()).collect(), ..self }
    }

    /// The inverse.
    pub fn inverse(self) -> Self {
        Trig { inverse: true, ..self }
    }

    /// What is divided.
    pub fn norm(self, norm: Norm) -> Self {
        Trig { norm, ..self }
    }

    /// The type of the numbers, f32 (unless said) or f64.
    pub fn precision(self, precision: DType) -> Self {
        Trig { precision, ..self }
    }

    /// The shape of input and output.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Chooses and compiles.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an axis out of range or repeated, no axes, an extent of
    /// 0 along an axis; [`Error::Element`](crate::Error::Element) for a precision other than f32 and
    /// f64; [`Error::Unsupported`](crate::Error::Unsupported) for f64 on a GPU whose driver lacks it;
    /// [`Error::Limit`](crate::Error::Limit); errors of the device.
    pub fn plan(&self, ctx: &Context) -> Result<TrigPlan> {
        TrigPlan::new(self.clone(), ctx)
    }

    fn check(&self) -> Result<()> {
        check_axes(&self.shape, &self.axes)?;
        check_precision(self.precision)
    }

    /// The type whose sum is computed: the inverse of one type is another type.
    fn computed(&self) -> Type {
        match (self.kind, self.inverse) {
            (Type::Two, true) => Type::Three,
            (Type::Three, true) => Type::Two,
            (kind, _) => kind,
        }
    }

    /// What the sum over n elements is multiplied by.
    fn factor(&self, n: usize) -> f64 {
        let both = 2.0 * n as f64;
        match (self.norm, self.inverse) {
            (Norm::Backward, false) | (Norm::Forward, true) => 1.0,
            (Norm::Backward, true) | (Norm::Forward, false) => 1.0 / both,
            (Norm::Ortho, _) => 1.0 / both.sqrt(),
        }
    }
}
