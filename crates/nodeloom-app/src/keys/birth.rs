//! New keys: random, wrapped under the root key, never derived from it.

use nodeloom_crypto::{AuditKey, KeyId, KeyMaterial, Purpose, RootKey};
use nodeloom_domain::{
    Clock, InstanceId, TeamId,
    audit::{ActorKind, AuditActor, AuditEvent, Origin},
    policy,
};
use nodeloom_store::{
    ConflictKind, DataKeyRow, InstanceRow, KeySlotRow, KeyState, RootKeyRow, RootState, Store,
    StoreError, TeamRow, Tx,
};

use super::{HeldRoots, roots::place};
use crate::{AppError, AuditSink};

/// Name of the team that a fresh instance begins with.
const FIRST_TEAM: &str = "Default";

/// The program's own voice in the audit trail.
pub(crate) fn system() -> AuditActor {
    AuditActor {
        kind: ActorKind::System,
        id: None,
        name: "nodeloom".into(),
    }
}

/// Makes everything that a fresh database lacks, in one transaction: instance, root
/// key record, the instance's keys, the first team and its key. Either all of it
/// stands afterwards or the database is still fresh.
///
/// Returns `false` when another process was quicker.
pub(crate) async fn instance(
    store: &Store,
    roots: &HeldRoots,
    clock: &Clock,
    origin: &Origin,
    sink: Option<&AuditSink>,
) -> Result<bool, AppError> {
    let now = clock.now();
    let permit = policy::housekeeping();
    let mut tx = store.begin().await?;
    if tx.instance().await?.is_some() {
        return Ok(false);
    }
    let id = InstanceId::generate(now);
    let row = InstanceRow {
        id,
        created_at: now,
    };
    match tx.insert_instance(&permit, &row).await {
        Ok(()) => {}
        // On PostgreSQL two transactions can both find none; the later one waits here.
        Err(StoreError::Conflict {
            kind: ConflictKind::Duplicate,
            ..
        }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    tx.insert_root(
        &permit,
        &RootKeyRow {
            id: roots.current().id(),
            state: RootState::Active,
            first_seen: now,
            last_seen: now,
            wrapped: None,
        },
    )
    .await?;
    let mut chain = None;
    for purpose in [Purpose::Seal, Purpose::Index, Purpose::Audit, Purpose::Sign] {
        let (key, material) = data_key(&mut tx, roots, None, purpose, clock).await?;
        if purpose == Purpose::Audit {
            chain = Some(AuditKey::new(key, material));
        }
    }
    let chain = chain.expect("the loop above makes an audit key");
    let team = TeamId::generate(now);
    let set_up = policy::first_admin(tx.count_users().await?)?;
    tx.insert_team(
        &set_up,
        &TeamRow {
            id: team,
            name: FIRST_TEAM.into(),
            created_at: now,
        },
    )
    .await?;
    data_key(&mut tx, roots, Some(team), Purpose::Seal, clock).await?;
    let events = [
        AuditEvent::new(now, system(), "instance.create", origin)
            .on("instance", id.as_bytes(), "instance")
            .with("rootId", roots.current().id().to_string()),
        AuditEvent::new(now, system(), "team.create", origin)
            .in_team(team)
            .on("team", team.as_bytes(), FIRST_TEAM),
    ];
    crate::audit::sink::commit_all(tx, &events, &chain, sink).await?;
    Ok(true)
}

/// Makes one data key with a slot under each root that is held and active, inside the caller's
/// transaction: replicas that hold only one of two roots open it alike.
///
/// # Errors
/// [`AppError::RootRetired`] when no held root is active any more.
pub(crate) async fn data_key(
    tx: &mut Tx,
    roots: &HeldRoots,
    team: Option<TeamId>,
    purpose: Purpose,
    clock: &Clock,
) -> Result<(KeyId, KeyMaterial), AppError> {
    let now = clock.now();
    let permit = policy::housekeeping();
    let active = tx.hold_active_roots().await?;
    let wrapping: Vec<&RootKey> = roots
        .iter()
        .filter(|root| active.contains(&root.id()))
        .collect();
    if wrapping.is_empty() {
        return Err(AppError::RootRetired {
            root: roots.current().id(),
        });
    }
    let (id, material) = (KeyId::generate()?, KeyMaterial::generate()?);
    let key = DataKeyRow {
        id,
        team_id: team,
        purpose,
        state: KeyState::Active,
        created_at: now,
    };
    tx.insert_data_key(&permit, &key).await?;
    for root in wrapping {
        let slot = KeySlotRow {
            data_key_id: id,
            root_id: root.id(),
            envelope: root.wrap_key(&place(&key), &material)?,
            created_at: now,
        };
        tx.insert_slot(&permit, &slot).await?;
    }
    Ok((id, material))
}
