//! Textures: their formats, views and copies.

use super::buffer::{self, Buffer};
use crate::{Extent, Format};
use ::wgpu::{Features, TextureDimension, TextureFormat, TextureUsages, TextureViewDimension, hal};
use std::ops::Range;
use std::ptr::NonNull;

/// A texture.
#[derive(Debug, Clone)]
pub struct Texture(crate::Texture);

/// Some levels and layers of a texture.
#[derive(Debug, Clone)]
pub struct TextureView(pub(super) crate::Texture);

macro_rules! formats {
    ($($format:ident)*) => {
        /// The format of this name; `None` for those of depth, stencil and blocks, and for planes.
        fn format(format: TextureFormat) -> Option<Format> {
            match format {
                $(TextureFormat::$format => Some(Format::$format),)*
                _ => None,
            }
        }
    };
}

formats! {
    R8Unorm R8Snorm R8Uint R8Sint Rg8Unorm Rg8Snorm Rg8Uint Rg8Sint
    Rgba8Unorm Rgba8UnormSrgb Rgba8Snorm Rgba8Uint Rgba8Sint Bgra8Unorm Bgra8UnormSrgb
    R16Unorm R16Snorm R16Uint R16Sint R16Float Rg16Unorm Rg16Snorm Rg16Uint Rg16Sint Rg16Float
    Rgba16Unorm Rgba16Snorm Rgba16Uint Rgba16Sint Rgba16Float
    R32Uint R32Sint R32Float Rg32Uint Rg32Sint Rg32Float Rgba32Uint Rgba32Sint Rgba32Float
    Rgb10a2Uint Rgb10a2Unorm Rg11b10Ufloat Rgb9e5Ufloat
}

/// What textures of a format may be used for: what WebGPU guarantees, but to be drawn to.
pub(super) fn capabilities(
    name: TextureFormat,
    features: Features,
) -> hal::TextureFormatCapabilities {
    use ::wgpu::TextureFormatFeatureFlags as Flags;
    use hal::TextureFormatCapabilities as Capabilities;
    if format(name).is_none() {
        return Capabilities::empty();
    }
    let guaranteed = name.guaranteed_format_features(features);
    let mut capabilities = Capabilities::COPY_SRC | Capabilities::COPY_DST | Capabilities::SAMPLED;
    for (flag, capability) in [
        (Flags::FILTERABLE, Capabilities::SAMPLED_LINEAR),
        (Flags::STORAGE_READ_ONLY, Capabilities::STORAGE_READ_ONLY),
        (Flags::STORAGE_WRITE_ONLY, Capabilities::STORAGE_WRITE_ONLY),
        (Flags::STORAGE_READ_WRITE, Capabilities::STORAGE_READ_WRITE),
    ] {
        let storage = guaranteed.allowed_usages.contains(TextureUsages::STORAGE_BINDING);
        let holds = guaranteed.flags.contains(flag);
        capabilities.set(capability, holds && (storage || flag == Flags::FILTERABLE));
    }
    capabilities
}

impl Texture {
    pub(super) fn new(
        descriptor: &hal::TextureDescriptor<'_>,
    ) -> Result<Texture, hal::DeviceError> {
        let ::wgpu::Extent3d { width, height, depth_or_array_layers } = descriptor.size;
        let extent = match descriptor.dimension {
            TextureDimension::D1 => Extent::D1(width),
            TextureDimension::D2 => Extent::D2Array(width, height, depth_or_array_layers),
            TextureDimension::D3 => Extent::D3(width, height, depth_or_array_layers),
        };
        // wgpu has asked for what the format may be used for.
        let format = format(descriptor.format).ok_or(hal::DeviceError::Unexpected)?;
        crate::Texture::with_levels(format, extent, descriptor.mip_level_count)
            .map(Texture)
            .map_err(|_| hal::DeviceError::OutOfMemory)
    }

