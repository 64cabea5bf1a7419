//! # gvpie-core: GPU compute for everyone, on WGSL
//!
//! Every operation of this crate runs on any GPU that [`wgpu`] reaches (Vulkan, Metal,
//! Direct3D 12) and on the host's own processor, with the same calls and the same results within
//! stated bounds. A program creates one [`Context`], uploads [`Tensor`]s, and calls operations:
//!
//! ```
//! use gvpie_core::Context;
//! let ctx = Context::new()?;
//! let a = ctx.upload([2, 2], &[1.0_f32, 2.0, 3.0, 4.0])?;
//! let c = ctx.gemm(&a, &a)?;
//! assert_eq!(c.download()?, [7.0, 10.0, 15.0, 22.0]);
//! # Ok::<(), gvpie_core::Error>(())
//! ```
//!
//! ## The way of a call
//!
//! An operation is said three times, each time nearer to the device:
//!
//! 1. A **problem** is plain data: [`Gemm::new(m, n, k)`](Gemm::new). It touches no memory.
//! 2. A **plan** has checked the problem, chosen an algorithm that can be printed, and compiled
//!    what it needs: [`Gemm::plan`].
//! 3. A **run** checks the operands against the plan and hands the work to the device:
//!    [`GemmPlan::run`](gemm::GemmPlan::run), or [`record`](gemm::GemmPlan::record) into a
//!    [`Batch`] with other work.
//!
//! Easy calls, such as [`Context::gemm`], are written in terms of these. Results stay on the
//! device; [`Tensor::download`] is the only call that waits.
//!
//! ## What one may rely on
//!
//! * **No panic** through a public function. Every failure is an [`Error`] with numbers in it, and
//!   [`Error::turn`] tells *never here* from *not now* and from *your mistake*.
//! * **Nothing silent.** A context that was free to choose says why it computes on the CPU
//!   ([`Context::notice`]); one that was told `Gpu` never does. Nothing is downcast.
//! * **Determinism.** The same plan on the same device gives the same bits: no float atomics.
//! * **Proof.** Each operation is tested on the GPU, on the CPU and against a naive f64 sum over
//!   one table of hard cases, with a tolerance that is a formula.
//!
//! ## How the crate is built
//!
//! Every folder is an operation, and every other file is part of the machine that runs it. An
//! operation has five files: `mod.rs` (the problem, in words), `plan.rs` (checks and choice),
//! `gpu.rs` (kernels), `cpu.rs` (the same on slices) and `tests.rs`. Own WGSL runs through
//! [`Kernel`], [`Context::pipeline`] and [`Batch::dispatch`].
#![warn(missing_docs)]

mod adapter;
mod batch;
mod buffer;
mod cache;
mod context;
mod device;
pub mod driver;
pub mod einsum;
mod element;
mod error;
pub mod fft;
pub mod fmm;
pub mod gemm;
pub mod glyph;
mod host;
mod kernel;
mod memory;
pub mod nbody;
pub mod paged;
pub mod pixel;
mod scratch;
pub mod shader;
mod shape;
pub mod sort;
mod tables;
mod tensor;
mod texture;
pub mod tune;

pub use adapter::{Adapter, AdapterChoice, SOFTWARE, adapters};
pub use batch::{Batch, Bindings};
pub use buffer::Buffer;
pub use context::{Context, ContextOptions};
pub use device::{Backend, Device, GpuDevice, HostDevice};
pub use driver::Capabilities;
pub use einsum::Einsum;
pub use element::{DType, Element};
pub use error::{Budgets, Error, Result, Turn};
pub use fft::Fft;
pub use fmm::Fmm;
pub use gemm::Gemm;
pub use glyph::Glyphs;
pub use half::f16;
pub use kernel::{Kernel, Pipeline};
pub use memory::{Pool, Tier, Usage};
pub use nbody::NBody;
pub use num_complex::Complex;
pub use paged::Paged;
pub use pixel::Pixel;
pub use shader::{Access, Reflection};
pub use shape::Shape;
pub use sort::Sort;
pub use tensor::{Tensor, TensorView, TensorViewMut};
pub use texture::Texture;
/// The wgpu this crate is built with, so that a linking program uses the same.
pub use wgpu;
