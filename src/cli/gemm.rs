//! `gvpie gemm`: matrix products of NumPy files.

use super::budgets::{self, Budgets};
use super::{Arguments, Choice, Failure};
use crate::npy::{self, Array, Data, Float, Header, Uploaded};
use crate::output::{PendingFile, print};
use clap::{Args, ValueEnum};
use gvpie_core::gemm::Accuracy;
use gvpie_core::{Backend, Context, DType, Element, Error, Gemm, Shape, TensorView, f16};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Multiply matrices in NumPy files: C = alpha op(A) op(B) + beta C0.
///
/// Files are .npy, C or Fortran order, of f16, f32 or f64; two axes, or three with the batch
/// first, where a batch of one serves every product. The result has the wider element type of A
/// and B, unless --dtype names another, and is written whole or not at all. Operands that do not fit
/// the device, or the budgets, are read in blocks and multiplied in tiles.
#[derive(Debug, Args)]
pub struct Options {
    /// The left operand
    pub a: PathBuf,
    /// The right operand
    pub b: PathBuf,
    /// Where to write the product
    #[arg(short, long, value_name = "C.npy")]
    pub output: PathBuf,
    /// Use the transpose of A
    #[arg(long)]
    pub transpose_a: bool,
    /// Use the transpose of B
    #[arg(long)]
    pub transpose_b: bool,
    /// Factor of the product
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true)]
    pub alpha: f64,
    /// Factor of C0
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true, requires = "c")]
    pub beta: f64,
    /// A matrix to add, times beta
    #[arg(long, value_name = "C0.npy", requires = "beta")]
    pub c: Option<PathBuf>,
    /// How sums may be rounded: f32 (as accurate as f32), exact (plain f32 arithmetic), f16
    /// (operands may be rounded to f16)
    #[arg(
        long,
        default_value = "f32",
        value_enum,
        hide_possible_values = true,
        value_name = "f32|exact|f16"
    )]
    pub accuracy: AccuracyName,
    /// Element type of the result
    #[arg(long, value_enum, hide_possible_values = true, value_name = "f16|f32|f64")]
    pub dtype: Option<FloatName>,
    /// How much memory to take
    #[command(flatten)]
    pub budgets: Budgets,
}

/// [`Accuracy`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum AccuracyName {
    F32,
    Exact,
    F16,
}

impl AccuracyName {
    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            AccuracyName::F32 => "f32",
            AccuracyName::Exact => "exact",
            AccuracyName::F16 => "f16",
        }
    }
}

impl From<AccuracyName> for Accuracy {
    fn from(name: AccuracyName) -> Self {
        match name {
            AccuracyName::F32 => Accuracy::F32,
            AccuracyName::Exact => Accuracy::Exact,
            AccuracyName::F16 => Accuracy::F16,
        }
    }
}

/// A floating-point type on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum FloatName {
    F16,
    F32,
    F64,
}

