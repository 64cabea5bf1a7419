//! GEMM on cooperative matrices, which drivers map to tensor cores: the tiles, the packing of
//! operands, the dispatches.
//!
//! Operands of f16 that lie densely are read where they are. All others are packed first, into a
//! workspace of the plan: f32 for the split ([`Products::Split`]) after a pass that finds the
//! range of each row. Tiles of C whose rows or columns cannot take the split are flagged by its
//! kernel, and the kernel of plain arithmetic then computes those.

use super::gpu::{self, Ending, Launch, Params, Pass, word};
use super::layout::{Layout, Side};
use super::packing::{self, Packing};
use super::parts::Parts;
use super::plan::{Operands, TILES, Tile};
use super::{Activation, Gemm};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::shader::Values;

/// What is multiplied on tensor cores, and how it is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Products {
    /// Operands as f16, sums of all of k in the tensor cores' f32, which truncate.
    Half,
    /// Operands of f16, sums moved to rounded f32 accumulators after each 32 of k.
    HalfSummed,
    /// Each f32 operand as two f16, three products, that of the high parts last; sums as in
    /// `HalfSummed`.
    Split,
    /// The same, with a second try for what cannot be split as it is: operands balanced along k.
    Balanced,
}

impl Products {
    /// Whether operands are split.
    pub(super) fn split(self) -> bool {
        matches!(self, Products::Split | Products::Balanced)
    }
}

/// A workgroup's share of C and how its subgroups, of 32 invocations each, divide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CoopTile {
    /// What is multiplied.
    pub products: Products,
    /// Rows of C a workgroup computes.
    pub m: usize,
    /// Columns of C a workgroup computes.
    pub n: usize,
    /// Rows of C a subgroup computes.
    pub subgroup_m: usize,
    /// Columns of C a subgroup computes.
    pub subgroup_n: usize,
}

/// How much of k is staged at a time.
pub(super) const STEP: usize = 32;

/// Steps of a loop that is unrolled: 256 of k.
const ROUND: usize = 8;

/// Least k of the split: below, its rounding is more than twice that of plain f32 (7 times at
/// k = 1).
pub(super) const SPLIT_DEPTH: usize = 64;

/// Largest first.
pub(super) const COOP_TILES: [CoopTile; 10] = [
    CoopTile::new(Products::Half, 128, 256, 64, 64),
    CoopTile::new(Products::Half, 128, 128, 64, 64),
    CoopTile::new(Products::Half, 64, 64, 32, 32),
    CoopTile::new(Products::HalfSummed, 128, 128, 64, 32),
    CoopTile::new(Products::HalfSummed, 64, 64, 32, 32),
    CoopTile::new(Products::Balanced, 128, 128, 32, 64),
    CoopTile::new(Products::Split, 128, 128, 32, 64),
    CoopTile::new(Products::Split, 128, 64, 32, 64),
    CoopTile::new(Products::Split, 64, 64, 32, 32),
    CoopTile::new(Products::Balanced, 64, 64, 32, 32),
];

impl std::fmt::Display for CoopTile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.products {
            Products::Half => "coop-f16",
            Products::HalfSummed => "coop-summed",
            Products::Split => "coop-f16x3",
            Products::Balanced => "coop-balanced-f16x3",
        };
        write!(f, "{name}-{}x{}x{STEP}", self.m, self.n)
    }
}

impl CoopTile {
    const fn new(products: Products, m: usize, n: usize, sub_m: usize, sub_n: usize) -> Self {
        CoopTile { products, m, n, subgroup_m: sub_m, subgroup_n: sub_n }
    }

    fn subgroups(&self) -> usize {
        (self.m / self.subgroup_m) * (self.n / self.subgroup_n)
    }

    /// Invocations of a workgroup.
    pub(super) fn threads(&self) -> usize {
        32 * self.subgroups()
    }

    /// f16 multiplications for each product.
    pub(super) fn terms(&self) -> usize {
        if self.products.split() { 3 } else { 1 }
    }