    pub(super) fn view(
        &self,
        descriptor: &hal::TextureViewDescriptor<'_>,
    ) -> Result<TextureView, hal::DeviceError> {
        let range = &descriptor.range;
        let rest = |first: u32, count: Option<u32>, all: u32| {
            first..count.map_or(all, |count| first.saturating_add(count))
        };
        let (flat, layers) = match self.0.extent() {
            Extent::D1(_) | Extent::D2(..) | Extent::D3(..) => (true, 1),
            Extent::D2Array(_, _, layers) => {
                (descriptor.dimension == TextureViewDimension::D2, layers)
            }
        };
        let levels = rest(range.base_mip_level, range.mip_level_count, self.0.levels());
        let layers = rest(range.base_array_layer, range.array_layer_count, layers);
        // wgpu has held the range against the texture.
        let view = self.0.view(levels, layers, !flat).map_err(|_| hal::DeviceError::Unexpected)?;
        Ok(TextureView(view))
    }

    /// The first byte of a row of a copy, `y` and `z` counted from its origin.
    fn first(&self, base: &hal::TextureCopyBase, y: u32, z: u32) -> Option<u64> {
        let origin = base.origin;
        let at = [origin.x, origin.y + y, origin.z + base.array_layer + z];
        self.0.offset(at, base.mip_level)
    }

    fn pointer(&self, bytes: Range<u64>) -> NonNull<u8> {
        buffer::pointer(self.0.words(), bytes)
    }

    /// Calls `row` with the bytes of each row of a copy, first here, then in the buffer.
    fn rows(&self, region: &hal::BufferTextureCopy, mut row: impl FnMut(Range<u64>, u64)) {
        let hal::CopyExtent { width, height, depth } = region.size;
        let bytes = u64::from(width) * u64::from(self.0.format().bytes());
        let layout = &region.buffer_layout;
        let pitch = layout.bytes_per_row.map_or(bytes, u64::from);
        let image = pitch * u64::from(layout.rows_per_image.unwrap_or(height));
        for (z, y) in (0..depth).flat_map(|z| (0..height).map(move |y| (z, y))) {
            if let Some(first) = self.first(&region.texture_base, y, z) {
                let there = layout.offset + u64::from(z) * image + u64::from(y) * pitch;
                row(first..first + bytes, there);
            }
        }
    }

    /// Overwrites texels with bytes of a buffer.
    ///
    /// # Safety
    /// The region is within both, and nobody else uses it.
    pub(super) unsafe fn write(&self, from: &Buffer, region: &hal::BufferTextureCopy) {
        self.rows(region, |here, there| {
            let length = here.end - here.start;
            let source = from.pointer(there..there + length);
            // SAFETY: as the caller warrants.
            unsafe { source.copy_to(self.pointer(here), length as usize) };
        });
    }

    /// Overwrites bytes of a buffer with texels.
    ///
    /// # Safety
    /// The region is within both, and nobody else uses it.
    pub(super) unsafe fn read(&self, to: &Buffer, region: &hal::BufferTextureCopy) {
        self.rows(region, |here, there| {
            let length = here.end - here.start;
            let target = to.pointer(there..there + length);
            // SAFETY: as the caller warrants.
            unsafe { self.pointer(here).copy_to(target, length as usize) };
        });
    }

    /// Overwrites texels with those of a texture of the same format.
    ///
    /// # Safety
    /// The region is within both, and nobody else uses it.
    pub(super) unsafe fn copy(&self, from: &Texture, region: &hal::TextureCopy) {
        let hal::CopyExtent { width, height, depth } = region.size;
        let bytes = u64::from(width) * u64::from(self.0.format().bytes());
        for (z, y) in (0..depth).flat_map(|z| (0..height).map(move |y| (z, y))) {
            let first = from.first(&region.src_base, y, z);
            if let (Some(source), Some(target)) = (first, self.first(&region.dst_base, y, z)) {
                let (source, target) = (source..source + bytes, target..target + bytes);
                // SAFETY: as the caller warrants.
                unsafe { from.pointer(source).copy_to(self.pointer(target), bytes as usize) };
            }
        }
    }
}
