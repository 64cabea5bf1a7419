//! What programs get wrong, and what they are told: the same kind of error everywhere.

use super::{Gpu, both, here};
use ::wgpu::*;

const STORAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC);

const DOUBLE: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32, 8>;
    @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) { x[i] *= 2; }";

/// A mistake, and a part of what is said about it.
type Case = (&'static str, fn(&Gpu));

fn small(gpu: &Gpu) -> Buffer {
    gpu.zeroed(STORAGE, 32)
}

#[rustfmt::skip] // a table
const CASES: &[Case] = &[
    ("no definition in scope for identifier: `y`", |gpu| {
        gpu.module("fn f() -> u32 { return y; }");
    }),
    ("Workgroup size [2000, 1, 1]", |gpu| {
        let wgsl = "@compute @workgroup_size(2000) fn main() {}";
        gpu.pipeline(wgsl, None);
    }),
    ("no entry point was found", |gpu| {
        gpu.pipeline("fn f() {}", None);
    }),
    ("is not available in the pipeline layout", |gpu| {
        let (label, bind_group_layouts, immediate_size) = (None, &[][..], 0);
        let layout = PipelineLayoutDescriptor { label, bind_group_layouts, immediate_size };
        let layout = gpu.device.create_pipeline_layout(&layout);
        gpu.pipeline(DOUBLE, Some(&layout));
    }),
    ("immediate", |gpu| {
        let wgsl = "
            var<immediate> all: array<vec4<u32>, 8>;
            @group(0) @binding(0) var<storage, read_write> x: vec4<u32>;
            @compute @workgroup_size(1) fn main() { x = all[7]; }";
        gpu.pipeline(wgsl, None);
    }),
    ("Number of bindings", |gpu| {
        gpu.group(&gpu.pipeline(DOUBLE, None), &[]);
    }),
    ("is less than minimum 32", |gpu| {
        let buffer = gpu.zeroed(STORAGE, 16);
        gpu.group(&gpu.pipeline(DOUBLE, None), &[buffer.as_entire_binding()]);
    }),
    ("Usage flags", |gpu| {
        let buffer = gpu.zeroed(BufferUsages::COPY_DST, 32);
        gpu.group(&gpu.pipeline(DOUBLE, None), &[buffer.as_entire_binding()]);
    }),
    ("respect device's requested", |gpu| {
        let buffer = gpu.zeroed(STORAGE, 512);
        let binding = BufferBinding { buffer: &buffer, offset: 4, size: BufferSize::new(32) };
        gpu.group(&gpu.pipeline(DOUBLE, None), &[BindingResource::Buffer(binding)]);
    }),
    ("expects a BindGroup to be set at index 0", |gpu| {
        let pipeline = gpu.pipeline(DOUBLE, None);
        gpu.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.dispatch_workgroups(1, 1, 1);
        });
    }),
    ("dispatch group size", |gpu| {
        let pipeline = gpu.pipeline(DOUBLE, None);
        let group = gpu.group(&pipeline, &[small(gpu).as_entire_binding()]);
        gpu.dispatch(&pipeline, &group, 70_000);
    }),
    ("COPY_BUFFER_ALIGNMENT", |gpu| {
        let to = gpu.zeroed(BufferUsages::COPY_DST, 32);
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&small(gpu), 0, &to, 2, 8));
    }),
    ("overrun", |gpu| {
        let to = gpu.zeroed(BufferUsages::COPY_DST, 32);
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&small(gpu), 0, &to, 16, 32));
    }),
    ("has been destroyed", |gpu| {
        let (from, to) = (small(gpu), gpu.zeroed(BufferUsages::COPY_DST, 32));
        from.destroy();
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&from, 0, &to, 0, 8));
    }),
    ("Buffer size", |gpu| {
        gpu.zeroed(STORAGE, 1 << 40);
    }),
    ("still mapped", |gpu| {
        let usage = BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC;
        let (label, size, mapped_at_creation) = (None, 32, true);
        let descriptor = BufferDescriptor { label, size, usage, mapped_at_creation };
        let (from, to) = (gpu.device.create_buffer(&descriptor), gpu.zeroed(BufferUsages::COPY_DST, 32));
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&from, 0, &to, 0, 8));
    }),
];

#[test]
fn mistakes_are_told_in_the_same_words_everywhere() {
    let gpus = both();
    for (expected, mistake) in CASES {
        let told = |gpu: &Gpu| gpu.error(ErrorFilter::Validation, || mistake(gpu));
        let told: Vec<Option<String>> = gpus.iter().map(told).collect();
        let first = told[0].clone().unwrap_or_default();
        assert!(first.contains(expected), "{expected}: {first}");
        assert!(told.iter().all(|other| *other == told[0]), "{told:?}");
    }
}

