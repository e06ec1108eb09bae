//! Options of dnsmasq that make names resolve to nothing: `address=/name/0.0.0.0`.

use super::entry;
use super::report::Unread;
use crate::pattern::Pattern;

/// Tells whether a line is one that only such a file has.
pub(super) fn is_line(line: &str) -> bool {
    OPTIONS
        .iter()
        .any(|option| line.strip_prefix(option).is_some_and(|rest| rest.starts_with("=/")))
}

/// Hands out the names of a line.
///
/// `server=/name/192.0.2.1` sends questions elsewhere, and so blocks nothing.
pub(super) fn entries(line: &str, each: &mut dyn FnMut(Pattern)) -> Result<(), Unread> {
    let (option, value) =
        line.split_once('=').ok_or(Unread::Because("is not an option of dnsmasq"))?;
    let is_meant = OPTIONS.contains(&option);
    let Some((names, target)) =
        value.strip_prefix('/').and_then(|value| value.rsplit_once('/')).filter(|_| is_meant)
    else {
        return Err(Unread::SaysNothing);
    };
    // Any name at all, or none with a dot: not a list.
    if (option == "server" && !target.is_empty()) || matches!(names, "" | "#") {
        return Err(Unread::SaysNothing);
    }
    names.split('/').try_for_each(|name| {
        each(entry::pattern(name)?);
        Ok(())
    })
}

const OPTIONS: [&str; 3] = ["address", "server", "local"];
