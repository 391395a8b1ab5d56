"""Channels: people reached by scripts, and what an answer may do; the gallery's four on servers like theirs."""

import contextlib
import glob
import json
import os
import re
import stat
import time
import unittest

from tests.support import Case, heavy, needs, wait_until
from tests.test_gallery import Gallery, Server

PUSH = {"move": "shell", "command": "git push origin fix-ci", "reversible": False, "journal": "push"}
SECRETS = ("t-secret", "T0ken99", "xoxb-77")
SCRIPT = """#!/bin/sh
# looop:timeout=60
cat >"$LOOOP_DATA_DIR/../given-${0##*/}"
answers=$LOOOP_DATA_DIR/../answers-${0##*/}
[ ! -f "$answers" ] || { cat "$answers" && : >"$answers"; }
"""


class Channels(Case):
    def setUp(self):
        super().setUp()
        self.profile()
        self.replies({"move": "noop", "journal": "nothing"})
        self.tick()

    def file(self, name):
        return os.path.join(os.path.dirname(self.data), name)

    def add(self, name="phone", body=SCRIPT):
        os.makedirs(self.path("channels"), mode=0o700, exist_ok=True)
        self.write(f"channels/{name}.sh", body, 0o700)
        self.looop("channel", "trust", name)

    def given(self, name="phone"):
        with open(self.file(f"given-{name}.sh")) as file:
            return json.load(file)

    def say(self, *answers, name="phone"):
        """Have a channel print these answers, and run a beat."""
        with open(self.file(f"answers-{name}.sh"), "w") as file:
            file.writelines((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in answers)
        self.tick()
        os.unlink(self.file(f"answers-{name}.sh"))

    def ask(self, question="which branch?", *options):
        """Ask a question as the loop does."""
        number = max([0, *(int(name[:-5]) for name in self.names() if re.fullmatch(r"[0-9]+[.]json", name))]) + 1
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ask = {"n": number, "kind": "ask", "question": question, "session": None, "at": at}
        self.write(f"asks/{number}.json", json.dumps({**ask, "options": list(options) or None}))

    def names(self):
        return [name for _, _, names in os.walk(self.path("asks")) for name in names]

    def propose(self, command="printf x >>$LOOOP_DATA_DIR/../done"):
        """Have the loop propose a command; return the ask as the channel got it."""
        self.beat({**PUSH, "command": command})
        self.replies({"move": "noop", "journal": "nothing"})
        return self.given()["asks"][-1]

    def ignored(self):
        return [event["why"] for event in self.events("channel_ignored")]

    def done(self):
        try:
            with open(self.file("done")) as file:
                return file.read()
        except FileNotFoundError:
            return ""


class Answers(Channels):
    def test_an_answer_needs_its_code_and_is_taken_once(self):
        self.add()
        self.add("tablet")
        self.ask("which branch?", "main", "release")
        self.tick()
        ask, other = self.given()["asks"][0], self.given("tablet")["asks"][0]
        self.assertNotEqual(ask["code"], other["code"])
        self.assertIn(ask["code"], self.given()["messages"][0]["text"])
        self.assertEqual(stat.S_IMODE(os.stat(self.path(".channels")).st_mode), 0o600)
        right = {"n": 1, "code": ask["code"], "answer": "rel"}
        self.say({**right, "code": other["code"]}, {**right, "n": 99}, "nonsense", {"n": 1}, {**right, "answer": "x"})
        self.assertEqual(self.ignored()[:4], ["wrong code", "unknown ask", "malformed", "malformed"])
        self.assertIn("not one of its options", self.ignored()[4])
        self.say(right, right)  # and replayed
        self.assertIn("ask 1 answered by channel phone: release", "\n".join(self.journal()))
        self.assertEqual(self.ignored()[5:], ["code used or expired"])
        self.ask("another?")
        self.tick()
        self.say({**right, "code": other["code"]}, name="tablet")  # a second device, later
        self.assertEqual(self.ignored()[6:], ["code used or expired"])
        kept = "".join(self.read(name) for name in ("events.jsonl", "journal.md")) + self.prompt()
        self.assertFalse([code for code in (ask["code"], other["code"]) if code in kept])

    def test_nothing_is_called_that_the_person_did_not_let_run(self):
        self.ask()
        self.add()
        self.write("channels/phone.sh", SCRIPT + "# changed\n", 0o700)
        self.tick()
        self.assertIn("looop channel trust phone", self.stderr)
        self.assertFalse(os.path.exists(self.file("given-phone.sh")))
        self.assertIn("refused", self.looop("channel", "list"))
        self.looop("channel", "test", "phone", code=1)
        self.looop("channel", "trust", "phone")
        self.tick()
        self.assertEqual(len(self.given()["asks"]), 1)
        self.looop("channel", "trust", "phone", code=1, env={"LOOOP_CHILD": "1", "LOOOP_RUN_ID": "x"})

    def test_a_call_waits_for_news_or_its_interval_and_quiet_hours_hold_it(self):
        self.add(body=SCRIPT.replace("timeout=60", "timeout=60 looop:interval=1h"))
        self.tick()
        self.assertFalse(os.path.exists(self.file("given-phone.sh")), "nothing is asked")
        self.ask()
        self.tick()
        self.assertTrue(self.given()["messages"])
        os.unlink(self.file("given-phone.sh"))
        self.tick()
        self.assertFalse(os.path.exists(self.file("given-phone.sh")), "its interval is not over")
        self.looop("channel", "renew")
        config = {"default": "fake", "runners": {"fake": {"mode": "typed", "tick": "false"}}}
        awake = time.strftime("%a", time.localtime(time.time() + 3 * 86400))  # some time of the week must be left
        quiet = ", ".join(day for day in "Mon Tue Wed Thu Fri Sat Sun".split() if day != awake)
        self.config({**config, "quiet": quiet})
        self.tick()
        self.assertFalse(os.path.exists(self.file("given-phone.sh")), "quiet hours")
        self.config(config)
        self.tick(code=None)
        self.assertTrue(self.given()["messages"], "new codes are news")

    def test_a_channel_that_fails_holds_up_no_beat_and_tells_once(self):
        self.ask()
        self.add(body="#!/bin/sh\necho 'no route' >&2\nexit 7\n")
        self.tick()
        self.assertIn("no route", self.stderr)
        self.tick()
        self.assertEqual(self.stderr, "")


class Approvals(Channels):
    def setUp(self):
        super().setUp()
        self.add()

    def test_a_yes_with_the_right_code_runs_it_once(self):
        ask = self.propose()
        self.assertEqual(ask["digest"], self.digest(ask["n"]))
        right = {"n": ask["n"], "code": ask["code"], "answer": "yes"}
        self.say({**right, "answer": "perhaps"}, {**right, "answer": "yes, later"}, {**right, "code": "zzzzzzzz"})
        self.assertEqual(self.ignored(), ["neither yes nor no", "a yes with other words", "wrong code"])
        self.assertEqual(self.done(), "")
        self.say(right, right)
        self.assertEqual(self.done(), "x")
        self.assertIn("approved by you, by channel phone (ask 1)", "\n".join(self.journal()))
        self.assertEqual(self.ignored()[3:], ["code used or expired"])

    def test_a_no_says_why_and_a_late_answer_does_nothing(self):
        ask = self.propose()
        right = {"n": ask["n"], "code": ask["code"], "answer": "no, not on a Friday"}
        self.looop("reject", str(ask["n"]), "terminal")
        self.ask()  # else nobody calls
        self.say(right)
        self.assertEqual(self.ignored(), ["answered already"])
        ask = self.propose("printf y >>$LOOOP_DATA_DIR/../done")
        self.say({**right, "n": ask["n"], "code": ask["code"]})
        self.assertIn(f"ask {ask['n']} rejected by channel phone: not on a Friday", "\n".join(self.journal()))
        self.assertEqual(self.done(), "")

    def test_a_changed_ask_makes_another_code(self):
        ask = self.propose()
        path = f"asks/{ask['n']}.json"
        self.write(path, json.dumps({**self.json(path), "question": "another"}))
        self.say({"n": ask["n"], "code": ask["code"], "answer": "yes"})
        self.assertEqual(self.ignored(), ["code used or expired"])
        self.assertNotEqual(self.given()["asks"][0]["code"], ask["code"])
        self.assertEqual(self.done(), "")

    def test_a_code_of_yesterday_is_over(self):
        ask = self.propose()
        known = self.json(".channels")
        known["asks"][str(ask["n"])]["at"] = "2026-01-01T00:00:00Z"
        self.write(".channels", json.dumps(known))
        self.say({"n": ask["n"], "code": ask["code"], "answer": "yes"})
        self.assertEqual((self.ignored(), self.done()), (["code used or expired"], ""))

    def test_wrong_codes_end_an_asks_codes_until_the_person_renews_them(self):
        ask = self.propose()
        right = {"n": ask["n"], "code": ask["code"], "answer": "yes"}
        self.say(*[{**right, "code": f"wrong{i:03}"} for i in range(5)], right)
        self.assertEqual(self.ignored(), ["wrong code", "too many wrong codes"])
        self.assertIn("channel renew", self.looop("channel", "list"))
        self.looop("channel", "renew")
        self.tick()
        self.say({**right, "code": self.given()["asks"][0]["code"]})
        self.assertEqual(self.done(), "x")

    def test_what_is_too_large_for_a_message_takes_a_no_alone(self):
        ask = self.propose("printf x >>$LOOOP_DATA_DIR/../done # " + "long " * 700)
        text = self.given()["messages"][-1]["text"]
        self.assertIn("too large: answer at a terminal: looop approve 1", text)
        self.assertLess(len(text.encode()), 3000)
        self.assertFalse(ask["approvable"])
        right = {"n": ask["n"], "code": ask["code"], "answer": "yes"}
        self.say(right, {**right, "answer": "no"})
        self.assertEqual((self.ignored(), self.done()), (["too large: answer at a terminal"], ""))
        self.assertIn("rejected by channel phone", "\n".join(self.journal()))


@needs("jq", "curl")
@heavy
class Services(Channels):
    """Each script of the gallery sends a proposal, and takes the yes that comes back."""

    def setUp(self):
        super().setUp()
        self.sent, self.came, self.seen = [], [], []
        for tool in "curl jq date head tr".split():
            Gallery.offer(self, tool)
        self.env["no_proxy"] = "127.0.0.1"
        self.server = Server(self, self.serve)

    def through(self, kind, **env):
        self.env.update(env)
        self.looop("channel", "add", kind)
        self.beat({**PUSH, "command": "printf x >>$LOOOP_DATA_DIR/../done # & <b>"})
        self.replies({"move": "noop", "journal": "nothing"})
        text = self.sent[-1]
        self.assertIn("printf x >>$LOOOP_DATA_DIR/../done # & <b>", text)
        return "1 " + re.search(r"code (\w{8})", text)[1]

    def finish(self, kind, code):
        self.looop("channel", "test", kind)
        self.assertEqual(self.done(), "x")
        self.assertIn(f"by channel {kind}", "\n".join(self.journal()))
        self.looop("channel", "test", kind)  # nothing comes twice
        self.assertEqual(self.ignored(), ["wrong code"])
        for secret in (code.split()[1], *SECRETS):
            self.assertFalse([line for line in self.seen if secret.encode() in line], "it stood in a command line")

    def serve(self, method, path, headers, body):
        for name in glob.glob("/proc/[0-9]*/cmdline"):  # every process, while a request is answered
            with contextlib.suppress(OSError), open(name, "rb") as file:
                self.seen.append(file.read())
        return getattr(self, path.split("/")[1].split("?")[0], self.ntfy)(method, path, headers, body)

    def ntfy(self, method, path, headers, body):
        message = {"id": f"m{len(self.came)}", "time": 1, "event": "message", "topic": "t-secret"}
        if method == "POST" and path == "/":
            told = json.loads(body)
            self.assertEqual((told["topic"], headers["Authorization"]), ("t-secret", None))
            self.sent.append(told["message"])
            self.buttons = told["actions"]
            self.came.append({**message, "message": told["message"], "tags": told["tags"]})
        elif method == "POST":
            self.assertEqual(path, "/t-secret")
            self.came.append({**message, "message": body.decode()})
        else:
            since = re.fullmatch(r"/t-secret/json\?poll=1&since=(\w+)", path)[1]
            at = int(since[1:]) + 1 if since.startswith("m") else 0
            return 200, "".join(json.dumps(one) + "\n" for one in self.came[at:]).encode()
        return 200, message

    def test_ntfy(self):
        code = self.through("ntfy", NTFY_TOPIC="t-secret", NTFY_URL=self.server.url)
        button = next(one for one in self.buttons if one["label"] == "yes")
        self.assertEqual((button["action"], button["body"]), ("http", f"{code} yes"))
        self.ntfy("POST", "/t-secret", {}, b"1 aaaaaaaa yes")
        self.ntfy("POST", button["url"][len(self.server.url) :], {}, button["body"].encode())
        self.finish("ntfy", code)

    def botT0ken99(self, method, path, headers, body):
        told = json.loads(body)
        if path.endswith("/sendMessage"):
            self.sent.append(told["text"])
            self.assertEqual(told["chat_id"], "-42")
            return 200, {"ok": True, "result": {"message_id": 1}}
        offset = told.get("offset", 0)
        return 200, {"ok": True, "result": [one for one in self.came if one["update_id"] >= offset]}

    def test_telegram(self):
        code = self.through("telegram", TELEGRAM_TOKEN="T0ken99", TELEGRAM_CHAT="-42", TELEGRAM_URL=self.server.url)
        for at, (chat, text) in enumerate([(-42, "1 aaaaaaaa yes"), (7, f"{code} no"), (-42, f"{code} yes")], 800):
            self.came.append({"update_id": at, "message": {"chat": {"id": chat}, "text": text}})
        self.finish("telegram", code)

    def api(self, method, path, headers, body):
        if headers["Authorization"] != "Bearer xoxb-77":
            return 200, {"ok": False, "error": "invalid_auth"}
        if path == "/api/chat.postMessage":
            text = json.loads(body)["text"]
            self.sent.append(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
            self.came.append({"type": "message", "ts": f"{9e9 + len(self.came):.6f}", "bot_id": "B1", "text": text})
            return 200, {"ok": True}
        oldest = float(re.search(r"[?&]oldest=([\d.]+)", path)[1])
        return 200, {"ok": True, "messages": [one for one in self.came[::-1] if float(one["ts"]) > oldest]}

    def test_slack(self):
        code = self.through("slack", SLACK_TOKEN="xoxb-77", SLACK_CHANNEL="C1", SLACK_URL=f"{self.server.url}/api")
        for text in ("1 aaaaaaaa yes", f"{code} yes"):
            ts = f"{9e9 + len(self.came):.6f}"
            self.came.append({"type": "message", "ts": ts, "user": "U1", "text": text})
        self.finish("slack", code)
        self.looop("channel", "test", "slack", env={"SLACK_TOKEN": "wrong"}, code=1)
        self.assertIn("invalid_auth", self.stderr)

    def test_mail(self):
        folder, mails = self.file("bin"), self.file("Maildir")
        for path in (folder, f"{mails}/new", f"{mails}/cur"):
            os.makedirs(path, exist_ok=True)
        with open(f"{folder}/sendmail", "w") as file:
            file.write(f"#!/bin/sh\ncat >{self.file('mail')}\n")
        os.chmod(f"{folder}/sendmail", 0o700)
        self.sent = Mails(self.file("mail"))
        env = {"MAIL_TO": "me@example.org", "MAILDIR": mails, "PATH": f"{folder}:{self.env['PATH']}"}
        code = self.through("mail", **env)
        head, _, body = self.sent[-1].partition("\n\n")
        self.assertIn("To: me@example.org\nSubject: looop: ask 1", head)
        quoted = body.replace("\n", "\r\n")  # as an autoreply has it
        for at, text in enumerate(["1 aaaaaaaa yes", quoted, f"{code} yes"]):
            with open(f"{mails}/new/{int(time.time())}.M{at}.host", "w") as file:
                file.write(f"From: me@example.org\r\nSubject: Re\r\n\r\n{text}\r\n")

        def came():
            self.looop("channel", "test", "mail")
            return self.done()

        wait_until(came, "the mail to be read")
        self.finish("mail", code)


class Mails:
    """The last mail, as a list that has one entry."""

    def __init__(self, path):
        self.path = path

    def __getitem__(self, at):
        with open(self.path) as file:
            return file.read()


if __name__ == "__main__":
    unittest.main()
