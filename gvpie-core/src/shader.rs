//! Shaders: loading, rendering and validating WGSL, with no device.
//!
//! A `.wgsl` file is used as it stands; a `.wgsl.jinja` file is a MiniJinja template whose values
//! come from the plan. Both are looked up by name in [`sources`].

use crate::error::{Error, Result};
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

/// Every shader of the project, and what several include (`shared/`): file name and text.
const SOURCES: &[(&str, &str)] = &[
    ("selftest.wgsl", include_str!("../shaders/selftest.wgsl")),
    ("gemm_simt.wgsl.jinja", include_str!("../shaders/gemm_simt.wgsl.jinja")),
    ("gemm_coop.wgsl.jinja", include_str!("../shaders/gemm_coop.wgsl.jinja")),
    ("gemm_pack.wgsl.jinja", include_str!("../shaders/gemm_pack.wgsl.jinja")),
    ("gemm_sum.wgsl.jinja", include_str!("../shaders/gemm_sum.wgsl.jinja")),
    ("gemm_vector.wgsl.jinja", include_str!("../shaders/gemm_vector.wgsl.jinja")),
    ("fft.wgsl.jinja", include_str!("../shaders/fft.wgsl.jinja")),
    ("fft_pairs.wgsl.jinja", include_str!("../shaders/fft_pairs.wgsl.jinja")),
    ("fft_trig.wgsl.jinja", include_str!("../shaders/fft_trig.wgsl.jinja")),
    ("fft_product.wgsl.jinja", include_str!("../shaders/fft_product.wgsl.jinja")),
    ("fft_copy.wgsl.jinja", include_str!("../shaders/fft_copy.wgsl.jinja")),
    ("einsum_loops.wgsl.jinja", include_str!("../shaders/einsum_loops.wgsl.jinja")),
    ("einsum_turn.wgsl.jinja", include_str!("../shaders/einsum_turn.wgsl.jinja")),
    ("fmm_points.wgsl.jinja", include_str!("../shaders/fmm_points.wgsl.jinja")),
    ("fmm_tree.wgsl.jinja", include_str!("../shaders/fmm_tree.wgsl.jinja")),
    ("fmm_expand.wgsl.jinja", include_str!("../shaders/fmm_expand.wgsl.jinja")),
    ("fmm_m2l.wgsl.jinja", include_str!("../shaders/fmm_m2l.wgsl.jinja")),
    ("fmm_near.wgsl.jinja", include_str!("../shaders/fmm_near.wgsl.jinja")),
    ("sort_count.wgsl.jinja", include_str!("../shaders/sort_count.wgsl.jinja")),
    ("sort_scan.wgsl.jinja", include_str!("../shaders/sort_scan.wgsl.jinja")),
    ("sort_scatter.wgsl.jinja", include_str!("../shaders/sort_scatter.wgsl.jinja")),
    ("glyph.wgsl.jinja", include_str!("../shaders/glyph.wgsl.jinja")),
    ("nbody.wgsl", include_str!("../shaders/nbody.wgsl")),
    ("pixel.wgsl.jinja", include_str!("../shaders/pixel.wgsl.jinja")),
    ("shared/fft_begin.wgsl.jinja", include_str!("../shaders/shared/fft_begin.wgsl.jinja")),
    ("shared/fft_lines.wgsl.jinja", include_str!("../shaders/shared/fft_lines.wgsl.jinja")),
    ("shared/fft_packed.wgsl.jinja", include_str!("../shaders/shared/fft_packed.wgsl.jinja")),
    ("shared/fft_pass.wgsl", include_str!("../shaders/shared/fft_pass.wgsl")),
    ("shared/fmm_cell.wgsl", include_str!("../shaders/shared/fmm_cell.wgsl")),
    ("shared/fmm_frame.wgsl", include_str!("../shaders/shared/fmm_frame.wgsl")),
    ("shared/fmm_regular.wgsl.jinja", include_str!("../shaders/shared/fmm_regular.wgsl.jinja")),
    ("shared/fmm_tally.wgsl", include_str!("../shaders/shared/fmm_tally.wgsl")),
    ("shared/gemm_keep.wgsl.jinja", include_str!("../shaders/shared/gemm_keep.wgsl.jinja")),
    ("shared/gemm_params.wgsl", include_str!("../shaders/shared/gemm_params.wgsl")),
    ("shared/gemm_store.wgsl.jinja", include_str!("../shaders/shared/gemm_store.wgsl.jinja")),
    ("shared/morton.wgsl", include_str!("../shaders/shared/morton.wgsl")),
    ("shared/pixel_draw.wgsl.jinja", include_str!("../shaders/shared/pixel_draw.wgsl.jinja")),
    ("shared/pixel_execute.wgsl.jinja", include_str!("../shaders/shared/pixel_execute.wgsl.jinja")),
    ("shared/pixel_jobs.wgsl.jinja", include_str!("../shaders/shared/pixel_jobs.wgsl.jinja")),
    ("shared/pixel_machine.wgsl.jinja", include_str!("../shaders/shared/pixel_machine.wgsl.jinja")),
    ("shared/pixel_values.wgsl.jinja", include_str!("../shaders/shared/pixel_values.wgsl.jinja")),
    ("shared/sort_params.wgsl", include_str!("../shaders/shared/sort_params.wgsl")),
    ("shared/sort_sums.wgsl", include_str!("../shaders/shared/sort_sums.wgsl")),
];

