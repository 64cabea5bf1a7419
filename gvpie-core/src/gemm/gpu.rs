//! GEMM on the GPU: how kernels see a problem, the kernel of tiles with its variants, and the dispatch.

use super::layout::{Layout, Load};
use super::parts::{self, Parts};
use super::plan::{Algorithm, Operands, TILES, Tile};
use super::{Activation, Gemm, coop, vector};
use crate::batch::{Batch, Bindings};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Pipeline};
use crate::shader::{Access, Values};
use std::mem::offset_of;

/// WGSL's `Params` of shared/gemm_params.wgsl, field by field.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::NoUninit)]
pub(super) struct Params {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub tiles: u32,
    pub tiles_n: u32,
    pub first: u32,
    pub parts: u32,
    pub chunk: u32,
    pub alpha: f32,
    pub beta: f32,
    pub alpha_middle: f32,
    pub alpha_low: f32,
    pub alpha_scale: f32,
    pub beta_middle: f32,
    pub beta_low: f32,
    pub beta_scale: f32,
    pub a_offset: u32,
    pub a_outer: u32,
    pub a_k: u32,
    pub a_batch: u32,
    pub b_offset: u32,
    pub b_outer: u32,
    pub b_k: u32,
    pub b_batch: u32,
    pub bias_offset: u32,
    pub bias_row: u32,
    pub bias_column: u32,
    pub bias_batch: u32,
    pub c_offset: u32,
    pub c_row: u32,
    pub c_column: u32,
    pub c_batch: u32,
    pub steps: u32,
    pub a_packed_batch: u32,
    pub b_packed_batch: u32,
    pub a_rows: u32,
    pub b_rows: u32,
    pub a_stats: u32,
    pub a_stats_batch: u32,
    pub b_stats: u32,
    pub b_stats_batch: u32,
    pub flags: u32,
    pub any: u32,
    pub powers: u32,
    pub flag_m: u32,
    pub flag_n: u32,
    pub flag_tiles_n: u32,
    pub flag_tiles: u32,
}

macro_rules! fields {
    ($($field:ident)*) => { vec![$((stringify!($field), offset_of!(Params, $field))),*] };
}

/// The parameters of every kernel of GEMM, for [`Kernel::fields`].
pub(super) fn fields() -> Vec<(&'static str, usize)> {
    fields!(m n k tiles tiles_n first parts chunk alpha beta alpha_middle alpha_low alpha_scale
        beta_middle beta_low beta_scale a_offset a_outer a_k a_batch b_offset b_outer b_k b_batch
        bias_offset bias_row bias_column bias_batch c_offset c_row c_column c_batch
        steps a_packed_batch b_packed_batch a_rows b_rows a_stats a_stats_batch b_stats
        b_stats_batch flags any powers flag_m flag_n flag_tiles_n flag_tiles)
}

/// How a kernel writes C.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub c: DType,
    /// Whether four neighbours are written at once.
    pub vec: bool,
    pub reads_c: bool,
    pub bias: bool,
    pub activation: Activation,
}

impl Ending {
    /// Without bias and activation, with all that β ≠ 0 reads.
    pub fn plain(c: DType) -> Self {
        Ending { c, vec: true, reads_c: true, bias: false, activation: Activation::None }
    }

    /// The kernel of this shader that ends so.
    pub fn kernel(&self, label: String, shader: &'static str, mut values: Values) -> Kernel {
        values.insert("c_type", self.c.name().into());
        values.insert("c_vec", self.vec.into());
        values.insert("bias", self.bias.into());
        values.insert("activation", self.activation.to_string().into());
        let store = if self.vec { "vec4" } else { "scalar" };
        let bias = if self.bias { " bias" } else { "" };
        let activation = match self.activation {
            Activation::None => String::new(),
            activation => format!(" {activation}"),
        };
        Kernel::ours(format!("{label} to {} {store}{bias}{activation}", self.c), shader, values)
            .constant("reads_c", f64::from(u8::from(self.reads_c)))
            .fields(fields())
    }
}

/// A kernel that ends in C, or, where k is divided, in the workspace.
pub(super) fn ended(
    ending: Option<Ending>,
    label: String,
    shader: &'static str,
    mut values: Values,
) -> Kernel {
    values.insert("keeps", ending.is_none().into());
    match ending {
        Some(ending) => ending.kernel(label, shader, values),
        None => Kernel::ours(label + " to parts", shader, values).fields(fields()),
    }
}

/// The first pass of a problem, or the only one.
pub(super) struct Launch {
    pub kernel: Kernel,
    /// Workgroups for each part of each product, and how many of them lie side by side.
    pub tiles: usize,
    pub tiles_n: usize,
    pub parts: Parts,
}

