//! Random programs: uploads, copies, clears and dispatches in any order leave the same bytes here and on a
//! Vulkan driver; without one, the same bytes whether submitted one by one or together.

use super::textures::{at, extent, read, texture};
use super::{Gpu, Options, bytes, driver, here, open};
use ::wgpu::*;

/// Bytes of each buffer: four parts, as far apart as dynamic offsets must be.
const BYTES: u64 = 1024;

/// Texels of each texture along x, y and z. Not layers: wgpu 30 panics where layers that were used in
/// different ways before are copied together to another texture, on any back end.
const SIZE: [u32; 3] = [7, 6, 3];

/// Adds a moved part of one buffer to a moved part of another, by a factor.
const MIX: &str = "
    var<immediate> factor: u32;
    @group(0) @binding(0) var<storage, read> a: array<u32>;
    @group(0) @binding(1) var<storage, read_write> b: array<u32>;
    @compute @workgroup_size(16) fn mix_(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.x < arrayLength(&b)) { b[id.x] = b[id.x] * 3 + a[id.x % arrayLength(&a)] * factor; }
    }";

/// What the programs work on.
struct World<'a> {
    gpu: &'a Gpu,
    buffers: Vec<Buffer>,
    textures: Vec<Texture>,
    pipeline: ComputePipeline,
    layout: BindGroupLayout,
}

impl World<'_> {
    fn new(gpu: &Gpu) -> World<'_> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let entry = |binding, read_only| BindGroupLayoutEntry {
            binding,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty: BufferBindingType::Storage { read_only },
                has_dynamic_offset: true,
                min_binding_size: None,
            },
            count: None,
        };
        let (label, entries) = (None, &[entry(0, true), entry(1, false)][..]);
        let layout =
            gpu.device.create_bind_group_layout(&BindGroupLayoutDescriptor { label, entries });
        let pipeline_layout = gpu.device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 4,
        });
        World {
            gpu,
            buffers: (0..3).map(|_| gpu.zeroed(usage, BYTES)).collect(),
            textures: (0..2).map(|_| texture(gpu, TextureDimension::D3, SIZE, 1)).collect(),
            pipeline: gpu.pipeline(MIX, Some(&pipeline_layout)),
            layout,
        }
    }

    /// Does one thing, with an encoder or on the queue.
    fn step(&self, random: &mut fastrand::Rng, encoder: &mut CommandEncoder) {
        let buffer = random.usize(0..3);
        let other = (buffer + random.usize(1..3)) % 3;
        let (from, to) = (&self.buffers[buffer], &self.buffers[other]);
        let words = |random: &mut fastrand::Rng, of: u64| 4 * random.u64(0..=of / 4);
        match random.u8(0..6) {
            0 => {
                let size = words(random, BYTES);
                let (start, end) = (words(random, BYTES - size), words(random, BYTES - size));
                encoder.copy_buffer_to_buffer(from, start, to, end, size);
            }
            1 => {
                let start = words(random, BYTES);
                encoder.clear_buffer(to, start, Some(words(random, BYTES - start)));
            }
            2 => {
                let usage = [(buffer, 0), (other, 1)].map(|(k, binding)| BindGroupEntry {
                    binding,
                    resource: BindingResource::Buffer(BufferBinding {
                        buffer: &self.buffers[k],
                        offset: 0,
                        size: BufferSize::new(4 * (1 + random.u64(0..64))),
                    }),
                });
                let (label, layout, entries) = (None, &self.layout, &usage[..]);
                let group = self.gpu.device.create_bind_group(&BindGroupDescriptor {
                    label,
                    layout,
                    entries,
                });
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&self.pipeline);
                pass.set_immediates(0, &bytes(&[random.u32(..)]));
                for _ in 0..random.u8(1..4) {
                    let offsets = [0, 0].map(|_| 256 * random.u32(0..4));
                    pass.set_bind_group(0, &group, &offsets);
                    pass.dispatch_workgroups(random.u32(0..5), 1, 1);
                }
            }
            kind => {
                let texture = random.usize(0..2);
                let [first, second] = [texture, 1 - texture].map(|k| &self.textures[k]);
                let size = SIZE.map(|n| random.u32(1..=n));
                let mut origin = || [0, 1, 2].map(|k| random.u32(0..=SIZE[k] - size[k]));
                let (here, there) = (at(first, 0, origin()), at(second, 0, origin()));
                let rows = TexelCopyBufferLayout {
                    offset: 4 * u64::from(random.u32(0..8)),
                    bytes_per_row: Some(256),
                    rows_per_image: Some(size[1]),
                };
                let in_buffer = |buffer| TexelCopyBufferInfo { buffer, layout: rows };
                // A buffer has four rows of 256 bytes.
                let rows = [size[0], size[1].min(3), 1];
                match kind {
                    3 => encoder.copy_texture_to_texture(here, there, extent(size)),
                    4 => encoder.copy_texture_to_buffer(here, in_buffer(to), extent(rows)),
                    _ => encoder.copy_buffer_to_texture(in_buffer(from), here, extent(rows)),
                }
            }
        }
    }

    /// All bytes that there are.
    fn bytes(&self) -> Vec<u8> {
        let buffers = self.buffers.iter().map(|buffer| self.gpu.read(buffer));
        let textures = self.textures.iter().map(|texture| read(self.gpu, texture, 0, SIZE));
        buffers.chain(textures).flatten().collect()
    }
}

/// A program of `steps`, `together` in a submission at most.
fn program(gpu: &Gpu, seed: u64, steps: usize, together: usize) -> Vec<u8> {
    let world = World::new(gpu);
    let mut random = fastrand::Rng::with_seed(seed);
    for buffer in &world.buffers {
        let data: Vec<u8> = (0..BYTES).map(|_| random.u8(..)).collect();
        gpu.queue.write_buffer(buffer, 0, &data);
    }
    let mut left = steps;
    while left > 0 {
        let count = left.min(together);
        gpu.submit(|encoder| (0..count).for_each(|_| world.step(&mut random, encoder)));
        left -= count;
    }
    world.bytes()
}

#[test]
fn random_programs_leave_the_same_bytes() {
    let full = std::env::var("GVPIE_PROOF").as_deref() == Ok("full");
    let (count, steps) = if full { (400, 60) } else { (10, 30) };
    let here = here(Options::default());
    let driver = driver().map(|(_, adapter)| pollster::block_on(open(&adapter, super::WANTED)));
    for seed in 1..=count {
        let one_by_one = program(&here, seed, steps, 1);
        assert!(program(&here, seed, steps, 7) == one_by_one, "seed {seed}, together");
        if let Some(driver) = &driver {
            assert!(program(driver, seed, steps, 7) == one_by_one, "seed {seed}, by the driver");
        }
    }
}
