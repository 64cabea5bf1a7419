//! Sorting: keys in ascending order, and where each of them lay.
//!
//! keys′(i) = keys(order(i)), with keys′(i) mod 2ᵇ ≤ keys′(i+1) mod 2ᵇ; of equal ones the earlier
//! comes first.
//!
//! | operand | shape | what |
//! |---|---|---|
//! | keys | n, or n × 2 | unsigned integers of one word, or of two: the low one, the high one; sorted in place |
//! | order | n | for each sorted key, the index it had; all are written |
//!
//! Only the lowest b bits are compared ([`Sort::bits`]); those above travel with their key. Nothing
//! is read back and nothing waits, so that [`record`](SortPlan::record) fits between the dispatches
//! that make the keys and those that follow the order.
//!
//! ## Accuracy
//!
//! Integers only: the GPU, the CPU and the oracle agree in every bit. A stable order is the only
//! one, so it does not depend on how threads are scheduled.
//!
//! ## Notes
//!
//! * On a GPU: least significant digit first, up to 8 bits at a time, in three dispatches a digit:
//!   count, sum, scatter. Passes are of an even number, so that the last ends in `keys`, and their
//!   digits of nearly equal width: 30 bits are digits of 7, 8, 7 and 8.
//! * No workgroup waits for another of its dispatch, which WebGPU does not promise to end, and
//!   no step needs subgroups or more than WebGPU's least limits.
//! * Least traffic of a pass: a key is read twice and written once, its index read and written
//!   once: 20 bytes for one word, 16 in the first pass, which makes the indices; 32 and 28 for two.
//! * On a GPU a plan holds as much memory as keys and order take, and one word more for 15 keys.
//!
//! ## Sources
//!
//! D. Merrill and A. Grimshaw, *High performance and scalable radix sorting: a case study of
//! implementing dynamic parallelism for GPU computing*, Parallel Processing Letters 21 (2011).

mod cpu;
mod gpu;
mod plan;
pub mod proof;
#[cfg(test)]
mod tests;

pub use gpu::kernels;
pub use plan::{Algorithm, SortPlan};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A sort as plain data; see the [module](self) for the formula.
///
/// ```
/// use gvpie_core::{Backend, Context, Sort};
/// let ctx = Context::on(Backend::Cpu)?;
/// let mut keys = ctx.upload([4], &[30_u32, 10, 20, 10])?;
/// let mut order = ctx.zeros::<u32>([4])?;
/// Sort::new(4).bits(5).plan(&ctx)?.run(&mut keys, &mut order)?;
/// assert_eq!(keys.download()?, [10, 10, 20, 30]);
/// assert_eq!(order.download()?, [1, 3, 2, 0]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort {
    n: usize,
    words: usize,
    bits: Option<u32>,
}

impl Sort {
    /// So many keys of one word, compared in all of its bits.
    pub fn new(n: usize) -> Self {
        Sort { n, words: 1, bits: None }
    }

    /// Words of a key: 1, or 2 with the low one first.
    pub fn words(self, words: usize) -> Self {
        Sort { words, ..self }
    }

    /// Compares only so many of a key's lowest bits: fewer take less time. All unless said.
    pub fn bits(self, bits: u32) -> Self {
        Sort { bits: Some(bits), ..self }
    }

    /// Shape of the keys: n, or n × 2.
    pub fn keys_shape(&self) -> Shape {
        if self.words == 1 { [self.n].into() } else { [self.n, self.words].into() }
    }

    /// Shape of the order: n.
    pub fn order_shape(&self) -> [usize; 1] {
        [self.n]
    }

    /// Bits that are compared.
    pub fn compared_bits(&self) -> u32 {
        self.bits.unwrap_or(if self.words == 1 { 32 } else { 64 })
    }

    /// Chooses, compiles, and takes the memory between the passes.
    ///
    /// # Errors
    /// [`Error::Setting`] if keys have neither one word nor two, or not as many bits;
    /// [`Error::Limit`] if they are more than any buffer holds or indices count; errors of the device.
    pub fn plan(&self, ctx: &Context) -> Result<SortPlan> {
        SortPlan::new(*self, ctx)
    }
}

impl Context {
    /// Sorts keys of one word (n) or two (n × 2, the low one first) in place, and returns for each
    /// the index it had.
    ///
    /// To sort by fewer bits, again and again, or among other work, see [`Sort`].
    ///
    /// ```
    /// use gvpie_core::{Backend, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let mut keys = ctx.upload([3, 2], &[0_u32, 1, 7, 0, 5, 0])?;
    /// let order = ctx.sort(&mut keys)?;
    /// assert_eq!(order.download()?, [2, 1, 0]);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if `keys` are neither n nor n × 2, [`Error::Foreign`]; as [`Sort::plan`].
    pub fn sort(&self, keys: &mut Tensor<u32>) -> Result<Tensor<u32>> {
        let problem = match *keys.shape().dims() {
            [n] => Sort::new(n),
            [n, 2] => Sort::new(n).words(2),
            _ => {
                let found = format!("shape {}", keys.shape());
                return Err(Error::shape("keys", "shape n or n x 2", found));
            }
        };
        let plan = problem.plan(self)?;
        let mut order = self.zeros(problem.order_shape())?;
        plan.run(keys, &mut order)?;
        Ok(order)
    }
}
