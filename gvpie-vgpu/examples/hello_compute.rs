//! y = a·x + y, and x doubled in place, as any wgpu program does it: only the line that makes the instance
//! is not wgpu's own.
//!
//! `cargo run -p gvpie-vgpu --features wgpu --example hello_compute`

use std::error::Error;
use wgpu::util::DeviceExt;

const SHADER: &str = "
    @group(0) @binding(0) var<uniform> a: f32;
    @group(0) @binding(1) var<storage, read_write> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;

    @compute @workgroup_size(64)
    fn saxpy(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.x < arrayLength(&y)) {
            y[id.x] += a * x[id.x];
            x[id.x] *= 2.0;
        }
    }";

fn main() -> Result<(), Box<dyn Error>> {
    let instance = gvpie_vgpu::wgpu::instance(Default::default())?;
    pollster::block_on(run(&instance, 10_000))
}

pub async fn run(instance: &wgpu::Instance, count: u32) -> Result<(), Box<dyn Error>> {
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    println!("on {}", adapter.get_info().name);
    let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;

    let x: Vec<f32> = (0..count).map(|i| i as f32).collect();
    let y: Vec<f32> = (0..count).map(|i| (i % 7) as f32).collect();
    let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let init = |label, usage, contents: &[u8]| {
        let label = Some(label);
        device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage })
    };
    let a = init("a", wgpu::BufferUsages::UNIFORM, bytemuck::bytes_of(&0.5_f32));
    let xs = init("x", storage, bytemuck::cast_slice(&x));
    let ys = init("y", storage, bytemuck::cast_slice(&y));
    let bytes = xs.size();
    let download = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("download"),
        size: 2 * bytes,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });

    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("saxpy"),
        source: wgpu::ShaderSource::Wgsl(SHADER.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("saxpy"),
        layout: None,
        module: &module,
        entry_point: Some("saxpy"),
        compilation_options: Default::default(),
        cache: None,
    });
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: a.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: xs.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 2, resource: ys.as_entire_binding() },
        ],
    });

    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(count.div_ceil(64), 1, 1);
    }
    encoder.copy_buffer_to_buffer(&xs, 0, &download, 0, bytes);
    encoder.copy_buffer_to_buffer(&ys, 0, &download, bytes, bytes);
    queue.submit([encoder.finish()]);

    let (sender, receiver) = std::sync::mpsc::channel();
    download.map_async(wgpu::MapMode::Read, .., move |result| {
        // Nobody waits for it if the poll below has failed.
        let _ = sender.send(result);
    });
    device.poll(wgpu::PollType::wait_indefinitely())?;
    receiver.recv()??;
    let view = download.get_mapped_range(..)?;
    let found: &[f32] = bytemuck::cast_slice(&view);
    let (doubled, sums) = found.split_at(count as usize);
    for i in 0..count as usize {
        assert_eq!(doubled[i], 2.0 * x[i]);
        assert_eq!(sums[i], 0.5 * x[i] + y[i]);
    }
    println!("{count} sums and doubles are right");
    Ok(())
}
