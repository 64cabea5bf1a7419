//! `gvpie fft`: Fourier transforms of NumPy files.

use super::budgets;
use super::{Arguments, Choice, Failure};
use crate::npy::{self, Array, Float, Header, Numbers, Uploaded};
use crate::output::{PendingFile, print};
use clap::{Args, ValueEnum};
use gvpie_core::fft::{FftPlan, Norm};
use gvpie_core::{Budgets, Complex, Context, DType, Element, Error, Fft, Shape};
use std::path::PathBuf;

/// Transform an array in a NumPy file: as numpy.fft.fftn, ifftn, rfftn or irfftn.
///
/// The file is .npy, C or Fortran order, of complex64, complex128, f16, f32 or f64. Double
/// precision is computed in double precision, all else in single; real numbers count as complex
/// ones, unless --real says that only half of their spectrum is wanted. The result is complex
/// (real for --real --inverse), and is written whole or not at all. An array that does not fit the
/// device, or the budgets, is read in blocks and transformed in slabs of lines.
#[derive(Debug, Args)]
pub struct Options {
    /// The array
    #[arg(value_name = "X.npy")]
    pub input: PathBuf,
    /// Where to write the transform
    #[arg(short, long, value_name = "Y.npy")]
    pub output: PathBuf,
    /// The inverse transform
    #[arg(long)]
    pub inverse: bool,
    /// From real numbers to the n/2 + 1 non-redundant elements along the last of the axes; with
    /// --inverse from these m elements to real numbers, 2(m - 1) unless --n says
    #[arg(long)]
    pub real: bool,
    /// The axes to transform along, negative ones counted from the end; the last one, or as many
    /// last ones as --n has numbers, unless said
    #[arg(long, value_name = "A[,A]", value_delimiter = ',', allow_hyphen_values = true)]
    pub axes: Vec<i64>,
    /// What is divided by the number of elements: the inverse (backward), both by its root
    /// (ortho), or the forward transform (forward)
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        default_value = "backward",
        value_name = "backward|ortho|forward"
    )]
    pub norm: NormName,
    /// Lengths of the transform along the axes: the array is cropped, or filled up with zeros
    #[arg(long, value_name = "N[,N]", value_delimiter = ',', value_parser = super::at_least_one)]
    pub n: Vec<usize>,
    /// How much memory to take
    #[command(flatten)]
    pub budgets: budgets::Budgets,
}

/// [`Norm`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum NormName {
    Backward,
    Ortho,
    Forward,
}

impl NormName {
    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            NormName::Backward => "backward",
            NormName::Ortho => "ortho",
            NormName::Forward => "forward",
        }
    }
}

