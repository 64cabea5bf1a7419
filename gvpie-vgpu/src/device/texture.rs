//! Pictures that kernels read and write texel by texel.

use super::format::Format;
use crate::interp::RunError;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Bytes of a texture at most, all levels and layers.
const MAX_BYTES: u64 = u32::MAX as u64 & !15;

/// Levels begin at multiples of so many bytes: those of the largest texel.
const ALIGNMENT: u64 = 16;

/// How many dimensions a texture has, and texels along each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// Width.
    D1(u32),
    /// Width and height.
    D2(u32, u32),
    /// Width, height and layers.
    D2Array(u32, u32, u32),
    /// Width, height and depth.
    D3(u32, u32, u32),
}

impl Extent {
    /// Its dimensions: 1, 2 or 3.
    pub fn dimensions(self) -> u8 {
        match self {
            Extent::D1(_) => 1,
            Extent::D2(..) | Extent::D2Array(..) => 2,
            Extent::D3(..) => 3,
        }
    }

    /// Whether it has layers, be it one.
    pub fn is_layered(self) -> bool {
        matches!(self, Extent::D2Array(..))
    }

    /// Width, height, and depth or layers; 1 for what it has not.
    pub fn size(self) -> [u32; 3] {
        match self {
            Extent::D1(width) => [width, 1, 1],
            Extent::D2(width, height) => [width, height, 1],
            Extent::D2Array(width, height, more) | Extent::D3(width, height, more) => {
                [width, height, more]
            }
        }
    }
}

/// Texels, zero at first. A clone is the same texture, and so is a view, which is a part of it.
///
/// ```
/// use gvpie_vgpu::{Extent, Format, Texture};
/// let texture = Texture::with(Format::Rgba8Unorm, Extent::D2(2, 1), &[255, 0, 0, 255, 0, 0, 51, 0])?;
/// assert_eq!(texture.load([1, 0, 0], 0).map(f32::from_bits), [0.0, 0.0, 0.2, 0.0]);
/// texture.store([1, 0, 0], [1.0, 0.5, 0.0, 1.0].map(f32::to_bits));
/// assert_eq!(texture.read(0)?[4..], [255, 128, 0, 255]);
/// # Ok::<(), gvpie_vgpu::RunError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Texture {
    memory: Arc<Memory>,
    levels: Range<u32>,
    layers: Range<u32>,
    layered: bool,
}

#[derive(Debug)]
struct Memory {
    format: Format,
    dimensions: u8,
    levels: Vec<Level>,
    words: Vec<AtomicU32>,
}

#[derive(Debug)]
struct Level {
    /// Its first byte.
    first: u64,
    /// Width, height, and depth or layers.
    size: [u32; 3],
}

impl Texture {
    /// A texture of zeros with one level.
    ///
    /// # Errors
    /// Those of [`Texture::with_levels`].
    pub fn zeroed(format: Format, extent: Extent) -> Result<Texture, RunError> {
        Texture::with_levels(format, extent, 1)
    }

    /// A texture of zeros with so many levels, each half as wide, high and deep as the one before it.
    ///
    /// # Errors
    /// No texel along an axis, no level or more than halve it to one texel, more than 4 GiB, or than there
    /// is.
    pub fn with_levels(format: Format, extent: Extent, levels: u32) -> Result<Texture, RunError> {
        let size = extent.size();
        if size.contains(&0) {
            return Err(RunError::Extent { found: size });
        }
        let [width, height, more] = size;
        let deep = extent.dimensions() == 3;
        let most = width.max(height).max(if deep { more } else { 1 }).ilog2() + 1;
        if !(1..=most).contains(&levels) {
            return Err(RunError::Levels { expected: most, found: levels });
        }
        let what = "a texture";
        let mut end = 0_u64;
        let mut parts = Vec::new();
        for level in 0..levels {
            let half = |texels: u32| (texels >> level).max(1);
            let size = [half(width), half(height), if deep { half(more) } else { more }];
            parts.push(Level { first: end, size });
            let texels = size.iter().fold(1, |sum: u64, n| sum.saturating_mul((*n).into()));
            let bytes = texels.saturating_mul(format.bytes().into());
            end = end.saturating_add(bytes).saturating_add(ALIGNMENT - 1) & !(ALIGNMENT - 1);
            if end > MAX_BYTES {
                return Err(RunError::Memory { what, expected: MAX_BYTES, found: end });
            }
        }
        let count = (end / 4) as usize;
        let mut words = Vec::new();
        if words.try_reserve_exact(count).is_err() {
            return Err(RunError::Memory { what, expected: 0, found: end });
        }
        words.resize_with(count, || AtomicU32::new(0));
        Ok(Texture {
            memory: Arc::new(Memory {
                format,
                dimensions: extent.dimensions(),
                levels: parts,
                words,
            }),
            levels: 0..levels,
            layers: 0..if deep { 1 } else { more },
            layered: extent.is_layered(),
        })
    }

