//! Sorting on the GPU: three kernels, and their dispatches for each digit.

use super::plan::Digit;
use crate::batch::{Batch, Bindings};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Pipeline};
use crate::shader::{Access, Values};
use std::mem::offset_of;

/// WGSL's `Params` of shared/sort_params.wgsl, field by field.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::NoUninit)]
struct Params {
    n: u32,
    blocks: u32,
    stride: u32,
    word: u32,
    shift: u32,
    mask: u32,
    first: u32,
}

/// Invocations of a workgroup: one for each value of a digit.
const THREADS: usize = 256;

/// Keys an invocation sorts: the most that a counter of 4 bits counts. A block's words and its 256
/// counts are then the 16 KiB of workgroup memory that every WebGPU device has.
const ITEMS: usize = 15;

/// Counters of each digit where keys are counted.
const COPIES: usize = 4;

/// Keys a workgroup sorts.
pub(super) const BLOCK: usize = THREADS * ITEMS;

/// Words of a row of counts, one for each block: whole vectors of four.
fn stride(n: usize) -> usize {
    n.div_ceil(BLOCK).next_multiple_of(4)
}

/// Bytes of the counts of all digits in all blocks.
pub(super) fn counts_bytes(n: usize) -> u64 {
    4 * THREADS as u64 * stride(n) as u64
}

/// Workgroups run along x and wrap into y; those past the last block do nothing.
pub(super) fn grid(blocks: u32, allowed: u32) -> [u32; 3] {
    let x = blocks.min(allowed).max(1);
    [x, blocks.div_ceil(x), 1]
}

/// One of the three passes of a digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Count { words: usize },
    Scan,
    Scatter { words: usize },
}

impl Pass {
    fn kernel(self) -> Kernel {
        let key = |words: usize| if words == 1 { "u32" } else { "vec2<u32>" };
        let (label, name, entry, values): (String, _, _, Values) = match self {
            Pass::Count { words } => (
                format!("sort count {words}"),
                "sort_count.wgsl.jinja",
                "sort_count",
                [
                    ("key", key(words).into()),
                    ("words", words.into()),
                    ("items", ITEMS.into()),
                    ("copies", COPIES.into()),
                ]
                .into(),
            ),
            Pass::Scan => {
                ("sort scan".into(), "sort_scan.wgsl.jinja", "sort_scan", Values::default())
            }
            Pass::Scatter { words } => (
                format!("sort scatter {words}"),
                "sort_scatter.wgsl.jinja",
                "sort_scatter",
                [
                    ("key", key(words).into()),
                    ("words", words.into()),
                    ("items", ITEMS.into()),
                    ("block", BLOCK.into()),
                ]
                .into(),
            ),
        };
        Kernel::ours(label, name, values).entry(entry).fields(vec![
            ("n", offset_of!(Params, n)),
            ("blocks", offset_of!(Params, blocks)),
            ("stride", offset_of!(Params, stride)),
            ("word", offset_of!(Params, word)),
            ("shift", offset_of!(Params, shift)),
            ("mask", offset_of!(Params, mask)),
            ("first", offset_of!(Params, first)),
        ])
    }
}

/// Every kernel that a plan can ask for, for tests that validate them without a device.
pub fn kernels() -> Vec<Kernel> {
    let of_words = |words| [Pass::Count { words }, Pass::Scatter { words }];
    let all = [1, 2].into_iter().flat_map(of_words).chain([Pass::Scan]);
    all.map(Pass::kernel).collect()
}

/// Compiled kernels, and the memory between the passes.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    count: Pipeline,
    scan: Pipeline,
    scatter: Pipeline,
    /// What keys and order are scattered to and from, in turn.
    keys: Buffer,
    order: Buffer,
    counts: Buffer,
    totals: Buffer,
    /// An even number.
    passes: Vec<Params>,
    grid: [u32; 3],
}

impl Prepared {
    /// For so many keys, which are some and countable.
    pub fn new(n: usize, words: usize, digits: Vec<Digit>, ctx: &Context) -> Result<Self> {
        let gpu = ctx.device().gpu();
        let gpu = gpu.ok_or_else(|| Error::Foreign { operand: "the context".into() })?;
        let pipeline = |pass: Pass| ctx.pipeline(&pass.kernel());
        let buffer = |bytes: u64, what: &str| Buffer::zeroed(ctx.device(), bytes, what);
        let blocks = n.div_ceil(BLOCK) as u32;
        let params = |(i, Digit { word, shift, width }): (usize, Digit)| Params {
            n: n as u32,
            blocks,
            stride: stride(n) as u32,
            word,
            shift,
            mask: (1 << width) - 1,
            first: u32::from(i == 0),
        };
        Ok(Prepared {
            count: pipeline(Pass::Count { words })?,
            scan: pipeline(Pass::Scan)?,
            scatter: pipeline(Pass::Scatter { words })?,
            keys: buffer(4 * words as u64 * n as u64, "keys between the passes of a sort")?,
            order: buffer(4 * n as u64, "order between the passes of a sort")?,
            counts: buffer(counts_bytes(n), "counts of a sort")?,
            totals: buffer(4 * THREADS as u64, "totals of a sort")?,
            passes: digits.into_iter().enumerate().map(params).collect(),
            grid: grid(blocks, gpu.limits().max_compute_workgroups_per_dimension),
        })
    }

    /// Records a sort of checked operands.
    pub fn record(&self, batch: &mut Batch, keys: &Buffer, order: &Buffer) -> Result<()> {
        let Prepared { counts, totals, .. } = self;
        let (mut from, mut to) = ((keys, order), (&self.keys, &self.order));
        for params in &self.passes {
            let bindings = || Bindings::new().params(params);
            let (read, write) = (Access::Read, Access::ReadWrite);
            let count = bindings().buffer(read, from.0).buffer(write, counts);
            batch.dispatch(&self.count, count, self.grid)?;
            let scan = bindings().buffer(write, counts).buffer(write, totals);
            batch.dispatch(&self.scan, scan, [params.mask + 1, 1, 1])?;
            let scatter = bindings().buffer(read, from.0).buffer(read, counts).buffer(read, totals);
            let scatter = scatter.buffer(read, from.1).buffer(write, to.0).buffer(write, to.1);
            batch.dispatch(&self.scatter, scatter, self.grid)?;
            (from, to) = (to, from);
        }
        Ok(())
    }
}
