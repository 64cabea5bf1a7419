//! Textures: RGBA8 pictures on the device.

use crate::device::{Device, GpuDevice};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use std::sync::{Arc, PoisonError, RwLock};

/// A picture of `width` × `height` texels of four bytes (red, green, blue, alpha) on a device;
/// cheap to clone, freed with the last clone.
///
/// ```
/// use gvpie_core::{Backend, Context};
/// let ctx = Context::on(Backend::Cpu)?;
/// let picture = ctx.texture(2, 1)?;
/// picture.write(&[255, 0, 0, 255, 0, 0, 255, 255])?;
/// assert_eq!(picture.download()?[4..], [0, 0, 255, 255]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Texture(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    width: u32,
    height: u32,
    storage: Storage,
    _paid: Reservation,
}

#[derive(Debug)]
enum Storage {
    Wgpu(Arc<GpuDevice>, wgpu::Texture),
    Host(RwLock<Vec<u8>>),
}

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

impl Texture {
    pub(crate) fn new(device: &Device, width: u32, height: u32) -> Result<Self> {
        let what = format!("texture of {width}x{height}");
        if width == 0 || height == 0 {
            return Err(Error::shape("texture", "at least one texel each way", &what));
        }
        let allowed = device.gpu().map_or(1 << 16, |gpu| gpu.limits().max_texture_dimension_2d);
        if width.max(height) > allowed {
            return Err(Error::Limit {
                what,
                limit: "max_texture_dimension_2d",
                asked: width.max(height).into(),
                allowed: allowed.into(),
            });
        }
        let bytes = u64::from(width) * u64::from(height) * 4;
        let paid = device.pool().reserve(bytes, &what)?;
        let storage = match device {
            Device::Wgpu(gpu) => {
                let texture = gpu.scoped(&what, bytes, || {
                    gpu.wgpu().create_texture(&wgpu::TextureDescriptor {
                        label: Some("picture"),
                        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
                        mip_level_count: 1,
                        sample_count: 1,
                        dimension: wgpu::TextureDimension::D2,
                        format: FORMAT,
                        usage: wgpu::TextureUsages::COPY_DST
                            | wgpu::TextureUsages::COPY_SRC
                            | wgpu::TextureUsages::TEXTURE_BINDING
                            | wgpu::TextureUsages::STORAGE_BINDING,
                        view_formats: &[],
                    })
                })?;
                Storage::Wgpu(Arc::clone(gpu), texture)
            }
            Device::Host(_) => {
                let mut memory = Vec::new();
                memory
                    .try_reserve_exact(bytes as usize)
                    .map_err(|_| device.pool().out_of_memory(bytes, &what))?;
                memory.resize(bytes as usize, 0);
                Storage::Host(RwLock::new(memory))
            }
        };
        Ok(Texture(Arc::new(Inner { width, height, storage, _paid: paid })))
    }

    /// Texels in a row.
    pub fn width(&self) -> u32 {
        self.0.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.0.height
    }

    /// The wgpu texture behind it, if it is on a GPU.
    pub fn wgpu(&self) -> Option<&wgpu::Texture> {
        match &self.0.storage {
            Storage::Wgpu(_, texture) => Some(texture),
            Storage::Host(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        self.0.width as usize * self.0.height as usize * 4
    }

    fn extent(&self) -> wgpu::Extent3d {
        wgpu::Extent3d { width: self.0.width, height: self.0.height, depth_or_array_layers: 1 }
    }

    /// Overwrites all texels, row by row from the top.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `texels` has exactly 4 × width × height bytes; errors of the device.
    pub fn write(&self, texels: &[u8]) -> Result<()> {
        if texels.len() != self.bytes() {
            return Err(Error::shape(
                "texels",
                format!("{} bytes for {}x{}", self.bytes(), self.0.width, self.0.height),
                format!("{} bytes", texels.len()),
            ));
        }
        match &self.0.storage {
            Storage::Wgpu(gpu, texture) => {
                gpu.scoped("texture upload", texels.len() as u64, || {
                    gpu.queue().write_texture(
                        texture.as_image_copy(),
                        texels,
                        wgpu::TexelCopyBufferLayout {
                            offset: 0,
                            bytes_per_row: Some(self.0.width * 4),
                            rows_per_image: None,
                        },
                        self.extent(),
                    );
                })
            }
            Storage::Host(memory) => {
                memory.write().unwrap_or_else(PoisonError::into_inner).copy_from_slice(texels);
                Ok(())
            }
        }
    }

    /// The texels, row by row from the top. Blocks until the device is done with them.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Timeout`], [`Error::OutOfMemory`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download(&self) -> Result<Vec<u8>> {
        let (gpu, texture) = match &self.0.storage {
            Storage::Wgpu(gpu, texture) => (gpu, texture),
            Storage::Host(memory) => {
                return Ok(memory.read().unwrap_or_else(PoisonError::into_inner).clone());
            }
        };
        // wgpu wants rows of a copy to begin at multiples of 256 bytes.
        let pitch = (self.0.width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let size = u64::from(pitch) * u64::from(self.0.height);
        gpu.ready("texture download")?;
        let (buffer, submission) = gpu.scoped("texture download", size, || {
            let buffer = gpu.wgpu().create_buffer(&wgpu::BufferDescriptor {
                label: Some("texture download"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = gpu.wgpu().create_command_encoder(&Default::default());
            encoder.copy_texture_to_buffer(
                texture.as_image_copy(),
                wgpu::TexelCopyBufferInfo {
                    buffer: &buffer,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(pitch),
                        rows_per_image: None,
                    },
                },
                self.extent(),
            );
            let submission = gpu.queue().submit([encoder.finish()]);
            buffer.map_async(wgpu::MapMode::Read, .., |_| {});
            (buffer, submission)
        })?;
        gpu.wait(submission, "texture download")?;
        let view = buffer.get_mapped_range(..).map_err(|error| Error::Internal {
            what: "texture download".into(),
            message: error.to_string(),
        })?;
        let row = self.0.width as usize * 4;
        Ok(view.chunks_exact(pitch as usize).flat_map(|padded| &padded[..row]).copied().collect())
    }
}
