//! Convolutions on the GPU: the kernels between their FFTs.

use super::plan::Step;
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::fft::pointwise::{self, OTHERS, wgsl};
use crate::fft::strided::Lines;
use crate::kernel::Kernel;

fn kernel(step: Step, others: usize) -> Kernel {
    match step {
        Step::Product(real) => {
            let values = [("real", real.name().into())].into();
            let label = format!("convolution product {real}");
            pointwise::kernel(label, "fft_product.wgsl.jinja", "product", others, values)
        }
        Step::Copy(element) | Step::Conjugate(element) => {
            let conjugate = matches!(step, Step::Conjugate(_));
            let values =
                [("element", wgsl(element).into()), ("conjugate", conjugate.into())].into();
            let word = if conjugate { " conjugate" } else { "" };
            let label = format!("convolution copy {element}{word}");
            pointwise::kernel(label, "fft_copy.wgsl.jinja", "copy", others, values)
        }
    }
}

/// Every kernel that a plan of a convolution can ask for, for tests that validate them without a
/// device.
pub fn kernels() -> Vec<Kernel> {
    let mut steps = Vec::new();
    for (real, complex) in [(DType::F32, DType::C64), (DType::F64, DType::C128)] {
        steps.extend([Step::Product(real), Step::Copy(real)]);
        steps.extend([Step::Copy(complex), Step::Conjugate(complex)]);
    }
    steps.into_iter().flat_map(|step| OTHERS.map(|others| kernel(step, others))).collect()
}

/// Compiles what dense operands of few axes need.
pub(super) fn prepare(ctx: &Context, step: Step) -> Result<()> {
    ctx.pipeline(&kernel(step, OTHERS[0])).map(drop)
}

/// Records a step over all elements of the output.
pub(super) fn record<const N: usize>(
    batch: &mut Batch,
    ctx: &Context,
    step: Step,
    lines: &Lines<N>,
    inputs: &[&Buffer],
    output: &Buffer,
) -> Result<()> {
    let kernel = kernel(step, pointwise::others(lines, "a convolution")?);
    pointwise::record(batch, ctx, &kernel, lines, lines.extent, inputs, output)
}