    /// Whether sums move to accumulators that round, after each step of 32 of k.
    fn summed(&self) -> bool {
        self.products != Products::Half
    }

    /// Steps that are always taken together.
    fn round(&self) -> usize {
        if self.summed() { ROUND } else { 1 }
    }

    /// Steps of a sum over k, in whole rounds.
    pub(super) fn steps(&self, k: usize) -> usize {
        k.div_ceil(STEP).next_multiple_of(self.round())
    }

    /// Whether it divides a product of these extents as it lies.
    fn divides(&self, m: usize, n: usize, k: usize) -> bool {
        let whole = [(m, self.m), (n, self.n), (k, ROUND * STEP)];
        whole.into_iter().all(|(extent, part)| extent.is_multiple_of(part))
    }

    /// How much of k is multiplied, zeros included.
    pub(super) fn depth(&self, k: usize) -> usize {
        self.steps(k) * STEP
    }

    /// Words of 16 bytes in a packed row of a step.
    pub(super) fn row(&self) -> usize {
        if self.products.split() { 8 } else { 4 }
    }

    /// Bytes of workgroup memory: the tiles of A and B, a padded fragment for each subgroup, and
    /// what the judgement of the split takes.
    pub(super) fn storage(&self) -> usize {
        let rows = |extent: usize| {
            let along_k = extent * (16 * self.row() + 16);
            let along_outer = STEP * (2 * extent + 16);
            if self.products.split() { along_k } else { along_k.max(along_outer) }
        };
        rows(self.m) + rows(self.n) + self.subgroups() * 320 * 4 + 16
    }

    /// The tile of plain arithmetic that computes what the split leaves; it divides this one.
    fn rest(&self) -> Tile {
        let divides = |tile: &&Tile| {
            self.m.is_multiple_of(tile.m) && self.n.is_multiple_of(tile.n) && tile.m >= 64
        };
        TILES.iter().find(divides).copied().unwrap_or(TILES[TILES.len() - 1])
    }
}

/// How an operand reaches the tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// From the workspace.
    Packed,
    /// As it lies, eight neighbours along k at once.
    K8,
    /// As it lies, eight neighbours along the other axis at once.
    Outer8,
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Load::Packed => "packed",
            Load::K8 => "k8",
            Load::Outer8 => "outer8",
        }
    }

    fn choose(x: &Side, k: usize) -> Self {
        let whole = |strides: [usize; 4]| strides.iter().all(|s| s.is_multiple_of(8));
        if x.k == 1 && whole([x.offset, x.outer, x.batch, k]) {
            Load::K8
        } else if x.outer == 1 && whole([x.offset, x.k, x.batch, x.extent]) {
            Load::Outer8
        } else {
            Load::Packed
        }
    }
}

/// One rendering of gemm_coop.wgsl.jinja.
#[derive(Debug, Clone, Copy)]
struct Variant {
    tile: CoopTile,
    a: Load,
    b: Load,
    ending: Ending,
    /// Whether tiles and rounds of k divide the problem.
    whole: bool,
    /// The second try, of tiles that are flagged.
    again: bool,
}

impl Variant {
    fn new(tile: CoopTile, [a, b]: [Load; 2], layout: &Layout<'_>) -> Self {
        let whole = a != Load::Packed && tile.divides(layout.m, layout.n, layout.k);
        Variant { tile, a, b, ending: layout.ending(), whole, again: false }
    }

    /// Whether C is nothing but the product, so that fragments can be stored as they are.
    fn plain(&self) -> bool {
        let Ending { c, vec, reads_c, bias, activation } = self.ending;
        let changed = reads_c || bias || activation != Activation::None;
        self.whole && vec && c == DType::F32 && !changed
    }

