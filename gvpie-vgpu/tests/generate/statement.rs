//! Statements: what changes variables, and control flow that ends.

use super::ty::{Scalar::*, Ty};
use super::{Variable, Writer};

impl Writer {
    /// A line, as deep as blocks are open.
    pub fn line(&mut self, text: &str) {
        let depth = self.depth;
        self.text.push_str(&format!("{:1$}{text}\n", "", depth * 2));
    }

    /// A name that nothing else has.
    pub fn name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}_{}", self.names)
    }

    pub fn declare(&mut self, name: &str, ty: Ty, mutable: bool) {
        self.variables.push(Variable {
            name: name.into(),
            ty,
            mutable,
            local: mutable,
            bound: false,
        });
    }

    /// A block of some statements, whose variables end with it.
    fn nested(&mut self, head: &str, write: impl FnOnce(&mut Writer)) {
        self.line(&format!("{head} {{"));
        let seen = self.variables.len();
        self.depth += 1;
        write(self);
        self.depth -= 1;
        self.variables.truncate(seen);
        self.line("}");
    }

    pub fn statements(&mut self, most: u32) {
        for _ in 0..self.random.u32(1..=most) {
            self.statement();
        }
    }

    fn statement(&mut self) {
        if self.fuel == 0 {
            return;
        }
        self.fuel -= 1;
        let deep = self.depth >= 5;
        match self.random.u8(..20) {
            0..3 => {
                let ty = self.ty(2);
                self.variable(&ty);
            }
            3 => {
                let ty = self.ty(2);
                let (name, value) = (self.name('l'), self.some(&ty, 3));
                self.line(&format!("let {name} = {value};"));
                self.declare(&name, ty, false);
            }
            4..9 => self.assign(),
            9 => self.pointer(),
            10 => self.own_cell(),
            11 => self.count(),
            12 if !self.functions.is_empty() => {
                let which = self.random.usize(..self.functions.len());
                if let Some(call) = self.call_of(which, 2) {
                    self.line(&format!("_ = {call};"));
                }
            }
            13 | 14 if !deep => self.choice(),
            15 if !deep => self.switch(),
            16 | 17 if !deep && self.loops < 2 => self.repeat(),
            18 => self.leave(),
            _ => self.assign(),
        }
    }

    /// A variable with a value of its own, or zero.
    pub fn variable(&mut self, ty: &Ty) {
        let name = self.name('v');
        if self.random.u8(..8) == 0 {
            self.line(&format!("var {name}: {};", ty.name()));
        } else {
            let value = self.any(ty, 3);
            self.line(&format!("var {name}: {} = {value};", ty.name()));
        }
        self.declare(&name, ty.clone(), true);
    }

    fn assign(&mut self) {
        let ty = self.ty(1);
        let Some(place) = self.place(&ty, true) else {
            return self.variable(&ty);
        };
        match ty {
            Ty::One(s) | Ty::Vector(s, _) if !s.is_float() && s != Bool && self.random.bool() => {
                let op = self.pick(&["+", "-", "*", "&", "|", "^"]);
                let value = self.some(&ty, 2);
                self.line(&format!("{place} {op}= {value};"));
            }
            Ty::One(I32 | U32) if self.random.u8(..4) == 0 => {
                let op = self.pick(&["++", "--"]);
                self.line(&format!("{place}{op};"));
            }
            _ => {
                let value = self.any(&ty, 4);
                self.line(&format!("{place} = {value};"));
            }
        }
    }

    /// A pointer to a variable or a part of one, and a use of it.
    fn pointer(&mut self) {
        let ty = self.ty(2);
        let Some(place) = self.place(&ty, true) else { return };
        // There are no pointers to a part of a vector.
        if matches!(ty, Ty::One(_)) && (place.contains('.') || place.contains('[')) {
            return;
        }
        let (name, value) = (self.name('p'), self.any(&ty, 2));
        self.line(&format!("let {name} = &{place};"));
        self.line(&format!("*{name} = {value};"));
        self.variables.push(Variable {
            name: format!("(*{name})"),
            ty,
            mutable: true,
            local: false,
            bound: false,
        });
    }

    /// Atomics on a cell that no other lane has: whatever comes back is the same on any device.
    fn own_cell(&mut self) {
        if !self.in_main {
            return;
        }
        let value = self.some(&Ty::One(U32), 2);
        let name = self.name('l');
        let op = self.pick(&["Add", "Sub", "Max", "Min", "And", "Or", "Xor", "Exchange", ""]);
        if op.is_empty() {
            self.line(&format!(
                "let {name}r = atomicCompareExchangeWeak(&counts[cell], {value}, seed);"
            ));
            // A weak exchange may fail where the values are equal, and then changes nothing.
            self.line(&format!("let {name} = {name}r.old_value;"));
            self.line(&format!("atomicStore(&counts[cell], {name} ^ 5u);"));
        } else {
            self.line(&format!("let {name} = atomic{op}(&counts[cell], {value});"));
        }
        self.declare(&name, Ty::One(U32), false);
    }

    /// Atomics on what all lanes share, whose order shows nowhere.
    fn count(&mut self) {
        let shared = ["Add", "Sub", "Max", "Min", "And", "Or", "Xor"];
        let k = self.random.usize(..shared.len());
        let value = self.some(&Ty::One(U32), 2);
        self.line(&format!("atomic{}(&counts[{k}], {value});", shared[k]));
    }

    fn choice(&mut self) {
        let condition = self.condition(3);
        self.nested(&format!("if {condition}"), |w| w.statements(3));
        if self.random.bool() {
            self.text.pop();
            if self.random.u8(..3) == 0 {
                let condition = self.condition(2);
                self.nested(&format!(" else if {condition}"), |w| w.statements(2));
            } else {
                self.nested(" else", |w| w.statements(3));
            }
        }
    }

    fn switch(&mut self) {
        let signed = self.random.bool();
        let (ty, letter) = if signed { (I32, 'i') } else { (U32, 'u') };
        let count = self.random.u32(1..5);
        let selector = self.some(&Ty::One(ty), 2);
        let default = self.random.u32(..count + 1);
        let cases = self.random.u32(2..6);
        self.nested(&format!("switch ({selector} % {cases}{letter})"), |w| {
            for k in 0..count + 1 {
                let head = match k == default {
                    true if k > 0 && w.random.bool() => format!("case {k}{letter}, default:"),
                    true => "default:".into(),
                    false if w.random.bool() => format!("case {k}{letter}, {}{letter}:", k + 10),
                    false if signed && w.random.bool() => format!("case {k}i, -{}i:", k + 1),
                    false => format!("case {k}{letter}:"),
                };
                let within = std::mem::replace(&mut w.in_switch, true);
                w.nested(&head, |w| w.statements(2));
                w.in_switch = within;
            }
        });
    }

    /// A loop of each form; its count is nobody's to change.
    fn repeat(&mut self) {
        let name = self.name('i');
        let most = if self.random.bool() {
            format!("{}u", self.random.u32(1..5))
        } else {
            format!("({} % 5u)", self.some(&Ty::One(U32), 2))
        };
        self.loops += 1;
        let within = (std::mem::replace(&mut self.in_switch, false), self.variables.len());
        let calls = self.calls;
        self.calls = calls.min(1);
        match self.random.u8(..3) {
            0 => {
                self.declare(&name, Ty::One(U32), false);
                let head = format!("for (var {name} = 0u; {name} < {most}; {name}++)");
                self.nested(&head, |w| w.statements(3));
            }
            1 => {
                self.line(&format!("var {name} = 0u;"));
                self.declare(&name, Ty::One(U32), false);
                self.nested(&format!("while ({name} < {most})"), |w| {
                    w.line(&format!("{name}++;"));
                    w.statements(3);
                });
            }
            _ => {
                self.line(&format!("var {name} = 0u;"));
                let last = self.name('l');
                self.line(&format!("let {last} = {most};"));
                self.declare(&name, Ty::One(U32), false);
                self.nested("loop", |w| {
                    w.statements(3);
                    w.nested("continuing", |w| {
                        w.line(&format!("{name}++;"));
                        w.line(&format!("break if {name} >= {last};"));
                    });
                });
            }
        }
        self.loops -= 1;
        self.calls = calls.saturating_sub(1);
        self.in_switch = within.0;
        self.variables.truncate(within.1);
    }

    /// `break`, `continue` or `return` for some lanes.
    fn leave(&mut self) {
        let condition = self.condition(2);
        let mut can = Vec::new();
        if self.loops > 0 {
            can.extend(["break", "continue"]);
        } else if self.in_switch {
            can.push("break");
        }
        if !self.in_main || self.last_phase {
            can.push("return");
        }
        if can.is_empty() {
            return self.assign();
        }
        let mut how = can[self.random.usize(..can.len())].to_string();
        if how == "return"
            && let Some(ty) = self.result.clone()
        {
            how = format!("return {}", self.any(&ty, 2));
        }
        self.line(&format!("if {condition} {{ {how}; }}"));
    }
}
