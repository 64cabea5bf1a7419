//! Adapters: which GPUs there are, and which of them is taken.

use crate::error::{Error, Result};
use std::time::Duration;

/// The name of the device in software that comes with this crate where its feature `vgpu` is on.
pub const SOFTWARE: &str = "vgpu";

/// How to choose among the adapters of this machine.
#[derive(Debug, Clone, Default)]
pub struct AdapterChoice {
    /// Graphics APIs to look at; `None` means all of them. (`WGPU_BACKEND`)
    pub backends: Option<wgpu::Backends>,
    /// Part of the adapter's name, in any case. (`WGPU_ADAPTER_NAME`) With feature `vgpu`, [`SOFTWARE`]
    /// means the device in software that comes with this crate, which nothing else chooses.
    pub name: Option<String>,
    /// Which of several GPUs to prefer. (`WGPU_POWER_PREF`)
    pub power: wgpu::PowerPreference,
    /// Whether a software driver may be taken where there is no GPU.
    pub software: bool,
}

impl AdapterChoice {
    /// Reads `WGPU_BACKEND`, `WGPU_ADAPTER_NAME` and `WGPU_POWER_PREF`.
    pub fn from_env() -> Result<Self> {
        let name = variable("WGPU_ADAPTER_NAME", "a part of an adapter's name")?;
        let mut choice = AdapterChoice { name, ..Self::default() };
        if let Some(value) = variable("WGPU_BACKEND", "a list of vulkan, metal, dx12, gl")? {
            let backends = wgpu::Backends::from_comma_list(&value);
            let known = |name: &str| !wgpu::Backends::from_comma_list(name).is_empty();
            if !value.split(',').all(known) {
                return Err(Error::Setting {
                    name: "WGPU_BACKEND".into(),
                    value,
                    expected: "a list of vulkan, metal, dx12, gl".into(),
                });
            }
            choice.backends = Some(backends);
        }
        if let Some(value) = variable("WGPU_POWER_PREF", "low, high or none")? {
            choice.power = match value.to_ascii_lowercase().as_str() {
                "none" => wgpu::PowerPreference::None,
                "low" => wgpu::PowerPreference::LowPower,
                "high" => wgpu::PowerPreference::HighPerformance,
                _ => {
                    return Err(Error::Setting {
                        name: "WGPU_POWER_PREF".into(),
                        value,
                        expected: "low, high or none".into(),
                    });
                }
            };
        }
        Ok(choice)
    }

    /// The instance this choice looks for adapters in, as a description: a window adds its
    /// display's handle, from which some systems make surfaces.
    pub fn instance(&self) -> wgpu::InstanceDescriptor {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = self.backends.unwrap_or(wgpu::Backends::all());
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        descriptor
    }

    /// The best adapter of an instance that fits this choice, and that can present to `surface`
    /// where there is one. For [`Context::on_adapter`](crate::Context::on_adapter).
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with the adapters that were seen.
    pub async fn adapter(
        &self,
        instance: &wgpu::Instance,
        surface: Option<&wgpu::Surface<'_>>,
    ) -> Result<Adapter> {
        let seen = ranked(instance, self).await;
        let Some(surface) = surface else { return choose(seen, self).map(Adapter::from) };
        let (fit, unfit): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|adapter| adapter.is_surface_supported(surface));
        if fit.is_empty() && !unfit.is_empty() {
            return Err(Error::NoAdapter {
                reason: "none can present to this window".into(),
                found: unfit.iter().map(|adapter| describe(&adapter.get_info())).collect(),
            });
        }
        choose(fit, self).map(Adapter::from)
    }

    /// The best adapter of this machine. One in software stops kernels that outlast `timeout` twice, and
    /// runs them under the sanitizer if `check` is set.
    pub(crate) async fn pick(&self, timeout: Duration, check: bool) -> Result<Adapter> {
        #[cfg(feature = "vgpu")]
        if self.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(SOFTWARE)) {
            return self.software(timeout, check).await;
        }
        let _ = (timeout, check);
        self.adapter(&wgpu::Instance::new(self.instance()), None).await
    }

    /// The device in software: an instance of its own for each context, whose time limit it has. Its
    /// limits are those that `gvpie-vgpu` gives its adapter: WebGPU's, and what its memory and its 32-bit
    /// addresses allow beyond them.
    #[cfg(feature = "vgpu")]
    async fn software(&self, timeout: Duration, check: bool) -> Result<Adapter> {
        let findings = Findings(check.then(gvpie_vgpu::wgpu::Collector::new));
        let instance = gvpie_vgpu::wgpu::instance(gvpie_vgpu::wgpu::Options {
            device: gvpie_vgpu::Options {
                // Who waits is told of it first; what still runs then is not left to run for ever.
                deadline: timeout.checked_mul(2),
                budget: u64::MAX,
                memory: crate::host::memory(check),
                ..Default::default()
            },
            check: findings.0.clone(),
            ..Default::default()
        });
        let instance = instance.map_err(|error| Error::Internal {
            what: "the device in software".into(),
            message: error.to_string(),
        })?;
        let any = AdapterChoice { software: true, ..AdapterChoice::default() };
        let adapter = choose(ranked(&instance, &any).await, &any)?;
        Ok(Adapter { adapter, findings })
    }
}