    /// A texture of these texels, row by row without gaps.
    ///
    /// # Errors
    /// Those of [`Texture::zeroed`] and [`Texture::write`].
    pub fn with(format: Format, extent: Extent, texels: &[u8]) -> Result<Texture, RunError> {
        let texture = Texture::zeroed(format, extent)?;
        texture.write(0, texels)?;
        Ok(texture)
    }

    /// Some levels and layers of it, as a texture with layers or, of one layer, without.
    ///
    /// # Errors
    /// Levels or layers that it has not, or none; several layers as a texture without.
    pub fn view(
        &self,
        levels: Range<u32>,
        layers: Range<u32>,
        layered: bool,
    ) -> Result<Texture, RunError> {
        let inside = |part: &Range<u32>, whole: &Range<u32>| {
            part.start < part.end && part.end <= whole.end - whole.start
        };
        if !inside(&levels, &self.levels) {
            return Err(RunError::Levels { expected: self.levels(), found: levels.end });
        }
        let two = self.memory.dimensions == 2;
        if !inside(&layers, &self.layers) || (!layered && layers.len() > 1) || (layered && !two) {
            let expected = if layered && two { self.layers.end - self.layers.start } else { 1 };
            return Err(RunError::Layers { expected, found: layers });
        }
        let moved = |part: Range<u32>, by: u32| part.start + by..part.end + by;
        Ok(Texture {
            memory: Arc::clone(&self.memory),
            levels: moved(levels, self.levels.start),
            layers: moved(layers, self.layers.start),
            layered,
        })
    }

    /// What its texels are.
    pub fn format(&self) -> Format {
        self.memory.format
    }

    /// Its dimensions, and texels along each.
    pub fn extent(&self) -> Extent {
        let [width, height, more] = self.size(0);
        match (self.memory.dimensions, self.layered) {
            (1, _) => Extent::D1(width),
            (2, false) => Extent::D2(width, height),
            (2, true) => Extent::D2Array(width, height, more),
            _ => Extent::D3(width, height, more),
        }
    }

    /// How many levels it has.
    pub fn levels(&self) -> u32 {
        self.levels.end - self.levels.start
    }

    /// Width, height, and depth or layers of a level; zeros for one that it has not.
    pub fn size(&self, level: u32) -> [u32; 3] {
        let Some(level) = self.level(level) else { return [0; 3] };
        let [width, height, depth] = level.size;
        let deep = self.memory.dimensions == 3;
        [width, height, if deep { depth } else { self.layers.end - self.layers.start }]
    }

    /// A texel at x, y, and z or the layer, as bits of its format's [`channel`](Format::channel); zeros where
    /// there is none. Any thread may call it at any time.
    pub fn load(&self, at: [u32; 3], level: u32) -> [u32; 4] {
        match self.offset(at, level) {
            Some(offset) => self.memory.format.unpack(self.memory.texel(offset)),
            None => [0; 4],
        }
    }

    /// Writes a texel of the first level, if it is there. Any thread may call it at any time: those who write
    /// different texels do not disturb one another.
    pub fn store(&self, at: [u32; 3], channels: [u32; 4]) {
        if let Some(offset) = self.offset(at, 0) {
            self.memory.set_texel(offset, self.memory.format.pack(channels));
        }
    }

    /// The texels of a level, row by row without gaps.
    ///
    /// # Errors
    /// A level that it has not.
    pub fn read(&self, level: u32) -> Result<Vec<u8>, RunError> {
        self.read_part(level, [0; 3], self.size(level))
    }

    /// Writes all texels of a level, row by row without gaps.
    ///
    /// # Errors
    /// A level that it has not; more or fewer bytes than it has. Nothing is written then.
    pub fn write(&self, level: u32, texels: &[u8]) -> Result<(), RunError> {
        self.write_part(level, [0; 3], self.size(level), texels)
    }

    /// The texels of a box from `at` on, row by row without gaps.
    ///
    /// # Errors
    /// A level that it has not; a box that is not within.
    pub fn read_part(&self, level: u32, at: [u32; 3], size: [u32; 3]) -> Result<Vec<u8>, RunError> {
        let bytes = self.memory.format.bytes() as usize;
        let mut out = Vec::with_capacity(self.part(level, at, size)? as usize);
        self.each(level, at, size, |offset| {
            out.extend_from_slice(&self.memory.texel(offset).to_le_bytes()[..bytes]);
        });
        Ok(out)
    }

