//! Which variables are indexed by what is not constant, and so must lie in memory.

use naga::valid::ModuleInfo;
use naga::{Block, Expression, Function, GlobalVariable, Handle, LocalVariable, Module, Statement};
use std::collections::HashSet;

/// What is known of a function.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Variables of its own that are indexed by what is not constant, here or in functions it calls.
    pub locals: HashSet<Handle<LocalVariable>>,
    /// Arguments: pointers that are indexed so.
    arguments: HashSet<u32>,
    /// Values, no pointers, that are indexed so.
    pub values: HashSet<Handle<Expression>>,
}

/// What is known of the functions of a module, and its private variables that are indexed so.
#[derive(Debug)]
pub(super) struct Analysis {
    functions: Vec<Summary>,
    entry: Summary,
    pub globals: HashSet<Handle<GlobalVariable>>,
}

/// What a pointer begins with.
enum Root {
    Local(Handle<LocalVariable>),
    Global(Handle<GlobalVariable>),
    Argument(u32),
}

fn root(function: &Function, mut pointer: Handle<Expression>) -> Option<Root> {
    loop {
        match function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                pointer = base
            }
            Expression::LocalVariable(variable) => return Some(Root::Local(variable)),
            Expression::GlobalVariable(variable) => return Some(Root::Global(variable)),
            Expression::FunctionArgument(argument) => return Some(Root::Argument(argument)),
            _ => return None,
        }
    }
}

impl Analysis {
    pub fn new(module: &Module, info: &ModuleInfo, entry: usize) -> Self {
        let mut analysis =
            Analysis { functions: Vec::new(), entry: Summary::default(), globals: HashSet::new() };
        // A function comes after those that it calls.
        for (handle, function) in module.functions.iter() {
            let summary = analysis.summary(module, function, &info[handle]);
            analysis.functions.push(summary);
        }
        let function = &module.entry_points[entry].function;
        analysis.entry = analysis.summary(module, function, info.get_entry_point(entry));
        analysis
    }

    /// What is known of a function, or of the entry point.
    pub fn of(&self, function: Option<Handle<Function>>) -> &Summary {
        function.map_or(&self.entry, |handle| &self.functions[handle.index()])
    }

    fn summary(
        &mut self,
        module: &Module,
        function: &Function,
        info: &naga::valid::FunctionInfo,
    ) -> Summary {
        let mut summary = Summary::default();
        for (_, expression) in function.expressions.iter() {
            let Expression::Access { base, index } = *expression else { continue };
            if matches!(function.expressions[index], Expression::Literal(_)) {
                continue;
            }
            if info[base].ty.inner_with(&module.types).pointer_space().is_some() {
                self.mark(&mut summary, root(function, base));
            } else {
                summary.values.insert(base);
            }
        }
        self.calls(&mut summary, function, &function.body);
        summary
    }

    /// Marks what is handed to functions that index it.
    fn calls(&mut self, summary: &mut Summary, function: &Function, block: &Block) {
        for statement in block.iter() {
            match statement {
                Statement::Call { function: callee, arguments, .. } => {
                    for (k, argument) in arguments.iter().enumerate() {
                        if self.functions[callee.index()].arguments.contains(&(k as u32)) {
                            self.mark(summary, root(function, *argument));
                        }
                    }
                }
                Statement::Block(block) => self.calls(summary, function, block),
                Statement::If { accept, reject, .. } => {
                    self.calls(summary, function, accept);
                    self.calls(summary, function, reject);
                }
                Statement::Switch { cases, .. } => {
                    for case in cases {
                        self.calls(summary, function, &case.body);
                    }
                }
                Statement::Loop { body, continuing, .. } => {
                    self.calls(summary, function, body);
                    self.calls(summary, function, continuing);
                }
                _ => {}
            }
        }
    }

    fn mark(&mut self, summary: &mut Summary, root: Option<Root>) {
        match root {
            Some(Root::Local(variable)) => {
                summary.locals.insert(variable);
            }
            Some(Root::Global(variable)) => {
                self.globals.insert(variable);
            }
            Some(Root::Argument(argument)) => {
                summary.arguments.insert(argument);
            }
            None => {}
        }
    }
}
