//! Shaders and what is compiled of them.

use super::adapter::Machine;
use super::bind::PipelineLayout;
use crate::ir::Kernel;
use crate::{Error, Module};
use ::wgpu::{ShaderStages, hal};
use std::sync::Arc;

/// A shader that wgpu has parsed and validated.
#[derive(Debug)]
pub struct ShaderModule {
    module: Module,
    /// The text, where wgpu hands it on.
    source: Option<Arc<str>>,
}

/// A cache that has nothing to keep: kernels compile in milliseconds.
#[derive(Debug)]
pub struct PipelineCache;

/// A compute pipeline.
#[derive(Debug, Clone)]
pub struct ComputePipeline(pub(super) Arc<Compiled>);

/// A kernel, ready to be dispatched.
#[derive(Debug)]
pub struct Compiled {
    pub label: String,
    pub kernel: Kernel,
    pub pipeline: crate::Pipeline,
    pub source: Option<Arc<str>>,
}

impl ShaderModule {
    pub(super) fn new(shader: hal::ShaderInput<'_>) -> Result<ShaderModule, hal::ShaderError> {
        let hal::ShaderInput::Naga(shader) = shader else {
            let what = "shaders that wgpu has not parsed cannot be run in software";
            return Err(hal::ShaderError::Compilation(what.into()));
        };
        let source = shader.debug_source.map(|debug| debug.source_code.into_owned());
        let text = source.clone().unwrap_or_default();
        let module = Module::validated(shader.module.into_owned(), shader.info, text);
        Ok(ShaderModule { module, source: source.map(Arc::from) })
    }
}

impl ComputePipeline {
    pub(super) fn new(
        machine: &Machine,
        descriptor: &hal::ComputePipelineDescriptor<
            '_,
            PipelineLayout,
            ShaderModule,
            PipelineCache,
        >,
    ) -> Result<ComputePipeline, hal::PipelineError> {
        let hal::ProgrammableStage { module, entry_point, constants, .. } = &descriptor.stage;
        let refused = |error: String| hal::PipelineError::Linkage(ShaderStages::COMPUTE, error);
        let kernel = module.module.lower(entry_point, constants).map_err(|error| match error {
            Error::Override { .. } => {
                hal::PipelineError::PipelineConstants(ShaderStages::COMPUTE, error.to_string())
            }
            error => refused(error.to_string()),
        })?;
        let pipeline =
            machine.device.prepare(&kernel).map_err(|error| refused(error.to_string()))?;
        let label = descriptor.label.unwrap_or_default().to_string();
        let source = module.source.clone();
        Ok(ComputePipeline(Arc::new(Compiled { label, kernel, pipeline, source })))
    }
}
