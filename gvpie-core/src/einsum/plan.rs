//! Checks and choices of einsum, and what a plan holds for operands that lie in one way.

use super::expression::{Bound, Expression};
use super::gpu::Launch;
use super::indices::Set;
use super::layout::{Layout, WIDTH};
use super::path::{Path, search};
use super::product::Product;
use super::recipe::{self, Place, Recipe, Step, Term, Work};
use super::report::EinsumPath;
use super::{Einsum, cpu};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::gemm::{Gemm, GemmPlan};
use crate::scratch::Scratch;
use crate::shape::Shape;
use crate::tensor::{Operand, TensorView, TensorViewMut};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The type that is worked in.
pub(super) fn working(element: DType) -> DType {
    if element == DType::F16 { DType::F32 } else { element }
}

/// The indices of each operand once those are summed that nothing else has.
pub(super) fn reduced(bound: &Bound) -> Vec<Set> {
    let sets: Vec<Set> = (0..bound.inputs.len()).map(|at| bound.set(at)).collect();
    let kept = |at: usize| {
        let others = sets.iter().enumerate().filter(|&(other, _)| other != at);
        sets[at].and(others.fold(bound.result(), |all, (_, &set)| all.or(set)))
    };
    (0..sets.len()).map(kept).collect()
}

/// The path, within the limit.
fn choose_path(problem: &Einsum, bound: &Bound) -> Result<Path> {
    let size = working(problem.element).size() as f64;
    let limit = problem.memory_limit.map_or(f64::INFINITY, |bytes| bytes as f64 / size);
    search(&bound.indices, &reduced(bound), bound.result(), limit, problem.order).map_err(|least| {
        Error::Setting {
            name: "memory_limit".into(),
            value: problem.memory_limit.unwrap_or(0).to_string(),
            expected: format!(
                "at least {} bytes, which intermediate results of '{}' need",
                (least * size) as u64,
                problem.expression
            ),
        }
    })
}

/// How operands lie: by axis the strides, and whether the offset is a whole vector.
type Key = Vec<(Vec<usize>, bool)>;

fn key(operand: &Operand) -> (Vec<usize>, bool) {
    (operand.strides.clone(), operand.offset.is_multiple_of(WIDTH))
}

fn dense_key(bound: &Bound, shapes: &[Shape]) -> Key {
    shapes.iter().chain([&bound.shape()]).map(|shape| (shape.strides(), true)).collect()
}

/// The steps for operands that lie like this.
fn recipe(problem: &Einsum, bound: &Bound, path: &Path, key: &Key, backend: Backend) -> Recipe {
    let layout = |axes: &[Option<usize>], (strides, aligned): &(Vec<usize>, bool)| {
        let mut by_index = vec![0_usize; bound.indices.extents.len()];
        for (index, stride) in axes.iter().zip(strides) {
            // Along a diagonal both axes are walked at once.
            if let Some(index) = index.filter(|&index| bound.indices.extents[index] != 1) {
                by_index[index] = by_index[index].saturating_add(*stride);
            }
        }
        let walked = |&index: &usize| bound.indices.extents[index] != 1;
        let set = Set::of(axes.iter().flatten().copied().filter(walked));
        Layout { dtype: problem.element, set, strides: by_index, aligned: *aligned }
    };
    let mut layouts = bound.inputs.iter().zip(key).map(|(axes, key)| layout(axes, key));
    let inputs: Vec<Layout> = layouts.by_ref().collect();
    let axes: Vec<Option<usize>> = bound.output.iter().copied().map(Some).collect();
    let dense = (bound.shape().strides(), true);
    let output = layout(&axes, key.last().unwrap_or(&dense));
    let divided = backend == Backend::Gpu;
    recipe::choose(&bound.indices, &inputs, &output, &bound.output, path, divided)
}

/// The path for dense operands.
pub(super) fn path(problem: &Einsum, shapes: &[Shape]) -> Result<EinsumPath> {
    let bound = Expression::parse(&problem.expression)?.bind(shapes)?;
    let path = choose_path(problem, &bound)?;
    let recipe = recipe(problem, &bound, &path, &dense_key(&bound, shapes), Backend::Gpu);
    Ok(EinsumPath::new(problem, &bound, &path, &recipe))
}