impl From<FloatName> for DType {
    fn from(name: FloatName) -> Self {
        match name {
            FloatName::F16 => DType::F16,
            FloatName::F32 => DType::F32,
            FloatName::F64 => DType::F64,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file or operand.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let output = |source| Failure::Output { path: options.output.clone(), source };
    let mut ctx = arguments.context_with(options.budgets.apply(arguments.context_options()?))?;
    let files = [Some(&options.a), Some(&options.b), options.c.as_ref()];
    if files.into_iter().flatten().all(|path| budgets::is_in_blocks(path)) {
        let head = |path: &PathBuf| Header::read::<Data>(path);
        let (a, b) = (head(&options.a)?, head(&options.b)?);
        let c0 = options.c.as_ref().map(head).transpose()?;
        let spec = |x: &Header| Spec { shape: x.shape.clone(), dtype: x.dtype };
        let job = Products::new(options, spec(&a), spec(&b), c0.as_ref().map(spec))?;
        let result = budgets::size(&job.shape, job.dtype);
        let sizes = [budgets::size(&a.shape, a.dtype), budgets::size(&b.shape, b.dtype), result];
        if options.budgets.exceeded_by(&ctx, sizes.into_iter().fold(0, u64::saturating_add)) {
            return run_paged(arguments, options, &ctx, &job, [&a, &b], c0.as_ref());
        }
    }
    let a = Array::read(&options.a)?;
    let b = Array::read(&options.b)?;
    let c0 = options.c.as_deref().map(Array::read).transpose()?;
    let job = Job::new(options, a, b, c0)?;
    let file = PendingFile::create(&options.output).map_err(output)?;

    if arguments.backend == Choice::Auto
        && let Err(reason @ (Error::Unsupported { .. } | Error::Limit { .. })) =
            job.products.problem.plan(&ctx)
    {
        let budgets = options.budgets.apply(arguments.context_options()?);
        ctx = arguments.on_the_host(budgets, &reason)?;
    }
    let doing = format!("multiplying on {}", ctx.adapter());
    let work = |file: &mut PendingFile| job.run(&ctx, file);
    let (algorithm, seconds) = super::fill(&options.output, file, doing, work)?;

    report(arguments, options, &ctx, &algorithm, seconds, &job.products, None)
}

/// The same in tiles, from and to files in blocks.
fn run_paged(
    arguments: &Arguments,
    options: &Options,
    ctx: &Context,
    job: &Products,
    operands: [&Header; 2],
    c0: Option<&Header>,
) -> Result<(), Failure> {
    let output = |source| Failure::Output { path: options.output.clone(), source };
    let file = PendingFile::create(&options.output).map_err(output)?;
    let doing = format!("multiplying on {}", ctx.adapter());
    let work = |file: &mut PendingFile| super::paged::gemm(ctx, job, operands, c0, file);
    let (how, seconds) = super::fill(&options.output, file, doing, work)?;
    report(arguments, options, ctx, &how, seconds, job, Some(budgets::moved(ctx)))
}

fn report(
    arguments: &Arguments,
    options: &Options,
    ctx: &Context,
    path: &str,
    seconds: f64,
    job: &Products,
    moved: Option<serde_json::Value>,
) -> Result<(), Failure> {
    let text = if arguments.json {
        let mut report = serde_json::json!({
            "op": "gemm",
            "shape": job.shape.dims(),
            "dtype": job.dtype.name(),
            "accuracy": options.accuracy.name(),
            "path": path,
            "adapter": ctx.adapter(),
            "seconds": seconds,
            "output": options.output,
        });
        if let Some(moved) = moved {
            report["moved"] = moved;
        }
        format!("{report}\n")
    } else {
        let (file, shape, dtype) = (options.output.display(), &job.shape, job.dtype);
        format!("{file}: {shape} {dtype}, {path} on {}, {seconds:.3} s\n", ctx.adapter())
    };
    Ok(print(&text)?)
}

/// What the problem depends on of an operand.
pub(super) struct Spec {
    shape: Shape,
    dtype: DType,
}

/// A problem, the widening of element types already decided.
pub(super) struct Products {
    /// Whose operands are as the formula has them; which way they lie is to be said.
    pub problem: Gemm,
    /// Of the result.
    pub dtype: DType,
    /// Of the result.
    pub shape: Shape,
    /// Whether A is used transposed.
    pub transpose_a: bool,
    /// Whether B is used transposed.
    pub transpose_b: bool,
}

impl Products {
    fn new(options: &Options, a: Spec, b: Spec, c0: Option<Spec>) -> Result<Self, Failure> {
        let turned = |x: &Spec, turn: bool, name: &str| match x.shape.dims() {
            [.., _, _] if x.shape.rank() <= 3 => {
                let mut dims = x.shape.dims().to_vec();
                if turn {
                    let last = dims.len() - 1;
                    dims.swap(last - 1, last);
                }
                Ok(Shape::from(dims))
            }
            _ => Err(Error::Shape {
                operand: name.into(),
                expected: "2 axes, or 3 with the batch first".into(),
                found: format!("shape {}", x.shape),
            }),
        };
        let (sa, sb) =
            (turned(&a, options.transpose_a, "A")?, turned(&b, options.transpose_b, "B")?);
        let sizes = Gemm::of_shapes(&sa, &sb)?;
        let (m, n, batch) = (sizes.rows(), sizes.columns(), sizes.count());
        let batched = sa.rank() == 3 || sb.rank() == 3;
        let shape = if batched { Shape::from([batch, m, n]) } else { Shape::from([m, n]) };
        if let Some(c0) = &c0
            && c0.shape != shape
        {
            return Err(Error::Shape {
                operand: "C0".into(),
                expected: format!("shape {shape}"),
                found: format!("shape {}", c0.shape),
            }
            .into());
        }
        // Every element type that a file may have promotes.
        let promoted = a.dtype.promote(b.dtype).unwrap_or(DType::F64);
        let dtype = options.dtype.map_or(promoted, DType::from);
        if let Some(c0) = &c0
            && options.dtype.is_none()
            && c0.dtype.promote(dtype) != Some(dtype)
        {
            return Err(Error::Element {
                operand: "C0".into(),
                expected: dtype.name(),
                found: c0.dtype.name(),
            }
            .into());
        }
        let problem = sizes
            .elements(a.dtype, b.dtype, dtype)
            .alpha(options.alpha)
            .beta(options.beta)
            .accuracy(options.accuracy.into());
        let Options { transpose_a, transpose_b, .. } = *options;
        Ok(Products { problem, dtype, shape, transpose_a, transpose_b })
    }
}

/// A problem and its operands.
struct Job<'a> {
    options: &'a Options,
    products: Products,
    a: Array,
    b: Array,
    c0: Option<Array>,
}

impl<'o> Job<'o> {
    fn new(options: &'o Options, a: Array, b: Array, c0: Option<Array>) -> Result<Self, Failure> {
        let spec = |x: &Array| Spec { shape: x.shape.clone(), dtype: x.data.dtype() };
        let products = Products::new(options, spec(&a), spec(&b), c0.as_ref().map(spec))?;
        Ok(Job { options, products, a, b, c0 })
    }

