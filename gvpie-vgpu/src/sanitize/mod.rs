//! The sanitizer: who looks on as a kernel is interpreted, and reports what no correct kernel does.
//!
//! * **Races**: two lanes reach the same word, one of them to write, and no barrier is between them. Lanes of
//!   one workgroup are ordered by `workgroupBarrier` in workgroup memory, by `storageBarrier` in buffers and
//!   by `textureBarrier` in storage textures; lanes of a subgroup by `subgroupBarrier` too; lanes of different workgroups by nothing. Atomics do not
//!   race with atomics.
//! * **Indices** past the end of an array: WGSL moves them, hardly as meant; texels outside a texture.
//! * **Workgroup memory** that is read before anything was written: zero, as WGSL has it, and seldom as meant.
//! * **Barriers** that not all lanes come to, **integers divided by zero**, and the first **NaN** that comes
//!   of operands that are none.
//! * **Traffic**: how many sectors of memory, or turns of banks, each access takes, and how few would do.
//!
//! Workgroups run one after another on one thread, so that reports are the same each time; races are found
//! whatever the order, as every access is held against those that nothing orders.

mod report;
mod shadow;
#[cfg(test)]
mod tests;
mod traffic;

pub use report::{Finding, Kind, Party, Report, Traffic};

use crate::interp::{Access, Dispatch, Mask, Reach, RunError, Texels, Watch};
use crate::ir::{BindingKind, Kernel, Memory, Scope, Span, Where};
use shadow::{Clock, Mark, Shadow, Space};
use std::collections::HashMap;

/// Findings kept at most: by then the first ones matter.
const MAX_FINDINGS: usize = 1000;

/// Who looks on at one dispatch.
#[derive(Debug)]
pub(crate) struct Sanitizer {
    kernel: Kernel,
    clock: Clock,
    /// One for each binding that the kernel writes to.
    buffers: Vec<Option<Shadow>>,
    workgroup: Shadow,
    /// The workgroups so far, and when each began.
    begun: Vec<(u32, [u32; 3])>,
    /// Places in the source that have been met, and their numbers.
    sites: HashMap<Span, u32>,
    spans: Vec<Span>,
    findings: Vec<Finding>,
    /// Findings by kind and places: each pair is told once.
    known: HashMap<(u8, Span, Span), usize>,
    nan: bool,
    traffic: HashMap<(Span, Memory), Traffic>,
}

impl Sanitizer {
    /// For a dispatch of a kernel.
    ///
    /// # Errors
    /// More bytes for shadows than `limit`.
    pub(crate) fn new(
        kernel: &Kernel,
        subgroup: usize,
        dispatch: &Dispatch,
        limit: u64,
    ) -> Result<Sanitizer, RunError> {
        let shift = |memory| {
            let halves = shadow::has_halves(&kernel.body, memory, &kernel.values);
            if halves { 1 } else { 2 }
        };
        let given = dispatch.bindings.iter().zip(&dispatch.textures);
        let sizes = kernel.bindings.iter().zip(given).enumerate().map(|(number, (b, given))| {
            let (BindingKind::Buffer { writes, .. } | BindingKind::Texture { writes, .. }) = b.kind;
            writes.then(|| match given {
                (_, Some(texture)) => (texture.bytes(), texture.format().bytes().ilog2()),
                (bound, None) => (bound.bytes(), shift(Memory::Binding(number as u32))),
            })
        });
        let sizes: Vec<Option<(u64, u32)>> = sizes.collect();
        let workgroup = (kernel.workgroup_bytes.into(), shift(Memory::Workgroup));
        let bytes = |(bytes, shift)| Shadow::bytes(bytes, shift);
        let found = sizes.iter().flatten().copied().map(bytes).sum::<u64>() + bytes(workgroup);
        if found > limit {
            return Err(RunError::Memory {
                what: "the sanitizer's shadows",
                expected: limit,
                found,
            });
        }
        let shadow = |(bytes, shift): (u64, u32)| Shadow::new(bytes, shift);
        let lanes = kernel.workgroup.iter().product::<u32>() as usize;
        Ok(Sanitizer {
            kernel: kernel.clone(),
            clock: Clock::new(subgroup, lanes),
            buffers: sizes.into_iter().map(|size| size.map(shadow)).collect(),
            workgroup: shadow(workgroup),
            begun: Vec::new(),
            sites: HashMap::new(),
            spans: Vec::new(),
            findings: Vec::new(),
            known: HashMap::new(),
            nan: false,
            traffic: HashMap::new(),
        })
    }

    /// What was found, in the order of the dispatch.
    pub(crate) fn report(self) -> Report {
        let mut traffic: Vec<Traffic> = self.traffic.into_values().collect();
        traffic.sort_by_key(|traffic| (traffic.span.start, traffic.span.end));
        Report { findings: self.findings, traffic }
    }

    /// Notes a finding, or counts it to one that is known.
    fn find(&mut self, kind: Kind, lane: usize, span: Span) {
        let other = match &kind {
            Kind::Race { other, .. } => other.span,
            _ => Span::default(),
        };
        if let Some(known) = self.known.get(&(kind.number(), span, other)) {
            self.findings[*known].count += 1;
        } else if self.findings.len() < MAX_FINDINGS {
            self.known.insert((kind.number(), span, other), self.findings.len());
            let workgroup = self.begun.last().map_or([0; 3], |(_, id)| *id);
            self.findings.push(Finding { kind, span, workgroup, lane: lane as u32, count: 1 });
        }
    }

