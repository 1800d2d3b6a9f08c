"""A provider that does as it is told: on a port of its own, over real HTTP, signing with another library than ours."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from joserfc.jws import JWSRegistry

CLIENT, SECRET = "app-1", "a client secret with a : and a % in it"
RSA = {kid: RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}) for kid in ("r1", "r2")}
EC = ECKey.generate_key("P-256", {"kid": "e1", "use": "sig", "alg": "ES256"})
ANYTHING = JWSRegistry(algorithms=["none", "HS256", "RS256", "ES256"], strict_check_header=False)


def unpadded(data):
    """Return base64url without its padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Stub:
    """What the provider knows and says. Tests write over whatever they want said otherwise."""

    def __init__(self, url):
        self.url = url
        self.person = {"sub": "subject-1", "email": "ann@example.com", "email_verified": True, "name": "Ann"}
        self.user = {}
        self.emails = []
        self.clock = None
        self.keys = [RSA["r1"]]
        self.signer, self.algorithm, self.header = RSA["r1"], "RS256", {}
        self.claims, self.without = {}, ()
        self.metadata, self.answer, self.answers = {}, {}, {}
        self.codes, self.asked, self.queries, self.forms = {}, [], [], []
        self.raw_token = None

    def authorize(self, location, **told):
        """Let the person in, as the page at this address would; return what the browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = token_urlsafe(16)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url, **told}

    def discovery(self):
        """Return the metadata."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            **self.metadata,
        }

    def id_token(self, asked):
        """Return an id token for the sign-in that was asked for."""
        if self.raw_token is not None:
            return self.raw_token(self.said(asked))
        header = {"alg": self.algorithm, "kid": getattr(self.signer, "kid", None), **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        return jwt.encode(header, self.said(asked), self.signer, registry=ANYTHING)

    def said(self, asked):
        """Return the claims."""
        now = int(self.clock())
        whole = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked.get("nonce")}
        whole |= {**self.person, **self.claims}
        return {name: value for name, value in whole.items() if name not in self.without}

    def token(self, form):
        """Answer the token endpoint: for a code that was given out, with the right verifier, once."""
        asked = self.codes.pop(form.get("code"), None)
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "<script>alert('said by a provider')</script>"}
        if unpadded(sha256(form["code_verifier"].encode()).digest()) != asked["code_challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "PKCE"}
        whole = {"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 300}
        if "nonce" in asked:
            whole["id_token"] = self.id_token(asked)
        return 200, {**whole, **self.answer}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Stay silent."""

    def do_GET(self):
        self._answer({})

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self._answer({name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()})

    def _answer(self, form):
        stub, path = self.server.stub, urlsplit(self.path).path
        stub.asked.append(path)
        stub.queries.append(urlsplit(self.path).query)
        if form:
            stub.forms.append((form, self.headers.get("authorization", "")))
        special = stub.answers.get(path)
        if special is not None:
            special(self)
            return
        said = {
            "/.well-known/openid-configuration": lambda: (200, stub.discovery()),
            "/jwks": lambda: (200, {"keys": [self._public(key) for key in stub.keys]}),
            "/token": lambda: stub.token(form),
            "/userinfo": lambda: (200, stub.person),
            "/user": lambda: (200, stub.user),
            "/emails": lambda: (200, stub.emails),
        }[path]()
        self.say(*said)

    @staticmethod
    def _public(key):
        return key if isinstance(key, dict) else key.as_dict(private=False)

    def say(self, status, body, **headers):
        """Send an answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that goes away is no failure of a test."""


@contextmanager
def standing(clock):
    """Run a provider for as long as the block lasts."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.stub = Stub(f"http://127.0.0.1:{server.server_address[1]}")
    server.stub.clock = clock
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shared_secret():
    """Return a symmetric key that is the text of the client secret, as the confusion of algorithms has it."""
    return OctKey.import_key(SECRET)


__all__ = ["CLIENT", "EC", "RSA", "SECRET", "KeySet", "Stub", "shared_secret", "standing", "unpadded"]
