//! Functions, each inlined where it is called.

use super::places::Pointer;
use super::{Held, Lowerer};
use crate::error::Result;
use crate::ir::*;
use naga::valid::FunctionInfo;
use naga::{Expression, Function, Handle, Statement};
use std::collections::HashMap;
use std::rc::Rc;

/// Calls within calls.
const MAX_CALLS: u32 = 255;

/// A function while it is inlined.
pub(super) struct Frame<'a> {
    pub function: &'a Function,
    pub info: &'a FunctionInfo,
    /// Which one it is; none for the entry point.
    pub handle: Option<Handle<Function>>,
    /// What expressions stand for, by their numbers.
    pub held: Vec<Option<Held>>,
    /// Values in memory, for what is indexed by what is not constant.
    pub spilled: HashMap<Handle<Expression>, Pointer>,
    pub locals: Vec<Pointer>,
    pub arguments: Vec<Held>,
    /// What `return` leaves, and whether any does.
    pub label: Label,
    pub left: bool,
    /// What `break` and `continue` leave, the innermost last.
    pub breaks: Vec<Label>,
    pub continues: Vec<Label>,
    /// Where the result is kept, if there is more than one `return`, and the result.
    pub slots: Vec<Slot>,
    pub result: Option<Rc<[Value]>>,
    /// Calls around this one.
    pub calls: u32,
}

impl<'a> Frame<'a> {
    /// A frame with nothing in it yet.
    pub fn new(function: &'a Function, info: &'a FunctionInfo) -> Self {
        Frame {
            function,
            info,
            handle: None,
            held: vec![None; function.expressions.len()],
            spilled: HashMap::new(),
            locals: Vec::new(),
            arguments: Vec::new(),
            label: Label(0),
            left: false,
            breaks: Vec::new(),
            continues: Vec::new(),
            slots: Vec::new(),
            result: None,
            calls: 0,
        }
    }
}

/// Whether the last statement, and no other, returns.
fn returns_last(block: &naga::Block) -> bool {
    match block.last() {
        Some(Statement::Return { value: Some(_) }) => count(block) == 1,
        Some(Statement::Block(inner)) => count(block) == 1 && returns_last(inner),
        _ => false,
    }
}

/// How many times a block returns.
fn count(block: &naga::Block) -> usize {
    let of = |statement: &Statement| match statement {
        Statement::Return { .. } => 1,
        Statement::Block(block) => count(block),
        Statement::If { accept, reject, .. } => count(accept) + count(reject),
        Statement::Switch { cases, .. } => cases.iter().map(|case| count(&case.body)).sum(),
        Statement::Loop { body, continuing, .. } => count(body) + count(continuing),
        _ => 0,
    };
    block.iter().map(of).sum()
}

impl<'a> Lowerer<'a> {
    /// Lowers a call to where lowering is, and gives its result.
    pub fn inline(
        &mut self,
        function: &'a Function,
        info: &'a FunctionInfo,
        handle: Option<Handle<Function>>,
        arguments: Vec<Held>,
    ) -> Result<Option<Rc<[Value]>>> {
        let label = self.label();
        let calls = self.frame.calls + 1;
        if calls > MAX_CALLS {
            return Err(self.limit("calls within calls", calls.into(), MAX_CALLS.into()));
        }
        // A frame has a place for each expression, those that nothing looks at included.
        self.spend(function.expressions.len() as u64)?;
        let frame = Frame { handle, arguments, label, calls, ..Frame::new(function, info) };
        let outer = std::mem::replace(&mut self.frame, frame);
        if let Some(result) = &function.result
            && !returns_last(&function.body)
        {
            let ty = self.get(result.ty)?;
            let count = self.sized(ty)?;
            self.spend(count)?;
            let scalars = self.types.scalars(ty);
            self.frame.slots = scalars.into_iter().map(|ty| self.slot(ty)).collect();
        }
        let body = self.nested(|lowerer| {
            lowerer.locals()?;
            lowerer.spill_arguments()?;
            lowerer.block(&function.body, super::control::Tail::FUNCTION)
        })?;
        let frame = std::mem::replace(&mut self.frame, outer);
        if frame.left {
            self.block.push(Node::Scope { label, body });
        } else {
            self.block.extend(body);
        }
        let get = |slot: &Slot| {
            let ty = self.kernel.slots[slot.0 as usize];
            self.inst(ty, Op::Get(*slot))
        };
        Ok(match frame.slots.as_slice() {
            [] => frame.result,
            slots => Some(slots.iter().map(get).collect()),
        })
    }

    /// Makes a function's variables, with what they begin as.
    fn locals(&mut self) -> Result<()> {
        let function = self.frame.function;
        for (handle, variable) in function.local_variables.iter() {
            self.within(function.local_variables.get_span(handle), |lowerer| {
                let ty = lowerer.get(variable.ty)?;
                let summary = lowerer.analysis.of(lowerer.frame.handle);
                let dynamic = summary.locals.contains(&handle);
                let name = variable.name.as_deref().unwrap_or("_");
                let pointer = lowerer.variable(ty, name, dynamic)?;
                // Slots and memory are zero at first: only a loop comes here again.
                let init = match variable.init {
                    Some(init) => Some(lowerer.values(init)?),
                    None if lowerer.loops > 0 => Some(lowerer.zeros(ty)?),
                    None => None,
                };
                if let Some(values) = init {
                    lowerer.store(&pointer, &values)?;
                }
                lowerer.frame.locals.push(pointer);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Arguments that are indexed by what is not constant are put into memory.
    fn spill_arguments(&mut self) -> Result<()> {
        let function = self.frame.function;
        for (handle, expression) in function.expressions.iter() {
            if let Expression::FunctionArgument(k) = *expression
                && let Some(Held::Values(values)) = self.frame.arguments.get(k as usize).cloned()
            {
                self.spill_if_indexed(handle, &values)?;
            }
        }
        Ok(())
    }

    /// Lowers a call statement.
    pub fn call(
        &mut self,
        callee: Handle<Function>,
        arguments: &[Handle<Expression>],
        result: Option<Handle<Expression>>,
    ) -> Result<()> {
        let arguments: Result<Vec<_>> = arguments.iter().map(|a| self.held(*a)).collect();
        let (module, info) = (self.module, self.info);
        let function = &module.functions[callee];
        let value = self.inline(function, &info[callee], Some(callee), arguments?)?;
        match (result, value) {
            (Some(handle), Some(values)) => self.define(handle, Held::Values(values)),
            (Some(_), None) => Err(self.unsupported("a function that ends without its result")),
            (None, _) => Ok(()),
        }
    }
}
