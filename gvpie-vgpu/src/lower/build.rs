//! Instructions, appended to the block where lowering is.

use super::Lowerer;
use crate::ir::*;

/// The bits of a number in a type.
pub(super) fn bits(ty: Type, number: f64) -> u64 {
    match ty {
        Type::Bool => u64::from(number != 0.0),
        Type::I32 => u64::from(number as i32 as u32),
        Type::U32 => u64::from(number as u32),
        Type::I64 => number as i64 as u64,
        Type::U64 => number as u64,
        Type::F16 => u64::from(half::f16::from_f64(number).to_bits()),
        Type::F32 => u64::from((number as f32).to_bits()),
        Type::F64 => number.to_bits(),
    }
}

impl Lowerer<'_> {
    /// Makes room for the results of an instruction.
    fn results(&mut self, types: &[Type]) -> Value {
        let first = Value(self.kernel.values.len() as u32);
        self.kernel.values.extend(types);
        first
    }

    /// Appends an instruction with results of these types, and gives the first.
    pub fn insts(&mut self, types: &[Type], op: Op) -> Value {
        self.spent += 1;
        let first = self.results(types);
        self.block.push(Node::Inst { first, op, span: self.span });
        first
    }

    /// Appends an instruction with one result.
    pub fn inst(&mut self, ty: Type, op: Op) -> Value {
        self.insts(&[ty], op)
    }

    /// Appends an instruction without results.
    pub fn effect(&mut self, op: Op) {
        self.insts(&[], op);
    }

    /// A constant: one for all of the kernel, before all else.
    pub fn constant(&mut self, ty: Type, bits: u64) -> Value {
        if let Some(value) = self.constants.get(&(ty, bits)) {
            return *value;
        }
        let first = self.results(&[ty]);
        self.spent += 1;
        self.first.push(Node::Inst { first, op: Op::Const(bits), span: Span::default() });
        self.constants.insert((ty, bits), first);
        self.known.insert(first, bits);
        first
    }

    /// A constant by its number.
    pub fn number(&mut self, ty: Type, number: f64) -> Value {
        self.constant(ty, bits(ty, number))
    }

    /// A constant of u32.
    pub fn count(&mut self, number: u32) -> Value {
        self.constant(Type::U32, number.into())
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> Type {
        self.kernel.values[value.0 as usize]
    }

    pub fn unary(&mut self, op: Unary, a: Value) -> Value {
        self.inst(self.ty(a), Op::Unary(op, a))
    }

    pub fn binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        self.inst(self.ty(a), Op::Binary(op, a, b))
    }

    pub fn compare(&mut self, op: Compare, a: Value, b: Value) -> Value {
        self.inst(Type::Bool, Op::Compare(op, a, b))
    }

    pub fn select(&mut self, condition: Value, yes: Value, no: Value) -> Value {
        self.inst(self.ty(yes), Op::Select(condition, yes, no))
    }

    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Add, a, b)
    }

    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Sub, a, b)
    }

    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Mul, a, b)
    }

    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Div, a, b)
    }

    /// The same number in another type.
    pub fn convert(&mut self, to: Type, a: Value) -> Value {
        if self.ty(a) == to { a } else { self.inst(to, Op::Convert(a)) }
    }

    /// The same bits in another type of as many.
    pub fn bitcast(&mut self, to: Type, a: Value) -> Value {
        match self.known.get(&a) {
            _ if self.ty(a) == to => a,
            Some(&bits) => self.constant(to, bits),
            None => self.inst(to, Op::Bitcast(a)),
        }
    }

    /// Between two bounds: min(max(a, low), high).
    pub fn clamp(&mut self, a: Value, low: Value, high: Value) -> Value {
        let above = self.binary(Binary::Max, a, low);
        self.binary(Binary::Min, above, high)
    }

    /// Σ a·b, from the first to the last.
    pub fn dot(&mut self, a: &[Value], b: &[Value]) -> Value {
        let mut sum = self.mul(a[0], b[0]);
        for (&a, &b) in a.iter().zip(b).skip(1) {
            let product = self.mul(a, b);
            sum = self.add(sum, product);
        }
        sum
    }

    /// A new slot, zero at first.
    pub fn slot(&mut self, ty: Type) -> Slot {
        self.kernel.slots.push(ty);
        Slot(self.kernel.slots.len() as u32 - 1)
    }

    /// A new label.
    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }
}
