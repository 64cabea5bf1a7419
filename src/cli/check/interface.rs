//! What a kernel asks for, held against what is to be bound.

use super::Error;
use super::bind::{self, Bind, Bound, Fill, Resource, What};
use crate::npy::{self, Plain};
use gvpie_vgpu::ir::{Binding, BindingKind, Block, Kernel, Memory, Node, Op, Type};
use gvpie_vgpu::{Buffer, Extent, Format};
use std::collections::BTreeSet;
use std::path::Path;

/// What each binding of a kernel is given, in their order.
pub(super) fn bind(kernel: &Kernel, binds: &[Bind]) -> Result<Vec<Bound>, Error> {
    for (number, bind) in binds.iter().enumerate() {
        let at = |group, binding| (group, binding) == (bind.group, bind.binding);
        let shown = place(bind.group, bind.binding);
        if !kernel.bindings.iter().any(|b| at(b.group, b.binding)) {
            let there = match &kernel.bindings[..] {
                [] => "nothing".into(),
                all => {
                    let named = |b: &Binding| format!("{} ({})", place(b.group, b.binding), b.name);
                    all.iter().map(named).collect::<Vec<_>>().join(", ")
                }
            };
            return Err(Error::Misfit(format!(
                "--bind {shown}: {} has nothing there; it binds {there}",
                kernel.name
            )));
        }
        if binds[..number].iter().any(|b| at(b.group, b.binding)) {
            return Err(Error::Misfit(format!("--bind {shown} is there twice")));
        }
    }
    let find = |b: &Binding| binds.iter().find(|x| (x.group, x.binding) == (b.group, b.binding));
    let missing: Vec<String> = kernel
        .bindings
        .iter()
        .enumerate()
        .filter(|(_, b)| find(b).is_none() && known(b).is_none())
        .map(|(number, b)| suggested(kernel, number as u32, b))
        .collect();
    if !missing.is_empty() {
        return Err(Error::Misfit(format!(
            "{} is to be bound to more; say for instance {}",
            kernel.name,
            missing.join(" ")
        )));
    }
    let bound = kernel.bindings.iter().enumerate().map(|(number, binding)| {
        let bound = |what: String, assumed, resource| Bound {
            group: binding.group,
            binding: binding.binding,
            name: binding.name.clone(),
            what,
            assumed,
            resource,
        };
        match find(binding) {
            Some(bind) => {
                let resource = resource(kernel, number as u32, binding, bind)?;
                Ok(bound(bind.text.clone(), false, resource))
            }
            None => {
                let bytes = known(binding).unwrap_or(0);
                let zeros = Resource::Buffer(vec![0; bytes as usize]);
                Ok(bound(format!("{bytes} bytes of zeros"), true, zeros))
            }
        }
    });
    bound.collect()
}

/// `N`, or `GROUP:N`.
pub(super) fn place(group: u32, binding: u32) -> String {
    if group == 0 { binding.to_string() } else { format!("{group}:{binding}") }
}

/// Bytes of a binding that has a size of its own.
fn known(binding: &Binding) -> Option<u64> {
    match binding.kind {
        BindingKind::Buffer { least, stride: None, .. } => Some(least),
        _ => None,
    }
}

/// What could be bound where something must be.
fn suggested(kernel: &Kernel, number: u32, binding: &Binding) -> String {
    let place = place(binding.group, binding.binding);
    let what = match &binding.kind {
        BindingKind::Texture { dimensions: 1, .. } => "zeros:64".into(),
        BindingKind::Texture { dimensions: 2, arrayed: false, .. } => "zeros:64x64".into(),
        BindingKind::Texture { .. } => "zeros:64x64x4".into(),
        BindingKind::Buffer { .. } => {
            let types = accessed(kernel, number);
            format!("zeros:{}:1024", types.first().copied().unwrap_or(Type::U32))
        }
    };
    format!("--bind {place}={what}")
}

/// What is bound, if it fits.
fn resource(
    kernel: &Kernel,
    number: u32,
    binding: &Binding,
    bind: &Bind,
) -> Result<Resource, Error> {
    let shown = format!("--bind {}={}", place(bind.group, bind.binding), bind.text);
    let misfit = |why: String| Error::Misfit(format!("{shown}: {why}"));
    let seed = u64::from(bind.group) << 32 | u64::from(bind.binding);
    let name = &binding.name;
    let (least, stride) = match (&binding.kind, &bind.what) {
        (BindingKind::Texture { .. }, What::Texels(fill, size)) => {
            let (format, extent) = texture(binding, size).map_err(misfit)?;
            let texture = bind::texels(*fill, format, extent, seed);
            return texture.map(Resource::Texture).map_err(|error| misfit(error.to_string()));
        }
        (BindingKind::Texture { .. }, _) => {
            return Err(misfit(format!("{name} is a texture; expected as in zeros:640x480")));
        }
        (BindingKind::Buffer { .. }, What::Texels(..)) => {
            return Err(misfit(format!(
                "{name} is a buffer; expected a type, as in zeros:f32:1024"
            )));
        }
        (BindingKind::Buffer { least, stride, .. }, _) => (*least, *stride),
    };
    let (bytes, types) = match &bind.what {
        What::File(path) => file(path)?,
        What::Numbers(fill, ty, count) => {
            let bytes = count.saturating_mul(ty.bytes().into());
            if bytes > Buffer::MAX_BYTES {
                let most = Buffer::MAX_BYTES;
                return Err(misfit(format!("{bytes} bytes, a buffer may have {most}")));
            }
            // Zeros are zeros in any type of their size.
            let types = if *fill == Fill::Zeros { vec![] } else { vec![*ty] };
            (bind::numbers(*fill, *ty, *count, seed), types)
        }
        What::Given(bytes, types) => (bytes.clone(), types.clone()),
        What::Bytes(bytes) => (bytes.clone(), vec![]),
        What::Texels(..) => (Vec::new(), vec![]),
    };
    // A struct may have members of several types, of which nothing can be said.
    let wanted = accessed(kernel, number);
    if let [wanted] = wanted[..]
        && let Some(found) = types.iter().find(|found| kin(**found) != kin(wanted))
    {
        let hint = match &bind.what {
            What::File(_) => format!("; convert it with numpy's astype('{}')", numpy(wanted)),
            _ => String::new(),
        };
        return Err(misfit(format!("{name} holds {wanted}, this is of {found}{hint}")));
    }
    let found = bytes.len() as u64;
    if found < least {
        return Err(misfit(format!("{name} needs {least} bytes at least, this has {found}")));
    }
    if let Some(stride) = stride.map(u64::from)
        && !(found - (least - stride)).is_multiple_of(stride)
    {
        return Err(misfit(format!(
            "{name} has elements of {stride} bytes, and {found} bytes are no whole number of them"
        )));
    }
    Ok(Resource::Buffer(bytes))
}

