//! Whether a kernel is one: what executors take for granted is checked here, once.

use super::*;
use std::collections::HashSet;

/// What is wrong with a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kernel '{kernel}', at `{instruction}`: {what}")]
pub struct Fault {
    /// The kernel's name.
    pub kernel: String,
    /// The instruction as text, or the first line of a construct.
    pub instruction: String,
    /// Where it comes from.
    pub span: Span,
    /// What is wrong: what was expected, and what is there.
    pub what: String,
}

/// Checks a kernel: each value is assigned once, seen where it is used and of the type that its use
/// asks for; labels are left from within; slots, bindings and places are in range, and places aligned.
///
/// # Errors
/// The first [`Fault`], in the order of the text.
pub fn verify(kernel: &Kernel) -> Result<(), Fault> {
    let count = kernel.values.len();
    let mut verifier = Verifier {
        kernel,
        defined: vec![false; count],
        seen: vec![false; count],
        stack: Vec::new(),
        labels: HashSet::new(),
        open: Vec::new(),
        shown: String::new(),
        span: Span::default(),
    };
    verifier.kernel().map_err(|what| Fault {
        kernel: kernel.name.clone(),
        instruction: verifier.shown.clone(),
        span: verifier.span,
        what,
    })
}

/// A construct that can be left from where the verifier is.
struct Open {
    label: Label,
    /// Whether it is a loop, and this its body.
    again: bool,
}

struct Verifier<'a> {
    kernel: &'a Kernel,
    /// Values assigned so far.
    defined: Vec<bool>,
    /// Values that can be seen here, and in what order they came.
    seen: Vec<bool>,
    stack: Vec<Value>,
    /// Labels met so far.
    labels: HashSet<Label>,
    open: Vec<Open>,
    /// Where a fault is: what stands there.
    shown: String,
    span: Span,
}

type Checked<T = ()> = Result<T, String>;

/// `Ok` if `condition` holds, else what is wrong.
fn ensure(condition: bool, what: impl FnOnce() -> String) -> Checked {
    if condition { Ok(()) } else { Err(what()) }
}

