//! Sums of products over named indices, in Einstein's notation as NumPy writes it.
//!
//! ```text
//! "bij,bjk->bik"    Y[b, i, k] ← Σⱼ A[b, i, j]·B[b, j, k]
//! ```
//!
//! | written | meaning |
//! |---|---|
//! | `ij,jk->ik` | one letter for each axis; what the result does not name is summed over |
//! | `ij,jk` | without `->` the result has the letters that occur once, in the order of their codes |
//! | `ii->i`, `ii` | a letter twice in an operand: its diagonal; and, summed over, its trace |
//! | `...ij,...jk->...ik` | the axes that are left, broadcast among operands as NumPy does |
//! | `,` and `->` | scalars: operands and results without axes |
//!
//! Letters are a–z and A–Z; spaces mean nothing. An axis of one element fits any extent of its letter.
//! Any number of operands, which may be strided [`TensorView`]s. A sum over no elements is zero.
//!
//! ## How
//!
//! Operands are contracted pair by pair, in the [`Order`] of the fewest operations, none of whose
//! intermediate results is larger than the [limit](Einsum::memory_limit). What only one operand has is
//! summed first. Each pair is then
//!
//! * a batch of matrix products ([`Gemm`](crate::Gemm)) where something is to be gained by them:
//!   operands that can be walked by one stride along rows, columns and sums are taken as they lie;
//! * else loops in which every operand is read once, by vectors of four where they lie side by side:
//!   products of elements, outer products, sums, diagonals, products with few rows or columns. Long
//!   sums of few results are divided in parts that a second pass adds.
//!
//! What lies badly for either is copied into a better order first, through squares in workgroup memory.
//! [`EinsumPlan::path`] prints all of it. The same plan gives the same bits: there are no atomics.
//!
//! ## Accuracy
//!
//! With K the additions that an element goes through one after another, n operands, u the unit roundoff
//! of the working type (2⁻²⁴, or 2⁻⁵³ for f64 and complex128) and S = Σ|A·B·…| the magnitude that errors
//! are relative to, to first order in u, and √2 times that of complex numbers:
//!
//! ```text
//! |Ŷ − Y| ≤ (K + 8·n)·u·S
//! ```
//!
//! [`EinsumPath::depth`] is K. A matrix product over k adds k to it and errs by at most (k + 4)·u
//! ([`gemm`](crate::gemm)); loops add what their longest chain of additions is, which is shorter than
//! the sum where it is shared among lanes and parts, and round each product once. There are no more
//! than 2·n steps that multiply or add. Operands of f16 are worked in f32, and results are rounded to
//! f16 once, which adds 2⁻¹¹·|Y| + 2⁻²⁵. Shaders may take f32's subnormal numbers for zero, which adds
//! 2⁻¹²⁶ for each product and operand. [`proof::bound`] computes all of this.

mod cpu;
mod expression;
mod gpu;
mod indices;
mod layout;
mod loops;
mod paged;
mod path;
mod plan;
mod product;
pub mod proof;
mod recipe;
mod report;
#[cfg(test)]
mod tests;

pub use gpu::kernels;
pub use paged::PagedEinsum;
pub use path::Order;
pub use plan::EinsumPlan;
pub use report::{EinsumPath, EinsumStep};

use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::Result;
use crate::gemm::Accuracy;
use crate::shape::Shape;
use crate::tensor::{Tensor, TensorView};
use expression::Expression;

/// A contraction as plain data; see the [module](self) for the notation.
///
/// ```
/// use gvpie_core::{Backend, Context, Einsum};
/// let ctx = Context::on(Backend::Cpu)?;
/// let a = ctx.upload([2, 2], &[1.0_f32, 2.0, 3.0, 4.0])?;
/// let x = ctx.upload([2], &[1.0_f32, -1.0])?;
/// let plan = Einsum::new("ij,j,i->").plan(&ctx, [a.shape(), x.shape(), x.shape()])?;
/// let mut y = ctx.zeros::<f32>(plan.shape())?;
/// plan.run(&[&a, &x, &x], &mut y)?; // xᵀ·A·x
/// assert_eq!(y.download()?, [0.0]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Einsum {
    expression: String,
    element: DType,
    accuracy: Accuracy,
    order: Order,
    memory_limit: Option<u64>,
}

impl Einsum {
    /// The contraction that this expression describes, in f32.
    pub fn new(expression: impl Into<String>) -> Self {
        Einsum {
            expression: expression.into(),
            element: DType::F32,
            accuracy: Accuracy::F32,
            order: Order::Auto,
            memory_limit: None,
        }
    }

