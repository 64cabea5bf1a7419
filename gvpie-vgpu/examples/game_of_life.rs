//! Conway's game of life on storage textures, as any wgpu program does it: only the line that makes the
//! instance is not wgpu's own.
//!
//! Each workgroup loads its tile and the ring around it to workgroup memory, waits, and counts neighbours
//! there. The world is a torus. A hundred generations are held against a plain loop.
//!
//! `cargo run -p gvpie-vgpu --features wgpu --example game_of_life`

use std::error::Error;

const SHADER: &str = "
    override side: u32 = 8;

    @group(0) @binding(0) var before: texture_2d<u32>;
    @group(0) @binding(1) var after: texture_storage_2d<r32uint, write>;

    // As large as the largest tile of 16 x 16 with its ring.
    var<workgroup> tile: array<array<u32, 18>, 18>;

    @compute @workgroup_size(side, side)
    fn generation(
        @builtin(local_invocation_id) local: vec3<u32>,
        @builtin(local_invocation_index) index: u32,
        @builtin(workgroup_id) group: vec3<u32>,
    ) {
        let size = textureDimensions(before);
        let ring = side + 2;
        let corner = group.xy * side + size - 1;
        for (var i = index; i < ring * ring; i += side * side) {
            let at = vec2(i % ring, i / ring);
            tile[at.y][at.x] = textureLoad(before, (corner + at) % size, 0).x;
        }
        workgroupBarrier();

        var alive = 0u;
        for (var y = 0u; y < 3; y++) {
            for (var x = 0u; x < 3; x++) {
                alive += tile[local.y + y][local.x + x];
            }
        }
        let lived = tile[local.y + 1][local.x + 1];
        let lives = alive == 3 || (alive == 4 && lived == 1);
        let at = group.xy * side + local.xy;
        if (all(at < size)) {
            textureStore(after, at, vec4(u32(lives), 0, 0, 0));
        }
    }";

const SIZE: [u32; 2] = [100, 52];
const GENERATIONS: usize = 100;
const SIDE: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let instance = gvpie_vgpu::wgpu::instance(Default::default())?;
    pollster::block_on(run(&instance))
}

pub async fn run(instance: &wgpu::Instance) -> Result<(), Box<dyn Error>> {
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    println!("on {}", adapter.get_info().name);
    let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;

    let [width, height] = SIZE;
    let extent = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    let worlds = ["even", "odd"].map(|label| {
        device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: extent,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::R32Uint,
            usage: wgpu::TextureUsages::TEXTURE_BINDING
                | wgpu::TextureUsages::STORAGE_BINDING
                | wgpu::TextureUsages::COPY_DST
                | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        })
    });
    let begin = first_generation();
    queue.write_texture(
        worlds[0].as_image_copy(),
        bytemuck::cast_slice(&begin),
        wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(4 * width),
            rows_per_image: None,
        },
        extent,
    );

    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("worlds"),
        entries: &[
            wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Uint,
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
                count: None,
            },
            wgpu::BindGroupLayoutEntry {
                binding: 1,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::StorageTexture {
                    access: wgpu::StorageTextureAccess::WriteOnly,
                    format: wgpu::TextureFormat::R32Uint,
                    view_dimension: wgpu::TextureViewDimension::D2,
                },
                count: None,
            },
        ],
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("life"),
        layout: Some(&pipeline_layout),
        module: &device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("life"),
            source: wgpu::ShaderSource::Wgsl(SHADER.into()),
        }),
        entry_point: Some("generation"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &[("side", SIDE.into())],
            ..Default::default()
        },
        cache: None,
    });
    let views = worlds.each_ref().map(|world| world.create_view(&Default::default()));
    let groups = [(0, 1), (1, 0)].map(|(before, after)| {
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout,
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::TextureView(&views[before]),
                },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: wgpu::BindingResource::TextureView(&views[after]),
                },
            ],
        })
    });

    let pitch = (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let download = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("download"),
        size: u64::from(pitch * height),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        for generation in 0..GENERATIONS {
            pass.set_bind_group(0, &groups[generation % 2], &[]);
            pass.dispatch_workgroups(width.div_ceil(SIDE), height.div_ceil(SIDE), 1);
        }
    }
    encoder.copy_texture_to_buffer(
        worlds[GENERATIONS % 2].as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &download,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(pitch),
                rows_per_image: None,
            },
        },
        extent,
    );
    queue.submit([encoder.finish()]);
    download.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapped"));
    device.poll(wgpu::PollType::wait_indefinitely())?;

    let view = download.get_mapped_range(..)?;
    let cells: Vec<u32> = view
        .chunks_exact(pitch as usize)
        .flat_map(|row| bytemuck::cast_slice::<u8, u32>(&row[..4 * width as usize]))
        .copied()
        .collect();
    let expected = (0..GENERATIONS).fold(begin, |world, _| next_generation(&world));
    assert!(cells == expected, "the worlds differ");
    let alive = cells.iter().sum::<u32>();
    println!("{alive} of {} cells live after {GENERATIONS} generations, as expected", cells.len());
    Ok(())
}

/// About a third of the cells, as a generator of numbers has it.
fn first_generation() -> Vec<u32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u32::from(state >> 24 < 85)
    };
    (0..SIZE[0] * SIZE[1]).map(|_| next()).collect()
}

/// The rules, cell by cell.
fn next_generation(world: &[u32]) -> Vec<u32> {
    let [width, height] = SIZE.map(|n| n as usize);
    let cell = |x: usize, y: usize| world[y % height * width + x % width];
    let lives = |x: usize, y: usize| {
        let ring = (0..9).map(|k| cell(x + width + k % 3 - 1, y + height + k / 3 - 1));
        let alive = ring.sum::<u32>();
        u32::from(alive == 3 || alive == 4 && cell(x, y) == 1)
    };
    (0..width * height).map(|i| lives(i % width, i / width)).collect()
}
