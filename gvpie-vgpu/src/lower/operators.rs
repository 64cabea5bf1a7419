//! Operators, on scalars, vectors and matrices.

use super::Lowerer;
use super::layout::Ty;
use crate::error::Result;
use crate::ir::*;
use naga::{BinaryOperator, Expression, RelationalFunction, TypeInner};
use std::rc::Rc;

/// What a type is, for those who cannot use it.
pub(super) fn kind(inner: &TypeInner) -> &'static str {
    match inner {
        TypeInner::CooperativeMatrix { .. } => "a cooperative matrix",
        TypeInner::Image { .. } => "a texture of this kind",
        TypeInner::Sampler { .. } => "a sampler",
        TypeInner::AccelerationStructure { .. } | TypeInner::RayQuery { .. } => "ray tracing",
        TypeInner::BindingArray { .. } => "an array of bindings",
        TypeInner::Scalar(_) | TypeInner::Vector { .. } => "integers of 16 bits",
        _ => "this type",
    }
}

/// What an expression is that has no form here.
pub(super) fn refused(expression: &Expression) -> &'static str {
    match expression {
        Expression::ImageSample { .. } => "a texture with a sampler",
        Expression::Derivative { .. } => "a derivative",
        Expression::CooperativeLoad { .. } | Expression::CooperativeMultiplyAdd { .. } => {
            "a cooperative matrix"
        }
        Expression::RayQueryVertexPositions { .. }
        | Expression::RayQueryProceedResult
        | Expression::RayQueryGetIntersection { .. } => "a ray query",
        Expression::Override(_) => "an override without a value",
        _ => "this expression",
    }
}

/// A type and the scalars of a value.
type Typed<'a> = (Ty, &'a [Value]);

impl Lowerer<'_> {
    /// A binary operator.
    pub fn operator(
        &mut self,
        op: BinaryOperator,
        (left, a): Typed<'_>,
        (right, b): Typed<'_>,
    ) -> Result<Rc<[Value]>> {
        if op == BinaryOperator::Multiply {
            match (left, right) {
                (Ty::Matrix { rows, .. }, Ty::Matrix { .. }) => {
                    return Ok(self.product(rows as usize, a, b));
                }
                (Ty::Matrix { rows, .. }, Ty::Vector(..)) => {
                    return Ok(self.product(rows as usize, a, b));
                }
                // A row of as many as the matrix has rows: one dot product by column.
                (Ty::Vector(_, rows), Ty::Matrix { .. }) => {
                    let columns = b.chunks_exact(rows as usize);
                    return Ok(columns.map(|column| self.dot(a, column)).collect());
                }
                _ => {}
            }
        }
        let pair = |k: usize| {
            let (a, b) = (a[k.min(a.len() - 1)], b[k.min(b.len() - 1)]);
            self.scalars(op, a, b)
        };
        Ok((0..a.len().max(b.len())).map(pair).collect())
    }

    /// A · b, where b is a vector or a matrix: column c is Σ_k a[k]·b[c][k].
    fn product(&mut self, rows: usize, a: &[Value], b: &[Value]) -> Rc<[Value]> {
        let inner = a.len() / rows;
        let mut product = Vec::with_capacity(rows * b.len() / inner);
        for column in b.chunks_exact(inner) {
            for r in 0..rows {
                let row: Vec<_> = a.iter().skip(r).step_by(rows).copied().collect();
                product.push(self.dot(&row, column));
            }
        }
        product.into()
    }

    fn scalars(&mut self, op: BinaryOperator, a: Value, b: Value) -> Value {
        use BinaryOperator as B;
        let compare = match op {
            B::Equal => Compare::Equal,
            B::NotEqual => Compare::NotEqual,
            B::Less => Compare::Less,
            B::LessEqual => Compare::LessEqual,
            B::Greater => Compare::Greater,
            B::GreaterEqual => Compare::GreaterEqual,
            B::Add => return self.add(a, b),
            B::Subtract => return self.sub(a, b),
            B::Multiply => return self.mul(a, b),
            B::Divide => return self.div(a, b),
            B::Modulo => return self.binary(Binary::Rem, a, b),
            B::And | B::LogicalAnd => return self.binary(Binary::And, a, b),
            B::InclusiveOr | B::LogicalOr => return self.binary(Binary::Or, a, b),
            B::ExclusiveOr => return self.binary(Binary::Xor, a, b),
            B::ShiftLeft => return self.binary(Binary::Shl, a, b),
            B::ShiftRight => return self.binary(Binary::Shr, a, b),
        };
        self.compare(compare, a, b)
    }

    /// `all`, `any` and their like.
    pub fn relational(&mut self, fun: RelationalFunction, a: &[Value]) -> Result<Rc<[Value]>> {
        let fold = match fun {
            RelationalFunction::All => Binary::And,
            RelationalFunction::Any => Binary::Or,
            RelationalFunction::IsNan => {
                return Ok(a.iter().map(|&a| self.compare(Compare::NotEqual, a, a)).collect());
            }
            RelationalFunction::IsInf => {
                let infinite = |&a: &Value| {
                    let size = self.unary(Unary::Abs, a);
                    let infinity = self.number(self.ty(a), f64::INFINITY);
                    self.compare(Compare::Equal, size, infinity)
                };
                return Ok(a.iter().map(infinite).collect());
            }
        };
        let mut all = a[0];
        for &a in &a[1..] {
            all = self.binary(fold, all, a);
        }
        Ok(Rc::new([all]))
    }
}
