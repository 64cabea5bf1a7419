//! Contractions by loops, without a matrix product: every element of the result is a sum of products,
//! and each operand is read from memory once. What is bound by memory, or has nothing to reuse.

use super::indices::{Indices, Set};
use super::layout::{Axis, Layout, WIDTH, axes};
use crate::element::DType;

/// The most operands of one contraction: with parameters and result no more buffers than every
/// device binds.
pub(super) const MOST_TERMS: usize = 4;

/// Invocations of a workgroup.
pub(super) const THREADS: usize = 256;

/// Invocations that occupy a device: an H100 has 132 multiprocessors of 2048.
const OCCUPIED: usize = 1 << 18;

/// Parts of a sum at most: more take longer to add than they save.
const PARTS: usize = 1024;

/// Steps of a sum that are worth a part, and that are worth another lane.
const STEPS_OF_A_PART: usize = 16;
const STEPS_OF_A_LANE: usize = 8;

/// The side of the square that a workgroup turns.
pub(super) const TILE: usize = 32;

/// How many times as long memory takes for single elements as for neighbours: a transaction moves 32
/// bytes.
const SCATTERED: f64 = 8.0;

/// Bytes a second of an H100's memory, as these kernels reach them; multiply-adds a second whose
/// operands come from its caches; seconds that a dispatch takes to begin. Only the order of predicted
/// times is used.
pub(super) const BANDWIDTH: f64 = 2.5e12;
const CACHED: f64 = 2e12;
pub(super) const DISPATCH: f64 = 4e-6;

/// Where the result of a step goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// It lies like this.
    Fixed(&'a Layout),
    /// Elements of this type, dense in whatever order suits.
    Free(DType),
}

impl Target<'_> {
    pub fn dtype(self) -> DType {
        match self {
            Target::Fixed(layout) => layout.dtype,
            Target::Free(dtype) => dtype,
        }
    }
}

/// Along which loop neighbours are computed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Along {
    /// The last of the result: every lane has results of its own.
    Result,
    /// The last of the sum: lanes side by side share one result.
    Sum,
}

/// How [`WIDTH`] neighbours of an operand are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Load {
    /// They lie side by side: at once.
    Vector,
    /// They are one element.
    Same,
    /// One by one.
    Each,
}

/// A contraction by loops. Strides of an [`Axis`] are those of the terms, then that of the result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Loops {
    pub terms: Vec<DType>,
    pub result: DType,
    /// Loops over the result.
    pub outer: Vec<Axis>,
    /// Loops over what is summed.
    pub inner: Vec<Axis>,
    pub along: Along,
    /// Neighbours computed at once: [`WIDTH`] or 1.
    pub width: usize,
    pub loads: Vec<Load>,
    /// Whether neighbours of the result are written at once.
    pub wide_store: bool,
    /// Invocations that share a result.
    pub lanes: usize,
    /// Steps of the sum that each part takes, the last one the rest; and how many parts there are,
    /// whose results lie one after another, so far apart.
    pub chunk: usize,
    pub parts: usize,
    pub part_stride: usize,
}

/// Loops, where their result lies, and the index along which neighbours are computed together.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub loops: Loops,
    pub layout: Layout,
    pub vector: Option<usize>,
}

/// A copy between two orders, through squares that lie along one index when read and along another
/// when written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    pub from: DType,
    pub to: DType,
    /// Whose neighbours lie side by side in what is read: extent, and stride in what is written.
    pub x: [usize; 2],
    /// Whose neighbours lie side by side in what is written: extent, and stride in what is read.
    pub y: [usize; 2],
    /// The other loops: extent, and strides in what is read and written.
    pub others: Vec<[usize; 3]>,
}

