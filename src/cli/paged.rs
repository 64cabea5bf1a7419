//! Products and transforms of files that do not fit: read in blocks, computed in parts, written in
//! blocks.

use super::Failure;
use super::gemm::Products;
use crate::npy::{Converted, Float, Header};
use crate::output::PendingFile;
use gvpie_core::einsum::PagedEinsum;
use gvpie_core::paged::FileSource;
use gvpie_core::{Complex, Context, DType, Element, Error, Fft, Paged, Shape, f16};
use npyz::WriterBuilder;
use std::io;

/// Writes a paged tensor into a file that has been begun, in blocks; the caller finishes it.
///
/// # Errors
/// Those of writing, and of reading the tensor.
fn write<T: Element + npyz::AutoSerialize>(
    file: &mut impl io::Write,
    tensor: &Paged<T>,
) -> Result<(), Failure> {
    let dims: Vec<u64> = tensor.shape().dims().iter().map(|&extent| extent as u64).collect();
    let options = npyz::WriteOptions::<T>::new().default_dtype().shape(&dims);
    let mut writer = options.writer(file).begin_nd()?;
    let mut block = vec![T::default(); tensor.page().min(tensor.len())];
    for first in (0..tensor.len()).step_by(tensor.page()) {
        let count = block.len().min(tensor.len() - first);
        tensor.read(first, &mut block[..count])?;
        writer.extend(block[..count].iter().copied())?;
    }
    Ok(writer.finish()?)
}

/// Multiplies two files into another; how.
pub(super) fn gemm(
    ctx: &Context,
    job: &Products,
    [a, b]: [&Header; 2],
    c0: Option<&Header>,
    file: &mut PendingFile,
) -> Result<String, Failure> {
    match a.dtype {
        DType::F16 => gemm_a::<f16>(ctx, job, [a, b], c0, file),
        DType::F64 => gemm_a::<f64>(ctx, job, [a, b], c0, file),
        _ => gemm_a::<f32>(ctx, job, [a, b], c0, file),
    }
}

fn gemm_a<A: Element>(
    ctx: &Context,
    job: &Products,
    operands: [&Header; 2],
    c0: Option<&Header>,
    file: &mut PendingFile,
) -> Result<String, Failure> {
    match operands[1].dtype {
        DType::F16 => gemm_b::<A, f16>(ctx, job, operands, c0, file),
        DType::F64 => gemm_b::<A, f64>(ctx, job, operands, c0, file),
        _ => gemm_b::<A, f32>(ctx, job, operands, c0, file),
    }
}

fn gemm_b<A: Element, B: Element>(
    ctx: &Context,
    job: &Products,
    operands: [&Header; 2],
    c0: Option<&Header>,
    file: &mut PendingFile,
) -> Result<String, Failure> {
    match job.dtype {
        DType::F16 => gemm_c::<A, B, f16>(ctx, job, operands, c0, file),
        DType::F64 => gemm_c::<A, B, f64>(ctx, job, operands, c0, file),
        _ => gemm_c::<A, B, f32>(ctx, job, operands, c0, file),
    }
}

fn gemm_c<A: Element, B: Element, C: Float>(
    ctx: &Context,
    job: &Products,
    [a, b]: [&Header; 2],
    c0: Option<&Header>,
    file: &mut PendingFile,
) -> Result<String, Failure> {
    let mut problem = job.problem.clone();
    // What lies column by column is the transpose of what lies row by row.
    if job.transpose_a != a.fortran {
        problem = problem.transpose_a();
    }
    if job.transpose_b != b.fortran {
        problem = problem.transpose_b();
    }
    let a = Paged::of(ctx, as_it_lies(a, "A")?, FileSource::<A>::open(&a.path, a.offset)?)?;
    let b = Paged::of(ctx, as_it_lies(b, "B")?, FileSource::<B>::open(&b.path, b.offset)?)?;
    let mut c = match c0 {
        Some(c0) if c0.fortran => {
            let reason = "numpy.ascontiguousarray brings it to row-major order";
            return Err(Error::Unsupported {
                what: "a C0 in Fortran order that does not fit".into(),
                reason: reason.into(),
            }
            .into());
        }
        Some(c0) => match c0.dtype {
            DType::F16 => Paged::of(ctx, &job.shape, Converted::open(c0, narrow::<f16, C>)?)?,
            DType::F64 => Paged::of(ctx, &job.shape, Converted::open(c0, narrow::<f64, C>)?)?,
            _ => Paged::of(ctx, &job.shape, Converted::open(c0, narrow::<f32, C>)?)?,
        },
        None => ctx.paged::<C>(&job.shape)?,
    };
    let plan = problem.plan_paged(ctx)?;
    plan.run(&a, &b, &mut c)?;
    write(file, &c)?;
    let tiling = plan.tiling();
    let (rows, columns, depth) = (tiling.rows, tiling.columns, tiling.depth);
    Ok(format!("tiles of {rows}x{columns}x{depth} in bands of {} rows", tiling.band))
}

/// A number as a type, rounded once.
fn narrow<F: Float, T: Float>(x: F) -> T {
    let one = T::take(crate::npy::Data::F64(vec![x.into()]));
    one.first().copied().unwrap_or_default()
}

/// The shape of a matrix, or of several, as the file's elements follow each other.
fn as_it_lies(x: &Header, name: &str) -> Result<Shape, Error> {
    match (x.fortran, x.shape.dims()) {
        (true, &[rows, columns]) => Ok(Shape::from([columns, rows])),
        (true, _) => Err(Error::Unsupported {
            what: format!("{name}, a batch in Fortran order that does not fit"),
            reason: "numpy.ascontiguousarray brings it to row-major order".into(),
        }),
        (false, _) => Ok(x.shape.clone()),
    }
}