impl From<NormName> for Norm {
    fn from(name: NormName) -> Self {
        match name {
            NormName::Backward => Norm::Backward,
            NormName::Ortho => Norm::Ortho,
            NormName::Forward => Norm::Forward,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file or axis.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let output = |source| Failure::Output { path: options.output.clone(), source };
    let mut ctx = arguments.context_with(options.budgets.apply(arguments.context_options()?))?;
    if budgets::is_in_blocks(&options.input) {
        let head = Header::read::<Numbers>(&options.input)?;
        let job = Job::new(options, &head.shape, head.dtype)?;
        let size = |(shape, dtype): (Shape, DType)| budgets::size(&shape, dtype);
        let bytes = size(job.problem.input()).saturating_add(size(job.problem.output()));
        if options.budgets.exceeded_by(&ctx, bytes) {
            return run_paged(arguments, options, &ctx, &job, &head);
        }
    }
    let x: Array<Numbers> = Array::read(&options.input)?;
    let job = Job::new(options, &x.shape, x.data.dtype())?;
    let file = PendingFile::create(&options.output).map_err(output)?;

    if arguments.backend == Choice::Auto
        && let Err(reason @ (Error::Unsupported { .. } | Error::Limit { .. })) =
            job.problem.plan(&ctx)
    {
        let budgets = options.budgets.apply(arguments.context_options()?);
        ctx = arguments.on_the_host(budgets, &reason)?;
    }
    let doing = format!("transforming on {}", ctx.adapter());
    let work = |file: &mut PendingFile| job.run(&ctx, x, file);
    let (path, seconds) = super::fill(&options.output, file, doing, work)?;

    report(arguments, options, &ctx, &job, &path, seconds, None)
}

/// The same in slabs, from and to files in blocks.
fn run_paged(
    arguments: &Arguments,
    options: &Options,
    ctx: &Context,
    job: &Job,
    x: &Header,
) -> Result<(), Failure> {
    let output = |source| Failure::Output { path: options.output.clone(), source };
    if job.is_cut(&x.shape) {
        return Err(Error::Unsupported {
            what: "cropping or filling up an array that does not fit".into(),
            reason: "bring it to its lengths before".into(),
        }
        .into());
    }
    let file = PendingFile::create(&options.output).map_err(output)?;
    let doing = format!("transforming on {}", ctx.adapter());
    let work = |file: &mut PendingFile| super::paged::fft(ctx, &job.problem, x, file);
    let (how, seconds) = super::fill(&options.output, file, doing, work)?;
    report(arguments, options, ctx, job, &how, seconds, Some(budgets::moved(ctx)))
}

fn report(
    arguments: &Arguments,
    options: &Options,
    ctx: &Context,
    job: &Job,
    path: &str,
    seconds: f64,
    moved: Option<serde_json::Value>,
) -> Result<(), Failure> {
    let (shape, dtype) = job.problem.output();
    let text = if arguments.json {
        let mut report = serde_json::json!({
            "op": "fft",
            "shape": shape.dims(),
            "dtype": dtype.name(),
            "axes": job.axes,
            "n": job.lengths,
            "norm": options.norm.name(),
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
        let name = options.output.display();
        format!("{name}: {shape} {dtype}, {path} on {}, {seconds:.3} s\n", ctx.adapter())
    };
    Ok(print(&text)?)
}

/// How a plan computes, in one line.
pub(super) fn path(plan: &FftPlan) -> String {
    let passes = plan.recipe().map(ToString::to_string).unwrap_or("cpu".into());
    passes.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// A problem, and what has to be done to the array before.
struct Job {
    problem: Fft,
    axes: Vec<usize>,
    /// Of the signal, along the axes.
    lengths: Vec<usize>,
    /// Real numbers on the real side.
    real: bool,
    inverse: bool,
    /// Whether the array is brought to the problem's shape here: the plan itself fills up with
    /// zeros along the last of the axes only.
    refit: bool,
}

impl Job {
    fn new(options: &Options, shape: &Shape, stored: DType) -> Result<Self, Failure> {
        let Options { real, inverse, .. } = *options;
        let file = options.input.display();
        let dims = shape.dims();
        let axes = axes(options, shape)?;
        if real && !inverse && matches!(stored, DType::C64 | DType::C128) {
            return Err(Error::Element {
                operand: format!("{file}, for --real"),
                expected: "f16, f32 or f64",
                found: stored.name(),
            }
            .into());
        }
        if !options.n.is_empty() && options.n.len() != axes.len() {
            return Err(Error::Shape {
                operand: "--n".into(),
                expected: format!("{} lengths, as there are axes", axes.len()),
                found: options.n.len().to_string(),
            }
            .into());
        }
        let mut lengths: Vec<usize> = axes.iter().map(|&axis| dims[axis]).collect();
        if let (true, Some(last)) = (real && inverse, lengths.last_mut()) {
            if *last < 2 && options.n.is_empty() {
                let axis = axes.last().copied().unwrap_or_default();
                return Err(Error::Shape {
                    operand: file.to_string(),
                    expected: format!("at least 2 elements along axis {axis}, or a length by --n"),
                    found: format!("shape {}", shape),
                }
                .into());
            }
            *last = last.saturating_sub(1).saturating_mul(2);
        }
        if !options.n.is_empty() {
            lengths.clone_from(&options.n);
        }
        if let Some((&axis, _)) = axes.iter().zip(&lengths).find(|&(_, &n)| n == 0) {
            return Err(Error::Shape {
                operand: file.to_string(),
                expected: format!("at least 1 element along axis {axis}, or a length by --n"),
                found: format!("shape {}", shape),
            }
            .into());
        }

        let mut signal = dims.to_vec();
        axes.iter().zip(&lengths).for_each(|(&axis, &n)| signal[axis] = n);
        let double = matches!(stored, DType::F64 | DType::C128);
        let mut problem = if real { Fft::real(signal) } else { Fft::new(signal) }
            .axes(axes.clone())
            .precision(if double { DType::F64 } else { DType::F32 })
            .norm(options.norm.into());
        if inverse {
            problem = problem.inverse();
        }
        let (wanted, _) = problem.input();
        let short = |&axis: &usize| dims[axis] < wanted.dims()[axis];
        let (refit, pad) = match axes.split_last() {
            Some((last, others)) if short(last) => {
                let by_plan = dims[*last] > 0 && !(real && inverse);
                let refit = !by_plan || others.iter().any(short);
                (refit, (!refit).then_some(dims[*last]))
            }
            Some((_, others)) => (others.iter().any(short), None),
            None => (false, None),
        };
        if let Some(given) = pad {
            problem = problem.pad(given);
        }
        Ok(Job { problem, axes, lengths, real, inverse, refit })
    }

    /// Whether the array has other extents than the problem's input.
    fn is_cut(&self, shape: &Shape) -> bool {
        self.refit || self.problem.input().0 != *shape
    }

    /// Transforms the array into the file; how.
    fn run(
        &self,
        ctx: &Context,
        x: Array<Numbers>,
        file: &mut PendingFile,
    ) -> Result<String, Failure> {
        let strides = x.strides();
        let place = Place { shape: x.shape, strides };
        let halves = self.real && !self.inverse;
        let double = x.data.dtype() == DType::F64;
        match x.data {
            Numbers::Real(data) if halves && double => {
                self.transform::<_, Complex<f64>>(ctx, &f64::take(data), &place, file)
            }
            Numbers::Real(data) if halves => {
                self.transform::<_, Complex<f32>>(ctx, &f32::take(data), &place, file)
            }
            Numbers::Real(data) if double => {
                let data: Vec<_> = f64::take(data).into_iter().map(Complex::from).collect();
                self.of_complex(ctx, &data, &place, file)
            }
            Numbers::Real(data) => {
                let data: Vec<_> = f32::take(data).into_iter().map(Complex::from).collect();
                self.of_complex(ctx, &data, &place, file)
            }
            Numbers::C64(data) => self.of_complex(ctx, &data, &place, file),
            Numbers::C128(data) => self.of_complex(ctx, &data, &place, file),
        }
    }

    fn of_complex<T: Float>(
        &self,
        ctx: &Context,
        x: &[Complex<T>],
        place: &Place,
        file: &mut PendingFile,
    ) -> Result<String, Failure>
    where
        Complex<T>: Element + npyz::AutoSerialize,
    {
        if self.real {
            self.transform::<_, T>(ctx, x, place, file)
        } else {
            self.transform::<_, Complex<T>>(ctx, x, place, file)
        }
    }

    fn transform<X: Element, Y: Element + npyz::AutoSerialize>(
        &self,
        ctx: &Context,
        x: &[X],
        place: &Place,
        file: &mut PendingFile,
    ) -> Result<String, Failure> {
        let plan = self.problem.plan(ctx)?;
        let (given, _) = self.problem.input();
        let x = if self.refit {
            Uploaded::new(ctx, &given, given.strides(), &place.refit(x, &given)?)?
        } else {
            Uploaded::new(ctx, &place.shape, place.strides.clone(), x)?
        };
        let mut view = x.view()?;
        for (axis, &extent) in given.dims().iter().enumerate() {
            view = view.slice(axis, 0..extent)?;
        }
        let (shape, _) = self.problem.output();
        let mut y = ctx.zeros::<Y>(&shape)?;
        plan.run(view, &mut y)?;
        npy::write(file, &shape, &y.download()?)?;
        Ok(path(&plan))
    }
}

/// The axes that are asked for, counted from the first.
fn axes(options: &Options, shape: &Shape) -> Result<Vec<usize>, Failure> {
    let (rank, file) = (shape.rank(), options.input.display());
    let wrong = |operand: &str, expected: String, found: String| {
        Failure::from(Error::Shape { operand: operand.into(), expected, found })
    };
    if options.axes.is_empty() {
        let count = options.n.len().max(1);
        let expected = || format!("at least {count} axes to transform along");
        let first = rank
            .checked_sub(count)
            .ok_or_else(|| wrong(&file.to_string(), expected(), format!("shape {shape}")))?;
        return Ok((first..rank).collect());
    }
    let mut axes = Vec::with_capacity(options.axes.len());
    for &axis in &options.axes {
        let from_end = if axis < 0 { rank } else { 0 };
        let counted = from_end.checked_add_signed(axis as isize).filter(|&axis| axis < rank);
        let Some(counted) = counted else {
            let expected = format!("axes of {file}, whose shape is {shape}");
            return Err(wrong("--axes", expected, axis.to_string()));
        };
        if axes.contains(&counted) {
            let found = format!("axis {counted} again");
            return Err(wrong("--axes", "each axis once".into(), found));
        }
        axes.push(counted);
    }
    Ok(axes)
}

/// Where the elements of an array lie.
struct Place {
    shape: Shape,
    strides: Vec<usize>,
}

impl Place {
    /// The array with these extents, row-major: cropped, or filled up with zeros.
    fn refit<T: Element>(&self, x: &[T], to: &Shape) -> Result<Vec<T>, Error> {
        let count = to.len().unwrap_or(usize::MAX);
        let mut fitted = Vec::new();
        fitted.try_reserve_exact(count).map_err(|_| Error::OutOfMemory {
            what: format!("the input of shape {to}"),
            asked: count.saturating_mul(size_of::<T>()) as u64,
            in_use: 0,
            budgets: Budgets::default(),
        })?;
        fitted.resize(count, T::default());
        let steps = to.strides();
        let kept: Vec<usize> =
            self.shape.dims().iter().zip(to.dims()).map(|(&from, &to)| from.min(to)).collect();
        if kept.contains(&0) {
            return Ok(fitted);
        }
        let mut index = vec![0; kept.len()];
        loop {
            let at = |strides: &[usize]| index.iter().zip(strides).map(|(i, s)| i * s).sum();
            let (from, into): (usize, usize) = (at(&self.strides), at(&steps));
            fitted[into] = x[from];
            let Some(axis) = (0..kept.len()).rev().find(|&axis| index[axis] + 1 < kept[axis])
            else {
                return Ok(fitted);
            };
            index[axis] += 1;
            index[axis + 1..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_cropped_and_filled_up() {
        // 2x3, column by column.
        let place = Place { shape: [2, 3].into(), strides: vec![1, 2] };
        let x = [1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0];
        let to = |shape: [usize; 2]| place.refit(&x, &shape.into()).unwrap();
        assert_eq!(to([2, 3]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(to([3, 2]), [1.0, 2.0, 4.0, 5.0, 0.0, 0.0]);
        assert_eq!(to([1, 4]), [1.0, 2.0, 3.0, 0.0]);
        let nothing = Place { shape: [0].into(), strides: vec![1] };
        assert_eq!(nothing.refit::<f32>(&[], &[2].into()).unwrap(), [0.0, 0.0]);
        let error = place.refit(&x, &[usize::MAX, 2].into()).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    }
}