    fn kernel(&self) -> Kernel {
        let Variant { tile, a, b, .. } = self;
        let values: Values = [
            ("products", tile.terms().into()),
            ("summed", tile.summed().into()),
            ("round", if self.whole { ROUND } else { tile.round() }.into()),
            ("whole", self.whole.into()),
            ("plain", self.plain().into()),
            ("again", self.again.into()),
            ("bm", tile.m.into()),
            ("bn", tile.n.into()),
            ("sm", tile.subgroup_m.into()),
            ("sn", tile.subgroup_n.into()),
            ("a_load", a.name().into()),
            ("b_load", b.name().into()),
            ("working", DType::F32.name().into()),
        ]
        .into();
        let whole = if self.whole { " whole" } else { "" };
        let again = if self.again { " again" } else { "" };
        let label = format!("gemm {tile} {}/{}{whole}{again}", a.name(), b.name());
        self.ending.kernel(label, "gemm_coop.wgsl.jinja", values).entry("gemm")
    }
}

/// Every kernel that a plan on tensor cores can ask for; loads, stores and epilogues do not depend
/// on one another and are each in some.
pub(super) fn kernels() -> Vec<Kernel> {
    let mut all = Vec::new();
    for tile in COOP_TILES {
        let f32s = Ending::plain(DType::F32);
        let plain = Variant {
            tile,
            a: Load::Packed,
            b: Load::Packed,
            ending: f32s,
            whole: false,
            again: false,
        };
        let with = |ending: Ending| Variant { ending, ..plain };
        let mut variants = vec![
            plain,
            with(Ending { vec: false, bias: true, ..f32s }),
            with(Ending { activation: Activation::Relu, ..f32s }),
            with(Ending { activation: Activation::Gelu, ..Ending::plain(DType::F16) }),
        ];
        if !tile.products.split() {
            for (a, b) in [(Load::K8, Load::K8), (Load::Outer8, Load::Outer8)] {
                let lying = Variant { a, b, ..plain };
                let biased = Ending { bias: true, ..Ending::plain(DType::F16) };
                let product = Ending { reads_c: false, ..f32s };
                variants.push(lying);
                variants.push(Variant { ending: biased, ..lying });
                variants.push(Variant { whole: true, ..lying });
                variants.push(Variant { whole: true, ending: product, ..lying });
            }
            variants.push(Variant { a: Load::K8, b: Load::Outer8, ..plain });
            variants.push(Variant { a: Load::Outer8, b: Load::K8, ..plain });
        }
        if tile.products == Products::Balanced {
            variants.push(Variant { again: true, ..plain });
        }
        all.extend(variants.iter().map(Variant::kernel));
        let types = [DType::F32, DType::F16];
        let ways = [[true, true], [true, false], [false, true], [false, false]];
        for (i, along_k) in ways.into_iter().enumerate() {
            let elements = [types[i & 1], types[i >> 1]];
            for balanced in [false, true] {
                if balanced && tile.products != Products::Balanced {
                    continue;
                }
                let packing = Packing { tile, elements, along_k, balanced };
                all.extend(packing.passes(64).iter().map(|pass| packing.kernel(pass.entry)));
            }
        }
    }
    all
}

/// Bytes of packed A, of packed B and of their statistics for a run of dense operands; none where
/// these are read as they lie.
pub(super) fn workspace(tile: &CoopTile, problem: &Gemm) -> [u64; 3] {
    let layout = Layout::dense(problem, DType::F32);
    match loads(tile, &layout)[0] {
        Load::Packed => packing::workspace(tile, &layout),
        Load::K8 | Load::Outer8 => [0; 3],
    }
}

/// How A and B reach the tile: as they lie only if both can.
fn loads(tile: &CoopTile, layout: &Layout<'_>) -> [Load; 2] {
    let loads = [Load::choose(&layout.a, layout.k), Load::choose(&layout.b, layout.k)];
    let halves = [layout.a.dtype, layout.b.dtype] == [DType::F16; 2];
    let lie = halves && !tile.products.split() && !loads.contains(&Load::Packed);
    if lie { loads } else { [Load::Packed; 2] }
}