/// Transforms a file into another; how.
pub(super) fn fft(
    ctx: &Context,
    problem: &Fft,
    x: &Header,
    file: &mut PendingFile,
) -> Result<String, Failure> {
    if x.fortran && x.shape.rank() > 1 {
        return Err(Error::Unsupported {
            what: "a transform of an array in Fortran order that does not fit".into(),
            reason: "numpy.ascontiguousarray brings it to row-major order".into(),
        }
        .into());
    }
    type C64 = Complex<f32>;
    type C128 = Complex<f64>;
    let (_, given) = problem.input();
    match (given, x.dtype) {
        (DType::F32, DType::F16) => {
            fft_x::<f32>(ctx, problem, x, Converted::open(x, f16::to_f32)?, file)
        }
        (DType::F32, _) => fft_x::<f32>(ctx, problem, x, open(x)?, file),
        (DType::F64, _) => fft_x::<f64>(ctx, problem, x, open(x)?, file),
        (DType::C64, DType::F16) => {
            let lift = |x: f16| C64::from(x.to_f32());
            fft_x::<C64>(ctx, problem, x, Converted::open(x, lift)?, file)
        }
        (DType::C64, DType::F32) => {
            fft_x::<C64>(ctx, problem, x, Converted::open(x, C64::from as fn(f32) -> C64)?, file)
        }
        (DType::C64, _) => fft_x::<C64>(ctx, problem, x, open(x)?, file),
        (_, DType::F64) => {
            fft_x::<C128>(ctx, problem, x, Converted::open(x, C128::from as fn(f64) -> C128)?, file)
        }
        _ => fft_x::<C128>(ctx, problem, x, open(x)?, file),
    }
}

fn open<T: Element>(x: &Header) -> Result<FileSource<T>, Error> {
    FileSource::open(&x.path, x.offset)
}

fn fft_x<X: Element>(
    ctx: &Context,
    problem: &Fft,
    x: &Header,
    source: impl gvpie_core::paged::Source<X>,
    file: &mut PendingFile,
) -> Result<String, Failure> {
    let x = Paged::of(ctx, &x.shape, source)?;
    match problem.output().1 {
        DType::F32 => fft_y::<X, f32>(ctx, problem, &x, file),
        DType::F64 => fft_y::<X, f64>(ctx, problem, &x, file),
        DType::C64 => fft_y::<X, Complex<f32>>(ctx, problem, &x, file),
        _ => fft_y::<X, Complex<f64>>(ctx, problem, &x, file),
    }
}

fn fft_y<X: Element, Y: Element + npyz::AutoSerialize>(
    ctx: &Context,
    problem: &Fft,
    x: &Paged<X>,
    file: &mut PendingFile,
) -> Result<String, Failure> {
    let mut y = ctx.paged::<Y>(problem.output().0)?;
    problem.plan_paged(ctx)?.run(x, &mut y)?;
    write(file, &y)?;
    Ok("axis after axis in slabs of lines".into())
}

/// Contracts files into another.
pub(super) fn einsum(
    ctx: &Context,
    plan: &PagedEinsum,
    inputs: &[Header],
    file: &mut PendingFile,
) -> Result<(), Failure> {
    let contract = match plan.problem().dtype() {
        DType::F16 => contract::<f16>,
        DType::F64 => contract::<f64>,
        DType::C64 => contract::<Complex<f32>>,
        DType::C128 => contract::<Complex<f64>>,
        _ => contract::<f32>,
    };
    contract(ctx, plan, inputs, file)
}

fn contract<T: Lift>(
    ctx: &Context,
    plan: &PagedEinsum,
    inputs: &[Header],
    file: &mut PendingFile,
) -> Result<(), Failure> {
    let paged = |x: &Header| {
        if x.fortran && x.shape.rank() > 1 {
            return Err(Error::Unsupported {
                what: format!("{} in Fortran order, which does not fit", x.path.display()),
                reason: "numpy.ascontiguousarray brings it to row-major order".into(),
            });
        }
        T::paged(ctx, x)
    };
    let operands = inputs.iter().map(paged).collect::<Result<Vec<_>, _>>()?;
    let mut y = ctx.paged::<T>(plan.shape())?;
    plan.run(&operands.iter().collect::<Vec<_>>(), &mut y)?;
    write(file, &y)
}

/// An element that those of narrower files are read as.
trait Lift: Element + npyz::AutoSerialize {
    fn paged(ctx: &Context, x: &Header) -> Result<Paged<Self>, Error>;
}

macro_rules! lift {
    ($($to:ty: $($narrow:ident by $convert:expr),*);*) => {$(
        impl Lift for $to {
            fn paged(ctx: &Context, x: &Header) -> Result<Paged<Self>, Error> {
                match x.dtype {
                    $(DType::$narrow => Paged::of(ctx, &x.shape, Converted::open(x, $convert)?),)*
                    _ => Paged::of(ctx, &x.shape, open::<Self>(x)?),
                }
            }
        }
    )*};
}
lift! {
    f16:;
    f32: F16 by f16::to_f32;
    f64: F16 by f16::to_f64, F32 by <f64 as From<f32>>::from;
    Complex<f32>: F16 by |x: f16| x.to_f32().into(), F32 by |x: f32| x.into();
    Complex<f64>: F16 by |x: f16| x.to_f64().into(), F32 by |x: f32| f64::from(x).into(),
        F64 by |x: f64| x.into(),
        C64 by |z: Complex<f32>| Complex::new(z.re.into(), z.im.into())
}
