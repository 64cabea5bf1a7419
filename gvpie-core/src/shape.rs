//! Extents and strides: where the elements of a tensor lie.

/// The extents of a tensor, outermost first, as NumPy writes them.
///
/// ```
/// use gvpie_core::Shape;
/// let shape = Shape::from([2, 3, 4]);
/// assert_eq!(shape.len(), Some(24));
/// assert_eq!(shape.strides(), [12, 4, 1]);
/// assert_eq!(shape.to_string(), "2x3x4");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The extents as a slice.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// How many axes there are; a scalar has none.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// How many elements there are: the product of the extents (1 for a scalar), or `None` where
    /// that product does not fit a `usize`.
    pub fn len(&self) -> Option<usize> {
        if self.0.contains(&0) {
            return Some(0);
        }
        self.0.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))
    }

    /// Whether some extent is zero.
    pub fn is_empty(&self) -> bool {
        self.0.contains(&0)
    }

    /// Row-major strides in elements: the last axis is contiguous.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1_usize; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.0[axis].max(1));
        }
        strides
    }
}

impl std::fmt::Display for Shape {
    /// `2x3x4`; a scalar is `()`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("()");
        }
        for (axis, extent) in self.0.iter().enumerate() {
            let times = if axis == 0 { "" } else { "x" };
            write!(f, "{times}{extent}")?;
        }
        Ok(())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape(dims.to_vec())
    }
}
impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape(dims.to_vec())
    }
}
impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Shape(dims)
    }
}
impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}
impl From<usize> for Shape {
    fn from(extent: usize) -> Self {
        Shape(vec![extent])
    }
}
impl From<(usize, usize)> for Shape {
    fn from((rows, columns): (usize, usize)) -> Self {
        Shape(vec![rows, columns])
    }
}
impl From<(usize, usize, usize)> for Shape {
    fn from((batch, rows, columns): (usize, usize, usize)) -> Self {
        Shape(vec![batch, rows, columns])
    }
}

/// The elements a strided view can touch: one past the largest index, counted from the view's
/// first element. Zero for an empty view, `None` where it does not fit a `usize`.
pub(crate) fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().zip(strides).try_fold(1_usize, |end, (&extent, &stride)| {
        (extent - 1).checked_mul(stride)?.checked_add(end)
    })
}

/// Whether two different indices of a strided view may name the same element. Sufficient, not
/// necessary: axes sorted by stride must nest without touching.
pub(crate) fn overlaps(shape: &[usize], strides: &[usize]) -> bool {
    if shape.contains(&0) {
        return false;
    }
    let mut axes: Vec<(usize, usize)> = strides
        .iter()
        .copied()
        .zip(shape.iter().copied())
        .filter(|&(_, extent)| extent > 1)
        .collect();
    axes.sort_unstable();
    let mut reach = 0_usize; // the largest index that the axes so far can add up to
    for (stride, extent) in axes {
        if stride <= reach {
            return true;
        }
        reach = reach.saturating_add((extent - 1).saturating_mul(stride));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_overflow() {
        assert_eq!(Shape::from([]).len(), Some(1));
        assert_eq!(Shape::from([3, 0, usize::MAX]).len(), Some(0));
        assert_eq!(Shape::from([usize::MAX, 2]).len(), None);
    }

    #[test]
    fn spans_end_one_past_the_last_element() {
        assert_eq!(span(&[2, 3], &[3, 1]), Some(6));
        assert_eq!(span(&[2, 3], &[10, 2]), Some(15));
        assert_eq!(span(&[0, 3], &[10, 2]), Some(0));
        assert_eq!(span(&[2], &[usize::MAX]), None);
    }

    #[test]
    fn overlapping_strides_are_seen() {
        assert!(!overlaps(&[2, 3], &[3, 1]));
        assert!(!overlaps(&[2, 3], &[1, 2]));
        assert!(overlaps(&[2, 3], &[2, 1]));
        assert!(overlaps(&[4], &[0]));
        assert!(!overlaps(&[1], &[0]));
        assert!(!overlaps(&[2, 0], &[0, 1]));
    }
}
