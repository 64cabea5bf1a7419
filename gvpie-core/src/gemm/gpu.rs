//! GEMM on the GPU: one kernel template, its variants, and the dispatch.

use super::plan::{Matrix, Operands, TILES, Tile};
use super::{Activation, Gemm};
use crate::batch::{Batch, Bindings};
use crate::context::Context;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::shader::{Access, Values};
use std::mem::offset_of;

/// WGSL's `Params` of gemm_simt.wgsl.jinja, field by field.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::NoUninit)]
struct Params {
    m: u32,
    n: u32,
    k: u32,
    tiles: u32,
    tiles_n: u32,
    first: u32,
    alpha: f32,
    beta: f32,
    alpha_middle: f32,
    alpha_low: f32,
    alpha_scale: f32,
    beta_middle: f32,
    beta_low: f32,
    beta_scale: f32,
    a_offset: u32,
    a_outer: u32,
    a_k: u32,
    a_batch: u32,
    b_offset: u32,
    b_outer: u32,
    b_k: u32,
    b_batch: u32,
    bias_offset: u32,
    bias_row: u32,
    bias_column: u32,
    bias_batch: u32,
    c_offset: u32,
    c_row: u32,
    c_column: u32,
    c_batch: u32,
}

macro_rules! fields {
    ($($field:ident)*) => { vec![$((stringify!($field), offset_of!(Params, $field))),*] };
}

/// How an operand is staged: along which axis its neighbours lie in memory, and whether four of
/// them can be read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    K4,
    Outer4,
    K1,
    Outer1,
}

impl Load {
    const ALL: [Load; 4] = [Load::K4, Load::Outer4, Load::K1, Load::Outer1];

    fn name(self) -> &'static str {
        match self {
            Load::K4 => "k4",
            Load::Outer4 => "outer4",
            Load::K1 => "k1",
            Load::Outer1 => "outer1",
        }
    }

    /// For an operand with these extents and strides along 'outer' and k.
    fn choose(x: &Side, k: usize) -> Self {
        let whole = |strides: [usize; 3]| strides.iter().all(|s| s.is_multiple_of(4));
        if k == 0 {
            Load::K1 // nothing is read, and an empty buffer may be shorter than a vector
        } else if x.k == 1 && k.is_multiple_of(4) && whole([x.offset, x.outer, x.batch]) {
            Load::K4
        } else if x.outer == 1 && x.extent.is_multiple_of(4) && whole([x.offset, x.k, x.batch]) {
            Load::Outer4
        } else if x.k <= x.outer {
            Load::K1
        } else {
            Load::Outer1
        }
    }
}

/// A or B as the kernel sees them: by k and by the other axis, m or n.
struct Side {
    extent: usize,
    offset: usize,
    outer: usize,
    k: usize,
    batch: usize,
}

impl Side {
    /// The stride of an axis of one element is never used; as zero it stands in no vector's way.
    fn new(x: &Matrix, extent: usize, k: usize, outer_stride: usize, k_stride: usize) -> Self {
        Side {
            extent,
            offset: x.operand.offset,
            outer: if extent == 1 { 0 } else { outer_stride },
            k: if k == 1 { 0 } else { k_stride },
            batch: x.batch,
        }
    }
}

/// One rendering of the template.
#[derive(Debug, Clone, Copy)]
struct Variant {
    tile: Tile,
    working: DType,
    elements: [DType; 3],
    a: Load,
    b: Load,
    c_vec: bool,
    reads_c: bool,
    bias: bool,
    activation: Activation,
}

