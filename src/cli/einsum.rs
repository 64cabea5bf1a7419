//! `gvpie einsum`: sums of products of NumPy files.

use super::budgets::{self, Budgets};
use super::{Arguments, Choice, Failure};
use crate::bytes;
use crate::npy::{self, Array, Data, Float, Header, Numbers, Uploaded};
use crate::output::{PendingFile, print};
use clap::{Args, ValueEnum};
use gvpie_core::einsum::{EinsumPath, EinsumPlan, Order};
use gvpie_core::{Complex, Context, DType, Einsum, Element, Error, Shape, f16};
use std::path::{Path, PathBuf};

/// Contract arrays in NumPy files: as numpy.einsum.
///
/// The expression names the axes of each array by letters; letters that the result does not name are
/// summed over. Without '->' the result has the letters that occur once. '...' stands for the axes
/// that are left, and is broadcast; a letter twice in an array is its diagonal.
///
/// Files are .npy, C or Fortran order, of f16, f32, f64, complex64 or complex128. The result has the
/// type that NumPy would give it, and is written whole or not at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// What to compute, as in 'bij,bjk->bik'
    pub expression: String,
    /// The arrays
    #[arg(value_name = "A.npy", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Where to write the result
    #[arg(short, long, value_name = "C.npy", required_unless_present = "path")]
    pub output: Option<PathBuf>,
    /// Print the order of contractions, what each costs and how it is computed, and compute nothing
    #[arg(long, conflicts_with = "output")]
    pub path: bool,
    /// The most bytes that an intermediate result may have, as in 2GiB
    #[arg(long, value_name = "SIZE", value_parser = bytes::parse)]
    pub memory_limit: Option<u64>,
    /// How the order of contractions is searched: the best of few arrays and greedily of many (auto),
    /// the best, or greedily
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        default_value = "auto",
        value_name = "auto|optimal|greedy"
    )]
    pub order: OrderName,
    /// How much memory to take
    #[command(flatten)]
    pub budgets: Budgets,
}

impl Options {
    /// Whether the arrays can be read in parts.
    fn is_in_blocks(&self) -> bool {
        self.inputs.iter().all(|path| budgets::is_in_blocks(path))
    }

    fn heads(&self) -> Result<Vec<Header>, npy::Error> {
        self.inputs.iter().map(|path| Header::read::<Numbers>(path)).collect()
    }

    fn arrays(&self) -> Result<Vec<Array<Numbers>>, npy::Error> {
        self.inputs.iter().map(|path| Array::read(path)).collect()
    }

    /// The arrays' headers, what is to be computed of them, and the bytes of all with the result.
    fn describe(&self) -> Result<(Vec<Header>, Einsum, u64), Failure> {
        let heads = self.heads()?;
        let dtype = promoted(heads.iter().map(|head| head.dtype));
        let shapes: Vec<Shape> = heads.iter().map(|head| head.shape.clone()).collect();
        let problem = self.problem(dtype);
        let result = problem.shape(&shapes)?;
        let sizes = shapes.iter().chain([&result]).map(|shape| budgets::size(shape, dtype));
        let bytes = sizes.fold(0, u64::saturating_add);
        Ok((heads, problem, bytes))
    }

