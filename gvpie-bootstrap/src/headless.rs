//! The window without a window: keys from the command line, the last frame to a file.

use crate::app::{Press, Session};
use crate::editor::Key;
use crate::{Failure, present};
use glam::UVec2;
use gvpie_core::{Backend, Context, ContextOptions, Error};
use std::path::Path;

/// What to do before the picture is taken.
#[derive(Debug)]
pub struct Script {
    /// What is pressed.
    pub keys: Vec<Press>,
    /// How many frames to draw; the keys are spread evenly over them.
    pub frames: u32,
}

/// Names that stand in braces.
const NAMES: [(&str, Press); 14] = [
    ("Enter", Press::Edit(Key::Enter)),
    ("Tab", Press::Edit(Key::Tab)),
    ("Backspace", Press::Edit(Key::Backspace)),
    ("Delete", Press::Edit(Key::Delete)),
    ("Left", Press::Edit(Key::Left)),
    ("Right", Press::Edit(Key::Right)),
    ("Up", Press::Edit(Key::Up)),
    ("Down", Press::Edit(Key::Down)),
    ("Home", Press::Edit(Key::Home)),
    ("End", Press::Edit(Key::End)),
    ("PageUp", Press::Edit(Key::PageUp)),
    ("PageDown", Press::Edit(Key::PageDown)),
    ("F2", Press::ToggleView),
    ("F12", Press::Snapshot),
];

/// Text to keys: `Hello{Enter}`, with `{{` for a brace.
pub fn parse_keys(text: &str) -> Result<Vec<Press>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let (next, press) = match first {
            '{' if after.starts_with('{') => (&after[1..], Press::Edit(Key::Char('{'))),
            '{' => {
                let Some((name, after)) = after.split_once('}') else {
                    return Err(format!("--keys: no '}}' closes '{rest}'; {{{{ types a brace"));
                };
                let Some((_, press)) = NAMES.iter().find(|(known, _)| *known == name) else {
                    let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                    let known = known.join(" ");
                    return Err(format!("--keys: no key is named '{name}'; there are {known}"));
                };
                (after, *press)
            }
            '\n' => (after, Press::Edit(Key::Enter)),
            '\t' => (after, Press::Edit(Key::Tab)),
            character => (after, Press::Edit(Key::Char(character))),
        };
        rest = next;
        keys.push(press);
    }
    Ok(keys)
}

/// Draws the frames, and writes the last to `out`.
pub fn run(
    text: &str,
    size: UVec2,
    scale: f64,
    script: &Script,
    backend: Option<Backend>,
    out: &Path,
) -> Result<(), Failure> {
    let options = ContextOptions { backend, ..ContextOptions::from_env()? };
    let mut open = || {
        let ctx = pollster::block_on(Context::request(options.clone()))?;
        if let Some(notice) = ctx.notice() {
            eprintln!("gvpie-bootstrap: {notice}");
        }
        Ok(ctx)
    };
    let mut session = Session::new(text, size, scale);
    let pixels = play(&mut session, script, &mut open)?;
    present::save(out, size, &pixels)
}

/// Types and draws; the last frame's pixels.
fn play(
    session: &mut Session,
    script: &Script,
    open: &mut dyn FnMut() -> gvpie_core::Result<Context>,
) -> Result<Vec<u32>, Failure> {
    let mut ctx = open()?;
    let mut stage = None;
    let frames = u64::from(script.frames);
    let share = |frame: u64| (script.keys.len() as u64 * frame / frames) as usize;
    let mut pixels = Vec::new();
    for frame in 0..frames {
        let mut snapshots = 0;
        for &press in &script.keys[share(frame)..share(frame + 1)] {
            snapshots += u32::from(session.press(press) == Some(Press::Snapshot));
        }
        let wanted = snapshots > 0 || frame + 1 == frames;
        let mut drawn = session.frame(&ctx, &mut stage, wanted);
        if let Err(Error::DeviceLost { .. }) = drawn {
            // The text is the host's: a new device draws what the lost one would have.
            stage = None;
            ctx = open()?;
            drawn = session.frame(&ctx, &mut stage, wanted);
        }
        pixels = drawn?;
        for _ in 0..snapshots {
            session.save(&pixels)?;
        }
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_and_names_in_braces() {
        let edit = |key| Press::Edit(key);
        assert_eq!(
            parse_keys("aé{Enter}{{}\n{F2}").unwrap(),
            [
                edit(Key::Char('a')),
                edit(Key::Char('é')),
                edit(Key::Enter),
                edit(Key::Char('{')),
                edit(Key::Char('}')),
                edit(Key::Enter),
                Press::ToggleView
            ]
        );
        assert_eq!(parse_keys("").unwrap(), []);
        let unknown = parse_keys("a{Entre}").unwrap_err();
        assert!(unknown.contains("'Entre'") && unknown.contains("PageDown"), "{unknown}");
        assert!(parse_keys("a{Enter").unwrap_err().contains("closes '{Enter'"));
    }

    #[test]
    fn frames_do_not_change_what_is_typed() {
        let keys = parse_keys("Hello{Enter}world{Left}{F2}{F2}").unwrap();
        let draw = |frames| {
            let mut session = Session::new("", UVec2::new(100, 60), 1.0);
            let script = Script { keys: keys.clone(), frames };
            play(&mut session, &script, &mut || Context::on(Backend::Cpu)).unwrap()
        };
        let once = draw(1);
        assert_eq!(once.len(), 6000);
        assert!(once.contains(&u32::MAX));
        assert_eq!(draw(3), once);
        assert_eq!(draw(40), once);
    }

    #[test]
    fn gpu_lost_is_replaced_and_the_text_is_intact() {
        let wish = std::env::var("GVPIE_GPU").unwrap_or_default();
        if wish == "off" {
            eprintln!("SKIPPED: GVPIE_GPU=off");
            return;
        }
        let first = match Context::on(Backend::Gpu) {
            Ok(first) => first,
            Err(error) => {
                assert_ne!(wish, "require", "GVPIE_GPU=require: {error}");
                eprintln!("SKIPPED: {error}");
                return;
            }
        };
        let keys = parse_keys("before").unwrap();
        let script = Script { keys, frames: 1 };
        let mut opened = 0;
        let mut open = || {
            opened += 1;
            if opened > 1 {
                return Context::on(Backend::Gpu);
            }
            if let Some(gpu) = first.device().gpu() {
                gpu.wgpu().destroy();
                let _ = gpu.wgpu().poll(gvpie_core::wgpu::PollType::Poll); // hears of it
            }
            Ok(first.clone())
        };
        let mut session = Session::new("", UVec2::new(200, 60), 1.0);
        let lost = play(&mut session, &script, &mut open).unwrap();
        assert_eq!(opened, 2);
        let mut session = Session::new("", UVec2::new(200, 60), 1.0);
        let host = play(&mut session, &script, &mut || Context::on(Backend::Cpu)).unwrap();
        assert_eq!(lost, host);
    }
}
