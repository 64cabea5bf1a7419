//! Cosine and sine transforms on the GPU: the kernels around their FFTs.

use super::Wave;
use super::plan::{Pass, Step};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::fft::pointwise::{self, OTHERS, wgsl};
use crate::kernel::Kernel;
use crate::shader::Values;

const STEPS: [Step; 8] = [
    Step::Dct2Before,
    Step::Dct2After,
    Step::Dct3Before,
    Step::Dct3After,
    Step::Dct4EvenBefore,
    Step::Dct4EvenAfter,
    Step::Dct4OddBefore,
    Step::Dct4OddAfter,
];

fn kernel(step: Step, wave: Wave, precision: DType, others: usize) -> Kernel {
    let name = match step {
        Step::Dct2Before => "dct2_before",
        Step::Dct2After => "dct2_after",
        Step::Dct3Before => "dct3_before",
        Step::Dct3After => "dct3_after",
        Step::Dct4EvenBefore => "dct4_even_before",
        Step::Dct4EvenAfter => "dct4_even_after",
        Step::Dct4OddBefore => "dct4_odd_before",
        Step::Dct4OddAfter => "dct4_odd_after",
    };
    let complex = if precision == DType::F64 { DType::C128 } else { DType::C64 };
    let [x, y] = match step {
        Step::Dct2Before | Step::Dct3After | Step::Dct4OddBefore => [precision, precision],
        Step::Dct2After | Step::Dct4EvenAfter | Step::Dct4OddAfter => [complex, precision],
        Step::Dct3Before | Step::Dct4EvenBefore => [precision, complex],
    };
    let reverses = matches!(step, Step::Dct3Before | Step::Dct4EvenBefore | Step::Dct4OddBefore);
    let alternates = matches!(
        step,
        Step::Dct2Before | Step::Dct3After | Step::Dct4EvenAfter | Step::Dct4OddAfter
    );
    let values: Values = [
        ("step", name.into()),
        ("real", precision.name().into()),
        ("x_type", wgsl(x).into()),
        ("y_type", wgsl(y).into()),
        ("table", step.rotates().into()),
        ("reverses", reverses.into()),
        ("alternates", alternates.into()),
    ]
    .into();
    let label = format!("{name} {wave:?} {precision}").to_lowercase();
    pointwise::kernel(label, "fft_trig.wgsl.jinja", name, others, values)
        .constant("sine", f64::from(u8::from(wave == Wave::Sine)))
}

/// Every kernel that a plan of a cosine or sine transform can ask for, for tests that validate them
/// without a device.
pub fn kernels() -> Vec<Kernel> {
    let mut all = Vec::new();
    for step in STEPS {
        for precision in [DType::F32, DType::F64] {
            for wave in [Wave::Cosine, Wave::Sine] {
                all.extend(OTHERS.map(|others| kernel(step, wave, precision, others)));
            }
        }
    }
    all
}

fn of(pass: &Pass) -> Result<Kernel> {
    let others = pointwise::others(&pass.lines, "a cosine or sine transform")?;
    Ok(kernel(pass.step, pass.wave, pass.precision, others))
}

/// Compiles what a pass runs.
pub(super) fn prepare(ctx: &Context, pass: &Pass) -> Result<()> {
    ctx.pipeline(&of(pass)?).map(drop)
}

/// Records a pass; the inputs are x and, for steps that rotate, the roots.
pub(super) fn record(
    batch: &mut Batch,
    ctx: &Context,
    pass: &Pass,
    inputs: &[&Buffer],
    output: &Buffer,
) -> Result<()> {
    pointwise::record(batch, ctx, &of(pass)?, &pass.lines, pass.n, inputs, output)
}
