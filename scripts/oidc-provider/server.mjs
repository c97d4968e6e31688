// An OpenID provider on loopback for tests: whoever enters an address is that person, whatever the
// password. Addresses that begin with "unverified" are not verified.
//
// usage: server.mjs PORT CLIENT_ID REDIRECT_URI, the client's secret in CLIENT_SECRET
//
// Prints "ready" once it listens.

import Provider from 'oidc-provider';

const [port, clientId, redirectUri] = process.argv.slice(2);

const provider = new Provider(`http://localhost:${port}`, {
  clients: [
    {
      client_id: clientId,
      client_secret: process.env.CLIENT_SECRET,
      redirect_uris: [redirectUri],
    },
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  // The claims stand in the ID token, as most providers have it.
  conformIdTokenClaims: false,
  cookies: { keys: ['loopback-only'] },
  pkce: { required: () => true },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: 'Bob Example',
      email: id,
      email_verified: !id.startsWith('unverified'),
    }),
  }),
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
