//! The GPU side of [`Lines`]: one parameter block and one dispatch for all kernels that compute each
//! element of the output from a few of the inputs.

use super::strided::{Lines, Side};
use crate::batch::{Batch, Bindings};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::shader::{Access, Values};
use std::mem::offset_of;

/// Invocations of a workgroup; each writes one element.
const THREADS: usize = 256;

/// The numbers of axes besides that of the lines that kernels are rendered for.
pub(super) const OTHERS: [usize; 4] = [1, 2, 4, 8];

/// WGSL's `Params` of shared/fft_lines.wgsl.jinja, field by field.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::NoUninit)]
struct Params {
    count: u32,
    n: u32,
    extent: u32,
    inner: u32,
    a_offset: u32,
    a_axis: u32,
    b_offset: u32,
    b_axis: u32,
    y_offset: u32,
    y_axis: u32,
    others: [[u32; 4]; 8],
}

/// The names of what `others` holds of each axis, in order.
const OTHER_FIELDS: [[&str; 4]; 8] = [
    ["extent0", "a0", "b0", "y0"],
    ["extent1", "a1", "b1", "y1"],
    ["extent2", "a2", "b2", "y2"],
    ["extent3", "a3", "b3", "y3"],
    ["extent4", "a4", "b4", "y4"],
    ["extent5", "a5", "b5", "y5"],
    ["extent6", "a6", "b6", "y6"],
    ["extent7", "a7", "b7", "y7"],
];

macro_rules! fields {
    ($($field:ident)*) => { vec![$((stringify!($field), offset_of!(Params, $field))),*] };
}

fn fields() -> Vec<(&'static str, usize)> {
    let mut all = fields!(count n extent inner a_offset a_axis b_offset b_axis y_offset y_axis);
    let names = OTHER_FIELDS.iter().flatten();
    all.extend(
        names.enumerate().map(|(word, &name)| (name, offset_of!(Params, others) + 4 * word)),
    );
    all
}

/// The name of an element type in WGSL, complex numbers as vectors of two.
pub(super) fn wgsl(dtype: DType) -> &'static str {
    match dtype {
        DType::C64 => "vec2<f32>",
        DType::C128 => "vec2<f64>",
        real => real.name(),
    }
}

/// A rendering of one of the shaders that include shared/fft_lines.wgsl.jinja.
pub(super) fn kernel(
    label: String,
    shader: &'static str,
    entry: &'static str,
    others: usize,
    mut values: Values,
) -> Kernel {
    values.insert("others", others.into());
    values.insert("threads", THREADS.into());
    Kernel::ours(format!("{label} of {others} axes"), shader, values).entry(entry).fields(fields())
}

/// How many axes, besides that of the lines, the kernel for these lines is rendered for.
pub(super) fn others<const N: usize>(lines: &Lines<N>, what: &str) -> Result<usize> {
    let asked = lines.others.len();
    let fitting = OTHERS.into_iter().find(|&others| others >= asked);
    fitting.ok_or_else(|| Error::Limit {
        what: what.into(),
        limit: "axes that do not lie as one",
        asked: asked as u64 + 1,
        allowed: OTHERS[OTHERS.len() - 1] as u64 + 1,
    })
}

/// Records a kernel over all elements of the output; `n` is the transform's length, for kernels that
/// ask for it.
pub(super) fn record<const N: usize>(
    batch: &mut Batch,
    ctx: &Context,
    kernel: &Kernel,
    lines: &Lines<N>,
    n: usize,
    inputs: &[&Buffer],
    output: &Buffer,
) -> Result<()> {
    let pipeline = ctx.pipeline(kernel)?;
    let allowed = match ctx.device().gpu() {
        Some(gpu) => gpu.limits().max_compute_workgroups_per_dimension,
        None => return Err(Error::Foreign { operand: "the context".into() }),
    };
    let params = Params::new(lines, n, kernel.label())?;
    let mut bindings = Bindings::new().params(&params);
    for input in inputs {
        bindings = bindings.buffer(Access::Read, input);
    }
    let bindings = bindings.buffer(Access::ReadWrite, output);
    // Workgroups run along x and wrap into y.
    let groups = params.count.div_ceil(THREADS as u32);
    let x = groups.clamp(1, allowed);
    batch.dispatch(&pipeline, bindings, [x, groups.div_ceil(x), 1])
}

