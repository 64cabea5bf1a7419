//! Checks and choices of GEMM.

use super::candidates::{candidates, fit};
use super::coop::{self, CoopTile};
use super::parts::Parts;
use super::{Activation, Gemm, cpu, gpu, vector};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::{Backend, Device};
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::tensor::{Operand, TensorView, TensorViewMut};

/// How a plan computes; prints as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Fused multiply-add in this type on the GPU's plain arithmetic units, in tiles.
    Simt(Tile, DType),
    /// The same with k divided into at most so many parts, which a second pass adds: for a C of few
    /// tiles.
    Split(Tile, DType, usize),
    /// For a C of few rows or few columns, on the GPU: one operand is read once, in parts of k where
    /// it has too few columns to occupy the device.
    Vector(DType),
    /// The GPU's tensor cores, through cooperative matrices.
    Coop(CoopTile),
    /// The host's vector units, working in this type.
    Cpu(DType),
}

impl Algorithm {
    /// The type that it works in.
    pub(super) fn working(self) -> DType {
        match self {
            Algorithm::Simt(_, dtype)
            | Algorithm::Split(_, dtype, _)
            | Algorithm::Vector(dtype)
            | Algorithm::Cpu(dtype) => dtype,
            Algorithm::Coop(_) => DType::F32,
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Algorithm::Simt(tile, dtype) => {
                write!(f, "simt-{dtype}-{}x{}x{}", tile.m, tile.n, tile.k)
            }
            Algorithm::Split(tile, dtype, parts) => {
                write!(f, "{}-split{parts}", Algorithm::Simt(*tile, *dtype))
            }
            Algorithm::Vector(dtype) => write!(f, "vector-{dtype}"),
            Algorithm::Coop(tile) => tile.fmt(f),
            Algorithm::Cpu(dtype) => write!(f, "cpu-{dtype}"),
        }
    }
}

/// A workgroup's share of C and how its threads divide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of C a workgroup computes.
    pub m: usize,
    /// Columns of C a workgroup computes.
    pub n: usize,
    /// How much of k is staged at a time.
    pub k: usize,
    /// Rows of C a thread computes.
    pub thread_m: usize,
    /// Columns of C a thread computes.
    pub thread_n: usize,
}

impl Tile {
    const fn new(m: usize, n: usize, k: usize, thread_m: usize, thread_n: usize) -> Self {
        Tile { m, n, k, thread_m, thread_n }
    }

    /// Threads of a workgroup.
    pub fn threads(&self) -> usize {
        (self.m / self.thread_m) * (self.n / self.thread_n)
    }

    /// Bytes of workgroup memory.
    pub(super) fn storage(&self, working: DType) -> usize {
        (self.m + self.n) * self.k * working.size()
    }

    /// Whether a thread's part of C fits its registers: 128 words of 4 bytes are half of what a
    /// thread of today's GPUs can have.
    pub(super) fn takes(&self, working: DType) -> bool {
        self.thread_m * self.thread_n * working.size() <= 128 * 4
    }
}

/// Largest first: a larger tile reads less, a smaller one makes more workgroups.
pub(super) const TILES: [Tile; 4] = [
    Tile::new(128, 128, 16, 8, 16),
    Tile::new(64, 128, 16, 8, 8),
    Tile::new(64, 64, 16, 8, 8),
    Tile::new(32, 32, 16, 4, 4),
];

/// What a choice depends on, as plain data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub backend: Backend,
    pub software: bool,
    pub f16: bool,
    pub f64: bool,
    pub workgroup_storage: usize,
    pub invocations: usize,
    /// Cooperative matrices as our kernels need them.
    pub tensor_cores: bool,
    /// Bytes of one buffer that a kernel may be given.
    pub binding: u64,
}

impl Facts {
    pub(super) fn of(ctx: &Context) -> Self {
        match ctx.device().gpu() {
            Some(gpu) => Facts {
                backend: Backend::Gpu,
                software: gpu.is_software(),
                f16: gpu.has_f16(),
                f64: gpu.has_f64(),
                workgroup_storage: gpu.limits().max_compute_workgroup_storage_size as usize,
                invocations: gpu.limits().max_compute_invocations_per_workgroup as usize,
                // Halves of small numbers are what a split is about.
                tensor_cores: gpu.has_tensor_cores() && ctx.capabilities().half_denormals,
                binding: gpu
                    .limits()
                    .max_storage_buffer_binding_size
                    .min(gpu.limits().max_buffer_size),
            },
            None => Facts {
                backend: Backend::Cpu,
                software: true,
                f16: false,
                f64: false,
                workgroup_storage: 0,
                invocations: 0,
                tensor_cores: false,
                binding: 0,
            },
        }
    }
}

