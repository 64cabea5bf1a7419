//! Operands packed for tensor cores: how, where to, and the passes that do it.

use super::coop::{CoopTile, Products};
use super::gpu::{self, Launch, Params, Pass, word};
use super::layout::{Layout, Side};
use super::parts::Parts;
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::shader::Values;

/// One rendering of gemm_pack.wgsl.jinja.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packing {
    pub tile: CoopTile,
    pub elements: [DType; 2],
    /// Whether neighbours in memory lie along k.
    pub along_k: [bool; 2],
    /// The second try.
    pub balanced: bool,
}

impl Packing {
    pub fn kernel(&self, entry: &'static str) -> Kernel {
        let Packing { tile, elements: [a, b], .. } = self;
        let [a_along, b_along] = self.along_k.map(|along_k| if along_k { "k" } else { "outer" });
        let values: Values = [
            ("products", tile.terms().into()),
            ("bm", tile.m.into()),
            ("bn", tile.n.into()),
            ("a_type", a.name().into()),
            ("b_type", b.name().into()),
            ("a_along", a_along.into()),
            ("b_along", b_along.into()),
            ("balanced", self.balanced.into()),
        ]
        .into();
        let balanced = if self.balanced { " balanced" } else { "" };
        let label = format!("gemm {entry} {tile} {a}/{b} {a_along}/{b_along}{balanced}");
        Kernel::ours(label, "gemm_pack.wgsl.jinja", values).entry(entry).fields(gpu::fields())
    }
}

/// A pass of the packing.
pub(super) struct PackPass {
    pub entry: &'static str,
    /// Workgroups for each 64 rows of A and B, or in all if it is along k only.
    chunks: usize,
    along_k: bool,
    /// Whether it writes packed operands.
    packs: bool,
}

impl Packing {
    pub fn new(tile: CoopTile, layout: &Layout<'_>) -> Self {
        Packing {
            tile,
            elements: [layout.a.dtype, layout.b.dtype],
            along_k: [&layout.a, &layout.b].map(along_k),
            balanced: false,
        }
    }

    pub fn passes(&self, k: usize) -> Vec<PackPass> {
        let pass = |entry, chunks| PackPass { entry, chunks, along_k: false, packs: false };
        let mut passes = Vec::new();
        if self.balanced {
            passes.push(PackPass { along_k: true, ..pass("balance", k.div_ceil(32)) });
        }
        if self.tile.products.split() {
            passes.push(pass("range", k.div_ceil(256)));
        }
        passes.push(PackPass { packs: true, ..pass("pack", self.tile.steps(k).div_ceil(4)) });
        passes
    }

    /// Records the passes: packed A and B, and what they say of rows and columns, into `space`.
    pub fn record(
        &self,
        batch: &mut Batch,
        ctx: &Context,
        layout: &Layout<'_>,
        params: Params,
        [a, b]: [&Buffer; 2],
        space: &[Buffer],
    ) -> Result<()> {
        let rows = (params.a_rows + params.b_rows) as usize / 64;
        let count = word(layout.problem.batch, "batch")?;
        for pass in self.passes(layout.k) {
            let packed = space.iter().take(2).filter(|_| pass.packs);
            let groups = if pass.along_k { pass.chunks } else { rows * pass.chunks };
            let recorded = Pass {
                pipeline: ctx.pipeline(&self.kernel(pass.entry))?,
                groups: word(groups, "blocks to pack")?,
                each: 1,
                inputs: vec![a, b],
                outputs: space.get(2).into_iter().chain(packed).collect(),
            };
            recorded.record(batch, ctx, params, count)?;
        }
        Ok(())
    }
}

/// Where a packed operand and its statistics lie: words of 16 bytes, words of 4.
struct Place {
    rows: usize,
    packed: usize,
    stats: usize,
}

impl Place {
    /// For an operand of a product of the batch.
    fn new(tile: &CoopTile, extent: usize, block: usize, k: usize) -> Self {
        let rows = extent.next_multiple_of(block);
        let stats = if tile.products.split() { 2 + k.div_ceil(256) } else { 0 };
        Place { rows, packed: rows * tile.steps(k) * tile.row(), stats: rows * stats }
    }
}

/// Bytes of packed A, of packed B and of their statistics for a run of such operands.
pub(super) fn workspace(tile: &CoopTile, layout: &Layout<'_>) -> [u64; 3] {
    let [a, b] = [(layout.m, tile.m), (layout.n, tile.n)]
        .map(|(extent, block)| Place::new(tile, extent, block, layout.k));
    let tiles = layout.m.div_ceil(tile.m) * layout.n.div_ceil(tile.n);
    let (flags, powers) = match tile.products {
        Products::Half | Products::HalfSummed => (0, 0),
        Products::Split => (tiles, 0),
        Products::Balanced => (tiles, 1 + layout.k),
    };
    let bytes = [16 * a.packed, 16 * b.packed, 4 * (a.stats + b.stats + flags + powers)];
    bytes.map(|each| (each as u64).saturating_mul(layout.problem.batch as u64))
}

