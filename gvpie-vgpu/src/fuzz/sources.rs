//! A text as WGSL.

use super::kernels::{broken, device};
use crate::device::Execution;
use crate::ir::{BindingKind, Kernel};
use crate::{Bindings, Buffer, Error, Module};

/// Compiles a text and runs its first kernel over zeros.
pub(super) fn check(source: &str) -> Result<(), String> {
    let module = match Module::new(source, &[]) {
        Ok(module) => module,
        Err(error) => return refused(source, &error),
    };
    let Some(entry) = module.entries().into_iter().next() else { return Ok(()) };
    let kernel = match module.kernel(&entry) {
        Ok(kernel) => kernel,
        Err(error) => return refused(source, &error),
    };
    for execution in [Execution::Interpreted, Execution::Compiled] {
        let device = device(32, execution)?;
        let bindings = zeros(&kernel)?;
        device.dispatch(&kernel, &bindings, [2, 1, 1]).or_else(|error| broken(&error))?;
    }
    Ok(())
}

/// A reason has words and a place within the source.
fn refused(source: &str, error: &Error) -> Result<(), String> {
    let (line, message) = match error {
        Error::Broken(fault) => return Err(format!("lowered to no kernel: {fault}")),
        Error::Compile { line, message, .. } => (*line, message.clone()),
        Error::Unsupported { line, .. } | Error::Limit { line, .. } => (*line, error.to_string()),
        error => (0, error.to_string()),
    };
    if message.contains("panicked") {
        return Err(message);
    }
    let lines =
        source.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']).count();
    if message.is_empty() || line as usize > lines {
        return Err(format!("line {line} of {lines}: '{message}'"));
    }
    Ok(())
}

/// Buffers of zeros for what a kernel binds.
fn zeros(kernel: &Kernel) -> Result<Bindings, String> {
    let immediate = vec![0; kernel.immediate_bytes as usize];
    let mut bindings = Bindings::new().immediate(&immediate);
    for binding in &kernel.bindings {
        // A text may ask for more than is given: then the run is refused.
        let BindingKind::Buffer { least, .. } = binding.kind else { continue };
        let bytes = least.clamp(256, 1 << 20);
        let buffer = Buffer::zeroed(bytes).map_err(|error| error.to_string())?;
        bindings = bindings.buffer(binding.group, binding.binding, &buffer);
    }
    Ok(bindings)
}
