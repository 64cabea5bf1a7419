//! WGSL's functions of whole vectors and matrices.

use super::Lowerer;
use super::layout::Ty;
use crate::error::Result;
use crate::ir::*;
use naga::MathFunction;
use std::rc::Rc;

impl Lowerer<'_> {
    /// A function of whole vectors or matrices; `ty` is the type of the first.
    pub fn geometry(
        &mut self,
        fun: MathFunction,
        ty: Ty,
        args: &[Rc<[Value]>],
    ) -> Result<Rc<[Value]>> {
        use MathFunction as F;
        let a: &[Value] = &args[0];
        Ok(match (fun, &args[1..]) {
            (F::Dot, [b]) => Rc::new([self.dot(a, b)]),
            (F::Length, []) => Rc::new([self.length(a)]),
            (F::Distance, [b]) => {
                let difference: Vec<_> =
                    a.iter().zip(&**b).map(|(&a, &b)| self.sub(a, b)).collect();
                Rc::new([self.length(&difference)])
            }
            (F::Normalize, []) => {
                let length = self.length(a);
                a.iter().map(|&a| self.div(a, length)).collect()
            }
            (F::Cross, [b]) => {
                let part = |k: usize| {
                    let (i, j) = ((k + 1) % 3, (k + 2) % 3);
                    let (first, second) = (self.mul(a[i], b[j]), self.mul(a[j], b[i]));
                    self.sub(first, second)
                };
                (0..3).map(part).collect()
            }
            (F::FaceForward, [i, normal]) => {
                let angle = self.dot(i, normal);
                let zero = self.number(self.ty(angle), 0.0);
                let facing = self.compare(Compare::Less, angle, zero);
                let turn = |&a: &Value| {
                    let other = self.unary(Unary::Neg, a);
                    self.select(facing, a, other)
                };
                a.iter().map(turn).collect()
            }
            // a − 2 (n·a) n
            (F::Reflect, [normal]) => {
                let angle = self.dot(normal, a);
                let two = self.number(self.ty(angle), 2.0);
                let twice = self.mul(two, angle);
                let part = |(&a, &n): (&Value, &Value)| {
                    let along = self.mul(twice, n);
                    self.sub(a, along)
                };
                a.iter().zip(&**normal).map(part).collect()
            }
            (F::Refract, [normal, ratio]) => self.refract(a, normal, ratio[0]),
            (F::Outer, [b]) => {
                let products = b.iter().flat_map(|&b| a.iter().map(move |&a| (a, b)));
                products.map(|(a, b)| self.mul(a, b)).collect()
            }
            (F::Transpose, []) => match ty {
                Ty::Matrix { rows, .. } => {
                    let rows = rows as usize;
                    (0..rows).flat_map(|r| a.iter().skip(r).step_by(rows).copied()).collect()
                }
                _ => return Err(self.unsupported("the transpose of this")),
            },
            (F::Determinant, []) => match ty {
                Ty::Matrix { columns, .. } => Rc::new([self.determinant(columns as usize, a)]),
                _ => return Err(self.unsupported("the determinant of this")),
            },
            _ => return Err(self.unsupported("this function of vectors")),
        })
    }

    /// √(a·a), and |a| of a scalar.
    fn length(&mut self, a: &[Value]) -> Value {
        match a {
            [a] => self.unary(Unary::Abs, *a),
            a => {
                let square = self.dot(a, a);
                self.unary(Unary::Sqrt, square)
            }
        }
    }

    /// r·a − (r (n·a) + √k) n with k = 1 − r² (1 − (n·a)²); 0 where k is below 0.
    fn refract(&mut self, a: &[Value], normal: &[Value], ratio: Value) -> Rc<[Value]> {
        let ty = self.ty(ratio);
        let (zero, one) = (self.number(ty, 0.0), self.number(ty, 1.0));
        let angle = self.dot(normal, a);
        let square = self.mul(angle, angle);
        let rest = self.sub(one, square);
        let ratios = self.mul(ratio, ratio);
        let bent = self.mul(ratios, rest);
        let k = self.sub(one, bent);
        let inside = self.compare(Compare::Less, k, zero);
        let root = self.unary(Unary::Sqrt, k);
        let along = self.mul(ratio, angle);
        let along = self.add(along, root);
        let part = |(&a, &n): (&Value, &Value)| {
            let (kept, turned) = (self.mul(ratio, a), self.mul(along, n));
            let part = self.sub(kept, turned);
            self.select(inside, zero, part)
        };
        a.iter().zip(normal).map(part).collect()
    }

    /// By the first column's minors.
    fn determinant(&mut self, n: usize, a: &[Value]) -> Value {
        if n == 2 {
            let (first, second) = (self.mul(a[0], a[3]), self.mul(a[2], a[1]));
            return self.sub(first, second);
        }
        let mut sum = None;
        for r in 0..n {
            let minor: Vec<_> = (n..n * n).filter(|at| at % n != r).map(|at| a[at]).collect();
            let minor = self.determinant(n - 1, &minor);
            let term = self.mul(a[r], minor);
            sum = Some(match sum {
                None => term,
                Some(sum) if r % 2 == 1 => self.sub(sum, term),
                Some(sum) => self.add(sum, term),
            });
        }
        sum.unwrap_or(a[0])
    }
}
