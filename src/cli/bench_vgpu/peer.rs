//! llvmpipe, Mesa's software driver, in a process of its own: it reads how many threads it may use when it
//! is loaded, and its threads' time is then that process's.

use super::super::Failure;
use super::clock;
use super::kernels::{Problem, all};
use gvpie_core::{AdapterChoice, Backend, Bindings, Context, ContextOptions, Kernel, Tensor};
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};

/// What llvmpipe takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Peer {
    /// Its name and version, or why there is none.
    pub driver: String,
    /// Milliseconds of processor time of each kernel, in their order.
    pub ms: Vec<f64>,
}

/// Measures it in another process.
pub(super) fn ask() -> Peer {
    let absent = |why: String| Peer { driver: format!("none: {why}"), ms: Vec::new() };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return absent(error.to_string()),
    };
    let output = Command::new(program)
        .args(["bench", "vgpu", "--llvmpipe"])
        .env("LP_NUM_THREADS", "1")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| absent(error.to_string()))
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            absent(text.lines().next().unwrap_or("it ended").to_string())
        }
        Err(error) => absent(error.to_string()),
    }
}

/// Measures it here.
pub(super) fn measure() -> Result<Peer, Failure> {
    let adapter =
        AdapterChoice { name: Some("llvmpipe".into()), software: true, ..AdapterChoice::default() };
    let options =
        ContextOptions { backend: Some(Backend::Gpu), adapter, ..ContextOptions::default() };
    let ctx = pollster::block_on(Context::request(options))?;
    let ms = all().iter().map(|problem| kernel(&ctx, problem)).collect::<Result<_, _>>()?;
    Ok(Peer { driver: format!("{}, {}", ctx.adapter(), ctx.driver()), ms })
}

fn kernel(ctx: &Context, problem: &Problem) -> Result<f64, Failure> {
    let pipeline = ctx.pipeline(&Kernel::wgsl(problem.name, problem.source))?;
    let upload = |words: &Vec<u32>| ctx.upload([words.len()], words);
    let inputs = problem.inputs.iter().map(upload).collect::<Result<Vec<_>, _>>()?;
    let mut outputs = problem.outputs.iter().map(upload).collect::<Result<Vec<_>, _>>()?;
    let run = |outputs: &mut [Tensor<u32>]| {
        let read = inputs.iter().fold(Bindings::new(), Bindings::read);
        let bindings = outputs.iter_mut().fold(read, Bindings::write);
        let mut batch = ctx.batch(problem.name);
        batch.dispatch(&pipeline, bindings, problem.groups)?;
        batch.time()
    };
    run(&mut outputs)?;
    let found = outputs.iter().map(Tensor::download).collect::<Result<Vec<_>, _>>()?;
    (problem.check)(problem, &found)
        .map_err(|what| Failure::Wrong(format!("{} by llvmpipe: {what}", problem.name)))?;
    Ok(clock::median(|| run(&mut outputs).map(drop))?)
}
