//! Constructs: branches where all lanes go one way, masks where they part.

use super::emit::{Emitter, Target, There, field, own};
use super::quiet::Question;
use super::tree::{Body, BodyId, Part};
use crate::ir::{self, Label, Type};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

/// Nodes of a block and those within, as the budget counts them.
pub(super) fn weight(body: &Body<'_>) -> u64 {
    body.parts
        .iter()
        .map(|part| {
            1 + match part {
                Part::Inst { .. } | Part::Leave { .. } | Part::Meet { .. } => 0,
                Part::If { then, otherwise, .. } => weight(then) + weight(otherwise),
                Part::Switch { cases, default, .. } => {
                    cases.iter().map(|(_, body)| weight(body)).sum::<u64>() + weight(default)
                }
                Part::Scope { body, .. } => weight(body),
                // Its first round; the others are counted one by one.
                Part::Loop { body, continuing, .. } => weight(body) + weight(continuing),
            }
        })
        .sum()
}

/// Instructions × vectors of a loop's rounds that are written one after another, so that what a round ends
/// with is done less often.
const MAX_AT_ONCE: u64 = 192;

/// Instructions × vectors behind a condition that are written twice.
const MAX_GUARDED: usize = 256;

/// Whether a block has nothing but instructions and ways out.
fn is_plain(body: &Body<'_>) -> bool {
    body.parts.iter().all(|part| match part {
        Part::Inst { .. } | Part::Leave { .. } => true,
        Part::If { then, otherwise, .. } => is_plain(then) && is_plain(otherwise),
        _ => false,
    })
}

impl Emitter<'_, '_> {
    fn body(&mut self, body: &Body<'_>) {
        self.parts(&body.parts, body.id);
    }

    /// Nodes of the block `at`; where no lanes are left, what goes on is after them.
    pub(super) fn parts(&mut self, parts: &[Part<'_>], at: BodyId) {
        // Where those go who find that nobody is left.
        let mut end = None;
        let mut loaded = 0;
        for (number, part) in parts.iter().enumerate() {
            if number < loaded {
                continue;
            }
            if self.read_four(&parts[number..]) {
                loaded = number + 4;
                continue;
            }
            let before = std::mem::take(&mut self.thinned);
            let ends = match part {
                Part::Inst { first, op, span } => {
                    self.instruction(*first, op, *span, at);
                    false
                }
                Part::If { fork, condition, then, otherwise } => {
                    match self.number(*condition).filter(|_| !self.shapes.parts(*fork)) {
                        Some(condition) => self.branch(condition, then, otherwise),
                        None => self.guard(*condition, then, otherwise),
                    }
                    false
                }
                Part::Loop { label, body, continuing, break_if } => {
                    self.repeat(*label, body, continuing, *break_if);
                    false
                }
                Part::Switch { label, selector, cases, default, .. } => {
                    self.switch(*label, *selector, cases, default);
                    false
                }
                Part::Scope { label, body } => {
                    self.scope(*label, |e| e.body(body));
                    false
                }
                Part::Leave { label, again } => {
                    self.leave(*label, *again);
                    true
                }
                Part::Meet { span } => {
                    let mask = self.mask();
                    self.meet(&mask, *span);
                    false
                }
            };
            let thinned = self.thinned;
            self.thinned |= before;
            if ends {
                break;
            }
            if thinned && part.leaves() {
                let mask = self.mask();
                let any = self.any(&mask);
                let end = *end.get_or_insert_with(|| self.b.create_block());
                let next = self.b.create_block();
                self.b.ins().brif(any, next, &[], end, &[]);
                self.b.seal_block(next);
                self.b.switch_to_block(next);
            }
        }
        if let Some(end) = end {
            self.close(end);
        }
    }

    /// All lanes go one way.
    fn branch(&mut self, condition: Value, then: &Body<'_>, otherwise: &Body<'_>) {
        for (way, other, when) in
            [(then, otherwise, IntCC::NotEqual), (otherwise, then, IntCC::Equal)]
        {
            if let Some(exit) = self.way_out(way).filter(|_| other.parts.is_empty()) {
                let leaves = self.b.ins().icmp_imm_u(when, condition, 0);
                self.leave_if(leaves, exit);
                return;
            }
        }
        let (yes, no, after) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block());
        // The way that leads out comes first: see `repeat`.
        if matches!(otherwise.parts.last(), Some(Part::Leave { .. })) {
            let not = self.b.ins().icmp_imm_u(IntCC::Equal, condition, 0);
            self.b.ins().brif(not, no, &[], yes, &[]);
        } else {
            self.b.ins().brif(condition, yes, &[], no, &[]);
        }
        self.b.seal_block(yes);
        self.b.seal_block(no);
        for (block, body) in [(yes, then), (no, otherwise)] {
            self.b.switch_to_block(block);
            self.body(body);
            self.b.ins().jump(after, &[]);
        }
        self.b.seal_block(after);
        self.b.switch_to_block(after);
    }

