//! What the system's window needs of a GPU: a device that can present to it, and the pass that
//! draws a frame.

use crate::present::{Camera, Stage, View};
use glam::UVec2;
use gvpie_core::wgpu;
use gvpie_core::{Context, ContextOptions, Error, GpuDevice, Result};
use std::sync::Arc;
use winit::event_loop::OwnedDisplayHandle;
use winit::window::Window;

/// WGSL's `Camera` of present.wgsl, field by field.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::NoUninit)]
struct Params {
    origin: [u32; 2],
    grid: [u32; 2],
    cell: [u32; 2],
    zoom: u32,
    step: u32,
    view: u32,
    /// A uniform block's size is a multiple of its largest alignment, 8.
    unused: u32,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It is on the screen.
    Shown,
    /// The window cannot be seen; there is nothing to do until it can.
    Hidden,
    /// The surface was changed or lost and has been made anew: draw once more.
    Again,
    /// The system had no frame to give in time: draw once more.
    Later,
}

/// A window's surface with the device that draws on it.
pub struct Screen {
    window: Arc<Window>,
    instance: wgpu::Instance,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    ctx: Context,
    pipeline: wgpu::RenderPipeline,
    params: wgpu::Buffer,
}

impl Screen {
    /// Opens a device that can present to the window; a software driver will do.
    pub fn open(window: Arc<Window>, display: OwnedDisplayHandle) -> Result<Self> {
        let mut options = ContextOptions::from_env()?;
        options.adapter.software = true;
        let descriptor = options.adapter.instance().with_display_handle(Box::new(display));
        let instance = wgpu::Instance::new(descriptor);
        let surface = make_surface(&instance, &window)?;
        let ctx = pollster::block_on(async {
            let adapter = options.adapter.adapter(&instance, Some(&surface)).await?;
            Context::on_adapter(adapter, &options).await
        })?;
        let gpu = gpu(&ctx)?;
        let config = configuration(&surface, gpu)?;
        let params = gpu.wgpu().create_buffer(&wgpu::BufferDescriptor {
            label: Some("camera"),
            size: size_of::<Params>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let pipeline = pipeline(gpu.wgpu(), view_format(&config));
        gpu.check("the window's pass")?;
        Ok(Screen { window, instance, surface, config, ctx, pipeline, params })
    }

    /// The context whose tensors this surface can show.
    pub fn context(&self) -> &Context {
        &self.ctx
    }

    /// Shows a stage through a camera whose frame is the window's.
    pub fn present(&mut self, stage: &Stage, camera: &Camera, view: View) -> Result<Presented> {
        use wgpu::CurrentSurfaceTexture::{
            Lost, Occluded, Outdated, Suboptimal, Success, Timeout, Validation,
        };
        let ctx = self.ctx.clone();
        let gpu = gpu(&ctx)?;
        let most = gpu.limits().max_texture_dimension_2d;
        let size = camera.frame.min(UVec2::splat(most));
        if size.min_element() == 0 {
            return Ok(Presented::Hidden); // minimised
        }
        if size != UVec2::new(self.config.width, self.config.height)
            || self.surface.get_configuration().is_none()
        {
            (self.config.width, self.config.height) = (size.x, size.y);
            self.surface.configure(gpu.wgpu(), &self.config);
            gpu.check("configuring the window's surface")?;
        }
        let frame = match self.surface.get_current_texture() {
            Success(frame) => frame,
            Suboptimal(frame) => {
                drop(frame); // a surface is not configured while a frame of it is held
                self.surface.configure(gpu.wgpu(), &self.config);
                match self.surface.get_current_texture() {
                    Success(frame) | Suboptimal(frame) => frame,
                    _ => return Ok(Presented::Again),
                }
            }
            Outdated => {
                self.surface.configure(gpu.wgpu(), &self.config);
                return Ok(Presented::Again);
            }
            Lost => {
                gpu.check("the window's surface")?;
                self.surface = make_surface(&self.instance, &self.window)?;
                return Ok(Presented::Again);
            }
            Timeout => return Ok(Presented::Later),
            Occluded => return Ok(Presented::Hidden),
            Validation => {
                gpu.check("the window's next frame")?;
                return Ok(Presented::Again);
            }
        };
        self.encode(gpu, &frame.texture, stage, camera, view);
        self.window.pre_present_notify();
        gpu.queue().present(frame);
        gpu.check("the window's frame")?;
        Ok(Presented::Shown)
    }

    fn encode(
        &self,
        gpu: &GpuDevice,
        target: &wgpu::Texture,
        stage: &Stage,
        camera: &Camera,
        view: View,
    ) {
        let params = Params {
            origin: camera.origin.into(),
            grid: camera.grid.into(),
            cell: camera.cell.into(),
            zoom: camera.zoom,
            step: camera.step,
            view: match view {
                View::Human => 0,
                View::Machine => 1,
            },
            unused: 0,
        };
        gpu.queue().write_buffer(&self.params, 0, bytemuck::bytes_of(&params));
        let buffers =
            [Some(&self.params), stage.machine.buffer().wgpu(), stage.picture().buffer().wgpu()];
        let entries: Vec<_> = (0..)
            .zip(buffers.into_iter().flatten())
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let group = gpu.wgpu().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("frame"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let target = target.create_view(&wgpu::TextureViewDescriptor {
            format: Some(view_format(&self.config)),
            ..Default::default()
        });
        let mut encoder = gpu.wgpu().create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("frame"),
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &target,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations {
                        load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                        store: wgpu::StoreOp::Store,
                    },
                })],
                ..Default::default()
            });
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.draw(0..3, 0..1);
        }
        gpu.queue().submit([encoder.finish()]);
    }
}

