//! Every failure of a device, as an error with facts in it, and what must hold around them: nothing
//! is lost, nothing hangs, and the next call or the next context works.

mod choice;
mod kernels;
mod loss;
mod memory;
mod transfers;

use crate::adapter::gpu_with;
use gvpie_core::{Backend, Context, ContextOptions};
use std::process::Command;

/// A context on every back end that these tests may use, the host first.
fn contexts(options: ContextOptions) -> Vec<Context> {
    let host = ContextOptions { backend: Some(Backend::Cpu), ..options.clone() };
    let host = pollster::block_on(Context::request(host)).unwrap();
    std::iter::once(host).chain(gpu_with(options)).collect()
}

/// This binary again, as a process of its own that runs one `#[ignore]`d test: where the
/// environment, a resource limit or the end of the process is what is tested.
fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars() {
        if name.starts_with("GVPIE_") || name.starts_with("WGPU_") {
            command.env_remove(name);
        }
    }
    command
}
