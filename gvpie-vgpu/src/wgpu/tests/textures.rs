//! Textures: views, kernels and copies.

use super::{Gpu, same};
use ::wgpu::*;

const ALL: TextureUsages = TextureUsages::COPY_DST
    .union(TextureUsages::COPY_SRC)
    .union(TextureUsages::TEXTURE_BINDING)
    .union(TextureUsages::STORAGE_BINDING);

pub fn texture(gpu: &Gpu, dimension: TextureDimension, size: [u32; 3], levels: u32) -> Texture {
    gpu.device.create_texture(&TextureDescriptor {
        label: None,
        size: Extent3d { width: size[0], height: size[1], depth_or_array_layers: size[2] },
        mip_level_count: levels,
        sample_count: 1,
        dimension,
        format: TextureFormat::Rgba8Unorm,
        usage: ALL,
        view_formats: &[],
    })
}

/// Where a copy begins.
pub fn at(texture: &Texture, mip_level: u32, [x, y, z]: [u32; 3]) -> TexelCopyTextureInfo<'_> {
    let (origin, aspect) = (Origin3d { x, y, z }, TextureAspect::All);
    TexelCopyTextureInfo { texture, mip_level, origin, aspect }
}

pub fn extent([width, height, depth_or_array_layers]: [u32; 3]) -> Extent3d {
    Extent3d { width, height, depth_or_array_layers }
}

/// All layers of a level, in rows of 256 bytes.
pub fn read(gpu: &Gpu, texture: &Texture, level: u32, size: [u32; 3]) -> Vec<u8> {
    let usage = BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    let buffer = gpu.zeroed(usage, 256 * u64::from(size[1] * size[2]));
    gpu.submit(|encoder| {
        let (bytes_per_row, rows_per_image) = (Some(256), Some(size[1]));
        let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image };
        let to = TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(at(texture, level, [0; 3]), to, extent(size));
    });
    gpu.read(&buffer)
}

fn upload(gpu: &Gpu, texture: &Texture, level: u32, origin: [u32; 3], size: [u32; 3], seed: u32) {
    let count = 4 * size[0] * size[1] * size[2];
    let data: Vec<u8> = (0..count).map(|i| (i * 37 + seed) as u8).collect();
    let (bytes_per_row, rows_per_image) = (Some(4 * size[0]), Some(size[1]));
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image };
    gpu.queue.write_texture(at(texture, level, origin), &data, layout, extent(size));
}

#[test]
fn kernels_read_one_texture_and_write_another() {
    let wgsl = "
        @group(0) @binding(0) var from_: texture_2d_array<f32>;
        @group(0) @binding(1) var to: texture_storage_2d<rgba8unorm, write>;
        @compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if (all(id.xy < textureDimensions(to))) {
                let a = textureLoad(from_, id.xy, 0, 0);
                let b = textureLoad(from_, id.xy, 1, 1);
                textureStore(to, id.xy, vec4(a.x, b.y, a.w, f32(textureNumLayers(from_)) / 255));
            }
        }";
    let found = same(|gpu| {
        let source = texture(gpu, TextureDimension::D2, [20, 18, 3], 3);
        let target = texture(gpu, TextureDimension::D2, [9, 8, 4], 1);
        upload(gpu, &source, 1, [0, 0, 1], [10, 9, 2], 5);
        upload(gpu, &source, 2, [0, 0, 0], [5, 4, 3], 77);
        let pipeline = gpu.pipeline(wgsl, None);
        let from = source.create_view(&TextureViewDescriptor {
            base_mip_level: 1,
            base_array_layer: 1,
            ..Default::default()
        });
        let to = target.create_view(&TextureViewDescriptor {
            dimension: Some(TextureViewDimension::D2),
            base_array_layer: 2,
            array_layer_count: Some(1),
            ..Default::default()
        });
        let resource = BindingResource::TextureView;
        let group = gpu.group(&pipeline, &[resource(&from), resource(&to)]);
        gpu.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(2, 1, 1);
        });
        read(gpu, &target, 0, [9, 8, 4])
    });
    let texel = |x: usize, y: usize, layer: usize| &found[256 * (8 * layer + y) + 4 * x..][..4];
    assert_eq!(texel(3, 2, 1), [0; 4]);
    // Level 1, layer 1 of the source, and level 2, layer 2.
    let (a, b) = (4 * (10 * 2 + 3), 4 * (5 * (4 * 2 + 2) + 3));
    let first = |k: usize| (37 * (a + k) + 5) as u8;
    let second = |k: usize| (37 * (b + k) + 77) as u8;
    assert_eq!(texel(3, 2, 2), [first(0), second(1), first(3), 2]);
}

