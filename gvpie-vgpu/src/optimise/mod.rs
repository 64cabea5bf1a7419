//! Simpler kernels that do the same in every bit.
//!
//! What can be observed stays: stores, atomics, barriers, and in which order a lane comes to them. Floats
//! are neither reassociated nor, beyond what lowering has fused, contracted. Instructions keep their place in the source. Who looks on as a
//! kernel runs, a sanitizer or a debugger, runs it as it was written.
//!
//! * [`walk`]: slots forwarded, instructions and loads run once, and what conditions tell; with [`fold`]
//!   constants and identities, [`range`] what numbers a value can be, [`places`] plain addresses, [`flow`]
//!   constructs, and [`unroll`] short loops.
//! * [`scalars`]: a lane's own arrays, where every index is constant, become slots.
//! * [`hoist`]: what is the same in every round of a loop goes before it.
//! * [`dead`]: what nobody looks at is left out.
//! * [`distribute()`], for machine code alone: loops of more sums than there are registers are taken apart.

mod dead;
mod distribute;
mod flow;
mod fold;
mod hoist;
mod places;
#[cfg(test)]
mod proof;
mod range;
mod scalars;
#[cfg(test)]
mod tests;
mod unroll;
mod walk;

use crate::ir::{Block, Kernel, Node};
pub(crate) use distribute::distribute;
use unroll::Room;

/// Blocks within blocks of a kernel that is looked at; unrolling may double them.
const MAX_DEPTH: usize = 100;

/// Instructions and constructs of a kernel that is looked at.
const MAX_NODES: usize = 1 << 16;

/// Instructions that unrolling may add to a kernel.
const MAX_ADDED: usize = 8_192;

/// Instructions that unrolling may make of one loop: as it was written, and once it has been simplified,
/// when what was too much before is better left a loop.
const MAX_UNROLLED: usize = 512;
const MAX_UNROLLED_LATE: usize = 128;

/// A kernel that does the same with less, of one that [`verify`](crate::ir::verify) accepts.
///
/// One that is very large, or nests very deep, is as it was.
pub(crate) fn optimise(kernel: &Kernel) -> Kernel {
    if count(&kernel.body, MAX_DEPTH).is_none_or(|count| count > MAX_NODES) {
        return kernel.clone();
    }
    let mut room = Room { added: MAX_ADDED, each: MAX_UNROLLED };
    let mut kernel = dead::sweep(walk::walk(kernel, &mut room));
    room.each = MAX_UNROLLED_LATE;
    if let Some(split) = scalars::split(&kernel) {
        kernel = dead::sweep(walk::walk(&split, &mut room));
    }
    dead::sweep(walk::walk(&hoist::hoist(kernel), &mut room))
}

/// Nodes of a block; `None` if it is deeper than `depth`.
pub(crate) fn count(block: &Block, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    block.iter().try_fold(0, |sum: usize, node: &Node| {
        let within = node.blocks().try_fold(1, |sum, block| Some(sum + count(block, depth)?))?;
        Some(sum + within)
    })
}
