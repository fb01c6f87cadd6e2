"""Who may use the daemons of a soak run: certificates and tokens that are exchanged while everything runs.

Clients hold the token of one file, which is changed as docs/OPERATIONS.md says: the new one is added, given to them, and the old one taken out.
None of them may be refused meanwhile; the old one must be, within a second.
"""
import contextlib
import http.client
import json
import os
import ssl
import subprocess
import time

from soak_clocks import FURTHEST, run_long_ago
from soak_parts import PATIENCE, Fault

# From the moment that a list is changed until all that comes is judged by it, as docs/OPERATIONS.md has it.
HEED_SECONDS = 1.0
NO_CHUNK = "/v1/chunks/" + "ab" * 32


class Access:
    """The files, and what is in them now. One thread at a time changes them."""

    def __init__(self, soak):
        self.soak, self.place = soak, soak.world / "access"
        self.place.mkdir(mode=0o700)
        self.tokens, self.token_file = self.place / "tokens.json", self.place / "worker.token"
        self.server_pairs = self.worker_pairs = 0
        self.names = 0
        self.openssl("ca", "/CN=soak", "-addext", "basicConstraints=critical,CA:TRUE")
        self.renew_server()
        self.renew_worker()
        self.name, self.token = self.add("write")
        self.give(self.token)

    # Certificates

    def openssl(self, name, subject, *more, key=None):
        path = self.place / name
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{path}.key"]
        done = run_long_ago(["openssl", "req", "-x509", *(["-key", key] if key else made), "-out", f"{path}.crt", "-subj", subject,
                             "-days", 4 * FURTHEST // 86_400, *more])
        if done.returncode != 0:
            raise Fault(f"openssl made no certificate: {done.stderr.strip()}")

    def signed(self, name, subject, *more, key=None):
        self.openssl(name, subject, "-CA", self.place / "ca.crt", "-CAkey", self.place / "ca.key", *more, key=key)

    def renew_server(self):
        """A new certificate with a new key, both put in place at once, as Kubernetes does it: by one link that is replaced."""
        self.server_pairs += 1
        pair = self.place / f"pair{self.server_pairs}"
        pair.mkdir()
        self.signed(f"pair{self.server_pairs}/l2", f"/CN=l2-{self.server_pairs}", "-addext", "subjectAltName=IP:127.0.0.1")
        (self.place / "pair.new").symlink_to(pair.name)
        os.replace(self.place / "pair.new", self.place / "pair")

    def renew_worker(self):
        """A new certificate for the key of the clients, which some of them are reading now."""
        self.worker_pairs += 1
        key = self.place / "worker.key" if self.worker_pairs > 1 else None
        self.signed("worker" if key is None else "renewed", f"/CN=worker-{self.worker_pairs}", key=key)
        if key:
            os.replace(self.place / "renewed.crt", self.place / "worker.crt")

    def serial(self):
        return ssl.PEM_cert_to_DER_cert((self.place / "pair" / "l2.crt").read_text())

    def await_certificate(self, daemon):
        """Until those who connect to the daemon see the certificate that lies in its file."""
        expected, give_up = self.serial(), time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), self.connection(daemon) as link:
                link.connect()
                if link.sock.getpeercert(binary_form=True) == expected:
                    return
            if time.monotonic() > give_up:
                raise Fault(f"{daemon.name} does not use the certificate that it was given {PATIENCE} s ago")
            if self.soak.stop.wait(0.1):
                return

    # Options

    def of_daemon(self):
        pair = self.place / "pair"
        return ["--tokens", self.tokens, "--tls-cert", pair / "l2.crt", "--tls-key", pair / "l2.key",
                "--tls-client-ca", self.place / "ca.crt"]

    def of_client(self):
        return ["--l2-token-file", self.token_file, "--l2-ca", self.place / "ca.crt",
                "--l2-cert", self.place / "worker.crt", "--l2-key", self.place / "worker.key"]

    # Requests

    @contextlib.contextmanager
    def connection(self, daemon):
        context = ssl.create_default_context(cafile=self.place / "ca.crt")
        context.load_cert_chain(self.place / "worker.crt", self.place / "worker.key")
        host, port = daemon.address.rsplit(":", 1)
        link = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=context)
        try:
            yield link
        finally:
            link.close()

    @staticmethod
    def ask(link, token, path=NO_CHUNK, method="HEAD", body=None):
        """An answer on an open connection, or on a new one where the daemon has closed it: status, fields, body.
        A busy machine may take so long to connect that the daemon cuts it off: that is tried again."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                link.request(method, path, body, {"Authorization": f"Bearer {token}"})
                answer = link.getresponse()
                return answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException) as error:
                link.close()
                if time.monotonic() > give_up:
                    raise Fault(f"no answer to {method} {path} for {PATIENCE} s: {error!r}") from None
                time.sleep(0.05)

    def request(self, daemon, path, method="GET", body=None):
        """An answer to a client with the valid token."""
        with self.connection(daemon) as link:
            return self.ask(link, self.token, path, method, body)

    def statistics(self, daemon):
        return json.loads(self.request(daemon, "/v1/stats")[2])

    # Tokens

    def token_verb(self, verb, name, *more):
        command = [str(part) for part in (self.soak.binary, "token", verb, name, *more, "--tokens", self.tokens)]
        done = subprocess.run(command, env=self.soak.environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise Fault(f"token {verb} {name} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def add(self, scope):
        self.names += 1
        name = f"{scope}-{self.names}"
        return name, self.token_verb("add", name, "--scope", scope)

    def remove(self, name, by_hand):
        """With the verb, or as other tools do it: a list without it takes the place of the old one."""
        if not by_hand:
            self.token_verb("remove", name)
            return
        kept = json.loads(self.tokens.read_text())
        kept["tokens"] = [token for token in kept["tokens"] if token["name"] != name]
        self.replace(self.tokens, json.dumps(kept))

    def give(self, token):
        self.replace(self.token_file, token + "\n")

    @staticmethod
    def replace(path, text):
        new = path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        os.replace(new, path)

    def exchange_token(self, daemons, by_hand):
        """Gives clients another token. `daemons`: those that run, and go on running meanwhile."""
        old_name, old = self.name, self.token
        with contextlib.ExitStack() as stack:
            links = [(daemon, stack.enter_context(self.connection(daemon))) for daemon in daemons]
            for daemon, link in links:
                if self.ask(link, old)[0] == 401:
                    raise Fault(f"{daemon.name} refuses {old_name}, which is in its list")
            self.name, self.token = self.add("write")
            added = time.monotonic()
            for daemon, link in links:
                self.await_verdict(daemon, link, self.token, added, accepted=True)
            self.give(self.token)
            self.remove(old_name, by_hand)
            removed = time.monotonic()
            for daemon, link in links:
                self.await_verdict(daemon, link, old, removed, accepted=False)
                with self.connection(daemon) as fresh:
                    if self.ask(fresh, old)[0] != 401:
                        raise Fault(f"{daemon.name} refuses {old_name} on an open connection and takes it on a new one")
        self.soak.count("tokens exchanged")

    def await_verdict(self, daemon, link, token, changed, accepted):
        """Until a daemon takes a token, or does not any more. What was asked for later than the promise must be so."""
        while True:
            asked = time.monotonic()
            status = self.ask(link, token)[0]
            # A daemon that is overloaded has said nothing of the token.
            if status in (401, 404) and (status == 404) == accepted:
                if not accepted:
                    self.soak.count("tokens refused")
                return
            if status in (401, 404):
                late = asked - changed
                if late > HEED_SECONDS:
                    raise Fault(f"{daemon.name} answers {status} {late:.1f} s after a token was {'added' if accepted else 'taken out'}")
                self.soak.longest_to_heed = max(self.soak.longest_to_heed, late)
            if time.monotonic() - changed > PATIENCE:
                raise Fault(f"{daemon.name} answers {status} for {PATIENCE} s")
            time.sleep(0.02)
