//! Devices that go away, and work that does not end.

use super::child;
use crate::adapter::{gpu, gpu_with};
use gvpie_core::{Bindings, Context, ContextOptions, Error, Kernel, Result, Turn};
use std::time::{Duration, Instant};

const ADD_ONE: &str = "
    @group(0) @binding(0) var<storage, read> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> y: array<u32>;
    @compute @workgroup_size(64) fn add_one(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.x < arrayLength(&x)) { y[id.x] = x[id.x] + 1u; }
    }";

/// Destroys the device at the step it was told.
struct Saboteur<'a> {
    ctx: &'a Context,
    at: usize,
    step: usize,
}

impl Saboteur<'_> {
    fn pass(&mut self) {
        if self.step == self.at {
            self.ctx.device().gpu().unwrap().wgpu().destroy();
        }
        self.step += 1;
    }
}

/// A round through the public calls; the saboteur stands between each and the next.
fn round(ctx: &Context, at: usize) -> Result<Vec<u32>> {
    let mut between = Saboteur { ctx, at, step: 0 };
    between.pass();
    let x = ctx.upload([100], &[41_u32; 100])?;
    between.pass();
    let mut y = ctx.zeros::<u32>([100])?;
    between.pass();
    let pipeline = ctx.pipeline(&Kernel::wgsl("add one", ADD_ONE))?;
    between.pass();
    let mut batch = ctx.batch("round");
    batch.dispatch(&pipeline, Bindings::new().read(&x).write(&mut y), [2, 1, 1])?;
    between.pass();
    batch.submit()?;
    between.pass();
    let mut timed = ctx.batch("timed");
    timed.dispatch(&pipeline, Bindings::new().read(&x).write(&mut y), [2, 1, 1])?;
    timed.time()?;
    between.pass();
    let picture = ctx.texture(3, 3)?;
    between.pass();
    picture.write(&[9; 36])?;
    between.pass();
    assert_eq!(picture.download()?, [9; 36]);
    between.pass();
    let later = pollster::block_on(y.download_async())?;
    between.pass();
    assert_eq!(y.download()?, later);
    Ok(later)
}

#[test]
fn gpu_lost_between_any_two_calls_is_an_error() {
    if gpu().is_none() {
        return;
    }
    let mut losses = 0;
    for at in 0.. {
        let timeout = Duration::from_secs(20);
        // That this context works shows that a loss leaves the adapter usable.
        let ctx = gpu_with(ContextOptions { timeout, ..Default::default() }).unwrap();
        let start = Instant::now();
        let error = match round(&ctx, at) {
            Ok(result) => {
                assert_eq!(result, [42; 100]);
                break; // the saboteur had no step left
            }
            Err(error) => error,
        };
        assert!(matches!(error, Error::DeviceLost { .. }), "step {at}: {error:?}");
        assert_eq!(error.turn(), Turn::Later);
        assert!(start.elapsed() < timeout, "step {at} hung");
        for error in [
            ctx.upload([1], &[0_u32]).unwrap_err(),
            ctx.zeros::<f32>([1]).unwrap_err(),
            ctx.texture(1, 1).unwrap_err(),
            ctx.pipeline(&Kernel::wgsl("another", ADD_ONE.replace("1u", "2u"))).unwrap_err(),
            ctx.batch("nothing").submit().unwrap_err(),
        ] {
            assert!(matches!(error, Error::DeviceLost { .. }), "after step {at}: {error:?}");
        }
        assert_eq!(ctx.device().pool().usage().in_use, 0, "step {at}");
        losses += 1;
    }
    assert_eq!(losses, 11);
}

const COUNT: &str = "
    @group(0) @binding(0) var<uniform> rounds: u32;
    @group(0) @binding(1) var<storage, read_write> hash: array<u32>;
    @compute @workgroup_size(1) fn count() {
        var h = 1u;
        for (var i = 0u; i != rounds; i++) { h = (h ^ (h >> 15u)) * 2246822519u + 1u; }
        hash[0] = h;
    }";

const SOON: Duration = Duration::from_millis(300);

/// Starts `rounds` rounds of a loop that no compiler can shorten.
fn start(ctx: &Context, rounds: u32) -> gvpie_core::Tensor<u32> {
    let pipeline = ctx.pipeline(&Kernel::wgsl("count", COUNT)).unwrap();
    let mut hash = ctx.zeros::<u32>([1]).unwrap();
    let mut batch = ctx.batch("long work");
    batch.dispatch(&pipeline, Bindings::new().params(&rounds).write(&mut hash), [1; 3]).unwrap();
    batch.submit().unwrap();
    hash
}

#[test]
fn gpu_work_past_the_timeout_is_an_error_and_may_still_end() {
    let Some(ctx) = gpu_with(ContextOptions { timeout: SOON, ..Default::default() }) else {
        return;
    };
    let rounds = 600_000_000;
    let began = Instant::now();
    let hash = start(&ctx, rounds);
    let error = hash.download().unwrap_err();
    assert_eq!(error, Error::Timeout { what: "download".into(), after: SOON });
    assert_eq!(error.turn(), Turn::Later);
    assert!(error.to_string().contains("0.3 s"), "{error}");
    assert!(began.elapsed() < SOON + Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(matches!(pollster::block_on(hash.download_async()), Err(Error::Timeout { .. })));

    let found = loop {
        match hash.download() {
            Ok(found) => break found,
            Err(Error::Timeout { .. }) if began.elapsed() < Duration::from_secs(120) => {}
            Err(error) => panic!("after {:?}: {error}", began.elapsed()),
        }
    };
    let expected =
        (0..rounds).fold(1_u32, |h, _| (h ^ (h >> 15)).wrapping_mul(2_246_822_519).wrapping_add(1));
    assert_eq!(found, [expected]);
}

#[test]
#[ignore = "run by its parent, which watches it end"]
fn gpu_with_endless_work() {
    let options = ContextOptions { timeout: SOON, ..Default::default() };
    let ctx = gpu_with(options).unwrap();
    let never = "
        @group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(1) fn main() { while (x[0] != 7u) { x[1] += 1u; } }";
    let pipeline = ctx.pipeline(&Kernel::wgsl("never", never)).unwrap();
    let mut x = ctx.zeros::<u32>([2]).unwrap();
    let mut batch = ctx.batch("endless work");
    batch.dispatch(&pipeline, Bindings::new().write(&mut x), [1; 3]).unwrap();
    let error = batch.time().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    // Every way of waiting is bounded, whatever the driver does with work behind work.
    assert!(matches!(x.download(), Err(Error::Timeout { .. })));
    assert!(matches!(pollster::block_on(x.download_async()), Err(Error::Timeout { .. })));
    assert!(matches!(ctx.texture(3, 3).unwrap().download(), Err(Error::Timeout { .. })));
    drop((x, pipeline, ctx));
    println!("DROPPED");
}

#[test]
fn gpu_work_without_an_end_does_not_keep_the_process() {
    let Some(ctx) = gpu() else { return };
    if !ctx.device().gpu().unwrap().is_software() {
        eprintln!("SKIPPED: endless work would stop this GPU's other users");
        return;
    }
    let mut running = child("device::loss::gpu_with_endless_work")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = loop {
        match running.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > Duration::from_secs(60) => {
                running.kill().unwrap();
                panic!("the process did not end");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let out = std::io::read_to_string(running.stdout.take().unwrap()).unwrap();
    assert!(status.success() && out.contains("DROPPED"), "{status}: {out}");
}
