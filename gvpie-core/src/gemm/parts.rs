//! Sums divided along k: how they are, where their parts are kept, and the kernel that adds them.

use super::gpu::Ending;
use crate::element::DType;
use crate::kernel::Kernel;
use crate::shader::Values;

/// Invocations of a workgroup of gemm_sum: a C of few elements still occupies many workgroups.
pub(super) const THREADS: usize = 64;

/// How k is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub count: usize,
    /// How much of k a part sums; the last one the rest.
    pub chunk: usize,
}

impl Parts {
    /// At most `wanted` parts of whole steps, none of them empty.
    pub fn divide(k: usize, wanted: usize, step: usize) -> Self {
        let whole = Parts { count: 1, chunk: k };
        if wanted <= 1 {
            return whole;
        }
        let chunk = k.div_ceil(wanted).next_multiple_of(step);
        if chunk < k { Parts { count: k.div_ceil(chunk), chunk } } else { whole }
    }

    /// Bytes that the parts of a batch of m x n products take, whose rows are padded to whole
    /// vectors; none where k is not divided.
    pub fn bytes(&self, [batch, m, n]: [usize; 3], working: DType) -> u64 {
        let each = [batch, m, n.div_ceil(4).saturating_mul(4), working.size()];
        match self.count {
            0 | 1 => 0,
            count => each.iter().fold(count as u64, |all, &x| all.saturating_mul(x as u64)),
        }
    }
}

/// The kernel that adds parts to C.
pub(super) fn kernel(working: DType, ending: Ending) -> Kernel {
    // With more registers for parts on their way fewer invocations would fit.
    let unroll = 8_usize;
    let values: Values = [
        ("working", working.name().into()),
        ("threads", THREADS.into()),
        ("unroll", unroll.into()),
    ]
    .into();
    ending.kernel(format!("gemm sum in {working}"), "gemm_sum.wgsl.jinja", values).entry("gemm_sum")
}
