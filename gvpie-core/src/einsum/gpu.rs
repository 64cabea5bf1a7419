//! Contractions by loops on the GPU: the kernels of both shaders, and their dispatch.

use super::layout::{Axis, WIDTH};
use super::loops::{Along, Load, Loops, THREADS, TILE, Turn, count};
use crate::batch::{Batch, Bindings};
use crate::context::Context;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Pipeline};
use crate::shader::{Access, Values};
use crate::tensor::Operand;
use std::mem::offset_of;

/// Buffers end with whole vectors of this many bytes.
const GRAIN: u64 = 16;

/// WGSL's `Params` of both shaders, field by field.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::NoUninit)]
struct Params {
    x: [u32; 4],
    y: u32,
}

fn fields() -> Vec<(&'static str, usize)> {
    let x = ["x0", "x1", "x2", "x3"].into_iter().enumerate();
    let mut all: Vec<_> = x.map(|(i, name)| (name, offset_of!(Params, x) + 4 * i)).collect();
    all.push(("y", offset_of!(Params, y)));
    all
}

/// A step as one kernel, which is dispatched once or, where an operand is longer than a device binds
/// at a time, over pieces of a loop.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pipeline: Pipeline,
    groups: usize,
    parts: usize,
    /// How many pieces, and how far each operand moves from one to the next.
    pieces: usize,
    steps: Vec<usize>,
    /// The elements from the first to the last of each operand, of one piece.
    spans: Vec<usize>,
}

/// The name of an element type in WGSL.
fn wgsl(dtype: DType) -> &'static str {
    match dtype {
        DType::C64 => "vec2<f32>",
        DType::F16 => "f16",
        _ => "f32",
    }
}

/// Loops as the template walks them, whose last is counted in vectors where it is walked so.
fn walked(axes: &[Axis], by_vectors: bool, width: usize) -> minijinja::Value {
    let last = axes.len().saturating_sub(1);
    let axis = |(at, axis): (usize, &Axis)| {
        let by = if by_vectors && at == last { width } else { 1 };
        let strides: Vec<usize> = axis.strides.iter().map(|stride| stride * by).collect();
        minijinja::context! { extent => axis.extent / by, strides => strides }
    };
    axes.iter().enumerate().map(axis).collect()
}

fn loops_kernel(loops: &Loops) -> Kernel {
    let Loops { terms, result, outer, inner, along, width, lanes, parts, .. } = loops;
    let vector = match along {
        Along::Result => outer.last(),
        Along::Sum => inner.last(),
    };
    let neighbour = |at: usize| vector.map_or(0, |axis| axis.strides[at]);
    let term = |(at, (dtype, load)): (usize, (&DType, &Load))| {
        let load = match load {
            Load::Vector => "vector",
            Load::Same => "same",
            Load::Each => "each",
        };
        minijinja::context! { element => wgsl(*dtype), load => load, neighbour => neighbour(at) }
    };
    let shown: minijinja::Value = terms.iter().zip(&loops.loads).enumerate().map(term).collect();
    let elements: Vec<&str> = terms.iter().chain([result]).map(|&dtype| wgsl(dtype)).collect();
    let working = if *result == DType::C64 { "vec2<f32>" } else { "f32" };
    // More reads on their way where an invocation waits for few.
    let unroll: usize = match (loops.steps() / lanes, terms.len()) {
        (0..4, _) => 1,
        (_, 0..=2) => 4,
        _ => 2,
    };
    let levels: Vec<usize> =
        std::iter::successors(Some(lanes / 2), |&x| (x > 1).then_some(x / 2)).collect();
    let along = if *along == Along::Result { "result" } else { "sum" };
    let values: Values = [
        ("terms", shown),
        ("elements", elements.into()),
        ("result", wgsl(*result).into()),
        ("working", working.into()),
        ("outer", walked(outer, along == "result", *width)),
        ("inner", walked(inner, along == "sum", *width)),
        ("along", along.into()),
        ("width", (*width).into()),
        ("wide_store", loops.wide_store.into()),
        ("neighbour", neighbour(terms.len()).into()),
        ("threads", THREADS.into()),
        ("lanes", (*lanes).into()),
        ("levels", levels.into()),
        ("parts", (*parts).into()),
        ("part_stride", loops.part_stride.into()),
        ("chunk", loops.chunk.into()),
        ("steps", loops.steps().into()),
        ("results", loops.results().into()),
        ("unroll", unroll.into()),
    ]
    .into();
    let label = format!("einsum {} results of {} steps", loops.results(), loops.steps());
    Kernel::ours(label, "einsum_loops.wgsl.jinja", values).entry("einsum_loops").fields(fields())
}