impl Launch {
    /// For tiles of C of these extents.
    pub fn of_tiles(kernel: Kernel, layout: &Layout<'_>, [m, n]: [usize; 2], parts: Parts) -> Self {
        let tiles_n = layout.n.div_ceil(n);
        Launch { kernel, tiles: layout.m.div_ceil(m).saturating_mul(tiles_n), tiles_n, parts }
    }
}

/// One rendering of gemm_simt.wgsl.jinja.
#[derive(Debug, Clone, Copy)]
struct Variant {
    tile: Tile,
    working: DType,
    elements: [DType; 2],
    a: Load,
    b: Load,
    ending: Option<Ending>,
    /// Computes only tiles that are flagged.
    guarded: bool,
}

impl Variant {
    /// That ends in C.
    fn new(layout: &Layout<'_>, tile: Tile) -> Self {
        Variant {
            tile,
            working: layout.working,
            elements: [layout.a.dtype, layout.b.dtype],
            a: Load::choose(&layout.a, layout.k),
            b: Load::choose(&layout.b, layout.k),
            ending: Some(layout.ending()),
            guarded: false,
        }
    }

    fn kernel(&self) -> Kernel {
        let Variant { tile, elements: [a, b], .. } = self;
        let values: Values = [
            ("bm", tile.m.into()),
            ("bn", tile.n.into()),
            ("bk", tile.k.into()),
            ("tm", tile.thread_m.into()),
            ("tn", tile.thread_n.into()),
            ("working", self.working.name().into()),
            ("a_type", a.name().into()),
            ("b_type", b.name().into()),
            ("a_load", self.a.name().into()),
            ("b_load", self.b.name().into()),
            ("guarded", self.guarded.into()),
        ]
        .into();
        let (a_load, b_load) = (self.a.name(), self.b.name());
        let Tile { m, n, k, .. } = tile;
        let guarded = if self.guarded { " guarded" } else { "" };
        let label = format!("gemm {m}x{n}x{k} {a} {a_load}, {b} {b_load}{guarded}");
        ended(self.ending, label, "gemm_simt.wgsl.jinja", values).entry("gemm")
    }
}

/// Every kernel that a GEMM plan can ask for, for tests that validate them without a device. Of
/// tiles in f32 these are all there are; what f64, epilogues and other ways add is in each part of
/// the text once, since how A is read, how B is read and how C is stored do not depend on one
/// another.
pub fn kernels() -> Vec<Kernel> {
    let mut all = vector::kernels();
    all.extend(coop::kernels());
    let loads = || Load::ALL.into_iter().flat_map(|a| Load::ALL.map(|b| (a, b)));
    let both = |ending: Ending| [true, false].map(|vec| Ending { vec, ..ending });
    let types = [DType::F16, DType::F32, DType::F64];
    for i in 0..27 {
        let elements = [types[i % 3], types[i / 3 % 3]];
        let c = types[i / 9];
        let f64 = elements.contains(&DType::F64) || c == DType::F64;
        let working = if f64 { DType::F64 } else { DType::F32 };
        let ending = Ending::plain(c);
        let plain = Variant {
            tile: TILES[TILES.len() - 1],
            working,
            elements,
            a: Load::K4,
            b: Load::K4,
            ending: None,
            guarded: false,
        };
        let full = working == DType::F32 || (elements, c) == ([DType::F64; 2], DType::F64);
        let tiles = if full { &TILES[..] } else { &[plain.tile] };
        for &tile in tiles.iter().filter(|tile| tile.takes(working)) {
            for (a, b) in loads().filter(|(a, b)| full || a == b) {
                let variant = Variant { tile, a, b, ..plain };
                let endings = both(ending).map(Some);
                all.extend(endings.map(|ending| Variant { ending, ..variant }.kernel()));
            }
            if c == working {
                all.push(Variant { tile, ..plain }.kernel());
            }
        }
        if elements != [working; 2] {
            continue; // epilogues see the working type and C's
        }
        all.extend(both(ending).map(|ending| parts::kernel(working, ending)));
        if working == DType::F32 {
            let endings = [ending, Ending { bias: true, ..ending }].into_iter().flat_map(both);
            let guarded = |ending| Variant { ending: Some(ending), guarded: true, ..plain };
            all.extend(endings.map(|ending| guarded(ending).kernel()));
        }
        let mut endings = vec![Ending { bias: true, ..ending }];
        for activation in [Activation::Relu, Activation::Gelu] {
            if (working, activation) == (DType::F64, Activation::Gelu) {
                continue; // refused by the plan
            }
            let with = Ending { activation, ..ending };
            endings.extend([with, Ending { bias: true, ..with }]);
        }
        for ending in endings.into_iter().flat_map(both) {
            all.push(Variant { ending: Some(ending), ..plain }.kernel());
            all.push(parts::kernel(working, ending));
        }
    }
    all
}

