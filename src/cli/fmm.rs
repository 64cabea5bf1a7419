//! `gvpie fmm`: potentials and gradients of many charges, from NumPy files.

use super::{Arguments, Choice, Failure};
use crate::bodies::finite;
use crate::npy::{self, Array, Float};
use crate::output::{PendingFile, print};
use clap::{Args, ValueEnum};
use gvpie_core::fmm::{Algorithm, FmmPlan, Method, Report};
use gvpie_core::{Context, DType, Error, Fmm, Shape};
use std::path::{Path, PathBuf};

/// Sum 1/r over many charges or masses: potential and gradient at every one of them.
///
/// The file is .npy of N rows x, y, z, charge; the result has N rows of the potential, the sum of
/// q/r, and its gradient, the sum of q (y - x)/r³: +1 times the gravity of masses, -1 times the
/// force between charges, at a unit of its own. A pair at distance 0 contributes nothing, unless
/// there is a softening. f64 is computed in f64, which a GPU does not do; all else in f32. The
/// result is written whole or not at all.
#[derive(Debug, Args)]
pub struct Options {
    /// The charges: N rows x, y, z, charge
    #[arg(value_name = "POINTS.npy")]
    pub input: PathBuf,
    /// Where to write N rows of potential and gradient
    #[arg(short, long, value_name = "OUT.npy")]
    pub output: PathBuf,
    /// How: the fast multipole method, every pair, or whichever takes less time
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        default_value = "auto",
        value_name = "auto|fmm|direct"
    )]
    pub method: MethodName,
    /// The most that potentials, and gradients, may err, relative to them all (in L2)
    #[arg(
        long,
        value_name = "ERROR",
        default_value = "1e-5",
        value_parser = super::above_zero,
        conflicts_with = "order"
    )]
    pub tolerance: f64,
    /// Expansions to this degree instead, whatever the error
    #[arg(long, value_name = "P", value_parser = super::at_least_one)]
    pub order: Option<usize>,
    /// Other points to compute at: rows x, y, z, and if there is a fourth number it is not read
    #[arg(long, value_name = "T.npy")]
    pub targets: Option<PathBuf>,
    /// Copies of the cube from 0 to L fill all of space
    #[arg(long, value_name = "L", value_parser = super::above_zero)]
    pub periodic: Option<f64>,
    /// Neutralise the net charge of the cube evenly; without it, one is an error
    #[arg(long, requires = "periodic")]
    pub background: bool,
    /// Soften: r is the root of the distance's square and this one's
    #[arg(long, value_name = "LENGTH", default_value = "0", value_parser = super::from_zero)]
    pub softening: f64,
}

/// [`Method`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum MethodName {
    Auto,
    Fmm,
    Direct,
}

impl MethodName {
    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            MethodName::Auto => "auto",
            MethodName::Fmm => "fmm",
            MethodName::Direct => "direct",
        }
    }
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Auto => Method::Auto,
            MethodName::Fmm => Method::Fmm,
            MethodName::Direct => Method::Direct,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file and its row.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let output = |source| Failure::Output { path: options.output.clone(), source };
    let points: Array = Array::read(&options.input)?;
    let targets = options.targets.as_deref().map(Array::read).transpose()?;
    let job = Job::new(options, &points, targets.as_ref())?;
    let file = PendingFile::create(&options.output).map_err(output)?;

    let mut ctx = arguments.context()?;
    if arguments.backend == Choice::Auto
        && let Err(reason @ (Error::Unsupported { .. } | Error::Limit { .. })) =
            job.problem.plan(&ctx)
    {
        ctx = arguments.on_the_host(arguments.context_options()?, &reason)?;
    }
    let doing = format!("summing on {}", ctx.adapter());
    let work = |file: &mut PendingFile| match job.precision {
        DType::F64 => job.sum::<f64>(&ctx, options, points, targets, file),
        _ => job.sum::<f32>(&ctx, options, points, targets, file),
    };
    let ((plan, report), seconds) = super::fill(&options.output, file, doing, work)?;

    let rows = job.targets.unwrap_or(job.sources);
    let Report { levels, cells, leaves, translations, pairs, tree, evaluation, .. } = report;
    let text = if arguments.json {
        let (method, order, leaf) = match plan.algorithm() {
            Algorithm::Fmm { order, leaf } => ("fmm", Some(order), Some(leaf)),
            _ => ("direct", None, None),
        };
        let report = serde_json::json!({
            "op": "fmm",
            "sources": job.sources,
            "targets": rows,
            "dtype": job.precision.name(),
            "method": method,
            "order": order,
            "leaf": leaf,
            "bound": plan.bound(),
            "levels": levels,
            "cells": cells,
            "leaves": leaves,
            "translations": translations,
            "pairs": pairs,
            "tree_seconds": tree.as_secs_f64(),
            "evaluation_seconds": evaluation.as_secs_f64(),
            "adapter": ctx.adapter(),
            "seconds": seconds,
            "output": options.output,
        });
        format!("{report}\n")
    } else {
        let (name, dtype, path) = (options.output.display(), job.precision, plan.algorithm());
        let done = match plan.algorithm() {
            Algorithm::Direct => format!("{pairs} pairs"),
            _ => format!(
                "{levels} levels, {cells} cells, {translations} translations, {pairs} pairs"
            ),
        };
        let (bound, adapter) = (plan.bound(), ctx.adapter());
        format!(
            "{name}: {rows}x4 {dtype}, {path} on {adapter}, {done}, error at most {bound:.1e}, \
             {seconds:.3} s\n"
        )
    };
    Ok(print(&text)?)
}

