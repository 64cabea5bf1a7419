//! Kernels as machine code.
//!
//! A kernel is taken apart at its barriers ([`tree`]): what holds none is a region, one function that runs
//! warp after warp, a warp being 4 to 32 lanes in vectors of 128 bits ([`emit`]). What does hold one is
//! walked once for the workgroup ([`run`]), so that nothing has to be suspended.
//!
//! # NOTES
//! * Lanes that part take turns under a mask; a write to a slot asks the mask only where somebody who is
//!   absent looks at the slot again ([`shapes`]).
//! * A number that is the same in all lanes is computed once for a warp; an index that counts up along the
//!   lanes is one number, and what it reads one vector.
//! * Operations without instructions of their own call the functions of [`numerics`](crate::numerics) over
//!   the lanes of a warp, so that they are bit for bit the interpreter's.
//! * No address leaves its memory: it is proved not to ([`proofs`]), or looked at ([`memory`]).

mod arithmetic;
mod ask;
mod atomics;
mod compute;
mod control;
mod convert;
mod emit;
mod engine;
mod layout;
mod linear;
mod memory;
mod pressure;
mod proofs;
mod quiet;
mod region;
mod run;
mod shapes;
mod shims;
mod stores;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use pressure::lanes as choose_lanes;
pub(crate) use run::Machine;

use crate::interp::RunError;
use crate::ir::{Block, Builtin, Kernel, Node, Op, Scope};
use ask::Asked;
use engine::{Code, Engine};
use layout::Layout;
use proofs::Proofs;
use shapes::Shapes;
use std::sync::Arc;
use tree::{Tree, Wide};

/// Lanes of a warp at most: the bits of a mask.
pub(crate) const MAX_WARP: usize = 32;

/// A kernel as machine code.
#[derive(Debug)]
pub(crate) struct Compiled {
    code: Code,
    wide: Vec<Wide>,
    layout: Layout,
    workgroup: [u32; 3],
    workgroup_bytes: u32,
    private_bytes: u32,
    /// What each region costs of the budget, without its loops' rounds.
    weights: Vec<u64>,
    /// What the code asks: it holds their addresses.
    _asks: Vec<Arc<Asked>>,
}

impl Compiled {
    /// Compiles a kernel that is verified, for warps of so many lanes: 4, 8, 16 or 32.
    ///
    /// # Errors
    /// A processor that there is no code for, or a fault of the code generator.
    pub(crate) fn new(kernel: &Kernel, lanes: usize) -> Result<Compiled, RunError> {
        // The code counts the bytes of a warp in 31 bits.
        let private = u64::from(kernel.private_bytes).next_multiple_of(4) * lanes as u64;
        if private > i32::MAX as u64 {
            let what = format!("machine code for {} bytes of a lane's own", kernel.private_bytes);
            return Err(RunError::Unsupported { what });
        }
        let tree = Tree::new(kernel);
        let shapes = Shapes::new(kernel, &tree, lanes as u32);
        let layout = Layout::new(kernel, &tree, &shapes, lanes as u32);
        let proofs = Proofs::new(kernel, &shapes);
        let mut engine = Engine::new()?;
        let mut asks = Vec::new();
        let of =
            region::Of { kernel, tree: &tree, shapes: &shapes, layout: &layout, proofs: &proofs };
        for number in 0..tree.regions.len() {
            region::compile(&mut engine, &of, &mut asks, number)?;
        }
        let [x, y, z] = kernel.workgroup.map(u64::from);
        let weigh = |region: &tree::Region<'_>| (control::weight(&region.body) + 1) * x * y * z;
        let weights = tree.regions.iter().map(weigh).collect();
        Ok(Compiled {
            code: engine.finish()?,
            wide: tree.wide,
            layout,
            workgroup: kernel.workgroup,
            workgroup_bytes: kernel.workgroup_bytes,
            private_bytes: kernel.private_bytes,
            weights,
            _asks: asks,
        })
    }

    /// Lanes of a warp.
    pub(crate) fn lanes(&self) -> usize {
        self.layout.lanes as usize
    }

    /// Bytes that one thread needs to run it.
    pub(crate) fn bytes(&self) -> u64 {
        let lanes = u64::from(self.layout.lanes);
        let private = u64::from(self.private_bytes).next_multiple_of(4) * lanes;
        let warp = private + u64::from(self.layout.stride) + 16 * lanes;
        warp * u64::from(self.layout.warps) + u64::from(self.workgroup_bytes)
    }
}

/// Whether a kernel looks at subgroups, so that a warp must be one.
pub(crate) fn asks_for_subgroups(block: &Block) -> bool {
    block.iter().any(|node| match node {
        Node::Inst { op, .. } => match op {
            Op::Together(..) | Op::Ballot(_) => true,
            Op::Builtin(builtin) => matches!(
                builtin,
                Builtin::SubgroupSize
                    | Builtin::SubgroupLane
                    | Builtin::SubgroupId
                    | Builtin::Subgroups
            ),
            _ => false,
        },
        Node::Barrier { scope, .. } => *scope == Scope::Subgroup,
        Node::Leave { .. } => false,
        Node::If { then, otherwise, .. } => {
            asks_for_subgroups(then) || asks_for_subgroups(otherwise)
        }
        Node::Loop { body, continuing, .. } => {
            asks_for_subgroups(body) || asks_for_subgroups(continuing)
        }
        Node::Switch { cases, default, .. } => {
            asks_for_subgroups(default) || cases.iter().any(|(_, b)| asks_for_subgroups(b))
        }
        Node::Scope { body, .. } => asks_for_subgroups(body),
    })
}