impl Loops {
    /// The loops for these terms with the sums over all indices that are not `kept`, and where the
    /// result then lies: as it is told to, or as it suits.
    pub fn of(indices: &Indices, terms: &[&Layout], kept: Set, result: Target<'_>) -> Made {
        let all = terms.iter().fold(kept, |all, term| all.or(term.set));
        let summed = all.without(kept);
        let vector = all.iter().min_by(|&a, &b| {
            let key = |v| (traffic(indices, terms, kept, result, v), indices.extents[v]);
            let ((x, m), (y, n)) = (key(a), key(b));
            x.total_cmp(&y).then(n.cmp(&m))
        });
        let largest = terms
            .iter()
            .max_by(|a, b| indices.size(a.set).total_cmp(&indices.size(b.set)))
            .copied();
        let last = |mut order: Vec<usize>| {
            if let Some(at) = order.iter().position(|&index| Some(index) == vector) {
                let index = order.remove(at);
                order.push(index);
            }
            order
        };
        let lies = |set: Set| match largest {
            // What the largest does not depend on goes outside, where it is read least often.
            Some(term) => {
                let mut order: Vec<usize> = set.without(term.set).iter().collect();
                order.extend(term.order(set.and(term.set)));
                order
            }
            None => set.iter().collect(),
        };
        let (order, layout) = match result {
            Target::Fixed(layout) => (last(layout.order(kept)), layout.clone()),
            Target::Free(dtype) => {
                let order = last(lies(kept));
                let layout = Layout::dense(indices, &order, dtype);
                (order, layout)
            }
        };
        let operands: Vec<&Layout> = terms.iter().copied().chain([&layout]).collect();
        let outer = axes(indices, &order, &operands);
        let inner = axes(indices, &last(lies(summed)), &operands);
        let along = match vector {
            Some(index) if summed.has(index) => Along::Sum,
            _ => Along::Result,
        };
        let mut loops = Loops {
            terms: terms.iter().map(|term| term.dtype).collect(),
            result: layout.dtype,
            outer,
            inner,
            along,
            width: 1,
            loads: Vec::new(),
            wide_store: false,
            lanes: 1,
            chunk: 0,
            parts: 1,
            part_stride: 0,
        };
        loops.widen(&operands);
        loops.share();
        Made { loops, layout, vector }
    }

    /// Decides what is read and written as vectors.
    fn widen(&mut self, operands: &[&Layout]) {
        self.loads = vec![Load::Each; self.terms.len()];
        let (along, others) = match self.along {
            Along::Result => (&self.outer, &self.inner),
            Along::Sum => (&self.inner, &self.outer),
        };
        let complex = self.terms.iter().chain([&self.result]).any(|t| t.size() > 4);
        let Some((vector, rest)) = along.split_last() else { return };
        let load = |at: usize| {
            let whole =
                rest.iter().chain(others).all(|axis| axis.strides[at].is_multiple_of(WIDTH));
            match vector.strides[at] {
                0 => Load::Same,
                1 if whole && operands[at].aligned => Load::Vector,
                _ => Load::Each,
            }
        };
        let loads: Vec<Load> = (0..operands.len()).map(load).collect();
        if complex || !vector.extent.is_multiple_of(WIDTH) || !loads.contains(&Load::Vector) {
            return;
        }
        let (store, loads) = (loads[self.terms.len()], loads[..self.terms.len()].to_vec());
        self.wide_store = self.along == Along::Result && store == Load::Vector;
        self.width = WIDTH;
        self.loads = loads;
    }

    /// Decides how many invocations share a result, and in how many parts sums are made.
    fn share(&mut self) {
        let (results, steps) = (self.results(), self.steps());
        self.lanes = 1;
        match self.along {
            Along::Result => {
                while results * self.lanes < OCCUPIED
                    && self.lanes < 8
                    && steps >= 2 * self.lanes * STEPS_OF_A_LANE
                {
                    self.lanes *= 2;
                }
            }
            Along::Sum => {
                while 2 * self.lanes <= steps.min(THREADS) {
                    self.lanes *= 2;
                }
                while self.lanes > 32 && results.saturating_mul(self.lanes / 2) >= OCCUPIED {
                    self.lanes /= 2;
                }
            }
        }
        let threads = results.saturating_mul(self.lanes).max(1);
        let wanted = (OCCUPIED / threads).min(steps / (self.lanes * STEPS_OF_A_PART)).min(PARTS);
        self.chunk = steps.div_ceil(wanted.max(1)).next_multiple_of(self.lanes).max(1);
        self.parts = steps.div_ceil(self.chunk).max(1);
        self.part_stride = count(&self.outer);
    }

