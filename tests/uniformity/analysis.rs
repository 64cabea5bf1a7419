//! Where invocations of a workgroup may have parted, as far as a module's text tells.
//!
//! The rules are those of WGSL's uniformity analysis, followed forward through naga's blocks: a value
//! is uniform or may not be, each local variable has one of these at each place, control flow has one
//! too, and what calls hand over is followed into the callee. Sources of what may not be uniform are
//! built-ins of an invocation or a subgroup, results of atomics and of subgroup operations, and what
//! is read from workgroup, private and writable storage memory. Behind an `if` or a loop that all
//! invocations leave by its end they are together again; behind one that some may leave by `return`,
//! `break` or `continue` they are not, until the loop or the function ends.
//!
//! naga itself notes what barriers require (`UniformityRequirements`), but reports it for expressions
//! only, never for barriers or `workgroupUniformLoad`, and takes every local variable to be
//! non-uniform.

use naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, FunctionArgument, Handle,
    LocalVariable, Module, Span, Statement, StorageAccess,
};
use std::collections::{BTreeSet, HashMap};

/// Where something that may not be uniform comes from; none if it is uniform.
type Taint = Option<Span>;

/// What is wrong in a module: barriers where some invocations may be missing.
pub fn parted_barriers(module: &Module, source: &str) -> BTreeSet<String> {
    let mut analysis = Analysis { module, source, known: HashMap::new(), found: BTreeSet::new() };
    for entry in &module.entry_points {
        let argument = |argument: &FunctionArgument| match argument.binding {
            Some(Binding::BuiltIn(
                BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups | BuiltIn::WorkGroupSize,
            )) => None,
            _ => Some(entry.function.body.span_iter().next().map_or(Span::UNDEFINED, |(_, &s)| s)),
        };
        let arguments = entry.function.arguments.iter().map(argument).collect();
        analysis.body(&entry.function, &entry.name, arguments, None);
    }
    analysis.found
}

struct Analysis<'a> {
    module: &'a Module,
    source: &'a str,
    /// What functions return, by which arguments, and whether the call itself, may not be uniform.
    known: HashMap<(Handle<Function>, Vec<bool>, bool), Taint>,
    found: BTreeSet<String>,
}

impl<'a> Analysis<'a> {
    fn call(&mut self, function: Handle<Function>, arguments: Vec<Taint>, flow: Taint) -> Taint {
        let key = (function, arguments.iter().map(Taint::is_some).collect(), flow.is_some());
        if let Some(&result) = self.known.get(&key) {
            return result;
        }
        let callee = &self.module.functions[function];
        let name = callee.name.as_deref().unwrap_or("?");
        let result = self.body(callee, name, arguments, flow);
        self.known.insert(key, result);
        result
    }

    /// What a function returns, called from such a flow.
    fn body(
        &mut self,
        function: &'a Function,
        name: &'a str,
        arguments: Vec<Taint>,
        flow: Taint,
    ) -> Taint {
        let mut walk = Walk {
            values: vec![None; function.expressions.len()],
            function,
            name,
            arguments,
            analysis: self,
            result: None,
            breaks: Vec::new(),
            continues: Vec::new(),
            exits: [0; 3],
        };
        let locals = function.local_variables.iter().map(|(local, _)| (local, None)).collect();
        walk.block(&function.body, Some(Here { locals, flow }));
        walk.result
    }
}

/// What holds at a place.
#[derive(Clone)]
struct Here {
    locals: HashMap<Handle<LocalVariable>, Taint>,
    flow: Taint,
}

impl Here {
    fn same(&self, other: &Here) -> bool {
        let tainted = |here: &Here| here.locals.values().filter(|taint| taint.is_some()).count();
        self.flow.is_some() == other.flow.is_some() && tainted(self) == tainted(other)
    }
}

/// What holds where two ways meet; none of a way that is never gone.
fn met(one: Option<Here>, two: Option<Here>) -> Option<Here> {
    let (Some(mut one), Some(two)) = (one.clone(), two.clone()) else { return one.or(two) };
    one.flow = one.flow.or(two.flow);
    one.locals.iter_mut().for_each(|(local, taint)| *taint = taint.or(two.locals[local]));
    Some(one)
}

/// What a pointer leads to.
enum Root {
    Local(Handle<LocalVariable>),
    /// Whether all invocations read the same there.
    Global(bool),
    Argument,
}

const BREAK: usize = 0;
const CONTINUE: usize = 1;
const RETURN: usize = 2;

