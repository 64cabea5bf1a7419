//! What the lanes of a subgroup do together.

use super::{Held, Lowerer};
use crate::error::Result;
use crate::ir::*;
use naga::{
    CollectiveOperation as Collective, Direction, Expression, GatherMode, Handle,
    SubgroupOperation as Operation,
};

impl Lowerer<'_> {
    /// `subgroupBallot`; without a predicate, of the lanes that are there.
    pub fn ballot(
        &mut self,
        predicate: Option<Handle<Expression>>,
        result: Handle<Expression>,
    ) -> Result<()> {
        let predicate = match predicate {
            Some(handle) => self.value(handle)?,
            None => self.constant(Type::Bool, 1),
        };
        let first = self.insts(&[Type::U32; 4], Op::Ballot(predicate));
        self.define(result, Held::Values((first.0..first.0 + 4).map(Value).collect()))
    }

    /// Reductions and scans, component by component.
    pub fn collective(
        &mut self,
        op: Operation,
        collective: Collective,
        argument: Handle<Expression>,
        result: Handle<Expression>,
    ) -> Result<()> {
        let together = match (collective, op) {
            (Collective::Reduce, Operation::All) => Together::All,
            (Collective::Reduce, Operation::Any) => Together::Any,
            (Collective::Reduce, Operation::Add) => Together::Add,
            (Collective::Reduce, Operation::Mul) => Together::Mul,
            (Collective::Reduce, Operation::Min) => Together::Min,
            (Collective::Reduce, Operation::Max) => Together::Max,
            (Collective::Reduce, Operation::And) => Together::And,
            (Collective::Reduce, Operation::Or) => Together::Or,
            (Collective::Reduce, Operation::Xor) => Together::Xor,
            (Collective::InclusiveScan, Operation::Add) => Together::InclusiveAdd,
            (Collective::InclusiveScan, Operation::Mul) => Together::InclusiveMul,
            (Collective::ExclusiveScan, Operation::Add) => Together::ExclusiveAdd,
            (Collective::ExclusiveScan, Operation::Mul) => Together::ExclusiveMul,
            _ => return Err(self.unsupported("this scan of a subgroup")),
        };
        self.together(together, argument, None, result)
    }

    /// Values of other lanes.
    pub fn gather(
        &mut self,
        mode: GatherMode,
        argument: Handle<Expression>,
        result: Handle<Expression>,
    ) -> Result<()> {
        let (together, other) = match mode {
            GatherMode::BroadcastFirst => (Together::First, None),
            GatherMode::Broadcast(lane) => (Together::Broadcast, Some(lane)),
            GatherMode::Shuffle(lane) => (Together::Shuffle, Some(lane)),
            GatherMode::ShuffleDown(by) => (Together::ShuffleDown, Some(by)),
            GatherMode::ShuffleUp(by) => (Together::ShuffleUp, Some(by)),
            GatherMode::ShuffleXor(with) => (Together::ShuffleXor, Some(with)),
            GatherMode::QuadBroadcast(lane) => (Together::QuadBroadcast, Some(lane)),
            GatherMode::QuadSwap(Direction::X) => (Together::QuadSwapX, None),
            GatherMode::QuadSwap(Direction::Y) => (Together::QuadSwapY, None),
            GatherMode::QuadSwap(Direction::Diagonal) => (Together::QuadSwapDiagonal, None),
        };
        self.together(together, argument, other, result)
    }

    fn together(
        &mut self,
        together: Together,
        argument: Handle<Expression>,
        other: Option<Handle<Expression>>,
        result: Handle<Expression>,
    ) -> Result<()> {
        let values = self.values(argument)?;
        let other = match other {
            Some(handle) => {
                let value = self.value(handle)?;
                Some(self.bitcast(Type::U32, value))
            }
            None => None,
        };
        let each = |&a: &Value| self.inst(self.ty(a), Op::Together(together, a, other));
        let values = values.iter().map(each).collect();
        self.define(result, Held::Values(values))
    }
}
