//! Machines on the GPU: their memory, and the kernel that runs a slice of them.

use super::isa::{self, OPERATIONS};
use super::plan::Algorithm;
use super::program::Program;
use super::state::{PLACES, Slice, State, Status, at, is_strict};
use super::tables::{SINE, glyph};
use crate::batch::Bindings;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Pipeline};
use crate::shader::{Access, Values};
use minijinja::Value;
use std::collections::BTreeMap;
use std::mem::offset_of;

/// WGSL's `Params` of pixel.wgsl.jinja.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::NoUninit)]
struct Params {
    steps: u32,
    fuel: u32,
    machines: u32,
    width: u32,
    height: u32,
    canvas_machine: u32,
    canvas_pixel: u32,
}

/// WGSL's `Program`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::NoUninit)]
struct Entry {
    code: u32,
    stride: u32,
    length: u32,
    data: u32,
    data_length: u32,
    strict: u32,
}

/// Machines of a workgroup of the lane kernel: their registers take 4 KB.
pub(super) const LANES: usize = 64;

/// Threads that draw together in the group kernel, and machines that they draw for in turn: what these
/// compute is done side by side, which takes no longer than one machine's.
const GROUP: usize = 32;
const TEAM: usize = 8;

/// Words of the glyphs in the ROM, which the sines follow.
const GLYPHS: usize = 512;

/// Machines of a workgroup.
fn machines(algorithm: Algorithm) -> usize {
    if algorithm == Algorithm::Group { TEAM } else { LANES }
}

fn kernel(algorithm: Algorithm) -> Kernel {
    let group = algorithm == Algorithm::Group;
    let threads = if group { GROUP } else { LANES };
    let codes: BTreeMap<&str, u8> = OPERATIONS.iter().map(|row| (row.key, row.code)).collect();
    let places: BTreeMap<&str, usize> = PLACES.iter().copied().collect();
    let values: Values = [
        ("group", group.into()),
        ("threads", threads.into()),
        ("op", Value::from_serialize(&codes)),
        ("at", Value::from_serialize(&places)),
        ("tables", GLYPHS.into()),
        ("slot_bits", machines(algorithm).ilog2().into()),
    ]
    .into();
    Kernel::ours(format!("pixel {algorithm}"), "pixel.wgsl.jinja", values).entry("pixel").fields(
        vec![
            ("steps", offset_of!(Params, steps)),
            ("fuel", offset_of!(Params, fuel)),
            ("machines", offset_of!(Params, machines)),
            ("width", offset_of!(Params, width)),
            ("height", offset_of!(Params, height)),
            ("canvas_machine", offset_of!(Params, canvas_machine)),
            ("canvas_pixel", offset_of!(Params, canvas_pixel)),
        ],
    )
}

/// Every kernel that a plan can ask for, for tests that validate them without a device.
pub fn kernels() -> Vec<Kernel> {
    [Algorithm::Group, Algorithm::Lane].map(kernel).into()
}

/// Machines that one dispatch runs.
#[derive(Debug)]
pub(super) struct Bank {
    pipeline: Pipeline,
    algorithm: Algorithm,
    machines: usize,
    size: [u32; 2],
    code: Buffer,
    data: Buffer,
    entries: Buffer,
    rom: Buffer,
    state: Buffer,
    canvas: Buffer,
}

fn filled(ctx: &Context, words: &[u32], what: &str) -> Result<Buffer> {
    let buffer = Buffer::zeroed(ctx.device(), 4 * words.len() as u64, what)?;
    buffer.write(bytemuck::cast_slice(words))?;
    Ok(buffer)
}

