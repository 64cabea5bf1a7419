//! General matrix multiplication.
//!
//! C ← act(α·op(A)·op(B) + β·C + bias)
//!
//! | operand | shape | what |
//! |---|---|---|
//! | op(A) | m × k | A, or Aᵀ where [`Gemm::transpose_a`] says so (A itself is then k × m) |
//! | op(B) | k × n | likewise |
//! | C | m × n | read only if β ≠ 0 |
//! | bias | n | added to every row of C; only where [`Gemm::bias`] says so |
//! | act | | applied to each element, none unless [`Gemm::activation`] says so |
//!
//! A batch is a leading axis; an operand whose batch is 1, or that has no batch axis, is used for
//! every product of the batch: so is a bias of shape n, and one of batch × n has a row for each.
//! Operands may be any strided [`TensorView`]s. Bias and activation are part of writing C, which
//! costs neither another pass over memory nor a rounding to C's type in between.
//! Where α = 0 or k = 0, neither A nor B is read, as in BLAS.
//!
//! ## Accuracy
//!
//! Work is done in f32, in f64 if an element is f64; u is the unit roundoff of that, 2⁻²⁴ or 2⁻⁵³,
//! and S = |α|·|op(A)|·|op(B)| the magnitude that errors are relative to. To first order in u,
//! elementwise:
//!
//! | [`Accuracy`] | bound on \|Ĉ − C\| |
//! |---|---|
//! | `Exact` | (k + 4)·u·S + 3u·\|β·C\| |
//! | `F32` | the same; and ‖Ĉ − C‖/‖C‖ in Frobenius norms at most twice that of plain f32, plus u/4 |
//! | `F16` | (2·2⁻¹¹ + 2⁻²² + (k + 4)·2u)·S + 3u·\|β·C\|, and what f16 cannot hold |
//!
//! * `Exact`: each product and each sum is rounded once at most, in any order (Higham, *Accuracy and
//!   Stability of Numerical Algorithms*, 2nd ed. 2002, §3.1).
//! * `F32`, on a GPU with tensor cores and for k ≥ 64, splits operands in two of f16, whose products
//!   are exact in f32 (Ootomo & Yokota, *Recovering single precision accuracy from Tensor Cores*,
//!   2022). Rows of A and columns of B are scaled by powers of two before; a tile of C whose rows
//!   or columns could lose more than the bound by it, as the range of their elements tells, or that
//!   meet infinity or NaN, is computed as in `Exact`. The norm is relative to plain f32 summed in
//!   one sequence: fused multiply-adds, k after k, as a tile of `Exact` does. Where few tiles make
//!   `Exact` divide k, its sums are shorter and may err less than half as much. The norm is held on
//!   [`proof::hard_inputs`], plus u instead of u/4 where nearly all products are zero and what rounds
//!   off the others shows; where a product cancels to less than 2⁻¹⁰ of S only the first bound tells
//!   anything.
//! * `F16`: operands of f32 are rounded to f16, 2⁻¹¹ each; their products are exact, and the units
//!   that sum them may cut off where others round, hence 2u for u (Blanchard, Higham, Lopez, Mary &
//!   Pranesh, *Mixed precision block fused multiply-add*, 2020; Fasi, Higham, Mikaitis & Pranesh,
//!   *Numerical behavior of NVIDIA tensor cores*, 2021). An operand below 2⁻¹⁴ changes by up to
//!   2⁻²⁵ instead, which adds 2⁻²⁵ of the other's magnitude; one above 65504 may become infinite.
//!   Operands that are f16 already lose nothing: (k + 4)·2u·S.
//! * Where an element is f64, all three are `Exact`.
//!
//! f16 and narrower results add their own rounding once. NaN and infinity propagate as the sums
//! say; sums that exceed the working type on the way may become either. Shaders may take f32's
//! subnormal numbers for zero: that adds |α|·|a·b| for each term with such a factor, and
//! (k + 4)·2⁻¹²⁶. [`proof::element`] computes all of this, for tests and for callers.
//!
//! A bias adds u·(S + |β·C| + |bias|). ReLU adds nothing. GELU multiplies the
//! error so far by at most 1.13, its steepest slope, and adds u·(12 + 10·|t|)·|C| + 2⁻¹²⁵·|x|,
//! where x is its argument and t = 2·√(2/π)·(x + 0.044715·x³) the exponential's: t is rounded six
//! times, WGSL's exp(t) is within 3 + 2·|t| units in the last place of 2u each, its quotient within
//! 2.5, and what is below the smallest normal number may be zero.
//!
//! ## Notes
//!
//! * Flops 2mnk; the least traffic is mk + kn + mn elements. On an H100 the f32 ceiling through
//!   WGSL is 62 TFLOP/s and memory gives 2.9 TB/s, so large products are
//!   bound by arithmetic; tiles of 128x128 use each value they read 128 times, which leaves L2
//!   idle.
//! * The driver did not keep `acc[j]` in registers, nor unroll: the template names every
//!   accumulator (30 against 250 TFLOP/s for a tensor-core prototype).
//! * Measured at 8192³: 35.4 TFLOP/s staging and multiplying in turn, 40.5 with the next step read
//!   into registers meanwhile. With 8x16 values a thread, tiles of 128x128 and 128x256 and k steps
//!   of 8 to 32 all end within 4 % of that; 8x8 values reach 36 to 39, 4x4 reach 25.
//! * On tensor cores, what decides on an H100 is how loads are scheduled, which the driver's statistics
//!   and machine code tell: loads from read-only bindings are moved behind the barrier they are to
//!   be hidden by (254 against 278 TFLOP/s of f16 at 4096³), loads of 8 bytes carry a bounds check
//!   of five instructions each as those of 16 do (an earlier split: 115 against 127), loops of a
//!   varying bound spill. Two stages in workgroup memory, pairs of neighbouring loads, fragments
//!   straight from storage, and devices without robust access all measured slower or the same.
//! * Tensor cores truncate by about 2.8 u each time they add, so sums of the split move to f32
//!   accumulators that round, after each 32 of k, and within these 32 products with low parts are
//!   added first, while the sum is small. On an H100 that runs at 81.1 TFLOP/s at 8192³ and 41.7 at
//!   1024³, and where all terms have one sign (Hilbert's matrix, k = 64) errs by 1.05 times what
//!   plain f32 does; with low and high parts of each 16 of k in turn, by 1.72 times. Moved every 16
//!   it ran at 74.5 and 39.7; every 64 at 108.1 and 48.3, but erred by 4.66 times. Never moved, it
//!   erred by 1.5e-5 on random operands at k = 4096, where plain f32 errs by 1.2e-6.

