//! The optional second factor: one-time codes of an authenticator app, and recovery codes for the
//! day it is lost.

use data_encoding::BASE32_NOPAD;
use nodeloom_crypto::{Binding, INSTANCE, Secret, totp};
use nodeloom_domain::{
    FieldErrors, RecoveryCodeId, SealedValueId, TeamId, UserId,
    audit::AuditEvent,
    policy::{self, Action, Actor, Permit, Resource},
};
use nodeloom_store::{RecoveryCodeRow, SealedRow, SealedState, TOTP_KIND, Tx, UserRow};
use serde::Serialize;

use super::random_secret;
use crate::{App, AppError, Ctx};

/// The field of the secret in use.
const SECRET: &str = "secret";
/// The field of one that is offered and not confirmed.
const OFFERED: &str = "offered";
/// How many recovery codes there are.
const CODES: usize = 10;
/// Random bytes of a recovery code: 80 bits, 16 characters.
const CODE_BYTES: usize = 10;
/// The kind that a recovery code's tag is computed for.
const CODE_KIND: &str = "recovery-code";

/// How one's second factor stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondFactor {
    /// Whether a code is asked for at sign-in.
    pub is_on: bool,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: usize,
}

/// A secret for an authenticator app. Nothing is on before it is confirmed.
pub struct OfferedSecret {
    /// The secret in Base32, to be typed.
    pub secret: Secret<String>,
    /// The same as an `otpauth:` address, to be shown as a QR code.
    pub uri: Secret<String>,
}

/// Which factor a code was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    /// A code of the app.
    Totp,
    /// A recovery code.
    Recovery,
}

impl Factor {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Recovery => "recovery-code",
        }
    }
}

fn place(user: UserId, field: &'static str, generation: u64) -> Binding {
    Binding::of_record(INSTANCE, TOTP_KIND, *user.as_bytes(), field, generation)
}

/// Without spaces and hyphens, in capitals: as people copy codes.
fn plain(code: &Secret<String>) -> Secret<String> {
    // EXPOSE: from one secret into another.
    let text = code.expose();
    let kept = text.chars().filter(|c| !matches!(c, ' ' | '-'));
    Secret::new(kept.map(|c| c.to_ascii_uppercase()).collect())
}

/// At most 32 bytes from the operating system's generator.
fn random_bytes(count: usize) -> Result<Secret<Vec<u8>>, AppError> {
    let bytes = random_secret()?;
    // EXPOSE: cut to length, from one secret into another.
    Ok(Secret::new(bytes.expose()[..count].to_vec()))
}

fn wrong_code() -> AppError {
    let message = "is not the code of this moment, or was used before";
    FieldErrors::one("code", "wrong", message).into()
}

impl App {
    /// The person who asks, with a row of their own.
    async fn own_account(&self, ctx: &Ctx, action: Action) -> Result<(Actor, UserRow), AppError> {
        let actor = self.actor(ctx).await?;
        let user = actor.user_id().ok_or(AppError::Unauthenticated)?;
        let own = Resource::User(user);
        self.allow(&actor, action, own, ctx, None, self.now())
            .await?;
        let row = self.store().find_user(user).await?;
        Ok((actor, row.ok_or(AppError::Unauthenticated)?))
    }

    /// How one's own second factor stands.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] without a session.
    pub async fn second_factor(&self, ctx: &Ctx) -> Result<SecondFactor, AppError> {
        let (_, user) = self.own_account(ctx, Action::AccountRead).await?;
        let left = self.store().recovery_codes(user.id).await?.len();
        Ok(SecondFactor {
            is_on: user.totp_generation.is_some(),
            recovery_codes_left: left,
        })
    }

