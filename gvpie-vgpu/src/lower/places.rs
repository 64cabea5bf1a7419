//! Pointers, which are resolved to slots or places while lowering.

use super::layout::Ty;
use super::{Lowerer, MAX_SCALARS};
use crate::error::Result;
use crate::ir::*;
use std::rc::Rc;

/// Scalars of a variable that may still be slots.
const MOST_SLOTS: u64 = 256;

/// Elements of a variable in memory that have names of their own for those who look at a lane.
const MOST_NAMES: u64 = 64;

/// Bytes of a lane's own memory.
const MOST_PRIVATE: u64 = 1 << 20;

/// Where a pointer points.
#[derive(Debug, Clone)]
pub(super) enum At {
    /// To this slot and those that follow, one for each scalar.
    Slots(u32),
    /// To memory.
    Memory(Place),
}

/// A pointer: where, and to what.
#[derive(Debug, Clone)]
pub(super) struct Pointer {
    pub at: At,
    pub ty: Ty,
}

/// What an element is chosen by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Index {
    Constant(u32),
    /// A u32.
    Dynamic(Value),
}

impl Lowerer<'_> {
    /// An index as lowering takes it: a constant where it is known.
    pub fn index(&mut self, value: Value) -> Index {
        let value = self.bitcast(Type::U32, value);
        match self.known.get(&value) {
            Some(&bits) => Index::Constant(bits as u32),
            None => Index::Dynamic(value),
        }
    }

    /// Room for a variable: slots, or a lane's own memory where it is indexed by what is not constant
    /// or large. Both are zero at first.
    pub fn variable(&mut self, ty: Ty, name: &str, dynamic: bool) -> Result<Pointer> {
        let count = self.sized(ty)?;
        if dynamic || count > MOST_SLOTS {
            let place = self.private(ty)?;
            self.name_memory(ty, name, place.base, Where::Private);
            return Ok(Pointer { at: At::Memory(place), ty });
        }
        self.spend(count)?;
        let first = self.kernel.slots.len() as u32;
        let mut names = Vec::new();
        self.types.names(ty, name, &mut names);
        for (ty, name) in self.types.scalars(ty).into_iter().zip(names) {
            let at = Where::Slot(self.slot(ty));
            self.kernel.variables.push(Variable { name, at });
        }
        Ok(Pointer { at: At::Slots(first), ty })
    }

    /// Names a variable in memory, as a whole where its scalars lie side by side, else by parts.
    pub fn name_memory(&mut self, ty: Ty, name: &str, base: u32, at: fn(u32, u32, Type) -> Where) {
        let mut scalar = ty;
        while let Some((element, ..)) = self.types.elements(scalar) {
            scalar = element;
        }
        let variables = &mut self.kernel.variables;
        let packed = scalar.scalar().filter(|scalar| {
            self.types.count(ty) * u64::from(scalar.bytes()) == self.types.size(ty)
        });
        if let Some(scalar) = packed {
            let at = at(base, self.types.count(ty) as u32, scalar);
            variables.push(Variable { name: name.into(), at });
        } else if self.types.count(ty) <= MOST_NAMES {
            let mut names = Vec::new();
            self.types.names(ty, name, &mut names);
            let mut names = names.into_iter();
            self.types.leaves(ty, base, &mut |ty, offset| {
                let name = names.next().unwrap_or_default();
                variables.push(Variable { name, at: at(offset, 1, ty) });
            });
        }
    }

    /// Room for a type in the lane's own memory.
    pub fn private(&mut self, ty: Ty) -> Result<Place> {
        let align = self.types.align(ty).max(4);
        let base = self.kernel.private_bytes.next_multiple_of(align);
        let end = u64::from(base) + self.types.size(ty).next_multiple_of(4);
        if end > MOST_PRIVATE {
            return Err(self.limit("bytes of private and function variables", end, MOST_PRIVATE));
        }
        self.kernel.private_bytes = end as u32;
        Ok(Place { memory: Memory::Private, base, terms: Vec::new() })
    }

    /// The scalars of a type, refused where they are too many to be copied.
    pub fn sized(&self, ty: Ty) -> Result<u64> {
        match self.types.count(ty) {
            count if count <= MAX_SCALARS => Ok(count),
            count => Err(self.limit("scalars in one value or variable", count, MAX_SCALARS)),
        }
    }

    /// A pointer to an element, held within bounds, or to a member.
    pub fn element(&mut self, pointer: &Pointer, index: Index) -> Result<Pointer> {
        if let Ty::Struct(handle) = pointer.ty {
            let member = match index {
                Index::Constant(k) => self.types.member(handle, k),
                Index::Dynamic(_) => None,
            };
            let (ty, offset, first) = member.ok_or_else(|| self.unsupported("this member"))?;
            return Ok(Pointer { at: self.moved(&pointer.at, offset.into(), first)?, ty });
        }
        let elements = self.types.elements(pointer.ty);
        let (ty, stride, length) = elements.ok_or_else(|| self.unsupported("this indexing"))?;
        let index = match (index, length) {
            (Index::Constant(k), Some(length)) => Index::Constant(k.min(length - 1)),
            // The first element of an array sized at run time is there always.
            (Index::Constant(0), None) => Index::Constant(0),
            (Index::Constant(k), None) => Index::Dynamic(self.count(k)),
            (Index::Dynamic(value), _) => Index::Dynamic(value),
        };
        let at = match (index, &pointer.at) {
            (Index::Constant(k), at) => {
                let first = u64::from(k) * self.types.count(ty);
                self.moved(at, u64::from(k) * u64::from(stride), first)?
            }
            (Index::Dynamic(_), At::Slots(_)) => {
                return Err(self.unsupported("an index that is not constant here"));
            }
            (Index::Dynamic(value), At::Memory(place)) => {
                let length = match length {
                    Some(length) => Length::Fixed(length),
                    None => self.runtime(place, stride)?,
                };
                let mut place = place.clone();
                let bounded = self.inst(Type::U32, Op::Bound(value, length));
                place.terms.push((bounded, stride));
                At::Memory(place)
            }
        };
        Ok(Pointer { at, ty })
    }

    /// The length of the array at `place`, which is sized at run time.
    pub fn runtime(&self, place: &Place, stride: u32) -> Result<Length> {
        match place.memory {
            Memory::Binding(binding) => Ok(Length::Runtime { binding, offset: place.base, stride }),
            _ => Err(self.unsupported("an array sized at run time that is in no buffer")),
        }
    }

    /// So many bytes, or scalars of slots, further.
    fn moved(&self, at: &At, bytes: u64, scalars: u64) -> Result<At> {
        Ok(match at {
            At::Slots(first) => At::Slots(first + scalars as u32),
            At::Memory(place) => {
                let base = u64::from(place.base) + bytes;
                let most = u64::from(u32::MAX);
                let base = u32::try_from(base).map_err(|_| self.limit("bytes", base, most))?;
                At::Memory(Place { base, ..place.clone() })
            }
        })
    }

    /// What each scalar of a pointer's target is, and where in memory, or in which slot.
    fn targets(&self, pointer: &Pointer) -> Result<Vec<(Type, At)>> {
        let count = self.sized(pointer.ty)?;
        let mut targets = Vec::with_capacity(count as usize);
        self.types.leaves(pointer.ty, 0, &mut |ty, offset| {
            let at = match &pointer.at {
                At::Slots(first) => At::Slots(first + targets.len() as u32),
                At::Memory(place) => {
                    At::Memory(Place { base: place.base.saturating_add(offset), ..place.clone() })
                }
            };
            targets.push((ty, at));
        });
        Ok(targets)
    }

    /// What a pointer points to.
    pub fn load(&mut self, pointer: &Pointer) -> Result<Rc<[Value]>> {
        let atomic = matches!(pointer.ty, Ty::Atomic(_));
        let mut values = Vec::new();
        for (ty, at) in self.targets(pointer)? {
            values.push(match at {
                At::Slots(slot) => self.inst(ty, Op::Get(Slot(slot))),
                At::Memory(place) if atomic => {
                    let value = self.constant(ty, 0);
                    self.inst(ty, Op::Atomic { op: Atomic::Load, place, value, compare: None })
                }
                At::Memory(place) => self.inst(ty, Op::Load(place)),
            });
        }
        self.spend(1)?;
        Ok(values.into())
    }

    /// Writes all scalars of what a pointer points to.
    pub fn store(&mut self, pointer: &Pointer, values: &[Value]) -> Result<()> {
        let atomic = matches!(pointer.ty, Ty::Atomic(_));
        for ((ty, at), &value) in self.targets(pointer)?.into_iter().zip(values) {
            match at {
                At::Slots(slot) => self.effect(Op::Set(Slot(slot), value)),
                At::Memory(place) if atomic => {
                    self.inst(ty, Op::Atomic { op: Atomic::Store, place, value, compare: None });
                }
                At::Memory(place) => self.effect(Op::Store(place, value)),
            }
        }
        self.spend(1)
    }

    /// Puts values into the lane's own memory, for indices that are not constant; constants are put
    /// there once, before all else.
    pub fn spill(&mut self, ty: Ty, values: &Rc<[Value]>) -> Result<Pointer> {
        let constant = values.iter().all(|value| self.known.contains_key(value));
        let key = (ty, values.clone());
        if let Some(pointer) = self.tables.get(&key) {
            return Ok(pointer.clone());
        }
        let pointer = Pointer { at: At::Memory(self.private(ty)?), ty };
        if constant {
            self.before(|lowerer| lowerer.store(&pointer, values))?;
            self.tables.insert(key, pointer.clone());
        } else {
            self.store(&pointer, values)?;
        }
        Ok(pointer)
    }
}
