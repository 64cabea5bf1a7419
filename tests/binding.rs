//! Buffers that hold more than a device binds at once, in a context that is told to bind little, and
//! what plans of one context share.

use crate::adapter::{gpu, gpu_with};
use gvpie_core::fft::Fft;
use gvpie_core::fft::proof::{Case, Storage};
use gvpie_core::{
    Bindings, Complex, Context, ContextOptions, Element, Error, Gemm, Kernel, Result, Usage,
};
use std::time::Duration;

/// A context on the GPU that binds so many bytes at once, or as many as it can.
fn binding(most: Option<u64>) -> Option<Context> {
    // Software drivers take long to compile where others keep the processor busy.
    let timeout = Duration::from_secs(600);
    gpu_with(ContextOptions { binding_limit: most, timeout, ..Default::default() })
}

fn numbers(count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(count as u64);
    (0..count).map(|_| random.f32() - 0.5).collect()
}

/// The output in bits, out of place and, where that can be, in place.
fn transform<X: Element, Y: Element>(ctx: &Context, problem: &Fft) -> Result<[Vec<u8>; 2]> {
    let (shape, dtype) = problem.input();
    let parts = numbers(shape.len().unwrap() * dtype.size() / 4);
    let mut x = ctx.upload(shape, bytemuck::cast_slice::<f32, X>(&parts))?;
    let mut y = ctx.zeros::<Y>(problem.output().0)?;
    let plan = problem.plan(ctx)?;
    plan.run(&x, &mut y)?;
    if problem.input() == problem.output() {
        plan.run_in_place(&mut x)?;
    }
    let bits = |bytes: &[u8]| bytes.to_vec();
    Ok([bits(bytemuck::cast_slice(&y.download()?)), bits(bytemuck::cast_slice(&x.download()?))])
}

#[test]
fn gpu_fft_of_buffers_past_the_binding_limit_is_the_same_to_the_bit() {
    type Wave = Complex<f32>;
    let most = 256 << 10;
    let (Some(all), Some(little)) = (binding(None), binding(Some(most))) else { return };
    assert_eq!(little.device().gpu().unwrap().limits().max_storage_buffer_binding_size, most);
    let problems = [
        Fft::new([4000, 17]),
        Fft::new([3, 32_768]).inverse(), // two passes, lines of the very limit
        Fft::new([200, 17, 31]).axes([1]),
        Fft::new([60, 32, 32]).axes([1, 2]),
    ];
    for problem in problems {
        let [expected, found] = [&all, &little].map(|ctx| transform::<Wave, Wave>(ctx, &problem));
        let (expected, found) = (expected.unwrap(), found.unwrap());
        assert!(found == expected, "{problem:?}");
    }
    for problem in [Fft::real([3000, 32]), Fft::real([4001, 17])] {
        let [expected, found] = [&all, &little].map(|ctx| transform::<f32, Wave>(ctx, &problem));
        assert!(found.unwrap() == expected.unwrap(), "{problem:?}");
        let back = problem.inverse();
        let [expected, found] = [&all, &little].map(|ctx| transform::<Wave, f32>(ctx, &back));
        assert!(found.unwrap() == expected.unwrap(), "{back:?}");
    }
}

#[test]
fn gpu_fft_past_the_binding_limit_matches() {
    let Some(ctx) = binding(Some(64 << 10)) else { return };
    let spread = Storage { pad: 5, spread: 1, offset: 7, ..Storage::default() };
    let hooked = |problem: Fft| problem.window().pad(14).spectrum().scale(0.3);
    let problems = [
        Fft::new([1000, 17]),
        Fft::new([40, 40, 16]).axes([2]),
        Fft::new([40, 40, 16]).axes([1]).inverse(),
        hooked(Fft::new([1000, 16])),
        hooked(Fft::new([1000, 17])).inverse(),
        hooked(Fft::real([1000, 19])),
    ];
    for problem in problems {
        for layout in [Storage::default(), spread, Storage { offset: 3, ..Storage::default() }] {
            let case = Case::dense("past the binding limit", problem.clone());
            Case { input: layout, output: layout, ..case }.check(&ctx, 5).unwrap();
        }
    }
}

/// What cannot be divided names what was asked and what is allowed.
#[test]
fn gpu_what_cannot_be_bound_is_a_limit() {
    let most = 64 << 10;
    let Some(ctx) = binding(Some(most)) else { return };
    let name = "max_storage_buffer_binding_size";
    let refused = |error: Error, named: &str, least: u64| match error {
        Error::Limit { what, limit, asked, allowed } => {
            assert_eq!((limit, allowed), (name, most));
            assert!(what.contains(named) && asked >= least, "{what} {asked}");
        }
        other => panic!("{other:?}"),
    };
    // A line, a column, and a line in two passes.
    refused(Fft::new([8193]).plan(&ctx).unwrap_err(), "the FFT's input", most + 16);
    let across = Fft::new([1024, 300]).axes([0]).plan(&ctx).unwrap_err();
    refused(across, "the FFT's input", 1023 * 300 * 8);
    refused(Fft::new([4, 1 << 17]).plan(&ctx).unwrap_err(), "the FFT's input", 8 << 17);
    // Other operations take operands whole.
    let held = (most / 4) as usize;
    let text = "
        @group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn mark() { y[arrayLength(&y) - 1u] = 7u; }";
    let pipeline = ctx.pipeline(&Kernel::wgsl("mark", text)).unwrap();
    let mark = |words: usize| {
        let mut y = ctx.zeros::<u32>([words])?;
        let mut batch = ctx.batch("mark");
        batch.dispatch(&pipeline, Bindings::new().write(&mut y), [1; 3])?;
        batch.submit()?;
        Ok::<_, Error>(y.download()?[words - 1])
    };
    assert_eq!(mark(held).unwrap(), 7);
    refused(mark(held + 4).unwrap_err(), "binding 0 of kernel 'mark'", most + 16);
    let plan = Gemm::new(256, 4, 128).plan(&ctx).unwrap();
    let [a, b] = [[256, 128], [128, 4]].map(|shape| ctx.zeros::<f32>(shape).unwrap());
    let mut c = ctx.zeros::<f32>([256, 4]).unwrap();
    refused(plan.run(&a, &b, &mut c).unwrap_err(), "binding", 4 * 256 * 128);
}

#[test]
fn gpu_plans_of_one_length_share_their_tables() {
    let Some(ctx) = gpu() else { return };
    let usage = || ctx.device().pool().usage();
    let before = usage();
    // A product of stages, Bluestein's and Rader's convolution.
    for n in [4096, 1013, 257] {
        let empty = usage();
        let first = Fft::new([8, n]).plan(&ctx).unwrap();
        let made = usage();
        assert!(made.allocations > empty.allocations && made.in_use > empty.in_use, "{n}");
        let second = Fft::new([3, n]).plan(&ctx).unwrap();
        let held = |usage: Usage| (usage.in_use, usage.allocations);
        assert_eq!(held(usage()), held(made), "{n}: the second plan has tables of its own");
        drop(first);
        assert_eq!(usage().in_use, made.in_use, "{n}: the second plan lost its tables");
        Case::dense("shared tables", Fft::new([3, n])).check(&ctx, 1).unwrap();
        let other = Fft::new([3, 2 * n]).plan(&ctx).unwrap();
        assert!(usage().in_use > made.in_use, "{n}: another length has the same tables");
        drop((second, other));
    }
    assert_eq!(usage().in_use, before.in_use, "tables outlive their plans");
}