#[test]
fn constants_without_a_value_are_named() {
    for gpu in both() {
        let wgsl = "override n: u32; @compute @workgroup_size(n) fn main() {}";
        let told = gpu.error(ErrorFilter::Validation, || drop(gpu.pipeline(wgsl, None))).unwrap();
        assert!(told.contains("Pipeline constant error") && told.contains("'n'"), "{told}");
    }
}

#[test]
fn wgsl_that_does_not_compile_is_explained() {
    let gpu = here(Default::default());
    let mut module = None;
    let wgsl = "fn f() {}\nfn g() -> u32 { return y; }";
    let error = gpu.error(ErrorFilter::Validation, || module = Some(gpu.module(wgsl)));
    assert!(error.unwrap().contains("unknown identifier"));
    let info = pollster::block_on(module.unwrap().get_compilation_info());
    let [message] = info.messages.as_slice() else { panic!("{info:?}") };
    assert_eq!(message.message_type, CompilationMessageType::Error);
    assert_eq!(message.location.unwrap().line_number, 2);
}

#[test]
fn what_only_a_kernel_can_tell_is_an_internal_error_with_its_line() {
    let gpu = here(Default::default());
    let wgsl = "
        @group(0) @binding(0) var t: texture_2d<f32>;
        @group(0) @binding(1) var s: sampler;
        @group(0) @binding(2) var<storage, read_write> out: vec4<f32>;
        @compute @workgroup_size(1) fn main() {
            out = textureSampleLevel(t, s, vec2(0.5), 0.0);
        }";
    let error = gpu.error(ErrorFilter::Internal, || drop(gpu.pipeline(wgsl, None))).unwrap();
    assert!(error.contains("line") && error.contains("cannot be run in software"), "{error}");
}

#[test]
fn what_is_not_compute_is_refused() {
    let gpu = here(Default::default());
    let size = Extent3d { width: 4, height: 4, depth_or_array_layers: 1 };
    let error = gpu.error(ErrorFilter::Validation, || {
        let _ = gpu.device.create_texture(&TextureDescriptor {
            label: None,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: TextureDimension::D2,
            format: TextureFormat::Rgba8Unorm,
            usage: TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
    });
    assert!(error.unwrap().contains("RENDER_ATTACHMENT"));
    let module = gpu.module(
        "@vertex fn v() -> @builtin(position) vec4<f32> { return vec4<f32>(); }
         @fragment fn f() -> @location(0) vec4<f32> { return vec4<f32>(); }",
    );
    let error = gpu.error(ErrorFilter::Validation, || {
        let _ = gpu.device.create_render_pipeline(&RenderPipelineDescriptor {
            label: None,
            layout: None,
            vertex: VertexState {
                module: &module,
                entry_point: None,
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(FragmentState {
                module: &module,
                entry_point: None,
                compilation_options: Default::default(),
                targets: &[Some(TextureFormat::Rgba8Unorm.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
    });
    assert!(error.unwrap().contains("not renderable"));
}

#[test]
fn the_adapter_says_what_it_is() {
    let instance = super::instance(Default::default()).unwrap();
    let adapters = pollster::block_on(instance.enumerate_adapters(Backends::all()));
    let [adapter] = adapters.as_slice() else { panic!("{adapters:?}") };
    let info = adapter.get_info();
    assert_eq!((info.name.as_str(), info.device_type), ("gvpie vGPU", DeviceType::Cpu));
    assert_eq!((info.subgroup_min_size, info.subgroup_max_size), (32, 32));
    let (allowed, guaranteed) = (adapter.limits(), Limits::defaults());
    assert!(guaranteed.check_limits(&allowed), "{allowed:?}");
    let device = crate::Options { subgroup: 3, ..Default::default() };
    let refused = super::instance(super::Options { device, ..Default::default() });
    assert!(matches!(refused, Err(crate::RunError::Option { .. })));
    let refused =
        super::instance(super::Options { workgroup_memory: 1 << 21, ..Default::default() });
    assert!(matches!(refused, Err(crate::RunError::Option { .. })));
}

#[test]
fn the_adapter_says_what_it_is_told_to() {
    let instance = super::instance(super::Options {
        workgroup_memory: 1 << 10,
        kind: DeviceType::DiscreteGpu,
        ..Default::default()
    });
    let adapter = pollster::block_on(instance.unwrap().request_adapter(&Default::default()));
    let adapter = adapter.unwrap();
    assert_eq!(adapter.get_info().device_type, DeviceType::DiscreteGpu);
    assert_eq!(adapter.limits().max_compute_workgroup_storage_size, 1 << 10);
    // WebGPU's 16 KiB are not to be had.
    assert!(pollster::block_on(adapter.request_device(&Default::default())).is_err());
}
