//! Textures: texels by their coordinates, without samplers.

use super::Lowerer;
use super::layout::scalar;
use crate::error::Result;
use crate::ir::*;
use naga::{Expression, Handle, ImageClass, ImageDimension, ImageQuery, TypeInner};
use std::rc::Rc;

impl Lowerer<'_> {
    /// What must be bound for a texture of this type.
    pub fn texture_kind(&self, inner: &TypeInner) -> Result<BindingKind> {
        let TypeInner::Image { dim, arrayed, class } = *inner else {
            return Err(self.unsupported(super::operators::kind(inner)));
        };
        let dimensions = match dim {
            ImageDimension::D1 => 1,
            ImageDimension::D2 => 2,
            ImageDimension::D3 => 3,
            ImageDimension::Cube => return Err(self.unsupported("a cube texture")),
        };
        let (kind, format, writes) = match class {
            ImageClass::Sampled { kind, multi: false } => (kind, None, false),
            ImageClass::Depth { multi: false } => (naga::ScalarKind::Float, None, false),
            ImageClass::Storage { format, access } => {
                let name = format!("{format:?}").to_lowercase();
                let writes = access.contains(naga::StorageAccess::STORE);
                (naga::Scalar::from(format).kind, Some(name), writes)
            }
            ImageClass::Sampled { multi: true, .. } | ImageClass::Depth { multi: true } => {
                return Err(self.unsupported("a multisampled texture"));
            }
            ImageClass::External => return Err(self.unsupported("an external texture")),
        };
        let width = match class {
            ImageClass::Storage { format, .. } => naga::Scalar::from(format).width,
            _ => 4,
        };
        let channel = scalar(naga::Scalar { kind, width });
        let channel = channel.ok_or_else(|| self.unsupported("texels of this type"))?;
        Ok(BindingKind::Texture { dimensions, arrayed, format, channel, writes })
    }

    /// How many dimensions a texture has, and the type of its channels.
    fn form(&self, texture: u32) -> (usize, Type) {
        match self.kernel.bindings[texture as usize].kind {
            BindingKind::Texture { dimensions, channel, .. } => (dimensions.into(), channel),
            BindingKind::Buffer { .. } => (0, Type::F32),
        }
    }

    fn coordinates(
        &mut self,
        coordinate: Handle<Expression>,
        layer: Option<Handle<Expression>>,
    ) -> Result<Vec<Value>> {
        let mut at = self.values(coordinate)?.to_vec();
        if let Some(layer) = layer {
            at.push(self.value(layer)?);
        }
        Ok(at)
    }

    /// `textureLoad`.
    pub fn texture_load(
        &mut self,
        image: Handle<Expression>,
        coordinate: Handle<Expression>,
        layer: Option<Handle<Expression>>,
        level: Option<Handle<Expression>>,
    ) -> Result<Rc<[Value]>> {
        let texture = self.texture(image)?;
        let at = self.coordinates(coordinate, layer)?;
        let level = level.map(|level| self.value(level)).transpose()?;
        let (_, channel) = self.form(texture);
        let first = self.insts(&[channel; 4], Op::TextureLoad { texture, at, level });
        let inner = self.frame.info[image].ty.inner_with(&self.module.types);
        let depth = matches!(inner, TypeInner::Image { class: ImageClass::Depth { .. }, .. });
        let count = if depth { 1 } else { 4 };
        Ok((first.0..first.0 + count).map(Value).collect())
    }

    /// `textureStore`.
    pub fn texture_store(
        &mut self,
        image: Handle<Expression>,
        coordinate: Handle<Expression>,
        layer: Option<Handle<Expression>>,
        value: Handle<Expression>,
    ) -> Result<()> {
        let texture = self.texture(image)?;
        let at = self.coordinates(coordinate, layer)?;
        let values = self.values(value)?;
        let value = [0, 1, 2, 3].map(|k| values[k]);
        self.effect(Op::TextureStore { texture, at, value });
        Ok(())
    }

    /// `textureDimensions` and `textureNumLayers`.
    pub fn texture_query(
        &mut self,
        image: Handle<Expression>,
        query: ImageQuery,
    ) -> Result<Rc<[Value]>> {
        let texture = self.texture(image)?;
        let level = match query {
            ImageQuery::Size { level } => level.map(|level| self.value(level)).transpose()?,
            ImageQuery::NumLayers => None,
            ImageQuery::NumLevels | ImageQuery::NumSamples => {
                return Err(self.unsupported("the number of levels or samples of a texture"));
            }
        };
        let first = self.insts(&[Type::U32; 3], Op::TextureSize { texture, level });
        let (dimensions, _) = self.form(texture);
        Ok(match query {
            ImageQuery::NumLayers => Rc::new([Value(first.0 + 2)]),
            _ => (first.0..first.0 + dimensions as u32).map(Value).collect(),
        })
    }
}
