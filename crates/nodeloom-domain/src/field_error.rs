//! What is wrong with one field of an input, and what would be right.

use std::fmt;

use serde::Serialize;

/// One refused field. `message` never repeats the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Path of the field, such as `name` or `data.apiKey`.
    pub field: String,
    /// Stable name of the rule, such as `required` or `unknown`.
    pub rule: String,
    /// One sentence that says what to do.
    pub message: String,
}

impl FieldError {
    /// A refusal of `field` by `rule`.
    pub fn new(field: impl Into<String>, rule: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            rule: rule.to_owned(),
            message: message.into(),
        }
    }
}

/// Every field that was refused; never empty inside an `Err`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// One refusal.
    pub fn one(field: impl Into<String>, rule: &str, message: impl Into<String>) -> Self {
        Self(vec![FieldError::new(field, rule, message)])
    }

    /// Adds a refusal.
    pub fn push(&mut self, field: impl Into<String>, rule: &str, message: impl Into<String>) {
        self.0.push(FieldError::new(field, rule, message));
    }

    /// `Ok` when nothing was refused.
    ///
    /// # Errors
    /// Itself, when there is at least one refusal.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
