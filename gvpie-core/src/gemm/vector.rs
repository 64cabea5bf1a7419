//! GEMM of a matrix and few vectors on the GPU: bound by the one time that the matrix is read.

use super::Gemm;
use super::gpu::{Ending, Launch, ended};
use super::layout::{Layout, Load};
use super::parts::Parts;
use crate::element::DType;
use crate::kernel::Kernel;
use crate::shader::Values;

/// The most vectors: more accumulators do not fit registers beside the reads on their way.
pub(super) const MOST: usize = 8;

/// Workgroups that k is divided to make. An H100 needs about 2 MB of reads on their way at a time, on
/// all of its 132 multiprocessors: two workgroups of 16 KB for each, or four of up to 32 KB where a
/// second pass is due in any case.
const fn groups(along_k: bool) -> usize {
    if along_k { 264 } else { 528 }
}

/// Adding more parts than these takes longer than reading with fewer workgroups.
const PARTS: usize = 256;

/// One rendering of gemm_vector.wgsl.jinja.
#[derive(Debug, Clone, Copy)]
struct Variant {
    vectors: usize,
    working: DType,
    elements: [DType; 2],
    a: Load,
    b: Load,
    ending: Option<Ending>,
}

/// Whether the matrix is read along k, by workgroups of a few columns.
fn along_k(b: Load) -> bool {
    matches!(b, Load::K4 | Load::K1)
}

/// Invocations of a workgroup.
const fn threads(along_k: bool) -> usize {
    if along_k { 64 } else { 256 }
}

/// Columns of C that a workgroup computes.
const fn columns(along_k: bool) -> usize {
    if along_k { 4 } else { 128 }
}

/// How much of k a workgroup reads at a time, at least.
const fn step(along_k: bool) -> usize {
    if along_k { 4 * threads(true) } else { 32 }
}

/// Bytes of workgroup memory and threads of a workgroup, the most of either layout: one keeps the
/// sums of all vectors, the other of one at a time.
pub(super) fn group(vectors: usize, working: DType) -> [usize; 2] {
    let sums = [vectors * threads(true), threads(false)];
    [sums[0].max(sums[1]) * 4 * working.size(), threads(true).max(threads(false))]
}

/// How k is divided for `n` columns of C, by how the matrix lies.
fn parts(along_k: bool, n: usize, k: usize, batch: usize) -> Parts {
    let tiles = n.div_ceil(columns(along_k)).saturating_mul(batch).max(1);
    // What a workgroup reads should outlast its start: a few steps.
    let most = k / (if along_k { 4 } else { 2 } * step(along_k));
    Parts::divide(k, (groups(along_k) / tiles).min(most).min(PARTS), step(along_k))
}

/// The workspace that any layout of the operands may need.
pub(super) fn workspace(problem: &Gemm, working: DType) -> u64 {
    let Gemm { m, n, batch, .. } = *problem;
    let k = problem.effective_k();
    let bytes =
        |[m, n]: [usize; 2], along_k| parts(along_k, n, k, batch).bytes([batch, m, n], working);
    let turns = [[m, n], [n, m]].into_iter().filter(|turn| turn[0] <= MOST);
    turns.flat_map(|turn| [bytes(turn, true), bytes(turn, false)]).max().unwrap_or(0)
}

/// Words that the algorithm reads for dense operands as if it read nothing in vain, were workgroups
/// whole: what lanes past an edge do takes the same time.
pub(super) fn words(problem: &Gemm) -> f64 {
    let layout = turned(Layout::dense(problem, DType::F32));
    let along_k = along_k(Load::choose(&layout.b, layout.k));
    let whole = |extent: usize, of: usize| extent.div_ceil(of).max(1) as f64 * of as f64;
    whole(layout.n, columns(along_k)) * whole(layout.k, step(along_k))
}