    /// The same with every sum in one part.
    pub fn whole(mut self) -> Self {
        self.chunk = self.steps();
        self.parts = 1;
        self
    }

    /// Vectors of the result, or elements where it is not computed by vectors.
    pub fn results(&self) -> usize {
        let vectors = if self.along == Along::Result { self.width } else { 1 };
        count(&self.outer) / vectors
    }

    /// Steps of a sum: vectors, or elements.
    pub fn steps(&self) -> usize {
        let vectors = if self.along == Along::Sum { self.width } else { 1 };
        count(&self.inner) / vectors
    }

    /// Additions that a result goes through on a GPU: those of a lane, of the tree, and of a vector.
    pub fn chain(&self) -> usize {
        match self.inner.is_empty() {
            true => 1,
            false => self.chunk.div_ceil(self.lanes) + self.lanes.ilog2() as usize + 2,
        }
    }

    /// Results that a workgroup computes.
    pub fn results_of_a_group(&self) -> usize {
        THREADS / self.lanes
    }

    /// The copy through squares that does the same, where one is needed: neighbours of what is read
    /// and of what is written are not the same, and there are enough of both.
    pub fn turn(&self) -> Option<Turn> {
        let ([from], true) = (&self.terms[..], self.inner.is_empty()) else { return None };
        let find = |at: usize| {
            self.outer.iter().position(|axis| axis.strides[at] == 1 && axis.extent >= TILE / 2)
        };
        let (x, y) = (find(0)?, find(1)?);
        if x == y {
            return None;
        }
        let axis =
            |at: usize, stride: usize| [self.outer[at].extent, self.outer[at].strides[stride]];
        let others = (0..self.outer.len()).filter(|&at| at != x && at != y).map(|at| {
            let Axis { extent, strides } = &self.outer[at];
            [*extent, strides[0], strides[1]]
        });
        Some(Turn {
            from: *from,
            to: self.result,
            x: axis(x, 1),
            y: axis(y, 0),
            others: others.collect(),
        })
    }
}

/// The product of the extents.
pub(super) fn count(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.extent).fold(1, usize::saturating_mul)
}

/// Bytes that memory moves, scattered ones as many times as they cost, with neighbours along `v`.
fn traffic(indices: &Indices, terms: &[&Layout], kept: Set, result: Target<'_>, v: usize) -> f64 {
    let factor = |stride: usize| if stride <= 1 { 1.0 } else { SCATTERED };
    let read: f64 = terms.iter().map(|term| term.bytes(indices) * factor(term.stride(v))).sum();
    let written = match result {
        _ if !kept.has(v) => 2.0,
        Target::Fixed(layout) => factor(layout.stride(v)),
        Target::Free(_) => 1.0,
    };
    read + written * indices.size(kept) * result.dtype().size() as f64
}

/// Seconds that loops over these operands take on an H100.
pub(super) fn seconds(indices: &Indices, terms: &[&Layout], kept: Set, result: Target<'_>) -> f64 {
    let all = terms.iter().fold(kept, |all, term| all.or(term.set));
    let moved =
        all.iter().map(|v| traffic(indices, terms, kept, result, v)).fold(f64::INFINITY, f64::min);
    let complex = if terms.iter().any(|term| term.dtype.size() > 4) { 4.0 } else { 1.0 };
    let products = indices.size(all) * terms.len().saturating_sub(1) as f64 * complex;
    let moved = if all.is_empty() { 0.0 } else { moved };
    (moved / BANDWIDTH).max(products / CACHED) + DISPATCH
}
