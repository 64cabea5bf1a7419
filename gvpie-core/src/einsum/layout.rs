//! Where the elements of operands lie, and loops over several of them at once.

use super::indices::{Indices, Set};
use crate::element::DType;

/// How an operand lies in memory, but for its offset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Layout {
    pub dtype: DType,
    /// The indices it depends on.
    pub set: Set,
    /// By index, in elements; 0 for one that it does not depend on.
    pub strides: Vec<usize>,
    /// Whether its offset is a multiple of [`WIDTH`] elements.
    pub aligned: bool,
}

/// Elements that are read and written at once where they lie side by side.
pub(super) const WIDTH: usize = 4;

impl Layout {
    /// Dense, the last of these indices innermost.
    pub fn dense(indices: &Indices, order: &[usize], dtype: DType) -> Self {
        let mut strides = vec![0; indices.extents.len()];
        let mut step = 1_usize;
        for &index in order.iter().rev() {
            strides[index] = step;
            step = step.saturating_mul(indices.extents[index]);
        }
        Layout { dtype, set: Set::of(order.iter().copied()), strides, aligned: true }
    }

    /// The stride along an index; of one that was added later than the layout, none.
    pub fn stride(&self, index: usize) -> usize {
        self.strides.get(index).copied().unwrap_or(0)
    }

    /// Bytes of its elements.
    pub fn bytes(&self, indices: &Indices) -> f64 {
        indices.size(self.set) * self.dtype.size() as f64
    }

    /// Its indices, that of the longest stride first.
    pub fn order(&self, of: Set) -> Vec<usize> {
        let mut order: Vec<usize> = of.iter().collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.stride(index)));
        order
    }
}

/// One loop over several operands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Axis {
    pub extent: usize,
    /// Of each operand, in elements.
    pub strides: Vec<usize>,
}

/// Loops over these indices, the last innermost; neighbours that lie as one in all operands are one.
pub(super) fn axes(indices: &Indices, order: &[usize], operands: &[&Layout]) -> Vec<Axis> {
    let mut all: Vec<Axis> = Vec::new();
    for &index in order {
        let extent = indices.extents[index];
        let strides: Vec<usize> = operands.iter().map(|operand| operand.stride(index)).collect();
        if extent == 1 {
            continue;
        }
        match all.last_mut() {
            Some(outer)
                if (outer.strides.iter().zip(&strides))
                    .all(|(outer, inner)| Some(*outer) == inner.checked_mul(extent)) =>
            {
                *outer = Axis { extent: outer.extent.saturating_mul(extent), strides };
            }
            _ => all.push(Axis { extent, strides }),
        }
    }
    all
}

/// Indices as one axis: their order, and its stride in each operand; `None` where they do not lie as
/// one in all of them.
pub(super) fn line(
    indices: &Indices,
    of: Set,
    operands: &[&Layout],
) -> Option<(Vec<usize>, Vec<usize>)> {
    let mut order: Vec<usize> = of.iter().collect();
    order.sort_by_cached_key(|&index| {
        let strides: Vec<usize> = operands.iter().map(|operand| operand.stride(index)).collect();
        std::cmp::Reverse(strides)
    });
    match &axes(indices, &order, operands)[..] {
        [] => Some((order, vec![0; operands.len()])),
        [axis] => Some((order, axis.strides.clone())),
        _ => None,
    }
}