/// Compiles what dense operands take, so that the first run does not.
pub(super) fn prepare(ctx: &Context, layout: Layout<'_>, tile: &CoopTile) -> Result<()> {
    let loads = loads(tile, &layout);
    for &again in tries(tile) {
        if loads[0] == Load::Packed {
            let packing = Packing { balanced: again, ..Packing::new(*tile, &layout) };
            for pass in packing.passes(layout.k) {
                ctx.pipeline(&packing.kernel(pass.entry))?;
            }
        }
        ctx.pipeline(&Variant { again, ..Variant::new(*tile, loads, &layout) }.kernel())?;
    }
    if tile.products.split() {
        ctx.pipeline(&gpu::guarded(&layout, tile.rest()).kernel)?;
    }
    Ok(())
}

/// Whether each of the rounds of passes is the second.
fn tries(tile: &CoopTile) -> &'static [bool] {
    if tile.products == Products::Balanced { &[false, true] } else { &[false] }
}

/// Records act(α·op(A)·op(B) + β·C + bias) for checked, non-empty operands. `workspace` is what
/// the plan holds for packed operands and statistics; strided operands may need more, which is
/// then allocated for this run.
pub(super) fn record(
    batch: &mut Batch,
    ctx: &Context,
    layout: Layout<'_>,
    tile: &CoopTile,
    workspace: &[Buffer],
    operands: &Operands,
) -> Result<()> {
    let layout = layout.along_rows();
    let Operands { a, b, bias, c } = operands;
    let (a, b) = if layout.turned { (b, a) } else { (a, b) };
    let bias = bias.as_ref().map(|bias| &bias.operand.buffer);
    let (a, b, c) = (&a.operand.buffer, &b.operand.buffer, &c.operand.buffer);
    let mut loads = loads(tile, &layout);
    if a.is(b) || bias.is_some_and(|bias| bias.is(a) || bias.is(b)) {
        loads = [Load::Packed; 2]; // a buffer cannot be bound twice as a writable one
    }
    let variant = Variant::new(*tile, loads, &layout);
    let parts = Parts::divide(layout.k, 1, STEP);
    let launch = Launch::of_tiles(variant.kernel(), &layout, [tile.m, tile.n], parts);
    let mut params = Params::new(&layout, &launch)?;
    let count = word(layout.problem.batch, "batch")?;
    let space = match loads[0] {
        Load::Packed => packing::space(ctx, &mut params, tile, &layout, workspace)?,
        Load::K8 | Load::Outer8 => Vec::new(),
    };
    let (left, right) = match &space[..] {
        [a, b, ..] => (a, b),
        _ => (a, b),
    };

    for &again in tries(tile) {
        if loads[0] == Load::Packed {
            let packing = Packing { balanced: again, ..Packing::new(*tile, &layout) };
            packing.record(batch, ctx, &layout, params, [a, b], &space)?;
        }
        let pass = Pass {
            pipeline: ctx.pipeline(&Variant { again, ..variant }.kernel())?,
            groups: params.tiles,
            each: 1,
            inputs: bias.into_iter().collect(),
            outputs: [left, right].into_iter().chain(space.get(2)).chain([c]).collect(),
        };
        pass.record(batch, ctx, params, count)?;
    }
    let Some(flags) = space.get(2) else { return Ok(()) };
    let rest = gpu::guarded(&layout, tile.rest());
    let plain = Params::new(&layout, &rest)?;
    let pass = Pass {
        pipeline: ctx.pipeline(&rest.kernel)?,
        groups: plain.tiles,
        each: 1,
        inputs: [a, b, flags].into_iter().chain(bias).collect(),
        outputs: vec![c],
    };
    pass.record(batch, ctx, Params { tiles: plain.tiles, tiles_n: plain.tiles_n, ..params }, count)
}

/// How many tiles of the last run, of all, were left to plain arithmetic, read from the statistics
/// of a plan: the flags come first in them.
pub(super) fn left_to_plain(tile: &CoopTile, problem: &Gemm, stats: &Buffer) -> Result<[usize; 2]> {
    let all = problem.m.div_ceil(tile.m) * problem.n.div_ceil(tile.n) * problem.batch;
    let bytes = stats.read(0..4 * all as u64)?;
    let failed = bytes.chunks_exact(4).filter(|word| **word != [0; 4]);
    Ok([failed.count(), all])
}
