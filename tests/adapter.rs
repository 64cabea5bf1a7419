//! The GPU that tests run on.

use gvpie_core::{Backend, Context, ContextOptions};

/// What `GVPIE_GPU` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    Require,
    /// The device in software.
    Vgpu,
    Auto,
    Off,
}

pub fn wish() -> Wish {
    match std::env::var("GVPIE_GPU").as_deref() {
        Ok("require") => Wish::Require,
        Ok("vgpu") => Wish::Vgpu,
        Ok("off") => Wish::Off,
        Ok("auto") | Err(_) => Wish::Auto,
        Ok(other) => panic!("GVPIE_GPU={other}: expected require, vgpu, auto or off"),
    }
}

/// A GPU context with these options, or `None`, said aloud, where there may be none.
pub fn gpu_with(options: ContextOptions) -> Option<Context> {
    if wish() == Wish::Off {
        eprintln!("SKIPPED: GVPIE_GPU=off");
        return None;
    }
    let mut options = ContextOptions { backend: Some(Backend::Gpu), ..options };
    if wish() == Wish::Vgpu {
        options.adapter.name = Some(gvpie_core::SOFTWARE.into());
    }
    match pollster::block_on(Context::request(options)) {
        Ok(context) => Some(context),
        Err(error) if wish() == Wish::Auto => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("GVPIE_GPU={:?}: {error}", wish()),
    }
}

/// A GPU context as the environment describes it.
pub fn gpu() -> Option<Context> {
    gpu_with(ContextOptions::from_env().unwrap())
}

/// A context on every back end that tests may use, the host first.
pub fn contexts(options: ContextOptions) -> Vec<Context> {
    let host = ContextOptions { backend: Some(Backend::Cpu), ..options.clone() };
    let host = pollster::block_on(Context::request(host)).unwrap();
    std::iter::once(host).chain(gpu_with(options)).collect()
}