impl Params {
    fn new<const N: usize>(lines: &Lines<N>, n: usize, what: &str) -> Result<Self> {
        let limit = |asked: usize| Error::Limit {
            what: format!("kernel '{what}'"),
            limit: "u32 indices",
            asked: asked as u64,
            allowed: u32::MAX.into(),
        };
        let word = |value: usize| u32::try_from(value).map_err(|_| limit(value));
        // Backward strides wrap: what they add up to is an index, whatever was passed on the way.
        let stride = |value: isize| word(value.unsigned_abs()).map(|_| value as u32);
        let [a, b] = [lines.inputs.first(), lines.inputs.get(1)];
        let offset = |side: Option<&Side>| word(side.map_or(0, |side| side.offset));
        let axis = |side: Option<&Side>| stride(side.map_or(0, |side| side.axis));
        let mut others = [[1, 0, 0, 0]; 8];
        for (at, (words, &extent)) in others.iter_mut().zip(&lines.others).enumerate() {
            let other = |side: Option<&Side>| stride(side.map_or(0, |side| side.others[at]));
            *words = [word(extent)?, other(a)?, other(b)?, other(Some(&lines.output))?];
        }
        let count = lines.count().unwrap_or(usize::MAX);
        let inner = lines.others.iter().rev().take(lines.inside).product();
        Ok(Params {
            // The last workgroup's invocations are counted too.
            count: word(count.saturating_add(THREADS)).and(word(count))?,
            n: word(n)?,
            extent: word(lines.extent)?,
            inner: word(inner)?,
            a_offset: offset(a)?,
            a_axis: axis(a)?,
            b_offset: offset(b)?,
            b_axis: axis(b)?,
            y_offset: offset(Some(&lines.output))?,
            y_axis: axis(Some(&lines.output))?,
            others,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fft::strided::Place;

    #[test]
    fn gpu_more_workgroups_than_a_dimension_has() {
        let Some(ctx) = Context::of_tests() else { return };
        let count = 65_535 * THREADS + 300;
        let data: Vec<u32> = (0..count as u32).collect();
        let x = ctx.upload([count], &data).unwrap();
        let y = ctx.zeros::<u32>([count]).unwrap();
        let dims = [count];
        let place = || Place::dense(&dims);
        let lines = Lines::new(&dims, 0, [place().backwards(0, count)], place());
        let values = [("element", "u32".into()), ("conjugate", false.into())].into();
        let copy = kernel("copy".into(), "fft_copy.wgsl.jinja", "copy", OTHERS[0], values);
        let mut batch = ctx.batch("copy");
        record(&mut batch, &ctx, &copy, &lines, count, &[x.buffer()], y.buffer()).unwrap();
        batch.submit().unwrap();
        assert!(y.download().unwrap().into_iter().eq(data.into_iter().rev()));
    }

    #[test]
    fn axes_beyond_those_rendered_are_a_limit() {
        let dims = [2; 10];
        let spread: Vec<isize> = (0..10).map(|axis| 3_isize.pow(axis)).collect();
        let place = || Place { offset: 0, strides: spread.clone() };
        let lines = Lines::new(&dims, 9, [place()], place());
        let error = others(&lines, "a copy").unwrap_err();
        assert!(matches!(error, Error::Limit { asked: 10, allowed: 9, .. }), "{error}");
        let lines = Lines::new(&dims, 9, [Place::dense(&dims)], Place::dense(&dims));
        assert_eq!(others(&lines, "a copy").unwrap(), 1);
    }
}
