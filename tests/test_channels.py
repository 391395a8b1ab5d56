"""Channels: people reached by scripts, and what an answer may do; the gallery's four on servers like theirs."""

import contextlib
import glob
import json
import os
import re
import stat
import time
import unittest
import unittest.mock

import looop
from tests.support import Case, heavy, longest, needs, wait_until
from tests.test_gallery import Gallery, Server

PUSH = {"move": "shell", "command": "git push origin fix-ci", "reversible": False, "journal": "push"}
WRONG = "1 lc-aaaaaaaa yes"
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

    def add(self, name="phone", body=SCRIPT, code=0):
        """Write a channel and trust it."""
        os.makedirs(self.path("channels"), mode=0o700, exist_ok=True)
        self.write(f"channels/{name}.sh", body, 0o700)
        self.looop("channel", "trust", name, code=code)

    def given(self, name="phone"):
        with open(self.file(f"given-{name}.sh")) as file:
            return json.load(file)

    def called(self, name="phone"):
        """Tell whether a channel was called since the last time that this was asked."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(f"given-{name}.sh"))
            return True
        return False

    def will_say(self, *answers, name="phone"):
        """Have a channel print these answers when it is called next."""
        with open(self.file(f"answers-{name}.sh"), "w") as file:
            file.writelines((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in answers)

    def say(self, *answers, name="phone"):
        """Have a channel print these answers, and run a beat."""
        self.will_say(*answers, name=name)
        self.now_due()
        self.tick()

    def now_due(self):
        """Have the interval of every channel be over."""
        self.change(next="2026-01-01T00:00:00Z", at="2025-01-01T00:00:00Z")

    def change(self, name=None, **fields):
        """Change what looop knows of channels."""
        known = self.json(".channels")
        for each, row in known.items():
            row.update(fields if name in (None, each) else {})
        self.write(".channels", json.dumps(known), 0o600)

    def ask(self, question="which branch?", *options):
        """Ask a question as the loop does."""
        number = max([0, *(int(name[:-5]) for name in self.names() if re.fullmatch(r"[0-9]+[.]json", name))]) + 1
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ask = {"n": number, "kind": "ask", "question": question, "session": None, "at": at}
        self.write(f"asks/{number}.json", json.dumps({**ask, "options": list(options) or None}))

    def names(self):
        return [name for _, _, names in os.walk(self.path("asks")) for name in names]

    def propose(self, command="printf x >>$LOOOP_DATA_DIR/../done"):
        """Have the loop propose a command; return the right answers: (yes, no)."""
        self.beat({**PUSH, "command": command})
        self.replies({"move": "noop", "journal": "nothing"})
        return self.answers()

    def answers(self, name="phone"):
        """Return the yes and the no for the ask that the channel was told last."""
        ask = self.given(name)["asks"][-1]
        right = {"n": ask["n"], "code": ask["code"]}
        return {**right, "answer": f"yes {ask['digest']}"}, {**right, "answer": "no, not on a Friday"}

    def ignored(self):
        """Return why answers were ignored since the last time that this was asked."""
        why = [event["why"] for event in self.events("channel_ignored")]
        seen, self._seen = self._seen, len(why)
        return why[seen:]

    _seen = 0

    def done(self):
        try:
            with open(self.file("done")) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def assert_nowhere(self, *codes):
        """Check that no file of looop, and nothing that it shows, has a code in it."""
        shown = [self.looop(*words) for words in (("asks", "--json"), ("status", "--json"), ("channel", "add"))]
        for folder, _, names in os.walk(self.data):
            for name in names:
                with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, name), "rb") as file:
                    shown.append(file.read().decode("utf-8", "replace"))
        self.assertFalse([code for code in codes if code and any(code in text for text in shown)])


class Answers(Channels):
    def test_an_answer_needs_its_code_and_is_taken_once(self):
        self.add()
        self.add("tablet")
        self.ask("which branch?", "main", "release")
        self.tick()
        ask, other = self.given()["asks"][0], self.given("tablet")["asks"][0]
        self.assertNotEqual(ask["code"], other["code"])
        self.assertIn(f"to answer, send: 1 {ask['code']} ", self.given()["messages"][0]["text"])
        self.assertEqual(stat.S_IMODE(os.stat(self.path(".channels")).st_mode), 0o600)
        self.assert_nowhere(ask["code"], other["code"])
        right = {"n": 1, "code": ask["code"], "answer": "rel"}
        self.say({**right, "code": other["code"]}, {**right, "n": 99}, "nonsense", {"n": 1}, {**right, "answer": "x"})
        why = self.ignored()
        self.assertEqual(why[:4], ["wrong code", "unknown ask", "malformed", "malformed"])
        self.assertIn("not one of its options", why[4])
        self.assertIsNone(self.given()["asks"][0]["code"], "it was told")
        self.will_say({**right, "code": other["code"], "answer": "main"}, name="tablet")  # in the same moment
        self.say(right, right)
        self.assertIn("ask 1 answered by channel phone: release", "\n".join(self.journal()))
        self.say(right)  # when nothing is open
        self.assertEqual(self.ignored(), ["answered already"] * 3)
        self.assert_nowhere(ask["code"], other["code"])

    def test_nothing_is_called_that_the_person_did_not_let_run_as_it_is(self):
        self.ask()
        self.add()
        self.called()
        for name, text in (("phone.sh", SCRIPT + "# changed\n"), ("phone.env", "TOPIC=elsewhere\n")):
            self.write(f"channels/{name}", text, 0o700 if name == "phone.sh" else 0o600)
            self.tick()
            self.assertIn("looop channel trust phone", self.stderr)
            self.tick()
            self.assertEqual(self.stderr, "", "told once")
            self.assertIn("was changed", self.looop("channel", "add"))
            self.assertFalse(self.called())
            self.looop("channel", "trust", "phone")
            self.assertTrue(self.called())
        self.looop("channel", "trust", "phone", code=1, env={"LOOOP_CHILD": "1", "LOOOP_RUN_ID": "x"})
        os.chmod(self.path("channels/phone.env"), 0o644)
        self.looop("channel", "trust", "phone", code=1)
        self.assertIn("others can read", self.stderr)

    @longest
    def test_settings_of_a_channel_are_for_it_alone(self):
        os.makedirs(self.path("channels"), mode=0o700)
        self.write("channels/phone.env", "PHONE_TOKEN=s3cr3t-0123456789\n", 0o600)
        self.write("sensors/env.sh", '#!/bin/sh\nenv >"$LOOOP_DATA_DIR/../seen"\necho \'{"signal":1}\'\n', 0o700)
        self.add(body='#!/bin/sh\necho "no route for $PHONE_TOKEN" >&2\nexit 7\n', code=1)
        self.assertIn("no route for [PHONE_TOKEN]", self.stderr)
        self.tick()
        with open(self.file("seen")) as file:
            self.assertNotIn("PHONE_TOKEN", file.read())

    @heavy
    def test_a_call_waits_for_news_or_its_interval_and_quiet_hours_hold_it(self):
        self.add(body=SCRIPT.replace("timeout=60", "timeout=60 looop:interval=1h"))
        self.called()
        self.tick()
        self.assertFalse(self.called(), "its interval is not over")
        self.ask()
        self.tick()
        self.assertTrue(self.given()["messages"])
        self.called()
        self.tick()
        self.assertFalse(self.called(), "its interval is not over")
        self.now_due()
        self.tick()
        self.assertTrue(self.called())
        self.change(next="2099-01-01T00:00:00Z", at="2098-01-01T00:00:00Z")  # the clock was set back
        self.tick()
        self.assertTrue(self.called())
        profile = looop.open_profile(self.env, looop.__file__)
        self.assertGreater(looop.next_calls(profile)[0], time.time() + 3000, "a pulse wakes for it")
        self.now_due()
        self.assertGreater(looop.next_calls(profile)[0], time.time(), "also when a beat took longer than that")
        self.change(told={})
        config = {"default": "fake", "runners": {"fake": {"mode": "typed", "tick": "false"}}}
        awake = time.strftime("%a", time.localtime(time.time() + 3 * 86400))  # some time of the week must be left
        quiet = ", ".join(day for day in "Mon Tue Wed Thu Fri Sat Sun".split() if day != awake)
        self.config({**config, "quiet": quiet})
        self.tick()
        self.assertFalse(self.called(), "quiet hours")
        self.config(config)
        self.tick(code=None)
        self.assertTrue(self.given()["messages"], "new codes are news")

    @longest
    def test_a_channel_that_fails_holds_up_no_beat_and_tells_once(self):
        self.ask()
        self.add(body=f'{SCRIPT}echo "no route" >&2\nexit 7\n', code=1)
        self.assertIn("no route", self.stderr)
        self.called()
        self.tick()
        self.assertFalse(self.called(), "it rests")
        self.assertNotIn("channel", self.stderr)
        self.assertIn("no route", self.looop("channel", "add"))
        self.will_say({"n": 1, "code": "lc-a2b3c4d5", "answer": "x"})
        self.now_due()
        self.tick()
        self.assertEqual(self.ignored(), [], "what a failed call says counts for nothing")
        self.assertNotIn("channel", self.stderr, "told once")
        self.assertEqual(len(self.given()["messages"]), 1, "its message was not sent, so it is new")
        for body, why in (("echo {};yes x", "overflow"), ("printf '\\377{\\0}\\n[[[1'", "")):
            self.add(body=f"#!/bin/sh\n{body}\n", code=1 if why else 0)
            self.assertIn(why, self.stderr)

    @longest
    def test_a_channel_that_hangs_is_ended_and_rests(self):
        self.ask()
        self.add(body="#!/bin/sh\n# looop:timeout=1s\nexec sleep 1000\n", code=1)
        self.assertIn("timeout", self.stderr)
        start = time.monotonic()
        self.tick()
        self.assertLess(time.monotonic() - start, 60)

    def test_a_flag_is_told_without_a_code(self):
        asks = {"3": {"n": None, "kind": "flag", "session": "fix-ci", "question": "stuck", "options": None}}
        row = {**looop._CHANNEL, "told": {}}
        flag = {**asks["3"], "at": "2026-01-01T00:00:00Z", "state": "open"}
        profile = looop.open_profile(self.env, looop.__file__)
        given = looop.channel_input(profile, "phone", row, {"fix-ci 1": flag}, time.time())
        self.assertIn("stuck", given["messages"][0]["text"])
        self.assertEqual((given["messages"][0]["title"], given["asks"][0]["code"]), ("looop: flag of fix-ci", None))
        self.assertEqual(given["messages"][0]["replies"], [])
        self.assertEqual(looop.channel_input(profile, "phone", row, {"fix-ci 1": flag}, time.time())["messages"], [])

    def test_codes_look_like_secrets(self):
        for _ in range(20):
            self.assertEqual(looop.without_shapes(f"1 {looop.new_code()} yes"), "1 [secret: channel code] yes")


class Approvals(Channels):
    def setUp(self):
        super().setUp()
        self.add()

    def test_a_yes_needs_code_and_digest_and_runs_it_once(self):
        yes, _ = self.propose()
        digest = self.digest(1)
        self.assertEqual(yes["answer"], f"yes {digest}")
        self.assertEqual(self.given()["messages"][0]["replies"][0], f"1 {yes['code']} yes {digest}")
        wrong = [{**yes, "answer": text} for text in ("perhaps", "yes", "yes 00000000", f"yes {digest} later")]
        self.say(*wrong, {**yes, "code": "lc-a2b3c4d5"}, {**yes, "code": ""})
        lacks = "a yes without the digest"
        self.assertEqual(self.ignored(), ["neither yes nor no", lacks, "wrong code"])
        self.assertEqual(self.done(), "")
        self.say({**yes, "answer": "Yes.", "digest": digest}, yes)
        self.assertEqual(self.done(), "x")
        self.assertIn("approved by you, by channel phone (ask 1)", "\n".join(self.journal()))
        self.assertEqual(self.ignored(), ["answered already"])
        self.assert_nowhere(yes["code"])

    @heavy
    def test_a_no_says_why_and_a_late_answer_does_nothing(self):
        yes, no = self.propose()
        self.looop("reject", "1", "terminal")
        self.say(yes, no)
        self.assertEqual(self.ignored(), ["answered already"])
        yes, no = self.propose("printf y >>$LOOOP_DATA_DIR/../done")
        self.say(no, yes)
        self.assertIn("ask 2 rejected by channel phone: not on a Friday", "\n".join(self.journal()))
        self.assertEqual(self.done(), "")

    @longest
    def test_a_changed_ask_makes_another_code(self):
        yes, _ = self.propose()
        self.write("asks/1.json", json.dumps({**self.json("asks/1.json"), "goal": "another"}))  # not in the digest
        self.say(yes)
        self.assertEqual(self.ignored(), ["wrong code"])
        self.assertNotIn(self.answers()[0]["code"], (None, yes["code"]))
        self.assertEqual(self.done(), "")

    @longest
    def test_an_ask_that_changes_while_its_channel_answers_takes_nothing(self):
        yes, _ = self.propose()
        change = 'f=$LOOOP_DATA_DIR/asks/1.json\nsed "s/push/pull/" "$f" >"$f.new" && mv "$f.new" "$f"\n'
        self.add(body=SCRIPT + change)
        self.say(yes)
        self.assertEqual((self.ignored()[0], self.done()), ("wrong code", ""))

    @heavy
    def test_codes_are_good_for_a_day_and_for_their_ask(self):
        first, _ = self.propose()
        second, _ = self.propose("printf y >>$LOOOP_DATA_DIR/../done")
        self.say({**second, "code": first["code"]})
        self.assertEqual(self.ignored(), ["wrong code"])
        for at in ("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):  # and of a clock that was ahead
            told = self.json(".channels")["phone"]["told"]
            self.change("phone", told={key: {**row, "at": at} for key, row in told.items()})
            self.say(first)
            self.assertEqual((self.ignored(), self.done()), (["wrong code"], ""))

    @heavy
    def test_wrong_codes_end_an_asks_codes_until_it_is_trusted_again(self):
        yes, _ = self.propose()
        self.say(*[{**yes, "code": "lc-a2b3c4d5"}] * 9)  # as a script that reads all of a chat again: one
        self.assertEqual(self.ignored(), ["wrong code"])
        self.say(*[{**yes, "code": f"wrong{i:03}"} for i in range(4)], yes)
        self.assertEqual(self.ignored(), ["wrong code", "too many wrong codes"])
        self.assertIn("too many wrong codes for ask 1", self.looop("channel", "add"))
        self.looop("channel", "trust", "phone")
        self.say(self.answers()[0])
        self.assertEqual(self.done(), "x")

    @heavy
    def test_what_does_not_fit_on_a_message_takes_a_no_alone(self):
        yes, no = self.propose("printf x >>$LOOOP_DATA_DIR/../done # " + "long " * 700)
        message = self.given()["messages"][-1]
        self.assertIn("looop approve 1", message["text"])
        self.assertLess(len(message["text"].encode()), looop.MESSAGE_MAX)
        self.assertEqual(message["replies"], [f"1 {yes['code']} no"])
        self.say(yes, no)
        self.assertEqual(self.ignored(), ["too large for a message: only a terminal takes a yes"])
        self.assertEqual(self.done(), "")
        self.assertIn("rejected by channel phone", "\n".join(self.journal()))

    @longest
    def test_a_crash_after_the_code_was_spent_loses_the_answer_and_does_nothing_twice(self):
        yes, _ = self.propose()
        self.will_say(yes)
        self.now_due()
        with unittest.mock.patch.object(looop, "approve", side_effect=SystemExit(9)), self.assertRaises(SystemExit):
            looop.serve_channels(looop.open_profile(self.env, looop.__file__))
        self.say(yes)
        self.assertEqual((self.ignored()[-1], self.done()), ("wrong code", ""))
        self.say(self.answers()[0])
        self.assertEqual(self.done(), "x")

    @longest
    def test_a_damaged_memory_accepts_no_code_and_runs_nothing(self):
        yes, _ = self.propose()
        self.called()
        self.write(".channels", "{", 0o600)
        self.will_say(yes)
        self.tick()
        self.assertEqual((self.called(), self.done()), (False, ""))


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

    def through(self, kind, **settings):
        """Set a channel up as a person does, have a command proposed, and return `N CODE`."""
        self.looop("channel", "add", kind)
        self.write(f"channels/{kind}.env", "".join(f"{key}={value}\n" for key, value in settings.items()), 0o600)
        self.looop("channel", "trust", kind)
        self.assertIn("this channel works", self.sent[-1])
        self.beat({**PUSH, "command": "printf x >>$LOOOP_DATA_DIR/../done # & <b>"})
        self.replies({"move": "noop", "journal": "nothing"})
        text = self.sent[-1]
        self.assertIn("printf x >>$LOOOP_DATA_DIR/../done # & <b>", text)
        self.yes = f"yes {self.digest(1)}"
        return re.search(rf"to approve, send: (1 \S+) {self.yes}\n", text)[1]

    def finish(self, kind, code):
        """Read the answers: what is right runs the command, once; nothing that was secret stood in a command line."""
        self.now_due()
        self.tick()
        self.assertEqual(self.done(), "x")
        self.assertIn(f"by channel {kind}", "\n".join(self.journal()))
        self.now_due()
        self.tick()  # nothing comes twice
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
            self.assertLess(len(told["message"].encode()), 4096)  # else it is an attachment
            self.sent.append(told["message"])
            self.buttons = told["actions"]
            self.assertLessEqual(len(self.buttons), 3)
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
        button = next(one for one in self.buttons if one["label"] == self.yes)
        self.assertEqual((button["action"], button["body"]), ("http", f"{code} {self.yes}"))
        self.ntfy("POST", "/t-secret", {}, b"1 lc-aaaaaaaa yes")
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
        for at, (chat, text) in enumerate([(-42, WRONG), (7, f"{code} no"), (-42, f"{code} {self.yes}")], 800):
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
        for text in (WRONG, f"{code} {self.yes}"):
            ts = f"{9e9 + len(self.came):.6f}"
            self.came.append({"type": "message", "ts": ts, "user": "U1", "text": text})
        self.finish("slack", code)
        self.write("channels/slack.env", f"SLACK_TOKEN=bad\nSLACK_CHANNEL=C1\nSLACK_URL={self.server.url}/api\n", 0o600)
        self.looop("channel", "trust", "slack", code=1)
        self.assertIn("invalid_auth", self.stderr)

    def test_mail(self):
        folder, mails = self.file("bin"), self.file("Maildir")
        for path in (folder, f"{mails}/new", f"{mails}/cur"):
            os.makedirs(path, exist_ok=True)
        with open(f"{folder}/sendmail", "w") as file:
            file.write(f"#!/bin/sh\ncat >{self.file('mail')}\n")
        os.chmod(f"{folder}/sendmail", 0o700)
        self.sent = Mails(self.file("mail"))
        self.env["PATH"] = f"{folder}:{self.env['PATH']}"
        code = self.through("mail", MAIL_TO="me@example.org", MAILDIR=mails)
        head, _, body = self.sent[-1].partition("\n\n")
        self.assertIn("To: me@example.org\nSubject: looop: ask 1", head)
        quoted = body.replace("\n", "\r\n")  # as an autoreply has it
        for at, text in enumerate([WRONG, quoted, f"{code} {self.yes}"]):
            with open(f"{mails}/new/{int(time.time())}.M{at}.host", "w") as file:
                file.write(f"From: me@example.org\r\nSubject: Re\r\n\r\n{text}\r\n")

        def came():
            self.now_due()
            self.tick()
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
