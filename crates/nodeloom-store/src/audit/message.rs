//! The one encoding of what a MAC or a signature of the trail covers.

/// Fields one after the other, each after a byte that says whether it is there (1) or not (0)
/// and, if it is, its length as 4 bytes, most significant first. No two lists of fields give
/// the same bytes.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Forgets what was there and starts with the label.
    pub(super) fn begin(&mut self, label: &str) {
        self.0.clear();
        self.put(label.as_bytes());
    }

    pub(super) fn put(&mut self, field: &[u8]) {
        let length = u32::try_from(field.len()).expect("a database column is under 4 GiB");
        self.0.push(1);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
    }

    pub(super) fn put_optional(&mut self, field: Option<&[u8]>) {
        match field {
            Some(field) => self.put(field),
            None => self.0.push(0),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
