//! What is shown, which is the same with and without a window: a text that is edited, or a program
//! that plays.

use crate::Failure;
use crate::content::Content;
use crate::editor::Key;
use crate::player::Player;
use crate::present::{self, Camera, Stage, View};
use crate::session::Session;
use glam::UVec2;
use gvpie_core::{Context, Result};
use std::borrow::Cow;
use std::path::PathBuf;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// Something for the editor, or for the program.
    Edit(Key),
    /// The other view of a text.
    ToggleView,
    /// A picture of the frame.
    Snapshot,
    /// The program from its beginning.
    Restart,
    /// The program stands still, or goes on.
    Pause,
}

/// A text or a program.
#[derive(Debug)]
pub enum Scene {
    /// A text.
    Text(Box<Session>),
    /// A program.
    Program(Box<Player>),
}

impl Scene {
    /// What a file holds, in a frame of so many pixels.
    pub fn new(
        content: Content,
        frame: UVec2,
        scale_factor: f64,
    ) -> std::result::Result<Self, Failure> {
        Ok(match content {
            Content::Text(text) => Scene::Text(Box::new(Session::new(&text, frame, scale_factor))),
            Content::Program(cartridge, file) => {
                Scene::Program(Box::new(Player::new(*cartridge, file, frame)?))
            }
        })
    }

    /// Another frame for the same.
    pub fn resize(&mut self, frame: UVec2, scale_factor: f64) {
        match self {
            Scene::Text(session) => session.resize(frame, scale_factor),
            Scene::Program(player) => player.resize(frame),
        }
    }

    /// Where the picture lies in the frame.
    pub fn camera(&self) -> &Camera {
        match self {
            Scene::Text(session) => session.camera(),
            Scene::Program(player) => player.camera(),
        }
    }

    /// What of it is shown.
    pub fn view(&self) -> View {
        match self {
            Scene::Text(session) => session.view(),
            Scene::Program(_) => View::Human,
        }
    }

    /// What the window is called.
    pub fn title(&self) -> String {
        match self {
            Scene::Text(_) => "gvpie".into(),
            Scene::Program(player) => player.title(),
        }
    }

    /// Does what the scene can do by itself; gives back what is left to do.
    pub fn press(&mut self, press: Press) -> std::result::Result<Option<Press>, Failure> {
        match (self, press) {
            (_, Press::Snapshot) => return Ok(Some(press)),
            (Scene::Text(session), Press::Edit(key)) => session.press(key),
            (Scene::Text(session), Press::ToggleView) => session.toggle_view(),
            (Scene::Program(player), Press::Edit(key)) => player.press(key),
            (Scene::Program(player), Press::Restart) => player.restart()?,
            (Scene::Program(player), Press::Pause) => player.pause()?,
            (Scene::Text(_), Press::Restart | Press::Pause)
            | (Scene::Program(_), Press::ToggleView) => {}
        }
        Ok(None)
    }

    /// Draws the texels on the stage, which is set anew where it does not fit.
    pub fn draw<'s>(&self, ctx: &Context, stage: &'s mut Option<Stage>) -> Result<&'s mut Stage> {
        let fits = stage.take().filter(|stage| stage.fits(self.camera()));
        let ready = match fits {
            Some(ready) => ready,
            None => Stage::new(ctx, self.camera())?,
        };
        let stage = stage.insert(ready);
        let texels = match self {
            Scene::Text(session) => Cow::Owned(session.screen()),
            Scene::Program(player) => Cow::Borrowed(player.picture()),
        };
        stage.draw(&texels)?;
        Ok(stage)
    }

    /// Draws, and returns the frame's pixels if they are `wanted`, which waits for the device.
    pub fn frame(
        &self,
        ctx: &Context,
        stage: &mut Option<Stage>,
        wanted: bool,
    ) -> Result<Vec<u32>> {
        let stage = self.draw(ctx, stage)?;
        if wanted { stage.snapshot(self.camera(), self.view()) } else { Ok(Vec::new()) }
    }

    /// Saves a frame under the first free name, and says which.
    pub fn save(&self, pixels: &[u32]) -> std::result::Result<(), Failure> {
        let names = (1_u32..).map(|n| PathBuf::from(format!("gvpie-{n}.png")));
        let Some(path) = names.into_iter().find(|path| !path.exists()) else {
            return Err(Failure::new("no name is free for a picture", "tidy the folder"));
        };
        present::save(&path, self.camera().frame, pixels)?;
        // A program has standard output for itself.
        match self {
            Scene::Text(_) => println!("saved {}", path.display()),
            Scene::Program(_) => eprintln!("saved {}", path.display()),
        }
        Ok(())
    }
}
