//! Every failure of a device, as an error with facts in it, and what must hold around them: nothing
//! is lost, nothing hangs, and the next call or the next context works.

mod choice;
mod kernels;
mod loss;
mod memory;
mod transfers;

use std::process::Command;

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