    /// The type of the elements of all operands and of the result.
    pub fn element(self, element: DType) -> Self {
        Einsum { element, ..self }
    }

    /// How matrix products may round; [`Accuracy::F16`] leaves the module's bound for theirs.
    pub fn accuracy(self, accuracy: Accuracy) -> Self {
        Einsum { accuracy, ..self }
    }

    /// How the order of contractions is searched.
    pub fn order(self, order: Order) -> Self {
        Einsum { order, ..self }
    }

    /// The most bytes that the result of a contraction may have which is not the last one. Copies of
    /// operands into another order, never larger than these, do not count;
    /// [`EinsumPlan::workspace`] is all that a plan holds.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context, Einsum, Shape};
    /// let shapes = [Shape::from([64, 2]), Shape::from([2, 64]), Shape::from([64, 2])];
    /// let all = Einsum::new("ij,jk,kl->il");
    /// assert_eq!(all.path(&shapes)?.largest_intermediate(), 2 * 2 * 4);
    /// let refused = all.memory_limit(15).path(&shapes).unwrap_err();
    /// assert!(refused.to_string().contains("at least 16"));
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    pub fn memory_limit(self, bytes: u64) -> Self {
        Einsum { memory_limit: Some(bytes), ..self }
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.element
    }

    /// The expression.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The shape of the result for operands of these shapes.
    ///
    /// # Errors
    /// [`Error::Expression`](crate::Error::Expression) with a mark under the place that is wrong, or
    /// that these shapes do not fit.
    pub fn shape<S: Into<Shape> + Clone>(&self, shapes: impl AsRef<[S]>) -> Result<Shape> {
        Ok(Expression::parse(&self.expression)?.bind(&listed(shapes))?.shape())
    }

    /// The order of contractions for dense operands of these shapes, and how each is computed on a
    /// GPU. Touches no memory.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), but for errors of the device.
    pub fn path<S: Into<Shape> + Clone>(&self, shapes: impl AsRef<[S]>) -> Result<EinsumPath> {
        plan::path(self, &listed(shapes))
    }

    /// Chooses and compiles, for operands of these shapes.
    ///
    /// # Errors
    /// [`Error::Expression`](crate::Error::Expression) with a mark under the place that is wrong, or
    /// that these shapes do not fit; [`Error::Setting`](crate::Error::Setting) where no order keeps the
    /// memory limit, with the least that one would;
    /// [`Error::Unsupported`](crate::Error::Unsupported) for element types that this back end has no
    /// path for: integers, f64 and complex128 on a GPU, and f16 where the GPU's driver lacks it; errors
    /// of the device.
    pub fn plan<S: Into<Shape> + Clone>(
        &self,
        ctx: &Context,
        shapes: impl AsRef<[S]>,
    ) -> Result<EinsumPlan> {
        EinsumPlan::new(self.clone(), listed(shapes), ctx)
    }
}

fn listed<S: Into<Shape> + Clone>(shapes: impl AsRef<[S]>) -> Vec<Shape> {
    shapes.as_ref().iter().cloned().map(Into::into).collect()
}

impl Context {
    /// The sum of products that an [expression](crate::einsum) describes, as `numpy.einsum` does. All
    /// operands are tensors or all are views.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let a = ctx.upload([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// let b = ctx.upload([3, 2], &[1.0_f32, 0.0, 0.0, 1.0, 1.0, 1.0])?;
    /// assert_eq!(ctx.einsum("ij,jk->ki", &[&a, &b])?.download()?, [4.0, 10.0, 5.0, 11.0]);
    /// let turned = [a.view().transpose()?, a.view().transpose()?];
    /// assert_eq!(ctx.einsum("ij,ij->", &turned)?.download()?, [91.0]);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Einsum::plan`] and [`EinsumPlan::run`].
    pub fn einsum<'a, T: Element, V: Into<TensorView<'a, T>> + Clone>(
        &self,
        expression: &str,
        operands: &[V],
    ) -> Result<Tensor<T>> {
        let views: Vec<TensorView<'a, T>> = operands.iter().cloned().map(Into::into).collect();
        let shapes: Vec<Shape> = views.iter().map(|view| view.shape().clone()).collect();
        let plan = Einsum::new(expression).element(T::DTYPE).plan(self, shapes)?;
        let mut y = self.zeros(plan.shape())?;
        plan.run(&views, &mut y)?;
        Ok(y)
    }
}
