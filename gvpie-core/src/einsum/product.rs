//! Contractions of two operands as matrix products.
//!
//! The indices fall into four groups: those of both operands and the result (a batch), of the first
//! and the result (rows, m), of the second and the result (columns, n), and of both operands only
//! (summed, k). A matrix product walks each group by one stride in each of its operands. Where an
//! operand does not lie like that, it is copied into an order that does; where there is no batch,
//! rows or columns that do not lie as one may be split between batch and rows.

use super::indices::{Indices, Set};
use super::layout::{Layout, line};
use super::loops::{BANDWIDTH, DISPATCH, Target};

/// Multiply-adds a second of an H100, as matrix products in f32 reach them.
const ARITHMETIC: f64 = 2e13;

/// How many times as long an operand takes that has no neighbours along rows nor columns.
const SCATTERED: f64 = 8.0;

/// How many times as long a product with vectors is taken to be.
const VECTORS: f64 = 1.25;

/// A batch of matrix products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Product {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Strides of A, B and C along the batch, rows and columns, in elements.
    pub a: [usize; 3],
    pub b: [usize; 3],
    pub c: [usize; 3],
}

/// A way to compute a contraction as a matrix product.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub product: Product,
    /// The order that the first and the second operand are copied into before; `None` for one that
    /// is taken as it lies.
    pub copies: [Option<Vec<usize>>; 2],
    /// The order in which the product is written where it does not go to its place at once.
    pub result: Option<Vec<usize>>,
    /// Predicted, copies included.
    pub seconds: f64,
}

/// The four groups.
#[derive(Debug, Clone, Copy)]
struct Groups {
    batch: Set,
    m: Set,
    n: Set,
    k: Set,
}

/// The fastest way, as predicted; `None` where nothing is summed over both operands, or where all else
/// is a batch.
pub(super) fn fit(
    indices: &Indices,
    [a, b]: [&Layout; 2],
    kept: Set,
    target: Target<'_>,
) -> Option<Fit> {
    let both = a.set.and(b.set);
    let groups = Groups {
        batch: both.and(kept),
        m: a.set.without(b.set),
        n: b.set.without(a.set),
        k: both.without(kept),
    };
    if groups.k.is_empty() || groups.m.is_empty() && groups.n.is_empty() {
        return None;
    }
    // Loops read a matrix that meets vectors as fast as memory gives it.
    let handicap = if groups.m.is_empty() || groups.n.is_empty() { VECTORS } else { 1.0 };
    let mut best: Option<Fit> = None;
    for groups in divisions(indices, groups) {
        for copied in 0..8_u8 {
            let copied = [copied & 1 > 0, copied & 2 > 0, copied & 4 > 0];
            if let Some(fit) = arrange(indices, [a, b], target, groups, copied)
                && best.as_ref().is_none_or(|best| fit.seconds < best.seconds)
            {
                best = Some(fit);
            }
        }
    }
    best.map(|fit| Fit { seconds: fit.seconds * handicap, ..fit })
}

/// The groups as they are and, without a batch, with some rows or columns as the batch.
fn divisions(indices: &Indices, groups: Groups) -> Vec<Groups> {
    let mut all = vec![groups];
    if !groups.batch.is_empty() {
        return all;
    }
    let subsets = |of: Set| {
        let members: Vec<usize> = of.iter().take(4).collect();
        let chosen = move |bits: usize| {
            Set::of((0..members.len()).filter(|i| bits >> i & 1 == 1).map(|i| members[i]))
        };
        let count = 1 << of.iter().take(4).count();
        (1..count - 1).map(chosen).collect::<Vec<_>>()
    };
    let few = |set: Set| indices.count(set.iter()) <= 1 << 16;
    for batch in subsets(groups.m).into_iter().filter(|&set| few(set)) {
        all.push(Groups { batch, m: groups.m.without(batch), ..groups });
    }
    for batch in subsets(groups.n).into_iter().filter(|&set| few(set)) {
        all.push(Groups { batch, n: groups.n.without(batch), ..groups });
    }
    all
}