/// A checked, compiled contraction. Made by [`Einsum::plan`]; run as often as wanted.
///
/// ```
/// use gvpie_core::{Backend, Context, Einsum};
/// let ctx = Context::on(Backend::Cpu)?;
/// let plan = Einsum::new("bij,bjk->bik").plan(&ctx, [[2, 64, 64], [2, 64, 64]])?;
/// assert_eq!(plan.shape().dims(), [2, 64, 64]);
/// assert_eq!(plan.path().steps()[0].work, "gemm 2 of 64x64x64");
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EinsumPlan {
    problem: Einsum,
    shapes: Vec<Shape>,
    output: Shape,
    bound: Arc<Bound>,
    path: Path,
    ctx: Context,
    dense: Arc<Program>,
    /// For operands that lie otherwise, by how they lie.
    others: Arc<Mutex<HashMap<Key, Arc<Program>>>>,
}

/// Ways for operands to lie that a plan remembers.
const REMEMBERED: usize = 16;

/// The steps for operands that lie in one way, compiled.
#[derive(Debug)]
struct Program {
    key: Key,
    recipe: Recipe,
    compiled: Vec<Compiled>,
    scratch: Scratch,
}

#[derive(Debug)]
enum Compiled {
    Host,
    Launch(Launch),
    /// A real product.
    Gemm(GemmPlan),
    /// Of complex numbers: ab; c − ab and c + ab.
    Complex(Box<[GemmPlan; 3]>),
}

impl EinsumPlan {
    pub(super) fn new(problem: Einsum, shapes: Vec<Shape>, ctx: &Context) -> Result<Self> {
        let bound = Expression::parse(&problem.expression)?.bind(&shapes)?;
        check_element(problem.element, ctx)?;
        let path = choose_path(&problem, &bound)?;
        let dense = Program::new(&problem, &bound, &path, dense_key(&bound, &shapes), ctx)?;
        Ok(EinsumPlan {
            problem,
            shapes,
            output: bound.shape(),
            bound: Arc::new(bound),
            path,
            ctx: ctx.clone(),
            dense: Arc::new(dense),
            others: Arc::default(),
        })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Einsum {
        &self.problem
    }

    /// The shape of the result.
    pub fn shape(&self) -> &Shape {
        &self.output
    }

    /// The order of contractions, and how each is computed, for dense operands.
    pub fn path(&self) -> EinsumPath {
        EinsumPath::new(&self.problem, &self.bound, &self.path, &self.dense.recipe)
    }

    /// Bytes of device memory that the plan holds for its steps, shared with its clones; those of
    /// matrix products are counted too.
    pub fn workspace(&self) -> u64 {
        let own: u64 = self.dense.recipe.spaces.iter().sum();
        let products = self.dense.compiled.iter().map(|compiled| match compiled {
            Compiled::Host | Compiled::Launch(_) => 0,
            Compiled::Gemm(plan) => plan.workspace(),
            Compiled::Complex(plans) => plans.iter().map(GemmPlan::workspace).sum(),
        });
        own + products.sum::<u64>()
    }

    /// Computes y from the operands without waiting for the result.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not fit
    /// the plan; [`Error::Limit`] for operands that this device cannot index, or that a matrix product
    /// would have to be shown more of than the device binds; errors of the device.
    pub fn run<'a, 'y, T: Element, V: Into<TensorView<'a, T>> + Clone>(
        &self,
        operands: &[V],
        y: impl Into<TensorViewMut<'y, T>>,
    ) -> Result<()> {
        let mut batch = self.ctx.batch("einsum");
        self.record(&mut batch, operands, y)?;
        batch.submit()
    }

