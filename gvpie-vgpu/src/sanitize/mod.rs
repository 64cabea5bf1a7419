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

use crate::interp::{Access, Dispatch, Mask, Reach, RunError, Shape, Texels, Watch};
use crate::ir::{BindingKind, Kernel, Memory, Scope, Span, Where};
use report::Sort;
use shadow::{Clock, Mark, Shadow, Space};
use std::collections::HashMap;

/// Findings kept at most: by then the first ones matter.
const MAX_FINDINGS: usize = 1000;

/// The other place of a finding that has but one.
const NOWHERE: Span = Span { start: 0, end: 0 };

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
    /// Where in the source each instruction that reaches memory is, by its number, and what it takes.
    sites: Vec<Option<Traffic>>,
    findings: Vec<Finding>,
    /// Findings by kind and places: each pair is told once.
    known: HashMap<(Sort, Span, Span), usize>,
    nan: bool,
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
        let groups = dispatch.workgroups.iter().map(|n| u64::from(*n)).product::<u64>();
        let begun = groups.saturating_mul(size_of::<(u32, [u32; 3])>() as u64);
        let shadows = sizes.iter().flatten().copied().map(bytes).sum::<u64>() + bytes(workgroup);
        let found = shadows.saturating_add(begun);
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
            clock: Clock::new(subgroup, lanes, shadow::orders_subgroups(&kernel.body)),
            buffers: sizes.into_iter().map(|size| size.map(shadow)).collect(),
            workgroup: shadow(workgroup),
            begun: Vec::new(),
            sites: Vec::new(),
            findings: Vec::new(),
            known: HashMap::new(),
            nan: false,
        })
    }

    /// What was found, in the order of the dispatch.
    pub(crate) fn report(self) -> Report {
        // Inlined functions and unrolled loops are several instructions of one place.
        let mut places: HashMap<(Span, Memory), Traffic> = HashMap::new();
        for site in self.sites.into_iter().flatten().filter(|site| site.accesses > 0) {
            let sum = places
                .entry((site.span, site.memory))
                .or_insert_with(|| Traffic::new(site.span, site.memory));
            sum.accesses += site.accesses;
            sum.taken += site.taken;
            sum.least += site.least;
        }
        let mut traffic: Vec<Traffic> = places.into_values().collect();
        traffic.sort_by_key(|traffic| (traffic.span.start, traffic.span.end));
        Report { findings: self.findings, traffic }
    }

    /// Notes a finding of a kind, or counts it to one that is known of these places.
    fn find(
        &mut self,
        lane: usize,
        span: Span,
        (sort, other): (Sort, Span),
        kind: impl FnOnce(&Sanitizer) -> Kind,
    ) {
        if let Some(known) = self.known.get(&(sort, span, other)) {
            self.findings[*known].count += 1;
        } else if self.findings.len() < MAX_FINDINGS {
            self.known.insert((sort, span, other), self.findings.len());
            let workgroup = self.begun.last().map_or([0; 3], |(_, id)| *id);
            let kind = kind(self);
            self.findings.push(Finding { kind, span, workgroup, lane: lane as u32, count: 1 });
        }
    }

    /// What an instruction takes.
    fn site(&mut self, access: &Access<'_>) -> &mut Traffic {
        let number = access.number as usize;
        if self.sites.len() <= number {
            self.sites.resize(number + 1, None);
        }
        self.sites[number].get_or_insert_with(|| Traffic::new(access.span, access.memory))
    }

    /// Who has left a mark.
    fn party(&self, mark: Mark, writes: bool) -> Party {
        let begun = self.begun.partition_point(|(time, _)| *time <= mark.time());
        let workgroup = begun.checked_sub(1).map_or([0; 3], |at| self.begun[at].1);
        let site = self.sites.get(mark.site() as usize).and_then(Option::as_ref);
        let span = site.map_or(Span::default(), |site| site.span);
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
        self.site(access);
        let first = self.clock.mark(access.number);
        let writes = !matches!(access.reach, Reach::Read | Reach::Atomic { writes: false });
        let mut met = Vec::new();
        shadow.reach(&self.clock, access, space, first, |lane, seen| met.push((lane, seen)));
        for (lane, seen) in met {
            let address = access.addresses[lane];
            if let Some((mark, other_writes)) = seen.conflict {
                let other = self.party(mark, other_writes);
                self.find(lane, access.span, (Sort::Race, other.span), |sanitizer| {
                    let memory = sanitizer.name(access.memory, address);
                    Kind::Race { memory, address, writes, other }
                });
            }
            if seen.unwritten && space == Space::Workgroup && access.reach == Reach::Read {
                self.find(lane, access.span, (Sort::Uninitialised, NOWHERE), |sanitizer| {
                    let memory = sanitizer.name(access.memory, address);
                    Kind::Uninitialised { memory, address }
                });
            }
        }
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
        let subgroup = self.clock.subgroup();
        traffic::count(self.site(&access), &access, subgroup);
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
            let at = [0, 1, 2].map(wide);
            self.find(lane, texels.span, (Sort::OutsideTexture, NOWHERE), |sanitizer| {
                let texture = sanitizer.name(Memory::Binding(texels.binding), 0);
                Kind::OutsideTexture { texture, at, level, size: texels.texture.size(level) }
            });
        });
        let access = Access {
            number: texels.number,
            memory: Memory::Binding(texels.binding),
            reach: texels.reach,
            bytes: texture.format().bytes(),
            addresses: &addresses,
            shape: Shape::Separate,
            range: inside.range(),
            mask: &inside,
            span: texels.span,
        };
        self.bound_races(&access, Space::Texture, texels.binding);
    }

    fn barrier(&mut self, scope: Scope, mask: &Mask, missing: Option<usize>, span: Span) -> bool {
        if let Some(lane) = missing {
            self.find(lane, span, (Sort::Divergent, NOWHERE), |_| Kind::Divergent);
        }
        self.clock.barrier(scope, mask);
        true
    }

    fn bound(&mut self, indices: &[u32], length: u32, mask: &Mask, span: Span) {
        // Mostly all are below it, which takes one look.
        if indices[mask.range()].iter().fold(true, |all, index| all & (*index < length)) {
            return;
        }
        for lane in mask.lanes().filter(|lane| indices[*lane] >= length) {
            let index = indices[lane];
            self.find(lane, span, (Sort::OutOfBounds, NOWHERE), |_| Kind::OutOfBounds {
                index,
                length,
            });
        }
    }

    fn divided_by_zero(&mut self, lanes: &Mask, span: Span) {
        for lane in lanes.lanes() {
            self.find(lane, span, (Sort::DividedByZero, NOWHERE), |_| Kind::DividedByZero);
        }
    }

    fn not_a_number(&mut self, lanes: &Mask, span: Span) {
        if !std::mem::replace(&mut self.nan, true) {
            for lane in lanes.lanes().take(1) {
                self.find(lane, span, (Sort::NotANumber, NOWHERE), |_| Kind::NotANumber);
            }
        }
    }
}
