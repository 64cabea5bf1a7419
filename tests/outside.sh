#!/usr/bin/env bash
# A crate outside the workspace that uses gvpie-core as README and the crate's essay describe it:
# compiles and runs, on the back end that GVPIE_BACKEND names (cpu unless said). It depends on the
# package as it would be published, so that a file left out of that is seen. Nothing is optimised,
# for it is there to be compiled.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
crate=$(mktemp -d)
trap 'rm -rf "$crate"' EXIT
mkdir "$crate/src"
target=${CARGO_TARGET_DIR:-$root/target}
rm -f "$target"/package/gvpie-*.crate
(cd "$root" && cargo package --quiet -p gvpie-vgpu -p gvpie-core --no-verify --allow-dirty)
for package in gvpie-vgpu gvpie-core; do
  mkdir "$crate/$package"
  tar -xzf "$target/package/$package"-[0-9]*.crate -C "$crate/$package" --strip-components 1
done
cp "$root/Cargo.lock" "$crate/"

cat >"$crate/Cargo.toml" <<TOML
[package]
name = "outside"
version = "0.0.0"
edition = "2024"

[dependencies]
gvpie-core = { path = "gvpie-core" }

[patch.crates-io]
gvpie-vgpu = { path = "gvpie-vgpu" }

[workspace]

[profile.dev]
debug = false
TOML

cat >"$crate/src/main.rs" <<'RUST'
use gvpie_core::{Backend, Context, ContextOptions, Error, Gemm, Result, TensorView};
use std::future::Future;
use std::task::{Poll, Waker};

/// The smallest executor: nothing but this crate is needed to await a download.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut task = std::task::Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return output;
        }
        std::thread::yield_now();
    }
}

fn main() -> Result<()> {
    let ctx = Context::new()?;
    println!("{} ({}, {})", ctx.adapter(), ctx.backend(), ctx.driver());
    let same = Context::on(ctx.backend())?;
    assert_eq!(same.backend(), ctx.backend());
    let options = ContextOptions { backend: Some(Backend::Cpu), ..ContextOptions::from_env()? };
    assert_eq!(block_on(Context::request(options))?.backend(), Backend::Cpu);

    let (m, n, k) = (2, 2, 3);
    let a = ctx.upload([m, k], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    let b = ctx.upload([n, k], &[1.0_f32, 0.0, 1.0, 0.0, 1.0, 1.0])?;
    let mut c = ctx.zeros::<f32>([m, n])?;
    let expected = [4.0, 5.0, 10.0, 11.0];

    let plan = Gemm::new(m, n, k).transpose_b().plan(&ctx)?;
    println!("by {}", plan.algorithm());
    plan.run(&a, &b, &mut c)?;
    assert_eq!(c.download()?, expected);

    let mut d = ctx.zeros::<f32>([m, n])?;
    let mut batch = ctx.batch("twice");
    plan.record(&mut batch, &a, &b, &mut d)?;
    plan.record(&mut batch, &a, &b, &mut c)?;
    batch.submit()?;
    assert_eq!(block_on(d.download_async())?, expected);

    let turned: TensorView<'_, f32> = b.view().transpose()?;
    assert_eq!(turned.shape().dims(), [k, n]);
    assert_eq!(ctx.gemm(&a, turned)?.download()?, expected);

    match ctx.gemm(&a, &a) {
        Err(Error::Shape { operand, .. }) => assert_eq!(operand, "B"),
        other => panic!("{other:?}"),
    }
    println!("an outside crate computes {:?}", c.download()?);
    Ok(())
}
RUST

export CARGO_TARGET_DIR=$target/outside GVPIE_BACKEND=${GVPIE_BACKEND:-cpu}
cargo run --quiet --manifest-path "$crate/Cargo.toml"
