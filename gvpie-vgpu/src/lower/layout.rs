//! Types taken apart: how many scalars there are in one, and where they lie in memory.

use crate::ir::Type;
use naga::proc::IndexableLength;
use naga::{ArraySize, Handle, ScalarKind, TypeInner};

/// A type as lowering sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ty {
    Scalar(Type),
    Atomic(Type),
    Vector(Type, u32),
    Matrix { ty: Type, columns: u32, rows: u32 },
    Array(Handle<naga::Type>),
    Struct(Handle<naga::Type>),
}

/// What is known of a type of the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    /// Scalars in it; of a runtime-sized array, those of one element.
    pub count: u64,
    /// Bytes, the same way.
    pub size: u64,
    /// Bytes that its address is a multiple of.
    pub align: u32,
    /// Of a struct's members, and of an array's elements: bytes before the k-th, or each.
    pub offsets: Vec<u32>,
    /// Of a struct: scalars before the k-th member.
    pub firsts: Vec<u64>,
    /// Bytes from one element to the next.
    pub stride: u32,
    /// Whether there are bools in it, which naga lays out in one byte each.
    bools: bool,
}

/// The scalar type of a naga scalar; `None` for those of WGSL's compile time and of 16-bit integers.
pub(super) fn scalar(scalar: naga::Scalar) -> Option<Type> {
    Some(match (scalar.kind, scalar.width) {
        (ScalarKind::Bool, _) => Type::Bool,
        (ScalarKind::Sint, 4) => Type::I32,
        (ScalarKind::Uint, 4) => Type::U32,
        (ScalarKind::Sint, 8) => Type::I64,
        (ScalarKind::Uint, 8) => Type::U64,
        (ScalarKind::Float, 2) => Type::F16,
        (ScalarKind::Float, 4) => Type::F32,
        (ScalarKind::Float, 8) => Type::F64,
        _ => return None,
    })
}

impl Ty {
    /// The lowered type of a naga type; `handle` is its own, which arrays and structs need.
    pub fn new(inner: &TypeInner, handle: Option<Handle<naga::Type>>) -> Option<Ty> {
        Some(match *inner {
            TypeInner::Scalar(s) => Ty::Scalar(scalar(s)?),
            TypeInner::Atomic(s) => Ty::Atomic(scalar(s)?),
            TypeInner::Vector { size, scalar: s } => Ty::Vector(scalar(s)?, size.into()),
            TypeInner::Matrix { columns, rows, scalar: s } => {
                Ty::Matrix { ty: scalar(s)?, columns: columns.into(), rows: rows.into() }
            }
            TypeInner::Array { .. } => Ty::Array(handle?),
            TypeInner::Struct { .. } => Ty::Struct(handle?),
            _ => return None,
        })
    }

    /// The type of its scalars, where all are of one by its form.
    pub fn scalar(self) -> Option<Type> {
        match self {
            Ty::Scalar(ty) | Ty::Atomic(ty) | Ty::Vector(ty, _) | Ty::Matrix { ty, .. } => Some(ty),
            Ty::Array(_) | Ty::Struct(_) => None,
        }
    }
}

/// Bytes of a vector's alignment: that of 2 or 4 scalars.
fn vector_align(ty: Type, n: u32) -> u32 {
    ty.bytes() * if n == 2 { 2 } else { 4 }
}

/// What is known of each type of a module.
#[derive(Debug)]
pub(super) struct Types<'a> {
    module: &'a naga::Module,
    layouts: Vec<Layout>,
}

impl<'a> Types<'a> {
    pub fn new(module: &'a naga::Module) -> Self {
        let mut types = Types { module, layouts: Vec::with_capacity(module.types.len()) };
        // A type comes after those that it is made of.
        for (handle, ty) in module.types.iter() {
            let layout = types.measure(handle, &ty.inner);
            types.layouts.push(layout);
        }
        types
    }

    fn measure(&self, handle: Handle<naga::Type>, inner: &TypeInner) -> Layout {
        match inner {
            TypeInner::Array { base, size, stride } => {
                let element = self.of(*base);
                let length = u64::from(self.length(*size).unwrap_or(1));
                let own = element.size.next_multiple_of(u64::from(element.align.max(1)));
                let stride = if element.bools { own } else { u64::from(*stride) };
                Layout {
                    count: element.count.saturating_mul(length),
                    size: stride.saturating_mul(length),
                    align: element.align,
                    stride: u32::try_from(stride).unwrap_or(u32::MAX),
                    bools: element.bools,
                    ..Layout::default()
                }
            }
            TypeInner::Struct { members, span } => {
                let mut layout = Layout { align: 1, ..Layout::default() };
                layout.bools = members.iter().any(|member| self.of(member.ty).bools);
                for member in members {
                    let known = self.of(member.ty);
                    layout.align = layout.align.max(known.align);
                    layout.firsts.push(layout.count);
                    layout.count = layout.count.saturating_add(known.count);
                    let own = layout.size.next_multiple_of(u64::from(known.align.max(1)));
                    let offset = if layout.bools { own } else { member.offset.into() };
                    layout.offsets.push(u32::try_from(offset).unwrap_or(u32::MAX));
                    layout.size = offset.saturating_add(known.size);
                }
                let own = layout.size.next_multiple_of(u64::from(layout.align));
                layout.size = if layout.bools { own } else { u64::from(*span).max(layout.size) };
                layout
            }
            inner => match Ty::new(inner, Some(handle)) {
                Some(ty) => Layout {
                    count: self.count(ty),
                    size: self.size(ty),
                    align: self.align(ty),
                    bools: ty.scalar() == Some(Type::Bool),
                    ..Layout::default()
                },
                None => Layout::default(),
            },
        }
    }

