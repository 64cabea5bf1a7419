//! Indices and sets of them.

use crate::error::{Error, Result};

/// The indices of an expression: a number each, in the order of these lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Indices {
    /// The letter each is printed as; those of an ellipsis have letters that are free.
    pub names: Vec<char>,
    pub extents: Vec<usize>,
}

impl Indices {
    /// One more, of so many elements; its number.
    pub fn add(&mut self, name: char, extent: usize) -> Result<usize> {
        if self.names.len() == Set::MOST {
            return Err(Error::Limit {
                what: "einsum".into(),
                limit: "indices",
                asked: self.names.len() as u64 + 1,
                allowed: Set::MOST as u64,
            });
        }
        self.names.push(name);
        self.extents.push(extent);
        Ok(self.names.len() - 1)
    }

    /// Elements of a tensor with these indices, as a number that is never too large.
    pub fn size(&self, set: Set) -> f64 {
        set.iter().map(|index| self.extents[index] as f64).product()
    }

    /// The product of the extents; the largest number where it cannot be counted.
    pub fn count(&self, indices: impl IntoIterator<Item = usize>) -> usize {
        let extents = indices.into_iter().map(|index| self.extents[index]);
        let mut all: Vec<usize> = extents.collect();
        all.sort_unstable(); // a zero first
        all.into_iter().fold(1, usize::saturating_mul)
    }

    /// The letters of these, in this order.
    pub fn letters(&self, indices: impl IntoIterator<Item = usize>) -> String {
        indices.into_iter().map(|index| self.names[index]).collect()
    }
}

/// A set of indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Set(u128);

impl Set {
    /// How many indices there may be.
    pub const MOST: usize = u128::BITS as usize;

    pub fn of(indices: impl IntoIterator<Item = usize>) -> Self {
        Set(indices.into_iter().fold(0, |bits, index| bits | 1 << index))
    }
    pub fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn and(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
    pub fn or(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
    pub fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
    /// In ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MOST).filter(move |&index| self.has(index))
    }
}