    /// Records the same into a batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record<'a, 'y, T: Element, V: Into<TensorView<'a, T>> + Clone>(
        &self,
        batch: &mut Batch,
        operands: &[V],
        y: impl Into<TensorViewMut<'y, T>>,
    ) -> Result<()> {
        let views = operands.iter().cloned().map(Into::into);
        let inputs: Vec<Operand> = views.map(|view: TensorView<'a, T>| view.operand()).collect();
        self.enqueue(batch, &inputs, &y.into().operand())
    }

    fn enqueue(&self, batch: &mut Batch, inputs: &[Operand], y: &Operand) -> Result<()> {
        let device = self.ctx.device();
        if !batch.device().is(device) {
            return Err(Error::Foreign { operand: "the batch".into() });
        }
        if inputs.len() != self.shapes.len() {
            let expected = format!("{}, as the plan is for", self.shapes.len());
            return Err(Error::shape("operands", expected, inputs.len().to_string()));
        }
        let named = (1..=inputs.len()).map(|number| format!("operand {number}"));
        let named = named.chain(["the result".into()]);
        let expected = self.shapes.iter().chain([&self.output]);
        for ((operand, name), expected) in inputs.iter().chain([y]).zip(named).zip(expected) {
            operand.check_device(device, &name)?;
            operand.check_dtype(self.problem.element, &name)?;
            if operand.shape != *expected {
                let found = format!("shape {}", operand.shape);
                return Err(Error::shape(name, format!("shape {expected}"), found));
            }
        }
        y.check_distinct("the result")?;
        let key: Key = inputs.iter().chain([y]).map(key).collect();
        let program = self.program(key)?;
        program.scratch.lend(batch, |batch, spaces| {
            let operand = |term: &Term| {
                let (buffer, offset) = match term.place {
                    Place::Input(at) => (&inputs[at].buffer, inputs[at].offset),
                    Place::Space(at) => (&spaces[at], 0),
                    Place::Output => (&y.buffer, y.offset),
                };
                Operand {
                    buffer: buffer.clone(),
                    dtype: term.layout.dtype,
                    shape: Shape::default(),
                    strides: Vec::new(),
                    offset,
                }
            };
            for (step, compiled) in program.recipe.steps.iter().zip(&program.compiled) {
                let terms: Vec<Operand> = step.terms.iter().map(operand).collect();
                compiled.record(batch, &self.ctx, step, &terms, &operand(&step.result))?;
            }
            Ok(())
        })
    }

    /// The program for operands that lie like this.
    fn program(&self, key: Key) -> Result<Arc<Program>> {
        if key == self.dense.key {
            return Ok(self.dense.clone());
        }
        let lock = || self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = lock().get(&key) {
            return Ok(program.clone());
        }
        let made = Program::new(&self.problem, &self.bound, &self.path, key.clone(), &self.ctx)?;
        let made = Arc::new(made);
        let mut others = lock();
        if others.len() >= REMEMBERED {
            others.clear();
        }
        Ok(others.entry(key).or_insert(made).clone())
    }
}

/// Whether this back end has a path for these elements.
pub(super) fn check_element(element: DType, ctx: &Context) -> Result<()> {
    let what = |place: &str| format!("einsum of {element} elements{place}");
    match (element, ctx.device().gpu()) {
        (DType::I32 | DType::U32, _) => Err(Error::unsupported(
            what(""),
            "it is defined for f16, f32, f64, complex64 and complex128",
        )),
        (DType::F64 | DType::C128, Some(_)) => Err(Error::unsupported(
            what(" on a GPU"),
            "its kernels work in f32; use f32 or complex64 elements, or the cpu backend",
        )),
        (DType::F16, Some(gpu)) if !gpu.has_f16() => Err(Error::unsupported(
            what(" on this GPU"),
            "its driver lacks shader-f16; use f32 elements or the cpu backend",
        )),
        _ => Ok(()),
    }
}

impl Program {
    fn new(problem: &Einsum, bound: &Bound, path: &Path, key: Key, ctx: &Context) -> Result<Self> {
        let recipe = recipe(problem, bound, path, &key, ctx.backend());
        // Before the steps, which may take memory of their own.
        let scratch = Scratch::new(ctx.device(), recipe.spaces.clone(), "einsum's workspace")?;
        let compile = |step: &Step| match &step.work {
            Work::Product(product) => Compiled::product(problem, product, step, ctx),
            Work::Loops(loops, turn) => match ctx.backend() {
                Backend::Cpu => Ok(Compiled::Host),
                Backend::Gpu => Launch::new(ctx, loops, turn.as_ref()).map(Compiled::Launch),
            },
        };
        let compiled = recipe.steps.iter().map(compile).collect::<Result<_>>()?;
        Ok(Program { key, recipe, compiled, scratch })
    }
}

/// Whether an operand with these strides along batch, rows and columns is the transpose of one whose
/// rows are lines of memory.
fn is_turned([_, row, column]: [usize; 3]) -> bool {
    row == 1 && column != 1
}

impl Compiled {
    fn product(problem: &Einsum, product: &Product, step: &Step, ctx: &Context) -> Result<Self> {
        let Product { batch, m, n, k, a, b, .. } = *product;
        let real = |dtype: DType| match dtype {
            DType::C64 => DType::F32,
            DType::C128 => DType::F64,
            real => real,
        };
        let [x, y, z] =
            [&step.terms[0], &step.terms[1], &step.result].map(|term| real(term.layout.dtype));
        let complex = step.result.layout.dtype != z;
        let mut gemm = Gemm::new(m, n, k).batch(batch).elements(x, y, z).accuracy(problem.accuracy);
        if !complex && is_turned(a) {
            gemm = gemm.transpose_a();
        }
        if !complex && is_turned(b) {
            gemm = gemm.transpose_b();
        }
        if !complex {
            return gemm.plan(ctx).map(Compiled::Gemm);
        }
        let plans = [gemm.clone(), gemm.clone().alpha(-1.0).beta(1.0), gemm.beta(1.0)];
        let [product, less, more] = plans.map(|gemm| gemm.plan(ctx));
        Ok(Compiled::Complex(Box::new([product?, less?, more?])))
    }

