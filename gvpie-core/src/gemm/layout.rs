//! How the operands of a problem lie in memory, and how kernels may read and write them there.

use super::Gemm;
use super::gpu::Ending;
use super::plan::{Matrix, Operands};
use crate::element::DType;

/// How an operand is read: along which axis its neighbours lie in memory, and whether four of them
/// can be read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    K4,
    Outer4,
    K1,
    Outer1,
}

impl Load {
    pub const ALL: [Load; 4] = [Load::K4, Load::Outer4, Load::K1, Load::Outer1];

    pub fn name(self) -> &'static str {
        match self {
            Load::K4 => "k4",
            Load::Outer4 => "outer4",
            Load::K1 => "k1",
            Load::Outer1 => "outer1",
        }
    }

    /// For an operand with these extents and strides along 'outer' and k.
    pub fn choose(x: &Side, k: usize) -> Self {
        let whole = |strides: [usize; 3]| strides.iter().all(|s| s.is_multiple_of(4));
        if k == 0 {
            Load::K1 // nothing is read, and an empty buffer may be shorter than a vector
        } else if x.k == 1 && k.is_multiple_of(4) && whole([x.offset, x.outer, x.batch]) {
            Load::K4
        } else if x.outer == 1 && x.extent.is_multiple_of(4) && whole([x.offset, x.k, x.batch]) {
            Load::Outer4
        } else if x.k <= x.outer {
            Load::K1
        } else {
            Load::Outer1
        }
    }
}

/// A or B as the kernels see them: by k and by the other axis, m or n.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub dtype: DType,
    pub extent: usize,
    pub offset: usize,
    pub outer: usize,
    pub k: usize,
    pub batch: usize,
}

impl Side {
    /// The stride of an axis of one element is never used; as zero it stands in no vector's way.
    fn new(x: &Matrix, extent: usize, k: usize, [outer_stride, k_stride]: [usize; 2]) -> Self {
        Side {
            dtype: x.operand.dtype,
            extent,
            offset: x.operand.offset,
            outer: if extent == 1 { 0 } else { outer_stride },
            k: if k == 1 { 0 } else { k_stride },
            batch: x.batch,
        }
    }

    fn dense(dtype: DType, extent: usize, k: usize, outer_is_unit: bool) -> Self {
        let (outer, k_stride) = if outer_is_unit { (1, extent) } else { (k, 1) };
        Side { dtype, extent, offset: 0, outer, k: k_stride, batch: extent.saturating_mul(k) }
    }
}

/// Where C or the bias lies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub offset: usize,
    pub row: usize,
    pub column: usize,
    pub batch: usize,
}

impl Place {
    fn new(x: &Matrix) -> Self {
        Place { offset: x.operand.offset, row: x.row, column: x.column, batch: x.batch }
    }

    fn turned(self) -> Self {
        Place { row: self.column, column: self.row, ..self }
    }
}

/// A problem in memory, as the kernels see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    pub problem: &'a Gemm,
    pub working: DType,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Side,
    pub b: Side,
    pub bias: Place,
    pub c: Place,
    /// Whether this is the transposed problem, Cᵀ = op(B)ᵀ·op(A)ᵀ: A stands for B and B for A.
    pub turned: bool,
}

impl<'a> Layout<'a> {
    /// Of the operands of one run.
    pub fn of(problem: &'a Gemm, working: DType, operands: &Operands) -> Self {
        let (m, n, k) = (problem.m, problem.n, problem.effective_k());
        let Operands { a, b, bias, c } = operands;
        Layout {
            problem,
            working,
            m,
            n,
            k,
            a: Side::new(a, m, k, [a.row, a.column]),
            b: Side::new(b, n, k, [b.column, b.row]),
            bias: bias.as_ref().map_or_else(Place::default, Place::new),
            c: Place::new(c),
            turned: false,
        }
    }

    /// Of dense operands.
    pub fn dense(problem: &'a Gemm, working: DType) -> Self {
        let (m, n, k) = (problem.m, problem.n, problem.effective_k());
        Layout {
            problem,
            working,
            m,
            n,
            k,
            a: Side::dense(problem.a, m, k, problem.transpose_a),
            b: Side::dense(problem.b, n, k, !problem.transpose_b),
            bias: Place { column: 1, ..Place::default() },
            c: Place { offset: 0, row: n, column: 1, batch: m.saturating_mul(n) },
            turned: false,
        }
    }

    /// The problem whose C lies along rows, as kernels write it: a column-major C is the transpose
    /// of Bᵀ·Aᵀ.
    pub fn along_rows(self) -> Self {
        let turn = self.c.row == 1 && self.c.column != 1 && self.m > 1;
        if turn { self.turn() } else { self }
    }

    /// The transposed problem.
    pub fn turn(self) -> Self {
        Layout {
            m: self.n,
            n: self.m,
            a: self.b,
            b: self.a,
            bias: self.bias.turned(),
            c: self.c.turned(),
            turned: !self.turned,
            ..self
        }
    }

    /// How C is written.
    pub fn ending(&self) -> Ending {
        let Layout { m, n, c, .. } = *self;
        let Gemm { beta, bias, activation, .. } = *self.problem;
        let whole = [n, c.offset, if m == 1 { 0 } else { c.row }, c.batch];
        Ending {
            c: self.problem.c,
            vec: c.column == 1 && whole.iter().all(|s| s.is_multiple_of(4)),
            reads_c: beta != 0.0,
            bias,
            activation,
        }
    }
}
