//! The API: a file per noun. Routes and their document come from one place.

mod attributes;
mod audit;
mod auth;
mod credential;
mod credential_life;
mod credential_type;
mod idempotency;
mod invitation;
mod key;
mod precondition;
mod second_factor;
mod session;
mod setup;
mod single_sign_on;
mod team;
mod token;
mod user;

pub(crate) use single_sign_on::START;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{openapi, ops, state::WebState};

/// Every documented route.
pub(crate) fn router() -> OpenApiRouter<WebState> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(auth::login))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::me))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::reauthenticate))
        .routes(routes!(single_sign_on::methods))
        .routes(routes!(single_sign_on::start))
        .routes(routes!(single_sign_on::callback))
        .routes(routes!(auth::change_password))
        .routes(routes!(session::list))
        .routes(routes!(session::end))
        .routes(routes!(session::list_of_user, session::end_of_user))
        .routes(routes!(
            second_factor::read,
            second_factor::offer,
            second_factor::remove
        ))
        .routes(routes!(second_factor::confirm))
        .routes(routes!(second_factor::renew))
        .routes(routes!(second_factor::reset))
        .routes(routes!(setup::needed, setup::redeem))
        .routes(routes!(credential::list, credential::create))
        .routes(routes!(
            credential::read,
            credential::update,
            credential::delete
        ))
        .routes(routes!(credential::reveal))
        .routes(routes!(credential::tags))
        .routes(routes!(credential_life::versions))
        .routes(routes!(credential_life::restore))
        .routes(routes!(credential_life::usage))
        .routes(routes!(credential_life::test))
        .routes(routes!(credential_life::deleted))
        .routes(routes!(credential_life::due))
        .routes(routes!(credential_life::undelete))
        .routes(routes!(credential_life::purge))
        .routes(routes!(team::list, team::create))
        .routes(routes!(team::read, team::update, team::delete))
        .routes(routes!(team::members))
        .routes(routes!(team::grant, team::remove))
        .routes(routes!(credential_type::list))
        .routes(routes!(credential_type::read))
        .routes(routes!(token::list, token::create))
        .routes(routes!(token::revoke))
        .routes(routes!(invitation::list, invitation::create))
        .routes(routes!(invitation::revoke))
        .routes(routes!(invitation::read))
        .routes(routes!(invitation::accept))
        .routes(routes!(user::list, user::create))
        .routes(routes!(user::read, user::update, user::delete))
        .routes(routes!(user::deactivate))
        .routes(routes!(user::reactivate))
        .routes(routes!(key::status))
        .routes(routes!(audit::list))
        .routes(routes!(audit::read))
        .routes(routes!(audit::export))
        .routes(routes!(audit::verify))
        .routes(routes!(ops::openapi_json))
        .routes(routes!(ops::docs))
        .routes(routes!(ops::live))
        .routes(routes!(ops::ready))
        .routes(routes!(ops::metrics))
}
