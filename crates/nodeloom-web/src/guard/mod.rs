//! What is checked of every request before a session or a body is looked at. Each
//! guard is a pure function of headers and settings.

pub(crate) mod client;
pub(crate) mod cookie;
pub(crate) mod csrf;
pub(crate) mod flow_cookie;
pub(crate) mod host;
pub(crate) mod rate;
pub(crate) mod request_id;
