//! The driver's self-test: what it computes, found out rather than believed.
//!
//! Only one finding refuses a driver: a loop of 70,000 iterations that ends early, as on Mesa's
//! software Vulkan before 23, where every long sum is silently short. The rest is recorded as
//! [`Capabilities`], which plans read.

use crate::batch::{Batch, Bindings};
use crate::device::{Device, GpuDevice};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Pipelines};
use crate::shader::Values;
use crate::tensor::Tensor;
use std::mem::offset_of;

/// Long enough to pass a 16-bit iteration budget.
const ITERATIONS: u32 = 70_000;

const OPERANDS: [f32; 7] = [
    1.0 + 1.0 / 4096.0,
    -(1.0 + 1.0 / 2048.0),
    f32::MIN_POSITIVE,
    f32::NAN,
    1.0,
    1.0 / (1 << 30) as f32,
    3.0 / (1 << 24) as f32,
];

/// How a device's arithmetic behaves where WGSL leaves it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// `fma(a, b, c)` rounds once.
    pub fused_fma: bool,
    /// `a * b + c` written as two operations is rounded once: two-product tricks break.
    pub contracts: bool,
    /// Results below the smallest normal number are kept, not flushed to zero.
    pub denormals: bool,
    /// `x != x` is true for NaN.
    pub nan_compares: bool,
    /// Compensated sums (TwoSum) survive the driver's optimiser.
    pub compensation: bool,
    /// `pack2x16float` keeps halves below the smallest normal one.
    pub half_denormals: bool,
}

impl Capabilities {
    /// The host's: IEEE 754 as Rust has it.
    pub(crate) const HOST: Capabilities = Capabilities {
        fused_fma: true,
        contracts: false,
        denormals: true,
        nan_compares: true,
        compensation: true,
        half_denormals: true,
    };
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::NoUninit)]
struct Params {
    iterations: u32,
}

/// The self-test as a kernel.
pub fn kernel() -> Kernel {
    Kernel::ours("self-test", "selftest.wgsl", Values::new())
        .fields(vec![("iterations", offset_of!(Params, iterations))])
}

/// Runs the self-test; an error if the driver cannot be trusted, unless `allow` is set.
pub(crate) async fn examine(
    device: &Device,
    gpu: &GpuDevice,
    pipelines: &Pipelines,
    allow: bool,
) -> Result<Capabilities> {
    let pipeline = pipelines.get(device, &kernel())?;
    let mut operands = Tensor::zeros(device, [OPERANDS.len()].into(), "self-test operands")?;
    operands.write(&OPERANDS)?;
    let mut answers = Tensor::<u32>::zeros(device, [8].into(), "self-test answers")?;
    let bindings = Bindings::new()
        .params(&Params { iterations: ITERATIONS })
        .read(&operands)
        .write(&mut answers);
    let mut batch = Batch::new(device, "self-test");
    batch.dispatch(&pipeline, bindings, [1, 1, 1])?;
    batch.submit()?;
    let answers = answers.download_async().await?;
    match judge(&answers) {
        Ok(capabilities) => Ok(capabilities),
        Err((fault, capabilities)) if allow => {
            tracing::warn!("{}: {fault}; used because GVPIE_ALLOW_DRIVER=1", gpu.name());
            Ok(capabilities)
        }
        Err((fault, _)) => {
            Err(Error::Driver { driver: format!("{}, {}", gpu.name(), gpu.driver()), fault })
        }
    }
}

/// What the answers mean; a fault comes with what was found all the same.
fn judge(answers: &[u32]) -> Result<Capabilities, (String, Capabilities)> {
    let yes = |index: usize| answers.get(index).is_some_and(|&answer| answer != 0);
    let found = Capabilities {
        fused_fma: yes(2),
        contracts: yes(3),
        denormals: yes(4),
        nan_compares: yes(5),
        compensation: yes(6),
        half_denormals: yes(7),
    };
    let hash =
        (0..ITERATIONS).fold(1_u32, |h, _| h.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let count = answers.first().copied().unwrap_or(0);
    if count != ITERATIONS || answers.get(1) != Some(&hash) {
        let fault = format!("a loop of {ITERATIONS} iterations ended after {count}");
        return Err((fault, found));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loop_refuses_a_driver() {
        let hash = (0..ITERATIONS)
            .fold(1_u32, |h, _| h.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        let plain = judge(&[ITERATIONS, hash, 0, 0, 0, 0, 0, 0]).unwrap();
        assert!(!plain.fused_fma && !plain.compensation);
        let (fault, found) = judge(&[65_535, 7, 1, 0, 1, 0, 1, 1]).unwrap_err();
        assert!(fault.contains("65535"), "{fault}");
        assert!(found.fused_fma && found.denormals && found.half_denormals && !found.nan_compares);
        assert!(judge(&[ITERATIONS, hash ^ 1, 1, 1, 1, 1, 1, 1]).is_err());
        assert!(judge(&[]).is_err());
    }
}