    /// Writes the texels of a box from `at` on, row by row without gaps.
    ///
    /// # Errors
    /// A level that it has not; a box that is not within; more or fewer bytes. Nothing is written then.
    pub fn write_part(
        &self,
        level: u32,
        at: [u32; 3],
        size: [u32; 3],
        texels: &[u8],
    ) -> Result<(), RunError> {
        let (expected, found) = (self.part(level, at, size)?, texels.len() as u64);
        if expected != found {
            return Err(RunError::Texels { expected, found });
        }
        let bytes = self.memory.format.bytes() as usize;
        let mut texels = texels.chunks_exact(bytes);
        self.each(level, at, size, |offset| {
            let mut texel = [0; 16];
            if let Some(next) = texels.next() {
                texel[..bytes].copy_from_slice(next);
            }
            self.memory.set_texel(offset, u128::from_le_bytes(texel));
        });
        Ok(())
    }

    /// The first byte of a texel among those of the whole texture; `None` where there is none.
    pub(crate) fn offset(&self, at: [u32; 3], level: u32) -> Option<u64> {
        let inside = at.iter().zip(self.size(level)).all(|(at, size)| *at < size);
        let level = self.level(level).filter(|_| inside)?;
        let [x, y, z] = at.map(u64::from);
        let z = z + if self.memory.dimensions == 3 { 0 } else { u64::from(self.layers.start) };
        let [width, height, _] = level.size.map(u64::from);
        let texel = (z * height + y) * width + x;
        Some(level.first + texel * u64::from(self.memory.format.bytes()))
    }

    /// Bytes of the whole texture.
    pub(crate) fn bytes(&self) -> u64 {
        self.memory.words.len() as u64 * 4
    }

    /// The words of the whole texture, which [`Texture::offset`] counts the bytes of.
    #[cfg(feature = "wgpu")]
    pub(crate) fn words(&self) -> &[AtomicU32] {
        &self.memory.words
    }

    /// Whether both have a texel that is the same memory.
    pub(super) fn overlaps(&self, other: &Texture) -> bool {
        let meet = |a: &Range<u32>, b: &Range<u32>| a.start < b.end && b.start < a.end;
        Arc::ptr_eq(&self.memory, &other.memory)
            && meet(&self.levels, &other.levels)
            && meet(&self.layers, &other.layers)
    }

    fn level(&self, level: u32) -> Option<&Level> {
        let level = self.levels.start.checked_add(level)?;
        self.memory.levels.get(level as usize).filter(|_| level < self.levels.end)
    }

    /// Bytes of a box, if it is within.
    fn part(&self, level: u32, at: [u32; 3], size: [u32; 3]) -> Result<u64, RunError> {
        if level >= self.levels() {
            return Err(RunError::Levels { expected: self.levels(), found: level });
        }
        let expected = self.size(level);
        let end = |k: usize| u64::from(at[k]) + u64::from(size[k]);
        if (0..3).any(|k| end(k) > expected[k].into()) {
            return Err(RunError::Part { expected, at, size });
        }
        Ok(size.map(u64::from).iter().product::<u64>() * u64::from(self.memory.format.bytes()))
    }

    /// Calls `f` with the first byte of each texel of a box that is within.
    fn each(&self, level: u32, at: [u32; 3], size: [u32; 3], mut f: impl FnMut(u64)) {
        let bytes = u64::from(self.memory.format.bytes());
        for z in at[2]..at[2] + size[2] {
            for y in at[1]..at[1] + size[1] {
                if let Some(first) = self.offset([at[0], y, z], level) {
                    (0..u64::from(size[0])).for_each(|x| f(first + x * bytes));
                }
            }
        }
    }
}

impl Memory {
    /// The bits of the texel whose first byte this is.
    fn texel(&self, offset: u64) -> u128 {
        let (word, bytes) = ((offset / 4) as usize, self.format.bytes());
        let of = |k: usize| u128::from(self.words[word + k].load(Relaxed)) << (32 * k);
        match bytes {
            1 | 2 => of(0) >> (offset % 4 * 8) & ((1 << (bytes * 8)) - 1),
            4 => of(0),
            8 => of(0) | of(1),
            _ => of(0) | of(1) | of(2) | of(3),
        }
    }

    fn set_texel(&self, offset: u64, texel: u128) {
        let (word, bytes) = ((offset / 4) as usize, self.format.bytes());
        if bytes < 4 {
            // Other texels share the word, and other threads may write them.
            let shift = (offset % 4 * 8) as u32;
            let kept = !(u32::MAX >> (32 - bytes * 8) << shift);
            let change = |old: u32| Some(old & kept | (texel as u32) << shift);
            // It gives a word at all times, so that the update does not fail.
            let _ = self.words[word].fetch_update(Relaxed, Relaxed, change);
        } else {
            for k in 0..bytes as usize / 4 {
                self.words[word + k].store((texel >> (32 * k)) as u32, Relaxed);
            }
        }
    }
}