/// The problem as tiles compute it, and the pass that computes it.
fn simt(layout: Layout<'_>, tile: Tile, parts: usize) -> (Layout<'_>, Launch) {
    let layout = layout.along_rows();
    let parts = Parts::divide(layout.k, parts, tile.k);
    let whole = Variant::new(&layout, tile);
    let variant = if parts.count == 1 { whole } else { Variant { ending: None, ..whole } };
    (layout, Launch::of_tiles(variant.kernel(), &layout, [tile.m, tile.n], parts))
}

/// The pass that computes the flagged tiles of C.
pub(super) fn guarded(layout: &Layout<'_>, tile: Tile) -> Launch {
    let variant = Variant { guarded: true, ..Variant::new(layout, tile) };
    let parts = Parts::divide(layout.k, 1, tile.k);
    Launch::of_tiles(variant.kernel(), layout, [tile.m, tile.n], parts)
}

fn launch(algorithm: Algorithm, layout: Layout<'_>) -> Result<(Layout<'_>, Launch)> {
    match algorithm {
        Algorithm::Simt(tile, _) => Ok(simt(layout, tile, 1)),
        Algorithm::Split(tile, _, parts) => Ok(simt(layout, tile, parts)),
        Algorithm::Vector(_) => Ok(vector::launch(layout)),
        Algorithm::Coop(_) | Algorithm::Cpu(_) => {
            Err(fault("an algorithm has no pass of its own on a GPU"))
        }
    }
}

/// A defect of ours.
fn fault(message: &str) -> Error {
    Error::Internal { what: "GEMM".into(), message: message.into() }
}

/// Compiles the variant for dense operands, so that the first run does not.
pub(super) fn prepare(ctx: &Context, problem: &Gemm, algorithm: Algorithm) -> Result<()> {
    if let Algorithm::Coop(tile) = algorithm {
        return coop::prepare(ctx, Layout::dense(problem, DType::F32), &tile);
    }
    let (layout, launch) = launch(algorithm, Layout::dense(problem, algorithm.working()))?;
    ctx.pipeline(&launch.kernel)?;
    if launch.parts.count > 1 {
        ctx.pipeline(&parts::kernel(layout.working, layout.ending()))?;
    }
    Ok(())
}

/// A factor as the shader's words (high, middle, low, scale): (high + middle + low)·scale¹⁶. In f64
/// exactly that; in f32 the first word alone.
pub(super) fn factor(x: f64, working: DType) -> [f32; 4] {
    if working != DType::F64 || !x.is_finite() {
        return [x as f32, 0.0, 0.0, 1.0];
    }
    // Divided by scale¹⁶, the power of two, the words are near 1 and normal in f32.
    let exponent = (x.to_bits() >> 52 & 0x7ff) as i32 - 1023;
    let scale = 2.0_f64.powi(exponent.div_euclid(16));
    let scale8 = scale.powi(8);
    let x = x / scale8 / scale8;
    let high = x as f32;
    let rest = x - f64::from(high);
    let middle = rest as f32;
    [high, middle, (rest - f64::from(middle)) as f32, scale as f32]
}

/// Records act(α·op(A)·op(B) + β·C + bias) for checked, non-empty operands. The workspace is at
/// least that of the algorithm for the problem.
pub(super) fn record(
    batch: &mut Batch,
    ctx: &Context,
    problem: &Gemm,
    algorithm: Algorithm,
    workspace: &[Buffer],
    operands: Operands,
) -> Result<()> {
    if let Algorithm::Coop(tile) = algorithm {
        let layout = Layout::of(problem, DType::F32, &operands);
        return coop::record(batch, ctx, layout, &tile, workspace, &operands);
    }
    let (layout, launch) = launch(algorithm, Layout::of(problem, algorithm.working(), &operands))?;
    let params = Params::new(&layout, &launch)?;
    let first = ctx.pipeline(&launch.kernel)?;
    let Operands { a, b, bias, c } = &operands;
    let (a, b) = if layout.turned { (b, a) } else { (a, b) };
    let bias = bias.as_ref().map(|bias| &bias.operand.buffer);
    let (a, b, c) = (&a.operand.buffer, &b.operand.buffer, &c.operand.buffer);
    let count = word(problem.batch, "batch")?;
    let parts = launch.parts;
    if parts.count == 1 {
        let inputs = [a, b].into_iter().chain(bias).collect();
        let only =
            Pass { pipeline: first, groups: params.tiles, each: 1, inputs, outputs: vec![c] };
        return only.record(batch, ctx, params, count);
    }
    let needed = parts.bytes([problem.batch, layout.m, layout.n], layout.working);
    let sums = workspace.first().filter(|sums| sums.len() >= needed);
    let sums = sums.ok_or_else(|| fault("the workspace is too small"))?;
    let vectors = layout.m.saturating_mul(layout.n.div_ceil(4));
    let first = Pass {
        pipeline: first,
        groups: params.tiles,
        each: params.parts,
        inputs: vec![a, b],
        outputs: vec![sums],
    };
    let second = Pass {
        pipeline: ctx.pipeline(&parts::kernel(layout.working, layout.ending()))?,
        groups: word(vectors.div_ceil(parts::THREADS), "vectors of C")?,
        each: 1,
        inputs: std::iter::once(sums).chain(bias).collect(),
        outputs: vec![c],
    };
    first.record(batch, ctx, params, count)?;
    second.record(batch, ctx, params, count)
}