/// A window is opened on nothing but a GPU, so the other case is a defect of ours.
fn gpu(ctx: &Context) -> Result<&GpuDevice> {
    ctx.device().gpu().ok_or_else(|| failed("the window's device", "it is not a GPU"))
}

fn failed(what: &str, message: impl ToString) -> Error {
    Error::Internal { what: what.into(), message: message.to_string() }
}

fn make_surface(instance: &wgpu::Instance, window: &Arc<Window>) -> Result<wgpu::Surface<'static>> {
    let made = instance.create_surface(Arc::clone(window));
    made.map_err(|error| failed("making the window's surface", error))
}

/// Eight bits a channel, so that pixels reach the screen as they were computed.
fn configuration(
    surface: &wgpu::Surface<'static>,
    gpu: &GpuDevice,
) -> Result<wgpu::SurfaceConfiguration> {
    use wgpu::TextureFormat::{Bgra8Unorm, Bgra8UnormSrgb, Rgba8Unorm, Rgba8UnormSrgb};
    let offered = surface.get_capabilities(gpu.adapter()).formats;
    let format = [Bgra8Unorm, Rgba8Unorm, Bgra8UnormSrgb, Rgba8UnormSrgb]
        .into_iter()
        .find(|format| offered.contains(format))
        .ok_or_else(|| Error::Unsupported {
            what: "a window of 8 bits a channel".into(),
            reason: format!("the driver offers {offered:?}"),
        })?;
    let plain = format.remove_srgb_suffix();
    Ok(wgpu::SurfaceConfiguration {
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
        format,
        color_space: wgpu::SurfaceColorSpace::Auto,
        width: 0, // configured when the first frame's size is known
        height: 0,
        present_mode: wgpu::PresentMode::AutoVsync,
        desired_maximum_frame_latency: 2,
        alpha_mode: wgpu::CompositeAlphaMode::Auto,
        view_formats: if plain == format { vec![] } else { vec![plain] },
    })
}

/// The picture's values are the screen's: nothing is to be encoded once more.
fn view_format(config: &wgpu::SurfaceConfiguration) -> wgpu::TextureFormat {
    config.format.remove_srgb_suffix()
}

fn pipeline(device: &wgpu::Device, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("present"),
        source: wgpu::ShaderSource::Wgsl(include_str!("../shaders/present.wgsl").into()),
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("present"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("cover"),
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive: Default::default(),
        depth_stencil: None,
        multisample: Default::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("present"),
            compilation_options: Default::default(),
            targets: &[Some(format.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}
