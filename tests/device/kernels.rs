//! A user's own kernels: what they may ask for, what must be bound to them, and what they compute.

use crate::adapter::{self, gpu};
use gvpie_core::{
    Backend, Bindings, Complex, Context, ContextOptions, Element, Error, Gemm, Kernel, Pipeline,
    Result, Tensor, Turn, f16,
};

/// y = factor·x + offset over n elements.
const SCALE: &str = "
    struct Params { n: u32, factor: u32 }
    override offset: u32 = 0u;
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<u32>;
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;
    @compute @workgroup_size(64) fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.x < params.n) { y[id.x] = params.factor * x[id.x] + offset; }
    }";

fn scale(ctx: &Context) -> Pipeline {
    ctx.pipeline(&Kernel::wgsl("scale", SCALE)).unwrap()
}

/// A context on every back end that runs kernels.
fn contexts() -> Vec<Context> {
    let all = adapter::contexts(ContextOptions::from_env().unwrap());
    let runs = |ctx: &Context| ctx.backend() == Backend::Gpu || cfg!(feature = "vgpu");
    all.into_iter().filter(runs).collect()
}

/// The limit that an error names, with what was asked and allowed.
fn limit(error: Error) -> (&'static str, u64, u64) {
    assert_eq!(error.turn(), Turn::Elsewhere);
    let words = error.to_string();
    match error {
        Error::Limit { limit, asked, allowed, .. } => {
            assert!(words.contains(&format!("({} too many)", asked - allowed)), "{words}");
            (limit, asked, allowed)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn gpu_tensors_at_a_limit_and_past_it() {
    let Some(ctx) = gpu() else { return };
    let limits = ctx.device().gpu().unwrap().limits().clone();
    // What may be bound at once is tests/binding.rs's.
    let allowed = limits.max_buffer_size & !15;
    let words = usize::try_from(allowed / 4).unwrap();
    let (name, asked, stated) = limit(ctx.zeros::<u32>([words + 4]).unwrap_err());
    assert_eq!((name, asked, stated & !15), ("max_buffer_size", allowed + 16, allowed));
    assert_eq!(ctx.device().pool().usage().in_use, 0);
    let bound = limits.max_storage_buffer_binding_size.min(allowed).min(1 << 30);
    drop(ctx.zeros::<u32>([usize::try_from(bound / 4).unwrap()]).unwrap());

    let across = limits.max_texture_dimension_2d;
    let expected = ("max_texture_dimension_2d", u64::from(across) + 1, u64::from(across));
    assert_eq!(limit(ctx.texture(across + 1, 1).unwrap_err()), expected);
    assert_eq!(limit(ctx.texture(1, across + 1).unwrap_err()), expected);
    drop(ctx.texture(across, 1).unwrap());
}

#[test]
fn gpu_kernels_at_a_limit_and_past_it() {
    let Some(ctx) = gpu() else { return };
    let limits = ctx.device().gpu().unwrap().limits().clone();
    let sized = |words: u32, [x, y]: [u32; 2]| {
        let text = "
            override words: u32;
            override width: u32;
            override height: u32;
            var<workgroup> tile: array<u32, words>;
            @group(0) @binding(0) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(width, height)
            fn main(@builtin(local_invocation_index) i: u32) {
                tile[i % words] = 5u;
                workgroupBarrier();
                if (i == 0u) { y[0] = tile[0] + 37u; }
            }";
        let kernel = Kernel::wgsl("sized", text)
            .constant("words", words.into())
            .constant("width", x.into())
            .constant("height", y.into());
        ctx.pipeline(&kernel)
    };
    let answer = |pipeline: Pipeline| {
        let mut y = ctx.zeros::<u32>([1]).unwrap();
        let mut batch = ctx.batch("at the limit");
        batch.dispatch(&pipeline, Bindings::new().write(&mut y), [1; 3]).unwrap();
        batch.submit().unwrap();
        y.download().unwrap()[0]
    };
    let storage = limits.max_compute_workgroup_storage_size;
    let threads = limits.max_compute_invocations_per_workgroup;
    let width = limits.max_compute_workgroup_size_x;
    assert_eq!(answer(sized(storage / 4, [64, 1]).unwrap()), 42);
    assert_eq!(
        limit(sized(storage / 4 + 1, [64, 1]).unwrap_err()),
        ("max_compute_workgroup_storage_size", u64::from(storage / 4 + 1) * 4, storage.into())
    );
    assert_eq!(answer(sized(4, [threads / 2, 2]).unwrap()), 42);
    assert_eq!(
        limit(sized(4, [threads / 2, 3]).unwrap_err()),
        ("max_compute_invocations_per_workgroup", u64::from(threads / 2) * 3, threads.into())
    );
    assert_eq!(
        limit(sized(4, [width + 1, 1]).unwrap_err()),
        ("max_compute_workgroup_size_x", u64::from(width) + 1, width.into())
    );
    // The same without override constants.
    let plain = "
        var<workgroup> tile: array<vec4<f32>, 100000>;
        @compute @workgroup_size(1) fn main() { tile[0] = vec4(0.0); }";
    let found = limit(ctx.pipeline(&Kernel::wgsl("plain", plain)).unwrap_err());
    assert_eq!(found, ("max_compute_workgroup_storage_size", 1_600_000, storage.into()));
}

#[test]
fn grids_at_a_limit_and_past_it() {
    for ctx in contexts() {
        let gpu = ctx.device().gpu();
        let most = gpu.map_or(65_535, |gpu| gpu.limits().max_compute_workgroups_per_dimension);
        let text = "
        @group(0) @binding(0) var<storage, read_write> count: atomic<u32>;
        @compute @workgroup_size(1) fn count_groups() { atomicAdd(&count, 1u); }";
        let pipeline = ctx.pipeline(&Kernel::wgsl("count groups", text)).unwrap();
        let mut count = ctx.zeros::<u32>([1]).unwrap();
        for axis in 0..3 {
            let mut grid = [1; 3];
            grid[axis] = most + 1;
            let mut batch = ctx.batch("too many");
            let error =
                batch.dispatch(&pipeline, Bindings::new().write(&mut count), grid).unwrap_err();
            let expected =
                ("max_compute_workgroups_per_dimension", u64::from(most) + 1, most.into());
            assert_eq!(limit(error), expected);
            assert!(batch.is_empty());
            grid[axis] = most;
            batch.dispatch(&pipeline, Bindings::new().write(&mut count), grid).unwrap();
            grid[axis] = 0;
            batch.dispatch(&pipeline, Bindings::new().write(&mut count), grid).unwrap();
            assert_eq!(batch.len(), 1, "an empty grid is no work");
            batch.submit().unwrap();
        }
        assert_eq!(count.download().unwrap(), [3 * most]);
    }
}

#[test]
fn gpu_operands_of_another_context_are_named() {
    let (Some(ctx), Some(other)) = (gpu(), gpu()) else { return };
    let host = Context::on(Backend::Cpu).unwrap();
    let params = [4_u32, 2];
    let x = ctx.upload([4], &[1_u32, 2, 3, 4]).unwrap();
    let pipeline = scale(&ctx);
    let foreign = |error: Error, named: &str| match &error {
        Error::Foreign { operand } => assert!(operand.contains(named), "{error}"),
        other => panic!("{other:?}"),
    };
    for strange in [&other, &host] {
        let mut y = strange.zeros::<u32>([4]).unwrap();
        let mut batch = ctx.batch("mixed");
        let bindings = Bindings::new().params(&params).read(&x).write(&mut y);
        foreign(batch.dispatch(&pipeline, bindings, [1; 3]).unwrap_err(), "binding 2");
        assert!(batch.is_empty());

        let mut elsewhere = strange.batch("elsewhere");
        let mut y = ctx.zeros::<u32>([4]).unwrap();
        let bindings = Bindings::new().params(&params).read(&x).write(&mut y);
        foreign(elsewhere.dispatch(&pipeline, bindings, [1; 3]).unwrap_err(), "'scale'");

        let plan = Gemm::new(2, 2, 2).plan(&ctx).unwrap();
        let ours = ctx.zeros::<f32>([2, 2]).unwrap();
        let mut c = ctx.zeros::<f32>([2, 2]).unwrap();
        let theirs = strange.zeros::<f32>([2, 2]).unwrap();
        foreign(plan.run(&theirs, &ours, &mut c).unwrap_err(), "A");
        foreign(plan.run(&ours, &theirs, &mut c).unwrap_err(), "B");
        let mut strange_c = strange.zeros::<f32>([2, 2]).unwrap();
        foreign(plan.run(&ours, &ours, &mut strange_c).unwrap_err(), "C");
        foreign(plan.record(&mut elsewhere, &ours, &ours, &mut c).unwrap_err(), "the batch");
        foreign(strange.gemm(&ours, &ours).unwrap_err(), "A");
    }
}

#[test]
fn shaders_that_do_not_compile_are_quoted() {
    for ctx in contexts() {
        for (text, quoted, said) in [
            (
                "@compute @workgroup_size(1) fn main() { let x: u32 = 1.5; }",
                "let x: u32 = 1.5",
                "u32",
            ),
            ("@compute @workgroup_size(1) fn main() {\n  missing();\n}", "missing()", "missing"),
            ("@compute @workgroup_size(1) fn main() {\n  let a = ;\n}", "let a = ;", "expected"),
            (
                "fn f() -> f32 { return 1u; }\n@compute @workgroup_size(1) fn main() { _ = f(); }",
                "return 1u",
                "return",
            ),
        ] {
            let kernel = Kernel::wgsl("broken", text);
            let error = ctx.pipeline(&kernel).unwrap_err();
            assert_eq!(error.turn(), Turn::Caller);
            assert_eq!(kernel.reflect().unwrap_err(), error, "no device is needed to say so");
            let Error::Shader { label, message } = &error else { panic!("{error:?}") };
            assert_eq!(label, "broken");
            assert!(message.contains(quoted) && message.contains(said), "{message}");
            assert!(message.contains("broken:"), "with its place: {message}");
        }
        // What a compiler could die of is refused or compiled; the context lives.
        let deep = format!(
            "@compute @workgroup_size(1) fn main() {{ var x = 1{}; }}",
            " + 1".repeat(12_000)
        );
        let _ = ctx.pipeline(&Kernel::wgsl("deep", deep));
        let long = Kernel::wgsl("long", format!("// {}\n{SCALE}", "x".repeat(64 << 10)));
        assert_eq!(limit(ctx.pipeline(&long).unwrap_err()).0, "bytes of WGSL");
        scale(&ctx);
    }
}

#[test]
fn kernels_refuse_what_does_not_fit_their_bindings() {
    for ctx in contexts() {
        let pipeline = scale(&ctx);
        let params = [4_u32, 2];
        let x = ctx.zeros::<u32>([4]).unwrap();
        let mut y = ctx.zeros::<u32>([4]).unwrap();
        let mut z = ctx.zeros::<u32>([4]).unwrap();
        let mut batch = ctx.batch("mistaken");
        let mut refused = |bindings: Bindings, place: &str, expected: &str, found: &str| {
            let error = batch.dispatch(&pipeline, bindings, [1; 3]).unwrap_err();
            assert_eq!(error.turn(), Turn::Caller);
            let (p, e, f) = (place.into(), expected.into(), found.into());
            let kernel = "scale".into();
            assert_eq!(error, Error::Binding { kernel, place: p, expected: e, found: f });
        };
        let (read, write) = ("a storage buffer to read", "a storage buffer to write");
        let bound = || Bindings::new().params(&params);
        refused(Bindings::new().read(&x).write(&mut y), "parameters", "8 bytes", "none");
        refused(
            Bindings::new().params(&4_u32).read(&x).write(&mut y),
            "parameters",
            "8 bytes",
            "4 bytes",
        );
        refused(bound().read(&x), "storage buffers", "2", "1");
        refused(bound().read(&x).write(&mut y).write(&mut z), "storage buffers", "2", "3");
        refused(bound().write(&mut y).write(&mut z), "binding 1", read, write);
        refused(bound().read(&x).read(&x), "binding 2", write, read);
        // Rust's borrows forbid this with one tensor at a time, not bindings kept from before.
        let kept = bound().read(&y);
        refused(
            kept.write(&mut y),
            "binding 2",
            "an output that is bound once",
            "the same buffer bound again",
        );
        assert!(batch.is_empty());

        let table = "
        struct Table { rows: array<vec4<u32>, 8>, count: u32 }
        @group(0) @binding(0) var<storage, read> table: Table;
        @group(0) @binding(1) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn look() { y[0] = table.rows[7].w + table.count; }";
        let look = ctx.pipeline(&Kernel::wgsl("look", table)).unwrap();
        let mut batch = ctx.batch("too small");
        let error =
            batch.dispatch(&look, Bindings::new().read(&x).write(&mut y), [1; 3]).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("binding 0") && words.contains("144 bytes"), "{words}");
        let whole = ctx.upload([36], &[3_u32; 36]).unwrap();
        batch.dispatch(&look, Bindings::new().read(&whole).write(&mut y), [1; 3]).unwrap();
        batch.submit().unwrap();
        assert_eq!(y.download().unwrap(), [6, 0, 0, 0]);
    }
}

#[test]
fn kernels_of_a_kind_that_cannot_run_are_refused() {
    for ctx in contexts() {
        for (text, words) in [
            ("fn f() {}", "none"),
            (
                "@compute @workgroup_size(1) fn a() {} @compute @workgroup_size(1) fn b() {}",
                "'a' 'b'",
            ),
            (
                "@group(1) @binding(0) var<storage, read_write> y: array<u32>;
             @compute @workgroup_size(1) fn main() { y[0] = 1u; }",
                "group 1",
            ),
            (
                "@group(0) @binding(0) var picture: texture_2d<f32>;
             @compute @workgroup_size(1) fn main() { _ = textureLoad(picture, vec2(0), 0); }",
                "'picture'",
            ),
        ] {
            let error = ctx.pipeline(&Kernel::wgsl("odd", text)).unwrap_err();
            assert!(matches!(error, Error::Binding { .. }), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let two = "
        @group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn one() { y[0] = 1u; }
        @compute @workgroup_size(1) fn two() { y[0] = 2u; }";
        for (entry, value) in [("one", 1), ("two", 2)] {
            let pipeline = ctx.pipeline(&Kernel::wgsl("either", two).entry(entry)).unwrap();
            let mut y = ctx.zeros::<u32>([1]).unwrap();
            let mut batch = ctx.batch(entry);
            batch.dispatch(&pipeline, Bindings::new().write(&mut y), [1; 3]).unwrap();
            batch.submit().unwrap();
            assert_eq!(y.download().unwrap(), [value]);
        }
    }
}

#[test]
fn override_constants_are_part_of_the_kernel() {
    for ctx in contexts() {
        let x = ctx.upload([4], &[1_u32, 2, 3, 4]).unwrap();
        let run = |kernel: Kernel| -> Result<Vec<u32>> {
            let mut y = ctx.zeros::<u32>([4])?;
            let mut batch = ctx.batch("scale");
            let bindings = Bindings::new().params(&[4_u32, 10]).read(&x).write(&mut y);
            batch.dispatch(&ctx.pipeline(&kernel)?, bindings, [1; 3])?;
            batch.submit()?;
            y.download()
        };
        let kernel = || Kernel::wgsl("scale", SCALE);
        assert_eq!(run(kernel()).unwrap(), [10, 20, 30, 40]);
        assert_eq!(run(kernel().constant("offset", 7.0)).unwrap(), [17, 27, 37, 47]);
        assert_eq!(run(kernel().constant("offset", 9.0)).unwrap(), [19, 29, 39, 49]);
        for (kernel, words) in [
            (kernel().constant("ofset", 7.0), "ofset"),
            (kernel().constant("offset", -1.0), "override constants"),
            (Kernel::wgsl("scale", SCALE.replace("offset: u32 = 0u", "offset: u32")), "offset"),
        ] {
            let error = run(kernel).unwrap_err();
            assert!(matches!(error, Error::Binding { .. }), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

#[test]
fn kernels_take_tensors_of_every_element_type() {
    fn doubled<T: Element>(ctx: &Context, wgsl: &str, x: &[T], expected: &[T]) {
        let text = format!(
            "{}
            @group(0) @binding(0) var<storage, read> x: array<{wgsl}>;
            @group(0) @binding(1) var<storage, read_write> y: array<{wgsl}>;
            @compute @workgroup_size(32) fn double(@builtin(global_invocation_id) id: vec3<u32>) {{
                if (id.x < arrayLength(&y)) {{ y[id.x] = x[id.x] + x[id.x]; }}
            }}",
            if wgsl == "f16" { "enable f16;" } else { "" }
        );
        let pipeline = ctx.pipeline(&Kernel::wgsl("double", text)).unwrap();
        let x = ctx.upload([x.len()], x).unwrap();
        let mut y = ctx.zeros::<T>([expected.len()]).unwrap();
        let mut batch = ctx.batch("double");
        batch.dispatch(&pipeline, Bindings::new().read(&x).write(&mut y), [1; 3]).unwrap();
        batch.submit().unwrap();
        assert_eq!(y.download().unwrap(), expected, "{wgsl} on {}", ctx.adapter());
    }
    for ctx in contexts() {
        let gpu = ctx.device().gpu();
        doubled(&ctx, "u32", &[1_u32, 1 << 31, 7], &[2, 0, 14]);
        doubled(&ctx, "i32", &[-1_i32, i32::MIN, 7], &[-2, 0, 14]);
        doubled(&ctx, "f32", &[0.1_f32, -3e38, 7.0], &[0.2, f32::NEG_INFINITY, 14.0]);
        let z = |re, im| Complex::new(re, im);
        doubled(&ctx, "vec2<f32>", &[z(0.1_f32, -2.0)], &[z(0.2, -4.0)]);
        if gpu.is_none_or(|gpu| gpu.has_f16()) {
            let halves = [0.1, 2.0, -3.0].map(f16::from_f32);
            doubled(&ctx, "f16", &halves, &halves.map(|half| half + half));
        }
        if gpu.is_none_or(|gpu| gpu.has_f64()) {
            let z = |re, im| Complex::new(re, im);
            doubled(&ctx, "f64", &[0.1_f64, -3e300], &[0.2, -6e300]);
            doubled(&ctx, "vec2<f64>", &[z(0.1_f64, -2.0)], &[z(0.2, -4.0)]);
        }
    }
}

#[test]
fn arrays_are_as_long_as_their_tensors() {
    for ctx in contexts() {
        let text = "
        @group(0) @binding(0) var<storage, read> x: array<u32>;
        @group(0) @binding(1) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn lengths() { y[0] = arrayLength(&x); y[1] = arrayLength(&y); }";
        let pipeline = ctx.pipeline(&Kernel::wgsl("lengths", text)).unwrap();
        // An empty array cannot be bound: it shows one element, which is zero.
        for (held, seen) in [(0, 1), (1, 1), (2, 2), (3, 3), (5, 5), (64, 64), (1001, 1001)] {
            let x = ctx.zeros::<u32>([held]).unwrap();
            let mut y = ctx.zeros::<u32>([3]).unwrap();
            let mut batch = ctx.batch("lengths");
            batch.dispatch(&pipeline, Bindings::new().read(&x).write(&mut y), [1; 3]).unwrap();
            batch.submit().unwrap();
            assert_eq!(y.download().unwrap(), [seen, 3, 0], "{held} elements");
        }
    }
}

#[test]
fn batches_run_in_the_order_they_were_recorded() {
    for ctx in contexts() {
        let pipeline = scale(&ctx);
        let start: Vec<u32> = (0..1000).collect();
        let mut even = ctx.upload([1000], &start).unwrap();
        let mut odd = ctx.zeros::<u32>([1000]).unwrap();
        let steps = 600_u32;
        let mut batch = ctx.batch("a long chain");
        let pass =
            |batch: &mut gvpie_core::Batch, from: &Tensor<u32>, to: &mut Tensor<u32>, step| {
                // Another factor each time, so that no two steps can be exchanged for one another.
                let bindings =
                    Bindings::new().params(&[1000_u32, 2 * step + 3]).read(from).write(to);
                batch.dispatch(&pipeline, bindings, [1000_u32.div_ceil(64), 1, 1]).unwrap();
            };
        for step in 0..steps {
            if step % 2 == 0 {
                pass(&mut batch, &even, &mut odd, step);
            } else {
                pass(&mut batch, &odd, &mut even, step);
            }
        }
        assert_eq!(batch.len(), steps as usize);
        batch.submit().unwrap();
        let factor = (0..steps).fold(1_u32, |f, step| f.wrapping_mul(2 * step + 3));
        let expected: Vec<u32> = start.iter().map(|x| x.wrapping_mul(factor)).collect();
        assert_eq!(even.download().unwrap(), expected);
    }
}
