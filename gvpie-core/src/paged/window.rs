//! Which bytes of which pages a region of a row-major tensor is made of.

use crate::error::{Error, Result};
use crate::shape::Shape;
use std::ops::Range;

/// A region of a tensor as runs: contiguous stretches, all of one length, in increasing order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Bytes of each run.
    run: u64,
    /// Runs along the axes that are not contiguous within the region, outermost first: how many, and
    /// how many bytes apart.
    axes: Vec<(u64, u64)>,
    /// Where the first run begins.
    first: u64,
    /// Bytes of the region.
    pub bytes: u64,
}

/// Bytes of a page that belong to a region. Where they lie in the region follows from the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub page: usize,
    pub at: usize,
    pub len: usize,
}

impl Window {
    /// The region of a tensor whose elements have `size` bytes. The shape's length was checked.
    pub fn new(shape: &Shape, region: &[Range<usize>], size: usize) -> Result<Self> {
        let dims = shape.dims();
        let inside = |(range, &extent): (&Range<usize>, &usize)| {
            range.start <= range.end && range.end <= extent
        };
        if region.len() != dims.len() || !region.iter().zip(dims).all(inside) {
            let expected = format!("a range within each axis of shape {shape}");
            return Err(Error::shape("region", expected, format!("{region:?}")));
        }
        let size = size as u64;
        let lens: Vec<u64> = region.iter().map(|range| range.len() as u64).collect();
        let bytes = lens.iter().product::<u64>() * size;
        if bytes == 0 {
            return Ok(Window { run: 0, axes: Vec::new(), first: 0, bytes: 0 });
        }
        let strides: Vec<u64> =
            shape.strides().iter().map(|&stride| stride as u64 * size).collect();
        let starts = region.iter().zip(&strides).map(|(range, stride)| range.start as u64 * stride);
        let first = starts.sum();
        // The axes behind this one are whole.
        let whole =
            dims.iter().zip(&lens).rev().take_while(|&(&extent, &len)| extent as u64 == len);
        let cut = dims.len() - whole.count();
        let (run, outer) = match cut.checked_sub(1) {
            Some(axis) => (lens[axis] * strides[axis], axis),
            None => (bytes, 0),
        };
        let axes = lens[..outer].iter().copied().zip(strides[..outer].iter().copied());
        Ok(Window { run, axes: axes.filter(|&(len, _)| len > 1).collect(), first, bytes })
    }

    /// The bytes from `first` on, without gaps.
    pub fn contiguous(first: u64, bytes: u64) -> Self {
        Window { run: bytes, axes: Vec::new(), first, bytes }
    }

    /// The pieces that a part of the region is made of, where pages have so many bytes.
    pub fn pieces(&self, part: Range<u64>, page: usize) -> Vec<Piece> {
        let (mut pieces, page) = (Vec::<Piece>::new(), page as u64);
        let mut at = part.start;
        while at < part.end {
            let (mut run, within) = (at / self.run, at % self.run);
            let mut from = self.first + within;
            for &(count, stride) in self.axes.iter().rev() {
                from += run % count * stride;
                run /= count;
            }
            let len = (self.run - within).min(part.end - at);
            let len = len.min(page - from % page);
            pieces.push(Piece {
                page: (from / page) as usize,
                at: (from % page) as usize,
                len: len as usize,
            });
            at += len;
        }
        pieces
    }

    /// The pages of the region and how many bytes each has in it.
    pub fn pages(&self, page: usize) -> Vec<(usize, usize)> {
        let mut pages: Vec<(usize, usize)> = Vec::new();
        for piece in self.pieces(0..self.bytes, page) {
            match pages.last_mut() {
                Some((last, bytes)) if *last == piece.page => *bytes += piece.len,
                _ => pages.push((piece.page, piece.len)),
            }
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_runs() {
        let shape = Shape::from([4, 6, 5]);
        let window = |region: [Range<usize>; 3]| Window::new(&shape, &region, 2).unwrap();
        assert_eq!(window([0..4, 0..6, 0..5]).pieces(0..240, 1024).len(), 1);
        assert_eq!(window([1..3, 0..6, 0..5]).pieces(0..120, 1024).len(), 1);
        let piece = |at, len| Piece { page: 0, at, len };
        let cut = window([1..3, 2..4, 0..5]);
        assert_eq!(cut.pieces(0..40, 1024), [piece(80, 20), piece(140, 20)]);
        assert_eq!(cut.pieces(10..24, 1024), [piece(90, 10), piece(140, 4)]);
        let corner = window([0..2, 4..6, 3..5]);
        assert_eq!(corner.pieces(0..16, 1024).len(), 4);
        assert_eq!(window([2..2, 0..6, 0..5]).pieces(0..0, 8), []);
        assert!(Window::new(&shape, &[0..4, 0..6], 2).is_err());
        assert!(Window::new(&shape, &[0..4, 0..7, 0..5], 2).is_err());
    }

    #[test]
    fn runs_end_with_their_pages() {
        let window = Window::contiguous(6, 20);
        let piece = |page, at, len| Piece { page, at, len };
        assert_eq!(window.pieces(0..20, 16), [piece(0, 6, 10), piece(1, 0, 10)]);
        assert_eq!(window.pages(16), [(0, 10), (1, 10)]);
    }
}