/// The type that a problem is worked in, or why its elements have no path on such a device. Pure.
pub(super) fn working(problem: &Gemm, facts: &Facts) -> Result<DType> {
    let elements = [problem.a, problem.b, problem.c];
    let mut working = DType::F32;
    for element in elements {
        working = working.promote(element).ok_or_else(|| {
            Error::unsupported(
                format!("GEMM of {element} elements"),
                "it is defined for f16, f32 and f64",
            )
        })?;
    }
    if facts.backend == Backend::Cpu {
        return Ok(working);
    }
    if working == DType::F64 && !facts.f64 {
        return Err(Error::unsupported(
            "GEMM of f64 elements on this GPU",
            "its driver lacks shader-f64; use f32 elements or the cpu backend",
        ));
    }
    if working == DType::F64 && problem.activation == Activation::Gelu {
        return Err(Error::unsupported(
            "GELU of f64 elements on a GPU",
            "shaders have no f64 exponential; use f32 elements or the cpu backend",
        ));
    }
    if elements.contains(&DType::F16) && !facts.f16 {
        return Err(Error::unsupported(
            "GEMM of f16 elements on this GPU",
            "its driver lacks shader-f16; use f32 elements or the cpu backend",
        ));
    }
    Ok(working)
}

/// The algorithm for a problem on a device with these facts, where none was measured. Pure.
pub(super) fn choose(problem: &Gemm, facts: &Facts) -> Result<Algorithm> {
    let working = working(problem, facts)?;
    candidates(problem, facts)?.first().copied().ok_or_else(|| Error::Limit {
        what: "GEMM's smallest tile".into(),
        limit: "max_compute_workgroup_storage_size",
        asked: TILES[TILES.len() - 1].storage(working) as u64,
        allowed: facts.workgroup_storage as u64,
    })
}

/// Bytes of each buffer of device memory that an algorithm uses between its passes. Pure.
pub(super) fn workspace_bytes(algorithm: Algorithm, problem: &Gemm) -> Vec<u64> {
    let mut all = match algorithm {
        Algorithm::Simt(..) | Algorithm::Cpu(_) => Vec::new(),
        Algorithm::Split(tile, working, parts) => {
            let Gemm { m, n, batch, .. } = *problem;
            let parts = Parts::divide(problem.effective_k(), parts, tile.k);
            // A column-major C is computed as its transpose.
            let turns = [[batch, m, n], [batch, n, m]];
            vec![turns.map(|turn| parts.bytes(turn, working)).into_iter().fold(0, u64::max)]
        }
        Algorithm::Vector(working) => vec![vector::workspace(problem, working)],
        Algorithm::Coop(tile) => coop::workspace(&tile, problem).to_vec(),
    };
    all.retain(|&bytes| bytes > 0);
    all
}

/// A checked, compiled matrix multiplication. Made by [`Gemm::plan`]; run as often as wanted.
///
/// ```
/// use gvpie_core::{Backend, Context, Gemm};
/// let ctx = Context::on(Backend::Cpu)?;
/// let plan = Gemm::new(64, 64, 64).plan(&ctx)?;
/// assert_eq!(plan.algorithm().to_string(), "cpu-f32");
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GemmPlan {
    problem: Gemm,
    algorithm: Algorithm,
    /// Of [`workspace_bytes`]. All runs share it: a queue's submissions run in order, and within a
    /// batch each dispatch sees what those before it wrote.
    workspace: Vec<Buffer>,
    ctx: Context,
}

impl GemmPlan {
    pub(super) fn new(problem: Gemm, ctx: &Context) -> Result<Self> {
        let measured = ctx.choices().find(
            || problem.subject(),
            |choice| Self::by(choice.algorithm.parse()?, problem.clone(), ctx),
        );
        if let Some(plan) = measured {
            return Ok(plan);
        }
        let facts = Facts::of(ctx);
        let full = match Self::by(choose(&problem, &facts)?, problem.clone(), ctx) {
            Err(full @ Error::OutOfMemory { .. }) => full,
            planned => return planned,
        };
        // Memory is short now: what needs none is slower, and runs.
        let spare = candidates(&problem, &facts)?;
        match spare.into_iter().find(|&spare| workspace_bytes(spare, &problem).is_empty()) {
            Some(spare) => Self::by(spare, problem, ctx),
            None => Err(full),
        }
    }

