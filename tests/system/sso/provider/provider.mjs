// A certified OpenID provider (oidc-provider) for the tests, and its faults.
//
//   node provider.mjs PORT KEY_ID CLIENTS MODULES
//   CLIENTS: JSON of oidc-provider's clients; MODULES: the folder with node_modules
//
// GET /control?account=NAME&claims=JSON   sets the claims of an account
// GET /control?fault=NAME                 the next ID tokens, or the keys, have this fault; empty: none
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, keyId, clients, modules] = process.argv.slice(2);
const load = async (name) => {
  const found = createRequire(`${modules}/index.js`).resolve(name);
  return import(pathToFileURL(found));
};
const { Provider } = await load('oidc-provider');
const jose = await load('jose');

const issuer = `http://localhost:${port}`;
const { privateKey, publicKey } = await jose.generateKeyPair('RS256', { extractable: true });
const stranger = await jose.generateKeyPair('RS256');
const key = { ...(await jose.exportJWK(privateKey)), kid: keyId, use: 'sig', alg: 'RS256' };

const accounts = {};
let fault = '';
let earlier;

const provider = new Provider(issuer, {
  clients: JSON.parse(clients),
  jwks: { keys: [key] },
  cookies: { keys: ['for the tests only'] },
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['preferred_username', 'name'],
    groups: ['groups'],
  },
  findAccount: async (_, sub) => ({ accountId: sub, claims: async () => ({ sub, ...accounts[sub] }) }),
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  pkce: { required: () => true },
  ttl: { Session: 3600, Grant: 3600, Interaction: 600, IdToken: 600, AccessToken: 600 },
});

// The same token with other claims, signed by the provider's own key.
async function resign(token, change, header = {}, signing = privateKey) {
  const claims = { ...jose.decodeJwt(token), ...change };
  for (const name of Object.keys(claims)) if (claims[name] === undefined) delete claims[name];
  const signed = new jose.SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: keyId, ...header });
  return signed.sign(signing);
}

const now = () => Math.floor(Date.now() / 1000);
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const faults = {
  issuer: (token) => resign(token, { iss: 'http://localhost:1' }),
  'issuer-slash': (token) => resign(token, { iss: `${issuer}/` }),
  audience: (token) => resign(token, { aud: 'another' }),
  'no-audience': (token) => resign(token, { aud: undefined }),
  shared: (token) => resign(token, { aud: ['vestibule', 'another'] }),
  party: (token) => resign(token, { azp: 'another' }),
  expired: (token) => resign(token, { exp: now() - 61, iat: now() - 300 }),
  endless: (token) => resign(token, { exp: undefined }),
  old: (token) => resign(token, { iat: now() - 3600 }),
  future: (token) => resign(token, { iat: now() + 300 }),
  'not-yet': (token) => resign(token, { nbf: now() + 300 }),
  nonce: (token) => resign(token, { nonce: 'another' }),
  'no-nonce': (token) => resign(token, { nonce: undefined }),
  'no-auth-time': (token) => resign(token, { auth_time: undefined }),
  'old-auth-time': (token) => resign(token, { auth_time: now() - 3600 }),
  nobody: (token) => resign(token, { sub: '' }),
  crit: (token) => resign(token, {}, { crit: ['b64'], b64: true }),
  stranger: (token) => resign(token, {}, {}, stranger.privateKey),
  'own-key': async (token) => {
    const jwk = await jose.exportJWK(stranger.publicKey);
    return resign(token, {}, { jwk, kid: undefined }, stranger.privateKey);
  },
  none: (token) => `${part({ alg: 'none' })}.${token.split('.')[1]}.`,
  'none-signed': (token) => `${part({ alg: 'none' })}.${token.split('.').slice(1).join('.')}`,
  hs256: async (token) => {
    const secret = new TextEncoder().encode(await jose.exportSPKI(publicKey));
    const claims = new jose.SignJWT(jose.decodeJwt(token));
    return claims.setProtectedHeader({ alg: 'HS256', kid: keyId }).sign(secret);
  },
  'hs256-secret': async (token) => {
    const claims = new jose.SignJWT(jose.decodeJwt(token));
    const secret = new TextEncoder().encode(JSON.parse(clients)[0].client_secret);
    return claims.setProtectedHeader({ alg: 'HS256' }).sign(secret);
  },
  changed: (token) => {
    const [header, payload, signature] = token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    return `${header}.${part({ ...claims, sub: 'ann' })}.${signature}`;
  },
  'no-keys': (token) => token,
  replayed: () => earlier,
  huge: (token) => `${token}${'A'.repeat(300 * 1024)}`,
};

const handle = provider.callback();
const server = createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === '/control') {
    const { account, claims, fault: wanted } = Object.fromEntries(url.searchParams);
    if (account) accounts[account] = JSON.parse(claims);
    if (wanted !== undefined) fault = wanted;
    if (fault && !(fault in faults)) throw new Error(fault);
    return response.end('ok');
  }
  if (url.pathname === '/jwks' && fault === 'no-keys') return response.end('{"keys": []}');
  if (url.pathname === '/token') {
    const end = response.end.bind(response);
    response.end = async (body) => {
      const answer = JSON.parse(body.toString());
      if (answer.id_token && fault) answer.id_token = await faults[fault](answer.id_token);
      else earlier = answer.id_token ?? earlier;
      const changed = JSON.stringify(answer);
      response.setHeader('content-length', Buffer.byteLength(changed));
      end(changed);
    };
  }
  return handle(request, response);
});
server.listen(Number(port), '127.0.0.1', () => console.log('listening'));
