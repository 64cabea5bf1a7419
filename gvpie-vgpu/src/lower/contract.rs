//! Products that are only added to something become one operation, rounded once.
//!
//! WGSL lets an implementation fuse a product and a sum, as most GPUs do, and it is the more exact for it.
//! What looks on, interprets or compiles a kernel then takes one and the same kernel. Where the processor has
//! no such instruction nothing is fused. The product stays for the optimiser to find that nobody takes it.

use crate::ir::{Binary, Block, Kernel, Node, Op, Type, Unary, Value, rewrite};
use crate::numerics;
use std::collections::HashMap;

/// Fuses the products of a kernel.
pub(super) fn contract(kernel: &mut Kernel) {
    if !numerics::fuses() {
        return;
    }
    let mut uses = vec![0_u32; kernel.values.len()];
    rewrite::uses(&kernel.body, &mut |value| uses[value.0 as usize] += 1);
    let mut contractor = Contractor { types: &mut kernel.values, uses, products: HashMap::new() };
    contractor.block(&mut kernel.body);
}

struct Contractor<'a> {
    types: &'a mut Vec<Type>,
    /// How often each value is taken.
    uses: Vec<u32>,
    /// The factors of products that are taken once.
    products: HashMap<Value, (Value, Value)>,
}

impl Contractor<'_> {
    fn block(&mut self, block: &mut Block) {
        for mut node in std::mem::take(block) {
            if let Node::Inst { first, op, span } = &mut node
                && let Op::Binary(binary, a, b) = *op
                && matches!(self.types[first.0 as usize], Type::F32 | Type::F64)
            {
                let mut negate = |contractor: &mut Self, value: Value| {
                    let first = Value(contractor.types.len() as u32);
                    contractor.types.push(contractor.types[value.0 as usize]);
                    let op = Op::Unary(Unary::Neg, value);
                    block.push(Node::Inst { first, op, span: *span });
                    first
                };
                match binary {
                    Binary::Mul if self.uses[first.0 as usize] == 1 => {
                        self.products.insert(*first, (a, b));
                    }
                    Binary::Add => {
                        for (product, other) in [(b, a), (a, b)] {
                            if let Some((c, d)) = self.products.remove(&product) {
                                *op = Op::Fma(c, d, other);
                                break;
                            }
                        }
                    }
                    Binary::Sub => {
                        if let Some((c, d)) = self.products.remove(&b) {
                            *op = Op::Fma(negate(self, c), d, a);
                        } else if let Some((c, d)) = self.products.remove(&a) {
                            *op = Op::Fma(c, d, negate(self, b));
                        }
                    }
                    _ => {}
                }
            }
            node.blocks_mut(|inner| self.block(inner));
            block.push(node);
        }
    }
}
