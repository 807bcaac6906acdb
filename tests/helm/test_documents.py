"""What the documents have people type is tried, as far as it goes without a cluster."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from chart import CHART, ROOT, example, pods
from test_settings import PROGRAM

# Stands in for kubectl: notes each secret with its keys, whose files have to be there.
KUBECTL = '''#!/usr/bin/env python3
import json, os, sys
words = sys.argv[1:]
if "secret" in words:
    keys = []
    for word in words:
        option, _, given = word.partition("=")
        if option == "--from-file":
            key, _, file = given.rpartition("=")
            assert os.path.getsize(file) > 0, file
            keys.append(key or os.path.basename(file))
        elif option == "--from-literal":
            keys.append(given.partition("=")[0])
    with open(os.environ["SECRETS"], "a") as noted:
        print(json.dumps([words[1], words[words.index("generic") + 1], keys]), file=noted)
'''


def block(document, word):
    """The one block of commands in which the word is."""
    found = [text for text in re.findall(r"```sh\n(.*?)```", document.read_text(), re.S) if word in text]
    assert len(found) == 1, f"{word} is in {len(found)} blocks of {document}"
    return found[0]


class Secrets(unittest.TestCase):
    def made(self):
        """Every secret that the README's commands make, with its keys."""
        with tempfile.TemporaryDirectory() as directory:
            home = pathlib.Path(directory)
            for name in ("deploy", "helm"):
                (home / name).symlink_to(ROOT / name)
            stubs = home / "stubs"
            stubs.mkdir()
            for name, text in [("kubectl", KUBECTL), ("cargo", "#!/bin/sh\n")]:
                (stubs / name).write_text(text)
                (stubs / name).chmod(0o755)
            commands = block(CHART / "README.md", "certificates.sh").replace("\nhelm install", "\n: helm install")
            variables = os.environ | {"PATH": f"{stubs}:{PROGRAM.parent}:{os.environ['PATH']}", "OPENAI_API_KEY": "secret",
                                      "SECRETS": str(home / "secrets.json")}
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=home, env=variables, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            certificate = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", home / "secrets/tls/server.pem"],
                                         check=True, capture_output=True, text=True).stdout
            secrets = [json.loads(line) for line in (home / "secrets.json").read_text().splitlines()]
        return certificate, secrets

    def test_commands_make_all_that_the_example_names(self):
        certificate, secrets = self.made()
        for name in ("DNS:flotilla-nats", "DNS:*.flotilla-nats-headless", "IP Address:127.0.0.1"):
            self.assertIn(name, certificate)
        self.assertEqual({namespace for namespace, _, _ in secrets}, {"flotilla"})
        made = {name: keys for _, name, keys in secrets}
        self.assertNotIn("admin.nk", made["flotilla-nats-users"])
        for where, pod in pods(example("production")):
            for volume in pod["volumes"]:
                secret = volume.get("secret")
                if secret:
                    with self.subTest(where, volume=volume["name"]):
                        wanted = {item["key"] for item in secret.get("items", [{"key": "tls.crt"}, {"key": "tls.key"}])}
                        self.assertLessEqual(wanted, set(made[secret["secretName"]]))


if __name__ == "__main__":
    unittest.main()
