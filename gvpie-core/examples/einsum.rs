//! Sums of products over named indices: what an attention layer multiplies, and the order in which a
//! chain of tensors is contracted.
//!
//! `cargo run --release -p gvpie-core --example einsum`
//! (`GVPIE_BACKEND=cpu` or `gpu` chooses where; otherwise a real GPU is taken if there is one.)

use gvpie_core::{Context, Einsum, Result};

fn main() -> Result<()> {
    let ctx = Context::new()?;
    println!("computing on {} ({})", ctx.adapter(), ctx.backend());

    // Scores of 6 queries against 5 keys of 8 numbers each, for 2 sequences and 3 heads.
    let numbers = |count: usize| (0..count).map(|i| (i % 7) as f32 - 3.0).collect::<Vec<_>>();
    let queries = ctx.upload([2, 3, 6, 8], &numbers(2 * 3 * 6 * 8))?;
    let keys = ctx.upload([2, 3, 5, 8], &numbers(2 * 3 * 5 * 8))?;
    let scores = ctx.einsum("bhid,bhjd->bhij", &[&queries, &keys])?;
    println!("scores: {}", scores.shape());
    let first: f32 = (0..8).map(|d| numbers(8)[d] * numbers(8)[d]).sum();
    assert_eq!(scores.download()?[0], first);

    // A view needs no copy: the diagonal of every block, summed.
    let blocks = scores.view().slice(3, 0..5)?.slice(2, 0..5)?;
    let traces = ctx.einsum("...ii", &[blocks])?;
    println!("traces: {:?}", traces.download()?);

    // The exact call: a plan, which tells what it will do before it does it.
    let chain = Einsum::new("ij,jk,kl,lm->im").memory_limit(1 << 20);
    let shapes = [[512, 16], [16, 512], [512, 16], [16, 512]];
    let plan = chain.plan(&ctx, shapes)?;
    print!("{}", plan.path());
    assert!(plan.path().operations() < 1e-3 * plan.path().naive_operations());
    let tensors =
        shapes.map(|[rows, columns]| ctx.upload([rows, columns], &vec![0.25_f32; rows * columns]));
    let [a, b, c, d] = tensors;
    let mut result = ctx.zeros::<f32>(plan.shape())?;
    plan.run(&[&a?, &b?, &c?, &d?], &mut result)?;
    assert_eq!(result.download()?[0], 16.0 * 512.0 * 16.0 / 256.0);
    Ok(())
}
