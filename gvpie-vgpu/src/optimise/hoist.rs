//! What is the same in every round of a loop is computed once, before it.
//!
//! Operations without effect may be run for lanes that would not have come to them. Loads are moved where
//! their memory is only read and each index is held within its bounds whatever the lane has gone through.

use crate::ir::*;

/// The kernel with what loops repeat moved before them.
pub(super) fn hoist(mut kernel: Kernel) -> Kernel {
    let count = kernel.values.len();
    let mut hoister = Hoister {
        bindings: &kernel.bindings,
        depths: vec![0; count],
        bounded: vec![false; count],
        before: Vec::new(),
    };
    let body = hoister.block(std::mem::take(&mut kernel.body), false);
    kernel.body = body;
    kernel
}

struct Hoister<'a> {
    bindings: &'a [Binding],
    /// Loops around the place where each value is computed.
    depths: Vec<u32>,
    /// Values that are below a length by how they are computed.
    bounded: Vec<bool>,
    /// What goes before each of the loops that are open.
    before: Vec<Block>,
}

/// Whether it is dear to compute.
fn is_dear(op: &Op) -> bool {
    use Unary::*;
    match op {
        Op::Unary(unary, _) => !matches!(
            unary,
            Neg | Not | Abs | Sign | CountOnes | Floor | Ceil | Trunc | Round | Fract
        ),
        Op::Binary(binary, ..) => {
            matches!(binary, Binary::Div | Binary::Rem | Binary::Pow | Binary::Atan2)
        }
        Op::Load(_) | Op::Fma(..) | Op::Ldexp(..) | Op::Frexp(_) => true,
        _ => false,
    }
}

impl Hoister<'_> {
    /// `guarded` says that a lane may not come to it in a round of the innermost loop.
    fn block(&mut self, block: Block, guarded: bool) -> Block {
        let mut kept = Vec::with_capacity(block.len());
        for node in block {
            match node {
                Node::Inst { first, ref op, .. } => {
                    let to = match self.moves(op) && !(guarded && is_dear(op)) {
                        true => self.depth(op),
                        false => self.before.len(),
                    };
                    for k in 0..op.results() {
                        self.depths[(first.0 + k) as usize] = to as u32;
                    }
                    if let Op::Bound(..) = op {
                        self.bounded[first.0 as usize] = true;
                    }
                    self.before.get_mut(to).unwrap_or(&mut kept).push(node);
                }
                Node::If { condition, then, otherwise, span } => {
                    let (then, otherwise) = (self.block(then, true), self.block(otherwise, true));
                    kept.push(Node::If { condition, then, otherwise, span });
                }
                Node::Loop { label, body, continuing, break_if, span } => {
                    self.before.push(Vec::new());
                    let body = self.block(body, false);
                    let continuing = self.block(continuing, false);
                    kept.extend(self.before.pop().unwrap_or_default());
                    kept.push(Node::Loop { label, body, continuing, break_if, span });
                }
                Node::Switch { label, selector, cases, default, span } => {
                    let cases = cases
                        .into_iter()
                        .map(|(list, block)| (list, self.block(block, true)))
                        .collect();
                    let default = self.block(default, true);
                    kept.push(Node::Switch { label, selector, cases, default, span });
                }
                Node::Scope { label, body } => {
                    let body = self.block(body, guarded);
                    kept.push(Node::Scope { label, body });
                }
                node @ (Node::Leave { .. } | Node::Barrier { .. }) => kept.push(node),
            }
        }
        kept
    }

    /// Whether an instruction gives the same wherever its operands are.
    fn moves(&self, op: &Op) -> bool {
        match op {
            Op::Load(place) => {
                let read = match place.memory {
                    Memory::Binding(number) => {
                        let kind = &self.bindings[number as usize].kind;
                        matches!(kind, BindingKind::Buffer { writes: false, .. })
                    }
                    Memory::Immediate => true,
                    Memory::Workgroup | Memory::Private => false,
                };
                read && place.terms.iter().all(|(value, _)| self.bounded[value.0 as usize])
            }
            Op::Get(_)
            | Op::Set(..)
            | Op::Store(..)
            | Op::Atomic { .. }
            | Op::Together(..)
            | Op::Ballot(_)
            | Op::TextureLoad { .. }
            | Op::TextureStore { .. } => false,
            _ => true,
        }
    }

    /// Loops around all that an instruction takes.
    fn depth(&self, op: &Op) -> usize {
        let mut depth = 0;
        op.operands(|value| depth = depth.max(self.depths[value.0 as usize]));
        depth as usize
    }
}
