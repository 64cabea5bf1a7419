//! The shortest useful program: two matrices, one product.
//!
//! `cargo run --release -p gvpie-core --example hello_gemm`
//! (`GVPIE_BACKEND=cpu` or `gpu` chooses where; otherwise a real GPU is taken if there is one.)

use gvpie_core::{Context, Gemm, Result};

fn main() -> Result<()> {
    let ctx = Context::new()?;
    println!("computing on {} ({})", ctx.adapter(), ctx.backend());
    if let Some(notice) = ctx.notice() {
        println!("{notice}");
    }

    let a = ctx.upload([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    let b = ctx.upload([3, 2], &[1.0_f32, 0.0, 0.0, 1.0, 1.0, 1.0])?;

    // The easy call: the result stays on the device until it is downloaded.
    let c = ctx.gemm(&a, &b)?;
    for row in c.download()?.chunks(2) {
        println!("{row:?}");
    }

    // The exact call: a problem, its plan, a run into memory of your own. Here C <- 2·A·Aᵀ.
    let plan = Gemm::new(2, 2, 3).transpose_b().alpha(2.0).plan(&ctx)?;
    let mut squares = ctx.zeros::<f32>([2, 2])?;
    plan.run(&a, &a, &mut squares)?;
    println!("by {}: {:?}", plan.algorithm(), squares.download()?);
    assert_eq!(squares.download()?, [28.0, 64.0, 64.0, 154.0]);
    Ok(())
}