/// Squares along x and along y.
fn squares(turn: &Turn) -> [usize; 2] {
    [turn.x[0].div_ceil(TILE), turn.y[0].div_ceil(TILE)]
}

fn turn_kernel(turn: &Turn) -> Kernel {
    let [squares_x, squares_y] = squares(turn);
    let rows = THREADS / TILE;
    let others: Vec<Vec<usize>> = turn.others.iter().map(|other| other.to_vec()).collect();
    let values: Values = [
        ("from_type", wgsl(turn.from).into()),
        ("to_type", wgsl(turn.to).into()),
        ("tile", TILE.into()),
        ("threads", THREADS.into()),
        ("rows", rows.into()),
        ("passes", (TILE / rows).into()),
        ("x", turn.x.to_vec().into()),
        ("y", turn.y.to_vec().into()),
        ("others", others.into_iter().map(minijinja::Value::from).collect()),
        ("squares_x", squares_x.into()),
        ("squares_y", squares_y.into()),
        ("squares", turn_groups(turn).into()),
    ]
    .into();
    let label = format!("einsum turn {}x{}", turn.x[0], turn.y[0]);
    Kernel::ours(label, "einsum_turn.wgsl.jinja", values).entry("einsum_turn").fields(fields())
}

fn turn_groups(turn: &Turn) -> usize {
    let others = turn.others.iter().map(|&[extent, ..]| extent);
    squares(turn).into_iter().chain(others).fold(1, usize::saturating_mul)
}

/// Elements from the first to the last that loops reach of each operand.
fn spans(loops: &Loops) -> Vec<usize> {
    let reach = |at: usize| {
        let axes = loops.outer.iter().chain(&loops.inner);
        let last = |axis: &Axis| (axis.extent.saturating_sub(1)).saturating_mul(axis.strides[at]);
        axes.map(last).fold(1, usize::saturating_add)
    };
    let mut all: Vec<usize> = (0..=loops.terms.len()).map(reach).collect();
    if let (Some(result), true) = (all.last_mut(), loops.parts > 1) {
        *result = result.saturating_add((loops.parts - 1).saturating_mul(loops.part_stride));
    }
    all
}

/// Whether a device that binds so many bytes, beginning at multiples of others, can be shown these.
fn fits(loops: &Loops, [most, alignment]: [u64; 2]) -> bool {
    let types = loops.terms.iter().chain([&loops.result]);
    let bytes = spans(loops)
        .into_iter()
        .zip(types)
        .map(|(span, dtype)| (span as u64).saturating_mul(dtype.size() as u64));
    // Wherever they begin.
    let around = if bytes.clone().all(|bytes| bytes <= most) { 0 } else { alignment + GRAIN };
    bytes.into_iter().all(|bytes| bytes.saturating_add(around) <= most)
}

