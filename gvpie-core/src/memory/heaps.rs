//! What is left of a device's memory, which wgpu does not tell.

/// Bytes of the largest heap of the device's own memory that this process can still take, as the driver
/// tells; `None` where it does not.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn left(adapter: &wgpu::Adapter) -> Option<u64> {
    use ash::{ext::memory_budget, vk};
    // SAFETY: the adapter behind the guard is not destroyed here, and lives as long as the borrow.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = adapter.shared_instance();
    let told = adapter.physical_device_capabilities();
    let modern = instance.instance_api_version() >= vk::API_VERSION_1_1
        && told.properties().api_version >= vk::API_VERSION_1_1;
    if !modern || !told.supports_extension(memory_budget::NAME) {
        return None;
    }
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut memory = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
    // SAFETY: instance and physical device are alive, being the adapter's; the function is there since
    // both are of Vulkan 1.1; the extension, whose structure is chained, is there too, and a query
    // needs no device that has enabled it.
    unsafe {
        let device = adapter.raw_physical_device();
        instance.raw_instance().get_physical_device_memory_properties2(device, &mut memory);
    }
    let heaps = memory.memory_properties;
    let heaps = &heaps.memory_heaps[..heaps.memory_heap_count as usize];
    heaps
        .iter()
        .zip(budget.heap_budget.iter().zip(&budget.heap_usage))
        .filter(|(heap, _)| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL))
        .map(|(heap, (&most, &used))| most.min(heap.size).saturating_sub(used))
        .max()
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(crate) fn left(_: &wgpu::Adapter) -> Option<u64> {
    None
}