impl Verifier<'_> {
    fn kernel(&mut self) -> Checked {
        let kernel = self.kernel;
        self.shown = "kernel".into();
        ensure(kernel.workgroup.iter().all(|&n| n > 0), || {
            format!("expected a workgroup of one lane at least, not {:?}", kernel.workgroup)
        })?;
        let mut pairs = HashSet::new();
        for (number, b) in kernel.bindings.iter().enumerate() {
            ensure(pairs.insert((b.group, b.binding)), || {
                format!("binding {number} has the group and number of another")
            })?;
            if let BindingKind::Buffer { least, stride, .. } = b.kind {
                ensure(least > 0 && stride.is_none_or(|s| s > 0 && u64::from(s) <= least), || {
                    format!("binding {number} of {least} bytes cannot hold an element")
                })?;
            }
        }
        for variable in &kernel.variables {
            let inside = |at: u32, count: u32, ty: Type, all: u32| {
                u64::from(at) + u64::from(count) * u64::from(ty.bytes()) <= u64::from(all)
            };
            let there = match variable.at {
                Where::Slot(slot) => (slot.0 as usize) < kernel.slots.len(),
                Where::Private(at, n, ty) => inside(at, n, ty, kernel.private_bytes),
                Where::Workgroup(at, n, ty) => inside(at, n, ty, kernel.workgroup_bytes),
            };
            ensure(there, || format!("variable '{}' is not in its memory", variable.name))?;
        }
        self.shown.clear();
        self.block(&kernel.body)?;
        self.shown = "end of the kernel".into();
        self.span = Span::default();
        match self.defined.iter().position(|defined| !defined) {
            Some(value) => Err(format!("%{value} has a type but is never assigned")),
            None => Ok(()),
        }
    }

    fn block(&mut self, block: &Block) -> Checked {
        let before = self.stack.len();
        block.iter().try_for_each(|node| self.node(node))?;
        self.leave_scope(before);
        Ok(())
    }

    fn leave_scope(&mut self, before: usize) {
        for value in self.stack.drain(before..) {
            self.seen[value.0 as usize] = false;
        }
    }

    fn labelled(&mut self, label: Label, again: bool) -> Checked {
        ensure(self.labels.insert(label), || format!("{label} names another construct too"))?;
        self.open.push(Open { label, again });
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Checked {
        let span = match node {
            Node::Inst { span, .. }
            | Node::If { span, .. }
            | Node::Loop { span, .. }
            | Node::Switch { span, .. }
            | Node::Leave { span, .. }
            | Node::Barrier { span, .. } => *span,
            Node::Scope { .. } => Span::default(),
        };
        self.check(node).inspect_err(|_| {
            // The innermost node that is at fault is the one that is shown.
            if self.shown.is_empty() {
                self.shown = self.kernel.line(node);
                self.span = span;
            }
        })
    }

    fn check(&mut self, node: &Node) -> Checked {
        match node {
            Node::Inst { first, op, .. } => {
                self.op(*first, op)?;
                for k in 0..op.results() {
                    let value = Value(first.0 + k);
                    let at = value.0 as usize;
                    ensure(!self.defined[at], || format!("{value} is assigned a second time"))?;
                    self.defined[at] = true;
                    self.seen[at] = true;
                    self.stack.push(value);
                }
            }
            Node::If { condition, then, otherwise, .. } => {
                self.is(*condition, Type::Bool, "the condition")?;
                self.block(then)?;
                self.block(otherwise)?;
            }
            Node::Loop { label, body, continuing, break_if, .. } => {
                self.labelled(*label, true)?;
                self.block(body)?;
                if let Some(open) = self.open.last_mut() {
                    open.again = false;
                }
                let before = self.stack.len();
                continuing.iter().try_for_each(|node| self.node(node))?;
                if let Some(value) = break_if {
                    self.is(*value, Type::Bool, "the condition to break")?;
                }
                self.leave_scope(before);
                self.open.pop();
            }
            Node::Switch { label, selector, cases, default, .. } => {
                let ty = self.value(*selector, "the selector")?;
                ensure(matches!(ty, Type::I32 | Type::U32), || {
                    format!("the selector {selector} is {ty}, expected i32 or u32")
                })?;
                let mut selectors = HashSet::new();
                for selector in cases.iter().flat_map(|(selectors, _)| selectors) {
                    ensure(selectors.insert(*selector), || {
                        format!("case {selector} is there twice")
                    })?;
                }
                self.labelled(*label, false)?;
                for (_, block) in cases {
                    self.block(block)?;
                }
                self.block(default)?;
                self.open.pop();
            }
            Node::Scope { label, body } => {
                self.labelled(*label, false)?;
                self.block(body)?;
                self.open.pop();
            }
            Node::Leave { label, again, .. } => {
                let open = self.open.iter().find(|open| open.label == *label);
                let open = open.ok_or_else(|| format!("{label} is not around it"))?;
                ensure(!again || open.again, || {
                    format!("{label} is not a loop whose body this is: it cannot be continued")
                })?;
            }
            Node::Barrier { .. } => {}
        }
        Ok(())
    }

    /// The type of a value that can be seen here.
    fn value(&self, value: Value, what: &str) -> Checked<Type> {
        let at = value.0 as usize;
        let ty = self.kernel.values.get(at).copied();
        let ty = ty.ok_or_else(|| {
            format!("{what} {value} is not among the {} values", self.kernel.values.len())
        })?;
        ensure(self.defined[at], || format!("{what} {value} is not assigned before"))?;
        ensure(self.seen[at], || format!("{what} {value} is of a block that has ended"))?;
        Ok(ty)
    }

    fn is(&self, value: Value, expected: Type, what: &str) -> Checked {
        let ty = self.value(value, what)?;
        ensure(ty == expected, || format!("{what} {value} is {ty}, expected {expected}"))
    }

    /// The types of results, where they have one.
    fn result(&self, first: Value, k: u32) -> Checked<Type> {
        let at = u64::from(first.0) + u64::from(k);
        let ty = usize::try_from(at).ok().and_then(|at| self.kernel.values.get(at)).copied();
        ty.ok_or_else(|| {
            format!("the result %{at} is not among the {} values", self.kernel.values.len())
        })
    }

    fn gives(&self, first: Value, expected: &[Type]) -> Checked {
        for (k, expected) in expected.iter().enumerate() {
            let ty = self.result(first, k as u32)?;
            ensure(ty == *expected, || {
                format!("the result %{} is {ty}, expected {expected}", first.0 as usize + k)
            })?;
        }
        Ok(())
    }

    fn op(&self, first: Value, op: &Op) -> Checked {
        let among = |ty: Type, fits: bool, expected: &str| {
            ensure(fits, || format!("of {ty}, expected {expected}"))
        };
        match op {
            Op::Const(bits) => {
                let ty = self.result(first, 0)?;
                let fits = match ty {
                    Type::Bool => *bits <= 1,
                    _ => ty.bytes() == 8 || *bits >> (8 * ty.bytes()) == 0,
                };
                ensure(fits, || format!("{bits:#x} is no {ty}"))
            }
            Op::Builtin(builtin) => {
                let axis = match builtin {
                    Builtin::LocalId(axis)
                    | Builtin::WorkgroupId(axis)
                    | Builtin::Workgroups(axis) => *axis,
                    _ => 0,
                };
                ensure(axis < 3, || format!("axis {axis} is none of 0, 1 and 2"))?;
                self.gives(first, &[Type::U32])
            }
            Op::Unary(unary, a) => {
                let ty = self.value(*a, "the operand")?;
                use Unary::*;
                match unary {
                    Neg | Sign => among(ty, ty.is_float() || ty.is_signed(), "a float or signed")?,
                    Not => among(ty, !ty.is_float(), "a bool or integer")?,
                    Abs => among(ty, ty != Type::Bool, "a number")?,
                    CountOnes | LeadingZeros | TrailingZeros | ReverseBits | FirstLeading
                    | FirstTrailing => among(ty, ty.is_integer(), "an integer")?,
                    QuantizeF16 => among(ty, ty == Type::F32, "f32")?,
                    _ => among(ty, ty.is_float(), "a float")?,
                }
                self.gives(first, &[ty])
            }
            Op::Binary(binary, a, b) => {
                let ty = self.value(*a, "the first operand")?;
                use Binary::*;
                match binary {
                    Add | Sub | Mul | Div | Rem | Min | Max => {
                        among(ty, ty != Type::Bool, "a number")?;
                    }
                    And | Or | Xor => among(ty, !ty.is_float(), "a bool or integer")?,
                    Shl | Shr => among(ty, ty.is_integer(), "an integer")?,
                    Pow | Atan2 | Step => among(ty, ty.is_float(), "a float")?,
                }
                let other = if matches!(binary, Shl | Shr) { Type::U32 } else { ty };
                self.is(*b, other, "the second operand")?;
                self.gives(first, &[ty])
            }
            Op::Compare(compare, a, b) => {
                let ty = self.value(*a, "the first operand")?;
                let ordered = !matches!(compare, Compare::Equal | Compare::NotEqual);
                among(ty, !ordered || ty != Type::Bool, "a number")?;
                self.is(*b, ty, "the second operand")?;
                self.gives(first, &[Type::Bool])
            }
            Op::Fma(a, b, c) => {
                let ty = self.value(*a, "the first operand")?;
                among(ty, ty.is_float(), "a float")?;
                self.is(*b, ty, "the second operand")?;
                self.is(*c, ty, "the third operand")?;
                self.gives(first, &[ty])
            }
            Op::Select(condition, a, b) => {
                self.is(*condition, Type::Bool, "the condition")?;
                let ty = self.value(*a, "the second operand")?;
                self.is(*b, ty, "the third operand")?;
                self.gives(first, &[ty])
            }
            Op::Convert(a) => {
                self.value(*a, "the operand")?;
                self.result(first, 0).map(|_| ())
            }
            Op::Bitcast(a) => {
                let (ty, to) = (self.value(*a, "the operand")?, self.result(first, 0)?);
                let fits = ty.bytes() == to.bytes() && ty != Type::Bool && to != Type::Bool;
                ensure(fits, || format!("the bits of {ty} are none of {to}"))
            }
            Op::UnpackHalf(a) => {
                self.is(*a, Type::U32, "the operand")?;
                self.gives(first, &[Type::F32; 2])
            }
            Op::PackHalf(a, b) => {
                self.is(*a, Type::F32, "the first operand")?;
                self.is(*b, Type::F32, "the second operand")?;
                self.gives(first, &[Type::U32])
            }
            Op::Ldexp(a, b) => {
                let ty = self.value(*a, "the first operand")?;
                among(ty, ty.is_float(), "a float")?;
                self.is(*b, Type::I32, "the exponent")?;
                self.gives(first, &[ty])
            }
            Op::Frexp(a) => {
                let ty = self.value(*a, "the operand")?;
                among(ty, ty.is_float(), "a float")?;
                self.gives(first, &[ty, Type::I32])
            }
            Op::Get(slot) => self.gives(first, &[self.slot(*slot)?]),
            Op::Set(slot, a) => self.is(*a, self.slot(*slot)?, "the operand"),
            Op::Bound(a, length) => {
                self.is(*a, Type::U32, "the index")?;
                self.length(*length)?;
                self.gives(first, &[Type::U32])
            }
            Op::Length(length) => {
                self.length(*length)?;
                self.gives(first, &[Type::U32])
            }
            Op::Load(place) => self.place(place, self.result(first, 0)?, false),
            Op::Store(place, a) => self.place(place, self.value(*a, "the operand")?, true),
            Op::Atomic { op, place, value, compare } => {
                let ty = self.value(*value, "the operand")?;
                use Atomic::*;
                match op {
                    And | Or | Xor => among(ty, ty.is_integer(), "an integer")?,
                    _ => among(ty, !matches!(ty, Type::Bool | Type::F16), "4 or 8 bytes")?,
                }
                let shared = matches!(place.memory, Memory::Workgroup | Memory::Binding(_));
                ensure(shared, || format!("{} is not shared by lanes", place.memory))?;
                self.place(place, ty, true)?;
                ensure((*op == CompareExchange) == compare.is_some(), || {
                    "a comparand belongs to compare_exchange alone, and there it must be".into()
                })?;
                if let Some(compare) = compare {
                    self.is(*compare, ty, "the comparand")?;
                }
                self.gives(first, &[ty])
            }
            Op::Together(together, a, b) => {
                let ty = self.value(*a, "the operand")?;
                use Together::*;
                match together {
                    All | Any => among(ty, ty == Type::Bool, "bool")?,
                    And | Or | Xor => among(ty, ty.is_integer(), "an integer")?,
                    _ => among(ty, ty != Type::Bool, "a number")?,
                }
                let paired = matches!(
                    together,
                    Broadcast | Shuffle | ShuffleUp | ShuffleDown | ShuffleXor | QuadBroadcast
                );
                ensure(paired == b.is_some(), || {
                    format!("expected {} operands", if paired { 2 } else { 1 })
                })?;
                if let Some(b) = b {
                    self.is(*b, Type::U32, "the second operand")?;
                }
                self.gives(first, &[ty])
            }
            Op::Ballot(a) => {
                self.is(*a, Type::Bool, "the operand")?;
                self.gives(first, &[Type::U32; 4])
            }
            Op::TextureLoad { texture, at, level } => {
                let channel = self.texture(*texture, Some(at), *level, false)?;
                self.gives(first, &[channel; 4])
            }
            Op::TextureStore { texture, at, value } => {
                let channel = self.texture(*texture, Some(at), None, true)?;
                value.iter().try_for_each(|v| self.is(*v, channel, "the channel"))
            }
            Op::TextureSize { texture, level } => {
                self.texture(*texture, None, *level, false)?;
                self.gives(first, &[Type::U32; 3])
            }
        }
    }

    fn slot(&self, slot: Slot) -> Checked<Type> {
        let ty = self.kernel.slots.get(slot.0 as usize).copied();
        ty.ok_or_else(|| format!("{slot} is not among the {} slots", self.kernel.slots.len()))
    }

    fn binding(&self, number: u32) -> Checked<&BindingKind> {
        let binding = self.kernel.bindings.get(number as usize);
        binding.map(|b| &b.kind).ok_or_else(|| {
            format!("binding {number} is not among the {}", self.kernel.bindings.len())
        })
    }

    fn length(&self, length: Length) -> Checked {
        match length {
            Length::Fixed(length) => ensure(length > 0, || "an array of 0 elements".into()),
            Length::Runtime { binding, offset, stride } => match self.binding(binding)? {
                BindingKind::Buffer { least, stride: Some(known), .. } => {
                    ensure(stride == *known, || {
                        format!("elements of {stride} bytes, expected {known}")
                    })?;
                    ensure(u64::from(offset) + u64::from(stride) <= *least, || {
                        format!(
                            "no element at {offset} fits the {least} bytes of binding {binding}"
                        )
                    })
                }
                _ => Err(format!("binding {binding} does not end in a runtime-sized array")),
            },
        }
    }

    fn place(&self, place: &Place, ty: Type, write: bool) -> Checked {
        let size = match place.memory {
            Memory::Binding(number) => match self.binding(number)? {
                BindingKind::Buffer { least, writes, .. } => {
                    ensure(!write || *writes, || format!("binding {number} is only read"))?;
                    *least
                }
                BindingKind::Texture { .. } => {
                    return Err(format!("binding {number} is a texture, expected a buffer"));
                }
            },
            Memory::Workgroup => self.kernel.workgroup_bytes.into(),
            Memory::Private => self.kernel.private_bytes.into(),
            Memory::Immediate => {
                ensure(!write, || "immediate data is only read".into())?;
                self.kernel.immediate_bytes.into()
            }
        };
        let own = matches!(place.memory, Memory::Workgroup | Memory::Private);
        ensure(own || ty != Type::Bool, || format!("{} holds no bool", place.memory))?;
        let bytes = ty.bytes();
        ensure(u64::from(place.base) + u64::from(bytes) <= size, || {
            format!("{ty} at {} does not fit the {size} bytes of {}", place.base, place.memory)
        })?;
        ensure(place.base.is_multiple_of(bytes), || {
            format!("{ty} at {} is not aligned to {bytes}", place.base)
        })?;
        for (value, stride) in &place.terms {
            self.is(*value, Type::U32, "the index")?;
            ensure(*stride > 0 && stride.is_multiple_of(bytes), || {
                format!("a stride of {stride} bytes is not aligned to the {bytes} of {ty}")
            })?;
        }
        Ok(())
    }

    fn texture(
        &self,
        number: u32,
        at: Option<&[Value]>,
        level: Option<Value>,
        write: bool,
    ) -> Checked<Type> {
        let BindingKind::Texture { dimensions, arrayed, channel, writes, .. } =
            self.binding(number)?
        else {
            return Err(format!("binding {number} is a buffer, expected a texture"));
        };
        ensure(!write || *writes, || format!("binding {number} is only read"))?;
        if let Some(at) = at {
            let expected = usize::from(*dimensions) + usize::from(*arrayed);
            ensure(at.len() == expected, || {
                format!("{} coordinates, expected {expected}", at.len())
            })?;
        }
        for value in at.unwrap_or_default().iter().chain(&level) {
            let ty = self.value(*value, "the coordinate")?;
            ensure(matches!(ty, Type::I32 | Type::U32), || {
                format!("the coordinate {value} is {ty}, expected i32 or u32")
            })?;
        }
        Ok(*channel)
    }
}
