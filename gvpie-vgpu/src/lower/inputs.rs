//! What is there before a kernel begins: bindings, variables of the module, and what lanes are given.

use super::layout::Ty;
use super::places::{At, Pointer};
use super::{Held, Lowerer, MAX_WORKGROUP};
use crate::error::Result;
use crate::ir::*;
use naga::valid::FunctionInfo;
use naga::{AddressSpace, BuiltIn, EntryPoint, GlobalVariable, Handle, StorageAccess, TypeInner};
use std::rc::Rc;

impl<'a> Lowerer<'a> {
    /// Gives each variable of the module that the entry point uses its place.
    pub fn globals(&mut self, uses: &FunctionInfo) -> Result<()> {
        let module = self.module;
        let mut used: Vec<_> = module
            .global_variables
            .iter()
            .filter(|(handle, _)| !uses[*handle].is_empty())
            .collect();
        // Bindings are numbered by group, then by number.
        used.sort_by_key(|(_, variable)| variable.binding.as_ref().map(|b| (b.group, b.binding)));
        for (handle, variable) in used {
            let span = module.global_variables.get_span(handle);
            let held = self.within(span, |lowerer| lowerer.place(handle, variable))?;
            self.globals.insert(handle, held);
        }
        Ok(())
    }

    fn place(
        &mut self,
        handle: Handle<GlobalVariable>,
        variable: &'a GlobalVariable,
    ) -> Result<Held> {
        let name = variable.name.clone().unwrap_or_default();
        let (memory, base) = match variable.space {
            AddressSpace::Private => {
                let ty = self.get(variable.ty)?;
                let dynamic = self.analysis.globals.contains(&handle);
                let pointer = self.variable(ty, &name, dynamic)?;
                if let Some(init) = variable.init {
                    let values = self.global(init)?;
                    self.before(|lowerer| lowerer.store(&pointer, &values))?;
                }
                return Ok(Held::Pointer(pointer));
            }
            AddressSpace::WorkGroup => {
                let ty = self.get(variable.ty)?;
                let align = self.types.align(ty).max(4);
                let base = self.kernel.workgroup_bytes.next_multiple_of(align);
                let end = u64::from(base) + self.types.size(ty).next_multiple_of(4);
                if end > MAX_WORKGROUP {
                    return Err(self.limit("bytes of workgroup memory", end, MAX_WORKGROUP));
                }
                self.kernel.workgroup_bytes = end as u32;
                self.name_memory(ty, &name, base, Where::Workgroup);
                (Memory::Workgroup, base)
            }
            AddressSpace::Immediate => {
                let bytes = self.types.size(self.get(variable.ty)?);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                self.kernel.immediate_bytes = self.kernel.immediate_bytes.max(bytes);
                (Memory::Immediate, 0)
            }
            AddressSpace::Uniform => (self.buffer(variable, name, false, true)?, 0),
            AddressSpace::Storage { access } => {
                let writes = access.contains(StorageAccess::STORE);
                (self.buffer(variable, name, writes, false)?, 0)
            }
            AddressSpace::Handle => {
                let kind = self.texture_kind(&self.module.types[variable.ty].inner)?;
                return Ok(Held::Texture(self.bind(variable, name, kind)?));
            }
            _ => return Err(self.unsupported(format!("the address space of '{name}'"))),
        };
        let place = Place { memory, base, terms: Vec::new() };
        Ok(Held::Pointer(Pointer { at: At::Memory(place), ty: self.get(variable.ty)? }))
    }

    fn buffer(
        &mut self,
        variable: &GlobalVariable,
        name: String,
        writes: bool,
        uniform: bool,
    ) -> Result<Memory> {
        let ty = self.get(variable.ty)?;
        let least = self.types.size(ty);
        // A runtime-sized array is the whole buffer, or its last member.
        let mut last = ty;
        if let (Ty::Struct(handle), TypeInner::Struct { members, .. }) =
            (ty, &self.module.types[variable.ty].inner)
            && let Some((member, ..)) =
                self.types.member(handle, members.len().saturating_sub(1) as u32)
        {
            last = member;
        }
        let stride = match self.types.elements(last) {
            Some((_, stride, None)) => Some(stride),
            _ => None,
        };
        let kind = BindingKind::Buffer { least, stride, writes, uniform };
        Ok(Memory::Binding(self.bind(variable, name, kind)?))
    }

