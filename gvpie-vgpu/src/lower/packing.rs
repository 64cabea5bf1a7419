//! Numbers packed into a word, and out of it again.

use super::Lowerer;
use crate::error::Result;
use crate::ir::*;
use naga::MathFunction;
use std::rc::Rc;

impl Lowerer<'_> {
    /// A function that packs or unpacks.
    pub fn packing(&mut self, fun: MathFunction, args: &[Rc<[Value]>]) -> Result<Rc<[Value]>> {
        use MathFunction as F;
        let a: &[Value] = &args[0];
        Ok(match fun {
            F::Pack4x8snorm => self.pack_normal(a, -1.0, 127.0),
            F::Pack4x8unorm => self.pack_normal(a, 0.0, 255.0),
            F::Pack2x16snorm => self.pack_normal(a, -1.0, 32767.0),
            F::Pack2x16unorm => self.pack_normal(a, 0.0, 65535.0),
            F::Pack2x16float => Rc::new([self.inst(Type::U32, Op::PackHalf(a[0], a[1]))]),
            F::Pack4xI8 | F::Pack4xU8 => self.join(a),
            F::Pack4xI8Clamp => {
                let (low, high) = (self.number(Type::I32, -128.0), self.number(Type::I32, 127.0));
                let held: Vec<_> = a.iter().map(|&a| self.clamp(a, low, high)).collect();
                self.join(&held)
            }
            F::Pack4xU8Clamp => {
                let high = self.count(255);
                let held: Vec<_> = a.iter().map(|&a| self.binary(Binary::Min, a, high)).collect();
                self.join(&held)
            }
            F::Unpack4x8snorm => self.unpack_normal(Type::I32, 8, a[0], 127.0),
            F::Unpack4x8unorm => self.unpack_normal(Type::U32, 8, a[0], 255.0),
            F::Unpack2x16snorm => self.unpack_normal(Type::I32, 16, a[0], 32767.0),
            F::Unpack2x16unorm => self.unpack_normal(Type::U32, 16, a[0], 65535.0),
            F::Unpack2x16float => {
                let first = self.insts(&[Type::F32; 2], Op::UnpackHalf(a[0]));
                Rc::new([first, Value(first.0 + 1)])
            }
            F::Unpack4xI8 => self.split(Type::I32, 8, a[0]).into(),
            F::Unpack4xU8 => self.split(Type::U32, 8, a[0]).into(),
            F::Dot4I8Packed | F::Dot4U8Packed => {
                let ty = if fun == F::Dot4I8Packed { Type::I32 } else { Type::U32 };
                let (a, b) = (self.split(ty, 8, a[0]), self.split(ty, 8, args[1][0]));
                Rc::new([self.dot(&a, &b)])
            }
            _ => return Err(self.unsupported("this numeric function")),
        })
    }

    /// The lowest bits of each integer, side by side, the first lowest.
    fn join(&mut self, a: &[Value]) -> Rc<[Value]> {
        let width = 32 / a.len() as u32;
        let mask = self.count(u32::MAX >> (32 - width));
        let mut word = None;
        for (k, &a) in a.iter().enumerate() {
            let bits = self.bitcast(Type::U32, a);
            let mut part = self.binary(Binary::And, bits, mask);
            if k > 0 {
                let by = self.count(width * k as u32);
                part = self.binary(Binary::Shl, part, by);
            }
            word = Some(word.map_or(part, |word| self.binary(Binary::Or, word, part)));
        }
        word.into_iter().collect()
    }

    /// ⌊½ + scale · a⌋ of numbers between `low` and 1, side by side.
    fn pack_normal(&mut self, a: &[Value], low: f64, scale: f64) -> Rc<[Value]> {
        let (low, one) = (self.number(Type::F32, low), self.number(Type::F32, 1.0));
        let (half, scale) = (self.number(Type::F32, 0.5), self.number(Type::F32, scale));
        let whole = |&a: &Value| {
            let held = self.clamp(a, low, one);
            let product = self.mul(scale, held);
            let above = self.add(half, product);
            let floor = self.unary(Unary::Floor, above);
            self.convert(Type::I32, floor)
        };
        let parts: Vec<_> = a.iter().map(whole).collect();
        self.join(&parts)
    }

    /// The parts of a word, of `width` bits each, as integers of a type, the lowest first.
    fn split(&mut self, ty: Type, width: u32, word: Value) -> Vec<Value> {
        let word = self.bitcast(ty, word);
        let down = self.count(32 - width);
        let part = |k: u32| {
            let up = 32 - width * (k + 1);
            let mut high = word;
            if up > 0 {
                let up = self.count(up);
                high = self.binary(Binary::Shl, word, up);
            }
            self.binary(Binary::Shr, high, down)
        };
        (0..32 / width).map(part).collect()
    }

    /// The parts of a word over `scale`, −1 at least.
    fn unpack_normal(&mut self, ty: Type, width: u32, word: Value, scale: f64) -> Rc<[Value]> {
        let (scale, low) = (self.number(Type::F32, scale), self.number(Type::F32, -1.0));
        let parts = self.split(ty, width, word);
        let normal = |&part: &Value| {
            let number = self.convert(Type::F32, part);
            let number = self.div(number, scale);
            if ty == Type::I32 { self.binary(Binary::Max, number, low) } else { number }
        };
        parts.iter().map(normal).collect()
    }
}