/// A checked sum.
struct Job {
    problem: Fmm,
    sources: usize,
    targets: Option<usize>,
    precision: DType,
}

impl Job {
    fn new(options: &Options, points: &Array, targets: Option<&Array>) -> Result<Self, Failure> {
        let rows = |array: &Array, path: &Path, three: bool| match *array.shape.dims() {
            [rows, 4] => Ok(rows),
            [rows, 3] if three => Ok(rows),
            _ => {
                let expected =
                    if three { "shape Mx3 or Mx4: x, y, z" } else { "shape Nx4: x, y, z, charge" };
                Err(Failure::from(Error::Shape {
                    operand: path.display().to_string(),
                    expected: expected.into(),
                    found: format!("shape {}", array.shape),
                }))
            }
        };
        let sources = rows(points, &options.input, false)?;
        let targets_path = options.targets.as_deref().unwrap_or(Path::new(""));
        let count = targets.map(|array| rows(array, targets_path, true)).transpose()?;
        let double = [Some(points), targets]
            .into_iter()
            .flatten()
            .any(|array| array.data.dtype() == DType::F64);
        let precision = if double { DType::F64 } else { DType::F32 };
        let mut problem = Fmm::new(sources)
            .precision(precision)
            .softening(options.softening)
            .method(options.method.into());
        problem = match options.order {
            Some(order) => problem.order(order),
            None => problem.tolerance(options.tolerance),
        };
        if let Some(count) = count {
            problem = problem.targets(count);
        }
        if let Some(side) = options.periodic {
            problem = problem.periodic(side);
        }
        if options.background {
            problem = problem.background();
        }
        Ok(Job { problem, sources, targets: count, precision })
    }

    fn sum<T: Float>(
        &self,
        ctx: &Context,
        options: &Options,
        points: Array,
        targets: Option<Array>,
        file: &mut PendingFile,
    ) -> Result<(FmmPlan, Report), Failure> {
        let points: Vec<T> = points.dense();
        finite(&points, 4, &options.input)?;
        let plan = self.problem.plan(ctx)?;
        let points = ctx.upload([self.sources, 4], &points)?;
        let shape = Shape::from([self.targets.unwrap_or(self.sources), 4]);
        let mut result = ctx.zeros::<T>(&shape)?;
        let report = match (targets, &options.targets) {
            (Some(targets), Some(path)) => {
                let width = targets.shape.dims()[1];
                let mut rows: Vec<T> = targets.dense();
                if width == 3 {
                    let wide = |row: &[T]| [row[0], row[1], row[2], T::default()];
                    rows = rows.chunks_exact(3).flat_map(wide).collect();
                } else {
                    // What may be there is not read: not as a number either.
                    rows.iter_mut().skip(3).step_by(4).for_each(|q| *q = T::default());
                }
                finite(&rows, 4, path)?;
                plan.run_at(&points, &ctx.upload(&shape, &rows)?, &mut result)?
            }
            _ => plan.run(&points, &mut result)?,
        };
        npy::write(file, &shape, &result.download()?)?;
        Ok((plan, report))
    }
}
