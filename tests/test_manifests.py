"""Standbys: what a cluster and GitHub are given is valid, quotes what it is told, and runs as they would run it."""

import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest

import looop
from tests.support import ARCHIVE, ROOT, Case, longest, needs
from tests.test_service import CAN_UNSHARE

SSH = "ssh://git@git.example/me/memory.git"
WRITES = {"move": "write_goal", "id": "g", "body": "done\n"}
NOBODY = 65534
KUBERNETES = ("1.35", "1.36", "1.37")
try:
    import kubernetes_validate
except ImportError:
    kubernetes_validate = None


def scripts(text):
    """Return the scripts of a YAML text, which are its blocks."""
    found = re.findall(r"^( *)(?:- |\w+: )\|\n((?:\1 +.*\n|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(lines) for _, lines in found]


def expanded(text, env):
    """Expand a text as a cluster does: $(NAME) of a variable that is known, and $$."""
    return re.sub(r"\$(\$|\(([^)]*)\))", lambda found: env.get(found[2], found[0]) if found[2] else "$", text)


def variables(text):
    """Return the variables of the first pod, as a cluster sets them."""
    rows = re.findall(r'^ *- \{name: (\w+), value: (".*")\}$', text.partition("kind: StatefulSet")[0], re.MULTILINE)
    env = {}
    for name, value in rows:
        env[name] = expanded(json.loads(value), env)
    return env


class Memory(Case):
    """A profile whose memory has a git remote, and a lease there."""

    git = True

    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})
        self.replies(WRITES)
        self.settings = {**json.loads(self.read_config()), "lease": "origin"}
        self.config(self.settings)
        self.run_git("init", "-q", "-b", "main")
        self.run_git("remote", "add", "origin", SSH)

    def read_config(self):
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            return file.read()

    def run_git(self, *words, cwd=None):
        words = ["git", "-c", "user.name=me", "-c", "user.email=me@here", *words]
        return subprocess.run(
            words, cwd=cwd or self.data, env=self.env, check=True, capture_output=True
        ).stdout.decode()

    def opened(self, **env):
        opened = looop.open_profile({**self.env, **env}, os.path.join(ROOT, "looop.py"))
        opened.take_env_file()
        return opened

    def cluster(self, image="looop:1", space="looop", **env):
        opened = self.opened(**env)
        return looop.kubernetes_text(opened, looop.standby_of(opened, 300.0), image, space)

    def workflow(self, every=900.0, **env):
        opened = self.opened(**env)
        return looop.github_text(opened, looop.standby_of(opened, every))

    def keep_secret(self):
        with open(os.path.join(self.home, ".config", "looop.env"), "w") as file:
            file.write("ANTHROPIC_API_KEY='sk-ant-123456789'\nLOOOP_MAX_WORKERS=3\n")
        os.chmod(file.name, 0o600)

    def share(self):
        """Have a bare repository hold the memory."""
        self.bare = os.path.join(self.home, "memory.git")
        self.run_git("init", "-q", "-b", "main", "--bare", self.bare, cwd=self.home)
        self.run_git("config", "http.receivepack", "true", cwd=self.bare)
        self.run_git("add", "PLAYBOOK.md", "goals")
        self.run_git("commit", "-q", "-m", "memory")
        self.run_git("push", "-q", self.bare, "main")

    def remote_file(self, name):
        return self.run_git("show", f"main:{name}", cwd=self.bare)

    def home_of_another_machine(self, name):
        home = os.path.join(self.home, name)
        os.mkdir(home)
        return home

    def run_script(self, script, env, code=0):
        """Run a script of a standby as its machine's shell would."""
        env = {"PATH": self.bin, "LC_ALL": "C.UTF-8", "TZ": self.env["TZ"], **env}
        done = subprocess.run(["/bin/sh", "-ec", script], env=env, cwd=self.home, capture_output=True, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout.decode()


class Printed(Memory):
    def test_texts_are_quoted_and_secrets_only_named(self):
        self.keep_secret()
        odd = 'a "b" # $(LOOOP_MAX_DECIDES_PER_HOUR) $$ {x}: \\ \' ${{ secrets.X }}'
        text = self.cluster(LOOOP_RUNNER=odd, LOOOP_MAX_WORKERS="7")
        told = variables(text)
        self.assertEqual((told["LOOOP_RUNNER"], told["REMOTE"], told["TZ"]), (odd, SSH, self.env["TZ"]))
        key = "secretKeyRef: {name: looop-env, key: ANTHROPIC_API_KEY}".replace("looop-env", f"{self.name()}-env")
        self.assertEqual(text.count(key), 2)
        flow = self.workflow(LOOOP_RUNNER=odd)
        self.assertIn("ANTHROPIC_API_KEY: ${{ secrets.ANTHROPIC_API_KEY }}", flow)
        self.assertIn("${{ '${{' }} secrets.X", flow)
        for one in (text, flow):
            self.assertNotIn("sk-ant-123456789", one)
            self.assertNotIn(self.env["PATH"], one)
            for script in scripts(one):
                self.assertEqual(subprocess.run(["sh", "-n"], input=script.encode(), check=False).returncode, 0)
                self.assertEqual(expanded(script, told), script)
        self.assertEqual(flow.count("LOOOP_MAX_WORKERS:"), 1)
        zone = os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
        self.assertEqual(variables(self.cluster(TZ="")).get("TZ", ""), zone, "the clock on the wall is the person's")

    def name(self):
        return looop.service_name(self.opened())

    def test_workers_in_the_pod_need_a_token_and_what_it_may_do(self):
        self.assertIn("automountServiceAccountToken: true", self.exec_text({"pod": "kubectl exec -i x-workers-0 --"}))
        for wheres in ({}, {"gpu": "ssh gpu-box"}):
            text = self.exec_text(wheres)
            self.assertNotIn("automountServiceAccountToken: true", text)
            self.assertEqual(variables(text)["LOOOP_MAX_WORKERS"], "0")

    def exec_text(self, wheres):
        self.config({**self.settings, "where": wheres})
        return self.cluster()

    def test_what_a_standby_cannot_be_told_is_refused(self):
        def refused(words, call, *args, **env):
            with self.assertRaises(looop.Failure) as raised:
                call(*args, **env)
            self.assertIn(words, raised.exception.message)
            self.assertNotIn("hunter22", raised.exception.message + raised.exception.hint)

        opened = self.opened()
        standby = looop.standby_of(opened, 300.0)
        for image in ("", "a b", "-x", "a\nb", "a,b", 'a"', "ü", "a" * 256):
            refused("image", looop.kubernetes_text, opened, standby, image, "looop")
        for space in ("", "A", "-a", "a_b", "a" * 64, 'a"', "a: b"):
            refused("namespace", looop.kubernetes_text, opened, standby, "looop:1", space)
        refused("5m", self.workflow, 60.0)
        refused("cron cannot say", self.workflow, 420.0)
        odd = ("/srv/memory.git", "file:///srv/m.git", "ext::sh -c id", "-u x", "https://me:hunter22@git.example/m.git")
        for url in odd:
            self.run_git("config", "remote.origin.url", url)
            refused("git remote origin", self.cluster)
        self.run_git("remote", "remove", "origin")
        refused("does not exist", self.cluster)
        self.config({key: value for key, value in self.settings.items() if key != "lease"})
        refused("without a lease", self.workflow)

    def test_the_verb(self):
        text = self.looop(
            "service", "print", "kubernetes", "--every", "5m", "--image", "me/looop:2", "--namespace", "ops"
        )
        self.assertEqual(text.count('namespace: "ops"'), 7)
        self.assertEqual(text.count('image: "me/looop:2"'), 2)
        self.assertIn('schedule: "*/5 * * * *"', text)
        self.assertIn("kubectl exec -i -n ops", text)
        self.looop("service", "print", "kubernetes", "--namespace", "a b", code=2)
        for kind, option in (("kubernetes", "--ping"), ("github", "--image=x"), ("cron", "--namespace=x")):
            self.looop("service", "print", kind, option, code=2)
            self.assertIn(f"not with {kind}", self.stderr)


AGE = """
import json, os
with open(os.environ["HOME"] + "/.local/state/looop/.lease", "r+") as file:
    lease = json.load(file)
    file.seek(0)
    json.dump({**lease, "ttl": 0.001}, file)
    file.truncate()
"""  # as if its time had passed


@longest
class Beats(Memory):
    def setUp(self):
        super().setUp()
        self.share()
        self.runner(f"cat >/dev/null; echo '{json.dumps(WRITES)}'", lease="origin")
        self.beat_env = {"REMOTE": self.bare, "HELPER": "", "LOOOP_CONFIG": f"{self.home}/.config/looop.json"}

    def test_a_standby_clones_beats_and_pushes_what_it_did(self):
        (script,) = scripts(self.cluster())
        env = {"HOME": self.home_of_another_machine("pod"), **self.beat_env}
        self.run_script(script, env)
        self.assertEqual(self.remote_file("goals/g.md"), "done\n")
        self.assertEqual(len(self.remote_file("journal.md").splitlines()), 1)
        self.run_git("remote", "set-url", "origin", self.bare)
        self.assertEqual(self.tick()["outcome"], "held", "the other one has the lease")

    def test_one_takes_over_what_nobody_renews(self):
        script = scripts(self.cluster())[0].replace("sleep 630", "age")
        self.assertIn("age # nobody", script)
        with open(os.path.join(self.bin, "age"), "w") as file:
            file.write(f"#!{shutil.which('python3')}\n{AGE}")
        os.chmod(file.name, 0o700)
        self.run_git("remote", "set-url", "origin", self.bare)
        self.assertEqual(self.tick()["outcome"], "acted")
        env = {"HOME": self.home_of_another_machine("pod"), **self.beat_env}
        known = os.path.join(env["HOME"], ".local/state/looop/.lease")

        def lease():
            with open(known) as file:
                return json.load(file)

        self.run_script(script, env)
        self.assertFalse(lease()["mine"], "it has only just seen it")
        moved = {**lease(), "boot": "another machine's"}
        with open(known, "w") as file:
            json.dump(moved, file)
        self.write("goals/a.md", "not pushed\n")
        self.run_script(script, env)
        self.assertEqual((lease()["mine"], lease()["epoch"]), (True, 2))
        self.assertEqual(self.tick()["outcome"], "held")


class Server(http.server.BaseHTTPRequestHandler):
    """git's own server and a release of looop, behind a name and a password."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_GET(self):
        case = self.server.case
        if self.path == "/looop":
            with open(case.launcher, "rb") as file:
                return self.answer(200, file.read())
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"looop:pass-word").decode():
            return self.answer(401, b"", ("WWW-Authenticate", 'Basic realm="git"'))
        path, _, query = self.path.partition("?")
        env = {
            **{"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": case.home, "GIT_HTTP_EXPORT_ALL": "1"},
            **{"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": "looop"},
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_CONFIG_COUNT": "1",
            **{"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        rows = [line.partition(": ")[::2] for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in rows if name == "Status"), 200)
        return self.answer(status, body, *(row for row in rows if row[0] != "Status"))

    do_POST = do_GET

    def answer(self, status, body, *rows):
        self.send_response(status)
        for row in rows:
            self.send_header(*row)
        self.end_headers()
        self.wfile.write(body)


# Makes a root that has /usr and nothing else, mounts what a pod mounts, and runs a command in it as a pod would.
ENTER = r"""
set -e
root=$1 user=$2
shift 2
mount -t tmpfs root "$root"
cd "$root"
mkdir -p usr proc dev tmp etc/looop etc/looop-git home/looop
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs local usr/local
mkdir usr/local/bin
cp "$PLACE/looop" usr/local/bin/looop
chmod 755 usr/local/bin/looop
for name in bin sbin lib lib64; do [ ! -L "/$name" ] || cp -P "/$name" .; done
grep "^root:\|^nobody:" /etc/passwd >etc/passwd
cp /etc/ld.so.cache etc/
cp "$PLACE/looop.json" etc/looop/
cp "$PLACE/username" "$PLACE/password" etc/looop-git/
chgrp -R "$user" etc/looop-git
chmod 444 etc/looop/looop.json
chmod 440 etc/looop-git/*
mount --bind "$PLACE/volume" home/looop
mount -t tmpfs -o mode=1777 tmp tmp
mount -t proc proc proc
mount --bind /dev dev
for name in usr/local .; do mount -o remount,ro "$name"; done
exec chroot --userspec="$user:$user" --groups= . setpriv --no-new-privs "$@"
"""


@longest
@unittest.skipUnless(os.path.exists("/usr/bin/python3") and os.path.islink("/bin"), "it takes this machine's /usr")
class AsThere(Memory):
    """The printed scripts where they are to run: a pod with a read-only root, and the steps of a workflow."""

    def setUp(self):
        super().setUp()
        self.share()
        self.keep_secret()
        self.runner(f"cat >/dev/null; echo '{json.dumps(WRITES)}'", lease="origin")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        server.case = self
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(lambda: [server.shutdown(), thread.join(), server.server_close()])
        self.url = f"http://127.0.0.1:{server.server_port}"

    def assert_beat(self, home):
        self.assertEqual(self.remote_file("goals/g.md"), "done\n")
        with open(os.path.join(home, ".local/state/looop/.lease")) as file:
            self.assertTrue(json.load(file)["mine"])

    @needs("setpriv", "unshare")
    @unittest.skipUnless(CAN_UNSHARE, "only root can make a mount namespace, and only on some machines")
    def test_the_pod(self):
        self.run_git("remote", "set-url", "origin", f"{self.url}/memory.git")
        text = self.cluster()
        place = os.path.join(self.home, "place")
        volume = os.path.join(place, "volume")
        os.makedirs(volume)
        os.chown(volume, 0, NOBODY)
        os.chmod(volume, 0o2775)
        os.mkdir(os.path.join(self.home, "root"))
        shutil.copy(self.launcher if ARCHIVE else os.path.join(ROOT, "looop.py"), os.path.join(place, "looop"))
        shutil.copy(os.path.join(self.home, ".config", "looop.json"), place)
        for name, value in (("username", "looop"), ("password", "pass-word")):
            with open(os.path.join(place, name), "w") as file:
                file.write(value)
        inner = [f"{name}={value}" for name, value in variables(text).items()]
        inner = ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", *inner, "/bin/sh", "-c", *scripts(text)]
        space = ["unshare", "-m", "-p", "-f", "--kill-child", "--propagation", "private", "sh", "-c", ENTER, "sh"]
        command = [*space, os.path.join(self.home, "root"), str(NOBODY), *inner]
        env = {"PATH": os.environ["PATH"], "PLACE": place}
        for _ in range(2):
            done = subprocess.run(command, env=env, capture_output=True, stdin=subprocess.DEVNULL, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assert_beat(volume)
        self.assertEqual(len(self.remote_file("journal.md").splitlines()), 1, "the second beat found nothing new")
        self.assertEqual(os.stat(os.path.join(volume, ".local/state/looop")).st_uid, NOBODY)

    @needs("curl", "sha256sum")
    def test_the_workflow(self):
        self.keep_secret()
        opened = self.opened()
        opened.self_path = self.launcher
        text = looop.github_text(opened, looop.standby_of(opened, 900.0))
        home, passed = self.home_of_another_machine("runner"), os.path.join(self.home, "path")
        for command in ("curl", "sha256sum"):
            os.symlink(shutil.which(command), os.path.join(self.bin, command))
        os.unlink(os.path.join(self.bin, "looop"))
        helper = re.search(r"HELPER: '(.*)'", text)[1]
        env = {"HOME": home, "RUNNER_TEMP": self.home_of_another_machine("temp"), "GITHUB_PATH": passed}
        env.update(HELPER=helper, GITHUB_TOKEN="pass-word", RELEASE_URL=f"{self.url}/looop")
        env.update(REMOTE=f"{self.url}/memory.git", LOOOP_CONFIG=os.path.join(self.home, ".config", "looop.json"))
        fetch, beat = scripts(text)
        self.run_script(fetch.replace(looop_digest(self.launcher), "0" * 64), env, code=1)
        self.run_script(fetch, env)
        with open(passed) as file:
            env["PATH"] = f"{file.read().strip()}:{self.bin}"
        self.run_script(beat, env)
        self.assert_beat(home)


def looop_digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Valid(Memory):
    """By the schemas of Kubernetes and of GitHub: .ci/run has them."""

    @unittest.skipUnless(kubernetes_validate, "kubernetes-validate is not installed")
    def test_the_manifest(self):
        import yaml

        self.keep_secret()
        for wheres in ({}, {"pod": "kubectl exec -i x --"}):
            self.config({**self.settings, "where": wheres})
            for remote in (SSH, "https://git.example/m.git"):
                self.run_git("remote", "set-url", "origin", remote)
                documents = list(yaml.safe_load_all(self.cluster(space="0123", LOOOP_RUNNER="a: 'b' # c")))
                self.assertEqual(len(documents), 6)
                for document in documents:
                    self.assertEqual(document["metadata"]["namespace"], "0123")
                    for version in KUBERNETES:
                        kubernetes_validate.validate(document, version, strict=True)
        documents[2]["spec"]["concurency"] = 1
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(documents[2], KUBERNETES[-1], strict=True)

    def test_the_workflow(self):
        checker = os.path.join(os.path.dirname(sys.executable), "check-jsonschema")
        if not os.path.exists(checker):
            self.skipTest("check-jsonschema is not installed")
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(self.workflow(LOOOP_RUNNER="a: 'b' # c"))
            file.flush()
            words = [checker, "--builtin-schema", "vendor.github-workflows", file.name]
            done = subprocess.run(words, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