    /// How many elements an array has; `None` at run time.
    fn length(&self, size: ArraySize) -> Option<u32> {
        match size.resolve(self.module.to_ctx()) {
            Ok(IndexableLength::Known(length)) => Some(length),
            Ok(IndexableLength::Dynamic) | Err(_) => None,
        }
    }

    /// What is known of a type by its handle.
    pub fn of(&self, handle: Handle<naga::Type>) -> &Layout {
        &self.layouts[handle.index()]
    }

    /// The type of a handle, where it is one of values.
    pub fn get(&self, handle: Handle<naga::Type>) -> Option<Ty> {
        Ty::new(&self.module.types[handle].inner, Some(handle))
    }

    /// Scalars in a type.
    pub fn count(&self, ty: Ty) -> u64 {
        match ty {
            Ty::Scalar(_) | Ty::Atomic(_) => 1,
            Ty::Vector(_, n) => n.into(),
            Ty::Matrix { columns, rows, .. } => (columns * rows).into(),
            Ty::Array(handle) | Ty::Struct(handle) => self.of(handle).count,
        }
    }

    /// Bytes of a type in memory.
    pub fn size(&self, ty: Ty) -> u64 {
        match ty {
            Ty::Scalar(ty) | Ty::Atomic(ty) => ty.bytes().into(),
            Ty::Vector(ty, n) => (ty.bytes() * n).into(),
            Ty::Matrix { ty, columns, rows } => (columns * vector_align(ty, rows)).into(),
            Ty::Array(handle) | Ty::Struct(handle) => self.of(handle).size,
        }
    }

    /// Bytes that a type's address is a multiple of.
    pub fn align(&self, ty: Ty) -> u32 {
        match ty {
            Ty::Scalar(ty) | Ty::Atomic(ty) => ty.bytes(),
            Ty::Vector(ty, n) => vector_align(ty, n),
            Ty::Matrix { ty, rows, .. } => vector_align(ty, rows),
            Ty::Array(handle) | Ty::Struct(handle) => self.of(handle).align.max(1),
        }
    }

    /// What a vector, matrix or array is made of: an element's type, the bytes from one to the next,
    /// and how many there are, `None` at run time.
    pub fn elements(&self, ty: Ty) -> Option<(Ty, u32, Option<u32>)> {
        match ty {
            Ty::Vector(ty, n) => Some((Ty::Scalar(ty), ty.bytes(), Some(n))),
            Ty::Matrix { ty, columns, rows } => {
                Some((Ty::Vector(ty, rows), vector_align(ty, rows), Some(columns)))
            }
            Ty::Array(handle) => match self.module.types[handle].inner {
                TypeInner::Array { base, size, .. } => {
                    Some((self.get(base)?, self.of(handle).stride, self.length(size)))
                }
                _ => None,
            },
            Ty::Scalar(_) | Ty::Atomic(_) | Ty::Struct(_) => None,
        }
    }

    /// A struct's k-th member: its type, the bytes before it, and the scalars before it.
    pub fn member(&self, handle: Handle<naga::Type>, k: u32) -> Option<(Ty, u32, u64)> {
        let TypeInner::Struct { members, .. } = &self.module.types[handle].inner else {
            return None;
        };
        let (layout, k) = (self.of(handle), k as usize);
        Some((self.get(members.get(k)?.ty)?, layout.offsets[k], layout.firsts[k]))
    }

    /// Calls `see` with each scalar of a type, in order: its type, and its address if the whole is at
    /// `at`.
    pub fn leaves(&self, ty: Ty, at: u32, see: &mut dyn FnMut(Type, u32)) {
        match ty {
            Ty::Scalar(ty) | Ty::Atomic(ty) => see(ty, at),
            Ty::Vector(ty, n) => {
                (0..n).for_each(|k| see(ty, at.saturating_add(k * ty.bytes())));
            }
            Ty::Struct(handle) => {
                for k in 0..self.of(handle).offsets.len() {
                    if let Some((ty, offset, _)) = self.member(handle, k as u32) {
                        self.leaves(ty, at.saturating_add(offset), see);
                    }
                }
            }
            Ty::Matrix { .. } | Ty::Array(_) => {
                if let Some((element, stride, length)) = self.elements(ty) {
                    for k in 0..length.unwrap_or(0) {
                        self.leaves(element, at.saturating_add(k.saturating_mul(stride)), see);
                    }
                }
            }
        }
    }

    /// The types of a type's scalars, in order.
    pub fn scalars(&self, ty: Ty) -> Vec<Type> {
        let mut scalars = Vec::new();
        self.leaves(ty, 0, &mut |ty, _| scalars.push(ty));
        scalars
    }

    /// The names of a type's scalars, in order, where the whole is called `name`.
    pub fn names(&self, ty: Ty, name: &str, names: &mut Vec<String>) {
        match ty {
            Ty::Scalar(_) | Ty::Atomic(_) => names.push(name.into()),
            Ty::Vector(_, n) => {
                names.extend("xyzw".chars().take(n as usize).map(|axis| format!("{name}.{axis}")));
            }
            Ty::Struct(handle) => {
                let TypeInner::Struct { members, .. } = &self.module.types[handle].inner else {
                    return;
                };
                for member in members {
                    let part = member.name.as_deref().unwrap_or("_");
                    if let Some(ty) = self.get(member.ty) {
                        self.names(ty, &format!("{name}.{part}"), names);
                    }
                }
            }
            Ty::Matrix { .. } | Ty::Array(_) => {
                if let Some((element, _, length)) = self.elements(ty) {
                    for k in 0..length.unwrap_or(0) {
                        self.names(element, &format!("{name}[{k}]"), names);
                    }
                }
            }
        }
    }
}
