//! OpenID Connect sign-in against a provider made here, which can be told to misbehave.

mod provider;
mod refusals;
mod success;
