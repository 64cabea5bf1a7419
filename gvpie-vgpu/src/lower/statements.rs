//! Statements that do something where they stand.

use super::control::Tail;
use super::{Held, Lowerer};
use crate::error::Result;
use crate::ir::*;
use naga::{Expression, Handle, Statement};

impl Lowerer<'_> {
    /// Appends a block's statements to the block where lowering is; `tail` says what its end is the end
    /// of.
    pub fn block(&mut self, block: &naga::Block, tail: Tail) -> Result<()> {
        let last = block.len().saturating_sub(1);
        for (k, (statement, span)) in block.span_iter().enumerate() {
            let tail = if k == last { tail } else { Tail::NONE };
            self.spend(1)?;
            self.within(*span, |lowerer| lowerer.statement(statement, tail))?;
            if matches!(
                statement,
                Statement::Break | Statement::Continue | Statement::Return { .. }
            ) {
                break;
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement, tail: Tail) -> Result<()> {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    let held = self.evaluate(handle)?;
                    self.define(handle, held)?;
                }
                Ok(())
            }
            Statement::Block(block) => self.block(block, tail),
            Statement::If { condition, accept, reject } => {
                self.branch(*condition, accept, reject, tail)
            }
            Statement::Switch { selector, cases } => self.switch(*selector, cases, tail),
            Statement::Loop { body, continuing, break_if } => {
                self.repeat(body, continuing, *break_if)
            }
            Statement::Break => self.stop(tail),
            Statement::Continue => self.go_on(tail),
            Statement::Return { value } => self.give(*value, tail),
            Statement::ControlBarrier(barrier) => {
                self.barrier(*barrier);
                Ok(())
            }
            Statement::Store { pointer, value } => {
                let (pointer, values) = (self.pointer(*pointer)?, self.values(*value)?);
                self.store(&pointer, &values)
            }
            Statement::ImageStore { image, coordinate, array_index, value } => {
                self.texture_store(*image, *coordinate, *array_index, *value)
            }
            Statement::Atomic { pointer, fun, value, result } => {
                self.atomic(*pointer, *fun, *value, *result)
            }
            Statement::WorkGroupUniformLoad { pointer, result } => {
                self.uniform_load(*pointer, *result)
            }
            Statement::Call { function, arguments, result } => {
                self.call(*function, arguments, *result)
            }
            Statement::SubgroupBallot { result, predicate } => self.ballot(*predicate, *result),
            Statement::SubgroupGather { mode, argument, result } => {
                self.gather(*mode, *argument, *result)
            }
            Statement::SubgroupCollectiveOperation { op, collective_op, argument, result } => {
                self.collective(*op, *collective_op, *argument, *result)
            }
            Statement::Kill => Err(self.unsupported("discard")),
            Statement::MemoryBarrier(_) => Err(self.unsupported("a barrier of memory alone")),
            Statement::ImageAtomic { .. } => Err(self.unsupported("an atomic on a texture")),
            Statement::RayQuery { .. } | Statement::RayPipelineFunction(_) => {
                Err(self.unsupported("ray tracing"))
            }
            Statement::CooperativeStore { .. } => Err(self.unsupported("a cooperative matrix")),
        }
    }

    /// One barrier for each kind of memory that is named.
    fn barrier(&mut self, barrier: naga::Barrier) {
        let kinds = [
            (naga::Barrier::STORAGE, Scope::Storage),
            (naga::Barrier::TEXTURE, Scope::Texture),
            (naga::Barrier::SUB_GROUP, Scope::Subgroup),
            (naga::Barrier::WORK_GROUP, Scope::Workgroup),
        ];
        for (_, scope) in kinds.into_iter().filter(|(kind, _)| barrier.contains(*kind)) {
            self.block.push(Node::Barrier { scope, span: self.span });
        }
    }

    /// Loads what is the same for all lanes of the workgroup, between two barriers.
    fn uniform_load(
        &mut self,
        pointer: Handle<Expression>,
        result: Handle<Expression>,
    ) -> Result<()> {
        let pointer = self.pointer(pointer)?;
        self.barrier(naga::Barrier::WORK_GROUP);
        let values = self.load(&pointer)?;
        self.barrier(naga::Barrier::WORK_GROUP);
        self.define(result, Held::Values(values))
    }
}
