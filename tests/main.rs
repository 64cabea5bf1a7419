//! The proof of the whole, in one binary; each module is one kind of evidence.
//!
//! `GVPIE_GPU` says what to do about a GPU: `require` fails without one (software Vulkan counts),
//! `off` leaves the tests named `gpu` out, `auto` runs them where an adapter is found.

mod adapter;
mod binding;
mod browser;
mod client;
mod command;
mod daemon;
mod device;
mod effort;
mod einsum;
mod emulated;
mod fft;
mod fmm;
mod fuzzing;
mod golden;
mod house;
mod http;
mod laws;
mod parity;
mod random;
#[cfg(feature = "vgpu")]
mod sanitizer;
mod shaders;
mod tint;
mod uniformity;
mod window;