    fn bind(&mut self, variable: &GlobalVariable, name: String, kind: BindingKind) -> Result<u32> {
        let Some(at) = &variable.binding else {
            return Err(self.unsupported(format!("'{name}' without a binding")));
        };
        self.kernel.bindings.push(Binding { group: at.group, binding: at.binding, name, kind });
        Ok(self.kernel.bindings.len() as u32 - 1)
    }

    /// The entry point's arguments.
    pub fn inputs(&mut self, point: &'a EntryPoint) -> Result<Vec<Held>> {
        let mut inputs = Vec::new();
        for argument in &point.function.arguments {
            let mut values = Vec::new();
            match (&argument.binding, &self.module.types[argument.ty].inner) {
                (Some(binding), _) => values.extend_from_slice(&self.input(binding, point)?),
                (None, TypeInner::Struct { members, .. }) => {
                    for binding in members.iter().filter_map(|member| member.binding.as_ref()) {
                        values.extend_from_slice(&self.input(binding, point)?);
                    }
                }
                (None, _) => return Err(self.unsupported("an argument without a builtin")),
            }
            inputs.push(Held::Values(values.into()));
        }
        Ok(inputs)
    }

    fn input(&mut self, binding: &naga::Binding, point: &EntryPoint) -> Result<Rc<[Value]>> {
        let naga::Binding::BuiltIn(builtin) = binding else {
            return Err(self.unsupported("an argument with a location"));
        };
        Ok(match builtin {
            BuiltIn::GlobalInvocationId => {
                let axes = [0, 1, 2].map(|axis| self.global_id(axis, point.workgroup_size));
                Rc::new(axes)
            }
            BuiltIn::LocalInvocationId => {
                Rc::new([0, 1, 2].map(|axis| self.builtin(Builtin::LocalId(axis))))
            }
            BuiltIn::WorkGroupId => {
                Rc::new([0, 1, 2].map(|axis| self.builtin(Builtin::WorkgroupId(axis))))
            }
            BuiltIn::NumWorkGroups => {
                Rc::new([0, 1, 2].map(|axis| self.builtin(Builtin::Workgroups(axis))))
            }
            BuiltIn::WorkGroupSize => Rc::new(point.workgroup_size.map(|lanes| self.count(lanes))),
            BuiltIn::LocalInvocationIndex => Rc::new([self.builtin(Builtin::LocalIndex)]),
            BuiltIn::SubgroupSize => Rc::new([self.builtin(Builtin::SubgroupSize)]),
            BuiltIn::SubgroupInvocationId => Rc::new([self.builtin(Builtin::SubgroupLane)]),
            BuiltIn::SubgroupId => Rc::new([self.builtin(Builtin::SubgroupId)]),
            BuiltIn::NumSubgroups => Rc::new([self.builtin(Builtin::Subgroups)]),
            other => return Err(self.unsupported(format!("the builtin {other:?}"))),
        })
    }

    /// What lanes are given: once, before all else.
    fn builtin(&mut self, builtin: Builtin) -> Value {
        if let Some(value) = self.builtins.get(&builtin) {
            return *value;
        }
        let prologue = std::mem::take(&mut self.prologue);
        let block = std::mem::replace(&mut self.block, prologue);
        let value = self.inst(Type::U32, Op::Builtin(builtin));
        self.prologue = std::mem::replace(&mut self.block, block);
        self.builtins.insert(builtin, value);
        value
    }

    /// `workgroup_id` · lanes + `local_invocation_id`, along an axis.
    fn global_id(&mut self, axis: u8, lanes: [u32; 3]) -> Value {
        let group = self.builtin(Builtin::WorkgroupId(axis));
        match lanes[usize::from(axis)] {
            1 => group,
            lanes => {
                let lanes = self.count(lanes);
                let local = self.builtin(Builtin::LocalId(axis));
                let first = self.mul(group, lanes);
                self.add(first, local)
            }
        }
    }
}