/// One kernel over the batch.
pub(super) struct Pass<'a> {
    pub pipeline: Pipeline,
    /// Workgroups for each part of a product.
    pub groups: u32,
    /// Parts of a product.
    pub each: u32,
    pub inputs: Vec<&'a Buffer>,
    /// What is bound as writable, C last.
    pub outputs: Vec<&'a Buffer>,
}

impl Pass<'_> {
    /// Workgroups run along x and wrap into y; parts and products run along z, and past its limit
    /// in more dispatches.
    pub fn record(
        self,
        batch: &mut Batch,
        ctx: &Context,
        mut params: Params,
        count: u32,
    ) -> Result<()> {
        let allowed = match ctx.device().gpu() {
            Some(gpu) => gpu.limits().max_compute_workgroups_per_dimension,
            None => return Err(Error::Foreign { operand: "the context".into() }),
        };
        let x = self.groups.min(allowed);
        let y = self.groups.div_ceil(x);
        while params.first < count {
            let products = (count - params.first).min((allowed / self.each).max(1));
            let mut bindings = Bindings::new().params(&params);
            for input in &self.inputs {
                bindings = bindings.buffer(Access::Read, input);
            }
            for output in &self.outputs {
                bindings = bindings.buffer(Access::ReadWrite, output);
            }
            batch.dispatch(&self.pipeline, bindings, [x, y, products * self.each])?;
            params.first += products;
        }
        Ok(())
    }
}

impl Params {
    pub fn new(layout: &Layout<'_>, launch: &Launch) -> Result<Self> {
        let Layout { problem, working, a, b, bias, c, .. } = *layout;
        let [alpha, alpha_middle, alpha_low, alpha_scale] = factor(problem.alpha, working);
        let [beta, beta_middle, beta_low, beta_scale] = factor(problem.beta, working);
        Ok(Params {
            m: word(layout.m, "rows of C")?,
            n: word(layout.n, "columns of C")?,
            k: word(layout.k, "columns of op(A)")?,
            tiles: word(launch.tiles, "tiles of C")?,
            tiles_n: word(launch.tiles_n, "tiles of C")?,
            first: 0,
            parts: word(launch.parts.count, "parts of k")?,
            chunk: word(launch.parts.chunk, "parts of k")?,
            alpha,
            beta,
            alpha_middle,
            alpha_low,
            alpha_scale,
            beta_middle,
            beta_low,
            beta_scale,
            a_offset: word(a.offset, "offset of A")?,
            a_outer: word(a.outer, "stride of A")?,
            a_k: word(a.k, "stride of A")?,
            a_batch: word(a.batch, "stride of A")?,
            b_offset: word(b.offset, "offset of B")?,
            b_outer: word(b.outer, "stride of B")?,
            b_k: word(b.k, "stride of B")?,
            b_batch: word(b.batch, "stride of B")?,
            bias_offset: word(bias.offset, "offset of the bias")?,
            bias_row: word(bias.row, "stride of the bias")?,
            bias_column: word(bias.column, "stride of the bias")?,
            bias_batch: word(bias.batch, "stride of the bias")?,
            c_offset: word(c.offset, "offset of C")?,
            c_row: word(c.row, "stride of C")?,
            c_column: word(c.column, "stride of C")?,
            c_batch: word(c.batch, "stride of C")?,
            ..Params::default()
        })
    }
}

/// A size as the shader's integers hold it. Unused strides of broadcast or single axes may be
/// larger than any buffer, but never larger than this on a device that could hold the operand.
pub(super) fn word(value: usize, what: &str) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Limit {
        what: format!("GEMM's {what}"),
        limit: "u32 indices",
        asked: value as u64,
        allowed: u32::MAX.into(),
    })
}