mod candidates;
mod coop;
mod cpu;
mod gpu;
mod layout;
mod packing;
mod paged;
mod parts;
mod plan;
pub mod proof;
#[cfg(test)]
mod tests;
mod tiling;
mod vector;

pub use coop::{CoopTile, Products};
pub use gpu::kernels;
pub use paged::PagedGemm;
pub use plan::{Algorithm, GemmPlan, Tile};
pub use tiling::Tiling;

use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::{Tensor, TensorView};

/// How products and sums may be rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Accuracy {
    /// As accurate as f32 arithmetic, by whatever path is fastest; the [module](self) says how
    /// accurate that is.
    #[default]
    F32,
    /// Every product and sum in the working precision itself: plain fused multiply-add.
    Exact,
    /// Products of operands rounded to f16 are permitted, sums in f32. Without hardware for it, or
    /// with an element of f64, computes as `F32`; [`GemmPlan::algorithm`] tells.
    F16,
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Accuracy::F32 => "f32",
            Accuracy::Exact => "exact",
            Accuracy::F16 => "f16",
        })
    }
}

/// A function applied to each element of C before it is rounded to C's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// The element itself.
    #[default]
    None,
    /// max(x, 0). NaN stays NaN.
    Relu,
    /// The Gaussian error linear unit in its tanh form (Hendrycks & Gimpel 2016):
    /// x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2. NaN stays NaN; −∞, which the formula multiplies by
    /// zero, becomes NaN. Not for f64 on a GPU.
    Gelu,
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Activation::None => "none",
            Activation::Relu => "relu",
            Activation::Gelu => "gelu",
        })
    }
}

