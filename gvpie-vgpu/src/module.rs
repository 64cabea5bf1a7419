//! WGSL, compiled to kernels where it can do no harm.

use crate::error::{Error, Result};
use crate::ir::Kernel;
use crate::lower;
use crate::scan::{Limits, scan};
use naga::back::PipelineConstants;
use naga::back::pipeline_constants::{PipelineConstantError, process_overrides};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The stack that WGSL is compiled on, bytes: naga and lowering recurse as deep as [`Limits`] lets
/// sources nest.
const STACK: usize = 64 << 20;

/// WGSL that compiles, and the kernels of its entry points.
///
/// ```
/// let module = gvpie_vgpu::Module::new(
///     "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
///      override factor: u32 = 2;
///      @compute @workgroup_size(64)
///      fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
///          if (id.x < arrayLength(&data)) { data[id.x] *= factor; }
///      }",
///     &[("factor", 3.0)],
/// )?;
/// assert_eq!(module.entries(), ["scale"]);
/// let kernel = module.kernel("scale")?;
/// assert_eq!(kernel.workgroup, [64, 1, 1]);
/// # Ok::<(), gvpie_vgpu::Error>(())
/// ```
#[derive(Debug)]
pub struct Module {
    source: String,
    module: naga::Module,
    info: ModuleInfo,
    overrides: PipelineConstants,
    kernels: Mutex<HashMap<String, Arc<Kernel>>>,
}

impl Module {
    /// Compiles WGSL, of [`Limits::default`] at most. `overrides` gives values to constants that the
    /// source declares with `override`, by their names or by their `@id`.
    ///
    /// # Errors
    /// [`Error::Limit`] for source that is too large or nests too deep; [`Error::Compile`] for source that
    /// does not compile, with the lines that it is about; [`Error::Override`] for a constant that the
    /// source does not have.
    pub fn new(source: &str, overrides: &[(&str, f64)]) -> Result<Module> {
        Module::with_limits(source, overrides, &Limits::default())
    }

    /// The same, with limits of one's own; beyond the default ones, a hostile source may exhaust the
    /// stack, which ends the process.
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn with_limits(source: &str, overrides: &[(&str, f64)], limits: &Limits) -> Result<Module> {
        scan(source, limits)?;
        let (module, info) = contained(|| {
            let module = naga::front::wgsl::parse_str(source).map_err(|error| {
                let message = error.emit_to_string(source);
                compile(error.location(source), message)
            })?;
            let info = Validator::new(ValidationFlags::all(), Capabilities::all())
                .validate(&module)
                .map_err(|error| compile(error.location(source), error.emit_to_string(source)))?;
            Ok((module, info))
        })?;
        let overrides = keys(&module, overrides)?;
        let (source, kernels) = (source.into(), Mutex::default());
        Ok(Module { source, module, info, overrides, kernels })
    }

    /// A module that naga has validated, and its source where it is known.
    #[cfg(feature = "wgpu")]
    pub(crate) fn validated(module: naga::Module, info: ModuleInfo, source: String) -> Module {
        let (overrides, kernels) = Default::default();
        Module { source, module, info, overrides, kernels }
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names of the compute entry points, in the order of the source.
    pub fn entries(&self) -> Vec<String> {
        let compute = |point: &&naga::EntryPoint| point.stage == naga::ShaderStage::Compute;
        self.module.entry_points.iter().filter(compute).map(|point| point.name.clone()).collect()
    }

    /// The kernel of an entry point: lowered once, then kept.
    ///
    /// # Errors
    /// [`Error::Entry`] if there is no such compute entry point; [`Error::Override`] if a constant that
    /// it uses has no value, or one that does not fit; [`Error::Unsupported`] if it has something that
    /// this device cannot do; [`Error::Limit`] if it is too large with its functions inlined.
    pub fn kernel(&self, entry: &str) -> Result<Arc<Kernel>> {
        // What is kept is whole at any time: a panic of another holder leaves nothing half done.
        let kernels = || self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels().get(entry) {
            return Ok(kernel.clone());
        }
        let kernel = Arc::new(self.lower(entry, &self.overrides)?);
        Ok(kernels().entry(entry.into()).or_insert(kernel).clone())
    }

    /// The kernel of an entry point, with these values for what the source declares with `override`.
    ///
    /// # Errors
    /// As [`Module::kernel`].
    pub(crate) fn lower(&self, entry: &str, overrides: &PipelineConstants) -> Result<Kernel> {
        contained(|| self.lower_here(entry, overrides))
    }

    fn lower_here(&self, entry: &str, overrides: &PipelineConstants) -> Result<Kernel> {
        let points = &self.module.entry_points;
        let compute = naga::ShaderStage::Compute;
        if !points.iter().any(|point| point.stage == compute && point.name == entry) {
            return Err(Error::Entry {
                name: entry.into(),
                stage: points.iter().any(|point| point.name == entry),
                entries: self.entries(),
            });
        }
        let chosen = Some((compute, entry));
        let (module, info) = process_overrides(&self.module, &self.info, chosen, overrides)
            .map_err(|error| self.override_error(error))?;
        let named = |point: &naga::EntryPoint| point.stage == compute && point.name == entry;
        let index = module.entry_points.iter().position(named).unwrap_or(0);
        lower::lower(&module, &info, index, &self.source)
    }

    fn override_error(&self, error: PipelineConstantError) -> Error {
        let overrides = names(&self.module);
        let (name, what) = match error {
            PipelineConstantError::MissingValue(key) => {
                let with_key = |o: &&naga::Override| o.id.is_some_and(|id| id.to_string() == key);
                let named = self.module.overrides.iter().map(|(_, o)| o).find(with_key);
                let name = named.and_then(|o| o.name.clone()).unwrap_or(key);
                (name, "no value, neither here nor in the source".to_string())
            }
            PipelineConstantError::NotFound(key) => (key, "not in the source".to_string()),
            PipelineConstantError::ValidationError(error) => {
                let message = error.emit_to_string(&self.source);
                return compile(error.location(&self.source), message);
            }
            error => (String::new(), error.to_string()),
        };
        Error::Override { name, what, overrides }
    }
}

/// The overrides of a module, by name.
fn names(module: &naga::Module) -> Vec<String> {
    module.overrides.iter().filter_map(|(_, o)| o.name.clone()).collect()
}

/// Values by what naga knows overrides by: their `@id` where they have one.
fn keys(module: &naga::Module, values: &[(&str, f64)]) -> Result<PipelineConstants> {
    let mut keys = PipelineConstants::default();
    for &(name, value) in values {
        let meant = |o: &&naga::Override| {
            o.name.as_deref() == Some(name) || o.id.is_some_and(|id| id.to_string() == name)
        };
        let Some(found) = module.overrides.iter().map(|(_, o)| o).find(meant) else {
            return Err(Error::Override {
                name: name.into(),
                what: "not in the source".into(),
                overrides: names(module),
            });
        };
        keys.insert(found.id.map_or(name.into(), |id| id.to_string()), value);
    }
    Ok(keys)
}

fn compile(location: Option<naga::SourceLocation>, message: String) -> Error {
    let (line, column) = location.map_or((0, 0), |at| (at.line_number, at.line_position));
    Error::Compile { line, column, message }
}

/// Compiles on a stack that the deepest source cannot exhaust; a panic of the compiler is an error.
fn contained<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let failed = |message: String| Error::Compile { line: 0, column: 0, message };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| failed(format!("no thread to compile on: {error}")))?
            .join()
            .unwrap_or_else(|_| Err(failed("the WGSL compiler panicked on this source".into())))
    })
}