    /// Makes a secret for an authenticator app. A former offer ends; a second factor that is on
    /// stays as it is until the new secret is confirmed.
    ///
    /// # Errors
    /// [`AppError::Denied`] without a fresh proof of identity.
    pub async fn offer_second_factor(&self, ctx: &Ctx) -> Result<OfferedSecret, AppError> {
        let action = Action::TotpManage;
        let (_, user) = self.own_account(ctx, action).await?;
        let bytes = random_bytes(totp::SECRET_BYTES)?;

        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, Resource::User(user.id), now)?;
        tx.delete_totp_secrets(&permit, user.id, OFFERED).await?;
        self.seal_secret(&mut tx, user.id, OFFERED, 1, &bytes)
            .await?;
        let event = AuditEvent::new(now, actor.audited(), "totp.offer", &ctx.origin).on(
            "user",
            user.id.as_bytes(),
            &user.email,
        );
        self.commit(tx, &event).await?;
        // EXPOSE: shown once, to the person whose secret it is.
        let secret = BASE32_NOPAD.encode(bytes.expose());
        let account: String = url_escaped(&user.email);
        let uri = format!("otpauth://totp/nodeloom:{account}?secret={secret}&issuer=nodeloom");
        Ok(OfferedSecret {
            secret: Secret::new(secret),
            uri: Secret::new(uri),
        })
    }

    /// Turns the second factor on, by a code of the secret that was offered. Other sessions of
    /// the person end. Returns the recovery codes, which are shown this once.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `code` when it is wrong or nothing was offered;
    /// [`AppError::Denied`] without a fresh proof of identity.
    pub async fn confirm_second_factor(
        &self,
        ctx: &Ctx,
        code: &Secret<String>,
    ) -> Result<Vec<Secret<String>>, AppError> {
        let action = Action::TotpManage;
        let (_, user) = self.own_account(ctx, action).await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, Resource::User(user.id), now)?;
        let user = tx
            .find_user(user.id)
            .await?
            .ok_or(AppError::Unauthenticated)?;
        let offered = self.open_secret(&mut tx, user.id, OFFERED, 1).await?;
        let offered = offered.ok_or_else(wrong_code)?;
        let at = totp::step_at(now.as_micros().div_euclid(1_000_000));
        // EXPOSE: compared in constant time.
        let step = totp::matching_step(offered.expose(), plain(code).expose().as_bytes(), at);
        let step = step.ok_or_else(wrong_code)?;
        let generation = user.totp_generation.unwrap_or(0) + 1;
        tx.delete_totp_secrets(&permit, user.id, OFFERED).await?;
        tx.delete_totp_secrets(&permit, user.id, SECRET).await?;
        self.seal_secret(&mut tx, user.id, SECRET, generation, &offered)
            .await?;
        tx.set_totp(&permit, user.id, Some(generation), Some(step), now)
            .await?;
        let codes = self.new_codes(&mut tx, &permit, user.id).await?;
        let ended = self.end_others(&mut tx, ctx, user.id).await?;
        let event = AuditEvent::new(now, actor.audited(), "totp.enable", &ctx.origin)
            .on("user", user.id.as_bytes(), &user.email)
            .with("otherSessionsEnded", ended);
        self.commit(tx, &event).await?;
        Ok(codes)
    }

    /// New recovery codes in the place of all former ones, shown this once.
    ///
    /// # Errors
    /// [`AppError::NotFound`] without a second factor; [`AppError::Denied`] without a fresh
    /// proof of identity.
    pub async fn renew_recovery_codes(&self, ctx: &Ctx) -> Result<Vec<Secret<String>>, AppError> {
        let action = Action::TotpManage;
        let (_, user) = self.own_account(ctx, action).await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, Resource::User(user.id), now)?;
        let user = tx
            .find_user(user.id)
            .await?
            .ok_or(AppError::Unauthenticated)?;
        if user.totp_generation.is_none() {
            return Err(AppError::NotFound);
        }
        let codes = self.new_codes(&mut tx, &permit, user.id).await?;
        let event = AuditEvent::new(now, actor.audited(), "totp.recovery-codes", &ctx.origin).on(
            "user",
            user.id.as_bytes(),
            &user.email,
        );
        self.commit(tx, &event).await?;
        Ok(codes)
    }

    /// Turns one's own second factor off.
    ///
    /// # Errors
    /// [`AppError::NotFound`] without one; [`AppError::Denied`] without a fresh proof of
    /// identity, which asks for a code as well.
    pub async fn remove_second_factor(&self, ctx: &Ctx) -> Result<(), AppError> {
        let action = Action::TotpManage;
        let (_, user) = self.own_account(ctx, action).await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, Resource::User(user.id), now)?;
        self.turn_off(&mut tx, &permit, user.id).await?;
        let event = AuditEvent::new(now, actor.audited(), "totp.disable", &ctx.origin).on(
            "user",
            user.id.as_bytes(),
            &user.email,
        );
        self.commit(tx, &event).await
    }

    /// Turns off the second factor of somebody who lost it; their sessions end.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown person or one without a second factor;
    /// [`AppError::Denied`] to all but administrators of the instance and operators.
    pub async fn reset_second_factor(&self, ctx: &Ctx, user: UserId) -> Result<(), AppError> {
        let action = Action::SessionAdminister;
        let actor = self.actor(ctx).await?;
        let instance = Resource::Instance;
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, instance, now)?;
        let row = tx.find_user(user).await?.ok_or(AppError::NotFound)?;
        self.turn_off(&mut tx, &permit, user).await?;
        let ended = tx.delete_sessions_of(&permit, user).await?;
        let event = AuditEvent::new(now, actor.audited(), "totp.reset", &ctx.origin)
            .on("user", user.as_bytes(), row.email)
            .with("sessionsEnded", ended);
        self.commit(tx, &event).await
    }

    async fn turn_off(&self, tx: &mut Tx, permit: &Permit, user: UserId) -> Result<(), AppError> {
        let row = tx.find_user(user).await?.ok_or(AppError::NotFound)?;
        if row.totp_generation.is_none() {
            return Err(AppError::NotFound);
        }
        tx.set_totp(permit, user, None, None, self.now()).await?;
        tx.delete_totp_secrets(permit, user, SECRET).await?;
        tx.delete_totp_secrets(permit, user, OFFERED).await?;
        Ok(tx.replace_recovery_codes(permit, user, &[]).await?)
    }

    /// Checks the code of somebody who has a second factor, and uses it up.
    ///
    /// # Errors
    /// [`AppError::SecondFactorRequired`] without a code; [`AppError::SignInRefused`] for a
    /// wrong or used one.
    pub(super) async fn take_factor(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        user: UserId,
        code: Option<&Secret<String>>,
    ) -> Result<Option<Factor>, AppError> {
        // By the row as this transaction sees it: it may have been turned on a moment ago.
        let row = tx.find_user(user).await?.ok_or(AppError::SignInRefused)?;
        let Some(generation) = row.totp_generation else {
            return Ok(None);
        };
        let Some(code) = code else {
            return Err(AppError::SecondFactorRequired);
        };
        let now = self.now();
        let code = plain(code);
        // EXPOSE: compared in constant time, or hashed under a key.
        let given = code.expose().as_bytes();
        if given.len() == 6 {
            let secret = self.open_secret(tx, user, SECRET, generation).await?;
            // What does not open is no reason to let anybody in.
            let secret = secret.ok_or(AppError::SignInRefused)?;
            let at = totp::step_at(now.as_micros().div_euclid(1_000_000));
            // EXPOSE: into the HMAC of the code.
            let step = totp::matching_step(secret.expose(), given, at);
            let step = step.ok_or(AppError::SignInRefused)?;
            if !tx.take_totp_step(permit, user, step).await? {
                return Err(AppError::SignInRefused);
            }
            return Ok(Some(Factor::Totp));
        }
        for row in tx.recovery_codes(user).await? {
            let is_it = self.keys().index_key(row.index_key_id).is_some_and(|key| {
                key.verify(
                    CODE_KIND,
                    row.id.as_bytes(),
                    user.as_bytes(),
                    given,
                    &row.tag,
                )
            });
            if is_it && tx.use_recovery_code(permit, &row, now).await? {
                return Ok(Some(Factor::Recovery));
            }
        }
        Err(AppError::SignInRefused)
    }

    async fn seal_secret(
        &self,
        tx: &mut Tx,
        user: UserId,
        field: &'static str,
        generation: u64,
        secret: &Secret<Vec<u8>>,
    ) -> Result<(), AppError> {
        let now = self.now();
        let place = place(user, field, generation);
        // EXPOSE: into the cipher.
        let (key_id, envelope) = self
            .keys()
            .seal_for_instance(tx, &place, secret.expose())
            .await?;
        let sealed = SealedRow {
            id: SealedValueId::generate(now),
            team_id: TeamId::from_bytes(INSTANCE),
            kind: TOTP_KIND.into(),
            owner_id: *user.as_bytes(),
            field: field.into(),
            generation,
            key_id,
            envelope,
            state: SealedState::Ok,
            reason: None,
            created_at: now,
        };
        Ok(tx.insert_sealed(&policy::housekeeping(), &sealed).await?)
    }

    async fn open_secret(
        &self,
        tx: &mut Tx,
        user: UserId,
        field: &'static str,
        generation: u64,
    ) -> Result<Option<Secret<Vec<u8>>>, AppError> {
        let team = TeamId::from_bytes(INSTANCE);
        let found = tx
            .find_sealed(team, TOTP_KIND, user.as_bytes(), field, generation)
            .await?;
        let Some(sealed) = found else {
            return Ok(None);
        };
        let place = place(user, field, generation);
        let opened = self.keys().open_in(tx, &place, &sealed.envelope).await?;
        if opened.is_err() {
            tracing::error!(user.id = %user, "a stored TOTP secret does not open");
        }
        Ok(opened.ok())
    }

    async fn new_codes(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        user: UserId,
    ) -> Result<Vec<Secret<String>>, AppError> {
        let now = self.now();
        let index = self.keys().index();
        let (mut codes, mut rows) = (Vec::new(), Vec::new());
        for _ in 0..CODES {
            let bytes = random_bytes(CODE_BYTES)?;
            // EXPOSE: shown once; its keyed hash is what stays.
            let plain = Secret::new(BASE32_NOPAD.encode(bytes.expose()));
            let id = RecoveryCodeId::generate(now);
            rows.push(RecoveryCodeRow {
                id,
                user_id: user,
                // EXPOSE: goes into the HMAC.
                tag: index.tag(
                    CODE_KIND,
                    id.as_bytes(),
                    user.as_bytes(),
                    plain.expose().as_bytes(),
                ),
                index_key_id: index.id(),
                created_at: now,
            });
            // EXPOSE: in groups of four, for people.
            let text = plain.expose();
            let groups = [&text[..4], &text[4..8], &text[8..12], &text[12..]];
            codes.push(Secret::new(groups.join("-")));
        }
        tx.replace_recovery_codes(permit, user, &rows).await?;
        Ok(codes)
    }

    /// Ends the sessions of a person but the one that asks, and says how many.
    async fn end_others(&self, tx: &mut Tx, ctx: &Ctx, user: UserId) -> Result<u64, AppError> {
        let permit = policy::signed_in(user);
        let own = match &ctx.who {
            crate::Who::Session(token) => Some(token.id()),
            crate::Who::Token(_) | crate::Who::Operator { .. } => None,
        };
        Ok(tx.delete_other_sessions(&permit, user, own).await?)
    }
}

/// RFC 3986: all but unreserved characters in percent form.
fn url_escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
