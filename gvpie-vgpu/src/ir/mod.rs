//! What kernels become: scalars only, structured control flow, every instruction with its place in the
//! source.
//!
//! Vectors, matrices and structs are taken apart, functions are inlined, and pointers resolved, so that an
//! executor knows three things only: values, memory, and lanes that go separate ways.
//!
//! * **Values** are assigned once. One is seen by what follows it in its block, and by blocks within.
//! * **Slots** hold what changes: scalars of functions' and private variables, one for each lane.
//! * **Memory** is bytes: bindings, a workgroup's, and a lane's own for arrays that are indexed by what is
//!   not constant. An address is a sum of constant and value × stride ([`Place`]), so that an executor
//!   sees which lanes read side by side.
//! * **Bounds**: an index comes through [`Op::Bound`], which holds it below a length; nothing else
//!   is checked again. A sanitizer reports there.
//! * **Leaving**: `break`, `continue` and `return` are [`Node::Leave`] with the label of what is left; a
//!   function that was inlined is a [`Node::Scope`].

pub(crate) mod print;
pub(crate) mod rewrite;
#[cfg(test)]
mod tests;
mod verify;

pub use verify::{Fault, verify};

/// Bytes of the source that something comes from; 0 to 0 where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    Bool,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

impl Type {
    /// Bytes in memory; a bool has none of its own in a binding, and one word in a slot.
    pub fn bytes(self) -> u32 {
        match self {
            Type::F16 => 2,
            Type::Bool | Type::I32 | Type::U32 | Type::F32 => 4,
            Type::I64 | Type::U64 | Type::F64 => 8,
        }
    }

    /// Whether it has a fraction.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F16 | Type::F32 | Type::F64)
    }

    /// Whether it is an integer with a sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::I32 | Type::I64)
    }

    /// Whether it is an integer.
    pub fn is_integer(self) -> bool {
        matches!(self, Type::I32 | Type::U32 | Type::I64 | Type::U64)
    }
}

/// A value, by its number in [`Kernel::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub u32);

/// A scalar variable of each lane, by its number in [`Kernel::slots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// What can be left, by a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub u32);

/// Instructions and constructs, one after another.
pub type Block = Vec<Node>;

/// An instruction, or a construct with blocks within.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// Computes its results: [`Op::results`] values from `first` on.
    Inst {
        /// The first result; of an instruction without results, not looked at.
        first: Value,
        /// What is computed.
        op: Op,
        /// Where it comes from.
        span: Span,
    },
    /// Lanes with `condition` take the first block, others the second.
    If {
        /// A bool.
        condition: Value,
        /// What is done if it holds.
        then: Block,
        /// What is done if it does not.
        otherwise: Block,
        /// Where it comes from.
        span: Span,
    },
    /// `body`, then `continuing`, again and again until left, or until `break_if` holds after `continuing`.
    Loop {
        /// Names it: to break is to leave it, to continue to go on with `continuing`.
        label: Label,
        /// The body.
        body: Block,
        /// What each round ends with; it sees the body's values no more than those of slots.
        continuing: Block,
        /// A bool of `continuing`, or one from before.
        break_if: Option<Value>,
        /// Where it comes from.
        span: Span,
    },
    /// The block of the case that `selector` equals, or the default.
    Switch {
        /// Names it.
        label: Label,
        /// An i32 or u32.
        selector: Value,
        /// Selectors and what is done for them.
        cases: Vec<(Vec<u32>, Block)>,
        /// What is done for all others.
        default: Block,
        /// Where it comes from.
        span: Span,
    },
    /// A block that can be left: an inlined function, or the kernel itself.
    Scope {
        /// Names it.
        label: Label,
        /// What is done.
        body: Block,
    },
    /// Lanes that come here go on after the construct of this name, or, of a loop, with `continuing`.
    Leave {
        /// What is left.
        label: Label,
        /// Whether it is a loop that goes on with its next round.
        again: bool,
        /// Where it comes from.
        span: Span,
    },
    /// All lanes of the workgroup, or of the subgroup, come here before any goes on.
    Barrier {
        /// For which memory, and among whom.
        scope: Scope,
        /// Where it comes from.
        span: Span,
    },
}

/// What a barrier orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `workgroupBarrier`.
    Workgroup,
    /// `storageBarrier`.
    Storage,
    /// `textureBarrier`.
    Texture,
    /// `subgroupBarrier`.
    Subgroup,
}

/// Where memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Memory {
    /// A buffer: the number of a [`Binding`] in [`Kernel::bindings`].
    Binding(u32),
    /// The workgroup's own: [`Kernel::workgroup_bytes`], zero at first.
    Workgroup,
    /// The lane's own: [`Kernel::private_bytes`], zero at first.
    Private,
    /// Immediate data of the dispatch.
    Immediate,
}

/// An address: `base + Σ value × stride`, in bytes, always within its memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where.
    pub memory: Memory,
    /// Bytes from the beginning.
    pub base: u32,
    /// Values of u32, and the bytes that each one of them counts.
    pub terms: Vec<(Value, u32)>,
}