/// The loops over a piece of one of the loops over the result, how many such pieces there are, and
/// which loop it is; the fewest that a device can be shown.
fn divide(loops: &Loops, binding: [u64; 2]) -> Result<(Loops, usize, usize)> {
    for pieces in 2..=4096 {
        for at in 0..loops.outer.len() {
            let vectors = loops.along == Along::Result && at + 1 == loops.outer.len();
            let unit = if vectors { loops.width } else { 1 };
            let axis = &loops.outer[at];
            if axis.extent.is_multiple_of(pieces * unit) {
                let mut piece = loops.clone();
                piece.outer[at] =
                    Axis { extent: axis.extent / pieces, strides: axis.strides.clone() };
                if fits(&piece, binding) {
                    return Ok((piece, pieces, at));
                }
            }
        }
    }
    let largest = spans(loops).into_iter().max().unwrap_or(0);
    Err(Error::Limit {
        what: "an operand of einsum".into(),
        limit: "max_storage_buffer_binding_size",
        asked: (largest as u64).saturating_mul(loops.result.size() as u64),
        allowed: binding[0],
    })
}

impl Launch {
    /// Compiles a step.
    pub fn new(ctx: &Context, loops: &Loops, turn: Option<&Turn>) -> Result<Self> {
        let gpu = ctx.device().gpu();
        let gpu = gpu.ok_or_else(|| Error::Foreign { operand: "the context".into() })?;
        let limits = gpu.limits();
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment).max(GRAIN);
        let binding = [limits.max_storage_buffer_binding_size, alignment];
        let (piece, pieces, at) = match fits(loops, binding) {
            true => (loops.clone(), 1, 0),
            false => divide(loops, binding)?,
        };
        let step = |operand: usize| match pieces {
            1 => 0,
            _ => piece.outer[at].extent * piece.outer[at].strides[operand],
        };
        let steps = (0..=loops.terms.len()).map(step).collect();
        let (kernel, groups) = match turn.filter(|_| pieces == 1) {
            Some(turn) => (turn_kernel(turn), turn_groups(turn)),
            None => {
                let groups = piece.results().div_ceil(piece.results_of_a_group());
                (loops_kernel(&piece), groups)
            }
        };
        // Indices are words.
        for counted in spans(&piece).into_iter().chain([groups.saturating_mul(THREADS)]) {
            word(counted)?;
        }
        let pipeline = ctx.pipeline(&kernel)?;
        let (parts, spans) = (piece.parts, spans(&piece));
        Ok(Launch { pipeline, groups, parts, pieces, steps, spans })
    }

    /// Records the step for these terms and this result.
    pub fn record(
        &self,
        batch: &mut Batch,
        ctx: &Context,
        terms: &[&Operand],
        result: &Operand,
    ) -> Result<()> {
        let gpu = ctx.device().gpu();
        let gpu = gpu.ok_or_else(|| Error::Foreign { operand: "the context".into() })?;
        let limits = gpu.limits();
        let most = limits.max_storage_buffer_binding_size;
        let grain = u64::from(limits.min_storage_buffer_offset_alignment).max(GRAIN);
        let allowed = limits.max_compute_workgroups_per_dimension as usize;
        let x = self.groups.clamp(1, allowed);
        let grid = [x, self.groups.div_ceil(x), self.parts];
        for piece in 0..self.pieces {
            let mut params = Params::default();
            let mut bindings = Vec::new();
            for (at, operand) in terms.iter().copied().chain([result]).enumerate() {
                let size = operand.dtype.size() as u64;
                let first = operand.offset + piece * self.steps[at];
                let held = operand.buffer.held();
                // All of a buffer, or what a device can be shown of one that is longer.
                let bytes = if held <= most {
                    0..held
                } else {
                    let begin = first as u64 * size / grain * grain;
                    let end = (first + self.spans[at]) as u64 * size;
                    begin..end.next_multiple_of(GRAIN).min(held)
                };
                let offset = word(first - (bytes.start / size) as usize)?;
                let last = at == terms.len();
                match params.x.get_mut(at).filter(|_| !last) {
                    Some(x) => *x = offset,
                    None => params.y = offset,
                }
                let access = if last { Access::ReadWrite } else { Access::Read };
                bindings.push((access, &operand.buffer, bytes));
            }
            let with_params = Bindings::new().params(&params);
            let bindings = bindings
                .into_iter()
                .fold(with_params, |all, (access, buffer, bytes)| all.part(access, buffer, bytes));
            batch.dispatch(
                &self.pipeline,
                bindings,
                [word(grid[0])?, word(grid[1])?, word(grid[2])?],
            )?;
        }
        Ok(())
    }
}

