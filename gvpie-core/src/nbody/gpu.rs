//! The leapfrog on the GPU: four kernels and their dispatches.

use crate::batch::{Batch, Bindings};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Pipeline};
use crate::shader::{Access, Values};
use std::mem::offset_of;

/// WGSL's `Params` of nbody.wgsl, field by field.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::NoUninit)]
struct Params {
    bodies: u32,
    stride: u32,
    h: f32,
    own: f32,
}

/// Invocations of a workgroup.
const LANES: u32 = 128;

/// Workgroups of a sum or maximum at most: each has an invocation for every body up to 32,768
/// bodies, beyond that invocations take several.
const MOST_PARTS: u32 = 256;

/// Numbers of a part: three sums of four, and what rounding left of each.
const PART: usize = 24;

fn kernel(entry: &'static str) -> Kernel {
    Kernel::ours(format!("nbody {entry}"), "nbody.wgsl", Values::new()).entry(entry).fields(vec![
        ("bodies", offset_of!(Params, bodies)),
        ("stride", offset_of!(Params, stride)),
        ("h", offset_of!(Params, h)),
        ("own", offset_of!(Params, own)),
    ])
}

/// Every kernel that a plan asks for, for tests that validate them without a device.
pub fn kernels() -> Vec<Kernel> {
    ["kick", "drift", "steepest", "measure"].map(kernel).into()
}

/// The kernels for so many bodies, compiled.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    kick: Pipeline,
    drift: Pipeline,
    steepest: Pipeline,
    measure: Pipeline,
    bodies: u32,
    /// Workgroups with an invocation for every body, along x and y.
    grid: [u32; 3],
    /// Workgroups of a sum.
    parts: u32,
}

impl Prepared {
    pub fn new(ctx: &Context, bodies: usize) -> Result<Self> {
        let allowed = match ctx.device().gpu() {
            Some(gpu) => gpu.limits().max_compute_workgroups_per_dimension,
            None => return Err(Error::Foreign { operand: "the context".into() }),
        };
        // The kernels count bodies, and those they skip, in 32 bits.
        let most = u32::MAX - MOST_PARTS * LANES;
        let bodies = u32::try_from(bodies).ok().filter(|&bodies| bodies <= most);
        let bodies = bodies.ok_or_else(|| Error::Limit {
            what: "the motion of many bodies".into(),
            limit: "u32 indices",
            asked: u64::MAX,
            allowed: most.into(),
        })?;
        let groups = bodies.div_ceil(LANES);
        let across = groups.min(allowed);
        let pipeline = |entry| ctx.pipeline(&kernel(entry));
        Ok(Prepared {
            kick: pipeline("kick")?,
            drift: pipeline("drift")?,
            steepest: pipeline("steepest")?,
            measure: pipeline("measure")?,
            bodies,
            grid: [across, groups.div_ceil(across.max(1)), 1],
            parts: groups.min(MOST_PARTS),
        })
    }

    /// Bytes of what [`steepest`](Self::steepest) and [`measure`](Self::measure) write.
    pub fn part_bytes(&self) -> u64 {
        u64::from(self.parts.max(1)) * (PART * size_of::<f32>()) as u64
    }

    fn params(&self, h: f64, own: f64) -> Params {
        let stride = self.parts * LANES;
        Params { bodies: self.bodies, stride, h: h as f32, own: own as f32 }
    }

    pub fn kick(
        &self,
        batch: &mut Batch,
        h: f64,
        field: &Buffer,
        velocities: &Buffer,
    ) -> Result<()> {
        let bindings = Bindings::new().params(&self.params(h, 0.0));
        let bindings = bindings.buffer(Access::Read, field).buffer(Access::ReadWrite, velocities);
        batch.dispatch(&self.kick, bindings, self.grid)
    }

    pub fn drift(
        &self,
        batch: &mut Batch,
        h: f64,
        velocities: &Buffer,
        positions: &Buffer,
    ) -> Result<()> {
        let bindings = Bindings::new().params(&self.params(h, 0.0));
        let bindings = bindings.buffer(Access::Read, velocities);
        batch.dispatch(&self.drift, bindings.buffer(Access::ReadWrite, positions), self.grid)
    }

    pub fn steepest(&self, batch: &mut Batch, field: &Buffer, squares: &Buffer) -> Result<()> {
        let bindings = Bindings::new().params(&self.params(0.0, 0.0));
        let bindings = bindings.buffer(Access::Read, field).buffer(Access::ReadWrite, squares);
        batch.dispatch(&self.steepest, bindings, [self.parts, 1, 1])
    }

    /// The largest |a|² of what [`steepest`](Self::steepest) wrote.
    pub fn largest(&self, squares: &[u8]) -> f64 {
        let squares: &[f32] = bytemuck::cast_slice(squares);
        let parts = &squares[..self.parts as usize];
        // NaN is kept, which `max` would not do.
        let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
        parts.iter().map(|&square| f64::from(square)).fold(0.0, larger)
    }

    pub fn measure(
        &self,
        batch: &mut Batch,
        own: f64,
        positions: &Buffer,
        velocities: &Buffer,
        field: &Buffer,
        sums: &Buffer,
    ) -> Result<()> {
        let bindings = Bindings::new().params(&self.params(0.0, own));
        let bindings = bindings.buffer(Access::Read, positions).buffer(Access::Read, velocities);
        let bindings = bindings.buffer(Access::Read, field).buffer(Access::ReadWrite, sums);
        batch.dispatch(&self.measure, bindings, [self.parts, 1, 1])
    }

    /// The twelve sums of what [`measure`](Self::measure) wrote.
    pub fn total(&self, sums: &[u8]) -> [f64; 12] {
        let sums: &[f32] = bytemuck::cast_slice(sums);
        let mut total = [0.0; 12];
        for part in sums.chunks_exact(PART).take(self.parts as usize) {
            for (i, sum) in total.iter_mut().enumerate() {
                *sum += f64::from(part[i]) + f64::from(part[i + 12]);
            }
        }
        total
    }
}