/// A matrix multiplication as plain data; see the [module](self) for the formula.
///
/// ```
/// use gvpie_core::{Backend, Context, Gemm};
/// let ctx = Context::on(Backend::Cpu)?;
/// let a = ctx.upload([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let mut c = ctx.upload([2, 2], &[10.0_f32, 0.0, 0.0, 10.0])?;
/// let plan = Gemm::new(2, 2, 3).transpose_b().alpha(2.0).beta(1.0).plan(&ctx)?;
/// plan.run(&a, &a, &mut c)?; // 2·A·Aᵀ + C
/// assert_eq!(c.download()?, [38.0, 64.0, 64.0, 164.0]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Gemm {
    m: usize,
    n: usize,
    k: usize,
    batch: usize,
    transpose_a: bool,
    transpose_b: bool,
    alpha: f64,
    beta: f64,
    a: DType,
    b: DType,
    c: DType,
    accuracy: Accuracy,
    bias: bool,
    activation: Activation,
}

impl Gemm {
    /// C = A·B with A of m × k and B of k × n, in f32.
    pub fn new(m: usize, n: usize, k: usize) -> Self {
        Gemm {
            m,
            n,
            k,
            batch: 1,
            transpose_a: false,
            transpose_b: false,
            alpha: 1.0,
            beta: 0.0,
            a: DType::F32,
            b: DType::F32,
            c: DType::F32,
            accuracy: Accuracy::F32,
            bias: false,
            activation: Activation::None,
        }
    }

    /// As many products, over a leading axis of the operands.
    pub fn batch(self, batch: usize) -> Self {
        Gemm { batch, ..self }
    }

    /// A is given as k × m.
    pub fn transpose_a(self) -> Self {
        Gemm { transpose_a: true, ..self }
    }

    /// B is given as n × k.
    pub fn transpose_b(self) -> Self {
        Gemm { transpose_b: true, ..self }
    }

    /// The factor of the product; 1 unless said.
    pub fn alpha(self, alpha: f64) -> Self {
        Gemm { alpha, ..self }
    }

    /// The factor of what C held before; 0 unless said, and then C is not read.
    pub fn beta(self, beta: f64) -> Self {
        Gemm { beta, ..self }
    }

    /// The element types of A, B and C; f32 unless said. Work is done in the widest of them, and
    /// in f32 at least.
    pub fn elements(self, a: DType, b: DType, c: DType) -> Self {
        Gemm { a, b, c, ..self }
    }

    /// How products and sums may be rounded.
    pub fn accuracy(self, accuracy: Accuracy) -> Self {
        Gemm { accuracy, ..self }
    }