/// An environment variable, if it says anything; an error if what it says is not text.
pub(crate) fn variable(name: &str, expected: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(value)) => Err(Error::Setting {
            name: name.into(),
            value: value.to_string_lossy().into_owned(),
            expected: expected.into(),
        }),
    }
}

/// A GPU, or a software driver that stands in for one, of which no device has been opened yet.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) findings: Findings,
}

impl From<wgpu::Adapter> for Adapter {
    fn from(adapter: wgpu::Adapter) -> Self {
        Adapter { adapter, findings: Findings::default() }
    }
}

/// What the sanitizer finds in a device's kernels, where it looks on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings(#[cfg(feature = "vgpu")] Option<gvpie_vgpu::wgpu::Collector>);

impl Findings {
    /// Whether it looks on.
    pub fn is_on(&self) -> bool {
        #[cfg(feature = "vgpu")]
        return self.0.is_some();
        #[cfg(not(feature = "vgpu"))]
        false
    }

    /// An error if there is something new.
    pub fn check(&self) -> Result<()> {
        #[cfg(feature = "vgpu")]
        for checked in self.0.iter().flat_map(|collector| collector.take()) {
            let kernel = format!("{} of '{}'", checked.entry, checked.pipeline);
            crate::host::judge(&kernel, checked.source.as_deref().unwrap_or(""), &checked.report)?;
        }
        Ok(())
    }
}

/// Every adapter of this machine, in the order in which they would be chosen.
pub async fn adapters(choice: &AdapterChoice) -> Vec<wgpu::AdapterInfo> {
    ranked(&wgpu::Instance::new(choice.instance()), choice)
        .await
        .iter()
        .map(wgpu::Adapter::get_info)
        .collect()
}

async fn ranked(instance: &wgpu::Instance, choice: &AdapterChoice) -> Vec<wgpu::Adapter> {
    let backends = choice.backends.unwrap_or(wgpu::Backends::all());
    let mut adapters = instance.enumerate_adapters(backends).await;
    adapters.sort_by_key(|adapter| rank(&adapter.get_info(), choice.power));
    adapters
}

/// Smaller is better: real GPUs before software, the explicit APIs before OpenGL, whose drivers
/// cut long loops short.
fn rank(info: &wgpu::AdapterInfo, power: wgpu::PowerPreference) -> (u8, u8) {
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};
    let low_power = power == wgpu::PowerPreference::LowPower;
    let kind = match info.device_type {
        DiscreteGpu => u8::from(low_power),
        IntegratedGpu => u8::from(!low_power),
        VirtualGpu => 2,
        Other => 3,
        Cpu => 4,
    };
    (kind, u8::from(info.backend == wgpu::Backend::Gl))
}

/// `name (kind, back end)`.
pub(crate) fn describe(info: &wgpu::AdapterInfo) -> String {
    format!("{} ({}, {})", info.name, kind_name(info.device_type), info.backend)
}

fn kind_name(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "unknown kind",
    }
}

fn choose(adapters: Vec<wgpu::Adapter>, choice: &AdapterChoice) -> Result<wgpu::Adapter> {
    let infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
    let refuse =
        |reason: String| Error::NoAdapter { reason, found: infos.iter().map(describe).collect() };
    let named = |info: &wgpu::AdapterInfo| match &choice.name {
        Some(name) => info.name.to_lowercase().contains(&name.to_lowercase()),
        None => true,
    };
    let hardware = |info: &wgpu::AdapterInfo| info.device_type != wgpu::DeviceType::Cpu;
    let taken = infos.iter().position(|info| named(info) && (choice.software || hardware(info)));
    match (taken, &choice.name) {
        (Some(index), _) => adapters.into_iter().nth(index).ok_or_else(|| refuse("none".into())),
        (None, Some(name)) if !infos.iter().any(named) => {
            Err(refuse(format!("none is named '{name}'")))
        }
        _ if infos.is_empty() => Err(refuse("no driver was found".into())),
        _ => Err(refuse("only software drivers were found, which are used when asked for".into())),
    }
}
