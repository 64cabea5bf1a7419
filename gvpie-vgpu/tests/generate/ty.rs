//! Types of WGSL, as text and as what can be got at in a variable of one.

use fastrand::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scalar {
    Bool,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

use Scalar::*;

impl Scalar {
    pub fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            I32 => "i32",
            U32 => "u32",
            I64 => "i64",
            U64 => "u64",
            F16 => "f16",
            F32 => "f32",
            F64 => "f64",
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, F16 | F32 | F64)
    }

    pub fn is_signed(self) -> bool {
        matches!(self, I32 | I64)
    }

    /// Of 32 bits: those that every numeric function takes.
    pub fn is_word(self) -> bool {
        matches!(self, I32 | U32)
    }

    pub fn bits(self) -> u32 {
        if matches!(self, I64 | U64) { 64 } else { 32 }
    }

    /// A constant: of floats a multiple of the unit of [`fold`](super::expression), of integers often
    /// one at an edge.
    pub fn literal(self, random: &mut Rng) -> String {
        let small = random.i64(-9..30);
        match self {
            Bool => random.bool().to_string(),
            I32 => match random.u8(..8) {
                0 => "i32(-2147483648)".into(),
                1 => "2147483647i".into(),
                2 => format!("{}i", random.i32(-99_999..99_999)),
                _ => format!("{small}i"),
            },
            U32 => match random.u8(..8) {
                0 => "4294967295u".into(),
                1 => "2147483648u".into(),
                2 => format!("{}u", random.u32(..)),
                _ => format!("{}u", small.abs()),
            },
            I64 => match random.u8(..4) {
                0 => format!("{}li", random.i64(-(1 << 50)..1 << 50)),
                _ => format!("{small}li"),
            },
            U64 => match random.u8(..4) {
                0 => format!("{}lu", random.u64(..)),
                _ => format!("{}lu", small.abs()),
            },
            F16 => format!("{:?}h", random.i32(-15..16) as f32 / 2.0),
            F32 => format!("{:?}f", random.i32(-2047..2048) as f32 / 16.0),
            F64 => format!("{:?}lf", random.i32(-2047..2048) as f64 / 16.0),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ty {
    One(Scalar),
    Vector(Scalar, u32),
    /// Columns, then rows.
    Matrix(Scalar, u32, u32),
    Array(Box<Ty>, u32),
    /// One of [`Structs`].
    Struct(usize),
}

impl Ty {
    pub fn name(&self) -> String {
        match self {
            Ty::One(s) => s.name().into(),
            Ty::Vector(s, n) => format!("vec{n}<{}>", s.name()),
            Ty::Matrix(s, columns, rows) => format!("mat{columns}x{rows}<{}>", s.name()),
            Ty::Array(element, n) => format!("array<{}, {n}>", element.name()),
            Ty::Struct(k) => format!("S{k}"),
        }
    }
}

/// The members of each struct.
pub type Structs = Vec<Vec<Ty>>;

/// A way from a variable to a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Of so many.
    Index(u32),
    Member(usize),
    Component(u32),
}

/// The ways from something of type `from` to all parts of type `to`, itself included.
pub fn ways(from: &Ty, to: &Ty, structs: &Structs) -> Vec<Vec<Step>> {
    if from == to {
        return vec![Vec::new()];
    }
    let through = |step: Step, part: &Ty| -> Vec<Vec<Step>> {
        let begin = |rest: Vec<Step>| std::iter::once(step).chain(rest).collect();
        ways(part, to, structs).into_iter().map(begin).collect()
    };
    match from {
        Ty::One(_) => Vec::new(),
        Ty::Vector(s, n) => {
            let mut all = through(Step::Index(*n), &Ty::One(*s));
            for k in 0..*n {
                all.extend(through(Step::Component(k), &Ty::One(*s)));
            }
            all
        }
        Ty::Matrix(s, columns, rows) => through(Step::Index(*columns), &Ty::Vector(*s, *rows)),
        Ty::Array(element, n) => through(Step::Index(*n), element),
        Ty::Struct(k) => {
            let members = structs[*k].iter().enumerate();
            members.flat_map(|(at, member)| through(Step::Member(at), member)).collect()
        }
    }
}

/// The scalars of a value, as expressions of its name.
pub fn parts(name: &str, ty: &Ty, structs: &Structs, found: &mut Vec<(String, Scalar)>) {
    match ty {
        Ty::One(s) => found.push((name.into(), *s)),
        Ty::Vector(s, n) => {
            for axis in "xyzw".chars().take(*n as usize) {
                found.push((format!("{name}.{axis}"), *s));
            }
        }
        Ty::Matrix(s, columns, rows) => {
            for k in 0..*columns {
                parts(&format!("{name}[{k}]"), &Ty::Vector(*s, *rows), structs, found);
            }
        }
        Ty::Array(element, n) => {
            for k in 0..*n {
                parts(&format!("{name}[{k}]"), element, structs, found);
            }
        }
        Ty::Struct(k) => {
            for (at, member) in structs[*k].iter().enumerate() {
                parts(&format!("{name}.m{at}"), member, structs, found);
            }
        }
    }
}