    /// A vector is added to every row of C, which [`GemmPlan::run_biased`] is given.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context, Gemm, gemm::Activation};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let x = ctx.upload([2, 2], &[1.0_f32, 2.0, 3.0, 4.0])?;
    /// let weights = ctx.upload([2, 2], &[1.0_f32, 0.0, 0.0, -1.0])?;
    /// let bias = ctx.upload([2], &[0.5_f32, 3.0])?;
    /// let mut layer = ctx.zeros([2, 2])?;
    /// let plan = Gemm::new(2, 2, 2).bias().activation(Activation::Relu).plan(&ctx)?;
    /// plan.run_biased(&x, &weights, &bias, &mut layer)?;
    /// assert_eq!(layer.download()?, [1.5, 1.0, 3.5, 0.0]);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    pub fn bias(self) -> Self {
        Gemm { bias: true, ..self }
    }

    /// The function applied to each element last; none unless said.
    pub fn activation(self, activation: Activation) -> Self {
        Gemm { activation, ..self }
    }

    /// Rows of C: m.
    pub fn rows(&self) -> usize {
        self.m
    }

    /// Columns of C: n.
    pub fn columns(&self) -> usize {
        self.n
    }

    /// Columns of op(A): k.
    pub fn depth(&self) -> usize {
        self.k
    }

    /// Products of the batch.
    pub fn count(&self) -> usize {
        self.batch
    }

    /// Floating-point operations: 2·m·n·k a product of the batch.
    pub fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64 * self.batch as f64
    }

    /// Chooses and compiles. The choice is the one measured on this device for this problem
    /// ([`Context::choices`]), else the first of the [`candidates`](Self::candidates).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for element types this back end has no path for: f16 and f64 where
    /// the GPU's driver lacks them, GELU of f64 on any GPU; errors of the device.
    pub fn plan(&self, ctx: &Context) -> Result<GemmPlan> {
        GemmPlan::new(self.clone(), ctx)
    }

    /// The algorithms worth trying for this problem on this device, the fastest as a model predicts
    /// first.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for element types this back end has no path for.
    pub fn candidates(&self, ctx: &Context) -> Result<Vec<Algorithm>> {
        candidates::candidates(self, &plan::Facts::of(ctx))
    }

    /// Compiles for an algorithm that the caller has chosen.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context, Error, Gemm};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let problem = Gemm::new(64, 64, 64);
    /// for algorithm in problem.candidates(&ctx)? {
    ///     assert_eq!(problem.plan_with(&ctx, algorithm)?.algorithm(), algorithm);
    /// }
    /// let refused = problem.plan_with(&ctx, "simt-f32-32x32x16".parse()?);
    /// assert!(matches!(refused, Err(Error::Unsupported { .. }))); // a GPU's
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::Limit`] if it cannot compute this problem on this device;
    /// errors of the device.
    pub fn plan_with(&self, ctx: &Context, algorithm: Algorithm) -> Result<GemmPlan> {
        GemmPlan::by(algorithm, self.clone(), ctx)
    }

    /// The problem that multiplies views of these shapes: two axes, or three with a batch first.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the operand that does not fit.
    pub fn of_shapes(a: &Shape, b: &Shape) -> Result<Gemm> {
        let (batch_a, m, k) = matrix(a, "A")?;
        let (batch_b, k_b, n) = matrix(b, "B")?;
        if k_b != k {
            let expected = format!("{k} rows, as A has columns");
            return Err(Error::shape("B", expected, format!("shape {b}")));
        }
        let batch = match (batch_a.unwrap_or(1), batch_b.unwrap_or(1)) {
            (1, batch) | (batch, 1) => batch,
            (x, y) if x == y => x,
            (x, _) => {
                let expected = format!("a batch of {x}, as A has, or of 1");
                return Err(Error::shape("B", expected, format!("shape {b}")));
            }
        };
        Ok(Gemm::new(m, n, k).batch(batch))
    }
}

/// (batch, rows, columns) of a shape.
fn matrix(shape: &Shape, name: &str) -> Result<(Option<usize>, usize, usize)> {
    match *shape.dims() {
        [rows, columns] => Ok((None, rows, columns)),
        [batch, rows, columns] => Ok((Some(batch), rows, columns)),
        _ => Err(Error::shape(name, "2 axes, or 3 with the batch first", format!("shape {shape}"))),
    }
}

impl Context {
    /// The matrix product A·B of two matrices, or of two batches of them; the result has a batch
    /// axis if an operand has one.
    ///
    /// Transposed operands are transposed views: `ctx.gemm(a.view().transpose()?, &b)`. For α, β,
    /// mixed element types and results written in place, see [`Gemm`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit, [`Error::Foreign`], [`Error::Unsupported`];
    /// errors of the device.
    pub fn gemm<'a, T: Element>(
        &self,
        a: impl Into<TensorView<'a, T>>,
        b: impl Into<TensorView<'a, T>>,
    ) -> Result<Tensor<T>> {
        let (a, b) = (a.into(), b.into());
        let problem = Gemm::of_shapes(a.shape(), b.shape())?.elements(T::DTYPE, T::DTYPE, T::DTYPE);
        let plan = problem.plan(self)?;
        let batched = a.shape().rank() == 3 || b.shape().rank() == 3;
        let shape = if batched {
            Shape::from([problem.batch, problem.m, problem.n])
        } else {
            Shape::from([problem.m, problem.n])
        };
        let mut c = self.zeros(shape)?;
        plan.run(a, b, &mut c)?;
        Ok(c)
    }
}