    fn record(
        &self,
        batch: &mut Batch,
        ctx: &Context,
        step: &Step,
        terms: &[Operand],
        result: &Operand,
    ) -> Result<()> {
        match (self, &step.work) {
            (Compiled::Launch(launch), _) => {
                let terms: Vec<&Operand> = terms.iter().collect();
                launch.record(batch, ctx, &terms, result)
            }
            (Compiled::Gemm(plan), Work::Product(product)) => {
                let [a, b, c] = product.matrices();
                let [a, b, c] = [
                    a.of(&terms[0], is_turned(product.a)),
                    b.of(&terms[1], is_turned(product.b)),
                    c.of(result, false),
                ];
                plan.enqueue(batch, a, b, None, c)
            }
            (Compiled::Complex(plans), Work::Product(product)) => {
                let [times, less, more] = &**plans;
                let [a, b, c] = product.matrices();
                // Real and imaginary parts are matrices of their own, with twice the strides.
                for (plan, [i, j, to]) in
                    [(times, [0, 0, 0]), (less, [1, 1, 0]), (times, [0, 1, 1]), (more, [1, 0, 1])]
                {
                    let operands = [a.part(&terms[0], i), b.part(&terms[1], j), c.part(result, to)];
                    let [a, b, c] = operands;
                    plan.enqueue(batch, a, b, None, c)?;
                }
                Ok(())
            }
            (_, Work::Loops(loops, _)) => {
                let (loops, terms, result) = (loops.clone(), terms.to_vec(), result.clone());
                batch.host(move || run_host(&loops, &terms, &result));
                Ok(())
            }
            (Compiled::Host, Work::Product(_)) => Err(Error::Internal {
                what: "einsum".into(),
                message: "a product was not compiled".into(),
            }),
        }
    }
}

/// A batch of matrices within an operand.
#[derive(Debug, Clone, Copy)]
struct Matrices {
    shape: [usize; 3],
    strides: [usize; 3],
}

impl Product {
    fn matrices(&self) -> [Matrices; 3] {
        let Product { batch, m, n, k, a, b, c } = *self;
        [([batch, m, k], a), ([batch, k, n], b), ([batch, m, n], c)]
            .map(|(shape, strides)| Matrices { shape, strides })
    }
}

impl Matrices {
    /// In an operand, transposed where the plan takes it so.
    fn of(self, operand: &Operand, turned: bool) -> Operand {
        let turn = |[batch, row, column]: [usize; 3]| match turned {
            true => vec![batch, column, row],
            false => vec![batch, row, column],
        };
        Operand {
            shape: Shape::from(turn(self.shape)),
            strides: turn(self.strides),
            ..operand.clone()
        }
    }

    /// The real parts of complex elements, or the imaginary ones.
    fn part(self, operand: &Operand, part: usize) -> Operand {
        let dtype = if operand.dtype == DType::C64 { DType::F32 } else { DType::F64 };
        let strides = self.strides.map(|stride| 2 * stride);
        let whole = Operand { dtype, offset: 2 * operand.offset + part, ..operand.clone() };
        Matrices { strides, ..self }.of(&whole, false)
    }
}

fn run_host(loops: &super::loops::Loops, terms: &[Operand], result: &Operand) -> Result<()> {
    // Where there are fewer operands, the last stands in the place of the others and is not looked at;
    // without any there is nothing to read.
    let work = |inputs: &[&[u8]], y: &mut [u8]| {
        let inputs: Vec<(&[u8], usize)> =
            inputs.iter().copied().zip(terms.iter().map(|term| term.offset)).collect();
        let y = (y, result.offset);
        match result.dtype {
            DType::F64 => cpu::einsum_loops::<f64>(loops, &inputs, y),
            DType::C64 => cpu::einsum_loops::<num_complex::Complex<f32>>(loops, &inputs, y),
            DType::C128 => cpu::einsum_loops::<num_complex::Complex<f64>>(loops, &inputs, y),
            _ => cpu::einsum_loops::<f32>(loops, &inputs, y),
        }
    };
    let Some(last) = terms.last() else {
        return Buffer::lend([], &result.buffer, |_: [&[u8]; 0], y| work(&[], y))?;
    };
    let all: [&Buffer; super::loops::MOST_TERMS] =
        std::array::from_fn(|at| &terms.get(at).unwrap_or(last).buffer);
    Buffer::lend(all, &result.buffer, |inputs, y| work(&inputs[..terms.len()], y))?
}