/// The bytes of a file, and the type of what is in it.
fn file(path: &Path) -> Result<(Vec<u8>, Vec<Type>), Error> {
    let Plain { kind, size, bytes } = Plain::read(path)?;
    let ty = match (kind, size) {
        ('f', 2) => Type::F16,
        ('f', 4) | ('c', 8) => Type::F32,
        ('f', 8) | ('c', 16) => Type::F64,
        ('i', 4) => Type::I32,
        ('i', 8) => Type::I64,
        ('u', 4) => Type::U32,
        ('u', 8) => Type::U64,
        _ => {
            return Err(Error::Npy(npy::Error::Element {
                path: path.into(),
                expected: "i32, u32, f32, f16, i64, u64, f64 or complex ones",
                found: format!("{kind}{size}"),
            }));
        }
    };
    Ok((bytes, vec![ty]))
}

/// What types must have in common to stand for one another: integers their size, with a sign or not.
fn kin(ty: Type) -> (bool, u32) {
    (ty.is_float(), ty.bytes())
}

fn numpy(ty: Type) -> &'static str {
    match ty {
        Type::F16 => "float16",
        Type::F32 => "float32",
        Type::F64 => "float64",
        Type::I32 => "int32",
        Type::I64 => "int64",
        Type::U64 => "uint64",
        Type::U32 | Type::Bool => "uint32",
    }
}

/// A texture's format and extent, if it has as many extents as it should.
fn texture(binding: &Binding, size: &[u32]) -> Result<(Format, Extent), String> {
    let BindingKind::Texture { dimensions, arrayed, format, channel, .. } = &binding.kind else {
        return Err("no texture".into());
    };
    let extent = match (dimensions, arrayed, size) {
        (1, _, &[width]) => Extent::D1(width),
        (2, false, &[width, height]) => Extent::D2(width, height),
        (2, true, &[width, height, layers]) => Extent::D2Array(width, height, layers),
        (3, _, &[width, height, depth]) => Extent::D3(width, height, depth),
        _ => {
            let expected = u32::from(*dimensions) + u32::from(*arrayed);
            return Err(format!("{} has {expected} extents, found {}", binding.name, size.len()));
        }
    };
    let usual = match channel {
        Type::I32 => "rgba32sint",
        Type::U32 => "rgba32uint",
        _ => "rgba8unorm",
    };
    let name = format.as_deref().unwrap_or(usual);
    let format = Format::named(name).ok_or_else(|| format!("no texels of {name} here"))?;
    Ok((format, extent))
}

/// The types of what a kernel reads and writes in a buffer; integers of one size once.
fn accessed(kernel: &Kernel, binding: u32) -> Vec<Type> {
    let mut found = BTreeSet::new();
    walk(&kernel.body, binding, &mut found);
    let mut types: Vec<Type> = Vec::new();
    for ty in found.iter().filter_map(|index| kernel.values.get(*index)) {
        if types.iter().all(|other| kin(*other) != kin(*ty)) {
            types.push(*ty);
        }
    }
    types
}

/// The values that are read from and written to a buffer.
fn walk(block: &Block, binding: u32, found: &mut BTreeSet<usize>) {
    let there = |memory: Memory| memory == Memory::Binding(binding);
    for node in block {
        match node {
            Node::Inst { first, op, .. } => match op {
                Op::Load(place) if there(place.memory) => drop(found.insert(first.0 as usize)),
                Op::Store(place, value) | Op::Atomic { place, value, .. }
                    if there(place.memory) =>
                {
                    found.insert(value.0 as usize);
                }
                _ => {}
            },
            Node::If { then, otherwise, .. } => {
                walk(then, binding, found);
                walk(otherwise, binding, found);
            }
            Node::Loop { body, continuing, .. } => {
                walk(body, binding, found);
                walk(continuing, binding, found);
            }
            Node::Switch { cases, default, .. } => {
                cases.iter().for_each(|(_, block)| walk(block, binding, found));
                walk(default, binding, found);
            }
            Node::Scope { body, .. } => walk(body, binding, found),
            Node::Leave { .. } | Node::Barrier { .. } => {}
        }
    }
}