/// How long an array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Length {
    /// So many elements.
    Fixed(u32),
    /// As many of `stride` bytes as fit the binding from `offset` on, one at least.
    Runtime {
        /// The binding.
        binding: u32,
        /// Bytes before the first element.
        offset: u32,
        /// Bytes from one element to the next.
        stride: u32,
    },
}

/// What is given to each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// `local_invocation_id`, an axis of it.
    LocalId(u8),
    /// `local_invocation_index`.
    LocalIndex,
    /// `workgroup_id`, an axis of it.
    WorkgroupId(u8),
    /// `num_workgroups`, an axis of it.
    Workgroups(u8),
    /// `subgroup_size`.
    SubgroupSize,
    /// `subgroup_invocation_id`.
    SubgroupLane,
    /// `subgroup_id`.
    SubgroupId,
    /// `num_subgroups`.
    Subgroups,
}

/// Of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unary {
    /// −a, wrapping.
    Neg,
    /// Every bit, or the bool, the other way.
    Not,
    Abs,
    Sign,
    CountOnes,
    LeadingZeros,
    TrailingZeros,
    ReverseBits,
    /// The highest bit that differs from the sign, or −1.
    FirstLeading,
    /// The lowest bit that is set, or −1.
    FirstTrailing,
    Floor,
    Ceil,
    Trunc,
    /// To the nearest, halves to even.
    Round,
    Fract,
    Sqrt,
    InverseSqrt,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Exp,
    Exp2,
    Log,
    Log2,
    /// Rounded to f16 and back.
    QuantizeF16,
}

/// Of two operands of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    /// Integers wrap.
    Add,
    Sub,
    Mul,
    /// Integers: x / 0 is x, and the smallest by −1 is itself.
    Div,
    /// Integers: x % 0 is 0; of the dividend's sign. Floats: a − b·trunc(a / b).
    Rem,
    And,
    Or,
    Xor,
    /// The count, a u32, modulo the bits of the type.
    Shl,
    /// The same; of signed integers the sign moves in.
    Shr,
    Min,
    Max,
    Pow,
    Atan2,
    /// 0 below the edge a, 1 else.
    Step,
}

/// Of two operands of one type, to a bool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// What is done with memory that others may change at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Atomic {
    Load,
    Store,
    Add,
    Sub,
    And,
    Or,
    Xor,
    Min,
    Max,
    Exchange,
    /// Writes if it equals `compare`.
    CompareExchange,
}

/// What lanes of a subgroup do together; those that are not there take no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Together {
    All,
    Any,
    Add,
    Mul,
    Min,
    Max,
    And,
    Or,
    Xor,
    InclusiveAdd,
    ExclusiveAdd,
    InclusiveMul,
    ExclusiveMul,
    /// The value of the first lane that is there.
    First,
    /// That of lane b.
    Broadcast,
    Shuffle,
    ShuffleUp,
    ShuffleDown,
    ShuffleXor,
    QuadBroadcast,
    QuadSwapX,
    QuadSwapY,
    QuadSwapDiagonal,
}

/// What an instruction computes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// These bits, in the lowest ones of the type of its result; a bool is 0 or 1.
    Const(u64),
    /// What the lane is given.
    Builtin(Builtin),
    /// Of one operand.
    Unary(Unary, Value),
    /// Of two.
    Binary(Binary, Value, Value),
    /// A comparison; with a NaN only [`Compare::NotEqual`] holds.
    Compare(Compare, Value, Value),
    /// a·b + c, rounded once.
    Fma(Value, Value, Value),
    /// The second if the first, a bool, holds, else the third.
    Select(Value, Value, Value),
    /// The same number in the type of the result, as WGSL converts: floats to integers by cutting off,
    /// held within the type's range, NaN to 0; a bool is 0 or 1; to a bool, whether it is not 0.
    Convert(Value),
    /// The same bits in another type of as many.
    Bitcast(Value),
    /// Two f16 from the halves of a u32, as f32: `unpack2x16float`. Two results.
    UnpackHalf(Value),
    /// A u32 of two f32 as f16, the first lowest.
    PackHalf(Value, Value),
    /// a·2^b.
    Ldexp(Value, Value),
    /// Significand and exponent: two results, of the float's type and an i32.
    Frexp(Value),
    /// What a slot holds.
    Get(Slot),
    /// Has a slot hold another value. No result.
    Set(Slot, Value),
    /// An index, a u32, that is below a length: itself, or the last.
    Bound(Value, Length),
    /// How many elements there are.
    Length(Length),
    /// What is in memory, of the type of the result.
    Load(Place),
    /// Writes to memory. No result.
    Store(Place, Value),
    /// What was in memory before, and what is done to it; [`Atomic::Store`] has a result that nobody looks
    /// at. `compare` is there for [`Atomic::CompareExchange`] alone.
    Atomic {
        /// What is done.
        op: Atomic,
        /// Where.
        place: Place,
        /// With what; for a load anything of the type.
        value: Value,
        /// What must be there.
        compare: Option<Value>,
    },
    /// What the subgroup does together with a, and b where there is one.
    Together(Together, Value, Option<Value>),
    /// The lanes for which a bool holds: four results, 32 lanes each.
    Ballot(Value),
    /// A texel: four results of f32, i32 or u32; coordinates x, y, z as far as it has them, and a layer.
    TextureLoad {
        /// The binding.
        texture: u32,
        /// Integers.
        at: Vec<Value>,
        /// The level, where there are several.
        level: Option<Value>,
    },
    /// Writes a texel of four values. No result.
    TextureStore {
        /// The binding.
        texture: u32,
        /// Integers.
        at: Vec<Value>,
        /// Red, green, blue and alpha.
        value: [Value; 4],
    },
    /// Width, height and depth or layers: three results.
    TextureSize {
        /// The binding.
        texture: u32,
        /// The level, where there are several.
        level: Option<Value>,
    },
}

