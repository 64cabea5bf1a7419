//! What the interpreter runs: a kernel's nodes with registers and types in place of values.

use super::lanes::Register;
use crate::ir::{Atomic, Binary, Compare, Memory, Scope, Span, Together, Type, Unary};

/// An instruction or a construct.
#[derive(Debug)]
pub(crate) enum Step {
    Do(Do, Span),
    If {
        condition: Register,
        then: Vec<Step>,
        otherwise: Vec<Step>,
        span: Span,
    },
    Loop {
        label: usize,
        body: Vec<Step>,
        continuing: Vec<Step>,
        break_if: Option<Register>,
        span: Span,
    },
    Switch {
        label: usize,
        selector: Register,
        cases: Vec<(Vec<u32>, Vec<Step>)>,
        default: Vec<Step>,
        span: Span,
    },
    Scope {
        label: usize,
        body: Vec<Step>,
    },
    Leave {
        label: usize,
        again: bool,
        span: Span,
    },
    Barrier {
        scope: Scope,
        span: Span,
    },
}

/// A [`Place`](crate::ir::Place), of registers.
#[derive(Debug)]
pub(crate) struct At {
    /// Counts what reaches memory or texels, from 0 on.
    pub(crate) number: u32,
    pub(crate) memory: Memory,
    pub(crate) base: u32,
    pub(crate) terms: Vec<(Register, u32)>,
}

/// Which texel: the binding, coordinates and whether they are signed, and the level.
#[derive(Debug)]
pub(crate) struct Texel {
    /// Counts what reaches memory or texels, from 0 on.
    pub(crate) number: u32,
    pub(crate) texture: u32,
    pub(crate) at: Vec<(Register, bool)>,
    pub(crate) level: Option<Register>,
}

/// An instruction: the operation, the type that it is of, results, operands.
#[derive(Debug)]
pub(crate) enum Do {
    Unary(Unary, Type, Register, Register),
    Binary(Binary, Type, Register, Register, Register),
    Compare(Compare, Type, Register, Register, Register),
    Fma(Type, Register, [Register; 3]),
    Select {
        wide: bool,
        out: Register,
        condition: Register,
        a: Register,
        b: Register,
    },
    /// From a type to another.
    Convert(Type, Type, Register, Register),
    Copy {
        wide: bool,
        out: Register,
        a: Register,
    },
    UnpackHalf([Register; 2], Register),
    PackHalf(Register, Register, Register),
    Ldexp(Type, Register, Register, Register),
    Frexp(Type, [Register; 2], Register),
    Set {
        wide: bool,
        slot: Register,
        a: Register,
    },
    Bound {
        out: Register,
        a: Register,
        length: Register,
    },
    Load {
        ty: Type,
        out: Register,
        at: At,
    },
    Store {
        ty: Type,
        at: At,
        a: Register,
    },
    Atomic {
        op: Atomic,
        ty: Type,
        out: Register,
        at: At,
        value: Register,
        compare: Option<Register>,
    },
    Together {
        op: Together,
        ty: Type,
        out: Register,
        a: Register,
        b: Option<Register>,
    },
    Ballot([Register; 4], Register),
    TextureLoad([Register; 4], Texel),
    TextureStore(Texel, [Register; 4]),
    TextureSize {
        texture: u32,
        out: [Register; 3],
        level: Option<Register>,
    },
}