#[test]
fn lines_and_solids_are_bound_too() {
    let wgsl = "
        @group(0) @binding(0) var line: texture_1d<f32>;
        @group(0) @binding(1) var solid: texture_3d<f32>;
        @group(0) @binding(2) var to: texture_storage_3d<rgba8unorm, write>;
        @compute @workgroup_size(4, 4, 4) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if (all(id < textureDimensions(to))) {
                let a = textureLoad(line, id.x + id.z, 0);
                // Outside of it nothing is read but what is inside, or zero.
                let b = textureLoad(solid, min(id + 1, textureDimensions(solid) - 1), 0);
                textureStore(to, id, vec4(a.xy, b.zw));
            }
        }";
    let found = same(|gpu| {
        let line = texture(gpu, TextureDimension::D1, [9, 1, 1], 1);
        let solid = texture(gpu, TextureDimension::D3, [5, 4, 6], 1);
        let target = texture(gpu, TextureDimension::D3, [4, 5, 3], 1);
        upload(gpu, &line, 0, [0; 3], [9, 1, 1], 1);
        upload(gpu, &solid, 0, [0; 3], [5, 4, 6], 2);
        let pipeline = gpu.pipeline(wgsl, None);
        let views =
            [&line, &solid, &target].map(|texture| texture.create_view(&Default::default()));
        let resources = views.each_ref().map(BindingResource::TextureView);
        let group = gpu.group(&pipeline, &resources);
        gpu.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(1, 2, 1);
        });
        read(gpu, &target, 0, [4, 5, 3])
    });
    let line = |x: usize, k: usize| (37 * (4 * x + k) + 1) as u8;
    let solid = |[x, y, z]: [usize; 3], k| (37 * (4 * (5 * (4 * z + y) + x) + k) + 2) as u8;
    let texel = &found[256 * (5 * 2 + 4) + 4 * 3..][..4];
    assert_eq!(texel, [line(5, 0), line(5, 1), solid([4, 3, 3], 2), solid([4, 3, 3], 3)]);
}

#[test]
fn copies_between_textures_and_buffers_move_boxes() {
    let found = same(|gpu| {
        let solid = texture(gpu, TextureDimension::D3, [7, 6, 5], 1);
        upload(gpu, &solid, 0, [1, 2, 1], [5, 3, 4], 9);
        let layers = texture(gpu, TextureDimension::D2, [8, 8, 6], 2);
        upload(gpu, &layers, 0, [0; 3], [8, 8, 6], 3);
        let usage = BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let buffer = gpu.zeroed(usage, 8192);
        let at_buffer = |offset, rows| {
            let (bytes_per_row, rows_per_image) = (Some(256), Some(rows));
            let layout = TexelCopyBufferLayout { offset, bytes_per_row, rows_per_image };
            TexelCopyBufferInfo { buffer: &buffer, layout }
        };
        gpu.submit(|encoder| {
            let size = extent([4, 3, 3]);
            encoder.copy_texture_to_buffer(at(&solid, 0, [2, 1, 2]), at_buffer(16, 4), size);
            encoder.copy_buffer_to_texture(at_buffer(16, 4), at(&layers, 0, [3, 4, 1]), size);
            let (from, to) = (at(&layers, 0, [2, 3, 2]), at(&layers, 1, [1, 0, 4]));
            encoder.copy_texture_to_texture(from, to, extent([3, 4, 1]));
            encoder.clear_texture(&solid, &ImageSubresourceRange::default());
        });
        let mut found = read(gpu, &layers, 0, [8, 8, 6]);
        found.extend(read(gpu, &layers, 1, [4, 4, 6]));
        let cleared = read(gpu, &solid, 0, [7, 6, 5]);
        assert!(cleared.iter().all(|byte| *byte == 0));
        found
    });
    // From the uploaded box at (1, 2, 1) of 5 x 3: (3, 3, 3) of the solid is (2, 1, 2) of it.
    let uploaded = |x: usize, y: usize, z: usize| (37 * 4 * (5 * (3 * z + y) + x) + 9) as u8;
    let layers = |x: usize, y: usize, z: usize| found[256 * (8 * z + y) + 4 * x];
    assert_eq!(layers(4, 6, 2), uploaded(2, 1, 2));
    let level = &found[256 * 48..];
    assert_eq!(level[256 * (4 * 4 + 3) + 4 * 3], uploaded(2, 1, 2));
}