    /// Where all lanes go that come to a block which does nothing but to leave a construct.
    fn way_out(&self, body: &Body<'_>) -> Option<Block> {
        let [Part::Leave { label, again: false }] = body.parts[..] else { return None };
        let target = self.targets.get(&label).filter(|target| target.left.is_empty())?;
        Some(target.exit)
    }

    /// Where the condition is that lanes are below a number, as most kernels ask first, and what it guards
    /// is short, that is written for all lanes as well: for all warps but the last.
    fn guard(&mut self, condition: ir::Value, then: &Body<'_>, otherwise: &Body<'_>) {
        let short = then.parts.iter().all(|part| matches!(part, Part::Inst { .. }))
            && then.parts.len() * self.mask.len() <= MAX_GUARDED;
        let below = self.below.get(&condition).copied();
        let Some((first, end)) = below.filter(|_| short && otherwise.parts.is_empty()) else {
            self.part(condition, then, otherwise);
            return;
        };
        let (first, end) =
            (self.b.ins().uextend(types::I64, first), self.b.ins().uextend(types::I64, end));
        let lanes = i64::from(self.lanes());
        let last = self.b.ins().iadd_imm_u(first, lanes - 1);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, last, end);
        let every = self.everybody();
        let quickly = self.b.ins().band(every, inside);
        let (quick, slow, after) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().brif(quickly, quick, &[], slow, &[]);
        self.b.seal_block(quick);
        self.b.seal_block(slow);
        self.b.set_cold_block(slow);
        self.b.switch_to_block(quick);
        let there = std::mem::replace(&mut self.there, There::All);
        self.body(then);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(slow);
        self.there = there;
        self.part(condition, then, otherwise);
        self.close(after);
        self.there = there;
    }

    /// Lanes go both ways, one after the other.
    fn part(&mut self, condition: ir::Value, then: &Body<'_>, otherwise: &Body<'_>) {
        let before = self.mask();
        let condition = self.vectors(condition);
        let yes = self.and(&before, &condition);
        let no = self.without(&before, &condition);
        let mut after = Vec::new();
        for (way, body) in [(yes, then), (no, otherwise)] {
            if !body.parts.is_empty() {
                self.way(&way, |e| e.body(body));
                after.push(self.mask());
            } else {
                after.push(way);
            }
        }
        let escapes = |body: &Body<'_>| body.parts.iter().any(|part| part.leaves());
        let after = match escapes(then) || escapes(otherwise) {
            true => self.or(&after[0], &after[1]),
            false => before,
        };
        self.set_mask(&after);
    }

    /// What some lanes do, if there are any.
    fn way(&mut self, lanes: &[Value], what: impl FnOnce(&mut Self)) {
        self.set_mask(lanes);
        let any = self.any(lanes);
        let (enter, after) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(any, enter, &[], after, &[]);
        self.b.seal_block(enter);
        self.b.switch_to_block(enter);
        what(self);
        self.close(after);
    }

    /// Variables for those who leave a construct, where they do it apart.
    fn waiting(&mut self, apart: bool) -> Vec<cranelift_frontend::Variable> {
        if !apart {
            return Vec::new();
        }
        let waiting = self.variables(types::I32X4, self.mask.len());
        let none = self.nobody();
        for (variable, none) in waiting.iter().zip(none) {
            self.b.def_var(*variable, none);
        }
        waiting
    }

    /// Those who have come one by one are there with the others.
    fn join(&mut self, waiting: &[cranelift_frontend::Variable]) {
        if !waiting.is_empty() {
            let mask = self.mask();
            let waiting: Vec<Value> =
                waiting.iter().map(|variable| self.b.use_var(*variable)).collect();
            let mask = self.or(&mask, &waiting);
            self.set_mask(&mask);
        }
    }

    /// A construct that can be left.
    fn scope(&mut self, label: Label, what: impl FnOnce(&mut Self)) {
        let exit = self.b.create_block();
        let left = self.waiting(self.shapes.leaves_apart(label));
        let target = Target { exit, round: None, left: left.clone(), again: Vec::new() };
        self.targets.insert(label, target);
        what(self);
        self.close(exit);
        self.join(&left);
    }

    /// A loop. The code generator moves what is the same in every round before it, as long as it has not
    /// come to a block outside: it goes by dominance, and of two ways takes the second first. So the first
    /// leads out, and the budget is looked at where a round ends.
    fn repeat(
        &mut self,
        label: Label,
        body: &Body<'_>,
        continuing: &Body<'_>,
        break_if: Option<ir::Value>,
    ) {
        let (head, exit) = (self.b.create_block(), self.b.create_block());
        let left = self.waiting(self.shapes.leaves_apart(label));
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        self.there = There::Some;
        let before = self.thinned;
        let mut thins = false;
        let cost = weight(body) + weight(continuing) + 1;
        let rounds = match is_plain(body) && is_plain(continuing) {
            true => (MAX_AT_ONCE / (cost * self.mask.len() as u64)).clamp(1, 4),
            false => 1,
        };
        for _ in 0..rounds {
            // A block for those who continue, if somebody does: what is in one block is put in better order.
            let round = body.parts.iter().any(|part| part.continues(label));
            let round = round.then(|| self.b.create_block());
            let again = self.waiting(self.shapes.continues_apart(label));
            let target = Target { exit, round, left: left.clone(), again: again.clone() };
            self.targets.insert(label, target);
            self.thinned = false;
            self.body(body);
            if let Some(round) = round {
                self.close(round);
            }
            self.join(&again);
            let mut somebody = |e: &mut Self| {
                thins = true;
                let mask = e.mask();
                let any = e.any(&mask);
                let none = e.b.ins().icmp_imm_u(IntCC::Equal, any, 0);
                e.leave_if(none, exit);
            };
            if std::mem::take(&mut self.thinned) {
                somebody(self);
            }
            self.body(continuing);
            match break_if {
                Some(value) if !left.is_empty() => {
                    let condition = self.vectors(value);
                    let mask = self.mask();
                    let done = self.and(&mask, &condition);
                    self.wait(&left, &done);
                    let rest = self.without(&mask, &condition);
                    self.set_mask(&rest);
                    somebody(self);
                }
                Some(value) => {
                    if let Some(condition) = self.number(value) {
                        self.leave_if(condition, exit);
                    }
                }
                None if self.thinned => somebody(self),
                None => {}
            }
        }
        self.pay(rounds * cost, head);
        self.b.seal_block(head);
        self.b.seal_block(exit);
        self.b.switch_to_block(exit);
        self.thinned = before || thins;
        self.join(&left);
    }

    /// Pays for a round of a loop, asks for more where that was the last, and begins the next.
    fn pay(&mut self, instructions: u64, head: Block) {
        let cost = (instructions * u64::from(self.lanes())) as i64;
        let credit = self.b.use_var(self.credit);
        let rest = self.b.ins().iadd_imm_s(credit, -cost);
        self.b.def_var(self.credit, rest);
        let over = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, rest, 0);
        let ask = self.b.create_block();
        self.b.ins().brif(over, ask, &[], head, &[]);
        self.b.seal_block(ask);
        self.b.set_cold_block(ask);
        self.b.switch_to_block(ask);
        self.store(own(), rest, self.given, field!(credit));
        self.ask_host(Question::Grant, &[]);
        let more = self.load(types::I64, own(), self.given, field!(credit));
        self.b.def_var(self.credit, more);
        self.b.ins().jump(head, &[]);
    }

    /// Adds lanes to those who wait.
    fn wait(&mut self, waiting: &[cranelift_frontend::Variable], lanes: &[Value]) {
        for (variable, lanes) in waiting.iter().zip(lanes) {
            let before = self.b.use_var(*variable);
            let all = self.b.ins().bor(before, *lanes);
            self.b.def_var(*variable, all);
        }
    }

    /// Lanes leave a construct, or go on with its next round.
    fn leave(&mut self, label: Label, again: bool) {
        let mask = self.mask();
        let Some(target) = self.targets.get(&label).cloned() else {
            self.leave_region(label, again, &mask);
            return;
        };
        let waiting = if again { &target.again } else { &target.left };
        if !waiting.is_empty() {
            self.wait(waiting, &mask);
            self.nobody_stays();
            return;
        }
        let to: Block = if again { target.round.unwrap_or(target.exit) } else { target.exit };
        self.b.ins().jump(to, &[]);
        // What follows is reached by nobody.
        let rest = self.b.create_block();
        self.b.seal_block(rest);
        self.b.switch_to_block(rest);
    }

    /// Lanes leave a construct that this region is a part of.
    fn leave_region(&mut self, label: Label, again: bool, mask: &[Value]) {
        let number = self.layout.labels.get(&label).copied().unwrap_or(0);
        let offset = if again { field!(again) } else { field!(left) };
        let start = self.load(types::I64, super::emit::fixed(), self.given, offset);
        let warp = self.b.use_var(self.warp);
        let at = self.b.ins().ishl_imm_u(warp, 2);
        let at = self.b.ins().iadd(start, at);
        let skip = (4 * number * self.layout.warps) as i32;
        let before = self.load(types::I32, own(), at, skip);
        let bits = self.bits(mask);
        let all = self.b.ins().bor(before, bits);
        self.store(own(), all, at, skip);
        self.nobody_stays();
    }

    /// Those who were there have left; whether anybody else is must be asked.
    fn nobody_stays(&mut self) {
        let nobody = self.nobody();
        self.set_mask(&nobody);
        self.thinned = true;
    }

    fn switch(
        &mut self,
        label: Label,
        selector: ir::Value,
        cases: &[(&[u32], Body<'_>)],
        default: &Body<'_>,
    ) {
        match self.number(selector) {
            Some(selector) => self.scope(label, |e| e.choose_case(selector, cases, default)),
            None => self.scope(label, |e| e.part_cases(selector, cases, default)),
        }
    }

    /// All lanes have one selector.
    fn choose_case(&mut self, selector: Value, cases: &[(&[u32], Body<'_>)], default: &Body<'_>) {
        let after = self.b.create_block();
        for (of, body) in cases {
            let (enter, next) = (self.b.create_block(), self.b.create_block());
            for value in *of {
                let value = i64::from(*value as i32);
                let hit = self.b.ins().icmp_imm_s(IntCC::Equal, selector, value);
                self.leave_if(hit, enter);
            }
            self.b.ins().jump(next, &[]);
            self.b.seal_block(enter);
            self.b.seal_block(next);
            self.b.switch_to_block(enter);
            self.body(body);
            self.b.ins().jump(after, &[]);
            self.b.switch_to_block(next);
        }
        self.body(default);
        self.close(after);
    }

    /// Lanes go different ways, case after case.
    fn part_cases(
        &mut self,
        selector: ir::Value,
        cases: &[(&[u32], Body<'_>)],
        default: &Body<'_>,
    ) {
        let selectors = self.vectors(selector);
        let mut rest = self.mask();
        let mut after = self.nobody();
        for (of, body) in cases {
            let mut way = self.nobody();
            for value in *of {
                let value = self.words([*value; 4]);
                let hits: Vec<Value> = selectors
                    .iter()
                    .map(|selector| self.b.ins().icmp(IntCC::Equal, *selector, value))
                    .collect();
                way = self.or(&way, &hits);
            }
            let way = self.and(&rest, &way);
            rest = self.without(&rest, &way);
            self.way(&way, |e| e.body(body));
            let there = self.mask();
            after = self.or(&after, &there);
        }
        self.way(&rest, |e| e.body(default));
        let there = self.mask();
        let after = self.or(&after, &there);
        self.set_mask(&after);
    }

    /// A subgroup's barrier: all its lanes are there, or none.
    fn meet(&mut self, mask: &[Value], span: ir::Span) {
        let bits = self.bits(mask);
        let all = self.load(types::I64, super::emit::fixed(), self.given, field!(all));
        let warp = self.b.use_var(self.warp);
        let at = self.b.ins().ishl_imm_u(warp, 2);
        let at = self.b.ins().iadd(all, at);
        let all = self.load(types::I32, own(), at, 0);
        let missing = self.b.ins().icmp(IntCC::NotEqual, bits, all);
        let (ask, next) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(missing, ask, &[], next, &[]);
        self.b.seal_block(ask);
        self.b.set_cold_block(ask);
        self.b.switch_to_block(ask);
        let place = self.long(i64::from(span.start) | i64::from(span.end) << 32);
        let bits = self.b.ins().uextend(types::I64, bits);
        self.stop_by_host(Question::Divergent, &[warp, bits, place], next);
    }

    /// Has a slot hold another value.
    pub(super) fn set(&mut self, slot: ir::Slot, value: ir::Value, at: super::tree::BodyId) {
        let Some(home) = self.slots.get(&slot).cloned() else { return };
        let ty: Type = self.kernel.slots[slot.0 as usize];
        if home.uniform {
            if let Some(number) = self.number(value) {
                self.b.def_var(home.variables[0], number);
            }
            return;
        }
        let mut new = self.vectors(value);
        if self.shapes.keeps(self.tree, slot, at) {
            let before: Vec<Value> =
                home.variables.iter().map(|variable| self.b.use_var(*variable)).collect();
            let mask = self.mask();
            let mask = self.widen(ty, &mask);
            new = self.choose(ty, &mask, &new, &before);
        }
        for (variable, value) in home.variables.iter().zip(new) {
            self.b.def_var(*variable, value);
        }
    }
}
