//! Your own WGSL: the Collatz steps of the first hundred thousand numbers.
//!
//! `cargo run --release -p gvpie-core --features vgpu --example own_kernel`, on a GPU or, with
//! `GVPIE_BACKEND=cpu`, in software.

use gvpie_core::{Bindings, Context, Error, Kernel, Result};

/// Parameters come first, then inputs, then outputs; all in group 0.
const COLLATZ: &str = "
    @group(0) @binding(0) var<uniform> first: u32;
    @group(0) @binding(1) var<storage, read_write> steps: array<u32>;

    @compute @workgroup_size(64)
    fn collatz(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.x >= arrayLength(&steps)) { return; }
        var n = first + id.x;
        var count = 0u;
        while (n > 1u) {
            n = select(n / 2u, 3u * n + 1u, n % 2u == 1u);
            count++;
        }
        steps[id.x] = count;
    }";

const COUNT: u32 = 100_000; // no value on the way from these passes 2^32

fn main() -> Result<()> {
    let ctx = Context::new()?;
    // Compiled once, then found in the context's cache. A mistake in the WGSL comes back as
    // `Error::Shader`, which quotes the line.
    let pipeline = match ctx.pipeline(&Kernel::wgsl("collatz", COLLATZ)) {
        Err(error @ Error::Unsupported { .. }) => {
            println!("{error}");
            println!(
                "GVPIE_BACKEND=gpu runs this example on any adapter there is, --features vgpu on none."
            );
            return Ok(());
        }
        other => other?,
    };

    let mut steps = ctx.zeros::<u32>([COUNT as usize])?;
    let mut batch = ctx.batch("collatz");
    let bindings = Bindings::new().params(&1_u32).write(&mut steps);
    batch.dispatch(&pipeline, bindings, [COUNT.div_ceil(64), 1, 1])?;
    batch.submit()?;

    let steps = steps.download()?;
    let longest = (1..=COUNT).max_by_key(|&n| steps[n as usize - 1]).unwrap_or(1);
    println!("on {}: of 1 to {COUNT}, {longest} takes longest", ctx.adapter());
    println!("to reach 1: {} steps", steps[longest as usize - 1]);
    assert_eq!((longest, steps[longest as usize - 1]), (77_031, 350));
    Ok(())
}