    fn run(&self, ctx: &Context, file: &mut PendingFile) -> Result<String, Failure> {
        match &self.a.data {
            Data::F16(a) => self.with_a(ctx, a, file),
            Data::F32(a) => self.with_a(ctx, a, file),
            Data::F64(a) => self.with_a(ctx, a, file),
        }
    }

    fn with_a<A: Element>(
        &self,
        ctx: &Context,
        a: &[A],
        file: &mut PendingFile,
    ) -> Result<String, Failure> {
        let a = Uploaded::new(ctx, &self.a.shape, self.a.strides(), a)?;
        let a = turn(a.view()?, self.options.transpose_a)?;
        match &self.b.data {
            Data::F16(b) => self.with_b(ctx, a, b, file),
            Data::F32(b) => self.with_b(ctx, a, b, file),
            Data::F64(b) => self.with_b(ctx, a, b, file),
        }
    }

    fn with_b<A: Element, B: Element>(
        &self,
        ctx: &Context,
        a: TensorView<'_, A>,
        b: &[B],
        file: &mut PendingFile,
    ) -> Result<String, Failure> {
        let b = Uploaded::new(ctx, &self.b.shape, self.b.strides(), b)?;
        let b = turn(b.view()?, self.options.transpose_b)?;
        match self.products.dtype {
            DType::F16 => self.with_c::<_, _, f16>(ctx, a, b, file),
            DType::F64 => self.with_c::<_, _, f64>(ctx, a, b, file),
            _ => self.with_c::<_, _, f32>(ctx, a, b, file),
        }
    }

    fn with_c<A: Element, B: Element, C: Float>(
        &self,
        ctx: &Context,
        a: TensorView<'_, A>,
        b: TensorView<'_, B>,
        file: &mut PendingFile,
    ) -> Result<String, Failure> {
        let plan = self.products.problem.plan(ctx)?;
        let mut c = match &self.c0 {
            Some(c0) => {
                // C0 may be in Fortran order; C is written row-major.
                let data = C::take(c0.data.clone());
                let host = Context::on(Backend::Cpu)?;
                let dense =
                    Uploaded::new(&host, &c0.shape, c0.strides(), &data)?.view()?.download()?;
                ctx.upload(&self.products.shape, &dense)?
            }
            None => ctx.zeros(&self.products.shape)?,
        };
        plan.run(a, b, &mut c)?;
        npy::write(file, &self.products.shape, &c.download()?)?;
        Ok(super::bench::path(&plan)?)
    }
}

fn turn<T: Element>(
    view: TensorView<'_, T>,
    transpose: bool,
) -> gvpie_core::Result<TensorView<'_, T>> {
    if transpose { view.transpose() } else { Ok(view) }
}
