//! How far each second sink has been given the trail. One process at a time delivers to a sink;
//! its lease ends by itself when the process does.

use nodeloom_domain::{
    Timestamp,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Param, signed},
    store::require,
};

impl Store {
    /// The last event that the sink `name` was given; nothing when it was given none yet.
    ///
    /// # Errors
    /// As any read.
    pub async fn sink_cursor(&self, name: &str) -> Result<Option<u64>, StoreError> {
        const SQL: &str = "SELECT sequence FROM audit_sink_cursor WHERE name = $1";
        let rows = self.fetch(SQL, &[name.into()]).await?;
        rows.first()
            .map(|row| row.columns("audit_sink_cursor").count())
            .transpose()
    }
}

impl Tx {
    /// Takes the delivery to the sink `name` for the process `owner` until `until`, or goes on
    /// with it. Returns the last event that was delivered; nothing while another process has it.
    /// Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn claim_sink(
        &mut self,
        permit: &Permit,
        name: &str,
        owner: &[u8; 16],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "a sink")?;
        // A new sink is given the whole trail.
        const ADD: &str = "INSERT INTO audit_sink_cursor (name, sequence, owner_id, lease_until) \
             VALUES ($1, 0, NULL, 0) ON CONFLICT (name) DO NOTHING";
        self.execute(ADD, &[name.into()]).await?;
        const CLAIM: &str = "UPDATE audit_sink_cursor SET owner_id = $2, lease_until = $4 \
             WHERE name = $1 AND (owner_id = $2 OR lease_until <= $3) RETURNING sequence";
        let params = [name.into(), Param::Bytes(owner), now.into(), until.into()];
        let rows = self.fetch(CLAIM, &params).await?;
        rows.first()
            .map(|row| row.columns("audit_sink_cursor").count())
            .transpose()
    }

    /// Notes that the sink has every event up to `sequence`. Says whether `owner` still had the
    /// delivery. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn advance_sink(
        &mut self,
        permit: &Permit,
        name: &str,
        owner: &[u8; 16],
        sequence: u64,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "a sink")?;
        const SQL: &str = "UPDATE audit_sink_cursor SET sequence = $3, lease_until = $4 \
             WHERE name = $1 AND owner_id = $2 AND sequence <= $3";
        let params = [
            name.into(),
            Param::Bytes(owner),
            signed(sequence)?.into(),
            until.into(),
        ];
        Ok(self.execute(SQL, &params).await? == 1)
    }

    /// Leaves the delivery to others, if `owner` has it. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn release_sink(
        &mut self,
        permit: &Permit,
        name: &str,
        owner: &[u8; 16],
    ) -> Result<(), StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "a sink")?;
        const SQL: &str = "UPDATE audit_sink_cursor SET owner_id = NULL, lease_until = 0 \
             WHERE name = $1 AND owner_id = $2";
        self.execute(SQL, &[name.into(), Param::Bytes(owner)])
            .await?;
        Ok(())
    }
}