impl Variant {
    fn kernel(&self) -> Kernel {
        let Variant { tile, elements: [a, b, c], .. } = self;
        let values: Values = [
            ("bm", tile.m.into()),
            ("bn", tile.n.into()),
            ("bk", tile.k.into()),
            ("tm", tile.thread_m.into()),
            ("tn", tile.thread_n.into()),
            ("working", self.working.name().into()),
            ("a_type", a.name().into()),
            ("b_type", b.name().into()),
            ("c_type", c.name().into()),
            ("a_load", self.a.name().into()),
            ("b_load", self.b.name().into()),
            ("c_vec", self.c_vec.into()),
            ("bias", self.bias.into()),
            ("activation", self.activation.to_string().into()),
        ]
        .into();
        let store = if self.c_vec { "vec4" } else { "scalar" };
        let mut label = format!(
            "gemm {}x{}x{} {a}/{b}/{c} {}/{}/{store}",
            tile.m,
            tile.n,
            tile.k,
            self.a.name(),
            self.b.name()
        );
        if self.bias {
            label += " bias";
        }
        if self.activation != Activation::None {
            label += &format!(" {}", self.activation);
        }
        Kernel::ours(label, "gemm_simt.wgsl.jinja", values)
            .entry("gemm")
            .constant("reads_c", f64::from(u8::from(self.reads_c)))
            .fields(fields!(m n k tiles tiles_n first alpha beta alpha_middle alpha_low alpha_scale
                beta_middle beta_low beta_scale a_offset a_outer a_k a_batch b_offset b_outer b_k
                b_batch bias_offset bias_row bias_column bias_batch c_offset c_row c_column
                c_batch))
    }
}

/// Every kernel that a GEMM plan can ask for, for tests that validate them without a device. In f32
/// these are all there are; what f64 and epilogues add is in each part of the text once, since how
/// A is read, how B is read and how C is stored do not depend on one another.
pub fn kernels() -> Vec<Kernel> {
    let mut all = Vec::new();
    let loads = || Load::ALL.into_iter().flat_map(|a| Load::ALL.map(|b| (a, b)));
    let both = |variant: Variant| [true, false].map(|c_vec| Variant { c_vec, ..variant }.kernel());
    let types = [DType::F16, DType::F32, DType::F64];
    for i in 0..27 {
        let elements = [types[i % 3], types[i / 3 % 3], types[i / 9]];
        let working = if elements.contains(&DType::F64) { DType::F64 } else { DType::F32 };
        let plain = Variant {
            tile: TILES[TILES.len() - 1],
            working,
            elements,
            a: Load::K4,
            b: Load::K4,
            c_vec: true,
            reads_c: true,
            bias: false,
            activation: Activation::None,
        };
        let full = working == DType::F32 || elements == [DType::F64; 3];
        let tiles = if full { &TILES[..] } else { &[plain.tile] };
        for &tile in tiles.iter().filter(|tile| tile.takes(working)) {
            for (a, b) in loads().filter(|(a, b)| full || a == b) {
                all.extend(both(Variant { tile, a, b, ..plain }));
            }
        }
        if elements[..2] != [working; 2] {
            continue; // epilogues see the working type and C's
        }
        all.extend(both(Variant { bias: true, ..plain }));
        for activation in [Activation::Relu, Activation::Gelu] {
            if (working, activation) == (DType::F64, Activation::Gelu) {
                continue; // refused by the plan
            }
            let with = Variant { activation, ..plain };
            all.extend(both(with).into_iter().chain(both(Variant { bias: true, ..with })));
        }
    }
    all
}

