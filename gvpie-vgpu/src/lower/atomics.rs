//! Atomics.

use super::places::At;
use super::{Held, Lowerer};
use crate::error::Result;
use crate::ir::*;
use naga::{AtomicFunction, Expression, Handle};
use std::rc::Rc;

impl Lowerer<'_> {
    /// An atomic function; what was there before is its result, and whether it was exchanged.
    pub fn atomic(
        &mut self,
        pointer: Handle<Expression>,
        fun: AtomicFunction,
        value: Handle<Expression>,
        result: Option<Handle<Expression>>,
    ) -> Result<()> {
        let (pointer, value) = (self.pointer(pointer)?, self.value(value)?);
        let At::Memory(place) = pointer.at else {
            return Err(self.unsupported("an atomic in no shared memory"));
        };
        let (op, compare) = match fun {
            AtomicFunction::Add => (Atomic::Add, None),
            AtomicFunction::Subtract => (Atomic::Sub, None),
            AtomicFunction::And => (Atomic::And, None),
            AtomicFunction::ExclusiveOr => (Atomic::Xor, None),
            AtomicFunction::InclusiveOr => (Atomic::Or, None),
            AtomicFunction::Min => (Atomic::Min, None),
            AtomicFunction::Max => (Atomic::Max, None),
            AtomicFunction::Exchange { compare: None } => (Atomic::Exchange, None),
            AtomicFunction::Exchange { compare: Some(handle) } => {
                (Atomic::CompareExchange, Some(self.value(handle)?))
            }
        };
        let old = self.inst(self.ty(value), Op::Atomic { op, place, value, compare });
        let Some(handle) = result else { return Ok(()) };
        let values: Rc<[Value]> = match compare {
            None => Rc::new([old]),
            Some(compare) => Rc::new([old, self.compare(Compare::Equal, old, compare)]),
        };
        self.define(handle, Held::Values(values))
    }
}
