//! The page for people, from within the program.

use super::App;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Nothing from elsewhere, and nothing that a text could smuggle in.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; \
    script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Name, kind and content of each file.
macro_rules! files {
    ($($name:literal $kind:tt)*) => {
        [$(($name, $kind, include_str!(concat!("page/", $name)))),*]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const FILES: &[(&str, &str, &str)] = &files! {
    "index.html" "text/html; charset=utf-8"
    "icon.svg" "image/svg+xml"
    "style.css" STYLE
    "program.css" STYLE
    "views.css" STYLE
    "theme.js" SCRIPT
    "app.js" SCRIPT
    "api.js" SCRIPT
    "dom.js" SCRIPT
    "editor.js" SCRIPT
    "events.js" SCRIPT
    "goals.js" SCRIPT
    "map.js" SCRIPT
    "plane.js" SCRIPT
    "program.js" SCRIPT
    "screen.js" SCRIPT
    "scripts.js" SCRIPT
    "status.js" SCRIPT
    "syntax.js" SCRIPT
    "wall.js" SCRIPT
};

fn file(kind: &'static str, content: &'static str) -> Response {
    let mut response = content.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The page at `/`, and what belongs to it.
pub fn routes() -> Router<App> {
    let mut router = Router::new();
    for &(name, kind, content) in FILES {
        let path = if name == "index.html" { "/".into() } else { format!("/page/{name}") };
        router = router.route(&path, get(move || async move { file(kind, content) }));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::FILES;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/runtime/page");
        let entries = std::fs::read_dir(folder).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut found: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        let mut served: Vec<_> = FILES.iter().map(|(name, ..)| (*name).to_string()).collect();
        found.sort();
        served.sort();
        assert_eq!(found, served);
    }

    #[test]
    fn what_the_page_is_made_of_obeys_its_policy() {
        let forbidden =
            [" style=", " onclick=", "innerHTML", "insertAdjacentHTML", "eval(", "http:", "https:"];
        for (name, _, content) in FILES.iter().filter(|(name, ..)| !name.ends_with(".svg")) {
            for word in forbidden {
                assert!(!content.contains(word), "{name} has {word}");
            }
        }
    }

    #[test]
    fn what_the_page_asks_for_is_there() {
        for (file, _, content) in FILES {
            let quoted = content.split('"');
            let own = quoted
                .filter_map(|text| text.strip_prefix("/page/").or_else(|| text.strip_prefix("./")));
            for name in own {
                assert!(FILES.iter().any(|(served, ..)| *served == name), "{file} asks for {name}");
            }
        }
    }
}
