//! What the browser loads beside the pages: styles, scripts, icons, embedded in the binary.
//!
//! `assets/build.mjs` names each file after its content, so an address never changes its meaning
//! and may be kept by the browser for ever. Nothing is compressed at run time.

use std::future::{Ready, ready};

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One file in its three encodings.
struct Asset {
    /// As templates name it, such as `console.css`.
    name: &'static str,
    /// Where it is served, with the hash of its content.
    url: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Returns the address of an asset: `console.css` is at `/assets/console.<hash>.css`.
///
/// A name that is not built gives an address that answers 404; a test asks for every one in use.
pub(crate) fn asset_url(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("/assets/missing", |asset| asset.url)
}

/// `GET /assets/{file}`: for everyone, signed in or not.
pub(crate) fn asset(Path(file): Path<String>, headers: HeaderMap) -> Ready<Response> {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    ready(serve(&file, accepted.unwrap_or_default()))
}

fn serve(file: &str, accept_encoding: &str) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.url.strip_prefix("/assets/") == Some(file))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let encoded = |coding, octets| {
        (headers.clone(), [(header::CONTENT_ENCODING, coding)], octets).into_response()
    };
    if accepts(accept_encoding, "br") {
        encoded("br", asset.brotli)
    } else if accepts(accept_encoding, "gzip") {
        encoded("gzip", asset.gzip)
    } else {
        (headers.clone(), asset.plain).into_response()
    }
}

/// Whether `Accept-Encoding` (RFC 9110 §12.5.3) names the coding with a weight other than 0. A
/// wildcard is not read: the plain file is right for it too.
fn accepts(accept_encoding: &str, coding: &str) -> bool {
    accept_encoding.split(',').any(|choice| {
        let (name, weight) = choice.split_once(';').unwrap_or((choice, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(coding) && weight.is_some_and(|weight| 0.0 < weight)
    })
}

/// Returns the ids in the icon sprite.
#[cfg(test)]
pub(crate) fn icon_names() -> Vec<&'static str> {
    let sprite = ASSETS.iter().find(|asset| asset.name == "icons.svg").unwrap();
    let text = std::str::from_utf8(sprite.plain).unwrap();
    text.split("<symbol id=\"").skip(1).map(|symbol| symbol.split('"').next().unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_encoding_that_is_accepted_is_served() {
        check("gzip, deflate, br, zstd", Some("br"));
        check("gzip;q=0.5, BR;q=1.0", Some("br"));
        check("br;q=0, gzip", Some("gzip"));
        check("gzip", Some("gzip"));
        check("br;q=0", None);
        check("brotli, *", None);
        check("", None);
    }

    #[track_caller]
    fn check(accept_encoding: &str, expected: Option<&str>) {
        let file = asset_url("console.css").strip_prefix("/assets/").unwrap();
        let response = serve(file, accept_encoding);
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(header::CONTENT_ENCODING), expected);
        assert_eq!(header(header::CONTENT_TYPE), Some("text/css; charset=utf-8"));
        assert_eq!(header(header::CACHE_CONTROL), Some("public, max-age=31536000, immutable"));
    }

    #[test]
    fn what_is_not_an_asset_is_not_found() {
        for file in ["console.css", "missing", "manifest.json", "../Cargo.toml", ""] {
            assert_eq!(serve(file, "br").status(), StatusCode::NOT_FOUND, "{file}");
        }
        let absent = asset(Path("missing".into()), HeaderMap::new()).into_inner();
        assert_eq!(absent.status(), StatusCode::NOT_FOUND);
    }
}
