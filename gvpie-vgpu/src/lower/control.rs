//! Control flow: constructs, and what leaves them.

use super::Lowerer;
use crate::error::Result;
use crate::ir::rewrite;
use crate::ir::*;
use naga::{Expression, Handle, SwitchCase, SwitchValue};
use std::collections::HashMap;

/// What the end of a block is the end of: a statement that leaves no more than that is none.
///
/// naga ends every block that ends a function with `return`; lanes would seem to go separate ways there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    function: bool,
    /// Of the body of the innermost loop.
    round: bool,
    /// Of the innermost switch, if no loop is within it.
    switch: bool,
}

impl Tail {
    pub const NONE: Tail = Tail { function: false, round: false, switch: false };
    pub const FUNCTION: Tail = Tail { function: true, ..Tail::NONE };
}

impl Lowerer<'_> {
    /// `if`.
    pub fn branch(
        &mut self,
        condition: Handle<Expression>,
        accept: &naga::Block,
        reject: &naga::Block,
        tail: Tail,
    ) -> Result<()> {
        let condition = self.value(condition)?;
        let then = self.nested(|lowerer| lowerer.block(accept, tail))?;
        let otherwise = self.nested(|lowerer| lowerer.block(reject, tail))?;
        if !then.is_empty() || !otherwise.is_empty() {
            self.block.push(Node::If { condition, then, otherwise, span: self.span });
        }
        Ok(())
    }

    /// `switch`. Cases with several selectors come as empty ones that fall through.
    pub fn switch(
        &mut self,
        selector: Handle<Expression>,
        listed: &[SwitchCase],
        tail: Tail,
    ) -> Result<()> {
        let selector = self.value(selector)?;
        let label = self.label();
        self.frame.breaks.push(label);
        let (mut cases, mut default) = (Vec::new(), Vec::new());
        let (mut selectors, mut others) = (Vec::new(), false);
        for case in listed {
            match case.value {
                SwitchValue::I32(value) => selectors.push(value as u32),
                SwitchValue::U32(value) => selectors.push(value),
                SwitchValue::Default => others = true,
            }
            if case.fall_through {
                if !case.body.is_empty() {
                    return Err(self.unsupported("a case that falls through"));
                }
                continue;
            }
            let tail = Tail { switch: true, ..tail };
            let block = self.nested(|lowerer| lowerer.block(&case.body, tail))?;
            let selectors = std::mem::take(&mut selectors);
            if std::mem::take(&mut others) {
                default = block;
            } else {
                cases.push((selectors, block));
            }
        }
        self.frame.breaks.pop();
        self.block.push(Node::Switch { label, selector, cases, default, span: self.span });
        Ok(())
    }

    /// `loop`, and what `for` and `while` are made of.
    pub fn repeat(
        &mut self,
        body: &naga::Block,
        continuing: &naga::Block,
        break_if: Option<Handle<Expression>>,
    ) -> Result<()> {
        let label = self.label();
        self.frame.breaks.push(label);
        self.frame.continues.push(label);
        self.loops += 1;
        let tail = Tail { round: true, ..Tail::NONE };
        let mut body = self.nested(|lowerer| lowerer.block(body, tail))?;
        let mut condition = None;
        let mut continuing = self.nested(|lowerer| {
            lowerer.block(continuing, Tail::NONE)?;
            if let Some(handle) = break_if {
                condition = Some(lowerer.value(handle)?);
            }
            Ok(())
        })?;
        self.loops -= 1;
        self.frame.breaks.pop();
        self.frame.continues.pop();
        self.carry(&mut body, &mut continuing, &mut condition);
        let span = self.span;
        self.block.push(Node::Loop { label, body, continuing, break_if: condition, span });
        Ok(())
    }

    /// Hands values of a loop's body to what continues it, through slots: lanes may have left the body
    /// at different places.
    fn carry(&mut self, body: &mut Block, continuing: &mut Block, condition: &mut Option<Value>) {
        let assigned = rewrite::assigned(body);
        let mut wanted = Vec::new();
        let mut slots = HashMap::new();
        let mut want = |value: Value| {
            if assigned.contains(&value) && !wanted.contains(&value) {
                wanted.push(value);
            }
        };
        rewrite::uses(continuing, &mut want);
        condition.iter().for_each(|value| want(*value));
        if wanted.is_empty() {
            return;
        }
        let mut names = HashMap::new();
        let inner = std::mem::take(continuing);
        let outer = std::mem::take(&mut self.block);
        for value in wanted {
            let ty = self.ty(value);
            let slot = self.slot(ty);
            slots.insert(value, slot);
            names.insert(value, self.inst(ty, Op::Get(slot)));
        }
        *continuing = std::mem::replace(&mut self.block, outer);
        continuing.extend(inner);
        rewrite::rename(continuing, &names);
        if let Some(value) = condition {
            *value = names.get(value).copied().unwrap_or(*value);
        }
        rewrite::keep(body, &slots);
    }

    fn leave(&mut self, label: Label, again: bool) {
        self.block.push(Node::Leave { label, again, span: self.span });
    }

    /// `break`.
    pub fn stop(&mut self, tail: Tail) -> Result<()> {
        match self.frame.breaks.last() {
            Some(_) if tail.switch => {}
            Some(&label) => self.leave(label, false),
            None => return Err(self.unsupported("a break outside of loops")),
        }
        Ok(())
    }

    /// `continue`.
    pub fn go_on(&mut self, tail: Tail) -> Result<()> {
        match self.frame.continues.last() {
            Some(_) if tail.round => {}
            Some(&label) => self.leave(label, true),
            None => return Err(self.unsupported("a continue outside of loops")),
        }
        Ok(())
    }

    /// `return`.
    pub fn give(&mut self, value: Option<Handle<Expression>>, tail: Tail) -> Result<()> {
        if let Some(handle) = value {
            let values = self.values(handle)?;
            if self.frame.slots.is_empty() {
                self.frame.result = Some(values);
            } else {
                for (k, &value) in values.iter().enumerate() {
                    let slot = self.frame.slots[k];
                    self.effect(Op::Set(slot, value));
                }
            }
        }
        if !tail.function {
            self.frame.left = true;
            self.leave(self.frame.label, false);
        }
        Ok(())
    }
}
