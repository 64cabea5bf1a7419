//! Cranelift, as far as this crate uses it: functions in, machine code out.

use crate::interp::RunError;
use cranelift_codegen::ir::{AbiParam, Function, Signature, UserFuncName, types};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, isa::CallConv};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Module, default_libcall_names};
use std::fmt;
use std::sync::OnceLock;

/// Cranelift for the machine that this runs on, or why there is none.
fn target() -> Result<OwnedTargetIsa, RunError> {
    static TARGET: OnceLock<Result<OwnedTargetIsa, String>> = OnceLock::new();
    let find = || {
        let mut flags = settings::builder();
        flags.set("opt_level", "speed").map_err(|error| error.to_string())?;
        flags.set("enable_verifier", "false").map_err(|error| error.to_string())?;
        flags.set("preserve_frame_pointers", "true").map_err(|error| error.to_string())?;
        cranelift_native::builder()
            .map_err(String::from)?
            .finish(settings::Flags::new(flags))
            .map_err(|error| error.to_string())
    };
    TARGET.get_or_init(find).clone().map_err(|what| RunError::Unsupported {
        what: format!("machine code for this processor ({what})"),
    })
}

/// Functions being compiled.
pub(super) struct Engine {
    module: JITModule,
    context: Context,
    pub(super) builder: FunctionBuilderContext,
    functions: Vec<cranelift_module::FuncId>,
}

/// Machine code of functions that all take one pointer and give a word.
pub(super) struct Code {
    module: Option<JITModule>,
    functions: Vec<*const u8>,
}

// SAFETY: the code is only read and run after it is made, and the module is only touched when it is dropped,
// by who holds the last of it.
unsafe impl Send for Code {}
// SAFETY: as above: nothing changes behind a shared reference.
unsafe impl Sync for Code {}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("functions", &self.functions.len()).finish()
    }
}

fn fault(error: impl fmt::Display) -> RunError {
    RunError::Broken(format!("the code generator: {error}"))
}

impl Engine {
    pub(super) fn new() -> Result<Engine, RunError> {
        let module = JITModule::new(JITBuilder::with_isa(target()?, default_libcall_names()));
        Ok(Engine {
            context: module.make_context(),
            module,
            builder: FunctionBuilderContext::new(),
            functions: Vec::new(),
        })
    }

    /// How the target calls.
    pub(super) fn call(&self) -> CallConv {
        self.module.isa().default_call_conv()
    }

    /// What a builder asks of the target when it is done.
    pub(super) fn frontend(&self) -> cranelift_codegen::isa::TargetFrontendConfig {
        self.module.target_config()
    }

    /// A function that takes one pointer and gives a word, without a body yet.
    pub(super) fn function(&mut self) -> Function {
        let mut signature = Signature::new(self.call());
        signature.params.push(AbiParam::new(types::I64));
        signature.returns.push(AbiParam::new(types::I32));
        Function::with_name_signature(UserFuncName::user(0, self.functions.len() as u32), signature)
    }

    /// Compiles a function that is whole.
    pub(super) fn define(&mut self, function: Function) -> Result<(), RunError> {
        let signature = &function.signature;
        let id = self.module.declare_anonymous_function(signature).map_err(fault)?;
        self.context.func = function;
        self.module.define_function(id, &mut self.context).map_err(fault)?;
        self.module.clear_context(&mut self.context);
        self.functions.push(id);
        Ok(())
    }

    /// The code of all functions, in their order, ready to run.
    pub(super) fn finish(mut self) -> Result<Code, RunError> {
        self.module.finalize_definitions().map_err(fault)?;
        let address = |id: &cranelift_module::FuncId| self.module.get_finalized_function(*id);
        let functions = self.functions.iter().map(address).collect();
        Ok(Code { module: Some(self.module), functions })
    }
}

impl Code {
    /// Where a function begins.
    pub(super) fn address(&self, function: usize) -> usize {
        self.functions[function].addr()
    }

    /// Runs a function.
    ///
    /// # Safety
    /// `given` is what the function was compiled to be given, all that it points to is there and large
    /// enough, and nobody else writes to what is this thread's own.
    #[inline]
    pub(super) unsafe fn run(&self, function: usize, given: *mut super::layout::Given) -> u32 {
        type Function = unsafe extern "C" fn(*mut super::layout::Given) -> u32;
        let address = self.functions[function];
        // SAFETY: it is the address of a function that was compiled with this signature, and lives as long
        // as this.
        let function: Function = unsafe { std::mem::transmute::<*const u8, Function>(address) };
        // SAFETY: the caller's promise.
        unsafe { function(given) }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: who runs the code holds this, so nobody does, and the addresses go with it.
            unsafe { module.free_memory() };
        }
    }
}