/// The product of these groups with these of A, B and C copied; `None` if others would have to be.
fn arrange(
    indices: &Indices,
    [a, b]: [&Layout; 2],
    target: Target<'_>,
    groups: Groups,
    copied: [bool; 3],
) -> Option<Fit> {
    let fixed = match target {
        Target::Fixed(layout) => Some(layout),
        Target::Free(_) if copied[2] => return None,
        Target::Free(_) => None,
    };
    let taken =
        [(!copied[0]).then_some(a), (!copied[1]).then_some(b), fixed.filter(|_| !copied[2])];
    // Each group's order: that of the operands that are taken as they lie, else that of one which is
    // copied, so that the copy's neighbours stay neighbours.
    let order = |group: Set, holders: [bool; 3]| -> Option<Vec<usize>> {
        if group.is_empty() {
            return Some(Vec::new());
        }
        let all = [Some(a), Some(b), fixed];
        let held = |of: [Option<&'_ Layout>; 3]| -> Vec<Layout> {
            let held = of.iter().zip(holders).filter(|(_, holds)| *holds);
            held.filter_map(|(layout, _)| layout.cloned()).collect()
        };
        let lying = held(taken);
        let lying: Vec<&Layout> = lying.iter().collect();
        if lying.is_empty() {
            return Some(held(all).first()?.order(group));
        }
        line(indices, group, &lying).map(|(order, _)| order)
    };
    let batch = order(
        groups.batch,
        [!a.set.and(groups.batch).is_empty(), !b.set.and(groups.batch).is_empty(), true],
    )?;
    let m = order(groups.m, [true, false, true])?;
    let n = order(groups.n, [false, true, true])?;
    let k = order(groups.k, [true, true, false])?;

    // A copy keeps its innermost index innermost where it can.
    let dense = |source: &Layout, rows: &[usize], columns: &[usize]| {
        let inside = |of: &[usize]| of.last().is_some_and(|&index| source.stride(index) == 1);
        let mine = batch.iter().filter(|&&index| source.set.has(index));
        let (first, second) = if inside(rows) { (columns, rows) } else { (rows, columns) };
        let order: Vec<usize> = mine.chain(first).chain(second).copied().collect();
        let layout = Layout::dense(indices, &order, source.dtype);
        (order, layout)
    };
    let (a_order, a_dense) = dense(a, &m, &k);
    let (b_order, b_dense) = dense(b, &k, &n);
    let c_order: Vec<usize> = batch.iter().chain(&m).chain(&n).copied().collect();
    let c_dense = Layout::dense(indices, &c_order, target.dtype());
    let [at_a, at_b, at_c] =
        [taken[0].unwrap_or(&a_dense), taken[1].unwrap_or(&b_dense), taken[2].unwrap_or(&c_dense)];
    let stride =
        |layout: &Layout, order: &[usize]| order.last().map_or(0, |&index| layout.stride(index));
    let extent = |order: &[usize]| indices.count(order.iter().copied());
    let of = |layout: &Layout, rows: &[usize], columns: &[usize]| {
        [stride(layout, &batch), stride(layout, rows), stride(layout, columns)]
    };
    let product = Product {
        batch: extent(&batch),
        m: extent(&m),
        n: extent(&n),
        k: extent(&k),
        a: of(at_a, &m, &k),
        b: of(at_b, &k, &n),
        c: of(at_c, &m, &n),
    };
    let written = indices.size(groups.batch.or(groups.m).or(groups.n));
    let bytes = [a.bytes(indices), b.bytes(indices), written * target.dtype().size() as f64];
    let copies: f64 = (bytes.iter().zip(copied).filter(|(_, copied)| *copied))
        .map(|(bytes, _)| 2.0 * bytes / BANDWIDTH + DISPATCH)
        .sum();
    let complex = if a.dtype.size() > 4 { 4.0 } else { 1.0 };
    let reading: f64 = (bytes.iter().zip([&product.a, &product.b, &product.c]))
        .map(|(bytes, strides)| bytes * if product.scattered(strides) { SCATTERED } else { 1.0 })
        .sum();
    let moving = complex * (reading / BANDWIDTH + DISPATCH);
    Some(Fit {
        seconds: moving.max(complex * product.work() / ARITHMETIC) + copies,
        product,
        copies: [copied[0].then_some(a_order), copied[1].then_some(b_order)],
        result: (copied[2] || fixed.is_none()).then_some(c_order),
    })
}

impl Product {
    /// Whether an operand of these strides has no neighbours along rows or columns.
    fn scattered(&self, [_, row, column]: &[usize; 3]) -> bool {
        *row > 1 && *column > 1
    }

    /// Multiply-adds, those past the edges of tiles counted too.
    fn work(&self) -> f64 {
        let whole = |extent: usize, of: usize| extent.next_multiple_of(of) as f64;
        let (m, n) = (self.m.min(self.n), self.m.max(self.n));
        // A few rows or columns are computed without tiles.
        let tile = if m <= 8 { m as f64 * whole(n, 4) } else { whole(m, 32) * whole(n, 32) };
        self.batch as f64 * tile * whole(self.k, 32)
    }
}

impl std::fmt::Display for Product {
    /// `16 of 512x512x64`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.batch != 1 {
            write!(f, "{} of ", self.batch)?;
        }
        write!(f, "{}x{}x{}", self.m, self.n, self.k)
    }
}