impl Op {
    /// How many values it gives.
    pub fn results(&self) -> u32 {
        match self {
            Op::Set(..) | Op::Store(..) | Op::TextureStore { .. } => 0,
            Op::UnpackHalf(_) | Op::Frexp(_) => 2,
            Op::TextureSize { .. } => 3,
            Op::Ballot(_) | Op::TextureLoad { .. } => 4,
            _ => 1,
        }
    }

    /// Calls `see` with each value that it takes.
    pub fn operands(&self, mut see: impl FnMut(Value)) {
        match self {
            Op::Const(_) | Op::Builtin(_) | Op::Get(_) | Op::Length(_) => {}
            Op::Unary(_, a)
            | Op::Convert(a)
            | Op::Bitcast(a)
            | Op::UnpackHalf(a)
            | Op::Frexp(a)
            | Op::Set(_, a)
            | Op::Bound(a, _)
            | Op::Ballot(a) => see(*a),
            Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::PackHalf(a, b) | Op::Ldexp(a, b) => {
                see(*a);
                see(*b);
            }
            Op::Fma(a, b, c) | Op::Select(a, b, c) => [a, b, c].into_iter().for_each(|v| see(*v)),
            Op::Load(place) => place.terms.iter().for_each(|(value, _)| see(*value)),
            Op::Store(place, a) => {
                place.terms.iter().for_each(|(value, _)| see(*value));
                see(*a);
            }
            Op::Atomic { place, value, compare, .. } => {
                place.terms.iter().for_each(|(value, _)| see(*value));
                see(*value);
                compare.iter().for_each(|v| see(*v));
            }
            Op::Together(_, a, b) => {
                see(*a);
                b.iter().for_each(|v| see(*v));
            }
            Op::TextureLoad { at, level, .. } => at.iter().chain(level).for_each(|v| see(*v)),
            Op::TextureStore { at, value, .. } => at.iter().chain(value).for_each(|v| see(*v)),
            Op::TextureSize { level, .. } => level.iter().for_each(|v| see(*v)),
        }
    }
}

/// What a kernel is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Binding {
    /// `@group`.
    pub group: u32,
    /// `@binding`.
    pub binding: u32,
    /// As the source calls it.
    pub name: String,
    /// What it must be.
    pub kind: BindingKind,
}

/// What must be bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// A buffer.
    Buffer {
        /// Bytes at least, one element of a runtime-sized array included.
        least: u64,
        /// Bytes from one element to the next of a runtime-sized array at its end.
        stride: Option<u32>,
        /// Whether the kernel may write.
        writes: bool,
        /// Whether it is a uniform.
        uniform: bool,
    },
    /// A texture.
    Texture {
        /// 1, 2 or 3.
        dimensions: u8,
        /// Whether there are layers.
        arrayed: bool,
        /// Its texels' format where it is a storage texture, as WGSL writes it.
        format: Option<String>,
        /// The type of its texels' channels.
        channel: Type,
        /// Whether the kernel may write.
        writes: bool,
    },
}

/// An entry point, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// As the source calls it.
    pub name: String,
    /// Lanes of a workgroup along x, y and z.
    pub workgroup: [u32; 3],
    /// The types of all values.
    pub values: Vec<Type>,
    /// The types of all slots, each zero at first.
    pub slots: Vec<Type>,
    /// What is bound.
    pub bindings: Vec<Binding>,
    /// Bytes of a workgroup's memory.
    pub workgroup_bytes: u32,
    /// Bytes of a lane's own memory.
    pub private_bytes: u32,
    /// Bytes of immediate data.
    pub immediate_bytes: u32,
    /// Variables of the source, for those who look at a lane: a name, and where it is.
    pub variables: Vec<Variable>,
    /// What is done.
    pub body: Block,
}

/// A variable of the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variable {
    /// Its name, with `.x` and `[2]` for what is a part.
    pub name: String,
    /// Where it is.
    pub at: Where,
}

/// Where a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Where {
    /// In a slot.
    Slot(Slot),
    /// In a lane's own memory, from this byte on, so many elements of this type.
    Private(u32, u32, Type),
    /// In the workgroup's memory.
    Workgroup(u32, u32, Type),
}