/// Whether neighbours in memory lie along k.
fn along_k(side: &Side) -> bool {
    side.k <= side.outer
}

/// The workspace of a run, laid out: what a plan holds where that is enough.
pub(super) fn space(
    ctx: &Context,
    params: &mut Params,
    tile: &CoopTile,
    layout: &Layout<'_>,
    held: &[Buffer],
) -> Result<Vec<Buffer>> {
    let needed = place(params, tile, layout)?.into_iter().filter(|&bytes| bytes > 0);
    let buffer = |(i, needed): (usize, u64)| match held.get(i) {
        Some(held) if held.len() >= needed => Ok(held.clone()),
        _ => Buffer::zeroed(ctx.device(), needed, "GEMM's workspace"),
    };
    needed.enumerate().map(buffer).collect()
}

/// Lays out the workspace for a run, and says how many bytes packed A, packed B and statistics
/// take. An operand that serves the whole batch is packed once.
fn place(params: &mut Params, tile: &CoopTile, layout: &Layout<'_>) -> Result<[u64; 3]> {
    let batch = layout.problem.batch;
    let [a, b] = [(layout.a, layout.m, tile.m), (layout.b, layout.n, tile.n)].map(
        |(side, extent, block)| {
            let place = Place::new(tile, extent, block, layout.k);
            let each = if side.batch == 0 { 0 } else { 1 };
            (place, each, if side.batch == 0 { 1 } else { batch })
        },
    );
    let ((a, a_each, a_count), (b, b_each, b_count)) = (a, b);
    let flags = params.tiles as usize * batch;
    let powers = if tile.products == Products::Balanced { 1 + layout.k } else { 0 };
    let a_stats = flags + powers;
    let b_stats = a_stats + a.stats * a_count;
    *params = Params {
        steps: word(tile.steps(layout.k), "steps of k")?,
        a_packed_batch: word(a_each * a.packed, "packed A")?,
        b_packed_batch: word(b_each * b.packed, "packed B")?,
        a_rows: word(a.rows, "rows of A")?,
        b_rows: word(b.rows, "columns of B")?,
        a_stats: word(a_stats, "statistics")?,
        a_stats_batch: word(a_each * a.stats, "statistics of A")?,
        b_stats: word(b_stats, "statistics of A")?,
        b_stats_batch: word(b_each * b.stats, "statistics of B")?,
        flags: 0,
        any: word(flags, "tiles")?,
        powers: word(flags + 1, "tiles")?,
        flag_m: word(tile.m, "rows of a tile")?,
        flag_n: word(tile.n, "columns of a tile")?,
        flag_tiles_n: params.tiles_n,
        flag_tiles: params.tiles,
        ..*params
    };
    let split = tile.products.split();
    let stats = if split { 4 * (b_stats + b.stats * b_count) } else { 0 };
    Ok([16 * a.packed * a_count, 16 * b.packed * b_count, stats].map(|bytes| bytes as u64))
}

/// What the packing of dense operands leaves, for [`proof`](super::proof): parameters, words of
/// packed A and B, statistics. With `balanced`, of the second try, all tiles flagged.
pub(super) fn examine(
    ctx: &Context,
    layout: Layout<'_>,
    tile: CoopTile,
    operands: [&Buffer; 2],
    balanced: bool,
) -> Result<(Params, [Vec<u32>; 3])> {
    let kernel = Packing::new(tile, &layout).kernel("pack");
    let parts = Parts::divide(layout.k, 1, layout.k);
    let launch = Launch::of_tiles(kernel, &layout, [tile.m, tile.n], parts);
    let mut params = Params::new(&layout, &launch)?;
    let space = space(ctx, &mut params, &tile, &layout, &[])?;
    if balanced && let Some(stats) = space.get(2) {
        stats.write(bytemuck::cast_slice(&vec![1_u32; params.flag_tiles as usize]))?;
    }
    let mut batch = ctx.batch("packing");
    let packing = Packing { balanced, ..Packing::new(tile, &layout) };
    packing.record(&mut batch, ctx, &layout, params, operands, &space)?;
    batch.submit()?;
    let mut words = [const { Vec::new() }; 3];
    for (words, buffer) in words.iter_mut().zip(&space) {
        *words = bytemuck::pod_collect_to_vec(&buffer.read(0..buffer.len())?);
    }
    Ok((params, words))
}