/// Instructions and data of programs, and where each machine finds its own. Machines of the lane
/// kernel that stand side by side and run different programs have them interleaved.
fn laid_out(programs: &[&Program], algorithm: Algorithm) -> (Vec<u32>, Vec<u8>, Vec<Entry>) {
    let (mut code, mut data, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    let mut known: BTreeMap<*const Program, Entry> = BTreeMap::new();
    let side_by_side = if algorithm == Algorithm::Lane { GROUP } else { 1 };
    for group in programs.chunks(side_by_side) {
        let fresh = |program: &&&Program| !known.contains_key(&std::ptr::from_ref(**program));
        let mut apart: Vec<&Program> = group.iter().filter(fresh).copied().collect();
        apart.sort_unstable_by_key(|program| std::ptr::from_ref(*program));
        apart.dedup_by(|one, two| std::ptr::eq(*one, *two));
        let first = code.len() / 2;
        let longest = apart.iter().map(|program| program.code.len()).max().unwrap_or(0);
        code.resize(2 * (first + longest * apart.len()), 0);
        for (lane, program) in apart.iter().enumerate() {
            for (i, &instruction) in program.code.iter().enumerate() {
                let place = 2 * (first + i * apart.len() + lane);
                code[place..place + 2].copy_from_slice(&isa::pixels(instruction));
            }
            known.insert(
                *program,
                Entry {
                    code: (first + lane) as u32,
                    stride: apart.len() as u32,
                    length: program.code.len() as u32,
                    data: data.len() as u32,
                    data_length: program.data.len() as u32,
                    strict: u32::from(is_strict(program.mode)),
                },
            );
            data.extend_from_slice(&program.data);
        }
        entries.extend(group.iter().map(|program| known[&std::ptr::from_ref(*program)]));
    }
    (code, data, entries)
}

impl Bank {
    /// Machines of these programs, one each, whose canvases are of one size.
    pub fn new(
        ctx: &Context,
        algorithm: Algorithm,
        programs: &[&Program],
        states: &[State],
    ) -> Result<Self> {
        let size = states.first().map_or([1; 2], |state| state.size);
        let (code, mut data, entries) = laid_out(programs, algorithm);
        data.resize(data.len().next_multiple_of(4), 0);
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&data);
        let mut rom: Vec<u32> = (0..=255)
            .flat_map(|byte| [glyph(byte) as u32 & 0x3fff_ffff, (glyph(byte) >> 30) as u32])
            .collect();
        rom.extend(SINE.iter().map(|&value| value as u32));
        let pixels = size[0] as usize * size[1] as usize;
        let buffer = |words: usize, what| Buffer::zeroed(ctx.device(), 4 * words as u64, what);
        let bank = Bank {
            pipeline: ctx.pipeline(&kernel(algorithm))?,
            algorithm,
            machines: states.len(),
            size,
            code: filled(ctx, &code, "instructions")?,
            data: filled(ctx, &words, "data of programs")?,
            entries: filled(ctx, bytemuck::cast_slice(&entries), "programs")?,
            rom: filled(ctx, &rom, "glyphs and sines")?,
            state: buffer(at::WORDS * states.len(), "machines")?,
            canvas: buffer(pixels * states.len(), "canvases")?,
        };
        bank.write(states)?;
        Ok(bank)
    }

    /// From a machine's pixels to the next one's, and from one pixel to the next.
    fn strides(&self) -> [usize; 2] {
        match self.algorithm {
            Algorithm::Lane => [1, self.machines],
            _ => [self.size[0] as usize * self.size[1] as usize, 1],
        }
    }

    /// Puts all machines into these states.
    pub fn write(&self, states: &[State]) -> Result<()> {
        let mut words = vec![0_u32; at::WORDS * self.machines];
        let pixels = self.size[0] as usize * self.size[1] as usize;
        let mut canvas = vec![0_u32; pixels * self.machines];
        let [to_machine, to_pixel] = self.strides();
        for (m, state) in states.iter().enumerate() {
            for (w, &word) in state.words.iter().enumerate() {
                words[w * self.machines + m] = word;
            }
            for (p, &pixel) in state.canvas.iter().enumerate() {
                canvas[m * to_machine + p * to_pixel] = pixel;
            }
        }
        self.state.write(bytemuck::cast_slice(&words))?;
        self.canvas.write(bytemuck::cast_slice(&canvas))
    }

    /// The states of all machines.
    pub fn read(&self) -> Result<Vec<State>> {
        let words = whole(&self.state)?;
        let canvas = whole(&self.canvas)?;
        let pixels = self.size[0] as usize * self.size[1] as usize;
        let [to_machine, to_pixel] = self.strides();
        let state = |m: usize| State {
            words: (0..at::WORDS).map(|w| words[w * self.machines + m]).collect(),
            canvas: (0..pixels).map(|p| canvas[m * to_machine + p * to_pixel]).collect(),
            size: self.size,
        };
        Ok((0..self.machines).map(state).collect())
    }

    /// Runs so many slices of every machine, and says how many go on after them.
    pub fn run(&self, ctx: &Context, slice: Slice, slices: u32) -> Result<usize> {
        let [to_machine, to_pixel] = self.strides();
        let params = Params {
            steps: slice.steps,
            fuel: slice.fuel,
            machines: self.machines as u32,
            width: self.size[0],
            height: self.size[1],
            canvas_machine: to_machine as u32,
            canvas_pixel: to_pixel as u32,
        };
        let groups = self.machines.div_ceil(machines(self.algorithm)) as u32;
        let gpu = ctx.device().gpu();
        let gpu = gpu.ok_or_else(|| Error::Foreign { operand: "the context".into() })?;
        let x = groups.min(gpu.limits().max_compute_workgroups_per_dimension).max(1);
        let bindings = || {
            Bindings::new()
                .params(&params)
                .buffer(Access::Read, &self.code)
                .buffer(Access::Read, &self.data)
                .buffer(Access::Read, &self.entries)
                .buffer(Access::Read, &self.rom)
                .buffer(Access::ReadWrite, &self.state)
                .buffer(Access::ReadWrite, &self.canvas)
        };
        let mut batch = ctx.batch("pixel");
        for _ in 0..slices {
            batch.dispatch(&self.pipeline, bindings(), [x, groups.div_ceil(x), 1])?;
        }
        batch.submit()?;
        let row = 4 * self.machines as u64;
        let from = row * at::STATUS as u64;
        let bytes = self.state.read(from..from + row)?;
        let running = (Status::Running as u32).to_ne_bytes();
        Ok(bytes.chunks_exact(4).filter(|word| **word == running).count())
    }
}

fn whole(buffer: &Buffer) -> Result<Vec<u32>> {
    Ok(bytemuck::pod_collect_to_vec(&buffer.read(0..buffer.len())?))
}