/// A function on its way.
struct Walk<'a, 'b> {
    analysis: &'b mut Analysis<'a>,
    function: &'a Function,
    name: &'a str,
    arguments: Vec<Taint>,
    /// Of expressions that have been evaluated.
    values: Vec<Taint>,
    result: Taint,
    /// What holds where loops and switches, loops alone, are left or begun anew from within.
    breaks: Vec<Option<Here>>,
    continues: Vec<Option<Here>>,
    /// How many of each kind lead out of the innermost loop, switch or function.
    exits: [usize; 3],
}

impl Walk<'_, '_> {
    fn require(&mut self, what: &str, at: Span, cause: Taint) {
        let Some(cause) = cause else { return };
        let line = |span: Span| {
            let line = span.location(self.analysis.source).line_number;
            let text = self.analysis.source.lines().nth(line as usize - 1).unwrap_or("").trim();
            format!("line {line} '{text}'")
        };
        let (name, at, cause) = (self.name, line(at), line(cause));
        let found = format!("{name}: {what} in {at} is not reached by all, because of {cause}");
        self.analysis.found.insert(found);
    }

    fn root(&self, pointer: Handle<Expression>) -> Root {
        match self.function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                self.root(base)
            }
            Expression::LocalVariable(local) => Root::Local(local),
            Expression::GlobalVariable(global) => {
                Root::Global(match self.analysis.module.global_variables[global].space {
                    AddressSpace::Uniform | AddressSpace::Immediate | AddressSpace::Handle => true,
                    AddressSpace::Storage { access } => !access.contains(StorageAccess::STORE),
                    _ => false,
                })
            }
            _ => Root::Argument,
        }
    }

    /// Of an expression that has been evaluated, or needs not to be.
    fn taint(&self, expression: Handle<Expression>) -> Taint {
        match self.function.expressions[expression] {
            Expression::FunctionArgument(index) => self.arguments[index as usize],
            _ => self.values[expression.index()],
        }
    }

    fn evaluated(&self, expression: Handle<Expression>, here: &Here) -> Taint {
        use Expression as E;
        let of = |expression: &Handle<Expression>| self.taint(*expression);
        let any = |operands: &[Option<Handle<Expression>>]| {
            operands.iter().flatten().find_map(|operand| self.taint(*operand))
        };
        let itself = Some(self.function.expressions.get_span(expression));
        match &self.function.expressions[expression] {
            E::Literal(_) | E::Constant(_) | E::Override(_) | E::ZeroValue(_) => None,
            E::GlobalVariable(_) | E::LocalVariable(_) | E::ArrayLength(_) => None,
            E::FunctionArgument(_) => of(&expression),
            E::Compose { components, .. } => components.iter().find_map(of),
            E::Access { base, index } => of(base).or(of(index)),
            E::AccessIndex { base, .. } => of(base),
            E::Splat { value, .. } => of(value),
            E::Swizzle { vector, .. } => of(vector),
            E::Load { pointer } => of(pointer).or(match self.root(*pointer) {
                Root::Local(local) => here.locals[&local],
                Root::Global(true) => None,
                Root::Global(false) | Root::Argument => itself,
            }),
            E::Unary { expr, .. } | E::As { expr, .. } | E::Derivative { expr, .. } => of(expr),
            E::Binary { left, right, .. } => of(left).or(of(right)),
            E::Select { condition, accept, reject } => of(condition).or(of(accept)).or(of(reject)),
            E::Relational { argument, .. } => of(argument),
            E::Math { arg, arg1, arg2, arg3, .. } => any(&[Some(*arg), *arg1, *arg2, *arg3]),
            E::ImageQuery { .. } => None,
            // Images that are read, matrices of a subgroup, rays: no barrier of ours hangs on them.
            _ => itself,
        }
    }

    fn block(&mut self, block: &Block, mut here: Option<Here>) -> Option<Here> {
        for (statement, span) in block.span_iter() {
            here = self.statement(statement, *span, here?);
        }
        here
    }

    fn statement(&mut self, statement: &Statement, span: Span, mut here: Here) -> Option<Here> {
        use Statement as S;
        match statement {
            S::Emit(range) => {
                for expression in range.clone() {
                    self.values[expression.index()] = self.evaluated(expression, &here);
                }
            }
            S::Block(block) => return self.block(block, Some(here)),
            S::If { condition, accept, reject } => {
                let (flow, before) = (here.flow, self.exits);
                here.flow = flow.or(self.taint(*condition));
                let accepted = self.block(accept, Some(here.clone()));
                let rejected = self.block(reject, Some(here));
                return self.together(met(accepted, rejected), flow, before);
            }
            S::Switch { selector, cases } => {
                let (flow, before) = (here.flow, self.exits);
                here.flow = flow.or(self.taint(*selector));
                self.breaks.push(None);
                let (mut ends, mut fallen) = (None, None);
                for case in cases {
                    let end = self.block(&case.body, met(Some(here.clone()), fallen.take()));
                    if case.fall_through {
                        fallen = end;
                    } else {
                        ends = met(ends, end);
                    }
                }
                let left = self.breaks.pop().flatten();
                self.exits[BREAK] = before[BREAK];
                return self.together(met(ends, left), flow, before);
            }
            S::Loop { body, continuing, break_if } => {
                return self.turns(body, continuing, *break_if, here);
            }
            S::Break => {
                self.exits[BREAK] += 1;
                let frame = self.breaks.last_mut()?;
                *frame = met(frame.take(), Some(here));
                return None;
            }
            S::Continue => {
                self.exits[CONTINUE] += 1;
                let frame = self.continues.last_mut()?;
                *frame = met(frame.take(), Some(here));
                return None;
            }
            S::Return { value } => {
                self.exits[RETURN] += 1;
                let value = value.and_then(|value| self.taint(value));
                self.result = self.result.or(value).or(here.flow);
                return None;
            }
            S::Kill => return None,
            S::ControlBarrier(_) | S::MemoryBarrier(_) => {
                self.require("a barrier", span, here.flow);
            }
            S::WorkGroupUniformLoad { pointer, result } => {
                let cause = here.flow.or(self.taint(*pointer));
                self.require("workgroupUniformLoad", span, cause);
                self.values[result.index()] = None;
            }
            S::Store { pointer, value } => {
                if let Root::Local(local) = self.root(*pointer) {
                    let stored = self.taint(*value).or(self.taint(*pointer)).or(here.flow);
                    let whole =
                        matches!(self.function.expressions[*pointer], Expression::LocalVariable(_));
                    let kept = if whole { None } else { here.locals[&local] };
                    here.locals.insert(local, kept.or(stored));
                }
            }
            S::Call { function, arguments, result } => {
                let given = arguments.iter().map(|argument| self.taint(*argument)).collect();
                let returned = self.analysis.call(*function, given, here.flow);
                if let Some(result) = result {
                    self.values[result.index()] = returned;
                }
                // What a callee writes through a pointer is not followed.
                for argument in arguments {
                    if let Root::Local(local) = self.root(*argument) {
                        let pointer = &self.function.expressions[*argument];
                        if !matches!(pointer, Expression::Load { .. }) {
                            here.locals.insert(local, Some(span));
                        }
                    }
                }
            }
            S::Atomic { result, .. } => {
                if let Some(result) = result {
                    self.values[result.index()] = Some(span);
                }
            }
            S::SubgroupBallot { result, .. }
            | S::SubgroupGather { result, .. }
            | S::SubgroupCollectiveOperation { result, .. } => {
                self.values[result.index()] = Some(span);
            }
            S::ImageStore { .. }
            | S::ImageAtomic { .. }
            | S::RayQuery { .. }
            | S::RayPipelineFunction(_)
            | S::CooperativeStore { .. } => {}
        }
        Some(here)
    }

    /// Behind what all leave by its end they are as together as before it.
    fn together(&self, after: Option<Here>, flow: Taint, before: [usize; 3]) -> Option<Here> {
        let all = self.exits == before;
        after.map(|here| Here { flow: if all { flow } else { here.flow }, ..here })
    }

    /// A loop, until nothing more becomes known of its head.
    fn turns(
        &mut self,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
        here: Here,
    ) -> Option<Here> {
        let (flow, before) = (here.flow, self.exits);
        let mut head = here;
        loop {
            self.breaks.push(None);
            self.continues.push(None);
            let end = self.block(body, Some(head.clone()));
            let again = self.continues.pop().flatten();
            let mut back = self.block(continuing, met(end, again));
            let mut left = self.breaks.pop().flatten();
            if let (Some(back), Some(condition)) = (&mut back, break_if) {
                back.flow = back.flow.or(self.taint(condition));
                left = met(left, Some(back.clone()));
            }
            let next = met(Some(head.clone()), back)?;
            if next.same(&head) {
                self.exits[BREAK] = before[BREAK];
                self.exits[CONTINUE] = before[CONTINUE];
                return self.together(left, flow, before);
            }
            head = next;
        }
    }
}
