//! Texels: read and written by the lanes that take part, one by one.

use super::lanes::Register;
use super::step::Texel;
use super::watch::{Reach, Texels};
use super::{Group, RunError, Stop, Watch};
use crate::device::Texture;
use crate::ir::Span;

impl<W: Watch> Group<'_, W> {
    fn texture(&self, number: u32) -> Result<&Texture, Stop> {
        let texture = self.dispatch.textures.get(number as usize).and_then(Option::as_ref);
        texture.ok_or_else(|| RunError::Broken("a texture that nobody has bound".into()).into())
    }

    /// Where a lane's texel is: x, y, and z or the layer; and its level.
    fn texel_at(&self, what: &Texel, lane: usize) -> ([u32; 3], u32) {
        let word = |register: Register| self.registers.lane(false, register, lane) as u32;
        let mut at = [0; 3];
        // The layer of a texture of two dimensions is the third.
        at.iter_mut().zip(&what.at).for_each(|(at, (register, _))| *at = word(*register));
        (at, what.level.map_or(0, word))
    }

    fn show_texels(&mut self, what: &Texel, reach: Reach, span: Span) {
        if W::ACTIVE
            && let Some(texture) = &self.dispatch.textures[what.texture as usize]
        {
            let at: Vec<_> =
                (0..self.program.lanes).map(|lane| self.texel_at(what, lane)).collect();
            let mut signed = [false; 3];
            signed.iter_mut().zip(&what.at).for_each(|(to, (_, signed))| *to = *signed);
            let (number, binding, mask) = (what.number, what.texture, &self.mask);
            self.watch.texels(Texels {
                number,
                texture,
                binding,
                reach,
                at: &at,
                signed,
                mask,
                span,
            });
        }
    }

    pub(super) fn texture_load(
        &mut self,
        what: &Texel,
        out: [Register; 4],
        span: Span,
    ) -> Result<(), Stop> {
        self.show_texels(what, Reach::Read, span);
        let mask = self.mask;
        for lane in mask.lanes() {
            let (at, level) = self.texel_at(what, lane);
            let channels = self.texture(what.texture)?.load(at, level);
            for (out, channel) in out.iter().zip(channels) {
                self.registers.of_mut::<u32>(*out)[lane] = channel;
            }
        }
        Ok(())
    }

    /// In the order of the lanes.
    pub(super) fn texture_store(
        &mut self,
        what: &Texel,
        value: [Register; 4],
        span: Span,
    ) -> Result<(), Stop> {
        self.show_texels(what, Reach::Write, span);
        let texture = self.texture(what.texture)?;
        for lane in self.mask.lanes() {
            let channels = value.map(|a| self.registers.lane(false, a, lane) as u32);
            texture.store(self.texel_at(what, lane).0, channels);
        }
        Ok(())
    }

    pub(super) fn texture_size(
        &mut self,
        texture: u32,
        out: [Register; 3],
        level: Option<Register>,
    ) -> Result<(), Stop> {
        let mask = self.mask;
        for lane in mask.lanes() {
            let level = level.map_or(0, |level| self.registers.lane(false, level, lane) as u32);
            let size = self.texture(texture)?.size(level);
            for (out, texels) in out.iter().zip(size) {
                self.registers.of_mut::<u32>(*out)[lane] = texels;
            }
        }
        Ok(())
    }
}
