//! Credentials: everything about them but their values.

mod due;
mod index;
mod life;
mod read;
mod row;
mod write;

pub use due::{Due, ReminderRow};
pub use life::CredentialUseRow;
pub(crate) use row::{COLUMNS, credential_columns};
pub use row::{
    CredentialActivity, CredentialAttributes, CredentialRow, CredentialTestRow,
    CredentialVersionRow, DeletionRow, FieldChanges,
};
