//! From naga's module to a kernel: an entry point with everything that it calls.
//!
//! Vectors, matrices, arrays and structs become as many values; functions are inlined; pointers become
//! slots or places while their expressions are lowered. What naga emits is computed where it is emitted;
//! constants come before all else, once each.

mod analysis;
mod atomics;
mod build;
mod calls;
mod contract;
mod control;
mod expressions;
mod inputs;
mod layout;
mod math;
mod operators;
mod packing;
mod places;
#[cfg(test)]
mod runs;
mod statements;
mod subgroups;
#[cfg(test)]
mod tests;
mod textures;
mod vectors;

use crate::error::{Error, Result};
use crate::ir::print::Lines;
use crate::ir::*;
use analysis::Analysis;
use calls::Frame;
use layout::{Ty, Types};
use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{Constant, GlobalVariable, Handle};
use places::Pointer;
use std::collections::HashMap;
use std::rc::Rc;

/// Instructions of a kernel, its slots, scalars that are put together on the way, and expressions that are
/// looked at.
const MAX_INSTRUCTIONS: u64 = 1_000_000;

/// Scalars of one value.
const MAX_SCALARS: u64 = 1 << 16;

/// Blocks within blocks, those of inlined functions included: executors recurse as deep.
const MAX_DEPTH: u32 = 512;

/// Bytes of a workgroup's memory.
const MAX_WORKGROUP: u64 = 16 << 20;

/// What an expression of naga's stands for.
#[derive(Debug, Clone)]
enum Held {
    /// As many scalars as its type has.
    Values(Rc<[Value]>),
    /// Somewhere in slots or memory.
    Pointer(Pointer),
    /// A texture: the number of its binding.
    Texture(u32),
}

/// A kernel while it is made.
struct Lowerer<'a> {
    module: &'a naga::Module,
    info: &'a ModuleInfo,
    types: Types<'a>,
    lines: Lines<'a>,
    kernel: Kernel,
    /// The constants, which come first.
    first: Block,
    /// What is done once, before the entry point's statements.
    prologue: Block,
    /// Where instructions are appended.
    block: Block,
    /// Where what is lowered comes from.
    span: Span,
    constants: HashMap<(Type, u64), Value>,
    /// The bits of values that are constants.
    known: HashMap<Value, u64>,
    builtins: HashMap<Builtin, Value>,
    globals: HashMap<Handle<GlobalVariable>, Held>,
    /// The module's constants, as far as they are used.
    named: HashMap<Handle<Constant>, Rc<[Value]>>,
    /// Constants in memory, for indices that are not constant.
    tables: HashMap<(Ty, Rc<[Value]>), Pointer>,
    analysis: Analysis,
    frame: Frame<'a>,
    labels: u32,
    /// Loops and blocks around what is lowered.
    loops: u32,
    depth: u32,
    /// Of [`MAX_INSTRUCTIONS`].
    spent: u64,
}

/// Lowers an entry point of a module that is valid and has no overrides left.
pub(crate) fn lower(
    module: &naga::Module,
    info: &ModuleInfo,
    entry: usize,
    source: &str,
) -> Result<Kernel> {
    let point = &module.entry_points[entry];
    let function: &FunctionInfo = info.get_entry_point(entry);
    let mut lowerer = Lowerer {
        module,
        info,
        types: Types::new(module),
        lines: Lines::new(source),
        kernel: Kernel {
            name: point.name.clone(),
            workgroup: point.workgroup_size,
            values: Vec::new(),
            slots: Vec::new(),
            bindings: Vec::new(),
            workgroup_bytes: 0,
            private_bytes: 0,
            immediate_bytes: 0,
            variables: Vec::new(),
            body: Vec::new(),
        },
        first: Vec::new(),
        prologue: Vec::new(),
        block: Vec::new(),
        span: Span::default(),
        constants: HashMap::new(),
        known: HashMap::new(),
        builtins: HashMap::new(),
        globals: HashMap::new(),
        named: HashMap::new(),
        tables: HashMap::new(),
        analysis: Analysis::new(module, info, entry),
        frame: Frame::new(&point.function, function),
        labels: 0,
        loops: 0,
        depth: 0,
        spent: 0,
    };
    lowerer.globals(function)?;
    let arguments = lowerer.inputs(point)?;
    lowerer.inline(&point.function, function, None, arguments)?;
    let mut kernel = lowerer.kernel;
    kernel.body = lowerer.first;
    kernel.body.append(&mut lowerer.prologue);
    kernel.body.append(&mut lowerer.block);
    contract::contract(&mut kernel);
    verify(&kernel).map_err(|fault| Error::Broken(Box::new(fault)))?;
    Ok(kernel)
}

impl<'a> Lowerer<'a> {
    /// The error that what is lowered has no form here.
    fn unsupported(&self, what: impl Into<String>) -> Error {
        let (line, column) = self.lines.at(self.span.start);
        Error::Unsupported { what: what.into(), line, column }
    }

    fn limit(&self, what: &str, asked: u64, allowed: u64) -> Error {
        let (line, _) = self.lines.at(self.span.start);
        Error::Limit { what: what.into(), asked, allowed, line }
    }

    /// Refuses a kernel that has become too long with `more`.
    fn spend(&mut self, more: u64) -> Result<()> {
        self.spent += more;
        if self.spent > MAX_INSTRUCTIONS {
            let what = "instructions of a kernel, with its functions inlined";
            return Err(self.limit(what, self.spent, MAX_INSTRUCTIONS));
        }
        Ok(())
    }

    /// Does `work` with `span` as the place where things come from.
    fn within<T>(
        &mut self,
        span: naga::Span,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = self.span;
        if let Some(range) = span.to_range() {
            self.span = Span { start: range.start as u32, end: range.end as u32 };
        }
        let done = work(self)?;
        self.span = outer;
        Ok(done)
    }

    /// What `work` appends, as a block of its own.
    fn nested(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Block> {
        if self.depth >= MAX_DEPTH {
            let what = "blocks within blocks, with functions inlined";
            return Err(self.limit(what, u64::from(self.depth) + 1, MAX_DEPTH.into()));
        }
        self.depth += 1;
        let outer = std::mem::take(&mut self.block);
        let done = work(self);
        self.depth -= 1;
        let inner = std::mem::replace(&mut self.block, outer);
        done.map(|()| inner)
    }

    /// Does `work` before the entry point's statements.
    fn before<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let prologue = std::mem::take(&mut self.prologue);
        let block = std::mem::replace(&mut self.block, prologue);
        let done = work(self);
        self.prologue = std::mem::replace(&mut self.block, block);
        done
    }
}