    fn problem(&self, dtype: DType) -> Einsum {
        let problem = Einsum::new(&self.expression).element(dtype).order(self.order.into());
        match self.memory_limit {
            Some(bytes) => problem.memory_limit(bytes),
            None => problem,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  gvpie einsum 'bij,bjk->bik' A.npy B.npy -o C.npy   a batch of matrix products
  gvpie einsum 'ij,j->i' A.npy X.npy -o Y.npy        a matrix times a vector
  gvpie einsum 'ii' A.npy -o TRACE.npy               a trace
  gvpie einsum '...ij->...ji' A.npy -o T.npy         transposes
  gvpie einsum 'ij,jk,kl->il' A.npy B.npy C.npy --path --memory-limit 2GiB
  gvpie einsum 'ij,jk->ik' A.npy B.npy -o C.npy --device-budget 512MiB --host-budget 1GiB
                                                     arrays that do not fit, in blocks";

/// [`Order`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum OrderName {
    Auto,
    Optimal,
    Greedy,
}

impl From<OrderName> for Order {
    fn from(name: OrderName) -> Self {
        match name {
            OrderName::Auto => Order::Auto,
            OrderName::Optimal => Order::Optimal,
            OrderName::Greedy => Order::Greedy,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file or the place in the expression.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let Some(to) = &options.output else { return show_path(arguments, options) };
    let described = if options.is_in_blocks() { Some(options.describe()?) } else { None };
    let mut ctx = arguments.context_with(options.budgets.apply(arguments.context_options()?))?;
    if let Some((heads, problem, bytes)) = &described
        && options.budgets.exceeded_by(&ctx, *bytes)
    {
        return run_paged(arguments, options, ctx, problem, heads, to);
    }
    let arrays = options.arrays()?;
    let dtype = promoted(arrays.iter().map(|array| array.data.dtype()));
    let problem = options.problem(dtype);
    let shapes: Vec<Shape> = arrays.iter().map(|array| array.shape.clone()).collect();
    let file =
        PendingFile::create(to).map_err(|source| Failure::Output { path: to.clone(), source })?;
    if arguments.backend == Choice::Auto
        && let Err(reason @ (Error::Unsupported { .. } | Error::Limit { .. })) =
            problem.plan(&ctx, &shapes)
    {
        let budgets = options.budgets.apply(arguments.context_options()?);
        ctx = arguments.on_the_host(budgets, &reason)?;
    }
    let run = match dtype {
        DType::F16 => contract::<f16>,
        DType::F64 => contract::<f64>,
        DType::C64 => contract::<Complex<f32>>,
        DType::C128 => contract::<Complex<f64>>,
        _ => contract::<f32>,
    };
    let doing = format!("contracting on {}", ctx.adapter());
    let work = |file: &mut PendingFile| {
        let plan = problem.plan(&ctx, &shapes)?;
        run(&ctx, &plan, arrays, file)?;
        Ok(plan)
    };
    let (plan, seconds) = super::fill(to, file, doing, work)?;

    let (how, shape) = (plan.path(), plan.shape());
    let text = if arguments.json {
        written(json(&how), to, shape, dtype, &ctx, seconds, None)
    } else {
        let name = to.display();
        format!("{name}: {shape} {dtype}, {} on {}, {seconds:.3} s\n", works(&how), ctx.adapter())
    };
    Ok(print(&text)?)
}

/// Prints the order of contractions.
fn show_path(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let described: Vec<(Shape, DType)> = if options.is_in_blocks() {
        options.heads()?.into_iter().map(|head| (head.shape, head.dtype)).collect()
    } else {
        options.arrays()?.into_iter().map(|array| (array.shape, array.data.dtype())).collect()
    };
    let (shapes, dtypes): (Vec<Shape>, Vec<DType>) = described.into_iter().unzip();
    let path = options.problem(promoted(dtypes)).path(&shapes)?;
    let text = match arguments.json {
        true => format!("{}\n", json(&path)),
        false => path.to_string(),
    };
    Ok(print(&text)?)
}

/// The same block after block, from and to files in blocks.
fn run_paged(
    arguments: &Arguments,
    options: &Options,
    mut ctx: Context,
    problem: &Einsum,
    heads: &[Header],
    to: &Path,
) -> Result<(), Failure> {
    let shapes: Vec<Shape> = heads.iter().map(|head| head.shape.clone()).collect();
    let file =
        PendingFile::create(to).map_err(|source| Failure::Output { path: to.into(), source })?;
    if arguments.backend == Choice::Auto
        && let Err(reason @ Error::Unsupported { .. }) = problem.plan_paged(&ctx, &shapes)
    {
        let budgets = options.budgets.apply(arguments.context_options()?);
        ctx = arguments.on_the_host(budgets, &reason)?;
    }
    let doing = format!("contracting on {}", ctx.adapter());
    let work = |file: &mut PendingFile| {
        let plan = problem.plan_paged(&ctx, &shapes)?;
        super::paged::einsum(&ctx, &plan, heads, file)?;
        Ok(plan)
    };
    let (plan, seconds) = super::fill(to, file, doing, work)?;

    let dtype = problem.dtype();
    let (shape, blocks) = (plan.shape(), plan.blocks());
    let text = if arguments.json {
        let how = serde_json::json!({
            "op": "einsum",
            "expression": problem.expression(),
            "blocks": blocks,
        });
        written(how, to, &shape, dtype, &ctx, seconds, Some(budgets::moved(&ctx)))
    } else {
        let name = to.display();
        format!("{name}: {shape} {dtype}, {blocks} blocks on {}, {seconds:.3} s\n", ctx.adapter())
    };
    Ok(print(&text)?)
}

/// A report of what is in a file.
fn written(
    mut report: serde_json::Value,
    to: &Path,
    shape: &Shape,
    dtype: DType,
    ctx: &Context,
    seconds: f64,
    moved: Option<serde_json::Value>,
) -> String {
    report["shape"] = shape.dims().into();
    report["dtype"] = dtype.name().into();
    report["adapter"] = ctx.adapter().into();
    report["seconds"] = seconds.into();
    report["output"] = to.to_string_lossy().into();
    if let Some(moved) = moved {
        report["moved"] = moved;
    }
    format!("{report}\n")
}

/// How the steps are computed, in one line.
pub(super) fn works(path: &EinsumPath) -> String {
    let works: Vec<&str> = path.steps().iter().map(|step| &step.work[..]).collect();
    if works.is_empty() { "nothing to do".into() } else { works.join("; ") }
}

fn json(path: &EinsumPath) -> serde_json::Value {
    let steps: Vec<_> = path
        .steps()
        .iter()
        .map(|step| {
            serde_json::json!({
                "contraction": step.expression,
                "operations": step.operations,
                "bytes": step.bytes,
                "by": step.work,
            })
        })
        .collect();
    serde_json::json!({
        "op": "einsum",
        "expression": path.expression(),
        "operations": path.operations(),
        "naive_operations": path.naive_operations(),
        "largest_intermediate": path.largest_intermediate(),
        "workspace": path.workspace(),
        "steps": steps,
    })
}

/// The type that holds all elements, as NumPy promotes them.
fn promoted(dtypes: impl IntoIterator<Item = DType>) -> DType {
    let dtypes: Vec<DType> = dtypes.into_iter().collect();
    let has = |wanted: &[DType]| dtypes.iter().any(|dtype| wanted.contains(dtype));
    let double = has(&[DType::F64, DType::C128]);
    match (has(&[DType::C64, DType::C128]), double) {
        (true, true) => DType::C128,
        (true, false) => DType::C64,
        (false, true) => DType::F64,
        (false, false) if has(&[DType::F32]) => DType::F32,
        (false, false) => DType::F16,
    }
}

/// An element that every file's elements can be turned into.
trait Take: Element + npyz::AutoSerialize {
    fn take(numbers: Numbers) -> Vec<Self>;
}

macro_rules! take {
    ($($float:ty, $complex:ident);*) => {$(
        impl Take for Complex<$float> {
            fn take(numbers: Numbers) -> Vec<Self> {
                let wide = |z: Complex<f32>| Complex::new(z.re.into(), z.im.into());
                match numbers {
                    Numbers::Real(data) => {
                        <$float as Float>::take(data).into_iter().map(Complex::from).collect()
                    }
                    Numbers::C64(z) => z.into_iter().map(wide).collect(),
                    // Never narrowed: with one such array the type is this.
                    Numbers::C128(z) => {
                        z.into_iter().map(|z| Complex::new(z.re as $float, z.im as $float)).collect()
                    }
                }
            }
        }
    )*};
}
take!(f32, C64; f64, C128);

macro_rules! take_real {
    ($($float:ty),*) => {$(
        impl Take for $float {
            fn take(numbers: Numbers) -> Vec<Self> {
                let real = match numbers {
                    Numbers::Real(data) => data,
                    // Never so: with one such array the type is complex.
                    Numbers::C64(z) => Data::F32(z.into_iter().map(|z| z.re).collect()),
                    Numbers::C128(z) => Data::F64(z.into_iter().map(|z| z.re).collect()),
                };
                <$float as Float>::take(real)
            }
        }
    )*};
}
take_real!(f16, f32, f64);

fn contract<T: Take>(
    ctx: &Context,
    plan: &EinsumPlan,
    arrays: Vec<Array<Numbers>>,
    file: &mut PendingFile,
) -> Result<(), Failure> {
    let mut uploaded = Vec::new();
    for array in arrays {
        let strides = array.strides();
        uploaded.push(Uploaded::new(ctx, &array.shape, strides, &T::take(array.data))?);
    }
    let views = uploaded.iter().map(Uploaded::view).collect::<Result<Vec<_>, _>>()?;
    let mut y = ctx.zeros::<T>(plan.shape())?;
    plan.run(&views, &mut y)?;
    Ok(npy::write(file, plan.shape(), &y.download()?)?)
}