/// WGSL from outside the crate may be this long; naga's parser recurses, and this much of it fits
/// the stack it is given.
const MAX_SOURCE: usize = 64 << 10;

/// Every shader of the crate, as (file name, text).
pub fn sources() -> &'static [(&'static str, &'static str)] {
    SOURCES
}

/// What a template is rendered with.
pub(crate) type Values = BTreeMap<&'static str, minijinja::Value>;

fn environment() -> &'static minijinja::Environment<'static> {
    static ENVIRONMENT: OnceLock<minijinja::Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = minijinja::Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_loader(|name| {
            Ok(SOURCES.iter().find(|(file, _)| *file == name).map(|(_, text)| text.to_string()))
        });
        environment
    })
}

/// The WGSL of a shader of this crate.
pub(crate) fn render(name: &str, values: &Values) -> Result<String> {
    let broken = |error: minijinja::Error| Error::Shader {
        label: name.into(),
        message: format!("{error:#}"),
    };
    environment().get_template(name).map_err(broken)?.render(values).map_err(broken)
}

/// A validated module.
pub(crate) struct Module {
    pub module: naga::Module,
    pub info: ModuleInfo,
}

/// Where WGSL comes from, which decides what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From outside the crate: no experimental features.
    Given,
    /// A shader of this crate.
    Ours,
}

/// Parses and validates WGSL; the error quotes the lines it is about.
pub(crate) fn parse(label: &str, source: &str, origin: Origin) -> Result<Module> {
    let shader = |message: String| Error::Shader { label: label.into(), message };
    let module = naga::front::wgsl::parse_str(source)
        .map_err(|error| shader(error.emit_to_string_with_path(source, label)))?;
    let allowed = match origin {
        Origin::Given => Capabilities::all().difference(Capabilities::COOPERATIVE_MATRIX),
        Origin::Ours => Capabilities::all(),
    };
    let info = Validator::new(ValidationFlags::all(), allowed)
        .validate(&module)
        .map_err(|error| shader(error.emit_to_string_with_path(source, label)))?;
    Ok(Module { module, info })
}

/// Runs `compile` where WGSL from outside the crate can do no harm: bounded in length, on a stack
/// that the deepest nesting of that length cannot overflow.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn contained<T: Send>(
    label: &str,
    source: &str,
    compile: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    if source.len() > MAX_SOURCE {
        return Err(Error::Limit {
            what: format!("the source of shader '{label}'"),
            limit: "bytes of WGSL",
            asked: source.len() as u64,
            allowed: MAX_SOURCE as u64,
        });
    }
    let failed = |message: &str| Error::Shader { label: label.into(), message: message.into() };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn_scoped(scope, compile)
            .map_err(|error| failed(&format!("no thread to compile on: {error}")))?
            .join()
            .unwrap_or_else(|_| Err(failed("the WGSL compiler panicked on this source")))
    })
}

/// How a shader uses one binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A uniform block of this many bytes: the kernel's parameters.
    Uniform(u32),
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is read and written.
    ReadWrite,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Access::Uniform(bytes) => write!(f, "a uniform block of {bytes} bytes"),
            Access::Read => f.write_str("a storage buffer to read"),
            Access::ReadWrite => f.write_str("a storage buffer to write"),
        }
    }
}