    pub(super) fn by(algorithm: Algorithm, problem: Gemm, ctx: &Context) -> Result<Self> {
        fit(algorithm, &problem, &Facts::of(ctx))?;
        if !matches!(algorithm, Algorithm::Cpu(_)) {
            gpu::prepare(ctx, &problem, algorithm)?;
        }
        let allocate = |bytes| Buffer::zeroed(ctx.device(), bytes, "GEMM's workspace");
        let needed = workspace_bytes(algorithm, &problem).into_iter();
        let workspace = needed.map(allocate).collect::<Result<_>>()?;
        Ok(GemmPlan { problem, algorithm, workspace, ctx: ctx.clone() })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Gemm {
        &self.problem
    }

    /// How it computes.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many tiles of C, of how many, the last run left to plain f32 arithmetic because their
    /// operands cannot be split ([module](super)), for a C along rows; `None` for plans that split
    /// nothing. Waits for the run.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn left_to_plain(&self) -> Result<Option<[usize; 2]>> {
        match (self.algorithm, &self.workspace[..]) {
            (Algorithm::Coop(tile), [_, _, stats]) => {
                coop::left_to_plain(&tile, &self.problem, stats).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Bytes of device memory that the plan holds for its passes, shared with its clones.
    pub fn workspace(&self) -> u64 {
        self.workspace.iter().map(Buffer::len).sum()
    }

    /// Computes C ← act(α·op(A)·op(B) + β·C) without waiting for the result.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not
    /// fit the plan, "bias" where the plan was made [with one](Gemm::bias); errors of the device.
    pub fn run<'a, 'c, A: Element, B: Element, C: Element>(
        &self,
        a: impl Into<TensorView<'a, A>>,
        b: impl Into<TensorView<'a, B>>,
        c: impl Into<TensorViewMut<'c, C>>,
    ) -> Result<()> {
        let mut batch = self.ctx.batch("gemm");
        self.record(&mut batch, a, b, c)?;
        batch.submit()
    }

    /// Computes C ← act(α·op(A)·op(B) + β·C + bias) without waiting for the result. The bias has
    /// C's element type and shape `[n]`, or `[batch, n]` where each product has its own; it is
    /// added to every row of C.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Shape`] naming "bias" where the plan was made without one.
    pub fn run_biased<'a, 'c, A: Element, B: Element, C: Element>(
        &self,
        a: impl Into<TensorView<'a, A>>,
        b: impl Into<TensorView<'a, B>>,
        bias: impl Into<TensorView<'a, C>>,
        c: impl Into<TensorViewMut<'c, C>>,
    ) -> Result<()> {
        let mut batch = self.ctx.batch("gemm");
        self.record_biased(&mut batch, a, b, bias, c)?;
        batch.submit()
    }

    /// Records the same into a batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record<'a, 'c, A: Element, B: Element, C: Element>(
        &self,
        batch: &mut Batch,
        a: impl Into<TensorView<'a, A>>,
        b: impl Into<TensorView<'a, B>>,
        c: impl Into<TensorViewMut<'c, C>>,
    ) -> Result<()> {
        let (a, b, c) = (a.into().operand(), b.into().operand(), c.into().operand());
        self.enqueue(batch, a, b, None, c)
    }

    /// Records what [`run_biased`](Self::run_biased) does into a batch.
    ///
    /// # Errors
    /// As [`run_biased`](Self::run_biased).
    pub fn record_biased<'a, 'c, A: Element, B: Element, C: Element>(
        &self,
        batch: &mut Batch,
        a: impl Into<TensorView<'a, A>>,
        b: impl Into<TensorView<'a, B>>,
        bias: impl Into<TensorView<'a, C>>,
        c: impl Into<TensorViewMut<'c, C>>,
    ) -> Result<()> {
        let (a, b, c) = (a.into().operand(), b.into().operand(), c.into().operand());
        self.enqueue(batch, a, b, Some(bias.into().operand()), c)
    }

    /// Records for operands whose element types are data.
    pub(crate) fn enqueue(
        &self,
        batch: &mut Batch,
        a: Operand,
        b: Operand,
        bias: Option<Operand>,
        c: Operand,
    ) -> Result<()> {
        if !batch.device().is(self.ctx.device()) {
            return Err(Error::Foreign { operand: "the batch".into() });
        }
        let Gemm { m, n, k, batch: count, .. } = self.problem;
        let device = self.ctx.device();
        c.check_distinct("C")?;
        let p = &self.problem;
        let a = Matrix::check(a, device, p.a, "A", [m, k], count, p.transpose_a)?;
        let b = Matrix::check(b, device, p.b, "B", [k, n], count, p.transpose_b)?;
        let c = Matrix::check(c, device, p.c, "C", [m, n], count, false)?;
        let bias = match bias {
            Some(bias) if p.bias => Some(Matrix::check_bias(bias, device, p)?),
            None if !p.bias => None,
            Some(bias) => {
                let found = format!("shape {}", bias.shape);
                return Err(Error::shape("bias", "none, as the plan was made without one", found));
            }
            None => {
                let expected = format!("a vector of {n} elements, as the plan was made with one");
                return Err(Error::shape("bias", expected, "none"));
            }
        };
        if c.batch == 0 && count > 1 {
            let expected = format!("a batch of {count}");
            return Err(Error::shape("C", expected, "one matrix for all of them"));
        }
        if m == 0 || n == 0 || count == 0 {
            return Ok(());
        }
        let operands = Operands { a, b, bias, c };
        match self.algorithm {
            Algorithm::Cpu(working) => {
                let problem = p.clone();
                batch.host(move || run_host(&problem, working, &operands));
                Ok(())
            }
            algorithm => {
                let workspace = &self.workspace;
                gpu::record(batch, &self.ctx, p, algorithm, workspace, operands)
            }
        }
    }
}

impl Gemm {
    /// How much of k is summed: none where α = 0, so that A and B are not read.
    pub(super) fn effective_k(&self) -> usize {
        if self.alpha == 0.0 { 0 } else { self.k }
    }
}

/// The operands of one run, checked against the plan.
#[derive(Debug)]
pub(super) struct Operands {
    pub a: Matrix,
    pub b: Matrix,
    /// As a matrix of C's shape, whose rows all lie at the same place.
    pub bias: Option<Matrix>,
    pub c: Matrix,
}

/// An operand as op() shows it: rows by columns, transposition and broadcasting already in the
/// strides.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub operand: Operand,
    pub row: usize,
    pub column: usize,
    pub batch: usize,
}

impl Matrix {
    fn check(
        operand: Operand,
        device: &Device,
        dtype: DType,
        name: &str,
        [rows, columns]: [usize; 2],
        batch: usize,
        transposed: bool,
    ) -> Result<Self> {
        operand.check_device(device, name)?;
        operand.check_dtype(dtype, name)?;
        let given = if transposed { [columns, rows] } else { [rows, columns] };
        let (found, strides, batch_stride) = match (operand.shape.dims(), &operand.strides[..]) {
            (&[r, c], &[row, column]) => ([r, c], [row, column], 0),
            (&[1, r, c], &[_, row, column]) => ([r, c], [row, column], 0),
            (&[b, r, c], &[each, row, column]) if b == batch => ([r, c], [row, column], each),
            _ => ([usize::MAX; 2], [0; 2], 0),
        };
        if found != given {
            let [r, c] = given;
            let batches = if batch == 1 { String::new() } else { format!(" or {batch}x{r}x{c}") };
            let turned = if transposed { " (it is transposed)" } else { "" };
            let expected = format!("shape {r}x{c}{batches}{turned}");
            return Err(Error::shape(name, expected, format!("shape {}", operand.shape)));
        }
        let [row, column] = if transposed { [strides[1], strides[0]] } else { strides };
        Ok(Matrix { operand, row, column, batch: batch_stride })
    }