/// Compiles the variant for dense operands, so that the first run does not.
pub(super) fn prepare(ctx: &Context, problem: &Gemm, tile: Tile, working: DType) -> Result<()> {
    let Gemm { m, n, k, .. } = *problem;
    let (a_unit, b_unit) = (problem.transpose_a, !problem.transpose_b);
    let dense = |extent: usize, outer_is_unit: bool| Side {
        extent,
        offset: 0,
        outer: if outer_is_unit { 1 } else { k },
        k: if outer_is_unit { extent } else { 1 },
        batch: extent * k,
    };
    let variant = Variant {
        tile,
        working,
        elements: [problem.a, problem.b, problem.c],
        a: Load::choose(&dense(m, a_unit), k),
        b: Load::choose(&dense(n, b_unit), k),
        c_vec: n.is_multiple_of(4),
        reads_c: problem.beta != 0.0,
        bias: problem.bias,
        activation: problem.activation,
    };
    ctx.pipeline(&variant.kernel()).map(drop)
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

/// Records act(α·op(A)·op(B) + β·C + bias) for checked, non-empty operands.
pub(super) fn record(
    batch: &mut Batch,
    ctx: &Context,
    problem: &Gemm,
    tile: Tile,
    working: DType,
    operands: Operands,
) -> Result<()> {
    let Gemm { mut m, mut n, .. } = *problem;
    let k = problem.effective_k();
    let Operands { mut a, mut b, mut bias, mut c } = operands;
    if c.row == 1 && c.column != 1 && m > 1 {
        // The kernel writes along rows; a column-major C is the transpose of Bᵀ·Aᵀ.
        (m, n) = (n, m);
        (a, b) = (b.transposed(), a.transposed());
        bias = bias.map(Matrix::transposed);
        c = c.transposed();
    }
    let left = Side::new(&a, m, k, a.row, a.column);
    let right = Side::new(&b, n, k, b.column, b.row);
    let whole = [n, c.operand.offset, if m == 1 { 0 } else { c.row }, c.batch];
    let variant = Variant {
        tile,
        working,
        elements: [a.operand.dtype, b.operand.dtype, c.operand.dtype],
        a: Load::choose(&left, k),
        b: Load::choose(&right, k),
        c_vec: c.column == 1 && whole.iter().all(|s| s.is_multiple_of(4)),
        reads_c: problem.beta != 0.0,
        bias: bias.is_some(),
        activation: problem.activation,
    };
    let pipeline = ctx.pipeline(&variant.kernel())?;

    let allowed = match ctx.device().gpu() {
        Some(gpu) => gpu.limits().max_compute_workgroups_per_dimension,
        None => return Err(Error::Foreign { operand: "the context".into() }),
    };
    let tiles_n = n.div_ceil(tile.n);
    let tiles = word(m.div_ceil(tile.m).saturating_mul(tiles_n), "tiles of C")?;
    let [alpha, alpha_middle, alpha_low, alpha_scale] = factor(problem.alpha, working);
    let [beta, beta_middle, beta_low, beta_scale] = factor(problem.beta, working);
    let [bias_offset, bias_row, bias_column, bias_batch] =
        bias.as_ref().map_or([0; 4], |x| [x.operand.offset, x.row, x.column, x.batch]);
    let mut params = Params {
        m: word(m, "rows of C")?,
        n: word(n, "columns of C")?,
        k: word(k, "columns of op(A)")?,
        tiles,
        tiles_n: word(tiles_n, "tiles of C")?,
        first: 0,
        alpha,
        beta,
        alpha_middle,
        alpha_low,
        alpha_scale,
        beta_middle,
        beta_low,
        beta_scale,
        a_offset: word(left.offset, "offset of A")?,
        a_outer: word(left.outer, "stride of A")?,
        a_k: word(left.k, "stride of A")?,
        a_batch: word(left.batch, "stride of A")?,
        b_offset: word(right.offset, "offset of B")?,
        b_outer: word(right.outer, "stride of B")?,
        b_k: word(right.k, "stride of B")?,
        b_batch: word(right.batch, "stride of B")?,
        bias_offset: word(bias_offset, "offset of the bias")?,
        bias_row: word(bias_row, "stride of the bias")?,
        bias_column: word(bias_column, "stride of the bias")?,
        bias_batch: word(bias_batch, "stride of the bias")?,
        c_offset: word(c.operand.offset, "offset of C")?,
        c_row: word(c.row, "stride of C")?,
        c_column: word(c.column, "stride of C")?,
        c_batch: word(c.batch, "stride of C")?,
    };
    // Tiles run along x and wrap into y; batches run along z, and past its limit in more dispatches.
    let x = tiles.min(allowed);
    let y = tiles.div_ceil(x);
    let count = word(problem.batch, "batch")?;
    while params.first < count {
        let z = (count - params.first).min(allowed);
        let mut bindings = Bindings::new()
            .params(&params)
            .buffer(Access::Read, &a.operand.buffer)
            .buffer(Access::Read, &b.operand.buffer);
        if let Some(bias) = &bias {
            bindings = bindings.buffer(Access::Read, &bias.operand.buffer);
        }
        bindings = bindings.buffer(Access::ReadWrite, &c.operand.buffer);
        batch.dispatch(&pipeline, bindings, [x, y, z])?;
        params.first += z;
    }
    Ok(())
}

/// A size as the shader's integers hold it. Unused strides of broadcast or single axes may be
/// larger than any buffer, but never larger than this on a device that could hold the operand.
fn word(value: usize, what: &str) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Limit {
        what: format!("GEMM's {what}"),
        limit: "u32 indices",
        asked: value as u64,
        allowed: u32::MAX.into(),
    })
}
