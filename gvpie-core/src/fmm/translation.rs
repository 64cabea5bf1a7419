//! Translations of many expansions at once, as products of a matrix with gathered columns.

use super::pairs::Float;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Columns of a product at most: with its operands it stays in the second cache.
const COLUMNS: usize = 192;

/// One translation: from this expansion, to that of the block at hand, mirrored before and after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub from: u32,
    pub to: u32,
    pub mirror: u32,
}

/// Translations collected by the matrix that they take, and room for their columns.
pub(super) struct Batch<T> {
    steps: Vec<Vec<Step>>,
    gathered: Vec<T>,
    product: Vec<T>,
}

/// The matrices of a batch, of `terms` rows and columns, one after another.
#[derive(Clone, Copy)]
pub(super) struct Matrices<'a, T> {
    pub terms: usize,
    pub entries: &'a [T],
    /// Whether the transposed ones are meant.
    pub transposed: bool,
    /// Signs of the terms by mirroring.
    pub mirrors: &'a [T],
}

impl<T: Float> Batch<T> {
    pub fn new(terms: usize, matrices: usize) -> Self {
        let room = || vec![T::default(); terms * COLUMNS];
        Batch { steps: vec![Vec::new(); matrices], gathered: room(), product: room() }
    }

    pub fn push(&mut self, matrix: usize, step: Step) {
        self.steps[matrix].push(step);
    }

    /// Does what was collected, and forgets it.
    pub fn apply(&mut self, matrices: Matrices<'_, T>, from: &[T], to: &mut [T]) {
        let n = matrices.terms;
        for (steps, matrix) in self.steps.iter_mut().zip(matrices.entries.chunks_exact(n * n)) {
            for steps in steps.chunks(COLUMNS) {
                let signs = |step: &Step| &matrices.mirrors[step.mirror as usize * n..][..n];
                for (step, column) in steps.iter().zip(self.gathered.chunks_exact_mut(n)) {
                    let from = &from[step.from as usize * n..][..n];
                    for ((to, &from), &sign) in column.iter_mut().zip(from).zip(signs(step)) {
                        *to = from * sign;
                    }
                }
                let held = n * steps.len();
                let gathered =
                    MatRef::from_column_major_slice(&self.gathered[..held], n, steps.len());
                let product =
                    MatMut::from_column_major_slice_mut(&mut self.product[..held], n, steps.len());
                let matrix = if matrices.transposed {
                    MatRef::from_column_major_slice(matrix, n, n)
                } else {
                    MatRef::from_row_major_slice(matrix, n, n)
                };
                let one = T::narrow(1.0);
                matmul(product, Accum::Replace, matrix, gathered, one, Par::Seq);
                for (step, column) in steps.iter().zip(self.product.chunks_exact(n)) {
                    let to = &mut to[step.to as usize * n..][..n];
                    for ((to, &column), &sign) in to.iter_mut().zip(column).zip(signs(step)) {
                        *to += column * sign;
                    }
                }
            }
            steps.clear();
        }
    }
}
