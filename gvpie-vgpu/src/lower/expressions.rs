//! Expressions: what each of naga's stands for.

use super::layout::{Ty, scalar};
use super::places::Index;
use super::{Held, Lowerer};
use crate::error::Result;
use crate::ir::*;
use naga::{Expression, Handle, Literal};
use std::rc::Rc;

/// Elements of a value that are chosen among by comparing the index with each; more go into memory.
const MOST_CHOICES: u32 = 4;

impl Lowerer<'_> {
    /// The type of a handle.
    pub fn get(&self, handle: Handle<naga::Type>) -> Result<Ty> {
        self.types.get(handle).ok_or_else(|| {
            let ty = &self.module.types[handle];
            self.unsupported(match &ty.name {
                Some(name) => format!("the type {name}"),
                None => super::operators::kind(&ty.inner).into(),
            })
        })
    }

    /// The type of an expression; of a pointer, that of its target.
    pub fn type_of(&self, expression: Handle<Expression>) -> Result<Ty> {
        let resolution = &self.frame.info[expression].ty;
        let inner = resolution.inner_with(&self.module.types);
        let pointed = inner.pointer_base_type();
        let resolution = pointed.as_ref().unwrap_or(resolution);
        let inner = resolution.inner_with(&self.module.types);
        Ty::new(inner, resolution.handle())
            .ok_or_else(|| self.unsupported(super::operators::kind(inner)))
    }

    /// What an expression stands for: known where it has been emitted, else computed here.
    pub fn held(&mut self, handle: Handle<Expression>) -> Result<Held> {
        match &self.frame.held[handle.index()] {
            Some(held) => Ok(held.clone()),
            None => self.evaluate(handle),
        }
    }

    /// The scalars of an expression.
    pub fn values(&mut self, handle: Handle<Expression>) -> Result<Rc<[Value]>> {
        match self.held(handle)? {
            Held::Values(values) => Ok(values),
            Held::Pointer(_) | Held::Texture(_) => Err(self.unsupported("a pointer as a value")),
        }
    }

    /// The one scalar of an expression.
    pub fn value(&mut self, handle: Handle<Expression>) -> Result<Value> {
        Ok(self.values(handle)?[0])
    }

    /// A pointer.
    pub fn pointer(&mut self, handle: Handle<Expression>) -> Result<super::Pointer> {
        match self.held(handle)? {
            Held::Pointer(pointer) => Ok(pointer),
            Held::Values(_) | Held::Texture(_) => Err(self.unsupported("a value as a pointer")),
        }
    }

    /// The number of a texture's binding.
    pub fn texture(&mut self, handle: Handle<Expression>) -> Result<u32> {
        match self.held(handle)? {
            Held::Texture(binding) => Ok(binding),
            Held::Values(_) | Held::Pointer(_) => Err(self.unsupported("this texture")),
        }
    }

    /// Says what an expression stands for from here on.
    pub fn define(&mut self, handle: Handle<Expression>, held: Held) -> Result<()> {
        if let Held::Values(values) = &held {
            self.spill_if_indexed(handle, values)?;
        }
        self.frame.held[handle.index()] = Some(held);
        Ok(())
    }

    /// Puts a value into memory if an index that is not constant chooses among many of its elements.
    pub fn spill_if_indexed(
        &mut self,
        handle: Handle<Expression>,
        values: &Rc<[Value]>,
    ) -> Result<()> {
        if self.analysis.of(self.frame.handle).values.contains(&handle) {
            let ty = self.type_of(handle)?;
            if self.types.elements(ty).is_some_and(|(.., n)| n.is_none_or(|n| n > MOST_CHOICES)) {
                let pointer = self.spill(ty, values)?;
                self.frame.spilled.insert(handle, pointer);
            }
        }
        Ok(())
    }

    /// Zero in each scalar of a type.
    pub fn zeros(&mut self, ty: Ty) -> Result<Rc<[Value]>> {
        self.spent += self.sized(ty)?;
        let scalars = self.types.scalars(ty);
        Ok(scalars.into_iter().map(|ty| self.constant(ty, 0)).collect())
    }

    fn literal(&mut self, literal: Literal) -> Result<Value> {
        Ok(match literal {
            Literal::Bool(b) => self.constant(Type::Bool, b.into()),
            Literal::I32(n) => self.constant(Type::I32, (n as u32).into()),
            Literal::U32(n) => self.constant(Type::U32, n.into()),
            Literal::I64(n) => self.constant(Type::I64, n as u64),
            Literal::U64(n) => self.constant(Type::U64, n),
            Literal::F16(x) => self.constant(Type::F16, x.to_bits().into()),
            Literal::F32(x) => self.constant(Type::F32, x.to_bits().into()),
            Literal::F64(x) => self.constant(Type::F64, x.to_bits()),
            Literal::I16(_) | Literal::U16(_) => {
                return Err(self.unsupported("integers of 16 bits"));
            }
            Literal::AbstractInt(_) | Literal::AbstractFloat(_) => {
                return Err(self.unsupported("a number without a type"));
            }
        })
    }

    /// One of the module's constants.
    fn named(&mut self, constant: Handle<naga::Constant>) -> Result<Rc<[Value]>> {
        if let Some(values) = self.named.get(&constant) {
            return Ok(values.clone());
        }
        let values = self.global(self.module.constants[constant].init)?;
        self.named.insert(constant, values.clone());
        Ok(values)
    }

    /// A constant expression of the module.
    pub fn global(&mut self, handle: Handle<Expression>) -> Result<Rc<[Value]>> {
        self.spend(1)?;
        match &self.module.global_expressions[handle] {
            Expression::Literal(literal) => Ok(Rc::new([self.literal(*literal)?])),
            Expression::Constant(constant) => self.named(*constant),
            Expression::ZeroValue(ty) => {
                let ty = self.get(*ty)?;
                self.zeros(ty)
            }
            Expression::Compose { ty, components } => {
                let ty = self.get(*ty)?;
                self.spent += self.sized(ty)?;
                let mut values = Vec::new();
                for component in components {
                    values.extend_from_slice(&self.global(*component)?);
                }
                Ok(values.into())
            }
            Expression::Splat { size, value } => {
                let value = self.global(*value)?[0];
                Ok(vec![value; *size as usize].into())
            }
            _ => Err(self.unsupported("this constant expression")),
        }
    }

    /// Computes an expression here.
    pub fn evaluate(&mut self, handle: Handle<Expression>) -> Result<Held> {
        self.spend(1)?;
        let function = self.frame.function;
        self.within(function.expressions.get_span(handle), |lowerer| lowerer.expression(handle))
    }

    fn expression(&mut self, handle: Handle<Expression>) -> Result<Held> {
        let function = self.frame.function;
        let values = match &function.expressions[handle] {
            Expression::Literal(literal) => Rc::new([self.literal(*literal)?]) as Rc<[Value]>,
            Expression::Constant(constant) => self.named(*constant)?,
            Expression::ZeroValue(ty) => {
                let ty = self.get(*ty)?;
                self.zeros(ty)?
            }
            Expression::Compose { ty, components } => {
                let ty = self.get(*ty)?;
                self.spent += self.sized(ty)?;
                let mut values = Vec::new();
                for component in components {
                    values.extend_from_slice(&self.values(*component)?);
                }
                values.into()
            }
            Expression::Access { base, index } => {
                let index = self.value(*index)?;
                let index = self.index(index);
                return self.access(*base, index);
            }
            Expression::AccessIndex { base, index } => {
                return self.access(*base, Index::Constant(*index));
            }
            Expression::Splat { size, value } => vec![self.value(*value)?; *size as usize].into(),
            Expression::Swizzle { size, vector, pattern } => {
                let vector = self.values(*vector)?;
                pattern[..*size as usize].iter().map(|&k| vector[k as usize]).collect()
            }
            Expression::FunctionArgument(k) => {
                return Ok(self.frame.arguments[*k as usize].clone());
            }
            Expression::GlobalVariable(variable) => {
                let held = self.globals.get(variable).cloned();
                return held.ok_or_else(|| {
                    let name = self.module.global_variables[*variable].name.as_deref();
                    self.unsupported(format!("the variable '{}'", name.unwrap_or("_")))
                });
            }
            Expression::LocalVariable(variable) => {
                return Ok(Held::Pointer(self.frame.locals[variable.index()].clone()));
            }
            Expression::Load { pointer } => {
                let pointer = self.pointer(*pointer)?;
                self.load(&pointer)?
            }
            Expression::Unary { op, expr } => {
                let values = self.values(*expr)?;
                let op = match op {
                    naga::UnaryOperator::Negate => Unary::Neg,
                    naga::UnaryOperator::LogicalNot | naga::UnaryOperator::BitwiseNot => Unary::Not,
                };
                values.iter().map(|&a| self.unary(op, a)).collect()
            }
            Expression::Binary { op, left, right } => {
                let (a, b) = (self.values(*left)?, self.values(*right)?);
                let (left, right) = (self.type_of(*left)?, self.type_of(*right)?);
                self.operator(*op, (left, &a), (right, &b))?
            }
            Expression::Select { condition, accept, reject } => {
                let condition = self.values(*condition)?;
                let (yes, no) = (self.values(*accept)?, self.values(*reject)?);
                let choose = |k: usize| {
                    let condition = condition[k.min(condition.len() - 1)];
                    self.select(condition, yes[k], no[k])
                };
                (0..yes.len()).map(choose).collect()
            }
            Expression::Relational { fun, argument } => {
                let values = self.values(*argument)?;
                self.relational(*fun, &values)?
            }
            Expression::Math { fun, arg, arg1, arg2, arg3 } => {
                let ty = self.type_of(*arg)?;
                let mut arguments = vec![self.values(*arg)?];
                for argument in [arg1, arg2, arg3].into_iter().flatten() {
                    arguments.push(self.values(*argument)?);
                }
                self.math(*fun, ty, &arguments)?
            }
            Expression::As { expr, kind, convert } => {
                let values = self.values(*expr)?;
                self.cast(&values, *kind, *convert)?
            }
            Expression::ArrayLength(pointer) => {
                let pointer = self.pointer(*pointer)?;
                self.array_length(&pointer)?
            }
            Expression::ImageLoad { image, coordinate, array_index, sample, level } => {
                if sample.is_some() {
                    return Err(self.unsupported("a multisampled texture"));
                }
                self.texture_load(*image, *coordinate, *array_index, *level)?
            }
            Expression::ImageQuery { image, query } => self.texture_query(*image, *query)?,
            other => return Err(self.unsupported(super::operators::refused(other))),
        };
        Ok(Held::Values(values))
    }

    /// The same number, or bits, in another type.
    fn cast(
        &mut self,
        values: &[Value],
        kind: naga::ScalarKind,
        convert: Option<u8>,
    ) -> Result<Rc<[Value]>> {
        let width = convert.map_or(self.ty(values[0]).bytes(), u32::from) as u8;
        let to = scalar(naga::Scalar { kind, width });
        let to = to.ok_or_else(|| self.unsupported("this type of numbers"))?;
        let cast = |&a: &Value| match convert {
            Some(_) => self.convert(to, a),
            None => self.bitcast(to, a),
        };
        Ok(values.iter().map(cast).collect())
    }

    fn array_length(&mut self, pointer: &super::Pointer) -> Result<Rc<[Value]>> {
        let length = match (self.types.elements(pointer.ty), &pointer.at) {
            (Some((_, _, Some(length))), _) => return Ok(Rc::new([self.count(length)])),
            (Some((_, stride, None)), super::places::At::Memory(place)) => {
                self.runtime(place, stride)?
            }
            _ => return Err(self.unsupported("the length of this")),
        };
        Ok(Rc::new([self.inst(Type::U32, Op::Length(length))]))
    }

    /// An element or member, of a value or behind a pointer.
    fn access(&mut self, base: Handle<Expression>, index: Index) -> Result<Held> {
        let values = match self.held(base)? {
            Held::Pointer(pointer) => return Ok(Held::Pointer(self.element(&pointer, index)?)),
            Held::Texture(_) => return Err(self.unsupported("an array of bindings")),
            Held::Values(values) => values,
        };
        let ty = self.type_of(base)?;
        if let Ty::Struct(handle) = ty {
            let member = match index {
                Index::Constant(k) => self.types.member(handle, k),
                Index::Dynamic(_) => None,
            };
            let (ty, _, first) = member.ok_or_else(|| self.unsupported("this member"))?;
            let (first, count) = (first as usize, self.types.count(ty) as usize);
            return Ok(Held::Values(values[first..first + count].into()));
        }
        let elements = self.types.elements(ty);
        let (element, _, length) = elements.ok_or_else(|| self.unsupported("this indexing"))?;
        let (count, length) = (self.types.count(element) as usize, length.unwrap_or(1));
        let part = |k: u32| &values[k as usize * count..][..count];
        let index = match index {
            Index::Constant(k) => return Ok(Held::Values(part(k.min(length - 1)).into())),
            Index::Dynamic(index) => index,
        };
        if length > MOST_CHOICES {
            let pointer = match self.frame.spilled.get(&base) {
                Some(pointer) => pointer.clone(),
                None => self.spill(ty, &values)?,
            };
            let pointer = self.element(&pointer, Index::Dynamic(index))?;
            return Ok(Held::Values(self.load(&pointer)?));
        }
        let index = self.inst(Type::U32, Op::Bound(index, Length::Fixed(length)));
        let mut chosen = part(length - 1).to_vec();
        for k in (0..length - 1).rev() {
            let number = self.count(k);
            let this = self.compare(Compare::Equal, index, number);
            for (chosen, &value) in chosen.iter_mut().zip(part(k)) {
                *chosen = self.select(this, value, *chosen);
            }
        }
        Ok(Held::Values(chosen.into()))
    }
}
