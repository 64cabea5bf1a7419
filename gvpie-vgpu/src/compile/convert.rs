//! Numbers as numbers of another type.

use super::emit::{Emitter, Held, scalar, vector};
use super::shims;
use crate::ir::{self, Type};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type as Machine, Value, types};

impl Emitter<'_, '_> {
    pub(super) fn convert(&mut self, a: ir::Value, to: Type) -> Held {
        let from = self.ty(a);
        match (from, to) {
            _ if from == to => self.held(a),
            (Type::I32, Type::U32) | (Type::U32, Type::I32) => self.held(a),
            (Type::I64, Type::U64) | (Type::U64, Type::I64) => self.held(a),
            (Type::I32, Type::F32) => self.map1(a, |e, a| {
                let ty = e.float_like(a);
                e.b.ins().fcvt_from_sint(ty, a)
            }),
            (Type::U32, Type::F32) => self.map1(a, |e, a| {
                let ty = e.float_like(a);
                e.b.ins().fcvt_from_uint(ty, a)
            }),
            (Type::F32, Type::I32) => self.map1(a, |e, a| {
                let ty = e.word_like(a);
                e.b.ins().fcvt_to_sint_sat(ty, a)
            }),
            (Type::F32, Type::U32) => self.map1(a, |e, a| {
                let ty = e.word_like(a);
                e.b.ins().fcvt_to_uint_sat(ty, a)
            }),
            (Type::Bool, Type::I32 | Type::U32) => self.map1(a, |e, a| match e.is_vector(a) {
                true => e.b.ins().ineg(a),
                false => e.b.ins().uextend(types::I32, a),
            }),
            (Type::Bool, Type::F32) => match self.number(a) {
                Some(a) => {
                    let word = self.b.ins().uextend(types::I32, a);
                    Held::Uniform(self.b.ins().fcvt_from_sint(types::F32, word))
                }
                None => {
                    let one = self.words([1_f32.to_bits(); 4]);
                    self.map1(a, |e, a| {
                        let bits = e.b.ins().band(a, one);
                        e.cast(types::F32X4, bits)
                    })
                }
            },
            (Type::I32 | Type::U32, Type::Bool) => self.map1(a, |e, a| match e.is_vector(a) {
                true => {
                    let zero = e.words([0; 4]);
                    e.b.ins().icmp(IntCC::NotEqual, a, zero)
                }
                false => e.b.ins().icmp_imm_u(IntCC::NotEqual, a, 0),
            }),
            (Type::F32, Type::F64) if self.is_number(a) => {
                self.map1(a, |e, a| e.b.ins().fpromote(types::F64, a))
            }
            (Type::F64, Type::F32) if self.is_number(a) => {
                self.map1(a, |e, a| e.b.ins().fdemote(types::F32, a))
            }
            _ => self.call1(shims::convert(from, to) as usize, a, to),
        }
    }

    fn is_vector(&self, value: Value) -> bool {
        self.b.func.dfg.value_type(value).is_vector()
    }

    fn float_like(&self, value: Value) -> Machine {
        if self.is_vector(value) { types::F32X4 } else { types::F32 }
    }

    fn word_like(&self, value: Value) -> Machine {
        if self.is_vector(value) { types::I32X4 } else { types::I32 }
    }

    pub(super) fn bitcast(&mut self, a: ir::Value, to: Type) -> Held {
        match self.held(a) {
            Held::Uniform(a) => Held::Uniform(self.cast(scalar(to), a)),
            Held::Varying(chunks) => {
                Held::Varying(chunks.into_iter().map(|c| self.cast(vector(to), c)).collect())
            }
            held if matches!(to, Type::I32 | Type::U32) => held,
            _ => {
                let chunks = self.vectors(a);
                Held::Varying(chunks.into_iter().map(|c| self.cast(vector(to), c)).collect())
            }
        }
    }
}
