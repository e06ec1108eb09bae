// An OpenID provider on loopback, told what to do by lines of JSON on its standard input; it answers each with a line.
//
//   node provider.mjs PORTAL CLIENT_ID CLIENT_SECRET ADDRESS
//
// People sign in by whatever name they type; NAME@acme.test is their address. {"groups": {"NAME": ["..."]}} says in
// which groups they are, {"rotate": true} gives the provider another key, and only that one.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

const [portal, clientId, clientSecret, address] = process.argv.slice(2);
const groups = new Map();
let keys = 0;
let handle;

function key() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  keys += 1;
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: `key-${keys}` };
}

function start(issuer) {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [`${portal}/sign-in/callback`],
        backchannel_logout_uri: `${portal}/sign-in/back-channel/${address}`,
        backchannel_logout_session_required: true,
      },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
    cookies: { keys: ["of a test"] },
    features: { backchannelLogout: { enabled: true } },
    // Its own refuses loopback, where the portal of a test is.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    async findAccount(_, id) {
      return {
        accountId: id,
        claims: async () => ({
          sub: id,
          name: `Name of ${id}`,
          email: `${id}@acme.test`,
          email_verified: true,
          groups: groups.get(id) ?? [],
        }),
      };
    },
    jwks: { keys: [key()] },
    pkce: { required: () => true },
  });
  handle = provider.callback();
}

const server = createServer((request, response) => handle(request, response));
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  start(issuer);
  console.log(JSON.stringify({ issuer }));
  createInterface({ input: process.stdin }).on("line", (line) => {
    const told = JSON.parse(line);
    for (const [name, list] of Object.entries(told.groups ?? {})) groups.set(name, list);
    if (told.rotate) start(issuer);
    console.log("{}");
  }).on("close", () => process.exit(0));
});