/// What a compute entry point declares, read off its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Reflection {
    /// The entry point's name.
    pub entry: String,
    /// Invocations of a workgroup along x, y and z.
    pub workgroup: [u32; 3],
    /// Bytes of workgroup memory it uses.
    pub workgroup_storage: u64,
    /// Bindings of group 0 as (index, access), by index.
    pub bindings: Vec<(u32, Access)>,
    /// The least bytes that may be bound to each of them: a runtime-sized array has one element.
    pub sizes: Vec<u64>,
    /// Members of the uniform block as (name, byte offset).
    pub params: Vec<(String, usize)>,
}

/// Reads an entry point's interface; `entry` may be left out where there is only one, and
/// `override` constants that `constants` leaves out have their defaults.
///
/// # Errors
/// [`Error::Shader`] where the source does not compile; [`Error::Binding`] where there is no such
/// entry point, a constant is unknown or has no value that fits, or a binding is of a kind that
/// kernels cannot have.
pub fn reflect(
    label: &str,
    source: &str,
    entry: Option<&str>,
    constants: &[(&str, f64)],
) -> Result<Reflection> {
    reflection(label, &parse(label, source, Origin::Given)?, entry, constants)
}

pub(crate) fn reflection(
    label: &str,
    parsed: &Module,
    entry: Option<&str>,
    constants: &[(&str, f64)],
) -> Result<Reflection> {
    let Module { module, info } = parsed;
    let refuse = |place: String, expected: &str, found: String| Error::Binding {
        kernel: label.into(),
        place,
        expected: expected.into(),
        found,
    };
    let compute = |e: &&naga::EntryPoint| e.stage == naga::ShaderStage::Compute;
    let points = &module.entry_points;
    let chosen = match entry {
        Some(name) => points.iter().filter(compute).find(|e| e.name == name),
        None if points.iter().filter(compute).count() == 1 => points.iter().find(compute),
        None => None,
    };
    let Some(point) = chosen else {
        let mut names = String::new();
        for e in points.iter().filter(compute) {
            let _ = write!(names, "'{}' ", e.name); // writing to a string cannot fail
        }
        let expected = match entry {
            Some(name) => format!("a compute entry point named '{name}'"),
            None => "one compute entry point, or its name".into(),
        };
        let found = if names.is_empty() { "none".to_string() } else { names.trim_end().into() };
        return Err(refuse("entry point".into(), &expected, found));
    };

    // Workgroup sizes and workgroup memory may depend on constants.
    let values = constants.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    let chosen = Some((point.stage, point.name.as_str()));
    let (module, info) = process_overrides(module, info, chosen, &values).map_err(|error| {
        let expected = "a value for each, of its type";
        refuse("override constants".into(), expected, error.to_string())
    })?;
    let points = &module.entry_points;
    let index = points.iter().position(|e| e.name == point.name).unwrap_or(0);
    let (point, uses) = (&points[index], info.get_entry_point(index));
    let layouts = module.to_ctx();
    let mut bindings = Vec::new();
    let mut params = Vec::new();
    let mut workgroup_storage = 0;
    for (handle, global) in module.global_variables.iter() {
        if uses[handle].is_empty() {
            continue;
        }
        let size = module.types[global.ty].inner.size(layouts);
        let access = match global.space {
            naga::AddressSpace::WorkGroup => {
                workgroup_storage += u64::from(size);
                continue;
            }
            naga::AddressSpace::Uniform => {
                if let naga::TypeInner::Struct { members, .. } = &module.types[global.ty].inner {
                    let named = |m: &naga::StructMember| {
                        Some((m.name.clone().unwrap_or_default(), m.offset as usize))
                    };
                    params = members.iter().filter_map(named).collect();
                }
                Access::Uniform(size)
            }
            naga::AddressSpace::Storage { access } => {
                if access.contains(naga::StorageAccess::STORE) {
                    Access::ReadWrite
                } else {
                    Access::Read
                }
            }
            naga::AddressSpace::Private | naga::AddressSpace::Function => continue,
            other => {
                let name = global.name.clone().unwrap_or_default();
                let found = format!("{other:?}");
                return Err(refuse(format!("'{name}'"), "a uniform or storage buffer", found));
            }
        };
        match &global.binding {
            Some(binding) if binding.group == 0 => {
                bindings.push((binding.binding, access, u64::from(size)));
            }
            Some(binding) => {
                let place = format!("binding {} of group {}", binding.binding, binding.group);
                return Err(refuse(place, "bindings in group 0", "another group".into()));
            }
            None => {}
        }
    }
    bindings.sort_unstable_by_key(|&(index, ..)| index);
    Ok(Reflection {
        entry: point.name.clone(),
        workgroup: point.workgroup_size,
        workgroup_storage,
        sizes: bindings.iter().map(|&(.., size)| size).collect(),
        bindings: bindings.into_iter().map(|(index, access, _)| (index, access)).collect(),
        params,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: &str = "
        struct Params { n: u32, factor: f32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(2) var<storage, read_write> y: array<f32>;
        @group(0) @binding(1) var<storage, read> x: array<f32>;
        var<workgroup> tile: array<vec4<f32>, 64>;
        @compute @workgroup_size(64) fn scale(@builtin(local_invocation_index) i: u32) {
            tile[i] = vec4(x[i]);
            workgroupBarrier();
            if (i < params.n) { y[i] = params.factor * tile[63u - i].x; }
        }";

    #[test]
    fn an_interface_is_read_off_the_source() {
        let r = reflect("scale", SCALE, None, &[]).unwrap();
        assert_eq!(r.entry, "scale");
        assert_eq!(r.workgroup, [64, 1, 1]);
        assert_eq!(r.workgroup_storage, 1024);
        let expected = [(0, Access::Uniform(8)), (1, Access::Read), (2, Access::ReadWrite)];
        assert_eq!(r.bindings, expected);
        assert_eq!(r.sizes, [8, 4, 4]);
        assert_eq!(r.params, [("n".into(), 0), ("factor".into(), 4)]);
    }

    #[test]
    fn a_missing_entry_point_lists_those_there_are() {
        let error = reflect("scale", SCALE, Some("main"), &[]).unwrap_err().to_string();
        assert!(error.contains("'main'") && error.contains("'scale'"), "{error}");
    }

    #[test]
    fn constants_settle_the_interface() {
        let source = "
            override width: u32;
            override steps = 2u;
            var<workgroup> tile: array<u32, width * steps>;
            @compute @workgroup_size(width) fn main(@builtin(local_invocation_index) i: u32) {
                tile[i] = i;
            }";
        let r = reflect("sized", source, None, &[("width", 48.0)]).unwrap();
        assert_eq!((r.workgroup, r.workgroup_storage), ([48, 1, 1], 2 * 48 * 4));
        for (constants, words) in [
            (&[][..], "width"),
            (&[("width", 48.0), ("height", 1.0)][..], "height"),
            (&[("width", -1.0)][..], "fit"),
        ] {
            let error = reflect("sized", source, None, constants).unwrap_err();
            assert!(matches!(error, Error::Binding { .. }), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_shader_that_does_not_compile_is_quoted() {
        let error =
            parse("bad", "fn f() -> f32 { return 1u; }", Origin::Given).err().unwrap().to_string();
        assert!(error.contains("return 1u"), "{error}");
    }

    #[test]
    fn cooperative_matrices_are_for_our_own_shaders() {
        let source = "enable f16; enable wgpu_cooperative_matrix;
            @group(0) @binding(0) var<storage, read_write> x: array<f32>;
            @compute @workgroup_size(32) fn main() {
                let zero = coop_mat16x16<f32, C>();
                coopStoreT(zero, &x[0], 16u);
            }";
        assert!(parse("ours", source, Origin::Ours).is_ok());
        assert!(matches!(parse("given", source, Origin::Given), Err(Error::Shader { .. })));
    }

    #[test]
    fn hostile_sources_are_refused_not_fatal() {
        let deep = format!("const x = {}1;", "-(".repeat(16_000));
        assert!(
            contained("deep", &deep, || parse("deep", &deep, Origin::Given).map(drop)).is_err()
        );
        let chain = format!("const x = 1{};", "+1".repeat(30_000));
        let _ = contained("chain", &chain, || parse("chain", &chain, Origin::Given).map(drop)); // only: returns
        let long = " ".repeat(MAX_SOURCE + 1);
        let refused = contained("long", &long, || parse("long", &long, Origin::Given).map(drop));
        assert!(matches!(refused, Err(Error::Limit { .. })));
    }
}