    fn site(&mut self, span: Span) -> u32 {
        *self.sites.entry(span).or_insert_with(|| {
            self.spans.push(span);
            self.spans.len() as u32 - 1
        })
    }

    /// Who has left a mark.
    fn party(&self, mark: Mark, writes: bool) -> Party {
        let begun = self.begun.partition_point(|(time, _)| *time <= mark.time());
        let workgroup = begun.checked_sub(1).map_or([0; 3], |at| self.begun[at].1);
        let span = self.spans.get(mark.site() as usize).copied().unwrap_or_default();
        Party { span, workgroup, lane: mark.lane(), writes }
    }

    /// The source's name of what is at an address.
    fn name(&self, memory: Memory, address: u32) -> String {
        let holds = |at: Where| match at {
            Where::Workgroup(start, count, ty) => {
                address >= start
                    && u64::from(address - start) < u64::from(count) * u64::from(ty.bytes())
            }
            _ => false,
        };
        match memory {
            Memory::Binding(number) => self.kernel.bindings[number as usize].name.clone(),
            _ => {
                let variable = self.kernel.variables.iter().find(|variable| holds(variable.at));
                variable.map_or("workgroup memory".into(), |variable| variable.name.clone())
            }
        }
    }

    /// Holds accesses against those before them.
    fn races(&mut self, access: &Access<'_>, space: Space, mut shadow: Shadow) -> Shadow {
        let site = self.site(access.span);
        let writes = !matches!(access.reach, Reach::Read | Reach::Atomic { writes: false });
        access.mask.each(|lane| {
            let address = access.addresses[lane];
            let mark = self.clock.mark(lane, site);
            let seen = shadow.reach(&self.clock, access.reach, mark, address, access.bytes, space);
            if let Some((mark, other_writes)) = seen.conflict {
                let other = self.party(mark, other_writes);
                let memory = self.name(access.memory, address);
                self.find(Kind::Race { memory, address, writes, other }, lane, access.span);
            }
            if seen.unwritten && space == Space::Workgroup && access.reach == Reach::Read {
                let memory = self.name(access.memory, address);
                self.find(Kind::Uninitialised { memory, address }, lane, access.span);
            }
        });
        shadow
    }

    /// The same, of what is bound; nothing of what the kernel only reads.
    fn bound_races(&mut self, access: &Access<'_>, space: Space, number: u32) {
        let empty = Shadow::new(0, 2);
        if let Some(shadow) = &mut self.buffers[number as usize] {
            let shadow = std::mem::replace(shadow, empty);
            self.buffers[number as usize] = Some(self.races(access, space, shadow));
        }
    }
}

impl Watch for Sanitizer {
    const ACTIVE: bool = true;

    fn begin(&mut self, workgroup: [u32; 3]) {
        self.begun.push((self.clock.begin(), workgroup));
    }

    fn access(&mut self, access: Access<'_>) {
        match access.memory {
            Memory::Private | Memory::Immediate => return,
            Memory::Workgroup => {
                let shadow = std::mem::replace(&mut self.workgroup, Shadow::new(0, 2));
                self.workgroup = self.races(&access, Space::Workgroup, shadow);
            }
            Memory::Binding(number) => self.bound_races(&access, Space::Storage, number),
        }
        let (span, memory) = (access.span, access.memory);
        let traffic =
            self.traffic.entry((span, memory)).or_insert_with(|| Traffic::new(span, memory));
        traffic::count(traffic, &access, self.clock.subgroup());
    }

    fn texels(&mut self, texels: Texels<'_>) {
        let texture = texels.texture;
        let mut inside = *texels.mask;
        let mut addresses = vec![0; texels.at.len()];
        texels.mask.each(|lane| {
            let (at, level) = texels.at[lane];
            // A texture has less than 4 GiB.
            if let Some(offset) = texture.offset(at, level) {
                addresses[lane] = offset as u32;
                return;
            }
            inside = inside.without(&Mask::one(lane));
            let wide = |k: usize| match texels.signed[k] {
                true => (at[k] as i32).into(),
                false => at[k].into(),
            };
            let name = self.kernel.bindings[texels.binding as usize].name.clone();
            let (at, size) = ([0, 1, 2].map(wide), texture.size(level));
            let kind = Kind::OutsideTexture { texture: name, at, level, size };
            self.find(kind, lane, texels.span);
        });
        let access = Access {
            memory: Memory::Binding(texels.binding),
            reach: texels.reach,
            bytes: texture.format().bytes(),
            addresses: &addresses,
            mask: &inside,
            span: texels.span,
        };
        self.bound_races(&access, Space::Texture, texels.binding);
    }

    fn barrier(&mut self, scope: Scope, mask: &Mask, missing: Option<usize>, span: Span) -> bool {
        if let Some(lane) = missing {
            self.find(Kind::Divergent, lane, span);
        }
        self.clock.barrier(scope, mask);
        true
    }

    fn bound(&mut self, indices: &[u32], length: u32, mask: &Mask, span: Span) {
        mask.each(|lane| {
            let index = indices[lane];
            if index >= length {
                self.find(Kind::OutOfBounds { index, length }, lane, span);
            }
        });
    }

    fn divided_by_zero(&mut self, lanes: &Mask, span: Span) {
        lanes.lanes().for_each(|lane| self.find(Kind::DividedByZero, lane, span));
    }

    fn not_a_number(&mut self, lanes: &Mask, span: Span) {
        if !std::mem::replace(&mut self.nan, true) {
            lanes.lanes().take(1).for_each(|lane| self.find(Kind::NotANumber, lane, span));
        }
    }
}