/// The problem with its vectors as A; where both sides may be, with a B that lies along k, or else
/// with the fewer vectors.
fn turned(layout: Layout<'_>) -> Layout<'_> {
    let Layout { m, n, k, a, b, .. } = layout;
    let lies = |x| along_k(Load::choose(x, k));
    let turn = match (m <= MOST, n <= MOST) {
        (true, true) if lies(&a) != lies(&b) => lies(&a),
        (true, true) => m > n,
        (fits, _) => !fits,
    };
    if turn { layout.turn() } else { layout }
}

/// The problem as it is computed, and the pass that computes it.
pub(super) fn launch(layout: Layout<'_>) -> (Layout<'_>, Launch) {
    let layout = turned(layout);
    let Layout { m, n, k, .. } = layout;
    let b = Load::choose(&layout.b, k);
    let a = match (Load::choose(&layout.a, k), b) {
        (Load::K4, Load::K4 | Load::Outer4 | Load::Outer1) => Load::K4,
        _ => Load::K1,
    };
    let along_k = along_k(b);
    let parts = parts(along_k, n, k, layout.problem.batch);
    let variant = Variant {
        vectors: m.max(1), // of an empty C this is compiled and never run
        working: layout.working,
        elements: [layout.a.dtype, layout.b.dtype],
        a,
        b,
        ending: (parts.count == 1).then(|| layout.ending()),
    };
    let tiles = n.div_ceil(columns(along_k));
    (layout, Launch { kernel: variant.kernel(), tiles, tiles_n: tiles, parts })
}

impl Variant {
    fn kernel(&self) -> Kernel {
        let Variant { vectors, working, elements: [a, b], .. } = *self;
        let along_k = along_k(self.b);
        let threads = threads(along_k);
        // More vectors need more registers, and leave fewer for what is on its way.
        let unroll: usize = match (along_k, vectors) {
            (true, 1) => 4,
            (true, 2..=4) => 2,
            (true, _) => 1,
            (false, 1..=2) => 8,
            (false, _) => 4,
        };
        let levels: Vec<usize> =
            std::iter::successors(Some(threads / 2), |&x| (x > 1).then_some(x / 2)).collect();
        let values: Values = [
            ("vectors", vectors.into()),
            ("working", working.name().into()),
            ("a_type", a.name().into()),
            ("b_type", b.name().into()),
            ("a_load", self.a.name().into()),
            ("b_load", self.b.name().into()),
            ("threads", threads.into()),
            ("slices", (threads / 32).into()),
            ("unroll", unroll.into()),
            ("levels", levels.into()),
        ]
        .into();
        let (a_load, b_load) = (self.a.name(), self.b.name());
        let label = format!("gemm {vectors} vectors {a} {a_load}, {b} {b_load}");
        ended(self.ending, label, "gemm_vector.wgsl.jinja", values).entry("gemm_vector")
    }
}

/// Every way of reading, with every unrolling and with every conversion of elements; endings are
/// those of the other kernels, of which each place for them is here once.
pub(super) fn kernels() -> Vec<Kernel> {
    use DType::{F16, F32, F64};
    let mut all = Vec::new();
    let loads = [
        (Load::K4, Load::K4),
        (Load::K1, Load::K4),
        (Load::K1, Load::K1),
        (Load::K4, Load::Outer4),
        (Load::K1, Load::Outer4),
        (Load::K4, Load::Outer1),
        (Load::K1, Load::Outer1),
    ];
    for (a, b) in loads {
        let mut add = |vectors, working, elements, ending| {
            all.push(Variant { vectors, working, elements, a, b, ending }.kernel());
        };
        for (working, mixed) in [
            (F32, &[[F16, F16], [F16, F32], [F32, F16]][..]),
            (F64, &[[F32, F64], [F64, F32], [F16, F16]]),
        ] {
            let ending = Some(Ending::plain(working));
            for vectors in [1, 2, MOST] {
                add(vectors, working, [working; 2], ending);
                add(vectors, working, [working; 2], None);
            }
            for &elements in mixed {
                add(2, working, elements, ending);
                add(2, working, elements, None);
            }
        }
        let biased = Ending { bias: true, vec: false, ..Ending::plain(F16) };
        add(1, F32, [F32; 2], Some(biased));
    }
    all
}
