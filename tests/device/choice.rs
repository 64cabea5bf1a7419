//! Which device is taken, and what the environment may say about it.

use super::child;
use crate::adapter::{Wish, gpu, gpu_with, wish};
use gvpie_core::{AdapterChoice, Backend, Context, ContextOptions, Error, Turn, adapters, wgpu};

fn all() -> Vec<wgpu::AdapterInfo> {
    pollster::block_on(adapters(&AdapterChoice::default()))
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

fn request(backend: Option<Backend>, name: Option<String>) -> Result<Context, Error> {
    let adapter = AdapterChoice { name, ..Default::default() };
    let options = ContextOptions { backend, adapter, ..Default::default() };
    pollster::block_on(Context::request(options))
}

#[test]
fn a_name_that_no_gpu_has_lists_those_there_are() {
    if wish() == Wish::Off {
        eprintln!("SKIPPED: GVPIE_GPU=off");
        return;
    }
    let error = request(Some(Backend::Gpu), Some("no such adapter".into())).unwrap_err();
    assert_eq!(error.turn(), Turn::Elsewhere);
    let words = error.to_string();
    let Error::NoAdapter { reason, found } = error else { panic!("{error:?}") };
    assert!(reason.contains("'no such adapter'"), "{reason}");
    assert_eq!(found.len(), all().len());
    for (line, info) in found.iter().zip(all()) {
        assert!(line.starts_with(&info.name) && words.contains(line), "{words}");
    }
    if wish() == Wish::Require {
        assert!(!found.is_empty());
    }
}

#[test]
fn gpu_adapters_are_taken_by_any_part_of_their_name() {
    let Some(ctx) = gpu() else { return };
    let name = ctx.adapter();
    let part = name[..name.len().min(5)].to_uppercase();
    assert_eq!(request(Some(Backend::Gpu), Some(part)).unwrap().adapter(), name);
}

#[test]
fn auto_leaves_software_gpu_drivers_alone() {
    if wish() == Wish::Off {
        eprintln!("SKIPPED: GVPIE_GPU=off");
        return;
    }
    let hardware = all().iter().any(|info| !is_software(info));
    let ctx = request(None, None).unwrap();
    match ctx.device().gpu() {
        Some(gpu) => assert!(hardware && !gpu.is_software() && ctx.notice().is_none()),
        None => {
            let notice = ctx.notice().unwrap();
            assert!(notice.starts_with("computing on the CPU: no usable GPU adapter"), "{notice}");
            assert!(!hardware || notice.contains("computes wrong results"), "{notice}");
        }
    }
    // Not even by name.
    if let Some(software) = all().into_iter().find(|i| is_software(i) && i.name.len() > 4) {
        let ctx = request(None, Some(software.name.clone())).unwrap();
        assert_eq!(ctx.backend(), Backend::Cpu);
        let notice = ctx.notice().unwrap();
        assert!(notice.contains("only software") && notice.contains(&software.name), "{notice}");
    }
    let told = request(Some(Backend::Cpu), None).unwrap();
    assert_eq!((told.backend(), told.notice()), (Backend::Cpu, None));
}

#[test]
fn gpu_adapters_are_listed_real_ones_first() {
    if gpu_with(ContextOptions::default()).is_none() {
        return;
    }
    let kinds: Vec<bool> = all().iter().map(is_software).collect();
    assert!(!kinds.is_empty() && kinds.is_sorted(), "{kinds:?}");
}

/// Prints what the environment asks for, for the tests below.
#[test]
#[ignore = "run by its parent with an environment of its own"]
fn what_the_environment_says() {
    match ContextOptions::from_env() {
        Ok(options) => println!("OPTIONS {options:?}"),
        Err(error) => println!("REFUSED {error:?} {error}"),
    }
}

fn with(name: &str, value: &str) -> String {
    let output = child("device::choice::what_the_environment_says").env(name, value).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{name}={value}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn settings_that_mean_nothing_are_refused_by_name() {
    for (name, value, expected) in [
        ("GVPIE_BACKEND", "cuda", "auto, gpu or cpu"),
        ("GVPIE_DEVICE_BUDGET", "1 GB", "a number of bytes"),
        ("GVPIE_DEVICE_BUDGET", "-1", "a number of bytes"),
        ("GVPIE_TIMEOUT", "soon", "a number of seconds"),
        ("GVPIE_TIMEOUT", "0", "a number of seconds"),
        ("GVPIE_TIMEOUT", "NaN", "a number of seconds"),
        ("GVPIE_TIMEOUT", "1e300", "a number of seconds"),
        ("GVPIE_ALLOW_DRIVER", "yes", "0 or 1"),
        ("WGPU_BACKEND", "cuda", "vulkan, metal, dx12, gl"),
        ("WGPU_BACKEND", "vulkan,cuda", "vulkan, metal, dx12, gl"),
        ("WGPU_POWER_PREF", "medium", "low, high or none"),
    ] {
        let said = with(name, value);
        assert!(said.contains("REFUSED Setting"), "{name}={value}: {said}");
        let words = format!("{name}={value}: expected ");
        assert!(said.contains(&words) && said.contains(expected), "{name}={value}: {said}");
    }
}

#[test]
#[cfg(unix)]
fn a_setting_that_is_no_text_is_refused_too() {
    use std::os::unix::ffi::OsStrExt;
    for name in ["GVPIE_BACKEND", "WGPU_BACKEND", "WGPU_ADAPTER_NAME", "WGPU_POWER_PREF"] {
        let garbled = std::ffi::OsStr::from_bytes(b"cpu\xff");
        let output =
            child("device::choice::what_the_environment_says").env(name, garbled).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("REFUSED Setting") && said.contains(name), "{name}: {said}");
    }
}

#[test]
fn settings_that_mean_something_are_followed() {
    for (name, value, shown) in [
        ("GVPIE_BACKEND", "auto", "backend: None"),
        ("GVPIE_BACKEND", "", "backend: None"),
        ("GVPIE_BACKEND", "GPU", "backend: Some(Gpu)"),
        ("GVPIE_BACKEND", " cpu ", "backend: Some(Cpu)"),
        ("GVPIE_DEVICE_BUDGET", "4096", "device_budget: Some(4096)"),
        ("GVPIE_HOST_BUDGET", "8192", "host_budget: Some(8192)"),
        ("GVPIE_DISK_BUDGET", "1", "disk_budget: Some(1)"),
        ("GVPIE_SPILL_DIR", "/a/b", "spill_folder: Some(\"/a/b\")"),
        ("GVPIE_TIMEOUT", "0.5", "timeout: 500ms"),
        ("GVPIE_CACHE_DIR", "", "cache: None"),
        ("GVPIE_CACHE_DIR", "/a/b", "cache: Some(\"/a/b\")"),
        ("GVPIE_ALLOW_DRIVER", "1", "allow_driver: true"),
        ("GVPIE_ALLOW_DRIVER", "0", "allow_driver: false"),
        ("WGPU_BACKEND", "vulkan, gl", "Backends(VULKAN | GL)"),
        ("WGPU_ADAPTER_NAME", "Arc", "name: Some(\"Arc\")"),
        ("WGPU_POWER_PREF", "LOW", "power: LowPower"),
        ("WGPU_POWER_PREF", "high", "power: HighPerformance"),
    ] {
        let said = with(name, value);
        assert!(said.contains("OPTIONS") && said.contains(shown), "{name}={value}: {said}");
    }
}
