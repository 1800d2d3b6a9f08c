// A certified OpenID provider on a loopback port, with its pages for development, one client and any number of people.
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const client = JSON.parse(process.argv[3]);

const provider = new Provider(issuer, {
  clients: [client],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  pkce: { required: () => true },
  cookies: { keys: ["a key for tests, which sign nobody in anywhere"] },
  ttl: { Interaction: 600, Session: 600, Grant: 600 },
  async findAccount(_, id) {
    const [name] = id.split("@");
    return {
      accountId: id,
      claims: () => ({ sub: id, email: id, email_verified: !name.startsWith("unproven"), name }),
    };
  },
});

provider.listen(port, "127.0.0.1", () => console.log("ready"));
