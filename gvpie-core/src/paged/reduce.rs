//! Sums over paged tensors, on the host: they are read once, which a disk or a bus takes longer for
//! than adding.

use super::Paged;
use crate::element::Element;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Elements that are summed one after the other; sums of these are summed as a binary tree. Both are
/// counted from the first element, whatever the size of pages, so that budgets change no bit.
const LEAF: usize = 4096;

/// Leaves that are read at once.
const LEAVES: usize = 1024;

impl<T: Element + Into<f64>> Paged<T> {
    /// Σ xᵢ in f64, as a binary tree over sums of 4096: the same bits whatever the budgets.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let mut x = ctx.paged::<f32>([3])?;
    /// x.write(0, &[3.0, -4.0, 0.0])?;
    /// assert_eq!((x.sum()?, x.max_abs()?, x.norm()?, x.dot(&x)?), (-1.0, 4.0, 5.0, 25.0));
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn sum(&self) -> Result<f64> {
        self.fold(|leaf| leaf.iter().map(|&x| x.into()).sum()).map(|leaves| tree(&leaves))
    }

    /// Σ xᵢ·yᵢ in f64, likewise.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Shape`] unless both have the same shape.
    pub fn dot(&self, other: &Paged<T>) -> Result<f64> {
        if self.shape != other.shape {
            let expected = format!("shape {}", self.shape);
            return Err(Error::shape(
                "the second factor",
                expected,
                format!("shape {}", other.shape),
            ));
        }
        let mut sums = Vec::with_capacity(self.len().div_ceil(LEAF));
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for first in (0..self.len()).step_by(LEAF * LEAVES) {
            let count = (self.len() - first).min(LEAF * LEAVES);
            x.resize(count, T::default());
            y.resize(count, T::default());
            self.read(first, &mut x)?;
            other.read(first, &mut y)?;
            let pairs = x.par_chunks(LEAF).zip(y.par_chunks(LEAF));
            let product = |(&x, &y): (&T, &T)| x.into() * y.into();
            sums.par_extend(pairs.map(|(x, y)| x.iter().zip(y).map(product).sum::<f64>()));
        }
        Ok(tree(&sums))
    }

    /// The largest |xᵢ|; 0 where there is none, NaN where one is.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn max_abs(&self) -> Result<f64> {
        let larger = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        let largest = |leaf: &[T]| leaf.iter().map(|&x| x.into().abs()).fold(0.0, larger);
        Ok(self.fold(largest)?.into_iter().fold(0.0, larger))
    }

    /// √Σ xᵢ², the Euclidean (of a matrix, the Frobenius) norm, in f64. Elements beyond 10¹⁵⁴ overflow.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn norm(&self) -> Result<f64> {
        let squares = |leaf: &[T]| leaf.iter().map(|&x| x.into() * x.into()).sum();
        Ok(tree(&self.fold(squares)?).sqrt())
    }

    /// A number for each leaf.
    fn fold(&self, leaf: impl Fn(&[T]) -> f64 + Sync) -> Result<Vec<f64>> {
        let mut folded = Vec::with_capacity(self.len().div_ceil(LEAF));
        let mut elements = Vec::new();
        for first in (0..self.len()).step_by(LEAF * LEAVES) {
            elements.resize((self.len() - first).min(LEAF * LEAVES), T::default());
            self.read(first, &mut elements)?;
            folded.par_extend(elements.par_chunks(LEAF).map(&leaf));
        }
        Ok(folded)
    }
}

/// The sum as a binary tree.
fn tree(sums: &[f64]) -> f64 {
    match sums {
        [] => 0.0,
        [one] => *one,
        _ => {
            let (left, right) = sums.split_at(sums.len().div_ceil(2));
            tree(left) + tree(right)
        }
    }
}
