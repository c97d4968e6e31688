//! `application/x-www-form-urlencoded`, RFC 6749 appendix B, without leaving copies of secrets.

use nodeloom_crypto::Secret;
use url::form_urlencoded::byte_serialize;

/// A form of these pairs, in this order. Its room is taken at the start, so that it never grows
/// and moves.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> Secret<String> {
    // A byte takes at most three characters.
    let room = pairs
        .iter()
        .map(|(name, value)| (name.len() + value.len()) * 3 + 2)
        .sum();
    let mut form = String::with_capacity(room);
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        form.extend(byte_serialize(name.as_bytes()));
        form.push('=');
        form.extend(byte_serialize(value.as_bytes()));
    }
    Secret::new(form)
}

/// `one:two` with each part form-encoded, as RFC 6749 section 2.3.1 asks before Base64.
pub(crate) fn encode_pair(one: &str, two: &str) -> Secret<String> {
    let mut text = String::with_capacity((one.len() + two.len()) * 3 + 1);
    text.extend(byte_serialize(one.as_bytes()));
    text.push(':');
    text.extend(byte_serialize(two.as_bytes()));
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_its_order_and_escapes_both_sides() {
        let form = encode(&[("a b", "1&2=3"), ("é", "+")]);
        assert_eq!(form.expose(), "a+b=1%262%3D3&%C3%A9=%2B");
    }

    #[test]
    fn a_colon_in_the_client_id_does_not_move_the_border() {
        assert_eq!(encode_pair("a:b", "c d%").expose(), "a%3Ab:c+d%25");
    }
}
