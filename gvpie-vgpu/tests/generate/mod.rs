//! Compute kernels at random, valid WGSL by construction: the same seed gives the same kernel.
//!
//! All of them end, are free of races, and leave bits behind that any device must agree on: integers, and
//! floats that are exact (see [`expression`]). What only has to be near, numeric functions that devices
//! may round as they like, is listed apart, as [`near::Near`].

mod expression;
mod kernel;
pub mod near;
mod statement;
mod ty;

use fastrand::Rng;
use near::Near;
use ty::{Scalar, Structs, Ty, parts};

/// Words that each kernel reads.
const INPUT: u32 = 64;

/// Words at the beginning of the counters that all lanes share; then one for each lane.
pub const SHARED: u32 = 8;

/// Scalars of a value at most.
const LARGEST: usize = 20;

/// What kernels may have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Features {
    pub half: bool,
    pub double: bool,
    pub long: bool,
    /// What lanes of a subgroup do together.
    pub subgroups: bool,
    /// Indices past the end of buffers, where WGSL lets devices choose.
    pub stray: bool,
    /// Nothing that naga writes wrong as SPIR-V.
    pub vulkan: bool,
    /// Nothing that a sanitizer tells: indices within, no division by zero.
    pub clean: bool,
}

/// A kernel and what it is run over.
#[derive(Debug, Clone)]
pub struct Generated {
    pub source: String,
    /// Values of `override`s.
    pub overrides: Vec<(&'static str, f64)>,
    /// The buffers of group 0, in words: input, uniforms, results, counters.
    pub buffers: [Vec<u32>; 4],
    pub groups: [u32; 3],
    /// Words of results of each lane.
    pub words: usize,
    /// Which of a lane's words only have to be near something.
    pub near: Vec<Near>,
}

/// A variable that is seen.
#[derive(Debug, Clone)]
struct Variable {
    name: String,
    ty: Ty,
    mutable: bool,
    /// Whether a pointer to it may be given away.
    local: bool,
    /// Whether it is in a buffer.
    bound: bool,
}

/// A function that has been written: its first parameter is a u32, its last may be a pointer.
#[derive(Debug, Clone)]
struct Function {
    values: Vec<Ty>,
    pointer: Option<Ty>,
    result: Ty,
}

/// A kernel while it is written.
struct Writer {
    random: Rng,
    features: Features,
    structs: Structs,
    functions: Vec<Function>,
    /// Types that are folded.
    folds: Vec<Ty>,
    variables: Vec<Variable>,
    text: String,
    names: u32,
    /// Blocks that are open.
    depth: usize,
    /// Loops that are open.
    loops: u32,
    in_switch: bool,
    in_main: bool,
    /// Whether no barrier follows.
    last_phase: bool,
    /// The result of the function that is written.
    result: Option<Ty>,
    /// How much is written: 1 to 3.
    size: u32,
    /// Indices that are open.
    nested: u32,
    /// Words of a lane's results.
    words: usize,
    /// Statements and calls that may still be written.
    fuel: u32,
    calls: u32,
}

impl Writer {
    /// A scalar type that kernels may have.
    fn scalar(&mut self) -> Scalar {
        use Scalar::*;
        let all = [Bool, I32, U32, F32, I32, U32, F32, F16, F64, I64, U64];
        loop {
            let s = all[self.random.usize(..all.len())];
            let has = match s {
                F16 => self.features.half,
                F64 => self.features.double,
                I64 | U64 => self.features.long,
                _ => true,
            };
            if has {
                return s;
            }
        }
    }

    /// The same, without bool.
    fn numeric(&mut self) -> Scalar {
        loop {
            let s = self.scalar();
            if s != Scalar::Bool {
                return s;
            }
        }
    }

    /// A type, of arrays and structs `depth` within one another at most, and not too large.
    fn ty(&mut self, depth: u32) -> Ty {
        loop {
            let ty = self.any_ty(depth);
            let mut found = Vec::new();
            parts("", &ty, &self.structs, &mut found);
            if found.len() <= LARGEST {
                return ty;
            }
        }
    }

    fn any_ty(&mut self, depth: u32) -> Ty {
        match self.random.u8(..12) {
            0..5 => Ty::One(self.scalar()),
            5..8 => Ty::Vector(self.scalar(), self.random.u32(2..5)),
            8 => {
                let float = loop {
                    let s = self.scalar();
                    if s.is_float() {
                        break s;
                    }
                };
                Ty::Matrix(float, self.random.u32(2..5), self.random.u32(2..5))
            }
            9 | 10 if depth > 0 => {
                let element = self.any_ty(depth - 1);
                Ty::Array(Box::new(element), self.random.u32(1..6))
            }
            11 if depth > 0 && !self.structs.is_empty() => {
                Ty::Struct(self.random.usize(..self.structs.len()))
            }
            _ => Ty::One(self.scalar()),
        }
    }
}

/// The kernel of a seed.
pub fn generate(seed: u64, features: Features) -> Generated {
    kernel::write(seed, features)
}