/// A size as the shader's integers hold it.
fn word(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Limit {
        what: "an operand of einsum".into(),
        limit: "u32 indices",
        asked: value as u64,
        allowed: u32::MAX.into(),
    })
}

impl Loops {
    /// Has what is read in vectors lie so that each begins at a whole one, as it does where a plan asks for it.
    fn begin_at_vectors(&mut self) {
        let Loops { outer, inner, .. } = self;
        let (vector, others) =
            if self.along == Along::Result { (outer, inner) } else { (inner, outer) };
        let rest = vector.split_last_mut().map(|(_, rest)| rest).unwrap_or_default();
        for axis in rest.iter_mut().chain(others) {
            for (stride, load) in axis.strides.iter_mut().zip(&self.loads) {
                if *load == Load::Vector {
                    *stride = stride.next_multiple_of(WIDTH);
                }
            }
        }
    }
}

/// Every branch of both shaders, for tests that validate them without a device: extents and strides are
/// constants of a kernel, so that there is no end of kernels.
pub fn kernels() -> Vec<Kernel> {
    use DType::{C64, F16, F32};
    let mut all = Vec::new();
    let axis = |extent: usize, strides: &[usize]| Axis { extent, strides: strides.to_vec() };
    for (terms, result) in [
        (&[F32][..], F32),
        (&[F32, F32], F32),
        (&[F16, F32], F16),
        (&[F32, F16, F32], F16),
        (&[C64], C64),
        (&[C64, C64], C64),
        (&[C64, C64, C64, C64], C64),
        (&[], F32),
    ] {
        let n = terms.len();
        let (ones, fours) = (vec![1; n + 1], vec![4; n + 1]);
        let widths: &[usize] = if result == C64 { &[1] } else { &[1, WIDTH] };
        for (&width, along) in
            widths.iter().flat_map(|width| [(width, Along::Result), (width, Along::Sum)])
        {
            for lanes in [1, 8] {
                for (outer, inner, parts) in [
                    (vec![], vec![], 1),
                    (vec![axis(64, &ones)], vec![], 1),
                    (vec![axis(3, &fours), axis(64, &ones)], vec![axis(48, &fours)], 1),
                    (
                        vec![axis(3, &fours), axis(64, &ones)],
                        vec![axis(5, &fours), axis(64, &ones)],
                        2,
                    ),
                ] {
                    let vector = if along == Along::Sum { &inner } else { &outer };
                    if vector.is_empty() && (width > 1 || along == Along::Sum)
                        || lanes > 1 && inner.is_empty()
                    {
                        continue;
                    }
                    let loads = [Load::Vector, Load::Same, Load::Each, Load::Vector];
                    let loads = match width {
                        1 => vec![Load::Each; n],
                        _ => loads[..n].to_vec(),
                    };
                    let mut loops = Loops {
                        terms: terms.to_vec(),
                        result,
                        outer,
                        inner,
                        along,
                        width,
                        loads,
                        wide_store: width > 1 && along == Along::Result && lanes == 1,
                        lanes,
                        chunk: 0,
                        parts,
                        part_stride: 0,
                    };
                    loops.begin_at_vectors();
                    loops.chunk = loops.steps().div_ceil(parts).max(1);
                    loops.part_stride = count(&loops.outer);
                    all.push(loops_kernel(&loops));
                }
            }
        }
    }
    for (from, to) in [(F32, F32), (F32, F16), (F16, F16), (C64, C64)] {
        for others in [vec![], vec![[3, 1, 1]], vec![[3, 1, 1], [5, 1, 1]]] {
            all.push(turn_kernel(&Turn { from, to, x: [40, 50], y: [50, 40], others }));
        }
    }
    all
}