    fn check_bias(operand: Operand, device: &Device, problem: &Gemm) -> Result<Self> {
        let Gemm { n, batch: count, .. } = *problem;
        operand.check_device(device, "bias")?;
        operand.check_dtype(problem.c, "bias")?;
        let (column, batch) = match (operand.shape.dims(), &operand.strides[..]) {
            (&[columns], &[column]) if columns == n => (column, 0),
            (&[1, columns], &[_, column]) if columns == n => (column, 0),
            (&[b, columns], &[each, column]) if (b, columns) == (count, n) => (column, each),
            _ => {
                let batches = if count == 1 { String::new() } else { format!(" or {count}x{n}") };
                let found = format!("shape {}", operand.shape);
                return Err(Error::shape("bias", format!("shape {n}{batches}"), found));
            }
        };
        Ok(Matrix { operand, row: 0, column, batch })
    }
}

fn run_host(problem: &Gemm, working: DType, operands: &Operands) -> Result<()> {
    fn layout(x: &Matrix) -> cpu::Layout {
        cpu::Layout {
            dtype: x.operand.dtype,
            offset: x.operand.offset,
            row: x.row,
            column: x.column,
            batch: x.batch,
        }
    }
    let Gemm { m, n, batch, alpha, beta, activation, .. } = *problem;
    let sizes = cpu::Sizes { m, n, k: problem.effective_k(), batch };
    let Operands { a, b, bias, c } = operands;
    let (la, lb, lc) = (layout(a), layout(b), layout(c));
    let gemm = match working {
        DType::F64 => cpu::gemm::<f64>,
        _ => cpu::gemm::<f32>,
    };
    // Where there is no bias, A stands in its place and is not looked at.
    let third = bias.as_ref().unwrap_or(a);
    let inputs = [&a.operand.buffer, &b.operand.buffer, &third.operand.buffer];
    Buffer::lend(inputs, &c.operand.buffer, |[bytes_a, bytes_b, bytes_bias], bytes_c| {
        let bias = bias.as_ref().map(|bias| (bytes_bias, layout(bias)));
        let last = cpu::Epilogue { bias, activation };
        gemm(sizes, alpha, (bytes_a, la), (bytes_b, lb), beta, (bytes_c, lc), last)
    })?
}
