//! Lanes that go separate ways: those of one way first, then those of the other.
//!
//! Who leaves a construct is taken out of the mask, waits under its label, and is back where the construct
//! ends; so a `continue` within a `switch` passes the switch by and waits for its loop.

use super::lanes::{Mask, Register};
use super::look::Look;
use super::step::Step;
use super::{Group, RunError, Stop, Watch};
use crate::ir::{Scope, Span};

impl<W: Watch> Group<'_, W> {
    /// Runs steps for the lanes that take part, and leaves those in the mask that come to the end.
    pub(super) fn block(&mut self, steps: &[Step]) -> Result<(), Stop> {
        self.charge(steps.len() + 1)?;
        for step in steps {
            if W::STEPS {
                self.show(step)?;
            }
            match step {
                Step::Do(what, span) => self.instruction(what, *span)?,
                Step::If { condition, then, otherwise, .. } => {
                    self.branch(*condition, then, otherwise)?;
                }
                Step::Loop { label, body, continuing, break_if, .. } => {
                    self.repeat(*label, body, continuing, *break_if)?;
                }
                Step::Switch { label, selector, cases, default, .. } => {
                    self.switch(*label, *selector, cases, default)?;
                }
                Step::Scope { label, body } => {
                    self.left[*label] = Mask::NONE;
                    self.block(body)?;
                    self.enter(self.mask.or(&self.left[*label]));
                }
                Step::Leave { label, again, .. } => {
                    let waiting = if *again { &mut self.again } else { &mut self.left };
                    waiting[*label] = waiting[*label].or(&self.mask);
                    self.enter(Mask::NONE);
                }
                Step::Barrier { scope, span } => self.barrier(*scope, *span)?,
            }
            if self.mask.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Shows who watches what is about to be done.
    fn show(&mut self, step: &Step) -> Result<(), Stop> {
        let (span, barrier) = step.place();
        self.watch.step(&Look {
            program: self.program,
            registers: &self.registers,
            memory: &self.workgroup,
            private: &self.private,
            mask: &self.mask,
            span,
            barrier,
        })
    }

    fn branch(
        &mut self,
        condition: Register,
        then: &[Step],
        otherwise: &[Step],
    ) -> Result<(), Stop> {
        if self.registers.is_same::<u32>(condition) {
            let holds = self.registers.first::<u32>(condition) != 0;
            let steps = if holds { then } else { otherwise };
            return if steps.is_empty() { Ok(()) } else { self.block(steps) };
        }
        let mask = self.mask;
        let holds = self.registers.nonzero(condition, self.range.clone(), &mask);
        let fails = mask.without(&holds);
        let mut after = Mask::NONE;
        for (way, steps) in [(holds, then), (fails, otherwise)] {
            if steps.is_empty() || way.is_empty() {
                after = after.or(&way);
            } else {
                self.enter(way);
                self.block(steps)?;
                after = after.or(&self.mask);
            }
        }
        self.enter(after);
        Ok(())
    }

    fn repeat(
        &mut self,
        label: usize,
        body: &[Step],
        continuing: &[Step],
        break_if: Option<Register>,
    ) -> Result<(), Stop> {
        self.left[label] = Mask::NONE;
        while !self.mask.is_empty() {
            self.again[label] = Mask::NONE;
            self.block(body)?;
            if !self.again[label].is_empty() {
                self.enter(self.mask.or(&self.again[label]));
            }
            if self.mask.is_empty() {
                break;
            }
            self.block(continuing)?;
            if let Some(condition) = break_if {
                let done = self.registers.nonzero(condition, self.range.clone(), &self.mask);
                if !done.is_empty() {
                    self.left[label] = self.left[label].or(&done);
                    self.enter(self.mask.without(&done));
                }
            }
        }
        self.enter(self.left[label]);
        Ok(())
    }

    fn switch(
        &mut self,
        label: usize,
        selector: Register,
        cases: &[(Vec<u32>, Vec<Step>)],
        default: &[Step],
    ) -> Result<(), Stop> {
        self.left[label] = Mask::NONE;
        self.registers.deal::<u32>(selector);
        let mut rest = self.mask;
        let mut after = Mask::NONE;
        for (selectors, steps) in cases {
            let words = &self.registers.of::<u32>(selector)[rest.range()];
            let way = Mask::of(rest.range(), words, |word| selectors.contains(word)).and(&rest);
            if way.is_empty() {
                continue;
            }
            rest = rest.without(&way);
            self.enter(way);
            self.block(steps)?;
            after = after.or(&self.mask);
        }
        if !rest.is_empty() {
            self.enter(rest);
            self.block(default)?;
            after = after.or(&self.mask);
        }
        self.enter(after.or(&self.left[label]));
        Ok(())
    }

    /// In lock step, all that have come are here at the same time.
    fn barrier(&mut self, scope: Scope, span: Span) -> Result<(), Stop> {
        let missing = match scope {
            // Subgroups come one by one, each whole.
            Scope::Subgroup => {
                let size = self.dispatch.subgroup;
                let there = |lane: usize| self.mask.has(lane);
                (0..self.program.lanes).find(|lane| {
                    let first = lane / size * size;
                    let end = (first + size).min(self.program.lanes);
                    !there(*lane) && (first..end).any(there)
                })
            }
            _ => self.all.without(&self.mask).lanes().next(),
        };
        if self.watch.barrier(scope, &self.mask, missing, span) {
            return Ok(());
        }
        let lane = missing.unwrap_or(0) as u32;
        Err(RunError::Divergent { span, workgroup: self.id, lane }.into())
    }
}
